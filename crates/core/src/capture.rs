//! From marks to stamps: what a trigger noted about one row becomes the row's new state.
//!
//! A mark only says that something happened; whether the row is there is read from the table in the same snapshot.
//! Therefore a mark too many is harmless, and marks of a cascade may be made before the cascade.

use crate::number::Number;
use crate::row::{Author, ColumnId, RowState};
use crate::stamp::Stamp;

/// What happened to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The row appeared.
    Insert,
    /// These columns were written, and so much was added to those.
    Update(Vec<ColumnId>, Vec<(ColumnId, Number)>),
    /// The row disappeared, or was about to.
    Delete,
}

/// One mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What happened.
    pub operation: Operation,
    /// When, in milliseconds since the Unix epoch.
    pub millis: u64,
}

/// The new state of a row, or nothing if the marks tell nothing new.
///
/// `known` is the state so far (`None`: the row was never heard of), `marks` are those of this row in the order in
/// which they were made, `present` says whether the row is in the table now.
pub fn stamp(known: Option<&RowState>, marks: &[Mark], present: bool, author: Author) -> Option<RowState> {
    let first = marks.first()?;
    let born_here = known.is_none() && first.operation == Operation::Insert;
    if born_here && !present {
        // Inserted and deleted before anybody could hear of it.
        return None;
    }
    let mut state =
        known.cloned().unwrap_or_else(|| if born_here { RowState::default() } else { RowState::baseline() });
    let before = state.clone();
    for (i, mark) in marks.iter().enumerate() {
        let stays = present && !marks[i + 1..].iter().any(|m| m.operation == Operation::Insert);
        apply(&mut state, mark, stays, author);
    }
    settle(&mut state, marks.iter().map(|m| m.millis).max().unwrap_or_default(), present, author);
    (state != before).then_some(state)
}

/// A row that was inserted and deleted before anybody could hear of it, unless the store was put back to a copy from between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// The stamps of its inserts, by one of which others know it if they do.
    pub inserted: Vec<Stamp>,
    /// What became of it.
    pub grave: RowState,
    /// How long it was there at least, in milliseconds by the clock that made the marks.
    pub millis: u64,
}

/// What these marks tell of a row that is gone; nothing if they do not begin with its insert. `before` is the state that they
/// find.
pub fn brief(before: RowState, marks: &[Mark], author: Author) -> Option<Brief> {
    let first = marks.first().filter(|mark| mark.operation == Operation::Insert)?;
    let (mut grave, mut inserted) = (before, Vec::new());
    for mark in marks {
        apply(&mut grave, mark, false, author);
        inserted.extend((mark.operation == Operation::Insert).then_some(grave.inserted));
    }
    let last = marks.iter().map(|mark| mark.millis).max().unwrap_or_default();
    settle(&mut grave, last, false, author);
    let millis = marks.iter().map(|mark| mark.millis.abs_diff(first.millis)).max().unwrap_or_default();
    Some(Brief { inserted, grave, millis })
}

/// `stays`: the row is there and no later mark says that it was inserted again, so nothing deleted it.
fn apply(state: &mut RowState, mark: &Mark, stays: bool, author: Author) {
    let stamp = state.next_stamp(mark.millis, author.site);
    match &mark.operation {
        Operation::Insert => state.insert(stamp),
        Operation::Update(columns, added) if !(columns.is_empty() && added.is_empty()) && state.is_live() => {
            state.write(columns.iter().copied(), stamp);
            added.iter().for_each(|(column, number)| state.add(*column, *number, author, stamp));
        }
        // A row that is dead already was found gone by an earlier drain, which read only some of its marks.
        Operation::Delete if !stays && (state.is_live() || mark.millis > state.deleted.millis()) => state.delete(stamp),
        Operation::Update(..) | Operation::Delete => {}
    }
}

/// The table has the last word: triggers can be off, and marks of a cascade can be out of order.
fn settle(state: &mut RowState, millis: u64, present: bool, author: Author) {
    let stamp: Stamp = state.next_stamp(millis, author.site);
    match (state.is_live(), present) {
        (true, false) => state.delete(stamp),
        (false, true) => state.insert(stamp),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
