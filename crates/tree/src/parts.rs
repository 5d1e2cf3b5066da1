//! Large contents: cut into chunks, so that those which are here in any file or in the trash are not sent. A content in
//! the making is a file of its full size in the staging directory; `chunk` says which chunks of it are there.
//!
//! `here` is written after the chunks are safe on the disk, so that an interrupted transfer goes on where it was.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::LazyLock;

use rusqlite::{Row, params};
use sync_store::contents::{Ask, Chunk, PIECE};
use sync_store::{Hash, Result, Want};

use crate::assemble::{self, Made, Plan};
use crate::chunk;
use crate::contents::{has_no_room, unasked};
use crate::disk::File;
use crate::groups;
use crate::index::{self, Look};
use crate::source;
use crate::tree::Tree;

/// Bytes of chunks that are asked for at once.
const ROOM: u64 = 32 << 20;
/// Chunks that are looked at together.
pub const PAGE: usize = 1000;
/// Old contents that are looked through for chunks of a new one.
const RELATIVES: i64 = 3;

/// What to ask for next of a large content; nothing once it is whole, or cannot be had.
pub fn next(tree: &mut Tree, path: &[u8], hash: Hash, size: u64) -> Result<Option<Ask>> {
    let from = listed_to(tree, hash)?;
    if from < size
        && let Some(ask) = groups::next(tree, path, hash, size, from)?
    {
        return Ok(Some(ask));
    }
    if tree.asked.filled.insert(hash) {
        fill(tree, path, hash, size)?;
    }
    if tree.absent.contains(&hash) {
        return Ok(None);
    }
    if tree.asked.arrived.get(&hash).is_some_and(Arrived::is_much) {
        note_arrived(tree, hash)?;
    }
    match ranges(tree, hash)? {
        Some(ask) => Ok(Some(ask)),
        None => finish(tree, hash),
    }
}

/// The next chunks that are neither here nor to be copied.
fn ranges(tree: &Tree, hash: Hash) -> Result<Option<Ask>> {
    let mut ranges = missing(tree, hash, 0)?;
    let mut room = ROOM;
    ranges.retain(|chunk| {
        let fits = room > 0;
        room = room.saturating_sub(chunk.size.into());
        fits
    });
    Ok(if ranges.is_empty() { None } else { Some(Ask::Ranges(ranges)) })
}

fn listed_to(tree: &Tree, hash: Hash) -> Result<u64> {
    let end: Option<i64> =
        tree.index.look().one("SELECT COALESCE(MAX(offset+size),0) FROM chunk WHERE content=?", [hash.0])?;
    Ok(end.unwrap_or_default().cast_unsigned())
}

fn chunk_of(row: &Row) -> rusqlite::Result<Chunk> {
    let offset: i64 = row.get(0)?;
    Ok(Chunk { offset: offset.cast_unsigned(), size: row.get(1)?, hash: index::hash(row, 2)? })
}

/// Chunks of a content in order, of those that begin within a range.
pub fn listed(look: Look, hash: Hash, range: Range<u64>, most: usize) -> Result<Vec<Chunk>> {
    let query = format!(
        "SELECT offset, size, hash FROM chunk WHERE content=? AND offset>=? AND offset<? ORDER BY offset LIMIT {most}"
    );
    let [from, to] = [range.start, range.end].map(|at| i64::try_from(at).unwrap_or(i64::MAX));
    look.all(&query, params![hash.0, from, to], chunk_of)
}

/// The next chunks that neither are here nor have come, nor are to be copied.
fn missing(tree: &Tree, hash: Hash, mut from: u64) -> Result<Vec<Chunk>> {
    let query = format!(
        "SELECT offset, size, hash FROM chunk WHERE content=? AND offset>=? AND here=0 ORDER BY offset LIMIT {PAGE}"
    );
    loop {
        let mut page = tree.index.look().all(&query, params![hash.0, from.cast_signed()], chunk_of)?;
        let Some(last) = page.last() else { return Ok(page) };
        from = last.offset + 1;
        let (arrived, plan) = (tree.asked.arrived.get(&hash), tree.asked.plans.get(&hash));
        page.retain(|chunk| !arrived.is_some_and(|arrived| arrived.offsets.contains(&chunk.offset)));
        page.retain(|chunk| !plan.is_some_and(|plan| plan.has(chunk.offset)));
        if !page.is_empty() {
            return Ok(page);
        }
    }
}

