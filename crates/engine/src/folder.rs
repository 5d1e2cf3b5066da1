//! A folder of documents of this site: opened when a round begins with it, and only if it is what the settings mean. One
//! round at a time works on it, whichever process runs it; a lock of the operating system sees to that.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sync_config::Settings;
use sync_database::{Card, opening_of, sqlite};
use sync_store::{
    Contents, Drained, Lacking, Manner, Opening, Piece, PieceSink, Realised, Result, Skipped, Store, StoreError,
    Trouble, Want,
};
use sync_tree::beforehand::Reader;
use sync_tree::{Keep, Owners, Tree, Version};

use crate::error::EngineError;
use crate::{open, opening};

/// A folder of documents, as a store.
pub struct Folder {
    settings: sync_config::Folder,
    /// The other folders' directories.
    others: Vec<PathBuf>,
    state_dir: PathBuf,
    card: Card,
    tree: Option<Tree>,
    lock: Option<File>,
    /// Something went wrong since it was opened: the next round looks afresh.
    failed: bool,
    /// How many rounds have begun.
    begun: u32,
    /// Finds out what it can until a round begins.
    reader: Option<Reader>,
}

/// A folder that so many rounds have begun with is held open, and worth being watched.
const HELD: u32 = 3;

/// How long a round waits for another one that works on the same folder.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

impl Folder {
    /// The folder of this name; nothing is opened yet. Nothing if the settings name none.
    ///
    /// # Errors
    /// If the application's version cannot be told.
    pub fn of(settings: &Settings, name: &str) -> crate::Result<Option<Self>> {
        let Some(folder) = settings.folder(name) else { return Ok(None) };
        let others = settings.documents.iter().filter(|f| f.name != folder.name);
        Ok(Some(Folder {
            settings: folder.clone(),
            others: others.map(|f| f.path.clone()).collect(),
            state_dir: settings.state_dir(),
            card: open::card(settings, open::version_now(settings)?)?,
            tree: None,
            lock: None,
            failed: false,
            begun: 0,
            reader: None,
        }))
    }

    /// This finds out of it beforehand.
    pub(crate) fn read_by(&mut self, reader: Option<Reader>) {
        self.reader = reader;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.settings.name.as_str()
    }

    /// Its index, whether or not it is there.
    pub fn index(&self) -> PathBuf {
        index(&self.state_dir, self.name())
    }

    /// What a round would be opened with, if it was set up: as its index says, whoever works on it.
    pub(crate) fn opening(&mut self) -> Option<Opening> {
        if let Some(tree) = &mut self.tree {
            return opening::of(tree).ok();
        }
        let index = self.index();
        let read = || opening_of(&mut sqlite::connect(&index)?);
        index.exists().then(read)?.ok().flatten()
    }

