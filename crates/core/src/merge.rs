//! Joining two states of one row, and noticing what was concurrent. Pure and total: any two rows can be merged.
//!
//! State is a join semilattice: `(inserted, cells, sums)` is ordered first by `inserted` (a newer lineage replaces an older
//! one whole) and pointwise within one lineage; `deleted` and `seen` are pointwise maxima. Before all this comes the epoch: a
//! later one replaces all of an earlier one, and remembers what that had seen. Therefore merging is commutative, associative
//! and idempotent, and order, duplication and topology cannot matter.
//!
//! What was added to a counter is never a conflict: everybody's sum is kept, and the value is the winning base with all
//! of them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::conflict::{Conflict, ConflictKind};
use crate::knowledge::Incarnation;
use crate::row::{ColumnId, Row, RowState, Sum, compare_bases, shifted};
use crate::stamp::Stamp;
use crate::value::Value;

/// How the outcome stands to the two sides; decides what is recorded and what is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Nothing new came in. The row gets no new seq, so every topology goes quiet.
    Dominated,
    /// The outcome is what came in; its sender need not hear of it again.
    Taken,
    /// Both sides gave something; everybody, the sender too, must hear of the outcome.
    Mixed,
}

/// The outcome of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The joined row.
    pub row: Row,
    /// How it stands to the two sides.
    pub relation: Relation,
    /// What was concurrent and lost. Empty if either side had seen the other.
    pub conflicts: Vec<Conflict>,
}

/// Merges what came in into what is here.
pub fn merge(local: &Row, incoming: &Row) -> Merged {
    let state = join(&local.state, &incoming.state);
    let values = join_values(&state, local, incoming);
    let row = Row { state, values };
    let relation = relation(&row, local, incoming);
    let mut conflicts = conflicts(&row, local, incoming);
    conflicts.extend(self::conflicts(&row, incoming, local));
    Merged { row, relation, conflicts }
}

/// Merges two live rows of one lineage whose cells do not go together (a CHECK forbids what comes of them): the row with the
/// newest cell wins whole. What that changes is a write of whoever notices it, at `stamp`, so that everybody takes it;
/// two who notice it write the same values.
pub fn merge_whole(local: &Row, incoming: &Row, stamp: Stamp) -> Merged {
    let mut merged = merge(local, incoming);
    let winner = if local.state.newest() >= incoming.state.newest() { local } else { incoming };
    let (Some(values), Some(winning)) = (&mut merged.row.values, &winner.values) else { return merged };
    let state = &mut merged.row.state;
    for (id, (value, wins)) in values.iter_mut().zip(winning).enumerate().filter(|(_, (v, w))| v != w) {
        let id = id as ColumnId;
        let loser = state.cell(id);
        let lost = std::mem::replace(value, wins.clone());
        merged.conflicts.extend(conflict(ConflictKind::Cell(id), (stamp, vec![wins.clone()]), (loser, vec![lost])));
        state.write([id], stamp);
    }
    merged.relation = Relation::Mixed;
    merged
}

/// The least upper bound of two states.
pub fn join(a: &RowState, b: &RowState) -> RowState {
    match a.epoch.cmp(&b.epoch) {
        Ordering::Greater => replacing(a, b),
        Ordering::Less => replacing(b, a),
        Ordering::Equal => join_within(a, b),
    }
}

/// A state, once it has met one of an earlier epoch.
fn replacing(later: &RowState, earlier: &RowState) -> RowState {
    let mut state = later.clone();
    state.before.join(&earlier.all_seen());
    state
}

/// The least upper bound of two states of one epoch.
fn join_within(a: &RowState, b: &RowState) -> RowState {
    let (cells, sums) = match a.inserted.cmp(&b.inserted) {
        Ordering::Greater => (a.cells.clone(), a.sums.clone()),
        Ordering::Less => (b.cells.clone(), b.sums.clone()),
        Ordering::Equal => (join_cells(&a.cells, &b.cells), join_sums(&a.sums, &b.sums)),
    };
    let (mut seen, mut before) = (a.seen.clone(), a.before.clone());
    seen.join(&b.seen);
    before.join(&b.before);
    let (inserted, deleted) = (a.inserted.max(b.inserted), a.deleted.max(b.deleted));
    if a.inserted.min(b.inserted) == Stamp::BASELINE && inserted != Stamp::BASELINE {
        seen.add(Stamp::BASELINE);
    }
    RowState { epoch: a.epoch, before, inserted, deleted, cells, sums, seen }
}

type Sums = BTreeMap<(ColumnId, Incarnation), Sum>;

