//! The trash: what was replaced or deleted by us lies there under its hash, with a line for each version of a path. It
//! serves moves that arrive late, chunks of new contents, and a person who wants a file back.

use rusqlite::params;
use sync_store::{Hash, Reason, Result, StoreError, Trouble};

use crate::cells::{Account, Cells, Content};
use crate::index::{Look, Writing, hash};
use crate::look::{self, Known, Seen, now};
use crate::name;
use crate::parts;
use crate::retention::Keep;
use crate::root::failed;
use crate::tree::Tree;
use crate::{source, stage};

/// A version of a path that can be brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// When it was replaced or deleted, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Its content.
    pub hash: Hash,
    /// Its size.
    pub size: u64,
    /// When it had been modified, in nanoseconds since the Unix epoch.
    pub mtime: i64,
}

/// The time as the trash counts it.
pub fn millis() -> i64 {
    now() / 1_000_000
}

/// Writes down that a version of a path was put into the trash; says which contents may have become superfluous.
pub fn note(writing: &Writing, path: &[u8], known: &Known, keep: Keep) -> Result<Vec<Hash>> {
    let Content::File { hash, size, mtime } = known.cells.content else { return Ok(Vec::new()) };
    let Cells { mode, owner, group, attributes, .. } = &known.cells;
    let now = millis();
    writing.run(
        "INSERT OR REPLACE INTO trash (path, at, hash, size, mode, owner, grp, xattrs, mtime) VALUES (?,?,?,?,?,?,?,?,?)",
        params![path, now, hash.0, size.cast_signed(), mode, owner, group, attributes, mtime],
    )?;
    // What a row wants is not a version but a content on its way to its place.
    let query = "SELECT at FROM trash t WHERE path=? AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.hash=t.hash)";
    let versions = writing.look().all(query, [path], |row| row.get(0))?;
    keep.superfluous(versions, now).into_iter().map(|at| forget(writing, path, at)).collect()
}

fn forget(writing: &Writing, path: &[u8], at: i64) -> Result<Hash> {
    let found =
        writing.look().first("SELECT hash FROM trash WHERE path=? AND at=?", params![path, at], |row| hash(row, 0))?;
    writing.run("DELETE FROM trash WHERE path=? AND at=?", params![path, at])?;
    Ok(found.unwrap_or(Hash([0; 32])))
}

/// Removes contents that no version names any more.
pub fn sweep(tree: &Tree, contents: &[Hash]) -> Result<()> {
    for content in contents {
        let named: Option<i64> = tree.index.look().one("SELECT 1 FROM trash WHERE hash=? LIMIT 1", [content.0])?;
        if named.is_none() {
            let _ = tree.root.own().trash.remove(content.to_string());
        }
    }
    Ok(())
}

/// Removes what is too old.
pub fn expire(tree: &mut Tree) -> Result<()> {
    let longest = i64::try_from(tree.options.keep.longest.as_millis()).unwrap_or(i64::MAX);
    let before = millis().saturating_sub(longest);
    loop {
        let old = tree.index.look().all("SELECT path, at FROM trash WHERE at<? LIMIT 500", [before], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
        })?;
        if old.is_empty() {
            return Ok(());
        }
        let writing = tree.index.begin()?;
        let contents = old.iter().map(|(path, at)| forget(&writing, path, *at)).collect::<Result<Vec<_>>>()?;
        contents.iter().try_for_each(|content| parts::drop_superfluous(&writing, *content))?;
        writing.commit()?;
        sweep(tree, &contents)?;
    }
}

/// The trash said that it has a content, and has not: it has to come from elsewhere.
pub fn disown(tree: &mut Tree, content: Hash) -> Result<()> {
    let writing = tree.index.begin()?;
    writing.run("DELETE FROM trash WHERE hash=?", [content.0])?;
    writing.commit()
}

/// Keeps a file that a crash left in the staging directory. Its path is not known any more.
pub fn keep_found(tree: &mut Tree, staged: &str, content: Hash, size: u64) -> Result<()> {
    let own = tree.root.own();
    let failed = |e: Reason| failed("keep what was left in", tree.root.path(), e);
    let links = own.staging.look(staged).map_err(|e| failed(look::reason(e)))?.map_or(1, |stat| Seen::of(&stat).links);
    stage::into_trash(own, staged, content, links).map_err(failed)?;
    let writing = tree.index.begin()?;
    let next: Option<i64> = writing.look().one("SELECT COALESCE(MAX(at)+1,0) FROM trash WHERE path=x''", [])?;
    let at = next.unwrap_or_default().max(millis());
    writing.run(
        "INSERT INTO trash (path, at, hash, size, mode, owner, grp, xattrs, mtime) VALUES (x'',?,?,?,384,?,?,x'',0)",
        params![at, content.0, size.cast_signed(), Account::NOBODY, Account::NOBODY],
    )?;
    writing.commit()
}

/// The versions of a path, newest first.
pub fn versions(look: Look, path: &[u8]) -> Result<Vec<Version>> {
    look.all("SELECT at, hash, size, mtime FROM trash WHERE path=? ORDER BY at DESC", [path], |row| {
        Ok(Version {
            at: row.get(0)?,
            hash: hash(row, 1)?,
            size: row.get::<_, i64>(2)?.cast_unsigned(),
            mtime: row.get(3)?,
        })
    })
}

/// Writes a version back as the row of its path.
pub fn bring_back(tree: &mut Tree, path: &[u8], at: i64) -> Result<()> {
    name::check(path)?;
    let query = "SELECT hash, size, mtime, mode, owner, grp, xattrs FROM trash WHERE path=? AND at=?";
    let found = tree.index.look().first(query, params![path, at], |row| {
        let content =
            Content::File { hash: hash(row, 0)?, size: row.get::<_, i64>(1)?.cast_unsigned(), mtime: row.get(2)? };
        let (mode, owner, group) = (row.get(3)?, row.get(4)?, row.get(5)?);
        // Whoever wants one file as it was does not want its twins to be so.
        Ok(Cells { content, mode, owner, group, attributes: row.get(6)?, twin: Vec::new() })
    })?;
    let is_there = match found.as_ref().map(|cells| &cells.content) {
        Some(Content::File { hash, .. }) => source::open(tree, *hash)?.is_some(),
        _ => false,
    };
    let Some(cells) = found.filter(|_| is_there) else { return Err(no_version(path)) };
    let writing = tree.index.begin()?;
    writing.put_entry(path, &cells)?;
    writing.commit()
}

fn no_version(path: &[u8]) -> StoreError {
    StoreError::new(Trouble::Configuration, format!("the trash has no such version of {}", name::shown(path)))
        .hint("list the versions of the path first")
}
