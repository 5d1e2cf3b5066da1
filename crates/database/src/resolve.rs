//! Making the tables show what the state is under the schema's constraints: reads what bears on open rows
//! ([`crate::world`]), lets [`mod@sync_core::resolve`] decide, writes what it says. Never captured, never part of the
//! state: what is set aside is kept with the row's line, listed in `server_sync_parked`, and comes back by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sync_core::resolve::{Name, Reason, Verdict, resolve};
use sync_core::{ColumnId, Number, Position, RowId, Stamp, Value, key};
use sync_store::{ParkedKind, Result, StoreError, Trouble};

use crate::catalog::Catalog;
use crate::connections::{Connections, Ended};
use crate::constraints::WayOut;
use crate::database::{Database, random};
use crate::drain::{drain_pending, own_line, publish, save};
use crate::kept::{self, Kept};
use crate::meta::{Line, Numbered};
use crate::parked::{self, Entry};
use crate::retry::pause;
use crate::tables;
use crate::world::World;
use crate::{counters, identity, show};

/// How often it is tried to decide about some open rows while the application holds or writes some of them.
const TRIES: u32 = 8;

/// Open rows that are decided about in one transaction.
const CHUNK: usize = 256;

/// Decides about all open rows. Where the application is in the way, they stay open until the next round, which tries again
/// even if nothing else moves.
pub fn resolve_all(db: &mut Database) -> Result<()> {
    let open = parked::names(db.connections.writer.as_mut())?;
    db.unsettled = !open.is_empty();
    if open.is_empty() {
        return Ok(());
    }
    db.confirm()?;
    let mut is_settled = true;
    for open in open.chunks(CHUNK) {
        is_settled &= resolve_some(db, open)?;
    }
    db.unsettled = !is_settled;
    Ok(())
}

/// Rows of another chunk can claim the same value without being shown. Then whoever is decided about later finds it shown,
/// and has it if the claim is the earlier one: the outcome is the same as if all were decided about at once. Says whether it
/// could be decided.
fn resolve_some(db: &mut Database, open: &[Name]) -> Result<bool> {
    for attempt in 0..TRIES {
        drain_pending(db, &mut sync_store::Drained::default())?;
        let catalog = &db.catalog;
        let done = db.connections.transaction(|c| {
            let (_, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
            let is_done = run(c, catalog, open, head)?;
            Ok(if is_done { Ended::Commit(true) } else { Ended::Rollback(false) })
        });
        match done {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(e) if e.trouble == Trouble::Contention => std::thread::sleep(pause(attempt)),
            Err(e) => return Err(e),
        }
    }
    Ok(false)
}

/// Decides about open rows, within a transaction that holds the store's lock. Says whether that could be done: nothing is
/// written if rows that bear on them have marks.
pub(crate) fn run(c: &mut Connections, catalog: &Catalog, open: &[Name], head: Position) -> Result<bool> {
    let mut blocked = HashSet::new();
    loop {
        let Some(mut plan) = Plan::make(c, catalog, open, &blocked)? else { return Ok(false) };
        c.writer.run("SAVEPOINT server_sync_resolve")?;
        match plan.write(c)? {
            None => return plan.record(c, open, head).map(|()| true),
            // A constraint that is not looked into here objects to a row: everything is decided again without it.
            Some(name) if blocked.insert(name.clone()) => c.writer.run("ROLLBACK TO SAVEPOINT server_sync_resolve")?,
            Some(_) => {
                return Err(StoreError::new(Trouble::Failure, "a constraint objects to a row that is not written"));
            }
        }
    }
}

/// What is to be shown, and why not more.
struct Plan<'a> {
    world: World<'a>,
    verdicts: Vec<Verdict>,
    /// By row: what the table is to show.
    wanted: Vec<Option<Vec<Value>>>,
    /// By row: why that is not all.
    entries: Vec<Option<Entry>>,
    /// What the schema said of blocked rows.
    blocked: HashMap<Name, String>,
}

