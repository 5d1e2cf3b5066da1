//! What a store's verbs report. Plain data.

use std::collections::BTreeMap;

use sync_core::{Position, Stamp, Summary, Value};

/// Whether to write, or only to say what would be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Write,
    /// Say what would be done (`--dry-run`). Nothing stays.
    Preview,
}

/// What a drain did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Marks read and deleted.
    pub marks: u64,
    /// Rows that got a stamp.
    pub rows: u64,
    /// What was noticed about the schema: triggers renewed, tables added.
    pub notes: Vec<String>,
    /// Whether marks were left, because there are very many: [`crate::Store::changes`] drains them while it streams.
    pub left: bool,
}

/// What a batch did, by table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Counts by table.
    pub tables: BTreeMap<String, Summary>,
    /// The conflicts that were noticed, as they were listed.
    pub conflicts: Vec<ConflictEntry>,
}

impl Applied {
    /// Adds another batch's counts.
    pub fn add(&mut self, other: Applied) {
        for (table, summary) in other.tables {
            *self.tables.entry(table).or_default() += summary;
        }
        self.conflicts.extend(other.conflicts);
    }

    /// All tables together.
    pub fn total(&self) -> Summary {
        let mut total = Summary::default();
        self.tables.values().for_each(|s| total += *s);
        total
    }
}

/// How much a stream will bring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// By table.
    pub tables: BTreeMap<String, TableOutline>,
    /// Where the stream will end.
    pub end: Position,
}

/// How much a stream will bring for one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOutline {
    /// Rows inserted or updated.
    pub live: u64,
    /// Rows deleted.
    pub graves: u64,
    /// Rows the table holds now at the sender, roughly.
    pub rows: u64,
}

/// One line of the conflict list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictEntry {
    /// Its id: a hash of table, key, column and losing stamp, alike at every site.
    pub id: String,
    /// The table.
    pub table: String,
    /// The row's key.
    pub key: Vec<Value>,
    /// `cell`, `insert`, `update-lost` or `delete-lost`.
    pub kind: String,
    /// The column, for `cell`.
    pub column: Option<String>,
    /// The names of the columns that the values belong to.
    pub columns: Vec<String>,
    /// When and where the shown value was written.
    pub winner: Stamp,
    /// When and where the losing value was written.
    pub loser: Stamp,
    /// What is shown.
    pub winning: Vec<Value>,
    /// What was set aside.
    pub losing: Vec<Value>,
    /// Whether the losing value was put back since.
    pub restored: bool,
}
