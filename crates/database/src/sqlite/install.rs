//! Putting mark tables and triggers in place, and taking them away: each in one transaction, so that no write of the
//! application ever meets half of it.

use std::collections::BTreeSet;

use sync_core::Value;
use sync_store::{Result, StoreError, Trouble};

use super::driver::BEGIN;
use super::indexes;
use super::quote;
use super::tokens;
use super::trigger_text::Header;
use super::triggers::{Plan, ROWID, Wanted};
use crate::schema::{PREFIX, Registered, Table};
use crate::sql::{Fields, Sql};

/// Makes the mark table and the triggers of a table what they should be; says what it did.
pub(super) fn install(sql: &mut dyn Sql, table: &Table, registered: &Registered) -> Result<Vec<String>> {
    let wanted = plan(sql, table, registered)?;
    if is_done(sql, table, registered, &wanted)? {
        return Ok(Vec::new());
    }
    transaction(sql, |sql| {
        // Read again: nobody can change it now.
        let wanted = plan(sql, table, registered)?;
        let before = present(sql, &table.name)?;
        let renewed = renew_marks(sql, table, registered)?;
        for trigger in before.iter().filter(|t| t.is_ours()) {
            sql.run(&format!("DROP TRIGGER main.{}", quote(&trigger.name)))?;
        }
        for trigger in &wanted {
            sql.run(&trigger.sql)?;
        }
        Ok(vec![note(table, before.iter().any(Present::is_ours), renewed)])
    })
}

/// Removes all our triggers.
pub(super) fn uninstall(sql: &mut dyn Sql) -> Result<()> {
    remove(sql, |_| true).map(drop)
}

/// Removes our triggers from tables of the application that are not registered; says from which.
pub(super) fn remove_unregistered(sql: &mut dyn Sql, registered: &[(&Table, &Registered)]) -> Result<Vec<String>> {
    let is_unknown =
        |table: &str| !table.starts_with(PREFIX) && !registered.iter().any(|(_, r)| r.name.eq_ignore_ascii_case(table));
    let tables = remove(sql, is_unknown)?;
    Ok(tables.iter().map(|t| format!("table {t}: triggers removed, it is not synchronised")).collect())
}

/// Removes our triggers from these tables; returns those that had any.
fn remove(sql: &mut dyn Sql, from: impl Fn(&str) -> bool) -> Result<BTreeSet<String>> {
    if unwanted(sql, &from)?.is_empty() {
        return Ok(BTreeSet::new());
    }
    transaction(sql, |sql| {
        let unwanted = unwanted(sql, &from)?;
        for (trigger, _) in &unwanted {
            sql.run(&format!("DROP TRIGGER main.{}", quote(trigger)))?;
        }
        Ok(unwanted.into_iter().map(|(_, table)| table).collect())
    })
}

/// Our triggers on these tables, with the tables.
fn unwanted(sql: &mut dyn Sql, on: &impl Fn(&str) -> bool) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for row in sql.all("SELECT name, tbl_name FROM main.sqlite_schema WHERE type='trigger'", &[])? {
        let mut fields = Fields::of(row);
        let (name, table) = (fields.text()?, fields.text()?);
        if name.starts_with(PREFIX) && on(&table) {
            found.push((name, table));
        }
    }
    Ok(found)
}

/// Whether the file can be written, found out by writing to it and taking that back.
pub(super) fn writable(sql: &mut dyn Sql) -> Result<Vec<String>> {
    let tried = sql.run(BEGIN).and_then(|()| sql.run(&format!("CREATE TABLE {PREFIX}try(x)")));
    // Where the transaction did not even begin there is nothing to roll back.
    let _ = sql.run("ROLLBACK");
    match tried {
        Ok(()) => Ok(Vec::new()),
        Err(e) if matches!(e.trouble, Trouble::Privilege | Trouble::Unreachable) => Ok(vec![e.to_string()]),
        Err(e) => Err(e),
    }
}

fn transaction<T>(sql: &mut dyn Sql, work: impl FnOnce(&mut dyn Sql) -> Result<T>) -> Result<T> {
    sql.run(BEGIN)?;
    match work(sql) {
        Ok(done) => sql.run("COMMIT").map(|()| done),
        Err(error) => {
            // The error matters, not whether it could still be rolled back: closing does as well.
            let _ = sql.run("ROLLBACK");
            Err(error)
        }
    }
}

