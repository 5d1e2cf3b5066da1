//! What is recorded of each synchronised table: its number and the lasting ids of its columns, in `server_sync_table`. Decides
//! which column is which after the application changed a table; makes no trigger and marks no row.

use sync_core::{ColumnId, Value, codec};
use sync_store::{Result, StoreError, Trouble};

use crate::catalog::CONFLICTS;
use crate::dialect::Dialect;
use crate::schema::{Registered, Table};
use crate::sql::{Fields, Sql};

/// A registered table, with what is needed to recognise a renamed column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    pub(crate) registered: Registered,
    /// By id: the column's type and its place in the table when last seen.
    shapes: Vec<(String, i64)>,
}

/// Written instead of a column's place until what was written before its triggers has been marked.
const PENDING: i64 = -2;

impl Registration {
    /// What is recorded until what was written before these columns' triggers has been marked.
    pub(crate) fn with_pending(&self, added: &[ColumnId]) -> Self {
        let mut pending = self.clone();
        added.iter().for_each(|id| pending.shapes[usize::from(*id)].1 = PENDING);
        pending
    }
}

/// The names of a table's key columns.
pub(crate) fn key_names(table: &Table) -> Vec<String> {
    table.key_columns().map(|c| c.name.clone()).collect()
}

/// A table that was not registered before.
pub(crate) fn first(table: &Table, number: u16) -> Registration {
    let columns: Vec<String> = table.stored_columns().map(|c| c.name.clone()).collect();
    let shapes = columns.iter().map(|c| shape(table, c)).collect();
    let registered = Registered { number, name: table.name.clone(), columns, key: key_names(table) };
    Registration { registered, shapes }
}

fn shape(table: &Table, column: &str) -> (String, i64) {
    let found = table.columns.iter().enumerate().find(|(_, c)| c.name == column);
    found.map_or((String::new(), -1), |(i, c)| (c.sql_type.clone(), i as i64))
}

/// Brings the ids in line with the columns there are now; also says which ids are new.
///
/// A column counts as renamed if its name is gone and another of the same type stands in its place in a table with
/// as many columns as before; anything else is a drop and an addition.
pub(crate) fn renumber(known: &Registration, table: &Table) -> (Registration, Vec<ColumnId>) {
    let mut next = known.clone();
    let is_there = |name: &str| table.stored_columns().any(|c| c.name == name);
    let before = known.shapes.iter().filter(|s| s.1 != -1).count();
    let same_width = before == table.stored_columns().count();
    for (id, name) in known.registered.columns.iter().enumerate() {
        if name.is_empty() || is_there(name) {
            continue;
        }
        let successor = table.stored_columns().find(|c| {
            same_width && !known.registered.columns.contains(&c.name) && shape(table, &c.name) == known.shapes[id]
        });
        let new_name = successor.map(|c| c.name.clone()).unwrap_or_default();
        for key in next.registered.key.iter_mut().filter(|k| *k == name) {
            key.clone_from(&new_name);
        }
        next.registered.columns[id] = new_name;
    }
    let is_pending = |id: &ColumnId| known.shapes[usize::from(*id)].1 == PENDING;
    let mut added: Vec<ColumnId> = (0..known.shapes.len() as ColumnId).filter(is_pending).collect();
    for column in table.stored_columns() {
        if next.registered.id(&column.name).is_none() {
            added.push(next.registered.columns.len() as ColumnId);
            next.registered.columns.push(column.name.clone());
        }
    }
    next.shapes = next.registered.columns.iter().map(|c| shape(table, c)).collect();
    (next, added)
}

/// The number that a new table gets.
pub(crate) fn next_number(sql: &mut dyn Sql, table: &Table) -> Result<u16> {
    if table.name == crate::conflicts::TABLE {
        return Ok(CONFLICTS);
    }
    let row = sql.first("SELECT COALESCE(MAX(number), 0) + 1 FROM server_sync_table", &[])?;
    let next = Fields::of(row.unwrap_or_default()).unsigned()?;
    u16::try_from(next).map_err(|_| StoreError::new(Trouble::Failure, "more than 65535 tables were registered"))
}

/// All that are recorded.
pub(crate) fn read(sql: &mut dyn Sql) -> Result<Vec<Registration>> {
    let rows =
        sql.all("SELECT number, name, columns_by_id, key_columns FROM server_sync_table ORDER BY number", &[])?;
    rows.into_iter().map(parse).collect()
}

