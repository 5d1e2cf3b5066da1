//! One site: a folder with a directory and an index, an application, a clock, and a tree over a disk that may fail.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use sync_core::SiteId;
use sync_database::sqlite::{Options, SqliteDialect, SqliteDriver};
use sync_database::{Card, Connections, Rules};
use sync_store::{Role, SlaveSettings, StoreError, Trouble};
use sync_tree::seams::{file_of, put_back_index};
use sync_tree::{Asked, Disk, Fault, Seams, Slip, Tree};

use super::accounts::Accounts;
use super::desktop::{Desktop, Journal, KEPT};
use super::fault::SiteDisk;
use super::scenario::Part;
use super::scenario::Scenario;
use crate::clock::{Clock, still};
use crate::failure::{Failure, Result};
use crate::site::{VD, name};

/// What is at the paths of a directory: kind, content and all that is synchronised, as text; and the content of files.
pub type Listing = BTreeMap<Vec<u8>, (String, Option<Vec<u8>>)>;

/// A site.
pub struct Site {
    /// Which.
    pub place: usize,
    /// Its clock.
    pub clock: Clock,
    /// How far that is off.
    pub skew: i64,
    /// The application.
    pub desktop: Arc<Mutex<Desktop>>,
    /// What happens to its disk.
    pub disk: Arc<SiteDisk>,
    folder: PathBuf,
    tree: Option<Tree>,
    card: Card,
}

impl Site {
    /// A site whose directory holds one file.
    pub fn new(
        at: &Path,
        place: usize,
        scenario: &Scenario,
        now: i64,
        slip: Option<Slip>,
        journal: &Arc<Mutex<Journal>>,
    ) -> Result<Self> {
        let folder = at.join(place.to_string());
        fs::create_dir_all(folder.join("root"))?;
        let kept = folder.join("root").join(KEPT);
        fs::write(&kept, KEPT)?;
        // Alike at all sites, however long it takes to make them: a seed is always the same history.
        fs::File::open(&kept)?.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000))?;
        let skew = scenario.skews[place];
        let clock = Clock::new(now + skew);
        let desktop = Arc::new(Mutex::new(Desktop::new(place, &folder.join("root"), journal, &clock)));
        let disk = Arc::new(SiteDisk::new(&desktop, &folder.join("index"), scenario.calm, slip));
        let number = SiteId::new(place as u64 + 1).map_err(|e| Failure::new(e.to_string()))?;
        let card = Card {
            site: number,
            site_name: name(place),
            vd: VD.to_owned(),
            vd_version: "1".to_owned(),
            role: Role::Slave(SlaveSettings { masters: (0..scenario.sites).map(name).collect() }),
            rules: Rules::default(),
        };
        Ok(Site { place, clock, skew, desktop, disk, folder, tree: None, card })
    }

    /// Its directory.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Its index.
    pub fn index(&self) -> PathBuf {
        self.folder.join("index")
    }

    /// The tree, opened if it is not.
    pub fn tree(&mut self) -> std::result::Result<&mut Tree, StoreError> {
        let tree = match self.tree.take() {
            Some(tree) => tree,
            None => self.open()?,
        };
        Ok(self.tree.insert(tree))
    }

    fn open(&self) -> std::result::Result<Tree, StoreError> {
        let options = sync_tree::Options::new(self.root(), self.index());
        let fault: Arc<dyn Fault> = Arc::clone(&self.disk) as Arc<dyn Fault>;
        let (asked, clock, other) = (Arc::clone(&fault), self.clock.clone(), self.clock.clone());
        let connect = move |path: &Path| {
            let driver = SqliteDriver::open(path, Options { patience: Duration::ZERO, write_ahead: true })?;
            clock.rule(driver.connection()).map_err(|e| StoreError::new(Trouble::Failure, e.to_string()))?;
            let writer = Box::new(Asked { driver, fault: asked });
            Ok(Connections::new(writer, None, Box::new(SqliteDialect)).measured(still))
        };
        let seams = Seams {
            disk: Disk::faulty(fault),
            hook: None,
            connect: Some(Box::new(connect)),
            index: Some(Box::new(move |connection| other.rule(connection))),
            accounts: Some(Box::new(Accounts { place: self.place })),
            many: Some(2),
        };
        Tree::open_on(options, &self.card, seams)
    }

    /// What rows and disk differ at is on the list of what may be to be done, whatever happened.
    pub fn nothing_overlooked(&self) -> Result<()> {
        let Some(tree) = &self.tree else { return Ok(()) };
        match tree.overlooked().map_err(|e| Failure::new(e.to_string()))?.first() {
            None => Ok(()),
            Some(path) => Err(Failure::new(format!("{} overlooks {}", name(self.place), path.escape_ascii()))),
        }
    }

    /// Forgets all that is not on its disk.
    pub fn close(&mut self) {
        self.tree = None;
    }

    /// After a round: a dead site is as its disk was at that moment.
    pub fn bury(&mut self) {
        self.close();
        put_back_index(&self.index());
    }

    /// Deletes the index.
    pub fn delete_index(&mut self) {
        self.close();
        for ending in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(file_of(&self.index(), ending));
        }
    }

    /// Makes a copy of everything.
    pub fn backup(&mut self) -> Result<()> {
        self.close();
        let copy = self.folder.join("backup");
        let _ = fs::remove_dir_all(&copy);
        fs::create_dir(&copy)?;
        copy_all(&self.root(), &copy.join("root"))?;
        for ending in ["", "-wal"] {
            let _ = fs::copy(file_of(&self.index(), ending), file_of(&copy.join("index"), ending));
        }
        Ok(())
    }

    /// Puts something of it back; says whether there was a copy.
    pub fn restore(&mut self, part: Part) -> Result<bool> {
        let copy = self.folder.join("backup");
        // A directory without a marker is refused until a person says that it is the right one.
        let is_usable = part != Part::Directory || copy.join("root/.server_sync").is_dir();
        if !copy.is_dir() || !is_usable {
            return Ok(false);
        }
        self.close();
        if part != Part::Index {
            for item in fs::read_dir(self.root())? {
                remove(&item?.path())?;
            }
            copy_all(&copy.join("root/."), &self.root())?;
        }
        if part != Part::Directory {
            self.delete_index();
            for ending in ["", "-wal"] {
                let _ = fs::copy(file_of(&copy.join("index"), ending), file_of(&self.index(), ending));
            }
        }
        Ok(true)
    }

    /// All that is there.
    pub fn listing(&self) -> Result<Listing> {
        let mut all = Listing::new();
        let mut names = BTreeMap::new();
        let accounts = Accounts { place: self.place };
        list(&self.root(), &self.root(), accounts, (&mut all, &mut names))?;
        // Which paths are one file is the same at all sites.
        for paths in names.values_mut().filter(|paths: &&mut Vec<Vec<u8>>| paths.len() > 1) {
            paths.sort();
            let first = paths[0].escape_ascii().to_string();
            for path in paths {
                if let Some((line, _)) = all.get_mut(path) {
                    *line += &format!(" one with {first}");
                }
            }
        }
        Ok(all)
    }

    /// The contents in one of our own directories.
    pub fn own(&self, directory: &str) -> Result<Vec<Vec<u8>>> {
        let items = fs::read_dir(self.root().join(".server_sync").join(directory))?;
        let paths = items.map(|item| Ok(item?.path())).collect::<io::Result<Vec<_>>>()?;
        Ok(paths.iter().filter(|p| !p.is_symlink()).map(fs::read).collect::<io::Result<_>>()?)
    }
}

