//! The conflict list: `server_sync_conflict`, a synchronised table like any other. An entry's id and stamps follow
//! from the conflict alone, so that two sites that notice the same conflict make the same row.

use sync_core::{Author, ColumnId, Conflict, ConflictKind, Row, RowId, RowState, Stamp, Value, codec, key};
use sync_store::{ConflictEntry, Result, StoreError, Trouble};

use crate::catalog::{CONFLICTS, Catalog};
use crate::connections::{Connections, Ended};
use crate::database::Database;
use crate::drain::{own_line, unknown_table};
use crate::kept::Kept;
use crate::layout::Tracked;
use crate::meta::{self, Lines, Numbered};
use crate::outcome::Group;
use crate::sql::Fields;
use crate::tables;

/// The table's name.
pub const TABLE: &str = "server_sync_conflict";

/// The conflicts of some groups as entries. Conflicts about entries are none.
pub(crate) fn entries(groups: &[Group]) -> Vec<ConflictEntry> {
    let mut entries = Vec::new();
    for group in groups.iter().filter(|g| g.tracked.number() != CONFLICTS) {
        for outcome in &group.outcomes {
            entries.extend(outcome.planned.conflicts.iter().map(|c| entry(group.tracked, &outcome.key, c)));
        }
    }
    entries
}

/// Rows that a constraint kept from being shown, so that the application put others in their place without seeing them.
pub(crate) fn replaced(tracked: &Tracked, known: &Lines, lines: &[Numbered]) -> Vec<ConflictEntry> {
    let one = |(_, id, new): &Numbered| {
        let old = known.get(id).filter(|line| line.is_parked() && line.state.lineage() != new.state.lineage())?;
        let Kept::Row(losing) = old.kept.clone() else { return None };
        let (winner, loser) = (new.state.newest().max(new.state.deleted), old.state.newest());
        let conflict = Conflict { kind: ConflictKind::Insert, winner, loser, winning: Vec::new(), losing };
        Some(entry(tracked, new.key.as_deref().unwrap_or_default(), &conflict))
    };
    lines.iter().filter_map(one).collect()
}

/// Puts entries into the list that are not in it; returns their lines, to be published.
pub(crate) fn note(c: &mut Connections, catalog: &Catalog, entries: &[ConflictEntry]) -> Result<Vec<Numbered>> {
    let Some(tracked) = catalog.numbered(CONFLICTS).filter(|_| !entries.is_empty()) else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    for (key, row) in incoming(entries) {
        let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
        if tables::read(sql, dialect, tracked, std::slice::from_ref(&key), false)?.is_empty() {
            tables::insert(sql, dialect, tracked, vec![row.values.unwrap_or_default().into()])?;
            let id = RowId::of(&key);
            lines.push((CONFLICTS, id, own_line(row.state, &key)));
        }
    }
    Ok(lines)
}

/// Of a row that lost its place and was given a new key.
pub const REKEYED: &str = "rekeyed";

/// Notes that a row which lost was given a new key; returns the line of the entry, to be published. Whoever noticed the
/// conflict first listed it as lost; this is a later write of the same entry.
pub(crate) fn rekeyed(
    c: &mut Connections,
    catalog: &Catalog,
    (tracked, old, new): (&Tracked, &[Value], &[Value]),
    conflict: &Conflict,
    author: Author,
) -> Result<Vec<Numbered>> {
    let Some(list) = catalog.numbered(CONFLICTS) else { return Ok(Vec::new()) };
    let entry = entry(tracked, old, conflict);
    note(c, catalog, std::slice::from_ref(&entry))?;
    let key = vec![Value::text(&entry.id)];
    let id = RowId::of(&key);
    let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
    let told = [
        ("kind", Value::text(REKEYED)),
        ("winning", Value::Bytes(codec::pack_values(new))),
        ("restored", Value::Int(1)),
    ];
    let cells: Vec<(ColumnId, Value)> =
        told.into_iter().filter_map(|(name, value)| Some((list.registered.id(name)?, value))).collect();
    tables::update_one(sql, dialect, list, &key, &cells)?;
    let known = meta::load(sql, CONFLICTS, std::slice::from_ref(&id))?.remove(&id);
    let mut state = known.map_or_else(|| RowState::inserted_at(entry.winner), |line| line.state);
    let stamp = state.next_stamp(0, author.site);
    state.write(cells.into_iter().map(|(id, _)| id), stamp);
    Ok(vec![(CONFLICTS, id, own_line(state, &key))])
}

