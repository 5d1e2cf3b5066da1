//! Reading the application's schema from `information_schema`, in five statements whatever the number of tables, the
//! probe that tells whether reading is needed, and the counters that tell whether the probe is. Never opens a row of the
//! application, never changes anything.

use std::collections::{BTreeMap, BTreeSet};

use sync_core::Value;
use sync_store::Result;

use super::Flavour;
use super::definition;
use crate::schema::{Action, Column, ForeignKey, PREFIX, Schema, Table, Trigger};
use crate::sql::{Fields, Sql};

/// Sums of hashes, so that the order of rows does not matter and nothing is sorted. Our own tables are included: one
/// that was dropped is created again. Statistics, defaults and comments are left out.
const PROBE: &str = "SELECT CONCAT_WS('-', \
     (SELECT CONCAT(COUNT(*), '.', COALESCE(SUM(CRC32(CONCAT_WS('|', TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, \
         COLUMN_TYPE, IS_NULLABLE, COALESCE(COLLATION_NAME, ''), COALESCE(GENERATION_EXPRESSION, '')))), 0)) \
      FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()), \
     (SELECT CONCAT(COUNT(*), '.', COALESCE(SUM(CRC32(CONCAT_WS('|', TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, \
         COALESCE(COLUMN_NAME, ''), COALESCE(SUB_PART, ''), NON_UNIQUE))), 0)) \
      FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()), \
     (SELECT CONCAT(COUNT(*), '.', COALESCE(SUM(CRC32(CONCAT_WS('|', TABLE_NAME, CONSTRAINT_NAME, \
         REFERENCED_TABLE_NAME, DELETE_RULE, UPDATE_RULE))), 0)) \
      FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE()), \
     (SELECT CONCAT(COUNT(*), '.', COALESCE(SUM(CRC32(CONCAT_WS('|', TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_ORDER, \
         DEFINER, ACTION_STATEMENT))), 0)) \
      FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()))";

/// A text that changes whenever columns, keys, foreign keys or triggers do.
pub(super) fn probe(sql: &mut dyn Sql) -> Result<String> {
    let row = sql.first(PROBE, &[])?.unwrap_or_default();
    Fields::of(row).text()
}

/// The server's counters of statements that change definitions of any kind, in any database. They count at once
/// what connections, routines and events begin, and need no privilege. Temporary tables do not matter; MySQL counts
/// those with the others.
const STATEMENTS: &str = "SHOW GLOBAL STATUS WHERE (Variable_name LIKE 'Com_create%' OR Variable_name LIKE 'Com_alter%' \
     OR Variable_name LIKE 'Com_drop%' OR Variable_name LIKE 'Com_rename%' OR Variable_name LIKE 'Com_import%') \
     AND Variable_name NOT LIKE '%temporary%'";

/// The counters as a text; nothing if the server shows none.
pub(super) fn statements(sql: &mut dyn Sql) -> Result<Option<String>> {
    let mut text = String::new();
    sql.query(STATEMENTS, &[], &mut |row| {
        let mut fields = Fields::of(row);
        text.push_str(&format!("{}={} ", fields.text()?, fields.text()?));
        Ok(())
    })?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Reads the schema of the current database.
pub(super) fn read(sql: &mut dyn Sql, flavour: Flavour) -> Result<Schema> {
    let kinds = tables(sql)?;
    let mut columns = columns(sql, flavour, None)?;
    let indexes = indexes(sql)?;
    let tables = kinds
        .into_iter()
        .filter(|(name, _)| !name.starts_with(PREFIX))
        .map(|(name, transactional)| {
            let columns = columns.remove(&name).unwrap_or_default();
            table(name, columns, &indexes, transactional)
        })
        .collect();
    Ok(Schema { tables, foreign_keys: foreign_keys(sql)?, triggers: triggers(sql)? })
}

/// Base tables by name, and whether their engine is transactional. Tables with system versioning count: what is
/// current in them is data like any other.
fn tables(sql: &mut dyn Sql) -> Result<BTreeMap<String, bool>> {
    let rows = sql.all(
        "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')",
        &[],
    )?;
    let parse = |row| {
        let mut fields = Fields::of(row);
        let name = fields.text()?;
        Ok((name, is_transactional(&fields.text()?)))
    };
    rows.into_iter().map(parse).collect()
}

fn is_transactional(engine: &str) -> bool {
    let engine = engine.to_ascii_lowercase();
    ["innodb", "rocksdb", "tokudb", "ndbcluster", "ndb"].contains(&engine.as_str())
}

/// The columns of all tables, or of one.
pub(super) fn columns(
    sql: &mut dyn Sql,
    flavour: Flavour,
    table: Option<&str>,
) -> Result<BTreeMap<String, Vec<Column>>> {
    let (condition, params) = match table {
        Some(name) => (" AND TABLE_NAME = ?", vec![Value::text(name)]),
        None => ("", Vec::new()),
    };
    let statement = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE, \
         GENERATION_EXPRESSION FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = DATABASE(){condition} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    );
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for row in sql.all(&statement, &params)? {
        let mut fields = Fields::of(row);
        let table = fields.text()?;
        tables.entry(table).or_default().push(column(&mut fields, flavour)?);
    }
    Ok(tables)
}

