//! The replicated state of one row: its stamps, and its values where they are known. Only the shapes and the local
//! operations (insert, write, delete); joining two states is in [`mod@crate::merge`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::stamp::{SiteId, Stamp};
use crate::value::Value;

/// The position of a column in the column list that goes with a row. Whoever carries a state between two lists
/// translates ([`RowState::renumbered`]).
pub type ColumnId = u16;

/// What a row has incorporated: for each site its highest stamp. Grows only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<SiteId, Stamp>);

impl Seen {
    /// Whether the write with this stamp was known where this row was last written. The baseline is known to all.
    pub fn covers(&self, stamp: Stamp) -> bool {
        !stamp.is_written() || self.0.get(&stamp.site()).is_some_and(|s| *s >= stamp)
    }

    /// Adds one write.
    pub fn add(&mut self, stamp: Stamp) {
        if stamp.is_written() {
            let entry = self.0.entry(stamp.site()).or_default();
            *entry = stamp.max(*entry);
        }
    }

    /// Pointwise maximum.
    pub fn join(&mut self, other: &Seen) {
        other.0.values().for_each(|s| self.add(*s));
    }

    /// The stamps, one a site.
    pub fn stamps(&self) -> impl ExactSizeIterator<Item = Stamp> + '_ {
        self.0.values().copied()
    }

    /// The highest stamp of any site.
    pub fn highest(&self) -> Stamp {
        self.stamps().max().unwrap_or_default()
    }
}

impl FromIterator<Stamp> for Seen {
    fn from_iter<I: IntoIterator<Item = Stamp>>(stamps: I) -> Self {
        let mut seen = Seen::default();
        stamps.into_iter().for_each(|s| seen.add(s));
        seen
    }
}

/// The stamps of one row.
///
/// Invariants: every stamp in `cells` is above `inserted`; `seen` covers every stamp here. `inserted` is the row's
/// *lineage*: cells belong to one and never mix with another's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowState {
    /// When the row was inserted; names the lineage. [`Stamp::NEVER`] for a grave whose insert was never heard of.
    pub inserted: Stamp,
    /// When it was last deleted, or never.
    pub deleted: Stamp,
    /// When a column was written after the insert; a column that is not here was last written by the insert.
    pub cells: BTreeMap<ColumnId, Stamp>,
    /// All that this row has incorporated.
    pub seen: Seen,
}

impl RowState {
    /// A row that was there before synchronisation began: alike wherever it is found, and stored nowhere.
    pub fn baseline() -> Self {
        RowState { inserted: Stamp::BASELINE, ..RowState::default() }
    }

    /// A row inserted by one write.
    pub fn inserted_at(stamp: Stamp) -> Self {
        RowState { inserted: stamp, seen: Seen::from_iter([stamp]), ..RowState::default() }
    }

    /// When this column was last written.
    pub fn cell(&self, column: ColumnId) -> Stamp {
        self.cells.get(&column).copied().unwrap_or(self.inserted)
    }

    /// The newest insert or cell stamp.
    pub fn newest(&self) -> Stamp {
        self.cells.values().copied().max().unwrap_or_default().max(self.inserted)
    }

    /// Whether the row is there.
    pub fn is_live(&self) -> bool {
        self.newest() > self.deleted
    }

    /// The stamp for the next local write, above everything this row has seen.
    pub fn next_stamp(&self, millis: u64, site: SiteId) -> Stamp {
        let highest = self.seen.highest().max(self.newest()).max(self.deleted);
        Stamp::next(millis, highest, site)
    }

    /// A local insert: a new lineage. What the row was before is forgotten, what it has seen is not.
    pub fn insert(&mut self, stamp: Stamp) {
        self.inserted = stamp;
        self.cells.clear();
        self.seen.add(stamp);
    }

    /// A local write of some columns.
    pub fn write(&mut self, columns: impl IntoIterator<Item = ColumnId>, stamp: Stamp) {
        self.cells.extend(columns.into_iter().map(|c| (c, stamp)));
        self.seen.add(stamp);
    }

    /// A local delete. The deleter no longer has the values, so it forgets their stamps as well.
    pub fn delete(&mut self, stamp: Stamp) {
        self.deleted = stamp;
        self.cells.clear();
        self.seen.add(stamp);
    }

    /// The same state over another column list; `new_id` gives a column's place there, or nothing if it has none.
    pub fn renumbered(&self, new_id: impl Fn(ColumnId) -> Option<ColumnId>) -> Self {
        let cells = self.cells.iter().filter_map(|(c, s)| Some((new_id(*c)?, *s))).collect();
        RowState { cells, ..self.clone() }
    }
}

/// A row: its state, and its values in column order where this site knows them. A live row always has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The stamps.
    #[serde(with = "crate::travel::state")]
    pub state: RowState,
    /// One value a column, or nothing for a grave whose values were forgotten.
    #[serde(with = "crate::travel::values")]
    pub values: Option<Vec<Value>>,
}
