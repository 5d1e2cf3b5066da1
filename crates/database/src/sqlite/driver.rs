//! A connection to an SQLite file. Converts values exactly and sorts errors; knows nothing of synchronisation.
//!
//! Triggers of the database do not fire on this connection: the application's ran where the write was made, and ours
//! must not capture what we apply. The exceptions are search tables (`search`), and `server_sync capture on`, after which
//! all of them fire until `server_sync capture off`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OpenFlags};
use sync_core::Value;
use sync_core::digest::Cells;
use sync_store::{Result, StoreError};

use super::{convert, errors, search};
use crate::sql::{EachCells, EachRow, Sql};

/// The statement after which the writes of a connection are captured like those of the application.
pub(super) const CAPTURE_ON: &str = "server_sync capture on";
/// The statement that ends it.
pub(super) const CAPTURE_OFF: &str = "server_sync capture off";
/// How a transaction that writes begins.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// How to open a file.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long to wait for the application's locks before a statement fails with [`sync_store::Trouble::Contention`].
    pub patience: Duration,
    /// Switch a database with a rollback journal to write-ahead logging, if nobody else has it open. In rollback mode
    /// everybody who reads keeps the application from committing.
    pub write_ahead: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { patience: Duration::from_secs(5), write_ahead: true }
    }
}

/// A connection.
pub struct SqliteDriver {
    conn: Connection,
    path: PathBuf,
    capturing: bool,
    search: search::Copies,
}

/// Opens a database that exists, with [`Options::default`].
pub fn open(path: &Path) -> Result<SqliteDriver> {
    SqliteDriver::open(path, Options::default())
}

impl SqliteDriver {
    /// Opens a database that exists; never creates one.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let found = std::fs::metadata(path).map_err(|e| errors::missing(path, &e))?;
        if !found.is_file() {
            return Err(errors::not_a_file(path));
        }
        let conn = connect(path, options).map_err(|e| errors::classify(&e, path))?;
        let mut driver =
            SqliteDriver { conn, path: path.to_owned(), capturing: false, search: search::Copies::default() };
        driver.set_capture(false)?;
        Ok(driver)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection itself, for the simulator alone: it gives it a clock of its own.
    #[doc(hidden)]
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// How the database keeps its journal: `wal`, `delete`, …
    pub fn journal_mode(&self) -> Result<String> {
        self.conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(|e| self.fault(&e))
    }

    /// Search tables (FTS, R*Tree) that cannot be kept up to date by this program, with the reason; the application
    /// must rebuild them.
    pub fn stale_searches(&self) -> &[String] {
        self.search.failed()
    }

    /// Whether the writes of this connection fire triggers and so are captured.
    pub fn set_capture(&mut self, on: bool) -> Result<()> {
        let set = |config, on| self.conn.set_db_config(config, on).map_err(|e| self.fault(&e));
        set(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, on)?;
        // What is captured is a write like the application's: with its constraints and cascades.
        set(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, on)?;
        // A name that is not there must be an error and not a text; but an application's trigger may rely on it.
        set(DbConfig::SQLITE_DBCONFIG_DQS_DML, on)?;
        self.capturing = on;
        let renewed = if on { self.search.remove(&self.conn) } else { self.search.renew(&self.conn) };
        renewed.map_err(|e| self.fault(&e))
    }

    fn fault(&self, error: &rusqlite::Error) -> StoreError {
        errors::classify(error, &self.path)
    }

    fn prepare(&self, sql: &str, params: &[Value]) -> Result<CachedStatement<'_>> {
        let mut statement = self.conn.prepare_cached(&refusing(sql, "ABORT")).map_err(|e| self.fault(&e))?;
        self.bind(&mut statement, params)?;
        Ok(statement)
    }

    fn bind(&self, statement: &mut CachedStatement, params: &[Value]) -> Result<()> {
        for (i, value) in params.iter().enumerate() {
            statement.raw_bind_parameter(i + 1, convert::to_sqlite(value)?).map_err(|e| self.fault(&e))?;
        }
        Ok(())
    }

    /// Begins a transaction that writes. The copies of triggers must be made outside of it, and fit the schema in it.
    fn begin(&mut self) -> rusqlite::Result<()> {
        loop {
            if !self.capturing {
                self.search.renew(&self.conn)?;
            }
            self.conn.execute_batch(BEGIN)?;
            if self.capturing || self.search.is_current(&self.conn)? {
                return Ok(());
            }
            self.conn.execute_batch("ROLLBACK")?;
        }
    }
}

