//! kill -9 of the program at random moments under load, and a restart of either server in the middle of rounds: the
//! result is the same as without. The checker accounts for every committed write from the writers' own journals.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::{Pair, pair_on};
use sync_testbed::{
    Cell, DatabaseDump, LoadReport, MariaDb, Options, Server, Writers, WritersOptions, check_journals,
    create_load_tables, fill_load_tables, wait_until,
};

const ACCOUNTS: u64 = 300;

fn writers(server: &Server, database: &str, site: &str, number: u16, seconds: u64) -> Writers {
    let options = WritersOptions {
        duration: Duration::from_secs(seconds),
        slow_for: Duration::from_secs(3),
        ..WritersOptions::at(site, number, ACCOUNTS)
    };
    Writers::start(server, database, options).unwrap()
}

/// Both sites with the load's tables, in step; Geneva's were filled.
fn begin(sites: &Pair) -> DatabaseDump {
    for site in [&sites.geneva, &sites.lyon] {
        create_load_tables(site.server, &site.database).unwrap();
    }
    fill_load_tables(sites.geneva.server, &sites.geneva.database, ACCOUNTS).unwrap();
    sites.acquaint();
    sites.assert_same();
    sites.geneva.dump()
}

/// The losing values of a cell in the conflict list, as JSON shows it.
fn listed(entries: &[serde_json::Value], table: &str, key: i64, column: &str) -> Vec<Cell> {
    let of_row = |e: &&serde_json::Value| e["table"] == table && e["key"][0] == key;
    let value = |e: &serde_json::Value| {
        let at = e["columns"].as_array()?.iter().position(|c| c == column)?;
        Some(e["losing"].get(at)?.as_str().map_or(Cell::Null, Cell::text))
    };
    entries.iter().filter(of_row).filter_map(value).collect()
}

/// Rounds until one moves nothing, then the accounts.
fn account(sites: &Pair, initial: &DatabaseDump, reports: [LoadReport; 2]) {
    let settled = || {
        let said = sites.geneva.run(&["-force", "--json"]);
        let rounds = said.json("round");
        assert!(said.code == 0 || said.code == 3, "{}", said.all());
        let moved = |way: &serde_json::Value| way.as_object().unwrap().values().any(|t| t["rows"] != 0);
        !rounds.is_empty() && !rounds.iter().any(|r| moved(&r["received"]) || moved(&r["sent"]))
    };
    wait_until("nothing moves", Duration::from_secs(120), settled).unwrap();
    sites.assert_same();
    let entries = sites.geneva.run(&["conflicts", "list", "--all", "--json"]).json("conflict");
    let journals: Vec<_> = reports.into_iter().flat_map(|r| r.journal).collect();
    let last = sites.geneva.dump();
    let report =
        check_journals(initial, &last, &journals, Duration::from_millis(50), |t, k, c| listed(&entries, t, k, c));
    println!("present {}, listed {}, superseded {}", report.present, report.listed, report.superseded);
    report.assert_clean();
}

#[test]
fn killed_at_fifty_random_moments() {
    let (a, b) = (MariaDb::start(Options::new()).unwrap(), MariaDb::start(Options::new()).unwrap());
    let sites = pair_on(&a, &b);
    let initial = begin(&sites);
    let load = [writers(&a, &sites.geneva.database, "geneva", 1, 25), writers(&b, &sites.lyon.database, "lyon", 2, 25)];
    for kill in 0..50u64 {
        let mut running = sites.geneva.start(&["-force"]);
        // A moment that is different each time, spread over the length of a round: nothing is being waited for.
        std::thread::sleep(Duration::from_millis(kill * 7919 % 450));
        running.signal("KILL");
        running.end();
    }
    let reports = load.map(|w| w.finish().unwrap());
    account(&sites, &initial, reports);
}

#[test]
fn either_server_restarts_in_the_middle_of_rounds() {
    let (a, b) = (MariaDb::start(Options::new().durable()).unwrap(), MariaDb::start(Options::new().durable()).unwrap());
    let sites = pair_on(&a, &b);
    let initial = begin(&sites);
    let load = [writers(&a, &sites.geneva.database, "geneva", 1, 20), writers(&b, &sites.lyon.database, "lyon", 2, 20)];
    let mut daemon = sites.geneva.start(&["-daemon"]);
    for server in [&b, &a, &b] {
        let before = load[0].commits() + load[1].commits();
        let going = || load[0].commits() + load[1].commits() > before + 300;
        wait_until("people work", Duration::from_secs(60), going).unwrap();
        server.kill9().unwrap();
        server.start().unwrap();
    }
    let reports = load.map(|w| w.finish().unwrap());
    daemon.signal("TERM");
    daemon.end();
    account(&sites, &initial, reports);
}
