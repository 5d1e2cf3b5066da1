//! The only place that calls the file system: two handles, a directory and a file, and what is done with them.
//!
//! Everything is relative to a directory that is open: a name is followed to no link, below no other directory and onto
//! no other file system. A [`Fault`] is asked before each call, so that a test can make any of them fail, or do meanwhile
//! what another program might do; without one that is a branch. Knows no index and no rows.

mod fault;
mod file;

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Stat, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

pub use fault::{Fault, Op, Slip};
pub(crate) use file::File;

/// What the system says.
pub type Result<T> = rustix::io::Result<T>;

/// What a name is resolved with.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How to open a file for reading, whatever it may have become.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// How to open a file of our own.
const OURS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

/// Only we look at what is not in its place.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Clocks of file systems are coarse: what changed just now may change again without looking different.
const COARSE: Duration = Duration::from_secs(2);

/// The file system as one tree sees it.
#[derive(Clone, Default)]
pub struct Disk(Option<Arc<dyn Fault>>);

impl Disk {
    /// One that fails as it is told.
    pub fn faulty(fault: Arc<dyn Fault>) -> Self {
        Disk(Some(fault))
    }

    /// Asks whether a call is to be made.
    #[inline]
    pub(crate) fn may(&self, op: Op, name: &[u8]) -> Result<()> {
        match &self.0 {
            None => Ok(()),
            Some(fault) => fault.before(op, name),
        }
    }

    /// How long ago the last change of a file must be for it to count as at rest.
    pub(crate) fn coarse(&self) -> Duration {
        self.0.as_ref().and_then(|fault| fault.coarse()).unwrap_or(COARSE)
    }

    /// Whether to make a mistake.
    pub(crate) fn slips(&self, slip: Slip) -> bool {
        self.0.as_ref().is_some_and(|fault| fault.slips(slip))
    }

    /// Opens a directory by its path; everything else is below it.
    pub(crate) fn root(&self, path: &Path) -> Result<Dir> {
        self.may(Op::Enter, b"")?;
        Ok(Dir(self.handle(fs::open(path, DIRECTORY, Mode::empty())?)))
    }

    fn handle(&self, fd: impl Into<std::fs::File>) -> Handle {
        Handle { file: fd.into(), disk: self.clone() }
    }
}

/// What is open.
pub(crate) struct Handle {
    file: std::fs::File,
    disk: Disk,
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What files and directories have in common.
impl Handle {
    pub(crate) fn stat(&self) -> Result<Stat> {
        self.disk.may(Op::Stat, b"")?;
        fs::fstat(self)
    }

    /// Makes data and metadata safe.
    pub(crate) fn sync(&self) -> Result<()> {
        self.disk.may(Op::Sync, b"")?;
        fs::fsync(self)
    }

    pub(crate) fn chmod(&self, mode: u32) -> Result<()> {
        self.disk.may(Op::Chmod, b"")?;
        fs::fchmod(self, Mode::from_raw_mode(mode))
    }

    pub(crate) fn chown(&self, owner: Option<Uid>, group: Option<Gid>) -> Result<()> {
        self.disk.may(Op::Chown, b"")?;
        fs::fchown(self, owner, group)
    }

    pub(crate) fn set_times(&self, times: &Timestamps) -> Result<()> {
        self.disk.may(Op::Times, b"")?;
        fs::futimens(self, times)
    }

    /// The names of its extended attributes, each ended by a NUL.
    pub(crate) fn attribute_names(&self) -> Result<Vec<u8>> {
        self.disk.may(Op::ReadAttributes, b"")?;
        let mut names = vec![0; fs::flistxattr_query(self)?];
        let length = if names.is_empty() { 0 } else { fs::flistxattr(self, &mut names[..])? };
        names.truncate(length);
        Ok(names)
    }

    pub(crate) fn attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.disk.may(Op::ReadAttributes, name)?;
        let mut value = vec![0; fs::fgetxattr_query(self, name)?];
        let length = if value.is_empty() { 0 } else { fs::fgetxattr(self, name, &mut value[..])? };
        value.truncate(length);
        Ok(value)
    }

    pub(crate) fn set_attribute(&self, name: &[u8], value: &[u8]) -> Result<()> {
        self.disk.may(Op::WriteAttribute, name)?;
        fs::fsetxattr(self, name, value, XattrFlags::empty())
    }

