//! An application that works on a directory, and a journal of what it wrote and of what it destroyed knowingly. Each content
//! is written once, so that it is known wherever it turns up.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use super::accounts::Accounts;
use super::action::Action;
use crate::clock::Clock;
use crate::tap::lock;

/// Never touched by an application, so that no directory is ever emptied on purpose.
pub const KEPT: &str = "always here";

/// Names as applications and people make them.
const NAMES: [&[u8]; 12] = [
    b"a",
    b"b",
    b"A",
    b"report.txt",
    b"x.tar.gz",
    b"new\nline",
    b"\xff\xfe",
    b"e\xcc\x81",
    b"d",
    b"-rf",
    b".hidden",
    b"d (conflict",
];

/// What became of a content.
#[derive(Clone, Debug)]
pub struct Written {
    /// Where it was written, in words.
    pub by: String,
    /// The site.
    pub site: usize,
    /// An application overwrote or deleted it, or a person put an older state in its place.
    pub destroyed: bool,
    /// It was, and lives again as a copy that somebody made of it elsewhere, or before that was known: what it was destroyed in
    /// goes nevertheless.
    pub copied: bool,
    /// Its file says that it was modified earlier.
    pub backdated: bool,
}

/// All contents that were ever written, at all sites.
#[derive(Default)]
pub struct Journal {
    /// By content.
    pub contents: BTreeMap<Vec<u8>, Written>,
    count: u64,
}

impl Journal {
    /// A content that nobody wrote before.
    fn new_content(&mut self, site: usize, large: bool, head: &[u8], path: &Path) -> Vec<u8> {
        self.count += 1;
        let mut content = head.to_vec();
        content.extend(format!("<{} of {site}>", self.count).bytes());
        if large {
            let mut rng = fastrand::Rng::with_seed(self.count);
            content.extend((0..rng.usize(262_000..700_000)).map(|_| rng.u8(..)));
        }
        self.note(site, &content, path);
        content
    }

    /// Makes it one that nobody wrote before, of the same size.
    fn patch(&mut self, site: usize, content: &mut [u8], path: &Path) {
        self.count += 1;
        let mark = format!("{:06}~", self.count);
        content[..mark.len().min(7)].copy_from_slice(&mark.as_bytes()[..7]);
        self.note(site, content, path);
        if let Some(written) = self.contents.get_mut(content) {
            written.backdated = true;
        }
    }

    fn note(&mut self, site: usize, content: &[u8], path: &Path) {
        let by = format!("{} at site {site}", path.as_os_str().as_bytes().escape_ascii());
        let copied = self.contents.get(content).is_some_and(|written| written.destroyed || written.copied);
        self.contents.insert(content.to_vec(), Written { by, site, destroyed: false, copied, backdated: false });
    }

    /// This content went knowingly.
    pub fn destroy(&mut self, content: &[u8]) {
        if let Some(written) = self.contents.get_mut(content) {
            written.destroyed = true;
        }
    }
}

/// An application and the directory it works on.
pub struct Desktop {
    site: usize,
    root: PathBuf,
    journal: Arc<Mutex<Journal>>,
    clock: Clock,
    ticks: u32,
}

/// What is at a path.
struct Item {
    path: PathBuf,
    is_directory: bool,
    is_file: bool,
}

impl Desktop {
    /// One that has not done anything, at a site whose clock is this.
    pub fn new(site: usize, root: &Path, journal: &Arc<Mutex<Journal>>, clock: &Clock) -> Self {
        Desktop { site, root: root.to_owned(), journal: Arc::clone(journal), clock: clock.clone(), ticks: 0 }
    }

    /// Does it; says what it did.
    pub fn act(&mut self, action: &Action) -> String {
        match self.attempt(action) {
            Ok(told) => told,
            Err(e) => format!("could not: {e}"),
        }
    }

