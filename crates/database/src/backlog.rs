//! Draining while streaming: what a store does with more marks than a round should wait for before it begins.
//!
//! The marks of one table and the rows they are about are read in *one* snapshot, all marks of a row together; each part
//! is stamped and published in a transaction of its own, and at once handed to the stream. So one site drains while
//! the other applies. Values and stamps are of the same snapshot: a row that the application has written since then
//! travels as it was, and its newer mark gives it a later seq.
//!
//! It goes on only as long as nobody else publishes in this store; then, and in whatever other irregularity, it stops,
//! and the usual drain and stream take over where it ended. Never decides what a row should be.

use std::collections::HashMap;

use sync_core::{Position, RowId, Stamp, Value};
use sync_store::{Batch, Change, Result, Sink, TableHead};

use crate::changes::outgoing;
use crate::connections::{Connections, Ended};
use crate::database::Database;
use crate::dialect::Dialect;
use crate::drain::{author, publish_marked};
use crate::layout::Tracked;
use crate::marks::{self, Marks};
use crate::meta::Numbered;
use crate::spool::Spool;
use crate::sql::Sql;
use crate::{identity, retry, tables};

/// A table with more marks than this is drained while it streams.
pub(crate) const MANY: usize = 10_000;

/// Rows published in one transaction.
const PART: usize = 1024;

/// Whether a table has so many marks, and can be drained while it streams.
pub(crate) fn is_long(db: &mut Database, number: u16) -> Result<bool> {
    let many = db.backlog_from;
    let Connections { writer, reader, dialect, .. } = &mut db.connections;
    let Some(tracked) = db.catalog.numbered(number).filter(|t| reader.is_some() && can_leave(t)) else {
        return Ok(false);
    };
    let table = dialect.quote(&tracked.registered.mark_table());
    Ok(writer.first(&format!("SELECT 1 FROM {table} LIMIT 1 OFFSET {many}"), &[])?.is_some())
}

/// Its rows must be part of the snapshot, and the marks of each come together.
fn can_leave(tracked: &Tracked) -> bool {
    tracked.table.transactional && tracked.sorts_whole_keys()
}

/// Drains and streams what the last drain left of the tables that are `wanted`, from a stream that has reached `at`,
/// this store's head. Returns where the stream stands then; what is left is for the usual drain.
pub(crate) fn stream(
    db: &mut Database,
    mut at: Position,
    wanted: impl Fn(&Tracked) -> bool,
    sink: &mut Sink,
) -> Result<Position> {
    for number in std::mem::take(&mut db.backlog) {
        let Some(tracked) = db.catalog.numbered(number).filter(|t| wanted(t)).cloned() else { continue };
        let mut pass = Pass { tracked, at };
        let whole = pass.run(db, sink)?;
        at = pass.at;
        if !whole {
            break;
        }
    }
    Ok(at)
}

/// One table's way through.
struct Pass {
    tracked: Tracked,
    /// Up to where everything is published and streamed.
    at: Position,
}

/// The marks of some rows, and those rows that are there.
struct Part {
    marks: Marks,
    values: HashMap<RowId, Vec<Value>>,
}

impl Pass {
    /// Whether it went through to the end.
    fn run(&mut self, db: &mut Database, sink: &mut Sink) -> Result<bool> {
        begin(&mut db.connections)?;
        let done = self.within_snapshot(db, sink);
        let ended = end(&mut db.connections);
        done.and_then(|whole| ended.map(|()| whole))
    }

    fn within_snapshot(&mut self, db: &mut Database, sink: &mut Sink) -> Result<bool> {
        if has_late_marks(&mut db.connections)? {
            return Ok(false);
        }
        let (sql, dialect) = reading(&mut db.connections);
        let mut spool = Spool::read(sql, &self.tracked.select_sorted_marks(dialect))?;
        loop {
            let marks = spool.take(&self.tracked, PART)?;
            if marks.rows.is_empty() {
                return Ok(true);
            }
            for (keys, marks) in self.pieces(&mut db.connections, marks)? {
                if !self.part(db, &keys, marks, sink)? {
                    return Ok(false);
                }
            }
        }
    }

