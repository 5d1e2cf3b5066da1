//! A round between two stores, and what goes with it: handshake, first contact, compare, safety halts, the run lock,
//! the daemon.
//!
//! The steps of a round are drain → compare knowledge → exchange → merge → apply → record. The engine works on the
//! [`sync_store::Store`] interface alone; only [`open`] knows which stores there are, and [`remote`] the ways to others'.
//! It prints nothing: whoever calls it passes a [`Watch`] and shows what it is told.

pub mod agent;
pub mod brake;
pub mod compare;
mod contact;
mod copy;
pub mod daemon;
pub mod declaration;
pub mod documents;
pub mod error;
pub mod folder;
mod folders;
mod gone;
pub mod graves;
pub mod handshake;
pub mod link;
pub mod lock;
pub mod members;
pub mod numbering;
pub mod open;
mod opening;
mod parties;
mod passage;
mod rate;
pub mod remote;
pub mod report;
mod restores;
pub mod round;
pub mod schedule;
pub mod scrub;
pub mod state;
mod stream;
pub mod survey;
mod together;
mod transfer;
mod twins;
pub mod upkeep;
pub mod verify;

pub use documents::{DocumentsReport, FolderReport, Outcome, round_documents};
pub use error::{EngineError, Kind, Result};
pub use folder::Folder;
pub use graves::Memory;
pub use link::{Flags, run_link};
pub use report::{Direction, PausedTable, RoundReport, Watch};
pub use round::{Beside, Options, round, round_beside};
pub use scrub::Scrub;
