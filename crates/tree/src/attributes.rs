//! Writing what is not content: owner, permissions, extended attributes, time. To descriptors only.

use rustix::fs::{Gid, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use sync_store::Reason;

use crate::cells::{self, Cells, Content};
use crate::disk::{self, Dir, Handle};
use crate::look::{self, reason};
use crate::tree::{Options, Owner};

/// Makes a file or directory what its cells say; what the system does not let us write is left. Says what extended
/// attributes there are then.
pub(crate) fn write(file: &Handle, cells: &Cells, how: How) -> Result<Vec<u8>, Reason> {
    // Giving a file away takes away its set-user-id bit; an access list contains the permissions: they come last.
    tolerate(file.chown(how.uid(cells), how.gid(cells)))?;
    let there = write_attributes(file, &cells.attributes)?;
    tolerate(file.chmod(how.mode(cells)))?;
    if let Content::File { mtime, .. } = cells.content {
        tolerate(file.set_times(&times(mtime)))?;
    }
    Ok(there)
}

/// The owner of a link; it has nothing else.
pub(crate) fn write_link(at: &Dir, name: &[u8], cells: &Cells, how: How) -> Result<(), Reason> {
    tolerate(at.chown_link(name, how.uid(cells), how.gid(cells)))
}

/// What of the cells is written.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Owner and group.
    pub owner: bool,
    /// The bits by which a program runs as its owner.
    pub special_bits: bool,
}

/// By which a program runs as its owner or its group.
const SPECIAL: u32 = 0o6000;

impl How {
    /// For this account: only root gives files away.
    pub fn of(options: &Options) -> Self {
        How {
            owner: options.owner == Owner::Keep && rustix::process::geteuid().is_root(),
            special_bits: options.special_bits,
        }
    }

    fn uid(self, cells: &Cells) -> Option<Uid> {
        (self.owner && cells.owner != u32::MAX).then(|| Uid::from_raw(cells.owner))
    }

    fn gid(self, cells: &Cells) -> Option<Gid> {
        (self.owner && cells.group != u32::MAX).then(|| Gid::from_raw(cells.group))
    }

    /// For a directory they only mean whose group its files get.
    fn mode(self, cells: &Cells) -> u32 {
        let is_program = matches!(cells.content, Content::File { .. });
        if is_program && !self.special_bits { cells.mode & !SPECIAL } else { cells.mode }
    }
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
