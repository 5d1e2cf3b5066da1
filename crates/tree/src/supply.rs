//! Answering what a peer asks for: contents as a whole, lists of their chunks, and chunks. What was read is verified before it
//! goes; what is not here is said to be absent. Keeps nothing.

use std::ops::Range;

use sync_store::contents::{Ask, Body, CHUNKS, Chunk, PIECE};
use sync_store::{Hash, Piece, PieceSink, Result, Want};

use crate::tree::Tree;
use crate::{foresight, groups, parts, source};

/// Streams what a peer asks for.
pub fn supply(tree: &mut Tree, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
    for want in wants {
        let chunks = |range: Range<u64>| move |tree: &Tree| parts::listed(tree.index.look(), want.hash, range, CHUNKS);
        let answered = match &want.ask {
            Ask::Whole => whole(tree, want, sink)?,
            Ask::Chunks { from } => list(tree, want, chunks(*from..u64::MAX), Body::Chunks, sink)?,
            Ask::List { from, to } => list(tree, want, chunks(*from..*to), Body::Chunks, sink)?,
            Ask::Groups { from } => {
                let groups = |tree: &Tree| groups::listed(tree.index.look(), want.hash, *from, CHUNKS);
                let is_here = list(tree, want, groups, Body::Groups, sink)?;
                if is_here && *from == 0 {
                    foresight::send(tree, want.hash, sink)?;
                }
                is_here
            }
            Ask::Ranges(ranges) => send(tree, want.hash, ranges, Piece::asked, sink)?,
        };
        if !answered {
            sink(Piece::asked(want.hash, Body::Absent))?;
        }
    }
    Ok(())
}

fn whole(tree: &mut Tree, want: &Want, sink: &mut PieceSink) -> Result<bool> {
    if want.size > PIECE as u64 {
        return Ok(false);
    }
    let Some(bytes) = source::whole(tree, want.hash, want.size)? else { return Ok(false) };
    sink(Piece::asked(want.hash, Body::Data { offset: 0, bytes }))?;
    Ok(true)
}

/// Sends what is `listed` of a content as soon as it is cut; nothing if that is nothing.
fn list(
    tree: &mut Tree,
    want: &Want,
    listed: impl FnOnce(&Tree) -> Result<Vec<Chunk>>,
    body: fn(Vec<Chunk>) -> Body,
    sink: &mut PieceSink,
) -> Result<bool> {
    if !parts::cut(tree, want.hash)? {
        return Ok(false);
    }
    let listed = listed(tree)?;
    if listed.is_empty() {
        return Ok(false);
    }
    sink(Piece::asked(want.hash, body(listed)))?;
    Ok(true)
}

/// Sends chunks; says whether all could be read.
pub(crate) fn send(
    tree: &Tree,
    content: Hash,
    ranges: &[Chunk],
    piece: fn(Hash, Body) -> Piece,
    sink: &mut PieceSink,
) -> Result<bool> {
    let Some(file) = source::open(tree, content)? else { return Ok(false) };
    for chunk in ranges {
        let mut bytes = vec![0; (chunk.size as usize).min(PIECE)];
        let read = file.read_exact_at(&mut bytes, chunk.offset);
        if read.is_err() || blake3::hash(&bytes) != chunk.hash.0 {
            return Ok(false);
        }
        sink(piece(content, Body::Data { offset: chunk.offset, bytes }))?;
    }
    Ok(true)
}
