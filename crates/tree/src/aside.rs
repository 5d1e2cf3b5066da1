//! What was moved out of its place lies in the staging directory for a moment, under a name that says of which path it was and what
//! was known to be there. Should we die in that moment, that tells what somebody wrote right before it was moved: it goes back to
//! its place, as it would have in the next moment.

use std::fmt;

use sync_store::{Hash, Result};

use crate::cells::Content;
use crate::disk::{self, Onto};
use crate::index;
use crate::look::{self, Known, Seen};
use crate::tree::Tree;

/// So the names begin.
const ASIDE: &str = "aside-";

/// Paths that are looked at together.
const PAGE: usize = 1000;

/// The name of what is moved aside, but for a number.
pub(crate) struct Aside {
    path: String,
    known: String,
}

impl Aside {
    /// Of what is at a path that this is known of.
    pub(crate) fn of(path: &[u8], known: &Known) -> Self {
        Aside { path: of_path(path), known: of_content(index::hash_of(&known.cells.content)) }
    }
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ASIDE}{}-{}", self.path, self.known)
    }
}

fn of_path(path: &[u8]) -> String {
    of_content(Some(Hash(*blake3::hash(path).as_bytes())))
}

/// The beginning is enough to tell it from others; of what is no file there is none.
fn of_content(hash: Option<Hash>) -> String {
    hash.map_or_else(|| "none".to_owned(), |hash| hash.to_string().chars().take(32).collect())
}

/// Whether something of this name was moved aside.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(ASIDE)
}

/// Puts a file with this content back to its place, if that is not what was known of it, and its place is free or holds what we put
/// there for it; says whether it did.
pub(crate) fn put_back(tree: &Tree, name: &str, found: Hash) -> Result<bool> {
    let Some((of, known)) = name.strip_prefix(ASIDE).and_then(|rest| rest.split_once('-')) else { return Ok(false) };
    let is_as_known = known.starts_with(&of_content(Some(found)));
    let path = if is_as_known { None } else { path_of(tree, of)? };
    let Some(path) = path else { return Ok(false) };
    let wanted = tree.index.look().entry(&path)?.map(|cells| cells.content);
    Ok(move_back(tree, name, &path, wanted).unwrap_or(false))
}

/// The path that this is said of: one at which something is to be done.
fn path_of(tree: &Tree, of: &str) -> Result<Option<Vec<u8>>> {
    let mut after = Vec::new();
    loop {
        let query = format!("SELECT path FROM pending WHERE path>? ORDER BY path LIMIT {PAGE}");
        let page: Vec<Vec<u8>> = tree.index.look().all(&query, [&after], |row| row.get(0))?;
        let Some(last) = page.last() else { return Ok(None) };
        after.clone_from(last);
        if let Some(path) = page.into_iter().find(|path| of_path(path) == of) {
            return Ok(Some(path));
        }
    }
}

fn move_back(tree: &Tree, name: &str, path: &[u8], wanted: Option<Content>) -> disk::Result<bool> {
    let (directory, leaf) = tree.root.parent(path)?;
    let staging = &tree.root.own().staging;
    if directory.look(leaf)?.is_none() {
        return staging.rename(name, &directory, leaf, Onto::Nothing).map(|()| true);
    }
    let Some(Content::File { hash, .. }) = wanted else { return Ok(false) };
    if !look::content_of(&directory, leaf).is_ok_and(|(found, _)| found == hash) {
        return Ok(false);
    }
    staging.rename(name, &directory, leaf, Onto::Exchange)?;
    // What we had put there has its name again; one that is at other paths as well comes once more.
    let is_alone = staging.look(name)?.is_some_and(|stat| Seen::of(&stat).links == 1);
    match is_alone {
        true => staging.rename(name, staging, hash.to_string(), Onto::Anything)?,
        false => staging.remove(name)?,
    }
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cells::Cells;
    use crate::{leftovers, testing};

    /// A site that died after it had moved away what was at `report.txt`: `aside`, where "old" was known. What is there now, as
    /// "new" was to be, is `there`. Says what is there after it was started anew, and what then lies in our own directories.
    fn after_a_crash(aside: &str, there: Option<&str>) -> (Option<String>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let mut tree = testing::tree(&directory, &[("report.txt", b"old")]);
        let place = directory.path().join("root/report.txt");
        let staging = directory.path().join("root/.server_sync/staging");
        let known = tree.index.look().known(b"report.txt").unwrap().unwrap();
        let new = Content::File { hash: Hash(*blake3::hash(b"new").as_bytes()), size: 3, mtime: 7 };
        let writing = tree.index.begin().unwrap();
        writing.put_entry(b"report.txt", &Cells { content: new, ..known.cells.clone() }).unwrap();
        writing.commit().unwrap();
        fs::rename(&place, staging.join(format!("{}-3", Aside::of(b"report.txt", &known)))).unwrap();
        fs::write(staging.join(format!("{}-3", Aside::of(b"report.txt", &known))), aside).unwrap();
        there.into_iter().for_each(|there| fs::write(&place, there).unwrap());
        leftovers::check(&mut tree).unwrap();
        let own = ["staging", "trash"].map(|name| directory.path().join("root/.server_sync").join(name));
        let items = own.into_iter().flat_map(|own| fs::read_dir(own).unwrap());
        let left = items.map(|item| fs::read_to_string(item.unwrap().path()).unwrap()).collect();
        (fs::read_to_string(place).ok(), left)
    }

    #[test]
    fn what_somebody_had_just_written_goes_back() {
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(after_a_crash("edited", Some("new")), (is("edited"), vec!["new".to_owned()]));
        assert_eq!(after_a_crash("edited", None), (is("edited"), Vec::new()));
    }

    #[test]
    fn all_else_goes_to_the_trash() {
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(after_a_crash("old", Some("new")), (is("new"), vec!["old".to_owned()]));
        assert_eq!(after_a_crash("old", None), (None, vec!["old".to_owned()]));
        assert_eq!(after_a_crash("edited", Some("edited again")), (is("edited again"), vec!["edited".to_owned()]));
    }
}
