//! Says where two dumps differ first, in words a person can act on. Judges nothing: any difference counts.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::{Cell, DatabaseDump, TableDump};

/// The first difference between two databases, or none.
#[must_use]
pub fn difference(a: &DatabaseDump, b: &DatabaseDump) -> Option<String> {
    let tables: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    tables.into_iter().find_map(|name| {
        let difference = match (a.get(name), b.get(name)) {
            (Some(a), Some(b)) => table_difference(a, b)?,
            (Some(_), None) => "it exists only on the left".to_owned(),
            _ => "it exists only on the right".to_owned(),
        };
        Some(format!("table {name}: {difference}"))
    })
}

/// Fails the test at the first difference between two databases.
///
/// # Panics
/// When they differ; the message names table, row and column.
#[track_caller]
pub fn assert_equal(a: &DatabaseDump, b: &DatabaseDump) {
    let difference = difference(a, b);
    assert!(difference.is_none(), "the databases differ: {}", difference.unwrap_or_default());
}

fn table_difference(a: &TableDump, b: &TableDump) -> Option<String> {
    if a.columns != b.columns {
        return Some(format!("columns {:?} on the left, {:?} on the right", a.columns, b.columns));
    }
    let first = first_difference(a, b)?;
    Some(format!("{first} ({} rows on the left, {} on the right)", a.rows.len(), b.rows.len()))
}

/// Walks both sorted row lists in step by key.
fn first_difference(a: &TableDump, b: &TableDump) -> Option<String> {
    let (mut left, mut right) = (a.rows.iter().peekable(), b.rows.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(l), Some(r)) => a.key_of(l).cmp(&b.key_of(r)),
        };
        match order {
            Ordering::Less => return left.next().map(|row| format!("only on the left: row {}", name(a, row))),
            Ordering::Greater => return right.next().map(|row| format!("only on the right: row {}", name(b, row))),
            Ordering::Equal => {
                if let Some(difference) = left.next().zip(right.next()).and_then(|(l, r)| row_difference(a, l, r)) {
                    return Some(difference);
                }
            }
        }
    }
}

fn row_difference(table: &TableDump, left: &[Cell], right: &[Cell]) -> Option<String> {
    let index = (0..table.columns.len()).find(|&index| left.get(index) != right.get(index))?;
    let show = |row: &[Cell]| row.get(index).map(ToString::to_string).unwrap_or_default();
    let column = &table.columns[index];
    Some(format!("row {}, column {column}: left {}, right {}", name(table, left), show(left), show(right)))
}

/// A row as `id=5`, or all its columns if there is no key.
fn name(table: &TableDump, row: &[Cell]) -> String {
    let all: Vec<usize> = (0..row.len()).collect();
    let shown = if table.key.is_empty() { &all } else { &table.key };
    let pairs: Vec<_> = shown.iter().map(|&index| format!("{}={}", table.columns[index], row[index])).collect();
    pairs.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(i128, Cell)]) -> DatabaseDump {
        let rows = rows.iter().map(|(id, value)| vec![Cell::Integer(*id), value.clone()]).collect();
        let table = TableDump { columns: vec!["id".into(), "v".into()], key: vec![0], rows };
        DatabaseDump::from([("t".to_owned(), table)])
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let float = |bits| Cell::Float(bits);
        let base = table(&[(1, Cell::text("é")), (2, Cell::Null), (3, float(0x3f80_0000))]);
        let cases = [
            (base.clone(), None),
            (table(&[(1, Cell::text("é")), (2, Cell::Null), (3, float(0x3f80_0001))]), Some("row id=3, column v")),
            (table(&[(1, Cell::text("É")), (2, Cell::Null), (3, float(0x3f80_0000))]), Some("row id=1, column v")),
            (table(&[(1, Cell::text("é")), (3, float(0x3f80_0000))]), Some("only on the left: row id=2")),
            (table(&[(0, Cell::Null)]), Some("only on the right: row id=0")),
            (table(&[(1, Cell::text("é")), (2, Cell::text("")), (3, Cell::Null)]), Some("left NULL, right \"\"")),
            (DatabaseDump::new(), Some("table t: it exists only on the left")),
        ];
        for (other, expected) in cases {
            let found = difference(&base, &other);
            match expected {
                None => assert_eq!(found, None),
                Some(text) => assert!(found.as_ref().is_some_and(|found| found.contains(text)), "{found:?} / {text}"),
            }
        }
    }

    #[test]
    fn rows_without_a_key_are_compared_as_a_bag() {
        let bag = |values: &[i128]| {
            let rows = values.iter().map(|value| vec![Cell::Integer(*value)]).collect();
            let table = TableDump { columns: vec!["v".into()], key: Vec::new(), rows };
            DatabaseDump::from([("bag".to_owned(), table)])
        };
        assert_eq!(difference(&bag(&[1, 1, 2]), &bag(&[1, 1, 2])), None);
        assert!(difference(&bag(&[1, 1, 2]), &bag(&[1, 2, 2])).is_some());
        assert!(difference(&bag(&[1, 1]), &bag(&[1])).is_some());
    }
}
