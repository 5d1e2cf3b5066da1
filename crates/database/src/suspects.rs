//! The rows of a batch that a foreign key may be about: those whose parent is not there, and those that went while others
//! refer to them. Foreign keys are not checked by the database while a batch is written. Looks only; deciding is
//! [`crate::resolve`]'s.

use std::collections::HashSet;

use sync_core::capture::Operation;
use sync_core::resolve::Name;
use sync_core::{ColumnId, Effect, RowId, Value};
use sync_store::Result;

use crate::catalog::Catalog;
use crate::connections::Connections;
use crate::constraints::Reference;
use crate::layout::{Tracked, powers};
use crate::marks::Marked;
use crate::outcome::{Group, Outcome};

/// What a batch refers to and lets go of, as far as foreign keys are about it.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    /// By table and place of the foreign key: rows with the values that they refer to.
    referring: Vec<(u16, usize, Vec<Referring>)>,
    /// By table and place of a foreign key that leads to the row: what the row no longer has.
    released: Vec<(u16, usize, Vec<Released>)>,
}

/// A row with the values that it refers to.
type Referring = (RowId, Vec<Value>);

/// Values that a row no longer has.
#[derive(Debug)]
struct Released {
    row: Name,
    is_live: bool,
    values: Vec<Value>,
}

impl Suspects {
    /// Of a batch that is about to be written.
    pub fn of(catalog: &Catalog, groups: &[Group]) -> Self {
        let mut suspects = Suspects::default();
        for group in groups {
            let number = group.tracked.number();
            let Some(constraints) = catalog.constraints.get(&number) else { continue };
            for (place, reference) in constraints.references.iter().enumerate() {
                let one = |o: &Outcome| Some((o.id.clone(), referring(o, reference)?));
                suspects.referring.push((number, place, group.outcomes.iter().filter_map(one).collect()));
            }
            for (child, place) in &constraints.referenced {
                let Some(reference) = catalog.constraints.get(child).and_then(|c| c.references.get(*place)) else {
                    continue;
                };
                suspects.released.push((*child, *place, released(group, reference)));
            }
        }
        suspects.referring.retain(|(_, _, rows)| !rows.is_empty());
        suspects.released.retain(|(_, _, rows)| !rows.is_empty());
        suspects
    }

    /// Of rows that are inserted, each with its values over all registered ids.
    pub fn of_inserted(catalog: &Catalog, number: u16, rows: &[(RowId, Option<Vec<Value>>)]) -> Self {
        let references = catalog.constraints.get(&number).map(|c| c.references.as_slice()).unwrap_or_default();
        let referring = |(place, reference): (usize, &Reference)| {
            let one = |(id, values): &(RowId, Option<Vec<Value>>)| {
                Some((id.clone(), not_null(values.as_ref()?, &reference.columns)?))
            };
            (number, place, rows.iter().filter_map(one).collect::<Vec<_>>())
        };
        let referring = references.iter().enumerate().map(referring);
        Suspects { referring: referring.filter(|(_, _, rows)| !rows.is_empty()).collect(), released: Vec::new() }
    }

    /// Those of them that are left open now that it is written: rows whose parent is not there, and rows that went while
    /// others refer to them.
    pub fn open(&self, c: &mut Connections, catalog: &Catalog) -> Result<Open> {
        let reference = |number: &u16, place: &usize| catalog.constraints.get(number)?.references.get(*place);
        let (mut open, mut waiting) = (Vec::new(), Vec::new());
        for (number, place, rows) in &self.referring {
            match reference(number, place) {
                // Whether a way up leads back is seen by going it.
                Some(reference) if reference.is_tree => open.extend(rows.iter().map(|(id, _)| (*number, id.clone()))),
                Some(reference) => {
                    waiting.extend(orphans(c, catalog, reference, rows)?.into_iter().map(|id| (*number, id)));
                }
                None => {}
            }
        }
        for (number, place, rows) in &self.released {
            if let (Some(child), Some(reference)) = (catalog.numbered(*number), reference(number, place)) {
                open.extend(left_behind(c, child, reference, rows)?);
            }
        }
        Ok(Open { now: open, later: waiting })
    }
}

