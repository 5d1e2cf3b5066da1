//! A disk that dies or fails at the n-th call, for one site or for all of them together.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use sync_database::Connections;
use sync_database::sqlite::{Options, SqliteDialect, SqliteDriver};
use sync_tree::seams::keep_index;
use sync_tree::{Asked, Disk, Fault, Op, Seams};

use super::Site;

/// What happens at the n-th call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The site dies, as by kill -9.
    Kill,
    /// That call fails.
    Once(Errno),
    /// It and all that follow at this site fail that could.
    FromThen(Errno),
}

/// Counts the calls of all sites; at one of them something happens.
pub struct Plan {
    only: Option<Op>,
    calls: AtomicU64,
    at: u64,
    manner: Manner,
    /// The site it happened to, and the call.
    met: Mutex<Option<(usize, String)>>,
    ended: AtomicBool,
}

impl Plan {
    pub fn new(at: u64, manner: Manner) -> Arc<Self> {
        Self::of(None, at, manner)
    }

    /// Counts only one kind of call.
    pub fn of(only: Option<Op>, at: u64, manner: Manner) -> Arc<Self> {
        Arc::new(Plan {
            only,
            calls: AtomicU64::new(0),
            at,
            manner,
            met: Mutex::new(None),
            ended: AtomicBool::new(false),
        })
    }

    /// Which site it happened to, at what call.
    pub fn met(&self) -> Option<(usize, String)> {
        self.met.lock().unwrap().clone()
    }

    /// Nothing happens any more.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    fn before(&self, site: usize, index: &Path, op: Op, name: &[u8]) -> rustix::io::Result<()> {
        if self.ended.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut met = self.met.lock().unwrap();
        let counts = self.only.is_none_or(|only| only == op);
        let number = self.calls.fetch_add(counts.into(), Ordering::SeqCst) + 1;
        let is_it = counts && number == self.at;
        if is_it {
            *met = Some((site, format!("{op:?} {}", name.escape_ascii())));
            if self.manner == Manner::Kill {
                keep_index(index);
            }
        }
        let is_after = met.as_ref().is_some_and(|(dead, _)| *dead == site) && !is_it;
        match self.manner {
            Manner::Kill if is_it || is_after => Err(Errno::IO),
            Manner::Once(errno) if is_it => Err(errno),
            Manner::FromThen(errno) if (is_it || is_after) && counts && fails(errno, op) => Err(errno),
            _ => Ok(()),
        }
    }
}

/// A full disk still reads and deletes.
fn fails(errno: Errno, op: Op) -> bool {
    match errno {
        Errno::NOSPC => matches!(op, Op::Create | Op::Write | Op::MakeDirectory | Op::Symlink | Op::WriteAttribute),
        Errno::ACCESS => {
            !matches!(op, Op::Begin | Op::Commit | Op::Read | Op::Write | Op::Sync | Op::Stat | Op::Resize)
        }
        _ => true,
    }
}

struct AtSite {
    plan: Arc<Plan>,
    site: usize,
    index: PathBuf,
}

impl Fault for AtSite {
    fn before(&self, op: Op, name: &[u8]) -> rustix::io::Result<()> {
        self.plan.before(self.site, &self.index, op, name)
    }
}

/// What a site has to be opened with, so that the plan happens to it.
pub fn seams(site: &Site, plan: &Arc<Plan>) -> Seams {
    let fault = Arc::new(AtSite { plan: Arc::clone(plan), site: site.place(), index: site.index() });
    let fault: Arc<dyn Fault> = fault;
    let disk = Disk::faulty(Arc::clone(&fault));
    let connect = move |path: &Path| {
        let driver = SqliteDriver::open(path, Options { write_ahead: true, ..Options::default() })?;
        Ok(Connections::new(Box::new(Asked { driver, fault }), None, Box::new(SqliteDialect)))
    };
    Seams { disk, connect: Some(Box::new(connect)), many: Some(2), ..Seams::default() }
}
