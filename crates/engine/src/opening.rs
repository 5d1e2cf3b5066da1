//! How a round begins: both sites say what they contain, find out whether they forgot anything of it, and are drained. The slave
//! does all that for one question ([`Store::open_round`]) and tells its knowledge first, so that the master is drained meanwhile.
//! What it answered beside is kept, and spares the question later if that is still the same. Moves no row.

use std::time::{Duration, Instant};

use sync_core::{Knowledge, Position, Registry, SiteId, Source};
use sync_store::steady::{Steady, since};
use sync_store::{Description, Drained, Greeting, Opened, Opening, Outline, Ready, Since, Store};

use crate::error::{EngineError, Kind, Result};
use crate::handshake;
use crate::parties::Sides;
use crate::round::Options;

/// Both sites when they are drained.
pub(crate) struct Begun {
    pub knowledge: Sides<Knowledge>,
    pub drained: Sides<Drained>,
    pub about: Sides<Description>,
    pub early: Early,
}

/// What a master opens a round with.
pub(crate) fn of(master: &mut dyn Store) -> Result<Opening> {
    Ok(Opening { master: master.own_source()?, knowledge: master.knowledge()? })
}

/// Begins a round, of which the slave may have been told already.
pub(crate) fn begin(
    master: &mut dyn Store,
    slave: &mut dyn Store,
    options: &Options,
    told: Option<Opening>,
) -> Result<Begun> {
    let (bound, steady) = (options.expected.max_clock_difference, options.steady);
    let opening = told.map_or_else(|| of(master), Ok)?;
    let mut here = Here::default();
    let ready = open((master, slave), &opening, bound, &mut here)?;
    let mut knowledge = Sides { master: opening.knowledge, slave: here.peer };
    if let Some(site) = here.forgot {
        leave_history((master, slave), site, bound)?;
        knowledge.master = master.knowledge()?;
        here.drained = Some(drained(master)?);
    }
    let (drained, about) = here.drained.ok_or_else(unlike_itself)?;
    Ok(Begun {
        knowledge,
        drained: Sides { master: drained, slave: ready.drained.clone() },
        about: Sides { master: about, slave: ready.about.clone() },
        early: Early { master: opening.master, ready, at: steady(), steady },
    })
}

/// What becomes of the master while the slave is asked.
#[derive(Default)]
struct Here {
    /// What the slave contains.
    peer: Knowledge,
    /// The master was restored; nothing was stamped.
    forgot: Option<SiteId>,
    drained: Option<(Drained, Description)>,
}

impl Here {
    /// The slave said what it contains, and goes on.
    fn hears(&mut self, master: &mut dyn Store, peer: &Knowledge) -> sync_store::Result<()> {
        self.peer.clone_from(peer);
        if self.forgot.is_some() || self.drained.is_some() {
            return Ok(());
        }
        self.forgot = master.forgot(peer)?;
        if self.forgot.is_none() {
            self.drained = Some(drained(master)?);
        }
        Ok(())
    }
}

fn drained(store: &mut dyn Store) -> sync_store::Result<(Drained, Description)> {
    Ok((store.drain()?, store.describe()?))
}

/// Opens the slave; one that forgot leaves its history first.
fn open(
    (master, slave): (&mut dyn Store, &mut dyn Store),
    opening: &Opening,
    bound: Duration,
    here: &mut Here,
) -> Result<Box<Ready>> {
    for _ in 0..2 {
        match slave.open_round(opening, &mut |peer| here.hears(master, peer))? {
            Opened::Ready(ready) => return Ok(ready),
            Opened::Forgot(site) => leave_history((slave, master), site, bound)?,
        }
    }
    Err(unlike_itself())
}

/// A store that was restored takes a new history before anything is stamped.
///
/// Marks that lay in the backup are stamped then, by their times, but no later than the clock says: with one that was set back
/// they, and what was written to their rows since, would get stamps below those that they were published with, and be
/// taken for known. No store can tell that by itself, as what it knows of time is the backup's; so it is done by a clock only that
/// the peer's agrees with.
fn leave_history((store, peer): (&mut dyn Store, &mut dyn Store), site: SiteId, bound: Duration) -> Result<()> {
    handshake::clocks(&store.describe()?, &peer.describe()?, bound)?;
    let latest = peer.last_heard(site)?;
    store.leave_history(latest)?;
    Ok(())
}

fn unlike_itself() -> EngineError {
    EngineError::new(Kind::Failure, "a store does not recognise its own new history")
}

/// What the slave answered before it was asked, and to whom.
pub(crate) struct Early {
    master: Source,
    ready: Box<Ready>,
    at: Instant,
    steady: Steady,
}

/// How old a registry, or that there is no row, may be: graves that are forgotten meanwhile would not be missed by who was
/// restored from a backup.
const FRESH: Duration = Duration::from_secs(10);

impl Early {
    /// What the slave makes of this claim, if it was asked about that.
    pub fn greeting(&self, sender: Source, receiver: Source, claimed: Option<Position>) -> Option<Greeting> {
        let is_same = (sender, receiver) == (self.ready.about.source, self.master);
        self.ready.greeted.filter(|(asked, _)| is_same && *asked == claimed).map(|(_, greeting)| greeting)
    }

    /// Its registry, if that cannot have changed much.
    pub fn registry(&self) -> Option<Registry> {
        self.is_fresh().then(|| self.ready.registry.clone())
    }

    /// Whether it holds no row, if that was found out a moment ago. Who copies to it deals with rows that come meanwhile.
    pub fn is_empty(&self) -> Option<bool> {
        self.ready.is_empty.filter(|_| self.is_fresh())
    }

    fn is_fresh(&self) -> bool {
        since(self.at, self.steady) < FRESH
    }

    /// What its stream would bring.
    pub fn outline(&self, since: &Since) -> Option<Outline> {
        self.ready.outline_of(since)
    }

    /// Whether it has graves that were made before this.
    pub fn may_have_graves(&self, before: u64) -> bool {
        self.ready.oldest_line < before
    }
}
