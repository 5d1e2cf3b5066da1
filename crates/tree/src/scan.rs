//! The scan: compares the directory with what is known of it, and writes what changed as an application would write it,
//! to `disk` and to the rows in one transaction. Changes nothing in the directory.
//!
//! Of what did not change only what the system says is compared, in the order of paths at both sides. Of a file with several
//! names (a hard link) all that are known are looked at if one of them changed, as the system tells of that one only; who is
//! whose twin is judged at the end, once all were.

mod ahead;
mod pass;
mod take;

use std::collections::{BTreeMap, BTreeSet};

use pass::{Gone, Looked, Pass, skip};
use rustix::io::Errno;
use sync_core::SiteId;
use sync_store::contents::Chunk;
use sync_store::{Reason, Result, Skipped, StoreError, Trouble};
use take::take_in;

use crate::accounts::Accounts;
use crate::beforehand::Beforehand;
use crate::cells;
use crate::disk::{Dir, Slip};
use crate::foresight::Edits;
use crate::ignore::Ignore;
use crate::index::{Index, KNOWN, SEEN, fault, known};
use crate::look::{self, Known, Reading, Seen};
use crate::name;
use crate::root::{Root, failed};
use crate::seams::Hook;
use crate::twins;
use crate::walk::{self, Blind, Sight, Step, Walk};
use crate::watch::Extent;

pub(crate) use ahead::Ahead;
pub use take::add_copy;

/// What a scan works on.
pub struct Scan<'a> {
    /// The directory, and what of it is looked at.
    pub sight: Sight<'a>,
    /// Its index.
    pub index: &'a mut Index,
    /// Whose changes these are.
    pub site: SiteId,
    /// Whether an empty directory is what it should be.
    pub force: bool,
    /// Whether files are read whatever the system says of them.
    pub doubt: bool,
    /// What was read before.
    pub beforehand: &'a Beforehand,
    /// What peers will ask for of what was edited.
    pub edits: &'a mut Edits,
    /// For tests.
    pub hook: &'a mut Option<Hook>,
}

/// Changes that are written in one transaction.
const BATCH: usize = 2000;

/// So many chunks weigh as much as a change.
const CHUNKS_A_CHANGE: usize = 100;

/// A change on the disk.
struct Found {
    path: Vec<u8>,
    new: Option<Known>,
    chunks: Vec<Chunk>,
}

