//! An authoritative restore: what this site shows becomes the truth for all sites, and taking over what another site declared.
//!
//! A declaration begins an *epoch* of a table ([`sync_core::RowState`]). Here every visible row is stamped anew as part of it,
//! in chunks. What is not visible then (rows that a constraint keeps back) is deleted like the rows that other sites have and this
//! one lacks: each loses against [`RowState::swept`], by an ordinary merge, which lists what nobody had seen. Last, in one
//! transaction with the proof that no row is left over, the table has *met* the epoch: from then on a row without a line is
//! known to be deleted, and new rows belong to the epoch.
//!
//! A store that takes over a declaration does the same without the first step, once it contains all of whoever met it before.
//! Dying anywhere changes nothing: what is done is done, the rest is found again. A declaration that was begun and not finished
//! is on record ([`crate::epochs`]), and the store takes no part in rounds until it is.

use std::collections::{HashMap, HashSet};

use sync_core::{Conflict, ConflictKind, Row, RowId, RowState, SiteId, Stamp, Value};
use sync_store::{Applied, Batch, Change, ConflictEntry, Drained, Mode, Result, StoreError, TableHead, Trouble};

use crate::catalog::CONFLICTS;
use crate::connections::{Connections, Ended};
use crate::database::Database;
use crate::drain::{drain_pending, own_line, publish, unknown_table};
use crate::epochs::{self, Epoch};
use crate::kept::Kept;
use crate::layout::Tracked;
use crate::meta::{self, Line, Numbered};
use crate::tables::{self, PAGE_BYTES};
use crate::{apply, conflicts, identity, parked, registry, resolve, retry};

/// Rows of one transaction.
const CHUNK: usize = 500;

/// Told the name of a table and how many of its rows are done. An error ends the declaration there.
pub type Progress<'a> = dyn FnMut(&str, u64) -> Result<()> + 'a;

/// How many rows each of these tables shows; of all tables that are synchronised if none is named. Writes nothing.
pub fn counts(db: &mut Database, tables: &[String]) -> Result<Vec<(String, u64)>> {
    db.refresh()?;
    let c = &mut db.connections;
    let count = |tracked: &Tracked| {
        let query = format!("SELECT COUNT(*) FROM {}", c.dialect.quote(&tracked.table.name));
        let rows = crate::sql::Fields::of(c.writer.first(&query, &[])?.unwrap_or_default()).unsigned()?;
        Ok((tracked.table.name.clone(), rows))
    };
    chosen(&db.catalog.tracked, tables)?.into_iter().map(count).collect()
}

/// Declares what these tables show the truth for all sites; all tables that are synchronised if none is named. Goes on with a
/// declaration of the same tables that was begun and not finished. Says how many rows each table declares.
pub fn declare(db: &mut Database, tables: &[String], progress: &mut Progress) -> Result<Vec<(String, u64)>> {
    db.refresh()?;
    drain_pending(db, &mut Drained::default())?;
    let chosen: Vec<Tracked> = chosen(&db.catalog.tracked, tables)?.into_iter().cloned().collect();
    let epoch = begin(db, &chosen)?;
    let mut declared = Vec::new();
    for tracked in &chosen {
        let name = &tracked.table.name;
        let mut rows = 0;
        each(db, tracked, &mut |db, keys| {
            stamp(db, tracked, keys, epoch)?;
            rows += keys.len() as u64;
            progress(name, rows)
        })?;
        declared.push((name.clone(), rows));
    }
    // Only now: a row that is kept back can refer to one of another table.
    for tracked in &chosen {
        sweep_hidden(db, tracked, epoch, &mut Applied::default())?;
    }
    finish_all(db, &chosen, epoch)?;
    resolve::resolve_all(db)?;
    Ok(declared)
}

/// Takes over what another site declared of these tables. Everything of the peer is contained here. What the application holds is
/// left out and all else is done; then it is an error, and the tables of these rows are to be taken over once more.
pub fn enter(db: &mut Database, tables: &[(String, Stamp)]) -> Result<Applied> {
    drain_pending(db, &mut Drained::default())?;
    let (mut applied, mut held) = (Applied::default(), None);
    for (name, epoch) in tables {
        let tracked = db.catalog.named(name).ok_or_else(|| unknown_table(name))?.clone();
        if epochs::read(db.connections.writer.as_mut())?.of(tracked.number()).met < *epoch {
            leave_held(&mut held, enter_one(db, &tracked, *epoch, &mut applied))?;
        }
    }
    resolve::resolve_all(db)?;
    // They are in the list; so many need not be carried about.
    applied.conflicts.clear();
    held.map_or(Ok(applied), Err)
}

