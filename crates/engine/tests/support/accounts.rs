//! Whether a network of sites accounts for every write that its writers committed.

use std::borrow::BorrowMut;
use std::time::Duration;

use sync_core::Value;
use sync_store::{ConflictEntry, Store as _};
use sync_testbed::{Cell, DatabaseDump, LoadReport, Write, check_journals};

use super::Site;

/// The state that all sites began with, and the one that they agree on at the end.
pub struct Accounts<'a> {
    pub initial: &'a DatabaseDump,
    pub last: &'a DatabaseDump,
}

impl Accounts<'_> {
    /// Fails, and tells all that is known, if a write is not accounted for.
    #[track_caller]
    pub fn check<'s>(&self, sites: &mut [impl BorrowMut<Site<'s>>], reports: Vec<LoadReport>) {
        let conflicts = sites[0].borrow_mut().store.conflicts().unwrap();
        for report in &reports {
            println!(
                "{} commits, {} rolled back, {} deadlocks, {} lock waits, slowest {:?} ({})",
                report.commits,
                report.rollbacks,
                report.deadlocks,
                report.lock_waits,
                report.slowest,
                report.slowest_statement
            );
            assert_eq!(report.errors, Vec::<String>::new());
        }
        let journals: Vec<_> = reports.into_iter().flat_map(|r| r.journal).collect();
        let tolerance = Duration::from_millis(50);
        let listed = |table: &str, key, column: &str| listed(&conflicts, table, key, column);
        let report = check_journals(self.initial, self.last, &journals, tolerance, listed);
        println!("present {}, listed {}, superseded {}", report.present, report.listed, report.superseded);
        for violation in &report.violations {
            self.tell(&journals, sites, (&violation.table, violation.key));
        }
        report.assert_clean();
    }

    /// All that is known about a row that is not accounted for, and about its parent: for whoever looks into it.
    fn tell<'s>(&self, journals: &[Write], sites: &mut [impl BorrowMut<Site<'s>>], (table, key): (&str, i64)) {
        let of_row = |w: &&Write| w.table == table && w.key == key;
        journals.iter().filter(of_row).for_each(|w| println!("{w:?}"));
        for site in sites.iter_mut() {
            let site = site.borrow_mut();
            println!("{}: {table} {key}: {}", site.name, site.state(table, key));
        }
        if let Some(parent) = (table == "load_child").then(|| parent(self.initial, journals, key)).flatten() {
            self.tell(journals, sites, ("load_account", parent));
        }
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Text(text) => Cell::text(text),
        _ => Cell::Null,
    }
}

/// The losing values that are listed for a cell: its own entries, and those of whole rows.
fn listed(conflicts: &[ConflictEntry], table: &str, key: i64, column: &str) -> Vec<Cell> {
    let of_row = |e: &&ConflictEntry| e.table == table && e.key == [Value::Int(key)];
    let value = |e: &ConflictEntry| Some(cell(e.losing.get(e.columns.iter().position(|c| c == column)?)?));
    conflicts.iter().filter(of_row).filter_map(value).collect()
}

/// The account of a child: as it was filled, or inserted.
fn parent(initial: &DatabaseDump, journals: &[Write], child: i64) -> Option<i64> {
    let children = initial.get("load_child")?;
    let at = children.columns.iter().position(|c| c == "account_id")?;
    let filled = children.rows.iter().find(|r| r.contains(&Cell::Integer(child.into()))).and_then(|r| r.get(at));
    let inserted = journals.iter().filter(|w| w.table == "load_child" && w.key == child);
    match filled.or_else(|| inserted.into_iter().find_map(|w| w.value("account_id")))? {
        Cell::Integer(parent) => i64::try_from(*parent).ok(),
        _ => None,
    }
}
