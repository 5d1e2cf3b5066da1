//! A store with nothing to do does not look at its schema in every round. Whatever changes the schema must be noticed
//! by its next drain all the same, and at the latest before a row moves. One test: any schema statement on a server ends
//! the rest of every store there.
#![allow(clippy::unwrap_used, clippy::panic)]

mod mysql_bench;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_bench::servers;
use sync_core::{Incarnation, SiteId, Source, StoreId, Value};
use sync_database::mysql::{Address, Tls, connect};
use sync_database::sql::{EachRow, Sql};
use sync_database::{Card, Connections, Database};
use sync_store::batch::baseline_row;
use sync_store::{Batch, Change, Mode, Role, SlaveSettings, Store, TableHead, Trouble};
use sync_testbed::{Server, wait_until};

/// A connection that notes whether the schema was looked at, and whether it was read.
struct Watched {
    inner: Box<dyn Sql>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    looked: AtomicBool,
    read: AtomicBool,
}

impl Sql for Watched {
    fn execute(&mut self, sql: &str, params: &[Value]) -> sync_store::Result<u64> {
        self.inner.execute(sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> sync_store::Result<()> {
        self.seen.looked.fetch_or(sql.contains("information_schema"), Ordering::Relaxed);
        self.seen.read.fetch_or(sql.contains("KEY_COLUMN_USAGE"), Ordering::Relaxed);
        self.inner.query(sql, params, each)
    }

    fn run(&mut self, sql: &str) -> sync_store::Result<()> {
        self.inner.run(sql)
    }
}

/// A prepared store at rest, and the application.
struct Site {
    store: Database,
    seen: Arc<Seen>,
    app: Conn,
}

const DATABASE: &str = "vigil";

/// How long a condition may take to come true.
const LIMIT: Duration = Duration::from_secs(60);

impl Site {
    fn new(server: &Server) -> Self {
        server.create_database(DATABASE).unwrap();
        let mut app = server.root_in(DATABASE).unwrap();
        for statement in [
            "CREATE TABLE parent (id INT PRIMARY KEY, a INT)",
            "CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(20), KEY (a))",
            "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY)",
            "CREATE TABLE old (id INT PRIMARY KEY)",
        ] {
            app.query_drop(statement).unwrap();
        }
        let (store, seen) = prepare(server);
        Site { store, seen, app }
    }

    /// Drains until it does so several times without a look at the schema.
    fn rest(&mut self) {
        let mut quiet = 0;
        let rests = || {
            self.seen.looked.store(false, Ordering::Relaxed);
            self.store.drain().unwrap();
            quiet = if self.seen.looked.load(Ordering::Relaxed) { 0 } else { quiet + 1 };
            quiet == 5
        };
        wait_until("drains without a look at the schema", LIMIT, rests).unwrap();
        self.seen.read.store(false, Ordering::Relaxed);
    }

    /// Whether the next drain reads the schema anew.
    fn notices(&mut self) -> bool {
        self.store.drain().unwrap();
        self.seen.read.load(Ordering::Relaxed)
    }
}

fn prepare(server: &Server) -> (Database, Arc<Seen>) {
    let card = Card {
        site: SiteId::new(1).unwrap(),
        site_name: "geneva".to_owned(),
        vd: DATABASE.to_owned(),
        vd_version: "1".to_owned(),
        role: Role::Slave(SlaveSettings { masters: vec!["lyon".to_owned()] }),
        rules: sync_database::Rules::default(),
    };
    let socket = Some(server.socket().to_owned());
    let (database, user) = (DATABASE.to_owned(), "root".to_owned());
    let connections = connect(&Address { socket, database, user, tls: Tls::Off, ..Address::default() }).unwrap();
    let seen = Arc::new(Seen::default());
    let writer = Watched { inner: connections.writer, seen: seen.clone() };
    let connections = Connections::new(Box::new(writer), connections.reader, connections.dialect);
    (Database::prepare(connections, &card).unwrap().0, seen)
}

/// Every kind of change; each leaves the schema fit for the next.
const CHANGES: [&str; 17] = [
    "ALTER TABLE t ADD COLUMN c INT",
    "ALTER TABLE t CHANGE c d INT",
    "ALTER TABLE t MODIFY d BIGINT",
    "ALTER TABLE t DROP COLUMN d",
    "ALTER TABLE t ADD UNIQUE u (b)",
    "ALTER TABLE t DROP KEY u",
    "CREATE UNIQUE INDEX v ON t (b)",
    "DROP INDEX v ON t",
    "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES parent (id) ON DELETE CASCADE",
    "ALTER TABLE t DROP FOREIGN KEY f",
    "CREATE TABLE fresh (id INT PRIMARY KEY)",
    "RENAME TABLE fresh TO renamed",
    "ALTER TABLE renamed RENAME TO again",
    "DROP TABLE again",
    "CREATE TRIGGER g AFTER UPDATE ON t FOR EACH ROW INSERT INTO log () VALUES ()",
    "DROP TRIGGER g",
    "DROP TABLE old",
];

#[test]
fn every_change_of_the_schema_is_noticed() {
    for server in servers() {
        let way = |name| format!("{name} on {}", server.name());
        let mut site = Site::new(server);
        directly(&mut site, &way("directly"));
        let mut site = Site::new(server);
        prepared(&mut site, &way("prepared"));
        let mut site = Site::new(server);
        in_a_routine(&mut site, &way("in a routine"));
        late(&mut Site::new(server), server);
    }
}

fn directly(site: &mut Site, way: &str) {
    for change in CHANGES {
        site.rest();
        site.app.query_drop(change).unwrap();
        assert!(site.notices(), "{way}: {change}");
    }
}

/// MySQL prepares no statement that makes or drops a trigger.
fn prepared(site: &mut Site, way: &str) {
    for change in CHANGES.iter().filter(|c| !c.contains("TRIGGER")) {
        site.rest();
        site.app.query_drop(format!("PREPARE s FROM '{change}'")).unwrap();
        site.app.query_drop("EXECUTE s").unwrap();
        assert!(site.notices(), "{way}: {change}");
    }
}

/// Routines make no triggers.
fn in_a_routine(site: &mut Site, way: &str) {
    for (n, change) in CHANGES.iter().filter(|c| !c.contains("TRIGGER")).enumerate() {
        site.app.query_drop(format!("CREATE PROCEDURE p{n}() BEGIN {change}; END")).unwrap();
        site.rest();
        site.app.query_drop(format!("CALL p{n}()")).unwrap();
        assert!(site.notices(), "{way}: {change}");
    }
}

/// A statement that began long ago, and ends while the store is at rest: no row is written past the new trigger.
fn late(site: &mut Site, server: &Server) {
    site.app.query_drop("INSERT INTO t VALUES (1, 1, 'a')").unwrap();
    site.rest();
    site.app.query_drop("START TRANSACTION").unwrap();
    let _: Vec<i32> = site.app.query("SELECT id FROM t").unwrap();
    let (sender, ended) = mpsc::channel();
    let mut other = server.root_in(DATABASE).unwrap();
    let waiting = thread::spawn(move || {
        other.query_drop("CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW INSERT INTO log () VALUES ()").unwrap();
        sender.send(()).unwrap();
    });
    let mut observer = server.root().unwrap();
    let query = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table%lock'";
    let is_waiting = || observer.query_first::<u64, _>(query).unwrap() == Some(1);
    wait_until("the trigger waits for the table", LIMIT, is_waiting).unwrap();
    site.rest();
    assert!(ended.try_recv().is_err(), "the store was at rest before the trigger was there");
    site.app.query_drop("COMMIT").unwrap();
    waiting.join().unwrap();
    let error = site.store.apply(&batch(), Mode::Write).unwrap_err();
    assert_eq!(error.trouble, Trouble::SchemaChanged, "{error}");
    assert!(site.store.drain().unwrap().notes.iter().any(|n| n.contains("guarded")));
    site.store.apply(&batch(), Mode::Write).unwrap();
    let counts: Option<(u64, u64)> =
        site.app.query_first("SELECT (SELECT COUNT(*) FROM t), (SELECT COUNT(*) FROM log)").unwrap();
    assert_eq!(counts, Some((2, 0)));
}

fn batch() -> Batch {
    let columns = ["id", "a", "b"].map(str::to_owned).to_vec();
    let key = vec![Value::Int(2)];
    let row = baseline_row(vec![Value::Int(2), Value::Int(2), Value::text("b")]);
    Batch {
        sender: Source { store: StoreId(7), incarnation: Incarnation(7) },
        upto: None,
        more: false,
        heads: vec![TableHead { name: "t".to_owned(), columns }],
        changes: vec![Change { table: 0, key, row }],
        contents: Vec::new(),
    }
}
