//! What a peer will ask for of a large file that was edited here. The scan that reads the edit knows what was there before, and so
//! which parts of the list and which chunks somebody lacks who has that. They go behind the answer to the first question, so that
//! nobody waits for the others.
//!
//! Guesses, kept in memory: whoever has something else leaves aside what does not fit.

use std::collections::VecDeque;
use std::ops::Range;

use rusqlite::params;
use sync_store::contents::{Body, CHUNKS, Chunk};
use sync_store::{Hash, Piece, PieceSink, Result};

use crate::groups;
use crate::index::Look;
use crate::parts::{self, is_hole};
use crate::supply;
use crate::tree::Tree;

/// Edits that are remembered.
const EDITS: usize = 16;
/// Bytes of chunks that go unasked at most: so many may be sent in vain.
const BYTES: u64 = 512 * 1024;

/// The edits of large files that scans found, the newest last.
#[derive(Default)]
pub struct Edits(VecDeque<(Hash, Edit)>);

/// What is new in a content.
struct Edit {
    /// The parts of its list that whoever has the content before asks for.
    gaps: Vec<Range<u64>>,
    /// Chunks in them that were not in that content.
    chunks: Vec<Chunk>,
}

impl Edits {
    /// A content with these chunks came in the place of another, whose chunks are still listed.
    pub fn note(&mut self, look: Look, before: Hash, after: Hash, chunks: &[Chunk]) -> Result<()> {
        let gaps = groups::gaps(look, before, chunks)?;
        let is_in = |chunk: &&Chunk| gaps.iter().any(|gap| gap.contains(&chunk.offset));
        let inside: Vec<&Chunk> = chunks.iter().filter(is_in).collect();
        if inside.is_empty() || inside.len() > CHUNKS {
            return Ok(());
        }
        let mut edit = Edit { gaps, chunks: Vec::new() };
        let mut bytes = 0;
        for chunk in inside {
            bytes += if is_new(look, before, chunk)? { u64::from(chunk.size) } else { continue };
            if bytes > BYTES {
                break;
            }
            edit.chunks.push(*chunk);
        }
        self.0.retain(|(hash, _)| *hash != after);
        self.0.push_back((after, edit));
        self.0.drain(..self.0.len().saturating_sub(EDITS));
        Ok(())
    }

    fn of(&self, content: Hash) -> Option<&Edit> {
        self.0.iter().find(|(hash, _)| *hash == content).map(|(_, edit)| edit)
    }
}

fn is_new(look: Look, before: Hash, chunk: &Chunk) -> Result<bool> {
    const THERE: &str = "SELECT 1 FROM chunk WHERE hash=? AND size=? AND content=? LIMIT 1";
    Ok(!is_hole(chunk) && look.one::<i64>(THERE, params![chunk.hash.0, chunk.size, before.0])?.is_none())
}

/// Sends what will be asked for of a content whose groups have just gone.
pub fn send(tree: &Tree, content: Hash, sink: &mut PieceSink) -> Result<()> {
    let Some(Edit { gaps, chunks }) = tree.edits.of(content) else { return Ok(()) };
    for gap in gaps {
        let list = parts::listed(tree.index.look(), content, gap.clone(), CHUNKS)?;
        sink(Piece::ahead(content, Body::Chunks(list)))?;
    }
    // What cannot be read any more is asked for, and said to be absent then.
    supply::send(tree, content, chunks, Piece::ahead, sink).map(drop)
}
