//! What must hold once all is quiet, whatever happened before.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sync_core::merge::join;
use sync_core::{ColumnId, RowId, RowState, SiteId, Stamp, Sum, Value, codec};
use sync_database::epochs::Epochs;
use sync_database::kept::Kept;
use sync_store::{ConflictEntry, Store};

use crate::application::Rows;
use crate::failure::{Failure, Result};
use crate::oracle::text;
use crate::scenario::Manner;
use crate::schema::{PLAIN, TABLES};
use crate::site::{Phase, Site};
use crate::tap::lock;
use crate::world::World;

/// A line as far as all sites must agree on it: its lineage, when it was deleted, its cells written, and what was added.
type Content = ((Stamp, Stamp), Stamp, Option<(BTreeMap<ColumnId, Stamp>, BTreeSet<(ColumnId, Sum)>)>);

/// Rows that went without a mark: table and key.
pub type Fragile = BTreeSet<(usize, String)>;

struct Line {
    seq: u64,
    state: RowState,
    /// Whether the whole row is kept with it.
    keeps: bool,
    /// Whether the row is shown although it was deleted.
    stays: bool,
}

type Lines = BTreeMap<(u16, RowId), Line>;

/// Checks everything but the fate of the application's writes.
pub fn check(world: &mut World) -> Result<()> {
    quiet(world)?;
    let (hollow, fragile) = (hollow(world)?, world.fragile());
    same(world, "visible data differ", |site| visible(site, &hollow))?;
    same(world, "conflict lists differ", |site| listed(site, !hollow.is_empty()))?;
    same(world, "what is parked differs", |site| {
        Ok(parked(site)?.into_iter().filter(|p| !fragile.contains(&(p.table, p.key.clone()))).collect::<Vec<_>>())
    })?;
    same(world, "declarations that were met differ", |site| met(lock(&site.application).connection()))?;
    same(world, "numbers of tables differ", |site| tables(lock(&site.application).connection()))?;
    let purged = purged(world)?;
    same(world, "states differ", |site| {
        let mut said = contents(site, &fragile)?;
        said.retain(|row, content| content.2.is_some() || !purged.contains(row));
        Ok(said)
    })?;
    tally(world)?;
    let active: Vec<usize> = (0..world.sites.len()).filter(|i| world.sites[*i].phase == Phase::Active).collect();
    for a in &active {
        for b in active.iter().filter(|b| *b != a) {
            knowledge(world, *a, *b)?;
        }
    }
    let lost = !world.fragile().is_empty();
    world.active().try_for_each(|site| sound(site, lost))
}

/// The tally is what it was in the beginning and all that was added to it, once each. A site whose database was put back may
/// have lost what it had not published; nobody else may.
fn tally(world: &mut World) -> Result<()> {
    same(world, "tallies differ", |site| lock(&site.application).tally())?;
    if world.declared > 0 {
        // What somebody who had not met the declaration added is not in it.
        return Ok(());
    }
    let Some(shown) = world.active().next().map(|site| lock(&site.application).tally()).transpose()? else {
        return Ok(());
    };
    for (row, shown) in shown {
        let (mut least, mut most) = (1000, 1000);
        for site in &world.sites {
            let application = lock(&site.application);
            let all: i64 = application.added.iter().take(site.added).filter(|(id, _)| *id == row).map(|(_, n)| n).sum();
            let is_twin = world.clone.as_ref().is_some_and(|c| [c.original, c.copy].contains(&site.index));
            let is_sure = site.forks.is_empty() && !is_twin && (site.phase == Phase::Active || !world.restored);
            // What was not stamped when it was copied is stamped by both.
            most += if is_twin { 2 * all } else { all };
            least += if is_sure { all } else { 0 };
        }
        if !(least..=most).contains(&shown) {
            let what = format!("row {row} is {shown}, not from {least} to {most}");
            return Err(Failure::new(format!("the tally is not the sum of what was added: {what}")));
        }
    }
    Ok(())
}

/// Rows that are gone without a mark although their line, which says that they are there, may be the newest: nobody else
/// can bring them back.
fn hollow(world: &mut World) -> Result<Fragile> {
    let fragile = world.fragile();
    let mut hollow = Fragile::new();
    for site in world.active().filter(|_| !fragile.is_empty()) {
        let application = lock(&site.application);
        let (lines, rows) = (lines(application.connection())?, application.rows()?);
        for (number, name) in tables(application.connection())? {
            let Some(table) = TABLES.iter().position(|t| t.name == name) else { continue };
            let live = lines.iter().filter(|((tab, _), line)| *tab == number && line.state.is_live());
            let keys = live.map(|((_, id), _)| (table, key_of(id)));
            hollow.extend(keys.filter(|(table, key)| !rows[*table].contains_key(key)));
        }
    }
    hollow.retain(|key| fragile.contains(key));
    Ok(hollow)
}