    /// Looks whether the directory is what the settings mean, and changes nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<()> {
        check_place(&self.settings.path, &self.state_dir, &self.others, self.index().exists())
    }

    /// Puts a version of a file out of the trash back, as a new write of this site.
    ///
    /// # Errors
    /// If there is no such version, or the folder cannot be used.
    pub fn bring_back(&mut self, path: &[u8], at: i64) -> Result<Realised> {
        self.begin(Manner::default())?;
        let tree = self.open()?;
        tree.drain()?;
        tree.bring_back(path, at)?;
        tree.drain()?;
        // The directory may be gone as well.
        tree.settle()?;
        let realised = tree.realise();
        self.rest()?;
        realised
    }

    /// The versions of a path in the trash, newest first.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn versions(&self, path: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Version)>> {
        sync_tree::survey::trashed(&self.index(), path, limit)
    }

    /// Sets it up, and takes in what is there.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn keep(&mut self) -> Result<Vec<Skipped>> {
        self.begin(Manner::default())?;
        let drained = self.drain();
        self.rest()?;
        drained.map(|_| self.unread().to_vec())
    }

    /// Takes everything of ours out of the directory, and removes the index. The documents stay.
    ///
    /// # Errors
    /// If something cannot be removed, or a round works on it.
    pub fn remove(&mut self) -> Result<()> {
        self.tree = None;
        self.lock(PATIENCE)?;
        sync_tree::survey::remove(&self.settings.path, &self.index())?;
        self.rest()
    }

    /// Takes the lock; waits at most so long for whoever has it.
    fn lock(&mut self, patience: Duration) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let path = lock_file(&self.state_dir, self.name());
        let cannot = |e: std::io::Error| {
            StoreError::new(Trouble::Failure, format!("cannot use {}: {e}", path.display()))
                .hint("the state directory must be writable for the account that runs server_sync ([state] dir)")
        };
        std::fs::create_dir_all(documents(&self.state_dir)).map_err(cannot)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(cannot)?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if since.elapsed() < patience => std::thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => return Err(self.busy()),
                Err(TryLockError::Error(e)) => return Err(cannot(e)),
            }
        }
        self.lock = Some(file);
        Ok(())
    }

    fn busy(&self) -> StoreError {
        StoreError::new(Trouble::Failure, format!("another round works on the documents {}", self.name()))
            .hint("the next round takes them; a first copy can take long")
    }

    fn open(&mut self) -> Result<&mut Tree> {
        if self.tree.is_none() {
            let kept = options(&self.settings, &self.state_dir);
            let options = sync_tree::Options { watch: self.begun >= HELD, ..kept };
            self.tree = Some(Tree::open(options, &self.card)?);
        }
        self.tree.as_mut().ok_or_else(not_begun)
    }

    fn call<T>(&mut self, work: impl FnOnce(&mut Tree) -> Result<T>) -> Result<T> {
        let done = work(self.tree.as_mut().filter(|_| self.lock.is_some()).ok_or_else(not_begun)?);
        self.failed |= done.is_err();
        done
    }
}

/// How a folder is kept.
pub(crate) fn options(settings: &sync_config::Folder, state_dir: &Path) -> sync_tree::Options {
    sync_tree::Options {
        keep: Keep { longest: settings.keep_deleted },
        ignore: settings.ignore.clone(),
        ignore_temporary: settings.ignore_temporary,
        owners: owners(settings.owners),
        special_bits: settings.keep_setuid,
        ..sync_tree::Options::new(&settings.path, index(state_dir, settings.name.as_str()))
    }
}

fn owners(wanted: sync_config::Owners) -> Owners {
    match wanted {
        sync_config::Owners::Names => Owners::Names,
        sync_config::Owners::Numbers => Owners::Numbers,
        sync_config::Owners::Ignore => Owners::Ignore,
    }
}

fn not_begun() -> StoreError {
    StoreError::new(Trouble::Failure, "a folder was used before a round began with it")
}

/// Where indexes and locks are.
fn documents(state_dir: &Path) -> PathBuf {
    state_dir.join("documents")
}

/// The index of a folder.
pub fn index(state_dir: &Path, name: &str) -> PathBuf {
    documents(state_dir).join(format!("{name}.sqlite"))
}

fn lock_file(state_dir: &Path, name: &str) -> PathBuf {
    documents(state_dir).join(format!("{name}.lock"))
}

/// Refuses a directory that is not there, is not the real one, cannot be read, or meets something else of ours.
fn check_place(path: &Path, state_dir: &Path, others: &[PathBuf], is_known: bool) -> Result<()> {
    let real = path.canonicalize().map_err(|e| absent(path, &e, is_known))?;
    let wrong = |text: String, hint: &str| Err(StoreError::new(Trouble::Configuration, text).hint(hint));
    if real != path {
        let text =
            format!("{} is, or lies behind, a symbolic link; the directory is {}", path.display(), real.display());
        return wrong(text, &format!("write path = \"{}\" in [[documents]]", real.display()));
    }
    if !real.is_dir() {
        return wrong(format!("{} is not a directory", path.display()), "name a directory in [[documents]]");
    }
    let meets = |other: &Path| {
        let other = other.canonicalize().unwrap_or_else(|_| other.to_owned());
        real.starts_with(&other) || other.starts_with(&real)
    };
    if let Some(other) = others.iter().map(PathBuf::as_path).chain([state_dir]).find(|other| meets(other)) {
        let text = format!("{} and {} lie within one another", path.display(), other.display());
        return wrong(text, "folders of documents and the state directory have to be apart");
    }
    match std::fs::read_dir(&real) {
        Ok(_) => Ok(()),
        Err(e) => Err(StoreError::new(Trouble::Failure, format!("{} cannot be read: {e}", path.display()))
            .hint("the account that runs server_sync must be able to read and write it")),
    }
}

