//! Files that are new here, and whose contents come whole: each is made in its directory without a name, gets its attributes,
//! and gets its name once it is safe. Nothing that is there already is ever touched: what is not simple goes the long way, by
//! the staging directory and [`crate::place`].
//!
//! Lots of them move like a tide, so that the disk works while more contents come: what was **gathered** is made safe with all
//! that was written before; what is **safe** is named; what was **named** is safe itself with the next lot, and only then
//! written down. After a crash a file is there whole or not at all, and the index never says more than is on the disk.

use std::collections::HashSet;
use std::io;
use std::thread::JoinHandle;

use sync_store::{Hash, Reason, Result, Want};

use crate::attributes::{self, Dressed, How};
use crate::cells::{self, Cells};
use crate::disk::{self, File, Slip};
use crate::index;
use crate::look::{self, Known, Seen, reason};
use crate::name;
use crate::newcomers;
use crate::root::Root;
use crate::tree::Tree;

/// A file that has no name yet.
struct Fresh {
    path: Vec<u8>,
    cells: Cells,
    hash: Hash,
    file: File,
    dressed: Dressed,
}

/// A file that was given its name, or a directory, and what is known of it.
struct Named {
    path: Vec<u8>,
    known: Known,
}

/// Files on their way to their places.
#[derive(Default)]
pub(crate) struct Tide {
    gathered: Vec<Fresh>,
    weight: u64,
    /// Directories that were made since.
    made: Vec<Named>,
    /// Being made safe.
    rising: Vec<Fresh>,
    /// Their names are being made safe.
    named: Vec<Named>,
    sync: Option<disk::Result<Sync>>,
    contents: HashSet<Hash>,
}

/// Making everything safe that was written before.
type Sync = JoinHandle<disk::Result<()>>;

impl Tide {
    /// Whether a content is in a file on its way.
    pub(crate) fn has(&self, hash: Hash) -> bool {
        self.contents.contains(&hash)
    }

    /// Whether what was gathered is to go on.
    fn is_due(&self, lots: Lots) -> bool {
        let is_idle = || self.sync.as_ref().is_none_or(|sync| sync.as_ref().map_or(true, JoinHandle::is_finished));
        let is_in = |lot: Lot| lot.is_in(self.gathered.len(), self.weight);
        is_in(lots.most) || is_in(lots.least) && is_idle()
    }

    fn is_over(&self) -> bool {
        self.gathered.is_empty() && self.made.is_empty() && self.rising.is_empty() && self.named.is_empty()
    }
}

/// How large a lot is. A pass over the file system takes about as long for few files as for many, and the disk works at nothing else
/// meanwhile: so who gathers does not wait for a pass that is under way, but lets the next one do more.
#[derive(Clone, Copy)]
pub(crate) struct Lots {
    /// So much is made safe as soon as nothing else is.
    least: Lot,
    /// Nothing more is gathered before this is made safe.
    most: Lot,
}

#[derive(Clone, Copy)]
struct Lot {
    files: usize,
    bytes: u64,
}

impl Lot {
    fn is_in(self, files: usize, bytes: u64) -> bool {
        files >= self.files || bytes >= self.bytes
    }
}

impl Lots {
    /// Where `many` files are put into their places together. Each is held open, as are those of the lot before, and together they
    /// are no more than half of what the system allows.
    pub(crate) fn of(many: usize) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let quarter = limit.and_then(|limit| usize::try_from(limit / 4).ok()).unwrap_or(usize::MAX).max(1);
        let lot = |files: usize, bytes| Lot { files: files.min(quarter), bytes };
        Lots { least: lot(2 * many, 16 << 20), most: lot(5 * many, 256 << 20) }
    }

    /// The same lots each time, however fast the disk is.
    pub(crate) fn steady(many: usize) -> Self {
        let most = Lot { bytes: 32 << 20, ..Self::of(many).most };
        Lots { least: most, most }
    }
}

/// Makes a file of a content that came whole; false if it has to go the long way.
pub(crate) fn make(tree: &mut Tree, want: &Want, path: &[u8], cells: &Cells, bytes: &[u8]) -> io::Result<bool> {
    if tree.root.disk().slips(Slip::IndexFirst) || index::hash_of(&cells.content) != Some(want.hash) {
        return Ok(false);
    }
    let Tree { root, near, tide, options, accounts, .. } = tree;
    let how = How::of(options, accounts);
    let (directory, _) = name::split(path);
    let Some(near) = near.at(root, directory) else { return Ok(false) };
    let file = match near.create_nameless(cells.mode) {
        Ok(file) => file,
        Err(e) if e == rustix::io::Errno::NOSPC => return Err(e.into()),
        // Not every file system can.
        Err(_) => return Ok(false),
    };
    file.write_all_at(bytes, 0)?;
    let Ok(dressed) = attributes::write(&file, cells, how) else { return Ok(false) };
    tide.weight += want.size;
    tide.contents.insert(want.hash);
    tide.gathered.push(Fresh { path: path.to_vec(), cells: cells.clone(), hash: want.hash, file, dressed });
    Ok(true)
}

