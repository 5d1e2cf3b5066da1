//! MySQL and MariaDB.

mod added;
mod cascade;
mod cells;
mod definition;
mod driver;
mod errors;
mod exact;
mod guard;
mod install;
mod late;
mod mark;
mod names;
mod own;
mod pace;
mod privileges;
mod reopen;
mod schema;
mod session;
mod statement;
mod sums;
mod triggers;

pub use driver::{Address, Driver, Tls};

use sync_core::Value;
use sync_store::Result;

use crate::connections::Connections;
use crate::counters::Range;
use crate::dialect::Dialect;
use crate::schema::{Column, Kind, Registered, Schema, Table, Trigger};
use crate::sql::{Fields, Sql};

/// The name of a lock of this database: names have at most 64 characters, databases may have as many.
macro_rules! lock_name {
    ($purpose:literal) => {
        concat!("CONCAT('server_sync:", $purpose, ":', LEFT(SHA2(DATABASE(), 256), 40))")
    };
}

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// MariaDB.
    MariaDb,
    /// MySQL.
    MySql,
}

/// A server and how it says things.
#[derive(Clone, Debug)]
pub struct MySql {
    /// Which of the two.
    pub flavour: Flavour,
    /// Major and minor version.
    pub version: (u16, u16),
    /// The account that our triggers belong to, `user@host`.
    pub account: String,
    /// Whether the database is another site's, whose account owns our triggers.
    pub is_guest: bool,
}

impl MySql {
    /// Asks a server what it is.
    pub fn detect(sql: &mut dyn Sql) -> Result<Self> {
        let row = sql.first("SELECT VERSION(), CURRENT_USER()", &[])?.unwrap_or_default();
        let mut fields = Fields::of(row);
        let (version, account) = (fields.text()?, fields.text()?);
        let flavour = if version.contains("MariaDB") { Flavour::MariaDb } else { Flavour::MySql };
        Ok(MySql { flavour, version: parse_version(&version), account, is_guest: false })
    }
}

/// `10.11.6-MariaDB-log` → (10, 11); what cannot be read is 0.
fn parse_version(text: &str) -> (u16, u16) {
    // Old clients were told 5.5.5- before the real version.
    let mut parts = text.strip_prefix("5.5.5-").unwrap_or(text).split(|c: char| !c.is_ascii_digit());
    let mut next = || parts.next().and_then(|p| p.parse().ok()).unwrap_or(0);
    (next(), next())
}

impl Dialect for MySql {
    fn visit(&mut self) {
        self.is_guest = true;
    }

    fn quote(&self, name: &str) -> String {
        names::quote(name)
    }

