//! What a store asks its server: nothing twice, and a lock no longer than it is needed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod lone_card;
mod mysql_bench;

use std::sync::{Arc, Mutex};

use lone_card::card;
use mysql::prelude::Queryable;
use mysql_bench::servers;
use sync_core::Value;
use sync_database::sql::{EachRow, Sql};
use sync_database::{Connections, Database, UpgradeLock};
use sync_store::{Result, Store, Trouble};
use sync_testbed::Server;

/// A connection that remembers what it was asked.
struct Recorder {
    inner: Box<dyn Sql>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Sql for Recorder {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.asked.lock().unwrap().push(sql.to_owned());
        self.inner.execute(sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> Result<()> {
        self.asked.lock().unwrap().push(sql.to_owned());
        self.inner.query(sql, params, each)
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        self.asked.lock().unwrap().push(sql.to_owned());
        self.inner.run(sql)
    }
}

/// How many statements with these words were asked since the last call.
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn with<const N: usize>(&self, words: [&str; N]) -> [usize; N] {
        let asked = std::mem::take(&mut *self.0.lock().unwrap());
        words.map(|word| asked.iter().filter(|s| s.contains(word)).count())
    }
}

fn connections(server: &Server, name: &str) -> (Connections, Asked) {
    let Connections { writer: inner, reader, dialect, .. } = mysql_bench::connections(server, name);
    let asked = Arc::default();
    let writer = Recorder { inner, asked: Arc::clone(&asked) };
    (Connections::new(Box::new(writer), reader, dialect), Asked(asked))
}

const COUNTS: &str = "SHOW GLOBAL STATUS WHERE (";
const PENDING: &str = "WHERE EXISTS (SELECT 1 FROM";
const COLUMNS: &str = "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER";
const TRIGGERS: &str = "FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER";

#[test]
fn nothing_is_asked_twice() {
    for server in servers() {
        server.create_database("asked").unwrap();
        let mut app = server.root_in("asked").unwrap();
        app.query_drop("CREATE TABLE t (id INT PRIMARY KEY, a INT)").unwrap();
        drop(Database::prepare(connections(server, "asked").0, &card("geneva", 1)).unwrap());

        let (mut connections, asked) = connections(server, "asked");
        connections.require_privileges().unwrap();
        assert_eq!(asked.with([COLUMNS, TRIGGERS]), [0, 1], "privileges");
        let mut database = Database::open(connections).unwrap();
        database.drain().unwrap();
        assert_eq!(asked.with([COLUMNS, COUNTS, PENDING]), [1, 1, 1], "the first drain");
        database.drain().unwrap();
        asked.with([]);
        app.query_drop("INSERT INTO t VALUES (1, 1)").unwrap();
        assert_eq!(database.drain().unwrap().marks, 1);
        assert_eq!(asked.with([COLUMNS, COUNTS, PENDING]), [0, 1, 1], "a drain that has marks");
    }
}

/// Runs that follow one another at once, as an administrator's do, do not see the lock of the one before.
#[test]
fn the_upgrade_lock_is_free_once_it_is_dropped() {
    for server in servers() {
        server.create_database("upgraded").unwrap();
        let take = || UpgradeLock::take(mysql_bench::connections(server, "upgraded"));
        let mut look = mysql_bench::connections(server, "upgraded");
        let [_, held, _] = look.dialect.upgrade_lock().unwrap();
        let mut is_held = || look.writer.first(&format!("SELECT {held}"), &[]).unwrap().unwrap() != [Value::Null];
        for _ in 0..100 {
            let lock = take().unwrap();
            assert!(is_held());
            drop(lock);
            assert!(!is_held(), "{}", server.name());
        }
    }
}

/// A server notices after a moment only that who held the lock was killed; another upgrade lasts longer.
#[test]
fn the_upgrade_lock_of_who_was_killed_is_waited_for() {
    for server in servers() {
        server.create_database("killed").unwrap();
        let take = || UpgradeLock::take(mysql_bench::connections(server, "killed"));
        let held = take().unwrap().unwrap();
        assert_eq!(take().err().map(|e| e.trouble), Some(Trouble::Contention));
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(take);
            let mut root = server.root_in("killed").unwrap();
            let waits = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE='User lock' AND DB='killed'";
            while root.query_first::<u64, _>(waits).unwrap() == Some(0) && !waiting.is_finished() {}
            drop(held);
            waiting.join().unwrap()
        });
        assert!(waiting.unwrap().is_some());
    }
}
