//! A run of a scenario, and what must hold: all sites are equal in the end and nothing moves any more; no path ever shows what
//! nobody wrote; what an application wrote and none destroyed is there; a directory that vanished deletes nothing.

mod oracle;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_engine::documents::{DocumentsReport, round_documents};
use sync_engine::handshake::Expectation;
use sync_engine::{EngineError, Kind, Options};
use sync_tree::Slip;
use tempfile::TempDir;

use super::action::Action;
use super::desktop::Journal;
use super::scenario::{Damage, Event, Part, Scenario, Step};
use super::site::{Listing, Site, copy_all, remove};
use crate::clock::{START, still};
use crate::failure::{Failure, Result};
use crate::site::{VD, name};
use crate::tap::lock;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rounds that were begun.
    pub rounds: u64,
    /// Contents that were written.
    pub contents: u64,
    /// Copies of concurrent edits at the end.
    pub copies: u64,
    /// Paths at the end.
    pub paths: u64,
}

impl Counts {
    /// With those of another run.
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.contents += other.contents;
        self.copies += other.copies;
        self.paths += other.paths;
    }
}

struct World {
    sites: Vec<Site>,
    links: Vec<(usize, usize)>,
    journal: Arc<Mutex<Journal>>,
    trace: Option<Vec<String>>,
    counts: Counts,
    /// Whether anything failed at a disk, or a round, so far.
    had_faults: bool,
    now: i64,
    folder: TempDir,
}

/// Rounds of all links before it is said that there is no rest.
const PATIENCE: usize = 25;

/// After so long a content that nobody has is given up, whoever wrote it, in milliseconds.
const LONG: i64 = 31 * 24 * 3_600_000;

/// Runs a scenario to its end and judges it. The trace is what happened so far, whatever the outcome.
pub fn run(scenario: &Scenario, slip: Option<Slip>, trace: bool) -> (Result<Counts>, Vec<String>) {
    let mut world = match World::new(scenario, slip, trace) {
        Ok(world) => world,
        Err(e) => return (Err(e), Vec::new()),
    };
    let result = world.live(scenario);
    (result, world.trace.take().unwrap_or_default())
}

fn memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

impl World {
    fn new(scenario: &Scenario, slip: Option<Slip>, trace: bool) -> Result<Self> {
        let folder = TempDir::with_prefix_in("trees", memory())?;
        let journal = Arc::default();
        let site = |i: usize| Site::new(folder.path(), i, scenario, START, slip, &journal);
        let sites = (0..scenario.sites).map(site).collect::<Result<_>>()?;
        let trace = trace.then(Vec::new);
        Ok(World {
            sites,
            links: scenario.links.clone(),
            journal,
            trace,
            counts: Counts::default(),
            had_faults: false,
            now: START,
            folder,
        })
    }

