//! What can be found out of a tree while the line to the other site is being made: until it is there, nobody needs the processor
//! or the disk. Large files that were edited are read (only such as are known, and what was read counts only if the system says the
//! same of the file when the scan meets it), and the tree as a whole is looked at. Writes nothing, locks nothing, decides nothing.

mod walked;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use sync_store::{Reason, Result};

use crate::accounts::{Accounts, Machine};
use crate::disk::{Dir, Disk};
use crate::index::{self, Look, SEEN};
use crate::look::{self, Known, Reading, Seen};
use crate::root::Root;
use crate::survey;
use crate::watch::Extent;
use crate::{Options, Owners};
use walked::Walked;

/// Files that are remembered.
const MANY: usize = 16;

/// Which files are large: the index of these has the same number in it.
const LARGE: &str = "size>8388608 LIMIT 10000";

/// What was found out beforehand.
#[derive(Default)]
pub struct Beforehand {
    /// What was read, by inode.
    read: HashMap<u64, Reading>,
    walked: Option<Walked>,
}

impl Beforehand {
    /// What a file is that the system says this of, in the light of what was known of it; nothing if it was not read, or changed
    /// since.
    pub(crate) fn get(
        &self,
        now: &Seen,
        old: Option<&Known>,
        accounts: &Accounts,
    ) -> Option<std::result::Result<Reading, Reason>> {
        let Reading { known, chunks } = self.read.get(&now.inode).filter(|read| read.known.seen == *now)?;
        let known = look::read_already(known, old, accounts);
        Some(known.map(|known| Reading { known, chunks: chunks.clone() }))
    }

    /// What has to be looked at.
    pub(crate) fn due(&mut self, root: &Dir) -> Extent {
        self.walked.as_mut().map_or(Extent::Everything, |walked| walked.due(root))
    }

    /// Everything has to be looked at.
    pub(crate) fn distrust(&mut self) {
        self.walked = None;
    }
}

/// Finds out beforehand, on threads of its own, until it is asked what it has or dropped.
pub struct Reader {
    /// Of reading.
    stop: Arc<AtomicBool>,
    /// Of all.
    dropped: Arc<AtomicBool>,
    read: Option<JoinHandle<HashMap<u64, Reading>>>,
    walked: Option<JoinHandle<Option<Walked>>>,
}

impl Reader {
    /// Begins with a tree that is kept so. What cannot be found out is left to the scan.
    pub fn begin(options: &Options) -> Self {
        let [stop, dropped] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (seen, at) = (Arc::clone(&stop), options.clone());
        let read = move || read(&at, &seen).ok().flatten().unwrap_or_default();
        let (seen, at) = (Arc::clone(&dropped), options.clone());
        let walk = move || walked::walk(&at, &seen).ok().flatten();
        let (read, walked) = (Builder::new().spawn(read).ok(), Builder::new().spawn(walk).ok());
        Reader { stop, dropped, read, walked }
    }

    /// Watches no longer: the line may not be there for a long time, and who watches takes what there is little of. What was read stays.
    pub fn unwatch(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        self.walked = None;
    }