fn enter_one(db: &mut Database, tracked: &Tracked, epoch: Stamp, applied: &mut Applied) -> Result<()> {
    let (mut from, mut held) = (head(db)?, None);
    each(db, tracked, &mut |db, keys| bury_free(db, tracked, keys, epoch, (applied, &mut held)))?;
    if let Some(held) = held {
        return Err(held);
    }
    sweep_hidden(db, tracked, epoch, applied)?;
    while let Some((late, upto)) = finish(db, std::slice::from_ref(tracked), (epoch, from))? {
        late.iter().try_for_each(|(tracked, keys)| bury(db, tracked, keys, epoch, (&mut *applied, apply::PATIENCE)))?;
        from = upto;
    }
    Ok(())
}

/// Keeps the error that says that the application holds something, and goes on.
fn leave_held(held: &mut Option<StoreError>, done: Result<()>) -> Result<()> {
    match done {
        Err(e) if e.trouble == Trouble::Contention => drop(held.get_or_insert(e)),
        other => other?,
    }
    Ok(())
}

/// How often a row that the application holds is tried again while there is other work: about half a second.
const BRIEFLY: u32 = 6;

/// Buries those of the rows that the application does not hold: if it holds any, one by one.
fn bury_free(
    db: &mut Database,
    tracked: &Tracked,
    keys: &[Vec<Value>],
    epoch: Stamp,
    (applied, held): (&mut Applied, &mut Option<StoreError>),
) -> Result<()> {
    match bury(db, tracked, keys, epoch, (&mut *applied, BRIEFLY)) {
        Err(e) if e.trouble == Trouble::Contention => {}
        other => return other,
    }
    for key in keys {
        leave_held(held, bury(db, tracked, std::slice::from_ref(key), epoch, (&mut *applied, BRIEFLY)))?;
    }
    Ok(())
}

fn chosen<'a>(tracked: &'a [Tracked], tables: &[String]) -> Result<Vec<&'a Tracked>> {
    if tables.is_empty() {
        return Ok(tracked.iter().filter(|t| t.number() != CONFLICTS).collect());
    }
    let find = |name: &String| {
        let found = tracked.iter().find(|t| t.table.name == *name && t.number() != CONFLICTS);
        found.ok_or_else(|| {
            let names: Vec<&str> = tracked.iter().filter(|t| t.number() != CONFLICTS).map(|t| &*t.table.name).collect();
            StoreError::new(Trouble::Configuration, format!("table {name} is not synchronised here"))
                .hint(format!("synchronised are: {}", names.join(", ")))
        })
    };
    tables.iter().map(find).collect()
}

/// Puts on record that a declaration is being made; gives its name. From now on the store takes part in no round.
fn begin(db: &mut Database, tables: &[Tracked]) -> Result<Stamp> {
    let (clock, site) = (db.clock()?, db.identity.card.site);
    let catalog = &db.catalog;
    db.connections.transaction(|c| {
        let sql = c.writer.as_mut();
        identity::lock(sql, c.dialect.wait_for_update())?;
        let mut epochs = epochs::read(sql)?;
        let begun: HashSet<u16> = epochs.begun().map(|(tab, _)| tab).collect();
        let wanted: HashSet<u16> = tables.iter().map(Tracked::number).collect();
        if !begun.is_empty() && begun != wanted {
            let names = begun.iter().filter_map(|tab| Some(catalog.numbered(*tab)?.table.name.as_str()));
            return Err(other_begun(names.collect()));
        }
        let begun = epochs.begun().map(|(_, epoch)| epoch).max();
        let epoch = begun.unwrap_or_else(|| Stamp::next(clock.now(), epochs.latest(), site));
        for tab in wanted {
            epochs.set(tab, Epoch { begun: epoch, ..epochs.of(tab) });
        }
        epochs::write(sql, &epochs)?;
        Ok(Ended::Commit(epoch))
    })
}

fn other_begun(mut names: Vec<&str>) -> StoreError {
    names.sort_unstable();
    let message = format!("an authoritative restore of other tables was begun and not finished: {}", names.join(", "));
    StoreError::new(Trouble::Configuration, message).hint("finish that first, with exactly these tables")
}

/// What is done with some keys of a table.
type Work<'a> = dyn FnMut(&mut Database, &[Vec<Value>]) -> Result<()> + 'a;

/// Calls `work` with the keys of a table, some at a time, in key order.
fn each(db: &mut Database, tracked: &Tracked, work: &mut Work) -> Result<()> {
    let mut after: Option<Vec<Value>> = None;
    loop {
        let c = &mut db.connections;
        let keys = tables::keys_after(c.writer.as_mut(), c.dialect.as_ref(), tracked, after.as_deref(), CHUNK)?;
        if keys.is_empty() {
            return Ok(());
        }
        work(db, &keys)?;
        after = keys.into_iter().next_back();
    }
}

