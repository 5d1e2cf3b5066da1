//! Reading the schema of an SQLite database. Reading only.
//!
//! Left out: views, virtual tables and the tables in which those keep their contents (see [`super::search`]),
//! SQLite's own tables and ours. Columns say their type in upper case, and the collation: `TEXT COLLATE "NOCASE"`.
//!
//! In SQLite a primary key may hold NULLs unless it is INTEGER PRIMARY KEY, NOT NULL or WITHOUT ROWID. Such a key
//! column is `nullable`; a row with a NULL in its key has no identity, is never marked and stays at its site.
//! A unique index that is partial, or over expressions, is not among `uniques`: it does not forbid what a unique key
//! would.

use std::collections::{BTreeMap, BTreeSet};

use sync_core::Value;
use sync_store::Result;

use super::indexes::{self, Unique};
use super::tokens::{self, Class};
use super::trigger_text::Header;
use crate::schema::{Action, Column, ForeignKey, Kind, PREFIX, Schema, Table, Trigger};
use crate::sql::{Fields, Sql};

/// Reads everything.
pub(super) fn read(sql: &mut dyn Sql) -> Result<Schema> {
    let mut schema = Schema { triggers: triggers(sql)?, ..Schema::default() };
    for found in listed(sql)? {
        schema.tables.push(table(sql, &found)?);
    }
    for i in 0..schema.tables.len() {
        let keys = foreign_keys(sql, &schema, &schema.tables[i])?;
        schema.foreign_keys.extend(keys);
    }
    Ok(schema)
}

/// A table as `sqlite_schema` lists it.
struct Listed {
    name: String,
    without_rowid: bool,
    strict: bool,
    create: String,
}

fn listed(sql: &mut dyn Sql) -> Result<Vec<Listed>> {
    let query = "SELECT l.name, l.wr, l.strict, s.sql FROM pragma_table_list l \
         JOIN main.sqlite_schema s ON s.type='table' AND s.name=l.name \
         WHERE l.schema='main' AND l.type='table' ORDER BY l.name";
    let rows = sql.all(query, &[])?;
    let virtuals = unknown_virtuals(sql)?;
    let mut tables = rows.into_iter().map(parse_listed).collect::<Result<Vec<_>>>()?;
    tables.retain(|t| {
        let name = t.name.to_ascii_lowercase();
        !name.starts_with("sqlite_") && !name.starts_with(PREFIX) && !virtuals.iter().any(|v| name.starts_with(v))
    });
    Ok(tables)
}

fn parse_listed(row: Vec<Value>) -> Result<Listed> {
    let mut fields = Fields::of(row);
    Ok(Listed {
        name: fields.text()?,
        without_rowid: fields.int()? == 1,
        strict: fields.int()? == 1,
        create: fields.text()?,
    })
}

/// With what the tables of virtual tables begin whose module is not known here. Those of known ones are listed as
/// what they are.
fn unknown_virtuals(sql: &mut dyn Sql) -> Result<Vec<String>> {
    let rows = sql.all("SELECT name, sql FROM main.sqlite_schema WHERE type='table' AND rootpage=0", &[])?;
    let known: BTreeSet<String> = sql
        .all("SELECT lower(name) FROM pragma_module_list", &[])?
        .into_iter()
        .map(|row| Fields::of(row).text())
        .collect::<Result<_>>()?;
    let mut prefixes = Vec::new();
    for row in rows {
        let mut fields = Fields::of(row);
        let (name, create) = (fields.text()?, fields.text()?);
        let all = tokens::tokens(&create);
        let module = tokens::find(&all, "USING").and_then(|i| all.get(i + 1)).map(|t| t.name().to_lowercase());
        if module.is_some_and(|m| !known.contains(&m)) {
            prefixes.push(format!("{}_", name.to_ascii_lowercase()));
        }
    }
    Ok(prefixes)
}

