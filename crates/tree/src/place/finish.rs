//! The end of a batch: contents are made safe, each file is renamed into its place, directories are made safe, and the index is
//! written; in this order.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustix::io::Errno;
use sync_store::{Reason, Result};

use super::{Batch, Done, From, MANY, Origin, Prepared, Task};
use crate::aside::Aside;
use crate::disk::{Dir, Onto, Slip};
use crate::look::{Known, Seen, is_as_known, reason};
use crate::{name, newcomers, parts, trash};

impl Batch<'_> {
    /// Renames what is prepared into its place, and writes down what was done.
    pub fn finish(&mut self) -> Result<()> {
        if !self.prepared.is_empty() {
            self.tree.moment("realise: prepared")?;
            self.make_contents_safe();
            self.slip()?;
        }
        self.contents.clear();
        for prepared in std::mem::take(&mut self.prepared) {
            self.tree.moment("realise: place")?;
            if let Err(reason) = self.place(&prepared) {
                self.report.skip(&prepared.task.path, reason);
            }
        }
        self.parents.clear();
        self.joined.end_batch();
        let touched = std::mem::take(&mut self.touched);
        if !touched.is_empty() {
            self.tree.moment("realise: placed")?;
            self.make_places_safe(&touched);
        }
        self.write_down()
    }

    /// What the system may still lose is not said to be there: the next scan looks again.
    fn make_places_safe(&mut self, touched: &BTreeMap<Vec<u8>, Rc<Dir>>) {
        let own = self.tree.root.own();
        if touched.len() > MANY && own.trash.sync_file_system().is_ok() {
            return;
        }
        if self.done.iter().any(|done| matches!(done, Done::Trashed { .. })) {
            let _ = own.trash.sync();
        }
        for (path, directory) in touched {
            let Err(e) = directory.sync() else { continue };
            let is_in = |done: &Done| name::split(done.path()).0 == path.as_slice();
            for done in self.done.iter().filter(|done| is_in(done)) {
                self.report.skip(done.path(), reason(e));
            }
            self.done.retain(|done| !is_in(done));
        }
    }

    /// The mistake of [`Slip::IndexFirst`].
    fn slip(&mut self) -> Result<()> {
        if !self.tree.root.disk().slips(Slip::IndexFirst) {
            return Ok(());
        }
        let writing = self.tree.index.begin()?;
        for Prepared { task, from, dressed, .. } in &self.prepared {
            if let From::Staged { name, .. } = from
                && let Ok(Some(stat)) = self.tree.root.own().staging.look(name)
            {
                let (cells, attributes) = (task.cells.clone(), dressed.attributes.clone());
                writing.put_known(&task.path, &Known { cells, seen: Seen::of(&stat), attributes, racy: true })?;
            }
        }
        writing.commit()
    }

    /// What cannot be made safe is not put into its place.
    fn make_contents_safe(&mut self) {
        let staging = &self.tree.root.own().staging;
        let is_unsafe = |prepared: &&Prepared| matches!(prepared.from, From::Staged { safe: false, .. });
        if self.prepared.iter().filter(is_unsafe).count() > MANY && staging.sync_file_system().is_ok() {
            return;
        }
        let report = &mut *self.report;
        self.prepared.retain(|prepared| {
            let From::Staged { name, safe: false } = &prepared.from else { return true };
            let made = staging.open(name).and_then(|file| file.sync_data());
            made.map_err(|e| report.skip(&prepared.task.path, reason(e))).is_ok()
        });
    }

    fn place(&mut self, prepared: &Prepared) -> std::result::Result<(), Reason> {
        let Prepared { task, parent, from, dressed } = prepared;
        let (_, name) = name::split(&task.path);
        let known = task.known.as_ref().map(|known| self.current(known));
        let is_seen = self.tree.root.disk().slips(Slip::NoSecondLook);
        if !is_seen && !is_as_known(parent, name, known.as_ref()).map_err(reason)? {
            return Err(Reason::Changed);
        }
        let (mut dressed, mut before) = (dressed.clone(), None);
        match from {
            From::Path { holder, parent: old } => {
                let (_, old_name) = name::split(&holder.path);
                old.rename(old_name, parent, name, Onto::Nothing).map_err(in_the_way)?;
                self.touch(&holder.path, old);
                self.done.push(Done::Gone { path: holder.path.clone() });
                self.report.moved += 1;
                self.report.created += 1;
                before = Some(holder.known.seen.clone()).filter(|seen| seen.links > 1);
            }
            From::Staged { name: staged, .. } => self.put_in_place(task, parent, staged, known.as_ref())?,
            From::Twin(sibling) => {
                let twin = self.twin_of(sibling, task)?;
                self.put_in_place(task, parent, &twin.staged, known.as_ref())?;
                (dressed, before) = (twin.dressed, twin.before);
            }
        }
        self.touch(&task.path, parent);
        let origin = if matches!(from, From::Staged { .. }) { Origin::Staging } else { Origin::Tree };
        let seen = self.note_placed(task, parent, dressed, origin)?;
        if let Some(before) = before {
            self.stir_names(&before, &seen);
        }
        Ok(())
    }

    fn put_in_place(
        &mut self,
        task: &Task,
        parent: &Dir,
        staged: &str,
        known: Option<&Known>,
    ) -> std::result::Result<(), Reason> {
        if let Some(known) = known {
            self.exchange(task, parent, staged, known).inspect_err(|_| self.tree.left_aside = true)?;
            self.report.replaced += 1;
            return Ok(());
        }
        let (_, name) = name::split(&task.path);
        self.tree.root.own().staging.rename(staged, parent, name, Onto::Nothing).map_err(in_the_way)?;
        self.report.created += 1;
        Ok(())
    }

    /// Puts the new file in the place of the old one in one step, and looks at what was displaced.
    fn exchange(&mut self, task: &Task, parent: &Dir, staged: &str, known: &Known) -> std::result::Result<(), Reason> {
        let (_, name) = name::split(&task.path);
        // Should anything fail after the exchange, what was displaced must not be taken for what was staged.
        let aside = self.move_aside(None, staged.as_bytes(), &Aside::of(&task.path, known)).map_err(reason)?;
        let staging = &self.tree.root.own().staging;
        let swap = || staging.rename(&aside, parent, name, Onto::Exchange).map_err(reason);
        let swapped = swap();
        let displaced = if swapped.is_ok() { self.displaced(&aside, known) } else { None };
        let Some(found) = displaced else {
            let undone = swapped.and_then(|()| swap());
            if undone.is_ok() {
                let _ = staging.rename(&aside, staging, staged, Onto::Nothing);
            }
            return Err(undone.err().unwrap_or(Reason::Changed));
        };
        let stays = known.cells.content.is_same(&task.cells.content);
        self.discard(&task.path, &aside, known, (&found, stays))
    }

    fn write_down(&mut self) -> Result<()> {
        if self.done.is_empty() {
            return Ok(());
        }
        self.tree.moment("realise: note")?;
        let keep = self.tree.options.keep;
        let writing = self.tree.index.begin()?;
        let mut superfluous = Vec::new();
        self.joined.write_down(&writing)?;
        // Every path here is on the list of what may differ, and stays there until it is seen to be alike.
        for done in self.done.drain(..) {
            match done {
                Done::Placed { path, known } => writing.put_known(&path, &known)?,
                Done::Gone { path } => writing.delete_known(&path)?,
                Done::Trashed { path, known } => superfluous.extend(trash::note(&writing, &path, &known, keep)?),
            }
        }
        superfluous.iter().try_for_each(|content| parts::drop_superfluous(&writing, *content))?;
        newcomers::note(&writing, self.tree.accounts.take_strangers())?;
        writing.commit()?;
        trash::sweep(self.tree, &superfluous)
    }
}

fn in_the_way(e: Errno) -> Reason {
    if e == Errno::EXIST || e == Errno::NOENT { Reason::Changed } else { reason(e) }
}
