//! Making twins: paths whose rows say that they are one file become one (a hard link), as far as those rows are alike; and
//! a file with several names is never written to for the sake of one of them. All names of a file that somebody gave others
//! outside of the tree, or that want to be different, get files of their own instead.
//!
//! Whatever is done to one name changes what the system says of the others (their time of change, how many they are):
//! here is remembered what of that was our doing, so that it is not taken for somebody's.

use std::collections::HashMap;

use rusqlite::params;
use rustix::io::Errno;
use sync_store::{Reason, Result};

use crate::attributes::Dressed;
use crate::cells::{Cells, Content};
use crate::disk::{self, File};
use crate::index::{self, KNOWN, Writing, columns_of};
use crate::look::{Known, Seen, is_as_known, reason};
use crate::name;
use crate::pending::DIFFER;
use crate::place::{Batch, Done, From, Task};
use crate::source::Holder;

/// A path that is what another one is to be, and has the same twin.
pub(crate) struct Sibling {
    path: Vec<u8>,
    /// What is known of it; nothing if it is made in this batch.
    known: Option<Known>,
}

/// Another name of a file, not in its place yet.
pub(crate) struct Name {
    pub staged: String,
    pub dressed: Dressed,
    /// What was known of the file, if it is the same.
    pub before: Option<Seen>,
}

/// What a batch knows of twins.
#[derive(Default)]
pub(crate) struct Joined {
    /// What is made in this batch by what it is, so that others are joined to it; the file, if it is there already.
    first: HashMap<Cells, (Vec<u8>, Option<u64>)>,
    /// Files that we gave names or took them away, by inode.
    stirred: HashMap<u64, Stirred>,
}

/// What the system said of a file before we did something, and says now.
struct Stirred {
    before: Vec<Seen>,
    now: Seen,
}

impl Joined {
    /// Whether a path like this is made in this batch.
    pub fn has(&self, cells: &Cells) -> bool {
        cells.has_twins() && self.first.contains_key(cells)
    }

    /// A path is about to be made.
    pub fn add(&mut self, task: &Task, from: &From) {
        if task.cells.has_twins() && !matches!(from, From::Twin(_)) {
            let inode = if let From::Path { holder, .. } = from { Some(holder.known.seen.inode) } else { None };
            self.first.entry(task.cells.clone()).or_insert_with(|| (task.path.clone(), inode));
        }
    }

    /// It was made.
    pub fn placed(&mut self, task: &Task, seen: &Seen) {
        if task.cells.has_twins() {
            self.first.entry(task.cells.clone()).or_insert_with(|| (task.path.clone(), Some(seen.inode)));
        }
    }

    /// What was made is about to be written down.
    pub fn end_batch(&mut self) {
        self.first.clear();
    }

    fn stir(&mut self, before: &Seen, now: &Seen) {
        let stirred = self.stirred.entry(now.inode).or_insert_with(|| Stirred { before: Vec::new(), now: now.clone() });
        let last = std::mem::replace(&mut stirred.now, now.clone());
        for seen in [before.clone(), last] {
            if !stirred.before.contains(&seen) {
                stirred.before.push(seen);
            }
        }
    }

    /// What the system says now of a file of which it said this before.
    fn now(&self, seen: &Seen) -> Option<&Seen> {
        let stirred = self.stirred.get(&seen.inode)?;
        stirred.before.contains(seen).then_some(&stirred.now)
    }

    /// Writes down what the system says of the names that were not touched. They are read again by the next scan, as somebody
    /// may have written to the file meanwhile.
    pub fn write_down(&mut self, writing: &Writing) -> Result<()> {
        const UPDATE: &str = "UPDATE disk SET mtime=?, ctime=?, links=?, seen_mode=?, uid=?, gid=?, racy=1 \
             WHERE ino=? AND dev=? AND size=? AND mtime=? AND ctime=? AND links=? AND seen_mode=? AND uid=? AND gid=?";
        for (inode, Stirred { before, now }) in self.stirred.drain() {
            for old in &before {
                let (links, device, size) = (now.links.cast_signed(), old.device.cast_signed(), old.size.cast_signed());
                let new = params![
                    now.mtime,
                    now.ctime,
                    links,
                    now.mode,
                    now.owner,
                    now.group,
                    inode.cast_signed(),
                    device,
                    size,
                    old.mtime,
                    old.ctime,
                    old.links.cast_signed(),
                    old.mode,
                    old.owner,
                    old.group
                ];
                writing.run(UPDATE, new)?;
            }
        }
        Ok(())
    }
}

/// Another path at which a file is known to be: whether it goes, or is to be the same as the one that is asked about.
struct Other {
    path: Vec<u8>,
    agrees: bool,
}

