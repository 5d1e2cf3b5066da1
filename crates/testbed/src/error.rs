//! The one error of this crate. It never carries a password: accounts made for tests are named, not shown.

use std::time::Duration;

/// Why a test server could not do what a test asked. None of these is worth retrying: the testbed itself already
/// waits for what needs waiting for.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// A file, folder, port or process could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, and on what.
        what: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A server did not come up, or did not go down.
    #[error("{server}: {reason}. Its log ends with:\n{log}")]
    Server {
        /// Flavour and port.
        server: String,
        /// What it did not do.
        reason: String,
        /// The last lines of its log.
        log: String,
    },
    /// A statement or a connection failed.
    #[error("{what}: {source}")]
    Sql {
        /// What was attempted.
        what: String,
        /// The server's or driver's reason.
        source: Box<mysql::Error>,
    },
    /// A script stopped at an error.
    #[error("the script failed: {0}")]
    Script(String),
    /// A condition did not come true in time.
    #[error("waited {limit:?} in vain for: {what}")]
    Timeout {
        /// The condition, in words.
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The option exists on the other kind of server only.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// Gives errors of the system and of the driver the context in which they happened.
pub(crate) trait Context<T> {
    /// Names what was attempted.
    fn context(self, what: impl Into<String>) -> crate::Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, what: impl Into<String>) -> crate::Result<T> {
        self.map_err(|source| TestbedError::Io { what: what.into(), source })
    }
}

impl<T> Context<T> for mysql::Result<T> {
    fn context(self, what: impl Into<String>) -> crate::Result<T> {
        self.map_err(|source| TestbedError::Sql { what: what.into(), source: Box::new(source) })
    }
}