/// Chunks that have come and are not written down yet.
#[derive(Default)]
pub struct Arrived {
    offsets: BTreeSet<u64>,
    /// Of them, the bytes that came over the line.
    fetched: u64,
}

impl Arrived {
    /// Whether it is worth making them safe before all have come: what a crash would have us fetch again, or would take
    /// memory.
    fn is_much(&self) -> bool {
        self.fetched >= 2 * ROOM || self.offsets.len() >= MANY
    }
}

/// Chunks that are remembered in memory.
const MANY: usize = 50_000;

/// Takes a list of chunks: it must go on where the last one ended, and not beyond the content.
pub fn list(tree: &mut Tree, want: &Want, from: u64, chunks: &[Chunk]) -> Result<()> {
    let mut end = from;
    for chunk in chunks {
        let size = chunk.size as usize;
        let is_next = chunk.offset == end && (1..=PIECE).contains(&size);
        end = end.saturating_add(chunk.size.into());
        let is_long_enough = size >= chunk::MIN || end == want.size;
        if !is_next || !is_long_enough || end > want.size {
            return Err(unasked());
        }
    }
    let writing = tree.index.begin()?;
    for chunk in chunks {
        put(&writing, want.hash, chunk)?;
    }
    writing.commit()?;
    tree.asked.done(want.hash);
    Ok(())
}

/// Writes down the chunks of a content that was read.
pub fn note(writing: &index::Writing, content: Hash, chunks: &[Chunk]) -> Result<()> {
    chunks.iter().try_for_each(|chunk| put(writing, content, chunk))
}

fn put(writing: &index::Writing, content: Hash, chunk: &Chunk) -> Result<()> {
    let statement = "INSERT OR IGNORE INTO chunk (content, offset, size, hash, here) VALUES (?,?,?,?,0)";
    writing.run(statement, params![content.0, chunk.offset.cast_signed(), chunk.size, chunk.hash.0]).map(drop)
}

/// That no file here and no version in the trash has a content.
/// (`disk` has a column `content` of its own.)
const SUPERFLUOUS: &str = "NOT EXISTS (SELECT 1 FROM disk d WHERE d.hash=chunk.content) \
     AND NOT EXISTS (SELECT 1 FROM trash t WHERE t.hash=chunk.content)";

/// Forgets the chunks of a content, if it has gone from here.
pub fn drop_superfluous(writing: &index::Writing, content: Hash) -> Result<()> {
    writing.run(&format!("DELETE FROM chunk WHERE content=? AND {SUPERFLUOUS}"), [content.0]).map(drop)
}

/// The same, of contents in the making that nobody wants any more.
pub fn drop_named(tree: &mut Tree, contents: &[String]) -> Result<()> {
    let writing = tree.index.begin()?;
    for content in contents {
        writing.run(&format!("DELETE FROM chunk WHERE content=unhex(?) AND {SUPERFLUOUS}"), [content])?;
    }
    writing.commit()
}

/// The same, of all contents: looks at each.
pub fn drop_all_superfluous(tree: &mut Tree) -> Result<()> {
    let writing = tree.index.begin()?;
    writing.run(&format!("DELETE FROM chunk WHERE {SUPERFLUOUS}"), [])?;
    writing.commit()
}

/// Cuts a content that is here, unless that was done before; says whether its chunks are listed.
pub fn cut(tree: &mut Tree, hash: Hash) -> Result<bool> {
    if listed_to(tree, hash)? > 0 && !is_in_the_making(tree, hash) {
        return Ok(true);
    }
    let Some(file) = source::open(tree, hash)? else { return Ok(false) };
    let writing = tree.index.begin()?;
    let found = chunk::each::<io::Error>(file, |chunk| put(&writing, hash, &chunk).map_err(io::Error::other));
    // What is not what its hash says is not listed.
    if !found.is_ok_and(|(found, _)| found == hash) {
        return Ok(false);
    }
    writing.commit().map(|()| true)
}