/// The entry of a conflict of this row.
pub(crate) fn entry(tracked: &Tracked, key: &[Value], conflict: &Conflict) -> ConflictEntry {
    let columns = match conflict.kind {
        ConflictKind::Cell(id) => vec![tracked.name_of(id).to_owned()],
        // Nothing is kept of a delete, and whoever notices it may have another version of the table.
        ConflictKind::DeleteLost => Vec::new(),
        _ => column_names(tracked),
    };
    let whole = |values: &[Value]| match conflict.kind {
        ConflictKind::Cell(_) => values.to_vec(),
        _ if values.is_empty() => Vec::new(),
        _ => by_name(tracked).into_iter().map(|(_, id)| value_of(values, id)).collect(),
    };
    let mut entry = ConflictEntry {
        id: String::new(),
        table: tracked.table.name.clone(),
        key: key.to_vec(),
        kind: conflict.kind.name().to_owned(),
        column: is_cell(conflict.kind).then(|| columns.concat()),
        columns,
        winner: conflict.winner,
        loser: conflict.loser,
        winning: if is_cell(conflict.kind) { conflict.winning.clone() } else { Vec::new() },
        losing: whole(&conflict.losing),
        restored: false,
    };
    entry.id = id_of(&entry);
    entry
}

fn is_cell(kind: ConflictKind) -> bool {
    matches!(kind, ConflictKind::Cell(_))
}

/// The columns by name: each site has an order of its own, and the entry must be the same everywhere.
fn by_name(tracked: &Tracked) -> Vec<(&str, ColumnId)> {
    let mut columns: Vec<(&str, ColumnId)> = tracked.ids.iter().map(|id| (tracked.name_of(*id), *id)).collect();
    columns.sort_unstable();
    columns
}

fn column_names(tracked: &Tracked) -> Vec<String> {
    by_name(tracked).into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn value_of(values: &[Value], id: ColumnId) -> Value {
    values.get(usize::from(id)).cloned().unwrap_or_default()
}

/// A hash of table, key, column and losing stamp, as 32 hexadecimal digits. Of a whole row the values count too: two
/// sites can lose one row in two versions, and both are kept.
fn id_of(entry: &ConflictEntry) -> String {
    let mut hash = blake3::Hasher::new();
    let column = entry.column.as_deref().unwrap_or_default();
    let whole = if entry.column.is_none() { codec::pack_values(&entry.losing) } else { Vec::new() };
    for part in [entry.table.as_bytes(), &key::pack(&entry.key), column.as_bytes(), &whole] {
        hash.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    hash.update(&entry.loser.raw().to_be_bytes());
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
    // Id and winner determine the rest, so that rows with the same stamp are the same row.
    Row { state: RowState::inserted_at(entry.winner), values: Some(values) }
}

const COLUMNS: &str =
    "id, table_name, kind, column_name, row_key, column_names, winner, loser, winning, losing, restored";

/// The list, newest first. What is shown instead of a whole row that lost is read now; it is not kept, because it
/// goes on changing.
pub fn list(db: &mut Database) -> Result<Vec<ConflictEntry>> {
    let query = format!("SELECT {COLUMNS} FROM {TABLE} ORDER BY winner DESC, id");
    let rows = db.connections.writer.all(&query, &[])?;
    let mut list = rows.into_iter().map(parse).collect::<Result<Vec<_>>>()?;
    for entry in list.iter_mut().filter(|e| e.column.is_none() && e.kind != REKEYED) {
        if let (true, Some(tracked)) = (entry.columns.is_empty(), db.catalog.named(&entry.table)) {
            entry.columns = column_names(tracked);
        }
        entry.winning = shown_now(db, entry)?;
    }
    Ok(list)
}

fn shown_now(db: &mut Database, entry: &ConflictEntry) -> Result<Vec<Value>> {
    let Some(tracked) = db.catalog.named(&entry.table) else { return Ok(Vec::new()) };
    let (sql, dialect) = (db.connections.writer.as_mut(), db.connections.dialect.as_ref());
    let found = tables::read(sql, dialect, tracked, std::slice::from_ref(&entry.key), false)?;
    let Some(row) = found.into_values().next() else { return Ok(Vec::new()) };
    let value = |id: Option<ColumnId>| id.map_or(Value::Null, |id| value_of(&row, id));
    Ok(column_ids(tracked, entry).into_iter().map(value).collect())
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
    let result = c.transaction(|c| {
        write_back(c, tracked, &entry)?;
        let query = format!("UPDATE {TABLE} SET restored=1 WHERE id=?");
        c.writer.execute(&query, &[Value::text(id)])?;
        Ok(Ended::Commit(()))
    });
    let ended = c.writer.run(c.dialect.capture(false));
    result.and(ended)
}

fn write_back(c: &mut Connections, tracked: &Tracked, entry: &ConflictEntry) -> Result<()> {
    let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
    let keys = std::slice::from_ref(&entry.key);
    if tables::read(sql, dialect, tracked, keys, false)?.is_empty() {
        return revive(c, tracked, entry);
    }
    if entry.losing.is_empty() {
        return tables::delete(sql, dialect, tracked, keys);
    }
    let cells = column_ids(tracked, entry).into_iter().zip(&entry.losing);
    let cells: Vec<(ColumnId, Value)> =
        cells.filter_map(|(id, value)| Some((id?, value.clone()))).filter(|(id, _)| !is_key(tracked, *id)).collect();
    if cells.is_empty() { Ok(()) } else { tables::update_one(sql, dialect, tracked, &entry.key, &cells) }
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
    tables::insert(c.writer.as_mut(), c.dialect.as_ref(), tracked, vec![row.into()])
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
