//! SQLite.
//!
//! One file, one writer: a transaction that writes holds the whole database, so marks appear in commit order and rows
//! need no locks. Readers do not disturb the application where the database is in WAL mode, which [`driver::open`]
//! sees to.
//!
//! Where it differs from a server, and what is done about it, is told in [`driver`] (triggers do not fire for us),
//! `convert` (values), `schema` (NULLs in primary keys, search tables), `triggers` (dropped columns, REPLACE).

pub mod driver;

mod convert;
mod errors;
mod indexes;
mod install;
mod own;
mod schema;
mod search;
mod tokens;
mod trigger_text;
mod triggers;

pub use driver::{Options, SqliteDriver, open};

use sync_core::Value;
use sync_store::Result;

use crate::counters::Range;
use crate::dialect::Dialect;
use crate::schema::{Column, Kind, Registered, Schema, Table, Trigger};
use crate::sql::{Fields, Sql};

/// How SQLite says things.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqliteDialect;

impl Dialect for SqliteDialect {
    fn quote(&self, name: &str) -> String {
        quote(name)
    }

    fn begin(&self) -> &'static str {
        driver::BEGIN
    }

    /// The first read takes the snapshot.
    fn begin_snapshot(&self) -> &'static str {
        "BEGIN"
    }

    fn for_update(&self) -> &'static str {
        ""
    }

    fn wait_for_update(&self) -> &'static str {
        ""
    }

    /// `INTEGER PRIMARY KEY`, and nothing else, is the rowid.
    fn numbers_rows(&self, sql: &mut dyn Sql, table: &Table) -> Result<bool> {
        let query = "SELECT wr FROM pragma_table_list WHERE schema='main' AND name=?";
        let without_rowid = Fields::of(sql.first(query, &[Value::text(&table.name)])?.unwrap_or_default()).int()? == 1;
        Ok(!without_rowid && table.key_columns().all(|c| c.sql_type == "INTEGER"))
    }

    fn last_number(&self) -> &'static str {
        "SELECT last_insert_rowid()"
    }

    /// There is no exact DECIMAL.
    fn range(&self, column: &Column) -> Option<Range> {
        Range::integer(64, false).filter(|_| column.kind == Kind::Integer)
    }

    fn equal(&self, column: &Column) -> String {
        format!("?{} = ?", schema::collation_of(&column.sql_type))
    }

    /// Without the rows that have a NULL in their key; see `schema`.
    fn by_key(&self, table: &Table) -> String {
        let name = quote(&table.name);
        let nullable = table.key_columns().filter(|c| c.nullable);
        let conditions: Vec<String> = nullable.map(|c| format!("{} IS NOT NULL", quote(&c.name))).collect();
        if conditions.is_empty() { name } else { format!("(SELECT * FROM {name} WHERE {})", conditions.join(" AND ")) }
    }

    fn delete_marks(&self, mark_table: &str, count: usize) -> String {
        format!("DELETE FROM {} WHERE id IN ({})", quote(mark_table), vec!["?"; count].join(","))
    }

    fn mark_id(&self) -> &'static str {
        "NULL"
    }

    fn mark_now(&self) -> &'static str {
        triggers::NOW
    }

    fn not_default(&self, column: &str) -> String {
        format!("{column} IS NOT NULL")
    }

    fn unlike_default(&self, sql: &mut dyn Sql, table: &str, column: &str) -> Result<String> {
        Ok(format!("{} COLLATE BINARY IS NOT {}", quote(column), schema::default_of(sql, table, column)?))
    }

    fn capture(&self, on: bool) -> &'static str {
        if on { driver::CAPTURE_ON } else { driver::CAPTURE_OFF }
    }

    fn on_duplicate(&self, key: &[String], set: &[String]) -> String {
        let set: Vec<String> = set.iter().map(|c| format!("{c}=excluded.{c}")).collect();
        let action = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
        format!(" ON CONFLICT({}) DO {action}", key.join(", "))
    }

    fn now_micros(&self) -> &'static str {
        "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000"
    }

    fn mark_micros(&self) -> &'static str {
        "CAST(ROUND((m.at - 2440587.5) * 86400000.0) AS INTEGER) * 1000"
    }

    /// Where `=` is not exact both are named twice: neither may be a `?` then.
    fn same(&self, column: &Column, left: &str, right: &str) -> String {
        let mut conditions = vec![format!("{left} = {right}")];
        if !schema::collation_of(&column.sql_type).is_empty() {
            conditions.push(format!("{left} = {right} COLLATE BINARY"));
        }
        if schema::is_typeless(column) {
            conditions.push(format!("typeof({left}) = typeof({right})"));
        }
        if conditions.len() == 1 { conditions.concat() } else { format!("({})", conditions.join(" AND ")) }
    }

    fn own_tables(&self) -> Vec<String> {
        own::own_tables()
    }

    fn list_own_tables(&self) -> &'static str {
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND substr(name, 1, 12) = 'server_sync_' \
         ORDER BY name = 'server_sync_store', name"
    }

    fn conflict_table(&self) -> Table {
        own::conflict_table()
    }

    fn count_roughly(&self, table: &str) -> String {
        format!("SELECT COUNT(*) FROM {}", quote(table))
    }

    fn max_params(&self) -> usize {
        32_766
    }

    fn probe(&self, sql: &mut dyn Sql) -> Result<String> {
        // The count tells apart two files of which one was put in the place of the other, mostly.
        let query =
            "SELECT (SELECT schema_version FROM pragma_schema_version) || '/' || COUNT(*) FROM main.sqlite_schema";
        Fields::of(sql.first(query, &[])?.unwrap_or_default()).text()
    }

    fn read_schema(&self, sql: &mut dyn Sql) -> Result<Schema> {
        schema::read(sql)
    }

    /// Not inside a transaction.
    fn install(&self, sql: &mut dyn Sql, _schema: &Schema, tables: &[(&Table, &Registered)]) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        for (table, registered) in tables {
            notes.extend(install::install(sql, table, registered)?);
        }
        // Cascades fire triggers by themselves.
        notes.extend(install::remove_unregistered(sql, tables)?);
        Ok(notes)
    }

    fn uninstall(&self, sql: &mut dyn Sql, _schema: &Schema) -> Result<()> {
        install::uninstall(sql)
    }

    fn missing_privileges(&self, sql: &mut dyn Sql, _triggers: &[Trigger]) -> Result<Vec<String>> {
        install::writable(sql)
    }
}

/// A name as SQLite reads it whatever characters it has.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Opens a database as a store does: one connection both reads and writes.
pub fn connect(path: &std::path::Path) -> Result<crate::Connections> {
    Ok(crate::Connections::new(Box::new(open(path)?), None, Box::new(SqliteDialect)))
}
