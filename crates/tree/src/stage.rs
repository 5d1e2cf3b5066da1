//! Getting a content or a link ready in the staging directory, from wherever it is on this machine. What is there under a
//! hash is what the hash says; nothing outside the staging directory is changed.

use std::io::{self, Write};

use sync_store::{Hash, Reason, Result};

use crate::cells::Content;
use crate::disk::{self, Dir, File, Onto};
use crate::look::{is_as_known, reason};
use crate::name;
use crate::place::{Batch, From, Task};
use crate::root::{Own, Root};
use crate::source::{self, Holder};
use crate::trash;
use crate::tree::Tree;
use crate::withdraw;

impl Batch<'_> {
    pub(crate) fn stage_link(&mut self, target: &[u8]) -> std::result::Result<From, Reason> {
        let name = self.new_name("link");
        let staging = &self.tree.root.own().staging;
        let _ = staging.remove(&name);
        staging.symlink(target, &name).map_err(reason)?;
        Ok(From::Staged { name, safe: true })
    }

    /// Finds a content, and puts it into the staging directory unless it can be renamed from where it is.
    pub(crate) fn stage_file(
        &mut self,
        hash: Hash,
        size: u64,
        task: &Task,
    ) -> Result<std::result::Result<From, Reason>> {
        let staged = |safe| Ok(Ok(From::Staged { name: hash.to_string(), safe }));
        if source::is_staged(self.tree, hash) {
            return staged(false);
        }
        if size == 0 {
            return Ok(self
                .stage_copy(hash, &mut io::empty())
                .map(|()| From::Staged { name: hash.to_string(), safe: false }));
        }
        let holders = self.holders(hash)?;
        if let Some(from) = self.spare_of(&holders, task)? {
            return Ok(Ok(from));
        }
        for holder in &holders {
            if let Ok(Some(mut file)) = source::open_holder(self.tree, holder)
                && self.stage_copy(hash, &mut file).is_ok()
            {
                return staged(false);
            }
        }
        match self.out_of_trash(hash) {
            Ok(()) => staged(false),
            // It has to come from elsewhere.
            Err(Reason::Changed) if holders.is_empty() => {
                trash::disown(self.tree, hash)?;
                Ok(Err(self.lacks(hash, size)?))
            }
            Err(Reason::Changed) => Ok(Err(self.lacks(hash, size)?)),
            Err(why) => Ok(Err(why)),
        }
    }

    /// Why a content is not here.
    fn lacks(&self, hash: Hash, size: u64) -> Result<Reason> {
        match self.tree.too_large.get(&hash) {
            Some(free) => Ok(Reason::NoRoom { size, free: *free }),
            None => withdraw::reason(self.tree, hash),
        }
    }

    /// The files that have a content, after what we did to other names of them.
    pub(crate) fn holders(&self, hash: Hash) -> Result<Vec<Holder>> {
        let mut holders = source::holders(self.tree, hash)?;
        holders.iter_mut().for_each(|holder| holder.known = self.current(&holder.known));
        Ok(holders)
    }

    /// A file that can be renamed to where a content is wanted.
    pub(crate) fn spare_of(&mut self, holders: &[Holder], task: &Task) -> Result<Option<From>> {
        for holder in holders.iter().filter(|holder| holder.spare && task.known.is_none()) {
            if self.may_move(holder, task)?
                && let Some(from) = self.spare(holder)
            {
                return Ok(Some(from));
            }
        }
        Ok(None)
    }

    /// A file that no row wants where it is, and that still is what is known of it.
    fn spare(&mut self, holder: &Holder) -> Option<From> {
        let parent = self.parent(&holder.path).ok()?;
        let (_, name) = name::split(&holder.path);
        let fits = holder.spare && is_as_known(&parent, name, Some(&holder.known)).ok()?;
        let (path, known) = (holder.path.clone(), holder.known.clone());
        fits.then(|| From::Path { holder: Box::new(Holder { path, known, spare: true }), parent })
    }

    pub(crate) fn stage_copy(&self, hash: Hash, from: &mut impl io::Read) -> std::result::Result<(), Reason> {
        copy(&self.tree.root.own().staging, hash, from)
    }

    /// Copies a content from the trash, if it is there and still what it was. What is in the trash stays: versions name it.
    fn out_of_trash(&self, hash: Hash) -> std::result::Result<(), Reason> {
        let mut file = self.tree.root.own().trash.open(hash.to_string()).map_err(reason)?;
        self.stage_copy(hash, &mut file)
    }
}

