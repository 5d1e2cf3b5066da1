//! The folders of documents of a link: those that both sites name go through a round each, one after the other. What is wrong
//! with one is told of it, and stops neither the others nor the database.

use std::collections::BTreeMap;

use sync_config::{Link, Settings};
use sync_link::RemoteTree;
use sync_store::{Contents, Manner};
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
    /// Of two sites the one whose name comes first is begun with, so that rounds in a ring never wait for one another.
    slave_first: bool,
}

struct Linked {
    name: String,
    brake: Brake,
    sides: Sides,
}

enum Sides {
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
    /// Finds out which folders both sites have.
    pub fn open(settings: &Settings, link: &Link, remote: &mut Remote, mut readers: Readers) -> Self {
        let peer = link.slave.to_string();
        let slave_first = peer.as_str() < settings.site.as_str();
        // Without folders of our own nobody is bothered to ask for the others'.
        let theirs = match settings.documents.is_empty() && !remote.has_agent() {
            true => Ok(Vec::new()),
            false => remote.folders(),
        };
        let mut folders: Vec<Linked> =
            settings.documents.iter().map(|f| linked(settings, link, f, &theirs, (remote, &mut readers))).collect();
        for name in theirs.unwrap_or_default().into_iter().filter(|name| settings.folder(name).is_none()) {
            let why = format!("{peer} names it in its settings, this site does not");
            folders.push(Linked { name, brake: Brake::default(), sides: Sides::Paused(why) });
        }
        Folders { folders, slave_first }
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

fn linked(
    settings: &Settings,
    link: &Link,
    folder: &sync_config::Folder,
    theirs: &Result<Vec<String>>,
    (remote, readers): (&mut Remote, &mut Readers),
) -> Linked {
    let name = folder.name.to_string();
    let brake =
        Brake { share: folder.max_deleted_share, rows: folder.max_deleted_files, files: true, ..Brake::default() };
    let sides = match theirs {
        Err(error) => Sides::Failed(error.clone()),
        Ok(names) if !names.contains(&name) => {
            Sides::Paused(format!("this site names it in its settings, {} does not", link.slave))
        }
        Ok(_) => both(settings, &name, (remote, readers)).unwrap_or_else(Sides::Failed),
    };
    Linked { name, brake, sides }
}

fn both(settings: &Settings, name: &str, (remote, readers): (&mut Remote, &mut Readers)) -> Result<Sides> {
    let own = Folder::of(settings, name)?;
    let own = own.ok_or_else(|| EngineError::new(Kind::Failure, "a folder is not in the settings any more"))?;
    Ok(Sides::Both(Box::new((own.read_by(readers.remove(name)), remote.folder(name)?))))
}

impl Linked {
    fn round(&mut self, options: &Options, slave_first: bool, watch: &mut dyn Watch) -> Outcome {
        let (own, theirs) = match self.sides.both(Outcome::Paused, Outcome::Failed) {
            Ok(both) => both,
            Err(outcome) => return outcome,
        };
        watch.event(Event::Folder(&self.name));
        let options = Options { brake: self.brake, ..options.clone() };
        let manner = Manner { force: options.force, doubt: options.init, preview: options.dry_run };
        let done = begin(own, theirs, manner, slave_first)
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