    /// Cuts so that the rows of a piece fit into a batch; each with their keys.
    fn pieces(&self, c: &mut Connections, marks: Marks) -> Result<Vec<(Vec<Vec<Value>>, Marks)>> {
        let keys: Vec<Vec<Value>> = marks.rows.iter().map(|r| r.key.clone()).collect();
        let (sql, dialect) = reading(c);
        let pieces = tables::pieces(sql, dialect, &self.tracked, keys)?;
        let mut rows = marks.rows.into_iter();
        let with_marks = |keys: Vec<Vec<Value>>| {
            let rows = rows.by_ref().take(keys.len()).collect();
            (keys, Marks { rows })
        };
        Ok(pieces.into_iter().map(with_marks).collect())
    }

    /// Publishes and streams some rows; says whether that could be done.
    fn part(&mut self, db: &mut Database, keys: &[Vec<Value>], marks: Marks, sink: &mut Sink) -> Result<bool> {
        let (sql, dialect) = reading(&mut db.connections);
        let values = tables::read_still(sql, dialect, &self.tracked, keys, false)?;
        let mut part = Part { marks, values };
        for row in &mut part.marks.rows {
            row.present = part.values.contains_key(&row.id);
        }
        let Some((head, lines)) = retry::contention(|| self.publish(db, &part.marks))? else { return Ok(false) };
        self.at = head;
        sink(self.batch(db, part, lines))?;
        Ok(true)
    }

    /// Stamps and publishes rows, and deletes their marks; nothing is done if anybody else published since, or drained
    /// one of the marks.
    fn publish(&self, db: &mut Database, marks: &Marks) -> Result<Option<(Position, Vec<Numbered>)>> {
        let (clock, site) = (db.clock()?, db.identity.card.site);
        let (catalog, tracked, ids) = (&db.catalog, &self.tracked, marks.ids());
        db.connections.transaction(|c| {
            let (source, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
            let deleted =
                if head == self.at { marks::delete(c.writer.as_mut(), c.dialect.as_ref(), tracked, &ids)? } else { 0 };
            if deleted != ids.len() as u64 {
                return Ok(Ended::Rollback(None));
            }
            let author = author(site, source);
            Ok(Ended::Commit(Some(publish_marked(c, (catalog, tracked), marks, head, (author, clock))?)))
        })
    }

    fn batch(&self, db: &Database, mut part: Part, lines: Vec<Numbered>) -> Batch {
        let mut batch = Batch { upto: Some(self.at), ..Batch::empty(db.identity.source) };
        let head = TableHead { name: self.tracked.table.name.clone(), columns: self.tracked.names() };
        let table = batch.head(&head);
        let mut keys: HashMap<RowId, Vec<Value>> = part.marks.rows.drain(..).map(|r| (r.id, r.key)).collect();
        for (_, id, line) in lines {
            let row = outgoing(&self.tracked, Some(line), part.values.remove(&id), Stamp::NEVER);
            if let (Some(key), Some(row)) = (keys.remove(&id), row) {
                batch.changes.push(Change { table, key, row });
            }
        }
        batch
    }
}

/// Late marks do not tell cheaply whose they are: where there are some, the usual way is taken.
fn has_late_marks(c: &mut Connections) -> Result<bool> {
    let Some(table) = c.dialect.late_table() else { return Ok(false) };
    let (sql, _) = reading(c);
    Ok(sql.first(&format!("SELECT 1 FROM {table} LIMIT 1"), &[])?.is_some())
}

fn begin(c: &mut Connections) -> Result<()> {
    let begin = c.dialect.begin_snapshot();
    reading(c).0.run(begin)
}

fn end(c: &mut Connections) -> Result<()> {
    reading(c).0.run("COMMIT")
}

/// The connection that holds the snapshot.
fn reading(c: &mut Connections) -> (&mut dyn Sql, &dyn Dialect) {
    (c.reader.as_mut().unwrap_or(&mut c.writer).as_mut(), c.dialect.as_ref())
}
