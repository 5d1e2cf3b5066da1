//! Putting a large content together, of what came and of what is here in other contents, in one pass: each byte is read, hashed and
//! written once, while what was written goes to the disk. Whether it all was what it should be is seen by the hash of the whole; only
//! if it was not, chunk by chunk.
//!
//! What is to be copied is a plan in memory, of a bounded number of chunks. Names nothing that is not what its hash says.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::params;
use sync_store::contents::Chunk;
use sync_store::{Hash, Result};

use crate::disk::{self, File, Onto};
use crate::index;
use crate::parts::{self, is_hole, part_name};
use crate::source;
use crate::tree::Tree;
use crate::whole::{BLOCK, Whole};

/// Chunks that all plans together may be about.
const MANY: usize = 50_000;
/// Places that are tried for one chunk.
const TRIES: usize = 4;
/// So many bytes are made safe while more are written.
const LOT: u64 = 32 << 20;

/// Where the chunks of a content are in others, by their offsets.
#[derive(Default)]
pub(crate) struct Plan {
    /// The others, and whether they can be opened.
    contents: Vec<(Hash, bool)>,
    places: BTreeMap<u64, Place>,
}

#[derive(Clone, Copy)]
struct Place {
    /// Which of the others.
    content: usize,
    offset: u64,
}

impl Plan {
    /// Whether a chunk is to be copied.
    pub(crate) fn has(&self, offset: u64) -> bool {
        self.places.contains_key(&offset)
    }

    /// Takes up a chunk that is in a content here, as far as is known; says whether it is in one.
    pub(crate) fn add(&mut self, tree: &Tree, hash: Hash, chunk: &Chunk) -> Result<bool> {
        for (other, offset) in places(tree, hash, chunk)? {
            let content = self.content(tree, other)?;
            if self.contents[content].1 {
                self.places.insert(chunk.offset, Place { content, offset });
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn content(&mut self, tree: &Tree, hash: Hash) -> Result<usize> {
        // There are few, and the last one is the most likely.
        if let Some(content) = self.contents.iter().rposition(|content| content.0 == hash) {
            return Ok(content);
        }
        let is_here = source::open(tree, hash)?.is_some();
        self.contents.push((hash, is_here));
        Ok(self.contents.len() - 1)
    }
}

/// How many more chunks the plans of all contents may take.
pub(crate) fn room(tree: &Tree) -> usize {
    MANY.saturating_sub(tree.asked.plans.values().map(|plan| plan.places.len()).sum())
}

/// The contents of a plan that are open.
#[derive(Default)]
struct Sources(Vec<(usize, File)>);

impl Sources {
    fn of(&mut self, tree: &Tree, plan: &Plan, content: usize) -> Result<Option<&File>> {
        let at = match self.0.iter().position(|(open, _)| *open == content) {
            Some(at) => at,
            None => {
                if self.0.len() >= OPEN {
                    self.0.clear();
                }
                let Some(file) = source::open(tree, plan.contents[content].0)? else { return Ok(None) };
                self.0.push((content, file));
                self.0.len() - 1
            }
        };
        Ok(self.0.get(at).map(|(_, file)| file))
    }
}

/// So many of them.
const OPEN: usize = 16;

/// Where a chunk is in other contents, as far as is known.
fn places(tree: &Tree, content: Hash, chunk: &Chunk) -> Result<Vec<(Hash, u64)>> {
    let query = format!("SELECT content, offset FROM chunk WHERE hash=? AND size=? AND content<>? LIMIT {TRIES}");
    tree.index.look().all(&query, params![chunk.hash.0, chunk.size, content.0], |row| {
        Ok((index::hash(row, 0)?, row.get::<_, i64>(1)?.cast_unsigned()))
    })
}

/// Copies one chunk from another content; what was read must be what it should be. The content that was used last is open.
pub(crate) fn copy(
    tree: &Tree,
    content: Hash,
    to: &File,
    chunk: &Chunk,
    last: &mut Option<(Hash, File)>,
) -> Result<bool> {
    if is_hole(chunk) {
        return Ok(true);
    }
    for (other, offset) in places(tree, content, chunk)? {
        if last.as_ref().is_none_or(|(hash, _)| *hash != other) {
            *last = source::open(tree, other)?.map(|file| (other, file));
        }
        let Some((_, file)) = last else { continue };
        let mut bytes = vec![0; chunk.size as usize];
        let read = file.read_exact_at(&mut bytes, offset);
        if read.is_ok() && blake3::hash(&bytes) == chunk.hash.0 {
            return Ok(write(to, chunk.offset, &bytes).is_ok());
        }
    }
    Ok(false)
}

/// Nothing is written where the file has a hole already: sparse files stay sparse.
pub(crate) fn write(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.iter().all(|b| *b == 0) { Ok(()) } else { file.write_all_at(bytes, offset) }
}

/// What became of a content whose chunks have all come, or are here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// It is staged under its hash.
    Staged,
    /// What was to be copied was not what it should be.
    Doubtful,
    /// What came was not either.
    Unlike,
}

/// Makes it.
pub(crate) fn make(tree: &mut Tree, hash: Hash) -> Result<Made> {
    let plan = tree.asked.plans.remove(&hash).unwrap_or_default();
    let staging = &tree.root.own().staging;
    let passed = match staging.open_ours(part_name(hash)) {
        Ok(part) => pass(tree, hash, &plan, &part)?,
        Err(e) => Err(e.into()),
    };
    Ok(match passed {
        Ok(Some(found)) if found == hash => {
            let staged = staging.rename(part_name(hash), staging, hash.to_string(), Onto::Anything);
            if staged.is_ok() { Made::Staged } else { Made::Unlike }
        }
        Ok(_) if !plan.places.is_empty() => Made::Doubtful,
        _ => Made::Unlike,
    })
}

/// The hash of what is there then, and safe; nothing if a content that is to be copied cannot be read. An error is one of the
/// content in the making: what it holds is not certain any more.
fn pass(tree: &Tree, hash: Hash, plan: &Plan, part: &File) -> Result<io::Result<Option<Hash>>> {
    let (mut pass, mut sources, mut from) = (Pass::begin(part), Sources::default(), 0);
    if plan.places.is_empty()
        && let Err(e) = pass.sync()
    {
        return Ok(Err(e));
    }
    loop {
        let page = parts::listed(tree.index.look(), hash, from..u64::MAX, parts::PAGE)?;
        let Some(last) = page.last() else { return Ok(pass.end().map(Some)) };
        from = last.offset + 1;
        for chunk in &page {
            let added = match plan.places.get(&chunk.offset) {
                None => pass.add(part, chunk.offset, chunk.size, false),
                Some(place) => match sources.of(tree, plan, place.content)? {
                    Some(file) => pass.add(file, place.offset, chunk.size, true),
                    None => Ok(false),
                },
            };
            match added {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(None)),
                Err(e) => return Ok(Err(e)),
            }
        }
    }
}

/// A content that is put together from its beginning to its end.
struct Pass<'a> {
    part: &'a File,
    whole: Whole,
    /// Where the block begins that is not full, and how much of it is there.
    at: u64,
    block: Vec<u8>,
    length: usize,
    /// What of it has to be written.
    due: Vec<Range<usize>>,
    /// Bytes that were written since the last sync was begun.
    written: u64,
    sync: Option<JoinHandle<disk::Result<()>>>,
}

