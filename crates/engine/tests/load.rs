//! Nothing lost under load: writers at both sites, rounds all the time, and a checker that accounts for every
//! committed write from the writers' own journals.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use support::{Accounts, Site, assert_same, options, rounds};
use sync_store::Store;
use sync_testbed::{
    DatabaseDump, LoadReport, MariaDb, Mysql, Options, Server, Writers, WritersOptions, create_load_tables, dump,
    fill_load_tables,
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

fn check<'s>(initial: &DatabaseDump, geneva: &mut Site<'s>, lyon: &mut Site<'s>, reports: [LoadReport; 2]) {
    // Told if the test fails: whether a row that one side lacks is there and not shown.
    println!("parked at geneva: {:?}, at lyon: {:?}", geneva.store.parked().unwrap(), lyon.store.parked().unwrap());
    assert_same(geneva, lyon);
    let last = dump(&mut geneva.app(), "crm").unwrap();
    Accounts { initial, last: &last }.check(&mut [geneva, lyon], reports.into());
}

fn story<'s>(a: &'s Server, b: &'s Server) {
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
fn nothing_is_lost_through_an_agent() {
    let [a, b] = [Options::new(), Options::new()].map(|options| MariaDb::start(options).unwrap());
    support::through_an_agent(|| story(&a, &b));
}

#[test]
fn nothing_is_lost_between_mariadb_and_mysql() {
    let Some(mysql) = Mysql::available() else { return };
    let a = MariaDb::start(Options::new()).unwrap();
    let b = mysql.start(Options::new()).unwrap();
    story(&a, &b);
}
