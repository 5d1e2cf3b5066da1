//! SQLite.

pub mod driver;

mod convert;
mod errors;
mod search;
mod tokens;
mod trigger_text;

pub use driver::{Options, SqliteDriver, open};

/// A name as SQLite reads it whatever characters it has.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
