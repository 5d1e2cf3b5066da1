//! Reading marks and deleting exactly those that were read. Never keeps a high-water mark over their ids: ids are
//! given before commit, so a slow transaction's marks appear late, and simply wait for the next drain.

use std::collections::{HashMap, HashSet};

use sync_core::RowId;
use sync_core::Value;
use sync_core::capture::{Mark, Operation};
use sync_store::{Result, StoreError, Trouble};

use crate::catalog::Catalog;
use crate::dialect::Dialect;
use crate::layout::{Tracked, powers};
use crate::sql::{Fields, Sql};
use crate::{counters, tables};

/// The marks of some rows of one table.
#[derive(Debug, Default)]
pub struct Marks {
    /// In the order in which the rows first occur.
    pub rows: Vec<Marked>,
}

impl Marks {
    /// The ids of all marks.
    pub fn ids(&self) -> Vec<u64> {
        self.rows.iter().flat_map(|r| r.ids.iter().copied()).collect()
    }

    /// How many marks there are.
    pub fn count(&self) -> usize {
        self.rows.iter().map(|r| r.ids.len()).sum()
    }

    /// The ids of the rows.
    pub fn row_ids(&self) -> Vec<RowId> {
        self.rows.iter().map(|r| r.id.clone()).collect()
    }
}

/// The marks of one row.
#[derive(Debug)]
pub struct Marked {
    /// The row.
    pub id: RowId,
    /// Its key.
    pub key: Vec<Value>,
    /// What happened, oldest first.
    pub marks: Vec<Mark>,
    /// The ids of these marks.
    pub ids: Vec<u64>,
    /// Whether the row is in the table, where the query could tell.
    pub present: bool,
}

impl Marked {
    /// The marks, those from the future as of `latest`: an application can set its session's clock, and nobody could overwrite what
    /// it wrote for that long.
    pub fn clamped(&self, latest: u64) -> Vec<Mark> {
        let taken = |mark: &Mark| Mark { millis: mark.millis.min(latest), ..mark.clone() };
        self.marks.iter().map(taken).collect()
    }
}

/// Stands among the numbers of [`pending`] for the table of late marks.
pub const LATE: u16 = u16::MAX;

/// Moves late marks to their tables, where they are read as any. Within the transaction that then reads them.
pub fn gather(sql: &mut dyn Sql, dialect: &dyn Dialect, catalog: &Catalog) -> Result<()> {
    if dialect.late_table().is_none() {
        return Ok(());
    }
    let tables: Vec<_> = catalog.tracked.iter().map(|t| (&t.table, &t.registered)).collect();
    dialect.gather_marks(sql, &tables).map(drop)
}

/// The tables that have marks, in one statement.
pub fn pending(sql: &mut dyn Sql, dialect: &dyn Dialect, catalog: &Catalog) -> Result<Vec<u16>> {
    let one = |t: &Tracked| {
        let table = dialect.quote(&t.registered.mark_table());
        format!("SELECT {} AS n WHERE EXISTS (SELECT 1 FROM {table})", t.number())
    };
    let late = dialect.late_table().map(|t| format!("SELECT {LATE} AS n WHERE EXISTS (SELECT 1 FROM {t})"));
    let all: Vec<String> = late.into_iter().chain(catalog.tracked.iter().map(one)).collect();
    let mut numbers = Vec::new();
    for chunk in all.chunks(200) {
        let query = chunk.join(" UNION ALL ");
        for row in sql.all(&query, &[])? {
            numbers.push(Fields::of(row).unsigned()? as u16);
        }
    }
    // Drained in this order, rows are sent, and arrive, after those that they refer to.
    numbers.sort_by_key(|n| catalog.tracked.iter().position(|t| t.number() == *n));
    Ok(numbers)
}

/// The oldest `limit` marks of a table, with whether their rows are there: run it in one snapshot.
pub fn oldest(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, limit: usize) -> Result<Marks> {
    let mut reader = Reader::new(tracked);
    sql.query(&tracked.select_marks(dialect, limit), &[], &mut |row| reader.add(row))?;
    let mut marks = reader.marks;
    if marks.count() >= limit {
        complete(sql, dialect, tracked, &mut marks)?;
    }
    Ok(marks)
}

/// A page can end between a row's update and its delete: then the update would get to say when the row was deleted.
/// Of rows whose last mark does not fit what is in the table, all marks are read.
fn complete(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, marks: &mut Marks) -> Result<()> {
    let says_present = |r: &Marked| r.marks.last().is_some_and(|m| m.operation != Operation::Delete);
    let torn = |r: &&Marked| r.present != says_present(r);
    let keys: Vec<Vec<Value>> = marks.rows.iter().filter(torn).map(|r| r.key.clone()).collect();
    let whole = of_rows(sql, dialect, tracked, &keys)?;
    let mut by_id: HashMap<RowId, Marked> = whole.rows.into_iter().map(|r| (r.id.clone(), r)).collect();
    for row in &mut marks.rows {
        if let Some(all) = by_id.remove(&row.id) {
            (row.marks, row.ids) = (all.marks, all.ids);
        }
    }
    Ok(())
}

