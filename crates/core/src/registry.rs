//! Which stores take part, how far each has told that it contains the others, and which graves are forgotten. From that
//! follows which graves nobody needs any more. Every store has a copy, and copies are joined in rounds: a newer telling
//! replaces an older one, all else is a maximum. Pure; it reads no clock, and deletes nothing itself.
//!
//! What is purged by it is not what safety rests on: a store that comes back from a backup has forgotten what it told. A
//! round therefore looks at [`Registry::forgotten`] whether one side lacks what the other no longer has.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::knowledge::{Incarnation, Knowledge, Source, StoreId};
use crate::stamp::{SiteId, Stamp};

/// What a store told of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The history that it is in.
    pub incarnation: Incarnation,
    /// When, by its own clock, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The number of its site.
    pub site: SiteId,
    /// The name of its site.
    pub name: String,
    /// What it contained: of others, and of itself up to its head. All marks that were there had been drained.
    pub contains: Knowledge,
}

/// A store that takes part, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it told last.
    pub told: Told,
    /// When somebody declared that it left, in milliseconds since the Unix epoch; 0 if nobody did.
    pub retired_at: u64,
}

impl Entry {
    /// Whether it left and has not been heard of since.
    pub fn is_retired(&self) -> bool {
        self.retired_at > 0 && self.retired_at >= self.told.at
    }
}

/// The graves of one history that may be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Up to which seq.
    pub seq: u64,
    /// The newest delete among them.
    pub latest: Stamp,
}

impl Forgotten {
    fn join(self, other: Forgotten) -> Self {
        Forgotten { seq: self.seq.max(other.seq), latest: self.latest.max(other.latest) }
    }
}

/// Graves of a store that nobody needs any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purgeable {
    /// Those up to this seq.
    pub upto: u64,
    /// But not those of these tables, which wait somewhere.
    pub except: BTreeSet<String>,
}

/// All stores that were heard of, and the graves that are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    entries: BTreeMap<StoreId, Entry>,
    forgotten: BTreeMap<Source, Forgotten>,
}

impl Registry {
    /// The stores.
    pub fn entries(&self) -> impl Iterator<Item = (StoreId, &Entry)> {
        self.entries.iter().map(|(store, entry)| (*store, entry))
    }