/// Copies a content into the staging directory; nothing is there under its hash that is not it.
pub(crate) fn copy(staging: &Dir, hash: Hash, from: &mut impl io::Read) -> std::result::Result<(), Reason> {
    copy_to(staging, staging, hash, from, |_| Ok(()))
}

/// Puts a file that was staged into the trash. What has another name elsewhere may still be written to under that, and is
/// copied: what lies in the trash is nobody's any more.
pub(crate) fn into_trash(own: &Own, staged: &str, hash: Hash, links: u64) -> std::result::Result<(), Reason> {
    let name = hash.to_string();
    if links < 2 {
        return own.staging.rename(staged, &own.trash, &name, Onto::Anything).map_err(reason);
    }
    if own.trash.look(&name).map_err(reason)?.is_none() {
        let mut file = own.staging.open(staged).map_err(reason)?;
        copy_to(&own.staging, &own.trash, hash, &mut file, File::sync_data)?;
    }
    own.staging.remove(staged).map_err(reason)
}

fn copy_to(
    staging: &Dir,
    into: &Dir,
    hash: Hash,
    from: &mut impl io::Read,
    end: impl FnOnce(&File) -> disk::Result<()>,
) -> std::result::Result<(), Reason> {
    let (new, name) = (format!("{hash}.new"), hash.to_string());
    let copy = || -> io::Result<Hash> {
        let mut both = Hashed { to: staging.create(&new)?, hasher: blake3::Hasher::new(), size: 0 };
        io::copy(from, &mut both)?;
        both.to.resize(both.size)?;
        end(&both.to)?;
        Ok(Hash(*both.hasher.finalize().as_bytes()))
    };
    match copy() {
        Ok(found) if found == hash => staging.rename(&new, into, &name, Onto::Anything).map_err(reason),
        other => {
            let _ = staging.remove(&new);
            Err(other.map_or_else(|e| Reason::System(e.to_string()), |_| Reason::Changed))
        }
    }
}

/// Keeps the content of a file of the tree, which somebody may write to at any time. An empty one need not be kept.
pub(crate) fn keep(root: &Root, path: &[u8], content: &Content) -> std::result::Result<(), Reason> {
    let Content::File { hash, size: 1.., .. } = content else { return Ok(()) };
    let staging = &root.own().staging;
    if matches!(staging.look(hash.to_string()), Ok(Some(_))) {
        return Ok(());
    }
    let (parent, name) = root.parent(path).map_err(reason)?;
    copy(staging, *hash, &mut parent.open(name).map_err(reason)?)
}

/// Whether a content is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// It is, and stays.
    Here,
    /// It is not.
    Nowhere,
    /// It should be, but cannot be read now.
    Unknown,
}

/// Sees to it that a content which is here stays here, whatever somebody writes to the file that it is in.
pub(crate) fn secure(tree: &Tree, hash: Hash) -> Result<Whereabouts> {
    let own = tree.root.own();
    for place in [&own.staging, &own.trash] {
        match place.look(hash.to_string()) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(Whereabouts::Here),
            Err(_) => return Ok(Whereabouts::Unknown),
        }
    }
    let holders = source::holders(tree, hash)?;
    let is_copied = holders.iter().any(|holder| {
        let file = source::open_holder(tree, holder).ok().flatten();
        file.is_some_and(|mut file| copy(&own.staging, hash, &mut file).is_ok())
    });
    Ok(match (is_copied, holders.is_empty()) {
        (true, _) => Whereabouts::Here,
        (false, true) => Whereabouts::Nowhere,
        (false, false) => Whereabouts::Unknown,
    })
}

/// Writes and hashes; zeros become holes.
struct Hashed {
    to: File,
    hasher: blake3::Hasher,
    size: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().any(|b| *b != 0) {
            self.to.write_all_at(bytes, self.size)?;
        }
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
