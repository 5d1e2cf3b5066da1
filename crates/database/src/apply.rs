//! Applying a batch: lock the rows, drain their pending marks, merge, show, record — one transaction.
//!
//! No row lock is ever waited for while others are held: rows are locked without waiting, and a part of a batch that
//! meets a row the application holds is given up, halved and tried again, so that only the row in question waits.
//! What a constraint forbids is parked: part of the state, kept, listed, and shown as soon as it can be.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::thread::sleep;

use sync_core::{Knowledge, Planned, Position, Relation, Row, RowId, RowState, SiteId, Source, Value, merge};
use sync_store::{Applied, Batch, Completed, ConflictEntry, Mode, Result, StoreError, TableHead, Trouble};

use crate::catalog::{CONFLICTS, Catalog};
use crate::conflicts;
use crate::database::{Connections, Database, Ended};
use crate::drain::{drain_pending, publish, save, stamp_one, unknown_table};
use crate::layout::Tracked;
use crate::marks::Marks;
use crate::meta::{Line, Numbered};
use crate::retry::pause;
use crate::show::{self, Shown};
use crate::sql::{Fields, Sql};
use crate::{identity, marks, meta, tables, vector};

/// How often a single row that the application holds is tried again: about 40 s.
const PATIENCE: u32 = 24;

/// Applies a batch.
pub fn apply(db: &mut Database, batch: &Batch, mode: Mode) -> Result<Applied> {
    drain_backlog(db, batch)?;
    let latest = db.latest_millis()?;
    let mut applied = Applied::default();
    let mut parts: Vec<Range<usize>> = Vec::from([0..batch.changes.len(); 1]);
    let mut attempt = 0;
    while let Some(part) = parts.pop() {
        // The parts before this one are committed: only the last moves the knowledge.
        let upto = batch.upto.filter(|_| parts.is_empty());
        let work = Work { batch, part: part.clone(), upto, mode, latest, may_park: attempt > 0 };
        match work.run(db) {
            Ok(done) => {
                applied.add(done);
                attempt = 0;
            }
            Err(e) => retry_part(db, e, part, &mut parts, &mut attempt)?,
        }
    }
    Ok(applied)
}

/// Rows that come in need the marks of the same rows, for which the table of marks is read through: where that is long and
/// they are many, it is drained first.
fn drain_backlog(db: &mut Database, batch: &Batch) -> Result<()> {
    const FEW: usize = 100;
    if !db.backlog.is_empty() && batch.changes.len() > FEW {
        drain_pending(db, &mut sync_store::Drained::default())?;
    }
    Ok(())
}

/// Puts a part back to be tried again, smaller or later; or passes the error on.
fn retry_part(
    db: &mut Database,
    error: StoreError,
    part: Range<usize>,
    parts: &mut Vec<Range<usize>>,
    attempt: &mut u32,
) -> Result<()> {
    match error.trouble {
        Trouble::Contention if part.len() > 1 => {
            let middle = part.start + part.len() / 2;
            parts.extend([middle..part.end, part.start..middle]);
            return Ok(());
        }
        Trouble::Contention if *attempt < PATIENCE => sleep(pause(*attempt)),
        // A row of the same key may have been committed a moment ago: then the repetition sees it.
        Trouble::Constraint if *attempt == 0 => {}
        Trouble::SchemaChanged if *attempt == 0 => {
            db.catalog.forget();
            db.refresh()?;
        }
        _ => return Err(error),
    }
    *attempt += 1;
    parts.push(part);
    Ok(())
}

/// One part of a batch.
struct Work<'a> {
    batch: &'a Batch,
    part: Range<usize>,
    upto: Option<Position>,
    mode: Mode,
    latest: u64,
    may_park: bool,
}

/// A row that came in, over this store's column ids.
struct Incoming {
    id: RowId,
    key: Vec<Value>,
    row: Row,
    /// Whether this store made it: an entry of the conflict list.
    noticed: bool,
}