    /// Which graves may be gone: here, or at those that filled this store.
    pub fn forgotten(&self) -> impl Iterator<Item = (Source, Forgotten)> + '_ {
        self.forgotten.iter().map(|(source, forgotten)| (*source, *forgotten))
    }

    /// The graves of one history that may be gone.
    pub fn forgotten_of(&self, source: Source) -> Forgotten {
        self.forgotten.get(&source).copied().unwrap_or_default()
    }

    /// Records that graves of this history may be gone.
    pub fn forget(&mut self, source: Source, graves: Forgotten) {
        let entry = self.forgotten.entry(source).or_default();
        *entry = entry.join(graves);
    }

    /// The store tells anew, if it has something to tell and `interval` milliseconds have passed: at once, if it is new here,
    /// began another history, is called otherwise, or was taken for retired. Says whether it did.
    pub fn tell(&mut self, store: StoreId, mut told: Told, interval: u64) -> bool {
        let retired_at = self.entries.get(&store).map_or(0, |e| e.retired_at);
        if let Some(entry) = self.entries.get(&store) {
            if !is_due(entry, &told, interval) {
                return false;
            }
            // Whatever the clock says, the newer telling is the one that counts.
            told.at = told.at.max(entry.told.at.saturating_add(1)).max(retired_at.saturating_add(1));
        }
        self.entries.insert(store, Entry { told, retired_at });
        true
    }

    /// Somebody says that the store left. Nothing if it was never heard of.
    pub fn retire(&mut self, store: StoreId, at: u64) {
        if let Some(entry) = self.entries.get_mut(&store) {
            entry.retired_at = entry.retired_at.max(at).max(entry.told.at).max(1);
        }
    }

    /// Takes what another copy knows better.
    pub fn join(&mut self, other: &Registry) {
        for (store, theirs) in &other.entries {
            match self.entries.get_mut(store) {
                Some(ours) => {
                    ours.retired_at = ours.retired_at.max(theirs.retired_at);
                    if later(&theirs.told, &ours.told) == Ordering::Greater {
                        ours.told = theirs.told.clone();
                    }
                }
                None => drop(self.entries.insert(*store, theirs.clone())),
            }
        }
        other.forgotten.iter().for_each(|(source, graves)| self.forget(*source, *graves));
    }

    /// The stores that take part: not those that left, nor those in whose place their site has another one now.
    pub fn counted(&self) -> impl Iterator<Item = (StoreId, &Entry)> {
        self.entries().filter(|(store, entry)| !entry.is_retired() && !self.is_replaced(*store, entry))
    }

    /// Whether a site was here once and takes part no more.
    pub fn has_left(&self, site: SiteId) -> bool {
        let is_it = |(_, entry): &(StoreId, &Entry)| entry.told.site == site;
        self.entries().any(|entry| is_it(&entry)) && !self.counted().any(|entry| is_it(&entry))
    }

    /// Whether the site has another store now: it was prepared anew.
    pub fn is_replaced(&self, store: StoreId, entry: &Entry) -> bool {
        let is_newer = |(other, e): (StoreId, &Entry)| {
            e.told.site == entry.told.site && (e.told.at, other) > (entry.told.at, store) && !e.is_retired()
        };
        self.entries().any(is_newer)
    }

    /// Which graves of `own` nobody needs any more, if it contains this much: those that all others told they contain, when
    /// nothing that any of them contained then is missing here. Otherwise one could still be on its way here, or a row that
    /// was written without knowledge of it. Nothing where nobody else is known, or somebody is known who never told.
    pub fn purgeable(&self, own: Source, knows: &Knowledge) -> Option<Purgeable> {
        let others: Vec<&Told> = self.others(own).collect();
        let has_told = |source: Source| source.store == own.store || self.entries.contains_key(&source.store);
        let known = others.iter().map(|told| &told.contains).chain([knows]);
        if others.is_empty() || !known.clone().all(|k| k.positions().all(|(source, _)| has_told(source))) {
            return None;
        }
        if !others.iter().all(|told| knows.covers(&told.contains, own)) {
            return None;
        }
        let upto = others.iter().map(|told| told.contains.position(own).unwrap_or_default().seq).min()?;
        let except = known.flat_map(|k| k.all_held().map(|(_, table, _)| table.to_owned())).collect();
        Some(Purgeable { upto, except })
    }

    fn others(&self, own: Source) -> impl Iterator<Item = &Told> {
        self.counted().filter(move |(store, _)| *store != own.store).map(|(_, entry)| &entry.told)
    }
}

fn is_due(entry: &Entry, told: &Told, interval: u64) -> bool {
    let before = &entry.told;
    let has_moved = told.contains != before.contains && told.at.abs_diff(before.at) >= interval;
    let is_other = (told.incarnation, told.site, &told.name) != (before.incarnation, before.site, &before.name);
    told.incarnation >= before.incarnation && (entry.is_retired() || is_other || has_moved)
}

/// Which of two tellings counts. Two that seem to be of one moment (a store that runs twice) are told apart all the same.
fn later(a: &Told, b: &Told) -> Ordering {
    let place = |told: &Told| (told.incarnation, told.at);
    place(a).cmp(&place(b)).then_with(|| codec::pack_told(a).cmp(&codec::pack_told(b)))
}

/// Packs a registry: version, then entries and forgotten graves as counted lists.
pub fn pack(registry: &Registry) -> Vec<u8> {
    codec::pack_registry(&registry.entries, &registry.forgotten)
}

/// Unpacks what [`pack`] made.
///
/// # Errors
/// If these are other bytes.
pub fn unpack(bytes: &[u8]) -> Result<Registry, CodecError> {
    let (entries, forgotten) = codec::unpack_registry(bytes)?;
    Ok(Registry { entries, forgotten })
}

#[cfg(test)]
mod tests;
