//! The folders of documents of a link: those that both sites name go through a round each, one after the other. What is wrong
//! with one is told of it, and stops neither the others nor the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use sync_config::{Link, Settings};
use sync_link::{Openings, RemoteTree};
use sync_store::{Contents, Manner, Store};
use sync_tree::beforehand::Reader;

use crate::brake::Brake;
use crate::compare::Stores;
use crate::documents::{FolderReport, Outcome, round_documents};
use crate::error::{EngineError, Kind, Result};
use crate::folder::{self, Folder};
use crate::handshake::Expectation;
use crate::remote::Remote;
use crate::report::{Event, Watch};
use crate::round::Options;
use crate::verify::{self, FolderFindings, VerifiedFolder};

/// The folders of a link, kept open from round to round.
pub(crate) struct Folders {
    folders: Vec<Linked>,
    /// The other site.
    peer: String,
    /// Whether it is known which folders the other site has.
    is_met: bool,
    /// Of two sites the one whose name comes first is begun with, so that rounds in a ring never wait for one another.
    slave_first: bool,
}

struct Linked {
    name: String,
    brake: Brake,
    sides: Sides,
    /// A round was opened ahead with the other site's.
    is_ahead: bool,
}

enum Sides {
    /// Of the other site's it is not known whether it is there before [`Folders::meet`].
    Both(Box<(Folder, RemoteTree)>),
    Paused(String),
    Failed(EngineError),
}

impl Sides {
    /// Both, or what comes of it that there are not both.
    fn both<T>(
        &mut self,
        paused: impl FnOnce(String) -> T,
        failed: impl FnOnce(EngineError) -> T,
    ) -> std::result::Result<(&mut Folder, &mut RemoteTree), T> {
        match self {
            Sides::Paused(why) => Err(paused(why.clone())),
            Sides::Failed(error) => Err(failed(error.clone())),
            Sides::Both(both) => Ok((&mut both.0, &mut both.1)),
        }
    }
}

/// What finds out beforehand what changed in folders, by name.
pub(crate) type Readers = BTreeMap<String, Reader>;

/// Begins to look at folders, while the other site is being reached.
pub(crate) fn read_beforehand(settings: &Settings) -> Readers {
    let one = |folder: &sync_config::Folder| {
        let options = folder::options(folder, &settings.state_dir());
        (folder.name.to_string(), Reader::begin(&options))
    };
    settings.documents.iter().map(one).collect()
}

impl Folders {
    /// Those of this site, and what the other one may have of them.
    pub fn begin(settings: &Settings, link: &Link, remote: &mut Remote) -> Self {
        let peer = link.slave.to_string();
        // Without folders of our own nobody is bothered to ask for the others'.
        let reached = if settings.documents.is_empty() { Ok(()) } else { remote.begin_agent() };
        let mut one = |folder: &sync_config::Folder| {
            let both = reached.clone().and_then(|()| both(settings, folder.name.as_str(), remote));
            Linked {
                name: folder.name.to_string(),
                brake: brake(folder),
                sides: both.unwrap_or_else(Sides::Failed),
                is_ahead: false,
            }
        };
        let folders = settings.documents.iter().map(&mut one).collect();
        Folders { folders, slave_first: peer.as_str() < settings.site.as_str(), peer, is_met: false }
    }

    /// The same, once it is known which the other one has.
    pub fn open(settings: &Settings, link: &Link, remote: &mut Remote) -> Self {
        let mut folders = Self::begin(settings, link, remote);
        folders.meet(remote, &mut None);
        folders
    }

    /// Finds out which folders both sites have, if that is not known. What was found out beforehand is theirs then.
    pub fn meet(&mut self, remote: &mut Remote, readers: &mut Option<Readers>) {
        if std::mem::replace(&mut self.is_met, true) {
            return;
        }
        let theirs = if remote.has_agent() { remote.folders() } else { Ok(Vec::new()) };
        let mut readers = readers.take().unwrap_or_default();
        self.folders.iter_mut().for_each(|folder| folder.meet(&theirs, &self.peer, &mut readers));
        for name in theirs.unwrap_or_default() {
            if !self.folders.iter().any(|folder| folder.name == name) {
                let sides = Sides::Paused(format!("{} names it in its settings, this site does not", self.peer));
                self.folders.push(Linked { name, brake: Brake::default(), sides, is_ahead: false });
            }
        }
    }

    /// Opens a round with the first that the other site may have, before anybody waits for that; it comes after `rows` there. Only with
    /// one: it is kept from others from then on, and the round of a folder can take long.
    pub fn open_ahead(&mut self, options: &Options, rows: &Arc<Openings>) {
        if let Some(first) = self.folders.iter_mut().find(|folder| matches!(folder.sides, Sides::Both(_))) {
            first.open_ahead(manner(options), rows);
        }
    }

    /// Whether there is one that both sites have.
    pub fn are_common(&self) -> bool {
        self.folders.iter().any(|folder| matches!(folder.sides, Sides::Both(_)))
    }

    /// A round of each.
    pub fn round(&mut self, options: &Options, watch: &mut dyn Watch) -> Vec<FolderReport> {
        let slave_first = self.slave_first;
        let one = |folder: &mut Linked| {
            let outcome = folder.round(options, slave_first, watch);
            FolderReport { name: folder.name.clone(), outcome }
        };
        self.folders.iter_mut().map(one).collect()
    }