fn visible(site: &mut Site, hollow: &Fragile) -> Result<Rows> {
    let mut rows = lock(&site.application).rows()?;
    hollow.iter().for_each(|(table, key)| drop(rows[*table].remove(key)));
    Ok(rows)
}

/// A row's key as the application's log has it.
fn key_of(id: &RowId) -> String {
    id.key().unwrap_or_default().iter().map(text).collect::<Vec<_>>().join("/")
}

/// A further round of all links moves nothing, publishes nothing and teaches nothing.
fn quiet(world: &mut World) -> Result<()> {
    let (heads, knowledge) = (world.heads()?, world.knowledge()?);
    if !world.pass(Manner::Plain)? {
        return Err(Failure::new("a second round moves rows"));
    }
    if world.heads()? != heads {
        return Err(Failure::new("a second round publishes"));
    }
    if world.knowledge()? != knowledge {
        return Err(Failure::new("a second round teaches"));
    }
    Ok(())
}

/// Something that must be equal at all sites.
fn same<T: PartialEq + Debug>(world: &mut World, what: &str, look: impl Fn(&mut Site) -> Result<T>) -> Result<()> {
    let mut first: Option<(usize, T)> = None;
    for site in world.active() {
        let here = look(site)?;
        match &first {
            None => first = Some((site.index, here)),
            Some((_, there)) if *there == here => {}
            Some((i, there)) => {
                let (a, b) = (format!("{there:#?}"), format!("{here:#?}"));
                return Err(Failure::new(format!("{what}: at {i} and {}\n{}", site.index, difference(&a, &b))));
            }
        }
    }
    Ok(())
}

/// The lines that only one text has, a few of them.
fn difference(a: &str, b: &str) -> String {
    let only = |sign: &str, a: &str, b: &str| -> Vec<String> {
        let there: HashSet<&str> = b.lines().collect();
        a.lines().filter(|l| !there.contains(l)).take(12).map(|l| format!("  {sign} {}", l.trim())).collect()
    };
    [only("-", a, b), only("+", b, a)].concat().join("\n")
}

/// The conflict list of a site, by id.
pub fn conflicts(site: &mut Site) -> Result<Vec<ConflictEntry>> {
    let mut list = site.store()?.conflicts()?;
    list.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(list)
}

/// A row that is not shown as its state says.
#[derive(Debug, PartialEq, Eq)]
pub struct Parked {
    /// The place of its table in the schema.
    pub table: usize,
    /// Its key.
    pub key: String,
    /// Its values that are not shown.
    pub values: Vec<Value>,
    /// Whether it is shown although it was deleted.
    pub stays: bool,
}

/// The rows that are shown although they were deleted: table and key.
pub fn staying(connection: &Connection) -> Result<Vec<(usize, String)>> {
    let query = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name='server_sync_parked')";
    if !connection.prepare_cached(query)?.query_row([], |r| r.get::<_, bool>(0))? {
        return Ok(Vec::new());
    }
    Ok(set_aside(connection)?.into_iter().filter(|p| p.stays).map(|p| (p.table, p.key)).collect())
}

/// What a constraint keeps from being shown at a site.
pub fn parked(site: &mut Site) -> Result<Vec<Parked>> {
    set_aside(lock(&site.application).connection())
}

fn set_aside(connection: &Connection) -> Result<Vec<Parked>> {
    let tables = tables(connection)?;
    let query = "SELECT p.tab, p.id, p.kind, r.kept FROM server_sync_parked p \
                 LEFT JOIN server_sync_row r ON r.tab=p.tab AND r.id=p.id ORDER BY p.tab, p.id";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([])?;
    let mut parked = Vec::new();
    while let Some(row) = rows.next()? {
        let number: u16 = row.get(0)?;
        let Some(table) = TABLES.iter().position(|t| tables.get(&number).is_some_and(|name| name == t.name)) else {
            continue;
        };
        let kept = row.get::<_, Option<Vec<u8>>>(3)?.map(|kept| Kept::unpack(&kept)).transpose()?.unwrap_or_default();
        let values = kept.values().cloned().collect();
        let stays = row.get::<_, String>(2)? == "stays";
        parked.push(Parked { table, key: key_of(&RowId::from_bytes(row.get(1)?)), values, stays });
    }
    Ok(parked)
}