fn table(sql: &mut dyn Sql, found: &Listed) -> Result<Table> {
    let raw = columns(sql, &found.name)?;
    let uniques = indexes::uniques(sql, &found.name)?;
    let collations = collations(&found.create);
    let mut columns: Vec<Column> = raw.iter().map(|c| c.column(found, &uniques, &collations)).collect();
    let primary = primary(&raw);
    let key = if primary.is_empty() { unique_key(&columns, &uniques) } else { primary.clone() };
    for i in &key {
        let collation = collation_of(&columns[*i].sql_type);
        columns[*i].definition += &collation;
    }
    let positions = |u: &Unique| u.columns().filter_map(|c| position(&columns, c)).collect::<Vec<_>>();
    let others: BTreeSet<Vec<usize>> =
        uniques.iter().filter(|u| u.is_plain() && !u.primary).map(positions).filter(|p| *p != key).collect();
    Ok(Table {
        name: found.name.clone(),
        columns,
        key,
        has_primary: !primary.is_empty(),
        uniques: others.into_iter().collect(),
        counters: Vec::new(),
        rekeys: false,
        transactional: true,
    })
}

fn position(columns: &[Column], name: &str) -> Option<usize> {
    columns.iter().position(|c| c.name.eq_ignore_ascii_case(name))
}

/// A column as the PRAGMA tells it.
struct Raw {
    name: String,
    declared: String,
    not_null: bool,
    key_place: i64,
    generated: bool,
}

fn columns(sql: &mut dyn Sql, table: &str) -> Result<Vec<Raw>> {
    let query = "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid";
    let parse = |row| {
        let mut fields = Fields::of(row);
        Ok(Raw {
            name: fields.text()?,
            declared: fields.text()?,
            not_null: fields.int()? == 1,
            key_place: fields.int()?,
            generated: fields.int()? >= 2,
        })
    };
    sql.all(query, &[Value::text(table)])?.into_iter().map(parse).collect()
}

impl Raw {
    fn column(&self, table: &Listed, uniques: &[Unique], collations: &BTreeMap<String, String>) -> Column {
        let declared = normalised(&self.declared);
        let kind = kind(&declared, table.strict);
        let is_row_id = self.key_place > 0 && !table.without_rowid && !uniques.iter().any(|u| u.primary);
        let is_clustered = self.key_place > 0 && table.without_rowid;
        let nullable = !(self.not_null || is_row_id || is_clustered);
        let collation = collations.get(&self.name.to_ascii_lowercase());
        let collated = collation.map(|c| format!(" COLLATE {c}")).unwrap_or_default();
        let strict = if table.strict { " STRICT" } else { "" };
        let null = if nullable { "" } else { " NOT NULL" };
        let generated = if self.generated { " GENERATED" } else { "" };
        Column {
            definition: format!("{} {declared} {}{strict}{null}{generated}", super::quote(&self.name), affinity(kind)),
            sql_type: format!("{declared}{collated}").trim_start().to_owned(),
            name: self.name.clone(),
            kind,
            nullable,
            generated: self.generated,
        }
    }
}

/// Upper case, one space between words: SQLite itself reads no more into a type.
fn normalised(declared: &str) -> String {
    declared.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase()
}

/// By the rules of affinity (section 3.1 of SQLite's "Datatypes").
fn kind(declared: &str, strict: bool) -> Kind {
    let has = |words: &[&str]| words.iter().any(|w| declared.contains(w));
    match declared {
        "" => Kind::Bytes,
        "ANY" if strict => Kind::Bytes,
        _ if has(&["INT"]) => Kind::Integer,
        _ if has(&["CHAR", "CLOB", "TEXT"]) => Kind::Text,
        _ if has(&["BLOB"]) => Kind::Bytes,
        _ if has(&["REAL", "FLOA", "DOUB"]) => Kind::Float,
        _ => Kind::Exact,
    }
}

fn affinity(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "INTEGER",
        Kind::Text => "TEXT",
        Kind::Float => "REAL",
        Kind::Exact => "NUMERIC",
        Kind::Bytes | Kind::Json | Kind::Geometry => "BLOB",
    }
}

/// Whether values that SQLite calls equal can differ in type: 1 and 1.0.
pub(super) fn is_typeless(column: &Column) -> bool {
    let first = tokens::tokens(&column.sql_type).first().map(|t| t.name());
    column.kind == Kind::Bytes && first.is_none_or(|word| ["ANY", "COLLATE"].contains(&word.as_str()))
}

/// ` COLLATE X` of a column's `sql_type`, if it has one other than BINARY.
pub(super) fn collation_of(sql_type: &str) -> String {
    let all = tokens::tokens(sql_type);
    let collation = tokens::find(&all, "COLLATE").and_then(|i| all.get(i + 1)).map(|t| t.name().to_uppercase());
    collation.filter(|c| c != "BINARY").map(|c| format!(" COLLATE {}", super::quote(&c))).unwrap_or_default()
}

