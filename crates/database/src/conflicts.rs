//! The conflict list: `server_sync_conflict`, a synchronised table like any other. An entry's id and stamps follow
//! from the conflict alone, so that two sites that notice the same conflict make the same row.

use sync_core::{ColumnId, Conflict, ConflictKind, Row, RowState, Stamp, Value, codec, key};
use sync_store::{ConflictEntry, Result, StoreError, Trouble};

use crate::apply::{Group, Outcome};
use crate::catalog::CONFLICTS;
use crate::database::{Connections, Database, Ended};
use crate::drain::unknown_table;
use crate::layout::Tracked;
use crate::retry;
use crate::sql::Fields;
use crate::tables;

/// The table's name.
pub const TABLE: &str = "server_sync_conflict";

/// The conflicts of some groups as entries. Conflicts about entries are none.
pub(crate) fn entries(groups: &[Group]) -> Vec<ConflictEntry> {
    let mut entries = Vec::new();
    for group in groups.iter().filter(|g| g.tracked.number() != CONFLICTS) {
        for outcome in &group.outcomes {
            entries.extend(outcome.planned.conflicts.iter().map(|c| entry(group.tracked, outcome, c)));
        }
    }
    entries
}

fn entry(tracked: &Tracked, outcome: &Outcome, conflict: &Conflict) -> ConflictEntry {
    let (column, columns) = match conflict.kind {
        ConflictKind::Cell(id) => {
            let name = tracked.name_of(id).to_owned();
            (Some(name.clone()), vec![name])
        }
        _ => (None, tracked.names()),
    };
    let whole = |values: &[Value]| match conflict.kind {
        ConflictKind::Cell(_) => values.to_vec(),
        _ if values.is_empty() => Vec::new(),
        _ => tracked.gather(values),
    };
    ConflictEntry {
        id: id_of(&tracked.table.name, &outcome.key, column.as_deref().unwrap_or_default(), conflict.loser),
        table: tracked.table.name.clone(),
        key: outcome.key.clone(),
        kind: conflict.kind.name().to_owned(),
        column,
        columns,
        winner: conflict.winner,
        loser: conflict.loser,
        winning: whole(&conflict.winning),
        losing: whole(&conflict.losing),
        restored: false,
    }
}

