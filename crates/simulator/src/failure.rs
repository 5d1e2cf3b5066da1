//! What a run found, or why it could not go on.

use sync_engine::EngineError;
use sync_store::StoreError;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Failure>;

/// An invariant that does not hold, or an error that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl Failure {
    /// With this text.
    pub fn new(text: impl Into<String>) -> Self {
        Failure(text.into())
    }

    /// The first line, without what differs from run to run: what kind of failure it is.
    pub fn kind(&self) -> &str {
        self.0.split([':', '\n']).next().unwrap_or_default()
    }

    /// Says when it happened.
    pub fn during(self, what: &str) -> Self {
        Failure(format!("{}\n  {what}", self.0))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(e: rusqlite::Error) -> Self {
        Failure(format!("the application: {e}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Failure(format!("a file: {e}"))
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        Failure(format!("a store: {e}"))
    }
}

impl From<EngineError> for Failure {
    fn from(e: EngineError) -> Self {
        Failure(format!("a round: {e}"))
    }
}
