//! The way for marks that cannot go into their mark table: one more table, for all. Its rows are told apart by the
//! number of the table they belong to, and have the key as text, so nothing that happens to a table can keep them out.
//! Before marks are read they are moved to where they belong ([`gather`]).
//!
//! Triggers take this way when a definition changed under them, and on MariaDB under the application's LOCK TABLES: if
//! two triggers of the locked tables write to the same table, and that table was used by somebody else before, each
//! such write fails there with error 1442 (10.11.19; MySQL is right). A table that only one *routine* writes to is
//! locked once, so on MariaDB the late table is written by a procedure.

use sync_core::Value;
use sync_store::{Result, StoreError};

use super::names::quote;
use super::{Flavour, mark};
use crate::schema::{Column, Kind, Op, Registered, Table};
use crate::sql::{Fields, Sql};

/// The table, and on MariaDB the procedure that writes to it.
pub(super) const NAME: &str = "server_sync_late";

/// Everything that can keep a mark out of its table, or its key from being read: a column (1054) or table (1146, 1100
/// under LOCK TABLES) that is gone, an id that is taken (1062), a privilege (1142, 1143), a value that does not fit (1264,
/// 1265, 1292, 1366, 1406), MariaDB's LOCK TABLES (1442). Deadlocks and the like are not among them.
pub(super) const HINDRANCES: &str = "1054, 1062, 1100, 1142, 1143, 1146, 1264, 1265, 1292, 1366, 1406, 1442";

/// The late way itself is closed: its procedure is gone (1305) or not to be called (1370). Nothing more can be done.
const CLOSED: &str = "1054, 1062, 1100, 1142, 1143, 1146, 1305, 1370, 1442";

/// InnoDB's keys have at most 3072 bytes, in up to 16 parts. (LONGTEXT is no choice: where it passes through a
/// temporary table, both servers make CONVERT(UNHEX(…)) of it empty.)
const KEY: &str = "VARCHAR(7000) CHARACTER SET ascii";

/// At most this many marks are moved by one statement.
const BATCH: usize = 1000;

/// The statements that make the table and the procedure.
pub(super) fn create(flavour: Flavour) -> Vec<String> {
    let table = format!(
        "CREATE TABLE IF NOT EXISTS {NAME} (seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
         id BIGINT UNSIGNED NOT NULL, number SMALLINT UNSIGNED NOT NULL, op TINYINT NOT NULL, \
         at DATETIME(6) NOT NULL, k {KEY}) ENGINE=InnoDB"
    );
    let procedure = format!(
        "CREATE PROCEDURE IF NOT EXISTS {NAME} (n SMALLINT UNSIGNED, o TINYINT, t {KEY}) \
         MODIFIES SQL DATA SQL SECURITY INVOKER {}",
        insert("n", "o", "t")
    );
    match flavour {
        Flavour::MariaDb => vec![table, procedure],
        Flavour::MySql => vec![table],
    }
}

fn insert(number: &str, op: &str, key: &str) -> String {
    format!("INSERT INTO {NAME} (id, number, op, at, k) VALUES ({}, {number}, {op}, {}, {key})", mark::ID, mark::NOW)
}

/// The statement that makes a late mark.
fn statement(flavour: Flavour, registered: &Registered, op: Op, key: &str) -> String {
    let (number, op) = (registered.number, op as u8);
    match flavour {
        Flavour::MariaDb => format!("CALL {NAME}({number}, {op}, {key});\n"),
        Flavour::MySql => format!("{};\n", insert(&number.to_string(), &op.to_string(), key)),
    }
}

/// A late mark for one row; with all columns, if it is an update. `row` is NEW or OLD.
pub(super) fn of_row(flavour: Flavour, table: &Table, registered: &Registered, op: Op, row: &str) -> String {
    let key = table.key_columns().map(|c| encoded(c, &format!("{row}.{}", quote(&c.name))));
    match key.collect::<Option<Vec<_>>>() {
        Some(parts) => statement(flavour, registered, op, &format!("CONCAT_WS(',', {})", parts.join(", "))),
        None => statement(flavour, registered, Op::Unknown, "NULL"),
    }
}

/// A block that says of tables that they must be compared, and that cannot fail.
pub(super) fn unknown(flavour: Flavour, tables: &[&Registered]) -> String {
    let marks: String = tables.iter().map(|r| statement(flavour, r, Op::Unknown, "NULL")).collect();
    format!("BEGIN\nDECLARE EXIT HANDLER FOR {CLOSED} BEGIN END;\n{marks}END")
}

/// A key value as hexadecimal digits; nothing for floats, which have no exact text.
fn encoded(column: &Column, value: &str) -> Option<String> {
    let bytes = match Form::of(column) {
        Form::Float => return None,
        Form::Bit => format!("CAST({value} + 0 AS BINARY)"),
        Form::Instant => format!("CAST(UNIX_TIMESTAMP({value}) AS BINARY)"),
        Form::Address => format!("CAST(CAST({value} AS CHAR) AS BINARY)"),
        Form::Plain | Form::Text(_) | Form::Bytes => format!("CAST({value} AS BINARY)"),
    };
    Some(format!("HEX({bytes})"))
}

/// The value again, from the part of `l.k` at this place.
fn decoded(column: &Column, place: usize) -> String {
    let bytes = format!("UNHEX(SUBSTRING_INDEX(SUBSTRING_INDEX(l.k, ',', {}), ',', -1))", place + 1);
    match Form::of(column) {
        Form::Bit => format!("CAST(CONVERT({bytes} USING utf8mb4) AS UNSIGNED)"),
        Form::Instant => format!("FROM_UNIXTIME(CAST(CONVERT({bytes} USING utf8mb4) AS DECIMAL(20,6)))"),
        Form::Text(charset) => format!("CONVERT({bytes} USING {charset})"),
        Form::Plain | Form::Address => format!("CONVERT({bytes} USING utf8mb4)"),
        Form::Bytes | Form::Float => bytes,
    }
}

