//! What a round with nothing to do asks of the servers, as these count it. A count is no time: it does not depend on the machine.
#![allow(clippy::unwrap_used)]

mod support;

use mysql::prelude::Queryable;
use support::{Site, run_all, sync};
use sync_testbed::{MariaDb, Options, Server};

/// Statements of each side in a quiet round at most.
const GOAL: u64 = 10;

/// So many tables: each costs nothing.
const TABLES: usize = 50;

fn site<'a>(server: &'a Server, name: &'static str, number: u64) -> Site<'a> {
    server.create_database(name).unwrap();
    let table = |n: usize| format!("CREATE TABLE t{n} (id INT PRIMARY KEY, v VARCHAR(20));");
    run_all(&mut server.root_in(name).unwrap(), &(0..TABLES).map(table).collect::<String>());
    Site::prepare(server, name, name, number)
}

/// How many statements a server was asked, this one among them.
fn asked(server: &Server) -> u64 {
    let row: Option<(String, u64)> = server.root().unwrap().query_first("SHOW GLOBAL STATUS LIKE 'Questions'").unwrap();
    row.unwrap().1
}

/// What asking costs: a connection's own statements.
fn cost(server: &Server) -> u64 {
    let before = asked(server);
    asked(server) - before
}

#[test]
fn a_quiet_round_asks_each_side_ten_statements_at_most() {
    let (a, b) = (MariaDb::start(Options::new()).unwrap(), MariaDb::start(Options::new()).unwrap());
    let (mut geneva, mut lyon) = (site(&a, "geneva", 1), site(&b, "lyon", 2));
    geneva.run("INSERT INTO t0 SELECT seq, 'v' FROM seq_1_to_100");
    while !sync(&mut geneva, &mut lyon).is_quiet() {}
    sync(&mut geneva, &mut lyon);
    let costs = [&a, &b].map(cost);
    let before = [&a, &b].map(asked);
    assert!(sync(&mut geneva, &mut lyon).is_quiet());
    let after = [&a, &b].map(asked);
    for (i, name) in ["master", "slave"].into_iter().enumerate() {
        let count = after[i] - before[i] - costs[i];
        println!("{name}: {count} statements");
        assert!((1..=GOAL).contains(&count), "a quiet round asks the {name} {count} statements");
    }
}