    /// Whether a file has this name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.items().is_ok_and(|all| all.iter().any(|item| item.is_file && name_of(&item.path) == name))
    }

    /// Writes to the file of this name, if there is one.
    pub fn write_over(&mut self, name: &[u8]) -> String {
        let named = |item: &Item| item.is_file && name_of(&item.path) == name;
        let written = self.items().and_then(|all| one(&all, 0, named)).and_then(|path| self.write(&path, false, b""));
        written.unwrap_or_else(|e| format!("could not write over it: {e}"))
    }

    fn attempt(&mut self, action: &Action) -> io::Result<String> {
        let all = self.items()?;
        match *action {
            Action::Write { pick, name, large } => {
                let path = self.place(&all, pick, name);
                self.write(&path, large, b"")
            }
            Action::Save { pick, large } => self.save(&one(&all, pick, |i| i.is_file)?, large),
            Action::Append { pick } => {
                let path = one(&all, pick, |i| i.is_file)?;
                let old = fs::read(&path)?;
                self.write(&path, false, &old[..old.len().min(400_000)])
            }
            Action::Patch { pick } => self.patch(&one(&all, pick, |i| i.is_file)?),
            Action::Copy { pick, name } => {
                let from = one(&all, pick, |i| i.is_file)?;
                let to = self.place(&all, name, pick);
                if to.symlink_metadata().is_ok() {
                    return Ok("nothing: it is there".to_owned());
                }
                fs::copy(&from, &to)?;
                self.tick(&to)?;
                let content = fs::read(&to)?;
                // It lives again, whatever became of the other.
                lock(&self.journal).note(self.site, &content, &to);
                Ok(format!("copies {} to {}", shown(&from), shown(&to)))
            }
            Action::Delete { pick } => {
                let path = one(&all, pick, |i| !i.is_directory)?;
                self.delete(&path)
            }
            Action::Rename { pick, name } => self.rename(&all, pick, name),
            Action::Swap { pick, with } => {
                let (a, b) = (one(&all, pick, |i| i.is_file)?, one(&all, with, |i| i.is_file)?);
                let between = self.root.join("between");
                fs::rename(&a, &between)?;
                fs::rename(&b, &a).or_else(|e| if a == b { Ok(()) } else { Err(e) })?;
                fs::rename(&between, &b)?;
                Ok(format!("swaps {} and {}", shown(&a), shown(&b)))
            }
            Action::Case { pick } => {
                let path = one(&all, pick, |_| true)?;
                let name: Vec<u8> =
                    name_of(&path).iter().map(|b| b ^ if b.is_ascii_alphabetic() { 32 } else { 0 }).collect();
                self.move_to(&path, &path.with_file_name(OsStr::from_bytes(&name)))
            }
            Action::Make { pick, name } => {
                let path = self.place(&all, pick, name);
                fs::create_dir(&path)?;
                Ok(format!("makes {}", shown(&path)))
            }
            Action::Clear { pick } => {
                let path = one(&all, pick, |i| i.is_directory)?;
                self.forget_below(&all, &path)?;
                fs::remove_dir_all(&path)?;
                Ok(format!("clears {}", shown(&path)))
            }
            Action::Turn { pick } => self.turn(&all, pick),
            Action::Link { pick, name } => {
                let path = self.place(&all, pick, name);
                let target = OsStr::from_bytes(NAMES[name as usize % 5]);
                symlink(target, &path)?;
                Ok(format!("links {}", shown(&path)))
            }
            Action::Join { pick, name } => {
                let (from, to) = (one(&all, pick, |i| i.is_file)?, self.place(&all, name, pick));
                fs::hard_link(&from, &to)?;
                Ok(format!("joins {} to {}", shown(&to), shown(&from)))
            }
            Action::Part { pick } => {
                let (path, beside) = (one(&all, pick, |i| i.is_file)?, self.root.join("beside"));
                fs::copy(&path, &beside)?;
                self.tick(&beside)?;
                fs::rename(&beside, &path)?;
                Ok(format!("parts {}", shown(&path)))
            }
            Action::Chmod { pick, mode } => {
                let item = one(&all, pick, |_| true)?;
                if item.is_symlink() {
                    return Ok("nothing: a link".to_owned());
                }
                let mode = if item.is_dir() { 0o700 | mode & 0o77 } else { 0o600 | mode & 0o177 };
                fs::set_permissions(&item, Permissions::from_mode(mode))?;
                Ok(format!("chmod {mode:o} {}", shown(&item)))
            }
            Action::Chown { pick, owner } => {
                let item = one(&all, pick, |i| i.is_file)?;
                let [user, group] = [owner, owner + 1].map(|person| Accounts { place: self.site }.number_of(person));
                chown(&item, Some(user), Some(group))?;
                Ok(format!("gives {} to {owner}", shown(&item)))
            }
            Action::Touch { pick } => {
                let item = one(&all, pick, |i| i.is_file)?;
                self.tick(&item)?;
                Ok(format!("touches {}", shown(&item)))
            }
            Action::Mark { pick, salt } => {
                let item = one(&all, pick, |i| i.is_file || i.is_directory)?;
                let file = File::open(&item)?;
                let (name, value) = (format!("user.{}", salt % 2), salt.to_string());
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::fsetxattr(&file, name.as_str(), value.as_bytes(), flags)?;
                Ok(format!("marks {} with {name}={value}", shown(&item)))
            }
        }
    }

    /// All that is there, in order.
    fn items(&self) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        gather(&self.root, &self.root, &mut items)?;
        items.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(items)
    }

    /// A path for something, perhaps one that is taken.
    fn place(&self, all: &[Item], pick: u32, name: u32) -> PathBuf {
        let directories: Vec<&Path> = all.iter().filter(|i| i.is_directory).map(|i| i.path.as_path()).collect();
        let at = pick as usize % (directories.len() + 1);
        let directory = directories.get(at).copied().unwrap_or(&self.root);
        directory.join(OsStr::from_bytes(NAMES[name as usize % NAMES.len()]))
    }

    /// A time that no other write has.
    fn tick(&mut self, path: &Path) -> io::Result<()> {
        self.ticks += 1;
        let fraction = Duration::from_nanos(u64::from(self.ticks % 1000) * 1000 + self.site as u64);
        let time = UNIX_EPOCH + Duration::from_millis(self.clock.millis().unsigned_abs()) + fraction;
        File::open(path)?.set_times(FileTimes::new().set_modified(time))
    }

    fn write(&mut self, path: &Path, large: bool, head: &[u8]) -> io::Result<String> {
        if path.is_dir() || path.is_symlink() {
            return Ok("nothing: no file".to_owned());
        }
        self.destroy(path);
        let content = lock(&self.journal).new_content(self.site, large, head, path);
        fs::write(path, &content)?;
        self.tick(path)?;
        Ok(format!("writes {}: {}", shown(path), text(&content)))
    }

    fn save(&mut self, path: &Path, large: bool) -> io::Result<String> {
        let content = lock(&self.journal).new_content(self.site, large, b"", path);
        let beside = self.root.join("beside");
        fs::write(&beside, &content)?;
        self.tick(&beside)?;
        self.destroy(path);
        fs::rename(&beside, path)?;
        Ok(format!("saves {}: {}", shown(path), text(&content)))
    }

    fn patch(&mut self, path: &Path) -> io::Result<String> {
        let before = path.metadata()?;
        let mut content = fs::read(path)?;
        if content.len() < 7 {
            return Ok("nothing: too small".to_owned());
        }
        self.destroy(path);
        lock(&self.journal).patch(self.site, &mut content, path);
        let modified = before.modified()?;
        let file = File::options().write(true).open(path)?;
        // Until the system tells another time of change: its clock may be coarse.
        loop {
            std::os::unix::fs::FileExt::write_all_at(&file, &content, 0)?;
            file.set_times(FileTimes::new().set_modified(modified))?;
            let after = file.metadata()?;
            if (after.ctime(), after.ctime_nsec()) != (before.ctime(), before.ctime_nsec()) {
                return Ok(format!("patches {}: {}", shown(path), text(&content)));
            }
        }
    }

    fn delete(&mut self, path: &Path) -> io::Result<String> {
        self.destroy(path);
        fs::remove_file(path)?;
        Ok(format!("deletes {}", shown(path)))
    }

    fn rename(&mut self, all: &[Item], pick: u32, name: u32) -> io::Result<String> {
        let from = one(all, pick, |_| true)?;
        let to = self.place(all, name, name / 7);
        if to.starts_with(&from) {
            return Ok("nothing: into itself".to_owned());
        }
        self.move_to(&from, &to)
    }

    fn move_to(&mut self, from: &Path, to: &Path) -> io::Result<String> {
        if to.is_dir() {
            return Ok("nothing: a directory is there".to_owned());
        }
        if from != to && (from.is_symlink() || !from.is_dir()) {
            self.destroy(to);
        }
        fs::rename(from, to)?;
        Ok(format!("renames {} to {}", shown(from), shown(to)))
    }

    fn turn(&mut self, all: &[Item], pick: u32) -> io::Result<String> {
        let path = one(all, pick, |_| true)?;
        if path.is_dir() && !path.is_symlink() {
            self.forget_below(all, &path)?;
            fs::remove_dir_all(&path)?;
            return self.write(&path, false, b"");
        }
        self.delete(&path)?;
        fs::create_dir(&path)?;
        self.write(&path.join("inside"), false, b"")
    }

    fn forget_below(&self, all: &[Item], path: &Path) -> io::Result<()> {
        for item in all.iter().filter(|i| i.is_file && i.path.starts_with(path)) {
            self.destroy(&item.path);
        }
        Ok(())
    }

    /// What is in a file goes knowingly.
    fn destroy(&self, path: &Path) {
        if path.symlink_metadata().is_ok_and(|meta| meta.is_file())
            && let Ok(content) = fs::read(path)
        {
            lock(&self.journal).destroy(&content);
        }
    }
}

