//! Reading what others should get: the stream of changes, single rows (whole tables: [`crate::scan`]). Writes nothing but drains.
//!
//! Every page is read in one short snapshot, values together with their stamps. A row with a pending mark is left
//! out: its value is newer than its stamp, and the mark will give it a later seq. Therefore a stream never sends a
//! value under a stamp that it was not written with. Rows that are asked for by key are never left out for that: who asks decides
//! by them, and nobody would do so later. Those are locked and drained first.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};

use sync_core::{Incarnation, Position, Row, RowId, RowState, Source, Stamp, Value};
use sync_store::{
    Batch, Change, Drained, Greeting, Outline, Result, Since, Sink, StoreError, Streamed, TableHead, TableOutline,
    Trouble,
};

use crate::catalog::{CONFLICTS, Catalog};
use crate::connections::Ended;
use crate::database::Database;
use crate::dialect::Dialect;
use crate::drain::{author, drain_pending, publish_marked, unknown_table};
use crate::layout::Tracked;
use crate::meta::{self, Line, Lines, Numbered};
use crate::schema::Op;
use crate::sql::{Fields, Sql};
use crate::tables::{self, PAGE_BYTES};
use crate::{backlog, identity, marks, retry, vector};

/// Rows in one batch at most.
pub(crate) const PAGE: usize = 1024;

/// Whether a position is part of this store's history.
pub fn recognises(db: &mut Database, own: Position) -> Result<bool> {
    Ok(own.seq == 0 || identity::token_of(db.connections.writer.as_mut(), own.seq)? == Some(own.token))
}

/// Decides where a stream for a peer begins, and remembers what the peer acknowledged.
pub fn greet(db: &mut Database, peer: Source, claimed: Option<Position>) -> Result<Greeting> {
    let own = db.identity.source.incarnation;
    let Some(claimed) = claimed else { return greet_by_record(db.connections.writer.as_mut(), peer, own) };
    if !recognises(db, claimed)? {
        return Ok(Greeting::Restored);
    }
    let sql = db.connections.writer.as_mut();
    if vector::acknowledged(sql, peer)? != Some((own, claimed.seq)) {
        vector::acknowledge(sql, peer, own, claimed.seq)?;
    }
    Ok(Greeting::Known(claimed))
}

/// A peer that never heard of this incarnation contains what it acknowledged of the one before. One that did hear of it
/// and no longer knows was restored from a copy older than that: nothing is known of what it contains.
fn greet_by_record(sql: &mut dyn Sql, peer: Source, own: Incarnation) -> Result<Greeting> {
    if vector::has_acknowledged(sql, peer, own)? {
        return Ok(Greeting::Stranger);
    }
    let Some((left, seq)) = vector::acknowledged(sql, peer)? else { return Ok(Greeting::Stranger) };
    let token = identity::token_of(sql, seq)?.unwrap_or_default();
    Ok(Greeting::Continues { left, upto: Position { seq, token } })
}

/// How many rows a stream would bring.
pub fn outline(db: &mut Database, since: &Since) -> Result<Outline> {
    let sql = db.connections.writer.as_mut();
    let (_, end) = identity::lock(sql, "")?;
    let mut outline = Outline { end, ..Outline::default() };
    if end.seq == since.position.seq && since.held.is_empty() && db.backlog.is_empty() {
        return Ok(outline);
    }
    let origin = vector::number(sql, since.receiver)?;
    let query = "SELECT tab, dead, COUNT(*) FROM server_sync_row WHERE seq>? AND origin<>? GROUP BY tab, dead";
    let rows = sql.all(query, &[Value::unsigned(since.position.seq), Value::Int(origin.into())])?;
    count_changes(&db.catalog, since, rows, &mut outline.tables)?;
    for (table, seq) in &since.held {
        let Some(number) = db.catalog.named(table).map(Tracked::number) else { continue };
        let query = "SELECT tab, dead, COUNT(*) FROM server_sync_row WHERE seq>? AND seq<=? AND origin<>? AND tab=? \
                     GROUP BY tab, dead";
        let window = [Value::unsigned(*seq), Value::unsigned(since.position.seq)];
        let params = [&window[..], &[Value::Int(origin.into()), Value::Int(number.into())]].concat();
        let rows = db.connections.writer.all(query, &params)?;
        count_changes(&db.catalog, since, rows, &mut outline.tables)?;
    }
    count_backlog(db, since, &mut outline.tables)?;
    count_rows(db, &mut outline.tables)?;
    Ok(outline)
}

