//! What must hold in a world of directories: after a round, at the end, and of what is done afterwards.

use std::collections::BTreeSet;

use super::World;
use crate::failure::{Failure, Result};
use crate::site::name;
use crate::tap::lock;
use crate::trees::action::Action;
use crate::trees::desktop::text;
use crate::trees::site::Listing;

impl World {
    /// With faults a round may have put something into the trash already, and leave putting it where it belongs to the next: the
    /// copy of an edit that lost, a file that was moved to where the other side could not read it. Of such a move a third site can hear
    /// the one half first: the content is in its trash then, and in a file at another site, at another path.
    pub(super) fn nothing_vanished(
        &self,
        site: usize,
        before: &BTreeSet<(Vec<u8>, Vec<u8>)>,
        has_faults: bool,
    ) -> Result<()> {
        let mut after = self.contents(|i| i == site)?;
        if has_faults {
            // It may not even have come to making one.
            after.extend(self.sites[site].own("trash").unwrap_or_default());
        } else if self.had_faults {
            let others = self.places(|i| i != site)?;
            let (stays, moved): (Vec<_>, Vec<_>) = others.into_iter().partition(|place| before.contains(place));
            let is = |places: &[(Vec<u8>, Vec<u8>)], content: &Vec<u8>| places.iter().any(|(_, c)| c == content);
            let trash = self.sites[site].own("trash").unwrap_or_default();
            after.extend(trash.into_iter().filter(|content| is(&moved, content) && !is(&stays, content)));
        }
        let journal = lock(&self.journal);
        let is_missed = |content: &&Vec<u8>| journal.contents.get(*content).is_some_and(|w| !w.destroyed && !w.copied);
        match before.iter().map(|(_, content)| content).find(|content| !after.contains(*content) && is_missed(content))
        {
            None => Ok(()),
            Some(content) => {
                Err(Failure::new(format!("a round takes a content away: {} at {}", text(content), name(site))))
            }
        }
    }

    /// No content at any path that nobody wrote.
    pub(super) fn all_was_written(&self, site: usize) -> Result<()> {
        let journal = lock(&self.journal);
        for (path, (_, content)) in self.sites[site].listing()? {
            if let Some(content) = content.filter(|c| !journal.contents.contains_key(c)) {
                let (path, content) = (path.escape_ascii(), text(&content));
                return Err(Failure::new(format!(
                    "a content that nobody wrote: {content} at {path} of {}",
                    name(site)
                )));
            }
        }
        Ok(())
    }

    /// The contents of the files of some sites.
    pub(super) fn contents(&self, of: impl Fn(usize) -> bool) -> Result<BTreeSet<Vec<u8>>> {
        Ok(self.places(of)?.into_iter().map(|(_, content)| content).collect())
    }

    /// The paths and contents of files at these sites.
    pub(super) fn places(&self, of: impl Fn(usize) -> bool) -> Result<BTreeSet<(Vec<u8>, Vec<u8>)>> {
        let mut all = BTreeSet::new();
        for site in self.sites.iter().filter(|site| of(site.place)) {
            all.extend(site.listing()?.into_iter().filter_map(|(path, (_, content))| Some((path, content?))));
        }
        Ok(all)
    }

    pub(super) fn judge(&mut self) -> Result<()> {
        self.equal()?;
        let listing = self.sites[0].listing()?;
        self.counts.paths = listing.len() as u64;
        self.counts.copies = listing.keys().filter(|path| path.windows(10).any(|w| w == b"(conflict ")).count() as u64;
        for site in &self.sites {
            if let Some(left) = site.own("staging")?.first() {
                return Err(Failure::new(format!(
                    "left in the staging directory: {} at {}",
                    text(left),
                    name(site.place)
                )));
            }
        }
        let living: BTreeSet<&Vec<u8>> = listing.values().filter_map(|(_, content)| content.as_ref()).collect();
        for (content, written) in &lock(&self.journal).contents {
            if !written.destroyed && !living.contains(content) {
                let found = self.where_is(content)?;
                return Err(Failure::new(format!(
                    "a content is lost: {}, written as {}; {found}",
                    text(content),
                    written.by
                )));
            }
        }
        Ok(())
    }

    fn where_is(&self, content: &Vec<u8>) -> Result<String> {
        let mut found = Vec::new();
        for site in &self.sites {
            if site.own("trash")?.contains(content) {
                found.push(name(site.place));
            }
        }
        Ok(format!("in the trash of {found:?}"))
    }

    fn equal(&self) -> Result<()> {
        let first = self.sites[0].listing()?;
        for site in &self.sites[1..] {
            let other = site.listing()?;
            if let Some(different) = difference(&first, &other) {
                return Err(Failure::new(format!("not equal: {} and {}\n{different}", name(0), name(site.place))));
            }
        }
        Ok(())
    }

    /// What is written, renamed and deleted now arrives everywhere as if nothing had ever happened.
    pub(super) fn afterwards(&mut self) -> Result<()> {
        for site in [0, self.sites.len() - 1] {
            for n in 0..3 {
                self.act(site, &Action::Write { pick: 7 * n, name: 5 + n, large: false });
            }
            self.act(site, &Action::Save { pick: 3, large: false });
            self.settle()?;
            self.judge()?;
            self.act(site, &Action::Delete { pick: 1 });
            self.act(site, &Action::Rename { pick: 2, name: 9 });
            let wanted = self.sites[site].listing()?;
            self.settle()?;
            self.judge()?;
            if let Some(different) = difference(&wanted, &self.sites[site].listing()?) {
                return Err(Failure::new(format!("what is done afterwards does not stay: {different}")));
            }
        }
        Ok(())
    }
}

fn difference(a: &Listing, b: &Listing) -> Option<String> {
    let line = |all: &Listing, path: &Vec<u8>| match all.get(path) {
        None => "nothing".to_owned(),
        Some((line, content)) => format!("{line} {}", content.as_deref().map(text).unwrap_or_default()),
    };
    let paths: BTreeSet<&Vec<u8>> = a.keys().chain(b.keys()).collect();
    let different = paths.into_iter().find(|path| a.get(*path) != b.get(*path))?;
    Some(format!("{}: {} and {}", different.escape_ascii(), line(a, different), line(b, different)))
}
