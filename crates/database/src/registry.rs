//! `server_sync_registry`: this store's copy of the registry, as one packed value; and the purge of graves, which records in
//! the same transaction which may be gone. Decides nothing: what may go is told by [`sync_core::registry`].

use std::collections::{BTreeMap, BTreeSet};

use sync_core::resolve::Name;
use sync_core::{Forgotten, Purgeable, Registry, RowId, RowState, Source, Stamp, StoreId, Value, codec, registry};
use sync_store::Result;

use crate::catalog::Catalog;
use crate::connections::{Connections, Ended};
use crate::database::Database;
use crate::layout::powers;
use crate::sql::{Fields, Sql};
use crate::{identity, meta, parked, retry};

/// Lines that are looked at in one transaction.
const PAGE: usize = 1_000;

/// Transactions of one call.
const PAGES: usize = 8;

/// Reads it.
pub fn read(sql: &mut dyn Sql) -> Result<Registry> {
    match sql.first("SELECT packed FROM server_sync_registry WHERE one=1", &[])? {
        Some(row) => Ok(registry::unpack(&Fields::of(row).bytes()?)?),
        None => Ok(Registry::default()),
    }
}

fn write(sql: &mut dyn Sql, registry: &Registry) -> Result<()> {
    sql.execute("DELETE FROM server_sync_registry WHERE one=1", &[])?;
    let packed = Value::Bytes(registry::pack(registry));
    sql.execute("INSERT INTO server_sync_registry (one, packed) VALUES (1, ?)", &[packed]).map(drop)
}

/// Joins another copy into this one.
pub fn register(db: &mut Database, other: &Registry) -> Result<()> {
    retry::contention(|| {
        db.connections.transaction(|c| {
            identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
            let before = read(c.writer.as_mut())?;
            let mut joined = before.clone();
            joined.join(other);
            if joined != before {
                write(c.writer.as_mut(), &joined)?;
            }
            Ok(Ended::Commit(()))
        })
    })
}

/// The newest delete whose grave this store has forgotten, in whichever of its histories.
pub(crate) fn newest_forgotten(sql: &mut dyn Sql, own: StoreId) -> Result<Stamp> {
    let registry = read(sql)?;
    let latest = registry.forgotten().filter(|(source, _)| source.store == own).map(|(_, graves)| graves.latest).max();
    Ok(latest.unwrap_or_default())
}

/// When the first line was written that a purge would look at; 0 if there is none. It only ever becomes later, so it is asked
/// for once.
pub fn oldest_line(db: &mut Database, registry: &Registry) -> Result<u64> {
    if db.oldest_grave == 0 {
        let from = registry.forgotten_of(db.identity.source).seq;
        let first = lines(db.connections.writer.as_mut(), (from, i64::MAX.unsigned_abs()), 1)?;
        db.oldest_grave = first.first().map_or(0, Seen::millis);
    }
    Ok(db.oldest_grave)
}

/// Drops graves, some thousands at most; says how many.
pub fn purge(db: &mut Database, graves: &Purgeable, before: u64) -> Result<u64> {
    let mut dropped = 0;
    for _ in 0..PAGES {
        if db.oldest_grave >= before {
            break;
        }
        let own = db.identity.source;
        let (connections, catalog) = (&mut db.connections, &db.catalog);
        let page = retry::contention(|| {
            connections.transaction(|c| Ok(Ended::Commit(purge_page(c, catalog, own, graves, before)?)))
        })?;
        dropped += page.dropped;
        db.oldest_grave = page.oldest;
        if page.is_last {
            break;
        }
    }
    Ok(dropped)
}

struct Purged {
    dropped: u64,
    /// Where it met a line that is too young: how old that is; else 0.
    oldest: u64,
    is_last: bool,
}

