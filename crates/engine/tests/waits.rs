//! Which of two writes is the later one does not depend on how long a round waits for a row that the application holds.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use mysql::prelude::Queryable;
use support::{Pair, sync};
use sync_testbed::{Server, on_both_servers, wait_until};

const SCHEMA: &str = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))";

const LIMIT: Duration = Duration::from_secs(30);

on_both_servers!(on_mariadb, on_mysql, what_is_written_while_a_round_waits_is_as_late_as_it_is);

fn what_is_written_while_a_round_waits_is_as_late_as_it_is(server: &Server) {
    let mut pair = Pair::new(server, "waits", SCHEMA);
    pair.a.run("INSERT INTO t VALUES (1, ''), (2, '')");
    pair.settle();
    let (mut holder, mut geneva, mut lyon) = (pair.a.app(), pair.a.app(), pair.b.app());
    holder.query_drop("BEGIN").unwrap();
    let _: Vec<mysql::Row> = holder.query("SELECT * FROM t WHERE id=1 FOR UPDATE").unwrap();
    lyon.query_drop("UPDATE t SET v='lyon, first'").unwrap();
    std::thread::scope(|scope| {
        let round = scope.spawn(|| sync(&mut pair.a, &mut pair.b));
        let tried = rolled_back(&mut geneva) + 2;
        wait_until("the round waits", LIMIT, || rolled_back(&mut geneva) >= tried).unwrap();
        // More than the second that a mark may be ahead of the clock.
        let later = now(&mut geneva) + 1_100_000;
        wait_until("it has waited long", LIMIT, || now(&mut geneva) > later).unwrap();
        lyon.query_drop("UPDATE t SET v='lyon, second' WHERE id=2").unwrap();
        let later = now(&mut geneva) + 5_000;
        wait_until("a moment", LIMIT, || now(&mut geneva) > later).unwrap();
        geneva.query_drop("UPDATE t SET v='geneva, last' WHERE id=2").unwrap();
        holder.query_drop("COMMIT").unwrap();
        round.join().unwrap();
    });
    pair.settle();
    assert_eq!(pair.one("SELECT v FROM t WHERE id=2"), "geneva, last");
}

/// The server's clock in microseconds.
fn now(server: &mut mysql::Conn) -> i64 {
    server.query_first("SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)").unwrap().unwrap()
}

/// How often any transaction of the server was rolled back: a round that finds a row held does that, and tries again.
fn rolled_back(server: &mut mysql::Conn) -> i64 {
    server.query_first("SHOW GLOBAL STATUS LIKE 'Com_rollback'").unwrap().map(|(_, n): (String, i64)| n).unwrap()
}