/// The same, each in a line; without what is shown instead of whole rows, if that may differ.
fn listed(site: &mut Site, may_differ: bool) -> Result<Vec<String>> {
    let mut list = conflicts(site)?;
    list.iter_mut().filter(|e| may_differ && e.column.is_none()).for_each(|e| e.winning.clear());
    Ok(list.iter().map(|e| format!("{e:?}")).collect())
}

fn tables(connection: &Connection) -> Result<BTreeMap<u16, String>> {
    let mut statement = connection.prepare_cached("SELECT number, name FROM server_sync_table")?;
    Ok(statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?)
}

fn lines(connection: &Connection) -> Result<Lines> {
    // What is kept of a whole row begins with 0; a deleted row that others refer to stays.
    let query = "SELECT tab, id, seq, state, COALESCE(substr(kept, 1, 1)=x'00', 0), EXISTS (SELECT 1 \
                 FROM server_sync_parked p WHERE p.tab=r.tab AND p.id=r.id AND p.kind='stays') FROM server_sync_row r";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([])?;
    let mut lines = Lines::new();
    while let Some(row) = rows.next()? {
        let state: Vec<u8> = row.get(3)?;
        let state = codec::unpack_state(&state).map_err(|e| Failure::new(e.to_string()))?;
        let seq = row.get::<_, i64>(2)?.unsigned_abs();
        lines.insert(
            (row.get(0)?, RowId::from_bytes(row.get(1)?)),
            Line { seq, state, keeps: row.get(4)?, stays: row.get(5)? },
        );
    }
    Ok(lines)
}

/// The lines of all sites, in words.
pub fn all_lines(world: &World) -> Result<BTreeSet<String>> {
    let mut told = BTreeSet::new();
    for (number, site) in world.sites.iter().enumerate() {
        for ((tab, id), line) in lines(lock(&site.application).connection())? {
            told.insert(format!("{number}: table {tab} {} seq {} {:?}", name(&id), line.seq, line.state));
        }
    }
    Ok(told)
}

/// The declarations that a site has met, by table.
fn met(connection: &Connection) -> Result<BTreeMap<String, Stamp>> {
    let stored: Option<Vec<u8>> = connection.query_row("SELECT epochs FROM server_sync_store", [], |row| row.get(0))?;
    let epochs = Epochs::unpack(stored.map_or(Value::Null, Value::Bytes)).map_err(|e| Failure::new(e.message))?;
    let met = |(number, name)| Some((name, epochs.of(number).met)).filter(|(_, met)| *met > Stamp::NEVER);
    Ok(tables(connection)?.into_iter().filter_map(met).collect())
}

fn content(state: &RowState) -> Content {
    // Histories have random numbers, which a seed must not depend on.
    let sums = || state.sums.iter().map(|((column, _), sum)| (*column, *sum)).collect();
    (state.lineage(), state.deleted, state.is_live().then(|| (state.cells.clone(), sums())))
}

/// All lines that say something: a row from before that was never written has none, or one that says so.
/// Of a row that went without a mark everybody may know something else: it is not sent.
fn contents(site: &mut Site, fragile: &Fragile) -> Result<BTreeMap<(u16, String), Content>> {
    let application = lock(&site.application);
    let met = met(application.connection())?;
    let (lines, tables) = (lines(application.connection())?, tables(application.connection())?);
    // Since a declaration a row without a line is gone, so a line that says no more says nothing.
    let is_swept = |tab: &u16, state: &RowState| {
        let epoch = tables.get(tab).and_then(|name| met.get(name)).copied().unwrap_or_default();
        !state.raised(epoch).is_live() && state.deleted <= epoch && epoch > Stamp::NEVER || state.epoch < epoch
    };
    let is_fragile = |tab: &u16, id: &RowId| {
        let table = tables.get(tab).and_then(|name| TABLES.iter().position(|t| t.name == name));
        table.is_some_and(|table| fragile.contains(&(table, key_of(id))))
    };
    let lines = lines.into_iter().filter(|((tab, _), line)| !is_swept(tab, &line.state));
    let lines = lines.filter(|((tab, id), _)| fragile.is_empty() || !is_fragile(tab, id));
    let said = lines.map(|((tab, id), line)| ((tab, name(&id)), content(&line.state)));
    Ok(said.filter(|(_, c)| *c != content(&RowState::baseline())).collect())
}

