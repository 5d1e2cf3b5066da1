//! What of the replicated state can be shown under the schema's constraints: a pure function of the state, so that every
//! site decides alike without talking. It looks at nothing else: not at what is shown now, not at the order of arrival.
//! The state itself never contains a repair; what is set aside here comes back when the reason goes.
//!
//! The rules do what the schema would have done had the writes been serial. In this order:
//!
//! 1. A deleted row that a live one refers to by RESTRICT stays, and so do its own parents (least fixpoint).
//! 2. A row whose parent is not there is parked: by CASCADE, or because the parent has not arrived (greatest fixpoint, so
//!    that rows which refer to each other stand together).
//! 3. By SET NULL, the reference is shown as NULL. In a tree, the latest reference of every cycle is.
//! 4. A unique value belongs to the earliest claim; the others show something else, or are parked.
//! 5. What refers to a row that step 4 parked goes with it, as in 2 and 3. Its claims stand: otherwise one decision would
//!    call for another without end.
//!
//! The order of these steps is that of Synql (Ignat, Elvinger, Ba: "Synql: a CRDT-based approach for replicated relational
//! databases with integrity constraints", DAIS 2024), which however writes its repairs into the state.

use std::collections::BTreeMap;

use crate::key::RowId;
use crate::row::RowState;
use crate::stamp::Stamp;

/// A row's name: the number of its table, and its id. Where stamps are equal it decides.
pub type Name = (u16, RowId);

/// What resolving knows of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Which row.
    pub name: Name,
    /// Whether the state says that it is there.
    pub is_live: bool,
    /// Whether its values are known: a live row's always, a deleted one's sometimes.
    pub has_values: bool,
    /// Whether the schema forbids to show it for a reason of its own (a CHECK): then it is parked, and counts as that.
    pub blocked: bool,
    /// Its unique values, without those that hold a NULL.
    pub claims: Vec<Claim>,
    /// Its foreign keys, without those that hold a NULL.
    pub references: Vec<Reference>,
}

/// A row's claim to a unique value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Equal for equal values of one unique key, different otherwise.
    pub value: usize,
    /// When the row got the value ([`claimed_at`]).
    pub stamp: Stamp,
    /// Whether the row can be shown with something else instead.
    pub can_yield: bool,
    /// Places among the row's references: where one of them is shown as NULL the claim is void.
    pub void_without: Vec<usize>,
}

/// A row's reference to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The place of the row it refers to, or nothing if that was never heard of.
    pub parent: Option<usize>,
    /// What the schema does where the parent goes.
    pub rule: Rule,
    /// Where references of this kind must not form a cycle: when it was written.
    pub tree: Option<Stamp>,
}

/// What the schema does to a row whose parent is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// RESTRICT, NO ACTION: the parent cannot be deleted.
    Restrict,
    /// CASCADE.
    Cascade,
    /// SET NULL.
    SetNull,
}

/// How a row is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is deleted and not shown.
    Gone,
    /// It is shown; where the lists are not empty, not with all of its values.
    Shown {
        /// Places of the references that are shown as NULL.
        nulled: Vec<usize>,
        /// Places of the claims that yield, each with the place of the row that has the value.
        yielded: Vec<(usize, usize)>,
    },
    /// It is not shown.
    Parked(Reason),
}

impl Verdict {
    /// Shown with all of its values.
    pub const WHOLE: Verdict = Verdict::Shown { nulled: Vec::new(), yielded: Vec::new() };
}

/// Why a row is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The row that its reference (its place) refers to is not shown.
    Parent(usize),
    /// Its claim (its place) yields to that row, and it cannot be shown with another value.
    Claim(usize, usize),
    /// [`Fact::blocked`].
    Blocked,
}

/// When a row got the values of these columns: the latest of their cells.
pub fn claimed_at(state: &RowState, columns: &[crate::row::ColumnId]) -> Stamp {
    columns.iter().map(|c| state.cell(*c)).max().unwrap_or(state.inserted)
}

/// Decides about rows. Whatever they refer to, and whoever claims the same values, must be among them.
pub fn resolve(facts: &[Fact]) -> Vec<Verdict> {
    let mut resolution = Resolution::new(facts);
    resolution.revive();
    resolution.fall();
    resolution.null_references();
    resolution.break_cycles();
    resolution.settle_claims();
    resolution.fall();
    resolution.null_references();
    resolution.verdicts()
}

struct Resolution<'a> {
    facts: &'a [Fact],
    /// By row: who refers to it, with the place of the reference.
    children: Vec<Vec<(usize, usize)>>,
    /// Whether the row stands, as far as is decided.
    stands: Vec<bool>,
    parked: Vec<Option<Reason>>,
    nulled: Vec<Vec<usize>>,
    yielded: Vec<Vec<(usize, usize)>>,
}

impl<'a> Resolution<'a> {
    fn new(facts: &'a [Fact]) -> Self {
        let mut children = vec![Vec::new(); facts.len()];
        for (child, fact) in facts.iter().enumerate() {
            for (place, reference) in fact.references.iter().enumerate() {
                if let Some(parent) = reference.parent {
                    children[parent].push((child, place));
                }
            }
        }
        let (nulled, yielded) = (vec![Vec::new(); facts.len()], vec![Vec::new(); facts.len()]);
        let stands = facts.iter().map(|f| f.is_live).collect();
        Resolution { facts, children, stands, parked: vec![None; facts.len()], nulled, yielded }
    }

