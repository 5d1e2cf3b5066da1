//! Sorting the errors of SQLite by what helps, and saying what to do. Messages name the file and never hold values.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};
use sync_store::{StoreError, Trouble};

/// An error of a statement.
pub(super) fn classify(error: &Error, path: &Path) -> StoreError {
    let trouble = trouble(error);
    let found = StoreError::new(trouble, format!("{}: {error}", path.display()));
    match hint(error) {
        Some(hint) => found.hint(hint),
        None => found,
    }
}

fn trouble(error: &Error) -> Trouble {
    if error.sqlite_error().is_some_and(|e| e.extended_code == ffi::SQLITE_CONSTRAINT_CHECK) {
        return Trouble::Check;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Contention,
        Some(ErrorCode::SchemaChanged) => Trouble::SchemaChanged,
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => Trouble::Constraint,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied) => {
            Trouble::Privilege
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Trouble::Corrupt,
        Some(ErrorCode::CannotOpen) => Trouble::Unreachable,
        _ if names_what_is_gone(error) => Trouble::SchemaChanged,
        _ => Trouble::Failure,
    }
}

/// SQLite has no code of its own for tables and columns that are not there.
fn names_what_is_gone(error: &Error) -> bool {
    let message = match error {
        Error::SqliteFailure(_, Some(message)) => message,
        Error::SqlInputError { msg, .. } => msg,
        _ => return false,
    };
    let gone = ["no such table", "no such column", "has no column named", "no such index", "more than one column"];
    gone.iter().any(|text| message.contains(text))
}

fn hint(error: &Error) -> Option<&'static str> {
    let code = error.sqlite_error()?;
    Some(match (code.code, code.extended_code) {
        (ErrorCode::DiskFull, _) => "make room on its disk; nothing was written",
        (ErrorCode::NotADatabase, _) => {
            "it is not an SQLite database, or it is encrypted: check the path in the settings"
        }
        (ErrorCode::DatabaseCorrupt, _) => {
            "the file is damaged: check it with `sqlite3 FILE 'PRAGMA integrity_check'` and restore a backup"
        }
        (_, ffi::SQLITE_READONLY_DIRECTORY) | (ErrorCode::CannotOpen | ErrorCode::ReadOnly, _) => {
            "let the user that runs server_sync write the file and create files in its directory"
        }
        (ErrorCode::DatabaseBusy, _) => "the application holds the database; it is tried again",
        _ => return None,
    })
}

/// A path that does not lead to a file.
pub(super) fn missing(path: &Path, error: &std::io::Error) -> StoreError {
    let trouble = match error.kind() {
        std::io::ErrorKind::NotFound => Trouble::Configuration,
        std::io::ErrorKind::PermissionDenied => Trouble::Privilege,
        _ => Trouble::Unreachable,
    };
    StoreError::new(trouble, format!("cannot open the database {}: {error}", path.display()))
        .hint("check the path in the settings, that its disk is mounted, and that server_sync may read it")
}

/// A path to something that is not a file.
pub(super) fn not_a_file(path: &Path) -> StoreError {
    StoreError::new(Trouble::Configuration, format!("{} is not a file", path.display()))
        .hint("give the path of the SQLite database itself in the settings")
}
