//! The texts of our triggers. Text only; [`super::install`] puts them in place.
//!
//! They run inside the application, in whatever version of SQLite that uses, and must never make a statement of it
//! fail. Therefore they use nothing that came after SQLite 3.15 (2016), no function but `julianday` and
//! `typeof`, and no constraint that could be violated. And they survive a column being dropped:
//!
//! # Columns that may be gone
//! SQLite refuses DROP COLUMN while a trigger names the column. A name that a subquery does not find is looked for in
//! the queries around it, so each column is named where `OLD` and `NEW` are those of the trigger as long as they have
//! it, and otherwise those of a surrounding subquery, where it is NULL:
//! ```sql
//! (SELECT (SELECT (SELECT OLD.c IS NOT NEW.c) FROM (SELECT NULL AS c) AS old) FROM (SELECT NULL AS c) AS new)
//! ```
//! A dropped column has then simply not changed. Columns of a primary key, which cannot be dropped, are named directly.
//!
//! Two things remain that an upgrade cannot do before the triggers are renewed (which every drain does by itself):
//! drop a column that it has renamed just before; and, with an SQLite before 3.26 or `PRAGMA legacy_alter_table=ON`,
//! which leave the bodies of triggers as they are, write to a table that it has renamed just before.
//!
//! # Rows that REPLACE removes
//! REPLACE fires no delete trigger (unless `recursive_triggers` is on). BEFORE triggers mark the rows that hold the
//! new row's key or unique values as deleted; whether they are is read later, so a mark too many is harmless.

use std::collections::BTreeSet;

use super::indexes::{Term, Unique, qualified};
use super::quote;
use super::schema::is_typeless;
use crate::schema::{BITS, Column, Op, PREFIX, Registered, Table};

/// When a mark is made: days, exact to the millisecond.
pub(super) const NOW: &str = "julianday('now')";

/// What the triggers of one table are made from.
pub(super) struct Plan<'a> {
    pub table: &'a Table,
    pub registered: &'a Registered,
    pub uniques: Vec<Unique>,
    /// A name by which rowids can be read; `None` WITHOUT ROWID.
    pub rowid: Option<&'static str>,
}

/// The names of the rowid, each of which a column can take away.
pub(super) const ROWID: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// A trigger to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub name: String,
    pub sql: String,
}

