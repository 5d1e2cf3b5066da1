//! The tree as a whole, looked at while the line to the other site is being made, and watched from then on: the scan looks only
//! at what differed from the index then, and at what was told since. Reads no file, writes nothing, decides nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use sync_store::Result;

use crate::accounts::{Accounts, Machine};
use crate::disk::{Dir, Disk};
use crate::ignore::Ignore;
use crate::index::{self, Look, SEEN, fault};
use crate::look::Seen;
use crate::root::{Root, failed};
use crate::scan::Ahead;
use crate::survey;
use crate::walk::{Sight, Step, Walk};
use crate::watch::{Extent, Watcher};
use crate::{Options, Owners};

/// More paths than this that differ are less work in one pass through everything.
const MANY: usize = 2000;

/// A tree that was looked at, and is watched since.
pub struct Walked {
    watcher: Watcher,
    /// Device and inode of its directory.
    root: (u64, u64),
}

impl Walked {
    /// What has to be looked at, if this is the directory.
    pub(crate) fn due(&mut self, root: &Dir) -> Extent {
        if identity(root).is_none_or(|identity| identity != self.root) {
            return Extent::Everything;
        }
        self.watcher.due(root)
    }
}

fn identity(directory: &Dir) -> Option<(u64, u64)> {
    directory.stat().ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// Looks at everything; nothing if the tree cannot be watched, or so much differs that it is of no use.
pub(super) fn walk(at: &Options, stop: &AtomicBool) -> Result<Option<Walked>> {
    let walked = survey::look(&at.index, |look| {
        let Some(marker) = index::root(look)? else { return Ok(None) };
        let root = Root::open(&Disk::default(), &at.root, Some(&marker))?;
        let ignore = Ignore::new(&at.ignore, at.ignore_temporary)?;
        let accounts = Accounts::new(Box::new(Machine), Owners::Numbers);
        let watcher = RefCell::new(Watcher::new(root.dir(), at.rescan));
        let sight = Sight { root: &root, ignore: &ignore, accounts: &accounts, watcher: Some(&watcher) };
        let go_on = || !stop.load(Ordering::Relaxed) && watcher.borrow().is_watching();
        let (Some(differing), Some(root)) = (differing(look, sight, go_on)?, identity(root.dir())) else {
            return Ok(None);
        };
        let mut watcher = watcher.into_inner();
        watcher.done(&Extent::Everything, differing);
        Ok(Some(Walked { watcher, root }))
    })?;
    Ok(walked.flatten())
}

/// The paths of which the system does not say what is known, if they are few.
fn differing(look: Look, sight: Sight, go_on: impl Fn() -> bool) -> Result<Option<Extent>> {
    let mut statement = look.prepare(&format!("SELECT path, {SEEN} FROM disk ORDER BY path"))?;
    let mut rows = Ahead::of(statement.query([]).map_err(fault)?)?;
    let mut walk = Walk::below(sight, b"").map_err(|e| failed("list", sight.root.path(), e))?;
    let mut places = BTreeMap::new();
    while let Some(step) = walk.step() {
        missing(&mut rows, Some(walk.path()), &mut places)?;
        let Step::Found(stat) = step else { return Ok(None) };
        let is_known = rows.next_is(walk.path());
        if !is_known || rows.racy || rows.seen != Seen::of(&stat) {
            places.insert(walk.path().to_vec(), true);
        }
        if is_known {
            rows.advance()?;
        }
        if places.len() > MANY || !go_on() {
            return Ok(None);
        }
    }
    missing(&mut rows, None, &mut places)?;
    Ok((places.len() <= MANY).then_some(Extent::Places(places)))
}

/// What is known of paths that are not there any more.
fn missing(rows: &mut Ahead, before: Option<&[u8]>, places: &mut BTreeMap<Vec<u8>, bool>) -> Result<()> {
    while let Some(path) = rows.before(before).filter(|_| places.len() <= MANY) {
        places.insert(path.to_vec(), true);
        rows.advance()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use sync_store::{Contents, Manner, Store};
    use tempfile::TempDir;

    use super::*;
    use crate::beforehand::Beforehand;
    use crate::{Tree, testing};

    fn walked(directory: &TempDir) -> Option<Walked> {
        walk(&options(directory), &AtomicBool::new(false)).unwrap()
    }

    fn options(directory: &TempDir) -> Options {
        Options::new(directory.path().join("root"), directory.path().join("index"))
    }

    /// Takes in what changed, by what was found out.
    fn take_in(tree: &mut Tree, walked: Option<Walked>) {
        assert!(walked.is_some());
        tree.found_beforehand(Beforehand { walked, ..Beforehand::default() });
        tree.drain().unwrap();
    }

    /// Changes of all kinds to the files with this letter.
    fn change(directory: &TempDir, letter: char) {
        let at = |name: &str| directory.path().join("root").join(format!("{letter}{name}"));
        fs::write(at("edited"), "changed").unwrap();
        fs::remove_file(at("gone")).unwrap();
        fs::rename(at("there"), at("moved")).unwrap();
        fs::set_permissions(at("mode"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir_all(at("new/of/it")).unwrap();
        fs::write(at("new/of/it/file"), "new").unwrap();
        fs::hard_link(at("edited"), at("twin")).unwrap();
    }

    #[test]
    fn what_changed_before_and_since_is_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<String> = ["a", "b"]
            .into_iter()
            .flat_map(|l| ["edited", "gone", "there", "mode"].map(|n| format!("{l}{n}")))
            .collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"old"[..])).collect();
        let mut tree = testing::tree(&directory, &files);
        change(&directory, 'a');
        let walked = walked(&directory);
        change(&directory, 'b');
        take_in(&mut tree, walked);
        tree.begin(Manner { doubt: true, ..Manner::default() }).unwrap();
        assert_eq!(tree.drain().unwrap().marks, 0, "nothing was overlooked");
        let entry = |path: &str| tree.index.look().entry(path.as_bytes()).unwrap().is_some();
        for letter in ["a", "b"] {
            assert!(entry(&format!("{letter}new/of/it/file")) && entry(&format!("{letter}moved")));
            assert!(!entry(&format!("{letter}gone")) && !entry(&format!("{letter}there")));
        }
    }

    #[test]
    fn nothing_else_is_looked_at_and_only_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut tree = testing::tree(&directory, &[("quiet", b"1"), ("edited", b"1")]);
        // Right after it was set up, everything is looked at; what was read a moment after it was written would be as well.
        crate::realise::realise(&mut tree).unwrap();
        let writing = tree.index.begin().unwrap();
        writing.run("UPDATE disk SET racy=0", []).unwrap();
        writing.commit().unwrap();
        let walked = walked(&directory);
        fs::write(directory.path().join("root/edited"), "2").unwrap();
        // Who looked at everything would find it.
        let writing = tree.index.begin().unwrap();
        writing.delete_known(b"quiet").unwrap();
        writing.commit().unwrap();
        let known = |tree: &Tree| tree.index.look().known(b"quiet").unwrap().is_some();
        take_in(&mut tree, walked);
        assert!(!known(&tree));
        tree.drain().unwrap();
        assert!(known(&tree));
    }

    #[test]
    fn another_directory_is_looked_at_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut tree = testing::tree(&directory, &[("a", b"1")]);
        let mut walked = walked(&directory).unwrap();
        assert_ne!(walked.due(tree.root.dir()), Extent::Everything);
        walked.root.1 += 1;
        assert_eq!(walked.due(tree.root.dir()), Extent::Everything);
        tree.drain().unwrap();
    }

    #[test]
    fn who_is_stopped_or_finds_too_much_has_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let _tree = testing::tree(&directory, &[("a", b"1")]);
        assert!(walk(&options(&directory), &AtomicBool::new(true)).unwrap().is_none());
        for i in 0..=MANY {
            fs::write(directory.path().join(format!("root/{i}")), "").unwrap();
        }
        assert!(walked(&directory).is_none());
    }
}