impl Incoming {
    fn noticed((key, row): (Vec<Value>, Row)) -> Self {
        Incoming { id: RowId::of(&key), key, row, noticed: true }
    }
}

fn is_large(incoming: &[Incoming]) -> bool {
    let values = incoming.iter().filter_map(|i| i.row.values.as_ref()).flatten();
    values.map(Value::weight).sum::<usize>() > tables::PAGE_BYTES
}

/// Each row once: what comes several times in one batch is merged first.
fn folded(rows: Vec<Incoming>) -> Vec<Incoming> {
    let mut at: HashMap<RowId, usize> = HashMap::with_capacity(rows.len());
    let mut all: Vec<Incoming> = Vec::with_capacity(rows.len());
    for row in rows {
        match at.get(&row.id) {
            Some(i) => {
                all[*i].row = merge(&all[*i].row, &row.row).row;
                all[*i].noticed |= row.noticed;
            }
            None => {
                at.insert(row.id.clone(), all.len());
                all.push(row);
            }
        }
    }
    all
}

/// What becomes of one row.
pub(crate) struct Outcome {
    /// The row.
    pub id: RowId,
    /// Its key.
    pub key: Vec<Value>,
    /// The decision.
    pub planned: Planned,
    /// Whether it is in the table now.
    pub present: bool,
    /// Its line, where it has one.
    pub line: Option<Line>,
    /// Whether marks of it were drained just now, whatever they said.
    pub drained: bool,
    /// Whether this store made what came in: an entry of the conflict list.
    pub noticed: bool,
}

/// All outcomes for one table.
pub(crate) struct Group<'a> {
    /// The table.
    pub tracked: &'a Tracked,
    /// The rows.
    pub outcomes: Vec<Outcome>,
    marks: Vec<u64>,
}