    fn tell(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(text());
        }
    }

    fn live(&mut self, scenario: &Scenario) -> Result<Counts> {
        self.tell(|| {
            format!("{} sites, links {:?}, clocks off by {:?} ms", scenario.sites, scenario.links, scenario.skews)
        });
        for (site, action) in &scenario.before {
            self.act(*site, action);
        }
        for (i, step) in scenario.steps.iter().enumerate() {
            self.tell(|| format!("{}: {step}", i + 1));
            self.step(step).map_err(|e| e.during(&format!("at step {}: {step}", i + 1)))?;
            self.pass(50);
        }
        self.settle().map_err(|e| e.during("when all was to become quiet"))?;
        self.judge()?;
        self.afterwards().map_err(|e| e.during("when all went on afterwards"))?;
        self.counts.contents = lock(&self.journal).contents.len() as u64;
        Ok(self.counts)
    }

    fn pass(&mut self, millis: i64) {
        self.now += millis;
        for site in &self.sites {
            site.clock.set(self.now + site.skew);
        }
    }

    fn act(&mut self, site: usize, action: &Action) {
        let did = lock(&self.sites[site].desktop).act(action);
        self.tell(|| format!("   {} {did}", name(site)));
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Act { site, actions } => actions.iter().for_each(|action| self.act(*site, action)),
            Step::Round { link, events } => return self.round_with(*link, events),
            Step::Wait(millis) => self.pass(*millis),
            Step::Clock { site, by } => self.sites[*site].skew += by,
            Step::Reopen { site } => self.sites[*site].close(),
            Step::Backup { site } => return self.sites[*site].backup(),
            Step::Restore { site, part } => return self.restore(*site, *part),
            Step::DeleteIndex { site } => self.sites[*site].delete_index(),
            Step::Damage { site, damage } => return self.damage(*site, *damage),
        }
        Ok(())
    }

    /// A round in which things happen. Whatever comes of it, nobody sees half a file.
    fn round_with(&mut self, link: usize, events: &[Event]) -> Result<()> {
        let (master, slave) = self.links[link];
        for (site, at_slave) in [(master, false), (slave, true)] {
            let mine = events.iter().filter(|event| event.at_slave == at_slave);
            self.sites[site].disk.plan(mine.cloned().collect());
        }
        let outcome = self.watched_round(master, slave)?;
        self.tell(|| told(&outcome));
        for site in [master, slave] {
            let (met, is_dead) = self.sites[site].disk.ended();
            self.tell(|| format!("   {}: {met:?}", name(site)));
            if is_dead {
                self.sites[site].bury();
            }
            self.all_was_written(site)?;
        }
        match outcome {
            Err(e) if e.kind == Kind::Halt && events.is_empty() => Err(Failure::from(e)),
            _ => Ok(()),
        }
    }

    /// A round, after which at each side where nothing happened meanwhile all is there that nobody destroyed.
    fn watched_round(
        &mut self,
        master: usize,
        slave: usize,
    ) -> Result<std::result::Result<DocumentsReport, EngineError>> {
        [master, slave].into_iter().try_for_each(|site| self.forgive_backdated(site))?;
        let before = [self.places(|i| i == master)?, self.places(|i| i == slave)?];
        let outcome = self.round(master, slave);
        [master, slave].into_iter().try_for_each(|site| self.sites[site].nothing_overlooked())?;
        let is_good = |site: usize| self.sites[site].disk.was_good();
        let has_faults = outcome.is_err() || ![master, slave].into_iter().all(is_good);
        self.had_faults |= has_faults;
        for (site, before) in [master, slave].into_iter().zip(before) {
            if is_good(site) {
                self.nothing_vanished(site, &before, has_faults)?;
            }
        }
        Ok(outcome)
    }

    fn round(&mut self, master: usize, slave: usize) -> std::result::Result<DocumentsReport, EngineError> {
        self.counts.rounds += 1;
        let expected = Expectation {
            slave: name(slave),
            remote_vd: VD.to_owned(),
            minimum: None,
            max_clock_difference: Duration::from_secs(30 * 24 * 3600),
        };
        let [a, b] =
            self.sites.get_disjoint_mut([master, slave]).map_err(|e| EngineError::new(Kind::Failure, e.to_string()))?;
        let options = Options { steady: still, ..Options::expecting(expected) };
        round_documents(a.tree()?, b.tree()?, &options, &mut ())
    }

    /// What says that it was modified earlier than it was is not told from an old content without an index.
    fn forgive_backdated(&mut self, site: usize) -> Result<()> {
        if self.sites[site].index().exists() {
            return Ok(());
        }
        let (here, elsewhere) = (self.contents(|i| i == site)?, self.contents(|i| i != site)?);
        let mut journal = lock(&self.journal);
        let is_backdated = |content: &&Vec<u8>| journal.contents.get(*content).is_some_and(|written| written.backdated);
        let lost: Vec<&Vec<u8>> = here.difference(&elsewhere).filter(is_backdated).collect();
        lost.into_iter().for_each(|content| journal.destroy(content));
        Ok(())
    }

    /// What is nowhere else goes with the state that is replaced; what is put back may be known as destroyed.
    fn restore(&mut self, site: usize, part: Part) -> Result<()> {
        let elsewhere = self.contents(|i| i != site)?;
        let before = self.contents(|i| i == site)?;
        if !self.sites[site].restore(part)? {
            return Ok(());
        }
        let after = self.contents(|i| i == site)?;
        let mut journal = lock(&self.journal);
        for content in &before {
            let is_reverted = part == Part::Directory && !after.contains(content);
            if is_reverted || (!after.contains(content) && !elsewhere.contains(content)) {
                journal.destroy(content);
            }
        }
        Ok(())
    }

    /// While a directory is not what it should be, its links halt and nobody deletes anything.
    fn damage(&mut self, site: usize, damage: Damage) -> Result<()> {
        if self.sites[site].tree().is_err() || !self.sites[site].root().join(".server_sync").exists() {
            return Ok(());
        }
        self.sites[site].tree()?;
        if matches!(damage, Damage::Missing | Damage::Other) {
            // An unmounted file system takes our descriptors with it.
            self.sites[site].close();
        }
        let (root, aside) = (self.sites[site].root(), self.folder.path().join("aside"));
        hide(damage, &root, &aside)?;
        for (master, slave) in self.links.clone() {
            let other = if master == site { slave } else { master };
            if master != site && slave != site {
                continue;
            }
            let before = self.sites[other].listing()?;
            let outcome = self.round(master, slave);
            self.tell(|| told(&outcome));
            if !outcome.is_err_and(|e| e.kind == Kind::Halt) {
                return Err(Failure::new(format!("a round with a directory that is {damage:?} does not halt")));
            }
            if gone(&before, &self.sites[other].listing()?) {
                return Err(Failure::new(format!("a directory that is {damage:?} deletes elsewhere")));
            }
        }
        show(damage, &root, &aside)
    }

    /// Rounds until nothing moves any more.
    fn settle(&mut self) -> Result<()> {
        let mut last = String::new();
        for pass in 0..PATIENCE {
            let mut quiet = true;
            last.clear();
            if pass == PATIENCE / 3 {
                // So long a content is asked for that its writer destroyed before anybody had fetched it.
                self.pass(LONG);
            }
            for (master, slave) in self.links.clone() {
                self.pass(1000);
                let outcome = self.watched_round(master, slave)?;
                if pass < 4 {
                    self.tell(|| format!("  {} and {} {}", name(master), name(slave), told(&outcome)));
                }
                let report = outcome?;
                let remains = remains(&report);
                quiet &= report.is_quiet() && remains.is_empty();
                last += &remains;
                self.all_was_written(master)?;
                self.all_was_written(slave)?;
            }
            if quiet {
                return Ok(());
            }
        }
        Err(Failure::new(format!("it never rests: {last}")))
    }
}

