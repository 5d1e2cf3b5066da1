//! What a writer remembers of its committed writes. A write is journaled after its commit, or as uncertain when the
//! connection was lost during the commit; a write that was rolled back is never journaled.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::Cell;

/// One write to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The site's name.
    pub site: Arc<str>,
    /// The table.
    pub table: &'static str,
    /// The row's primary key.
    pub key: i64,
    /// What was written.
    pub change: Change,
    /// The server's time before the transaction's first statement, in microseconds of the Unix epoch: no stamp of this
    /// write is earlier.
    pub began: i64,
    /// The server's time while the transaction held the row's lock, just before its commit. It orders the writes
    /// of one site to one row exactly: the next one gets the lock after this commit.
    pub locked: i64,
    /// The server's time when the commit was known to be done. Whatever another site wrote after seeing this write is later.
    pub committed: i64,
    /// Its place within its transaction, whose writes have the same times.
    pub step: usize,
    /// False if nobody knows whether the commit happened.
    pub certain: bool,
}

/// What a write did to its row. Every text written is unique in the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new row with these cells.
    Insert(Vec<(&'static str, Cell)>),
    /// One cell got a new value.
    Update(&'static str, Cell),
    /// The row was deleted; rows that refer to it went with it.
    Delete,
}

impl Write {
    /// The value this write gave to `column`, if it did.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<&Cell> {
        match &self.change {
            Change::Insert(cells) => cells.iter().find(|(name, _)| *name == column).map(|(_, value)| value),
            Change::Update(name, value) => (*name == column).then_some(value),
            Change::Delete => None,
        }
    }
}

/// A journal file: one write a line, for reading after a failure. Nothing reads it back.
pub(crate) struct JournalFile(File);

impl JournalFile {
    pub(crate) fn create(folder: &Path, site: &str, writer: u16) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        File::create(folder.join(format!("{site}-w{writer}.tsv"))).map(Self)
    }

    pub(crate) fn append(&mut self, write: &Write) -> io::Result<()> {
        let certainty = if write.certain { "committed" } else { "uncertain" };
        let change = match &write.change {
            Change::Insert(cells) => {
                let cells: Vec<_> = cells.iter().map(|(column, value)| format!("{column}={value}")).collect();
                format!("insert\t{}", cells.join(" "))
            }
            Change::Update(column, value) => format!("update\t{column}={value}"),
            Change::Delete => "delete\t".to_owned(),
        };
        let Write { table, key, locked, committed, .. } = write;
        writeln!(self.0, "{table}\t{key}\t{change}\t{locked}\t{committed}\t{certainty}")
    }
}