impl Work<'_> {
    fn run(&self, db: &mut Database) -> Result<Applied> {
        let site = db.identity.card.site;
        let catalog = &db.catalog;
        db.connections.transaction(|c| {
            let (_, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
            let mut groups = Vec::new();
            let mut tables = self.incoming(catalog)?;
            let mut listed = tables.remove(&CONFLICTS).unwrap_or_default();
            for (number, rows) in tables {
                let tracked = catalog.numbered(number).ok_or_else(|| unknown_table("?"))?;
                groups.push(self.merge(c, (catalog, tracked), folded(rows), site)?);
            }
            let entries = conflicts::entries(&groups);
            // Who noticed it tells everybody, the sender too, even if the same entry came in just now.
            listed.extend(conflicts::incoming(&entries).into_iter().map(Incoming::noticed));
            if let (false, Some(tracked)) = (listed.is_empty(), catalog.numbered(CONFLICTS)) {
                groups.push(self.merge(c, (catalog, tracked), folded(listed), site)?);
            }
            let applied = summary(&groups, entries);
            if self.mode == Mode::Preview {
                return Ok(Ended::Rollback(applied));
            }
            let parked = self.write(c, &mut groups, head)?;
            Ok(Ended::Commit(with_parked(applied, &parked)))
        })
    }

    /// The changes of this part by table number, over this store's column ids.
    fn incoming(&self, catalog: &Catalog) -> Result<BTreeMap<u16, Vec<Incoming>>> {
        let mut tables: BTreeMap<u16, Vec<Incoming>> = BTreeMap::new();
        let maps = self.batch.heads.iter().map(|h| Translation::new(h, catalog)).collect::<Result<Vec<_>>>()?;
        for change in &self.batch.changes[self.part.clone()] {
            let map = maps.get(change.table).ok_or_else(|| corrupt("a row names a table that is not in the batch"))?;
            let row = map.row(&change.row)?;
            let incoming = Incoming { id: RowId::of(&change.key), key: change.key.clone(), row, noticed: false };
            tables.entry(map.tracked.number()).or_default().push(incoming);
        }
        Ok(tables)
    }

    /// Locks the rows, drains their marks and merges.
    fn merge<'c>(
        &self,
        c: &mut Connections,
        (catalog, tracked): (&Catalog, &'c Tracked),
        incoming: Vec<Incoming>,
        site: SiteId,
    ) -> Result<Group<'c>> {
        let keys: Vec<Vec<Value>> = incoming.iter().map(|i| i.key.clone()).collect();
        let ids: Vec<RowId> = incoming.iter().map(|i| i.id.clone()).collect();
        let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
        let mut current = match self.mode {
            // What is about to be replaced by a large row can be large as well.
            Mode::Write if is_large(&incoming) => tables::read_still(sql, dialect, tracked, &keys, true)?,
            mode => tables::read(sql, dialect, tracked, &keys, mode == Mode::Write)?,
        };
        marks::gather(sql, dialect, catalog)?;
        let mut lines = meta::load(sql, tracked.number(), &ids)?;
        let marks = marks::of_rows(sql, dialect, tracked, &keys)?;
        let drained = self.drained(&lines, &marks, &current, site);
        let decide = |i: Incoming| {
            let values = current.remove(&i.id);
            let line = lines.remove(&i.id);
            decide(i, values, line, &drained)
        };
        let outcomes = incoming.into_iter().map(decide).collect::<Result<_>>()?;
        Ok(Group { tracked, outcomes, marks: marks.ids() })
    }

    fn drained(
        &self,
        lines: &HashMap<RowId, Line>,
        marks: &Marks,
        current: &HashMap<RowId, Vec<Value>>,
        site: SiteId,
    ) -> HashMap<RowId, Option<RowState>> {
        let one = |row: &marks::Marked| {
            let state = stamp_one(lines, row, current.contains_key(&row.id), site, self.latest);
            (row.id.clone(), state)
        };
        marks.rows.iter().map(one).collect()
    }

    /// Writes everything; returns the rows that had to be parked.
    fn write(&self, c: &mut Connections, groups: &mut [Group], head: Position) -> Result<Shown> {
        let shown = show::show(c, groups, self.may_park)?;
        let sender = vector::number(c.writer.as_mut(), self.batch.sender)?;
        let alone = self.is_only_source(c)?;
        let mut published = Vec::new();
        let mut taught = Vec::new();
        for group in groups.iter() {
            for outcome in &group.outcomes {
                let is_parked = shown.is_parked(group.tracked.number(), &outcome.id);
                match record(outcome, sender, is_parked, alone) {
                    Recorded::Published(line) => published.push((group.tracked.number(), outcome.id.clone(), line)),
                    Recorded::Taught(line) => taught.push((group.tracked.number(), outcome.id.clone(), line)),
                    Recorded::Nothing => {}
                }
            }
            marks::delete(c.writer.as_mut(), c.dialect.as_ref(), group.tracked, &group.marks)?;
        }
        save(c, &taught)?;
        publish(c, head, &mut published)?;
        show::record_parked(c, groups, &shown)?;
        if let Some(upto) = self.upto {
            vector::advance(c.writer.as_mut(), self.batch.sender, upto)?;
        }
        Ok(shown)
    }

    /// Whether nobody but the sender can ever ask this store for rows of the baseline: then they need no lines.
    fn is_only_source(&self, c: &mut Connections) -> Result<bool> {
        if !self.batch.changes.iter().any(|change| change.row.state == RowState::baseline()) {
            return Ok(false);
        }
        let query = "SELECT 1 FROM server_sync_knowledge WHERE store<>? LIMIT 1";
        let store = Value::Bytes(self.batch.sender.store.0.to_be_bytes().to_vec());
        Ok(c.writer.first(query, &[store])?.is_none())
    }
}

