//! Draining: marks become stamped rows with the next seqs, and exactly the marks that were read are deleted, all in
//! one transaction. A late commit simply appears in the next drain.

use std::collections::{BTreeMap, HashSet};

use sync_core::capture::{Mark, Operation, stamp};
use sync_core::resolve::Name;
use sync_core::{Author, Position, RowId, RowState, SiteId, Source, Stamp, Value};
use sync_store::{Drained, Restamp, Result, StoreError, Trouble};

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::connections::{Connections, Ended};
use crate::database::{Database, random};
use crate::kept::Kept;
use crate::layout::Tracked;
use crate::marks::{self, Marked, Marks};
use crate::meta::{self, Line, Lines, Numbered};
use crate::sql::Fields;
use crate::{backlog, brief, conflicts, identity, parked, resolve, retry, suspects, tables};

/// Marks read in one transaction.
const PAGE: usize = 2_000;

/// Renews capture if the schema changed, then drains all that is visible.
pub fn drain(db: &mut Database) -> Result<Drained> {
    let counted = db.counted()?;
    // A mark table that is missing is for the refresh to find.
    let found = if db.trusts_catalog(&counted) { pending(db).ok() } else { None };
    if found.as_ref().is_some_and(Vec::is_empty) {
        db.suspects.clear();
        db.backlog.clear();
        if db.unsettled {
            resolve::resolve_all(db)?;
        }
        return Ok(Drained::default());
    }
    let readings = db.catalog.readings();
    let notes = retry::contention(|| db.refresh_since(&counted))?;
    let mut drained = Drained { notes, ..Drained::default() };
    // What was found is of these tables if they are still the same.
    let numbers = match found.filter(|_| db.catalog.readings() == readings) {
        Some(numbers) => numbers,
        None => pending(db)?,
    };
    let numbers = drain_tables(db, &mut drained, numbers, true)?;
    drained.left = !db.backlog.is_empty();
    if drained.marks > 0 || db.unsettled {
        // What the application wrote can free what others wait for, and it may have been in the way.
        resolve::resolve_all(db)?;
    }
    db.suspects = find_suspects(db, &numbers)?;
    drained.notes.extend(suspect(db).into_iter().map(|t| format!("table {t}: a change went unmarked; it is compared")));
    Ok(drained)
}

/// What says of these tables that they must be compared.
fn find_suspects(db: &mut Database, numbers: &[u16]) -> Result<BTreeMap<u16, Vec<u64>>> {
    let Connections { writer, dialect, .. } = &mut db.connections;
    let mut suspects = BTreeMap::new();
    for tracked in numbers.iter().filter_map(|n| db.catalog.numbered(*n)) {
        let ids = marks::unknown(writer.as_mut(), dialect.as_ref(), tracked)?;
        if !ids.is_empty() {
            suspects.insert(tracked.number(), ids);
        }
    }
    Ok(suspects)
}

/// The tables that must be compared.
pub(crate) fn suspect(db: &Database) -> Vec<String> {
    db.suspects.keys().filter_map(|n| Some(db.catalog.numbered(*n)?.table.name.clone())).collect()
}

/// Forgets what said that these tables must be compared: exactly the marks that the last drain found.
pub(crate) fn compared(db: &mut Database, tables: &[String]) -> Result<()> {
    for tracked in tables.iter().filter_map(|t| db.catalog.named(t)) {
        let Some(ids) = db.suspects.remove(&tracked.number()) else { continue };
        let connections = &mut db.connections;
        retry::contention(|| marks::delete(connections.writer.as_mut(), connections.dialect.as_ref(), tracked, &ids))?;
    }
    Ok(())
}

/// Drains all that is visible; returns the numbers of the tables that had marks. One statement if there is nothing.
pub(crate) fn drain_pending(db: &mut Database, drained: &mut Drained) -> Result<Vec<u16>> {
    let numbers = pending(db)?;
    drain_tables(db, drained, numbers, false)
}

/// Drains the tables of these numbers, and says again which had marks: late marks are moved to theirs first. With `leave`,
/// tables with very many marks are left for the stream ([`crate::backlog`]).
fn drain_tables(db: &mut Database, drained: &mut Drained, mut numbers: Vec<u16>, leave: bool) -> Result<Vec<u16>> {
    db.backlog.clear();
    if numbers.contains(&marks::LATE) {
        retry::contention(|| gather(db))?;
        numbers = pending(db)?;
    }
    for &number in &numbers {
        if leave && backlog::is_long(db, number)? {
            db.backlog.push(number);
            continue;
        }
        drain_table(db, number, drained)?;
    }
    Ok(numbers)
}

