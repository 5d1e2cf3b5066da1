//! Writers and checker together on real servers: an honest server passes, a tampered state does not.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use mysql::prelude::Queryable;
use sync_fixture::Size;
use sync_testbed::{
    CheckReport, DatabaseDump, LoadReport, MariaDb, Options, Server, Writers, WritersOptions, check_journals,
    create_crm, create_load_tables, dump, fill_load_tables, on_both_servers, wait_until,
};

const ACCOUNTS: u64 = 200;
const CRM: Size = Size::companies(20);
const LIMIT: Duration = Duration::from_secs(120);

fn prepared(server: &Server, database: &str) -> DatabaseDump {
    create_crm(server, database, CRM, 1).unwrap();
    create_load_tables(server, database).unwrap();
    fill_load_tables(server, database, ACCOUNTS).unwrap();
    read(server, database)
}

fn read(server: &Server, database: &str) -> DatabaseDump {
    dump(&mut server.root().unwrap(), database).unwrap()
}

/// Ends when told to, not by time: the tests wait for what they need.
fn options() -> WritersOptions {
    WritersOptions {
        duration: Duration::from_secs(600),
        slow: 20,
        slow_for: Duration::from_millis(300),
        ..WritersOptions::at("geneva", 3, ACCOUNTS)
    }
}

fn check(initial: &DatabaseDump, last: &DatabaseDump, report: &LoadReport) -> CheckReport {
    check_journals(initial, last, &report.journal, Duration::ZERO, |_, _, _| Vec::new())
}

fn honest_load(server: &Server) {
    let initial = prepared(server, "load");
    let folder = tempfile::tempdir().unwrap();
    let options = WritersOptions { crm: Some((CRM, 2)), journals: Some(folder.path().to_owned()), ..options() };
    let writers = Writers::start(server, "load", options).unwrap();
    wait_until("2000 commits", LIMIT, || writers.commits() >= 2000).unwrap();
    writers.stop();
    let report = writers.finish().unwrap();
    assert_eq!(report.errors, [""; 0]);
    assert_eq!((report.uncertain, report.lost_connections), (0, 0));
    assert!(report.rollbacks > 0 && report.slowest > Duration::ZERO && !report.slowest_statement.is_empty());
    let last = read(server, "load");
    check(&initial, &last, &report).assert_clean();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 16);

    let tampered = [
        ("DELETE FROM load_account WHERE id % 64 = 3 LIMIT 1", "nobody deleted"),
        ("INSERT INTO load_account (id) VALUES (5)", "nobody inserted"),
        ("UPDATE load_account SET a = 'geneva/w0/999999' WHERE a LIKE 'geneva%' LIMIT 1", "nobody committed"),
        (
            "UPDATE load_account SET b = CONCAT('start/b/', id) WHERE b LIKE 'geneva%' AND id % 64 = 0 LIMIT 1",
            "is back",
        ),
        ("UPDATE load_child SET v = NULL LIMIT 1", "nobody committed"),
    ];
    for (change, expected) in tampered {
        let mut root = server.root_in("load").unwrap();
        root.query_drop("START TRANSACTION").unwrap();
        root.query_drop(change).unwrap();
        assert_eq!(root.affected_rows(), 1, "{change}");
        root.query_drop("COMMIT").unwrap();
        let found = check(&initial, &read(server, "load"), &report).violations;
        assert!(found.iter().any(|found| found.reason.contains(expected)), "{change}: {found:?}");
    }
}

on_both_servers!(
    every_committed_write_is_accounted_for_on_mariadb,
    every_committed_write_is_accounted_for_on_mysql,
    honest_load
);

#[test]
fn writers_live_through_a_killed_server_and_know_what_is_uncertain() {
    let server = MariaDb::start(Options::new()).unwrap();
    let initial = prepared(&server, "load");
    let writers = Writers::start(&server, "load", options()).unwrap();
    for _ in 0..4 {
        let before = writers.commits();
        wait_until("more commits", LIMIT, || writers.commits() >= before + 200).unwrap();
        server.kill9().unwrap();
        server.start().unwrap();
    }
    let before = writers.commits();
    wait_until("more commits", LIMIT, || writers.commits() >= before + 200).unwrap();
    writers.stop();
    let report = writers.finish().unwrap();
    assert!(report.lost_connections >= 4, "{}", report.lost_connections);
    assert_eq!(report.errors, [""; 0]);
    check(&initial, &read(&server, "load"), &report).assert_clean();
}