/// Rows of which only some sites have a line, as the graves of others are purged; and those whose newest grave may have been:
/// who purged it takes an older one, of a site that was not heard of then, for news.
fn purged(world: &mut World) -> Result<BTreeSet<(u16, String)>> {
    let mut graves: BTreeMap<(u16, String), (usize, Stamp)> = BTreeMap::new();
    let (mut sites, mut forgotten) = (0, Stamp::NEVER);
    for site in world.active() {
        sites += 1;
        let store = site.store()?;
        forgotten = forgotten.max(store.registry()?.forgotten_of(store.source()).latest);
        for (row, (_, deleted, _)) in contents(site, &Fragile::new())? {
            let (count, newest) = graves.entry(row).or_default();
            (*count, *newest) = (*count + 1, deleted.max(*newest));
        }
    }
    let is_purged = |newest: Stamp| newest != Stamp::NEVER && newest <= forgotten;
    let purged = graves.into_iter().filter(|(_, (count, newest))| *count < sites || is_purged(*newest));
    Ok(purged.map(|(row, _)| row).collect())
}

fn name(id: &RowId) -> String {
    id.key().map_or_else(|_| format!("{:?}", id.as_bytes()), |key| format!("{key:?}"))
}

/// What `a` says that it contains of `b` is there: each line of `b` up to that position has nothing new for `a`. Rows with
/// marks are left out: a stream leaves them out as well.
pub fn knowledge(world: &mut World, a: usize, b: usize) -> Result<()> {
    let known = world.sites[a].store()?.knowledge()?;
    let source = world.sites[b].store()?.source();
    // A store that was put back is found out when it is next met; until then it gives seqs that others know already.
    match known.position(source) {
        Some(position) if world.sites[b].store()?.recognises(position)? => {}
        _ => return Ok(()),
    }
    let forgotten = world.sites[a].store()?.registry()?.forgotten().map(|(_, forgotten)| forgotten.latest).max();
    let met = met(lock(&world.sites[a].application).connection())?;
    let fragile = world.fragile();
    let (here, there) = (&world.sites[a], &world.sites[b]);
    let ours = lines(lock(&here.application).connection())?;
    let application = lock(&there.application);
    let theirs = lines(application.connection())?;
    let (tables, marked) = (tables(application.connection())?, marked(application.connection())?);
    for ((tab, id), line) in &theirs {
        let table = tables.get(tab).map(String::as_str).unwrap_or_default();
        let is_unsure = !fragile.is_empty() || marked.contains(&(*tab, id.clone()));
        if line.seq > known.table_seq(source, table) || is_unsure {
            continue;
        }
        let mine = ours.get(&(*tab, id.clone()));
        let is_older = |mine: &Line| !mine.state.is_live() && forgotten >= Some(line.state.deleted);
        let is_past = |mine: &Line| mine.state.newest() > line.state.deleted || is_older(mine);
        if forgotten.is_some() && !line.state.is_live() && mine.is_none_or(is_past) {
            // Its grave was here, and is purged; what is here now came later, be it an older grave.
            continue;
        }
        // Since a declaration a row without a line is gone, and so is one of an earlier epoch.
        let epoch = met.get(table).copied().unwrap_or_default();
        let is_swept = !line.state.is_live() && line.state.deleted <= line.state.epoch;
        if is_swept && line.state.epoch > epoch {
            // It goes with the declaration, which is taken over as a whole and was not met here yet.
            continue;
        }
        let unlined = || if epoch > Stamp::NEVER { RowState::swept(epoch) } else { RowState::baseline() };
        let mine = mine.map_or_else(unlined, |l| l.state.raised(epoch));
        let mut theirs = line.state.clone();
        if !theirs.is_live() {
            // What a grave remembers of its cells is published when it comes back.
            theirs.cells.clear();
            theirs.sums.clear();
        }
        // What a delete let go of before the row came back is with whoever still has it, and is published when that one hears
        // of the row.
        theirs.cells.retain(|_, stamp| *stamp > mine.deleted || !mine.seen.covers(*stamp));
        if theirs.epoch >= epoch && content(&join(&mine, &theirs)) != content(&mine) {
            let what = format!("of {b} at {a}, {table} {}: {mine:?} does not contain {:?}", name(id), line.state);
            return Err(Failure::new(format!("knowledge exceeds what is stored: {what}")));
        }
    }
    Ok(())
}

/// The rows that this site ever stamped and told of: table and key.
pub fn stamped(connection: &Connection, site: SiteId) -> Result<Fragile> {
    let is_ours = |line: &Line| line.state.seen.stamps().any(|stamp| stamp.site() == site);
    let ours = lines(connection)?.into_iter().filter(|(_, line)| is_ours(line));
    placed(connection, ours.map(|(row, _)| row))
}

