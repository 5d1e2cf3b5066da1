//! Looking at one thing on the disk: what the system says of it, and its cells. Reads only.

use std::io::Read;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sync_store::contents::{Chunk, PIECE};
use sync_store::{Hash, Reason};

use crate::accounts::{Accounts, Kind};
use crate::cells::{self, Account, Cells, Content, MODE};
use crate::chunk;
use crate::disk::{self, Dir, Disk, Handle};
use crate::root::kind;
use crate::whole;

/// What the system says: as long as all of it is the same, nothing changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The file system.
    pub device: u64,
    /// The file.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since the Unix epoch.
    pub mtime: i64,
    /// The same, of the last change of anything about it; no program can set it.
    pub ctime: i64,
    /// The letter of its kind; of a kind that is not synchronised, 0.
    pub kind: u8,
    /// Permissions.
    pub mode: u32,
    /// The owner's number.
    pub owner: u32,
    /// The group's number.
    pub group: u32,
    /// How many names it has, in the tree or elsewhere; of anything but a file, 1.
    pub links: u64,
}

impl Seen {
    /// What a stat says. The size and the time of modification of a directory say nothing about it.
    pub fn of(stat: &Stat) -> Self {
        let kind = letter(kind(stat));
        let is_directory = kind == cells::DIRECTORY;
        let time = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Seen {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: if is_directory { 0 } else { stat.st_size.cast_unsigned() },
            mtime: if is_directory { 0 } else { time(stat.st_mtime, stat.st_mtime_nsec.cast_signed()) },
            ctime: time(stat.st_ctime, stat.st_ctime_nsec.cast_signed()),
            kind,
            mode: if kind == cells::LINK { 0 } else { stat.st_mode & MODE },
            owner: stat.st_uid,
            group: stat.st_gid,
            links: if kind == cells::FILE { stat.st_nlink as _ } else { 1 },
        }
    }

    /// Whether it is the same thing with the same content. What is put into a directory changes its ctime, not the directory.
    pub fn is_same(&self, other: &Self) -> bool {
        let ctime = if self.kind == cells::DIRECTORY { self.ctime } else { other.ctime };
        *self == Seen { ctime, ..other.clone() }
    }

    /// Whether it is the same thing with the same content, whatever became of its names: giving it one and taking one away
    /// changes its ctime.
    pub fn is_but_for_names(&self, other: &Self) -> bool {
        *self == Seen { ctime: self.ctime, links: self.links, ..other.clone() }
    }

    /// Whether it may change again without anything here changing: it changed after this time, see [`rest`].
    pub fn is_racy(&self, rest: i64) -> bool {
        self.mtime.max(self.ctime) >= rest
    }
}

fn letter(kind: FileType) -> u8 {
    match kind {
        FileType::Directory => cells::DIRECTORY,
        FileType::RegularFile => cells::FILE,
        FileType::Symlink => cells::LINK,
        _ => 0,
    }
}

/// What is known of a path on the disk: its cells, and what the system said when they were read or written.
///
/// They need not be the same: where the system did not take what was written (an owner without the right to give files
/// away, or whom nobody here knows; a coarse time), the cell is what was wanted, so that it is not taken for somebody's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The cells.
    pub cells: Cells,
    /// What the system said.
    pub seen: Seen,
    /// What extended attributes it said.
    pub attributes: Vec<u8>,
    /// Whether it has to be read again although the system says the same.
    pub racy: bool,
}

/// What was read.
pub struct Reading {
    /// What it is.
    pub known: Known,
    /// Its chunks, if it is large.
    pub chunks: Vec<Chunk>,
}

/// Nanoseconds since the Unix epoch.
pub fn now() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether nobody could have written to a file since we put it into its place, or could now, without being seen. What we
/// made is found with the time of modification that we gave it, and that lies in the past: whoever writes to the file gives
/// it another one, at that moment as well as later. To hide, a program would have to keep the size and put back exactly
/// the old time within the tick of the clock in which we renamed the file, and none does so that does not mean to hide; git
/// judges by the same. A recent time could be given again by an ordinary write: then it is read once more, as is
/// everything that was in the tree while we changed its attributes, where our own writing of the time could cover an edit.
pub fn shows_edits(disk: &Disk, content: &Content, seen: &Seen) -> bool {
    let Content::File { size, mtime, .. } = content else { return false };
    seen.kind == cells::FILE && seen.size == *size && seen.mtime == *mtime && *mtime < rest(disk)
}

/// What was last changed before this time is at rest.
pub(crate) fn rest(disk: &Disk) -> i64 {
    now().saturating_sub(i64::try_from(disk.coarse().as_nanos()).unwrap_or(i64::MAX))
}

/// Reads a thing: what it is now, in the light of what was known of it.
pub(crate) fn read(
    (at, name): (&Dir, &[u8]),
    seen: &Seen,
    known: Option<&Known>,
    rest: i64,
    accounts: &Accounts,
) -> Result<Reading, Reason> {
    let mut chunks = Vec::new();
    let (seen, content, attributes) = match seen.kind {
        cells::DIRECTORY => (seen.clone(), Content::Directory, attributes(&*at.open(name).map_err(reason)?)?),
        cells::LINK => (seen.clone(), link(at, name)?, Vec::new()),
        cells::FILE => file(at, name, seen, &mut chunks)?,
        _ => return Err(Reason::Special),
    };
    let cells = cells_of(&seen, content, &attributes, known, accounts)?;
    Ok(Reading { known: Known { cells, racy: seen.is_racy(rest), seen, attributes }, chunks })
}

