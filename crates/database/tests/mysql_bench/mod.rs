//! A database on a real server with our triggers installed, for the tests of the MySQL dialect. Registers tables in the
//! simplest way that keeps ids lasting; the product does that in its catalog.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::sync::OnceLock;

use mysql::prelude::Queryable;
use mysql::{Conn, Row, Value};
use sync_database::Connections;
use sync_database::dialect::Dialect;
use sync_database::mysql::{Address, Driver, MySql, Tls};
use sync_database::schema::{Registered, Schema, Table};
use sync_database::sql::Sql;
use sync_store::{Result, StoreError};
use sync_testbed::{Flavour, MariaDb, Mysql, Server};

/// One database with one connection of ours.
pub struct Bench {
    pub server: &'static Server,
    pub name: String,
    pub sql: Driver,
    pub dialect: MySql,
    pub registered: Vec<Registered>,
}

/// Runs a test on MariaDB and, if there is one, on MySQL.
pub fn each(name: &str, test: impl Fn(&mut Bench)) {
    for server in servers() {
        println!("--- {name} on {}", server.name());
        test(&mut Bench::new(server, name));
    }
}

/// The shared servers, started by whichever test comes first.
pub fn servers() -> Vec<&'static Server> {
    static SERVERS: OnceLock<Vec<&'static Server>> = OnceLock::new();
    let start = || std::iter::once(MariaDb::shared().unwrap()).chain(Mysql::shared().unwrap()).collect();
    SERVERS.get_or_init(start).clone()
}

impl Bench {
    /// An empty database.
    pub fn new(server: &'static Server, name: &str) -> Self {
        server.create_database(name).unwrap();
        let mut sql = connect(server, name, "root", None).unwrap();
        let dialect = MySql::detect(&mut sql).unwrap();
        Bench { server, name: name.to_owned(), sql, dialect, registered: Vec::new() }
    }

    pub fn is_mysql(&self) -> bool {
        self.server.flavour() == Flavour::Mysql
    }

    /// A connection as the application has one.
    pub fn app(&self) -> Conn {
        self.server.root_in(&self.name).unwrap()
    }

    /// A statement of ours.
    pub fn own(&mut self, statement: &str) {
        (&mut self.sql as &mut dyn Sql).execute(statement, &[]).unwrap();
    }

    /// A new connection of the application that is handed the tables which ours left open: a server keeps them, with
    /// their triggers, in parts by connection number, MariaDB in a single one.
    pub fn neighbour(&mut self) -> Conn {
        let parts = if self.is_mysql() { "@@table_open_cache_instances" } else { "1" };
        let query = format!("SELECT CONNECTION_ID() % {parts}");
        let ours = (&mut self.sql as &mut dyn Sql).first(&query, &[]).unwrap().unwrap();
        let is_near = |app: &mut Conn| {
            let part: Option<i64> = app.query_first(&query).unwrap();
            part.map(sync_core::Value::Int) == ours.first().cloned()
        };
        std::iter::repeat_with(|| self.app()).find_map(|mut app| is_near(&mut app).then_some(app)).unwrap()
    }

    /// Statements of the application, each with its own effect, on one connection.
    pub fn run(&self, statements: &[&str]) {
        let mut app = self.app();
        for statement in statements {
            app.query_drop(statement).unwrap_or_else(|e| panic!("{}: {statement}: {e}", self.server.name()));
        }
    }

    /// A script with DELIMITER.
    pub fn script(&self, script: &str) {
        self.server.run_script(Some(&self.name), script).unwrap();
    }

    pub fn schema(&mut self) -> Schema {
        self.dialect.read_schema(&mut self.sql).unwrap()
    }

    /// Registers and installs all tables; returns the notes.
    pub fn try_install(&mut self) -> Result<Vec<String>> {
        let schema = self.dialect.read_schema(&mut self.sql)?;
        for table in schema.tables.iter().filter(|t| !t.key.is_empty()) {
            self.register(table);
        }
        let present = self.present(&schema);
        let tables: Vec<_> = present.iter().map(|r| (schema.table(&r.name).unwrap(), r)).collect();
        self.dialect.install(&mut self.sql, &schema, &tables)
    }

    /// As [`Bench::try_install`]; checks that doing it again does nothing, and that the probe stands still then.
    pub fn install(&mut self) -> Vec<String> {
        let notes = self.try_install().unwrap();
        let probe = self.dialect.probe(&mut self.sql).unwrap();
        assert_eq!(self.try_install().unwrap(), Vec::<String>::new(), "installing again does nothing");
        assert_eq!(self.dialect.probe(&mut self.sql).unwrap(), probe);
        notes
    }

    fn present(&self, schema: &Schema) -> Vec<Registered> {
        self.registered.iter().filter(|r| schema.table(&r.name).is_some_and(|t| !t.key.is_empty())).cloned().collect()
    }

