//! A folder of documents as those see it who work in it: what they write, and all that is there. Knows nothing of how it is
//! synchronised but the name of our own directory, which is not theirs. What goes wrong fails the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Contents shorter than this are listed as they are.
const SHORT: usize = 40;

/// A folder.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    /// What lies deeper than paths of so many bytes is not listed.
    longest: usize,
}

impl Folder {
    /// One that is there already.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Folder { root, longest: usize::MAX }
    }

    /// One of which only what paths of so many bytes reach is listed.
    #[must_use]
    pub fn within(root: PathBuf, longest: usize) -> Self {
        Folder { root, longest }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// A path in it.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Makes a file say that it was modified then.
    pub fn set_modified(&self, path: impl AsRef<Path>, time: SystemTime) {
        fs::File::options().write(true).open(self.at(path)).unwrap().set_modified(time).unwrap();
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        String::from_utf8_lossy(&fs::read(self.at(path)).unwrap()).into_owned()
    }

    /// Removes whatever it is.
    pub fn remove(&self, path: impl AsRef<Path>) {
        let path = self.at(path);
        if path.symlink_metadata().unwrap().is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
            .unwrap();
    }

    /// Renames or moves.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// Gives a file another name.
    pub fn link(&self, path: impl AsRef<Path>, new: impl AsRef<Path>) {
        fs::hard_link(self.at(path), self.at(new)).unwrap();
    }

    /// The paths that are one file with others, file by file.
    #[must_use]
    pub fn twins(&self) -> Vec<Vec<String>> {
        let mut files: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for path in self.listing().into_keys() {
            let meta = self.at(OsStr::from_bytes(&path)).symlink_metadata().unwrap();
            if meta.is_file() {
                files.entry(meta.ino()).or_default().push(path.escape_ascii().to_string());
            }
        }
        let mut twins: Vec<Vec<String>> = files.into_values().filter(|paths| paths.len() > 1).collect();
        twins.sort();
        twins
    }

    /// All that is there, a line a path: its content or a hash of it, then permissions, owner, group and time.
    #[must_use]
    pub fn listing(&self) -> BTreeMap<Vec<u8>, String> {
        let mut all = BTreeMap::new();
        self.list(&self.root, &mut all);
        all
    }

    /// The paths, as text.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.listing().into_keys().map(|path| path.escape_ascii().to_string()).collect()
    }

    fn list(&self, directory: &Path, all: &mut BTreeMap<Vec<u8>, String>) {
        for item in fs::read_dir(directory).unwrap() {
            let path = item.unwrap().path();
            let name = path.strip_prefix(&self.root).unwrap().as_os_str().as_bytes().to_vec();
            if name == b".server_sync" || path.as_os_str().len() > self.longest {
                continue;
            }
            let meta = path.symlink_metadata().unwrap();
            all.insert(name, line(&path, &meta));
            if meta.is_dir() {
                self.list(&path, all);
            }
        }
    }
}

fn line(path: &Path, meta: &fs::Metadata) -> String {
    let owner = format!("{:o} {} {}", meta.permissions().mode() & 0o7777, meta.uid(), meta.gid());
    if meta.is_symlink() {
        return format!("-> {:?}", fs::read_link(path).unwrap());
    }
    if meta.is_dir() {
        return format!("directory {owner}");
    }
    let content = fs::read(path).unwrap();
    let shown = match content.len() {
        0..SHORT => content.escape_ascii().to_string(),
        length => format!("{length} bytes {}", blake3::hash(&content).to_hex()),
    };
    format!("{shown} {owner} {}.{:09}", meta.mtime(), meta.mtime_nsec())
}
