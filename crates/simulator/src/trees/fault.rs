//! A site's disk: it counts calls, and at one of them something happens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::io::Errno;
use sync_tree::seams::keep_index;
use sync_tree::{Fault, Op, Slip};

use super::action::Action;
use super::desktop::Desktop;
use super::scenario::Event;
use crate::tap::lock;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The site dies as by kill -9.
    Kill,
    /// That call fails.
    Once(Errno),
    /// It and those that follow fail.
    FromThen(Errno),
    /// An application does this right before the call.
    Meanwhile(Action),
    /// An application writes to the file that the call is about, right before it.
    Over,
}

/// What happens in this round.
#[derive(Clone, Debug, Default)]
struct Plan {
    calls: u64,
    counts: HashMap<Op, u64>,
    events: Vec<Event>,
    met: Vec<String>,
    is_dead: bool,
    fails: Option<Errno>,
}

impl Plan {
    fn is_due(&self, event: &Event, op: Op) -> bool {
        match event.op {
            None => event.nth <= self.calls,
            Some(only) => only == op && self.counts.get(&op) >= Some(&event.nth),
        }
    }
}

/// The disk of a site.
pub struct SiteDisk {
    plan: Mutex<Plan>,
    desktop: Arc<Mutex<Desktop>>,
    index: PathBuf,
    calm: bool,
    slip: Option<Slip>,
}

impl SiteDisk {
    /// One that works. If `calm`, nothing counts as changed just now; otherwise everything does.
    pub fn new(desktop: &Arc<Mutex<Desktop>>, index: &Path, calm: bool, slip: Option<Slip>) -> Self {
        SiteDisk { plan: Mutex::default(), desktop: Arc::clone(desktop), index: index.to_owned(), calm, slip }
    }

    /// For another round.
    pub fn plan(&self, events: Vec<Event>) {
        *lock(&self.plan) = Plan { events, ..Plan::default() };
    }

    /// Whether nothing happened.
    pub fn was_good(&self) -> bool {
        lock(&self.plan).met.is_empty()
    }

    /// What happened; whether the site is dead.
    pub fn ended(&self) -> (Vec<String>, bool) {
        let mut plan = lock(&self.plan);
        let ended = (std::mem::take(&mut plan.met), plan.is_dead);
        *plan = Plan::default();
        ended
    }

    /// Somebody who writes over a file waits until one is in the way.
    fn fits(&self, event: &Event, name: &[u8]) -> bool {
        event.manner != Manner::Over || lock(&self.desktop).has(name)
    }

    fn happen(&self, plan: &mut Plan, manner: &Manner, op: Op, name: &[u8]) -> rustix::io::Result<()> {
        let (told, answer) = match manner {
            Manner::Kill => {
                plan.is_dead = true;
                keep_index(&self.index);
                ("dies".to_owned(), Err(Errno::IO))
            }
            Manner::Once(errno) => (format!("fails with {errno}"), Err(*errno)),
            Manner::FromThen(errno) => {
                plan.fails = Some(*errno);
                (format!("fails from now on with {errno}"), self.broken(*errno, op))
            }
            Manner::Meanwhile(action) => (lock(&self.desktop).act(action), Ok(())),
            Manner::Over => (lock(&self.desktop).write_over(name), Ok(())),
        };
        plan.met.push(format!("at call {}, {op:?} {}: {told}", plan.calls, name.escape_ascii()));
        answer
    }

    /// A full disk still reads and deletes; what is open stays open.
    fn broken(&self, errno: Errno, op: Op) -> rustix::io::Result<()> {
        let fails = match errno {
            Errno::NOSPC => {
                matches!(op, Op::Create | Op::Write | Op::MakeDirectory | Op::Symlink | Op::WriteAttribute | Op::Commit)
            }
            Errno::ACCESS => {
                !matches!(op, Op::Begin | Op::Commit | Op::Read | Op::Write | Op::Sync | Op::Stat | Op::Resize)
            }
            _ => true,
        };
        if fails { Err(errno) } else { Ok(()) }
    }
}

impl Fault for SiteDisk {
    fn before(&self, op: Op, name: &[u8]) -> rustix::io::Result<()> {
        let mut plan = lock(&self.plan);
        if plan.is_dead {
            return Err(Errno::IO);
        }
        plan.calls += 1;
        *plan.counts.entry(op).or_default() += 1;
        while let Some(at) = plan.events.iter().position(|event| plan.is_due(event, op) && self.fits(event, name)) {
            let event = plan.events.remove(at);
            self.happen(&mut plan, &event.manner, op, name)?;
        }
        plan.fails.map_or(Ok(()), |errno| self.broken(errno, op))
    }

    fn coarse(&self) -> Option<Duration> {
        Some(if self.calm { Duration::ZERO } else { Duration::from_secs(3600) })
    }

    fn slips(&self, slip: Slip) -> bool {
        self.slip == Some(slip)
    }
}
