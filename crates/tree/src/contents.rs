//! Asking for contents, and keeping what comes. What is asked for follows from rows and disk; what has arrived lies in the
//! staging directory under its hash, large ones in parts that are gone on with after an interruption.
//!
//! Never asks twice for what the peer did not have, and keeps nothing that it did not ask for.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;

use rusqlite::params;
use sync_store::contents::{Ask, Body, PIECE, Whole};
use sync_store::{Hash, Lacking, Piece, Result, StoreError, Trouble, Want};

use crate::along::Along;
use crate::assemble;
use crate::cells::Cells;
use crate::disk::Onto;
use crate::fresh;
use crate::groups;
use crate::index::{self, CELLS, columns_of};
use crate::name;
use crate::parts;
use crate::realise;
use crate::source;
use crate::tree::Tree;

/// What was asked for and has not come.
#[derive(Default)]
pub struct Asked {
    /// Up to this path, nothing more has to be asked for.
    after: Vec<u8>,
    /// What may come, and for whom.
    open: HashMap<Hash, Open>,
    /// Whose contents have come, and how many bytes that is.
    ready: Vec<Vec<u8>>,
    weight: u64,
    /// Whether nothing lay in the staging directory when it was last thought of what to ask for.
    none_staged: bool,
    /// Whether directories were made for them.
    pub(crate) has_directories: bool,
    /// Large contents that are gone on with.
    large: VecDeque<Large>,
    /// What is known of their lists.
    pub(crate) groups: HashMap<Hash, groups::Known>,
    /// Large contents for which what is here was looked through.
    pub(crate) filled: HashSet<Hash>,
    /// What of them is to be copied from other contents.
    pub(crate) plans: HashMap<Hash, assemble::Plan>,
    /// Chunks that have come and are not written down yet, by their offsets.
    pub(crate) arrived: BTreeMap<Hash, parts::Arrived>,
}

impl Asked {
    /// What goes on after what came along with the rows.
    pub(crate) fn after(along: Along, before: &Asked) -> Self {
        let (after, large) = along.end(before.first_open());
        Asked { after, large, ..Asked::default() }
    }

    /// The first path whose content has not come.
    pub(crate) fn first_open(&self) -> Option<&[u8]> {
        self.open.values().map(|open| open.path.as_slice()).min()
    }

    /// From here on other contents come along; directories are made for them beforehand.
    pub(crate) fn expect_only_what_comes_along(&mut self, none_staged: bool) {
        self.open.clear();
        (self.none_staged, self.has_directories) = (none_staged, true);
    }

    /// This has come.
    pub(crate) fn done(&mut self, hash: Hash) {
        self.open.remove(&hash);
    }

    /// This has come whole.
    fn came(&mut self, want: &Want) {
        self.weight += want.size;
        self.ready.extend(self.open.remove(&want.hash).map(|open| open.path));
    }

    /// The paths that can be made already, once there are so many that it is worth making them safe.
    fn lot(&mut self, many: usize) -> Vec<Vec<u8>> {
        if self.ready.len() < many && self.weight < LOT {
            return Vec::new();
        }
        self.weight = 0;
        std::mem::take(&mut self.ready)
    }
}

/// A large content: the path that it is for, its hash, and its size.
pub(crate) type Large = (Vec<u8>, Hash, u64);

/// A content that was asked for.
#[derive(Clone)]
struct Open {
    want: Want,
    /// The path that it is for.
    path: Vec<u8>,
    /// What the file has to be, if nothing is known of its path and nothing else is to be thought of ([`fresh`]).
    fresh: Option<Cells>,
}

/// Files whose contents have come are put into their places while more comes: so many of them, or so many bytes.
pub(crate) const MANY: usize = 1000;
const LOT: u64 = 16 << 20;

/// Bytes that are asked for at once. They never wait in memory.
const ROOM: u64 = 256 << 20;

