//! Walks through the tree in the order of paths as bytes, which is the order of the index: so that both are compared
//! in one pass. Holds the names of the directories on the way, nothing more; follows no links, leaves no file system.
//!
//! In the order of paths `a!b` comes between `a` and `a/b`. So a directory is met twice: as `a`, and as `a/`, where what is
//! in it begins.

use std::cell::RefCell;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::accounts::Accounts;
use crate::disk::{self, Dir};
use crate::ignore::Ignore;
use crate::name;
use crate::root::{Root, kind};
use crate::watch::Watcher;

/// What the walk meets.
#[derive(Debug)]
pub enum Step {
    /// Something at a path.
    Found(Stat),
    /// What is below this path cannot be looked at.
    Blind(Blind),
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blind {
    /// Another file system is mounted there.
    OtherFileSystem,
    /// What the system says.
    Error(Errno),
}

/// Directories that are kept open on the way down, counted from the deepest.
const OPEN: usize = 64;

/// What a walk goes by.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// Where it walks.
    pub root: &'a Root,
    /// What it does not meet.
    pub ignore: &'a Ignore,
    /// Who those are whom files belong to.
    pub accounts: &'a Accounts,
    /// Is told of each directory before it is listed.
    pub watcher: Option<&'a RefCell<Watcher>>,
}

/// A walk under way.
pub struct Walk<'a> {
    sight: Sight<'a>,
    levels: Vec<Level>,
    path: Vec<u8>,
    device: u64,
}

struct Level {
    directory: Option<Dir>,
    /// How much of the path is this directory's.
    length: usize,
    names: Names,
    next: usize,
}

impl<'a> Walk<'a> {
    /// Begins in a directory; the empty path is the root.
    pub fn below(sight: Sight<'a>, directory: &[u8]) -> disk::Result<Self> {
        let device = sight.root.dir().stat()?.st_dev;
        let mut path = directory.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        let mut walk = Walk { sight, levels: Vec::new(), path, device };
        walk.enter()?;
        Ok(walk)
    }

    /// The path that was met last.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The directory it is in, and its name there.
    pub(crate) fn place(&mut self) -> disk::Result<(&Dir, &[u8])> {
        let Some(level) = self.levels.last_mut() else { return Err(Errno::NOENT) };
        let directory = match &mut level.directory {
            Some(directory) => directory,
            closed => closed.insert(self.sight.root.directory(&self.path[..level.length.saturating_sub(1)])?),
        };
        Ok((directory, &self.path[level.length..]))
    }

    /// The next thing; `None` at the end.
    pub fn step(&mut self) -> Option<Step> {
        loop {
            let level = self.levels.last_mut()?;
            self.path.truncate(level.length);
            let Some(item) = level.names.get(level.next) else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            self.path.extend_from_slice(item);
            let met = if self.path.last() == Some(&b'/') { self.descend() } else { self.look() };
            if met.is_some() {
                return met;
            }
        }
    }

    fn look(&mut self) -> Option<Step> {
        let looked = self.place().and_then(|(directory, name)| directory.look(name));
        match looked {
            Ok(found) => found.map(Step::Found),
            Err(e) => Some(Step::Blind(Blind::Error(e))),
        }
    }

    fn descend(&mut self) -> Option<Step> {
        let entered = self.enter();
        entered.err().map(|e| {
            if self.path.last() == Some(&b'/') {
                self.path.pop();
            }
            Step::Blind(if e == Errno::XDEV { Blind::OtherFileSystem } else { Blind::Error(e) })
        })
    }

    /// Lists the directory of the path, which ends with `/` or is empty.
    fn enter(&mut self) -> disk::Result<()> {
        let directory = match self.path.strip_suffix(b"/") {
            None => self.sight.root.directory(b"")?,
            Some(whole) => match self.levels.last().and_then(|l| l.directory.as_ref().map(|d| (d, l.length))) {
                Some((above, length)) => above.child(&whole[length..])?,
                None => self.sight.root.directory(whole)?,
            },
        };
        if directory.stat()?.st_dev != self.device {
            return Err(Errno::XDEV);
        }
        if let Some(watcher) = self.sight.watcher {
            watcher.borrow_mut().add(&directory, self.path.strip_suffix(b"/").unwrap_or_default());
        }
        let names = Names::read(&directory, &self.path, self.sight.ignore)?;
        if let Some(far) = self.levels.len().checked_sub(OPEN) {
            self.levels[far].directory = None;
        }
        self.levels.push(Level { directory: Some(directory), length: self.path.len(), names, next: 0 });
        Ok(())
    }
}

