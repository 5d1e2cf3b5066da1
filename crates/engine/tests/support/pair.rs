//! Two databases of one server as two sites, and stories that are told on every kind of server.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mysql::Conn;
use mysql::prelude::Queryable;
use sync_engine::RoundReport;
use sync_testbed::{Flavour, Server};

use super::{Site, assert_same, sync};

/// Geneva, the master, and Lyon.
pub struct Pair<'a> {
    pub a: Site<'a>,
    pub b: Site<'a>,
}

impl<'a> Pair<'a> {
    /// Two databases `name_a` and `name_b` with the same schema, prepared, after a first round.
    pub fn new(server: &'a Server, name: &str, schema: &str) -> Self {
        Self::between(server, server, name, schema)
    }

    /// The same on two servers.
    pub fn between(a: &'a Server, b: &'a Server, name: &str, schema: &str) -> Self {
        let mut pair = Self::filled(a, b, name, [schema, schema]);
        pair.sync();
        pair
    }

    /// Two databases that may differ, prepared; no round yet.
    pub fn filled(a: &'a Server, b: &'a Server, name: &str, schemas: [&str; 2]) -> Self {
        let [left, right] = ["a", "b"].map(|side| format!("{name}_{side}"));
        create(a, &left, schemas[0]);
        create(b, &right, schemas[1]);
        Pair { a: Site::prepare(a, &left, "geneva", 1), b: Site::prepare(b, &right, "lyon", 2) }
    }

    pub fn flavour(&self) -> Flavour {
        self.a.server.flavour()
    }

    pub fn is_mysql(&self) -> bool {
        self.flavour() == Flavour::Mysql
    }

    /// One round.
    pub fn sync(&mut self) -> RoundReport {
        sync(&mut self.a, &mut self.b)
    }

    /// One round, after which both are equal and a second round has nothing to do.
    #[track_caller]
    pub fn settle(&mut self) -> RoundReport {
        let report = self.sync();
        self.assert_same();
        assert!(self.sync().is_quiet(), "a second round moved rows");
        report
    }

    #[track_caller]
    pub fn assert_same(&self) {
        assert_same(&self.a, &self.b);
    }

    /// What is written after this is later, also in milliseconds, which stamps count.
    pub fn tick(&self) {
        let clock = || self.a.one("SELECT FLOOR(UNIX_TIMESTAMP(SYSDATE(3)) * 1000)");
        let before = clock();
        sync_testbed::wait_until("the next millisecond", Duration::from_secs(5), || clock() != before).unwrap();
    }

    /// A statement at both sites.
    pub fn run_at_both(&self, statement: &str) {
        self.a.run(statement);
        self.b.run(statement);
    }

    /// What a query gives at either site, which must be the same.
    #[track_caller]
    pub fn one(&self, query: &str) -> String {
        let (a, b) = (self.a.one(query), self.b.one(query));
        assert_eq!(a, b, "{query}");
        a
    }
}

fn create(server: &Server, database: &str, schema: &str) {
    server.create_database(database).unwrap();
    let mut connection = server.root_in(database).unwrap();
    run_all(&mut connection, schema);
}

/// Statements separated by `;` at the end of a line.
pub fn run_all(connection: &mut Conn, statements: &str) {
    for statement in statements.split(";\n").map(|s| s.trim().trim_end_matches(';')).filter(|s| !s.is_empty()) {
        let result = connection.query_drop(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
}

/// A name and what is told of a server.
pub type Story = (&'static str, fn(&Server));

/// Tells each story, and says at the end which failed. `SERVER_SYNC_TEST_STORY` chooses some by a part of their names.
#[track_caller]
pub fn stories(server: &Server, list: &[Story]) {
    let chosen = std::env::var("SERVER_SYNC_TEST_STORY").unwrap_or_default();
    let mut failed = Vec::new();
    for (name, story) in list.iter().filter(|(name, _)| name.contains(&chosen)) {
        let started = Instant::now();
        let told = catch_unwind(AssertUnwindSafe(|| story(server)));
        println!(
            "{name} on {:?}: {} in {:?}",
            server.flavour(),
            if told.is_ok() { "ok" } else { "FAILED" },
            started.elapsed()
        );
        if told.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "on {:?} these failed: {}", server.flavour(), failed.join(", "));
}
