//! Putting files into their places, many at a time: contents are staged and made safe, then each is renamed into its
//! place, then each directory is made safe, then the index is written. Each path is the old or the new at any moment, and
//! the index never says more than is on the disk.
//!
//! A place is looked at again right before, and what was displaced right after: what somebody wrote meanwhile is never
//! overwritten.

mod finish;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use rustix::io::Errno;
use sync_store::{Hash, Realised, Reason, Result};

use crate::aside::Aside;
use crate::attributes::{self, Dressed, How};
use crate::cells::{self, Cells, Content};
use crate::disk::{self, Dir, Onto, Slip};
use crate::index;
use crate::join::{Joined, Sibling};
use crate::look::{self, Known, Seen, is_as_known, reason};
use crate::name;
use crate::source::Holder;
use crate::stage;
use crate::tree::Tree;

/// Files that are dealt with together: what makes them safe costs about as much for many as for few.
const BATCH: usize = 1000;
/// Directories that are open for that.
const DIRECTORIES: usize = 200;
/// With more files than this, the whole file system is made safe at once.
const MANY: usize = 8;

/// A path and what it has to become.
pub struct Task {
    /// The path.
    pub path: Vec<u8>,
    /// What it has to become.
    pub cells: Cells,
    /// What is known to be there.
    pub known: Option<Known>,
}

impl Task {
    /// Whether a directory is where a file has to be.
    pub fn is_blocked(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.seen.kind == cells::DIRECTORY)
    }

    /// Whether what is there has the content that it has to have.
    pub(crate) fn has_content(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.cells.content.is_same(&self.cells.content))
    }
}

/// A file that waits to be renamed into its place.
pub(crate) struct Prepared {
    pub(crate) task: Task,
    parent: Rc<Dir>,
    pub(crate) from: From,
    dressed: Dressed,
}

/// Where it is.
pub(crate) enum From {
    /// In the staging directory.
    Staged { name: String, safe: bool },
    /// At a path that is given up.
    Path { holder: Box<Holder>, parent: Rc<Dir> },
    /// At the path of a twin, that stays.
    Twin(Box<Sibling>),
}

/// Where something was that is at its place now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// In the staging directory, where only we write.
    Staging,
    /// In the tree, where anybody may write to it.
    Tree,
}

/// What happened in the directory and has to be written down.
pub(crate) enum Done {
    Placed { path: Vec<u8>, known: Box<Known> },
    Gone { path: Vec<u8> },
    Trashed { path: Vec<u8>, known: Box<Known> },
}

impl Done {
    fn path(&self) -> &[u8] {
        match self {
            Done::Placed { path, .. } | Done::Gone { path } | Done::Trashed { path, .. } => path,
        }
    }
}

/// A batch under way.
pub struct Batch<'a> {
    pub(crate) tree: &'a mut Tree,
    report: &'a mut Realised,
    pub(crate) prepared: Vec<Prepared>,
    /// Of those.
    contents: HashSet<Hash>,
    pub(crate) done: Vec<Done>,
    pub(crate) joined: Joined,
    parents: HashMap<Vec<u8>, Rc<Dir>>,
    /// Directories in which something was renamed.
    touched: BTreeMap<Vec<u8>, Rc<Dir>>,
    names: u64,
}

impl<'a> Batch<'a> {
    /// An empty one.
    pub fn new(tree: &'a mut Tree, report: &'a mut Realised) -> Self {
        let (parents, touched) = (HashMap::new(), BTreeMap::new());
        Batch {
            tree,
            report,
            prepared: Vec::new(),
            contents: HashSet::new(),
            done: Vec::new(),
            joined: Joined::default(),
            parents,
            touched,
            names: 0,
        }
    }

    /// The tree.
    pub fn tree(&mut self) -> &mut Tree {
        self.tree
    }

    /// Deals with a file or a link, now or with the others of the batch.
    pub fn put(&mut self, mut task: Task) -> Result<()> {
        if self.is_pending(&task.cells.content) && !self.joined.has(&task.cells) {
            // The same content: from its place it can be copied.
            self.finish()?;
        }
        self.freshen(&mut task)?;
        let path = task.path.clone();
        match self.prepare(task)? {
            Ok(Some(prepared)) => {
                self.joined.add(&prepared.task, &prepared.from);
                self.contents.extend(index::hash_of(&prepared.task.cells.content));
                self.prepared.push(prepared);
            }
            Ok(None) => {}
            Err(reason) => self.report.skip(&path, reason),
        }
        self.finish_if_full()
    }

    /// Ends the batch if it is large enough.
    pub fn finish_if_full(&mut self) -> Result<()> {
        let is_full = self.prepared.len() + self.done.len() >= BATCH || self.parents.len() >= DIRECTORIES;
        if is_full { self.finish() } else { Ok(()) }
    }

    /// Leaves a path for the next round.
    pub fn skip(&mut self, path: &[u8], reason: Reason) -> Result<()> {
        self.report.skip(path, reason);
        Ok(())
    }

