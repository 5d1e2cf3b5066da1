//! Sites in SQLite files for the story suite: one file a site, the application on a connection of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sync_database::sqlite::connect;
use sync_database::{Card, Database};
use sync_store::{Result, Store};
use sync_story::{Bench, BenchSite, Speech, names, schema};
use tempfile::TempDir;

use crate::story_card::card;

/// Sites in files.
pub struct Files;

/// One site: a file in a folder of its own.
pub struct Site {
    folder: TempDir,
    card: Card,
    app: Option<Connection>,
    store: Option<Database>,
}

impl Bench for Files {
    type Site = Site;

    fn sites(&self, count: usize) -> Vec<Site> {
        let names = names(count);
        (0..count).map(|i| Site::new(&names, i)).collect()
    }

    fn speech(&self) -> Speech {
        Speech::SQLITE
    }
}

impl Site {
    fn new(names: &[String], index: usize) -> Self {
        let card = card(names, index);
        let mut site = Site { folder: tempfile::tempdir().unwrap(), card, app: None, store: None };
        site.open_app();
        let app = site.app.as_ref().unwrap();
        app.execute_batch("PRAGMA journal_mode=WAL").unwrap();
        schema(&Speech::SQLITE).iter().for_each(|s| app.execute_batch(s).unwrap_or_else(|e| panic!("{s}: {e}")));
        site
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    fn open_app(&mut self) {
        let app = Connection::open(self.path()).unwrap();
        app.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        app.execute_batch("PRAGMA foreign_keys=ON; PRAGMA synchronous=NORMAL").unwrap();
        self.app = Some(app);
    }

    fn connection(&self) -> &Connection {
        self.app.as_ref().unwrap()
    }

    fn tables(&self, condition: &str) -> Vec<String> {
        let query = format!("SELECT name FROM sqlite_schema WHERE type='table' AND {condition} ORDER BY name");
        let mut statement = self.connection().prepare(&query).unwrap();
        statement.query_map([], |r| r.get(0)).unwrap().collect::<std::result::Result<_, _>>().unwrap()
    }

    fn count(&self, table: &str) -> u64 {
        let query = format!("SELECT COUNT(*) FROM \"{table}\"");
        self.connection().query_row(&query, [], |r| r.get::<_, i64>(0)).unwrap().unsigned_abs()
    }

    fn lines(&self, sql: &str, text: impl Fn(&str, ValueRef) -> String, separator: &str) -> Vec<String> {
        let mut statement = self.connection().prepare(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).unwrap();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<String> =
                names.iter().enumerate().map(|(i, name)| text(name, row.get_ref(i).unwrap())).collect();
            lines.push(cells.join(separator));
        }
        lines
    }
}

fn plain(_: &str, value: ValueRef) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(f) => f.to_string(),
        ValueRef::Text(b) | ValueRef::Blob(b) => String::from_utf8_lossy(b).into_owned(),
    }
}

fn exact(name: &str, value: ValueRef) -> String {
    format!("{name}={value:?}")
}

impl BenchSite for Site {
    type Copy = PathBuf;

    fn name(&self) -> &str {
        &self.card.site_name
    }

    fn prepare(&mut self) {
        let (store, _) = Database::prepare(connect(&self.path()).unwrap(), &self.card).unwrap();
        self.store = Some(store);
    }

    fn adopt(&mut self) {
        let (store, _) = sync_database::seed::adopt(connect(&self.path()).unwrap(), &self.card).unwrap();
        self.store = Some(store);
    }

    fn store(&mut self) -> &mut dyn Store {
        self.store.as_mut().expect("prepared")
    }

    fn declare(&mut self, tables: &[&str], progress: &mut dyn FnMut(&str, u64) -> Result<()>) -> Result<()> {
        let tables: Vec<String> = tables.iter().map(|t| (*t).to_owned()).collect();
        sync_database::declare::declare(self.store.as_mut().expect("prepared"), &tables, progress).map(drop)
    }

    fn app(&mut self, sql: &str) {
        let result = self.connection().execute_batch(sql);
        result.unwrap_or_else(|e| panic!("{}: {sql:.300}: {e}", self.card.site_name));
    }

    fn behind(&mut self, sql: &str) {
        let connection = self.connection();
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        connection.execute_batch(sql).unwrap_or_else(|e| panic!("{}: {sql:.300}: {e}", self.card.site_name));
    }

    fn rows(&mut self, sql: &str) -> Vec<String> {
        self.lines(sql, plain, "|")
    }

    fn dump(&mut self) -> BTreeMap<String, Vec<String>> {
        let mut dump = BTreeMap::new();
        for table in self.tables("name NOT LIKE 'server_sync_%' AND name NOT LIKE 'sqlite_%'") {
            let columns = format!("SELECT '\"' || name || '\"' FROM pragma_table_info('{table}') ORDER BY name");
            let columns = self.lines(&columns, plain, "").join(", ");
            let mut lines = self.lines(&format!("SELECT {columns} FROM \"{table}\""), exact, ", ");
            lines.sort();
            dump.insert(table, lines);
        }
        dump
    }

    fn marks(&mut self) -> u64 {
        self.tables("name LIKE 'server_sync_mark_%'").iter().map(|t| self.count(t)).sum()
    }

    fn parked(&mut self) -> u64 {
        self.count("server_sync_parked")
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Database::open(connect(&self.path()).unwrap()).unwrap());
    }

    fn writer(&mut self) -> Box<dyn FnMut(&str) + Send> {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        Box::new(move |sql| connection.execute_batch(sql).unwrap())
    }

    /// A file has no connection that could be cut; the application takes the lock for a moment instead.
    fn cutter(&mut self) -> Box<dyn FnMut() + Send> {
        let path = self.path();
        Box::new(move || {
            let other = Connection::open(&path).unwrap();
            other.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
            other.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
        })
    }

    fn copy(&mut self) -> PathBuf {
        let copy = (0..).map(|n| self.folder.path().join(format!("copy{n}.db"))).find(|p| !p.exists()).unwrap();
        self.connection().execute("VACUUM INTO ?", [copy.to_str()]).unwrap();
        copy
    }

    fn put_back(&mut self, copy: &PathBuf) {
        self.store = None;
        self.app = None;
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", self.path().display()));
        }
        copy_file(copy, &self.path());
        self.open_app();
        self.reopen();
    }
}

fn copy_file(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}
