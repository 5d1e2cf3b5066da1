//! Digests that the database makes of its rows itself: of a whole range only a count and a sum cross the network. Ranges
//! are chosen by the side that is near, from the keys alone. Writes nothing, and decides nothing.
//!
//! A row that the database cannot hash (a value that is larger than its packets) counts with a number that nobody else
//! has: it seems to differ, and is then looked at as it is.

use std::time::Duration;

use sync_core::digest::{Cells, Node, Span};
use sync_core::key;
use sync_store::steady::since;
use sync_store::{Answer, Answers, Result, Scope};

use crate::database::Database;
use crate::dialect::Dialect;
use crate::digest::{Pieces, Reading};
use crate::drain::unknown_table;
use crate::layout::Tracked;
use crate::schema::{Column, Kind, Table};
use crate::sql::Fields;

/// Ranges in one statement at most; a statement is prepared once for each power of two.
const RANGES: usize = 64;

/// How long a statement should take.
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(500);

/// The expression that hashes a row of a table; `None` if a column has no exact one.
fn hash(dialect: &dyn Dialect, table: &Table) -> Option<String> {
    let mut columns: Vec<&Column> = table.stored_columns().collect();
    columns.sort_by_key(|column| &column.name);
    let parts = columns.into_iter().map(|column| dialect.digest_part(column)).collect::<Option<Vec<_>>>()?;
    dialect.digest_of(&parts)
}

/// What tells whether two sites make the same digests of a table, over ranges that hold the same rows.
pub(crate) fn method(dialect: &dyn Dialect, table: &Table) -> Option<String> {
    let hash = hash(dialect, table).filter(|hash| hash.len() <= LONGEST)?;
    let has_text = table.key_columns().any(|column| column.kind == Kind::Text);
    let sorting = if has_text { dialect.product() } else { "" };
    Some(blake3::hash(format!("{sorting} {hash}").as_bytes()).to_hex()[..16].to_owned())
}

/// An expression that makes statements of more than a megabyte is of a table with very many columns.
const LONGEST: usize = (1 << 20) / RANGES;

/// Where the leaves of a table end.
pub(crate) fn ends(db: &mut Database, scope: usize, wanted: &Scope, answers: &mut Answers) -> Result<()> {
    let mut reading = Reading::of_keys(db, wanted)?;
    for (span, bounds) in wanted.spans.iter().enumerate() {
        reading.leaves(bounds, &mut |_| Ok(()), &mut |nodes| answers(Answer::Nodes { scope, span, nodes }))?;
    }
    Ok(())
}

/// Counts and sums of ranges.
pub(crate) fn sums(db: &mut Database, scope: usize, wanted: &Scope, answers: &mut Answers) -> Result<()> {
    let hash = hash_or_nonce(db, wanted)?;
    let steady = db.connections.steady();
    let mut reading = Reading::new(db, wanted)?;
    let about = reading.about()?;
    answers(Answer::Begins { scope, about })?;
    let (mut at, mut size) = (0, 1);
    while at < wanted.spans.len() {
        size = size.min(1 << (wanted.spans.len() - at).ilog2());
        let started = steady();
        let nodes = nodes(&mut reading, &hash, &wanted.spans[at..at + size])?;
        let rows = nodes.iter().map(|node| node.rows).sum();
        answers(Answer::Nodes { scope, span: at, nodes })?;
        answers(Answer::Read { scope, rows })?;
        at += size;
        size = next_size(size, since(started, steady));
    }
    let rows = reading.aside()?;
    answers(Answer::Aside { scope, rows })
}

fn next_size(size: usize, took: Duration) -> usize {
    match size {
        size if took < SHORT => (size * 2).min(RANGES),
        size if took > LONG => (size / 2).max(1),
        size => size,
    }
}

fn nodes(reading: &mut Reading, hash: &str, spans: &[Span]) -> Result<Vec<Node>> {
    let (bounds, params) = reading.bounds(spans, &[])?;
    let statement = reading.tracked.select_sums(reading.dialect, hash, &bounds);
    let mut nodes: Vec<Node> = spans.iter().map(|span| Node { end: span.upto.clone(), ..Node::default() }).collect();
    reading.sql.query(&statement, &params, &mut |row| {
        let mut fields = Fields::of(row);
        let (place, rows, sum) = (fields.unsigned()? as usize, fields.unsigned()?, fields.text()?);
        if let Some(node) = nodes.get_mut(place) {
            (node.rows, node.sum) = (rows, sum.parse().unwrap_or_default());
        }
        Ok(())
    })?;
    Ok(nodes)
}

/// The rows of ranges: keys and hashes.
pub(crate) fn rows(db: &mut Database, wanted: &Scope, spans: &[Span], pieces: &mut Pieces) -> Result<()> {
    let hash = hash_or_nonce(db, wanted)?;
    let mut reading = Reading::of_keys(db, wanted)?;
    reading.columns = format!("{}, {hash}", reading.columns);
    let mut after = Vec::new();
    loop {
        let (statement, params) = reading.statement(spans, &after, PAGE)?;
        let mut found = 0;
        reading.sql.query(&statement, &params, &mut |mut row| {
            found += 1;
            let hash = Fields::of(row.pop().into_iter().collect()).unsigned()?;
            after = key::pack(&row);
            pieces.add(&after, hash)
        })?;
        if found < PAGE {
            return Ok(());
        }
    }
}

/// Rows in one statement.
const PAGE: usize = 50_000;

/// The hash of a row, or where there is none a number that no other store has. The same in every statement, so that it is
/// prepared once.
fn hash_or_nonce(db: &Database, scope: &Scope) -> Result<String> {
    let tracked = db.catalog.named(&scope.table).ok_or_else(|| unknown_table(&scope.table))?;
    let hash = hash(db.connections.dialect.as_ref(), &tracked.table).ok_or_else(|| unknown_table(&scope.table))?;
    let source = db.identity.source;
    Ok(format!("COALESCE({hash}, {})", source.store.0 as u64 ^ source.incarnation.0))
}

impl<'a> Reading<'a> {
    /// Reads keys only.
    fn of_keys(db: &'a mut Database, scope: &'a Scope) -> Result<Self> {
        let reading = Reading::new(db, scope)?;
        let count = reading.tracked.key_at.len();
        let columns = reading.tracked.columns(reading.dialect, &key_ids(reading.tracked));
        Ok(Reading { columns, cells: Cells::new(count, (0..count).collect()), ..reading })
    }
}

/// The ids of the key's columns, in its order.
fn key_ids(tracked: &Tracked) -> Vec<u16> {
    tracked.key_at.iter().map(|at| tracked.ids[*at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_grow_while_they_are_short() {
        assert_eq!(next_size(8, SHORT / 2), 16);
        assert_eq!(next_size(RANGES, SHORT / 2), RANGES);
        assert_eq!(next_size(8, SHORT), 8);
        assert_eq!((next_size(8, LONG * 2), next_size(1, LONG * 2)), (4, 1));
    }
}
