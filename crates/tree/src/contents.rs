//! Asking for contents, and answering. What is asked for follows from rows and disk; what has arrived lies in the
//! staging directory under its hash, large ones in parts that are gone on with after an interruption.
//!
//! Never asks twice for what the peer did not have, and keeps nothing that it did not ask for.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use rusqlite::params;
use rustix::fs::FileType;
use sync_store::contents::{Ask, Body, CHUNKS, Chunk, PIECE};
use sync_store::{Hash, Lacking, Piece, PieceSink, Result, StoreError, Trouble, Want};

use crate::disk::Onto;
use crate::look;
use crate::parts;
use crate::place::ASIDE;
use crate::root::{failed, kind};
use crate::source;
use crate::trash;
use crate::tree::Tree;

/// What was asked for and has not come.
#[derive(Default)]
pub struct Asked {
    /// Up to this path, nothing more has to be asked for.
    after: Vec<u8>,
    /// What may come.
    open: HashMap<Hash, Want>,
    /// Large contents for which what is here was looked through.
    pub(crate) filled: HashSet<Hash>,
    /// Chunks that have come and are not written down yet, by their offsets.
    pub(crate) arrived: HashMap<Hash, Vec<u64>>,
}

impl Asked {
    /// This has come.
    pub(crate) fn done(&mut self, hash: Hash) {
        self.open.remove(&hash);
    }
}

/// Bytes that are asked for at once.
const ROOM: u64 = 8 << 20;

/// Files that are wanted, and whose content is in no file here and not in the trash.
const LACKING: &str = "FROM entry e LEFT JOIN disk d ON d.path=e.path WHERE e.path>? AND e.kind='f' \
     AND (d.hash IS NULL OR d.hash<>e.hash) AND NOT EXISTS (SELECT 1 FROM disk x WHERE x.hash=e.hash) \
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
    let mut room = ROOM;
    let mut free = tree.root.own().staging.room().unwrap_or(u64::MAX);
    while wants.len() < limit && room > 0 {
        let page = lacking(tree, limit)?;
        if page.is_empty() {
            break;
        }
        for (path, hash, size) in page {
            match next_want(tree, &path, hash, size, free)? {
                Some(want) if matches!(want.ask, Ask::Whole) => {
                    free = free.saturating_sub(want.size);
                    room = room.saturating_sub(want.size);
                    wants.push(want);
                }
                // A large content is gone on with before anything behind it.
                Some(want) => {
                    wants.push(want);
                    return Ok(remember(tree, wants));
                }
                None => {}
            }
            tree.asked.after = path;
            if wants.len() >= limit || room == 0 {
                break;
            }
        }
    }
    Ok(remember(tree, wants))
}

fn remember(tree: &mut Tree, wants: Vec<Want>) -> Vec<Want> {
    tree.asked.open.extend(wants.iter().map(|want| (want.hash, want.clone())));
    wants
}

fn lacking(tree: &Tree, limit: usize) -> Result<Vec<(Vec<u8>, Hash, u64)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = format!("SELECT e.path, e.hash, content_size(e.content) {LACKING} ORDER BY e.path LIMIT ?");
    tree.index.look().all(&query, params![tree.asked.after, limit], |row| {
        Ok((row.get(0)?, Hash(row.get(1)?), row.get::<_, i64>(2)?.cast_unsigned()))
    })
}

/// What to ask for of one content; nothing if it is here, was asked for, or cannot be had from this peer.
fn next_want(tree: &mut Tree, path: &[u8], hash: Hash, size: u64, free: u64) -> Result<Option<Want>> {
    let is_asked = tree.asked.open.contains_key(&hash) || tree.absent.contains(&hash);
    if size == 0 || is_asked || source::is_staged(tree, hash) {
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
        tree.asked.open.insert(hash, want.clone());
    }
    Ok(want)
}

/// Streams what a peer asks for.
pub fn supply(tree: &mut Tree, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
    for want in wants {
        let answered = match &want.ask {
            Ask::Whole => whole(tree, want, sink)?,
            Ask::Chunks { from } => chunks(tree, want, *from, sink)?,
            Ask::Ranges(ranges) => send(tree, want, ranges, sink)?,
        };
        if !answered {
            sink(Piece { content: want.hash, body: Body::Absent })?;
        }
    }
    Ok(())
}

fn whole(tree: &Tree, want: &Want, sink: &mut PieceSink) -> Result<bool> {
    let Some(file) = source::open(tree, want.hash)? else { return Ok(false) };
    let mut bytes = Vec::new();
    let read = file.take(PIECE as u64 + 1).read_to_end(&mut bytes);
    if read.is_err() || bytes.len() > PIECE || blake3::hash(&bytes) != want.hash.0 {
        return Ok(false);
    }
    sink(Piece { content: want.hash, body: Body::Data { offset: 0, bytes } })?;
    Ok(true)
}

fn chunks(tree: &mut Tree, want: &Want, from: u64, sink: &mut PieceSink) -> Result<bool> {
    if !parts::cut(tree, want.hash)? {
        return Ok(false);
    }
    let chunks = parts::listed(tree, want.hash, from, CHUNKS)?;
    if chunks.is_empty() {
        return Ok(false);
    }
    sink(Piece { content: want.hash, body: Body::Chunks(chunks) })?;
    Ok(true)
}

fn send(tree: &Tree, want: &Want, ranges: &[Chunk], sink: &mut PieceSink) -> Result<bool> {
    let Some(file) = source::open(tree, want.hash)? else { return Ok(false) };
    for chunk in ranges {
        let mut bytes = vec![0; (chunk.size as usize).min(PIECE)];
        let read = file.read_exact_at(&mut bytes, chunk.offset);
        if read.is_err() || blake3::hash(&bytes) != chunk.hash.0 {
            return Ok(false);
        }
        sink(Piece { content: want.hash, body: Body::Data { offset: chunk.offset, bytes } })?;
    }
    Ok(true)
}

