//! `server_sync_parked`: the rows that are not shown as the state says, or of which that is still to be decided, each with
//! why. Follows from the state and the schema, so it is kept at each site and never sent.

use std::collections::{BTreeMap, BTreeSet};

use sync_core::resolve::Name;
use sync_core::{RowId, Value, key};
use sync_store::{ParkedEntry, ParkedKind, Result};

use crate::database::Database;
use crate::layout::{powers, rows};
use crate::meta;
use crate::sql::{Fields, Sql};

/// Why a row is in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What kind of reason.
    pub kind: ParkedKind,
    /// The columns it is about, or what the database said.
    pub detail: String,
    /// The other row concerned: the number of its table, its key.
    pub other: Option<(u16, Vec<Value>)>,
}

impl Entry {
    /// Still to be decided.
    pub fn undecided() -> Self {
        Entry { kind: ParkedKind::Undecided, detail: String::new(), other: None }
    }

    /// The database said no.
    pub fn blocked(why: String) -> Self {
        Entry { kind: ParkedKind::Blocked, detail: why, other: None }
    }
}

/// The rows that are in it.
pub(crate) fn names(sql: &mut dyn Sql) -> Result<Vec<Name>> {
    let rows = sql.all("SELECT tab, id FROM server_sync_parked ORDER BY tab, id", &[])?;
    rows.into_iter().map(|row| name(&mut Fields::of(row))).collect()
}

/// What it says of these rows.
pub(crate) fn of(sql: &mut dyn Sql, names: &[Name]) -> Result<BTreeMap<Name, Entry>> {
    let mut list = BTreeMap::new();
    for (tab, ids) in by_table(names) {
        for range in powers(ids.len(), 512) {
            let places = vec!["?"; range.len()].join(",");
            let params: Vec<Value> = [Value::Int(tab.into())].into_iter().chain(ids[range].iter().map(bytes)).collect();
            list.extend(read(sql, &format!("WHERE tab=? AND id IN ({places})"), &params)?);
        }
    }
    Ok(list)
}

/// Rows by the number of their table.
pub(crate) fn by_table(names: &[Name]) -> BTreeMap<u16, Vec<RowId>> {
    let mut tables: BTreeMap<u16, Vec<RowId>> = BTreeMap::new();
    names.iter().for_each(|(number, id)| tables.entry(*number).or_default().push(id.clone()));
    tables
}

fn read(sql: &mut dyn Sql, condition: &str, params: &[Value]) -> Result<BTreeMap<Name, Entry>> {
    let query = format!("SELECT tab, id, kind, detail, other_tab, other_key FROM server_sync_parked {condition}");
    let mut list = BTreeMap::new();
    sql.query(&query, params, &mut |row| {
        let mut fields = Fields::of(row);
        let name = name(&mut fields)?;
        let (kind, detail, tab) = (ParkedKind::named(&fields.text()?), fields.text()?, fields.unsigned()? as u16);
        let other = match fields.bytes()? {
            bytes if bytes.is_empty() => None,
            bytes => Some((tab, key::unpack(&bytes)?)),
        };
        list.insert(name, Entry { kind, detail, other });
        Ok(())
    })?;
    Ok(list)
}

fn name(fields: &mut Fields) -> Result<Name> {
    Ok((fields.unsigned()? as u16, RowId::from_bytes(fields.bytes()?)))
}

fn bytes(id: &RowId) -> Value {
    Value::Bytes(id.as_bytes().to_vec())
}

/// Makes the list what it should be.
pub(crate) fn replace(sql: &mut dyn Sql, old: &BTreeMap<Name, Entry>, new: &BTreeMap<Name, Entry>) -> Result<()> {
    for name in old.iter().filter(|(name, entry)| new.get(name) != Some(entry)).map(|(name, _)| name) {
        sql.execute("DELETE FROM server_sync_parked WHERE tab=? AND id=?", &name_params(name))?;
    }
    let added: Vec<(&Name, &Entry)> = new.iter().filter(|(name, entry)| old.get(name) != Some(entry)).collect();
    insert(sql, &added)
}

/// Puts rows on the list that are not on it yet.
pub(crate) fn add(sql: &mut dyn Sql, names: &[Name], entry: &Entry) -> Result<()> {
    let listed = of(sql, names)?;
    let new: BTreeSet<&Name> = names.iter().filter(|name| !listed.contains_key(name)).collect();
    insert(sql, &new.into_iter().map(|name| (name, entry)).collect::<Vec<_>>())
}

fn insert(sql: &mut dyn Sql, entries: &[(&Name, &Entry)]) -> Result<()> {
    for chunk in entries.chunks(128) {
        let statement = format!(
            "INSERT INTO server_sync_parked (tab, id, kind, detail, other_tab, other_key) VALUES {}",
            rows(6, chunk.len())
        );
        let params: Vec<Value> = chunk.iter().flat_map(|(name, entry)| params(name, entry)).collect();
        sql.execute(&statement, &params)?;
    }
    Ok(())
}

fn name_params((tab, id): &Name) -> [Value; 2] {
    [Value::Int((*tab).into()), bytes(id)]
}

fn params(name: &Name, entry: &Entry) -> [Value; 6] {
    let [tab, id] = name_params(name);
    let (other_tab, other_key) = match &entry.other {
        Some((tab, key)) => (Value::Int((*tab).into()), Value::Bytes(key::pack(key))),
        None => (Value::Null, Value::Null),
    };
    [tab, id, Value::text(entry.kind.name()), Value::text(&entry.detail), other_tab, other_key]
}

/// The list for people, by table and key. The tables are called as they were when last looked at.
pub fn list(db: &mut Database) -> Result<Vec<ParkedEntry>> {
    let sql = db.connections.writer.as_mut();
    let names = table_names(sql)?;
    let mut list = Vec::new();
    for ((tab, id), entry) in read(sql, "", &[])? {
        let Some(table) = names.get(&tab).cloned() else { continue };
        let key = match meta::load(sql, tab, std::slice::from_ref(&id))?.get(&id) {
            Some(line) => line.key(&id)?,
            None => id.key()?,
        };
        let other = entry.other.and_then(|(number, key)| Some((names.get(&number)?.clone(), key)));
        list.push(ParkedEntry { table, key, kind: entry.kind, detail: entry.detail, other });
    }
    Ok(list)
}

fn table_names(sql: &mut dyn Sql) -> Result<BTreeMap<u16, String>> {
    let rows = sql.all("SELECT number, name FROM server_sync_table", &[])?;
    let one = |row| {
        let mut fields = Fields::of(row);
        Ok((fields.unsigned()? as u16, fields.text()?))
    };
    rows.into_iter().map(one).collect()
}