/// From a sender's column numbers to this store's ids.
struct Translation<'a> {
    tracked: &'a Tracked,
    /// By the sender's number.
    ids: Vec<u16>,
}

impl<'a> Translation<'a> {
    fn new(head: &TableHead, catalog: &'a Catalog) -> Result<Self> {
        let tracked = catalog.named(&head.name).ok_or_else(|| unknown_table(&head.name))?;
        let id = |name: &String| {
            tracked.registered.id(name).ok_or_else(|| {
                StoreError::new(Trouble::SchemaChanged, format!("table {} has no column {name} here", head.name))
            })
        };
        Ok(Translation { tracked, ids: head.columns.iter().map(id).collect::<Result<_>>()? })
    }

    fn row(&self, row: &Row) -> Result<Row> {
        let state = row.state.renumbered(|c| self.ids.get(usize::from(c)).copied());
        let values = row.values.as_ref().map(|v| self.values(v)).transpose()?;
        if state.is_live() && values.is_none() {
            return Err(corrupt("a row came without its values"));
        }
        Ok(Row { state, values })
    }

    fn values(&self, values: &[Value]) -> Result<Vec<Value>> {
        if values.len() != self.ids.len() {
            return Err(corrupt("a row has another number of values than its table has columns"));
        }
        let mut all = vec![Value::Null; self.tracked.registered.columns.len()];
        for (id, value) in self.ids.iter().zip(values) {
            all[usize::from(*id)] = value.clone();
        }
        Ok(all)
    }
}

fn corrupt(message: &str) -> StoreError {
    StoreError::new(Trouble::Corrupt, message).hint("run the same version of server_sync at both sites")
}

fn decide(
    incoming: Incoming,
    values: Option<Vec<Value>>,
    line: Option<Line>,
    drained: &HashMap<RowId, Option<RowState>>,
) -> Result<Outcome> {
    let present = values.is_some();
    let marked = drained.get(&incoming.id);
    let stamped = marked.and_then(Option::as_ref);
    let state = stamped.or(line.as_ref().map(|l| &l.state)).cloned();
    let state = state.or_else(|| present.then(RowState::baseline));
    let kept = line.as_ref().filter(|_| !present).and_then(|l| l.kept.clone());
    let local = state.map(|state| Row { state, values: values.or(kept) });
    let Incoming { id, key, row, noticed } = incoming;
    let planned = Planned::taking(local.as_ref(), row);
    Ok(Outcome { id, key, planned, present, line, drained: marked.is_some(), noticed })
}

/// Whether and how an outcome is recorded.
enum Recorded {
    /// With the next seq: others must hear of it.
    Published(Line),
    /// Under the seq it has: it only learnt what it has seen.
    Taught(Line),
    Nothing,
}

fn record(outcome: &Outcome, sender: u16, is_parked: bool, alone: bool) -> Recorded {
    let planned = &outcome.planned;
    let state = planned.row.state.clone();
    let keeps = is_parked || !state.is_live();
    let kept = || planned.row.values.as_ref().filter(|_| keeps).cloned();
    let known = outcome.line.as_ref();
    let line = |origin, seq| Line { seq, origin, state: state.clone(), key: Some(outcome.key.clone()), kept: kept() };
    match planned.relation {
        Relation::Taken if alone && state == RowState::baseline() && !is_parked => Recorded::Nothing,
        Relation::Taken if outcome.noticed => Recorded::Published(line(0, 0)),
        Relation::Taken => Recorded::Published(line(sender, 0)),
        Relation::Mixed => Recorded::Published(line(0, 0)),
        Relation::Dominated if outcome.drained => Recorded::Published(line(0, 0)),
        Relation::Dominated => match known {
            Some(l) if planned.saw_more || l.is_parked() != is_parked => Recorded::Taught(line(l.origin, l.seq)),
            _ => Recorded::Nothing,
        },
    }
}

