//! Running DDL beside a working application: short lock waits, retries, and the session left as it was.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use sync_store::{Result, StoreError, Trouble};

use super::names::literal;
use super::reopen::is_spoilt;
use crate::sql::{Fields, Sql};

/// While DDL waits for a table's lock all new statements on that table wait behind it, so it waits a second at most.
const LOCK_WAIT_SECONDS: u32 = 1;

/// How often DDL is tried before giving up until the next round.
const ATTEMPTS: u32 = 4;

/// More than all attempts take together.
const AHEAD_SECONDS: u32 = 10;

/// Under which our triggers run: nothing is bent to fit silently, and every date that is stored can be copied.
pub(super) const OWN_MODE: &str = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES";

/// The settings that a trigger is created under and keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub sql_mode: String,
    pub charset: String,
    pub collation: String,
}

impl Settings {
    /// Those of our own triggers.
    pub fn own() -> Self {
        Settings { sql_mode: OWN_MODE.into(), charset: "utf8mb4".into(), collation: "utf8mb4_general_ci".into() }
    }
}

/// Runs `work` with short waits for table locks, and puts the session's settings back whatever comes of it.
pub(super) fn with_short_waits<T>(sql: &mut dyn Sql, work: impl FnOnce(&mut dyn Sql) -> Result<T>) -> Result<T> {
    let row = sql.first(
        "SELECT @@SESSION.lock_wait_timeout, @@SESSION.sql_mode, @@SESSION.character_set_client, \
         @@SESSION.collation_connection",
        &[],
    )?;
    let mut fields = Fields::of(row.unwrap_or_default());
    let wait = fields.unsigned()?;
    let before = Settings { sql_mode: fields.text()?, charset: fields.text()?, collation: fields.text()? };
    sql.run(&format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}"))?;
    let result = work(sql);
    let restored = sql.run(&format!("SET SESSION lock_wait_timeout = {wait}")).and_then(|()| apply(sql, &before));
    let value = result?;
    restored.map(|()| value)
}

/// Makes these the session's settings.
pub(super) fn apply(sql: &mut dyn Sql, settings: &Settings) -> Result<()> {
    sql.run(&format!(
        "SET SESSION sql_mode = {}, character_set_client = {}, collation_connection = {}",
        literal(&settings.sql_mode),
        settings.charset,
        settings.collation
    ))
}

/// Runs a DDL statement on a table, several times if another transaction holds it. A copy of the table that was not opened
/// rightly is closed by the first time, which fails.
pub(super) fn ddl(sql: &mut dyn Sql, table: &str, statement: &str) -> Result<()> {
    let mut pause = Duration::from_millis(100);
    for _ in 1..ATTEMPTS {
        match sql.run(statement) {
            Err(e) if e.trouble == Trouble::Contention || is_spoilt(&e.message) => {
                std::thread::sleep(pause + jitter(pause))
            }
            other => return other,
        }
        pause *= 2;
    }
    sql.run(statement).map_err(|e| explain(e, table))
}

/// Runs `work` on MariaDB as if it began later than it does.
///
/// MariaDB prepares a statement again if a trigger was made since, and goes by when CREATE TRIGGER began, in hundredths of
/// a second. One that was prepared a moment before, or while CREATE TRIGGER waited for the table, would keep what it knows:
/// executed, it would find neither the mark table nor the procedure for late marks, and fail (1305).
pub(super) fn dated_ahead(sql: &mut dyn Sql, work: impl FnOnce(&mut dyn Sql) -> Result<()>) -> Result<()> {
    // A server can forbid it (secure_timestamp); then a moment remains.
    let is_dated = sql.run(&format!("SET SESSION timestamp = UNIX_TIMESTAMP(SYSDATE(6)) + {AHEAD_SECONDS}")).is_ok();
    let done = work(sql);
    let restored = if is_dated { sql.run("SET SESSION timestamp = DEFAULT") } else { Ok(()) };
    done.and(restored)
}

fn explain(error: StoreError, table: &str) -> StoreError {
    if error.trouble != Trouble::Contention {
        return error;
    }
    StoreError::new(
        Trouble::Contention,
        format!(
            "the triggers of table {table} could not be renewed: a transaction that used it has been open all the while"
        ),
    )
    .hint("it is tried again in the next round; SHOW PROCESSLIST shows who leaves transactions open")
}

/// Up to as long again, so that several sites or daemons do not wait in step.
fn jitter(pause: Duration) -> Duration {
    pause.mul_f64((RandomState::new().build_hasher().finish() % 1000) as f64 / 1000.0)
}
