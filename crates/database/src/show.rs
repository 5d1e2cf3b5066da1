//! Making the merged rows visible: deletes first, then inserts and updates in bulk; row by row, in two phases, where
//! a constraint objects. What cannot be put in is left out for [`crate::resolve`] to decide about, which sees more than
//! a batch. Never decides what a row should be.

use std::collections::{BTreeMap, BTreeSet};

use sync_core::resolve::Name;
use sync_core::{ColumnId, Effect, RowId, Value};
use sync_store::{Result, StoreError, Trouble};

use crate::connections::Connections;
use crate::dialect::Dialect;
use crate::layout::Tracked;
use crate::outcome::{Group, Outcome};
use crate::sql::Sql;
use crate::tables::{self, Given};

/// What could not be shown.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// By row: whether it is a CHECK that forbids it.
    parked: BTreeMap<Name, bool>,
}

impl Shown {
    /// The rows that a constraint kept out.
    pub fn parked(&self) -> impl Iterator<Item = &Name> {
        self.parked.keys()
    }

    /// Whether this row was kept out.
    pub fn is_parked(&self, name: &Name) -> bool {
        self.parked.contains_key(name)
    }

    /// Whether a CHECK kept this row out.
    pub fn is_unchecked(&self, name: &Name) -> bool {
        self.parked.get(name) == Some(&true)
    }
}

/// Whether the schema forbids what was to be written.
pub(crate) fn is_forbidden(error: &StoreError) -> bool {
    matches!(error.trouble, Trouble::Constraint | Trouble::Check)
}

/// What is done to the table for one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Nothing,
    Insert,
    Update,
    Delete,
}

fn action(outcome: &Outcome) -> Action {
    let row = &outcome.planned.row;
    let changes = outcome.planned.effect != Effect::None;
    match (row.state.is_live(), outcome.present) {
        (false, true) if !outcome.stays() => Action::Delete,
        (true, true) if changes => Action::Update,
        // What was parked before is decided about with all that bears on it.
        (true, false) if changes && !outcome.was_parked() && row.values.is_some() => Action::Insert,
        _ => Action::Nothing,
    }
}

/// Shows everything, all deletes before anything else so that what they held is free.
pub(crate) fn show(c: &mut Connections, groups: &mut [Group], may_park: bool) -> Result<Shown> {
    let mut shown = Shown::default();
    for group in groups.iter() {
        let keys: Vec<Vec<Value>> = with(group, Action::Delete).map(|o| o.key.clone()).collect();
        tables::delete(c.writer.as_mut(), c.dialect.as_ref(), group.tracked, &keys)?;
    }
    for group in groups {
        match write_all(c, group, may_park) {
            Err(e) if is_forbidden(&e) && may_park => one_by_one(c, group, &mut shown)?,
            other => other?,
        }
    }
    Ok(shown)
}

fn with<'a>(group: &'a Group, wanted: Action) -> impl Iterator<Item = &'a Outcome> {
    group.outcomes.iter().filter(move |o| action(o) == wanted)
}

/// With `keep` the rows are still whole afterwards.
fn write_all(c: &mut Connections, group: &mut Group, keep: bool) -> Result<()> {
    let (sql, dialect, tracked) = (c.writer.as_mut(), c.dialect.as_ref(), group.tracked);
    let changed = changed_columns(group);
    let updates = rows(group, Action::Update, keep);
    if !updates.is_empty() {
        tables::update(sql, dialect, tracked, updates, &changed)?;
    }
    tables::insert(sql, dialect, tracked, rows(group, Action::Insert, keep))
}

/// The rows to write. Where nobody needs them once more they are given away, as a large value is copied often enough
/// on its way to the server.
fn rows<'a>(group: &'a mut Group<'_>, wanted: Action, keep: bool) -> Vec<Given<'a>> {
    let outcomes = group.outcomes.iter_mut().filter(|o| action(o) == wanted);
    let row = |outcome: &'a mut Outcome| match keep || !outcome.shown.is_empty() {
        true => outcome.to_show(),
        false => Given::Owned(outcome.planned.row.values.take().unwrap_or_default()),
    };
    outcomes.map(row).collect()
}

/// All columns that any row of the group changes; the others keep their values, which are written as they are. A
/// row's key does not change.
fn changed_columns(group: &Group) -> Vec<ColumnId> {
    let mut columns = BTreeSet::new();
    for outcome in with(group, Action::Update) {
        match &outcome.planned.effect {
            Effect::Update(changed) => columns.extend(changed.iter().copied()),
            _ => columns.extend(group.tracked.ids.iter().copied()),
        }
    }
    columns.into_iter().collect()
}

/// The two-phase write: rows that are to change are taken out, then each is put in by itself, so that unique values
/// can be swapped; again and again until nothing more fits.
fn one_by_one(c: &mut Connections, group: &Group, shown: &mut Shown) -> Result<()> {
    let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
    let updated: Vec<Vec<Value>> = with(group, Action::Update).map(|o| o.key.clone()).collect();
    tables::delete(sql, dialect, group.tracked, &updated)?;
    take_out_inserted(sql, dialect, group)?;
    let mut left: Vec<(&Outcome, Option<StoreError>)> =
        with(group, Action::Update).chain(with(group, Action::Insert)).map(|o| (o, None)).collect();
    loop {
        let before = left.len();
        left = insert_each(sql, dialect, group.tracked, left)?;
        if left.is_empty() || left.len() == before {
            break;
        }
    }
    for (outcome, error) in left {
        let is_check = error.is_some_and(|e| e.trouble == Trouble::Check);
        shown.parked.insert((group.tracked.number(), outcome.id.clone()), is_check);
    }
    Ok(())
}

/// Inserts may have gone in before the constraint objected: by statements before the one that failed. Only what is there
/// under exactly this key: a row whose key merely sorts alike is not ours to take out.
fn take_out_inserted(sql: &mut dyn Sql, dialect: &dyn Dialect, group: &Group) -> Result<()> {
    let keys: Vec<Vec<Value>> = with(group, Action::Insert).map(|o| o.key.clone()).collect();
    let there = tables::read(sql, dialect, group.tracked, &keys, false)?;
    let inserted: Vec<Vec<Value>> = keys.into_iter().filter(|k| there.contains_key(&RowId::of(k))).collect();
    tables::delete(sql, dialect, group.tracked, &inserted)
}

type Left<'a> = Vec<(&'a Outcome, Option<StoreError>)>;

/// Those that could not be inserted, with why.
fn insert_each<'a>(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, rows: Left<'a>) -> Result<Left<'a>> {
    let mut left = Vec::new();
    for (outcome, _) in rows {
        match tables::insert(sql, dialect, tracked, vec![outcome.to_show()]) {
            Err(e) if is_forbidden(&e) => left.push((outcome, Some(e))),
            other => other?,
        }
    }
    Ok(left)
}
