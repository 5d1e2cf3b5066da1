//! A copy of a site's database that runs beside its original, under its name and number, until somebody finds out. Then it is
//! stopped for ever; or it sends what it has, and becomes a site of its own. What must hold meanwhile: whoever goes on in a
//! history that its twin has left is refused, by name.

use sync_core::{Incarnation, Knowledge, Source};
use sync_engine::{EngineError, Kind, RoundReport};
use sync_store::Store;

use crate::application::Event;
use crate::failure::{Failure, Result};
use crate::invariants::{self, Fragile};
use crate::scenario::{Manner, Step};
use crate::site::Phase;
use crate::tap::lock;
use crate::world::{Plan, World};

/// A copy and its original.
pub struct Clone {
    /// The site.
    pub original: usize,
    /// Its copy.
    pub copy: usize,
    /// How many events of the original are in both.
    fork: usize,
    /// The rows that the original had written to and not stamped when it was copied.
    unstamped: Fragile,
    /// How many events of the copy are from when it had the name of the original; all until that ends.
    until: usize,
    /// The neighbours that it has as the original.
    neighbours: Vec<usize>,
    /// Whether somebody found out.
    ended: bool,
    /// Rounds that were refused.
    pub refused: u64,
}

impl Clone {
    /// Whether copy and original both wrote to the row of this event while both had one name.
    ///
    /// Where the copies of a row from before synchronisation differ, the first contact writes one of them again: the copy does that
    /// without anybody's writing. `before` says how many events of each site are from before.
    pub fn is_forked(&self, logs: &[Vec<Event>], before: &[usize], site: usize, i: usize) -> bool {
        let event = &logs[site][i];
        let same = |other: &Event| (other.table, &other.key) == (event.table, &event.key);
        let mut differs = logs.iter().zip(before).filter(|(log, count)| log.iter().take(**count).any(same));
        let (copied, original) = (&logs[self.copy], &logs[self.original]);
        let is_unstamped = self.unstamped.contains(&(event.table, event.key.clone()));
        let as_original = &copied[..self.until.min(copied.len())];
        match site {
            // What was not stamped when the original was copied is the copy's as well. A row that the original deletes before
            // anybody has heard of it leaves no grave, and comes from the copy.
            _ if site == self.original && i >= self.fork => {
                is_unstamped || as_original.iter().any(same) || differs.next().is_some()
            }
            // What the copy wrote under the original's name. The original may have stamped the row since: somebody wrote to it there,
            // or a first contact decided about it.
            _ if site == self.copy && i < self.until => {
                is_unstamped || original[self.fork..].iter().any(same) || differs.next().is_some()
            }
            _ => false,
        }
    }

    fn concerns(&self, (m, s): (usize, usize)) -> bool {
        [m, s].iter().any(|site| [self.original, self.copy].contains(site))
    }
}

/// The histories of the twins of a round before it, and what the other side knew of them.
pub(crate) type Twins = Vec<(usize, Source, Option<Incarnation>)>;

impl World {
    /// What has to do with the copy.
    pub(crate) fn clone_step(&mut self, step: &Step) -> Result<()> {
        if let Step::Clone { site } = step {
            return self.make_clone(*site);
        }
        let Some(copy) = self.clone.as_ref().map(|c| c.copy).filter(|copy| self.is_active(*copy)) else {
            return Ok(());
        };
        match step {
            Step::AtCopy { transaction } => {
                self.write(copy, transaction)?;
                self.apart_in_time()
            }
            Step::CopyMeets { pick, is_master, fault } => {
                let Some(other) = self.neighbour(*pick) else { return Ok(()) };
                let link = if *is_master { (copy, other) } else { (other, copy) };
                self.try_round(&Plan { fault: *fault, ..Plan::plain(link, Manner::Plain) })?;
                self.apart_in_time()
            }
            Step::ForceCopy { pick } => {
                let Some(other) = self.neighbour(*pick) else { return Ok(()) };
                self.try_round(&Plan { force: true, ..Plan::plain((copy, other), Manner::Plain) })?;
                self.apart_in_time()
            }
            Step::EndClone { keeps } => self.end_clone(*keeps),
            _ => Ok(()),
        }
    }

    /// Two that write under one name never do so in the same millisecond.
    fn apart_in_time(&mut self) -> Result<()> {
        self.wait(1_009)
    }