/// Files that are wanted, and whose content is in no file here and not in the trash.
const LACKING: &str = "FROM pending p CROSS JOIN entry e ON e.path=p.path LEFT JOIN disk d ON d.path=p.path \
     WHERE p.path>? AND e.kind='f' AND (d.hash IS NULL OR d.hash<>e.hash) AND NOT EXISTS (SELECT 1 FROM disk x WHERE x.hash=e.hash) \
     AND NOT EXISTS (SELECT 1 FROM trash t WHERE t.hash=e.hash) AND NOT ignored(e.path, 0)";

/// How much that is.
pub fn outstanding(tree: &Tree) -> Result<Lacking> {
    if tree.is_at_rest()? {
        return Ok(Lacking::default());
    }
    let query = format!("SELECT COUNT(*), COALESCE(SUM(content_size(e.content)),0) {LACKING}");
    let found = tree.index.look().first(&query, [b""], |row| {
        let (files, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(Lacking { files: files.cast_unsigned(), bytes: bytes.cast_unsigned() })
    })?;
    Ok(found.unwrap_or_default())
}

/// The next contents to ask for.
pub fn wanted(tree: &mut Tree, limit: usize) -> Result<Vec<Want>> {
    let mut wants: Vec<Want> = Vec::new();
    tree.asked.open.clear();
    if tree.is_at_rest()? {
        return Ok(wants);
    }
    tree.asked.none_staged = source::none_staged(tree);
    let mut room = go_on(tree, &mut wants)?;
    let mut free = tree.root.own().staging.room().unwrap_or(u64::MAX);
    while wants.len() < limit && room > 0 {
        let page = lacking(tree, &tree.asked.after, limit)?;
        if page.is_empty() {
            break;
        }
        for Lack { path, hash, size, fresh } in page {
            if let Some(want) = next_want(tree, (&path, fresh), hash, size, free)? {
                room = room.saturating_sub(weight(&want));
                match want.ask {
                    Ask::Whole => free = free.saturating_sub(want.size),
                    _ => tree.asked.large.push_back((path.clone(), hash, size)),
                }
                wants.push(want);
            }
            tree.asked.after = path;
            if wants.len() >= limit || room == 0 {
                break;
            }
        }
    }
    Ok(wants)
}

/// Large contents are gone on with before others are begun, as long as there is room; says how much is left.
fn go_on(tree: &mut Tree, wants: &mut Vec<Want>) -> Result<u64> {
    let mut room = ROOM;
    for (path, hash, size) in std::mem::take(&mut tree.asked.large) {
        if room > 0 {
            let Some(want) = next_want(tree, (&path, None), hash, size, u64::MAX)? else { continue };
            room = room.saturating_sub(weight(&want));
            wants.push(want);
        }
        tree.asked.large.push_back((path, hash, size));
    }
    Ok(room)
}

/// How many bytes come, of what is asked for. Lists count for what follows them.
fn weight(want: &Want) -> u64 {
    match &want.ask {
        Ask::Ranges(ranges) => ranges.iter().map(|chunk| u64::from(chunk.size)).sum(),
        _ => want.size,
    }
}

/// A file whose content is not here.
pub(crate) struct Lack {
    pub(crate) path: Vec<u8>,
    pub(crate) hash: Hash,
    pub(crate) size: u64,
    pub(crate) fresh: Option<Cells>,
}

/// What a row has to be for its file to be simply made: nothing is known of the path, it has no twins, and few attributes, as
/// they are kept in memory.
const FRESH: &str = "d.path IS NULL AND length(e.twin)=0 AND length(e.xattrs)<1024";

/// The next of those, behind a path.
pub(crate) fn lacking(tree: &Tree, after: &[u8], limit: usize) -> Result<Vec<Lack>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let cells = columns_of("e", CELLS);
    let query =
        format!("SELECT e.path, e.hash, content_size(e.content), {FRESH}, {cells} {LACKING} ORDER BY p.path LIMIT ?");
    tree.index.look().all(&query, params![after, limit], |row| {
        let fresh = if row.get(3)? { Some(index::cells(row, 4)?) } else { None };
        let size = row.get::<_, i64>(2)?.cast_unsigned();
        Ok(Lack { path: row.get(0)?, hash: Hash(row.get(1)?), size, fresh })
    })
}

