//! The rounds of one link: opens both stores, runs rounds, tries again where that helps, and remembers what became of
//! it. Never decides when a round is due; that is the caller's or the daemon's business.

use std::time::{Duration, Instant};

use sync_config::{Link, Settings, VersionSource};
use sync_database::Database;
use sync_store::{Opening, Store};
use sync_tree::beforehand::Reader;

use crate::documents::FolderReport;
use crate::error::{EngineError, Kind, Result};
use crate::folders::{self, Folders, Readers};
use crate::parties::Documents;
use crate::remote::Remote;
use crate::report::{Event, RoundReport, Watch};
use crate::round::{Beside, Options, round_beside};
use crate::scrub::{Pace, Scrub};
use crate::state::{self, LinkState, Remembered, State};
use crate::{open, opening};

/// How the person wants this round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Compare all records of both databases (`-init`).
    pub init: bool,
    /// Go on where a brake would halt (`-force`).
    pub force: bool,
    /// Only say what would be done; nothing is written or remembered.
    pub dry_run: bool,
}

/// Runs one round over a link, and repeats it where that helps.
///
/// # Errors
/// What stopped the last try; [`EngineError::retryable`] says whether the same may succeed later.
pub fn run_link(settings: &Settings, link: &Link, flags: Flags, watch: &mut dyn Watch) -> Result<RoundReport> {
    let mut sleep = |pause| {
        std::thread::sleep(pause);
        true
    };
    Session::new(settings, link).round(flags, watch, &mut sleep)
}

/// The two stores of a link, kept open from round to round.
pub struct Session<'a> {
    settings: &'a Settings,
    link: &'a Link,
    stores: Option<Stores>,
    recorded: Option<Instant>,
    scrub: Option<Scrub>,
    /// They read once what was edited, however often the other site cannot be reached.
    readers: Option<Readers>,
    /// What became of the folders of documents in the last try, whatever became of the rows.
    documents: Vec<FolderReport>,
}

// Fields are dropped in order: conversations before the link that carries them.
struct Stores {
    local: Database,
    folders: Folders,
    remote: Remote,
    /// Number and name of the site at the other end, once it was met.
    peer: Option<(u16, String)>,
    notes: Vec<String>,
    used: Instant,
    /// When the application's version was last looked at.
    version: Instant,
}

/// How often an open session looks whether the application was upgraded.
const VERSION_AGE: Duration = Duration::from_secs(10);

/// How often rounds that moved nothing are recorded.
const QUIET_RECORD: Duration = Duration::from_secs(10);

impl Stores {
    /// Opens a round with what is at the other end of a line, without waiting until it is reached; then waits for that.
    fn open_ahead(&mut self, options: &Options, readers: &mut Option<Readers>) -> Result<Opening> {
        let opening = opening::of(&mut self.local)?;
        let asked = self.remote.open_ahead(&opening);
        if let Ok(Some(rows)) = &asked {
            self.folders.open_ahead(options, rows);
        }
        // What keeps the other site from being reached is better known here.
        self.remote.meet()?;
        asked?;
        self.folders.meet(&mut self.remote, readers);
        Ok(opening)
    }
}

impl<'a> Session<'a> {
    /// A session; nothing is opened yet.
    pub fn new(settings: &'a Settings, link: &'a Link) -> Self {
        Session { settings, link, stores: None, recorded: None, scrub: None, readers: None, documents: Vec::new() }
    }

    /// The same, comparing a slice after each round.
    pub fn scrubbing(self) -> Self {
        Session { scrub: Some(Scrub::new(Pace::default())), ..self }
    }

