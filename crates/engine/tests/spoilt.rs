//! MariaDB keeps a copy of a table that it could not open rightly, because the connection that opened it was killed in
//! that moment, and each write through that copy fails (error 1064, 10.11). A round makes such copies be opened anew.
#![allow(clippy::unwrap_used)]

mod support;

use mysql::prelude::Queryable;
use support::{Pair, sync};
use sync_testbed::MariaDb;

const SCHEMA: &str = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))";

/// Has `t` opened by a connection that is stopped while it does that; it is stopped for its memory, at the same place each time.
fn spoil(pair: &Pair) {
    let mut app = pair.b.app();
    app.query_drop("FLUSH TABLES t").unwrap();
    app.query_drop("SET max_session_mem_used = 81920").unwrap();
    app.query_drop("DELETE FROM t WHERE id = 1").unwrap_err();
    let error = pair.b.app().query_drop("DELETE FROM t WHERE id = 1").unwrap_err().to_string();
    assert!(error.contains("trigger has an error in its body"), "{error}");
}

fn pair(name: &str) -> Pair<'static> {
    let mut pair = Pair::new(MariaDb::shared().unwrap(), name, SCHEMA);
    pair.a.run("INSERT INTO t VALUES (1, 'one'), (2, 'two')");
    pair.settle();
    pair
}

#[test]
fn what_comes_in_arrives_and_the_application_writes_again() {
    let mut pair = pair("spoilt");
    pair.a.run("UPDATE t SET v = 'uno' WHERE id = 1");
    spoil(&pair);
    sync(&mut pair.a, &mut pair.b);
    pair.b.run("UPDATE t SET v = 'due' WHERE id = 2");
    sync(&mut pair.a, &mut pair.b);
    assert_eq!(pair.one("SELECT GROUP_CONCAT(v ORDER BY id) FROM t"), "uno,due");
    pair.settle();
}

#[test]
fn triggers_can_be_renewed() {
    let mut pair = pair("spoilt_renewal");
    pair.b.run("ALTER TABLE t ADD COLUMN w INT");
    spoil(&pair);
    pair.b.reopen();
    pair.b.run("UPDATE t SET w = 7 WHERE id = 2");
    sync(&mut pair.a, &mut pair.b);
    pair.a.run("ALTER TABLE t ADD COLUMN w INT");
    pair.settle();
    assert_eq!(pair.one("SELECT w FROM t WHERE id = 2"), "7");
}
