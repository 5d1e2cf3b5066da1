//! An authoritative restore is taken over while the application at the receiving site holds a row: all else goes on.
#![allow(clippy::unwrap_used)]

mod support;

use mysql::prelude::Queryable;
use support::Pair;
use support::try_round;
use sync_database::declare;
use sync_testbed::{Server, on_both_servers};

const SCHEMA: &str = "CREATE TABLE first (id INT PRIMARY KEY, v INT); CREATE TABLE second (id INT PRIMARY KEY, v INT)";

on_both_servers!(on_mariadb, on_mysql, only_a_row_that_the_application_holds_waits);

fn only_a_row_that_the_application_holds_waits(server: &Server) {
    let mut pair = Pair::new(server, "held", SCHEMA);
    let rows: Vec<String> = (1..=600).map(|n| format!("({n}, 0)")).collect();
    pair.a.run(&format!("INSERT INTO first VALUES {}", rows.join(",")));
    pair.a.run("INSERT INTO second VALUES (1, 0), (2, 0)");
    pair.settle();
    // As a backup is put back from before.
    let mut app = pair.a.app();
    app.query_drop("SET @server_sync_applying=1").unwrap();
    app.query_drop("DELETE FROM first").unwrap();
    app.query_drop("DELETE FROM second WHERE id=1").unwrap();
    declare::declare(&mut pair.a.store, &[], &mut |_, _| Ok(())).unwrap();

    let mut other = pair.b.app();
    other.query_drop("BEGIN").unwrap();
    let _: Vec<mysql::Row> = other.query("SELECT * FROM first WHERE id=100 FOR UPDATE").unwrap();
    let options = support::options("lyon");
    assert!(try_round(&mut pair.a, &mut pair.b, &options).is_none());
    assert_eq!(pair.b.one("SELECT GROUP_CONCAT(id) FROM first"), "100");
    assert_eq!(pair.b.one("SELECT GROUP_CONCAT(id) FROM second"), "2");
    other.query_drop("COMMIT").unwrap();
    pair.settle();
    assert_eq!(pair.b.one("SELECT COUNT(*) FROM first"), "0");
}
