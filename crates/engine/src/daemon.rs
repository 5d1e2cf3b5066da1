//! Rounds at the period of each link, for as long as the process lives. Stays in the foreground and prints nothing:
//! an [`Observer`] is told. One link that fails never stops another; each has its own thread and its own connections.
//!
//! A request to stop or to reread the settings ends pauses at once; a round that runs is finished first.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sync_config::{Link, Settings};

use crate::error::{EngineError, Result};
use crate::link::{Flags, Session};
use crate::report::{Event, RoundReport, Watch};
use crate::round::SILENCE;
use crate::schedule::{Moved, Pace, repeat};
use crate::upkeep::{self, Keeper};

/// Is told what the daemon does. Called from several threads.
pub trait Observer: Sync {
    /// All links have begun.
    fn ready(&self, settings: &Settings);
    /// Something happened in a round.
    fn event(&self, link: &str, event: &Event);
    /// A round succeeded.
    fn round(&self, settings: &Settings, report: &RoundReport);
    /// A round failed; the next one begins after a pause.
    fn failed(&self, link: &str, error: &EngineError, pause: Duration);
    /// The settings were read again and are in force, or are not, and why.
    fn reloaded(&self, problem: Option<&EngineError>);
    /// All threads are well; called often.
    fn alive(&self);
    /// A thread has been silent for too long; called instead of `alive`.
    fn stuck(&self, link: &str);
}

/// By what the daemon is stopped or told to reread its settings; shared with a signal handler's thread.
#[derive(Debug, Default)]
pub struct Control {
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wishes {
    stop: bool,
    reload: bool,
    /// Goes up when the threads of the settings so far are to end.
    generation: u64,
}

/// What the main thread is to do next.
enum Next {
    Tick,
    Reload,
    Stop,
}

impl Control {
    /// Ends the daemon after the rounds that run.
    pub fn stop(&self) {
        self.change(|w| w.stop = true);
    }

    /// Has the settings read again.
    pub fn reload(&self) {
        self.change(|w| w.reload = true);
    }

    /// Whether it was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.lock().stop
    }

    fn lock(&self) -> MutexGuard<'_, Wishes> {
        // The wishes are valid whatever thread broke down while holding them.
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait_until(&self, limit: Duration, mut happened: impl FnMut(&mut Wishes) -> bool) -> MutexGuard<'_, Wishes> {
        let waited = self.changed.wait_timeout_while(self.lock(), limit, |w| !happened(w));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn next(&self, limit: Duration) -> Next {
        let mut wishes = self.wait_until(limit, |w| w.stop || w.reload);
        match (wishes.stop, std::mem::take(&mut wishes.reload)) {
            (true, _) => Next::Stop,
            (_, true) => Next::Reload,
            _ => Next::Tick,
        }
    }

    /// Waits; false as soon as the threads of this generation are to end.
    fn pause(&self, generation: u64, limit: Duration) -> bool {
        let wishes = self.wait_until(limit, |w| w.stop || w.generation != generation);
        !wishes.stop && wishes.generation == generation
    }
}

/// How often the main thread looks after the others.
const TICK: Duration = Duration::from_secs(5);

/// Runs until it is told to stop. `flags` hold for the first round of each link that succeeds; `load` reads the
/// settings again.
pub fn run(
    settings: Settings,
    flags: Flags,
    control: &Control,
    load: &dyn Fn() -> Result<Settings>,
    observer: &dyn Observer,
) {
    let begun = Mutex::new(BTreeSet::new());
    let mut current = settings;
    loop {
        let daemon = Daemon {
            settings: &current,
            flags,
            begun: &begun,
            control,
            generation: control.lock().generation,
            observer,
        };
        match daemon.run(load) {
            Some(changed) => current = changed,
            None => return,
        }
    }
}

/// The daemon with one version of the settings.
struct Daemon<'a> {
    settings: &'a Settings,
    flags: Flags,
    /// The links of which a round has succeeded.
    begun: &'a Mutex<BTreeSet<String>>,
    control: &'a Control,
    generation: u64,
    observer: &'a dyn Observer,
}

