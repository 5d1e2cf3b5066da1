//! The tree itself: a directory, its index, and the [`Store`] interface over the rows of the index.
//!
//! The rows run ahead of the disk: what is merged is written to them, and [`crate::realise`] makes the disk like them
//! afterwards. What is still to be done is never written down: it is the difference between rows and disk, so that
//! nothing is lost by dying at any moment.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FileType;
use sync_core::Source;
use sync_database::{Card, Database, identity, sqlite};
use sync_store::contents::NAMED;
use sync_store::{
    Answers, Applied, Batch, Contents, Drained, Hash, Lacking, Manner, Mode, Outline, Piece, PieceSink, Question,
    Realised, Result, Since, Sink, Skipped, Store, StoreError, Trouble, Want,
};

use crate::accounts::{Accounts, Machine};
use crate::along::{self, Along};
use crate::beforehand::Beforehand;
use crate::foresight::Edits;
use crate::ignore::Ignore;
use crate::index::{ENTRY, Index, LOCAL};
use crate::retention::Keep;
use crate::root::{self, Near, Root};
use crate::rows_first::{self, Why};
use crate::seams::{Hook, Seams};
use crate::walk::{self, Sight};
use crate::watch::{Extent, WatchTrouble, Watcher};
use crate::{
    contents, fresh, held, hostile, leftovers, moves, newcomers, parts, pending, realise, scan, settle, supply, trash,
};

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
    /// Patterns as in `.gitignore` of what is left out at this site.
    pub ignore: Vec<String>,
    /// Whether the [`crate::TEMPORARY`] files of editors and office programs are left out as well.
    pub ignore_temporary: bool,
    /// How owners and groups are told, and whether they are written. Without the rights of root they never are.
    pub owners: Owners,
    /// Whether programs that others made run as their owner (setuid, setgid) do so here.
    pub special_bits: bool,
    /// For a tree that is held open: have the system tell what changed, so that a drain looks at nothing else.
    pub watch: bool,
    /// With `watch`: everything is looked at all the same, after this time.
    pub rescan: Duration,
}

/// How owners and groups are told to other sites, and whether what those tell is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owners {
    /// By name, and those who have none by number.
    #[default]
    Names,
    /// By number. What another site tells by name is looked up all the same.
    Numbers,
    /// Files belong to whoever makes them here. What somebody changes of that is told by name.
    Ignore,
}

impl Options {
    /// A directory and its index, kept in the usual way.
    pub fn new(root: impl Into<PathBuf>, index: impl Into<PathBuf>) -> Self {
        Options {
            root: root.into(),
            index: index.into(),
            keep: Keep::default(),
            force: false,
            ignore: Vec::new(),
            ignore_temporary: false,
            owners: Owners::Names,
            special_bits: false,
            watch: false,
            rescan: Duration::from_secs(3600),
        }
    }

    /// What is left out, in words.
    fn patterns(&self) -> String {
        Ignore::wording(&self.ignore, self.ignore_temporary)
    }
}

