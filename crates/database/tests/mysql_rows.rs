//! Reading rows by their keys beside an application that never stops writing to one of them. The same on SQLite:
//! `sqlite_drain.rs`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod eager;
mod lone_card;
mod mysql_bench;

use mysql::prelude::Queryable;
use mysql_bench::{connections, servers};

const DATABASE: &str = "rows_read";

#[test]
fn a_row_is_read_though_the_application_never_stops_writing_to_it() {
    for server in servers() {
        println!("{}", server.name());
        server.create_database(DATABASE).unwrap();
        let mut app = server.root_in(DATABASE).unwrap();
        app.query_drop("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(200))").unwrap();
        app.query_drop("INSERT INTO t VALUES (1, ''), (2, 'quiet')").unwrap();
        let write = move || app.query_drop("UPDATE t SET a=CONCAT(a, 'x') WHERE id=1").unwrap();
        eager::reads_a_busy_row(eager::beside(|| connections(server, DATABASE), write), "t");
    }
}