/// Drains the marks of one table that are there now. An application that goes on writing faster than that must not keep a
/// round from ending: what it adds meanwhile is the next drain's.
fn drain_table(db: &mut Database, number: u16, drained: &mut Drained) -> Result<()> {
    let mut left = None;
    loop {
        let (read, rows) = retry::contention(|| drain_page(db, number))?;
        drained.marks += read as u64;
        drained.rows += rows as u64;
        if read < PAGE || left == Some(0) {
            return Ok(());
        }
        let before = match left {
            Some(left) => left,
            None => count(db, number)?,
        };
        left = Some(before.saturating_sub(PAGE as u64));
    }
}

/// How many marks a table has.
fn count(db: &mut Database, number: u16) -> Result<u64> {
    let Some(tracked) = db.catalog.numbered(number) else { return Ok(0) };
    let c = &mut db.connections;
    let query = format!("SELECT COUNT(*) FROM {}", c.dialect.quote(&tracked.registered.mark_table()));
    Fields::of(c.writer.first(&query, &[])?.unwrap_or_default()).unsigned()
}

fn pending(db: &mut Database) -> Result<Vec<u16>> {
    marks::pending(db.connections.writer.as_mut(), db.connections.dialect.as_ref(), &db.catalog)
}

fn gather(db: &mut Database) -> Result<()> {
    let catalog = &db.catalog;
    db.connections.transaction(|c| {
        identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
        marks::gather(c.writer.as_mut(), c.dialect.as_ref(), catalog)?;
        Ok(Ended::Commit(()))
    })
}