    pub(crate) fn remove_attribute(&self, name: &[u8]) -> Result<()> {
        self.disk.may(Op::WriteAttribute, name)?;
        fs::fremovexattr(self, name)
    }
}

/// A directory that is open.
pub(crate) struct Dir(Handle);

impl Deref for Dir {
    type Target = Handle;
    fn deref(&self) -> &Handle {
        &self.0
    }
}

/// What renaming does with what is at the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onto {
    /// It is replaced.
    Anything,
    /// Nothing may be there.
    Nothing,
    /// It gets the old name.
    Exchange,
}

impl Dir {
    fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// Opens a directory below: several names, none of which is followed to elsewhere.
    pub(crate) fn below(&self, path: impl AsRef<[u8]>) -> Result<Dir> {
        let path = path.as_ref();
        self.disk().may(Op::Enter, path)?;
        Ok(Dir(self.disk().handle(fs::openat2(self.as_fd(), path, DIRECTORY, Mode::empty(), BENEATH)?)))
    }

    /// Opens a directory in this one, on whatever file system.
    pub(crate) fn child(&self, name: impl AsRef<[u8]>) -> Result<Dir> {
        let name = name.as_ref();
        self.disk().may(Op::Enter, name)?;
        Ok(Dir(self.disk().handle(fs::openat(self.as_fd(), name, DIRECTORY, Mode::empty())?)))
    }

    /// Opens whatever is there for reading.
    pub(crate) fn open(&self, name: impl AsRef<[u8]>) -> Result<File> {
        self.open_as(Op::Open, name.as_ref(), READ, Mode::empty())
    }

    /// Opens a file of ours for reading and writing.
    pub(crate) fn open_ours(&self, name: impl AsRef<[u8]>) -> Result<File> {
        self.open_as(Op::Create, name.as_ref(), OURS | OFlags::RDWR, Mode::empty())
    }

    /// The same; makes it if it is not there.
    pub(crate) fn open_or_make(&self, name: impl AsRef<[u8]>) -> Result<File> {
        self.open_as(Op::Create, name.as_ref(), OURS | OFlags::RDWR | OFlags::CREATE, PRIVATE)
    }

    /// Makes a file, empty.
    pub(crate) fn create(&self, name: impl AsRef<[u8]>) -> Result<File> {
        self.open_as(Op::Create, name.as_ref(), OURS | OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, PRIVATE)
    }

    /// Makes a file in this directory that has no name yet, with permissions that whoever is to read it gets by its name.
    pub(crate) fn create_nameless(&self, mode: u32) -> Result<File> {
        let flags = OURS | OFlags::WRONLY | OFlags::TMPFILE;
        self.open_as(Op::Create, b".", flags, Mode::from_raw_mode(mode & 0o777))
    }