impl<'a> Plan<'a> {
    fn make(
        c: &mut Connections,
        catalog: &'a Catalog,
        open: &[Name],
        blocked: &HashSet<Blocked>,
    ) -> Result<Option<Self>> {
        let mut world = World::new(catalog);
        for (number, ids) in parked::by_table(open) {
            world.open(c, number, &ids)?;
        }
        let blocked: HashMap<Name, String> = blocked.iter().map(|b| (b.name.clone(), b.why.clone())).collect();
        let mut asked = BTreeSet::new();
        world.close(c)?;
        let verdicts = loop {
            for row in &mut world.rows {
                row.blocked = blocked.contains_key(&row.name);
            }
            if world.is_stale {
                return Ok(None);
            }
            let verdicts = resolve(&world.facts(c)?);
            if !world.follow(c, &verdicts, &mut asked)? {
                break verdicts;
            }
        };
        let mut plan = Plan { world, verdicts, wanted: Vec::new(), entries: Vec::new(), blocked };
        plan.wanted = plan.wanted_rows(c)?;
        plan.entries = (0..plan.verdicts.len()).map(|row| plan.entry(c, row)).collect();
        Ok(Some(plan))
    }

    fn wanted_rows(&self, c: &mut Connections) -> Result<Vec<Option<Vec<Value>>>> {
        let mut texts = Texts::default();
        let mut wanted = vec![None; self.verdicts.len()];
        for row in self.in_order() {
            let Verdict::Shown { nulled, yielded } = &self.verdicts[row] else { continue };
            let Some(mut values) = self.world.rows[row].truth.clone() else { continue };
            let references = self.world.told_references(row);
            for id in nulled.iter().flat_map(|place| &references[*place].nullable) {
                kept::set(&mut values, *id, Value::Null);
            }
            values = self.fitted(c, row, values);
            for (place, _) in yielded {
                self.give_way(c, row, *place, &mut values, &mut texts)?;
            }
            wanted[row] = Some(values);
        }
        Ok(wanted)
    }

    /// With the nearest value that fits where a counter's sum does not.
    fn fitted(&self, c: &Connections, row: usize, mut values: Vec<Value>) -> Vec<Value> {
        for (id, value) in self.unfit(c, row) {
            kept::set(&mut values, id, value);
        }
        values
    }

    fn unfit(&self, c: &Connections, row: usize) -> BTreeMap<ColumnId, Value> {
        let known = &self.world.rows[row];
        let (Some(tracked), Some(truth), Some(line)) = (self.world.tracked(row), &known.truth, &known.line) else {
            return BTreeMap::new();
        };
        counters::unfit(c.dialect.as_ref(), tracked, &line.state, truth)
    }