/// The default of a column, as an expression; `NULL` if there is none.
pub(super) fn default_of(sql: &mut dyn Sql, table: &str, column: &str) -> Result<String> {
    let query = "SELECT dflt_value FROM pragma_table_xinfo(?, 'main') WHERE name=?";
    let row = sql.first(query, &[Value::text(table), Value::text(column)])?;
    Ok(constant(&Fields::of(row.unwrap_or_default()).text()?))
}

fn constant(default: &str) -> String {
    match tokens::tokens(default).as_slice() {
        [] => "NULL".to_owned(),
        [one] if is_text(one) => format!("'{}'", one.name().replace('\'', "''")),
        _ => default.to_owned(),
    }
}

/// SQLite takes a name for a text where only a constant can stand.
fn is_text(token: &tokens::Token) -> bool {
    let words = ["NULL", "TRUE", "FALSE", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"];
    let is_name = token.class == Class::Word && token.text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    token.class == Class::Quoted || (is_name && !words.iter().any(|w| token.is(w)))
}

/// Columns with COLLATE in a CREATE TABLE: name in lower case, collation quoted. No PRAGMA tells them.
fn collations(create: &str) -> BTreeMap<String, String> {
    let all = tokens::tokens(create);
    let open = all.iter().position(|t| t.is("("));
    let body = open.and_then(|open| Some(&all[open + 1..tokens::closing(&all, open)?])).unwrap_or_default();
    let one = |definition: &&[tokens::Token]| {
        let name = definition.first()?.name().to_ascii_lowercase();
        let at = tokens::find(definition, "COLLATE")?;
        Some((name, super::quote(&definition.get(at + 1)?.name().to_uppercase())))
    };
    tokens::split(body, ",").iter().filter_map(one).collect()
}

/// The primary key's columns in its own order.
fn primary(raw: &[Raw]) -> Vec<usize> {
    let mut key: Vec<(i64, usize)> =
        raw.iter().enumerate().filter(|(_, c)| c.key_place > 0).map(|(i, c)| (c.key_place, i)).collect();
    key.sort_unstable();
    key.into_iter().map(|(_, i)| i).collect()
}

/// The unique key that serves where there is no primary key: the one with the fewest and first columns, which does not
/// depend on the order in which indexes were made.
fn unique_key(columns: &[Column], uniques: &[Unique]) -> Vec<usize> {
    let serves = |u: &&Unique| {
        u.is_plain()
            && u.terms.iter().all(|t| {
                let column = t.column.as_deref().and_then(|c| columns.iter().find(|x| x.name == c));
                column.is_some_and(|c| !c.nullable && !c.generated && own_collation(c) == t.collation.to_uppercase())
            })
    };
    let keys = uniques.iter().filter(serves);
    let keys = keys.map(|u| u.columns().filter_map(|c| position(columns, c)).collect::<Vec<_>>());
    keys.min_by_key(|k| (k.len(), k.clone())).unwrap_or_default()
}

fn own_collation(column: &Column) -> String {
    let all = collation_of(&column.sql_type);
    let named = tokens::tokens(&all).get(1).map(tokens::Token::name);
    named.unwrap_or_else(|| "BINARY".to_owned())
}

fn foreign_keys(sql: &mut dyn Sql, schema: &Schema, child: &Table) -> Result<Vec<ForeignKey>> {
    let query = "SELECT id, \"table\", \"from\", \"to\", on_delete, on_update FROM pragma_foreign_key_list(?, 'main') \
         ORDER BY id, seq";
    let mut keys: BTreeMap<i64, (String, ForeignKey)> = BTreeMap::new();
    for row in sql.all(query, &[Value::text(&child.name)])? {
        let mut fields = Fields::of(row);
        let (id, parent, from, to) = (fields.int()?, fields.text()?, fields.text()?, fields.text()?);
        let (on_delete, on_update) = (action(&fields.text()?), action(&fields.text()?));
        let (_, key) = keys.entry(id).or_insert_with(|| (parent, empty(&child.name, on_delete, on_update)));
        key.columns.extend(position(&child.columns, &from).map(|i| child.columns[i].name.clone()));
        key.parent_columns.extend(Some(to).filter(|t| !t.is_empty()));
    }
    Ok(keys.into_values().filter_map(|(parent, key)| resolved(schema, &parent, key)).collect())
}

fn empty(child: &str, on_delete: Action, on_update: Action) -> ForeignKey {
    ForeignKey {
        child: child.to_owned(),
        columns: Vec::new(),
        parent: String::new(),
        parent_columns: Vec::new(),
        on_delete,
        on_update,
    }
}

fn action(name: &str) -> Action {
    match name {
        "CASCADE" => Action::Cascade,
        "SET NULL" => Action::SetNull,
        _ => Action::Restrict,
    }
}

/// With the names as the parent has them, and its primary key where none were given. A foreign key to a table or
/// columns that do not exist binds nobody.
fn resolved(schema: &Schema, parent: &str, mut key: ForeignKey) -> Option<ForeignKey> {
    let parent = schema.tables.iter().find(|t| t.name.eq_ignore_ascii_case(parent))?;
    key.parent = parent.name.clone();
    let named = std::mem::take(&mut key.parent_columns);
    key.parent_columns = if named.is_empty() && parent.has_primary {
        parent.key_columns().map(|c| c.name.clone()).collect()
    } else {
        named.iter().filter_map(|n| position(&parent.columns, n)).map(|i| parent.columns[i].name.clone()).collect()
    };
    (key.parent_columns.len() == key.columns.len()).then_some(key)
}

/// The newest fires first; SQLite does not promise it, but always did so.
fn triggers(sql: &mut dyn Sql) -> Result<Vec<Trigger>> {
    let query = "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type='trigger' ORDER BY tbl_name, rowid DESC";
    sql.all(query, &[])?.into_iter().map(trigger).collect()
}

fn trigger(row: Vec<Value>) -> Result<Trigger> {
    let mut fields = Fields::of(row);
    let (name, table, body) = (fields.text()?, fields.text()?, fields.text()?);
    let header = Header::of(&tokens::tokens(&body));
    Ok(Trigger {
        name,
        table,
        event: header.as_ref().map(|h| h.event).unwrap_or_default().to_owned(),
        timing: header.map(|h| h.timing).unwrap_or_default().to_owned(),
        body,
        definer: String::new(),
        sql_mode: String::new(),
        charset: String::new(),
        collation: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_affinity_that_sqlite_gives_them() {
        let cases = [
            ("INT", Kind::Integer),
            ("FLOATING POINT", Kind::Integer),
            ("VARCHAR(20)", Kind::Text),
            ("CHARINT", Kind::Integer),
            ("BLOB", Kind::Bytes),
            ("", Kind::Bytes),
            ("DOUBLE PRECISION", Kind::Float),
            ("DECIMAL(10,2)", Kind::Exact),
            ("DATETIME", Kind::Exact),
            ("ANY", Kind::Exact),
        ];
        for (declared, expected) in cases {
            assert_eq!(kind(declared, false), expected, "{declared}");
        }
        assert_eq!(kind("ANY", true), Kind::Bytes);
    }

    #[test]
    fn collations_are_read_from_the_definition() {
        let create =
            "CREATE TABLE t(a TEXT COLLATE nocase, \"b,\" DEFAULT (x COLLATE rtrim), [c d] COLLATE \"My\" CHECK(c>0))";
        let found = collations(create);
        assert_eq!(found.get("a").map(String::as_str), Some("\"NOCASE\""));
        assert_eq!(found.get("b,"), None);
        assert_eq!(found.get("c d").map(String::as_str), Some("\"MY\""));
    }

    #[test]
    fn types_tell_the_collation() {
        assert_eq!(collation_of("TEXT COLLATE \"NOCASE\""), " COLLATE \"NOCASE\"");
        assert_eq!(collation_of("TEXT COLLATE \"BINARY\""), "");
        assert_eq!(collation_of("TEXT"), "");
    }

    #[test]
    fn defaults_are_constants() {
        let defaults = [
            ("-1", "-1"),
            ("true", "true"),
            ("\"it's\"", "'it''s'"),
            ("open", "'open'"),
            ("x'00'", "x'00'"),
            ("", "NULL"),
        ];
        for (default, expected) in defaults {
            assert_eq!(constant(default), expected);
        }
    }
}
