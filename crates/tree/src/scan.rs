//! The scan: compares the directory with what is known of it, and writes what changed as an application would write it,
//! to `disk` and to the rows in one transaction. Changes nothing in the directory.
//!
//! Of what did not change only what the system says is compared, in the order of paths at both sides. Of a file with several
//! names (a hard link) all that are known are looked at if one of them changed, as the system tells of that one only; who is
//! whose twin is judged at the end, once all were.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, Rows};
use rustix::io::Errno;
use sync_core::SiteId;
use sync_store::contents::{Chunk, NAMED, PIECE};
use sync_store::{Hash, Reason, Result, Skipped, StoreError, Trouble};

use crate::cells::{self, Cells, Content};
use crate::disk::{Dir, Slip};
use crate::index::{self, Index, KNOWN, SEEN, Writing, fault, known, seen};
use crate::look::{self, Known, Reading, Seen};
use crate::name::{self, Loser};
use crate::parts;
use crate::pending;
use crate::reconcile::{Change, Verdict, judge};
use crate::root::{Root, failed};
use crate::seams::Hook;
use crate::stage;
use crate::twins;
use crate::walk::{self, Blind, Sight, Step, Walk};
use crate::watch::Extent;

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
    /// For tests.
    pub hook: &'a mut Option<Hook>,
}

