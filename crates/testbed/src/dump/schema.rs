//! Definitions of everything in a database, as SHOW CREATE prints them, for "uninstall restores byte for byte". Leaves
//! out what is not definition: creation times and the next auto-increment value.

use std::collections::BTreeMap;

use mysql::prelude::Queryable;
use mysql::{Conn, Row, Value};

use super::quote;
use crate::Result;
use crate::error::Context;

/// Kind and name (`TRIGGER ins_film`) to definition with its sql_mode, definer, character sets and order.
pub type SchemaDump = BTreeMap<String, String>;

/// Lists what exists: a kind as SHOW CREATE wants it, and its name.
const OBJECTS: &str = "\
    SELECT IF(table_type = 'VIEW', 'VIEW', 'TABLE') AS kind, CAST(table_name AS CHAR) AS name \
        FROM information_schema.tables WHERE table_schema = ? \
    UNION ALL SELECT 'TRIGGER', CAST(trigger_name AS CHAR) \
        FROM information_schema.triggers WHERE trigger_schema = ? \
    UNION ALL SELECT CAST(routine_type AS CHAR), CAST(routine_name AS CHAR) \
        FROM information_schema.routines WHERE routine_schema = ? \
    UNION ALL SELECT 'EVENT', CAST(event_name AS CHAR) \
        FROM information_schema.events WHERE event_schema = ?";

const TRIGGER_ORDERS: &str = "\
    SELECT CAST(trigger_name AS CHAR), CAST(action_order AS CHAR) \
    FROM information_schema.triggers WHERE trigger_schema = ?";

/// Reads every definition of `database`, those of server_sync included.
///
/// # Errors
/// When the server refuses a query.
pub fn schema_dump(connection: &mut Conn, database: &str) -> Result<SchemaDump> {
    read(connection, database).context(format!("cannot read the definitions of {database}"))
}

fn read(connection: &mut Conn, database: &str) -> mysql::Result<SchemaDump> {
    let mut schema = SchemaDump::new();
    schema.insert("DATABASE".to_owned(), show_create(connection, "DATABASE", &quote(database))?);
    let objects: Vec<(String, String)> = connection.exec(OBJECTS, (database, database, database, database))?;
    for (kind, name) in objects {
        let full_name = format!("{}.{}", quote(database), quote(&name));
        schema.insert(format!("{kind} {name}"), show_create(connection, &kind, &full_name)?);
    }
    let orders: Vec<(String, String)> = connection.exec(TRIGGER_ORDERS, (database,))?;
    for (name, order) in orders {
        schema.entry(format!("TRIGGER {name}")).or_default().push_str(&format!("\norder: {order}"));
    }
    Ok(schema)
}

/// All columns of SHOW CREATE but the time of creation, one a line.
fn show_create(connection: &mut Conn, kind: &str, name: &str) -> mysql::Result<String> {
    let row: Option<Row> = connection.query_first(format!("SHOW CREATE {kind} {name}"))?;
    let Some(row) = row else { return Ok(String::new()) };
    let columns: Vec<String> = row.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
    let lines = columns.iter().zip(row.unwrap()).filter(|(column, _)| *column != "Created");
    let lines: Vec<_> = lines.map(|(column, value)| format!("{column}: {}", without_counter(&text(value)))).collect();
    Ok(lines.join("\n"))
}

fn text(value: Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => other.as_sql(true),
    }
}

/// Drops the table option ` AUTO_INCREMENT=123`, which changes with the data.
fn without_counter(definition: &str) -> String {
    match definition.split_once(" AUTO_INCREMENT=") {
        Some((before, after)) => format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => definition.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_counter;

    #[test]
    fn the_counter_is_not_part_of_a_definition() {
        let cases = [
            (") ENGINE=InnoDB AUTO_INCREMENT=201 DEFAULT CHARSET=utf8mb4", ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"),
            ("`id` int NOT NULL AUTO_INCREMENT,", "`id` int NOT NULL AUTO_INCREMENT,"),
        ];
        for (definition, expected) in cases {
            assert_eq!(without_counter(definition), expected);
        }
    }
}