/// The paths of files, by inode.
type Names = BTreeMap<u64, Vec<Vec<u8>>>;

fn list(root: &Path, directory: &Path, accounts: Accounts, (all, names): (&mut Listing, &mut Names)) -> Result<()> {
    for item in fs::read_dir(directory)? {
        let path = item?.path();
        let below = path.strip_prefix(root).unwrap_or(&path).as_os_str().as_bytes().to_vec();
        if below == b".server_sync" {
            continue;
        }
        let meta = path.symlink_metadata()?;
        let [user, group] = [meta.uid(), meta.gid()].map(|number| accounts.person_of(number));
        let owner = format!("{:o} {user} {group} {}", meta.permissions().mode() & 0o7777, marks(&path));
        let (line, content) = if meta.is_symlink() {
            (format!("-> {:?}", fs::read_link(&path)?), None)
        } else if meta.is_dir() {
            (format!("directory {owner}"), None)
        } else {
            (format!("file {owner} {}.{:09}", meta.mtime(), meta.mtime_nsec()), Some(fs::read(&path)?))
        };
        // What an application never touches, each site made for itself.
        if below != KEPT.as_bytes() {
            if meta.is_file() {
                names.entry(meta.ino()).or_default().push(below.clone());
            }
            all.insert(below, (line, content));
        }
        if meta.is_dir() {
            list(root, &path, accounts, (&mut *all, &mut *names))?;
        }
    }
    Ok(())
}

/// The extended attributes that applications of the simulation write.
fn marks(path: &Path) -> String {
    let Ok(file) = fs::File::open(path) else { return String::new() };
    let mut shown = String::new();
    for name in ["user.0", "user.1"] {
        let mut value = [0; 20];
        if let Ok(length) = rustix::fs::fgetxattr(&file, name, &mut value) {
            shown += &format!("{name}={} ", value[..length].escape_ascii());
        }
    }
    shown
}

/// Removes whatever it is.
pub fn remove(path: &Path) -> Result<()> {
    let is_directory = path.symlink_metadata()?.is_dir();
    Ok(if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) }?)
}

/// Copies a directory with everything about it, as a backup program does.
pub fn copy_all(from: &Path, to: &Path) -> Result<()> {
    let done = Command::new("cp").arg("-a").arg("--").arg(from).arg(to).status()?;
    if done.success() { Ok(()) } else { Err(Failure::new("cp -a failed")) }
}