impl Daemon<'_> {
    /// Until the end; gives the changed settings, if that is why it ended.
    fn run(&self, load: &dyn Fn() -> Result<Settings>) -> Option<Settings> {
        let beats: Vec<Beat> = self.settings.links.iter().map(|l| Beat::new(l.slave.as_str())).collect();
        let own = Beat::new(self.settings.site.as_str());
        std::thread::scope(|scope| {
            for (link, beat) in self.settings.links.iter().zip(&beats) {
                scope.spawn(move || self.serve(link, beat));
            }
            if beats.is_empty() {
                scope.spawn(|| self.keep(&own));
            }
            self.observer.ready(self.settings);
            let changed = self.watch_over(&beats, &own, load);
            self.control.change(|w| w.generation += 1);
            changed
        })
    }

    fn watch_over(&self, beats: &[Beat], own: &Beat, load: &dyn Fn() -> Result<Settings>) -> Option<Settings> {
        loop {
            match beats.iter().chain([own]).find(|b| b.is_stuck()) {
                Some(stuck) => self.observer.stuck(stuck.name),
                None => self.observer.alive(),
            }
            match self.control.next(TICK) {
                Next::Tick => {}
                Next::Stop => return None,
                Next::Reload => match load() {
                    Ok(settings) => {
                        self.observer.reloaded(None);
                        return Some(settings);
                    }
                    // What is in force stays in force.
                    Err(problem) => self.observer.reloaded(Some(&problem)),
                },
            }
        }
    }

    fn pace(&self) -> Waiting<'_> {
        Waiting { control: self.control, generation: self.generation, since: Instant::now() }
    }

    fn serve(&self, link: &Link, beat: &Beat) {
        let mut session = Session::new(self.settings, link).scrubbing();
        let round = |pace: &mut dyn Pace| {
            let mut watch = Told { beat, observer: self.observer };
            let result = beat.during(|| {
                let mut pause = |pause| pace.pause(pause);
                session.round(self.flags_of(link), &mut watch, &mut pause)
            });
            result.map(|report| self.done(link, &report))
        };
        repeat(link.period, &mut self.pace(), round, |error, pause| self.observer.failed(beat.name, error, pause));
    }

    fn done(&self, link: &Link, report: &RoundReport) -> Moved {
        self.begun().insert(link.slave.to_string());
        self.observer.round(self.settings, report);
        if report.is_quiet() { Moved::Nothing } else { Moved::Rows }
    }

    /// What the person wanted holds once.
    fn flags_of(&self, link: &Link) -> Flags {
        if self.begun().contains(link.slave.as_str()) { Flags::default() } else { self.flags }
    }

    fn begun(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A site without links of its own keeps its store ready for its masters.
    fn keep(&self, beat: &Beat) {
        let mut keeper = Keeper::new(self.settings);
        let keep = |_: &mut dyn Pace| {
            let mut watch = Told { beat, observer: self.observer };
            beat.during(|| keeper.keep(&mut watch)).map(|()| Moved::Nothing)
        };
        repeat(upkeep::PERIOD, &mut self.pace(), keep, |error, pause| self.observer.failed(beat.name, error, pause));
    }
}

/// Passes a round's events on, and notes that the thread is alive.
struct Told<'a> {
    beat: &'a Beat<'a>,
    observer: &'a dyn Observer,
}

impl Watch for Told<'_> {
    fn event(&mut self, event: Event) {
        self.beat.beat();
        self.observer.event(self.beat.name, &event);
    }
}

/// A thread's sign of life while it works.
struct Beat<'a> {
    name: &'a str,
    since: Instant,
    /// Milliseconds since `since` at the last sign, and one more; 0 while the thread pauses.
    last: AtomicU64,
}

impl<'a> Beat<'a> {
    fn new(name: &'a str) -> Self {
        Beat { name, since: Instant::now(), last: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn beat(&self) {
        self.last.store(self.now() + 1, Ordering::Relaxed);
    }

    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.beat();
        let result = work();
        self.last.store(0, Ordering::Relaxed);
        result
    }

    fn is_stuck(&self) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last > 0 && Duration::from_millis(self.now().saturating_sub(last)) > SILENCE
    }
}

/// Real time, and pauses that end when the daemon does.
struct Waiting<'a> {
    control: &'a Control,
    generation: u64,
    since: Instant,
}

impl Pace for Waiting<'_> {
    fn now(&mut self) -> Duration {
        self.since.elapsed()
    }

    fn pause(&mut self, limit: Duration) -> bool {
        self.control.pause(self.generation, limit)
    }

    fn chance(&mut self) -> f64 {
        // The hasher's keys are random; that is enough to keep daemons from waking in step.
        (RandomState::new().build_hasher().finish() % 1_000) as f64 / 1_000.0
    }
}

#[cfg(test)]
mod tests;
