//! The tree itself: a directory, its index, and the [`Store`] interface over the rows of the index.
//!
//! The rows run ahead of the disk: what is merged is written to them, and [`crate::realise`] makes the disk like them
//! afterwards. What is still to be done is never written down: it is the difference between rows and disk, so that
//! nothing is lost by dying at any moment.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sync_core::Source;
use sync_database::{Card, Connections, Database, identity, sqlite};
use sync_store::{
    Applied, Batch, Contents, Drained, Hash, Mode, Outline, Piece, PieceSink, Realised, Result, Since, Skipped, Store,
    StoreError, Trouble, Want,
};

use crate::disk::Disk;
use crate::index::{ENTRY, Index, LOCAL};
use crate::retention::Keep;
use crate::root::Root;
use crate::{contents, hostile, moves, realise, scan, settle, trash};

/// How a tree is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory.
    pub root: PathBuf,
    /// The index file, outside of the directory.
    pub index: PathBuf,
    /// How long replaced and deleted files are kept.
    pub keep: Keep,
    /// Take it for granted that the directory was emptied on purpose.
    pub force: bool,
}

/// Is called before each step that writes; an error stops everything there, as dying would.
pub type Hook = Box<dyn FnMut(&'static str) -> Result<()> + Send>;

/// Where a test can step between a tree and the machine.
#[doc(hidden)]
#[derive(Default)]
pub struct Seams {
    /// The file system.
    pub disk: Disk,
    /// Is told of the steps.
    pub hook: Option<Hook>,
    /// Opens the index as a database.
    pub connect: Option<Connect>,
    /// Prepares the other connection to the index.
    pub index: Option<Prepare>,
}

/// Opens an index as a database.
pub type Connect = Box<dyn FnOnce(&Path) -> Result<Connections>>;

/// Prepares a connection.
pub type Prepare = Box<dyn FnOnce(&rusqlite::Connection) -> rusqlite::Result<()>>;

/// A directory with its index.
pub struct Tree {
    pub(crate) options: Options,
    pub(crate) root: Root,
    pub(crate) index: Index,
    pub(crate) inner: Database,
    pub(crate) unread: Vec<Skipped>,
    /// Contents that the peer does not have.
    pub(crate) absent: HashSet<Hash>,
    /// How far [`Contents::wanted`] looked.
    pub(crate) asked: contents::Asked,
    pub(crate) hook: Option<Hook>,
}

impl Tree {
    /// Opens a tree, or sets one up over what is in the directory. Harmless to repeat after a crash at any point.
    ///
    /// # Errors
    /// [`Trouble::Halt`] if the directory is not the one that the index is about.
    pub fn open(options: Options, card: &Card) -> Result<Self> {
        Self::open_hooked(options, card, None)
    }

    /// The same; the hook is for tests.
    #[doc(hidden)]
    pub fn open_hooked(options: Options, card: &Card, hook: Option<Hook>) -> Result<Self> {
        Self::open_on(options, card, Seams { hook, ..Seams::default() })
    }

    /// The same, on a machine that is partly made up.
    #[doc(hidden)]
    pub fn open_on(options: Options, card: &Card, seams: Seams) -> Result<Self> {
        let Seams { disk, mut hook, connect, index: prepare } = seams;
        let mut index = Index::open(&options.index, &disk, prepare)?;
        let root = Root::open(&disk, &options.root, index.root()?.as_ref())?;
        refuse_inside(&options, &root)?;
        index.set_root(&root.marker)?;
        let mut connections =
            connect.map_or_else(|| sqlite::connect(&options.index), |connect| connect(&options.index))?;
        if identity::read(connections.writer.as_mut())?.is_none() {
            // What is there before synchronisation begins has no stamp: it never wins against what was written since.
            let mut first =
                scan::Scan { root: &root, index: &mut index, site: card.site, force: options.force, hook: &mut hook };
            first.run()?;
        }
        let (inner, _) = Database::prepare(connections, &own_card(card))?;
        let mut tree = Tree {
            options,
            root,
            index,
            inner,
            unread: Vec::new(),
            absent: HashSet::new(),
            asked: contents::Asked::default(),
            hook,
        };
        contents::check_staged(&mut tree)?;
        Ok(tree)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Whose history this is.
    pub fn source(&self) -> Source {
        self.inner.source()
    }

    /// The versions of a path that are in the trash, newest first.
    pub fn versions(&mut self, path: &[u8]) -> Result<Vec<trash::Version>> {
        trash::versions(self.index.look(), path)
    }

    /// Puts a version out of the trash back, as a new write of this site; the next round brings it everywhere.
    pub fn bring_back(&mut self, path: &[u8], at: i64) -> Result<()> {
        trash::bring_back(self, path, at)
    }

    /// A moment at which a crash is tried out.
    pub(crate) fn moment(&mut self, what: &'static str) -> Result<()> {
        self.hook.as_mut().map_or(Ok(()), |hook| hook(what))
    }
}

/// The card of the index: what is this machine's own stays here.
fn own_card(card: &Card) -> Card {
    let mut card = card.clone();
    card.rules = sync_database::Rules { excluded: LOCAL.map(str::to_owned).to_vec(), ..Default::default() };
    card
}

/// An index within the tree would take itself for a file that never rests.
fn refuse_inside(options: &Options, root: &Root) -> Result<()> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real(&options.index).starts_with(real(root.path())) {
        return Err(StoreError::new(
            Trouble::Configuration,
            format!("the index {} lies within the tree", options.index.display()),
        )
        .hint("keep the index in the state directory"));
    }
    Ok(())
}

impl Tree {
    fn call<T>(&mut self, work: impl FnOnce(&mut Database) -> Result<T>) -> Result<T> {
        work(&mut self.inner)
    }
}

impl Store for Tree {
    sync_store::pass_on! {
        describe knowledge forgot last_heard leave_history is_empty recognises greet reincarnate changes complete scan digest rows
        restamp bury registry register purge compared conflicts parked restore
    }

    /// Takes in what changed on the disk, then stamps it.
    fn drain(&mut self) -> Result<Drained> {
        self.root.check()?;
        let (force, site) = (self.options.force, self.inner.card().site);
        let Tree { root, index, hook, .. } = self;
        self.unread = scan::Scan { root, index, site, force, hook }.run()?;
        self.inner.drain()
    }

    /// A file that was moved is not gone: the brake does not count it.
    fn outline(&mut self, since: &Since) -> Result<Outline> {
        let mut outline = self.inner.outline(since)?;
        if let Some(entries) = outline.tables.get_mut(ENTRY) {
            entries.graves -= moves::count(self.index.look(), since.position.seq, entries.graves)?;
        }
        Ok(outline)
    }

    /// Refuses names and contents that no site writes before anything is touched.
    fn apply(&mut self, batch: &Batch, mode: Mode) -> Result<Applied> {
        hostile::check(batch)?;
        self.inner.apply(batch, mode)
    }
}

impl Contents for Tree {
    fn settle(&mut self) -> Result<u64> {
        settle::settle(self)
    }

    fn wanted(&mut self, limit: usize) -> Result<Vec<Want>> {
        contents::wanted(self, limit)
    }

    fn meet(&mut self) {
        self.absent.clear();
        self.asked = contents::Asked::default();
    }

    fn supply(&mut self, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
        contents::supply(self, wants, sink)
    }

    fn receive(&mut self, piece: &Piece) -> Result<()> {
        contents::receive(self, piece)
    }

    fn realise(&mut self) -> Result<Realised> {
        self.root.check()?;
        realise::realise(self)
    }

    fn unread(&self) -> &[Skipped] {
        &self.unread
    }
}