/// Of marks that were not drained, each counts as a row.
fn count_backlog(db: &mut Database, since: &Since, tables: &mut BTreeMap<String, TableOutline>) -> Result<()> {
    let c = &mut db.connections;
    for tracked in db.backlog.iter().filter_map(|n| db.catalog.numbered(*n)).filter(|t| wanted(t, &since.tables)) {
        let marks = c.dialect.quote(&tracked.registered.mark_table());
        let query = format!("SELECT SUM(op={0}), SUM(op<>{0}) FROM {marks}", Op::Delete as u8);
        let mut counts = Fields::of(c.writer.first(&query, &[])?.unwrap_or_default());
        let table = tables.entry(tracked.table.name.clone()).or_default();
        table.graves += counts.unsigned()?;
        table.live += counts.unsigned()?;
    }
    Ok(())
}

fn count_changes(
    catalog: &Catalog,
    since: &Since,
    rows: Vec<Vec<Value>>,
    tables: &mut BTreeMap<String, TableOutline>,
) -> Result<()> {
    for row in rows {
        let mut fields = Fields::of(row);
        let (tab, dead, count) = (fields.unsigned()? as u16, fields.int()?, fields.unsigned()?);
        let Some(tracked) = catalog.numbered(tab).filter(|t| wanted(t, &since.tables)) else { continue };
        let table = tables.entry(tracked.table.name.clone()).or_default();
        *(if dead == 0 { &mut table.live } else { &mut table.graves }) += count;
    }
    Ok(())
}

/// Counts the tables of which so many rows were deleted that somebody may want to stop it.
fn count_rows(db: &mut Database, tables: &mut BTreeMap<String, TableOutline>) -> Result<()> {
    const WORTH_COUNTING: u64 = 20;
    let c = &mut db.connections;
    for (name, table) in tables.iter_mut().filter(|(_, t)| t.graves > WORTH_COUNTING) {
        let query = format!("SELECT COUNT(*) FROM {}", c.dialect.quote(name));
        table.rows = Fields::of(c.writer.first(&query, &[])?.unwrap_or_default()).unsigned()?;
    }
    Ok(())
}

fn wanted(tracked: &Tracked, tables: &[String]) -> bool {
    tracked.number() == CONFLICTS || tables.contains(&tracked.table.name)
}

/// Streams what changed.
pub fn stream(db: &mut Database, since: &Since, sink: &mut Sink) -> Result<Streamed> {
    let origin = vector::number(db.connections.writer.as_mut(), since.receiver)?;
    let from = stream_backlog(db, since, origin, sink)?;
    drain_pending(db, &mut Drained::default())?;
    // What moves out of the part for held tables later than this moves behind the end.
    let window = Window::to_head(db, from.seq, since.upto)?;
    let mut whole = true;
    for (table, seq) in since.held.iter().filter(|(t, _)| since.tables.contains(t)) {
        let only = db.catalog.named(table).map(Tracked::number);
        let window = Window::of_table(db, only, *seq, since.position)?;
        whole &= stream_window(db, since, origin, &window, sink)?;
    }
    whole &= stream_window(db, since, origin, &window, sink)?;
    Ok(Streamed { end: window.upto, whole })
}

/// Streams the backlog as it is drained, after what was published before; returns how far that got. Rows from before that
/// have marks in it are left out: they come with it.
fn stream_backlog(db: &mut Database, since: &Since, origin: u16, sink: &mut Sink) -> Result<Position> {
    if db.backlog.is_empty() || !published_little(db, since, origin)? {
        return Ok(since.position);
    }
    let window = Window { drains: false, ..Window::to_head(db, since.position.seq, None)? };
    stream_window(db, since, origin, &window, sink)?;
    backlog::stream(db, window.upto, |t| wanted(t, &since.tables), sink)
}

/// Whether little was published that is to be sent: each such row is looked for among all the marks of the backlog.
fn published_little(db: &mut Database, since: &Since, origin: u16) -> Result<bool> {
    let query = format!("SELECT 1 FROM server_sync_row WHERE seq>? AND origin<>? LIMIT 1 OFFSET {PAGE}");
    let params = [Value::unsigned(since.position.seq), Value::Int(origin.into())];
    Ok(db.connections.writer.first(&query, &params)?.is_none())
}

/// Which part of the history a pass goes through.
struct Window {
    /// Only this table.
    only: Option<u16>,
    /// The seq before it.
    after: u64,
    /// The last position.
    upto: Position,
    /// How many lines it had to begin with.
    lines: u64,
    /// Whether batches move the receiver's knowledge.
    moves: bool,
    /// Whether what is written meanwhile is drained between pages.
    drains: bool,
}