impl Plan<'_> {
    /// All triggers of the table.
    pub fn triggers(&self) -> Vec<Wanted> {
        vec![
            self.replaced_by_insert(),
            self.replaced_by_update(),
            self.insert(),
            self.update(),
            self.key(),
            self.delete(),
        ]
    }

    fn wanted(&self, kind: &str, event: &str, when: &str, body: &[String]) -> Wanted {
        let name = format!("{PREFIX}{}_{kind}", self.registered.number);
        let body: String = body.iter().map(|statement| format!("  {statement};\n")).collect();
        let (quoted, table) = (quote(&name), quote(&self.table.name));
        Wanted { sql: format!("CREATE TRIGGER {quoted} {event} ON {table}{when} BEGIN\n{body}END"), name }
    }

    fn insert(&self) -> Wanted {
        self.wanted("insert", "AFTER INSERT", "", &[self.mark(Op::Insert, "NEW", &[])])
    }

    fn delete(&self) -> Wanted {
        self.wanted("delete", "AFTER DELETE", "", &[self.mark(Op::Delete, "OLD", &[])])
    }

    /// A change of the key is a delete and an insert.
    fn key(&self) -> Wanted {
        let changed = self.key_changed();
        let marks = [
            self.mark(Op::Delete, "OLD", std::slice::from_ref(&changed)),
            self.mark(Op::Insert, "NEW", std::slice::from_ref(&changed)),
        ];
        self.wanted("key", &format!("AFTER UPDATE OF {}", list(&self.key_names())), "", &marks)
    }

    fn update(&self) -> Wanted {
        let words = 0..self.registered.bit_columns();
        let bits: Vec<String> = words.clone().map(|i| format!("b{i}")).collect();
        let (delta, told) = (self.delta(), (!self.table.counters.is_empty()).then(|| "delta".to_owned()));
        let names: Vec<String> = bits.iter().cloned().chain(told).collect();
        let values: Vec<String> = words.map(|i| format!("{} AS b{i}", self.word(i))).chain(delta).collect();
        let mut conditions = vec![format!("({}) <> 0", bits.join(" | ")), format!("NOT {}", self.key_changed())];
        conditions.extend(self.not_null("NEW"));
        // LIMIT keeps the bits from being computed twice.
        let statement = format!(
            "INSERT INTO {}(op, at, {}, {}) SELECT {}, {NOW}, {}, {} FROM (SELECT {} LIMIT 1) WHERE {}",
            self.mark_table(),
            names.join(", "),
            self.mark_keys(),
            Op::Update as u8,
            names.join(", "),
            self.key_values("NEW").join(", "),
            values.join(", "),
            conditions.join(" AND "),
        );
        self.wanted("update", "AFTER UPDATE", "", &[statement])
    }

    /// The counters that changed, each with its value before and after ([`crate::counters`]); nothing without counters. A value
    /// that is no integer cannot be added to.
    fn delta(&self) -> Option<String> {
        let one = |column: &Column| {
            let (id, name) = (self.registered.id(&column.name)?, quote(&column.name));
            let counts = format!("typeof(OLD.{name}) = 'integer' AND typeof(NEW.{name}) = 'integer'");
            let told = format!("'{id} ' || OLD.{name} || ' ' || NEW.{name} || ','");
            let case = format!("CASE WHEN {} AND {counts} THEN {told} ELSE '' END", changed(column));
            Some(tolerant(&case, &["OLD", "NEW"], &[&column.name]))
        };
        let told: Vec<String> = self.table.counter_columns().filter_map(one).collect();
        (!told.is_empty()).then(|| format!("{} AS delta", told.join(" || ")))
    }

    /// INSERT of one mark with the key of OLD or NEW.
    fn mark(&self, op: Op, row: &str, conditions: &[String]) -> String {
        let conditions: Vec<String> = conditions.iter().cloned().chain(self.not_null(row)).collect();
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        format!("{} {}{condition}", self.into(op), self.key_values(row).join(", "))
    }

    fn into(&self, op: Op) -> String {
        format!("INSERT INTO {}(op, at, {}) SELECT {}, {NOW},", self.mark_table(), self.mark_keys(), op as u8)
    }

    fn mark_table(&self) -> String {
        quote(&self.registered.mark_table())
    }

    fn mark_keys(&self) -> String {
        (0..self.table.key.len()).map(|i| format!("k{i}")).collect::<Vec<_>>().join(", ")
    }

    /// The key values of OLD or NEW.
    fn key_values(&self, row: &str) -> Vec<String> {
        let value = |c: &Column| {
            let direct = format!("{row}.{}", quote(&c.name));
            if self.table.has_primary { direct } else { tolerant(&direct, &[row], &[&c.name]) }
        };
        self.table.key_columns().map(value).collect()
    }

    /// A row with a NULL in its key cannot be named, so it is not marked.
    fn not_null(&self, row: &str) -> Vec<String> {
        let keys = self.table.key_columns().zip(self.key_values(row));
        keys.filter(|(c, _)| c.nullable).map(|(_, value)| format!("{value} IS NOT NULL")).collect()
    }

    fn key_changed(&self) -> String {
        let names: Vec<&str> = self.table.key_columns().map(|c| c.name.as_str()).collect();
        let any = self.table.key_columns().map(changed).collect::<Vec<_>>().join(" OR ");
        let any = format!("({any})");
        if self.table.has_primary { any } else { tolerant(&any, &["OLD", "NEW"], &names) }
    }

    /// The names under which an UPDATE can set the key.
    fn key_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.table.key_columns().map(|c| c.name.clone()).collect();
        if self.key_is_rowid() {
            names.extend(ROWID.map(str::to_owned));
        }
        names
    }

    fn key_is_rowid(&self) -> bool {
        self.table.has_primary && self.rowid.is_some() && !self.uniques.iter().any(|u| u.primary)
    }

    /// One integer with the changed-column bits of 32 column ids.
    fn word(&self, index: usize) -> String {
        let bits = self.registered.columns.iter().enumerate().skip(index * BITS).take(BITS);
        let column = |name: &String| self.table.stored_columns().find(|c| c.name == *name);
        let there: Vec<(usize, &Column)> = bits.filter_map(|(id, name)| Some((id % BITS, column(name)?))).collect();
        if there.is_empty() {
            return "0".to_owned();
        }
        let names: Vec<&str> = there.iter().map(|(_, c)| c.name.as_str()).collect();
        let bits: Vec<String> = there.iter().map(|(bit, c)| format!("(({}) << {bit})", changed(c))).collect();
        tolerant(&bits.join(" | "), &["OLD", "NEW"], &names)
    }

    fn replaced_by_insert(&self) -> Wanted {
        let lookups = self.lookups(false);
        let any: Vec<String> = lookups.iter().map(|l| l.exists(self)).collect();
        let marks: Vec<String> = lookups.iter().map(|l| l.mark(self)).collect();
        self.wanted("replace_insert", "BEFORE INSERT", &format!(" WHEN {}", any.join(" OR ")), &marks)
    }

    fn replaced_by_update(&self) -> Wanted {
        let lookups = self.lookups(true);
        let any: Vec<String> = lookups.iter().map(|l| l.exists(self)).collect();
        let marks: Vec<String> = lookups.iter().map(|l| l.mark(self)).collect();
        let mut columns: BTreeSet<String> = self.key_names().into_iter().collect();
        columns.extend(self.uniques.iter().flat_map(|u| u.mentions(&self.column_names())).map(str::to_owned));
        // An UPDATE never names a generated column.
        let generated = self.table.columns.iter().any(|c| c.generated && columns.contains(&c.name));
        let of = format!(" OF {}", list(&columns.into_iter().collect::<Vec<_>>()));
        let of = if generated { String::new() } else { of };
        self.wanted("replace_update", &format!("BEFORE UPDATE{of}"), &format!(" WHEN {}", any.join(" OR ")), &marks)
    }

    /// By what another row can be in the way of a new one; `update`: other than the row itself.
    fn lookups(&self, update: bool) -> Vec<Lookup<'_>> {
        let names = self.column_names();
        let key = Lookup { condition: self.same_row_id(), columns: Vec::new(), update };
        let uniques = self.uniques.iter().map(|unique| Lookup {
            condition: self.same_values(unique),
            columns: if unique.primary { Vec::new() } else { unique.mentions(&names).into_iter().collect() },
            update,
        });
        self.key_is_rowid().then_some(key).into_iter().chain(uniques).collect()
    }

    fn same_row_id(&self) -> String {
        let key = self.table.key_columns().next().map(|c| quote(&c.name)).unwrap_or_default();
        format!("r.{key} = NEW.{key}")
    }

    /// That the row `r` has the values of NEW that this index compares.
    fn same_values(&self, unique: &Unique) -> String {
        let mut all: Vec<String> = unique.terms.iter().map(|t| self.same_value(t)).collect();
        let condition = unique.condition.as_ref().map(|c| format!("({})", qualified(c, &self.column_names(), "r")));
        all.extend(condition);
        all.join(" AND ")
    }

    fn same_value(&self, term: &Term) -> String {
        let names = self.column_names();
        let value = |row| qualified(&term.text, &names, row);
        format!("({}) = ({}) COLLATE {}", value("r"), value("NEW"), quote(&term.collation))
    }

    fn column_names(&self) -> Vec<&str> {
        self.table.columns.iter().map(|c| c.name.as_str()).collect()
    }

    /// What names a row for the length of one statement.
    fn handle(&self, row: &str) -> String {
        match self.rowid {
            Some(rowid) => format!("{row}.{rowid}"),
            None => {
                let keys = self.table.key_columns().map(|c| format!("{row}.{}", quote(&c.name)));
                keys.collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn is_not_old(&self) -> String {
        if let Some(rowid) = self.rowid {
            return format!("r.{rowid} <> OLD.{rowid}");
        }
        let same = |c: &Column| format!("r.{0} IS OLD.{0}", quote(&c.name));
        format!("NOT ({})", self.table.key_columns().map(same).collect::<Vec<_>>().join(" AND "))
    }
}

/// Looking for the row that a REPLACE would remove.
struct Lookup<'a> {
    condition: String,
    /// Columns that may be gone.
    columns: Vec<&'a str>,
    update: bool,
}

impl Lookup<'_> {
    fn from(&self, plan: &Plan) -> String {
        let other = if self.update { format!(" AND {}", plan.is_not_old()) } else { String::new() };
        format!("FROM {} AS r WHERE {}{other}", quote(&plan.table.name), self.condition)
    }

    fn exists(&self, plan: &Plan) -> String {
        let exists = format!("EXISTS (SELECT 1 {})", self.from(plan));
        if self.columns.is_empty() { exists } else { tolerant(&exists, &["r", "NEW"], &self.columns) }
    }

    fn mark(&self, plan: &Plan) -> String {
        let table = quote(&plan.table.name);
        let gone: String = ["r", "NEW"].iter().map(|row| format!(", {}", nulls(row, &self.columns))).collect();
        let gone = if self.columns.is_empty() { String::new() } else { gone };
        let (keys, own): (Vec<String>, Vec<String>) = plan.table.key_columns().map(|c| key_of_found(plan, c)).unzip();
        let conditions: String = own.into_iter().map(|c| format!(" AND {c}")).collect();
        let conditions = if plan.table.key_columns().any(|c| c.nullable) { conditions } else { String::new() };
        let also = if plan.table.has_primary { String::new() } else { key_nulls(plan) };
        format!(
            "{} {} FROM {table} AS found{gone}{also} WHERE ({}) IN (SELECT {} {}){conditions}",
            plan.into(Op::Delete),
            keys.join(", "),
            plan.handle("found"),
            plan.handle("r"),
            self.from(plan),
        )
    }
}

