//! Applying a batch: lock the rows, drain their pending marks, merge, show, record — one transaction.
//!
//! No row lock is ever waited for while others are held: rows are locked without waiting, and a part of a batch that
//! meets a row the application holds is given up, halved and tried again, so that only the row in question waits.
//! What a constraint forbids is parked: part of the state, kept, listed, and shown as soon as it can be.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::thread::sleep;

use sync_core::resolve::Name;
use sync_core::{Author, Knowledge, Position, Relation, Row, RowId, RowState, Source, Stamp, Value, merge};
use sync_store::{Applied, Batch, Completed, ConflictEntry, Mode, Result, StoreError, TableHead, Trouble};

use crate::catalog::{CONFLICTS, Catalog};
use crate::clock::Clock;
use crate::conflicts;
use crate::connections::{Connections, Ended};
use crate::database::Database;
use crate::drain::{author, drain_pending, publish, save, stamp_one, unknown_table};
use crate::layout::Tracked;
use crate::marks::Marks;
use crate::meta::Lines;
use crate::outcome::{Deciding, Group, Incoming, Outcome, Recorded, Recording, record, referenced_beyond_key};
use crate::retry::pause;
use crate::show::{self, Shown};
use crate::suspects::{Open, Suspects};
use crate::{brief, bulk, identity, marks, meta, parked, registry, rekey, resolve, tables, vector};

/// With more open rows than this, deciding about them waits for the end of the stream.
const FEW_OPEN: usize = 256;

/// How often a single row that the application holds is tried again: about 40 s.
pub(crate) const PATIENCE: u32 = 24;

/// Applies a batch.
pub fn apply(db: &mut Database, batch: &Batch, mode: Mode) -> Result<Applied> {
    apply_with(db, batch, mode, PATIENCE)
}