fn is_in_the_making(tree: &Tree, hash: Hash) -> bool {
    matches!(tree.root.own().staging.look(part_name(hash)), Ok(Some(_)))
}

pub(crate) fn part_name(hash: Hash) -> String {
    format!("{hash}.part")
}

/// Opens the content in the making.
fn part(tree: &Tree, hash: Hash, size: u64) -> io::Result<File> {
    let file = tree.root.own().staging.open_or_make(part_name(hash))?;
    file.resize(size)?;
    Ok(file)
}

/// Keeps a chunk that came and is what it should be.
pub fn keep(tree: &mut Tree, want: &Want, chunk: &Chunk, bytes: &[u8]) -> io::Result<()> {
    assemble::write(&part(tree, want.hash, want.size)?, chunk.offset, bytes)?;
    let arrived = tree.asked.arrived.entry(want.hash).or_default();
    arrived.offsets.insert(chunk.offset);
    arrived.fetched += u64::from(chunk.size);
    Ok(())
}

/// Writes down which chunks have come, once they are safe.
fn note_arrived(tree: &mut Tree, hash: Hash) -> Result<()> {
    let arrived = tree.asked.arrived.remove(&hash).unwrap_or_default();
    if arrived.offsets.is_empty() {
        return Ok(());
    }
    if let Ok(file) = tree.root.own().staging.open_ours(part_name(hash))
        && file.sync_data().is_ok()
    {
        tree.moment("receive: note")?;
        let writing = tree.index.begin()?;
        for offset in arrived.offsets {
            writing
                .run("UPDATE chunk SET here=1 WHERE content=? AND offset=?", params![hash.0, offset.cast_signed()])?;
        }
        writing.commit()?;
    }
    Ok(())
}

/// The same, of all contents: the line was cut, or the round is over.
pub fn note_all(tree: &mut Tree) -> Result<()> {
    let begun: Vec<Hash> = tree.asked.arrived.keys().copied().collect();
    begun.into_iter().try_for_each(|hash| note_arrived(tree, hash))
}

/// Copies the chunks that are here in other contents.
fn fill(tree: &mut Tree, path: &[u8], hash: Hash, size: u64) -> Result<()> {
    // Without a part of it, nothing of it is here, whatever was written down.
    let is_new = !is_in_the_making(tree, hash);
    if is_new {
        let writing = tree.index.begin()?;
        writing.run("UPDATE chunk SET here=0 WHERE content=?", [hash.0])?;
        writing.commit()?;
    }
    for relative in relatives(tree, path, size)? {
        cut(tree, relative)?;
    }
    let Ok(file) = part(tree, hash, size) else { return Ok(()) };
    if !reserve(tree, hash, &file, is_new)? {
        return Ok(());
    }
    find(tree, hash, &file, true)
}

/// Looks in other contents for the chunks that are neither here nor have come. They are planned to be copied, as long as there is
/// room, or copied at once.
fn find(tree: &mut Tree, hash: Hash, file: &File, may_wait: bool) -> Result<()> {
    let mut plan = Plan::default();
    let mut room = if may_wait { assemble::room(tree) } else { 0 };
    let (mut from, mut last_used) = (0, None);
    loop {
        let page = missing(tree, hash, from)?;
        let Some(last) = page.last() else { break };
        from = last.offset + 1;
        for chunk in page {
            if room > 0 && !is_hole(&chunk) {
                room -= usize::from(plan.add(tree, hash, &chunk)?);
            } else if assemble::copy(tree, hash, file, &chunk, &mut last_used)? {
                tree.asked.arrived.entry(hash).or_default().offsets.insert(chunk.offset);
            }
        }
        if tree.asked.arrived.get(&hash).is_some_and(Arrived::is_much) {
            note_arrived(tree, hash)?;
        }
    }
    tree.asked.plans.insert(hash, plan);
    Ok(())
}

