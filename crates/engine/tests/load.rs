//! Nothing lost under load: writers at both sites, rounds all the time, and a checker that accounts for every
//! committed write from the writers' own journals.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use support::{Site, assert_same, options, rounds};
use sync_core::Value;
use sync_store::{ConflictEntry, Store as _};
use sync_testbed::{
    Cell, DatabaseDump, LoadReport, MariaDb, Mysql, Options, Server, Write, Writers, WritersOptions, check_journals,
    create_load_tables, dump, fill_load_tables,
};

const ACCOUNTS: u64 = 400;

/// How long the writers write; longer by `SERVER_SYNC_TEST_LOAD_SECONDS`.
fn seconds() -> u64 {
    std::env::var("SERVER_SYNC_TEST_LOAD_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60)
}

fn make(server: &Server, filled: bool) {
    server.create_database("crm").unwrap();
    create_load_tables(server, "crm").unwrap();
    if filled {
        fill_load_tables(server, "crm", ACCOUNTS).unwrap();
    }
}

fn writers(server: &Server, site: &str, number: u16) -> Writers {
    let duration = Duration::from_secs(seconds());
    Writers::start(server, "crm", WritersOptions { duration, ..WritersOptions::at(site, number, ACCOUNTS) }).unwrap()
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

fn check(initial: &DatabaseDump, geneva: &mut Site, lyon: &mut Site, reports: [LoadReport; 2]) {
    assert_same(geneva, lyon);
    let last = dump(&mut geneva.app(), "crm").unwrap();
    let conflicts = geneva.store.conflicts().unwrap();
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
    let report =
        check_journals(initial, &last, &journals, Duration::from_millis(50), |t, k, c| listed(&conflicts, t, k, c));
    println!("present {}, listed {}, superseded {}", report.present, report.listed, report.superseded);
    for violation in &report.violations {
        tell(initial, &journals, &[geneva, lyon], (&violation.table, violation.key));
    }
    report.assert_clean();
}

/// All that is known about a row that is not accounted for, and about its parent: for whoever looks into it.
fn tell(initial: &DatabaseDump, journals: &[Write], sites: &[&Site], (table, key): (&str, i64)) {
    let of_row = |w: &&Write| w.table == table && w.key == key;
    journals.iter().filter(of_row).for_each(|w| println!("{w:?}"));
    for site in sites {
        println!("{}: {table} {key}: {}", site.name, site.state(table, key));
    }
    if let Some(parent) = (table == "load_child").then(|| parent(initial, journals, key)).flatten() {
        tell(initial, journals, sites, ("load_account", parent));
    }
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

fn story(a: &Server, b: &Server) {
    make(a, true);
    make(b, false);
    let mut geneva = Site::prepare(a, "crm", "geneva", 1);
    // Half of the changes go the way of a backlog.
    let mut lyon = Site::prepare(b, "crm", "lyon", 2).with_backlog_from(20);
    support::sync(&mut geneva, &mut lyon);
    let initial = dump(&mut geneva.app(), "crm").unwrap();
    let until = Instant::now() + Duration::from_secs(seconds());
    let load = [writers(a, "geneva", 1), writers(b, "lyon", 2)];
    let during = rounds(&mut geneva, &mut lyon, &options("lyon"), until);
    let reports = load.map(|w| w.finish().unwrap());
    let after = rounds(&mut geneva, &mut lyon, &options("lyon"), Instant::now());
    println!("{during} rounds during the load, {after} after it");
    check(&initial, &mut geneva, &mut lyon, reports);
}

#[test]
fn nothing_is_lost_between_two_mariadb_servers() {
    let a = MariaDb::start(Options::new()).unwrap();
    let b = MariaDb::start(Options::new()).unwrap();
    story(&a, &b);
}

#[test]
fn nothing_is_lost_between_mariadb_and_mysql() {
    let Some(mysql) = Mysql::available() else { return };
    let a = MariaDb::start(Options::new()).unwrap();
    let b = mysql.start(Options::new()).unwrap();
    story(&a, &b);
}