/// A directory with its index.
pub struct Tree {
    pub(crate) options: Options,
    pub(crate) root: Root,
    pub(crate) index: Index,
    pub(crate) inner: Database,
    pub(crate) ignore: Arc<Ignore>,
    pub(crate) accounts: Accounts,
    /// For as long as it is watched.
    watcher: Option<RefCell<Watcher>>,
    pub(crate) unread: Vec<Skipped>,
    /// What version of the index nothing was to be done in.
    rested: Option<(i64, u64)>,
    /// Whether the next scan reads every file.
    doubt: bool,
    /// Whether the directory was looked at in this round.
    pub(crate) has_looked: bool,
    /// Whether something that was moved out of its place may still be there, as it could not be put back or into the trash.
    pub(crate) left_aside: bool,
    /// Whether what is known of chunks is gone through as a whole, and not only where something went.
    pub(crate) sweep: bool,
    /// Contents that are not to be had from the peer in this round.
    pub(crate) absent: HashSet<Hash>,
    /// Of those, which it said that it does not have; of the others something went wrong here.
    pub(crate) missed: HashSet<Hash>,
    /// Contents for which there is no room, and how much was free.
    pub(crate) too_large: HashMap<Hash, u64>,
    /// How far [`Contents::wanted`] looked.
    pub(crate) asked: contents::Asked,
    /// What comes along with rows.
    pub(crate) along: Along,
    /// New files on their way to their places.
    pub(crate) tide: fresh::Tide,
    /// The directory that a content was last read from, or a file made in.
    pub(crate) near: Near,
    /// How many files are put into their places together while more contents come.
    pub(crate) many: usize,
    /// How many of those, new here, are made safe together.
    pub(crate) lots: fresh::Lots,
    /// What was read before the next scan.
    beforehand: Beforehand,
    /// Of large files that were edited, what peers will ask for.
    pub(crate) edits: Edits,
    /// What of that was done since the last [`Contents::realise`].
    pub(crate) early: Realised,
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
        let Seams { disk, mut hook, connect, index: prepare, many, accounts } = seams;
        // Who says how many wants to see the same each time.
        let lots = many.map_or_else(|| fresh::Lots::of(contents::MANY), fresh::Lots::steady);
        let many = many.unwrap_or(contents::MANY);
        let accounts = Accounts::new(accounts.unwrap_or_else(|| Box::new(Machine)), options.owners);
        let ignore = Arc::new(Ignore::new(&options.ignore, options.ignore_temporary)?);
        let mut index = Index::open(&options.index, &disk, prepare)?;
        index.set_functions(Arc::clone(&ignore))?;
        let root = Root::open(&disk, &options.root, index.root()?.as_ref())?;
        refuse_inside(&options, &root)?;
        index.set_root(&root.marker)?;
        let is_renewed = pending::ensure(&mut index, &options.patterns())?;
        let mut connections =
            connect.map_or_else(|| sqlite::connect(&options.index), |connect| connect(&options.index))?;
        pending::watch(connections.writer.as_mut())?;
        if identity::read(connections.writer.as_mut())?.is_none() {
            // What is there before synchronisation begins has no stamp: it never wins against what was written since.
            let sight = Sight { root: &root, ignore: &ignore, accounts: &accounts, watcher: None };
            let (site, force) = (card.site, options.force);
            let (edits, beforehand) = (&mut Edits::default(), &Beforehand::default());
            scan::Scan { sight, index: &mut index, site, force, doubt: false, beforehand, edits, hook: &mut hook }
                .run(&Extent::Everything)?;
            rows_first::note(&mut index, Why::New)?;
        }
        let (inner, _) = Database::prepare(connections, &own_card(card))?;
        let watcher = options.watch.then(|| RefCell::new(Watcher::new(root.dir(), options.rescan)));
        let mut tree = Tree {
            options,
            root,
            index,
            inner,
            ignore,
            accounts,
            watcher,
            unread: Vec::new(),
            rested: None,
            doubt: false,
            has_looked: false,
            left_aside: false,
            sweep: is_renewed,
            absent: HashSet::new(),
            missed: HashSet::new(),
            too_large: HashMap::new(),
            asked: contents::Asked::default(),
            along: Along::default(),
            tide: fresh::Tide::default(),
            near: Near::default(),
            many,
            lots,
            beforehand: Beforehand::default(),
            edits: Edits::default(),
            early: Realised::default(),
            hook,
        };
        leftovers::check(&mut tree)?;
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

    /// What was found out beforehand, the next scan need not find out again if it is still the same.
    pub fn found_beforehand(&mut self, found: Beforehand) {
        self.beforehand = found;
        // Other things are left out than were when the index was written.
        if self.sweep {
            self.beforehand.distrust();
        }
    }

    /// Whether the system tells what changes.
    pub fn is_watched(&self) -> bool {
        self.watcher.as_ref().is_some_and(|watcher| watcher.borrow().is_watching())
    }

    /// What a person should know about the watch; each thing is told once.
    pub fn watch_troubles(&mut self) -> Vec<WatchTrouble> {
        self.watcher.as_mut().map(|watcher| watcher.get_mut().news()).unwrap_or_default()
    }

    /// Whether nothing was written since the disk was like the rows.
    pub(crate) fn is_at_rest(&self) -> Result<bool> {
        Ok(self.rested.is_some() && self.rested == Some(self.index.version()?))
    }

    /// The disk is like the rows.
    pub(crate) fn comes_to_rest(&mut self) -> Result<()> {
        self.rested = Some(self.index.version()?);
        Ok(())
    }

    /// Whether only what is ignored keeps a directory, and those in it, from being empty.
    pub(crate) fn holds_ignored_only(&self, path: &[u8]) -> bool {
        let sight = Sight { root: &self.root, ignore: &self.ignore, accounts: &self.accounts, watcher: None };
        let Ok(mut walk) = walk::Walk::below(sight, path) else { return false };
        while let Some(step) = walk.step() {
            let is_directory = matches!(&step, walk::Step::Found(stat) if root::kind(stat) == FileType::Directory);
            if !is_directory {
                return false;
            }
        }
        true
    }

    /// The paths at which rows and disk differ although nobody would look there; there are none.
    #[doc(hidden)]
    pub fn overlooked(&self) -> Result<Vec<Vec<u8>>> {
        pending::overlooked(&self.index)
    }

    /// From here on we write to the directory ourselves.
    pub(crate) fn stir(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.get_mut().stir();
        }
    }

    /// Looks at what may have changed.
    pub(crate) fn look(&mut self) -> Result<()> {
        leftovers::put_away(self);
        // It counts for one scan.
        let mut beforehand = std::mem::take(&mut self.beforehand);
        let told = match &mut self.watcher {
            Some(watcher) => watcher.get_mut().due(self.root.dir()),
            None => beforehand.due(self.root.dir()),
        };
        let extent = if self.doubt { Extent::Everything } else { told };
        if extent == Extent::nothing() {
            self.unread.clear();
            return Ok(());
        }
        let (force, site, doubt) = (self.options.force, self.inner.card().site, self.doubt);
        let Tree { root, index, hook, ignore, accounts, watcher, edits, .. } = self;
        let sight = Sight { root, ignore, accounts, watcher: watcher.as_ref() };
        let beforehand = &beforehand;
        self.unread = scan::Scan { sight, index, site, force, doubt, beforehand, edits, hook }.run(&extent)?;
        if doubt {
            pending::renew(&mut self.index, &self.options.patterns())?;
            self.sweep = true;
        }
        self.doubt = false;
        if let Some(watcher) = &mut self.watcher {
            watcher.get_mut().done(&extent, again(&self.unread));
        }
        Ok(())
    }

    /// A moment at which a crash is tried out.
    pub(crate) fn moment(&mut self, what: &'static str) -> Result<()> {
        self.hook.as_mut().map_or(Ok(()), |hook| hook(what))
    }
}