fn file(at: &Dir, name: &[u8], seen: &Seen, chunks: &mut Vec<Chunk>) -> Result<(Seen, Content, Vec<u8>), Reason> {
    let mut file = at.open(name).map_err(reason)?;
    let before = Seen::of(&file.stat().map_err(reason)?);
    if before.inode != seen.inode || before.kind != cells::FILE {
        return Err(Reason::Changed);
    }
    let attributes = attributes(&file)?;
    let read = match before.size {
        size if LARGE.contains(&size) => cut(&mut file, chunks),
        size if size > *LARGE.end() => whole::each(&mut file, |_| Ok(())),
        _ => hash(&mut file),
    };
    let (hash, size) = read.map_err(|e| Reason::System(e.to_string()))?;
    let after = Seen::of(&file.stat().map_err(reason)?);
    if before != after || size != after.size {
        return Err(Reason::Changed);
    }
    let mtime = after.mtime;
    Ok((after, Content::File { hash, size, mtime }, attributes))
}

/// Contents that are cut into chunks while they are read: another one may have some in common. Of larger ones that is
/// done once somebody asks for them, for memory's sake.
const LARGE: std::ops::RangeInclusive<u64> = PIECE as u64 + 1..=8 << 30;

/// The same as [`hash`], with the chunks.
fn cut(reader: &mut impl Read, chunks: &mut Vec<Chunk>) -> std::io::Result<(Hash, u64)> {
    chunk::each(reader, |chunk| {
        chunks.push(chunk);
        Ok(())
    })
}

/// The hash of all that a reader gives, and how much that is; for what is small.
pub fn hash(reader: &mut impl Read) -> std::io::Result<(Hash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let size = std::io::copy(reader, &mut hasher)?;
    Ok((Hash(*hasher.finalize().as_bytes()), size))
}

/// The hash and the size of the file of this name, whoever writes to it meanwhile.
pub(crate) fn content_of(at: &Dir, name: impl AsRef<[u8]>) -> std::io::Result<(Hash, u64)> {
    whole::each(&mut at.open(name).map_err(std::io::Error::from)?, |_| Ok(()))
}

fn link(at: &Dir, name: &[u8]) -> Result<Content, Reason> {
    at.read_link(name).map(Content::Link).map_err(reason)
}

/// What another name of a file that was just read is now, in the light of what was known of it.
pub(crate) fn read_already(read: &Known, known: Option<&Known>, accounts: &Accounts) -> Result<Known, Reason> {
    let cells = cells_of(&read.seen, read.cells.content.clone(), &read.attributes, known, accounts)?;
    Ok(Known { cells, ..read.clone() })
}

/// Cells that the system still says the same of stay what they were.
fn cells_of(
    seen: &Seen,
    content: Content,
    attributes: &[u8],
    known: Option<&Known>,
    accounts: &Accounts,
) -> Result<Cells, Reason> {
    let Some(known) = known else {
        let (owner, group) = (accounts.told(Kind::User, seen.owner)?, accounts.told(Kind::Group, seen.group)?);
        let (mode, attributes) = (seen.mode, attributes.to_vec());
        return Ok(Cells { content, mode, owner, group, attributes, twin: Vec::new() });
    };
    let is_same_time = known.seen.mtime == seen.mtime && known.cells.content.is_same(&content);
    let who = |kind, now: u32, then: u32, cell: &Account| match now == then {
        true => Ok(cell.clone()),
        false => accounts.told(kind, now),
    };
    let cells = Cells {
        content: if is_same_time { known.cells.content.clone() } else { content },
        mode: if seen.mode == known.seen.mode { known.cells.mode } else { seen.mode },
        owner: who(Kind::User, seen.owner, known.seen.owner, &known.cells.owner)?,
        group: who(Kind::Group, seen.group, known.seen.group, &known.cells.group)?,
        attributes: if known.attributes == attributes { known.cells.attributes.clone() } else { attributes.to_vec() },
        twin: known.cells.twin.clone(),
    };
    // Another file in its place has no twins until they are found. Nor has one that could not be joined with them, or differs
    // from them, once somebody changes it: it might become like them by that, and be joined elsewhere but not here.
    let is_other = seen.inode != known.seen.inode;
    let is_changed_alone = seen.links == 1 && known.seen.links == 1 && cells != known.cells;
    Ok(if is_other || is_changed_alone { cells.alone() } else { cells })
}

/// The extended attributes that are synchronised, packed.
pub(crate) fn attributes(file: &Handle) -> Result<Vec<u8>, Reason> {
    let list = match file.attribute_names() {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        other => other.map_err(changed)?,
    };
    let names = list.split(|b| *b == 0).filter(|name| cells::is_carried(name));
    let read = |name: &[u8]| Ok((name.to_vec(), file.attribute(name).map_err(changed)?));
    let mut found = names.map(read).collect::<Result<Vec<_>, Reason>>()?;
    found.sort_unstable();
    Ok(cells::pack_attributes(&found))
}

/// What the system says, as the reason why a path is left out.
pub fn reason(e: Errno) -> Reason {
    match e {
        Errno::NOENT | Errno::STALE => Reason::Changed,
        Errno::XDEV => Reason::OtherFileSystem,
        e => Reason::System(e.to_string()),
    }
}

fn changed(e: Errno) -> Reason {
    if matches!(e, Errno::NODATA | Errno::RANGE) { Reason::Changed } else { reason(e) }
}

/// Whether a path still is what is known of it; `None` stands for nothing there.
pub(crate) fn is_as_known(at: &Dir, name: &[u8], known: Option<&Known>) -> disk::Result<bool> {
    let there = at.look(name)?.map(|s| Seen::of(&s));
    Ok(match (there, known) {
        (Some(there), Some(known)) => there.is_same(&known.seen),
        (there, known) => there.is_none() && known.is_none(),
    })
}
