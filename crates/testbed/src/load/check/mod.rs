//! Whether a final state accounts for every committed write: the proof that nothing was lost. Each rule is as strict as is
//! sound for a network of sites that merge by cell, where the later write wins and a loser that the winner had not seen
//! is listed. It never guesses: what is not accounted for is a violation.
//!
//! 1. A value that is there was written by someone (or was there from the start), and never rolled back.
//! 2. A row that is there was inserted, one that is gone was deleted, and one that is there although sites deleted it was,
//!    for each deletion, written at another site later than that deletion began. (That write need not have lasted: it
//!    brought the row back to the deleter, who may have written to it again before the writer deleted it in turn.)
//! 3. Of each site the last write to a cell is the value; or it is listed; or the row was deleted later; or another site
//!    wrote the cell later. Earlier writes of that site were overwritten by it knowingly.
//! 4. Without a deletion, no site's older value and no starting value comes back.

mod history;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use history::History;

use super::Write;
use crate::{Cell, DatabaseDump};

/// A write or row that is not accounted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The table.
    pub table: String,
    /// The row's key.
    pub key: i64,
    /// The column, if it is about a cell.
    pub column: Option<String>,
    /// What is wrong, with the values concerned.
    pub reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.key)?;
        if let Some(column) = &self.column {
            write!(f, ".{column}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// How each site's last write to each cell was accounted for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// It is the value.
    pub present: u64,
    /// It is in the conflict list.
    pub listed: u64,
    /// A later deletion or a later write of another site took its place.
    pub superseded: u64,
    /// It is not, or another rule is broken.
    pub violations: Vec<Violation>,
}

impl CheckReport {
    /// Fails the test if anything is not accounted for, or if there was nothing to account for.
    ///
    /// # Panics
    /// With the number and the first of the violations.
    #[track_caller]
    pub fn assert_clean(&self) {
        let shown: Vec<_> = self.violations.iter().take(10).map(ToString::to_string).collect();
        assert!(self.violations.is_empty(), "{} violations, among them:\n{}", self.violations.len(), shown.join("\n"));
        assert!(self.present + self.listed + self.superseded > 0, "the journals are empty");
    }
}

/// Checks `last`, the state all sites agree on, against the journals of all sites. `initial` is the state all sites
/// started with; `conflicts` gives the losing values that are listed for a table, key and column. `tolerance` is by how
/// much the sites' clocks may differ.
#[must_use]
pub fn check_journals(
    initial: &DatabaseDump,
    last: &DatabaseDump,
    journals: &[Write],
    tolerance: Duration,
    conflicts: impl Fn(&str, i64, &str) -> Vec<Cell>,
) -> CheckReport {
    let mut report = CheckReport::default();
    let tolerance = i64::try_from(tolerance.as_micros()).unwrap_or(i64::MAX);
    let histories = history::collect(initial, last, journals);
    let parents: BTreeMap<_, _> =
        histories.iter().filter(|row| !row.deletes.is_empty()).map(|row| ((row.table, row.key), row)).collect();
    for row in &histories {
        let parent = row.parent().and_then(|parent| parents.get(&parent).copied());
        let mut check = RowCheck { row, parent, tolerance, report: &mut report };
        check.existence();
        for column in row.columns() {
            check.cell(column, &conflicts(row.table, row.key, column));
        }
    }
    report
}

/// One row under examination.
struct RowCheck<'a, 'r> {
    row: &'a History<'a>,
    /// The row it refers to, if that was ever deleted: deletions cascade.
    parent: Option<&'a History<'a>>,
    tolerance: i64,
    report: &'r mut CheckReport,
}

impl RowCheck<'_, '_> {
    fn violation(&mut self, column: Option<&str>, reason: String) {
        let (table, key) = (self.row.table.to_owned(), self.row.key);
        self.report.violations.push(Violation { table, key, column: column.map(str::to_owned), reason });
    }

    /// Rule 2.
    fn existence(&mut self) {
        let row = self.row;
        let born = row.initial.is_some() || row.inserted(false);
        match row.last {
            Some(_) if !born => self.violation(None, "nobody inserted this row".to_owned()),
            Some(_) => self.resurrection(),
            None if row.initial.is_none() && !row.inserted(true) => {}
            None if self.deletes().next().is_none() => {
                self.violation(None, "the row is gone, and nobody deleted it".to_owned());
            }
            None => {}
        }
    }

    /// Cascades are left out here: a child that its parent's deleter never saw returns with the parent.
    fn resurrection(&mut self) {
        let unanswered = self.row.deletes.iter().find(|delete| {
            let answers = |write: &Write| write.site != delete.site && write.committed + self.tolerance >= delete.began;
            delete.certain && !self.row.writes.iter().any(|write| answers(write))
        });
        if let Some(delete) = unanswered {
            self.violation(None, format!("{} deleted the row, nobody wrote to it later, and it is there", delete.site));
        }
    }

    fn deletes(&self) -> impl Iterator<Item = &Write> {
        self.row.deletes.iter().chain(self.parent.iter().flat_map(|parent| &parent.deletes)).copied()
    }

    /// Rules 1, 3 and 4 for one column.
    fn cell(&mut self, column: &str, listed: &[Cell]) {
        let writes: Vec<&Write> =
            self.row.writes.iter().filter(|write| write.value(column).is_some()).copied().collect();
        self.provenance(column, &writes);
        for last in last_of_each_site(&writes) {
            self.last_write(column, last, &writes, listed);
        }
    }

    fn provenance(&mut self, column: &str, writes: &[&Write]) {
        let Some(value) = self.row.last_value(column) else { return };
        let author = writes.iter().find(|write| write.value(column) == Some(value));
        let undisturbed = self.deletes().next().is_none();
        match author {
            None if value != self.row.first_value(column) => {
                self.violation(Some(column), format!("nobody committed the value {value}"));
            }
            None if undisturbed && writes.iter().any(|write| write.certain) => {
                self.violation(Some(column), format!("the starting value {value} is back, though it was overwritten"));
            }
            Some(author) if undisturbed && writes.iter().any(|write| write.certain && overwrites(write, author)) => {
                self.violation(Some(column), format!("{value} is back, though {} overwrote it itself", author.site));
            }
            _ => {}
        }
    }

    fn last_write(&mut self, column: &str, last: &Write, writes: &[&Write], listed: &[Cell]) {
        let Some(value) = last.value(column) else { return };
        if self.row.last_value(column) == Some(value) {
            self.report.present += 1;
        } else if listed.contains(value) {
            self.report.listed += 1;
        } else if self.is_superseded(column, last, writes, listed) {
            self.report.superseded += 1;
        } else {
            let now =
                self.row.last_value(column).map_or("the row is gone".to_owned(), |now| format!("the value is {now}"));
            self.violation(Some(column), format!("{value} of {} is lost: {now}, and it is not listed", last.site));
        }
    }

    fn is_superseded(&self, column: &str, last: &Write, writes: &[&Write], listed: &[Cell]) -> bool {
        // An uncertain write counts once its value is seen somewhere.
        let happened = |write: &Write| {
            write.certain
                || write
                    .value(column)
                    .is_some_and(|value| listed.contains(value) || self.row.last_value(column) == Some(value))
        };
        let by_write = writes.iter().any(|write| self.is_after(write, last) && happened(write));
        by_write || self.deletes().any(|delete| self.is_after(delete, last)) || self.hangs_on_deleted_parent()
    }

    /// Within a site the order is exact, between sites as exact as their clocks.
    fn is_after(&self, later: &Write, earlier: &Write) -> bool {
        if later.site == earlier.site {
            overwrites(later, earlier)
        } else {
            later.committed + self.tolerance >= earlier.locked
        }
    }

    /// A child of a deleted parent is not shown, whenever it was written.
    fn hangs_on_deleted_parent(&self) -> bool {
        self.row.last.is_none() && self.parent.is_some_and(|parent| parent.last.is_none())
    }
}

/// Whether `later` was written over `earlier` at the same site.
fn overwrites(later: &Write, earlier: &Write) -> bool {
    later.site == earlier.site && (later.locked, later.step) > (earlier.locked, earlier.step)
}

/// The last certain write of each site. `writes` are in each site's order.
fn last_of_each_site<'a>(writes: &[&'a Write]) -> Vec<&'a Write> {
    let certain = writes.iter().filter(|write| write.certain);
    let last: BTreeMap<&str, &Write> = certain.map(|write| (&*write.site, *write)).collect();
    last.into_values().collect()
}