    fn make_clone(&mut self, site: usize) -> Result<()> {
        if self.clone.is_some() || !self.is_active(site) {
            return Ok(());
        }
        let (copy, now) = (self.sites.len(), self.now);
        let folder = self.folder().to_owned();
        lock(&self.sites[site].application).end()?;
        let unstamped = invariants::unstamped(lock(&self.sites[site].application).connection())?;
        let cloned = self.sites[site].cloned(&folder, copy, now)?;
        let own = self.links.iter().filter(|(a, b)| *a == site || *b == site);
        let neighbours = own.map(|(a, b)| if *a == site { *b } else { *a }).collect();
        let fork = self.sites[site].logged();
        self.sites.push(cloned);
        self.clone = Some(Clone {
            original: site,
            copy,
            fork,
            unstamped,
            until: usize::MAX,
            neighbours,
            ended: false,
            refused: 0,
        });
        // What it did is found out when the two next meet somebody, as with a copy that is put back.
        self.restored = true;
        self.apart_in_time()
    }

    fn neighbour(&self, pick: u32) -> Option<usize> {
        let clone = self.clone.as_ref()?;
        let there: Vec<usize> = clone.neighbours.iter().copied().filter(|n| self.can_meet(*n)).collect();
        (!there.is_empty()).then(|| there[pick as usize % there.len()])
    }

    /// Somebody found out.
    fn end_clone(&mut self, keeps: bool) -> Result<()> {
        let neighbour = self.neighbour(0);
        let Some(clone) = self.clone.as_mut().filter(|clone| !clone.ended) else { return Ok(()) };
        let (copy, original) = (clone.copy, clone.original);
        clone.ended = true;
        lock(&self.sites[copy].application).end()?;
        match neighbour.filter(|_| keeps) {
            Some(other) => self.make_own(copy, other)?,
            None => self.sites[copy].phase = Phase::Retired,
        }
        self.sites[original].look();
        self.tell(|| format!("  it was a copy of {original}"));
        self.apart_in_time()
    }

    /// As the manual says: a last round with `-force`, which sends all that was written there, then a name and number.
    fn make_own(&mut self, copy: usize, other: usize) -> Result<()> {
        lock(&self.sites[other].application).end()?;
        self.round(&Plan { force: true, ..Plan::plain((copy, other), Manner::Plain) })?;
        self.sites[copy].adopt()?;
        self.sites[copy].look();
        let until = self.sites[copy].logged();
        if let Some(clone) = &mut self.clone {
            clone.until = until;
        }
        self.links.push((copy, other));
        Ok(())
    }

    /// Before all has to become quiet.
    pub(crate) fn end_clone_at_last(&mut self) -> Result<()> {
        match &self.clone {
            Some(clone) if !clone.ended => self.end_clone(true),
            _ => Ok(()),
        }
    }

    /// Whether somebody goes on with `-force`, as it is known now which of the two is right.
    pub(crate) fn ended_clone(&self, link: (usize, usize)) -> bool {
        self.clone.as_ref().is_some_and(|clone| clone.ended && clone.concerns(link))
    }

    /// The twins of a round, as they are before it.
    pub(crate) fn twins_of(&mut self, plan: &Plan) -> Result<Twins> {
        let Some((original, copy)) = self.clone.as_ref().filter(|c| !c.ended).map(|c| (c.original, c.copy)) else {
            return Ok(Twins::new());
        };
        let (m, s) = plan.link;
        let mut twins = Twins::new();
        for (site, other) in [(m, s), (s, m)].into_iter().filter(|(site, _)| [original, copy].contains(site)) {
            let Some(source) = self.sites[site].source() else { continue };
            let known: Knowledge = self.sites[other].store()?.knowledge()?;
            twins.push((site, source, known.latest(source.store)));
        }
        Ok(twins)
    }

    /// Whoever goes on in a history that its twin has left is refused by name, or takes a new one.
    pub(crate) fn judge_twins(
        &mut self,
        plan: &Plan,
        before: &Twins,
        outcome: &std::result::Result<RoundReport, EngineError>,
    ) -> Result<()> {
        let Some(clone) = self.clone.as_mut().filter(|_| !before.is_empty()) else { return Ok(()) };
        let name = self.sites[clone.original].name();
        match outcome {
            Err(e) if e.kind == Kind::Halt && e.message.contains("seems to run twice") => {
                clone.refused += 1;
                match e.message.contains(name) {
                    true => Ok(()),
                    false => Err(Failure::new(format!("a twin is refused without its name: {e}"))),
                }
            }
            Ok(_) if plan.manner != Manner::Dry => {
                let goes_on = |(site, source, latest): &&(usize, Source, Option<Incarnation>)| {
                    latest.is_some_and(|l| l > source.incarnation) && self.sites[*site].source() == Some(*source)
                };
                match before.iter().find(goes_on) {
                    None => Ok(()),
                    Some((site, ..)) => Err(Failure::new(format!("a site runs twice, and nobody says so: {site}"))),
                }
            }
            _ => Ok(()),
        }
    }
}
