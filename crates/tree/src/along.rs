//! Small contents that go along with the rows of a first copy, so that neither the line nor the other side's disk waits until all
//! rows are merged. Whoever sends them sends the contents of a batch behind its rows; whoever receives them takes those that it
//! would have asked for, and leaves the others aside. What did not come, or is large, is asked for afterwards as ever.
//!
//! Never says that something is there which is not: nothing is skipped afterwards but what was gone through here in this round.

use std::collections::VecDeque;

use sync_core::Value;
use sync_store::batch::ALONG;
use sync_store::contents::{PIECE, WANTS, Whole};
use sync_store::{Batch, Change, Hash, Result, Sink, Store};

use crate::cells::Content;
use crate::contents::{self, Lack, Large};
use crate::index::{ENTRY, Look};
use crate::realise;
use crate::tree::Tree;
use crate::{fresh, source};

/// How far the receiver has come with it.
#[derive(Default)]
pub struct Along {
    /// Whether rows came since it was last thought of what may come along.
    is_due: bool,
    /// Up to this path, that was thought of.
    after: Vec<u8>,
    /// The first path up to there that has to be thought of again.
    left: Option<Vec<u8>>,
    /// Large contents up to there.
    large: VecDeque<Large>,
}

impl Along {
    fn leave(&mut self, path: &[u8]) {
        if self.left.as_ref().is_none_or(|left| path < left.as_slice()) {
            self.left = Some(path.to_vec());
        }
    }

    /// Behind which path contents have still to be asked for, and which large ones before it.
    pub fn end(mut self, open: Option<&[u8]>) -> (Vec<u8>, VecDeque<Large>) {
        open.into_iter().for_each(|path| self.leave(path));
        match self.left {
            Some(mut left) if left <= self.after => {
                // Whatever lies behind this and before the path that was left begins with this.
                left.pop();
                self.large.retain(|(path, ..)| *path <= left);
                (left, self.large)
            }
            _ => (self.after, self.large),
        }
    }
}

/// Rows were written.
pub fn note(tree: &mut Tree, batch: &Batch) {
    let along = &mut tree.along;
    along.is_due |= !batch.changes.is_empty();
    for path in batch.changes.iter().filter_map(|change| path_of(batch, change)) {
        if path <= along.after.as_slice() {
            along.leave(path);
        }
    }
}

/// Takes what came along; says how many bytes of contents that is, and how many of those were left aside.
pub fn take(tree: &mut Tree, along: &[Whole]) -> Result<(u64, u64)> {
    if along.is_empty() {
        return Ok((0, 0));
    }
    if std::mem::take(&mut tree.along.is_due) {
        expect(tree)?;
    }
    let (mut bytes, mut in_vain) = (0, 0);
    for whole in along {
        bytes += whole.weight() as u64;
        if !contents::receive_whole(tree, whole)? {
            in_vain += whole.weight() as u64;
        }
    }
    Ok((bytes, in_vain))
}

/// Rows read at a time.
const PAGE: usize = 1000;

/// Thinks of what may come along with the last rows, and makes the directories for it.
fn expect(tree: &mut Tree) -> Result<()> {
    if let Some(open) = tree.asked.first_open() {
        let open = open.to_vec();
        tree.along.leave(&open);
    }
    tree.asked.expect_only_what_comes_along(source::none_staged(tree));
    let mut free = tree.root.own().staging.room().unwrap_or(u64::MAX);
    directories(tree)?;
    loop {
        let page = contents::lacking(tree, &tree.along.after, PAGE)?;
        if page.is_empty() {
            return Ok(());
        }
        for lack in page {
            expect_one(tree, lack, &mut free)?;
        }
    }
}

fn expect_one(tree: &mut Tree, lack: Lack, free: &mut u64) -> Result<()> {
    let Lack { path, hash, size, fresh } = lack;
    let is_large = size > PIECE as u64;
    if is_large && tree.along.large.len() < WANTS {
        tree.along.large.push_back((path.clone(), hash, size));
    } else if is_large || size > *free {
        tree.along.leave(&path);
    } else if contents::next_want(tree, (&path, fresh), hash, size, *free)?.is_some() {
        *free -= size;
    }
    tree.along.after = path;
    Ok(())
}

fn directories(tree: &mut Tree) -> Result<()> {
    let mut after = tree.along.after.clone();
    loop {
        let page = realise::new_directories(tree, &after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.path);
        tree.root.check()?;
        tree.stir();
        for task in page {
            tree.moment("realise: directory")?;
            fresh::make_directory(tree, &task.path, task.cells);
        }
    }
}

/// Streams a table; behind each batch of rows of the tree the contents that they name first.
pub fn scan(tree: &mut Tree, table: &str, sink: &mut Sink) -> Result<()> {
    let Tree { inner, root, index, near, .. } = tree;
    let mut read = |path: &[u8], size| source::small(root, near, path, size);
    inner.scan(table, true, &mut |batch| {
        let (sender, small) = (batch.sender, small(&batch));
        sink(batch)?;
        let mut along = Batch::empty(sender);
        for Small { path, hash, size } in small {
            let bytes = if is_first(index.look(), &path, hash)? { read(&path, size) } else { None };
            let Some(bytes) = bytes else { continue };
            let whole = Whole(bytes);
            if along.weight() + whole.weight() > ALONG {
                sink(std::mem::replace(&mut along, Batch::empty(sender)))?;
            }
            along.contents.push(whole);
        }
        if along.contents.is_empty() { Ok(()) } else { sink(along) }
    })
}

/// A file whose content may go along.
struct Small {
    path: Vec<u8>,
    hash: Hash,
    size: u64,
}

fn small(batch: &Batch) -> Vec<Small> {
    let one = |change: &Change| {
        let path = path_of(batch, change)?;
        let column = batch.heads.get(change.table)?.columns.iter().position(|column| column == "content")?;
        let Value::Bytes(content) = change.row.values.as_ref()?.get(column)? else { return None };
        let Ok(Content::File { hash, size, .. }) = Content::unpack(content) else { return None };
        (1..=PIECE as u64).contains(&size).then(|| Small { path: path.to_vec(), hash, size })
    };
    batch.changes.iter().filter_map(one).collect()
}

/// The path of a row of the tree.
fn path_of<'a>(batch: &Batch, change: &'a Change) -> Option<&'a [u8]> {
    let is_entry = batch.heads.get(change.table).is_some_and(|head| head.name == ENTRY);
    match change.key.first() {
        Some(Value::Bytes(path)) if is_entry => Some(path),
        _ => None,
    }
}

/// Whether no path before this one has its content too: each goes once.
fn is_first(look: Look, path: &[u8], hash: Hash) -> Result<bool> {
    const FIRST: &str = "SELECT path FROM disk WHERE hash=? ORDER BY path LIMIT 1";
    Ok(look.one::<Vec<u8>>(FIRST, [hash.0])?.as_deref() == Some(path))
}
