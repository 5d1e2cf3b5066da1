//! The application at one site: a connection of its own, statements, and a log of what it did as it saw it. What a
//! transaction did is found by looking at all rows before and after it, so cascades and REPLACE count as well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::clock::Clock;
use crate::failure::Result;
use crate::scenario::{Operation, Transaction};
use crate::schema::{self, Kind, PLAIN, Table};
use crate::statements::Words;

/// A row as the application sees it: each column's value as text.
pub type Row = Vec<Option<String>>;

/// All rows of all tables, by key.
pub type Rows = Vec<BTreeMap<String, Row>>;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// It appeared.
    Insert,
    /// Columns changed.
    Update,
    /// It disappeared.
    Delete,
    /// It disappeared without a trigger.
    Lose,
    /// It is as it was, and was something else meanwhile: inserted and deleted, say. Its triggers tell.
    Undo,
}

/// What one committed transaction did to one row.
#[derive(Clone, Debug)]
pub struct Event {
    /// The table's index.
    pub table: usize,
    /// The row's key.
    pub key: String,
    /// What.
    pub did: Did,
    /// Values that were there and no longer are, with the column's index; only those that can be told apart.
    pub removed: Vec<(usize, String)>,
    /// Values that are there since.
    pub written: Vec<(usize, String)>,
    /// Whether the row had been deleted and was shown all the same, because others refer to it.
    pub stayed: bool,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The application was told that it is committed.
    Committed,
    /// It was rolled back as it was meant to be.
    RolledBack,
    /// The database refused it.
    Refused(String),
    /// Nothing was there to be done.
    Nothing,
}

/// The application at one site.
pub struct Application {
    connection: Connection,
    tables: &'static [Table],
    path: PathBuf,
    /// How many later columns each table has.
    versions: Vec<usize>,
    words: Words,
    /// What it did, in order.
    pub log: Vec<Event>,
    /// What it added to the tally and was told that is committed: the row, how much.
    pub added: Vec<(i64, i64)>,
    /// A transaction that is not committed yet: the rows before it, and whether it will be rolled back.
    open: Option<(Rows, bool)>,
    /// What that added to the tally.
    adding: Option<(i64, i64)>,
    /// The rows that it marked.
    marked: Vec<(usize, String)>,
    ids: Option<i64>,
    spoken: Vec<String>,
}

/// Marks of one transaction at most.
const RANGE: i64 = 1_000;

impl Application {
    /// Creates a database with the tables.
    pub fn create(path: &Path, site: usize, clock: &Clock, constraints: bool, early_ids: bool) -> Result<Self> {
        let tables = schema::tables(constraints);
        let connection = connect(path, clock)?;
        connection.execute_batch("PRAGMA journal_mode=WAL")?;
        let create: Vec<String> = tables.iter().map(Table::create).chain([schema::TALLY.to_owned()]).collect();
        connection.execute_batch(&create.join(";"))?;
        Ok(Application {
            connection,
            tables,
            path: path.to_owned(),
            versions: vec![0; tables.len()],
            words: Words::new(site),
            log: Vec::new(),
            added: Vec::new(),
            open: None,
            adding: None,
            marked: Vec::new(),
            ids: early_ids.then_some(0),
            spoken: Vec::new(),
        })
    }

    /// The same application over a copy of the database at another place. What it did so far is the original's.
    pub fn copied(&mut self, to: &Path, site: usize, clock: &Clock) -> Result<Self> {
        self.copy(to)?;
        let connection = connect(to, clock)?;
        Ok(Application {
            connection,
            tables: self.tables,
            path: to.to_owned(),
            versions: self.versions.clone(),
            words: Words::new(site),
            log: Vec::new(),
            added: Vec::new(),
            open: None,
            adding: None,
            marked: Vec::new(),
            ids: self.ids,
            spoken: Vec::new(),
        })
    }

