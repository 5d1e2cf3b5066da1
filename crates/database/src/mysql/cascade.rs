//! The text of the triggers that mark what foreign keys do to the rows of other tables: no trigger fires for those
//! (InnoDB makes the changes itself), so a BEFORE trigger on the parent marks them. Text only; nothing is run here.
//!
//! Whether a row is really gone is read when marks are drained, so a delete mark too many is harmless; one too few
//! loses a change. Therefore children are read with shared locks even under READ COMMITTED, where a plain read inside
//! a statement of many rows can be older than the row the trigger fires for. The cascade itself locks the same rows.
//!
//! Two forms: where the graph below a table has no cycle, each way through it is a join. Where it has one (a table
//! that refers to itself), WITH RECURSIVE finds the rows that go.

mod paths;
mod recursive;

use super::names::{quote, trigger_name};
use super::triggers::{GUARD, Wanted, unchanged, words};
use super::{Flavour, late, mark};
use crate::schema::{Action, ForeignKey, Op, PREFIX, Registered, Schema, Table};
use paths::{Origin, Path, Start};

/// The triggers for cascades that a database should have.
pub(super) fn wanted(flavour: Flavour, schema: &Schema, registered: &[Registered]) -> Vec<Wanted> {
    let graph = Graph { flavour, schema, registered };
    schema.tables.iter().flat_map(|table| [graph.on_delete(table), graph.on_update(table)]).flatten().collect()
}

/// Tables and how they hang together.
struct Graph<'a> {
    flavour: Flavour,
    schema: &'a Schema,
    registered: &'a [Registered],
}

impl<'a> Graph<'a> {
    fn registered(&self, table: &str) -> Option<&'a Registered> {
        self.registered.iter().find(|r| r.name == table)
    }

    fn foreign_keys_to(&self, parent: &str) -> impl Iterator<Item = &'a ForeignKey> {
        self.schema.foreign_keys.iter().filter(move |k| k.parent == parent)
    }

    fn on_delete(&self, table: &Table) -> Option<Wanted> {
        let body = if recursive::is_needed(self, &table.name) {
            recursive::body(self, &table.name)
        } else {
            let start = Start { table: &table.name, origin: Origin::Row, change: paths::Change::Delete };
            self.blocks(&table.name, &paths::below(self, &start))
        };
        self.trigger(table, "bd", "DELETE", body)
    }

    fn on_update(&self, table: &Table) -> Option<Wanted> {
        let body = self.foreign_keys_to(&table.name).filter(|k| k.on_update != Action::Restrict).map(|key| {
            let start = Start { table: &table.name, origin: Origin::Row, change: paths::Change::new_values(key) };
            let first = paths::along(self, &start, key);
            self.when_changed(table, key, &self.blocks(&table.name, &first))
        });
        self.trigger(table, "bu", "UPDATE", body.collect())
    }

    /// Only where what the foreign key refers to changes by a byte, as InnoDB does.
    fn when_changed(&self, table: &Table, key: &ForeignKey, blocks: &str) -> String {
        let columns = table.columns.iter().filter(|c| key.parent_columns.contains(&c.name));
        let same: Vec<String> = columns.map(|c| format!("({})", unchanged(self.flavour, c))).collect();
        if blocks.is_empty() || same.is_empty() {
            return String::new();
        }
        format!("IF NOT ({}) THEN\n{blocks}END IF;\n", same.join(" AND "))
    }

    fn trigger(&self, table: &Table, suffix: &str, event: &'static str, body: String) -> Option<Wanted> {
        if body.is_empty() {
            return None;
        }
        let name = match self.registered(&table.name) {
            Some(registered) => trigger_name(registered.number, suffix),
            None => unregistered_name(&table.name, suffix),
        };
        // A column of the parent itself may be gone (1054); what its children are then is not known.
        let unknown = late::unknown(self.flavour, &self.reachable(&table.name));
        let body = format!(
            "BEGIN\nDECLARE EXIT HANDLER FOR 1054 {unknown};\n\
             IF {GUARD} AND @@SESSION.foreign_key_checks THEN\n{body}END IF;\nEND"
        );
        Some(Wanted { name, table: table.name.clone(), timing: "BEFORE", event, body })
    }

    fn blocks(&self, start: &str, paths: &[Path]) -> String {
        if paths.len() > paths::LIMIT {
            return format!("{};\n", late::unknown(self.flavour, &self.reachable(start)));
        }
        paths.iter().map(|path| self.block(path, "")).collect()
    }

    /// The registered tables that what happens in one can have effects in, however far away.
    fn reachable(&self, table: &str) -> Vec<&'a Registered> {
        let mut names: Vec<&str> = Vec::new();
        let mut open = vec![table];
        while let Some(parent) = open.pop() {
            let is_active = |k: &&ForeignKey| k.on_delete != Action::Restrict || k.on_update != Action::Restrict;
            for key in self.foreign_keys_to(parent).filter(is_active) {
                if !names.contains(&key.child.as_str()) {
                    names.push(&key.child);
                    open.push(&key.child);
                }
            }
        }
        names.into_iter().filter_map(|name| self.registered(name)).collect()
    }

    /// Statements that mark one table; if they cannot be run, it must be compared.
    fn protected(&self, registered: &Registered, statements: &str) -> String {
        let unknown = late::unknown(self.flavour, &[registered]);
        format!("BEGIN\nDECLARE EXIT HANDLER FOR {} {unknown};\n{statements}END;\n", late::HINDRANCES)
    }

    /// The statements that mark the rows at the end of a path; `with` is put before each SELECT.
    fn block(&self, path: &Path, with: &str) -> String {
        let (Some(table), Some(registered)) = (self.schema.table(path.table()), self.registered(path.table())) else {
            return String::new();
        };
        let rows = path.rows();
        let key: Vec<String> = table.key_columns().map(|c| path.value(&c.name)).collect();
        let statement = |op, words: &[String], key: &[String]| {
            let into = mark::into(registered, words.len(), key.len());
            format!("{into}\n{with}SELECT {} FROM {rows} LOCK IN SHARE MODE;\n", mark::values(op, words, key))
        };
        let Some(changes) = path.changes() else {
            return self.protected(registered, &statement(Op::Delete, &[], &key));
        };
        let new_key: Vec<String> = table.key_columns().map(|c| path.new_value(&c.name)).collect();
        if key == new_key {
            let words = words(registered, changes.keys().copied());
            let words: Vec<String> = words.iter().map(u64::to_string).collect();
            return self.protected(registered, &statement(Op::Update, &words, &key));
        }
        self.protected(registered, &(statement(Op::Delete, &[], &key) + &statement(Op::Insert, &[], &new_key)))
    }
}

/// A parent that is not synchronised has no number.
fn unregistered_name(table: &str, suffix: &str) -> String {
    let hash = blake3::hash(table.as_bytes()).to_hex();
    format!("{PREFIX}h{}_{suffix}", &hash[..12])
}

/// `a.x = b.y AND …` for the columns of a foreign key.
fn equal(child: &str, key: &ForeignKey, parent: impl Fn(&str) -> String) -> String {
    let pairs = key.columns.iter().zip(&key.parent_columns);
    let terms: Vec<String> = pairs.map(|(c, p)| format!("{child}.{} = {}", quote(c), parent(p))).collect();
    terms.join(" AND ")
}

#[cfg(test)]
mod tests;