/// The rows with marks: table and key.
pub fn unstamped(connection: &Connection) -> Result<Fragile> {
    placed(connection, marked(connection)?)
}

/// Table and key of rows; those of tables that are not the application's are left out.
fn placed(connection: &Connection, rows: impl IntoIterator<Item = (u16, RowId)>) -> Result<Fragile> {
    let tables = tables(connection)?;
    let place = |tab: u16| tables.get(&tab).and_then(|name| TABLES.iter().position(|t| t.name == name));
    Ok(rows.into_iter().filter_map(|(tab, id)| Some((place(tab)?, key_of(&id)))).collect())
}

/// The rows with marks.
fn marked(connection: &Connection) -> Result<HashSet<(u16, RowId)>> {
    let mut marked = HashSet::new();
    for (number, _) in tables(connection)? {
        let table = format!("server_sync_mark_{number}");
        let query =
            "SELECT name FROM pragma_table_info(?) WHERE name GLOB 'k[0-9]*' ORDER BY CAST(substr(name, 2) AS INT)";
        let mut statement = connection.prepare_cached(query)?;
        let keys = statement.query_map([&table], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        if keys.is_empty() {
            continue;
        }
        let mut statement = connection.prepare_cached(&format!("SELECT {} FROM {table}", keys.join(", ")))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let key: Vec<Value> =
                (0..keys.len()).map(|i| Ok(value(row.get_ref(i)?))).collect::<rusqlite::Result<_>>()?;
            marked.insert((number, RowId::of(&key)));
        }
    }
    Ok(marked)
}

fn value(value: ValueRef) -> Value {
    match value {
        ValueRef::Integer(n) => Value::Int(n),
        ValueRef::Text(text) => Value::text(String::from_utf8_lossy(text)),
        _ => Value::Null,
    }
}

/// One site by itself: nothing is left over, the database is whole, and tables and lines agree.
fn sound(site: &mut Site, lost: bool) -> Result<()> {
    let at = site.index;
    let application = lock(&site.application);
    let connection = application.connection();
    for table in application.mark_tables()? {
        let count: i64 = connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |r| r.get(0))?;
        if count > 0 {
            return Err(Failure::new(format!("marks are left: at {at} in {table}")));
        }
    }
    let check: String = connection.query_row("PRAGMA integrity_check", [], |r| r.get(0))?;
    let broken: i64 = connection.query_row("SELECT COUNT(*) FROM pragma_foreign_key_check", [], |r| r.get(0))?;
    if check != "ok" || broken > 0 {
        return Err(Failure::new(format!("a constraint is violated: at {at}: {check}, {broken} foreign keys")));
    }
    if !lost { present(at, connection) } else { Ok(()) }
}

/// Live lines have a row or keep its values; graves have none. Not where constraints decide what is shown.
fn present(at: usize, connection: &Connection) -> Result<()> {
    let lines = lines(connection)?;
    let plain = |table: &str| !TABLES[PLAIN..].iter().any(|t| t.name == table);
    for (number, table) in tables(connection)?.into_iter().filter(|(_, table)| plain(table)) {
        let rows = keys(connection, &table)?;
        for ((_, id), line) in lines.iter().filter(|((tab, _), _)| *tab == number) {
            let is_right =
                if line.state.is_live() { rows.contains(id) != line.keeps } else { rows.contains(id) == line.stays };
            if !is_right {
                return Err(Failure::new(format!("a line and its row disagree: at {at}, {table} {}", name(id))));
            }
        }
    }
    Ok(())
}

fn keys(connection: &Connection, table: &str) -> Result<HashSet<RowId>> {
    let query = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk";
    let mut statement = connection.prepare_cached(query)?;
    let names = statement.query_map([table], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut statement = connection.prepare_cached(&format!("SELECT {} FROM {table}", names.join(", ")))?;
    let mut rows = statement.query([])?;
    let mut keys = HashSet::new();
    while let Some(row) = rows.next()? {
        let key: Vec<Value> = (0..names.len()).map(|i| Ok(value(row.get_ref(i)?))).collect::<rusqlite::Result<_>>()?;
        keys.insert(RowId::of(&key));
    }
    Ok(keys)
}

/// What the sites hold, as one number.
pub fn print(world: &mut World) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for site in world.active() {
        format!("{:?}", lock(&site.application).rows()?).hash(&mut hasher);
        format!("{:?}", conflicts(site)?).hash(&mut hasher);
        format!("{:?}", contents(site, &Fragile::new())?).hash(&mut hasher);
    }
    Ok(hasher.finish())
}
