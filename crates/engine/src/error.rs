//! What can stop a round, sorted by exit code. Messages say what happened, to which thing, and what to do now.

use sync_store::{StoreError, Trouble};
use thiserror::Error;

/// The result of the engine's verbs.
pub type Result<T> = std::result::Result<T, EngineError>;

/// What kind of failure it is; each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything not named below.
    Failure,
    /// This site, or the other, has not been configured or prepared.
    NotConfigured,
    /// Another run holds the lock.
    Locked,
    /// Login, certificate or privileges.
    Authentication,
    /// The other site is away.
    Unreachable,
    /// A person must decide; `-force` goes on.
    Halt,
    /// The settings of the two sites do not fit together, or are wrong.
    Configuration,
    /// The person or the system asked to stop.
    Interrupted,
}

impl Kind {
    /// The exit code of the command.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failure => 1,
            Kind::NotConfigured => 10,
            Kind::Locked => 11,
            Kind::Authentication => 12,
            Kind::Unreachable => 20,
            Kind::Halt => 25,
            Kind::Configuration => 78,
            Kind::Interrupted => 130,
        }
    }

    /// The trouble that is told to another site, so that it comes to the same kind there.
    pub(crate) fn trouble(self) -> Trouble {
        match self {
            Kind::NotConfigured => Trouble::NotPrepared,
            Kind::Authentication => Trouble::Authentication,
            Kind::Unreachable => Trouble::Unreachable,
            Kind::Halt => Trouble::Halt,
            Kind::Configuration => Trouble::Configuration,
            Kind::Failure | Kind::Locked | Kind::Interrupted => Trouble::Failure,
        }
    }
}

/// Why a round did not happen or did not end.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct EngineError {
    /// What kind.
    pub kind: Kind,
    /// What happened, to which thing.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
    /// Whether the same again, a moment later, can succeed.
    pub retryable: bool,
}

impl EngineError {
    /// An error that trying again does not mend.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        EngineError { kind, message: message.into(), hint: None, retryable: kind == Kind::Unreachable }
    }

    /// With what to do now.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says at which site it happened.
    pub fn at(mut self, site: &str) -> Self {
        self.message = format!("{site}: {}", self.message);
        self
    }
}

impl From<StoreError> for EngineError {
    fn from(e: StoreError) -> Self {
        let kind = match e.trouble {
            Trouble::Unreachable => Kind::Unreachable,
            Trouble::Authentication | Trouble::Privilege => Kind::Authentication,
            Trouble::NotPrepared => Kind::NotConfigured,
            Trouble::Configuration => Kind::Configuration,
            Trouble::Halt => Kind::Halt,
            Trouble::Contention
            | Trouble::SchemaChanged
            | Trouble::Corrupt
            | Trouble::Constraint
            | Trouble::Check
            | Trouble::Failure => Kind::Failure,
        };
        let retryable = e.is_retryable();
        EngineError { kind, message: e.message, hint: e.hint, retryable }
    }
}
