//! A copy of another site's database becomes this site's own store. It keeps what the original knew of others, and knows of
//! the original all that was copied, so that afterwards only what is newer is exchanged. Never touches the original.

use sync_core::{Position, Source, Value};
use sync_store::{Result, StoreError, Trouble};

use crate::catalog::Catalog;
use crate::database::{Connections, Database, Ended, new_source};
use crate::identity::{self, Card, Identity};
use crate::{marks, vector};

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
    forget_marks(c, catalog)?;
    remember_original(c, known.source, head)?;
    let source = new_source(c)?;
    identity::replace(c.writer.as_mut(), source)?;
    identity::publish(c.writer.as_mut(), card)
}

/// What the original had not stamped yet is its own write, and comes from there.
fn forget_marks(c: &mut Connections, catalog: &Catalog) -> Result<()> {
    marks::gather(c.writer.as_mut(), c.dialect.as_ref(), catalog)?;
    for tracked in &catalog.tracked {
        let table = c.dialect.quote(&tracked.registered.mark_table());
        c.writer.execute(&format!("DELETE FROM {table}"), &[])?;
    }
    Ok(())
}

/// The original's own changes are somebody else's now. It contains what was copied, and so do others as far as they told
/// it: the seqs up to here are common.
fn remember_original(c: &mut Connections, original: Source, head: Position) -> Result<()> {
    let sql = c.writer.as_mut();
    let number = vector::number(sql, original)?;
    sql.execute("UPDATE server_sync_row SET origin=? WHERE origin=0", &[Value::Int(number.into())])?;
    vector::advance(sql, original, head)?;
    vector::acknowledge(sql, original, original.incarnation, head.seq)
}