fn gather(root: &Path, directory: &Path, items: &mut Vec<Item>) -> io::Result<()> {
    for item in fs::read_dir(directory)? {
        let path = item?.path();
        let meta = path.symlink_metadata()?;
        let is_ours = directory == root && matches!(name_of(&path), b".server_sync" | b"between" | b"beside");
        if is_ours || name_of(&path) == KEPT.as_bytes() {
            continue;
        }
        items.push(Item { path: path.clone(), is_directory: meta.is_dir(), is_file: meta.is_file() });
        if meta.is_dir() {
            gather(root, &path, items)?;
        }
    }
    Ok(())
}

/// One of those that fit.
fn one(all: &[Item], pick: u32, fits: impl Fn(&Item) -> bool) -> io::Result<PathBuf> {
    let fitting: Vec<&Item> = all.iter().filter(|item| fits(item)).collect();
    let at = pick as usize % fitting.len().max(1);
    fitting.get(at).map(|item| item.path.clone()).ok_or_else(|| io::Error::other("nothing fits"))
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().map(OsStr::as_bytes).unwrap_or_default()
}

/// A path in words, without what is not below the root.
pub fn shown(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let at = bytes.windows(6).position(|w| w == b"/root/").map_or(0, |at| at + 6);
    bytes[at..].escape_ascii().to_string()
}

/// A content in words.
pub fn text(content: &[u8]) -> String {
    format!("{}{}", content[..content.len().min(60)].escape_ascii(), if content.len() > 60 { "…" } else { "" })
}
