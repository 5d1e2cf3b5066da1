//! The fate of what the application wrote, told from what it saw, without looking at any stamp.
//!
//! Each value that was committed is unlike all others. In the end it is there; or somebody who saw it wrote something
//! else in its place; or the conflict list has it. And what was deleted is gone; or somebody wrote it again; or the
//! conflict list says that the delete lost. What a constraint keeps from being shown is listed as well.
//!
//! What was written before synchronisation began has no stamp, so that a delete elsewhere cannot know that it was
//! about another row: it is forgiven where somebody deleted that key.
//!
//! A site that was put back and writes to a row before it has its own lost writes to it again looks as if it had seen
//! them, because stamps name a site and not its incarnation: these are forgiven as well. So is what it inserts under a key that it
//! has lost, and deletes at once: the grave that it makes has its stamp.
//!
//! A site that was said to have left, or whose database was put back, is not waited for: graves of rows that it wrote to
//! meanwhile can be forgotten when it is met, and then its write stands, and nobody knows of the delete. And whoever writes to a row that was deleted, and is
//! shown because others refer to it, brings it back. Such deletes are forgiven.
//!
//! A site that deletes a row of its own before it is stamped tells nobody of it: if it is put back to before that, the row is there.
//! Forgiven.
//!
//! What was deleted is also gone by a declaration that does not have it; if a second declaration has it again, nobody remembers
//! the delete: forgiven.
//!
//! Rows that both a copy and its original wrote to while it ran under the other's name: the stamps of both are of one site, so
//! that each looks as if it had seen what the other wrote. Forgiven. So is what the copy did to rows that the original had not
//! stamped yet when it was copied: both stamp what they find. And what the original wrote to rows from before synchronisation that
//! differ somewhere: the copy stamps them where it meets another site first.
//!
//! What a copy that was put back takes with it is forgiven as far as it cannot be known to have left the site before.

use std::collections::{HashMap, HashSet};

use sync_core::Value;

use crate::application::{Did, Event};
use crate::failure::{Failure, Result};
use crate::invariants::{self, Parked};
use crate::schema::TABLES;
use crate::site::Phase;
use crate::tap::lock;
use crate::world::World;

/// Where a value is: table, key, column.
type Place<'a> = (usize, &'a str, usize);

struct Listed {
    /// Losing values: table, key, value.
    losing: HashSet<(usize, String, String)>,
    /// Rows of which a delete lost.
    deletes: HashSet<(usize, String)>,
}

/// Judges all writes; returns how many conflicts are listed.
pub fn judge(world: &mut World) -> Result<u64> {
    let Some(any) = world.sites.iter().position(|s| s.phase == Phase::Active) else { return Ok(0) };
    let entries = invariants::conflicts(&mut world.sites[any])?;
    let count = entries.len() as u64;
    let listed = listed(&entries, &invariants::parked(&mut world.sites[any])?);
    let rows = lock(&world.sites[any].application).rows()?;
    let shown = |table: usize, key: &str, column: usize| rows[table].get(key).and_then(|r| r.get(column)?.clone());
    world.sites.iter_mut().for_each(crate::site::Site::look);
    let logs: Vec<Vec<Event>> = world.sites.iter().map(|s| lock(&s.application).log.clone()).collect();
    let covered: HashSet<(usize, usize)> = world.active().flat_map(|s| s.here.iter().copied()).collect();
    let fragile = world.fragile();
    let is_sure = |site: usize, i: usize, event: &Event| {
        covered.contains(&(site, i)) && !(world.restored && fragile.contains(&(event.table, event.key.clone())))
    };
    let mut fates = Fates::of(&logs);
    for (site, log) in world.sites.iter().zip(&logs) {
        let apart = site.apart.iter().flat_map(|range| &log[range.start..range.end.min(log.len())]);
        fates
            .brought_back
            .extend(apart.filter(|e| !matches!(e.did, Did::Delete | Did::Undo)).map(|e| (e.table, &*e.key)));
    }
    let before: Vec<usize> = world.sites.iter().map(|s| s.before).collect();
    for (site, log) in logs.iter().enumerate() {
        for (i, event) in log.iter().enumerate().filter(|(i, e)| is_sure(site, *i, e)) {
            let is_forked = || {
                forked(&world.sites[site].forks, log, i)
                    || world.clone.as_ref().is_some_and(|clone| clone.is_forked(&logs, &before, site, i))
            };
            let is_unheard = || {
                let row = (event.table, event.key.clone());
                world.sites[site].unheard.iter().any(|(lost, rows)| lost.contains(&i) && rows.contains(&row))
            };
            let is_old = i < before[site] && fates.deleted.contains(&(event.table, &event.key));
            let lost = event.written.iter().filter(|_| !is_old && !is_forked()).find(|(column, value)| {
                let is_shown = shown(event.table, &event.key, *column).as_deref() == Some(value);
                !is_shown
                    && !fates.removed.contains(&((event.table, &event.key, *column), value))
                    && !listed.losing.contains(&(event.table, event.key.clone(), value.clone()))
            });
            if let Some((column, value)) = lost {
                let what = format!("{value} of {} ({i}) {event:?}", place(event, *column));
                return Err(Failure::new(format!("a write vanished: written at {site}, {what}")));
            }
            let back = event.removed.iter().find(|(column, value)| {
                event.did == Did::Delete
                    && world.declared < 2
                    && !(world.declared > 0 && written_anew(&logs, &before, (site, i)))
                    && i >= before[site]
                    && !is_forked()
                    && !is_unheard()
                    && shown(event.table, &event.key, *column).as_deref() == Some(value)
                    && fates.written.get(&((event.table, &event.key, *column), value)).is_some_and(|n| *n == 1)
                    && !listed.deletes.contains(&(event.table, event.key.clone()))
                    && !fates.brought_back.contains(&(event.table, &event.key))
            });
            if let Some((column, value)) = back {
                let what = format!("{value} of {} ({i})", place(event, *column));
                return Err(Failure::new(format!("a delete vanished: made at {site}, {what}")));
            }
        }
    }
    Ok(count)
}