impl Window {
    /// All that is published now, or was up to a position.
    fn to_head(db: &mut Database, after: u64, bound: Option<Position>) -> Result<Self> {
        // In one statement: what moves afterwards is missed.
        let query = "SELECT (SELECT COUNT(*) FROM server_sync_row WHERE seq>? AND seq<=?), seq, token \
                     FROM server_sync_store WHERE one=1";
        // A backlog may have been streamed beyond the bound.
        let bound = bound.filter(|bound| bound.seq >= after);
        let last = bound.map_or(i64::MAX.cast_unsigned(), |bound| bound.seq);
        let row = db.connections.writer.first(query, &[Value::unsigned(after), Value::unsigned(last)])?;
        let mut fields = Fields::of(row.unwrap_or_default());
        let lines = fields.unsigned()?;
        let head = Position { seq: fields.unsigned()?, token: fields.unsigned()? };
        let upto = bound.filter(|bound| bound.seq < head.seq).unwrap_or(head);
        Ok(Window { only: None, after, upto, lines, moves: true, drains: true })
    }

    /// What was published of a table up to there.
    fn of_table(db: &mut Database, only: Option<u16>, after: u64, upto: Position) -> Result<Self> {
        let query = "SELECT COUNT(*) FROM server_sync_row WHERE seq>? AND seq<=? AND tab=?";
        let tab = Value::Int(only.unwrap_or_default().into());
        let row = db.connections.writer.first(query, &[Value::unsigned(after), Value::unsigned(upto.seq), tab])?;
        let lines = Fields::of(row.unwrap_or_default()).unsigned()?;
        Ok(Window { only, after, upto, lines, moves: false, drains: true })
    }
}

/// Says whether no row was left out.
fn stream_window(db: &mut Database, since: &Since, origin: u16, window: &Window, sink: &mut Sink) -> Result<bool> {
    let mut after = window.after;
    let mut passed = Passed::default();
    while after < window.upto.seq {
        if after > window.after && window.drains {
            // Rows that were written meanwhile move behind the window instead of being left out here.
            drain_pending(db, &mut Drained::default())?;
        }
        let (mut batch, (last, more)) = read_page(db, |page| {
            let catalog = page.catalog;
            let wanted = |line: &Numbered| {
                line.2.origin != origin && catalog.numbered(line.0).is_some_and(|t| wanted(t, &since.tables))
            };
            page.history(window, after, wanted)
        })?;
        after = last.seq;
        passed.lines += more.lines;
        passed.skipped += more.skipped;
        batch.upto = window.moves.then_some(last);
        // Without rows it says how far the stream is; before a backlog that is not needed.
        if !batch.changes.is_empty() || (window.moves && window.drains) {
            sink(batch)?;
        }
    }
    Ok(passed.lines >= window.lines && passed.skipped == 0)
}

/// What a pass came by.
#[derive(Clone, Copy, Default)]
struct Passed {
    /// Lines, wanted or not.
    lines: u64,
    /// Wanted rows that were left out.
    skipped: u64,
}

/// One batch being read from one snapshot.
pub(crate) struct Page<'a> {
    pub sql: &'a mut dyn Sql,
    pub dialect: &'a dyn Dialect,
    catalog: &'a Catalog,
    pub batch: Batch,
    /// The numbers of the tables with pending marks.
    pub marked: Vec<u16>,
}

/// How often a page is read again because late marks came in.
const TRIES: u32 = 20;

/// Reads a batch from one snapshot. Late marks do not tell cheaply whose they are, so where a snapshot holds some, they
/// are gathered and another one is taken.
pub(crate) fn read_page<T>(db: &mut Database, read: impl Fn(&mut Page) -> Result<T>) -> Result<(Batch, T)> {
    for _ in 0..TRIES {
        let (own, catalog) = (db.identity.source, &db.catalog);
        let found = db.connections.snapshot(|sql, dialect| {
            let marked = marks::pending(sql, dialect, catalog)?;
            if marked.contains(&marks::LATE) {
                return Ok(None);
            }
            let mut page = Page { sql, dialect, catalog, batch: Batch::empty(own), marked };
            let value = read(&mut page)?;
            Ok(Some((page.batch, value)))
        })?;
        if let Some(found) = found {
            return Ok(found);
        }
        drain_pending(db, &mut Drained::default())?;
    }
    Err(StoreError::new(Trouble::Contention, "the application writes while its triggers are being renewed"))
}

