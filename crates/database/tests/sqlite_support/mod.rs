//! An application with its own connection to an SQLite file, and ours beside it. For tests only.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sync_core::Value;
use sync_database::dialect::Dialect;
use sync_database::schema::{Registered, Schema};
use sync_database::sql::Sql;
use sync_database::sqlite::{SqliteDialect, SqliteDriver, open};

/// A database in a directory of its own.
pub struct Site {
    pub app: Connection,
    pub ours: SqliteDriver,
    pub registered: Vec<Registered>,
    pub path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Site {
    /// A database with this schema, not yet captured.
    pub fn bare(schema: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.db");
        let app = Connection::open(&path).unwrap();
        app.execute_batch("PRAGMA journal_mode=WAL").unwrap();
        app.execute_batch(schema).unwrap();
        let ours = open(&path).unwrap();
        Site { app, ours, registered: Vec::new(), path, _directory: directory }
    }

    /// A database with this schema, captured.
    pub fn new(schema: &str) -> Self {
        let mut site = Site::bare(schema);
        site.install();
        site
    }

    /// What the application does.
    pub fn app(&self, sql: &str) -> &Self {
        self.app.execute_batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        self
    }

    /// Where a store that was prepared keeps the marks of a table.
    pub fn marks_of(&self, table: &str) -> String {
        let query = "SELECT number FROM server_sync_table WHERE name=?";
        format!("server_sync_mark_{}", self.app.query_row(query, [table], |row| row.get::<_, i64>(0)).unwrap())
    }

    pub fn sql(&mut self) -> &mut dyn Sql {
        &mut self.ours
    }

    pub fn schema(&mut self) -> Schema {
        SqliteDialect.read_schema(&mut self.ours).unwrap()
    }

    /// Registers what is there and installs; returns the notes.
    pub fn install(&mut self) -> Vec<String> {
        let schema = self.schema();
        let mut found = Vec::new();
        for table in schema.tables.iter().filter(|t| !t.key.is_empty()) {
            let columns: Vec<String> = table.stored_columns().map(|c| c.name.clone()).collect();
            if !self.registered.iter().any(|r| r.name == table.name) {
                let key = table.key_columns().map(|c| c.name.clone()).collect();
                let number = self.registered.len() as u16 + 1;
                self.registered.push(Registered { number, name: table.name.clone(), columns: Vec::new(), key });
            }
            let registered = self.registered.iter_mut().find(|r| r.name == table.name).unwrap();
            registered.columns.iter_mut().filter(|c| !columns.contains(c)).for_each(String::clear);
            for column in columns {
                if !registered.columns.contains(&column) {
                    registered.columns.push(column);
                }
            }
            found.push((table, registered.clone()));
        }
        let found: Vec<_> = found.iter().map(|(table, registered)| (*table, registered)).collect();
        SqliteDialect.install(&mut self.ours, &schema, &found).unwrap()
    }

    /// The marks of a table, oldest first, as `insert 1`, `update 1 a b`, `delete 'x' 2`; they are deleted.
    pub fn marks(&mut self, table: &str) -> Vec<String> {
        let registered = self.registered.iter().find(|r| r.name == table).unwrap().clone();
        let columns: String = (0..registered.bit_columns()).map(|i| format!(", b{i}")).collect();
        let keys: String = (0..registered.key.len()).map(|i| format!(", quote(k{i})")).collect();
        let mark_table = registered.mark_table();
        let sql: &mut dyn Sql = &mut self.ours;
        let rows = sql.all(&format!("SELECT op{columns}{keys} FROM {mark_table} ORDER BY id"), &[]).unwrap();
        sql.run(&format!("DELETE FROM {mark_table}")).unwrap();
        rows.into_iter().map(|row| show(&registered, row)).collect()
    }

    /// One line a row, the values as SQL literals.
    pub fn rows(&self, query: &str) -> Vec<String> {
        let mut statement = self.app.prepare(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let width = statement.column_count();
        let line = |row: &rusqlite::Row| {
            Ok((0..width).map(|i| literal(row.get_ref(i).unwrap())).collect::<Vec<_>>().join(" "))
        };
        statement.query_map([], line).unwrap().map(Result::unwrap).collect()
    }

    /// All that SQLite knows of the schema, in its own order.
    pub fn whole_schema(&self) -> Vec<String> {
        self.rows("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid")
    }
}

fn show(registered: &Registered, row: Vec<Value>) -> String {
    let words = registered.bit_columns();
    let op = match row[0] {
        Value::Int(1) => "insert",
        Value::Int(2) => "update",
        Value::Int(3) => "delete",
        ref other => panic!("{other:?}"),
    };
    let bit = |id: usize| matches!(row[1 + id / 32], Value::Int(n) if n >> (id % 32) & 1 == 1);
    let changed = (0..registered.columns.len()).filter(|id| bit(*id)).map(|id| registered.columns[id].clone());
    let key = row[1 + words..].iter().map(|v| v.to_string());
    [op.to_owned()].into_iter().chain(key).chain(changed).collect::<Vec<_>>().join(" ")
}

fn literal(value: ValueRef) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(f) => format!("{f:?}"),
        ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
        ValueRef::Blob(b) => format!("{b:02x?}"),
    }
}