/// Whether a copy was put back and this event and another one of the same row are on both sides of the fork.
fn forked(forks: &[(usize, usize)], log: &[Event], i: usize) -> bool {
    let same = |other: &Event| (other.table, &other.key) == (log[i].table, &log[i].key);
    forks.iter().any(|(first, end)| match i {
        _ if (*first..*end).contains(&i) => log[*end..].iter().any(same),
        _ => i >= *end && log[*first..*end].iter().any(same),
    })
}

/// Whether this row was written anew after a delete, by the same site or another one: then it is that write which a
/// declaration overrules, and which is listed. `before` says which events are from before synchronisation.
fn written_anew(logs: &[Vec<Event>], before: &[usize], (site, i): (usize, usize)) -> bool {
    let deleted = &logs[site][i];
    let same = |other: &Event| (other.table, &other.key) == (deleted.table, &deleted.key);
    let later = logs[site][i + 1..].iter().any(|e| same(e) && matches!(e.did, Did::Insert | Did::Update));
    let since = |(at, log): (usize, &Vec<Event>)| {
        at != site && log.iter().skip(before[at]).any(|e| same(e) && e.did == Did::Insert)
    };
    later || logs.iter().enumerate().any(since)
}

fn place(event: &Event, column: usize) -> String {
    let table = &TABLES[event.table];
    let name = table.columns(table.later.len()).nth(column).map_or("?", |c| c.name);
    format!("{}.{name} of row {}", table.name, event.key)
}

/// What became of values at the sites where they were seen.
#[derive(Default)]
struct Fates<'a> {
    /// How often each was written.
    written: HashMap<(Place<'a>, &'a str), u32>,
    /// Those that somebody who saw them replaced.
    removed: HashSet<(Place<'a>, &'a str)>,
    /// Rows that somebody deleted.
    deleted: HashSet<(usize, &'a str)>,
    /// Rows that somebody wrote to after they were deleted, or without anybody's waiting for it.
    brought_back: HashSet<(usize, &'a str)>,
}

impl<'a> Fates<'a> {
    fn of(logs: &'a [Vec<Event>]) -> Self {
        let mut fates = Fates::default();
        for event in logs.iter().flatten() {
            for (column, value) in &event.written {
                *fates.written.entry(((event.table, &event.key, *column), value)).or_default() += 1;
            }
            if matches!(event.did, Did::Delete | Did::Lose) {
                fates.deleted.insert((event.table, &event.key));
            }
            if event.stayed && event.did == Did::Update {
                fates.brought_back.insert((event.table, &event.key));
            }
            fates.removed.extend(event.removed.iter().map(|(c, v)| ((event.table, &*event.key, *c), &**v)));
        }
        logs.iter().for_each(|log| fates.brought_back.extend(replaced_and_lost(log)));
        fates
    }
}

/// Rows that a site wrote anew and lost without a mark: they come back as others have them, who may never have had the new ones.
fn replaced_and_lost(log: &[Event]) -> impl Iterator<Item = (usize, &str)> {
    let mut written = HashSet::new();
    log.iter().filter_map(move |event| {
        let row = (event.table, &*event.key);
        if event.did == Did::Insert {
            written.insert(row);
        }
        (event.did == Did::Lose && written.contains(&row)).then_some(row)
    })
}

fn listed(entries: &[sync_store::ConflictEntry], parked: &[Parked]) -> Listed {
    let mut listed = Listed { losing: HashSet::new(), deletes: HashSet::new() };
    for row in parked {
        listed.losing.extend(row.values.iter().map(|v| (row.table, row.key.clone(), text(v))));
        if row.stays {
            listed.deletes.insert((row.table, row.key.clone()));
        }
    }
    for entry in entries {
        let Some(table) = TABLES.iter().position(|t| t.name == entry.table) else { continue };
        let key: Vec<String> = entry.key.iter().map(text).collect();
        let key = key.join("/");
        listed.losing.extend(entry.losing.iter().map(|v| (table, key.clone(), text(v))));
        if entry.kind == "delete-lost" {
            listed.deletes.insert((table, key));
        }
    }
    listed
}

/// A value as the application's log has it.
pub fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}
