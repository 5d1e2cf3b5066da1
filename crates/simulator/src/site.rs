//! One site: a folder with a database, the application, a clock, and a store over a tapped connection.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::{SiteId, Source};
use sync_database::sqlite::{Options, SqliteDialect, SqliteDriver};
use sync_database::{Card, Connections, Database, Rules, seed};
use sync_store::{Role, SlaveSettings, Store};

use crate::application::Application;
use crate::bugs::Bug;
use crate::clock::{Clock, still};
use crate::courier::{Conduct, Courier, Secrets};
use crate::failure::{Failure, Result};
use crate::invariants::{self, Fragile};
use crate::scenario::{Scenario, Transaction};
use crate::schema::COUNTER;
use crate::tap::{Tap, Tapped, lock};

/// The virtual desktop's name.
pub const VD: &str = "simulation";

/// Events of the history, by site and place in its log.
pub type Events = BTreeSet<(usize, usize)>;

/// Whether a site takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet.
    Waiting,
    /// It does.
    Active,
    /// No longer.
    Retired,
}

/// A site.
pub struct Site {
    /// Which.
    pub index: usize,
    /// Its clock.
    pub clock: Clock,
    /// How far that is off.
    pub skew: i64,
    /// The application.
    pub application: Arc<Mutex<Application>>,
    /// What happens to the store's connection.
    pub tap: Arc<Mutex<Tap>>,
    /// Whether it takes part.
    pub phase: Phase,
    /// The events that are certainly here.
    pub here: Events,
    /// A copy, what was certainly in it, and the rows that were not stamped yet.
    pub backup: Option<(PathBuf, Events, Fragile)>,
    highest: Arc<Mutex<BTreeMap<String, i64>>>,
    store: Option<Database>,
    path: PathBuf,
    card: Card,
    number: SiteId,
    logged: usize,
    /// Of each time a copy was put back: how many events were in it, and how many there were.
    pub forks: Vec<(usize, usize)>,
    /// Of each time a copy was put back: the events that are not in it, and the rows that were not stamped in it, nor ever after.
    pub unheard: Vec<(std::ops::Range<usize>, Fragile)>,
    /// Its events that nobody waited for, up to when it was met again: of each time it was said to have left, and of each
    /// time a copy was put back.
    pub apart: Vec<std::ops::Range<usize>>,
    /// So many events are from before synchronisation began here.
    pub before: usize,
    /// So many additions to the tally are from when it took part.
    pub added: usize,
}

impl Site {
    /// A site with empty tables, in this folder.
    pub fn new(folder: &Path, index: usize, scenario: &Scenario, now: i64, bug: Option<Bug>) -> Result<Self> {
        let path = folder.join(format!("{index}.db"));
        let clock = Clock::new(now + scenario.skews[index]);
        let application = Application::create(&path, index, &clock, scenario.constraints, scenario.early_ids)?;
        let card = Card {
            site: number(if bug == Some(Bug::TieWithoutSite) { 0 } else { index })?,
            site_name: name(index),
            vd: VD.to_owned(),
            vd_version: "1".to_owned(),
            role: Role::Slave(SlaveSettings { masters: (0..=scenario.sites).map(name).collect() }),
            rules: rules(),
        };
        Ok(Site {
            index,
            clock,
            skew: scenario.skews[index],
            application: Arc::new(Mutex::new(application)),
            tap: Arc::default(),
            phase: Phase::Waiting,
            here: Events::new(),
            backup: None,
            highest: Arc::default(),
            store: None,
            path,
            card,
            number: number(index)?,
            logged: 0,
            forks: Vec::new(),
            unheard: Vec::new(),
            apart: Vec::new(),
            before: usize::MAX,
            added: usize::MAX,
        })
    }

    /// A copy of this site's database that runs under its name, by a clock that is never the same.
    pub fn cloned(&mut self, folder: &Path, index: usize, now: i64) -> Result<Self> {
        let path = folder.join(format!("{index}.db"));
        let skew = self.skew + BESIDE;
        let clock = Clock::new(now + skew);
        let application = lock(&self.application).copied(&path, index, &clock)?;
        self.look();
        let mut site = Site {
            index,
            clock,
            skew,
            application: Arc::new(Mutex::new(application)),
            tap: Arc::default(),
            phase: Phase::Active,
            here: self.here.clone(),
            backup: None,
            highest: Arc::default(),
            store: None,
            path,
            card: self.card.clone(),
            number: self.number,
            logged: 0,
            forks: Vec::new(),
            unheard: Vec::new(),
            apart: Vec::from([0..usize::MAX; 1]),
            before: 0,
            added: usize::MAX,
        };
        self.apart.push(self.logged..usize::MAX);
        site.reopen()?;
        Ok(site)
    }

