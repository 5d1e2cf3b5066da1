//! What a batch is about to do at one store, as a value: the dry run prints it, the safety halt judges it, the store
//! carries it out, the tests read it. Deciding only; nothing is written here.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::conflict::Conflict;
use crate::merge::{Merged, Relation, join, merge, merge_whole, same_content};
use crate::row::{ColumnId, Row, RowState};
use crate::stamp::Stamp;
use crate::value::Value;

/// What happens to the visible row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that anybody could see.
    None,
    /// The row appears.
    Insert,
    /// These columns get other values.
    Update(Vec<ColumnId>),
    /// The row disappears.
    Delete,
}

/// The decision about one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The row as it will be.
    pub row: Row,
    /// Whether it is recorded with a new seq, and whose change it then is.
    pub relation: Relation,
    /// What is written to the table.
    pub effect: Effect,
    /// What lost.
    pub conflicts: Vec<Conflict>,
    /// Whether the merge taught the row only that it has now seen more.
    pub saw_more: bool,
}

impl Planned {
    /// Decides about one row. `None` for a row this store never heard of.
    pub fn new(local: Option<&Row>, incoming: &Row) -> Self {
        let nothing = Row::default();
        let local = local.unwrap_or(&nothing);
        if is_lost(local, incoming) {
            return Self::found(local, incoming);
        }
        Self::from(local, merge(local, incoming))
    }

    /// Decides about a row that went without a mark, of which another version comes in. What was here is not known, so there is
    /// nothing to merge: what came may not get the stamps of other values, nor seem to be written with knowledge of them, or they
    /// would be lost elsewhere, and nobody would list them. So the row is what came in; a compare brings what others have. Only
    /// what was added to counters is known without values.
    fn found(local: &Row, incoming: &Row) -> Self {
        let RowState { epoch, inserted, sums, .. } = local.state.clone();
        let seen = sums.values().map(|sum| sum.last).collect();
        let added = Row { state: RowState { epoch, inserted, sums, seen, ..RowState::default() }, values: None };
        let mut merged = merge(&added, incoming);
        let is_whole = merged.row.state.sums == incoming.state.sums;
        merged.relation = if is_whole { Relation::Taken } else { Relation::Mixed };
        Self::from(local, merged)
    }

    /// Decides about a row whose merged cells a CHECK forbids ([`merge_whole`]).
    pub fn whole(local: &Row, incoming: &Row, stamp: Stamp) -> Self {
        if is_lost(local, incoming) {
            return Self::found(local, incoming);
        }
        Self::from(local, merge_whole(local, incoming, stamp))
    }

    fn from(local: &Row, merged: Merged) -> Self {
        Planned {
            effect: effect(local, &merged.row),
            saw_more: has_seen_more(&merged.row.state, &local.state),
            row: merged.row,
            relation: merged.relation,
            conflicts: merged.conflicts,
        }
    }

    /// As [`Planned::new`], for a row that is given away: where it is what comes of the merge, its values are not copied.
    pub fn taking(local: Option<&Row>, mut incoming: Row) -> Self {
        if let Some(local) = local.filter(|local| supersedes(&incoming, local)) {
            return Self::replacing(local, incoming);
        }
        let values = if local.is_none() { incoming.values.take() } else { None };
        let mut planned = Self::new(local, &incoming);
        planned.row.values = values.or(planned.row.values);
        planned
    }

    /// Decides about a row that [`supersedes`] what is here.
    fn replacing(local: &Row, incoming: Row) -> Self {
        let relation = if same_content(&incoming.state, &local.state) { Relation::Dominated } else { Relation::Taken };
        Planned {
            effect: effect(local, &incoming),
            saw_more: has_seen_more(&incoming.state, &local.state),
            row: incoming,
            relation,
            conflicts: Vec::new(),
        }
    }

    /// What it amounts to.
    pub fn summary(&self) -> Summary {
        let is = |yes: bool| u64::from(yes);
        Summary {
            received: 1,
            inserted: is(self.effect == Effect::Insert),
            updated: is(matches!(self.effect, Effect::Update(_))),
            deleted: is(self.effect == Effect::Delete),
            conflicts: self.conflicts.len() as u64,
            parked: 0,
        }
    }
}

/// Whether a row should be here and is not, and has other stamps where it is.
fn is_lost(local: &Row, incoming: &Row) -> bool {
    local.values.is_none()
        && local.state.is_live()
        && incoming.state.is_live()
        && local.state.lineage() == incoming.state.lineage()
        && local.state.cells != incoming.state.cells
}

/// Whether an incoming live row was written with knowledge of all that is here, of one lineage: it is what comes of a merge,
/// as it is, and nothing is lost. Cells that neither wrote must be equal, as a merge keeps those that are here.
fn supersedes(incoming: &Row, local: &Row) -> bool {
    let (Some(theirs), Some(ours)) = (&incoming.values, &local.values) else { return false };
    let agree = |(column, (their, our)): (usize, (&Value, &Value))| {
        let column = column as ColumnId;
        incoming.state.cell(column) != local.state.cell(column) || their == our
    };
    incoming.state.lineage() == local.state.lineage()
        && incoming.state.is_live()
        && local.state.is_live()
        && join(&local.state, &incoming.state) == incoming.state
        && theirs.len() == ours.len()
        && theirs.iter().zip(ours).enumerate().all(agree)
}

fn has_seen_more(outcome: &RowState, local: &RowState) -> bool {
    (&outcome.seen, &outcome.before) != (&local.seen, &local.before)
}

fn effect(local: &Row, outcome: &Row) -> Effect {
    match (local.state.is_live(), outcome.state.is_live()) {
        (false, false) => Effect::None,
        (false, true) => Effect::Insert,
        (true, false) => Effect::Delete,
        (true, true) => update(local, outcome),
    }
}

fn update(local: &Row, outcome: &Row) -> Effect {
    // A row that should be there but was not found (TRUNCATE, or parked until now) appears again.
    let (Some(before), Some(after)) = (&local.values, &outcome.values) else {
        return if outcome.values.is_some() { Effect::Insert } else { Effect::None };
    };
    let differ = |(c, (b, a))| (b != a).then_some(c as ColumnId);
    let columns: Vec<ColumnId> = before.iter().zip(after).enumerate().filter_map(differ).collect();
    if columns.is_empty() { Effect::None } else { Effect::Update(columns) }
}

/// How many rows were received, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Rows that came in.
    pub received: u64,
    /// Rows that appeared.
    pub inserted: u64,
    /// Rows of which a column changed.
    pub updated: u64,
    /// Rows that disappeared.
    pub deleted: u64,
    /// Values that lost.
    pub conflicts: u64,
    /// Rows that a constraint keeps from being shown.
    pub parked: u64,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Summary) {
        self.received += other.received;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.conflicts += other.conflicts;
        self.parked += other.parked;
    }
}