    /// Puts a copy in the place of the database.
    pub fn put(&mut self, copy: &Path, clock: &Clock) -> Result<()> {
        self.open = None;
        self.connection = Connection::open_in_memory()?;
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", self.path.display()));
        }
        std::fs::copy(copy, &self.path)?;
        self.connection = connect(&self.path, clock)?;
        self.versions = (0..self.tables.len()).map(|t| self.version(t)).collect::<Result<_>>()?;
        Ok(())
    }

    /// Copies the database.
    pub fn copy(&mut self, to: &Path) -> Result<()> {
        self.end()?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        std::fs::copy(&self.path, to)?;
        Ok(())
    }

    /// The connection, for looking.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn version(&self, table: usize) -> Result<usize> {
        let query = "SELECT COUNT(*) FROM pragma_table_info(?)";
        let columns: u32 = self.connection.query_row(query, [self.tables[table].name], |r| r.get(0))?;
        let first = self.tables[table].key_names().len() + self.tables[table].columns.len();
        Ok((columns as usize).saturating_sub(first))
    }

    /// Adds the next column of the upgrade, if there is one; says to which table.
    pub fn upgrade(&mut self) -> Result<Option<&'static str>> {
        self.end()?;
        for (i, table) in self.tables.iter().enumerate() {
            if let Some(statement) = table.add(self.versions[i]) {
                self.connection.execute_batch(&statement)?;
                self.versions[i] += 1;
                return Ok(Some(table.name));
            }
        }
        Ok(None)
    }

    /// All rows.
    pub fn rows(&self) -> Result<Rows> {
        (0..self.tables.len()).map(|t| self.table(t)).collect()
    }

    fn table(&self, index: usize) -> Result<BTreeMap<String, Row>> {
        let table = &self.tables[index];
        let columns: Vec<&str> = table.columns(self.versions[index]).map(|c| c.name).collect();
        let key = table.key_names().join(" || '/' || ");
        let list: String = columns.iter().map(|c| format!(", CAST({c} AS TEXT)")).collect();
        let query = format!("SELECT {key} || ''{list} FROM {}", table.name);
        let mut statement = self.connection.prepare_cached(&query)?;
        let mut rows = statement.query([])?;
        let mut all = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let values = (0..columns.len()).map(|i| row.get(i + 1)).collect::<rusqlite::Result<Row>>()?;
            all.insert(row.get(0)?, values);
        }
        Ok(all)
    }

    /// Writes rows that are the same at each site that is filled so; the first logs them.
    pub fn fill(&mut self, transaction: &Transaction, first: bool) -> Result<()> {
        let words = std::mem::replace(&mut self.words, Words::new(99));
        let ended = self.run(transaction);
        self.words = words;
        if !first {
            self.log.clear();
        }
        ended.map(drop)
    }

    /// The statements since this was last asked.
    pub fn spoken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.spoken)
    }

    /// Carries out a transaction; one that is open is ended before.
    pub fn run(&mut self, transaction: &Transaction) -> Result<Ended> {
        self.end()?;
        match self.begin(transaction)? {
            Ended::Committed => self.end(),
            other => Ok(other),
        }
    }

    /// Begins a transaction and carries out its statements; it stays open. `Committed` means that all went well so far.
    pub fn begin(&mut self, transaction: &Transaction) -> Result<Ended> {
        self.end()?;
        match self.connection.execute_batch("BEGIN IMMEDIATE") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                return Ok(Ended::Refused("the database is locked".to_owned()));
            }
            other => other?,
        }
        let before = self.rows()?;
        let marks = self.marks()?;
        let mut did = false;
        for operation in &transaction.operations {
            match self.carry_out(operation) {
                Ok(true) => did = true,
                Ok(false) => {}
                Err(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    self.connection.execute_batch("ROLLBACK")?;
                    return Ok(Ended::Refused(e.to_string()));
                }
                Err(e) => return Err(e.into()),
            }
        }
        if !did {
            self.connection.execute_batch("ROLLBACK")?;
            return Ok(Ended::Nothing);
        }
        self.adding = self.add(&before)?;
        self.marked = self.marked_since(&marks)?;
        self.number_marks(&marks, transaction.late)?;
        self.open = Some((before, transaction.rollback));
        Ok(Ended::Committed)
    }

    /// Ends the open transaction, if there is one.
    pub fn end(&mut self) -> Result<Ended> {
        let Some((before, rollback)) = self.open.take() else { return Ok(Ended::Nothing) };
        if rollback {
            self.connection.execute_batch("ROLLBACK")?;
            return Ok(Ended::RolledBack);
        }
        let after = self.rows()?;
        self.connection.execute_batch("COMMIT")?;
        self.added.extend(self.adding.take());
        let first = self.log.len();
        self.note(&before, &after);
        self.note_undone(first);
        let staying =
            if self.tables.len() > PLAIN { crate::invariants::staying(&self.connection)? } else { Vec::new() };
        for event in &mut self.log[first..] {
            event.stayed = staying.iter().any(|(table, key)| (*table, key) == (event.table, &event.key));
        }
        Ok(Ended::Committed)
    }

    /// Whether a transaction is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn carry_out(&mut self, operation: &Operation) -> rusqlite::Result<bool> {
        let statements = self.words.statements(operation, self.tables, &self.versions, &self.connection)?;
        let mut changed = 0;
        for statement in &statements {
            self.spoken.push(statement.clone());
            changed += self.connection.execute(statement, [])?;
        }
        Ok(changed > 0)
    }

    /// Adds something to the tally, once that is captured. Each number is another, so that a sum tells what is in it.
    fn add(&mut self, rows: &Rows) -> Result<Option<(i64, i64)>> {
        let triggers = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type='trigger' AND tbl_name='tally')";
        if !self.connection.prepare_cached(triggers)?.query_row([], |r| r.get(0))? {
            return Ok(None);
        }
        let (count, size) = (self.added.len() as i64, rows.iter().map(BTreeMap::len).sum::<usize>() as i64);
        let (row, number) = (1 + (count + size) % 2, 1 + (count * 7 + size * 3) % 50);
        let statement = format!("UPDATE tally SET n = n + {number} WHERE id = {row}");
        self.connection.execute(&statement, [])?;
        self.spoken.push(statement);
        Ok(Some((row, number)))
    }

    /// The tally.
    pub fn tally(&self) -> Result<BTreeMap<i64, i64>> {
        let mut statement = self.connection.prepare_cached("SELECT id, n FROM tally")?;
        Ok(statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?)
    }

    /// Deletes all rows of a table with triggers off.
    pub fn truncate(&mut self, table: usize) -> Result<()> {
        self.end()?;
        let before = self.rows()?;
        let trigger = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        self.connection.set_db_config(trigger, false)?;
        let done = self.connection.execute(&format!("DELETE FROM {}", self.tables[table].name), []);
        self.connection.set_db_config(trigger, true)?;
        match done {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => return Ok(()),
            other => other?,
        };
        let after = self.rows()?;
        let first = self.log.len();
        self.note(&before, &after);
        self.log[first..].iter_mut().for_each(|e| e.did = Did::Lose);
        Ok(())
    }

    /// Logs the difference between two looks at the rows.
    pub fn note(&mut self, before: &Rows, after: &Rows) {
        for (table, (before, after)) in before.iter().zip(after).enumerate() {
            let columns: Vec<Kind> = self.tables[table].columns(self.versions[table]).map(|c| c.kind).collect();
            let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                self.log.extend(event(table, key, &columns, before.get(key), after.get(key)));
            }
        }
    }

    /// Logs that rows were marked which look as before.
    fn note_undone(&mut self, first: usize) {
        for (table, key) in std::mem::take(&mut self.marked) {
            if !self.log[first..].iter().any(|event| (event.table, &event.key) == (table, &key)) {
                let (removed, written) = (Vec::new(), Vec::new());
                self.log.push(Event { table, key, did: Did::Undo, removed, written, stayed: false });
            }
        }
    }

    /// The rows with marks that are new.
    fn marked_since(&self, before: &[(String, i64)]) -> Result<Vec<(usize, String)>> {
        let mut all = Vec::new();
        for (name, highest) in before {
            let number = name.trim_start_matches("server_sync_mark_");
            let of = "SELECT name FROM server_sync_table WHERE number=CAST(? AS INTEGER)";
            let of: String = self.connection.prepare_cached(of)?.query_row([number], |r| r.get(0))?;
            let Some(table) = self.tables.iter().position(|table| table.name == of) else { continue };
            let key = self.key_columns(name)?.join(" || '/' || ");
            let query = format!("SELECT DISTINCT {key} || '' FROM {name} WHERE id > ? ORDER BY 1");
            let mut statement = self.connection.prepare_cached(&query)?;
            let keys = statement.query_map([highest], |r| r.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
            all.extend(keys.into_iter().map(|key| (table, key)));
        }
        Ok(all)
    }

    /// The mark tables, each with its highest id.
    fn marks(&self) -> Result<Vec<(String, i64)>> {
        let mut all = Vec::new();
        for name in self.mark_tables()? {
            let query = format!("SELECT COALESCE(MAX(id), 0) FROM {name}");
            all.push((name, self.connection.prepare_cached(&query)?.query_row([], |r| r.get(0))?));
        }
        Ok(all)
    }

    /// The names of the mark tables.
    pub fn mark_tables(&self) -> Result<Vec<String>> {
        let query = "SELECT name FROM sqlite_schema WHERE type='table' AND name LIKE 'server_sync_mark_%'";
        let mut statement = self.connection.prepare_cached(query)?;
        Ok(statement.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// Gives the new marks ids as MySQL would. A transaction that is late has them from before the last one; but marks of
    /// one row are always in order, as rows are locked.
    fn number_marks(&mut self, before: &[(String, i64)], late: bool) -> Result<()> {
        let Some(counter) = self.ids else { return Ok(()) };
        let next = counter + 2 * RANGE;
        self.ids = Some(next);
        for (name, highest) in before {
            let first = if late && !self.touches_marked(name, *highest)? { counter - RANGE } else { next };
            let statement = format!("UPDATE {name} SET id = id - ?1 + ?2 WHERE id > ?1");
            self.connection.prepare_cached(&statement)?.execute([*highest, first])?;
        }
        Ok(())
    }

    fn touches_marked(&self, name: &str, highest: i64) -> Result<bool> {
        let keys: Vec<String> = self.key_columns(name)?.iter().map(|k| format!("m.{k} IS n.{k}")).collect();
        let query = format!(
            "SELECT EXISTS (SELECT 1 FROM {name} m JOIN {name} n ON {} WHERE m.id > ?1 AND n.id <= ?1)",
            keys.join(" AND ")
        );
        Ok(self.connection.prepare_cached(&query)?.query_row([highest], |r| r.get(0))?)
    }

    fn key_columns(&self, name: &str) -> Result<Vec<String>> {
        let query = "SELECT name FROM pragma_table_info(?) WHERE name GLOB 'k[0-9]*'";
        let mut statement = self.connection.prepare_cached(query)?;
        Ok(statement.query_map([name], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?)
    }
}

fn event(table: usize, key: &str, columns: &[Kind], before: Option<&Row>, after: Option<&Row>) -> Option<Event> {
    let did = match (before, after) {
        (None, Some(_)) => Did::Insert,
        (Some(_), None) => Did::Delete,
        _ if before == after => return None,
        _ => Did::Update,
    };
    let value = |row: Option<&Row>, i: usize| row.and_then(|r| r.get(i)).cloned().flatten();
    let (mut removed, mut written) = (Vec::new(), Vec::new());
    for (i, _) in columns.iter().enumerate().filter(|(_, kind)| **kind == Kind::Fresh) {
        let (old, new) = (value(before, i), value(after, i));
        if old != new {
            removed.extend(old.map(|v| (i, v)));
            written.extend(new.map(|v| (i, v)));
        }
    }
    // What a column is filled with when it is added is not a value that anybody wrote.
    written.retain(|(_, v)| v != "none");
    Some(Event { table, key: key.to_owned(), did, removed, written, stayed: false })
}

fn connect(path: &Path, clock: &Clock) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.execute_batch("PRAGMA foreign_keys=ON; PRAGMA synchronous=OFF")?;
    connection.set_prepared_statement_cache_capacity(100);
    clock.rule(&connection)?;
    Ok(connection)
}
