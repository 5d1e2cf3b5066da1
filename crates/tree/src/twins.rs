//! Who is whose twin: paths that are one file on the disk (hard links) get the same twin in their rows. Judged once a scan
//! has looked at all names of a file; which files that is to be done for is written down with what was found, so that
//! dying loses none. Changes rows and index only.
//!
//! A name keeps its twin as long as it names the same file, also if it is the last one: somebody may be giving that file
//! another name elsewhere. A new twin follows from the first path, so that sites that join the same paths make the same
//! one, and no row need be compared with another for that.

use rusqlite::params;
use sync_store::Result;

use crate::cells::TWIN;
use crate::index::{Index, Look, SEEN, Writing, columns_of, seen};
use crate::look::Seen;

/// Files that are judged in one transaction.
const PAGE: usize = 200;

/// A file has several names, and something about them changed.
pub fn note(writing: &Writing, seen: &Seen) -> Result<()> {
    let (device, inode) = (seen.device.cast_signed(), seen.inode.cast_signed());
    writing.run("INSERT OR IGNORE INTO joined (dev, ino) VALUES (?,?)", params![device, inode]).map(drop)
}

/// The paths at which a file is known to be.
pub fn names(look: Look, inode: u64) -> Result<Vec<Vec<u8>>> {
    look.all("SELECT path FROM disk WHERE ino=? ORDER BY path", [inode.cast_signed()], |row| row.get(0))
}

/// Judges all files that were noted.
pub fn judge(index: &mut Index, mut moment: impl FnMut() -> Result<()>) -> Result<()> {
    let mut last = (i64::MIN, i64::MIN);
    loop {
        let query = format!("SELECT dev, ino FROM joined WHERE (dev, ino)>(?,?) ORDER BY dev, ino LIMIT {PAGE}");
        let page: Vec<(i64, i64)> =
            index.look().all(&query, params![last.0, last.1], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some(end) = page.last() else { return Ok(()) };
        last = *end;
        moment()?;
        let writing = index.begin()?;
        for (device, inode) in page {
            if judge_one(&writing, device, inode)? {
                writing.run("DELETE FROM joined WHERE dev=? AND ino=?", params![device, inode])?;
            }
        }
        writing.commit()?;
    }
}

/// One name of a file.
struct Name {
    path: Vec<u8>,
    twin: Vec<u8>,
    seen: Seen,
    /// The twin that its row wants, if it has a row.
    wanted: Option<Vec<u8>>,
}

impl Name {
    /// Nothing about it is still to be made.
    fn is_settled(&self) -> bool {
        self.wanted.as_ref() == Some(&self.twin)
    }
}

/// Says whether that is all there is to say of it: what was not looked at since it changed may be another file by now.
fn judge_one(writing: &Writing, device: i64, inode: i64) -> Result<bool> {
    let query = format!(
        "SELECT d.path, d.twin, e.twin, {} FROM disk d LEFT JOIN entry e ON e.path=d.path \
         WHERE d.ino=? AND d.dev=? AND d.links>1 AND NOT ignored(d.path, 0) ORDER BY d.path",
        columns_of("d", SEEN)
    );
    let all = writing.look().all(&query, params![inode, device], |row| {
        Ok(Name { path: row.get(0)?, twin: row.get(1)?, wanted: row.get(2)?, seen: seen(row, 3)? })
    })?;
    let Some(newest) = all.iter().max_by_key(|name| name.seen.ctime).map(|name| name.seen.clone()) else {
        return Ok(true);
    };
    let (names, stale): (Vec<Name>, Vec<Name>) = all.into_iter().partition(|name| name.seen == newest);
    if names.len() > 1 {
        join(writing, &names)?;
    }
    Ok(stale.is_empty())
}

fn join(writing: &Writing, names: &[Name]) -> Result<()> {
    let settled = names.iter().filter(|name| name.is_settled()).map(|name| &name.twin);
    let wanted = names.iter().filter_map(|name| name.wanted.as_ref());
    let is_one = |twin: &&Vec<u8>| twin.len() == TWIN;
    let twin = match settled.filter(is_one).min().or_else(|| wanted.filter(is_one).min()) {
        Some(twin) => twin.clone(),
        None => new_twin(writing, names)?,
    };
    for name in names.iter().filter(|name| name.twin != twin) {
        // What its row wants is still to be made, and is seen to differ from what is there.
        if name.is_settled() {
            writing.run("UPDATE entry SET twin=? WHERE path=?", params![twin, name.path])?;
        }
        writing.run("UPDATE disk SET twin=? WHERE path=?", params![twin, name.path])?;
    }
    Ok(())
}

/// One that no other path has.
fn new_twin(writing: &Writing, names: &[Name]) -> Result<Vec<u8>> {
    let first = names.first().map(|name| name.path.as_slice()).unwrap_or_default();
    let mut number = 0_u32;
    loop {
        let twin = candidate(first, number);
        let holders: Vec<Vec<u8>> =
            writing.look().all("SELECT path FROM entry WHERE twin=? AND twin<>x''", [&twin], |row| row.get(0))?;
        let is_name = |path: &Vec<u8>| names.binary_search_by(|name| name.path.cmp(path)).is_ok();
        if holders.iter().all(is_name) {
            return Ok(twin);
        }
        number += 1;
    }
}

fn candidate(path: &[u8], number: u32) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_be_bytes()).update(path);
    hasher.finalize().as_bytes()[..TWIN].to_vec()
}
