//! Writing what is not content: owner, permissions, extended attributes, time. To descriptors only.

use std::os::fd::AsFd;

use rustix::fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;
use sync_store::Reason;

use crate::cells::{self, Cells, Content};
use crate::look::{self, reason};

/// Makes a file or directory what its cells say; what the system does not let us write is left. Says what extended
/// attributes there are then.
pub fn write(file: impl AsFd, cells: &Cells) -> Result<Vec<u8>, Reason> {
    let file = file.as_fd();
    // Giving a file away takes away its set-user-id bit; an access list contains the permissions: they come last.
    tolerate(fs::fchown(file, uid(cells.owner), gid(cells.group)))?;
    let there = write_attributes(file, &cells.attributes)?;
    tolerate(fs::fchmod(file, Mode::from_raw_mode(cells.mode)))?;
    if let Content::File { mtime, .. } = cells.content {
        tolerate(fs::futimens(file, &times(mtime)))?;
    }
    Ok(there)
}

/// The owner of a link; it has nothing else.
pub fn write_link(at: impl AsFd, name: &[u8], cells: &Cells) -> Result<(), Reason> {
    tolerate(fs::chownat(at, name, uid(cells.owner), gid(cells.group), AtFlags::SYMLINK_NOFOLLOW))
}

fn uid(number: u32) -> Option<Uid> {
    (number != u32::MAX).then(|| Uid::from_raw(number))
}

fn gid(number: u32) -> Option<Gid> {
    (number != u32::MAX).then(|| Gid::from_raw(number))
}

/// What this account or this file system cannot do is not an error: the file is there, with what could be written.
fn tolerate(result: rustix::io::Result<()>) -> Result<(), Reason> {
    match result {
        Ok(()) | Err(Errno::PERM | Errno::NOTSUP | Errno::INVAL) => Ok(()),
        Err(e) => Err(reason(e)),
    }
}

fn write_attributes(file: impl AsFd, packed: &[u8]) -> Result<Vec<u8>, Reason> {
    let there = look::attributes(&file)?;
    if there == packed {
        return Ok(there);
    }
    let unpack = |packed: &[u8]| cells::unpack_attributes(packed).map_err(|e| Reason::System(e.message));
    let (old, new) = (unpack(&there)?, unpack(packed)?);
    for (name, _) in old.iter().filter(|(name, _)| !new.iter().any(|(n, _)| n == name)) {
        tolerate(fs::fremovexattr(&file, name.as_slice()))?;
    }
    for (name, value) in new.iter().filter(|attribute| !old.contains(attribute)) {
        tolerate(fs::fsetxattr(&file, name.as_slice(), value, XattrFlags::empty()))?;
    }
    look::attributes(&file)
}

fn times(mtime: i64) -> Timestamps {
    const SECOND: i64 = 1_000_000_000;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.div_euclid(SECOND), tv_nsec: mtime.rem_euclid(SECOND) },
    }
}
