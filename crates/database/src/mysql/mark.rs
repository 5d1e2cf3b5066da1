//! The mark tables: their columns, and the text that appends marks. Text only.

use super::names::quote;
use crate::schema::{Column, Kind, Op, Registered, Table};

/// A mark's id: unique without a lock, ascending within a boot of the server.
pub(super) const ID: &str = "UUID_SHORT()";

/// When.
pub(super) const NOW: &str = "UTC_TIMESTAMP(6)";

/// All bits of a word.
pub(super) const ALL: &str = "4294967295";

/// What was added to counters: room for some fifty. If it is not enough, the mark is made without ([`super::late`]).
const DELTA: &str = "varbinary(4000)";

/// The beginning of an INSERT of marks with so many words and key columns.
pub(super) fn into(registered: &Registered, words: usize, keys: usize) -> String {
    into_with(registered, words, "", keys)
}

/// The same of marks that say what was added; their values have that behind the words.
pub(super) fn into_counting(registered: &Registered, words: usize, keys: usize) -> String {
    into_with(registered, words, ", delta", keys)
}

fn into_with(registered: &Registered, words: usize, delta: &str, keys: usize) -> String {
    let words: String = (0..words).map(|i| format!(", b{i}")).collect();
    let keys: String = (0..keys).map(|i| format!(", k{i}")).collect();
    format!("INSERT INTO {} (id, op, at{words}{delta}{keys})", quote(&registered.mark_table()))
}

/// The values that go with [`into`], without parentheses.
pub(super) fn values(op: Op, words: &[String], keys: &[String]) -> String {
    let rest: String = words.iter().chain(keys).map(|v| format!(", {v}")).collect();
    format!("{ID}, {}, {NOW}{rest}", op as u8)
}

/// The columns a mark table should have after `id`, `op` and `at`, each with its type.
pub(super) fn columns(table: &Table, registered: &Registered) -> Vec<(String, String)> {
    let words = (0..registered.bit_columns()).map(|i| (format!("b{i}"), WORD.to_owned()));
    let delta = (!table.counters.is_empty()).then(|| ("delta".to_owned(), DELTA.to_owned()));
    let keys = table.key_columns().enumerate().map(|(i, c)| (format!("k{i}"), key_type(c)));
    words.chain(delta).chain(keys).collect()
}

/// The type of the changed-column bits.
pub(super) const WORD: &str = "int unsigned";

/// The tail of an ENUM's type. Its labels are kept as text: a server that is not strict lets an application have labels
/// that its collation does not tell apart, and refuses them to us.
fn enum_charset(sql_type: &str) -> Option<&str> {
    let is_enum = sql_type.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("enum("));
    sql_type.rfind(" CHARACTER SET ").filter(|_| is_enum).map(|at| &sql_type[at..])
}

/// Integers are kept in the widest type: a key that outgrows INT can then be marked before the triggers are renewed.
fn key_type(column: &Column) -> String {
    if let Some(charset) = enum_charset(&column.sql_type) {
        return format!("varchar(255){charset}");
    }
    let is_plain = column.kind == Kind::Integer && column.sql_type.to_ascii_lowercase().contains("int");
    match (is_plain, column.sql_type.contains("unsigned")) {
        (true, true) => "bigint unsigned".to_owned(),
        (true, false) => "bigint".to_owned(),
        (false, _) => column.sql_type.clone(),
    }
}

/// A column's declaration. Keys can be NULL: those of marks without a key are.
pub(super) fn declaration(name: &str, sql_type: &str) -> String {
    let constraint = if name.starts_with('b') { "NOT NULL DEFAULT 0" } else { "NULL DEFAULT NULL" };
    format!("{name} {sql_type} {constraint}")
}

/// Creates the mark table.
pub(super) fn create(table: &Table, registered: &Registered) -> String {
    let columns: String = columns(table, registered).iter().map(|(n, t)| format!(", {}", declaration(n, t))).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {} (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, op TINYINT NOT NULL, \
         at DATETIME(6) NOT NULL{columns}) ENGINE=InnoDB",
        quote(&registered.mark_table())
    )
}