/// Keeps a piece.
pub fn receive(tree: &mut Tree, piece: &Piece) -> Result<()> {
    tree.moment("receive: keep")?;
    let Some(want) = tree.asked.open.get(&piece.content).cloned() else { return Err(unasked()) };
    let kept = match (&piece.body, &want.ask) {
        (Body::Absent, _) => {
            tree.absent.insert(piece.content);
            Ok(())
        }
        (Body::Data { offset: 0, bytes }, Ask::Whole) => {
            if blake3::hash(bytes) != want.hash.0 {
                return Err(unlike());
            }
            tree.asked.done(want.hash);
            stage(tree, want.hash, bytes)
        }
        (Body::Data { offset, bytes }, Ask::Ranges(ranges)) => {
            let chunk = ranges.iter().find(|chunk| chunk.offset == *offset).ok_or_else(unasked)?;
            if blake3::hash(bytes) != chunk.hash.0 {
                return Err(unlike());
            }
            parts::keep(tree, &want, chunk, bytes)
        }
        (Body::Chunks(chunks), Ask::Chunks { from }) => return parts::list(tree, &want, *from, chunks),
        _ => return Err(unasked()),
    };
    // A full disk concerns this content; others may be smaller.
    match kept {
        Err(e) if e.kind() == io::ErrorKind::StorageFull => has_no_room(tree, piece.content, 0),
        Err(_) => drop(tree.absent.insert(piece.content)),
        Ok(()) => {}
    }
    Ok(())
}

/// A content is not asked for any more: it is larger than what is free.
pub(crate) fn has_no_room(tree: &mut Tree, hash: Hash, free: u64) {
    tree.absent.insert(hash);
    tree.too_large.insert(hash, free);
}

/// Writes a whole content, which is there under its hash once it is complete.
fn stage(tree: &Tree, hash: Hash, bytes: &[u8]) -> io::Result<()> {
    let (new, name) = (format!("{hash}.new"), hash.to_string());
    let staging = &tree.root.own().staging;
    staging.create(&new)?.write_all_at(bytes, 0)?;
    Ok(staging.rename(&new, staging, &name, Onto::Anything)?)
}

/// After a crash: what was staged is only used if it is whole. What is there under a name that is not its hash was taken
/// out of the tree a moment before, and goes to the trash.
pub fn check_staged(tree: &mut Tree) -> Result<()> {
    staged(tree)?.iter().try_for_each(|name| check_one(tree, name))
}

fn check_one(tree: &mut Tree, name: &str) -> Result<()> {
    match sound(tree, name)? {
        Sound::Found(hash, size) => return trash::keep_found(tree, name, hash, size),
        Sound::Keep => {}
        Sound::Drop => drop(tree.root.own().staging.remove(name)),
    }
    Ok(())
}

/// What becomes of a file in the staging directory.
enum Sound {
    Keep,
    Drop,
    Found(Hash, u64),
}

fn sound(tree: &Tree, name: &str) -> Result<Sound> {
    let keep = |is_kept| Ok(if is_kept { Sound::Keep } else { Sound::Drop });
    if let Some(hash) = name.strip_suffix(".part") {
        let known: Option<i64> =
            tree.index.look().one("SELECT 1 FROM chunk WHERE lower(hex(content))=? LIMIT 1", [hash])?;
        return keep(known.is_some());
    }
    if name.ends_with(".new") {
        return keep(false);
    }
    let staging = &tree.root.own().staging;
    Ok(match staging.open(name).map_err(io::Error::from).and_then(|mut file| look::hash(&mut file)) {
        Ok((hash, _)) if hash.to_string() == name => Sound::Keep,
        Ok((hash, size)) => Sound::Found(hash, size),
        // Of a link, the row is still there; what cannot be read may be all there is of it.
        Err(_) => match staging.look(name) {
            Ok(Some(stat)) if kind(&stat) == FileType::Symlink => Sound::Drop,
            _ => Sound::Keep,
        },
    })
}

fn staged(tree: &Tree) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let listed = tree.root.own().staging.below(".").and_then(|directory| {
        directory.list(|name, _| {
            names.push(String::from_utf8_lossy(name).into_owned());
            Ok(())
        })
    });
    listed.map_err(|e| failed("list the staging directory of", tree.root.path(), e))?;
    Ok(names)
}

/// Nothing is to be done any more: what lies in the staging directory is of no use.
pub fn tidy(tree: &mut Tree) -> Result<()> {
    let staged = staged(tree)?;
    if staged.is_empty() {
        return Ok(());
    }
    for name in staged {
        // What could not be put into the trash when it was displaced.
        if name.starts_with(ASIDE) {
            check_one(tree, &name)?;
        } else {
            let _ = tree.root.own().staging.remove(&name);
        }
    }
    let writing = tree.index.begin()?;
    writing.run(
        "DELETE FROM chunk WHERE content NOT IN (SELECT hash FROM disk WHERE hash IS NOT NULL) \
         AND content NOT IN (SELECT hash FROM trash)",
        [],
    )?;
    writing.commit()
}

pub(crate) fn unasked() -> StoreError {
    StoreError::new(Trouble::Corrupt, "the other site sent a content that was not asked for")
}

pub(crate) fn unlike() -> StoreError {
    StoreError::new(Trouble::Corrupt, "the other site sent a content that is not what its hash says")
        .hint("the line or a disk is damaged: try again, and check the disk at the other site")
}