/// Whether nothing is in the root but what is ours and what is ignored.
pub fn is_empty(root: &Root, ignore: &Ignore) -> disk::Result<bool> {
    Ok(Names::read(&root.directory(b"")?, b"", ignore)?.spans.is_empty())
}

/// The names in a directory, sorted, in one piece of memory.
struct Names {
    bytes: Vec<u8>,
    /// Where each begins and ends.
    spans: Vec<(u32, u32)>,
}

impl Names {
    fn read(directory: &Dir, path: &[u8], ignore: &Ignore) -> disk::Result<Self> {
        let mut names = Names { bytes: Vec::new(), spans: Vec::new() };
        let mut whole = path.to_vec();
        directory.list(|name, kind| {
            if path.is_empty() && name == name::OWN {
                return Ok(());
            }
            let is_directory = is_directory(directory, name, kind)?;
            whole.truncate(path.len());
            whole.extend_from_slice(name);
            if ignore.fits(&whole, is_directory) {
                return Ok(());
            }
            names.add(name, false)?;
            if is_directory { names.add(name, true) } else { Ok(()) }
        })?;
        let Names { bytes, spans } = &mut names;
        spans.sort_unstable_by_key(|(from, to)| &bytes[*from as usize..*to as usize]);
        Ok(names)
    }

    fn add(&mut self, name: &[u8], inside: bool) -> disk::Result<()> {
        let from = u32::try_from(self.bytes.len()).map_err(|_| Errno::OVERFLOW)?;
        self.bytes.extend_from_slice(name);
        if inside {
            self.bytes.push(b'/');
        }
        let to = u32::try_from(self.bytes.len()).map_err(|_| Errno::OVERFLOW)?;
        self.spans.push((from, to));
        Ok(())
    }

    fn get(&self, at: usize) -> Option<&[u8]> {
        self.spans.get(at).map(|(from, to)| &self.bytes[*from as usize..*to as usize])
    }
}

fn is_directory(at: &Dir, name: &[u8], told: FileType) -> disk::Result<bool> {
    match told {
        FileType::Unknown => Ok(at.look(name)?.is_some_and(|s| kind(&s) == FileType::Directory)),
        told => Ok(told == FileType::Directory),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::disk::Disk;

    fn walked(root: &Root) -> Vec<String> {
        let ignore = Ignore::new(&[], false).unwrap();
        let accounts = Accounts::new(Box::new(crate::accounts::Machine), crate::tree::Owners::Names);
        let mut walk = Walk::below(Sight { root, ignore: &ignore, accounts: &accounts, watcher: None }, b"").unwrap();
        let mut paths = Vec::new();
        while let Some(step) = walk.step() {
            assert!(matches!(step, Step::Found(_)), "{step:?}");
            assert!(walk.place().is_ok());
            paths.push(walk.path().to_vec());
        }
        assert!(paths.is_sorted());
        paths.iter().map(|p| p.escape_ascii().to_string()).collect()
    }

    #[test]
    fn paths_come_in_the_order_of_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        fs::create_dir_all(at.join("a/b/c")).unwrap();
        fs::create_dir(at.join("empty")).unwrap();
        for file in ["a!b", "a/x", "a/b/c/y", "a0", "b"] {
            fs::write(at.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("/etc", at.join("link")).unwrap();
        let root = Root::open(&Disk::default(), at, None).unwrap();
        for _ in 0..2 {
            assert_eq!(walked(&root), ["a", "a!b", "a/b", "a/b/c", "a/b/c/y", "a/x", "a0", "b", "empty", "link"]);
        }
    }

    #[test]
    fn a_deep_tree_is_walked_with_few_descriptors() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(&Disk::default(), directory.path(), None).unwrap();
        let mut fd = root.directory(b"").unwrap();
        let deep = 600;
        for _ in 0..deep {
            for name in ["d", "e"] {
                fd.make_directory(name).unwrap();
            }
            fd = fd.child("d").unwrap();
        }
        let paths = walked(&root);
        assert_eq!(paths.len(), 2 * deep);
        assert_eq!(paths.last().map(String::as_str), Some("e"));
        let ignore = Ignore::new(&[], false).unwrap();
        let accounts = Accounts::new(Box::new(crate::accounts::Machine), crate::tree::Owners::Names);
        let mut walk =
            Walk::below(Sight { root: &root, ignore: &ignore, accounts: &accounts, watcher: None }, b"").unwrap();
        while walk.step().is_some() {
            assert!(walk.levels.iter().filter(|l| l.directory.is_some()).count() <= OPEN + 2);
        }
    }
}
