//! The watch: hints from the system (inotify) about what changed, so that a round in which nothing did need not walk through
//! the tree. A hint only: what changed is always found out by looking, and everything is looked at when the watch cannot
//! say, or from time to time.
//!
//! A directory is watched by its descriptor, before it is listed: what is put into it afterwards is told, what was there
//! before is listed. Nothing is told of a file that is written through a mapping until its writer closes it, nor of what
//! is written through a hard link outside of the tree: that is what the time of the next whole look is for.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::disk::Dir;
use crate::name;

/// What has to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The whole tree.
    Everything,
    /// These paths; where it says so, with all below them.
    Places(BTreeMap<Vec<u8>, bool>),
}

/// Why the watch does not help for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchTrouble {
    /// More happened than the system remembers; everything was looked at once.
    Overflow,
    /// The system watches no more directories; everything is looked at in each round.
    Limit,
    /// Changes by other machines are not told on such a file system; everything is looked at in each round.
    Network,
    /// What the system says; everything is looked at in each round.
    System(Errno),
}

impl fmt::Display for WatchTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatchTrouble::Overflow => f.write_str("more changed at once than the system remembers: all was looked at"),
            WatchTrouble::Limit => f.write_str(
                "the system watches no more directories, all is looked at in each round: raise fs.inotify.max_user_watches",
            ),
            WatchTrouble::Network => {
                f.write_str("it is on a file system of the network, which cannot be watched: all is looked at in each round")
            }
            WatchTrouble::System(e) => write!(f, "it cannot be watched, all is looked at in each round: {e}"),
        }
    }
}

/// More paths than this are no less work than everything.
const MANY: usize = 20_000;

const MASK: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::EXCL_UNLINK);

/// Directories that are watched, and what was told of them and not looked at yet.
pub struct Watcher {
    /// `None` while watching is not possible.
    inotify: Option<OwnedFd>,
    directories: HashMap<i32, Box<[u8]>>,
    due: Extent,
    /// After this time everything is looked at.
    period: Duration,
    looked: Instant,
    /// What was told a person already.
    told: Vec<WatchTrouble>,
    /// What is to be told.
    news: Vec<WatchTrouble>,
    /// We wrote much ourselves: an overflow is no news.
    stirred: bool,
}

impl Watcher {
    /// Watches nothing yet: everything is looked at first, which places the watches.
    pub fn new(root: &Dir, period: Duration) -> Self {
        let mut watcher = Watcher {
            inotify: None,
            directories: HashMap::new(),
            due: Extent::Everything,
            period,
            looked: Instant::now(),
            told: Vec::new(),
            news: Vec::new(),
            stirred: false,
        };
        watcher.begin(root);
        watcher
    }