    fn register(&mut self, table: &Table) {
        let number = self.registered.len() as u16 + 1;
        let key: Vec<String> = table.key_columns().map(|c| c.name.clone()).collect();
        let place = self.registered.iter().position(|r| r.name == table.name).unwrap_or_else(|| {
            self.registered.push(Registered { number, name: table.name.clone(), columns: vec![], key: key.clone() });
            self.registered.len() - 1
        });
        let registered = &mut self.registered[place];
        registered.key = key;
        for name in &mut registered.columns {
            if !table.stored_columns().any(|c| c.name == *name) {
                name.clear();
            }
        }
        for column in table.stored_columns() {
            if registered.id(&column.name).is_none() {
                registered.columns.push(column.name.clone());
            }
        }
    }

    pub fn registered(&self, table: &str) -> &Registered {
        self.registered.iter().find(|r| r.name == table).unwrap()
    }

    /// The marks of a table in order, and deletes them: `insert 1,x`, `update 1 (a,b)`, `delete 1`, `unknown`.
    pub fn marks(&self, table: &str) -> Vec<String> {
        self.gather();
        let registered = self.registered(table);
        let mark_table = registered.mark_table();
        let mut app = self.app();
        let rows: Vec<Row> = app.query(format!("SELECT * FROM {mark_table} ORDER BY id")).unwrap();
        app.query_drop(format!("DELETE FROM {mark_table}")).unwrap();
        rows.into_iter().map(|row| shown(registered, row)).collect()
    }

    /// Moves late marks to where they belong, as the product does before it reads marks.
    fn gather(&self) {
        let mut sql = connect(self.server, &self.name, "root", None).unwrap();
        let schema = self.dialect.read_schema(&mut sql).unwrap();
        let tables: Vec<_> = self.registered.iter().filter_map(|r| Some((schema.table(&r.name)?, r))).collect();
        self.dialect.gather_marks(&mut sql, &tables).unwrap();
    }

    /// As [`Bench::marks`], sorted and without repetitions: for marks made by statements of many rows.
    pub fn mark_set(&self, table: &str) -> Vec<String> {
        let mut marks = self.marks(table);
        marks.sort();
        marks.dedup();
        marks
    }
}

/// A connection of ours; root's over the socket.
pub fn connect(server: &Server, database: &str, user: &str, password: Option<&str>) -> Result<Driver> {
    let socket = (user == "root").then(|| server.socket().to_owned());
    Driver::connect(&Address { socket, ..address(server.host(), server.port(), database, user, password) })
}

/// A connection of ours over another port.
pub fn connect_to(server: &Server, port: u16, database: &str, user: &str, password: Option<&str>) -> Result<Driver> {
    Driver::connect(&address(server.host(), port, database, user, password))
}

/// Connections for a store; root's over the port, without encryption.
pub fn connections(server: &Server, database: &str) -> Connections {
    let address = address(server.host(), server.port(), database, "root", None);
    sync_database::mysql::connect(&Address { tls: Tls::Off, ..address }).unwrap()
}

fn address(host: &str, port: u16, database: &str, user: &str, password: Option<&str>) -> Address {
    Address {
        host: host.to_owned(),
        port,
        database: database.to_owned(),
        user: user.to_owned(),
        password: password.map(str::to_owned),
        ..Address::default()
    }
}

fn shown(registered: &Registered, row: Row) -> String {
    let names: Vec<String> = row.columns_ref().iter().map(|c| c.name_str().into_owned()).collect();
    let cells = row.unwrap();
    let of = |prefix: char| {
        let cells = names.iter().zip(&cells).filter(move |(n, _)| n.starts_with(prefix) && *n != "op" && *n != "id");
        cells.map(|(_, v)| v.as_sql(true)).collect::<Vec<_>>()
    };
    let op = match &cells[1] {
        Value::Bytes(b) => String::from_utf8_lossy(b).into_owned(),
        other => other.as_sql(true),
    };
    let key = of('k').join(",").replace('\'', "");
    match op.as_str() {
        "1" => format!("insert {key}"),
        "2" => format!("update {key} ({})", changed(registered, &of('b'))),
        "3" => format!("delete {key}"),
        _ => format!("unknown {key}"),
    }
}

fn changed(registered: &Registered, words: &[String]) -> String {
    let words: Vec<u64> = words.iter().map(|w| w.trim_matches('\'').parse().unwrap()).collect();
    if words.iter().all(|w| *w == u64::from(u32::MAX)) {
        return "all".to_owned();
    }
    let is_set = |id: &usize| words[id / 32] >> (id % 32) & 1 == 1;
    let names = (0..registered.columns.len()).filter(is_set).map(|id| registered.columns[id].as_str());
    names.collect::<Vec<_>>().join(",")
}

/// The error's text, for tests that expect one.
pub fn message(result: Result<impl std::fmt::Debug>) -> StoreError {
    result.unwrap_err()
}
