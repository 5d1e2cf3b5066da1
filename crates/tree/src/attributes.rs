//! Writing what is not content: owner, permissions, extended attributes, time. To descriptors only.

use rustix::fs::{Gid, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use sync_store::Reason;

use crate::cells::{self, Cells, Content};
use crate::disk::{self, Dir, Handle};
use crate::look::{self, reason};

/// Makes a file or directory what its cells say; what the system does not let us write is left. Says what extended
/// attributes there are then.
pub(crate) fn write(file: &Handle, cells: &Cells) -> Result<Vec<u8>, Reason> {
    // Giving a file away takes away its set-user-id bit; an access list contains the permissions: they come last.
    tolerate(file.chown(uid(cells.owner), gid(cells.group)))?;
    let there = write_attributes(file, &cells.attributes)?;
    tolerate(file.chmod(cells.mode))?;
    if let Content::File { mtime, .. } = cells.content {
        tolerate(file.set_times(&times(mtime)))?;
    }
    Ok(there)
}

/// The owner of a link; it has nothing else.
pub(crate) fn write_link(at: &Dir, name: &[u8], cells: &Cells) -> Result<(), Reason> {
    tolerate(at.chown_link(name, uid(cells.owner), gid(cells.group)))
}

fn uid(number: u32) -> Option<Uid> {
    (number != u32::MAX).then(|| Uid::from_raw(number))
}

fn gid(number: u32) -> Option<Gid> {
    (number != u32::MAX).then(|| Gid::from_raw(number))
}

/// What this account or this file system cannot do is not an error: the file is there, with what could be written.
fn tolerate(result: disk::Result<()>) -> Result<(), Reason> {
    match result {
        Ok(()) | Err(Errno::PERM | Errno::NOTSUP | Errno::INVAL) => Ok(()),
        Err(e) => Err(reason(e)),
    }
}

fn write_attributes(file: &Handle, packed: &[u8]) -> Result<Vec<u8>, Reason> {
    let there = look::attributes(file)?;
    if there == packed {
        return Ok(there);
    }
    let unpack = |packed: &[u8]| cells::unpack_attributes(packed).map_err(|e| Reason::System(e.message));
    let (old, new) = (unpack(&there)?, unpack(packed)?);
    for (name, _) in old.iter().filter(|(name, _)| !new.iter().any(|(n, _)| n == name)) {
        tolerate(file.remove_attribute(name))?;
    }
    for (name, value) in new.iter().filter(|attribute| !old.contains(attribute)) {
        tolerate(file.set_attribute(name, value))?;
    }
    look::attributes(file)
}

fn times(mtime: i64) -> Timestamps {
    const SECOND: i64 = 1_000_000_000;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.div_euclid(SECOND), tv_nsec: mtime.rem_euclid(SECOND) },
    }
}