    /// By claim and name, so that texts are given out alike everywhere.
    fn in_order(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.verdicts.len()).collect();
        rows.sort_by_key(|row| (self.world.rows[*row].state().newest(), self.world.rows[*row].name.clone()));
        rows
    }

    fn give_way(
        &self,
        c: &mut Connections,
        row: usize,
        place: usize,
        values: &mut [Value],
        texts: &mut Texts,
    ) -> Result<()> {
        let unique = self.world.told_uniques(row)[place];
        let known = &self.world.rows[row];
        match unique.way_out {
            Some(WayOut::Null(id)) => kept::set(values, id, Value::Null),
            Some(WayOut::Text(id, length)) => {
                let stamp = sync_core::resolve::claimed_at(&known.state(), &unique.columns);
                let text = values.get(usize::from(id)).cloned().unwrap_or_default();
                for candidate in candidates(&text, stamp, &known.name.1, length) {
                    kept::set(values, id, candidate);
                    let own: Vec<Value> = unique.columns.iter().map(|id| values[usize::from(*id)].clone()).collect();
                    if texts.take(&known.name, &unique.columns, &own) && self.is_free(c, row, &unique.columns, &own)? {
                        break;
                    }
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Whether no other row has these values, truly or in what its table shows.
    fn is_free(&self, c: &mut Connections, row: usize, columns: &[ColumnId], values: &[Value]) -> Result<bool> {
        let name = &self.world.rows[row].name;
        let has = |other: &crate::world::Known| {
            other.name.0 == name.0 && other.name != *name && other.values_of(columns).as_deref() == Some(values)
        };
        if self.world.rows.iter().any(has) {
            return Ok(false);
        }
        let Some(tracked) = self.world.tracked(row) else { return Ok(true) };
        let names = tracked.names_of(columns);
        let keys = c.writer.all(&tracked.select_keys_with(c.dialect.as_ref(), &names), values)?;
        Ok(keys.iter().all(|key| RowId::of(key) == name.1))
    }

    /// Why a row is not shown as the state says.
    fn entry(&self, c: &Connections, row: usize) -> Option<Entry> {
        let known = &self.world.rows[row];
        let (kind, columns, other) = match &self.verdicts[row] {
            Verdict::Gone => return None,
            Verdict::Parked(Reason::Parent(place)) => {
                (ParkedKind::Parent, self.reference(row, *place), self.world.told_parent(row, *place))
            }
            Verdict::Parked(Reason::Claim(place, winner)) => {
                (ParkedKind::Unique, self.unique(row, *place), Some(*winner))
            }
            Verdict::Parked(Reason::Blocked) => {
                return Some(Entry::blocked(self.blocked.get(&known.name).cloned().unwrap_or_default()));
            }
            Verdict::Shown { .. } if !known.is_live() => (ParkedKind::Stays, String::new(), self.child(row)),
            Verdict::Shown { nulled, yielded } => match (yielded.first(), nulled.first()) {
                (Some((place, winner)), _) => (ParkedKind::Value, self.unique(row, *place), Some(*winner)),
                (None, Some(place)) => {
                    (ParkedKind::Reference, self.reference(row, *place), self.world.told_parent(row, *place))
                }
                (None, None) => match self.sums(c, row) {
                    sums if sums.is_empty() => return None,
                    sums => (ParkedKind::Counter, sums, None),
                },
            },
        };
        let other = other.map(|other| (self.world.rows[other].name.0, self.world.rows[other].key.clone()));
        Some(Entry { kind, detail: columns, other })
    }

    /// The counters whose sums do not fit, with those.
    fn sums(&self, c: &Connections, row: usize) -> String {
        let sum = |id: ColumnId| {
            let number = self.world.rows[row].truth.as_ref()?.get(usize::from(id)).and_then(Number::of)?;
            Some(format!("{} = {}", self.world.tracked(row)?.name_of(id), number.text(0)))
        };
        self.unfit(c, row).into_keys().filter_map(sum).collect::<Vec<_>>().join(", ")
    }

    fn unique(&self, row: usize, place: usize) -> String {
        self.names(row, &self.world.told_uniques(row)[place].columns)
    }

    fn reference(&self, row: usize, place: usize) -> String {
        self.names(row, &self.world.told_references(row)[place].columns)
    }

    fn names(&self, row: usize, columns: &[ColumnId]) -> String {
        let Some(tracked) = self.world.tracked(row) else { return String::new() };
        tracked.names_of(columns).join(", ")
    }

    /// A row that refers to this one.
    fn child(&self, row: usize) -> Option<usize> {
        let refers = |child: &usize| {
            let places = 0..self.world.told_references(*child).len();
            self.world.rows[*child].is_live()
                && places.into_iter().any(|p| self.world.told_parent(*child, p) == Some(row))
        };
        (0..self.world.rows.len()).find(refers)
    }

    fn changes(&self, row: usize) -> bool {
        self.world.rows[row].shown != self.wanted[row]
    }

    /// Takes out what is to change, then puts in what is to be there, so that unique values can be swapped. Gives a row that
    /// the schema objects to.
    fn write(&mut self, c: &mut Connections) -> Result<Option<Blocked>> {
        let changed: Vec<usize> = (0..self.wanted.len()).filter(|row| self.changes(*row)).collect();
        for row in changed.iter().filter(|row| self.world.rows[**row].shown.is_some()) {
            let Some(tracked) = self.world.tracked(*row) else { continue };
            let key = std::slice::from_ref(&self.world.rows[*row].key);
            tables::delete(c.writer.as_mut(), c.dialect.as_ref(), tracked, key)?;
        }
        for row in changed {
            let (Some(tracked), Some(values)) = (self.world.tracked(row), &self.wanted[row]) else { continue };
            match tables::insert(c.writer.as_mut(), c.dialect.as_ref(), tracked, vec![values.as_slice().into()]) {
                Err(e) if show::is_forbidden(&e) => {
                    return Ok(Some(Blocked { name: self.world.rows[row].name.clone(), why: e.message }));
                }
                other => other?,
            }
        }
        Ok(None)
    }

    /// Writes lines and the list. The head moves whenever anything was written, so that nobody takes what the
    /// table showed before for what it shows now.
    fn record(&self, c: &mut Connections, open: &[Name], head: Position) -> Result<()> {
        let mut known: Vec<Numbered> = Vec::new();
        let mut published: Vec<Numbered> = Vec::new();
        for row in 0..self.wanted.len() {
            match self.line(row) {
                Some((line, true)) => published.push(line),
                Some((line, false)) => known.push(line),
                None => {}
            }
        }
        save(c, &known)?;
        let changed = (0..self.wanted.len()).any(|row| self.changes(row)) || !known.is_empty() || !published.is_empty();
        if changed && publish(c, head, &mut published)? == head {
            identity::advance(c.writer.as_mut(), Position { seq: head.seq + 1, token: random()? })?;
        }
        // Of a row that was only looked at nothing was decided: if it is on the list, it may still wait for its parent.
        let decided = (0..self.world.rows.len()).filter(|row| self.world.is_open(*row));
        let names = decided.clone().map(|row| &self.world.rows[row].name);
        // Of an open row nothing may be left at all.
        let listed = parked::of(c.writer.as_mut(), &names.clone().chain(open).cloned().collect::<Vec<_>>())?;
        let entries =
            decided.filter_map(|row| Some((self.world.rows[row].name.clone(), self.entries[row].clone()?))).collect();
        parked::replace(c.writer.as_mut(), &listed, &entries)
    }

    /// The new line of a row, if it is another one; and whether others must hear of it: a row from before synchronisation
    /// that nobody could ask for once it is parked, and the values of a deleted row that stays.
    fn line(&self, row: usize) -> Option<(Numbered, bool)> {
        let known = &self.world.rows[row];
        let kept = self.kept(row);
        let returns = !known.is_live() && known.shown.is_none() && self.wanted[row].is_some();
        match &known.line {
            Some(line) if line.kept == kept && !returns => None,
            Some(line) => {
                let origin = if returns { 0 } else { line.origin };
                let line = Line { kept, origin, key: Some(known.key.clone()), ..line.clone() };
                Some(((known.name.0, known.name.1.clone(), line), returns))
            }
            None if kept == Kept::Nothing => None,
            None => {
                let line = Line { kept, ..own_line(known.state(), &known.key) };
                Some(((known.name.0, known.name.1.clone(), line), true))
            }
        }
    }

    fn kept(&self, row: usize) -> Kept {
        let known = &self.world.rows[row];
        match (&known.truth, &self.wanted[row]) {
            (Some(truth), _) if !known.is_live() => Kept::Row(truth.clone()),
            (Some(truth), None) => Kept::Row(truth.clone()),
            (Some(truth), Some(shown)) => {
                let differs = truth.iter().zip(shown).enumerate().filter(|(_, (truth, shown))| truth != shown);
                Kept::cells(differs.map(|(id, (truth, _))| (id as ColumnId, truth.clone())).collect())
            }
            (None, _) => Kept::Nothing,
        }
    }
}

/// A row that the schema objects to, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Blocked {
    name: Name,
    why: String,
}

/// Texts that were given out.
#[derive(Default)]
struct Texts(HashSet<(u16, Vec<ColumnId>, Vec<u8>)>);

impl Texts {
    /// Whether nobody was given this before. Case does not make a difference that could be relied on.
    fn take(&mut self, name: &Name, columns: &[ColumnId], values: &[Value]) -> bool {
        let folded: Vec<Value> = values.iter().map(folded).collect();
        self.0.insert((name.0, columns.to_vec(), key::pack(&folded)))
    }
}

fn folded(value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::text(text.to_lowercase()),
        other => other.clone(),
    }
}

/// What may be shown instead of a text: with the number of the site that wrote it; and if that is taken, with letters that
/// follow from the row's key.
fn candidates(text: &Value, stamp: Stamp, id: &RowId, length: usize) -> [Value; 2] {
    let text = match text {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    let hash = blake3::hash(id.as_bytes()).to_hex();
    let site = stamp.site();
    let suffixes = [format!("~{site}"), format!("~{site}-{}", &hash[..8])];
    suffixes.map(|suffix| {
        let room = length.saturating_sub(suffix.chars().count());
        Value::text(text.chars().take(room).chain(suffix.chars()).take(length).collect::<String>())
    })
}

#[cfg(test)]
mod tests;
