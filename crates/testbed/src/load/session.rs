//! A writer's connection: measures every statement and sorts failures into what an application expects (retry, refusal,
//! lost connection) and what it must never see.

use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{Conn, Error, Params};

use super::{LoadReport, Shared};

/// The server's clock in microseconds. SYSDATE, not NOW, which stands still within a statement that waits.
const CLOCK: &str = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)";

/// Why a statement did not work.
pub(super) enum Failure {
    /// A deadlock or lock wait: the transaction is to be tried again.
    Retry,
    /// A constraint forbids it.
    Refused,
    /// The connection is gone.
    Lost,
    /// Something no application should see; it is in the report.
    Error,
}

pub(super) struct Session {
    connection: Conn,
}

impl Session {
    /// Connects, however long the server is away; none when the load is over first.
    pub(super) fn connect(shared: &Shared) -> Option<Self> {
        while !shared.is_over() {
            if let Ok(mut connection) = Conn::new(shared.connect.clone())
                && connection.query_drop("SET time_zone = '+00:00'").is_ok()
            {
                return Some(Self { connection });
            }
            shared.sleep(Duration::from_millis(50));
        }
        None
    }

    /// Runs one statement and returns how many rows it changed.
    pub(super) fn execute(&mut self, sql: &str, params: Params, report: &mut LoadReport) -> Result<u64, Failure> {
        let start = Instant::now();
        let result = self.connection.exec_iter(sql, params).map(|result| result.affected_rows());
        measured(result, sql, start, report)
    }

    /// Runs BEGIN, COMMIT or ROLLBACK.
    pub(super) fn control(&mut self, sql: &str, report: &mut LoadReport) -> Result<(), Failure> {
        let start = Instant::now();
        let result = self.connection.query_drop(sql);
        measured(result, sql, start, report)
    }

    /// The server's time now.
    pub(super) fn clock(&mut self, report: &mut LoadReport) -> Result<i64, Failure> {
        let start = Instant::now();
        let result = self.connection.query_first(CLOCK).map(Option::unwrap_or_default);
        measured(result, CLOCK, start, report)
    }

    /// The connection itself, for a whole transaction of the CRM.
    pub(super) fn connection(&mut self) -> &mut Conn {
        &mut self.connection
    }
}

fn measured<T>(result: Result<T, Error>, sql: &str, start: Instant, report: &mut LoadReport) -> Result<T, Failure> {
    note_time(start.elapsed(), sql, report);
    result.map_err(|error| sort(error, sql, report))
}

/// Keeps the slowest statement.
pub(super) fn note_time(time: Duration, what: &str, report: &mut LoadReport) {
    if time > report.slowest {
        report.slowest = time;
        what.clone_into(&mut report.slowest_statement);
    }
}

/// Counts a failure and says what to do about it.
pub(super) fn sort(error: Error, sql: &str, report: &mut LoadReport) -> Failure {
    match code(&error) {
        Some(1213) => {
            report.deadlocks += 1;
            Failure::Retry
        }
        Some(1205) => {
            report.lock_waits += 1;
            Failure::Retry
        }
        Some(code) if crate::crm::is_expected(code) && !names_us(&error) => {
            *report.refusals.entry(code).or_default() += 1;
            Failure::Refused
        }
        // Shutdown in progress, connection killed.
        None | Some(1053 | 1927) => Failure::Lost,
        // MariaDB: the connection was killed while it, or another before it, opened the table.
        Some(1064) if error.to_string().contains("has an error in its body") => Failure::Lost,
        Some(_) => {
            report.errors.push(format!("{sql}: {error}"));
            Failure::Error
        }
    }
}

/// Whether an error is about a table or trigger of server_sync: no constraint of the application.
fn names_us(error: &Error) -> bool {
    error.to_string().contains("server_sync")
}

/// The server's error number; none for failures of the connection.
fn code(error: &Error) -> Option<u16> {
    match error {
        Error::MySqlError(error) => Some(error.code),
        _ => None,
    }
}