    /// Something went that nothing takes the place of.
    pub fn count_deleted(&mut self) {
        self.report.deleted += 1;
    }

    /// How many paths were left for the next round.
    pub(crate) fn left(&self) -> u64 {
        self.report.skipped.len() as u64 + self.report.more_skipped
    }

    pub(crate) fn how(&self) -> How<'_> {
        How::of(&self.tree.options, &self.tree.accounts)
    }

    fn is_pending(&self, content: &Content) -> bool {
        index::hash_of(content).is_some_and(|hash| self.contents.contains(&hash))
    }

    /// The directory that a path lies in.
    pub(crate) fn parent(&mut self, path: &[u8]) -> disk::Result<Rc<Dir>> {
        let (directory, _) = name::split(path);
        if let Some(fd) = self.parents.get(directory) {
            return Ok(Rc::clone(fd));
        }
        let fd = Rc::new(self.tree.root.directory(directory)?);
        self.parents.insert(directory.to_vec(), Rc::clone(&fd));
        Ok(fd)
    }

    fn touch(&mut self, path: &[u8], parent: &Rc<Dir>) {
        let (directory, _) = name::split(path);
        self.touched.entry(directory.to_vec()).or_insert_with(|| Rc::clone(parent));
    }

    pub(crate) fn new_name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}-{}", self.names)
    }

    /// Nothing if there is no content to be moved.
    fn prepare(&mut self, mut task: Task) -> Result<std::result::Result<Option<Prepared>, Reason>> {
        let parent = match self.parent(&task.path) {
            Ok(parent) => parent,
            Err(e) => return Ok(Err(reason(e))),
        };
        let (_, name) = name::split(&task.path);
        match is_as_known(&parent, name, task.known.as_ref()) {
            Ok(true) => {}
            Ok(false) => return Ok(Err(Reason::Changed)),
            Err(e) => return Ok(Err(reason(e))),
        }
        let from = match (self.join(&mut task)?, &task.cells.content) {
            (Err(reason), _) => Err(reason),
            (Ok(Some(from)), _) => Ok(from),
            (Ok(None), _) if task.has_content() && !self.must_part(&task)? => {
                return Ok(self.retouch(&task, &parent).map(|()| None));
            }
            (Ok(None), Content::Link(target)) => self.stage_link(target),
            (Ok(None), Content::File { hash, size, .. }) => self.stage_file(*hash, *size, &task)?,
            (Ok(None), Content::Directory) => Err(Reason::Changed),
        };
        let from = match from {
            Ok(from) => from,
            Err(reason) => return Ok(Err(reason)),
        };
        let dressed = self.dress(&from, &task.cells);
        Ok(dressed.map(|dressed| Some(Prepared { task, parent, from, dressed })))
    }

    /// Only what is not content changes.
    pub(crate) fn retouch(&mut self, task: &Task, parent: &Rc<Dir>) -> std::result::Result<(), Reason> {
        let (_, name) = name::split(&task.path);
        let dressed = if let Content::Link(_) = task.cells.content {
            attributes::write_link(parent, name, &task.cells, self.how())?;
            Dressed::as_it_was(Vec::new())
        } else {
            let file = parent.open(name).map_err(reason)?;
            let seen = Seen::of(&file.stat().map_err(reason)?);
            if !task.known.as_ref().is_some_and(|known| seen.is_same(&known.seen)) {
                return Err(Reason::Changed);
            }
            attributes::write(&file, &task.cells, self.how())?
        };
        self.report.touched += 1;
        let seen = self.note_placed(task, parent, dressed, Origin::Tree)?;
        if let Some(known) = task.known.as_ref().filter(|known| known.seen.links > 1) {
            self.stir_attributes(task, &known.seen, &seen);
        }
        Ok(())
    }

    /// Makes a directory, which nothing is in the way of.
    pub fn make_directory(&mut self, task: &Task) -> std::result::Result<(), Reason> {
        let parent = self.parent(&task.path).map_err(reason)?;
        let (_, name) = name::split(&task.path);
        if let Some(known) = &task.known {
            self.take_away(&task.path, known)?;
        }
        match parent.make_directory(name) {
            // It may have been made a moment ago, or before a crash.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(reason(e)),
        }
        let directory = parent.child(name).map_err(|_| Reason::Changed)?;
        // Until everything is in it, we have to be able to write to it.
        let open = Cells { mode: task.cells.mode | 0o700, ..task.cells.clone() };
        let dressed = attributes::write(&directory, &open, self.how())?;
        let task = Task { cells: open, path: task.path.clone(), known: None };
        self.report.created += 1;
        self.touch(&task.path, &parent);
        self.note_placed(&task, &parent, dressed, Origin::Tree).map(drop)
    }

    fn note_placed(
        &mut self,
        task: &Task,
        parent: &Dir,
        dressed: Dressed,
        origin: Origin,
    ) -> std::result::Result<Seen, Reason> {
        let (_, name) = name::split(&task.path);
        let found = parent.look(name).map_err(reason)?.map(|stat| Seen::of(&stat));
        // Somebody may have put something else there since: of that nothing is known yet.
        let found = found.filter(|seen| seen.kind == task.cells.content.kind()).ok_or(Reason::Changed)?;
        let seen = dressed.known(found);
        let racy = origin == Origin::Tree || !look::shows_edits(self.tree.root.disk(), &task.cells.content, &seen);
        self.joined.placed(task, &seen);
        let attributes = dressed.attributes;
        let known = Box::new(Known { cells: task.cells.clone(), seen: seen.clone(), attributes, racy });
        self.done.push(Done::Placed { path: task.path.clone(), known });
        Ok(seen)
    }

    /// Gives it its attributes before anybody sees it.
    pub(crate) fn dress(&self, from: &From, cells: &Cells) -> std::result::Result<Dressed, Reason> {
        let open = |at: &Dir, name: &[u8]| at.open(name).map_err(reason);
        match (from, &cells.content) {
            (From::Staged { name, .. }, Content::Link(_)) => {
                attributes::write_link(&self.tree.root.own().staging, name.as_bytes(), cells, self.how())
                    .map(|()| Dressed::as_it_was(Vec::new()))
            }
            (From::Staged { name, .. }, _) => {
                attributes::write(&*open(&self.tree.root.own().staging, name.as_bytes())?, cells, self.how())
            }
            // It has been given them, and is there under other names as well.
            (From::Twin(_), _) => Ok(Dressed::as_it_was(Vec::new())),
            (From::Path { holder, .. }, _) if holder.known.seen.links > 1 => {
                Ok(Dressed::as_it_was(holder.known.attributes.clone()))
            }
            (From::Path { holder, parent }, _) => {
                attributes::write(&*open(parent, name::split(&holder.path).1)?, cells, self.how())
            }
        }
    }

    /// Moves what is at a path out of the way: a file to the trash, a link to nowhere.
    pub fn take_away(&mut self, path: &[u8], known: &Known) -> std::result::Result<(), Reason> {
        let parent = self.parent(path).map_err(reason)?;
        let (_, name) = name::split(path);
        let known = &self.current(known);
        if !is_as_known(&parent, name, Some(known)).map_err(reason)? {
            return Err(Reason::Changed);
        }
        if known.seen.kind == cells::DIRECTORY {
            match parent.remove_directory(name) {
                Ok(()) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => return Err(Reason::NotEmpty),
                Err(e) => return Err(reason(e)),
            }
        } else {
            let away = self.move_aside(Some(&parent), name, &Aside::of(path, known)).map_err(reason)?;
            let gone = match self.displaced(&away, known) {
                Some(found) => self.discard(path, &away, known, (&found, false)),
                None => Err(Reason::Changed),
            };
            if let Err(why) = gone {
                self.tree.left_aside = true;
                let back = self.tree.root.own().staging.rename(&away, &parent, name, Onto::Nothing);
                return Err(back.map_or_else(reason, |()| why));
            }
        }
        self.touch(path, &parent);
        self.done.push(Done::Gone { path: path.to_vec() });
        Ok(())
    }

    /// Into the staging directory, or within it, under a name that is no hash: what is there under a hash is what the hash says.
    fn move_aside(&mut self, from: Option<&Dir>, name: &[u8], whose: &Aside) -> disk::Result<String> {
        loop {
            let aside = self.new_name(&whose.to_string());
            let staging = &self.tree.root.own().staging;
            match from.unwrap_or(staging).rename(name, staging, &aside, Onto::Nothing) {
                Err(Errno::EXIST) => {}
                other => return other.map(|()| aside),
            }
        }
    }

    /// What is in the staging directory, if it is what is known of a path. Renaming changes the ctime.
    fn displaced(&self, name: &str, known: &Known) -> Option<Seen> {
        if self.tree.root.disk().slips(Slip::NoSecondLook) {
            return Some(known.seen.clone());
        }
        let found = self.tree.root.own().staging.look(name).ok().flatten().map(|s| Seen::of(&s));
        found.filter(|found| found.is_but_for_names(&known.seen))
    }

    /// To the trash, if it is a file; but not if its content stays, and it has other names.
    fn discard(
        &mut self,
        path: &[u8],
        staged: &str,
        known: &Known,
        (found, stays): (&Seen, bool),
    ) -> std::result::Result<(), Reason> {
        let own = self.tree.root.own();
        let Content::File { hash, .. } = known.cells.content else {
            return own.staging.remove(staged).map_err(reason);
        };
        let other_names = if found.links > 1 { own.staging.open(staged).ok() } else { None };
        if stays && found.links > 1 {
            own.staging.remove(staged).map_err(reason)?;
        } else {
            stage::into_trash(own, staged, hash, found.links)?;
            self.done.push(Done::Trashed { path: path.to_vec(), known: Box::new(known.clone()) });
        }
        if let Some(stat) = other_names.and_then(|file| file.stat().ok()) {
            self.stir_names(&known.seen, &Seen::of(&stat));
        }
        Ok(())
    }
}
