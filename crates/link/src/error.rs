//! What can go wrong with a link. Messages say what happened and what to do.

use std::io;

use sync_store::{StoreError, Trouble};
use thiserror::Error;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, LinkError>;

/// What a link's error means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The other side cannot be reached, or the link broke. Trying again later can help.
    Unreachable,
    /// The other side does not let us in.
    Authentication,
    /// The other side is not set up for this: no agent, not configured, another version.
    Setup,
    /// What came is not the protocol.
    Protocol,
}

/// An error of a link; it can be given to everybody who waits.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}{}", hint.as_ref().map(|h| format!("\n  {h}")).unwrap_or_default())]
pub struct LinkError {
    /// What it means.
    pub fault: Fault,
    /// What happened, to which thing.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
}

impl LinkError {
    /// An error without a hint.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        LinkError { fault, message: message.into(), hint: None }
    }

    /// Adds what to do.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        LinkError { hint: Some(hint.into()), ..self }
    }

    /// Whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.fault == Fault::Unreachable
    }

    /// The link is over.
    pub fn closed() -> Self {
        LinkError::new(Fault::Unreachable, "the other side ended the connection")
    }
}

impl From<io::Error> for LinkError {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::InvalidData => LinkError::new(Fault::Protocol, e.to_string()),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => LinkError::closed(),
            _ => LinkError::new(Fault::Unreachable, format!("the connection to the other side failed: {e}")),
        }
    }
}

impl From<LinkError> for StoreError {
    fn from(e: LinkError) -> Self {
        let trouble = match e.fault {
            Fault::Unreachable => Trouble::Unreachable,
            Fault::Authentication => Trouble::Authentication,
            Fault::Setup => Trouble::Configuration,
            Fault::Protocol => Trouble::Corrupt,
        };
        StoreError { trouble, message: e.message, hint: e.hint }
    }
}
