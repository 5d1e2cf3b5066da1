//! Exact contents of a database, for comparing sites. Values come over the binary protocol in UTC and unconverted, so
//! that not one bit of a FLOAT, BIT, BLOB or zero date can hide. Never looks at tables of server_sync itself.

mod cell;
mod compare;
mod schema;

use std::collections::BTreeMap;

use mysql::prelude::Queryable;
use mysql::{Conn, Row};

pub use cell::Cell;
pub use compare::{assert_equal, difference};
pub use schema::{SchemaDump, schema_dump};

use crate::Result;
use crate::error::Context;

/// All tables of a database by name, without those of server_sync.
pub type DatabaseDump = BTreeMap<String, TableDump>;

/// One table's contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableDump {
    /// All column names in the table's order, invisible and generated ones included.
    pub columns: Vec<String>,
    /// Indexes into `columns` of the primary key's columns, in key order; empty without a primary key.
    pub key: Vec<usize>,
    /// Rows as cells in `columns`' order, sorted by key, then by the rest.
    pub rows: Vec<Vec<Cell>>,
}

impl TableDump {
    /// The cells of `row` that make its key: all of them if the table has no primary key.
    #[must_use]
    pub fn key_of<'a>(&self, row: &'a [Cell]) -> Vec<&'a Cell> {
        if self.key.is_empty() {
            return row.iter().collect();
        }
        self.key.iter().filter_map(|&index| row.get(index)).collect()
    }

    /// The index of a column by its name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

/// Reads all of `database` in one consistent snapshot.
///
/// # Errors
/// When the server refuses a query.
pub fn dump(connection: &mut Conn, database: &str) -> Result<DatabaseDump> {
    let what = || format!("cannot dump database {database}");
    for statement in [
        "SET time_zone = '+00:00', character_set_results = NULL",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ] {
        connection.query_drop(statement).context(what())?;
    }
    let tables = tables(connection, database)?;
    let dump = tables.into_iter().map(|table| {
        let contents = dump_table(connection, database, &table).context(format!("cannot dump {database}.{table}"))?;
        Ok((table, contents))
    });
    let dump = dump.collect::<Result<DatabaseDump>>()?;
    for statement in ["COMMIT", "SET character_set_results = utf8mb4"] {
        connection.query_drop(statement).context(what())?;
    }
    Ok(dump)
}

fn tables(connection: &mut Conn, database: &str) -> Result<Vec<String>> {
    let query = "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = ? \
                 AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') \
                 AND table_name NOT LIKE 'server\\_sync\\_%' ORDER BY table_name";
    connection.exec(query, (database,)).context(format!("cannot list the tables of {database}"))
}

fn dump_table(connection: &mut Conn, database: &str, table: &str) -> mysql::Result<TableDump> {
    let query = "SELECT CAST(column_name AS CHAR) FROM information_schema.columns \
                 WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";
    let columns: Vec<String> = connection.exec(query, (database, table))?;
    let key = key(connection, database, table, &columns)?;
    // Naming the columns shows invisible ones as well.
    let list: Vec<_> = columns.iter().map(|column| quote(column)).collect();
    let query = format!("SELECT {} FROM {}.{}", list.join(", "), quote(database), quote(table));
    let rows = connection.exec_map(query, (), |row: Row| row.unwrap().into_iter().map(Cell::from).collect())?;
    let mut dump = TableDump { columns, key, rows: Vec::new() };
    dump.rows = sorted(&dump, rows);
    Ok(dump)
}

fn key(connection: &mut Conn, database: &str, table: &str, columns: &[String]) -> mysql::Result<Vec<usize>> {
    let query = "SELECT CAST(column_name AS CHAR) FROM information_schema.statistics \
                 WHERE table_schema = ? AND table_name = ? AND index_name = 'PRIMARY' ORDER BY seq_in_index";
    let names: Vec<String> = connection.exec(query, (database, table))?;
    Ok(names.iter().filter_map(|name| columns.iter().position(|column| column == name)).collect())
}

fn sorted(table: &TableDump, mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    rows.sort_unstable_by(|a, b| table.key_of(a).cmp(&table.key_of(b)).then_with(|| a.cmp(b)));
    rows
}

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
