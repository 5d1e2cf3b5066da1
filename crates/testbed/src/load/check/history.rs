//! All that is known about each row: how it started, who wrote it, how it ended. No judgement here.

use std::collections::BTreeMap;

use super::super::{Change, Write};
use crate::{Cell, DatabaseDump, TableDump};

/// Which table's rows go when the row of another table that a column names is deleted.
const CASCADES: [(&str, &str, &str); 1] = [("load_child", "account_id", "load_account")];

/// One row from start to end.
pub(super) struct History<'a> {
    pub(super) table: &'a str,
    pub(super) key: i64,
    pub(super) initial: Option<&'a [Cell]>,
    pub(super) last: Option<&'a [Cell]>,
    /// Inserts and updates, in each site's order.
    pub(super) writes: Vec<&'a Write>,
    /// Deletions of this very row.
    pub(super) deletes: Vec<&'a Write>,
    columns: &'a [String],
    key_column: Option<&'a str>,
}

type Rows<'a> = BTreeMap<(&'a str, i64), &'a [Cell]>;

/// The histories of all rows that either state or a journal knows.
pub(super) fn collect<'a>(
    initial: &'a DatabaseDump,
    last: &'a DatabaseDump,
    journals: &'a [Write],
) -> Vec<History<'a>> {
    let tables: BTreeMap<&str, &TableDump> =
        initial.iter().chain(last).map(|(name, table)| (name.as_str(), table)).collect();
    let (initial, last) = (rows(initial, journals), rows(last, journals));
    let mut writes: BTreeMap<(&str, i64), Vec<&Write>> = BTreeMap::new();
    for write in journals {
        writes.entry((write.table, write.key)).or_default().push(write);
    }
    for key in initial.keys().chain(last.keys()) {
        writes.entry(*key).or_default();
    }
    let history = |((table, key), mut writes): ((&'a str, i64), Vec<&'a Write>)| {
        writes.sort_by_key(|write| (write.locked, write.step));
        let (deletes, writes) = writes.into_iter().partition(|write| write.change == Change::Delete);
        let shape = tables.get(table);
        History {
            table,
            key,
            initial: initial.get(&(table, key)).copied(),
            last: last.get(&(table, key)).copied(),
            writes,
            deletes,
            columns: shape.map_or(&[], |table| &table.columns),
            key_column: shape.and_then(|table| key_column(table)).map(|index| shape.map_or("", |t| &t.columns[index])),
        }
    };
    writes.into_iter().map(history).collect()
}

/// The rows of the tables that the journals are about: those of others are nobody's business here.
fn rows<'a>(dump: &'a DatabaseDump, journals: &[Write]) -> Rows<'a> {
    let journaled = |name: &str| journals.iter().any(|write| write.table == name);
    let tables = dump.iter().filter(|(name, _)| journaled(name));
    tables
        .flat_map(|(name, table)| {
            table.rows.iter().filter_map(move |row| Some(((name.as_str(), key(table, row)?), row.as_slice())))
        })
        .collect()
}

fn key_column(table: &TableDump) -> Option<usize> {
    table.key.first().copied()
}

fn key(table: &TableDump, row: &[Cell]) -> Option<i64> {
    match row.get(key_column(table)?) {
        Some(Cell::Integer(number)) => i64::try_from(*number).ok(),
        _ => None,
    }
}

impl<'a> History<'a> {
    /// The columns other than the key.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'a str> {
        let key = self.key_column;
        self.columns.iter().map(String::as_str).filter(move |column| Some(*column) != key)
    }

    /// Whether a journal inserted it: for certain, or at least perhaps.
    pub(super) fn inserted(&self, certain: bool) -> bool {
        self.writes.iter().any(|write| matches!(write.change, Change::Insert(_)) && (write.certain || !certain))
    }

    /// The value in the final state.
    pub(super) fn last_value(&self, column: &str) -> Option<&'a Cell> {
        self.value(self.last, column)
    }

    /// The value it started with; an inserted row's unnamed columns start as NULL.
    pub(super) fn first_value(&self, column: &str) -> &'a Cell {
        self.value(self.initial, column).unwrap_or(&Cell::Null)
    }

    /// The row it refers to with a cascading foreign key.
    pub(super) fn parent(&self) -> Option<(&'static str, i64)> {
        let (_, column, parent) = CASCADES.into_iter().find(|(child, ..)| *child == self.table)?;
        let written = self.writes.iter().find_map(|write| write.value(column));
        match written.or_else(|| self.value(self.initial, column)) {
            Some(Cell::Integer(number)) => Some((parent, i64::try_from(*number).ok()?)),
            _ => None,
        }
    }

    fn value(&self, row: Option<&'a [Cell]>, column: &str) -> Option<&'a Cell> {
        let index = self.columns.iter().position(|name| name == column)?;
        row?.get(index)
    }
}