fn head(db: &mut Database) -> Result<u64> {
    Ok(identity::read(db.connections.writer.as_mut())?.ok_or_else(identity::not_prepared)?.head.seq)
}

/// Stamps visible rows as part of the epoch, if they are not yet.
fn stamp(db: &mut Database, tracked: &Tracked, keys: &[Vec<Value>], epoch: Stamp) -> Result<()> {
    let (clock, site) = (db.clock()?, db.identity.card.site);
    let catalog = &db.catalog;
    retry::contention(|| {
        db.connections.transaction(|c| {
            let (_, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
            let (mut lines, lost) = stamped(c, tracked, keys, (epoch, clock.now(), site))?;
            let mut entries = conflicts::note(c, catalog, &lost)?;
            let head = publish(c, head, &mut entries)?;
            publish(c, head, &mut lines)?;
            Ok(Ended::Commit(()))
        })
    })
}

/// The new lines of visible rows, and what is lost of them: values that a constraint keeps from being shown.
fn stamped(
    c: &mut Connections,
    tracked: &Tracked,
    keys: &[Vec<Value>],
    (epoch, now, site): (Stamp, u64, SiteId),
) -> Result<(Vec<Numbered>, Vec<ConflictEntry>)> {
    let ids: Vec<RowId> = keys.iter().map(|key| RowId::of(key)).collect();
    let mut known = meta::as_stored(c.writer.as_mut(), tracked.number(), &ids)?;
    let is_hidden = |id: &RowId| known.get(id).is_some_and(|line| line.state.is_live() && line.kept != Kept::Nothing);
    let hidden: Vec<Vec<Value>> = keys.iter().filter(|key| is_hidden(&RowId::of(key))).cloned().collect();
    let shown = tables::read(c.writer.as_mut(), c.dialect.as_ref(), tracked, &hidden, false)?;
    let (mut lines, mut lost) = (Vec::new(), Vec::new());
    for (id, key) in ids.into_iter().zip(keys) {
        let old = known.remove(&id);
        let state = old.as_ref().map_or_else(|| known.unlined(), |line| line.state.clone());
        if state.epoch >= epoch {
            continue;
        }
        let new = state.declared(epoch, now, site);
        if let (Some(old), Some(shown)) = (&old, shown.get(&id)) {
            lost.extend(unshown(old, &new, shown).into_iter().map(|c| conflicts::entry(tracked, key, &c)));
        }
        let line = own_line(new, key);
        lines.push((tracked.number(), id, line));
    }
    Ok((lines, lost))
}

/// What a row has and does not show.
fn unshown(old: &Line, new: &RowState, shown: &[Value]) -> Vec<Conflict> {
    let winner = new.inserted;
    match &old.kept {
        Kept::Nothing => Vec::new(),
        Kept::Row(losing) => {
            let (kind, loser, winning) = (ConflictKind::Insert, old.state.newest(), shown.to_vec());
            vec![Conflict { kind, winner, loser, winning, losing: losing.clone() }]
        }
        Kept::Cells(cells) => {
            let one = |(id, value): (&u16, &Value)| {
                let winning = shown.get(usize::from(*id)).cloned().unwrap_or_default();
                let (kind, loser) = (ConflictKind::Cell(*id), old.state.cell(*id));
                Conflict { kind, winner, loser, winning: vec![winning], losing: vec![value.clone()] }
            };
            cells.iter().map(one).filter(|c| c.winning != c.losing).collect()
        }
    }
}

/// Deletes the rows that are part of the state and not shown, because a constraint keeps them back.
fn sweep_hidden(db: &mut Database, tracked: &Tracked, epoch: Stamp, applied: &mut Applied) -> Result<()> {
    let sql = db.connections.writer.as_mut();
    let mut ids: Vec<RowId> =
        parked::names(sql)?.into_iter().filter(|n| n.0 == tracked.number()).map(|n| n.1).collect();
    while !ids.is_empty() {
        let rest = ids.split_off(ids.len().min(CHUNK));
        let lines = meta::as_stored(db.connections.writer.as_mut(), tracked.number(), &ids)?;
        let keys = lines.iter().map(|(id, line)| line.key(id)).collect::<Result<Vec<_>>>()?;
        bury(db, tracked, &keys, epoch, (&mut *applied, apply::PATIENCE))?;
        ids = rest;
    }
    Ok(())
}

/// Deletes those of these rows that are not part of the epoch. Their graves need not be kept: it says as much.
fn bury(
    db: &mut Database,
    tracked: &Tracked,
    keys: &[Vec<Value>],
    epoch: Stamp,
    (applied, patience): (&mut Applied, u32),
) -> Result<()> {
    let ids: Vec<RowId> = keys.iter().map(|key| RowId::of(key)).collect();
    let lines = meta::as_stored(db.connections.writer.as_mut(), tracked.number(), &ids)?;
    let is_older = |id: &RowId| lines.get(id).is_none_or(|line| line.state.epoch < epoch);
    let old: Vec<(&RowId, &Vec<Value>)> = ids.iter().zip(keys).filter(|(id, _)| is_older(id)).collect();
    if old.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::empty(db.identity.source);
    let table = batch.head(&TableHead { name: tracked.table.name.clone(), columns: tracked.names() });
    let swept = |(_, key): &(&RowId, &Vec<Value>)| Change {
        table,
        key: (*key).clone(),
        row: Row { state: RowState::swept(epoch), values: None },
    };
    batch.changes = old.iter().map(swept).collect();
    let mut done = apply::apply_with(db, &batch, Mode::Write, patience)?;
    done.conflicts.clear();
    applied.add(done);
    let old: Vec<RowId> = old.into_iter().map(|(id, _)| id.clone()).collect();
    retry::contention(|| forget(db, tracked.number(), &old, epoch))
}

/// Drops the graves of swept rows.
fn forget(db: &mut Database, tab: u16, ids: &[RowId], epoch: Stamp) -> Result<()> {
    db.connections.transaction(|c| {
        let sql = c.writer.as_mut();
        identity::lock(sql, c.dialect.wait_for_update())?;
        let lines = meta::as_stored(sql, tab, ids)?;
        let is_swept = |line: &Line| line.state.epoch == epoch && line.state.deleted == epoch && !line.state.is_live();
        let swept = lines.iter().filter(|(_, line)| is_swept(line)).map(|(id, _)| (tab, id.clone()));
        registry::drop_lines(sql, swept.collect())?;
        Ok(Ended::Commit(()))
    })
}

/// Rows that came up meanwhile, table by table.
type Late<'a> = Vec<(&'a Tracked, Vec<Vec<Value>>)>;

