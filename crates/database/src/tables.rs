//! Reading and writing the application's rows by key, in statements of bounded size. Decides nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use sync_core::{ColumnId, RowId, Value};
use sync_store::{Result, StoreError, Trouble};

use crate::dialect::Dialect;
use crate::large;
use crate::layout::{Tracked, gather, powers, rows};
use crate::sql::{Fields, Sql};

/// A page of rows weighs no more than this, unless a single row does.
pub const PAGE_BYTES: usize = 4 << 20;

/// How many keys go into one statement.
fn keys_per_statement(dialect: &dyn Dialect, tracked: &Tracked) -> usize {
    let wanted = if tracked.key_at.len() == 1 { 512 } else { 64 };
    wanted.min(dialect.max_params() / tracked.key_at.len().max(1))
}

/// How many rows go into one INSERT.
fn rows_per_statement(dialect: &dyn Dialect, columns: usize) -> usize {
    512.min(dialect.max_params() / columns.max(1)).max(1)
}

fn flat(keys: &[Vec<Value>]) -> Vec<Value> {
    keys.iter().flatten().cloned().collect()
}

/// The values of the rows with these keys, by id. Rows whose key merely sorts alike (letter case) are left out.
pub fn read(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    keys: &[Vec<Value>],
    lock: bool,
) -> Result<HashMap<RowId, Vec<Value>>> {
    let wanted: std::collections::HashSet<RowId> = keys.iter().map(|k| RowId::of(k)).collect();
    let mut found = HashMap::with_capacity(keys.len());
    for range in powers(keys.len(), keys_per_statement(dialect, tracked)) {
        let statement = tracked.select(dialect, range.len(), lock);
        sql.query(&statement, &flat(&keys[range]), &mut |row| {
            let id = RowId::of(&tracked.key_of(&row));
            if wanted.contains(&id) {
                found.insert(id, tracked.received(dialect, row));
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// As [`read`], for rows that nobody changes meanwhile: in a snapshot, or locked. One that is large by itself is read in
/// pieces.
pub fn read_still(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    keys: &[Vec<Value>],
    lock: bool,
) -> Result<HashMap<RowId, Vec<Value>>> {
    match keys {
        [key] if length(sql, dialect, tracked, keys)? > PAGE_BYTES => large::read(sql, dialect, tracked, key, lock),
        _ => read(sql, dialect, tracked, keys, lock),
    }
}

/// Cuts keys into pieces whose rows weigh about [`PAGE_BYTES`] each.
pub fn pieces(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    keys: Vec<Vec<Value>>,
) -> Result<Vec<Vec<Vec<Value>>>> {
    if length(sql, dialect, tracked, &keys)? <= PAGE_BYTES {
        return Ok(vec![keys]);
    }
    let lengths = lengths(sql, dialect, tracked, &keys)?;
    Ok(cut(keys, |key| lengths.get(&RowId::of(key)).copied().unwrap_or(0)))
}

/// The byte length of all rows with these keys together: what is nearly always enough to know. 0 if no column of the
/// table can be large.
pub fn length(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, keys: &[Vec<Value>]) -> Result<usize> {
    if tracked.bulky.is_empty() {
        return Ok(0);
    }
    let mut total = 0;
    for range in powers(keys.len(), keys_per_statement(dialect, tracked)) {
        let row = sql.first(&tracked.select_length(dialect, range.len()), &flat(&keys[range]))?;
        total += Fields::of(row.unwrap_or_default()).unsigned()? as usize;
    }
    Ok(total)
}

/// The byte lengths of the rows with these keys.
pub fn lengths(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    keys: &[Vec<Value>],
) -> Result<HashMap<RowId, usize>> {
    let mut lengths = HashMap::new();
    for range in powers(keys.len(), keys_per_statement(dialect, tracked)) {
        let statement = tracked.select_lengths(dialect, range.len());
        sql.query(&statement, &flat(&keys[range]), &mut |row| {
            let mut fields = Fields::of(row);
            let length = fields.unsigned()? as usize;
            lengths.insert(RowId::of(&fields.rest()), length);
            Ok(())
        })?;
    }
    Ok(lengths)
}

fn cut(keys: Vec<Vec<Value>>, weight: impl Fn(&[Value]) -> usize) -> Vec<Vec<Vec<Value>>> {
    let mut pieces = vec![Vec::new()];
    let mut total = 0;
    for key in keys {
        let heavy = weight(&key);
        if total > 0 && total + heavy > PAGE_BYTES {
            pieces.push(Vec::new());
            total = 0;
        }
        total += heavy;
        if let Some(last) = pieces.last_mut() {
            last.push(key);
        }
    }
    pieces
}

/// Up to `limit` keys after `after`, in index order.
pub fn keys_after(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    after: Option<&[Value]>,
    limit: usize,
) -> Result<Vec<Vec<Value>>> {
    let statement = tracked.select_keys(dialect, after.is_some(), limit);
    sql.all(&statement, &after.map(|key| tracked.following_params(dialect, key)).unwrap_or_default())
}

/// Whether the table has no row.
pub fn is_empty(sql: &mut dyn Sql, dialect: &dyn Dialect, table: &str) -> Result<bool> {
    Ok(sql.first(&format!("SELECT 1 FROM {} LIMIT 1", dialect.quote(table)), &[])?.is_none())
}

/// A row given over all registered ids; the values of one that is given away are not copied.
pub type Given<'a> = Cow<'a, [Value]>;

/// Inserts rows.
pub fn insert(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, rows: Vec<Given>) -> Result<()> {
    write(sql, dialect, tracked, rows, &tracked.ids, |places| tracked.insert(dialect, places, &tracked.ids))
}

/// Inserts one row over these columns, which are not its key: the database gives it one.
pub fn insert_numbered(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    row: &[Value],
    ids: &[ColumnId],
) -> Result<()> {
    let (places, params) = one_row(dialect, tracked, row.into(), ids);
    let statement = tracked.insert(dialect, &places, ids);
    let lenient = tracked.needs_leniency(row);
    sql.execute(&if lenient { dialect.lenient(&statement) } else { statement }, &params).map(drop)
}

/// Inserts rows that are given over these columns, none of which has a special value ([`Tracked::is_special`]).
pub fn insert_new(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    ids: &[ColumnId],
    given: &[&[Value]],
) -> Result<()> {
    let one = tracked.insert(dialect, &rows(ids.len(), 1), ids);
    for range in powers(given.len(), rows_per_statement(dialect, ids.len())) {
        let given = &given[range];
        if !sql.execute_each(&one, given)? {
            let statement = tracked.insert(dialect, &rows(ids.len(), given.len()), ids);
            sql.execute_owned(&statement, given.iter().flat_map(|row| row.iter().cloned()).collect())?;
        }
    }
    Ok(())
}

/// Sets these columns of rows that exist.
pub fn update(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    rows: Vec<Given>,
    columns: &[ColumnId],
) -> Result<()> {
    let columns = tracked.with_automatic(columns);
    if !tracked.found_by_key {
        return update_each(sql, dialect, tracked, &rows, &columns);
    }
    let named = tracked.named_to_update(&columns);
    let update = |sql: &mut dyn Sql, rows: Vec<Given>, ids: &[ColumnId]| {
        write(sql, dialect, tracked, rows, ids, |places| tracked.update(dialect, places, ids, &columns))
    };
    if named == tracked.ids {
        return update(sql, rows, &named);
    }
    match update(&mut *sql, rows.iter().map(|row| Cow::Borrowed(row.as_ref())).collect(), &named) {
        // A CHECK can look at a column that was left out, and a computed default can fail. What was written already is
        // written again.
        Err(e) if is_of_the_row(&e) => update(sql, rows, &tracked.ids),
        other => other,
    }
}

/// Whether an error can be due to what was to be written, and not to the connection, locks, privileges or the schema.
fn is_of_the_row(error: &StoreError) -> bool {
    matches!(error.trouble, Trouble::Constraint | Trouble::Check | Trouble::Failure)
}

/// Sets these columns row by row.
fn update_each(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    rows: &[Given],
    columns: &[ColumnId],
) -> Result<()> {
    rows.iter().try_for_each(|row| {
        let value = |id: &ColumnId| row.get(usize::from(*id)).cloned().unwrap_or_default();
        let key: Vec<Value> = tracked.key_at.iter().map(|at| value(&tracked.ids[*at])).collect();
        let cells: Vec<(ColumnId, Value)> = columns.iter().map(|id| (*id, value(id))).collect();
        update_one(sql, dialect, tracked, &key, &cells)
    })
}

/// Sets these columns of one row by a plain UPDATE, as an application would: only its triggers for updates fire.
pub fn update_one(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    key: &[Value],
    cells: &[(ColumnId, Value)],
) -> Result<()> {
    let (mut columns, mut params) = (Vec::new(), Vec::new());
    for (id, value) in cells {
        columns.push((*id, place(dialect, tracked, *id, value.clone(), &mut params)));
    }
    params.extend_from_slice(key);
    let statement = tracked.update_one(dialect, &columns);
    let lenient = tracked.cells_need_leniency(cells);
    sql.execute(&if lenient { dialect.lenient(&statement) } else { statement }, &params).map(drop)
}

/// What stands for a value; adds its parameters.
fn place(dialect: &dyn Dialect, tracked: &Tracked, id: ColumnId, value: Value, params: &mut Vec<Value>) -> String {
    match tracked.place(dialect, id, &value) {
        Some((place, more)) => {
            params.extend(more);
            place
        }
        None => {
            params.push(value);
            "?".to_owned()
        }
    }
}

/// What stands for the values of one row, in brackets, and its parameters.
fn one_row(dialect: &dyn Dialect, tracked: &Tracked, row: Given, ids: &[ColumnId]) -> (String, Vec<Value>) {
    let (mut values, mut params) = (Vec::new(), Vec::new());
    gather(&mut values, row, ids);
    let place = |(id, value): (&ColumnId, Value)| place(dialect, tracked, *id, value, &mut params);
    let places: Vec<String> = ids.iter().zip(values).map(place).collect();
    (format!("({})", places.join(",")), params)
}

/// Writes rows: many in a statement, but those one by one that a server takes only in a way of their own.
fn write(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    given: Vec<Given>,
    ids: &[ColumnId],
    statement: impl Fn(&str) -> String,
) -> Result<()> {
    let params = |rows: &mut dyn Iterator<Item = Given>| {
        let mut params = Vec::with_capacity(rows.size_hint().0 * ids.len());
        rows.for_each(|row| gather(&mut params, row, ids));
        params
    };
    let is_special = |row: &Given| tracked.is_special(dialect, &|id| row.get(usize::from(id)));
    let (special, plain): (Vec<Given>, Vec<Given>) = given.into_iter().partition(is_special);
    for row in special {
        let lenient = tracked.needs_leniency(&row);
        let (places, params) = one_row(dialect, tracked, row, ids);
        let statement = statement(&places);
        sql.execute_owned(&if lenient { dialect.lenient(&statement) } else { statement }, params)?;
    }
    let (count, mut plain) = (plain.len(), plain.into_iter());
    for range in powers(count, rows_per_statement(dialect, ids.len())) {
        let places = rows(ids.len(), range.len());
        sql.execute_owned(&statement(&places), params(&mut plain.by_ref().take(range.len())))?;
    }
    Ok(())
}

/// Deletes rows by key.
pub fn delete(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, keys: &[Vec<Value>]) -> Result<()> {
    for range in powers(keys.len(), keys_per_statement(dialect, tracked)) {
        sql.execute(&tracked.delete(dialect, range.len()), &flat(&keys[range]))?;
    }
    Ok(())
}
