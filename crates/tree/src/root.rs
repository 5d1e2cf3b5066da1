//! The directory itself: everything in it is opened relative to its descriptor, never through a link, never out of it,
//! never on another file system. And its guard: a marker that says that this is the directory, and is there.
//!
//! Never follows a name that was not checked by [`crate::name`].

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sync_store::{Result, StoreError, Trouble};

use crate::name;

/// What a name is resolved with.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A path in one call may be this long.
const STEP: usize = 4000;

/// How to open a file for reading, whatever it may have become.
pub const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The root, open.
pub struct Root {
    path: PathBuf,
    fd: OwnedFd,
    own: Own,
    /// What the marker says.
    pub marker: Marker,
}

/// Our own directories in it.
pub struct Own {
    /// Everything.
    pub directory: OwnedFd,
    /// Contents that came, and files that are being made.
    pub staging: OwnedFd,
    /// Contents of files that were replaced or deleted.
    pub trash: OwnedFd,
}

/// By what a root is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The text of the marker file.
    pub id: String,
    /// The inode of the root.
    pub inode: u64,
}

const MARKER: &CStr = c"marker";
const NEW_MARKER: &CStr = c"marker.new";

impl Root {
    /// Opens a directory. Where a marker is `expected`, it must be there; otherwise one is made, unless there is one.
    pub fn open(path: &Path, expected: Option<&Marker>) -> Result<Self> {
        let fd = fs::open(path, DIRECTORY, Mode::empty()).map_err(|e| gone(path, &e.to_string()))?;
        let inode = fs::fstat(&fd).map_err(|e| gone(path, &e.to_string()))?.st_ino;
        let own = match expected {
            Some(_) => Own::find(&fd).map_err(|_| gone(path, "its marker is not there"))?,
            None => Own::make(&fd).map_err(|e| failed("make .server_sync in", path, e))?,
        };
        let id = match (own.read_marker(), expected) {
            (Ok(id), _) => id,
            (Err(Errno::NOENT), None) => own.write_marker()?,
            (Err(Errno::NOENT), Some(_)) => return Err(gone(path, "its marker is not there")),
            (Err(e), _) => return Err(failed("read the marker of", path, e)),
        };
        let root = Root { path: path.to_owned(), fd, own, marker: Marker { id, inode } };
        match expected {
            Some(expected) if *expected != root.marker => Err(gone(path, "another directory is in its place")),
            _ => Ok(root),
        }
    }

    /// Whether it is still there, at its place, with its marker.
    pub fn check(&self) -> Result<()> {
        Root::open(&self.path, Some(&self.marker)).map(drop)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Our own directories.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Its descriptor.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens a directory below it; the empty path is the root itself.
    pub fn directory(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        // Not a duplicate of the descriptor: that would share its place in the listing.
        let mut fd = fs::openat2(&self.fd, c".", DIRECTORY, Mode::empty(), BENEATH)?;
        let mut rest = path;
        while !rest.is_empty() {
            let (step, after) = step(rest);
            fd = fs::openat2(&fd, step, DIRECTORY, Mode::empty(), BENEATH)?;
            rest = after;
        }
        Ok(fd)
    }

    /// Opens the directory that a path lies in; also says the name in it.
    pub fn parent<'a>(&self, path: &'a [u8]) -> rustix::io::Result<(OwnedFd, &'a [u8])> {
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
    fn find(root: &OwnedFd) -> rustix::io::Result<Self> {
        let directory = fs::openat2(root, name::OWN, DIRECTORY, Mode::empty(), BENEATH)?;
        let open = |name: &CStr| fs::openat2(&directory, name, DIRECTORY, Mode::empty(), BENEATH);
        Ok(Own { staging: open(c"staging")?, trash: open(c"trash")?, directory })
    }

    fn make(root: &OwnedFd) -> rustix::io::Result<Self> {
        make_directory(root, name::OWN)?;
        let directory = fs::openat2(root, name::OWN, DIRECTORY, Mode::empty(), BENEATH)?;
        make_directory(&directory, b"staging")?;
        make_directory(&directory, b"trash")?;
        fs::fsync(&directory)?;
        fs::fsync(root)?;
        Self::find(root)
    }

    fn read_marker(&self) -> rustix::io::Result<String> {
        let mut text = String::new();
        let file = File::from(fs::openat(&self.directory, MARKER, READ, Mode::empty())?);
        file.take(1000).read_to_string(&mut text).map_err(|_| Errno::IO)?;
        Ok(text.trim().to_owned())
    }

    fn write_marker(&self) -> Result<String> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|e| StoreError::new(Trouble::Failure, format!("no random numbers: {e}")))?;
        let id: String = id.iter().map(|b| format!("{b:02x}")).collect();
        let write = || -> std::io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(fs::openat(&self.directory, NEW_MARKER, flags, Mode::from_raw_mode(0o600))?);
            writeln!(file, "{id}")?;
            file.sync_all()?;
            fs::renameat(&self.directory, NEW_MARKER, &self.directory, MARKER)?;
            Ok(fs::fsync(&self.directory)?)
        };
        write().map_err(|e| StoreError::new(Trouble::Failure, format!("cannot write the marker: {e}")))?;
        Ok(id)
    }
}

fn make_directory(at: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    match fs::mkdirat(at, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) | Ok(()) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Looks at a name without following it; `None` if nothing is there.
pub fn stat(at: impl AsFd, name: &[u8]) -> rustix::io::Result<Option<Stat>> {
    match fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
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