    /// Begins with no more files, and says what was found out. What is being looked at would have to be looked at anyway.
    pub fn end(mut self) -> Beforehand {
        self.stop.store(true, Ordering::Relaxed);
        let walked = self.walked.take().and_then(|thread| thread.join().ok()).flatten();
        let read = self.read.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        Beforehand { read, walked }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for stop in [&self.stop, &self.dropped] {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

fn read(at: &Options, stop: &AtomicBool) -> Result<Option<HashMap<u64, Reading>>> {
    survey::look(&at.index, |look| {
        let (disk, mut read) = (Disk::default(), HashMap::new());
        let Some(marker) = index::root(look)? else { return Ok(read) };
        let root = Root::open(&disk, &at.root, Some(&marker))?;
        let accounts = Accounts::new(Box::new(Machine), Owners::Numbers);
        for (path, seen) in large(look)? {
            if stop.load(Ordering::Relaxed) || read.len() >= MANY {
                break;
            }
            if let Some(reading) = edited(&root, &path, &seen, &accounts) {
                read.insert(reading.known.seen.inode, reading);
            }
        }
        Ok(read)
    })
}

fn large(look: Look) -> Result<Vec<(Vec<u8>, Seen)>> {
    look.all(&format!("SELECT path, {SEEN} FROM disk WHERE {LARGE}"), [], |row| Ok((row.get(0)?, index::seen(row, 1)?)))
}

/// A file that is another one than is known, if it can be read. What changed a moment ago is marked to be read again in the next
/// round, as by a scan: somebody could write to it now without being seen.
fn edited(root: &Root, path: &[u8], known: &Seen, accounts: &Accounts) -> Option<Reading> {
    let (directory, name) = root.parent(path).ok()?;
    let now = Seen::of(&directory.look(name).ok()??);
    if now.kind != known.kind || now.is_but_for_names(known) {
        return None;
    }
    look::read((&directory, name), &now, None, look::rest(root.disk()), accounts).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use sync_store::{Hash, Store};
    use tempfile::TempDir;

    use super::*;
    use crate::cells::Content;
    use crate::{Tree, testing};

    /// A directory with a large file that was edited since the index was written.
    fn edited_file() -> (TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        let tree = testing::tree(&directory, &[("large", &vec![1; 9 << 20]), ("small", b"1")]);
        let root = directory.path().join("root");
        fs::write(root.join("large"), vec![2; 9 << 20]).unwrap();
        fs::write(root.join("small"), "2").unwrap();
        (directory, tree)
    }

    fn options(directory: &TempDir) -> Options {
        Options::new(directory.path().join("root"), directory.path().join("index"))
    }

    fn read(directory: &TempDir) -> Beforehand {
        let read = super::read(&options(directory), &AtomicBool::new(false)).unwrap().unwrap();
        Beforehand { read, walked: None }
    }

    fn hash(tree: &Tree, path: &[u8]) -> Hash {
        let cells = tree.index.look().entry(path).unwrap().unwrap();
        let Content::File { hash, .. } = cells.content else { unreachable!("a file") };
        hash
    }

    #[test]
    fn what_was_read_need_not_be_read_again() {
        let (directory, mut tree) = edited_file();
        let mut read = read(&directory);
        assert_eq!(read.read.len(), 1);
        let reading = read.read.values_mut().next().unwrap();
        let Content::File { hash: found, .. } = &mut reading.known.cells.content else { unreachable!("a file") };
        assert_eq!(found.0, *blake3::hash(&vec![2; 9 << 20]).as_bytes());
        // Nobody but a test could tell otherwise.
        *found = Hash([7; 32]);
        tree.found_beforehand(read);
        tree.drain().unwrap();
        assert_eq!((hash(&tree, b"large"), hash(&tree, b"small").0), (Hash([7; 32]), *blake3::hash(b"2").as_bytes()));
        // It was edited a moment ago, and so it is read again.
        tree.drain().unwrap();
        assert_eq!(hash(&tree, b"large").0, *blake3::hash(&vec![2; 9 << 20]).as_bytes());
    }

    #[test]
    fn what_was_edited_since_is_read_again() {
        let (directory, mut tree) = edited_file();
        let read = read(&directory);
        fs::write(directory.path().join("root/large"), vec![3; 9 << 20]).unwrap();
        tree.found_beforehand(read);
        tree.drain().unwrap();
        assert_eq!(hash(&tree, b"large").0, *blake3::hash(&vec![3; 9 << 20]).as_bytes());
    }

    #[test]
    fn who_is_asked_to_stop_or_finds_nothing_has_nothing() {
        let (directory, _tree) = edited_file();
        let options = options(&directory);
        assert!(super::read(&options, &AtomicBool::new(true)).unwrap().unwrap().is_empty());
        let none = |options: &Options| {
            let found = Reader::begin(options).end();
            found.read.is_empty() && found.walked.is_none()
        };
        assert!(none(&Options { index: directory.path().join("no index"), ..options.clone() }));
        let mut reader = Reader::begin(&options);
        reader.unwatch();
        assert!(reader.end().walked.is_none());
        assert!(none(&Options { root: directory.path().to_owned(), ..options }));
    }
}