/// Changes that are written in one transaction.
const BATCH: usize = 500;

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
        let mut pass = Pass {
            changes: Vec::new(),
            gone: Gone::open()?,
            skipped: Vec::new(),
            weight: 0,
            met: 0,
            read: HashMap::new(),
            stirred: BTreeSet::new(),
            rest: look::rest(self.sight.root.disk()),
        };
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
        if pass.met == 0
            && pass.gone.count > 0
            && !self.force
            && walk::is_empty(root, self.sight.ignore).unwrap_or(true)
        {
            return Err(emptied(root, pass.gone.count));
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
            let rest = pass.rest;
            let look = |old: Option<&Known>| look::read(&directory, name::split(path).1, &now, old, rest);
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
        let rest = pass.rest;
        let looked = self.differing(now, old, |old| look_at(walk, now, old, rest), pass)?;
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
        let known = self.moved(now, old.as_ref(), pass.rest)?.or_else(|| pass.read_already(now, old.as_ref()));
        let new = match known {
            Some(known) => Ok(Reading { known, chunks: Vec::new() }),
            None => look(old.as_ref()),
        };
        Ok(Looked { old, new })
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
            if let Some(why) = take_in(&writing, &found, self.site, self.sight.root)? {
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

fn look_at(walk: &mut Walk, seen: &Seen, old: Option<&Known>, rest: i64) -> std::result::Result<Reading, Reason> {
    let (directory, name): (&Dir, &[u8]) = walk.place().map_err(look::reason)?;
    look::read(directory, name, seen, old, rest)
}

/// Writes one change down: what is there, and what becomes of the row. Says why it could not be taken in.
fn take_in(writing: &Writing, found: &Found, site: SiteId, root: &Root) -> Result<Option<Reason>> {
    let Found { path, new, chunks } = found;
    // As it is by now: a path that several things were told of is looked at several times in one pass, while somebody writes.
    let old = writing.look().known(path)?;
    let (seen, known) = (new.as_ref().map(|k| &k.cells), old.as_ref().map(|k| &k.cells));
    let verdict = match seen == known {
        true => Verdict { row: Change::Keep, copy: None },
        false => judge(seen, known, writing.look().entry(path)?.as_ref()),
    };
    if let Some(copy) = verdict.copy.as_ref().filter(|_| !root.disk().slips(Slip::NoCopy)) {
        // Until the copy is made, somebody may write to the file again.
        if let Err(why) = stage::keep(root, path, &copy.content) {
            return Ok(Some(why));
        }
        put_copy(writing, path, copy, site)?;
    }
    match new {
        Some(new) => {
            writing.put_known(path, new)?;
            if new.seen.links > 1 {
                twins::note(writing, &new.seen)?;
            }
            if let Content::File { hash, .. } = new.cells.content {
                parts::note(writing, hash, chunks)?;
            }
        }
        None => writing.delete_known(path)?,
    }
    if let Some(gone) = went(known, seen) {
        parts::drop_superfluous(writing, gone)?;
    }
    match verdict.row {
        // What the disk said and what the row says was alike or on the list, and still is.
        Change::Keep if seen == known => {}
        Change::Keep => pending::add(writing, path)?,
        Change::Write(cells) if seen == Some(&cells) => writing.put_alike(path, &cells)?,
        Change::Write(cells) => writing.put_entry(path, &cells)?,
        Change::Remove => writing.delete_alike(path)?,
    }
    Ok(None)
}

/// The content of a large file that is not there any more.
fn went(known: Option<&Cells>, seen: Option<&Cells>) -> Option<Hash> {
    let Content::File { hash, size, .. } = known?.content else { return None };
    let is_there = seen.is_some_and(|seen| index::hash_of(&seen.content) == Some(hash));
    (size > PIECE as u64 && !is_there).then_some(hash)
}

/// What is there stays there until it is replaced; its copy is a row of its own.
fn put_copy(writing: &Writing, path: &[u8], cells: &Cells, site: SiteId) -> Result<()> {
    let mtime = match cells.content {
        Content::File { mtime, .. } => u64::try_from(mtime / 1_000_000).unwrap_or_default(),
        _ => 0,
    };
    let content = cells.content.digest();
    add_copy(writing, path, cells, &Loser { site: site.number(), millis: mtime, content: &content }).map(drop)
}

/// Writes a copy's row under its conflict name; says whether there was none yet.
pub fn add_copy(writing: &Writing, path: &[u8], cells: &Cells, loser: &Loser) -> Result<bool> {
    let mut copy = name::conflict(path, loser);
    while let Some(there) = writing.look().entry(&copy)? {
        if there.content.is_same(&cells.content) {
            return Ok(false);
        }
        let longer = name::conflict(&copy, loser);
        if longer == copy {
            return Ok(false);
        }
        copy = longer;
    }
    writing.put_entry(&copy, cells).map(|()| true)
}

/// What was there, and what is.
struct Looked {
    old: Option<Known>,
    new: std::result::Result<Reading, Reason>,
}

/// The paths below a directory: from the first on, before the second.
fn range(directory: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let (from, to) = name::below(directory);
    (from, Some(to))
}

fn skip(skipped: &mut Vec<Skipped>, path: &[u8], reason: Reason) {
    if skipped.len() < NAMED {
        skipped.push(Skipped { path: path.to_vec(), reason });
    }
}

/// What a pass through the directory finds.
struct Pass {
    changes: Vec<Found>,
    gone: Gone,
    skipped: Vec<Skipped>,
    /// Of the changes, in those that are written together.
    weight: usize,
    met: u64,
    /// What was last changed before this time is at rest.
    rest: i64,
    /// Files with several names that were read, by inode.
    read: HashMap<u64, Known>,
    /// Inodes of which a name changed: what the system says of the others changed with it.
    stirred: BTreeSet<u64>,
}

/// So many files with several names are remembered, that they need not be read again under the next.
const REMEMBERED: usize = 5000;

impl Pass {
    fn skip(&mut self, path: &[u8], reason: Reason) {
        skip(&mut self.skipped, path, reason);
    }

    /// Whether the same file was just read under another name.
    fn read_already(&self, now: &Seen, old: Option<&Known>) -> Option<Known> {
        let read = self.read.get(&now.inode).filter(|read| now.links > 1 && read.seen == *now)?;
        Some(look::read_already(read, old))
    }

    fn stir(&mut self, seen: &Seen) {
        if seen.links > 1 {
            self.stirred.insert(seen.inode);
        }
    }

    fn remember(&mut self, known: &Known) {
        if known.seen.links < 2 {
            return;
        }
        if self.read.len() >= REMEMBERED {
            self.read.clear();
        }
        self.read.insert(known.seen.inode, known.clone());
    }

    fn note(&mut self, path: &[u8], looked: Looked) -> Result<()> {
        let Looked { old, new } = looked;
        if let Some(old) = &old {
            self.stir(&old.seen);
        }
        match new {
            Ok(Reading { known, chunks }) => {
                self.stir(&known.seen);
                self.remember(&known);
                self.weight += 1 + chunks.len() / CHUNKS_A_CHANGE;
                self.changes.push(Found { path: path.to_vec(), new: Some(known), chunks });
            }
            Err(why) => {
                if why == Reason::Special && old.is_some() {
                    self.gone.add(path)?;
                }
                self.skip(path, why);
            }
        }
        Ok(())
    }

    /// A known path that the walk did not meet. What is ignored by now was not looked for.
    fn missing(&mut self, path: &[u8], seen: &Seen, sight: Sight) -> Result<()> {
        if sight.ignore.covers(path, seen.kind == cells::DIRECTORY) {
            return Ok(());
        }
        self.stir(seen);
        self.gone.add(path)
    }
}

/// The paths that are gone, which may be very many: in a temporary table of their own.
struct Gone {
    connection: Connection,
    count: u64,
}

impl Gone {
    fn open() -> Result<Self> {
        // An empty name makes a temporary file, used once memory is short.
        let connection = Connection::open("").map_err(fault)?;
        connection.execute_batch("CREATE TABLE gone (path BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID").map_err(fault)?;
        connection.execute_batch("PRAGMA synchronous=OFF; BEGIN").map_err(fault)?;
        Ok(Gone { connection, count: 0 })
    }

    fn add(&mut self, path: &[u8]) -> Result<()> {
        let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO gone VALUES (?)").map_err(fault)?;
        statement.execute([path]).map_err(fault)?;
        self.count += 1;
        Ok(())
    }

    fn page(&self, after: &[u8]) -> Result<Vec<Vec<u8>>> {
        let query = format!("SELECT path FROM gone WHERE path>? ORDER BY path LIMIT {BATCH}");
        let mut statement = self.connection.prepare_cached(&query).map_err(fault)?;
        let rows = statement.query_map([after], |row| row.get(0)).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }
}

/// What is known, with one path in hand.
struct Ahead<'s> {
    rows: Rows<'s>,
    path: Vec<u8>,
    seen: Seen,
    racy: bool,
    is_over: bool,
}

impl<'s> Ahead<'s> {
    fn of(rows: Rows<'s>) -> Result<Self> {
        let mut ahead = Ahead { rows, path: Vec::new(), seen: Seen::default(), racy: false, is_over: false };
        ahead.advance()?;
        Ok(ahead)
    }

    fn advance(&mut self) -> Result<()> {
        let Some(row) = self.rows.next().map_err(fault)? else {
            self.is_over = true;
            return Ok(());
        };
        self.path.clear();
        self.path.extend_from_slice(row.get_ref(0).map_err(fault)?.as_bytes().unwrap_or_default());
        self.seen = seen(row, 1).map_err(fault)?;
        self.racy = row.get(11).map_err(fault)?;
        Ok(())
    }

    fn next_is(&self, path: &[u8]) -> bool {
        !self.is_over && self.path == path
    }

    /// What lies before a path is not there any more, unless it could not be looked at.
    fn missing_before(&mut self, path: &[u8], blind: Option<&[u8]>, sight: Sight, pass: &mut Pass) -> Result<()> {
        while !self.is_over && self.path.as_slice() < path {
            self.miss(blind, sight, pass)?;
        }
        Ok(())
    }

    fn rest(&mut self, blind: Option<&[u8]>, sight: Sight, pass: &mut Pass) -> Result<()> {
        while !self.is_over {
            self.miss(blind, sight, pass)?;
        }
        Ok(())
    }

    fn miss(&mut self, blind: Option<&[u8]>, sight: Sight, pass: &mut Pass) -> Result<()> {
        if !blind.is_some_and(|prefix| self.path.starts_with(prefix)) {
            pass.missing(&self.path, &self.seen, sight)?;
        }
        self.advance()
    }
}

fn reason(why: Blind) -> Reason {
    match why {
        Blind::OtherFileSystem => Reason::OtherFileSystem,
        Blind::Error(e) => look::reason(e),
    }
}

fn emptied(root: &Root, count: u64) -> StoreError {
    StoreError::new(
        Trouble::Halt,
        format!("the directory {} is empty, and {count} files and directories were in it", root.path().display()),
    )
    .hint("nothing was deleted anywhere; put the files back, or run once with -force if it was emptied on purpose")
}
