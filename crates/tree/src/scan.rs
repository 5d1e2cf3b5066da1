//! The scan: compares the directory with what is known of it, and writes what changed as an application would write it,
//! to `disk` and to the rows in one transaction. Changes nothing in the directory.

use rusqlite::{Connection, Rows};
use sync_core::SiteId;
use sync_store::contents::NAMED;
use sync_store::{Reason, Result, Skipped, StoreError, Trouble};

use crate::cells::{self, Cells, Content};
use crate::disk::{Dir, Slip};
use crate::index::{Index, KNOWN, Writing, fault, known};
use crate::look::{self, Known, Seen};
use crate::name::{self, Loser};
use crate::reconcile::{Change, Verdict, judge};
use crate::root::{Root, failed};
use crate::stage;
use crate::tree::Hook;
use crate::walk::{Blind, Step, Walk};

/// What a scan works on.
pub struct Scan<'a> {
    /// The directory.
    pub root: &'a Root,
    /// Its index.
    pub index: &'a mut Index,
    /// Whose changes these are.
    pub site: SiteId,
    /// Whether an empty directory is what it should be.
    pub force: bool,
    /// For tests.
    pub hook: &'a mut Option<Hook>,
}

/// Changes that are written in one transaction.
const BATCH: usize = 500;

/// A change on the disk.
struct Found {
    path: Vec<u8>,
    old: Option<Known>,
    new: Option<Known>,
}

