//! Where a content can be had on this machine: in a file of the tree, in the trash, or staged. Whoever reads one verifies
//! what he read: somebody may be writing to it. Reads only.

use rustix::io::Errno;
use sync_store::{Hash, Result};

use crate::disk::{self, File};
use crate::index::{KNOWN, known};
use crate::look::{Known, is_as_known};
use crate::name;
use crate::root::{Near, Root};
use crate::tree::Tree;

/// Paths that are tried for one content.
const TRIES: usize = 4;

/// A file of the tree that holds a content, as far as is known; first those that are about to go.
pub struct Holder {
    /// Its path.
    pub path: Vec<u8>,
    /// What is known of it.
    pub known: Known,
    /// Whether no row wants a file there, so that it may be taken away.
    pub spare: bool,
}

/// The files of the tree that hold a content.
pub fn holders(tree: &Tree, hash: Hash) -> Result<Vec<Holder>> {
    let query = format!(
        "SELECT d.path, NOT EXISTS (SELECT 1 FROM entry e WHERE e.path=d.path) \
         AND NOT ignored(d.path, 0) AS spare, {} \
         FROM disk d WHERE d.hash=? ORDER BY spare DESC LIMIT {TRIES}",
        KNOWN.split(", ").map(|c| format!("d.{c}")).collect::<Vec<_>>().join(", ")
    );
    tree.index
        .look()
        .all(&query, [hash.0], |row| Ok(Holder { path: row.get(0)?, spare: row.get(1)?, known: known(row, 2)? }))
}

/// Opens a content for reading, wherever it is.
pub(crate) fn open(tree: &Tree, hash: Hash) -> Result<Option<File>> {
    if let Some(file) = kept(tree, hash).next() {
        return Ok(Some(file));
    }
    Ok(holders(tree, hash)?.into_iter().find_map(|holder| open_holder(tree, &holder).ok().flatten()))
}

/// The bytes of a small content, from wherever they can be had.
pub(crate) fn whole(tree: &mut Tree, hash: Hash, size: u64) -> Result<Option<Vec<u8>>> {
    let query = format!("SELECT path FROM disk WHERE hash=? LIMIT {TRIES}");
    let paths: Vec<Vec<u8>> = tree.index.look().all(&query, [hash.0], |row| row.get(0))?;
    let is_it = |bytes: &Vec<u8>| blake3::hash(bytes) == hash.0;
    for path in paths {
        if let Some(bytes) = small(&tree.root, &mut tree.near, &path, size).filter(is_it) {
            return Ok(Some(bytes));
        }
    }
    Ok(kept(tree, hash).find_map(|file| sized(&file, size).filter(is_it)))
}

/// A content in our own directories.
fn kept(tree: &Tree, hash: Hash) -> impl Iterator<Item = File> {
    let own = tree.root.own();
    [&own.staging, &own.trash].into_iter().filter_map(move |place| place.open(hash.to_string()).ok())
}

/// The bytes of a small file, if it has this size. Whoever receives them verifies them.
pub(crate) fn small(root: &Root, near: &mut Near, path: &[u8], size: u64) -> Option<Vec<u8>> {
    let (directory, name) = name::split(path);
    sized(&near.at(root, directory)?.open(name).ok()?, size)
}

/// What a file holds, if that is as long.
fn sized(file: &File, size: u64) -> Option<Vec<u8>> {
    let size = usize::try_from(size).ok()?;
    let mut bytes = vec![0; size + 1];
    let length = file.read_at(&mut bytes, 0).ok()?;
    bytes.truncate(length);
    (length == size).then_some(bytes)
}

/// Opens a file of the tree, if it still is what is known of it.
pub(crate) fn open_holder(tree: &Tree, holder: &Holder) -> disk::Result<Option<File>> {
    let (parent, name) = tree.root.parent(&holder.path)?;
    if !is_as_known(&parent, name, Some(&holder.known))? {
        return Ok(None);
    }
    parent.open(name).map(Some)
}

/// Whether a content was received whole and waits to be used.
pub fn is_staged(tree: &Tree, hash: Hash) -> bool {
    matches!(tree.root.own().staging.look(hash.to_string()), Ok(Some(_)))
}

/// Whether no content waits, as far as can be seen: each need not be looked for then.
pub fn none_staged(tree: &Tree) -> bool {
    let refuse = |_: &[u8], _| Err(Errno::EXIST);
    tree.root.own().staging.below(".").and_then(|staging| staging.list(refuse)).is_ok()
}