impl Page<'_> {
    /// Reads the next part of the history; returns where it ends.
    fn history(
        &mut self,
        window: &Window,
        after: u64,
        wanted: impl Fn(&Numbered) -> bool,
    ) -> Result<(Position, Passed)> {
        let limits = (PAGE, PAGE_BYTES);
        let (lines, exhausted) = meta::page(self.sql, window.only, after, window.upto.seq, limits)?;
        let seqs: Vec<u64> = lines.iter().map(|l| l.2.seq).collect();
        let mut chosen: Vec<Numbered> = lines.into_iter().filter(wanted).collect();
        let kept = self.fitting(&chosen)?;
        let cut = kept < chosen.len();
        chosen.truncate(kept);
        let last = if cut { chosen.last().map(|l| l.2.seq) } else { seqs.last().copied() };
        self.add_lines(chosen)?;
        let lines = seqs.iter().filter(|seq| Some(**seq) <= last).count() as u64;
        let skipped = kept.saturating_sub(self.batch.changes.len()) as u64;
        let end = match last {
            Some(seq) if cut || !exhausted => {
                Position { seq, token: identity::token_of(self.sql, seq)?.unwrap_or_default() }
            }
            _ => window.upto,
        };
        Ok((end, Passed { lines, skipped }))
    }

    /// How many lines, from the first, have rows that fit into a page; at least one.
    fn fitting(&mut self, lines: &[Numbered]) -> Result<usize> {
        let mut bulky = Vec::new();
        let mut total = 0;
        for (tab, lines) in by_table(lines.iter()) {
            let Some(tracked) = self.catalog.numbered(tab).filter(|t| !t.bulky.is_empty()) else { continue };
            let keys = lines.iter().map(|(_, id, line)| line.key(id)).collect::<Result<Vec<_>>>()?;
            total += tables::length(self.sql, self.dialect, tracked, &keys)?;
            bulky.push((tracked, keys));
        }
        if total <= PAGE_BYTES {
            return Ok(lines.len());
        }
        let mut lengths: HashMap<(u16, RowId), usize> = HashMap::new();
        for (tracked, keys) in bulky {
            for (id, length) in tables::lengths(self.sql, self.dialect, tracked, &keys)? {
                lengths.insert((tracked.number(), id), length);
            }
        }
        let mut total = 0;
        for (i, (tab, id, line)) in lines.iter().enumerate() {
            total += lengths.get(&(*tab, id.clone())).copied().unwrap_or(0) + line.kept_weight();
            if total > PAGE_BYTES && i > 0 {
                return Ok(i);
            }
        }
        Ok(lines.len())
    }

    fn add_lines(&mut self, lines: Vec<Numbered>) -> Result<()> {
        for (tab, lines) in by_table(lines) {
            let Some(tracked) = self.catalog.numbered(tab) else { continue };
            let keys = lines.iter().map(|(_, id, line)| line.key(id)).collect::<Result<Vec<_>>>()?;
            self.add_rows(tracked, &keys, Lines::of(lines))?;
        }
        Ok(())
    }

    /// The number of a table within the batch.
    pub fn head(&mut self, tracked: &Tracked) -> usize {
        self.batch.head(&TableHead { name: tracked.table.name.clone(), columns: tracked.names() })
    }

    /// Those of the rows with these keys that have a pending mark.
    pub fn pending(&mut self, tracked: &Tracked, keys: &[Vec<Value>]) -> Result<HashSet<RowId>> {
        if !self.marked.contains(&tracked.number()) {
            return Ok(HashSet::new());
        }
        let marks = marks::of_rows(self.sql, self.dialect, tracked, keys)?;
        Ok(marks.rows.into_iter().map(|r| r.id).collect())
    }

    /// Adds the rows with these keys, except those with a pending mark and those nobody ever heard of.
    fn add_rows(&mut self, tracked: &Tracked, keys: &[Vec<Value>], mut lines: Lines) -> Result<()> {
        let pending = self.pending(tracked, keys)?;
        let mut values = tables::read_still(self.sql, self.dialect, tracked, keys, false)?;
        let table = self.head(tracked);
        for key in keys {
            let id = RowId::of(key);
            if pending.contains(&id) {
                continue;
            }
            if let Some(row) = outgoing(tracked, lines.remove(&id), values.remove(&id), lines.epoch) {
                self.batch.changes.push(Change { table, key: key.clone(), row });
            }
        }
        Ok(())
    }
}