/// Makes a directory, unless there is anything at its path or it cannot be: then it goes the long way. Until everything is in it,
/// we have to be able to write to it.
pub(crate) fn make_directory(tree: &mut Tree, path: &[u8], cells: Cells) {
    let Tree { root, near, tide, options, accounts, early, .. } = tree;
    let cells = Cells { mode: cells.mode | 0o700, ..cells };
    let (directory, name) = name::split(path);
    let made = near.at(root, directory).and_then(|parent| {
        parent.make_directory(name).ok()?;
        let child = parent.child(name).ok()?;
        let dressed = attributes::write(&child, &cells, How::of(options, accounts)).ok()?;
        let found = Seen::of(&parent.look(name).ok()??);
        let (seen, attributes) = (dressed.known(found), dressed.attributes);
        (seen.kind == cells::DIRECTORY).then_some(Known { cells, seen, attributes, racy: true })
    });
    if let Some(known) = made {
        early.created += 1;
        tide.made.push(Named { path: path.to_vec(), known });
    }
}

/// Goes on with what is on its way, if a lot is complete.
pub(crate) fn advance(tree: &mut Tree) -> Result<()> {
    if tree.tide.is_due(tree.lots) { turn(tree) } else { Ok(()) }
}

/// Ends with all that is on its way.
pub(crate) fn finish(tree: &mut Tree) -> Result<()> {
    while !tree.tide.is_over() {
        turn(tree)?;
    }
    tree.tide = Tide::default();
    Ok(())
}

/// One turn of the tide.
fn turn(tree: &mut Tree) -> Result<()> {
    tree.root.check()?;
    tree.stir();
    let sync = tree.tide.sync.take();
    let is_safe = sync.is_none_or(|sync| sync.is_ok_and(|sync| matches!(sync.join(), Ok(Ok(())))));
    let (mut safe, mut named) = (std::mem::take(&mut tree.tide.rising), std::mem::take(&mut tree.tide.named));
    if !is_safe {
        safe.retain(|fresh| fresh.file.sync().is_ok());
        named.retain(|named| tree.root.parent(&named.path).and_then(|(directory, _)| directory.sync()).is_ok());
    }
    write_down(tree, &named)?;
    for fresh in safe {
        tree.moment("realise: place")?;
        tree.tide.contents.remove(&fresh.hash);
        if give_name(tree, &fresh).is_err() {
            // The end of the round tells why, if it cannot be done then either.
            let _ = set_aside(&tree.root, &fresh);
        }
    }
    let Tide { gathered, rising, weight, made, named, .. } = &mut tree.tide;
    (*rising, *weight) = (std::mem::take(gathered), 0);
    named.append(made);
    if !(tree.tide.rising.is_empty() && tree.tide.named.is_empty()) {
        tree.moment("realise: prepared")?;
        tree.tide.sync = Some(tree.root.own().staging.sync_file_system_beside());
    }
    Ok(())
}

/// Gives a file its name, where nothing has it. What cannot be looked at then is there all the same: the next scan finds it.
fn give_name(tree: &mut Tree, fresh: &Fresh) -> std::result::Result<(), Reason> {
    let Tree { root, near, tide, .. } = tree;
    let (directory, name) = name::split(&fresh.path);
    let directory = near.at(root, directory).ok_or(Reason::Changed)?;
    directory.name(&fresh.file, name).map_err(reason)?;
    tree.early.created += 1;
    if let Ok(stat) = fresh.file.stat() {
        let seen = fresh.dressed.known(Seen::of(&stat));
        let racy = !look::shows_edits(root.disk(), &fresh.cells.content, &seen);
        let known = Known { cells: fresh.cells.clone(), seen, attributes: fresh.dressed.attributes.clone(), racy };
        tide.named.push(Named { path: fresh.path.clone(), known });
    }
    Ok(())
}

/// What cannot get its name now waits in the staging directory, as if it had come there.
fn set_aside(root: &Root, fresh: &Fresh) -> disk::Result<()> {
    // We have to be able to read it there.
    fresh.file.chmod(0o600)?;
    root.own().staging.name(&fresh.file, fresh.hash.to_string())
}

/// The index says what is there; every path here is on the list of what may differ, until it is seen to be alike.
fn write_down(tree: &mut Tree, named: &[Named]) -> Result<()> {
    if named.is_empty() {
        return Ok(());
    }
    tree.moment("realise: note")?;
    let writing = tree.index.begin()?;
    named.iter().try_for_each(|named| writing.put_known(&named.path, &named.known))?;
    newcomers::note(&writing, tree.accounts.take_strangers())?;
    writing.commit()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// A tide whose last lot is not safe before the sender is gone.
    fn waiting(weight: u64) -> (Tide, std::sync::mpsc::Sender<()>) {
        let (safe, wait) = channel();
        let sync = std::thread::spawn(move || {
            wait.recv().unwrap_err();
            Ok(())
        });
        (Tide { weight, sync: Some(Ok(sync)), ..Tide::default() }, safe)
    }

    #[test]
    fn a_lot_goes_on_when_the_one_before_is_safe_or_it_is_large() {
        let lots = Lots::of(1000);
        let (mut tide, safe) = waiting(lots.least.bytes);
        assert!(!tide.is_due(lots));
        tide.weight = lots.most.bytes;
        assert!(tide.is_due(lots));
        tide.weight = lots.least.bytes;
        drop(safe);
        while !tide.is_due(lots) {
            std::thread::yield_now();
        }
        tide.weight -= 1;
        assert!(!tide.is_due(lots));
    }

    #[test]
    fn steady_lots_do_not_depend_on_the_disk() {
        let lots = Lots::steady(2);
        let (mut tide, safe) = waiting(lots.most.bytes);
        assert!(tide.is_due(lots));
        tide.weight -= 1;
        drop(safe);
        assert!(!tide.is_due(lots) && lots.most.files == 10);
    }
}