/// A directory that was there and is not any more may be a file system that is not mounted.
fn absent(path: &Path, e: &std::io::Error, is_known: bool) -> StoreError {
    let text = format!("the directory {} is not there: {e}", path.display());
    match is_known {
        true => StoreError::new(Trouble::Halt, text)
            .hint("is its file system mounted? nothing was deleted anywhere; put the directory back"),
        false => {
            StoreError::new(Trouble::Configuration, text).hint("make the directory, or correct path in [[documents]]")
        }
    }
}

impl Store for Folder {
    sync_store::pass_on! {
        own_source describe knowledge forgot last_heard leave_history is_empty recognises greet reincarnate outline changes apply
        complete scan digest rows oldest_line restamp bury registry register purge compared conflicts parked restore enter
    }

    /// Also says where the system cannot tell what changed.
    fn drain(&mut self) -> Result<Drained> {
        let mut drained = self.call(Store::drain)?;
        let troubles = self.call(|tree| Ok(tree.watch_troubles()))?;
        drained.notes.extend(troubles.iter().map(|t| format!("documents {}: {t}", self.settings.name)));
        Ok(drained)
    }
}

impl Contents for Folder {
    fn begin(&mut self, manner: Manner) -> Result<()> {
        self.check()?;
        if manner.preview && !self.index().exists() {
            return Err(StoreError::new(
                Trouble::NotPrepared,
                format!("the documents {} are not set up yet", self.name()),
            )
            .hint("the first round that is not a dry run sets them up"));
        }
        self.lock(if manner.at_once { Duration::ZERO } else { PATIENCE })?;
        self.begun = self.begun.saturating_add(1);
        if self.begun == HELD {
            self.tree = None;
        }
        let found = self.reader.take().map(Reader::end);
        let begun = self.open().and_then(|tree| {
            found.into_iter().for_each(|found| tree.found_beforehand(found));
            tree.begin(manner)
        });
        if begun.is_err() {
            self.failed = true;
            self.rest()?;
        }
        begun
    }

    fn rests(&mut self) -> Result<bool> {
        self.call(Contents::rests)
    }

    fn rest(&mut self) -> Result<()> {
        if std::mem::take(&mut self.failed) {
            self.tree = None;
        }
        self.lock = None;
        Ok(())
    }

    fn settle(&mut self) -> Result<u64> {
        self.call(Contents::settle)
    }

    fn wanted(&mut self, limit: usize) -> Result<Vec<Want>> {
        self.call(|tree| tree.wanted(limit))
    }

    fn lacking(&mut self) -> Result<Lacking> {
        self.call(Contents::lacking)
    }

    fn meet(&mut self) {
        if let Some(tree) = &mut self.tree {
            tree.meet();
        }
    }

    fn supply(&mut self, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
        self.call(|tree| tree.supply(wants, sink))
    }

    fn receive(&mut self, piece: &Piece) -> Result<()> {
        self.call(|tree| tree.receive(piece))
    }

    fn realise(&mut self) -> Result<Realised> {
        self.call(Contents::realise)
    }

    fn unrealised(&mut self) -> Result<u64> {
        self.call(Contents::unrealised)
    }

    fn unread(&self) -> &[Skipped] {
        self.tree.as_ref().map_or(&[], |tree| tree.unread())
    }
}

/// Sets up the folders of this site that can be; says of the others why not.
pub fn prepare(settings: &Settings) -> Vec<(String, crate::Result<Vec<Skipped>>)> {
    let one = |name: &str| match Folder::of(settings, name)? {
        Some(mut folder) => Ok(folder.keep().map_err(EngineError::from)?),
        None => Ok(Vec::new()),
    };
    settings.documents.iter().map(|f| (f.name.to_string(), one(f.name.as_str()))).collect()
}