/// What has come of large contents need not come again: a line that is cut ends with this.
impl Drop for Tree {
    fn drop(&mut self) {
        let _ = parts::note_all(self);
    }
}

/// What could not be taken in is looked at again, whether or not anything is told of it.
fn again(unread: &[Skipped]) -> Extent {
    if unread.len() >= NAMED {
        return Extent::Everything;
    }
    let mut extent = Extent::nothing();
    unread.iter().for_each(|skipped| extent.add(skipped.path.clone(), true));
    extent
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
        own_source describe knowledge forgot last_heard recognises greet reincarnate changes complete enter rows
        oldest_line restamp bury registry register purge compared conflicts parked restore
    }

    /// What changed on the disk is looked at when rows have come.
    fn leave_history(&mut self, latest: u64) -> Result<Source> {
        rows_first::note(&mut self.index, Why::Backup)?;
        self.inner.leave_history(latest)
    }

    /// Takes in what changed on the disk, then stamps it.
    fn drain(&mut self) -> Result<Drained> {
        // Of a round that broke. What was named is found as it is by now.
        (self.tide, self.along, self.early) = (fresh::Tide::default(), Along::default(), Realised::default());
        // Another directory may have its path by now.
        self.near = Near::default();
        self.accounts.forget();
        let looked = self.root.check().and_then(|()| rows_first::begin(self));
        if let (Err(_), Some(watcher)) = (&looked, &mut self.watcher) {
            watcher.get_mut().distrust();
        }
        self.has_looked = looked?;
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

    /// Not where something was deleted: what the other side has at that path is to be compared with it.
    fn is_empty(&mut self) -> Result<bool> {
        Ok(self.inner.is_empty()? && !held::was_more(self.index.look())?)
    }

    /// Of rows that differ, the contents are told as well.
    fn digest(&mut self, question: &Question, answers: &mut Answers) -> Result<()> {
        held::digest(&mut self.inner, self.index.look(), question, answers)
    }

    /// Refuses names and contents that no site writes before anything is touched.
    fn apply(&mut self, batch: &Batch, mode: Mode) -> Result<Applied> {
        hostile::check(batch)?;
        let mut applied = if batch.is_bare() { Applied::default() } else { self.inner.apply(batch, mode)? };
        if mode == Mode::Write {
            along::note(self, batch);
            (applied.along, applied.in_vain) = along::take(self, &batch.contents)?;
        }
        Ok(applied)
    }

    /// Small contents go along.
    fn scan(&mut self, table: &str, along: bool, sink: &mut Sink) -> Result<()> {
        if along { along::scan(self, table, sink) } else { self.inner.scan(table, along, sink) }
    }
}

impl Contents for Tree {
    fn begin(&mut self, manner: Manner) -> Result<()> {
        (self.options.force, self.doubt) = (manner.force, manner.doubt);
        Ok(())
    }

    fn rests(&mut self) -> Result<bool> {
        if rows_first::why(self.index.look())?.is_some()
            || settle::is_due(&self.index)?
            || !newcomers::arrived(self)?.is_empty()
        {
            return Ok(false);
        }
        realise::rest(self)
    }

    fn settle(&mut self) -> Result<u64> {
        let is_found = rows_first::catch_up(self)?;
        Ok(settle::settle(self)?.max(is_found.into()))
    }

    fn wanted(&mut self, limit: usize) -> Result<Vec<Want>> {
        contents::wanted(self, limit)
    }

    fn lacking(&mut self) -> Result<Lacking> {
        contents::outstanding(self)
    }

    fn meet(&mut self) {
        // What cannot be written down now is asked for again.
        let _ = parts::note_all(self);
        self.absent.clear();
        self.missed.clear();
        self.too_large.clear();
        self.asked = contents::Asked::after(std::mem::take(&mut self.along), &self.asked);
        self.near = Near::default();
    }

    fn supply(&mut self, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
        supply::supply(self, wants, sink)
    }

    fn receive(&mut self, piece: &Piece) -> Result<()> {
        contents::receive(self, piece)
    }

    fn realise(&mut self) -> Result<Realised> {
        self.root.check()?;
        realise::realise(self)
    }

    fn unrealised(&mut self) -> Result<u64> {
        if self.is_at_rest()? { Ok(0) } else { pending::count(&self.index) }
    }

    fn unread(&self) -> &[Skipped] {
        &self.unread
    }
}