/// Rows that must be decided about.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// At once: what is shown of them, or of others because of them, may have to go.
    pub now: Vec<Name>,
    /// When the stream has been received whole: their parents may still come with it. To take them out until then would
    /// take out all that refers to them as well, which can be nearly everything where tables refer to each other in a circle.
    pub later: Vec<Name>,
}

/// The rows whose parent is not there. A parent that is stays as long as the transaction.
fn orphans(c: &mut Connections, catalog: &Catalog, reference: &Reference, rows: &[Referring]) -> Result<Vec<RowId>> {
    let parent = catalog.named(&reference.parent);
    let mut missing: HashSet<&Vec<Value>> = rows.iter().map(|(_, values)| values).collect();
    for there in present(c, parent, reference, &missing)? {
        missing.remove(&there);
    }
    let mut orphans = Vec::new();
    for (id, values) in rows.iter().filter(|(_, values)| missing.contains(values)) {
        // A collation can take for the same what differs byte by byte.
        if present(c, parent, reference, &HashSet::from([values]))?.is_empty() {
            orphans.push(id.clone());
        }
    }
    Ok(orphans)
}

/// What a row that was put in, or whose reference was changed, refers to.
fn referring(outcome: &Outcome, reference: &Reference) -> Option<Vec<Value>> {
    let row = &outcome.planned.row;
    let concerns = match &outcome.planned.effect {
        Effect::Insert => true,
        Effect::Update(columns) => reference.columns.iter().any(|id| columns.contains(id)),
        _ => false,
    };
    if !concerns || !row.state.is_live() || outcome.was_parked() {
        return None;
    }
    not_null(&outcome.to_show(), &reference.columns)
}

fn not_null(row: &[Value], columns: &[ColumnId]) -> Option<Vec<Value>> {
    let value = |id: &ColumnId| row.get(usize::from(*id)).filter(|v| !v.is_null()).cloned();
    columns.iter().map(value).collect()
}

/// Those of these values that parents have, locked against being deleted.
fn present(
    c: &mut Connections,
    parent: Option<&Tracked>,
    reference: &Reference,
    wanted: &HashSet<&Vec<Value>>,
) -> Result<Vec<Vec<Value>>> {
    let (dialect, wanted) = (c.dialect.as_ref(), wanted.iter().collect::<Vec<_>>());
    let columns: Vec<String> = reference.parent_columns.iter().map(|name| dialect.quote(name)).collect();
    let one = match parent {
        Some(parent) => parent.having(dialect, &reference.parent_columns),
        None => columns.iter().map(|column| format!("{column}=?")).collect::<Vec<_>>().join(" AND "),
    };
    let (list, table) = (columns.join(", "), dialect.quote(&reference.parent));
    let mut present = Vec::new();
    for range in powers(wanted.len(), 128) {
        let conditions = vec![format!("({one})"); range.len()].join(" OR ");
        let query = format!("SELECT {list} FROM {table} WHERE {conditions}{}", dialect.for_share());
        let params: Vec<Value> = wanted[range].iter().flat_map(|values| values.iter().cloned()).collect();
        present.extend(c.writer.all(&query, &params)?);
    }
    Ok(present)
}

/// The rows that refer to deleted rows with these keys, though the database should have seen to them: MySQL 9.7 forgets some
/// where one statement both sets a row's reference to NULL and deletes the row by another, and checks can be switched off.
pub(crate) fn forgotten(
    c: &mut Connections,
    catalog: &Catalog,
    tracked: &Tracked,
    keys: &[&[Value]],
) -> Result<Vec<Name>> {
    let Some(constraints) = catalog.constraints.get(&tracked.number()) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (number, place) in &constraints.referenced {
        let reference = catalog.constraints.get(number).and_then(|c| c.references.get(*place));
        if let (Some(child), Some(reference)) = (catalog.numbered(*number), reference) {
            found.extend(children_of(c, (tracked, keys), child, reference)?);
        }
    }
    Ok(found)
}