/// A key column of the row that was found, and that it is not NULL. Without a primary key the table has a rowid, and
/// the column may be gone.
fn key_of_found(plan: &Plan, column: &Column) -> (String, String) {
    let (table, name) = (quote(&plan.table.name), quote(&column.name));
    let value = if plan.table.has_primary {
        format!("found.{name}")
    } else {
        let rowid = plan.rowid.unwrap_or(ROWID[0]);
        format!("(SELECT x.{name} FROM {table} AS x WHERE x.{rowid} = found.{rowid})")
    };
    let is_there = format!("{value} IS NOT NULL");
    (value, is_there)
}

fn key_nulls(plan: &Plan) -> String {
    let names: Vec<&str> = plan.table.key_columns().map(|c| c.name.as_str()).collect();
    format!(", {}", nulls("x", &names))
}

/// That a column changed, byte for byte.
fn changed(column: &Column) -> String {
    let name = quote(&column.name);
    let differs = format!("OLD.{name} COLLATE BINARY IS NOT NEW.{name}");
    if !is_typeless(column) {
        return differs;
    }
    // 1 is 1.0 where no type makes them one. 0.0 and -0.0 cannot be told apart in SQL at all; the scrub does.
    format!("({differs} OR typeof(OLD.{name}) IS NOT typeof(NEW.{name}))")
}

/// An expression in which columns of these rows are NULL once they are gone; see the top of this file.
fn tolerant(expression: &str, rows: &[&str], columns: &[&str]) -> String {
    let inner = format!("(SELECT {expression})");
    rows.iter().fold(inner, |inner, row| format!("(SELECT {inner} FROM {})", nulls(row, columns)))
}

fn nulls(row: &str, columns: &[&str]) -> String {
    let columns: BTreeSet<&str> = columns.iter().copied().collect();
    let nulls = columns.into_iter().map(|c| format!("NULL AS {}", quote(c))).collect::<Vec<_>>().join(", ");
    format!("(SELECT {nulls}) AS {}", row.to_ascii_lowercase())
}

fn list(names: &[String]) -> String {
    names.iter().map(|n| quote(n)).collect::<Vec<_>>().join(", ")
}