    fn begin(&mut self, root: &Dir) {
        if is_of_network(root) {
            return self.give_up(WatchTrouble::Network);
        }
        match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(inotify) => self.inotify = Some(inotify),
            Err(e) => self.give_up(trouble(e)),
        }
    }

    /// Whether changes are told at present.
    pub fn is_watching(&self) -> bool {
        self.inotify.is_some()
    }

    /// What has to be looked at now. Stays due until [`Watcher::done`].
    pub fn due(&mut self, root: &Dir) -> Extent {
        if self.looked.elapsed() >= self.period {
            self.due = Extent::Everything;
            if self.inotify.is_none() {
                self.begin(root);
            }
        }
        self.collect();
        if self.inotify.is_none() {
            self.due = Extent::Everything;
        }
        self.due.clone()
    }

    /// It was looked at, except for these paths. What was told meanwhile is still in the system's hands.
    pub fn done(&mut self, extent: &Extent, left: Extent) {
        if *extent == Extent::Everything {
            self.looked = Instant::now();
        }
        self.due = left;
    }

    /// Everything has to be looked at next time.
    pub fn distrust(&mut self) {
        self.due = Extent::Everything;
    }

    /// We are about to write to the tree ourselves.
    pub fn stir(&mut self) {
        self.stirred = true;
    }

    /// What a person should know and was not told yet.
    pub fn news(&mut self) -> Vec<WatchTrouble> {
        std::mem::take(&mut self.news)
    }

    /// Watches a directory; it has to be listed after this.
    pub fn add(&mut self, directory: &Dir, path: &[u8]) {
        let Some(inotify) = &self.inotify else { return };
        match directory.watch(inotify, MASK) {
            Ok(number) => drop(self.directories.insert(number, path.into())),
            Err(e) => self.give_up(trouble(e)),
        }
    }

    fn give_up(&mut self, why: WatchTrouble) {
        self.inotify = None;
        self.directories = HashMap::new();
        self.due = Extent::Everything;
        self.tell(why);
    }

    fn tell(&mut self, why: WatchTrouble) {
        if !self.told.contains(&why) {
            self.told.push(why);
            self.news.push(why);
        }
    }

    /// Reads all that was told.
    fn collect(&mut self) {
        let Some(inotify) = self.inotify.take() else { return };
        let mut moved = BTreeMap::new();
        let read = self.read(&inotify, &mut moved);
        self.forget_below(&inotify, &moved);
        self.stirred = false;
        self.inotify = Some(inotify);
        if let Err(e) = read {
            self.give_up(trouble(e));
        }
    }

    fn read(&mut self, inotify: &OwnedFd, moved: &mut BTreeMap<Vec<u8>, ()>) -> rustix::io::Result<()> {
        let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
        let mut reader = Reader::new(inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_bytes().to_vec());
                    self.event(event.wd(), event.events(), name.as_deref(), moved);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn event(&mut self, number: i32, what: ReadFlags, file: Option<&[u8]>, moved: &mut BTreeMap<Vec<u8>, ()>) {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.due = Extent::Everything;
            if !self.stirred {
                self.tell(WatchTrouble::Overflow);
            }
            return;
        }
        let Some(directory) = self.directories.get(&number) else { return };
        let is_root = directory.is_empty();
        let Some(file) = file else {
            // Of a directory below, the one above is told as well.
            if is_root && what.intersects(ReadFlags::MOVE_SELF | ReadFlags::DELETE_SELF | ReadFlags::UNMOUNT) {
                self.due = Extent::Everything;
            }
            if what.contains(ReadFlags::IGNORED) {
                self.directories.remove(&number);
            }
            return;
        };
        if is_root && file == name::OWN {
            return;
        }
        let path = if is_root { file.to_vec() } else { [directory, &b"/"[..], file].concat() };
        let shape = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
        let below = what.contains(ReadFlags::ISDIR) && what.intersects(shape);
        if below && what.contains(ReadFlags::MOVED_FROM) {
            moved.insert(path.clone(), ());
        }
        self.due.add(path, below);
    }

    /// Directories that were moved are not where we think they are: where they are now is looked at, and watched, anew.
    fn forget_below(&mut self, inotify: &OwnedFd, moved: &BTreeMap<Vec<u8>, ()>) {
        if moved.is_empty() {
            return;
        }
        self.directories.retain(|number, path| {
            let is_moved =
                moved.contains_key(&path[..]) || name::ancestors(path).any(|above| moved.contains_key(above));
            if is_moved {
                let _ = inotify::remove_watch(inotify, *number);
            }
            !is_moved
        });
    }
}

impl Extent {
    /// Nothing.
    pub fn nothing() -> Self {
        Extent::Places(BTreeMap::new())
    }

    /// Adds a path.
    pub fn add(&mut self, path: Vec<u8>, below: bool) {
        let Extent::Places(places) = self else { return };
        *places.entry(path).or_default() |= below;
        if places.len() > MANY {
            *self = Extent::Everything;
        }
    }
}

fn trouble(e: Errno) -> WatchTrouble {
    match e {
        Errno::NOSPC | Errno::MFILE | Errno::NFILE => WatchTrouble::Limit,
        e => WatchTrouble::System(e),
    }
}

/// File systems on which other machines write without this one being told: NFS, SMB, Ceph, 9P, AFS, and those of programs.
fn is_of_network(root: &Dir) -> bool {
    const NETWORK: [u32; 8] =
        [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x00c3_6400, 0x0102_1997, 0x5346_414f, 0x6573_5546];
    root.file_system().is_ok_and(|kind| NETWORK.contains(&kind))
}