fn told(outcome: &std::result::Result<DocumentsReport, EngineError>) -> String {
    match outcome {
        Err(e) => format!("   round: {e}"),
        Ok(report) if report.is_quiet() => format!("   round: quiet; {}", remains(report)),
        Ok(report) => format!(
            "   round: {} and {} rows; {}; {}; {}",
            rows(&report.rows.pulled),
            rows(&report.rows.pushed),
            done(&report.master),
            done(&report.slave),
            remains(report)
        ),
    }
}

fn rows(applied: &sync_store::Applied) -> u64 {
    applied.tables.values().map(|table| table.received).sum()
}

fn done(side: &sync_engine::documents::Side) -> String {
    let sync_store::Realised { created, replaced, deleted, moved, touched, .. } = side.realised;
    format!("{} settled, +{created} ~{replaced} -{deleted} ->{moved} .{touched}", side.settled)
}

fn remains(report: &DocumentsReport) -> String {
    let mut told = String::new();
    for side in [&report.master, &report.slave] {
        for skipped in side.realised.skipped.iter().chain(&side.unread) {
            told += &format!("{}: {}; ", skipped.path.escape_ascii(), skipped.reason);
        }
    }
    told
}

fn gone(before: &Listing, after: &Listing) -> bool {
    before.keys().any(|path| !after.contains_key(path))
}

fn hide(damage: Damage, root: &std::path::Path, aside: &std::path::Path) -> Result<()> {
    match damage {
        Damage::Missing => fs::rename(root, aside)?,
        Damage::Other => {
            fs::rename(root, aside)?;
            fs::create_dir(root)?;
        }
        Damage::Emptied => {
            copy_all(root, aside)?;
            for item in fs::read_dir(root)? {
                let path = item?.path();
                if !path.ends_with(".server_sync") {
                    remove(&path)?;
                }
            }
        }
    }
    Ok(())
}

fn show(damage: Damage, root: &std::path::Path, aside: &std::path::Path) -> Result<()> {
    match damage {
        Damage::Missing => fs::rename(aside, root)?,
        Damage::Other => {
            fs::remove_dir_all(root)?;
            fs::rename(aside, root)?;
        }
        Damage::Emptied => {
            remove(&aside.join(".server_sync"))?;
            copy_all(&aside.join("."), root)?;
            fs::remove_dir_all(aside)?;
        }
    }
    Ok(())
}