/// The same; a single row that the application holds is tried again so often.
pub(crate) fn apply_with(db: &mut Database, batch: &Batch, mode: Mode, patience: u32) -> Result<Applied> {
    drain_backlog(db, batch)?;
    if let Some(applied) = bulk::apply(db, batch, mode) {
        return Ok(applied);
    }
    let clock = db.clock()?;
    let mut applied = Applied::default();
    let mut parts: Vec<Range<usize>> = Vec::from([0..batch.changes.len(); 1]);
    let mut attempt = 0;
    let mut whole = HashSet::new();
    let mut unsure =
        std::mem::take(&mut db.unsure).filter(|(of, _)| *of == batch.sender).map(|(_, seqs)| seqs).unwrap_or_default();
    while let Some(part) = parts.pop() {
        // The parts before this one are committed: only the last moves the knowledge.
        let upto = batch.upto.filter(|_| parts.is_empty());
        let is_own = batch.sender == db.identity.source;
        let may_park = attempt > 0;
        let work =
            Work { batch, part: part.clone(), upto, mode, clock, may_park, whole: &whole, unsure: &unsure, is_own };
        match work.run(db) {
            Ok(Done::Applied(done, seqs)) => {
                applied.add(done);
                unsure.extend(seqs);
                attempt = 0;
            }
            Ok(Done::Apart(rows)) => {
                whole.extend(rows);
                parts.push(part);
            }
            Err(e) => retry_part(db, e, part, &mut parts, (&mut attempt, patience))?,
        }
    }
    db.unsure = batch.more.then_some((batch.sender, unsure));
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
    (attempt, patience): (&mut u32, u32),
) -> Result<()> {
    match error.trouble {
        Trouble::Contention if part.len() > 1 => {
            let middle = part.start + part.len() / 2;
            parts.extend([middle..part.end, part.start..middle]);
            return Ok(());
        }
        Trouble::Contention if *attempt < patience => sleep(pause(*attempt)),
        // A row of the same key may have been committed a moment ago: then the repetition sees it.
        Trouble::Constraint | Trouble::Check if *attempt == 0 => {}
        Trouble::SchemaChanged if *attempt == 0 => {
            db.catalog.forget_after(error.message);
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
    clock: Clock,
    may_park: bool,
    /// The rows whose cells do not go together.
    whole: &'a HashSet<Name>,
    /// The seqs of what parts before this one wrote.
    unsure: &'a [u64],
    /// Whether these are writes of this store itself.
    is_own: bool,
}

/// What became of a part of a batch.
enum Done {
    /// It is applied; and the seqs of lines that do not say yet whose they are.
    Applied(Applied, Vec<u64>),
    /// Nothing was written: a CHECK forbids the merged cells of these rows.
    Apart(Vec<Name>),
}

fn is_large(incoming: &[Incoming]) -> bool {
    let values = incoming.iter().filter_map(|i| i.row.values.as_ref()).flatten();
    values.map(Value::weight).sum::<usize>() > tables::PAGE_BYTES
}

/// The new states of rows that have marks.
fn drained(
    lines: &Lines,
    marks: &Marks,
    current: &HashMap<RowId, Vec<Value>>,
    (author, latest): (Author, u64),
) -> HashMap<RowId, Option<RowState>> {
    let one = |row: &marks::Marked| {
        let state = stamp_one(lines, row, current.contains_key(&row.id), author, latest);
        (row.id.clone(), state)
    };
    marks.rows.iter().map(one).collect()
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

impl Work<'_> {
    fn run(&self, db: &mut Database) -> Result<Done> {
        let site = db.identity.card.site;
        let catalog = &db.catalog;
        db.connections.transaction(|c| {
            let (source, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
            let author = author(site, source);
            let mut groups = Vec::new();
            let mut tables = self.incoming(catalog)?;
            let mut listed = tables.remove(&CONFLICTS).unwrap_or_default();
            for (number, rows) in tables {
                let tracked = catalog.numbered(number).ok_or_else(|| unknown_table("?"))?;
                groups.push(self.merge(c, (catalog, tracked), folded(rows), author)?);
            }
            let entries = conflicts::entries(&groups);
            // Who noticed it tells everybody, the sender too, even if the same entry came in just now.
            listed.extend(conflicts::incoming(&entries).into_iter().map(Incoming::noticed));
            if let (false, Some(tracked)) = (listed.is_empty(), catalog.numbered(CONFLICTS)) {
                groups.push(self.merge(c, (catalog, tracked), folded(listed), author)?);
            }
            let applied = summary(&groups, entries);
            if self.mode == Mode::Preview {
                return Ok(Ended::Rollback(Done::Applied(applied, Vec::new())));
            }
            let suspects = Suspects::of(catalog, &groups);
            let shown = show::show(c, &mut groups, self.may_park)?;
            if let Some(apart) = self.apart(&groups, &shown) {
                return Ok(Ended::Rollback(Done::Apart(apart)));
            }
            let forgotten = newest_forgotten(c, source, &groups)?;
            let (head, unsure) = self.record(c, &groups, &shown, (head, forgotten))?;
            let head = rekey::run(c, catalog, &groups, head, (author, self.clock.now()))?;
            let mut open = suspects.open(c, catalog)?;
            open.now.extend(shown.parked().cloned());
            open.now.extend(groups.iter().flat_map(Group::unfit));
            let parked = settle(c, catalog, open, head)?;
            Ok(Ended::Commit(Done::Applied(with_parked(applied, catalog, &parked), unsure)))
        })
    }

    /// The rows that a CHECK forbids because of what the merge put together, if any were not known yet.
    fn apart(&self, groups: &[Group], shown: &Shown) -> Option<Vec<Name>> {
        let mut apart = Vec::new();
        for group in groups {
            for outcome in group.outcomes.iter().filter(|o| o.planned.relation == Relation::Mixed) {
                let name = (group.tracked.number(), outcome.id.clone());
                if shown.is_unchecked(&name) && !self.whole.contains(&name) {
                    apart.push(name);
                }
            }
        }
        Some(apart).filter(|rows| !rows.is_empty())
    }

    /// The changes of this part by table number, over this store's column ids.
    fn incoming(&self, catalog: &Catalog) -> Result<BTreeMap<u16, Vec<Incoming>>> {
        let mut tables: BTreeMap<u16, Vec<Incoming>> = BTreeMap::new();
        let maps = self.batch.heads.iter().map(|h| Translation::new(h, catalog)).collect::<Result<Vec<_>>>()?;
        for change in &self.batch.changes[self.part.clone()] {
            let map = maps.get(change.table).ok_or_else(|| corrupt("a row names a table that is not in the batch"))?;
            let row = map.row(&change.row)?;
            let incoming = Incoming { id: RowId::of(&change.key), key: change.key.clone(), row, noticed: self.is_own };
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
        author: Author,
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
        let latest = self.clock.for_marks(sql, dialect, &marks)?.latest();
        let mut drained = drained(&lines, &marks, &current, (author, latest));
        let brief = brief::find(sql, tracked, &incoming, (&lines, &current), (&marks, (author, latest)))?;
        drained.extend(brief.into_iter().map(|(id, grave)| (id, Some(grave))));
        let deciding = Deciding {
            epoch: lines.epoch,
            drained: &drained,
            tracked,
            dialect,
            remembers: referenced_beyond_key(catalog, tracked),
            whole: self.whole,
            millis: self.clock.now(),
            author,
        };
        let decide = |i: Incoming| {
            let values = current.remove(&i.id);
            let line = lines.remove(&i.id);
            deciding.decide(i, values, line)
        };
        let outcomes = incoming.into_iter().map(decide).collect::<Result<_>>()?;
        Ok(Group { tracked, outcomes, marks: marks.ids() })
    }

    /// Writes lines and knowledge; returns the new head, and the seqs of lines that do not say yet whose they are: that they need
    /// not go back to the sender is sure only once the knowledge says that they came from it. A sender that is put back to
    /// before them in between has lost them.
    fn record(
        &self,
        c: &mut Connections,
        groups: &[Group],
        shown: &Shown,
        (head, forgotten): (Position, Stamp),
    ) -> Result<(Position, Vec<u64>)> {
        let sender = if self.is_own { 0 } else { vector::number(c.writer.as_mut(), self.batch.sender)? };
        let has_baseline = self.batch.changes.iter().any(|change| change.row.state == RowState::baseline());
        let alone = has_baseline && is_only_source(c, self.batch.sender)?;
        let recording = Recording { sender, alone, forgotten };
        let mut published = Vec::new();
        let mut taught = Vec::new();
        for group in groups {
            for outcome in &group.outcomes {
                let name = (group.tracked.number(), outcome.id.clone());
                let is_parked = shown.is_parked(&name) || outcome.was_parked();
                match record(outcome, is_parked, &recording) {
                    Recorded::Published(line) => published.push((name.0, name.1, line)),
                    Recorded::Taught(line) => taught.push((name.0, name.1, line)),
                    Recorded::Nothing => {}
                }
            }
            marks::delete(c.writer.as_mut(), c.dialect.as_ref(), group.tracked, &group.marks)?;
        }
        save(c, &taught)?;
        let is_part = self.batch.more || self.batch.upto.is_some() && self.upto.is_none();
        let is_unsure = |line: &meta::Line| is_part && line.origin == sender;
        let unsure: Vec<usize> = (0..published.len()).filter(|at| is_unsure(&published[*at].2)).collect();
        unsure.iter().for_each(|at| published[*at].2.origin = 0);
        let head = publish(c, head, &mut published)?;
        if let Some(upto) = self.upto {
            meta::ascribe(c.writer.as_mut(), self.unsure, sender)?;
            vector::meet(c.writer.as_mut(), self.batch.sender, upto)?;
        }
        Ok((head, unsure.into_iter().map(|at| published[at].2.seq).collect()))
    }
}

/// The newest delete whose grave was forgotten here, if there are graves of rows that this store does not know.
fn newest_forgotten(c: &mut Connections, own: Source, groups: &[Group]) -> Result<Stamp> {
    match groups.iter().flat_map(|group| &group.outcomes).any(Outcome::is_unknown_grave) {
        true => registry::newest_forgotten(c.writer.as_mut(), own.store),
        false => Ok(Stamp::NEVER),
    }
}

/// Whether nobody but the sender can ever ask this store for rows of the baseline: then they need no lines.
pub(crate) fn is_only_source(c: &mut Connections, sender: Source) -> Result<bool> {
    let query = "SELECT 1 FROM server_sync_knowledge WHERE store<>? LIMIT 1";
    let store = Value::Bytes(sender.store.0.to_be_bytes().to_vec());
    Ok(c.writer.first(query, &[store])?.is_none())
}

/// Opens rows that a constraint is about, and decides about those that cannot wait, unless they are many. Returns the rows
/// that are now, and were not before, shown otherwise than they are.
pub(crate) fn settle(c: &mut Connections, catalog: &Catalog, open: Open, head: Position) -> Result<Vec<Name>> {
    let undecided = parked::Entry::undecided();
    parked::add(c.writer.as_mut(), &open.later, &undecided)?;
    if open.now.is_empty() {
        return Ok(open.now);
    }
    let before = parked::names(c.writer.as_mut())?.into_iter().collect::<HashSet<_>>();
    parked::add(c.writer.as_mut(), &open.now, &undecided)?;
    if open.now.len() <= FEW_OPEN {
        resolve::run(c, catalog, &open.now, head)?;
    }
    let after = parked::names(c.writer.as_mut())?;
    Ok(after.into_iter().filter(|name| !before.contains(name)).collect())
}

/// From a sender's column numbers to this store's ids.
pub(crate) struct Translation<'a> {
    pub tracked: &'a Tracked,
    /// By the sender's number.
    pub ids: Vec<u16>,
}

impl<'a> Translation<'a> {
    pub fn new(head: &TableHead, catalog: &'a Catalog) -> Result<Self> {
        let tracked = catalog.named(&head.name).ok_or_else(|| unknown_table(&head.name))?;
        let id = |name: &String| {
            tracked.registered.id(name).ok_or_else(|| {
                StoreError::new(Trouble::SchemaChanged, format!("table {} has no column {name} here", head.name))
            })
        };
        Ok(Translation { tracked, ids: head.columns.iter().map(id).collect::<Result<_>>()? })
    }

    pub fn row(&self, row: &Row) -> Result<Row> {
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

fn summary(groups: &[Group], conflicts: Vec<ConflictEntry>) -> Applied {
    let mut applied = Applied { conflicts, ..Applied::default() };
    for group in groups.iter().filter(|g| g.tracked.number() != CONFLICTS) {
        let table = applied.tables.entry(group.tracked.table.name.clone()).or_default();
        group.outcomes.iter().for_each(|o| *table += o.planned.summary());
    }
    applied
}

pub(crate) fn with_parked(mut applied: Applied, catalog: &Catalog, parked: &[Name]) -> Applied {
    for tracked in parked.iter().filter_map(|(number, _)| catalog.numbered(*number)) {
        applied.tables.entry(tracked.table.name.clone()).or_default().parked += 1;
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
    resolve::resolve_all(db)
}

fn changed(before: &Knowledge, after: &Knowledge, source: Source) -> bool {
    before.position(source) != after.position(source)
        || before.met(source) != after.met(source)
        || !before.held(source).eq(after.held(source))
}