impl<'a> Pass<'a> {
    fn begin(part: &'a File) -> Self {
        let mut whole = Whole::default();
        let block = whole.block();
        Pass { part, whole, at: 0, block, length: 0, due: Vec::new(), written: 0, sync: None }
    }

    /// Goes on with bytes of a file, which are to be written or are there; false if those that are to be cannot be read.
    fn add(&mut self, file: &File, mut offset: u64, size: u32, is_due: bool) -> io::Result<bool> {
        let mut left = size as usize;
        while left > 0 {
            let some = left.min(BLOCK - self.length);
            let range = self.length..self.length + some;
            match file.read_exact_at(&mut self.block[range.clone()], offset) {
                Err(_) if is_due => return Ok(false),
                read => read?,
            }
            (self.length, offset, left) = (range.end, offset + some as u64, left - some);
            if is_due {
                self.note(range);
            }
            if self.length == BLOCK {
                self.flush()?;
            }
        }
        Ok(true)
    }

    fn note(&mut self, range: Range<usize>) {
        match self.due.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.due.push(range),
        }
    }

    /// Writes what has to be, while it is hashed.
    fn flush(&mut self) -> io::Result<()> {
        let mut block = std::mem::take(&mut self.block);
        block.truncate(self.length);
        let block = Arc::new(block);
        self.whole.add(&block)?;
        for range in self.due.drain(..) {
            self.written += range.len() as u64;
            write(self.part, self.at + range.start as u64, &block[range])?;
        }
        (self.at, self.length) = (self.at + self.length as u64, 0);
        self.whole.give_back(block);
        self.block = self.whole.block();
        let is_idle = self.sync.as_ref().is_none_or(JoinHandle::is_finished);
        if self.written >= LOT && is_idle { self.sync() } else { Ok(()) }
    }

    /// Begins to make safe what was written so far.
    fn sync(&mut self) -> io::Result<()> {
        self.written = 0;
        self.join()?;
        self.sync = Some(self.part.sync_data_beside()?);
        Ok(())
    }

    /// An error is told once, to whom it comes first.
    fn join(&mut self) -> io::Result<()> {
        let Some(sync) = self.sync.take() else { return Ok(()) };
        Ok(sync.join().map_err(|_| io::Error::other("a thread ended early"))??)
    }

    /// The hash of all of it, which is safe.
    fn end(mut self) -> io::Result<Hash> {
        if self.length > 0 {
            self.flush()?;
        }
        if self.written > 0 {
            self.sync()?;
        }
        self.join()?;
        let (hash, _) = self.whole.end()?;
        Ok(hash)
    }
}