/// A hash of table, key, column and losing stamp, as 32 hexadecimal digits.
fn id_of(table: &str, key: &[Value], column: &str, loser: Stamp) -> String {
    let mut hash = blake3::Hasher::new();
    for part in [table.as_bytes(), &key::pack(key), column.as_bytes()] {
        hash.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    hash.update(&loser.raw().to_be_bytes());
    hash.finalize().to_hex()[..32].to_owned()
}

/// The entries as rows of the list, over its column ids.
pub(crate) fn incoming(entries: &[ConflictEntry]) -> Vec<(Vec<Value>, Row)> {
    entries.iter().map(|e| (vec![Value::text(&e.id)], row(e))).collect()
}

fn row(entry: &ConflictEntry) -> Row {
    let names: Vec<Value> = entry.columns.iter().map(Value::text).collect();
    let packed = |values: &[Value]| Value::Bytes(codec::pack_values(values));
    let values = vec![
        Value::text(&entry.id),
        Value::text(&entry.table),
        Value::text(&entry.kind),
        Value::text(entry.column.as_deref().unwrap_or_default()),
        Value::Bytes(key::pack(&entry.key)),
        packed(&names),
        Value::unsigned(entry.winner.raw()),
        Value::unsigned(entry.loser.raw()),
        packed(&entry.winning),
        packed(&entry.losing),
        Value::Int(0),
    ];
    Row { state: RowState::inserted_at(entry.winner.max(entry.loser)), values: Some(values) }
}

const COLUMNS: &str =
    "id, table_name, kind, column_name, row_key, column_names, winner, loser, winning, losing, restored";

/// The list, newest first.
pub fn list(db: &mut Database) -> Result<Vec<ConflictEntry>> {
    let query = format!("SELECT {COLUMNS} FROM {TABLE} ORDER BY winner DESC, id");
    db.connections.writer.all(&query, &[])?.into_iter().map(parse).collect()
}

fn parse(row: Vec<Value>) -> Result<ConflictEntry> {
    let mut fields = Fields::of(row);
    let (id, table, kind, column) = (fields.text()?, fields.text()?, fields.text()?, fields.text()?);
    let key = key::unpack(&fields.bytes()?)?;
    let names = codec::unpack_values(&fields.bytes()?)?;
    Ok(ConflictEntry {
        id,
        table,
        key,
        kind,
        column: Some(column).filter(|c| !c.is_empty()),
        columns: names.into_iter().map(|v| Fields::of(vec![v]).text()).collect::<Result<_>>()?,
        winner: Stamp::from_raw(fields.unsigned()?),
        loser: Stamp::from_raw(fields.unsigned()?),
        winning: codec::unpack_values(&fields.bytes()?)?,
        losing: codec::unpack_values(&fields.bytes()?)?,
        restored: fields.int()? == 1,
    })
}

/// Writes the losing value back, as an application would: captured, with its triggers and its constraints.
pub fn restore(db: &mut Database, id: &str) -> Result<()> {
    db.refresh()?;
    let entry = list(db)?.into_iter().find(|e| e.id == id).ok_or_else(|| unknown(id))?;
    let tracked = db.catalog.named(&entry.table).ok_or_else(|| unknown_table(&entry.table))?;
    let c = &mut db.connections;
    c.writer.run(c.dialect.capture(true))?;
    let result = retry::contention(|| {
        c.transaction(|c| {
            write_back(c, tracked, &entry)?;
            let query = format!("UPDATE {TABLE} SET restored=1 WHERE id=?");
            c.writer.execute(&query, &[Value::text(id)])?;
            Ok(Ended::Commit(()))
        })
    });
    let ended = c.writer.run(c.dialect.capture(false));
    result.and(ended)
}

fn write_back(c: &mut Connections, tracked: &Tracked, entry: &ConflictEntry) -> Result<()> {
    let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
    let keys = std::slice::from_ref(&entry.key);
    let Some(mut row) = tables::read(sql, dialect, tracked, keys, true)?.into_values().next() else {
        return revive(c, tracked, entry);
    };
    if entry.losing.is_empty() {
        return tables::delete(sql, dialect, tracked, keys);
    }
    let ids = column_ids(tracked, entry);
    for (id, value) in ids.iter().zip(&entry.losing) {
        if let Some(id) = id {
            row[usize::from(*id)] = value.clone();
        }
    }
    let set: Vec<ColumnId> = ids.into_iter().flatten().filter(|id| !is_key(tracked, *id)).collect();
    if set.is_empty() { Ok(()) } else { tables::update(sql, dialect, tracked, &[&row], &set) }
}

fn revive(c: &mut Connections, tracked: &Tracked, entry: &ConflictEntry) -> Result<()> {
    if entry.column.is_some() {
        return Err(StoreError::new(
            Trouble::Failure,
            format!("the row of {} that conflict {} is about was deleted since", entry.table, entry.id),
        )
        .hint("restore the row first: look for its own entry with `conflicts list`"));
    }
    if entry.losing.is_empty() {
        return Ok(());
    }
    let mut row = vec![Value::Null; tracked.registered.columns.len()];
    for (id, value) in column_ids(tracked, entry).into_iter().zip(&entry.losing) {
        if let Some(id) = id {
            row[usize::from(id)] = value.clone();
        }
    }
    tables::insert(c.writer.as_mut(), c.dialect.as_ref(), tracked, &[&row])
}

fn column_ids(tracked: &Tracked, entry: &ConflictEntry) -> Vec<Option<ColumnId>> {
    entry.columns.iter().map(|name| tracked.registered.id(name).filter(|id| tracked.ids.contains(id))).collect()
}

fn is_key(tracked: &Tracked, id: ColumnId) -> bool {
    tracked.key_at.iter().any(|at| tracked.ids[*at] == id)
}

fn unknown(id: &str) -> StoreError {
    StoreError::new(Trouble::Configuration, format!("there is no conflict {id}")).hint("`conflicts list` shows the ids")
}
