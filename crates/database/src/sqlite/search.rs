//! Search tables (FTS, R*Tree and other virtual tables) that an application keeps up to date by triggers.
//!
//! Their contents are not synchronised: they follow from ordinary rows. Since the application's triggers do not fire
//! on rows that we write, those parts of them that write to virtual tables are copied to TEMP triggers of our
//! connection, which fire although the others do not. Never touches an ordinary table.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Result};

use super::tokens::{self, Token};
use super::trigger_text::Header;

/// The copies on one connection.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// The schema they were made from; `None` if there are none.
    version: Option<i64>,
    names: Vec<String>,
    failed: Vec<String>,
}

impl Copies {
    /// What could not be copied, and why.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// Whether they fit the schema.
    pub fn is_current(&self, conn: &Connection) -> Result<bool> {
        Ok(self.version == Some(schema_version(conn)?))
    }

    /// Makes them fit the schema. Not inside a transaction, which could take them back.
    pub fn renew(&mut self, conn: &Connection) -> Result<()> {
        let version = schema_version(conn)?;
        if self.version == Some(version) {
            return Ok(());
        }
        self.remove(conn)?;
        let (virtuals, unusable) = virtual_tables(conn)?;
        self.failed = unusable;
        for (i, sql) in triggers(conn)?.iter().enumerate() {
            let name = format!("server_sync_copy_{i}");
            if let Some(copy) = copy(sql, &name, &virtuals) {
                match conn.execute_batch(&copy) {
                    Ok(()) => self.names.push(name),
                    Err(e) => self.failed.push(format!("a trigger that keeps a search table cannot be copied: {e}")),
                }
            }
        }
        self.version = Some(version);
        Ok(())
    }

    /// Removes them.
    pub fn remove(&mut self, conn: &Connection) -> Result<()> {
        for name in self.names.drain(..) {
            conn.execute_batch(&format!("DROP TRIGGER IF EXISTS temp.{name}"))?;
        }
        self.version = None;
        Ok(())
    }
}

fn schema_version(conn: &Connection) -> Result<i64> {
    conn.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))
}

/// The virtual tables that this program can write, in lower case, and what is wrong with the others.
fn virtual_tables(conn: &Connection) -> Result<(BTreeSet<String>, Vec<String>)> {
    let query = "SELECT name FROM pragma_table_list WHERE schema='main' AND type='virtual'";
    let names: Vec<String> = conn.prepare(query)?.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    let (mut usable, mut unusable) = (BTreeSet::new(), Vec::new());
    for name in names {
        let probe = format!("SELECT 1 FROM main.{} LIMIT 0", super::quote(&name));
        match conn.query_row(&probe, [], |_| Ok(())).optional() {
            Ok(_) => drop(usable.insert(name.to_lowercase())),
            Err(e) => unusable.push(format!("the search table {name} cannot be kept up to date: {e}")),
        }
    }
    Ok((usable, unusable))
}

fn triggers(conn: &Connection) -> Result<Vec<String>> {
    let query = "SELECT sql FROM main.sqlite_schema WHERE type='trigger' AND sql IS NOT NULL ORDER BY rowid";
    conn.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}

/// The CREATE TEMP TRIGGER with those statements of a trigger that write to these tables; nothing if there are none.
fn copy(sql: &str, name: &str, virtuals: &BTreeSet<String>) -> Option<String> {
    let all = tokens::tokens(sql);
    let header = Header::of(&all)?;
    let body = &all[header.begin + 1..all.len().checked_sub(1)?];
    let kept: Vec<&str> = tokens::split(body, ";")
        .into_iter()
        .filter(|statement| target(statement).is_some_and(|t| virtuals.contains(&t.to_lowercase())))
        .map(|statement| tokens::source(sql, statement))
        .collect();
    let head = tokens::source(sql, &all[header.after_name..header.begin]);
    (!kept.is_empty()).then(|| format!("CREATE TEMP TRIGGER {name} {head} BEGIN {}; END", kept.join("; ")))
}

/// The table that a statement of a trigger writes to.
fn target(statement: &[Token]) -> Option<String> {
    let first = statement.first()?;
    let writes = ["INSERT", "REPLACE", "UPDATE", "DELETE"].iter().any(|word| first.is(word));
    let skip =
        |t: &&Token| ["OR", "ROLLBACK", "ABORT", "REPLACE", "FAIL", "IGNORE", "INTO", "FROM"].iter().any(|w| t.is(w));
    writes.then(|| statement[1..].iter().find(|t| !skip(t)).map(Token::name)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statements_on_virtual_tables_are_copied() {
        let sql = "CREATE TRIGGER au AFTER UPDATE OF b ON t WHEN new.a > (0) BEGIN\n\
             INSERT INTO Idx(idx, rowid, b) VALUES('delete', old.a, CASE WHEN 1 THEN old.b END);\n\
             UPDATE t SET n = n + 1; -- keep; out\n\
             REPLACE INTO \"idx\"(rowid, b) VALUES (new.a, ';'); END";
        let virtuals = BTreeSet::from(["idx".to_owned()]);
        let copied = copy(sql, "x", &virtuals).unwrap();
        assert_eq!(
            copied,
            "CREATE TEMP TRIGGER x AFTER UPDATE OF b ON t WHEN new.a > (0) BEGIN \
             INSERT INTO Idx(idx, rowid, b) VALUES('delete', old.a, CASE WHEN 1 THEN old.b END); \
             REPLACE INTO \"idx\"(rowid, b) VALUES (new.a, ';'); END"
        );
        assert_eq!(copy(sql, "x", &BTreeSet::new()), None);
    }
}