fn drain_page(db: &mut Database, number: u16) -> Result<(usize, usize)> {
    let clock = db.clock()?;
    let catalog = &db.catalog;
    let Some(tracked) = catalog.numbered(number) else { return Ok((0, 0)) };
    let site = db.identity.card.site;
    db.connections.transaction(|c| {
        // The lock before the snapshot: what another drain deleted must not be read again.
        let (source, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
        let marks = c.snapshot(|sql, dialect| marks::oldest(sql, dialect, tracked, PAGE))?;
        let (_, stamped) = publish_marked(c, (catalog, tracked), &marks, head, (author(site, source), clock))?;
        marks::delete(c.writer.as_mut(), c.dialect.as_ref(), tracked, &marks.ids())?;
        Ok(Ended::Commit((marks.count(), stamped.len())))
    })
}

/// Who writes in this store now.
pub(crate) fn author(site: SiteId, source: Source) -> Author {
    Author { site, history: source.incarnation }
}

/// Stamps marked rows and publishes them behind this head; returns the new head and their lines. The marks stay.
pub(crate) fn publish_marked(
    c: &mut Connections,
    (catalog, tracked): (&Catalog, &Tracked),
    marks: &Marks,
    head: Position,
    (author, clock): (Author, Clock),
) -> Result<(Position, Vec<Numbered>)> {
    let clock = clock.for_marks(c.writer.as_mut(), c.dialect.as_ref(), marks)?;
    let known = meta::load(c.writer.as_mut(), tracked.number(), &marks.row_ids())?;
    let mut lines = stamp_rows(tracked, marks, &known, author, clock.latest());
    brief::remember(c, tracked, marks, &known, (author, clock.latest()))?;
    let gone: Vec<&[Value]> = marks.rows.iter().filter(|row| !row.present).map(|row| row.key.as_slice()).collect();
    let mut suspect = suspects::forgotten(c, catalog, tracked, &gone)?;
    suspect.extend(suspects::unfounded(c, catalog, tracked, &marks.rows)?);
    parked::add(c.writer.as_mut(), &suspect, &parked::Entry::undecided())?;
    let replaced = conflicts::replaced(tracked, &known, &lines);
    let mut entries = conflicts::note(c, catalog, &replaced)?;
    let head = publish(c, head, &mut entries)?;
    Ok((publish(c, head, &mut lines)?, lines))
}

/// The new lines of marked rows; `lines` are those they have.
fn stamp_rows(tracked: &Tracked, marks: &Marks, lines: &Lines, author: Author, latest: u64) -> Vec<Numbered> {
    let one = |row: &Marked| {
        let known = lines.get(&row.id);
        let line = match stamp_one(lines, row, row.present, author, latest) {
            Some(state) => {
                let kept = known.map(|l| l.kept_under(&state)).unwrap_or_default();
                Line { kept, ..own_line(state, &row.key) }
            }
            None => unchanged(known, row, lines)?,
        };
        Some((tracked.number(), row.id.clone(), line))
    };
    marks.rows.iter().filter_map(one).collect()
}

/// The new state of one marked row.
pub(crate) fn stamp_one(lines: &Lines, row: &Marked, present: bool, author: Author, latest: u64) -> Option<RowState> {
    let known = lines.state_of(&row.id);
    if !present && !lines.contains_key(&row.id) && known.is_some() {
        // It came and went before anybody could hear of it.
        return None;
    }
    stamp(known.as_ref(), &row.clamped(latest), present, author)
}

/// Marks that say nothing new (a cascade that was announced and did not happen): the row is published once more, because
/// a stream that saw the marks left it out and counts on a later seq. Nothing if nobody ever heard of the row.
fn unchanged(known: Option<&Line>, row: &Marked, lines: &Lines) -> Option<Line> {
    match known {
        Some(line) => Some(Line { origin: 0, key: Some(row.key.clone()), ..line.clone() }),
        None => row.present.then(|| own_line(lines.unlined(), &row.key)),
    }
}

/// A line about a change of this site; its values are in the table, or gone.
pub(crate) fn own_line(state: RowState, key: &[Value]) -> Line {
    Line { seq: 0, origin: 0, state, key: Some(key.to_vec()), kept: Kept::Nothing, lasts: false }
}

/// Gives lines the next seqs, and writes them and the new head.
pub(crate) fn publish(c: &mut Connections, head: Position, lines: &mut [Numbered]) -> Result<Position> {
    if lines.is_empty() {
        return Ok(head);
    }
    let mut seq = head.seq;
    for (_, _, line) in lines.iter_mut() {
        seq += 1;
        line.seq = seq;
    }
    save(c, lines)?;
    let head = Position { seq, token: random()? };
    identity::advance(c.writer.as_mut(), head)?;
    Ok(head)
}

/// Writes lines as they are.
pub(crate) fn save(c: &mut Connections, lines: &[Numbered]) -> Result<()> {
    let upsert = c.dialect.on_duplicate(&meta::KEY.map(str::to_owned), &meta::REPLACED.map(str::to_owned));
    meta::save(c.writer.as_mut(), &upsert, lines)
}

/// Stamps columns of rows as written at `millis`, or just above what they have; a row that is there although it was deleted, or
/// is to be anew, as inserted then.
pub fn restamp(db: &mut Database, table: &str, rows: &[Restamp], millis: u64) -> Result<()> {
    let site = db.identity.card.site;
    let tracked = db.catalog.named(table).ok_or_else(|| unknown_table(table))?;
    for chunk in rows.chunks(500) {
        retry::contention(|| {
            db.connections.transaction(|c| {
                let (source, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
                let mut lines = restamped(c, tracked, chunk, millis, author(site, source))?;
                publish(c, head, &mut lines)?;
                Ok(Ended::Commit(()))
            })
        })?;
    }
    Ok(())
}

fn restamped(
    c: &mut Connections,
    tracked: &Tracked,
    rows: &[Restamp],
    millis: u64,
    author: Author,
) -> Result<Vec<Numbered>> {
    let ids: Vec<RowId> = rows.iter().map(|r| RowId::of(&r.key)).collect();
    let mut lines = meta::load(c.writer.as_mut(), tracked.number(), &ids)?;
    let revived = revived(c, tracked, rows, &lines)?;
    let one = |(id, row): (RowId, &Restamp)| {
        let known = lines.remove(&id);
        let mut state = known.as_ref().map_or_else(|| lines.unlined(), |l| l.state.clone());
        if !state.is_live() {
            // Deleted since it was compared, which needs no decision; or put back without a mark.
            let mark = Mark { operation: Operation::Insert, millis };
            let state = stamp(Some(&state), &[mark], true, author).filter(|_| revived.contains(&id))?;
            return Some((tracked.number(), id, own_line(state, &row.key)));
        }
        let millis = row.at.unwrap_or(millis);
        if row.anew {
            let stamp = state.next_stamp(millis, author.site);
            state.insert(stamp);
        }
        let named = row.columns.iter().filter_map(|name| tracked.registered.id(name)).collect();
        for id in tracked.with_companions(named) {
            state.write([id], Stamp::next(millis, state.cell(id), author.site));
        }
        let kept = known.map(|l| l.kept).unwrap_or_default();
        Some((tracked.number(), id, Line { kept, ..own_line(state, &row.key) }))
    };
    Ok(ids.into_iter().zip(rows).filter_map(one).collect())
}

/// Those of these rows that are in the table although they were deleted, and have no mark that would say why.
fn revived(c: &mut Connections, tracked: &Tracked, rows: &[Restamp], lines: &Lines) -> Result<HashSet<RowId>> {
    let is_dead = |row: &&Restamp| lines.state_of(&RowId::of(&row.key)).is_some_and(|state| !state.is_live());
    let keys: Vec<Vec<Value>> = rows.iter().filter(is_dead).map(|r| r.key.clone()).collect();
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
    let marked = marks::of_rows(sql, dialect, tracked, &keys)?.row_ids();
    let mut there: HashSet<RowId> = tables::read(sql, dialect, tracked, &keys, false)?.into_keys().collect();
    let names: Vec<Name> = there.iter().map(|id| (tracked.number(), id.clone())).collect();
    let stays = parked::of(sql, &names)?;
    there.retain(|id| !marked.contains(id) && !stays.contains_key(&(tracked.number(), id.clone())));
    Ok(there)
}

pub(crate) fn unknown_table(table: &str) -> StoreError {
    StoreError::new(Trouble::SchemaChanged, format!("table {table} is not synchronised here"))
}
