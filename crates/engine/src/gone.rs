//! Rows that were deleted elsewhere while this site was away, and of which nobody has the grave any more: how a compare tells
//! them from new ones, and how they are deleted here. What makes it look for them is told in [`crate::graves`].
//!
//! A row that only one side has was deleted if the other side contains it by what it knows, and has no line of it: a store
//! has a line of every row it ever heard of, but for purged graves and rows from before, which both had. So it was if the
//! other side has a grave of it that does not know what it is by now. After the row's
//! store was restored from a backup it can be unknown how far the other contains it. Then what is older than the newest
//! delete that was forgotten is taken for deleted, and listed, so that it can be put back. The same goes for what a store has from
//! such a one, as far as the other side contains as much of whoever sent it. All else is new. Where it is older
//! than deletes that were forgotten, it is written anew: a third site could still have a grave that it would lose against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sync_core::{Knowledge, Stamp, Value, key};
use sync_store::{Applied, Burial, Standing, Standpoint};

use crate::brake;
use crate::compare::{Differences, Keys, Reaches, Review, Side, Traffic};
use crate::error::{EngineError, Kind, Result};
use crate::parties::Parties;
use crate::report::{Direction, RoundReport};
use crate::round::Options;

/// By what a row that only one store has is told to be deleted.
#[derive(Clone, Debug, Default)]
pub struct Lost {
    /// The tables of which the other side may have forgotten graves that this store does not know.
    pub tables: BTreeSet<String>,
    /// Whether the sides had met: then the other had the rows from before.
    pub met: bool,
    /// The newest delete among the graves that the other side has forgotten.
    pub latest: Stamp,
    /// Whether this store was restored from a backup.
    pub restored: bool,
    /// What the two know of others.
    pub known: Arc<Known>,
}

/// What becomes of a row that only one store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was deleted at the other side.
    Buried(Burial),
    /// The other side does not know it: it is written now, so that no grave which is still somewhere wins over it.
    Renewed,
}

/// What a store and the other side contain.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What it contains.
    pub knows: Knowledge,
    /// What the other side contains.
    pub other_knows: Knowledge,
}

impl Lost {
    /// What becomes of a row of this store, if the other side has no line of it, or an older one; nothing if it is treated like any other.
    pub fn fate(&self, table: &str, key: &[Value], (here, there): (&Standing, &Standing)) -> Option<Fate> {
        let is_only_here = here.hash.is_some() && there.hash.is_none() && !here.unmarked;
        // What the other contains and its grave has not heard of, it was told with a delete that it has forgotten.
        let is_behind = |grave: &Standpoint| here.line.as_ref().is_some_and(|own| !grave.covers(own));
        let has_grave = there.line.is_some();
        let is_open = there.line.as_ref().map_or(!there.travels, is_behind);
        if !self.tables.contains(table) || !is_only_here || !is_open {
            return None;
        }
        let bury =
            |doubtful| Fate::Buried(Burial { key: key.to_vec(), seq: here.line.as_ref().map(|l| l.seq), doubtful });
        match &here.line {
            // Its mark says more than is known yet.
            None if here.travels => None,
            None if self.met => Some(bury(false)),
            None => Some(Fate::Renewed),
            Some(_) if !here.travels => Some(bury(false)),
            Some(line) if line.inserted > self.latest => None,
            // One of its own may be a write beside that grave.
            Some(line) if has_grave && line.origin.is_none() => None,
            Some(line) if self.contains(table, line) => Some(bury(true)),
            Some(_) if has_grave => None,
            Some(_) => Some(Fate::Renewed),
        }
    }

    /// Whether the other side has heard as much of whoever the row came from. Only a store that was restored can have
    /// forgotten that the other knows what it wrote itself.
    fn contains(&self, table: &str, line: &Standpoint) -> bool {
        let Some(of) = line.origin else { return self.restored };
        let Known { knows, other_knows } = self.known.as_ref();
        let is_known = self.restored || knows.position(of).is_some();
        is_known && other_knows.table_seq(of, table) >= knows.table_seq(of, table)
    }
}

/// The rows of each table and side that are to be deleted, and how many rows there are.
#[derive(Default)]
pub(crate) struct Gone {
    tables: BTreeMap<(String, usize), (Keys, u64)>,
}

impl Gone {
    /// Takes note of those among what was found in a table that has so many rows at each side.
    pub fn note(&mut self, table: &str, rows: [u64; 2], differences: &Differences) -> Result<()> {
        for (side, burials) in differences.gone.iter().enumerate().filter(|(_, burials)| !burials.is_empty()) {
            let (keys, _) =
                self.tables.entry((table.to_owned(), side)).or_insert_with(|| (Keys::default(), rows[side]));
            burials.iter().try_for_each(|burial| keys.add(&key::pack(&burial.key)))?;
        }
        Ok(())
    }

    /// Takes others.
    pub fn add(&mut self, other: Gone) {
        self.tables.extend(other.tables);
    }

    /// Deletes them, unless they are so many that a person has to decide. Each is looked at again.
    pub fn bury(
        self,
        parties: &mut Parties,
        options: &Options,
        reaches: &Reaches,
        report: &mut RoundReport,
    ) -> Result<()> {
        if !options.force {
            self.check(parties, options)?;
        }
        let mut traffic = Traffic::default();
        for ((table, side), (keys, _)) in self.tables {
            let mut review = Review::of(&table, keys)?;
            while let Some(mut differences) = review.next(&mut parties.pair(), reaches, &mut traffic)? {
                let direction = if side == Side::Master as usize { Direction::Pull } else { Direction::Push };
                let applied = bury(parties, &table, direction, &std::mem::take(&mut differences.gone[side]))?;
                report.applied(direction).add(applied);
            }
        }
        Ok(())
    }

    fn check(&self, parties: &Parties, options: &Options) -> Result<()> {
        let excessive =
            self.tables.iter().find(|(_, (keys, rows))| brake::is_excessive(keys.count(), *rows, &options.brake));
        let Some(((table, side), (keys, rows))) = excessive else { return Ok(()) };
        let names = [&parties.about.master.site_name, &parties.about.slave.site_name];
        let (count, here, there) = (keys.count(), names[*side], names[1 - *side]);
        Err(EngineError::new(
            Kind::Halt,
            format!(
                "{count} of {} at {here} were deleted at {there} long ago: that is more than a round may delete",
                options.brake.named(table, *rows)
            ),
        )
        .hint(format!(
            "if that is right, run once with -force; if not, restore them there first ({})",
            options.brake.settings()
        )))
    }
}

fn bury(parties: &mut Parties, table: &str, direction: Direction, rows: &[Burial]) -> Result<Applied> {
    if rows.is_empty() {
        return Ok(Applied::default());
    }
    let clock = parties.about.master.clock_micros.min(parties.about.slave.clock_micros) / 1000;
    let (mode, now) = (parties.mode, u64::try_from(clock).unwrap_or_default());
    Ok(parties.stores(direction).1.bury(table, rows, now, mode)?)
}