/// Of each sum the later one, whole: it contains the other.
fn join_sums(a: &Sums, b: &Sums) -> Sums {
    let mut sums = a.clone();
    for (of, sum) in b {
        let entry = sums.entry(*of).or_insert(*sum);
        *entry = (*entry).max(*sum);
    }
    sums
}

fn join_cells(a: &BTreeMap<ColumnId, Stamp>, b: &BTreeMap<ColumnId, Stamp>) -> BTreeMap<ColumnId, Stamp> {
    let mut cells = a.clone();
    for (column, stamp) in b {
        let entry = cells.entry(*column).or_default();
        *entry = (*entry).max(*stamp);
    }
    cells
}

fn relation(joined: &Row, local: &Row, incoming: &Row) -> Relation {
    if same_content(&joined.state, &local.state) && same_values(joined, local) {
        Relation::Dominated
    } else if same_content(&joined.state, &incoming.state) && same_values(joined, incoming) {
        Relation::Taken
    } else {
        Relation::Mixed
    }
}

/// Whether a side has the values of the outcome, as far as both are known. Under equal states it nearly always does; not if
/// one stamp was given twice ([`join_values`]).
fn same_values(joined: &Row, side: &Row) -> bool {
    match (&joined.values, &side.values) {
        (Some(ours), Some(theirs)) if joined.state.is_live() => ours.iter().zip(theirs).all(|(a, b)| a == b),
        _ => true,
    }
}

/// Whether two states show the same and would win the same; a grave's cells are memory, not content.
pub(crate) fn same_content(joined: &RowState, side: &RowState) -> bool {
    (joined.lineage(), joined.deleted) == (side.lineage(), side.deleted)
        && ((&joined.cells, &joined.sums) == (&side.cells, &side.sums) || !joined.is_live())
}

/// Each column's value from the side whose stamp won, with what both sides added. Ties have equal values, with two
/// exceptions. A column that was added since a grave was made has its default only where the row was live. And a site that was
/// restored, with its clock set back, or that ran twice, can give one stamp twice: then the greater value wins everywhere.
/// Values from before synchronisation are told apart by a compare.
fn join_values(state: &RowState, local: &Row, incoming: &Row) -> Option<Vec<Value>> {
    let holds = |row: &Row| row.values.is_some() && row.state.lineage() == state.lineage();
    match (&local.values, &incoming.values) {
        (Some(ours), Some(theirs)) if holds(local) && holds(incoming) => {
            let pick = |column: usize| match (ours.get(column), theirs.get(column)) {
                (Some(our), Some(their)) => {
                    let column = column as ColumnId;
                    let (value, side) =
                        if takes_ours(column, local, incoming) { (our, local) } else { (their, incoming) };
                    with_sums(value, column, side, state)
                }
                // Values that were kept before a column was added do not have it.
                (our, their) => our.or(their).cloned().unwrap_or_default(),
            };
            Some((0..ours.len().max(theirs.len())).map(pick).collect())
        }
        (Some(ours), _) if holds(local) => Some(all_with_sums(ours, local, state)),
        (_, Some(theirs)) if holds(incoming) => Some(all_with_sums(theirs, incoming, state)),
        _ => None,
    }
}

fn takes_ours(column: ColumnId, local: &Row, incoming: &Row) -> bool {
    let (our_stamp, their_stamp) = (local.state.cell(column), incoming.state.cell(column));
    match our_stamp.cmp(&their_stamp) {
        Ordering::Equal if local.state.is_live() != incoming.state.is_live() => local.state.is_live(),
        Ordering::Equal => !our_stamp.is_written() || compare_bases((local, column), (incoming, column)).is_ge(),
        unequal => unequal == Ordering::Greater,
    }
}

fn with_sums(value: &Value, column: ColumnId, side: &Row, joined: &RowState) -> Value {
    if side.state.sums == joined.sums { value.clone() } else { shifted(value, column, &side.state, joined) }
}

fn all_with_sums(values: &[Value], side: &Row, joined: &RowState) -> Vec<Value> {
    values.iter().enumerate().map(|(column, value)| with_sums(value, column as ColumnId, side, joined)).collect()
}