/// Ends a declaration that is made here: rows that came up meanwhile are part of it if they are shown.
fn finish_all(db: &mut Database, tables: &[Tracked], epoch: Stamp) -> Result<()> {
    let mut from = 0;
    while let Some((late, upto)) = finish(db, tables, (epoch, from))? {
        for (tracked, keys) in late {
            let c = &mut db.connections;
            let shown = tables::read(c.writer.as_mut(), c.dialect.as_ref(), tracked, &keys, false)?;
            let (shown, hidden): (Vec<_>, Vec<_>) = keys.into_iter().partition(|k| shown.contains_key(&RowId::of(k)));
            stamp(db, tracked, &shown, epoch)?;
            bury(db, tracked, &hidden, epoch, (&mut Applied::default(), apply::PATIENCE))?;
        }
        from = upto;
    }
    Ok(())
}

/// Has these tables meet the epoch, if no row that was published behind `from` is alive and not part of it; else gives some of
/// those, and how far it looked.
fn finish<'a>(
    db: &mut Database,
    tables: &'a [Tracked],
    (epoch, from): (Stamp, u64),
) -> Result<Option<(Late<'a>, u64)>> {
    retry::contention(|| {
        db.connections.transaction(|c| {
            let sql = c.writer.as_mut();
            let (_, head) = identity::lock(sql, c.dialect.wait_for_update())?;
            let by_number: HashMap<u16, &Tracked> = tables.iter().map(|t| (t.number(), t)).collect();
            let only = tables.first().filter(|_| tables.len() == 1).map(Tracked::number);
            let mut from = from;
            loop {
                let (lines, all) = meta::page(sql, only, from, head.seq, (1000, PAGE_BYTES))?;
                from = lines.last().map_or(from, |line| line.2.seq);
                let late = late(&by_number, &lines, epoch)?;
                if !late.is_empty() {
                    return Ok(Ended::Rollback(Some((late, from))));
                }
                if all {
                    break;
                }
            }
            let mut epochs = epochs::read(sql)?;
            tables.iter().for_each(|t| epochs.set(t.number(), Epoch { met: epoch, begun: Stamp::NEVER }));
            epochs::write(sql, &epochs)?;
            Ok(Ended::Commit(None))
        })
    })
}

fn late<'a>(tables: &HashMap<u16, &'a Tracked>, lines: &[Numbered], epoch: Stamp) -> Result<Late<'a>> {
    let mut late: HashMap<u16, Vec<Vec<Value>>> = HashMap::new();
    for (tab, id, line) in lines.iter().filter(|(tab, ..)| tables.contains_key(tab)) {
        if line.state.is_live() && line.state.epoch < epoch {
            late.entry(*tab).or_default().push(line.key(id)?);
        }
    }
    Ok(late.into_iter().map(|(tab, keys)| (tables[&tab], keys)).collect())
}