    /// Gives such a file a name here, where nothing has it.
    pub(crate) fn name(&self, file: &File, name: impl AsRef<[u8]>) -> Result<()> {
        let name = name.as_ref();
        self.disk().may(Op::Rename, name)?;
        // What may be done to any file may be done without looking for this one under /proc.
        match fs::linkat(file.as_fd(), "", self.as_fd(), name, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT) => {}
            named => return named,
        }
        let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        fs::linkat(fs::CWD, path, self.as_fd(), name, AtFlags::SYMLINK_FOLLOW)
    }

    fn open_as(&self, op: Op, name: &[u8], flags: OFlags, mode: Mode) -> Result<File> {
        self.disk().may(op, name)?;
        Ok(File(self.disk().handle(fs::openat(self.as_fd(), name, flags, mode)?)))
    }

    /// Looks at a name without following it; `None` if nothing is there.
    pub(crate) fn look(&self, name: impl AsRef<[u8]>) -> Result<Option<Stat>> {
        let name = name.as_ref();
        self.disk().may(Op::Look, name)?;
        match fs::statat(self.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Calls with each name in it and the kind of what it names, as far as the file system says it. Only once with one
    /// handle: the system remembers how far it was listed.
    pub(crate) fn list(&self, mut each: impl FnMut(&[u8], FileType) -> Result<()>) -> Result<()> {
        self.disk().may(Op::List, b"")?;
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut listing = RawDir::new(self.as_fd(), buffer.spare_capacity_mut());
        while let Some(item) = listing.next() {
            let item = item?;
            let name = item.file_name().to_bytes();
            if name != b"." && name != b".." {
                each(name, item.file_type())?;
            }
        }
        Ok(())
    }

    /// Makes a directory that only we can enter.
    pub(crate) fn make_directory(&self, name: impl AsRef<[u8]>) -> Result<()> {
        let name = name.as_ref();
        self.disk().may(Op::MakeDirectory, name)?;
        fs::mkdirat(self.as_fd(), name, Mode::RWXU)
    }

    pub(crate) fn remove_directory(&self, name: impl AsRef<[u8]>) -> Result<()> {
        let name = name.as_ref();
        self.disk().may(Op::RemoveDirectory, name)?;
        fs::unlinkat(self.as_fd(), name, AtFlags::REMOVEDIR)
    }

    pub(crate) fn remove(&self, name: impl AsRef<[u8]>) -> Result<()> {
        let name = name.as_ref();
        self.disk().may(Op::Remove, name)?;
        fs::unlinkat(self.as_fd(), name, AtFlags::empty())
    }

    pub(crate) fn rename(&self, name: impl AsRef<[u8]>, to: &Dir, new: impl AsRef<[u8]>, onto: Onto) -> Result<()> {
        let (name, new) = (name.as_ref(), new.as_ref());
        self.disk().may(Op::Rename, new)?;
        match onto {
            Onto::Anything => fs::renameat(self.as_fd(), name, to.as_fd(), new),
            Onto::Nothing => fs::renameat_with(self.as_fd(), name, to.as_fd(), new, RenameFlags::NOREPLACE),
            Onto::Exchange => fs::renameat_with(self.as_fd(), name, to.as_fd(), new, RenameFlags::EXCHANGE),
        }
    }

    pub(crate) fn symlink(&self, target: &[u8], name: impl AsRef<[u8]>) -> Result<()> {
        let name = name.as_ref();
        self.disk().may(Op::Symlink, name)?;
        fs::symlinkat(target, self.as_fd(), name)
    }

    /// Gives a file another name, which must not be taken. A symbolic link gets one itself, not what it leads to.
    pub(crate) fn link(&self, name: impl AsRef<[u8]>, to: &Dir, new: impl AsRef<[u8]>) -> Result<()> {
        let (name, new) = (name.as_ref(), new.as_ref());
        self.disk().may(Op::Link, new)?;
        fs::linkat(self.as_fd(), name, to.as_fd(), new, AtFlags::empty())
    }

    pub(crate) fn read_link(&self, name: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        let name = name.as_ref();
        self.disk().may(Op::ReadLink, name)?;
        Ok(fs::readlinkat(self.as_fd(), name, Vec::new())?.into_bytes())
    }

    /// The owner of a link.
    pub(crate) fn chown_link(&self, name: impl AsRef<[u8]>, owner: Option<Uid>, group: Option<Gid>) -> Result<()> {
        let name = name.as_ref();
        self.disk().may(Op::Chown, name)?;
        fs::chownat(self.as_fd(), name, owner, group, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Has what happens in it told, whatever its name may lead to by now.
    pub(crate) fn watch(&self, by: &OwnedFd, what: WatchFlags) -> Result<i32> {
        self.disk().may(Op::Watch, b"")?;
        inotify::add_watch(by, format!("/proc/self/fd/{}", self.as_fd().as_raw_fd()), what)
    }

    /// What its file system is, as a number.
    pub(crate) fn file_system(&self) -> Result<u32> {
        self.disk().may(Op::Stat, b"")?;
        // The numbers have 32 bits; where the field has 64, its upper half is of no account.
        Ok(fs::fstatfs(self.as_fd())?.f_type as u64 as u32)
    }

    /// How many bytes its file system has room for; a little is left for others, and for the index.
    pub(crate) fn room(&self) -> Result<u64> {
        const SPARE: u64 = 16 << 20;
        self.disk().may(Op::Room, b"")?;
        let found = fs::fstatvfs(self.as_fd())?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(bytes(found.f_bavail).saturating_sub(SPARE.min(bytes(found.f_blocks) / 100)))
    }

    /// Makes everything on its file system safe.
    pub(crate) fn sync_file_system(&self) -> Result<()> {
        self.disk().may(Op::Sync, b"")?;
        fs::syncfs(self.as_fd())
    }

    /// The same beside other work; the answer is there once that is joined. What is written from now on need not be safe then.
    pub(crate) fn sync_file_system_beside(&self) -> Result<JoinHandle<Result<()>>> {
        self.disk().may(Op::Sync, b"")?;
        let fd = self.file.try_clone().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        Ok(std::thread::spawn(move || fs::syncfs(&fd)))
    }
}
