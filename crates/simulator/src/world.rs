//! A run of a scenario: the sites, the rounds between them, and what happens to them. What must hold is in
//! [`crate::invariants`] and [`crate::oracle`].

mod rounds;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sync_core::{Knowledge, Position, Stamp};
use sync_database::declare;
use sync_engine::Memory;
use sync_store::Store;
use tempfile::TempDir;

use crate::application::{Did, Rows};
use crate::bugs::Bug;
use crate::clock::START;
use crate::clones::Clone;
use crate::failure::{Failure, Result};
use crate::scenario::{Manner, Scenario, Step, Transaction};
use crate::site::{Phase, Site};
use crate::tap::lock;
use crate::{invariants, oracle};

pub(crate) use rounds::Plan;

/// The sites of a scenario.
pub struct World {
    /// All of them.
    pub sites: Vec<Site>,
    /// The links between those that take part.
    pub links: Vec<(usize, usize)>,
    /// What is told of the run, if anybody wants to know.
    pub trace: Option<Vec<String>>,
    /// Whether a copy was put back.
    pub restored: bool,
    folder: TempDir,
    /// The real time, in milliseconds.
    pub(crate) now: i64,
    steps: usize,
    bug: Option<Bug>,
    /// Whether rows went without a mark, so that only a compare finds them.
    lost: bool,
    /// The sites that are not met, though they are there.
    away: BTreeSet<usize>,
    tells: Option<u64>,
    /// The copy that runs, or ran, beside its original.
    pub clone: Option<Clone>,
    /// How often a site's data were declared the truth for all.
    pub declared: usize,
    /// Whether rows are there from before, which bring back what was deleted where they come too late.
    old_rows: bool,
}

/// What a run did, for the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rounds that were begun.
    pub rounds: u64,
    /// Events of the application.
    pub events: u64,
    /// Conflicts in the list at the end.
    pub conflicts: u64,
    /// Sites that purged graves.
    pub forgetful: u64,
    /// Rounds that were refused because a site runs twice.
    pub twins: u64,
    /// What the sites hold at the end, as one number: the same for each run of a seed.
    pub print: u64,
}

/// Where databases are fast.
fn folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// Runs a scenario to its end and judges it. The trace is what happened so far, whatever the outcome.
pub fn run(scenario: &Scenario, bug: Option<Bug>, trace: bool) -> (Result<Counts>, Vec<String>) {
    let mut world = match World::new(scenario, bug, trace) {
        Ok(world) => world,
        Err(e) => return (Err(e), Vec::new()),
    };
    let result = world.live(scenario);
    (result, world.trace.take().unwrap_or_default())
}

impl World {
    fn new(scenario: &Scenario, bug: Option<Bug>, trace: bool) -> Result<Self> {
        let folder = TempDir::with_prefix_in("simulator", folder())?;
        let site = |i| Site::new(folder.path(), i, scenario, START, bug);
        let sites = (0..scenario.sites).map(site).collect::<Result<Vec<_>>>()?;
        let (links, trace) = (scenario.links.clone(), trace.then(Vec::new));
        Ok(World {
            sites,
            links,
            trace,
            restored: false,
            folder,
            now: START,
            steps: 0,
            bug,
            lost: false,
            away: BTreeSet::new(),
            tells: scenario.tells,
            clone: None,
            declared: 0,
            old_rows: !scenario.before.is_empty(),
        })
    }

