//! Deletes that come back to a table they began at: one recursive query finds all rows that go, whatever their tables.
//!
//! Its rows have the number of a table and, for each table, the columns that identify its rows or are referred to;
//! those of the other tables are NULL.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{Change, Origin, Start, along};
use super::{Graph, equal};
use crate::mysql::mark;
use crate::mysql::names::quote;
use crate::schema::{Action, ForeignKey, Op};

/// What the query is called; no table of the application is.
const GONE: &str = "server_sync_gone";

/// More ways than this through a graph without cycles are walked by a query, too.
const MANY: usize = 64;

/// Whether deleting a row of this table can come back to a table, or goes too many ways to write them down.
pub(super) fn is_needed(graph: &Graph, table: &str) -> bool {
    let mut ways = 0;
    has_cycle(graph, table, &mut vec![table], &mut ways) || ways > MANY
}

fn has_cycle<'a>(graph: &Graph<'a>, table: &str, above: &mut Vec<&'a str>, ways: &mut usize) -> bool {
    for key in cascades(graph, table) {
        *ways += 1;
        if *ways > MANY || above.contains(&key.child.as_str()) {
            return true;
        }
        above.push(&key.child);
        if has_cycle(graph, &key.child, above, ways) {
            return true;
        }
        above.pop();
    }
    false
}

fn cascades<'a>(graph: &Graph<'a>, table: &str) -> impl Iterator<Item = &'a ForeignKey> {
    graph.foreign_keys_to(table).filter(|k| k.on_delete == Action::Cascade)
}

/// A table whose rows go, and what the query carries of them.
struct Member<'a> {
    table: &'a str,
    /// The table's columns, and what they are called in the query.
    columns: BTreeMap<String, String>,
}

impl Member<'_> {
    fn start(&self, number: usize) -> Start<'_> {
        let columns = self.columns.iter().map(|(c, name)| (c.clone(), format!("{GONE}.{name}"))).collect();
        let origin = Origin::Rows { from: GONE.to_owned(), condition: format!("{GONE}.t = {number}"), columns };
        Start { table: self.table, origin, change: Change::Delete }
    }
}

/// The statements of the trigger.
pub(super) fn body(graph: &Graph, table: &str) -> String {
    let members = members(graph, table);
    let with = query(graph, table, &members);
    let gone: String = members.iter().enumerate().map(|(i, m)| rows_gone(graph, m, i, &with)).collect();
    let starts = members.iter().enumerate().map(|(i, m)| m.start(i));
    let changed: String = starts.map(|start| rows_changed(graph, &start, &with)).collect();
    let direct = rows_changed(graph, &Start { table, origin: Origin::Row, change: Change::Delete }, "");
    let first: Vec<String> = cascades(graph, table)
        .map(|key| {
            let condition = equal("x", key, |c| format!("OLD.{}", quote(c)));
            format!("EXISTS (SELECT 1 FROM {} x WHERE {condition} LOCK IN SHARE MODE)", quote(&key.child))
        })
        .collect();
    format!("{direct}IF {} THEN\n{gone}{changed}END IF;\n", first.join(" OR "))
}

/// The tables whose rows can go, from the first level on.
fn members<'a>(graph: &Graph<'a>, table: &str) -> Vec<Member<'a>> {
    let mut names: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = vec![table];
    while let Some(parent) = open.pop() {
        for key in cascades(graph, parent) {
            if !names.contains(&key.child.as_str()) {
                names.push(&key.child);
                open.push(&key.child);
            }
        }
    }
    names.into_iter().enumerate().map(|(i, name)| Member { table: name, columns: carried(graph, name, i) }).collect()
}

fn carried(graph: &Graph, table: &str, number: usize) -> BTreeMap<String, String> {
    let referred = graph.foreign_keys_to(table).flat_map(|k| k.parent_columns.iter().cloned());
    let key = graph.schema.table(table).into_iter().flat_map(|t| t.key_columns().map(|c| c.name.clone()));
    let columns: BTreeSet<String> = referred.chain(key).collect();
    columns.into_iter().enumerate().map(|(i, column)| (column, format!("c{number}_{i}"))).collect()
}

/// `WITH RECURSIVE gone (…) AS (…)`.
fn query(graph: &Graph, table: &str, members: &[Member]) -> String {
    let names: String = members.iter().flat_map(|m| m.columns.values()).map(|c| format!(", {c}")).collect();
    let mut parts: Vec<String> = Vec::new();
    for key in cascades(graph, table) {
        let condition = equal("x", key, |c| format!("OLD.{}", quote(c)));
        // The first part gives the columns their types.
        let others = if parts.is_empty() { untyped(members, &key.child) } else { String::new() };
        let list = select_list(members, &key.child, parts.is_empty());
        parts
            .push(format!("(SELECT {list} FROM {} x{others} WHERE {condition} LOCK IN SHARE MODE)", quote(&key.child)));
    }
    for (i, member) in members.iter().enumerate() {
        for key in cascades(graph, member.table) {
            let condition = equal("x", key, |c| format!("{GONE}.{}", member.columns[c]));
            let list = select_list(members, &key.child, false);
            parts.push(format!(
                "(SELECT {list} FROM {GONE} JOIN {} x ON {GONE}.t = {i} AND {condition} LOCK IN SHARE MODE)",
                quote(&key.child)
            ));
        }
    }
    format!("WITH RECURSIVE {GONE} (t{names}) AS (\n{})\n", parts.join("\nUNION\n"))
}

/// The number and columns of one table; of the others NULL, or (`typed`) columns of rows that there are none of.
fn select_list(members: &[Member], table: &str, typed: bool) -> String {
    let number = members.iter().position(|m| m.table == table).unwrap_or_default();
    let mut list = number.to_string();
    for (i, member) in members.iter().enumerate() {
        for column in member.columns.keys() {
            list += &match (member.table == table, typed) {
                (true, _) => format!(", x.{}", quote(column)),
                (false, true) => format!(", n{i}.{}", quote(column)),
                (false, false) => ", NULL".to_owned(),
            };
        }
    }
    list
}

fn untyped(members: &[Member], table: &str) -> String {
    let others = members.iter().enumerate().filter(|(_, m)| m.table != table);
    others.map(|(i, m)| format!(" LEFT JOIN {} n{i} ON FALSE", quote(m.table))).collect()
}

fn rows_gone(graph: &Graph, member: &Member, number: usize, with: &str) -> String {
    let (Some(table), Some(registered)) = (graph.schema.table(member.table), graph.registered(member.table)) else {
        return String::new();
    };
    let key: Vec<String> = table.key_columns().map(|c| format!("{GONE}.{}", member.columns[&c.name])).collect();
    let into = mark::into(registered, 0, key.len());
    let values = mark::values(Op::Delete, &[], &key);
    graph.protected(registered, &format!("{into}\n{with}SELECT {values} FROM {GONE} WHERE {GONE}.t = {number};\n"))
}

/// The rows that stay but refer to rows that go, and what follows from that.
fn rows_changed(graph: &Graph, start: &Start, with: &str) -> String {
    let keys = graph.foreign_keys_to(start.table).filter(|k| k.on_delete == Action::SetNull);
    keys.flat_map(|key| along(graph, start, key)).map(|path| graph.block(&path, with)).collect()
}
