//! What lies in the staging directory and nobody works on: after a crash, and when nothing is to be done any more. Nothing is
//! thrown away that was taken out of the tree; it goes back, if somebody had just written it, and to the trash otherwise.

use rustix::fs::FileType;
use sync_store::{Hash, Result};

use crate::root::{failed, kind};
use crate::tree::Tree;
use crate::{aside, look, parts, trash};

/// After a crash: what was staged is only used if it is whole. What is there under a name that is not its hash was taken
/// out of the tree a moment before, and goes to the trash.
pub fn check(tree: &mut Tree) -> Result<()> {
    staged(tree)?.iter().try_for_each(|name| check_one(tree, name))
}

/// What could not be put back or into the trash when it was moved out of its place goes there now: somebody may just have written
/// it, or rows want it at other paths.
pub fn put_away(tree: &mut Tree) {
    if !tree.left_aside {
        return;
    }
    let mut away = || -> Result<()> {
        let names = staged(tree)?;
        names.iter().filter(|name| aside::is_name(name)).try_for_each(|name| check_one(tree, name))
    };
    // Where it still cannot be, the next time tries again.
    tree.left_aside = away().is_err();
}

fn check_one(tree: &mut Tree, name: &str) -> Result<()> {
    match sound(tree, name)? {
        Sound::Found(hash, _) if aside::put_back(tree, name, hash)? => {}
        Sound::Found(hash, size) => return trash::keep_found(tree, name, hash, size),
        Sound::Keep => {}
        Sound::Drop => drop(tree.root.own().staging.remove(name)),
    }
    Ok(())
}

/// What becomes of a file in the staging directory.
enum Sound {
    Keep,
    Drop,
    Found(Hash, u64),
}

fn sound(tree: &Tree, name: &str) -> Result<Sound> {
    let keep = |is_kept| Ok(if is_kept { Sound::Keep } else { Sound::Drop });
    if let Some(hash) = name.strip_suffix(".part") {
        let known: Option<i64> =
            tree.index.look().one("SELECT 1 FROM chunk WHERE lower(hex(content))=? LIMIT 1", [hash])?;
        return keep(known.is_some());
    }
    if name.ends_with(".new") {
        return keep(false);
    }
    let staging = &tree.root.own().staging;
    Ok(match look::content_of(staging, name) {
        Ok((hash, _)) if hash.to_string() == name => Sound::Keep,
        Ok((hash, size)) => Sound::Found(hash, size),
        // Of a link, the row is still there; what cannot be read may be all there is of it.
        Err(_) => match staging.look(name) {
            Ok(Some(stat)) if kind(&stat) == FileType::Symlink => Sound::Drop,
            _ => Sound::Keep,
        },
    })
}

fn staged(tree: &Tree) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let listed = tree.root.own().staging.below(".").and_then(|directory| {
        directory.list(|name, _| {
            names.push(String::from_utf8_lossy(name).into_owned());
            Ok(())
        })
    });
    listed.map_err(|e| failed("list the staging directory of", tree.root.path(), e))?;
    Ok(names)
}

/// Nothing is to be done any more: what lies in the staging directory is of no use.
pub fn tidy(tree: &mut Tree) -> Result<()> {
    let staged = staged(tree)?;
    let parts: Vec<String> = staged.iter().filter_map(|name| name.strip_suffix(".part").map(str::to_owned)).collect();
    for name in staged {
        // What could not be put into the trash when it was displaced.
        if aside::is_name(&name) {
            check_one(tree, &name)?;
        } else {
            let _ = tree.root.own().staging.remove(&name);
        }
    }
    if tree.sweep {
        parts::drop_all_superfluous(tree)?;
    } else if !parts.is_empty() {
        parts::drop_named(tree, &parts)?;
    }
    tree.sweep = false;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use sync_store::Store;

    use crate::Tree;
    use crate::cells::{Cells, Content};
    use crate::realise::realise;
    use crate::testing;

    fn put(tree: &mut Tree, path: &str, cells: &Cells) {
        let writing = tree.index.begin().unwrap();
        writing.put_entry(path.as_bytes(), cells).unwrap();
        writing.commit().unwrap();
    }

    /// A file that is to be replaced, by a directory or another file, where it cannot be put into the trash at first. It is wanted at
    /// another path, from the beginning or since then. Says whether a directory is there in the end, and what is at the other path.
    fn without_trash(becomes_directory: bool, from_the_beginning: bool) -> (bool, String) {
        let directory = tempfile::tempdir().unwrap();
        let mut tree = testing::tree(&directory, &[("report", b"text"), ("other", b"another")]);
        let at = |path: &str| directory.path().join("root").join(path);
        let [text, other] =
            ["report", "other"].map(|path| tree.index.look().known(path.as_bytes()).unwrap().unwrap().cells);
        let made = Cells { content: Content::Directory, mode: 0o755, ..text.clone() };
        put(&mut tree, "report", if becomes_directory { &made } else { &other });
        if from_the_beginning {
            put(&mut tree, "wanted", &text);
        }
        let in_the_way = at(".server_sync/trash").join(blake3::hash(b"text").to_string());
        fs::create_dir(&in_the_way).unwrap();
        assert!(!realise(&mut tree).unwrap().skipped.is_empty());
        fs::remove_dir(in_the_way).unwrap();
        put(&mut tree, "wanted", &text);
        for _ in 0..2 {
            tree.drain().unwrap();
            realise(&mut tree).unwrap();
        }
        (at("report").is_dir(), fs::read_to_string(at("wanted")).unwrap_or_default())
    }

    #[test]
    fn what_could_not_be_put_into_the_trash_is_not_forgotten() {
        for (is_directory, from_the_beginning) in [(true, true), (true, false), (false, true), (false, false)] {
            let found = without_trash(is_directory, from_the_beginning);
            assert_eq!(found, (is_directory, "text".to_owned()), "{from_the_beginning}");
        }
    }
}