/// Keeps room on the disk for all that is to come, so that a full one is told before half of it is written. What will be
/// a hole takes no room. Says whether there is room.
fn reserve(tree: &mut Tree, hash: Hash, file: &File, is_new: bool) -> Result<bool> {
    let staging = &tree.root.own().staging;
    // What was begun has its room already.
    let free = if is_new { staging.room().unwrap_or(u64::MAX) } else { u64::MAX };
    let (mut from, mut needed, mut is_kept) = (0, 0, true);
    loop {
        let page = missing(tree, hash, from)?;
        let Some(last) = page.last().filter(|_| is_kept) else { break };
        from = last.offset + 1;
        for run in runs(&page) {
            needed += run.end - run.start;
            is_kept = is_kept && needed <= free && file.reserve(run.start, run.end - run.start).is_ok();
        }
    }
    if !is_kept {
        let _ = tree.root.own().staging.remove(part_name(hash));
        has_no_room(tree, hash, free);
    }
    Ok(is_kept)
}

/// The longest chunk, of nothing but zeros: all of a long hole.
pub(crate) fn is_hole(chunk: &Chunk) -> bool {
    static ZEROS: LazyLock<Hash> = LazyLock::new(|| Hash(*blake3::hash(&[0; PIECE]).as_bytes()));
    chunk.hash == *ZEROS && chunk.size as usize == PIECE
}

/// Chunks that follow one another, as ranges of bytes; those of nothing but zeros are left out.
fn runs(chunks: &[Chunk]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for chunk in chunks.iter().filter(|chunk| !is_hole(chunk)) {
        let end = chunk.offset + u64::from(chunk.size);
        match runs.last_mut() {
            Some(last) if last.end == chunk.offset => last.end = end,
            _ => runs.push(chunk.offset..end),
        }
    }
    runs
}

/// Large contents that may have chunks in common with a new one: what is there or was there at its path, and files that
/// are about to go, of which it may be the edited successor.
pub fn relatives(tree: &Tree, path: &[u8], size: u64) -> Result<Vec<Hash>> {
    let large = i64::try_from(PIECE).unwrap_or(i64::MAX);
    let query = "SELECT hash FROM (SELECT hash FROM disk WHERE path=?1 AND size>?2) \
         UNION SELECT hash FROM (SELECT hash FROM trash WHERE path=?1 AND size>?2 ORDER BY at DESC LIMIT ?3) \
         UNION SELECT hash FROM (SELECT d.hash FROM pending p CROSS JOIN disk d ON d.path=p.path \
         WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.path=p.path) AND d.size>?2 AND d.size BETWEEN ?4/2 AND ?4*2 LIMIT ?3)";
    let size = i64::try_from(size).unwrap_or(i64::MAX).min(i64::MAX / 4);
    let found =
        tree.index.look().all(query, params![path, large, RELATIVES, size], |row| row.get::<_, Option<[u8; 32]>>(0))?;
    Ok(found.into_iter().flatten().map(Hash).collect())
}

/// All chunks are there, or can be copied: if the whole is what its hash says, it is staged; if not, it begins anew in another round.
/// What could not be copied after all is fetched first.
fn finish(tree: &mut Tree, hash: Hash) -> Result<Option<Ask>> {
    let mut made = assemble::make(tree, hash)?;
    if made == Made::Doubtful {
        if let Ok(file) = tree.root.own().staging.open_ours(part_name(hash)) {
            find(tree, hash, &file, false)?;
        }
        if let Some(ask) = ranges(tree, hash)? {
            return Ok(Some(ask));
        }
        made = assemble::make(tree, hash)?;
    }
    tree.asked.arrived.remove(&hash);
    if made == Made::Staged {
        return Ok(None);
    }
    let _ = tree.root.own().staging.remove(part_name(hash));
    tree.absent.insert(hash);
    let writing = tree.index.begin()?;
    writing.run("DELETE FROM chunk WHERE content=?", [hash.0])?;
    writing.commit().map(|()| None)
}