/// Keys and hashes that come in no order touch pages all over their indexes: they are kept in memory (6 MiB at most), and go
/// to the file once for many rows.
const TUNING: &str = "PRAGMA cache_size=-6144; PRAGMA wal_autocheckpoint=4096";

fn connect(path: &Path, options: Options) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.set_prepared_statement_cache_capacity(200);
    conn.busy_timeout(options.patience)?;
    // The first access: tells whether it is a database at all.
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if options.write_ahead && mode != "wal" {
        switch_to_wal(&conn)?;
    }
    conn.busy_timeout(options.patience)?;
    conn.execute_batch("PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF; PRAGMA recursive_triggers=OFF")?;
    conn.execute_batch(TUNING)?;
    Ok(conn)
}

/// If somebody else has the database open, or its file system cannot share memory, it stays as it is.
fn switch_to_wal(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::ZERO)?;
    match conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())) {
        Ok(()) => Ok(()),
        Err(e) if e.sqlite_error_code().is_some() => Ok(()),
        Err(e) => Err(e),
    }
}

/// A table can be declared `UNIQUE ON CONFLICT REPLACE` (or IGNORE, ROLLBACK): our writes must always be refused
/// instead, and only the one statement.
fn refusing<'a>(sql: &'a str, how: &str) -> Cow<'a, str> {
    match sql.strip_prefix("INSERT INTO ") {
        Some(rest) => format!("INSERT OR {how} INTO {rest}").into(),
        None => sql.into(),
    }
}

impl Sql for SqliteDriver {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        let mut statement = self.prepare(sql, params)?;
        let changed = statement.raw_execute().map_err(|e| self.fault(&e))?;
        Ok(changed as u64)
    }

    /// What fails is not undone by itself: SQLite would copy each page that a statement changes, in case that it fails.
    fn execute_each(&mut self, sql: &str, rows: &[&[Value]]) -> Result<bool> {
        let mut statement = self.conn.prepare_cached(&refusing(sql, "FAIL")).map_err(|e| self.fault(&e))?;
        for row in rows {
            self.bind(&mut statement, row)?;
            statement.raw_execute().map_err(|e| self.fault(&e))?;
        }
        Ok(true)
    }

    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> Result<()> {
        let mut statement = self.prepare(sql, params)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|e| self.fault(&e))? {
            let width = row.as_ref().column_count();
            let value = |i| row.get_ref(i).map(convert::from_sqlite).map_err(|e| self.fault(&e));
            each((0..width).map(value).collect::<Result<_>>()?)?;
        }
        Ok(())
    }

    fn digest(&mut self, sql: &str, params: &[Value], cells: &mut Cells, each: &mut EachCells) -> Result<()> {
        let mut statement = self.prepare(sql, params)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|e| self.fault(&e))? {
            cells.clear();
            for i in 0..row.as_ref().column_count() {
                convert::add_cell(row.get_ref(i).map_err(|e| self.fault(&e))?, cells);
            }
            each(cells)?;
        }
        Ok(())
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        match sql {
            CAPTURE_ON => self.set_capture(true),
            CAPTURE_OFF => self.set_capture(false),
            BEGIN => self.begin().map_err(|e| self.fault(&e)),
            _ => self.conn.execute_batch(sql).map_err(|e| self.fault(&e)),
        }
    }
}

/// Names the file only.
impl std::fmt::Debug for SqliteDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteDriver").field("path", &self.path).finish_non_exhaustive()
    }
}
