//! What can go wrong with a store, sorted by what helps. Messages say what happened, to which thing, and what to do.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The result of a store's verb.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What kind of trouble it is; decides whether to try again, and the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// Another transaction was in the way: trying the same again at once helps.
    Contention,
    /// The schema changed under us: reading it again and repeating helps.
    SchemaChanged,
    /// The server is away or went away: trying again later helps.
    Unreachable,
    /// Login or certificate was refused.
    Authentication,
    /// The account lacks privileges.
    Privilege,
    /// The store has not been prepared, or not for this.
    NotPrepared,
    /// The settings do not fit.
    Configuration,
    /// Stored or received data is not what this program writes.
    Corrupt,
    /// A person must decide.
    Halt,
    /// A constraint of the schema forbids a value or row.
    Constraint,
    /// A CHECK forbids the values of a row, whatever the other rows are.
    Check,
    /// Anything else; trying again does not help.
    Failure,
}

/// An error with what to do about it.
#[derive(Debug, Error)]
#[error("{message}{}", hint.as_ref().map(|h| format!("\n  {h}")).unwrap_or_default())]
#[derive(Serialize, Deserialize)]
pub struct StoreError {
    /// What kind.
    pub trouble: Trouble,
    /// What happened, to which thing.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
}

impl StoreError {
    /// An error of this kind.
    pub fn new(trouble: Trouble, message: impl Into<String>) -> Self {
        StoreError { trouble, message: message.into(), hint: None }
    }

    /// With what to do now.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what was being done.
    pub fn during(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Whether repeating the same call, now or after a while, can help.
    pub fn is_retryable(&self) -> bool {
        matches!(self.trouble, Trouble::Contention | Trouble::SchemaChanged | Trouble::Unreachable)
    }
}

impl From<sync_core::codec::CodecError> for StoreError {
    fn from(e: sync_core::codec::CodecError) -> Self {
        StoreError::new(Trouble::Corrupt, e.to_string())
            .hint("the data was written by a later version, or is damaged: run the newest server_sync at every site")
    }
}
