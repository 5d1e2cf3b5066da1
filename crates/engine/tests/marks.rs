//! Marks that are easily lost: of keys that sort alike, and those that only say that something went unmarked.
#![allow(clippy::unwrap_used)]

mod support;

use mysql::prelude::Queryable;
use support::{Site, assert_same, options, sync};
use sync_engine::report::Event;
use sync_engine::{RoundReport, Watch, round};
use sync_store::Store;
use sync_testbed::{MariaDb, Mysql, Server};

/// Runs a test on each server there is.
fn each(test: impl Fn(&Server)) {
    let mysql = Mysql::shared().unwrap();
    std::iter::once(MariaDb::shared().unwrap()).chain(mysql).for_each(test);
}

/// Two sites on one server, in step; both have the row ('abc', 1).
fn sites<'a>(server: &'a Server, name: &str) -> (Site<'a>, Site<'a>) {
    let [a, b] = [("geneva", 1), ("lyon", 2)].map(|(site, number)| {
        let database = format!("{name}_{site}");
        server.create_database(&database).unwrap();
        let mut app = server.root_in(&database).unwrap();
        app.query_drop("CREATE TABLE t (code VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)").unwrap();
        if number == 1 {
            app.query_drop("INSERT INTO t VALUES ('abc', 1)").unwrap();
        }
        Site::prepare(server, &database, site, number)
    });
    let (mut geneva, mut lyon) = (a, b);
    sync(&mut geneva, &mut lyon);
    (geneva, lyon)
}

/// The application writes just after both sites were drained.
struct Meanwhile<'a> {
    app: mysql::Conn,
    statements: &'a [&'a str],
}

impl Watch for Meanwhile<'_> {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Agreed { .. } = event {
            self.statements.iter().for_each(|s| self.app.query_drop(s).unwrap());
        }
    }
}

#[test]
fn a_row_whose_key_sorts_like_that_of_an_incoming_row_keeps_its_marks() {
    each(|server| {
        let (mut geneva, mut lyon) = sites(server, "alike");
        geneva.run("UPDATE t SET v = 2");
        let statements = ["DELETE FROM t", "INSERT INTO t VALUES ('ABC', 3)"];
        let mut meanwhile = Meanwhile { app: lyon.app(), statements: &statements };
        // Lyon is the master, so that it applies before it sends.
        round(&mut lyon.store as &mut dyn Store, &mut geneva.store, &options(geneva.name), &mut meanwhile).unwrap();
        sync(&mut geneva, &mut lyon);
        assert_same(&geneva, &lyon);
        assert_eq!(geneva.one("SELECT GROUP_CONCAT(code, v) FROM t"), "ABC3");
    });
}

#[test]
fn a_table_with_an_unmarked_change_is_compared_once() {
    each(|server| {
        let (mut geneva, mut lyon) = sites(server, "unmarked");
        let mut app = lyon.app();
        for statement in [
            "SET @server_sync_applying = 1",
            "UPDATE t SET v = 5",
            "INSERT INTO t VALUES ('x', 6)",
            "INSERT INTO server_sync_mark_1 (id, op, at) VALUES (UUID_SHORT(), 4, UTC_TIMESTAMP(6))",
        ] {
            app.query_drop(statement).unwrap();
        }
        let report: RoundReport = sync(&mut geneva, &mut lyon);
        assert!(report.compared && report.notes.iter().any(|n| n.contains("unmarked")), "{:?}", report.notes);
        assert_same(&geneva, &lyon);
        assert_eq!(geneva.one("SELECT COUNT(*) FROM t"), "2");
        assert!(!sync(&mut geneva, &mut lyon).compared);
        assert_eq!(lyon.one("SELECT COUNT(*) FROM server_sync_mark_1"), "0");
    });
}

/// Somebody else publishes in the sender's store while its backlog streams.
struct Intruder<'a, 'b> {
    site: &'a mut Site<'b>,
    came: bool,
}

impl Watch for Intruder<'_, '_> {
    fn event(&mut self, event: Event<'_>) {
        if let (Event::Rows { .. }, false) = (event, self.came) {
            self.came = true;
            self.site.run("UPDATE t SET v = 3 WHERE code IN ('abc', 'k1', 'k2999')");
            self.site.store.drain().unwrap();
        }
    }
}

#[test]
fn a_backlog_that_somebody_else_drains_meanwhile_is_sent_whole() {
    each(|server| {
        let (geneva, mut lyon) = sites(server, "intruded");
        let rows: Vec<String> = (1..=3000).map(|n| format!("('k{n}', {n})")).collect();
        geneva.run(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
        let mut geneva = geneva.with_backlog_from(100);
        let mut other = Site::prepare(server, &geneva.database, "geneva", 1);
        let mut intruder = Intruder { site: &mut other, came: false };
        let report = round(&mut geneva.store as &mut dyn Store, &mut lyon.store, &options(lyon.name), &mut intruder);
        assert!(intruder.came && report.unwrap().pushed.total().inserted == 3000);
        sync(&mut geneva, &mut lyon);
        assert_same(&geneva, &lyon);
        assert_eq!(lyon.one("SELECT COUNT(*) FROM t WHERE v = 3 AND code IN ('abc', 'k1', 'k2999')"), "3");
        assert!(sync(&mut geneva, &mut lyon).is_quiet());
    });
}