/// How a key column's values are written as text.
enum Form<'a> {
    Plain,
    Bit,
    Instant,
    Text(&'a str),
    Bytes,
    Address,
    Float,
}

impl<'a> Form<'a> {
    fn of(column: &'a Column) -> Self {
        let sql_type = column.sql_type.as_str();
        match column.kind {
            Kind::Float => Form::Float,
            Kind::Integer if sql_type.starts_with("bit") => Form::Bit,
            Kind::Exact if sql_type.starts_with("timestamp") => Form::Instant,
            Kind::Integer | Kind::Exact => Form::Plain,
            Kind::Text => Form::Text(charset(sql_type)),
            Kind::Bytes if sql_type.starts_with("uuid") || sql_type.starts_with("inet") => Form::Address,
            Kind::Bytes | Kind::Json | Kind::Geometry => Form::Bytes,
        }
    }
}

fn charset(sql_type: &str) -> &str {
    let after = sql_type.rsplit_once(" CHARACTER SET ").map_or("", |(_, rest)| rest);
    after.split(' ').next().filter(|name| !name.is_empty()).unwrap_or("utf8mb4")
}

/// Moves late marks to the mark tables of these tables. Part of the caller's transaction; waits for nobody.
pub(super) fn gather(sql: &mut dyn Sql, tables: &[(&Table, &Registered)]) -> Result<u64> {
    let mut moved = 0;
    for (number, ids) in waiting(sql)? {
        let found = tables.iter().find(|(_, r)| r.number == number);
        for part in ids.chunks(BATCH) {
            if let Some((table, registered)) = found {
                let statement = move_statement(table, registered, part.len());
                sql.execute(&statement, part).map_err(|e| explain(e, &table.name))?;
                moved += part.len() as u64;
            }
            // Marks of a table that is not synchronised any more are of no use.
            sql.execute(&delete_statement(part.len()), part)?;
        }
    }
    Ok(moved)
}

/// The late marks that are there, by table.
fn waiting(sql: &mut dyn Sql) -> Result<Vec<(u16, Vec<Value>)>> {
    let mut found: Vec<(u16, Vec<Value>)> = Vec::new();
    for row in sql.all(&format!("SELECT number, seq FROM {NAME} ORDER BY number, seq LIMIT 100000"), &[])? {
        let mut fields = Fields::of(row);
        let (number, seq) = (fields.unsigned()? as u16, fields.value());
        match found.last_mut() {
            Some((last, ids)) if *last == number => ids.push(seq),
            _ => found.push((number, vec![seq])),
        }
    }
    Ok(found)
}

fn places(count: usize) -> String {
    vec!["?"; count].join(",")
}

fn move_statement(table: &Table, registered: &Registered, count: usize) -> String {
    let words = registered.bit_columns();
    let into = mark::into(registered, words, table.key.len());
    let bits = format!(", IF(l.op = {}, {}, 0)", Op::Update as u8, mark::ALL).repeat(words);
    let keys: String = table.key_columns().enumerate().map(|(i, c)| format!(", {}", decoded(c, i))).collect();
    let marks = quote(&registered.mark_table());
    // The id tells the order; it is another only where it is taken.
    let id = format!("IF(EXISTS(SELECT 1 FROM {marks} m WHERE m.id = l.id), {}, l.id)", mark::ID);
    format!(
        "{into} SELECT {id}, l.op, l.at{bits}{keys} FROM {NAME} l WHERE l.seq IN ({}) ORDER BY l.seq",
        places(count)
    )
}

fn delete_statement(count: usize) -> String {
    format!("DELETE l FROM {NAME} l FORCE INDEX (PRIMARY) WHERE l.seq IN ({})", places(count))
}

fn explain(error: StoreError, table: &str) -> StoreError {
    error.during(&format!("moving late marks of table {table}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(sql_type: &str, kind: Kind) -> Column {
        let (name, definition) = ("c".to_owned(), String::new());
        Column { name, sql_type: sql_type.into(), kind, nullable: false, generated: false, definition }
    }

    #[test]
    fn keys_are_written_without_loss_or_not_at_all() {
        let encoded = |t, k| encoded(&column(t, k), "NEW.`c`");
        assert_eq!(encoded("int", Kind::Integer).unwrap(), "HEX(CAST(NEW.`c` AS BINARY))");
        assert_eq!(encoded("bit(3)", Kind::Integer).unwrap(), "HEX(CAST(NEW.`c` + 0 AS BINARY))");
        assert_eq!(encoded("double", Kind::Float), None);
        let text = "varchar(9) CHARACTER SET latin1 COLLATE latin1_bin";
        assert!(decoded(&column(text, Kind::Text), 1).starts_with("CONVERT(UNHEX("));
        assert!(decoded(&column(text, Kind::Text), 1).ends_with(" USING latin1)"));
    }

    #[test]
    fn mysql_needs_no_procedure() {
        assert_eq!(create(Flavour::MySql).len(), 1);
        let registered = Registered { number: 3, name: "t".into(), columns: vec![], key: vec![] };
        assert!(unknown(Flavour::MariaDb, &[&registered]).contains("CALL server_sync_late(3, 4, NULL);"));
        assert!(unknown(Flavour::MySql, &[&registered]).contains("INSERT INTO server_sync_late"));
    }
}