fn parse(row: Vec<Value>) -> Result<Registration> {
    let mut fields = Fields::of(row);
    let (number, name) = (fields.unsigned()? as u16, fields.text()?);
    let mut packed = Fields::of(codec::unpack_values(&fields.bytes()?)?);
    let count = packed.unsigned()?;
    let (mut columns, mut shapes) = (Vec::new(), Vec::new());
    for _ in 0..count {
        columns.push(packed.text()?);
        shapes.push((packed.text()?, packed.int()?));
    }
    let mut keys = codec::unpack_values(&fields.bytes()?)?.into_iter();
    let key = keys.by_ref().map(|v| Fields::of(vec![v]).text()).collect::<Result<_>>()?;
    Ok(Registration { registered: Registered { number, name, columns, key }, shapes })
}

/// Keeps the number taken, and frees the name.
pub(crate) fn retire(sql: &mut dyn Sql, registered: &Registered) -> Result<()> {
    let params = [Value::text(format!("~{}", registered.number)), Value::Int(registered.number.into())];
    sql.execute("UPDATE server_sync_table SET name=? WHERE number=?", &params).map(drop)
}

/// Records it.
pub(crate) fn store(sql: &mut dyn Sql, dialect: &dyn Dialect, registration: &Registration) -> Result<()> {
    let registered = &registration.registered;
    let mut packed = vec![Value::Int(registered.columns.len() as i64)];
    for (name, (sql_type, place)) in registered.columns.iter().zip(&registration.shapes) {
        packed.extend([Value::text(name), Value::text(sql_type), Value::Int(*place)]);
    }
    let keys: Vec<Value> = registered.key.iter().map(Value::text).collect();
    let upsert = dialect.on_duplicate(&["number".to_owned()], &["columns_by_id".to_owned(), "key_columns".to_owned()]);
    let statement =
        format!("INSERT INTO server_sync_table (number, name, columns_by_id, key_columns) VALUES (?,?,?,?){upsert}");
    let params = [
        Value::Int(registered.number.into()),
        Value::text(&registered.name),
        Value::Bytes(codec::pack_values(&packed)),
        Value::Bytes(codec::pack_values(&keys)),
    ];
    sql.execute(&statement, &params).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Column, Kind};

    fn table(columns: &[(&str, &str)]) -> Table {
        let column = |(name, sql_type): &(&str, &str)| Column {
            name: (*name).to_owned(),
            sql_type: (*sql_type).to_owned(),
            kind: Kind::Integer,
            nullable: true,
            generated: false,
            definition: format!("{name} {sql_type}"),
        };
        let columns = columns.iter().map(column).collect();
        Table::plain("t", columns, vec![0])
    }

    fn names(r: &Registration) -> Vec<&str> {
        r.registered.columns.iter().map(String::as_str).collect()
    }

    #[test]
    fn ids_survive_adding_dropping_and_renaming() {
        let first = first(&table(&[("id", "int"), ("a", "int"), ("b", "text")]), 1);
        let (r, added) = renumber(&first, &table(&[("id", "int"), ("c", "date"), ("a", "int"), ("b", "text")]));
        assert_eq!((names(&r), added), (vec!["id", "a", "b", "c"], vec![3]));
        let (r, added) = renumber(&r, &table(&[("id", "int"), ("c", "date"), ("b", "text")]));
        assert_eq!((names(&r), added), (vec!["id", "", "b", "c"], vec![]));
        let (r, added) = renumber(&r, &table(&[("id", "int"), ("c", "date"), ("body", "text")]));
        assert_eq!((names(&r), added), (vec!["id", "", "body", "c"], vec![]));
        let (r, added) = renumber(&r, &table(&[("id", "int"), ("a", "int"), ("c", "date"), ("body", "text")]));
        assert_eq!((names(&r), added), (vec!["id", "", "body", "c", "a"], vec![4]));
    }

    #[test]
    fn a_renamed_key_is_still_the_key() {
        let first = first(&table(&[("id", "int"), ("a", "int")]), 1);
        let renamed = table(&[("number", "int"), ("a", "int")]);
        let (r, _) = renumber(&first, &renamed);
        assert_eq!(r.registered.key, ["number"]);
        assert_eq!(r.registered.key, key_names(&renamed));
    }
}