impl Scan<'_> {
    /// Runs it; says which paths could not be taken in.
    pub fn run(&mut self, extent: &Extent) -> Result<Vec<Skipped>> {
        let mut pass = Pass::begin(look::rest(self.sight.root.disk()))?;
        match extent {
            Extent::Everything => self.compare(b"", true, &mut pass)?,
            Extent::Places(places) => {
                for (path, below) in places {
                    self.look_again(path, *below, &mut pass)?;
                }
                self.look_at_other_names(places, &mut pass)?;
            }
        }
        self.flush(&mut pass.changes, &mut pass.skipped)?;
        let root = self.sight.root;
        if pass.met == 0 && !self.force {
            refuse_emptied(root, self.sight.ignore, pass.gone.count)?;
        }
        // What is gone comes last: a file that was moved is then at its new path before it leaves the old one.
        root.check()?;
        self.forget(&pass.gone, &mut pass.skipped)?;
        twins::judge(self.index, || self.hook.as_mut().map_or(Ok(()), |hook| hook("scan: twins")))?;
        Ok(pass.skipped)
    }

    /// Of a file with several names the system tells of the one that somebody used.
    fn look_at_other_names(&mut self, places: &BTreeMap<Vec<u8>, bool>, pass: &mut Pass) -> Result<()> {
        let mut looked = BTreeSet::new();
        while let Some(inode) = pass.stirred.pop_first() {
            if !looked.insert(inode) {
                continue;
            }
            for path in twins::names(self.index.look(), inode)?.iter().filter(|path| !places.contains_key(*path)) {
                self.look_again(path, false, pass)?;
            }
        }
        Ok(())
    }

    /// A single path, and what is below it if that may have changed as well.
    fn look_again(&mut self, path: &[u8], below: bool, pass: &mut Pass) -> Result<()> {
        let looked = match self.sight.root.parent(path) {
            Ok((directory, name)) => directory.look(name).map(|found| found.map(|stat| (directory, stat))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(e),
        };
        let there = match looked {
            Ok(there) => there,
            Err(e) => {
                pass.skip(path, look::reason(e));
                return Ok(());
            }
        };
        let old = self.index.look().known(path)?;
        let was_directory = old.as_ref().is_some_and(|old| old.seen.kind == cells::DIRECTORY);
        let Some((directory, stat)) = there else {
            if let Some(old) = &old {
                pass.missing(path, &old.seen, self.sight)?;
            }
            return if was_directory { self.compare(path, false, pass) } else { Ok(()) };
        };
        let now = Seen::of(&stat);
        let is_directory = now.kind == cells::DIRECTORY;
        if self.sight.ignore.covers(path, is_directory) {
            return Ok(());
        }
        let is_same = old.as_ref().is_some_and(|old| old.seen.kind == now.kind && old.seen.inode == now.inode);
        pass.met += 1;
        if self.doubt || !old.as_ref().is_some_and(|old| old.seen == now && !old.racy) {
            let (rest, accounts) = (pass.rest, self.sight.accounts);
            let look = |old: Option<&Known>| look::read((&directory, name::split(path).1), &now, old, rest, accounts);
            let looked = self.differing(&now, old, look, pass)?;
            pass.note(path, looked)?;
        }
        let may_differ_below = below || !is_same;
        if may_differ_below && (is_directory || was_directory) {
            self.compare(path, is_directory, pass)?;
        }
        self.flush_if_full(pass)
    }

    /// One pass through a directory and what is known of it, in the order of paths.
    fn compare(&mut self, directory: &[u8], is_there: bool, pass: &mut Pass) -> Result<()> {
        let sight = self.sight;
        let reader = self.index.reader()?;
        let (from, to) = if directory.is_empty() { (Vec::new(), None) } else { range(directory) };
        let end = if to.is_some() { "AND path<?2" } else { "AND ?2 IS NULL" };
        let query = format!("SELECT path, {SEEN} FROM disk WHERE path>=?1 {end} ORDER BY path");
        let mut statement = reader.prepare(&query).map_err(fault)?;
        let mut rows = Ahead::of(statement.query((from, to)).map_err(fault)?)?;
        let mut walk = match is_there.then(|| Walk::below(sight, directory)) {
            None => return rows.rest(None, sight, pass),
            Some(Ok(walk)) => walk,
            Some(Err(e)) if directory.is_empty() => return Err(failed("list", sight.root.path(), e)),
            Some(Err(e)) => {
                pass.skip(directory, look::reason(e));
                return Ok(());
            }
        };
        let mut blind = None;
        while let Some(step) = walk.step() {
            rows.missing_before(walk.path(), blind.as_deref(), sight, pass)?;
            let is_known = rows.next_is(walk.path());
            match step {
                Step::Found(stat) => {
                    let now = Seen::of(&stat);
                    pass.met += 1;
                    if self.doubt || !is_known || rows.racy || rows.seen != now {
                        self.found(&mut walk, &now, is_known, pass)?;
                    }
                }
                Step::Blind(why) => {
                    pass.skip(walk.path(), reason(why));
                    blind = Some([walk.path(), b"/"].concat()).filter(|_| !sight.root.disk().slips(Slip::BlindIsGone));
                }
            }
            if is_known {
                rows.advance()?;
            }
            self.flush_if_full(pass)?;
        }
        rows.rest(blind.as_deref(), sight, pass)
    }

    /// Something that is not as it is known.
    fn found(&mut self, walk: &mut Walk, now: &Seen, is_known: bool, pass: &mut Pass) -> Result<()> {
        let path = walk.path().to_vec();
        let old = if is_known { self.index.look().known(&path)? } else { None };
        let (rest, accounts) = (pass.rest, self.sight.accounts);
        let looked = self.differing(now, old, |old| look_at(walk, now, old, rest, accounts), pass)?;
        pass.note(&path, looked)
    }

    /// Looks at something, unless it is a file that was only moved, or was read under another name.
    fn differing(
        &self,
        now: &Seen,
        old: Option<Known>,
        look: impl FnOnce(Option<&Known>) -> std::result::Result<Reading, Reason>,
        pass: &mut Pass,
    ) -> Result<Looked> {
        let known = match self.moved(now, old.as_ref(), pass.rest)? {
            Some(moved) => Some(Ok(moved)),
            None => pass.read_already(now, old.as_ref(), self.sight.accounts),
        };
        let new = match known {
            Some(known) => known.map(|known| Reading { known, chunks: Vec::new() }),
            None => self.read_beforehand(now, old.as_ref()).unwrap_or_else(|| look(old.as_ref())),
        };
        Ok(Looked { old, new })
    }

    fn read_beforehand(&self, now: &Seen, old: Option<&Known>) -> Option<std::result::Result<Reading, Reason>> {
        if self.doubt { None } else { self.beforehand.get(now, old, self.sight.accounts) }
    }

    /// A file that was moved with its directory: nothing about it changed but its path, so that it need not be read.
    fn moved(&self, seen: &Seen, old: Option<&Known>, rest: i64) -> Result<Option<Known>> {
        if self.doubt || old.is_some() || seen.kind != cells::FILE || seen.is_racy(rest) {
            return Ok(None);
        }
        let query = format!("SELECT {KNOWN} FROM disk WHERE ino=? LIMIT 1");
        let there = self.index.look().first(&query, [seen.inode.cast_signed()], |row| known(row, 0))?;
        Ok(there.filter(|there| there.seen == *seen && !there.racy))
    }

    fn flush_if_full(&mut self, pass: &mut Pass) -> Result<()> {
        if pass.weight < BATCH {
            return Ok(());
        }
        pass.weight = 0;
        self.flush(&mut pass.changes, &mut pass.skipped)
    }

    fn flush(&mut self, changes: &mut Vec<Found>, skipped: &mut Vec<Skipped>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.moment("scan: write")?;
        let writing = self.index.begin()?;
        for found in changes.drain(..) {
            if let Some(why) = take_in(&writing, &found, self.site, self.sight.root, self.edits)? {
                skip(skipped, &found.path, why);
            }
        }
        writing.commit()
    }

    /// Takes in that things are gone.
    fn forget(&mut self, gone: &Gone, skipped: &mut Vec<Skipped>) -> Result<()> {
        let mut after = Vec::new();
        loop {
            let mut changes = Vec::new();
            for path in gone.page(&after)? {
                after.clone_from(&path);
                changes.push(Found { path, new: None, chunks: Vec::new() });
            }
            if changes.is_empty() {
                return Ok(());
            }
            self.flush(&mut changes, skipped)?;
        }
    }

    fn moment(&mut self, what: &'static str) -> Result<()> {
        self.hook.as_mut().map_or(Ok(()), |hook| hook(what))
    }
}

fn look_at(
    walk: &mut Walk,
    seen: &Seen,
    old: Option<&Known>,
    rest: i64,
    accounts: &Accounts,
) -> std::result::Result<Reading, Reason> {
    let (directory, name): (&Dir, &[u8]) = walk.place().map_err(look::reason)?;
    look::read((directory, name), seen, old, rest, accounts)
}

/// The paths below a directory: from the first on, before the second.
fn range(directory: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let (from, to) = name::below(directory);
    (from, Some(to))
}

fn reason(why: Blind) -> Reason {
    match why {
        Blind::OtherFileSystem => Reason::OtherFileSystem,
        Blind::Error(e) => look::reason(e),
    }
}

/// Refuses a directory that lost all it had, which was so much. Nobody looks into it where it had nothing.
pub(crate) fn refuse_emptied(root: &Root, ignore: &Ignore, count: u64) -> Result<()> {
    if count == 0 || !walk::is_empty(root, ignore).unwrap_or(true) {
        return Ok(());
    }
    Err(StoreError::new(
        Trouble::Halt,
        format!("the directory {} is empty, and {count} files and directories were in it", root.path().display()),
    )
    .hint("nothing was deleted anywhere; put the files back, or run once with -force if it was emptied on purpose"))
}