/// What `loser` loses in the outcome without `other` having seen it.
fn conflicts(outcome: &Row, loser: &Row, other: &Row) -> Vec<Conflict> {
    if loser.state.lineage() < outcome.state.lineage() {
        let delete = || lost_delete(outcome, loser, other).filter(|_| outcome.state.is_live());
        lost_lineage(outcome, loser, other).or_else(delete).into_iter().collect()
    } else if loser.state.is_live() && !outcome.state.is_live() {
        lost_update(outcome, loser, other).into_iter().collect()
    } else if loser.state.lineage() == other.state.lineage() && outcome.state.is_live() {
        let mut all = lost_cells(loser, other);
        all.extend(lost_delete(outcome, loser, other));
        all
    } else {
        Vec::new()
    }
}

/// The newest stamp of a live row that the other side had not seen.
fn unseen(row: &RowState, other: &RowState) -> Option<Stamp> {
    row.written().filter(|s| !other.covers(row, *s)).max()
}

/// A row from before synchronisation has no stamp that could have been seen. But whoever inserts another one in its place
/// deletes it first: a row that never was deleted was inserted where there was none. What was deleted may have been yet another
/// row, so the state says whether this one was known, and so does whoever declares an authoritative restore.
fn unmet(row: &RowState, other: &RowState) -> Option<Stamp> {
    let is_unmet = match other.epoch > row.epoch {
        true => !other.before.knows_baseline(),
        false => other.inserted.is_written() && !(other.deleted.is_written() && other.seen.knows_baseline()),
    };
    (row.inserted == Stamp::BASELINE && is_unmet).then(|| row.newest())
}

/// A row that was shown here belongs to an older lineage: it is kept whole.
fn lost_lineage(outcome: &Row, loser: &Row, other: &Row) -> Option<Conflict> {
    let stamp = unseen(&loser.state, &other.state).or_else(|| unmet(&loser.state, &other.state));
    let stamp = stamp.filter(|_| loser.state.is_live())?;
    let losing = loser.values.clone().unwrap_or_default();
    let (kind, winner) = if outcome.state.is_live() {
        (ConflictKind::Insert, outcome.state.inserted)
    } else {
        (ConflictKind::UpdateLost, outcome.state.deleted)
    };
    conflict(kind, (winner, shown(outcome)), (stamp, losing))
}

/// The other side deleted what was still written here, and the delete is later.
fn lost_update(outcome: &Row, loser: &Row, other: &Row) -> Option<Conflict> {
    let stamp = unseen(&loser.state, &other.state)?;
    let losing = loser.values.clone().unwrap_or_default();
    conflict(ConflictKind::UpdateLost, (outcome.state.deleted, Vec::new()), (stamp, losing))
}

/// This side deleted what the other still wrote or put another row in the place of, and the write is later.
fn lost_delete(outcome: &Row, loser: &Row, other: &Row) -> Option<Conflict> {
    let deleted = loser.state.deleted;
    // Where an epoch began nothing was deleted that could be put back.
    let was_deleted = !loser.state.is_live() && deleted > loser.state.epoch;
    let concurrent = was_deleted && !other.state.covers(&loser.state, deleted);
    let winner = || (outcome.state.newest(), shown(outcome));
    concurrent.then(|| conflict(ConflictKind::DeleteLost, winner(), (deleted, Vec::new()))).flatten()
}

fn lost_cells(loser: &Row, winner: &Row) -> Vec<Conflict> {
    let (Some(losing), Some(winning)) = (&loser.values, &winner.values) else { return Vec::new() };
    let lost = |column: usize| {
        let column = column as ColumnId;
        let (loser_at, winner_at) = (loser.state.cell(column), winner.state.cell(column));
        let given_twice =
            loser_at == winner_at && loser_at.is_written() && compare_bases((loser, column), (winner, column)).is_lt();
        let concurrent = given_twice || loser_at < winner_at && !winner.state.seen.covers(loser_at);
        // Of a counter its base: what was added is not lost, and not known alike to all who notice this.
        let of = |side: &Row| vec![side.base(column)];
        concurrent
            .then(|| conflict(ConflictKind::Cell(column), (winner_at, of(winner)), (loser_at, of(loser))))
            .flatten()
    };
    (0..losing.len().min(winning.len())).filter_map(lost).collect()
}

fn shown(row: &Row) -> Vec<Value> {
    row.values.as_ref().filter(|_| row.state.is_live()).cloned().unwrap_or_default()
}

/// Equal values are not a conflict: nothing was lost.
fn conflict(kind: ConflictKind, winner: (Stamp, Vec<Value>), loser: (Stamp, Vec<Value>)) -> Option<Conflict> {
    let lost_something = winner.1 != loser.1 || kind == ConflictKind::DeleteLost;
    lost_something.then_some(Conflict { kind, winner: winner.0, loser: loser.0, winning: winner.1, losing: loser.1 })
}