/// The rows with these keys that refer to rows which are not there, though the database should not have taken them: checks can
/// be switched off, and MySQL 9.7 lets some through.
pub(crate) fn unfounded(
    c: &mut Connections,
    catalog: &Catalog,
    tracked: &Tracked,
    marked: &[Marked],
) -> Result<Vec<Name>> {
    let Some(constraints) = catalog.constraints.get(&tracked.number()) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for reference in &constraints.references {
        let concerned = |row: &&Marked| row.present && row.marks.iter().any(|m| concerns(&m.operation, reference));
        let keys: Vec<&[Value]> = marked.iter().filter(concerned).map(|row| row.key.as_slice()).collect();
        for range in powers(keys.len(), 128) {
            let query = tracked.select_orphans(c.dialect.as_ref(), reference, range.len());
            let params: Vec<Value> = keys[range].iter().flat_map(|key| key.iter().cloned()).collect();
            let orphans = c.writer.all(&query, &params)?;
            found.extend(orphans.iter().map(|key| (tracked.number(), RowId::of(key))));
        }
    }
    Ok(found)
}

fn concerns(operation: &Operation, reference: &Reference) -> bool {
    match operation {
        Operation::Insert => true,
        Operation::Update(columns, _) => reference.columns.iter().any(|id| columns.contains(id)),
        Operation::Delete => false,
    }
}

fn children_of(
    c: &mut Connections,
    (tracked, keys): (&Tracked, &[&[Value]]),
    child: &Tracked,
    reference: &Reference,
) -> Result<Vec<Name>> {
    let place = |name: &String| tracked.table.key_columns().position(|column| column.name == *name);
    let Some(places) = reference.parent_columns.iter().map(place).collect::<Option<Vec<usize>>>() else {
        return Ok(Vec::new());
    };
    let names = child.names_of(&reference.columns);
    let (one, mut found) = (child.having(c.dialect.as_ref(), &names), Vec::new());
    for range in powers(keys.len(), 128) {
        let conditions = vec![format!("({one})"); range.len()].join(" OR ");
        let params: Vec<Value> = keys[range].iter().flat_map(|key| places.iter().map(|at| key[*at].clone())).collect();
        let query = child.select_keys_where(c.dialect.as_ref(), &conditions);
        let children = c.writer.all(&query, &params)?;
        found.extend(children.iter().map(|key| (child.number(), RowId::of(key))));
    }
    Ok(found)
}

/// The rows that went while others refer to them; where a row only has other values now, those others.
fn left_behind(c: &mut Connections, child: &Tracked, reference: &Reference, rows: &[Released]) -> Result<Vec<Name>> {
    let names = child.names_of(&reference.columns);
    let statement = child.select_keys_with(c.dialect.as_ref(), &names);
    let mut found = Vec::new();
    for released in rows {
        let limit = if released.is_live { String::new() } else { " LIMIT 1".to_owned() };
        let children = c.writer.all(&format!("{statement}{limit}"), &released.values)?;
        match released.is_live {
            true => found.extend(children.iter().map(|key| (child.number(), RowId::of(key)))),
            false if !children.is_empty() => found.push(released.row.clone()),
            false => {}
        }
    }
    Ok(found)
}

/// What the rows of a group no longer have, of the columns that a foreign key leads to.
fn released(group: &Group, reference: &Reference) -> Vec<Released> {
    let columns: Vec<ColumnId> =
        reference.parent_columns.iter().filter_map(|name| group.tracked.registered.id(name)).collect();
    let one = |outcome: &Outcome| {
        let values = released_values(group.tracked, outcome, &columns)?;
        let row = (group.tracked.number(), outcome.id.clone());
        Some(Released { row, is_live: outcome.planned.row.state.is_live(), values })
    };
    group.outcomes.iter().filter_map(one).collect()
}

fn released_values(tracked: &Tracked, outcome: &Outcome, columns: &[ColumnId]) -> Option<Vec<Value>> {
    match &outcome.planned.effect {
        Effect::Delete => match &outcome.before {
            Some(before) => not_null(before, columns),
            None => tracked.of_key(&outcome.key, columns),
        },
        Effect::Update(changed) if columns.iter().any(|id| changed.contains(id)) => {
            not_null(outcome.before.as_ref()?, columns)
        }
        _ => None,
    }
}
