//! A column that was added to a table with rows: which of them were written since, before our triggers knew it. Too
//! many rows would be stamped later than what other sites really wrote, so the column's default is looked at.

use sync_core::Value;
use sync_store::Result;

use super::names::quote;
use crate::sql::{Fields, Sql};

/// The condition that a row's value is not what ALTER TABLE gave it.
pub(super) fn condition(sql: &mut dyn Sql, table: &str, column: &str) -> Result<String> {
    let row = sql.first(
        "SELECT COLUMN_DEFAULT IS NOT NULL AND UPPER(COLUMN_DEFAULT) <> 'NULL', IS_NULLABLE = 'YES', DATA_TYPE, \
         CONCAT(EXTRA, ' ', COALESCE(COLUMN_DEFAULT, '')) FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND COLUMN_NAME = ?",
        &[Value::text(table), Value::text(column)],
    )?;
    let mut fields = Fields::of(row.unwrap_or_default());
    let (has_default, nullable) = (fields.int()? != 0, fields.int()? != 0);
    let (data_type, origin) = (fields.text()?, fields.text()?);
    Ok(text(&quote(table), &quote(column), &data_type, has_default, nullable, &origin))
}

fn text(table: &str, column: &str, data_type: &str, has_default: bool, nullable: bool, origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    if has_default && origin.contains("current_timestamp") {
        // All rows there were then have the time of the ALTER; what was written since is later.
        return format!("NOT ({column} <=> (SELECT MIN({column}) FROM {table}))");
    }
    if origin.contains("auto_increment") || (has_default && is_computed(&origin)) {
        return "1=1".to_owned();
    }
    match (has_default, nullable) {
        (true, _) => format!("NOT (CAST({column} AS BINARY) <=> CAST(DEFAULT({column}) AS BINARY))"),
        (false, true) => format!("{column} IS NOT NULL"),
        (false, false) => implicit(column, &data_type.to_ascii_lowercase()),
    }
}

/// A default that is an expression gives every row another value; MySQL says so, MariaDB writes it with parentheses.
fn is_computed(origin: &str) -> bool {
    origin.contains("default_generated") || (origin.contains('(') && !origin.trim_start().starts_with('\''))
}

/// Without a default, ALTER TABLE fills in zero, the empty text or the first label.
fn implicit(column: &str, data_type: &str) -> String {
    match data_type {
        "enum" => format!("{column} + 0 <> 1"),
        "set" | "bit" | "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "float" | "double"
        | "year" | "date" | "datetime" | "timestamp" | "time" => format!("{column} + 0 <> 0"),
        "json" => format!("CAST({column} AS BINARY) <> 'null'"),
        _ => format!("LENGTH({column}) <> 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alter_table_gave() {
        let of =
            |data_type, has_default, nullable, origin| text("`t`", "`c`", data_type, has_default, nullable, origin);
        assert_eq!(of("int", false, true, " "), "`c` IS NOT NULL");
        assert_eq!(of("int", false, false, " "), "`c` + 0 <> 0");
        assert_eq!(of("enum", false, false, " "), "`c` + 0 <> 1");
        assert_eq!(of("text", false, false, " "), "LENGTH(`c`) <> 0");
        assert_eq!(of("int", true, false, " 7"), "NOT (CAST(`c` AS BINARY) <=> CAST(DEFAULT(`c`) AS BINARY))");
        assert!(of("varchar", true, true, " 'a(b'").contains("DEFAULT("));
        assert_eq!(of("varchar", true, true, " uuid()"), "1=1");
        assert_eq!(of("varchar", true, true, "DEFAULT_GENERATED uuid()"), "1=1");
        assert!(of("timestamp", true, true, "DEFAULT_GENERATED CURRENT_TIMESTAMP").contains("MIN(`c`)"));
        assert_eq!(of("int", false, false, "auto_increment "), "1=1");
    }
}
