//! What a pass through the directory finds: changes to be written, paths that are gone, what could not be looked at.

use std::collections::{BTreeSet, HashMap};

use rusqlite::Connection;
use sync_store::contents::NAMED;
use sync_store::{Reason, Result, Skipped};

use super::{BATCH, CHUNKS_A_CHANGE, Found};
use crate::accounts::Accounts;
use crate::cells;
use crate::index::fault;
use crate::look::{self, Known, Reading, Seen};
use crate::walk::Sight;

/// What was there, and what is.
pub(super) struct Looked {
    pub(super) old: Option<Known>,
    pub(super) new: std::result::Result<Reading, Reason>,
}

/// Notes that a path could not be taken in; some of very many are told.
pub(super) fn skip(skipped: &mut Vec<Skipped>, path: &[u8], reason: Reason) {
    if skipped.len() < NAMED {
        skipped.push(Skipped { path: path.to_vec(), reason });
    }
}

/// What a pass through the directory finds.
pub(super) struct Pass {
    pub(super) changes: Vec<Found>,
    pub(super) gone: Gone,
    pub(super) skipped: Vec<Skipped>,
    /// Of the changes, in those that are written together.
    pub(super) weight: usize,
    pub(super) met: u64,
    /// What was last changed before this time is at rest.
    pub(super) rest: i64,
    /// Files with several names that were read, by inode.
    read: HashMap<u64, Known>,
    /// Inodes of which a name changed: what the system says of the others changed with it.
    pub(super) stirred: BTreeSet<u64>,
}

/// So many files with several names are remembered, that they need not be read again under the next.
const REMEMBERED: usize = 5000;

impl Pass {
    pub(super) fn begin(rest: i64) -> Result<Self> {
        Ok(Pass {
            changes: Vec::new(),
            gone: Gone::open()?,
            skipped: Vec::new(),
            weight: 0,
            met: 0,
            rest,
            read: HashMap::new(),
            stirred: BTreeSet::new(),
        })
    }

    pub(super) fn skip(&mut self, path: &[u8], reason: Reason) {
        skip(&mut self.skipped, path, reason);
    }

    /// Whether the same file was just read under another name.
    pub(super) fn read_already(
        &self,
        now: &Seen,
        old: Option<&Known>,
        accounts: &Accounts,
    ) -> Option<std::result::Result<Known, Reason>> {
        let read = self.read.get(&now.inode).filter(|read| now.links > 1 && read.seen == *now)?;
        Some(look::read_already(read, old, accounts))
    }

    fn stir(&mut self, seen: &Seen) {
        if seen.links > 1 {
            self.stirred.insert(seen.inode);
        }
    }

    fn remember(&mut self, known: &Known) {
        if known.seen.links < 2 {
            return;
        }
        if self.read.len() >= REMEMBERED {
            self.read.clear();
        }
        self.read.insert(known.seen.inode, known.clone());
    }

    pub(super) fn note(&mut self, path: &[u8], looked: Looked) -> Result<()> {
        let Looked { old, new } = looked;
        if let Some(old) = &old {
            self.stir(&old.seen);
        }
        match new {
            Ok(Reading { known, chunks }) => {
                self.stir(&known.seen);
                self.remember(&known);
                self.weight += 1 + chunks.len() / CHUNKS_A_CHANGE;
                self.changes.push(Found { path: path.to_vec(), new: Some(known), chunks });
            }
            Err(why) => {
                if why == Reason::Special && old.is_some() {
                    self.gone.add(path)?;
                }
                self.skip(path, why);
            }
        }
        Ok(())
    }

    /// A known path that the walk did not meet. What is ignored by now was not looked for.
    pub(super) fn missing(&mut self, path: &[u8], seen: &Seen, sight: Sight) -> Result<()> {
        if sight.ignore.covers(path, seen.kind == cells::DIRECTORY) {
            return Ok(());
        }
        self.stir(seen);
        self.gone.add(path)
    }
}

/// The paths that are gone, which may be very many: in a temporary table of their own.
pub(super) struct Gone {
    connection: Connection,
    pub(super) count: u64,
}

impl Gone {
    fn open() -> Result<Self> {
        // An empty name makes a temporary file, used once memory is short.
        let connection = Connection::open("").map_err(fault)?;
        connection.execute_batch("CREATE TABLE gone (path BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID").map_err(fault)?;
        connection.execute_batch("PRAGMA synchronous=OFF; BEGIN").map_err(fault)?;
        Ok(Gone { connection, count: 0 })
    }

    fn add(&mut self, path: &[u8]) -> Result<()> {
        let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO gone VALUES (?)").map_err(fault)?;
        statement.execute([path]).map_err(fault)?;
        self.count += 1;
        Ok(())
    }

    pub(super) fn page(&self, after: &[u8]) -> Result<Vec<Vec<u8>>> {
        let query = format!("SELECT path FROM gone WHERE path>? ORDER BY path LIMIT {BATCH}");
        let mut statement = self.connection.prepare_cached(&query).map_err(fault)?;
        let rows = statement.query_map([after], |row| row.get(0)).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }
}