    pub(crate) fn tell(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            // The folder has another name each time.
            trace.push(text().replace(&*self.folder.path().to_string_lossy(), ""));
        }
    }

    fn live(&mut self, scenario: &Scenario) -> Result<Counts> {
        let mut counts = Counts::default();
        self.tell(|| {
            format!("{} sites, links {:?}, clocks off by {:?} ms", scenario.sites, scenario.links, scenario.skews)
        });
        self.found(scenario)?;
        for (i, step) in scenario.steps.iter().enumerate() {
            counts.rounds += u64::from(matches!(step, Step::Round { .. }));
            self.step(step).map_err(|e| e.during(&format!("at step {}: {step}", i + 1)))?;
        }
        self.settle().map_err(|e| e.during("when all was to become quiet"))?;
        invariants::check(self)?;
        counts.conflicts = oracle::judge(self)?;
        counts.events = self.sites.iter().map(|s| lock(&s.application).log.len() as u64).sum();
        counts.forgetful = self.forgetful()?;
        counts.twins = self.clone.as_ref().map_or(0, |clone| clone.refused);
        counts.print = invariants::print(self)?;
        Ok(counts)
    }

    /// The rows from before, and the sites that are there from the beginning.
    fn found(&mut self, scenario: &Scenario) -> Result<()> {
        for (at, transaction) in &scenario.before {
            for i in 0..self.sites.len() {
                match at {
                    None => lock(&self.sites[i].application).fill(transaction, i == 0)?,
                    Some(site) if *site == i => drop(self.sites[i].write(transaction)?),
                    Some(_) => {}
                }
            }
            let spoken: Vec<_> = self.sites.iter().map(|s| lock(&s.application).spoken()).collect();
            let spoken = &spoken[at.unwrap_or(0)];
            self.tell(|| {
                format!("before, at {}: {}", at.map_or("all".to_owned(), |i| i.to_string()), spoken.join("; "))
            });
        }
        self.sites[..scenario.founders].iter_mut().try_for_each(Site::join)
    }

    pub(crate) fn is_active(&self, site: usize) -> bool {
        self.sites[site].phase == Phase::Active
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        self.set_clocks();
        self.steps += 1;
        let number = self.steps;
        self.tell(|| format!("{number}. {step}"));
        match step {
            Step::Write { site, transaction } => self.write(*site, transaction),
            Step::Begin { site, transaction } => {
                let ended = lock(&self.sites[*site].application).begin(transaction)?;
                let spoken = lock(&self.sites[*site].application).spoken();
                self.tell(|| format!("  open, {ended:?}: {}", spoken.join("; ")));
                Ok(())
            }
            Step::Round { link, manner, fault, meanwhile, pieces, twice } => {
                let Some(link) = self.links.get(*link).copied() else { return Ok(()) };
                let (fault, pieces, twice) = (*fault, *pieces, *twice);
                let plan = Plan { fault, meanwhile, pieces, twice, ..Plan::plain(link, *manner) };
                self.try_round(&plan)
            }
            Step::Wait(millis) => self.wait(*millis),
            Step::Clock { site, by } => {
                self.sites[*site].skew += by;
                Ok(())
            }
            Step::Join => match self.sites.iter_mut().find(|s| s.phase == Phase::Waiting) {
                Some(site) => site.join(),
                None => Ok(()),
            },
            Step::Return { site } => {
                self.away.remove(site);
                Ok(())
            }
            Step::Clone { .. }
            | Step::AtCopy { .. }
            | Step::CopyMeets { .. }
            | Step::ForceCopy { .. }
            | Step::EndClone { .. } => self.clone_step(step),
            Step::Reopen { site }
            | Step::Backup { site }
            | Step::Restore { site }
            | Step::Upgrade { site }
            | Step::Truncate { site, .. }
            | Step::Retire { site }
            | Step::Away { site }
            | Step::Declare { site, .. }
            | Step::PutBack { site, .. } => {
                if self.is_active(*site) {
                    self.at_site(*site, step)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn at_site(&mut self, at: usize, step: &Step) -> Result<()> {
        let site = &mut self.sites[at];
        match step {
            Step::Reopen { .. } => site.reopen(),
            Step::Backup { .. } => {
                site.back_up(self.folder.path())?;
                // No copy is made between two writes of one millisecond: what is written after it is later than what is in it.
                self.wait(1)
            }
            Step::Restore { .. } => {
                self.restored |= site.restore()?;
                // It takes a while; what is written after it has other stamps than what was lost.
                self.wait(1_000)
            }
            Step::Upgrade { .. } => lock(&site.application).upgrade().map(drop),
            Step::Truncate { table, .. } => {
                lock(&site.application).truncate(*table)?;
                self.lost = true;
                Ok(())
            }
            Step::Retire { .. } => self.retire(at),
            Step::Away { .. } => self.leave(at),
            Step::PutBack { pick, .. } => self.put_back(at, *pick),
            Step::Declare { dies, .. } => self.declare(at, *dies),
            _ => Ok(()),
        }
    }

    fn set_clocks(&mut self) {
        for site in &self.sites {
            site.clock.set(self.now + site.skew);
        }
    }

    /// What takes long is begun anew: a process reads its server's clock now and then, and counts on by its own.
    pub(crate) fn wait(&mut self, millis: i64) -> Result<()> {
        self.now += millis;
        self.set_clocks();
        if millis >= 1000 {
            self.sites.iter_mut().filter(|s| s.phase == Phase::Active).try_for_each(Site::reopen)?;
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, site: usize, transaction: &Transaction) -> Result<()> {
        let ended = self.sites[site].write(transaction)?;
        let spoken = lock(&self.sites[site].application).spoken();
        self.tell(|| format!("  {ended:?}: {}", spoken.join("; ")));
        Ok(())
    }

    /// Somebody puts a losing value back.
    fn put_back(&mut self, at: usize, pick: u32) -> Result<()> {
        let site = &mut self.sites[at];
        lock(&site.application).end()?;
        let before = lock(&site.application).rows()?;
        let store = site.store()?;
        store.drain()?;
        let mut list = store.conflicts()?;
        list.sort_by(|a, b| a.id.cmp(&b.id));
        if list.is_empty() {
            return Ok(());
        }
        let entry = &list[pick as usize % list.len()];
        let (table, key, losing) = (&entry.table, &entry.key, &entry.losing);
        let told = format!(
            "  {} of {table} {key:?}, {losing:?}: {:?}",
            entry.kind,
            store.restore(&entry.id).map_err(|e| e.message)
        );
        let after: Rows = lock(&site.application).rows()?;
        lock(&site.application).note(&before, &after);
        self.tell(|| told);
        Ok(())
    }

    /// What a site shows is declared the truth for all; where the site dies meanwhile, it is done again.
    fn declare(&mut self, at: usize, dies: Option<u32>) -> Result<()> {
        let site = &mut self.sites[at];
        lock(&site.application).end()?;
        lock(&site.tap).reset(dies.map(|n| (n, false)), Vec::new());
        let done = declare::declare(site.store()?, &[], &mut |_, _| Ok(()));
        let died = lock(&site.tap).dead;
        site.reopen()?;
        match done {
            Err(e) if !died => return Err(Failure::new(format!("nothing can be declared: {e:?}"))),
            Err(_) => drop(declare::declare(site.store()?, &[], &mut |_, _| Ok(()))?),
            Ok(_) => {}
        }
        self.declared += 1;
        self.tell(|| format!("  declared{}", if died { ", the second time" } else { "" }));
        Ok(())
    }

    /// After a last round with a neighbour; the others are linked with each other instead.
    fn retire(&mut self, site: usize) -> Result<()> {
        let active = |w: &World, (a, b): (usize, usize)| w.is_active(a) && w.is_active(b);
        let own: Vec<(usize, usize)> =
            self.links.iter().copied().filter(|l| (l.0 == site || l.1 == site) && active(self, *l)).collect();
        let last = own.iter().find(|(a, b)| self.can_meet(*a) && self.can_meet(*b));
        let (Some(last), true) = (last, self.sites.iter().all(|s| s.phase != Phase::Waiting)) else {
            return Ok(());
        };
        // Who leaves for ever ends first what it has begun: the last round takes it along.
        lock(&self.sites[site].application).end()?;
        if self.sites.iter().filter(|s| s.phase == Phase::Active).count() < 3
            || self.round(&Plan::plain(*last, Manner::Plain)).is_err()
        {
            return Ok(());
        }
        let neighbour = if last.0 == site { last.1 } else { last.0 };
        self.declare_retired(site, neighbour)?;
        self.sites[site].phase = Phase::Retired;
        let added = lock(&self.sites[site].application).added.len();
        self.sites[site].added = added;
        self.links.retain(|(a, b)| *a != site && *b != site);
        let mut neighbours: Vec<usize> = own.iter().map(|(a, b)| if *a == site { *b } else { *a }).collect();
        neighbours.sort_unstable();
        neighbours.dedup();
        self.links.extend(neighbours.windows(2).map(|pair| (pair[0], pair[1])));
        self.tell(|| format!("  retired; links {own:?} are gone"));
        Ok(())
    }

    /// Somebody at another site says that this one left.
    fn leave(&mut self, site: usize) -> Result<()> {
        let Some(other) = (0..self.sites.len()).find(|i| *i != site && self.can_meet(*i)) else { return Ok(()) };
        if self.away.insert(site) {
            self.sites[site].look();
            let known = &self.sites[other].here;
            let first = (0..self.sites[site].logged()).find(|i| !known.contains(&(site, *i)));
            let from = first.unwrap_or(self.sites[site].logged());
            self.sites[site].apart.push(from..usize::MAX);
        }
        self.declare_retired(site, other)
    }

    fn declare_retired(&mut self, site: usize, at: usize) -> Result<()> {
        let store = self.sites[site].store()?.source().store;
        let now = (self.now / 1000).unsigned_abs();
        let there = self.sites[at].store()?;
        let mut registry = there.registry()?;
        registry.retire(store, now);
        there.register(&registry)?;
        self.tell(|| format!("  declared at {at} to have left"));
        Ok(())
    }

    /// Faults end, clocks are right, upgrades are finished; then all links run until nothing moves.
    fn settle(&mut self) -> Result<()> {
        self.tell(|| "all faults end".to_owned());
        let ahead = self.sites.iter().map(|s| s.skew).max().unwrap_or_default().max(0);
        self.now += ahead + 60_000;
        self.sites.iter_mut().for_each(|s| s.skew = 0);
        self.away.clear();
        self.end_clone_at_last()?;
        if self.active().count() < 2 {
            self.sites.iter_mut().filter(|s| s.phase == Phase::Waiting).try_for_each(Site::join)?;
        }
        self.wait(60_000 + 100_000_000)?;
        for site in self.sites.iter_mut().filter(|s| s.phase == Phase::Active) {
            lock(&site.application).end()?;
            while lock(&site.application).upgrade()?.is_some() {}
            site.reopen()?;
        }
        self.links.retain(|(a, b)| self.sites[*a].phase == Phase::Active && self.sites[*b].phase == Phase::Active);
        let active = self.sites.iter().filter(|s| s.phase == Phase::Active).count();
        let compares = if self.lost { active } else { 0 };
        for pass in 0..=3 * active + 3 {
            let before = (self.heads()?, self.knowledge()?);
            let manner = if pass < compares { Manner::Init } else { Manner::Plain };
            self.pass(manner)?;
            if pass >= compares && (self.heads()?, self.knowledge()?) == before {
                return Ok(());
            }
        }
        let restless = self.restless()?;
        Err(Failure::new(format!("quiescence is not reached; still moving: {restless}")))
    }

    /// What one more pass does to the lines of the sites, for whoever looks into it.
    fn restless(&mut self) -> Result<String> {
        let before = invariants::all_lines(self)?;
        self.pass(Manner::Plain)?;
        let after = invariants::all_lines(self)?;
        let moved = after.into_iter().filter(|line| !before.contains(line)).take(6);
        Ok(moved.collect::<Vec<_>>().join("; "))
    }

    /// Those that take part.
    pub fn active(&mut self) -> impl Iterator<Item = &mut Site> {
        self.sites.iter_mut().filter(|s| s.phase == Phase::Active)
    }

    /// The head of each history.
    pub fn heads(&mut self) -> Result<Vec<Position>> {
        self.active().map(|s| Ok(s.store()?.describe()?.head)).collect()
    }

    /// When graves are forgotten: not before all sites have met, if what they had before can come back.
    fn memory(&mut self) -> Result<Memory> {
        let count = self.sites.len();
        let mut keep = if self.tells.is_some() { KEEP } else { FOR_EVER };
        for site in self.sites.iter_mut().filter(|_| self.old_rows) {
            if site.phase == Phase::Waiting || site.phase == Phase::Active && site.heard_of()? + 1 < count {
                keep = FOR_EVER;
            }
        }
        let interval = self.tells.map_or(Memory::default().tell, Duration::from_millis);
        Ok(Memory { tell: interval, keep })
    }

    /// How many sites purged graves.
    fn forgetful(&mut self) -> Result<u64> {
        let forgets = |s: &mut Site| {
            let store = s.store()?;
            Ok(u64::from(store.registry()?.forgotten_of(store.source()).latest != Stamp::NEVER))
        };
        self.active().map(forgets).sum()
    }

    /// What each site knows.
    pub fn knowledge(&mut self) -> Result<Vec<Knowledge>> {
        self.active().map(|s| Ok(s.store()?.knowledge()?)).collect()
    }

    /// Rows that were ever lost without a mark.
    pub fn fragile(&self) -> BTreeSet<(usize, String)> {
        let mut keys = BTreeSet::new();
        for site in &self.sites {
            let application = lock(&site.application);
            keys.extend(application.log.iter().filter(|e| e.did == Did::Lose).map(|e| (e.table, e.key.clone())));
        }
        keys
    }

    /// The folder of all databases.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Longer than clocks are ever off: a grave that is forgotten must be older than whatever is written after it.
const KEEP: Duration = Duration::from_secs(6 * 3600);
/// Longer than any history.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