impl Batch<'_> {
    /// What is known of a path, after what we did to other names of its file.
    pub(crate) fn current(&self, known: &Known) -> Known {
        let seen = self.joined.now(&known.seen).unwrap_or(&known.seen).clone();
        Known { seen, ..known.clone() }
    }

    /// Brings what is known up to date: it was read before other tasks were done.
    pub(crate) fn freshen(&self, task: &mut Task) -> Result<()> {
        if task.known.as_ref().is_some_and(|known| known.seen.links > 1) {
            task.known = self.tree.index.look().known(&task.path)?;
        }
        task.known = task.known.take().map(|known| self.current(&known));
        Ok(())
    }

    /// We gave a file a name, or took one away, which says something else of its other names.
    pub(crate) fn stir_names(&mut self, before: &Seen, now: &Seen) {
        if now.is_but_for_names(before) {
            self.stir(before, now);
        }
    }

    /// We wrote what is not content to a file with several names.
    pub(crate) fn stir_attributes(&mut self, task: &Task, before: &Seen, now: &Seen) {
        let is_time = |time: i64| matches!(task.cells.content, Content::File { mtime, .. } if mtime == time);
        if now.size == before.size && (now.mtime == before.mtime || is_time(now.mtime)) {
            self.stir(before, now);
        }
    }

    fn stir(&mut self, before: &Seen, now: &Seen) {
        self.joined.stir(before, now);
        for done in &mut self.done {
            if let Done::Placed { known, .. } = done
                && let Some(now) = self.joined.now(&known.seen)
            {
                known.seen = now.clone();
            }
        }
    }

    /// Where to get a file from that is to be the same as one that is there, or is made in this batch. Nothing if there is none
    /// yet, or if it is the same already.
    pub(crate) fn join(&mut self, task: &mut Task) -> Result<std::result::Result<Option<From>, Reason>> {
        if !task.cells.has_twins() {
            return Ok(Ok(None));
        }
        let (sibling, inode) = match self.joined.first.get(&task.cells) {
            Some((path, inode)) => (Sibling { path: path.clone(), known: None }, *inode),
            None => match self.made(task)? {
                None => return Ok(Ok(None)),
                Some((path, known)) => {
                    let known = self.current(&known);
                    match self.is_there(&path, &known) {
                        Ok(true) => {}
                        Ok(false) => return Ok(Err(Reason::Changed)),
                        Err(e) => return self.come_alone(task, reason(e)),
                    }
                    let inode = known.seen.inode;
                    (Sibling { path, known: Some(known) }, Some(inode))
                }
            },
        };
        let is_same = inode.is_some() && task.known.as_ref().map(|known| known.seen.inode) == inode;
        if is_same {
            return Ok(Ok(None));
        }
        let spare = inode.map(|inode| self.spare_name(task, inode)).transpose()?.flatten();
        Ok(Ok(Some(spare.unwrap_or_else(|| From::Twin(Box::new(sibling))))))
    }

    /// A file that cannot be joined now. Its content comes all the same, as a file that is nobody's twin: so it differs from its row
    /// until it is joined.
    fn come_alone(&mut self, task: &mut Task, reason: Reason) -> Result<std::result::Result<Option<From>, Reason>> {
        if task.has_content() {
            return Ok(Err(reason));
        }
        self.skip(&task.path, reason)?;
        task.cells.twin.clear();
        Ok(Ok(None))
    }

    /// A path with the same twin that is like this one, and was made.
    fn made(&self, task: &Task) -> Result<Option<(Vec<u8>, Known)>> {
        let query = format!(
            "SELECT d.path, {} FROM entry e JOIN disk d ON d.path=e.path WHERE e.twin=?1 AND e.twin<>x'' AND e.path<>?2 \
             AND {LIKE} AND NOT {DIFFER} AND NOT ignored(e.path, 0) ORDER BY e.path LIMIT 1",
            columns_of("d", KNOWN)
        );
        let Cells { content, mode, owner, group, attributes, twin } = &task.cells;
        let params = params![twin, task.path, content.pack(), mode, owner, group, attributes];
        self.tree.index.look().first(&query, params, |row| Ok((row.get(0)?, index::known(row, 1)?)))
    }

    fn is_there(&mut self, path: &[u8], known: &Known) -> disk::Result<bool> {
        let parent = self.parent(path)?;
        is_as_known(&parent, name::split(path).1, Some(known))
    }

    /// A name of the same file that is given up, and can be renamed.
    fn spare_name(&mut self, task: &Task, inode: u64) -> Result<Option<From>> {
        let Content::File { hash, .. } = task.cells.content else { return Ok(None) };
        if task.known.is_some() {
            return Ok(None);
        }
        let mut holders = self.holders(hash)?;
        holders.retain(|holder| holder.known.seen.inode == inode && !self.is_used(&holder.path));
        self.spare_of(&holders, task)
    }

    fn is_used(&self, path: &[u8]) -> bool {
        let is_it = |from: &From| matches!(from, From::Path { holder, .. } if holder.path == path);
        self.prepared.iter().any(|prepared| is_it(&prepared.from))
    }

    /// Whether a file that is given up can become what is wanted elsewhere: with several names only as it is, and if the
    /// others go as well or want to be the same.
    pub(crate) fn may_move(&self, holder: &Holder, task: &Task) -> Result<bool> {
        if holder.known.seen.links < 2 {
            return Ok(true);
        }
        let others = self.others(&holder.path, &holder.known, &task.cells)?;
        Ok(holder.known.cells == task.cells && others.iter().all(|other| other.agrees))
    }

    /// Whether a file with the right content must not be written to, because it has names that want to stay as they are.
    pub(crate) fn must_part(&self, task: &Task) -> Result<bool> {
        let Some(known) = task.known.as_ref().filter(|known| known.seen.links > 1) else { return Ok(false) };
        let others = self.others(&task.path, known, &task.cells)?;
        let has_names_elsewhere = known.seen.links > 1 + others.len() as u64;
        Ok(others.iter().any(|other| !other.agrees) || (has_names_elsewhere && !known.cells.is_like(&task.cells)))
    }

    fn others(&self, path: &[u8], known: &Known, cells: &Cells) -> Result<Vec<Other>> {
        let query = format!(
            "SELECT d.path, e.path IS NULL OR (e.twin=?1 AND e.twin<>x'' AND {LIKE}) FROM disk d \
             LEFT JOIN entry e ON e.path=d.path WHERE d.ino=?8 AND d.dev=?9 AND d.path<>?2 AND NOT ignored(d.path, 0)"
        );
        let Cells { content, mode, owner, group, attributes, twin } = cells;
        let (inode, device) = (known.seen.inode.cast_signed(), known.seen.device.cast_signed());
        let params = params![twin, path, content.pack(), mode, owner, group, attributes, inode, device];
        let mut others =
            self.tree.index.look().all(&query, params, |row| Ok(Other { path: row.get(0)?, agrees: row.get(1)? }))?;
        // What was done in this batch is not written down yet.
        others.retain(|other| !self.has_left(&other.path, known.seen.inode));
        Ok(others)
    }

    fn has_left(&self, path: &[u8], inode: u64) -> bool {
        self.done.iter().any(|done| match done {
            Done::Placed { path: other, known } => other == path && known.seen.inode != inode,
            Done::Gone { path: other } => other == path,
            Done::Trashed { .. } => false,
        })
    }

    /// Gives the file of a sibling another name in the staging directory. Where the file system does not take it, or no more of
    /// them, a copy is what there can be.
    pub(crate) fn twin_of(&mut self, sibling: &Sibling, task: &Task) -> std::result::Result<Name, Reason> {
        let known = match &sibling.known {
            Some(known) => self.current(known),
            None => self.placed(&sibling.path).ok_or(Reason::Changed)?,
        };
        let (parent, (_, name)) = (self.parent(&sibling.path).map_err(reason)?, name::split(&sibling.path));
        if !is_as_known(&parent, name, Some(&known)).map_err(reason)? {
            return Err(Reason::Changed);
        }
        let staged = self.new_name("twin");
        let staging = &self.tree.root.own().staging;
        let _ = staging.remove(&staged);
        match parent.link(name, staging, &staged) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::MLINK | Errno::XDEV | Errno::NOTSUP | Errno::NOSYS) => {
                let mut file = parent.open(name).map_err(reason)?;
                return self.copy_of(&mut file, task);
            }
            Err(e) => return Err(reason(e)),
        }
        let found = staging.look(&staged).map_err(reason)?.map(|stat| Seen::of(&stat));
        if !found.is_some_and(|found| found.is_but_for_names(&known.seen)) {
            let _ = staging.remove(&staged);
            return Err(Reason::Changed);
        }
        Ok(Name { staged, dressed: Dressed::as_it_was(known.attributes), before: Some(known.seen) })
    }

    fn copy_of(&self, file: &mut File, task: &Task) -> std::result::Result<Name, Reason> {
        let Content::File { hash, .. } = task.cells.content else { return Err(Reason::Changed) };
        self.stage_copy(hash, file)?;
        let from = From::Staged { name: hash.to_string(), safe: false };
        let dressed = self.dress(&from, &task.cells)?;
        let staging = &self.tree.root.own().staging;
        staging.open(hash.to_string()).and_then(|file| file.sync_data()).map_err(reason)?;
        Ok(Name { staged: hash.to_string(), dressed, before: None })
    }

    /// What was put into its place in this batch.
    fn placed(&self, path: &[u8]) -> Option<Known> {
        self.done.iter().rev().find_map(|done| match done {
            Done::Placed { path: placed, known } if placed == path => Some((**known).clone()),
            _ => None,
        })
    }
}

/// That a row wants what is asked about, but for the twin.
const LIKE: &str = "e.content=?3 AND e.mode=?4 AND e.owner=?5 AND e.grp=?6 AND e.xattrs=?7";
