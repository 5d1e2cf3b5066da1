//! A copy of another site's database becomes this site's own store. It keeps what the original knew of others, and knows of
//! the original all that was copied, so that afterwards only what is newer is exchanged. Never touches the original.

use sync_core::capture::stamp;
use sync_core::{Author, Position, RowState, Source, Stamp, Value};
use sync_store::{Result, StoreError, Trouble};

use crate::catalog::Catalog;
use crate::connections::{Connections, Ended};
use crate::database::{Database, new_source};
use crate::drain::{author, own_line, save};
use crate::identity::{self, Card, Identity};
use crate::layout::Tracked;
use crate::marks::{self, Marked};
use crate::meta::{self, Line, Lines, Numbered};
use crate::vector;

/// Takes a copy over for the site of this card, then prepares it as [`Database::prepare`] does. Harmless to repeat after a
/// crash at any point.
pub fn adopt(mut connections: Connections, card: &Card) -> Result<(Database, Vec<String>)> {
    connections.require_privileges()?;
    identity::upgrade(connections.writer.as_mut()).map_err(|e| match e.trouble {
        Trouble::SchemaChanged => identity::not_prepared(),
        _ => e,
    })?;
    let known = identity::read(connections.writer.as_mut())?.ok_or_else(identity::not_prepared)?;
    if known.card.vd != card.vd {
        return Err(StoreError::new(
            Trouble::Configuration,
            format!(
                "the database is a copy of the virtual desktop {}, the settings are those of {}",
                known.card.vd, card.vd
            ),
        )
        .hint("check [vd] name and the database's name"));
    }
    let mut catalog = Catalog::default();
    let Connections { writer, dialect, .. } = &mut connections;
    // Triggers do not always come along, and may be of an account that does not exist here.
    catalog.refresh(writer.as_mut(), dialect.as_ref(), &card.rules, true)?;
    connections.transaction(|c| {
        take_over(c, &catalog, &known, card)?;
        Ok(Ended::Commit(()))
    })?;
    let (database, mut notes) = Database::prepare(connections, card)?;
    notes.push(format!(
        "the database is a copy of that of {} (number {}): it is this site's own now, and goes on from there",
        known.card.site_name, known.card.site
    ));
    Ok((database, notes))
}

fn take_over(c: &mut Connections, catalog: &Catalog, known: &Identity, card: &Card) -> Result<()> {
    let (_, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
    forget_marks(c, catalog, known)?;
    remember_original(c, known.source, head)?;
    let source = new_source(c)?;
    identity::replace(c.writer.as_mut(), source)?;
    identity::publish(c.writer.as_mut(), card)
}

/// What the original had not stamped yet is its own write, and comes from there.
fn forget_marks(c: &mut Connections, catalog: &Catalog, known: &Identity) -> Result<()> {
    marks::gather(c.writer.as_mut(), c.dialect.as_ref(), catalog)?;
    for tracked in &catalog.tracked {
        if !tracked.counters.is_empty() {
            while count_additions(c, tracked, known)? > 0 {}
        }
        let table = c.dialect.quote(&tracked.registered.mark_table());
        c.writer.execute(&format!("DELETE FROM {table}"), &[])?;
    }
    Ok(())
}

/// Marks that are read at a time.
const PAGE: usize = 2_000;

/// What the original had added and not stamped yet is in the values that were copied, so the states must say so, too: as what
/// the original added, which counts once when it comes from there. Says how many marks were read, and deletes them.
fn count_additions(c: &mut Connections, tracked: &Tracked, known: &Identity) -> Result<usize> {
    let original = author(known.card.site, known.source);
    let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
    let marks = marks::oldest(sql, dialect, tracked, PAGE)?;
    let lines = meta::load(sql, tracked.number(), &marks.row_ids())?;
    let counted = marks.rows.iter().filter_map(|row| {
        let line = counted((lines.get(&row.id), &lines), row, original, known.head.seq)?;
        Some((tracked.number(), row.id.clone(), line))
    });
    let counted: Vec<Numbered> = counted.collect();
    marks::delete(sql, dialect, tracked, &marks.ids())?;
    save(c, &counted)?;
    Ok(marks.count())
}

/// The line of a row with what was added to it, if it is still the row that it was.
fn counted((line, lines): (Option<&Line>, &Lines), row: &Marked, original: Author, seq: u64) -> Option<Line> {
    let old = line.map_or_else(|| lines.unlined(), |line| line.state.clone());
    let known = lines.state_of(&row.id);
    let new = stamp(known.as_ref(), &row.marks, row.present, original)?;
    if new.lineage() != old.lineage() || new.sums == old.sums {
        return None;
    }
    let mut state = RowState { sums: new.sums, ..old };
    let last: Vec<Stamp> = state.sums.values().map(|sum| sum.last).collect();
    last.into_iter().for_each(|stamp| state.seen.add(stamp));
    Some(match line {
        Some(line) => Line { kept: line.kept_under(&state), state, key: Some(row.key.clone()), ..line.clone() },
        None => Line { seq, ..own_line(state, &row.key) },
    })
}

/// The original's own changes are somebody else's now. It contains what was copied, and so do others as far as they told
/// it: the seqs up to here are common.
fn remember_original(c: &mut Connections, original: Source, head: Position) -> Result<()> {
    let sql = c.writer.as_mut();
    let number = vector::number(sql, original)?;
    sql.execute("UPDATE server_sync_row SET origin=? WHERE origin=0", &[Value::Int(number.into())])?;
    vector::meet(sql, original, head)?;
    vector::acknowledge(sql, original, original.incarnation, head.seq)
}
