//! The replicated state of one row: its stamps, and its values where they are known. Only the shapes and the local
//! operations (insert, write, delete); joining two states is in [`mod@crate::merge`].

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::knowledge::Incarnation;
use crate::number::Number;
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

    /// Adds one write; of the baseline, that it was known.
    pub fn add(&mut self, stamp: Stamp) {
        if stamp.is_written() || stamp == Stamp::BASELINE {
            let entry = self.0.entry(stamp.site()).or_default();
            *entry = stamp.max(*entry);
        }
    }

    /// Whether the row was known as it was before synchronisation, though it is another one now.
    pub fn knows_baseline(&self) -> bool {
        self.0.contains_key(&SiteId::NOBODY)
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

/// Who writes: a site, in one history of its store. Additions are summed up by history and not by site: a site that was
/// restored begins a sum of its own, so that what it had added, published and lost is not overwritten by what it adds
/// now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    /// The site.
    pub site: SiteId,
    /// The history of its store.
    pub history: Incarnation,
}

/// All that one history of a site has added to a counter since the row was inserted. Of two the one with the later
/// addition contains the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sum {
    /// When it last added something.
    pub last: Stamp,
    /// All of it.
    pub total: Number,
}

/// The stamps of one row.
///
/// Invariants: every stamp in `cells` is above `inserted`; `seen` covers every stamp here, but for a `deleted` that is the
/// epoch. `inserted` is the row's *lineage*: cells and sums belong to one and never mix with another's.
///
/// An authoritative restore begins an *epoch*, named by the stamp of its declaration: whatever belongs to an earlier one loses
/// against it, whenever it was written. `deleted` is never below the epoch, and all that is written in an epoch is above it:
/// so a row that nobody wrote since is a grave, with no need to write it down anywhere.
///
/// A column that merges by adding has a *base*, a cell as any other, and `sums`; its value is the base and all sums
/// together. So the base is never stored: it is what is left of the value without the sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowState {
    /// The last authoritative restore that it belongs to; [`Stamp::NEVER`] if there was none.
    pub epoch: Stamp,
    /// What the row had incorporated before this epoch.
    pub before: Seen,
    /// When the row was inserted; names the lineage. [`Stamp::NEVER`] for a grave whose insert was never heard of.
    pub inserted: Stamp,
    /// When it was last deleted, or never.
    pub deleted: Stamp,
    /// When a column was written after the insert; a column that is not here was last written by the insert.
    pub cells: BTreeMap<ColumnId, Stamp>,
    /// What was added to a counter since the insert, by who added it.
    pub sums: BTreeMap<(ColumnId, Incarnation), Sum>,
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

    /// A row that is not part of what an authoritative restore declared: a grave, alike everywhere, and stored nowhere.
    pub fn swept(epoch: Stamp) -> Self {
        RowState { epoch, deleted: epoch, ..RowState::default() }
    }

    /// What the state means where this epoch has begun: what belongs to an earlier one is gone.
    pub fn raised(&self, epoch: Stamp) -> Self {
        if self.epoch >= epoch {
            return self.clone();
        }
        RowState { before: self.all_seen(), ..RowState::swept(epoch) }
    }

    /// What the row has incorporated in this epoch and before, that it was there before synchronisation too.
    pub(crate) fn all_seen(&self) -> Seen {
        let mut seen = self.before.clone();
        seen.join(&self.seen);
        if self.inserted == Stamp::BASELINE {
            seen.add(Stamp::BASELINE);
        }
        seen
    }

    /// The row as it is shown where an authoritative restore is declared: it begins anew.
    pub fn declared(&self, epoch: Stamp, millis: u64, site: SiteId) -> Self {
        let mut state = self.raised(epoch);
        let stamp = state.next_stamp(millis, site);
        state.insert(stamp);
        state
    }

    /// What cells and sums belong to.
    pub fn lineage(&self) -> (Stamp, Stamp) {
        (self.epoch, self.inserted)
    }

    /// Whether a write of `other` was known where this row was last written.
    pub fn covers(&self, other: &RowState, stamp: Stamp) -> bool {
        if self.epoch > other.epoch { self.before.covers(stamp) } else { self.seen.covers(stamp) }
    }

    /// When this column was last written.
    pub fn cell(&self, column: ColumnId) -> Stamp {
        self.cells.get(&column).copied().unwrap_or(self.inserted)
    }

    /// The newest insert, cell or addition.
    pub fn newest(&self) -> Stamp {
        self.written().max().unwrap_or_default()
    }

    /// The stamps of the insert, of all cells and of all additions.
    pub fn written(&self) -> impl Iterator<Item = Stamp> + '_ {
        let sums = self.sums.values().map(|sum| sum.last);
        self.cells.values().copied().chain(sums).chain([self.inserted])
    }

    /// All that was added to a column.
    pub fn added(&self, column: ColumnId) -> Number {
        let sums = self.sums.range((column, Incarnation(0))..=(column, Incarnation(u64::MAX)));
        sums.fold(Number::ZERO, |all, (_, sum)| all.plus(sum.total))
    }

    /// Whether the row is there.
    pub fn is_live(&self) -> bool {
        self.newest() > self.deleted
    }

    /// The stamp for the next local write, above everything this row has seen.
    pub fn next_stamp(&self, millis: u64, site: SiteId) -> Stamp {
        let seen = self.seen.highest().max(self.before.highest());
        let highest = seen.max(self.newest()).max(self.deleted);
        Stamp::next(millis, highest, site)
    }

    /// A local insert: a new lineage. What the row was before is forgotten, what it has seen is not.
    pub fn insert(&mut self, stamp: Stamp) {
        if self.inserted == Stamp::BASELINE {
            self.seen.add(Stamp::BASELINE);
        }
        self.inserted = stamp;
        self.cells.clear();
        self.sums.clear();
        self.seen.add(stamp);
    }

    /// A local write of some columns.
    pub fn write(&mut self, columns: impl IntoIterator<Item = ColumnId>, stamp: Stamp) {
        self.cells.extend(columns.into_iter().map(|c| (c, stamp)));
        self.seen.add(stamp);
    }

    /// A local addition to a counter.
    pub fn add(&mut self, column: ColumnId, number: Number, author: Author, stamp: Stamp) {
        let sum = self.sums.entry((column, author.history)).or_insert(Sum { last: stamp, total: Number::ZERO });
        *sum = Sum { last: stamp.max(sum.last), total: sum.total.plus(number) };
        self.seen.add(stamp);
    }

    /// A local delete. The deleter no longer has the values, so it forgets their stamps as well; not what was added, which
    /// is known without them and counts again if the row comes back.
    pub fn delete(&mut self, stamp: Stamp) {
        self.deleted = stamp;
        self.cells.clear();
        self.seen.add(stamp);
    }

    /// The same state over another column list; `new_id` gives a column's place there, or nothing if it has none.
    pub fn renumbered(&self, new_id: impl Fn(ColumnId) -> Option<ColumnId>) -> Self {
        let cells = self.cells.iter().filter_map(|(c, s)| Some((new_id(*c)?, *s))).collect();
        let sums = self.sums.iter().filter_map(|((c, who), sum)| Some(((new_id(*c)?, *who), *sum))).collect();
        RowState { cells, sums, ..self.clone() }
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

impl Row {
    /// The value of a column; nothing if it is not known.
    pub fn value(&self, column: ColumnId) -> Option<&Value> {
        self.values.as_ref()?.get(usize::from(column))
    }

    /// What a column has without what was added to it: what its cell's stamp is about.
    pub fn base(&self, column: ColumnId) -> Value {
        let value = self.value(column).cloned().unwrap_or_default();
        match Number::of(&value).filter(|_| self.counts(column)) {
            Some(number) => number.minus(self.state.added(column)).to_value(&value),
            None => value,
        }
    }

    fn counts(&self, column: ColumnId) -> bool {
        self.state.sums.keys().any(|(c, _)| *c == column)
    }
}

/// The order of what two rows have in a column, without what was added to it.
pub fn compare_bases((a, column): (&Row, ColumnId), (b, other): (&Row, ColumnId)) -> Ordering {
    if !a.counts(column) && !b.counts(other) {
        return a.value(column).cmp(&b.value(other));
    }
    let (ours, theirs) = (a.base(column), b.base(other));
    match (Number::of(&ours), Number::of(&theirs)) {
        (Some(ours), Some(theirs)) => ours.cmp(&theirs),
        _ => ours.cmp(&theirs),
    }
}

/// A value of a column as it is once the sums of `from` have become those of `to`. What is not a number is left alone.
pub fn shifted(value: &Value, column: ColumnId, from: &RowState, to: &RowState) -> Value {
    let difference = to.added(column).minus(from.added(column));
    match Number::of(value).filter(|_| difference != Number::ZERO) {
        Some(number) => number.plus(difference).to_value(value),
        None => value.clone(),
    }
}
