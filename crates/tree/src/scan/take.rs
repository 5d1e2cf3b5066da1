//! Writing down what a scan found: what is there, and what becomes of its row.

use sync_core::SiteId;
use sync_store::contents::PIECE;
use sync_store::{Hash, Reason, Result};

use super::Found;
use crate::cells::{Cells, Content};
use crate::disk::Slip;
use crate::foresight::Edits;
use crate::index::{self, Writing};
use crate::name::{self, Loser};
use crate::reconcile::{Change, Verdict, judge};
use crate::root::Root;
use crate::{parts, pending, stage, twins};

/// Writes one change down: what is there, and what becomes of the row. Says why it could not be taken in.
pub(super) fn take_in(
    writing: &Writing,
    found: &Found,
    site: SiteId,
    root: &Root,
    edits: &mut Edits,
) -> Result<Option<Reason>> {
    let Found { path, new, chunks } = found;
    // As it is by now: a path that several things were told of is looked at several times in one pass, while somebody writes.
    let old = writing.look().known(path)?;
    let (seen, known) = (new.as_ref().map(|k| &k.cells), old.as_ref().map(|k| &k.cells));
    let verdict = match seen == known {
        true => Verdict { row: Change::Keep, copy: None },
        false => judge(seen, known, writing.look().entry(path)?.as_ref()),
    };
    if let Some(copy) = verdict.copy.as_ref().filter(|_| !root.disk().slips(Slip::NoCopy)) {
        // Until the copy is made, somebody may write to the file again.
        if let Err(why) = stage::keep(root, path, &copy.content) {
            return Ok(Some(why));
        }
        put_copy(writing, path, copy, site)?;
    }
    match new {
        Some(new) => {
            writing.put_known(path, new)?;
            if new.seen.links > 1 {
                twins::note(writing, &new.seen)?;
            }
            if let Content::File { hash, .. } = new.cells.content {
                parts::note(writing, hash, chunks)?;
            }
        }
        None => writing.delete_known(path)?,
    }
    if let Some(gone) = went(known, seen) {
        if let Some(Content::File { hash, .. }) = seen.map(|cells| &cells.content).filter(|_| !chunks.is_empty()) {
            edits.note(writing.look(), gone, *hash, chunks)?;
        }
        parts::drop_superfluous(writing, gone)?;
    }
    match verdict.row {
        // What the disk said and what the row says was alike or on the list, and still is.
        Change::Keep if seen == known => {}
        Change::Keep => pending::add(writing, path)?,
        Change::Write(cells) if seen == Some(&cells) => writing.put_alike(path, &cells)?,
        Change::Write(cells) => writing.put_entry(path, &cells)?,
        Change::Remove => writing.delete_alike(path)?,
    }
    Ok(None)
}

/// The content of a large file that is not there any more.
fn went(known: Option<&Cells>, seen: Option<&Cells>) -> Option<Hash> {
    let Content::File { hash, size, .. } = known?.content else { return None };
    let is_there = seen.is_some_and(|seen| index::hash_of(&seen.content) == Some(hash));
    (size > PIECE as u64 && !is_there).then_some(hash)
}

/// What is there stays there until it is replaced; its copy is a row of its own.
fn put_copy(writing: &Writing, path: &[u8], cells: &Cells, site: SiteId) -> Result<()> {
    let mtime = match cells.content {
        Content::File { mtime, .. } => u64::try_from(mtime / 1_000_000).unwrap_or_default(),
        _ => 0,
    };
    let content = cells.content.digest();
    add_copy(writing, path, cells, &Loser { site: site.number(), millis: mtime, content: &content }).map(drop)
}

/// Writes a copy's row under its conflict name; says whether there was none yet.
pub fn add_copy(writing: &Writing, path: &[u8], cells: &Cells, loser: &Loser) -> Result<bool> {
    let mut copy = name::conflict(path, loser);
    while let Some(there) = writing.look().entry(&copy)? {
        if there.content.is_same(&cells.content) {
            return Ok(false);
        }
        let longer = name::conflict(&copy, loser);
        if longer == copy {
            return Ok(false);
        }
        copy = longer;
    }
    writing.put_entry(&copy, cells).map(|()| true)
}
