//! A look at a tree from outside: how much is in it, what a person may want back. Reads the index only, beside whoever works
//! on it; the one exception is [`remove`], which takes everything of ours away.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};
use sync_store::{Result, StoreError, Trouble};

use crate::cells::Content;
use crate::index::{Look, fault, file_of, hash};
use crate::name;
use crate::trash::Version;

/// What a tree holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files.
    pub files: u64,
    /// Those that are copies of concurrent edits.
    pub copies: u64,
}

/// A file that keeps what lost against a concurrent edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The path of the copy.
    pub path: Vec<u8>,
    /// Its size.
    pub size: u64,
    /// When it was modified, in nanoseconds since the Unix epoch.
    pub mtime: i64,
}

/// What the name of a copy has in it; a directory's name does not make its files copies.
const IS_COPY: &str = "kind='f' AND instr(path, CAST(' (conflict ' AS BLOB))>0";

/// What a tree holds; nothing if there is no index.
///
/// # Errors
/// If the index cannot be read.
pub fn summary(index: &Path) -> Result<Option<Summary>> {
    look(index, |look| {
        let files = look.one::<i64>("SELECT COUNT(*) FROM entry WHERE kind='f'", [])?.unwrap_or_default();
        let copies = copied(look)?.len() as u64;
        Ok(Summary { files: files.cast_unsigned(), copies })
    })
}

/// The copies of concurrent edits that are there, by path.
///
/// # Errors
/// As [`summary`].
pub fn copies(index: &Path) -> Result<Vec<Copied>> {
    Ok(look(index, copied)?.unwrap_or_default())
}

fn copied(look: Look) -> Result<Vec<Copied>> {
    let query = format!("SELECT path, content FROM entry WHERE {IS_COPY} ORDER BY path");
    let all = look.all(&query, [], |row| {
        let (path, content): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let (size, mtime) = match Content::unpack(&content) {
            Ok(Content::File { size, mtime, .. }) => (size, mtime),
            _ => (0, 0),
        };
        Ok(Copied { path, size, mtime })
    })?;
    Ok(all.into_iter().filter(|copy| name::is_conflict(&copy.path)).collect())
}

/// Versions in the trash of this path and of all below it, newest first; of everything if the path is empty.
///
/// # Errors
/// As [`summary`].
pub fn trashed(index: &Path, path: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Version)>> {
    let (from, to) = name::below(path);
    let query = "SELECT path, at, hash, size, mtime FROM trash WHERE path<>x'' AND (?1=x'' OR path=?1 OR (path>=?2 AND path<?3)) \
         ORDER BY at DESC, path LIMIT ?4";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = look(index, |look| {
        look.all(query, params![path, from, to, limit], |row| {
            let size = row.get::<_, i64>(3)?.cast_unsigned();
            Ok((row.get(0)?, Version { at: row.get(1)?, hash: hash(row, 2)?, size, mtime: row.get(4)? }))
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// Removes the marker, the trash and what is staged from a directory, and the index. The documents stay as they are.
///
/// # Errors
/// If something cannot be removed.
pub fn remove(root: &Path, index: &Path) -> Result<()> {
    let own = root.join(OsStr::from_bytes(name::OWN));
    // A link in the place of our directory is not followed: it is not ours.
    let is_ours = own.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    if is_ours {
        fs::remove_dir_all(&own).map_err(|e| kept(&own, &e))?;
    }
    for ending in ["", "-wal", "-shm"] {
        let path = file_of(index, ending);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(kept(&path, &e)),
            _ => {}
        }
    }
    Ok(())
}

fn kept(path: &Path, e: &std::io::Error) -> StoreError {
    StoreError::new(Trouble::Failure, format!("cannot remove {}: {e}", path.display()))
}

/// Looks into an index, if there is one and it has been set up.
pub(crate) fn look<T>(index: &Path, read: impl FnOnce(Look) -> Result<T>) -> Result<Option<T>> {
    if !index.exists() {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(index, flags).map_err(fault)?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(fault)?;
    connection.pragma_update(None, "query_only", true).map_err(fault)?;
    let looked = Look::on(&connection);
    let is_set_up = looked.one::<i64>("SELECT 1 FROM sqlite_master WHERE name='trash'", [])?.is_some();
    if is_set_up { read(looked).map(Some) } else { Ok(None) }
}