fn by_table<L: Borrow<Numbered>>(lines: impl IntoIterator<Item = L>) -> BTreeMap<u16, Vec<L>> {
    let mut tables: BTreeMap<u16, Vec<L>> = BTreeMap::new();
    for line in lines {
        tables.entry(line.borrow().0).or_default().push(line);
    }
    tables
}

/// A row as it travels; nothing if it is neither known nor there, or should be there and is not (TRUNCATE: emptiness
/// is never propagated by itself), or is there without a mark since an authoritative restore: before it travels it is stamped.
pub(crate) fn outgoing(tracked: &Tracked, line: Option<Line>, values: Option<Vec<Value>>, epoch: Stamp) -> Option<Row> {
    let Some(line) = line else {
        return values
            .filter(|_| epoch == Stamp::NEVER)
            .map(|v| Row { state: RowState::baseline(), values: Some(tracked.gather(v)) });
    };
    let live = line.state.is_live();
    let values = line.kept.true_values(values.filter(|_| live));
    if live && values.is_none() {
        return None;
    }
    let place = |id| tracked.ids.iter().position(|i| *i == id).map(|p| p as u16);
    Some(Row { state: line.state.renumbered(place), values: values.map(|v| tracked.gather(v)) })
}

impl Page<'_> {
    /// Adds the rows with the first of these keys, as many as fit; returns those.
    pub fn add_fitting(&mut self, tracked: &Tracked, keys: Vec<Vec<Value>>) -> Result<Vec<Vec<Value>>> {
        let pieces = tables::pieces(self.sql, self.dialect, tracked, keys)?;
        let piece = pieces.into_iter().next().unwrap_or_default();
        let ids: Vec<RowId> = piece.iter().map(|k| RowId::of(k)).collect();
        let lines = meta::load(self.sql, tracked.number(), &ids)?;
        self.add_rows(tracked, &piece, lines)?;
        Ok(piece)
    }
}

/// The rows with the first of these keys, graves too, as many as fit into a batch; also says how many keys that are.
pub fn rows(db: &mut Database, table: &str, keys: &[Vec<Value>]) -> Result<(Batch, usize)> {
    drain_pending(db, &mut Drained::default())?;
    let tracked = db.catalog.named(table).ok_or_else(|| unknown_table(table))?.clone();
    let (mut batch, (done, written)) = read_page(db, |page| {
        let mut piece = page.add_fitting(&tracked, keys.to_vec())?;
        let (done, pending) = (piece.len(), page.pending(&tracked, &piece)?);
        piece.retain(|key| pending.contains(&RowId::of(key)));
        Ok((done, piece))
    })?;
    if !written.is_empty() {
        let head = batch.head(&TableHead { name: tracked.table.name.clone(), columns: tracked.names() });
        let rows = retry::contention(|| held(db, &tracked, &written))?;
        batch.changes.extend(rows.into_iter().map(|(key, row)| Change { table: head, key, row }));
    }
    Ok((batch, done))
}

/// The rows with these keys, drained while the application cannot write to them, however often it does. One that it deleted
/// is left out: it comes with the stream, as a grave, and there is nothing to decide about it.
fn held(db: &mut Database, tracked: &Tracked, keys: &[Vec<Value>]) -> Result<Vec<(Vec<Value>, Row)>> {
    let (clock, site, catalog) = (db.clock()?, db.identity.card.site, &db.catalog);
    db.connections.transaction(|c| {
        let (source, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
        let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
        let mut values = tables::read(sql, dialect, tracked, keys, true)?;
        marks::gather(sql, dialect, catalog)?;
        let mut marks = marks::of_rows(sql, dialect, tracked, keys)?;
        // What is not there could not be locked, and may be inserted at any moment.
        marks.rows.retain(|row| values.contains_key(&row.id));
        marks.rows.iter_mut().for_each(|row| row.present = true);
        publish_marked(c, (catalog, tracked), &marks, head, (author(site, source), clock))?;
        marks::delete(c.writer.as_mut(), c.dialect.as_ref(), tracked, &marks.ids())?;
        let ids: Vec<RowId> = keys.iter().map(|k| RowId::of(k)).collect();
        let mut lines = meta::load(c.writer.as_mut(), tracked.number(), &ids)?;
        let mut one = |(id, key): (RowId, &Vec<Value>)| {
            let values = values.remove(&id)?;
            Some((key.clone(), outgoing(tracked, lines.remove(&id), Some(values), lines.epoch)?))
        };
        Ok(Ended::Commit(ids.into_iter().zip(keys).filter_map(&mut one).collect()))
    })
}
