//! Writing what is not content: owner, permissions, extended attributes, time. To descriptors only.

use rustix::fs::{Gid, Stat, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use sync_store::Reason;

use crate::accounts::{Accounts, Kind};
use crate::cells::{self, Cells, Content};
use crate::disk::{self, Dir, Handle};
use crate::look::{self, Seen, reason};
use crate::tree::{Options, Owners};

/// What a file is after its attributes were written.
#[derive(Clone)]
pub(crate) struct Dressed {
    /// Its extended attributes, packed.
    pub attributes: Vec<u8>,
    /// What the system said of it then; nothing if nothing was written.
    pub seen: Option<Seen>,
}

impl Dressed {
    /// Something that is as it was.
    pub fn as_it_was(attributes: Vec<u8>) -> Self {
        Dressed { attributes, seen: None }
    }

    /// What is known of it once it is at its place and this is found there. What somebody did to it since we wrote is not ours: the
    /// next scan has to see it.
    pub fn known(&self, found: Seen) -> Seen {
        let ours = self.seen.as_ref().filter(|seen| !found.is_but_for_names(seen));
        ours.cloned().unwrap_or(found)
    }
}

/// Makes a file or directory what its cells say; what the system does not let us write is left, and what is so already.
pub(crate) fn write(file: &Handle, cells: &Cells, how: How) -> Result<Dressed, Reason> {
    let (who, found) = (how.who(cells)?, file.stat().map_err(reason)?);
    let is_given = who.is_other(&found);
    if is_given {
        tolerate(file.chown(who.uid(), who.gid()))?;
    }
    let before = look::attributes(file)?;
    let has_others = before != cells.attributes;
    let attributes = if has_others { write_attributes(file, &before, &cells.attributes)? } else { before };
    // Giving a file away takes away its set-user-id bit; an access list contains the permissions: they come last.
    let mode = how.mode(cells, who);
    if is_given || has_others || found.st_mode & 0o7777 != mode {
        tolerate(file.chmod(mode))?;
    }
    if let Content::File { mtime, .. } = cells.content {
        tolerate(file.set_times(&times(mtime)))?;
    }
    let seen = Some(Seen::of(&file.stat().map_err(reason)?));
    Ok(Dressed { attributes, seen })
}

/// The owner of a link; it has nothing else.
pub(crate) fn write_link(at: &Dir, name: &[u8], cells: &Cells, how: How) -> Result<(), Reason> {
    let who = how.who(cells)?;
    tolerate(at.chown_link(name, who.uid(), who.gid()))
}

/// What of the cells is written.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    /// Who is who here.
    pub accounts: &'a Accounts,
    /// Owner and group.
    pub owner: bool,
    /// The bits by which a program runs as its owner.
    pub special_bits: bool,
}

/// By which a program runs as its owner.
const AS_OWNER: u32 = 0o4000;
/// As its group.
const AS_GROUP: u32 = 0o2000;

/// Whom a file is given to; who is none is not known here, or not written.
#[derive(Clone, Copy)]
struct Who {
    owner: Option<u32>,
    group: Option<u32>,
}

impl Who {
    fn is_other(self, found: &Stat) -> bool {
        self.owner.is_some_and(|owner| owner != found.st_uid) || self.group.is_some_and(|group| group != found.st_gid)
    }

    fn uid(self) -> Option<Uid> {
        self.owner.map(Uid::from_raw)
    }

    fn gid(self) -> Option<Gid> {
        self.group.map(Gid::from_raw)
    }
}

impl<'a> How<'a> {
    /// For this account: only root gives files away.
    pub fn of(options: &Options, accounts: &'a Accounts) -> Self {
        How {
            accounts,
            owner: options.owners != Owners::Ignore && rustix::process::geteuid().is_root(),
            special_bits: options.special_bits,
        }
    }

    fn who(self, cells: &Cells) -> Result<Who, Reason> {
        if !self.owner {
            return Ok(Who { owner: None, group: None });
        }
        Ok(Who {
            owner: self.accounts.meant(Kind::User, &cells.owner)?,
            group: self.accounts.meant(Kind::Group, &cells.group)?,
        })
    }

    /// A program never runs as somebody else than it is to. For a directory these bits only mean whose group its files get.
    fn mode(self, cells: &Cells, who: Who) -> u32 {
        if !matches!(cells.content, Content::File { .. }) {
            return cells.mode;
        }
        let is_another = |account: Option<u32>| !self.special_bits || (self.owner && account.is_none());
        let without = |is_another: bool, bit: u32| if is_another { bit } else { 0 };
        cells.mode & !(without(is_another(who.owner), AS_OWNER) | without(is_another(who.group), AS_GROUP))
    }
}

/// What this account or this file system cannot do is not an error: the file is there, with what could be written.
fn tolerate(result: disk::Result<()>) -> Result<(), Reason> {
    match result {
        Ok(()) | Err(Errno::PERM | Errno::NOTSUP | Errno::INVAL) => Ok(()),
        Err(e) => Err(reason(e)),
    }
}

fn write_attributes(file: &Handle, before: &[u8], packed: &[u8]) -> Result<Vec<u8>, Reason> {
    let unpack = |packed: &[u8]| cells::unpack_attributes(packed).map_err(|e| Reason::System(e.message));
    let (old, new) = (unpack(before)?, unpack(packed)?);
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