fn summary(groups: &[Group], conflicts: Vec<ConflictEntry>) -> Applied {
    let mut applied = Applied { conflicts, ..Applied::default() };
    for group in groups.iter().filter(|g| g.tracked.number() != CONFLICTS) {
        let table = applied.tables.entry(group.tracked.table.name.clone()).or_default();
        group.outcomes.iter().for_each(|o| *table += o.planned.summary());
    }
    applied
}

fn with_parked(mut applied: Applied, shown: &Shown) -> Applied {
    for (table, count) in shown.parked_by_table() {
        applied.tables.entry(table).or_default().parked += count;
    }
    applied
}

/// Records that a stream was received whole, then shows what was parked and now fits.
pub fn complete(db: &mut Database, stream: &Completed) -> Result<()> {
    let own = db.identity.source;
    crate::retry::contention(|| {
        db.connections.transaction(|c| {
            let sql = c.writer.as_mut();
            let (_, head) = identity::lock(sql, c.dialect.wait_for_update())?;
            let before = vector::read(sql)?;
            let after = stream.after(&before, own);
            for (source, _) in after.positions() {
                if changed(&before, &after, source) {
                    vector::write(sql, &after, source)?;
                }
            }
            if head.seq % 1000 == 0 && head.seq > 0 {
                identity::thin_tokens(sql, head.seq)?;
            }
            Ok(Ended::Commit(()))
        })
    })?;
    unpark(db)
}

fn changed(before: &Knowledge, after: &Knowledge, source: Source) -> bool {
    before.position(source) != after.position(source) || !before.held(source).eq(after.held(source))
}

/// Tries to show every parked row.
fn unpark(db: &mut Database) -> Result<()> {
    let parked = db.connections.writer.all("SELECT tab, id FROM server_sync_parked", &[])?;
    if !parked.is_empty() {
        db.confirm()?;
    }
    for row in parked {
        let mut fields = Fields::of(row);
        let (tab, id) = (fields.unsigned()? as u16, RowId::from_bytes(fields.bytes()?));
        match unpark_one(db, tab, &id) {
            Err(e) if matches!(e.trouble, Trouble::Constraint | Trouble::Contention) => {}
            other => other?,
        }
    }
    Ok(())
}

fn unpark_one(db: &mut Database, tab: u16, id: &RowId) -> Result<()> {
    drain_pending(db, &mut sync_store::Drained::default())?;
    let Some(tracked) = db.catalog.numbered(tab) else { return Ok(()) };
    db.connections.transaction(|c| {
        identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
        let line = meta::load(c.writer.as_mut(), tab, std::slice::from_ref(id))?.remove(id);
        if let Some(mut line) = line.filter(Line::is_parked) {
            let values = line.kept.take().unwrap_or_default();
            tables::insert(c.writer.as_mut(), c.dialect.as_ref(), tracked, vec![values.into()])?;
            let numbered: Numbered = (tab, id.clone(), line);
            save(c, &[numbered])?;
        }
        show::forget_parked(c.writer.as_mut(), tab, id)?;
        Ok(Ended::Commit(()))
    })
}

/// The parked rows: table, key, reason.
pub fn parked(db: &mut Database) -> Result<Vec<(String, Vec<Value>, String)>> {
    let rows = db.connections.writer.all("SELECT tab, id, reason FROM server_sync_parked", &[])?;
    let mut list = Vec::new();
    for row in rows {
        let mut fields = Fields::of(row);
        let (tab, id, reason) = (fields.unsigned()? as u16, RowId::from_bytes(fields.bytes()?), fields.text()?);
        let Some(tracked) = db.catalog.numbered(tab) else { continue };
        let sql: &mut dyn Sql = db.connections.writer.as_mut();
        if let Some(line) = meta::load(sql, tab, std::slice::from_ref(&id))?.get(&id) {
            list.push((tracked.table.name.clone(), line.key(&id)?, reason));
        }
    }
    Ok(list)
}