    fn begin(&self) -> &'static str {
        "START TRANSACTION"
    }

    fn begin_snapshot(&self) -> &'static str {
        "START TRANSACTION WITH CONSISTENT SNAPSHOT"
    }

    fn for_update(&self) -> &'static str {
        " FOR UPDATE NOWAIT"
    }

    fn wait_for_update(&self) -> &'static str {
        match self.flavour {
            Flavour::MariaDb => " FOR UPDATE WAIT 5",
            Flavour::MySql => " FOR UPDATE",
        }
    }

    fn for_share(&self) -> &'static str {
        match self.flavour {
            Flavour::MariaDb => " LOCK IN SHARE MODE NOWAIT",
            Flavour::MySql => " FOR SHARE NOWAIT",
        }
    }

    fn numbers_rows(&self, sql: &mut dyn Sql, table: &Table) -> Result<bool> {
        let query = "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? \
             AND COLUMN_KEY = 'PRI' AND EXTRA LIKE '%auto_increment%'";
        Ok(sql.first(query, &[Value::text(&table.name)])?.is_some())
    }

    fn last_number(&self) -> &'static str {
        "SELECT LAST_INSERT_ID()"
    }

    fn range(&self, column: &Column) -> Option<Range> {
        definition::range(&column.sql_type)
    }

    fn equal(&self, column: &Column) -> String {
        definition::equal(&column.sql_type)
    }

    fn by_key(&self, table: &Table) -> String {
        let force = if table.has_primary { " FORCE INDEX (PRIMARY)" } else { "" };
        format!("{}{force}", names::quote(&table.name))
    }

    fn delete_marks(&self, mark_table: &str, count: usize) -> String {
        let places = vec!["?"; count].join(",");
        // Only the form with several tables takes an index hint.
        format!("DELETE m FROM {} m FORCE INDEX (PRIMARY) WHERE m.id IN ({places})", names::quote(mark_table))
    }

    fn lenient(&self, statement: &str) -> String {
        match (self.flavour, statement.split_once(' ')) {
            (Flavour::MySql, Some((verb, rest))) => format!("{verb} /*+ SET_VAR(sql_mode='{LENIENT}') */ {rest}"),
            _ => format!("SET STATEMENT sql_mode='{LENIENT}' FOR {statement}"),
        }
    }

    fn mark_id(&self) -> &'static str {
        mark::ID
    }

    fn mark_now(&self) -> &'static str {
        mark::NOW
    }

    fn renewal_lock(&self) -> Option<[&'static str; 2]> {
        Some([
            concat!("SELECT GET_LOCK(", lock_name!("renewal"), ", 60)"),
            concat!("SELECT RELEASE_LOCK(", lock_name!("renewal"), ")"),
        ])
    }

    fn upgrade_lock(&self) -> Option<[&'static str; 3]> {
        Some([
            // Who was killed a moment ago still holds it until the server has noticed.
            concat!("SELECT GET_LOCK(", lock_name!("upgrade"), ", 5)"),
            concat!("IS_USED_LOCK(", lock_name!("upgrade"), ")"),
            concat!("SELECT RELEASE_LOCK(", lock_name!("upgrade"), ")"),
        ])
    }

    fn late_table(&self) -> Option<&'static str> {
        Some(late::NAME)
    }

    fn gather_marks(&self, sql: &mut dyn Sql, tables: &[(&Table, &Registered)]) -> Result<u64> {
        late::gather(sql, tables)
    }

    fn outdate(&self, schema: &mut Schema, message: &str) {
        if reopen::is_spoilt(message) {
            reopen::outdate(schema, message);
        }
    }

    fn not_default(&self, column: &str) -> String {
        format!("({column} IS NOT NULL AND CAST({column} AS BINARY) NOT IN ('', '0'))")
    }

    fn unlike_default(&self, sql: &mut dyn Sql, table: &str, column: &str) -> Result<String> {
        added::condition(sql, table, column)
    }

    fn capture(&self, on: bool) -> &'static str {
        // What is captured is a write like the application's: with its constraints and cascades.
        if on {
            "SET @server_sync_applying = NULL, foreign_key_checks = 1"
        } else {
            "SET @server_sync_applying = 1, foreign_key_checks = 0"
        }
    }

    fn on_duplicate(&self, _key: &[String], set: &[String]) -> String {
        let assignments: Vec<String> = set.iter().map(|c| format!("{c}=VALUES({c})")).collect();
        format!(" ON DUPLICATE KEY UPDATE {}", assignments.join(", "))
    }

    fn now_micros(&self) -> &'static str {
        "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"
    }

    fn mark_micros(&self) -> &'static str {
        "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', m.at)"
    }

    fn key_place(&self, column: &Column) -> String {
        definition::decimal(&column.sql_type).map_or("?".to_owned(), |decimal| format!("CAST(? AS {decimal})"))
    }

    fn cuts(&self, column: &Column) -> bool {
        matches!(column.kind, Kind::Text | Kind::Bytes)
    }

    fn read_as(&self, column: &Column) -> Option<String> {
        exact::read_as(column)
    }

    fn received(&self, value: Value) -> Value {
        exact::received(value)
    }

    fn place(&self, column: &Column, value: &Value) -> Option<(String, Vec<Value>)> {
        exact::place(column, value)
    }

    fn digest_part(&self, column: &Column) -> Option<String> {
        sums::part(column)
    }

    fn product(&self) -> &'static str {
        match self.flavour {
            Flavour::MariaDb => "MariaDB",
            Flavour::MySql => "MySQL",
        }
    }

    fn digest_of(&self, parts: &[String]) -> Option<String> {
        Some(sums::hash(parts))
    }

    fn sorting_value(&self, column: &Column, value: &Value) -> Value {
        let Value::Text(text) = value else { return value.clone() };
        definition::position(&column.sql_type, text).map_or_else(|| value.clone(), Value::unsigned)
    }

    fn same(&self, column: &Column, left: &str, right: &str) -> String {
        match column.kind {
            // The first comparison finds by index what the second decides.
            Kind::Text => format!("({left} = {right} AND CAST({left} AS BINARY) = CAST({right} AS BINARY))"),
            _ => format!("{left} = {right}"),
        }
    }

    fn own_tables(&self) -> Vec<String> {
        own::own_tables()
    }

    fn list_own_tables(&self) -> &'static str {
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
         AND table_type = 'BASE TABLE' AND table_name LIKE 'server\\_sync\\_%' \
         ORDER BY table_name = 'server_sync_store', table_name"
    }

    fn conflict_table(&self) -> Table {
        own::conflict_table()
    }

    fn count_roughly(&self, table: &str) -> String {
        let name = table.replace('\\', "\\\\").replace('\'', "''");
        format!(
            "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{name}'"
        )
    }

    fn max_params(&self) -> usize {
        65_535
    }

    fn probe(&self, sql: &mut dyn Sql) -> Result<String> {
        schema::probe(sql)
    }

    fn schema_statements(&self, sql: &mut dyn Sql) -> Result<Option<String>> {
        schema::statements(sql)
    }

    fn read_schema(&self, sql: &mut dyn Sql) -> Result<Schema> {
        schema::read(sql, self.flavour)
    }

    fn install(&self, sql: &mut dyn Sql, schema: &Schema, tables: &[(&Table, &Registered)]) -> Result<Vec<String>> {
        install::install(self, sql, schema, tables)
    }

    fn uninstall(&self, sql: &mut dyn Sql, schema: &Schema) -> Result<()> {
        install::uninstall(self, sql, schema)
    }

    fn read_triggers(&self, sql: &mut dyn Sql) -> Result<Vec<Trigger>> {
        schema::triggers(sql)
    }

    fn missing_privileges(&self, sql: &mut dyn Sql, triggers: &[Trigger]) -> Result<Vec<String>> {
        privileges::missing(self, sql, triggers)
    }
}

/// The session's mode, but not strict.
const LENIENT: &str = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES";

/// Connects, with the two connections that a store needs.
pub fn connect(address: &Address) -> Result<Connections> {
    let mut writer = Driver::connect(address)?;
    let mut reader = Driver::connect(address)?;
    // Every page is read from one snapshot.
    reader.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
    let dialect = MySql::detect(&mut writer)?;
    if dialect.flavour == Flavour::MariaDb {
        // Whoever never waits is never part of a deadlock: the application's transaction cannot be its victim. MySQL
        // knows no such value.
        writer.run("SET innodb_lock_wait_timeout=0")?;
    }
    Ok(Connections::new(Box::new(writer), Some(Box::new(reader)), Box::new(dialect)).far(address.is_far()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("10.11.6-MariaDB-0+deb12u1"), (10, 11));
        assert_eq!(parse_version("5.5.5-10.4.1-MariaDB"), (10, 4));
        assert_eq!(parse_version("9.7.4-2"), (9, 7));
        assert_eq!(parse_version("?"), (0, 0));
    }
}
