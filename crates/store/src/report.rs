//! What a store's verbs report. Plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sync_core::{Position, Stamp, Summary, Value};

/// Whether to write, or only to say what would be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Do it.
    Write,
    /// Say what would be done (`--dry-run`). Nothing stays.
    Preview,
}

/// What a drain did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Counts by table.
    pub tables: BTreeMap<String, Summary>,
    /// The conflicts that were noticed, as they were listed.
    pub conflicts: Vec<ConflictEntry>,
    /// Bytes of contents that came along.
    pub along: u64,
    /// Of those, what was left aside.
    pub in_vain: u64,
}

impl Applied {
    /// Adds another batch's counts.
    pub fn add(&mut self, other: Applied) {
        for (table, summary) in other.tables {
            *self.tables.entry(table).or_default() += summary;
        }
        self.conflicts.extend(other.conflicts);
        self.along = self.along.saturating_add(other.along);
        self.in_vain = self.in_vain.saturating_add(other.in_vain);
    }

    /// All tables together.
    pub fn total(&self) -> Summary {
        let mut total = Summary::default();
        self.tables.values().for_each(|s| total += *s);
        total
    }
}

/// Why a row is not shown as the state says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ParkedKind {
    /// Not shown: the row that it refers to is not there.
    Parent,
    /// Not shown: another row has its unique value, and it cannot be shown with another one.
    Unique,
    /// Shown with another value than its unique one, which another row has.
    Value,
    /// Shown without the reference to a row that is not there.
    Reference,
    /// Shown although it was deleted: a row that refers to it forbids that.
    Stays,
    /// Shown with the nearest value that fits instead of a counter's sum.
    Counter,
    /// Not shown: the database refuses it.
    Blocked,
    /// To be decided at the end of the round.
    Undecided,
}

impl ParkedKind {
    const ALL: [(ParkedKind, &'static str); 8] = [
        (ParkedKind::Parent, "parent"),
        (ParkedKind::Unique, "unique"),
        (ParkedKind::Value, "value"),
        (ParkedKind::Reference, "reference"),
        (ParkedKind::Stays, "stays"),
        (ParkedKind::Counter, "counter"),
        (ParkedKind::Blocked, "blocked"),
        (ParkedKind::Undecided, "undecided"),
    ];

    /// The name under which it is stored and shown in JSON.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind of this name; one that is not known is to be decided anew.
    pub fn named(name: &str) -> Self {
        Self::ALL.iter().find(|(_, n)| *n == name).map_or(ParkedKind::Undecided, |(kind, _)| *kind)
    }
}

/// A row or value that is part of the state and that a constraint keeps from being shown. It comes back by itself when
/// the reason goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedEntry {
    /// The table.
    pub table: String,
    /// The row's key.
    pub key: Vec<Value>,
    /// Why.
    pub kind: ParkedKind,
    /// The columns of the constraint, or what the database said.
    pub detail: String,
    /// The table and key of the other row concerned.
    pub other: Option<(String, Vec<Value>)>,
}

/// How much a stream will bring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// By table.
    pub tables: BTreeMap<String, TableOutline>,
    /// Where the stream will end.
    pub end: Position,
}

/// How much a stream will bring for one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableOutline {
    /// Rows inserted or updated.
    pub live: u64,
    /// Rows deleted.
    pub graves: u64,
    /// Rows the table holds now at the sender, roughly.
    pub rows: u64,
}

/// One line of the conflict list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