    /// Compares each, and changes nothing.
    pub fn verify(&mut self, expected: &Expectation, watch: &mut dyn Watch) -> Vec<VerifiedFolder> {
        let slave_first = self.slave_first;
        let one = |folder: &mut Linked| {
            let found = folder.verify(expected, slave_first, watch);
            VerifiedFolder { name: folder.name.clone(), found }
        };
        self.folders.iter_mut().map(one).collect()
    }
}

fn brake(folder: &sync_config::Folder) -> Brake {
    Brake { share: folder.max_deleted_share, rows: folder.max_deleted_files, files: true, ..Brake::default() }
}

fn manner(options: &Options) -> Manner {
    Manner { force: options.force, doubt: options.init, preview: options.dry_run, at_once: false }
}

fn both(settings: &Settings, name: &str, remote: &mut Remote) -> Result<Sides> {
    let own = Folder::of(settings, name)?;
    let own = own.ok_or_else(|| EngineError::new(Kind::Failure, "a folder is not in the settings any more"))?;
    Ok(Sides::Both(Box::new((own, remote.folder(name)?))))
}

impl Linked {
    fn meet(&mut self, theirs: &Result<Vec<String>>, peer: &str, readers: &mut Readers) {
        let is_named = theirs.as_ref().map(|names| names.contains(&self.name));
        match (is_named, &mut self.sides) {
            (Err(error), sides) => *sides = Sides::Failed(error.clone()),
            (Ok(false), sides) => {
                *sides = Sides::Paused(format!("this site names it in its settings, {peer} does not"));
            }
            (Ok(true), Sides::Both(both)) => {
                both.0.read_by(readers.remove(&self.name));
                both.1.met();
            }
            (Ok(true), _) => {}
        }
    }

    fn open_ahead(&mut self, manner: Manner, rows: &Arc<Openings>) {
        let Sides::Both(both) = &mut self.sides else { return };
        let (own, theirs) = &mut **both;
        let Some(opening) = own.opening() else { return };
        // What the link broke of is heard when the other site is met.
        let asked = theirs.begin_ahead(Manner { at_once: true, ..manner });
        self.is_ahead = asked.and_then(|()| theirs.open_ahead(&opening, rows)).is_ok();
    }

    fn round(&mut self, options: &Options, slave_first: bool, watch: &mut dyn Watch) -> Outcome {
        let is_ahead = std::mem::take(&mut self.is_ahead);
        let (own, theirs) = match self.sides.both(Outcome::Paused, Outcome::Failed) {
            Ok(both) => both,
            Err(outcome) => return outcome,
        };
        watch.event(Event::Folder(&self.name));
        let options = Options { brake: self.brake, ..options.clone() };
        let begin = if is_ahead { begin_behind } else { begin };
        let done = begin(own, theirs, manner(&options), slave_first)
            .and_then(|()| round_documents(own, theirs, &options, &mut Quietly(watch)));
        // Whatever became of it, others may have it.
        let _ = (own.rest(), theirs.rest());
        match done {
            Ok(report) => Outcome::Done(Box::new(report)),
            // A dry run sets nothing up.
            Err(error) if options.dry_run && error.kind == Kind::NotConfigured => Outcome::Paused(error.message),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn verify(&mut self, expected: &Expectation, slave_first: bool, watch: &mut dyn Watch) -> FolderFindings {
        let (own, theirs) = match self.sides.both(FolderFindings::Paused, FolderFindings::Failed) {
            Ok(both) => both,
            Err(found) => return found,
        };
        watch.event(Event::Folder(&self.name));
        let found = compare(own, theirs, expected, slave_first, watch);
        let _ = (own.rest(), theirs.rest());
        found.unwrap_or_else(FolderFindings::Failed)
    }
}

/// Reads every file at both sites, and compares what is there.
fn compare(
    own: &mut Folder,
    theirs: &mut RemoteTree,
    expected: &Expectation,
    slave_first: bool,
    watch: &mut dyn Watch,
) -> Result<FolderFindings> {
    begin(own, theirs, Manner { doubt: true, preview: true, ..Manner::default() }, slave_first)?;
    let found = verify::verify(&mut Stores { master: own, slave: theirs }, expected, &mut Quietly(watch))?;
    Ok(FolderFindings::Compared {
        paths: found.tables.into_iter().next().unwrap_or_default(),
        unread: (own.unread().len() + theirs.unread().len()) as u64,
        waiting: own.unrealised()? + theirs.unrealised()?,
    })
}

/// Begins at this side with what was opened ahead at the other, without having been waited for. Whoever holds theirs may wait for his own
/// only where theirs comes first; else, and where others work on theirs, it is let go, and both are waited for in order.
fn begin_behind(own: &mut Folder, theirs: &mut RemoteTree, manner: Manner, slave_first: bool) -> Result<()> {
    if theirs.confirm().is_ok() {
        let begun = own.begin(Manner { at_once: !slave_first, ..manner });
        if begun.is_ok() || slave_first {
            return Ok(begun?);
        }
    }
    theirs.forgo()?;
    theirs.rest()?;
    begin(own, theirs, manner, slave_first)
}

fn begin(own: &mut Folder, theirs: &mut RemoteTree, manner: Manner, slave_first: bool) -> Result<()> {
    if slave_first {
        theirs.begin(manner)?;
        return Ok(own.begin(manner)?);
    }
    own.begin(manner)?;
    Ok(theirs.begin_ahead(manner)?)
}

/// Passes on what is not said of the whole round already.
struct Quietly<'a>(&'a mut dyn Watch);

impl Watch for Quietly<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Agreed { .. } | Event::FirstContact => {}
            other => self.0.event(other),
        }
    }
}