fn purge_page(c: &mut Connections, catalog: &Catalog, own: Source, graves: &Purgeable, before: u64) -> Result<Purged> {
    let sql = c.writer.as_mut();
    identity::lock(sql, c.dialect.wait_for_update())?;
    let mut registry = read(sql)?;
    let from = registry.forgotten_of(own).seq;
    let lines = lines(sql, (from, graves.upto), PAGE)?;
    let is_short = lines.len() < PAGE;
    let old: Vec<&Seen> = lines.iter().take_while(|line| line.millis() < before).collect();
    let young = lines.get(old.len());
    let upto = match (young, is_short) {
        (None, true) => graves.upto,
        _ => old.last().map_or(from, |line| line.seq),
    };
    if upto <= from {
        return Ok(Purged { dropped: 0, oldest: young.map_or(0, Seen::millis), is_last: true });
    }
    let waiting: BTreeSet<u16> = parked::names(sql)?.into_iter().map(|(number, _)| number).collect();
    let is_purgeable = |line: &&Seen| line.is_purgeable(catalog, graves) && !line.is_referred_to(catalog, &waiting);
    let dead: Vec<&Seen> = old.into_iter().filter(is_purgeable).collect();
    let dropped = drop_lines(sql, dead.iter().map(|line| line.name.clone()).collect())?;
    let latest = dead.iter().map(|line| line.state.deleted).max().unwrap_or_default();
    registry.forget(own, Forgotten { seq: upto, latest });
    write(sql, &registry)?;
    Ok(Purged { dropped, oldest: young.map_or(0, Seen::millis), is_last: young.is_some() || is_short })
}

/// A line as far as purging looks at it.
struct Seen {
    name: Name,
    seq: u64,
    state: RowState,
    /// Whether it is never forgotten ([`meta::Line::lasts`]).
    lasts: bool,
}

impl Seen {
    fn millis(&self) -> u64 {
        self.state.newest().max(self.state.deleted).millis()
    }

    fn is_purgeable(&self, catalog: &Catalog, graves: &Purgeable) -> bool {
        let waits = catalog.numbered(self.name.0).is_some_and(|t| graves.except.contains(&t.table.name));
        !self.state.is_live() && !self.lasts && !waits
    }

    /// Whether it can be what keeps rows of these tables from being shown as they are: without the grave their parent would
    /// seem to be still on its way.
    fn is_referred_to(&self, catalog: &Catalog, waiting: &BTreeSet<u16>) -> bool {
        let constraints = catalog.constraints.get(&self.name.0);
        constraints.is_some_and(|c| c.referenced.iter().any(|(child, _)| waiting.contains(child)))
    }
}

/// The next lines, in seq order.
fn lines(sql: &mut dyn Sql, (after, upto): (u64, u64), limit: usize) -> Result<Vec<Seen>> {
    let query = format!(
        "SELECT tab, id, seq, dead, state FROM server_sync_row WHERE seq>? AND seq<=? ORDER BY seq LIMIT {limit}"
    );
    let mut lines = Vec::new();
    sql.query(&query, &[Value::unsigned(after), Value::unsigned(upto)], &mut |row| {
        let mut fields = Fields::of(row);
        let name = (fields.unsigned()? as u16, RowId::from_bytes(fields.bytes()?));
        let (seq, lasts) = (fields.unsigned()?, fields.int()? == meta::LASTING);
        lines.push(Seen { name, seq, state: codec::unpack_state(&fields.bytes()?)?, lasts });
        Ok(())
    })?;
    Ok(lines)
}

/// Drops the lines of deleted rows, but for those that are shown all the same.
pub(crate) fn drop_lines(sql: &mut dyn Sql, names: Vec<Name>) -> Result<u64> {
    let kept = parked::of(sql, &names)?;
    let mut tables: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
    for (tab, id) in names.into_iter().filter(|name| !kept.contains_key(name)) {
        tables.entry(tab).or_default().push(Value::Bytes(id.as_bytes().to_vec()));
    }
    let mut dropped = 0;
    for (tab, ids) in tables {
        for range in powers(ids.len(), 256) {
            let places = vec!["?"; range.len()].join(",");
            let params: Vec<Value> = [Value::Int(tab.into())].into_iter().chain(ids[range].iter().cloned()).collect();
            let statement = format!("DELETE FROM server_sync_row WHERE tab=? AND id IN ({places})");
            dropped += sql.execute(&statement, &params)?;
        }
    }
    Ok(dropped)
}