    /// The copy becomes a site of its own, as somebody would do it who gives it another name and number.
    pub fn adopt(&mut self) -> Result<()> {
        lock(&self.application).end()?;
        self.store = None;
        self.number = number(self.index)?;
        self.card = Card { site: self.number, site_name: name(self.index), ..self.card.clone() };
        self.store = Some(seed::adopt(self.connections()?, &self.card)?.0);
        Ok(())
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.card.site_name
    }

    fn connections(&self) -> Result<Connections> {
        let options = Options { patience: Duration::ZERO, write_ahead: true };
        let driver = SqliteDriver::open(&self.path, options)?;
        self.clock.rule(driver.connection())?;
        driver.connection().execute_batch("PRAGMA synchronous=OFF")?;
        let (tap, application) = (self.tap.clone(), self.application.clone());
        let writer = Box::new(Tapped { driver, tap, application });
        Ok(Connections::new(writer, None, Box::new(SqliteDialect)).measured(still))
    }

    /// Prepares the database; from now on the site takes part.
    pub fn join(&mut self) -> Result<()> {
        lock(&self.application).end()?;
        self.before = lock(&self.application).log.len();
        let (store, _) = Database::prepare(self.connections()?, &self.card)?;
        self.store = Some(store);
        self.phase = Phase::Active;
        Ok(())
    }

    /// Closes the store, whose open transaction is rolled back, and opens it again.
    pub fn reopen(&mut self) -> Result<()> {
        self.store = None;
        lock(&self.tap).reset(None, Vec::new());
        self.store = Some(Database::open(self.connections()?)?);
        Ok(())
    }

    /// The store.
    pub fn store(&mut self) -> Result<&mut Database> {
        self.store.as_mut().ok_or_else(|| Failure::new("a site that does not take part was asked"))
    }

    /// Whose history the store's is.
    pub fn source(&self) -> Option<Source> {
        self.store.as_ref().map(Database::source)
    }

    /// Of how many other stores something came here.
    pub fn heard_of(&mut self) -> Result<usize> {
        let store = self.store()?;
        let (own, knowledge) = (store.source().store, store.knowledge()?);
        Ok(knowledge.positions().map(|(of, _)| of.store).filter(|of| *of != own).collect::<BTreeSet<_>>().len())
    }

    /// The store over a bad line.
    pub fn courier(&mut self, conduct: Conduct, said: &Arc<Mutex<Vec<crate::courier::Said>>>) -> Result<Courier<'_>> {
        let (application, highest) = (self.application.clone(), self.highest.clone());
        let secrets = Secrets { site: self.number, application, highest, said: said.clone() };
        Ok(Courier::new(self.store()?, conduct, secrets))
    }

    /// Copies the database.
    pub fn back_up(&mut self, folder: &Path) -> Result<()> {
        let to = folder.join(format!("{}.copy", self.index));
        lock(&self.application).copy(&to)?;
        self.look();
        let unstamped = invariants::unstamped(lock(&self.application).connection())?;
        self.backup = Some((to, self.here.clone(), unstamped));
        Ok(())
    }

    /// Puts the last copy back; says whether there was one.
    pub fn restore(&mut self) -> Result<bool> {
        let Some((copy, here, mut unheard)) = self.backup.clone() else { return Ok(false) };
        self.look();
        let in_copy = here.iter().filter(|(site, _)| *site == self.index).map(|(_, i)| i + 1).max().unwrap_or(0);
        self.forks.push((in_copy, self.logged));
        let stamped = invariants::stamped(lock(&self.application).connection(), self.number)?;
        unheard.retain(|row| !stamped.contains(row));
        self.unheard.push((in_copy..self.logged, unheard));
        self.apart.push(self.logged..usize::MAX);
        self.store = None;
        lock(&self.application).put(&copy, &self.clock)?;
        self.here = here;
        self.reopen()?;
        Ok(true)
    }

    /// Takes note of what the application did.
    pub fn look(&mut self) {
        let count = lock(&self.application).log.len();
        self.here.extend((self.logged..count).map(|i| (self.index, i)));
        self.logged = count;
    }

    /// Another site has what happened here.
    pub fn meets(&mut self) {
        let end = self.logged;
        self.apart.iter_mut().filter(|apart| apart.end == usize::MAX).for_each(|apart| apart.end = end);
    }

    /// How many events of the application are known.
    pub fn logged(&self) -> usize {
        self.logged
    }

    /// Runs a transaction of the application.
    pub fn write(&mut self, transaction: &Transaction) -> Result<crate::application::Ended> {
        lock(&self.application).run(transaction)
    }
}

/// What the settings of all sites say of tables.
fn rules() -> Rules {
    Rules { counters: COUNTER.parse().into_iter().collect(), ..Rules::default() }
}

fn number(index: usize) -> Result<SiteId> {
    SiteId::new(index as u64 + 1).map_err(|e| Failure::new(e.to_string()))
}

/// How far the clock of a copy is off, in milliseconds: it differs from all that histories count with.
const BESIDE: i64 = 503;

/// The name of a site.
pub fn name(index: usize) -> String {
    format!("site{}", index + 1)
}
