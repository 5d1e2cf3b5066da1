//! What a round tells: events while it runs, and the report at its end. Plain data.

use std::collections::BTreeMap;
use std::time::Duration;

use sync_core::Summary;
use sync_store::{Applied, ConflictEntry, Lacking};

use crate::documents::FolderReport;
use crate::error::EngineError;

/// Which way rows go, seen from the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the slave to the master.
    Pull,
    /// From the master to the slave.
    Push,
}

/// What happens while a round runs.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The two sites know each other and go on.
    Agreed {
        /// The other site's name.
        peer: &'a str,
    },
    /// Something about the schema was noticed and dealt with.
    Note(&'a str),
    /// Everything is compared because the sites never met, or `-init` asked for it.
    FirstContact,
    /// Rows of a table are being compared or copied.
    Table {
        /// Its name.
        name: &'a str,
        /// Rows looked at so far, on both sides.
        rows: u64,
        /// How many there are, roughly; 0 if nobody knows.
        total: u64,
    },
    /// The round is tried again after a pause.
    Retrying {
        /// Why it stopped.
        error: &'a EngineError,
        /// How long the pause is.
        pause: Duration,
    },
    /// A folder of documents is at work.
    Folder(&'a str),
    /// Contents of files have been received.
    Contents {
        /// Which way.
        direction: Direction,
        /// How many bytes so far.
        bytes: u64,
        /// How many files so far.
        files: u64,
        /// How much there will be, roughly: what is here already is counted and does not come.
        total: Lacking,
    },
    /// Rows have been received.
    Rows {
        /// Which way.
        direction: Direction,
        /// How many so far.
        done: u64,
        /// How many there will be, roughly.
        total: u64,
    },
}

/// Is told what happens. Must not block for long.
pub trait Watch {
    /// Something happened.
    fn event(&mut self, event: Event);
}

/// Tells nobody.
impl Watch for () {
    fn event(&mut self, _: Event) {}
}

/// A table that does not take part for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedTable {
    /// Its name.
    pub name: String,
    /// Why, and what to do.
    pub reason: String,
}

/// What a round did.
#[derive(Clone, Debug, Default)]
pub struct RoundReport {
    /// The other site.
    pub peer: String,
    /// Its number.
    pub peer_number: u16,
    /// What came from the slave.
    pub pulled: Applied,
    /// What went to the slave.
    pub pushed: Applied,
    /// Tables that differ and wait.
    pub paused: Vec<PausedTable>,
    /// Tables that cannot take part, with the reason.
    pub refused: Vec<PausedTable>,
    /// What an administrator should know.
    pub warnings: Vec<String>,
    /// What was noticed about the schema and dealt with.
    pub notes: Vec<String>,
    /// The folders of documents.
    pub documents: Vec<FolderReport>,
    /// Whether everything was compared.
    pub compared: bool,
    /// Whether nothing was written (`--dry-run`).
    pub dry_run: bool,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl RoundReport {
    /// What came to the receiver of a direction.
    pub(crate) fn applied(&mut self, direction: Direction) -> &mut Applied {
        match direction {
            Direction::Pull => &mut self.pulled,
            Direction::Push => &mut self.pushed,
        }
    }

    /// The conflicts noticed in this round, both ways.
    pub fn conflicts(&self) -> impl Iterator<Item = &ConflictEntry> {
        self.pulled.conflicts.iter().chain(&self.pushed.conflicts)
    }

    /// Rows that could not be shown.
    pub fn parked(&self) -> u64 {
        self.pulled.total().parked + self.pushed.total().parked
    }

    /// Whether a person should look: conflicts, paused tables, parked rows, folders or files left out (exit code 3).
    pub fn has_remains(&self) -> bool {
        let documents = || self.documents.iter().any(FolderReport::has_remains);
        self.conflicts().next().is_some() || !self.paused.is_empty() || self.parked() > 0 || documents()
    }

    /// Whether no row and no file went either way.
    pub fn is_quiet(&self) -> bool {
        let rows = self.pulled.total().received + self.pushed.total().received;
        rows == 0 && self.documents.iter().all(FolderReport::is_quiet)
    }

    /// By table: what was pulled and what was pushed.
    pub fn by_table(&self) -> BTreeMap<&str, (Summary, Summary)> {
        let mut tables: BTreeMap<&str, (Summary, Summary)> = BTreeMap::new();
        for (name, summary) in &self.pulled.tables {
            tables.entry(name).or_default().0 += *summary;
        }
        for (name, summary) in &self.pushed.tables {
            tables.entry(name).or_default().1 += *summary;
        }
        tables
    }
}