/// What to ask for of one content; nothing if it is here, was asked for, or cannot be had from this peer.
pub(crate) fn next_want(
    tree: &mut Tree,
    (path, fresh): (&[u8], Option<Cells>),
    hash: Hash,
    size: u64,
    free: u64,
) -> Result<Option<Want>> {
    let is_asked = tree.asked.open.contains_key(&hash) || tree.absent.contains(&hash) || tree.tide.has(hash);
    if size == 0 || is_asked || (!tree.asked.none_staged && source::is_staged(tree, hash)) {
        return Ok(None);
    }
    let is_whole = size <= PIECE as u64;
    if is_whole && size > free {
        has_no_room(tree, hash, free);
        return Ok(None);
    }
    let ask = if is_whole { Some(Ask::Whole) } else { parts::next(tree, path, hash, size)? };
    let want = ask.map(|ask| Want { hash, size, ask });
    if let Some(want) = &want {
        tree.asked.open.insert(hash, Open { want: want.clone(), path: path.to_vec(), fresh });
    }
    Ok(want)
}

/// Keeps a piece.
pub fn receive(tree: &mut Tree, piece: &Piece) -> Result<()> {
    tree.moment("receive: keep")?;
    let open = tree.asked.open.get(&piece.content).filter(|open| !piece.ahead || open.want.fits(piece)).cloned();
    let Some(Open { want, path, fresh }) = open else { return if piece.ahead { Ok(()) } else { Err(unasked()) } };
    if matches!(want.ask, Ask::Whole) {
        make_directories(tree)?;
    }
    let kept = match (&piece.body, &want.ask) {
        (Body::Absent, _) => {
            tree.absent.insert(piece.content);
            tree.missed.insert(piece.content);
            Ok(())
        }
        (Body::Data { offset: 0, bytes }, Ask::Whole) => {
            if !is_like(bytes, want.hash) {
                return if piece.ahead { Ok(()) } else { Err(unlike()) };
            }
            keep(tree, &want, (&path, fresh.as_ref()), bytes)
        }
        (Body::Data { offset, bytes }, Ask::Ranges(ranges)) => {
            let chunk = ranges.iter().find(|chunk| chunk.offset == *offset).ok_or_else(unasked)?;
            if !is_like(bytes, chunk.hash) {
                return Err(unlike());
            }
            parts::keep(tree, &want, chunk, bytes)
        }
        (Body::Groups(groups), Ask::Groups { from }) => {
            groups::take(tree, &want, *from, groups)?;
            return expect(tree, want, path);
        }
        (Body::Chunks(chunks), Ask::List { from, .. }) => {
            parts::list(tree, &want, *from, chunks)?;
            return expect(tree, want, path);
        }
        (Body::Chunks(chunks), Ask::Chunks { from }) => return parts::list(tree, &want, *from, chunks),
        _ => return Err(unasked()),
    };
    kept_or_not(tree, piece.content, kept)
}

/// Keeps a content that came along, if it is one of those that are expected; says whether it is here. Whoever sent it did not look
/// whether it is still what the row says.
pub fn receive_whole(tree: &mut Tree, Whole(bytes): &Whole) -> Result<bool> {
    tree.moment("receive: keep")?;
    let hash = Hash(*blake3::hash(bytes).as_bytes());
    let is_it = |open: &&Open| open.want.ask == Ask::Whole && open.want.size == bytes.len() as u64;
    let Some(Open { want, path, fresh }) = tree.asked.open.get(&hash).filter(is_it).cloned() else { return Ok(false) };
    make_directories(tree)?;
    let kept = keep(tree, &want, (&path, fresh.as_ref()), bytes);
    kept_or_not(tree, hash, kept)?;
    Ok(!tree.absent.contains(&hash))
}

/// Each content is made where it will be.
fn make_directories(tree: &mut Tree) -> Result<()> {
    if !tree.asked.has_directories {
        realise::place(tree, &[])?;
    }
    Ok(())
}