    /// Runs a round, repeats it where that helps, and remembers the outcome. `pause` waits, and says whether to go on.
    ///
    /// # Errors
    /// What stopped the last try.
    pub fn round(
        &mut self,
        flags: Flags,
        watch: &mut dyn Watch,
        pause: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<RoundReport> {
        let mut result = self.repeat(flags, watch, pause);
        if flags.dry_run {
            return result;
        }
        // The round is done, whether or not it can be written down.
        if let (Err(e), Ok(report)) = (self.record(&mut result), &mut result) {
            report.warnings.push(e.message);
        }
        result
    }

    fn repeat(
        &mut self,
        flags: Flags,
        watch: &mut dyn Watch,
        pause: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<RoundReport> {
        let mut tries = Tries { connected: self.stores.is_some(), ..Tries::default() };
        let mut lost: Option<Instant> = None;
        loop {
            let error = match self.once(flags, watch, &mut tries) {
                Ok(report) => return Ok(report),
                Err(error) => error,
            };
            self.stores = None;
            self.readers.iter_mut().flat_map(Readers::values_mut).for_each(Reader::unwatch);
            tries.failed += 1;
            tries.lost_for = lost.get_or_insert_with(Instant::now).elapsed();
            let Some(wait) = patience(&tries, &error) else { return Err(error) };
            watch.event(Event::Retrying { error: &error, pause: wait });
            if !pause(wait) {
                return Err(error);
            }
        }
    }

    fn once(&mut self, flags: Flags, watch: &mut dyn Watch, tries: &mut Tries) -> Result<RoundReport> {
        self.documents.clear();
        self.close_if_stale()?;
        let mut stores = match self.stores.take() {
            Some(stores) => stores,
            None => self.open(flags, watch)?,
        };
        tries.connected |= stores.remote.is_open();
        let options = self.options(flags);
        let opening = stores.open_ahead(&options, &mut self.readers)?;
        let (folders, documents) = (&mut stores.folders, &mut self.documents);
        // Without folders in common no row has to wait.
        let is_needed = folders.are_common();
        let mut go_through = |watch: &mut dyn Watch| note_round(documents, folders.round(&options, watch));
        if !is_needed {
            go_through(watch);
        }
        let beside = Beside {
            scrub: self.scrub.as_mut(),
            documents: is_needed.then_some(&mut go_through as &mut Documents),
            is_followed: false,
            opening: Some(opening),
        };
        let mut watch = Meeting { watch, is_met: &mut tries.connected };
        let mut report = round_beside(&mut stores.local, stores.remote.store(), &options, beside, &mut watch)?;
        stores.peer = Some((report.peer_number, report.peer.clone()));
        report.documents.clone_from(&self.documents);
        report.notes.splice(0..0, std::mem::take(&mut stores.notes));
        stores.used = Instant::now();
        self.stores = Some(stores);
        Ok(report)
    }

    fn options(&self, flags: Flags) -> Options {
        let Flags { init, force, dry_run } = flags;
        Options { init, force, dry_run, ..open::options(self.settings, self.link) }
    }

    fn open(&mut self, flags: Flags, watch: &mut dyn Watch) -> Result<Stores> {
        self.readers.get_or_insert_with(|| folders::read_beforehand(self.settings));
        // What is wrong here is told first, but the other site is the one that takes time.
        let remote = Remote::begin(self.link);
        let (local, notes) = match flags.dry_run {
            true => (open_prepared(self.settings)?, Vec::new()),
            false => open::prepare(self.settings)?,
        };
        notes.iter().for_each(|note| watch.event(Event::Note(note)));
        let mut remote = remote?;
        let now = Instant::now();
        let folders = Folders::begin(self.settings, self.link, &mut remote);
        Ok(Stores { local, folders, remote, peer: None, notes, used: now, version: now })
    }

    /// Servers close idle connections, and an upgrade of the application changes what must be published.
    fn close_if_stale(&mut self) -> Result<()> {
        let Some(stores) = &mut self.stores else { return Ok(()) };
        let fixed = matches!(self.settings.version.source, VersionSource::Fixed(_));
        let mut stale = stores.used.elapsed() > open::FRESH;
        if !fixed && stores.version.elapsed() > VERSION_AGE {
            stores.version = Instant::now();
            stale |= open::version_now(self.settings)? != stores.local.card().vd_version;
        }
        if stale {
            self.stores = None;
        }
        Ok(())
    }

    fn record(&mut self, result: &mut Result<RoundReport>) -> Result<()> {
        let quiet = result.as_ref().is_ok_and(|r| r.is_quiet() && r.notes.is_empty());
        if quiet && self.recorded.is_some_and(|at| at.elapsed() < QUIET_RECORD) {
            return Ok(());
        }
        let store = self.head()?;
        let sites = self.sites();
        let link = self.link.slave.to_string();
        State::update(&self.settings.state_dir(), |state| {
            state.store = store.or(state.store.take());
            state.sites.extend(sites);
            let link = state.links.entry(link).or_default();
            note_outcome(link, result.as_ref());
            note_documents(link, &self.documents);
        })?;
        self.recorded = result.is_ok().then(Instant::now);
        Ok(())
    }

    /// The head of the own store after the round, if the stores are still open.
    fn head(&mut self) -> Result<Option<Remembered>> {
        let Some(stores) = &mut self.stores else { return Ok(None) };
        let about = stores.local.describe()?;
        Ok(Some(Remembered::new(about.source, about.head)))
    }

    fn sites(&self) -> Vec<(u16, String)> {
        let own = |stores: &Stores| (stores.local.card().site.number(), stores.local.card().site_name.clone());
        self.stores.iter().flat_map(|s| [Some(own(s)), s.peer.clone()]).flatten().collect()
    }
}

/// Opens this site's own database without writing to it.
///
/// # Errors
/// [`Kind::NotConfigured`] if it was never prepared.
pub fn open_prepared(settings: &Settings) -> Result<Database> {
    let connections = open::connect(&settings.database)?;
    Database::open(connections).map_err(|e| {
        let error = EngineError::from(e);
        match error.kind {
            Kind::NotConfigured => error.hint(format!("run `server_sync init-site -vd {}`", settings.vd)),
            _ => error,
        }
    })
}

fn note_outcome(link: &mut LinkState, result: std::result::Result<&RoundReport, &EngineError>) {
    let now = state::now();
    link.last_attempt = Some(now.clone());
    match result {
        Ok(report) => {
            *link = LinkState {
                last_success: Some(now),
                last_attempt: link.last_attempt.take(),
                rows: report.pulled.total().received + report.pushed.total().received,
                millis: report.millis,
                paused: report.paused.iter().map(|t| (t.name.clone(), t.reason.clone())).collect(),
                documents: std::mem::take(&mut link.documents),
                ..LinkState::default()
            };
        }
        Err(error) => {
            link.last_error = Some(error.message.clone());
            link.failing_since.get_or_insert(now);
        }
    }
}

/// Folders can be gone through twice in a round.
fn note_round(reports: &mut Vec<FolderReport>, later: Vec<FolderReport>) {
    if reports.is_empty() {
        *reports = later;
        return;
    }
    reports.iter_mut().zip(later).for_each(|(report, later)| report.then(later));
}

/// What is remembered of folders that the settings name no more, is forgotten once the others have had a round.
fn note_documents(link: &mut LinkState, reports: &[FolderReport]) {
    if !reports.is_empty() {
        link.documents.retain(|name, _| reports.iter().any(|r| r.name == *name));
    }
    for report in reports {
        link.documents.entry(report.name.clone()).or_default().note(&report.outcome, &state::now());
    }
}

/// Notes that both stores were open: whether the other one can be is seen when the round begins.
struct Meeting<'a> {
    watch: &'a mut dyn Watch,
    is_met: &'a mut bool,
}

impl Watch for Meeting<'_> {
    fn event(&mut self, event: Event) {
        *self.is_met |= matches!(event, Event::Agreed { .. });
        self.watch.event(event);
    }
}

/// How a round has fared so far.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    /// Tries that failed.
    failed: u32,
    /// Whether both stores were open at some moment of it.
    connected: bool,
    /// How long ago the first try failed.
    lost_for: Duration,
}

/// How long a server may be away in the middle of a round.
const RESTART: Duration = Duration::from_secs(30);

/// How often a round is repeated that others were in the way of.
const REPEATS: u32 = 5;

/// How long to wait before the next try; nothing if the round is given up.
///
/// A server that went away in the middle is probably being restarted; one that was away from the start is not waited
/// for.
fn patience(tries: &Tries, error: &EngineError) -> Option<Duration> {
    let doubling = |first: u64, most: u64| Duration::from_millis((first << (tries.failed - 1).min(10)).min(most));
    match error.kind {
        _ if !error.retryable => None,
        Kind::Unreachable if tries.connected && tries.lost_for < RESTART => Some(doubling(50, 1_000)),
        Kind::Unreachable => None,
        _ if tries.failed <= REPEATS => Some(doubling(100, 2_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