/// The marks of these rows; one statement where the table has none at all. Marks of keys that merely sort alike
/// (letter case) are left for the drain: the caller deletes what it was given.
pub fn of_rows(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, keys: &[Vec<Value>]) -> Result<Marks> {
    let wanted = keys.iter().map(|k| RowId::of(k)).collect();
    let mut reader = Reader { wanted: Some(wanted), ..Reader::new(tracked) };
    if keys.is_empty() || tables::is_empty(sql, dialect, &tracked.registered.mark_table())? {
        return Ok(reader.marks);
    }
    for range in powers(keys.len(), 128) {
        let params: Vec<Value> = keys[range.clone()].iter().flatten().cloned().collect();
        sql.query(&tracked.select_marks_of(dialect, range.len()), &params, &mut |row| reader.add(row))?;
    }
    Ok(reader.into_marks())
}

/// The ids of the marks without a key, which say that the table must be compared. No other verb of this module reads
/// them.
pub fn unknown(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked) -> Result<Vec<u64>> {
    let rows = sql.all(&tracked.select_unknown_marks(dialect), &[])?;
    rows.into_iter().map(|row| Fields::of(row).unsigned()).collect()
}

/// Deletes marks by id; returns how many were there.
pub fn delete(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, ids: &[u64]) -> Result<u64> {
    let table = tracked.registered.mark_table();
    let mut deleted = 0;
    for range in powers(ids.len(), 512) {
        let params: Vec<Value> = ids[range.clone()].iter().map(|id| Value::unsigned(*id)).collect();
        deleted += sql.execute(&dialect.delete_marks(&table, range.len()), &params)?;
    }
    Ok(deleted)
}

/// Puts marks together by row. Each comes as: id, operation, microseconds, whether its row is there, the words of
/// changed-column bits, where there are counters what was added, the key.
pub struct Reader<'a> {
    tracked: &'a Tracked,
    /// If given, the rows whose marks are taken.
    wanted: Option<HashSet<RowId>>,
    marks: Marks,
    at: HashMap<RowId, usize>,
}

impl<'a> Reader<'a> {
    /// No marks yet.
    pub fn new(tracked: &'a Tracked) -> Self {
        Reader { tracked, wanted: None, marks: Marks::default(), at: HashMap::new() }
    }

    /// Of how many rows there are marks.
    pub fn rows(&self) -> usize {
        self.marks.rows.len()
    }

    /// All of them.
    pub fn into_marks(self) -> Marks {
        self.marks
    }

    /// Whether there are marks already of the row that a mark is about.
    pub fn has_row_of(&self, mark: &[Value]) -> bool {
        let before = 4 + self.tracked.registered.bit_columns() + usize::from(!self.tracked.counters.is_empty());
        let key = mark.get(before..).unwrap_or_default();
        self.at.contains_key(&RowId::of(key))
    }

    /// Adds one.
    pub fn add(&mut self, row: Vec<Value>) -> Result<()> {
        let mut fields = Fields::of(row);
        let mark_id = fields.unsigned()?;
        let op = fields.int()?;
        let millis = u64::try_from(fields.int()? / 1000).unwrap_or_default();
        let present = fields.int()? == 1;
        let bits = (0..self.tracked.registered.bit_columns()).map(|_| fields.unsigned()).collect::<Result<Vec<_>>>()?;
        let delta = if self.tracked.counters.is_empty() { String::new() } else { fields.text()? };
        let key = fields.rest();
        let id = RowId::of(&key);
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.contains(&id)) {
            return Ok(());
        }
        let mark = Mark { operation: self.operation(op, &bits, &delta)?, millis };
        let rows = &mut self.marks.rows;
        let at = *self.at.entry(id.clone()).or_insert_with(|| {
            rows.push(Marked { id, key, marks: Vec::new(), ids: Vec::new(), present });
            rows.len() - 1
        });
        rows[at].marks.push(mark);
        rows[at].ids.push(mark_id);
        Ok(())
    }

    fn operation(&self, op: i64, bits: &[u64], delta: &str) -> Result<Operation> {
        match op {
            1 => Ok(Operation::Insert),
            2 => {
                let added = counters::added(delta, &self.tracked.counters);
                let mut columns = self.tracked.columns_of(bits);
                columns.retain(|id| !added.iter().any(|(counter, _)| counter == id));
                Ok(Operation::Update(columns, added))
            }
            3 => Ok(Operation::Delete),
            other => Err(StoreError::new(
                Trouble::Corrupt,
                format!("{} holds a mark of unknown kind {other}", self.tracked.registered.mark_table()),
            )),
        }
    }
}