    /// Deleted rows that are referred to by RESTRICT stay.
    fn revive(&mut self) {
        let mut standing: Vec<usize> = (0..self.facts.len()).filter(|i| self.stands[*i]).collect();
        while let Some(child) = standing.pop() {
            for reference in self.facts[child].references.iter().filter(|r| r.rule == Rule::Restrict) {
                let Some(parent) = reference.parent else { continue };
                if !self.stands[parent] && self.facts[parent].has_values {
                    self.stands[parent] = true;
                    standing.push(parent);
                }
            }
        }
    }

    /// Rows whose parents do not stand do not either, unless their reference can be NULL.
    fn fall(&mut self) {
        for row in (0..self.facts.len()).filter(|i| self.facts[*i].blocked) {
            self.stands[row] = false;
            self.parked[row].get_or_insert(Reason::Blocked);
        }
        let mut look: Vec<usize> = (0..self.facts.len()).filter(|i| self.stands[*i]).collect();
        while let Some(row) = look.pop() {
            let Some(place) = self.missing_parent(row).filter(|_| self.stands[row]) else { continue };
            self.stands[row] = false;
            self.parked[row] = Some(Reason::Parent(place));
            look.extend(self.children[row].iter().map(|(child, _)| *child));
        }
    }

    /// The reference that keeps a row from standing. One that was never heard of may still come: the row waits.
    fn missing_parent(&self, row: usize) -> Option<usize> {
        self.facts[row].references.iter().position(|r| match r.parent {
            None => true,
            Some(parent) => r.rule != Rule::SetNull && !self.stands[parent],
        })
    }

    fn null_references(&mut self) {
        for row in (0..self.facts.len()).filter(|i| self.stands[*i]) {
            for (place, reference) in self.facts[row].references.iter().enumerate() {
                let falls = reference.parent.is_some_and(|p| !self.stands[p]);
                if falls && !self.nulled[row].contains(&place) {
                    self.nulled[row].push(place);
                }
            }
        }
    }

    /// In a tree every row has one parent, so cycles do not touch: of each the latest reference is left out.
    fn break_cycles(&mut self) {
        let mut visited = vec![0; self.facts.len()];
        for start in 0..self.facts.len() {
            if let Some(cycle) = self.cycle_from(start, &mut visited) {
                let written =
                    |(row, place): &(usize, usize)| (self.facts[*row].references[*place].tree, &self.facts[*row].name);
                if let Some((row, place)) = cycle.into_iter().max_by_key(written) {
                    self.nulled[row].push(place);
                }
            }
        }
    }

    /// The cycle that the way up from a row runs into, if nobody went this way before.
    fn cycle_from(&self, start: usize, visited: &mut [usize]) -> Option<Vec<(usize, usize)>> {
        let mut way = Vec::new();
        let mut row = start;
        while visited[row] == 0 {
            visited[row] = start + 1;
            let place = self.tree_reference(row)?;
            way.push((row, place));
            row = self.facts[row].references[place].parent?;
        }
        if visited[row] != start + 1 {
            return None;
        }
        let from = way.iter().position(|(r, _)| *r == row)?;
        // A row that refers to itself is how some applications write a root.
        Some(way.split_off(from)).filter(|cycle| cycle.len() > 1)
    }

    fn tree_reference(&self, row: usize) -> Option<usize> {
        let shown = |place: &usize| self.stands[row] && !self.nulled[row].contains(place);
        self.facts[row].references.iter().position(|r| r.tree.is_some()).filter(shown)
    }

    /// The earliest claim to a value has it.
    fn settle_claims(&mut self) {
        let mut values: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for row in (0..self.facts.len()).filter(|i| self.stands[*i]) {
            for (place, claim) in self.facts[row].claims.iter().enumerate() {
                if !claim.void_without.iter().any(|r| self.nulled[row].contains(r)) {
                    values.entry(claim.value).or_default().push((row, place));
                }
            }
        }
        for claims in values.values() {
            self.settle_value(claims);
        }
    }

    fn settle_value(&mut self, claims: &[(usize, usize)]) {
        let order = |(row, place): &&(usize, usize)| (self.facts[*row].claims[*place].stamp, &self.facts[*row].name);
        let Some((winner, _)) = claims.iter().min_by_key(order).copied() else { return };
        for &(row, place) in claims.iter().filter(|(row, _)| *row != winner) {
            if self.facts[row].claims[place].can_yield {
                self.yielded[row].push((place, winner));
            } else {
                self.stands[row] = false;
                self.parked[row].get_or_insert(Reason::Claim(place, winner));
            }
        }
    }

    fn verdicts(mut self) -> Vec<Verdict> {
        (0..self.facts.len()).map(|row| self.verdict(row)).collect()
    }

    fn verdict(&mut self, row: usize) -> Verdict {
        let (nulled, yielded) = (std::mem::take(&mut self.nulled[row]), std::mem::take(&mut self.yielded[row]));
        match self.parked[row] {
            _ if self.stands[row] => Verdict::Shown { nulled, yielded },
            Some(reason) if self.facts[row].is_live => Verdict::Parked(reason),
            _ => Verdict::Gone,
        }
    }
}

#[cfg(test)]
mod tests;