fn plan(sql: &mut dyn Sql, table: &Table, registered: &Registered) -> Result<Vec<Wanted>> {
    let query = "SELECT wr FROM pragma_table_list WHERE schema='main' AND name=?";
    let row = sql.first(query, &[Value::text(&table.name)])?.ok_or_else(|| gone(table))?;
    let without_rowid = Fields::of(row).int()? == 1;
    let is_free = |name: &&str| !table.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
    let rowid = ROWID.into_iter().find(is_free).filter(|_| !without_rowid);
    let uniques = indexes::uniques(sql, &table.name)?;
    Ok(Plan { table, registered, uniques, rowid }.triggers())
}

fn gone(table: &Table) -> StoreError {
    StoreError::new(Trouble::SchemaChanged, format!("table {} is no longer there", table.name))
}

/// A trigger that is there.
struct Present {
    name: String,
    text: String,
}

impl Present {
    fn is_ours(&self) -> bool {
        self.name.starts_with(PREFIX)
    }

    /// Whether it can keep our AFTER triggers from firing: `RAISE(IGNORE)` skips those that come later.
    fn can_skip(&self) -> bool {
        Header::of(&tokens::tokens(&self.text)).is_some_and(|h| h.timing == "AFTER")
    }
}

/// The triggers of a table, oldest first.
fn present(sql: &mut dyn Sql, table: &str) -> Result<Vec<Present>> {
    let query =
        "SELECT name, sql FROM main.sqlite_schema WHERE type='trigger' AND tbl_name=? COLLATE NOCASE ORDER BY rowid";
    let rows = sql.all(query, &[Value::text(table)])?;
    rows.into_iter()
        .map(|row| {
            let mut fields = Fields::of(row);
            Ok(Present { name: fields.text()?, text: fields.text()? })
        })
        .collect()
}

fn is_done(sql: &mut dyn Sql, table: &Table, registered: &Registered, wanted: &[Wanted]) -> Result<bool> {
    let present = present(sql, &table.name)?;
    let ours = present.iter().filter(|t| t.is_ours()).map(|t| (&t.name, &t.text));
    let same = ours.eq(wanted.iter().map(|w| (&w.name, &w.sql)));
    // The newest fires first, and that must be ours.
    let first = present.iter().position(Present::is_ours).unwrap_or(0);
    let behind = present[first..].iter().any(|t| !t.is_ours() && t.can_skip());
    Ok(same && !behind && missing(&mark_columns(sql, registered)?, table, registered).is_empty())
}

fn note(table: &Table, had_triggers: bool, had_marks: bool) -> String {
    match (had_triggers, had_marks) {
        (true, _) => format!("table {}: triggers renewed", table.name),
        (false, false) => format!("table {}: triggers installed", table.name),
        (false, true) => format!(
            "table {}: its triggers were gone (was it dropped and created anew?) and are installed again; \
             changes made meanwhile are found by -init",
            table.name
        ),
    }
}

fn mark_columns(sql: &mut dyn Sql, registered: &Registered) -> Result<BTreeSet<String>> {
    let query = "SELECT name FROM pragma_table_info(?, 'main')";
    let rows = sql.all(query, &[Value::text(registered.mark_table())])?;
    rows.into_iter().map(|row| Fields::of(row).text()).collect()
}

/// The columns that the marks still need.
fn missing(there: &BTreeSet<String>, table: &Table, registered: &Registered) -> Vec<String> {
    let bits = (0..registered.bit_columns()).map(|i| format!("b{i} INTEGER NOT NULL DEFAULT 0"));
    // Without a type, so that a key is kept exactly as its row has it.
    let keys = (0..registered.key.len()).map(|i| format!("k{i}"));
    let name = |definition: &String| definition.split(' ').next().unwrap_or_default().to_owned();
    let delta = (!table.counters.is_empty()).then(|| "delta".to_owned());
    bits.chain(delta).chain(keys).filter(|d| !there.contains(&name(d))).collect()
}

/// Creates the mark table, or adds the columns it lacks; says whether it was there. The ids are those of the rows:
/// the next is above all that are left, which is all that their order is needed for, and `sqlite_sequence` is spared.
fn renew_marks(sql: &mut dyn Sql, table: &Table, registered: &Registered) -> Result<bool> {
    let there = mark_columns(sql, registered)?;
    let missing = missing(&there, table, registered);
    let table = quote(&registered.mark_table());
    if there.is_empty() {
        sql.run(&format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, op INTEGER, at REAL, {})",
            missing.join(", ")
        ))?;
    } else {
        for column in missing {
            sql.run(&format!("ALTER TABLE {table} ADD COLUMN {column}"))?;
        }
    }
    Ok(!there.is_empty())
}