fn column(fields: &mut Fields, flavour: Flavour) -> Result<Column> {
    let (name, column_type) = (fields.text()?, fields.text()?);
    let (charset, collation) = (fields.text()?, fields.text()?);
    let nullable = fields.text()? == "YES";
    // EXTRA is no help here: MySQL also says DEFAULT_GENERATED of a default that is an expression.
    let generated = !fields.text()?.is_empty();
    let parsed = definition::Type::parse(&column_type, &charset, &collation);
    let definition = parsed.definition(&name, nullable, generated);
    Ok(Column { name, sql_type: parsed.sql(), kind: parsed.kind(flavour), nullable, generated, definition })
}

/// One index: its columns as far as they are columns, and whether it is unique and over whole values.
struct Index {
    table: String,
    name: String,
    unique: bool,
    columns: Vec<String>,
    prefix: bool,
    expression: bool,
}

fn indexes(sql: &mut dyn Sql) -> Result<Vec<Index>> {
    let rows = sql.all(
        "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
        &[],
    )?;
    let mut indexes: Vec<Index> = Vec::new();
    for row in rows {
        let mut fields = Fields::of(row);
        let (table, name, unique) = (fields.text()?, fields.text()?, fields.int()? == 0);
        if indexes.last().is_none_or(|i| i.table != table || i.name != name) {
            let (columns, prefix, expression) = (Vec::new(), false, false);
            indexes.push(Index { table, name, unique, columns, prefix, expression });
        }
        let (column, part) = (fields.text()?, fields.value());
        if let Some(index) = indexes.last_mut() {
            index.expression |= column.is_empty();
            index.prefix |= !part.is_null();
            index.columns.push(column);
        }
    }
    Ok(indexes)
}

fn table(name: String, mut columns: Vec<Column>, indexes: &[Index], transactional: bool) -> Table {
    let mut uniques = BTreeSet::new();
    let mut primary = None;
    for index in indexes.iter().filter(|i| i.table == name && i.unique && !i.expression) {
        let place = |c: &String| columns.iter().position(|column| column.name == *c);
        let Some(places) = index.columns.iter().map(place).collect::<Option<Vec<_>>>() else { continue };
        match index.name.as_str() {
            "PRIMARY" => primary = Some(places),
            _ => drop(uniques.insert((index.prefix, places.len(), places))),
        }
    }
    let has_primary = primary.is_some();
    let key = primary.or_else(|| substitute(&uniques, &columns)).unwrap_or_default();
    let uniques: Vec<_> = uniques.into_iter().map(|(_, _, places)| places).filter(|p| *p != key).collect();
    for place in &key {
        let column = &mut columns[*place];
        column.definition = definition::with_collation(&column.definition, &column.sql_type);
    }
    Table { name, columns, key, has_primary, uniques, counters: Vec::new(), rekeys: false, transactional }
}

/// The unique key that serves where there is no primary key: without NULLs and prefixes; of several the shortest, then
/// that of the leftmost columns, so that every site and server chooses alike (their order in the table is not told).
fn substitute(uniques: &BTreeSet<(bool, usize, Vec<usize>)>, columns: &[Column]) -> Option<Vec<usize>> {
    let fits = |places: &[usize]| places.iter().all(|p| !columns[*p].nullable && !columns[*p].generated);
    uniques.iter().find(|(prefix, _, places)| !prefix && fits(places)).map(|(_, _, places)| places.clone())
}

fn foreign_keys(sql: &mut dyn Sql) -> Result<Vec<ForeignKey>> {
    let rows = sql.all(
        "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.REFERENCED_TABLE_NAME, r.DELETE_RULE, r.UPDATE_RULE, \
         k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME \
         FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r \
           ON r.CONSTRAINT_SCHEMA = DATABASE() AND r.TABLE_NAME = k.TABLE_NAME \
           AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
         WHERE k.TABLE_SCHEMA = DATABASE() AND k.CONSTRAINT_SCHEMA = DATABASE() \
           AND k.REFERENCED_TABLE_SCHEMA = DATABASE() \
         ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION",
        &[],
    )?;
    let mut keys: Vec<(String, ForeignKey)> = Vec::new();
    for row in rows {
        let mut fields = Fields::of(row);
        let (child, constraint, parent) = (fields.text()?, fields.text()?, fields.text()?);
        let (on_delete, on_update) = (action(&fields.text()?), action(&fields.text()?));
        if keys.last().is_none_or(|(name, k)| *name != constraint || k.child != child) {
            let (columns, parent_columns) = (Vec::new(), Vec::new());
            keys.push((constraint, ForeignKey { child, columns, parent, parent_columns, on_delete, on_update }));
        }
        if let Some((_, key)) = keys.last_mut() {
            key.columns.push(fields.text()?);
            key.parent_columns.push(fields.text()?);
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

fn action(rule: &str) -> Action {
    match rule {
        "CASCADE" => Action::Cascade,
        "SET NULL" => Action::SetNull,
        _ => Action::Restrict,
    }
}

/// All triggers, in the order in which they fire.
pub(super) fn triggers(sql: &mut dyn Sql) -> Result<Vec<Trigger>> {
    let rows = sql.all(
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_STATEMENT, DEFINER, \
         SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION FROM information_schema.TRIGGERS \
         WHERE TRIGGER_SCHEMA = DATABASE() \
         ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
        &[],
    )?;
    rows.into_iter().map(trigger).collect()
}

fn trigger(row: Vec<Value>) -> Result<Trigger> {
    let mut fields = Fields::of(row);
    Ok(Trigger {
        name: fields.text()?,
        table: fields.text()?,
        event: fields.text()?,
        timing: fields.text()?,
        body: fields.text()?,
        definer: fields.text()?,
        sql_mode: fields.text()?,
        charset: fields.text()?,
        collation: fields.text()?,
    })
}
