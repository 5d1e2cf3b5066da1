//! The story suite's bench on MariaDB and MySQL: one server, one database a site.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use mysql::Conn;
use mysql::prelude::Queryable;
use sync_database::mysql::{Address, Tls, connect};
use sync_database::{Card, Database};
use sync_store::{Result, Store};
use sync_story::{Bench, BenchSite, Speech, names, schema};
use sync_testbed::Server;

use crate::story_card::card;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Sites on these servers, in turn.
pub struct Servers {
    servers: Vec<&'static Server>,
    /// With more marks than this a table is drained while it streams.
    backlog_from: Option<usize>,
}

impl Servers {
    pub fn of(servers: Vec<&'static Server>) -> Self {
        Servers { servers, backlog_from: None }
    }

    pub fn with_backlog_from(self, marks: usize) -> Self {
        Servers { backlog_from: Some(marks), ..self }
    }
}

/// One site: a database of a server.
pub struct Site {
    server: &'static Server,
    database: String,
    card: Card,
    app: Conn,
    store: Option<Database>,
    backlog_from: Option<usize>,
}

impl Bench for Servers {
    type Site = Site;

    fn sites(&self, count: usize) -> Vec<Site> {
        let names = names(count);
        let site = |i| Site::new(self.servers[i % self.servers.len()], &names, i, self.backlog_from);
        (0..count).map(site).collect()
    }

    fn speech(&self) -> Speech {
        Speech::MYSQL
    }
}

/// Where all stories share one server (a runner that gives each test a process of its own says so), their databases would
/// make every look at the schema slower.
impl Drop for Site {
    fn drop(&mut self) {
        self.store = None;
        if std::env::var_os("NEXTEST").is_none() {
            // What a failed story leaves behind does not matter.
            let _ = self.app.query_drop(format!("DROP DATABASE IF EXISTS `{}`", self.database));
        }
    }
}

impl Site {
    fn new(server: &'static Server, names: &[String], index: usize, backlog_from: Option<usize>) -> Self {
        let database = format!("story_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server.create_database(&database).unwrap();
        let mut app = server.root_in(&database).unwrap();
        for statement in schema(&Speech::MYSQL) {
            app.query_drop(&statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
        let card = card(names, index);
        Site { server, database, card, app, store: None, backlog_from }
    }

    fn address(&self) -> Address {
        Address {
            socket: Some(self.server.socket().to_owned()),
            database: self.database.clone(),
            user: "root".to_owned(),
            tls: Tls::Off,
            ..Address::default()
        }
    }

    fn open(&mut self, store: Database) {
        self.store = Some(match self.backlog_from {
            Some(marks) => store.with_backlog_from(marks),
            None => store,
        });
    }

    fn tables(&mut self, database: &str) -> Vec<String> {
        let query =
            "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA=? ORDER BY 1 DESC";
        self.app.exec(query, (database,)).unwrap()
    }
}

impl BenchSite for Site {
    type Copy = String;

    fn name(&self) -> &str {
        &self.card.site_name
    }

    fn prepare(&mut self) {
        let (store, _) = Database::prepare(connect(&self.address()).unwrap(), &self.card).unwrap();
        self.open(store);
    }

    fn adopt(&mut self) {
        let (store, _) = sync_database::seed::adopt(connect(&self.address()).unwrap(), &self.card).unwrap();
        self.open(store);
    }

    fn store(&mut self) -> &mut dyn Store {
        self.store.as_mut().expect("prepared")
    }

    fn declare(&mut self, tables: &[&str], progress: &mut dyn FnMut(&str, u64) -> Result<()>) -> Result<()> {
        let tables: Vec<String> = tables.iter().map(|t| (*t).to_owned()).collect();
        sync_database::declare::declare(self.store.as_mut().expect("prepared"), &tables, progress).map(drop)
    }

    fn app(&mut self, sql: &str) {
        self.app.query_drop(sql).unwrap_or_else(|e| panic!("{}: {sql:.300}: {e}", self.card.site_name));
    }

    fn behind(&mut self, sql: &str) {
        self.app("SET @server_sync_applying = 1");
        self.app(sql);
        self.app("SET @server_sync_applying = NULL");
    }

    fn rows(&mut self, sql: &str) -> Vec<String> {
        let rows: Vec<mysql::Row> = self.app.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let text = |v: mysql::Value| match v {
            mysql::Value::NULL => "NULL".to_owned(),
            other => mysql::from_value::<String>(other),
        };
        rows.into_iter().map(|r| r.unwrap().into_iter().map(text).collect::<Vec<_>>().join("|")).collect()
    }

    fn dump(&mut self) -> BTreeMap<String, Vec<String>> {
        let dump = sync_testbed::dump(&mut self.app, &self.database).unwrap();
        let lines = |t: sync_testbed::TableDump| {
            let mut order: Vec<usize> = (0..t.columns.len()).collect();
            order.sort_by_key(|i| &t.columns[*i]);
            let cell = |row: &[sync_testbed::Cell], i: usize| format!("{}={:?}", t.columns[i], row[i]);
            t.rows.iter().map(|r| order.iter().map(|i| cell(r, *i)).collect::<Vec<_>>().join(", ")).collect()
        };
        dump.into_iter().map(|(name, table)| (name, lines(table))).collect()
    }

    fn marks(&mut self) -> u64 {
        let tables = self.tables(&self.database.clone());
        let marks = tables.into_iter().filter(|t| t.starts_with("server_sync_mark_"));
        marks.map(|t| self.app.query_first::<u64, _>(format!("SELECT COUNT(*) FROM `{t}`")).unwrap().unwrap()).sum()
    }

    fn parked(&mut self) -> u64 {
        self.app.query_first("SELECT COUNT(*) FROM server_sync_parked").unwrap().unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        self.open(Database::open(connect(&self.address()).unwrap()).unwrap());
    }

    fn writer(&mut self) -> Box<dyn FnMut(&str) + Send> {
        let mut connection = self.server.root_in(&self.database).unwrap();
        Box::new(move |sql| connection.query_drop(sql).unwrap())
    }

    fn cutter(&mut self) -> Box<dyn FnMut() + Send> {
        let mut killer = self.server.root().unwrap();
        let app = self.app.connection_id();
        let database = self.database.clone();
        Box::new(move || {
            let query = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB=? AND ID<>?";
            let ids: Vec<u64> = killer.exec(query, (&database, app)).unwrap();
            ids.into_iter().for_each(|id| killer.query_drop(format!("KILL {id}")).unwrap());
        })
    }

    fn copy(&mut self) -> String {
        let copy = format!("copy_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.server.create_database(&copy).unwrap();
        for table in self.tables(&self.database.clone()) {
            self.app(&format!("CREATE TABLE `{copy}`.`{table}` LIKE `{table}`"));
            self.app(&format!("INSERT INTO `{copy}`.`{table}` SELECT * FROM `{table}`"));
        }
        copy
    }

    /// Schema and triggers are the same in the copy, so only rows are put back: uncaptured, those of triggers last.
    fn put_back(&mut self, copy: &String) {
        self.store = None;
        self.app("SET foreign_key_checks=0, @server_sync_applying=1");
        for table in self.tables(&copy.clone()) {
            self.app(&format!("TRUNCATE `{table}`"));
            self.app(&format!("INSERT INTO `{table}` SELECT * FROM `{copy}`.`{table}`"));
        }
        self.app("SET foreign_key_checks=1, @server_sync_applying=NULL");
        self.reopen();
    }
}