impl Scan<'_> {
    /// Runs it; says which paths could not be taken in.
    pub fn run(&mut self) -> Result<Vec<Skipped>> {
        let reader = self.index.reader()?;
        let mut pass = Pass {
            changes: Vec::new(),
            gone: Gone::open()?,
            skipped: Vec::new(),
            met: 0,
            rest: look::rest(self.root.disk()),
        };
        self.compare(&reader, &mut pass)?;
        self.flush(&mut pass.changes, &mut pass.skipped)?;
        if pass.met == 0 && pass.gone.count > 0 && !self.force {
            return Err(emptied(self.root, pass.gone.count));
        }
        // What is gone comes last: a file that was moved is then at its new path before it leaves the old one.
        self.root.check()?;
        self.forget(&pass.gone, &mut pass.skipped)?;
        Ok(pass.skipped)
    }

    /// One pass through both, in the order of paths.
    fn compare(&mut self, reader: &Connection, pass: &mut Pass) -> Result<()> {
        let root = self.root;
        let mut statement = reader.prepare(&format!("SELECT path, {KNOWN} FROM disk ORDER BY path")).map_err(fault)?;
        let mut rows = Ahead::of(statement.query([]).map_err(fault)?)?;
        let mut walk = Walk::new(root).map_err(|e| failed("list", root.path(), e))?;
        let mut blind = None;
        while let Some(step) = walk.step() {
            while let Some((path, _)) = rows.next_if(|path| path < walk.path())? {
                pass.missing(&path, blind.as_deref())?;
            }
            let old = rows.next_if(|path| path == walk.path())?.map(|(_, known)| known);
            match step {
                Step::Found(stat) => {
                    let seen = Seen::of(&stat);
                    self.found(&mut walk, &seen, old, pass)?;
                }
                Step::Blind(why) => {
                    pass.skip(walk.path(), reason(why));
                    blind = Some([walk.path(), b"/"].concat()).filter(|_| !root.disk().slips(Slip::BlindIsGone));
                }
            }
            if pass.changes.len() >= BATCH {
                self.flush(&mut pass.changes, &mut pass.skipped)?;
            }
        }
        while let Some((path, _)) = rows.next_if(|_| true)? {
            pass.missing(&path, blind.as_deref())?;
        }
        Ok(())
    }

    fn found(&mut self, walk: &mut Walk, seen: &Seen, old: Option<Known>, pass: &mut Pass) -> Result<()> {
        pass.met += 1;
        if old.as_ref().is_some_and(|old| old.seen == *seen && !old.racy) {
            return Ok(());
        }
        let known_file = self.moved(seen, old.as_ref(), pass.rest)?;
        let looked = match known_file {
            Some(known) => Ok(known),
            None => look_at(walk, seen, old.as_ref(), pass.rest),
        };
        match looked {
            Ok(new) => pass.changes.push(Found { path: walk.path().to_vec(), old, new: Some(new) }),
            Err(why) => {
                if why == Reason::Special && old.is_some() {
                    pass.gone.add(walk.path())?;
                }
                pass.skip(walk.path(), why);
            }
        }
        Ok(())
    }

    /// A file that was moved with its directory: nothing about it changed but its path, so that it need not be read.
    fn moved(&self, seen: &Seen, old: Option<&Known>, rest: i64) -> Result<Option<Known>> {
        if old.is_some() || seen.kind != cells::FILE || seen.is_racy(rest) {
            return Ok(None);
        }
        let query = format!("SELECT {KNOWN} FROM disk WHERE ino=? LIMIT 1");
        let there = self.index.look().first(&query, [seen.inode.cast_signed()], |row| known(row, 0))?;
        Ok(there.filter(|there| there.seen == *seen && !there.racy))
    }

    fn flush(&mut self, changes: &mut Vec<Found>, skipped: &mut Vec<Skipped>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.moment("scan: write")?;
        let writing = self.index.begin()?;
        for found in changes.drain(..) {
            if let Some(why) = take_in(&writing, &found, self.site, self.root)? {
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
                let old = self.index.look().known(&path)?;
                after.clone_from(&path);
                changes.push(Found { path, old, new: None });
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

fn look_at(walk: &mut Walk, seen: &Seen, old: Option<&Known>, rest: i64) -> std::result::Result<Known, Reason> {
    let (directory, name): (&Dir, &[u8]) = walk.place().map_err(look::reason)?;
    look::read(directory, name, seen, old, rest)
}

/// Writes one change down: what is there, and what becomes of the row. Says why it could not be taken in.
fn take_in(writing: &Writing, found: &Found, site: SiteId, root: &Root) -> Result<Option<Reason>> {
    let Found { path, old, new } = found;
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
        Some(new) => writing.put_known(path, new)?,
        None => writing.delete_known(path)?,
    }
    match verdict.row {
        Change::Keep => {}
        Change::Write(cells) => writing.put_entry(path, &cells)?,
        Change::Remove => writing.delete_entry(path)?,
    }
    Ok(None)
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
    met: u64,
    /// What was last changed before this time is at rest.
    rest: i64,
}

impl Pass {
    fn skip(&mut self, path: &[u8], reason: Reason) {
        skip(&mut self.skipped, path, reason);
    }

    /// A known path that the walk did not meet. What lies where it could not look is not gone.
    fn missing(&mut self, path: &[u8], blind: Option<&[u8]>) -> Result<()> {
        if blind.is_some_and(|prefix| path.starts_with(prefix)) {
            return Ok(());
        }
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

/// The rows of what is known, with one in hand.
struct Ahead<'s> {
    rows: Rows<'s>,
    next: Option<(Vec<u8>, Known)>,
}

impl<'s> Ahead<'s> {
    fn of(rows: Rows<'s>) -> Result<Self> {
        let mut ahead = Ahead { rows, next: None };
        ahead.next = ahead.read()?;
        Ok(ahead)
    }

    fn read(&mut self) -> Result<Option<(Vec<u8>, Known)>> {
        let row = self.rows.next().map_err(fault)?;
        row.map(|row| Ok((row.get(0)?, known(row, 1)?))).transpose().map_err(fault)
    }

    fn next_if(&mut self, is_due: impl Fn(&[u8]) -> bool) -> Result<Option<(Vec<u8>, Known)>> {
        if !self.next.as_ref().is_some_and(|(path, _)| is_due(path)) {
            return Ok(None);
        }
        let after = self.read()?;
        Ok(std::mem::replace(&mut self.next, after))
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
