//! The directory itself: everything in it is opened relative to its descriptor, never through a link, never out of it,
//! never on another file system. And its guard: a marker that says that this is the directory, and is there.
//!
//! Never follows a name that was not checked by [`crate::name`].

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sync_store::{Result, StoreError, Trouble};

use crate::disk::{self, Dir, Disk, Onto};
use crate::name;

/// A path in one call may be this long.
const STEP: usize = 4000;

/// The root, open.
pub struct Root {
    path: PathBuf,
    disk: Disk,
    dir: Dir,
    own: Own,
    /// What the marker says.
    pub marker: Marker,
}

/// Our own directories in it.
pub struct Own {
    /// Everything.
    pub(crate) directory: Dir,
    /// Contents that came, and files that are being made.
    pub(crate) staging: Dir,
    /// Contents of files that were replaced or deleted.
    pub(crate) trash: Dir,
}

/// The directory that was last used: paths come in order, and many lie in the same one.
#[derive(Default)]
pub(crate) struct Near(Option<(Vec<u8>, Dir)>);

impl Near {
    /// The directory of this path, if it can be opened. It may have been moved since: what is read from it is verified, and
    /// what is made in it is looked at again.
    pub(crate) fn at(&mut self, root: &Root, directory: &[u8]) -> Option<&Dir> {
        if self.0.as_ref().is_none_or(|(near, _)| near != directory) {
            self.0 = root.directory(directory).ok().map(|near| (directory.to_vec(), near));
        }
        self.0.as_ref().map(|(_, near)| near)
    }
}

/// By what a root is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The text of the marker file.
    pub id: String,
    /// The inode of the root.
    pub inode: u64,
}

const MARKER: &str = "marker";
const NEW_MARKER: &str = "marker.new";

impl Root {
    /// Opens a directory. Where a marker is `expected`, it must be there; otherwise one is made, unless there is one.
    pub fn open(disk: &Disk, path: &Path, expected: Option<&Marker>) -> Result<Self> {
        let dir = disk.root(path).map_err(|e| gone(path, &e.to_string()))?;
        let inode = dir.stat().map_err(|e| gone(path, &e.to_string()))?.st_ino;
        let own = match expected {
            Some(_) => Own::find(&dir).map_err(|_| gone(path, "its marker is not there"))?,
            None => Own::make(&dir).map_err(|e| failed("make .server_sync in", path, e))?,
        };
        let id = match (own.read_marker(), expected) {
            (Ok(id), _) => id,
            (Err(Errno::NOENT), None) => own.write_marker()?,
            (Err(Errno::NOENT), Some(_)) => return Err(gone(path, "its marker is not there")),
            (Err(e), _) => return Err(failed("read the marker of", path, e)),
        };
        let root = Root { path: path.to_owned(), disk: disk.clone(), dir, own, marker: Marker { id, inode } };
        match expected {
            Some(expected) if *expected != root.marker => Err(gone(path, "another directory is in its place")),
            _ => Ok(root),
        }
    }

    /// Whether it is still there, at its place, with its marker.
    pub fn check(&self) -> Result<()> {
        Root::open(&self.disk, &self.path, Some(&self.marker)).map(drop)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the file system is called.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Our own directories.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Itself.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Opens a directory below it; the empty path is the root itself.
    pub(crate) fn directory(&self, path: &[u8]) -> disk::Result<Dir> {
        // Not a duplicate of the handle: that would share its place in the listing.
        let mut dir = self.dir.below(".")?;
        let mut rest = path;
        while !rest.is_empty() {
            let (step, after) = step(rest);
            dir = dir.below(step)?;
            rest = after;
        }
        Ok(dir)
    }

    /// Opens the directory that a path lies in; also says the name in it.
    pub(crate) fn parent<'a>(&self, path: &'a [u8]) -> disk::Result<(Dir, &'a [u8])> {
        let (directory, name) = name::split(path);
        Ok((self.directory(directory)?, name))
    }
}

/// As many components as go into one call, and the others.
fn step(path: &[u8]) -> (&[u8], &[u8]) {
    if path.len() <= STEP {
        return (path, &[]);
    }
    match path[..STEP].iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, &[]),
    }
}

impl Own {
    fn find(root: &Dir) -> disk::Result<Self> {
        let directory = root.below(name::OWN)?;
        Ok(Own { staging: directory.below("staging")?, trash: directory.below("trash")?, directory })
    }

    fn make(root: &Dir) -> disk::Result<Self> {
        make_directory(root, name::OWN)?;
        let directory = root.below(name::OWN)?;
        make_directory(&directory, b"staging")?;
        make_directory(&directory, b"trash")?;
        directory.sync()?;
        root.sync()?;
        Self::find(root)
    }

    fn read_marker(&self) -> disk::Result<String> {
        let mut text = String::new();
        let file = self.directory.open(MARKER)?;
        file.take(1000).read_to_string(&mut text).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        Ok(text.trim().to_owned())
    }

    fn write_marker(&self) -> Result<String> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|e| StoreError::new(Trouble::Failure, format!("no random numbers: {e}")))?;
        let id: String = id.iter().map(|b| format!("{b:02x}")).collect();
        let write = || -> std::io::Result<()> {
            let mut file = self.directory.create(NEW_MARKER)?;
            writeln!(file, "{id}")?;
            file.sync()?;
            self.directory.rename(NEW_MARKER, &self.directory, MARKER, Onto::Anything)?;
            Ok(self.directory.sync()?)
        };
        write().map_err(|e| StoreError::new(Trouble::Failure, format!("cannot write the marker: {e}")))?;
        Ok(id)
    }
}

fn make_directory(at: &Dir, name: &[u8]) -> disk::Result<()> {
    match at.make_directory(name) {
        Err(Errno::EXIST) | Ok(()) => Ok(()),
        Err(e) => Err(e),
    }
}

/// What kind of thing it is.
pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A root that is not there halts: what it would look like is a deletion of everything.
fn gone(path: &Path, why: &str) -> StoreError {
    StoreError::new(Trouble::Halt, format!("the directory {} is not there: {why}", path.display())).hint(
        "is its file system mounted? nothing was deleted anywhere; put the directory back, or set the tree up anew",
    )
}

/// Something about the whole tree failed.
pub fn failed(what: &str, path: &Path, e: impl std::fmt::Display) -> StoreError {
    StoreError::new(Trouble::Failure, format!("cannot {what} {}: {e}", path.display()))
}