/// A full disk concerns this content; others may be smaller.
fn kept_or_not(tree: &mut Tree, content: Hash, kept: io::Result<()>) -> Result<()> {
    match kept {
        Err(e) if e.kind() == io::ErrorKind::StorageFull => has_no_room(tree, content, 0),
        Err(_) => drop(tree.absent.insert(content)),
        Ok(()) => {}
    }
    place(tree)
}

/// What will be asked for next of a content may come without; not again what was just answered with nothing, or a peer could go on
/// for ever.
fn expect(tree: &mut Tree, want: Want, path: Vec<u8>) -> Result<()> {
    if let Some(ask) = parts::next(tree, &path, want.hash, want.size)?.filter(|ask| *ask != want.ask) {
        tree.asked.open.insert(want.hash, Open { want: Want { ask, ..want }, path, fresh: None });
    }
    Ok(())
}

/// What came must be what it was asked for as.
fn is_like(bytes: &[u8], hash: Hash) -> bool {
    blake3::hash(bytes) == hash.0
}

/// Keeps a content that came whole: where it will be, if it can be made there at once.
fn keep(tree: &mut Tree, want: &Want, (path, fresh): (&[u8], Option<&Cells>), bytes: &[u8]) -> io::Result<()> {
    let made = fresh.map_or(Ok(false), |cells| fresh::make(tree, want, path, cells, bytes));
    if let Ok(false) = made {
        return arrive(tree, want, path, bytes);
    }
    tree.asked.done(want.hash);
    made.map(drop)
}

/// A content that came whole waits in the staging directory.
fn arrive(tree: &mut Tree, want: &Want, path: &[u8], bytes: &[u8]) -> io::Result<()> {
    let staged = stage(tree, want, path, bytes);
    if staged.is_ok() {
        tree.asked.came(want)
    } else {
        tree.asked.done(want.hash)
    }
    staged
}

/// Puts what has come into its places, if that is enough by now: the line brings more meanwhile.
fn place(tree: &mut Tree) -> Result<()> {
    fresh::advance(tree)?;
    let paths = tree.asked.lot(tree.many);
    if paths.is_empty() { Ok(()) } else { realise::place(tree, &paths) }
}

/// A content is not asked for any more: it is larger than what is free.
pub(crate) fn has_no_room(tree: &mut Tree, hash: Hash, free: u64) {
    tree.absent.insert(hash);
    tree.too_large.insert(hash, free);
}

/// Writes a whole content, which is there under its hash once it is complete. File systems keep a file near the directory that
/// it was made in, so it is made in the one where it will be, without a name there; where that cannot be, elsewhere.
fn stage(tree: &mut Tree, want: &Want, path: &[u8], bytes: &[u8]) -> io::Result<()> {
    let (directory, _) = name::split(path);
    let Tree { near, root, .. } = tree;
    let staging = &root.own().staging;
    let near = near.at(root, directory).map(|near| -> io::Result<()> {
        let file = near.create_nameless(0o600)?;
        file.write_all_at(bytes, 0)?;
        Ok(staging.name(&file, want.hash.to_string())?)
    });
    if let Some(Ok(())) = near { Ok(()) } else { stage_here(tree, want.hash, bytes) }
}

fn stage_here(tree: &Tree, hash: Hash, bytes: &[u8]) -> io::Result<()> {
    let (new, name) = (format!("{hash}.new"), hash.to_string());
    let staging = &tree.root.own().staging;
    staging.create(&new)?.write_all_at(bytes, 0)?;
    Ok(staging.rename(&new, staging, &name, Onto::Anything)?)
}

pub(crate) fn unasked() -> StoreError {
    StoreError::new(Trouble::Corrupt, "the other site sent a content that was not asked for")
}

fn unlike() -> StoreError {
    StoreError::new(Trouble::Corrupt, "the other site sent a content that is not what its hash says")
        .hint("the line or a disk is damaged: try again, and check the disk at the other site")
}
