//! Making the disk like the rows. What is to be done is what differs between `entry` and `disk`, read page by page:
//! directories from above, files and links, what goes from below, files that a directory was in the way of, and last the
//! permissions of directories, which may forbid writing to them.

use std::rc::Rc;

use rusqlite::params;
use sync_store::{Realised, Reason, Result};

use crate::cells;
use crate::contents;
use crate::index::{self, CELLS, KNOWN};
use crate::place::{Batch, Task};
use crate::trash;
use crate::tree::Tree;

/// Rows read at a time.
const PAGE: usize = 200;

/// Conditions on a row and what is known of its path. What is ignored here is left as it is.
const LACKING_DIRECTORY: &str = "e.kind='d' AND (d.path IS NULL OR d.kind<>100) AND NOT ignored(e.path, 1)";
const DIFFERING_FILE: &str = "e.kind<>'d' AND (d.path IS NULL OR d.content<>e.content OR d.mode<>e.mode OR d.owner<>e.owner \
     OR d.grp<>e.grp OR d.xattrs<>e.xattrs OR d.twin<>e.twin) AND NOT ignored(e.path, 0)";
const DIFFERING_DIRECTORY: &str = "e.kind='d' AND d.kind=100 AND (d.mode<>e.mode OR d.owner<>e.owner OR d.grp<>e.grp \
     OR d.xattrs<>e.xattrs OR d.twin<>e.twin) AND NOT ignored(e.path, 1)";

/// Any of these.
const DIFFERING: &str = "FROM entry e LEFT JOIN disk d ON d.path=e.path WHERE (d.path IS NULL OR d.content<>e.content \
     OR d.mode<>e.mode OR d.owner<>e.owner OR d.grp<>e.grp OR d.xattrs<>e.xattrs OR d.twin<>e.twin) AND NOT ignored(e.path, e.kind='d')";
/// Paths without a row.
const LEFT: &str =
    "FROM disk d LEFT JOIN entry e ON e.path=d.path WHERE e.path IS NULL AND NOT ignored(d.path, d.kind=100)";

/// Whether anything is to be done.
pub fn is_due(tree: &Tree) -> Result<bool> {
    let query = format!("SELECT 1 WHERE EXISTS (SELECT 1 {DIFFERING}) OR EXISTS (SELECT 1 {LEFT})");
    Ok(tree.index.look().one::<i64>(&query, [])?.is_some())
}

/// At how many paths.
pub fn due(tree: &Tree) -> Result<u64> {
    let look = tree.index.look();
    let count = |rows: &str| look.one::<i64>(&format!("SELECT COUNT(*) {rows}"), []);
    let (differing, left) = (count(DIFFERING)?, count(LEFT)?);
    Ok((differing.unwrap_or_default() + left.unwrap_or_default()).cast_unsigned())
}

/// Does it.
pub fn realise(tree: &mut Tree) -> Result<Realised> {
    let mut report = Realised::default();
    if tree.is_at_rest()? {
        return Ok(report);
    }
    if !is_due(tree)? {
        contents::tidy(tree)?;
        tree.comes_to_rest()?;
        return Ok(report);
    }
    tree.stir();
    let mut batch = Batch::new(tree, &mut report);
    directories(&mut batch)?;
    files(&mut batch, Blocked::Later)?;
    deletions(&mut batch)?;
    files(&mut batch, Blocked::Now)?;
    permissions(&mut batch)?;
    let is_done = !is_due(tree)?;
    if is_done {
        contents::tidy(tree)?;
    }
    trash::expire(tree)?;
    if is_done {
        tree.comes_to_rest()?;
    }
    Ok(report)
}

/// Walks through the rows that a condition holds for, in the order of paths or against it.
fn each(
    batch: &mut Batch,
    condition: &str,
    downwards: bool,
    mut work: impl FnMut(&mut Batch, Task) -> Result<()>,
) -> Result<()> {
    let prefixed =
        |columns: &str, table: &str| columns.split(", ").map(|c| format!("{table}.{c}")).collect::<Vec<_>>().join(", ");
    let order = if downwards { "DESC" } else { "" };
    let (cells, known) = (prefixed(CELLS, "e"), prefixed(KNOWN, "d"));
    let mut last: Option<Vec<u8>> = None;
    loop {
        let query = format!(
            "SELECT e.path, {cells}, d.path IS NOT NULL, {known} FROM entry e LEFT JOIN disk d ON d.path=e.path \
             WHERE {} AND {condition} ORDER BY e.path {order} LIMIT {PAGE}",
            behind("e", last.is_some(), downwards)
        );
        let tasks = batch.tree().index.look().all(&query, params![last], |row| {
            let known = if row.get(7)? { Some(index::known(row, 8)?) } else { None };
            Ok(Task { path: row.get(0)?, cells: index::cells(row, 1)?, known })
        })?;
        let is_last = tasks.len() < PAGE;
        last = tasks.last().map(|task| task.path.clone());
        for task in tasks {
            work(batch, task)?;
        }
        if is_last {
            return batch.finish();
        }
    }
}

/// Paths behind the last one of a page, so that the index is entered there.
fn behind(table: &str, is_begun: bool, downwards: bool) -> String {
    match (is_begun, downwards) {
        (false, _) => "?1 IS NULL".to_owned(),
        (true, true) => format!("{table}.path<?1"),
        (true, false) => format!("{table}.path>?1"),
    }
}

fn directories(batch: &mut Batch) -> Result<()> {
    each(batch, LACKING_DIRECTORY, false, |batch, task| {
        batch.tree().moment("realise: directory")?;
        let made = batch.make_directory(&task);
        settle(batch, &task.path, made)
    })
}

/// What to do with a file at whose place a directory is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blocked {
    /// First the directory has to be emptied.
    Later,
    /// It should be empty by now.
    Now,
}

fn files(batch: &mut Batch, blocked: Blocked) -> Result<()> {
    each(batch, DIFFERING_FILE, false, |batch, mut task| {
        let is_blocked = task.known.as_ref().is_some_and(|known| known.seen.kind == cells::DIRECTORY);
        match (is_blocked, blocked) {
            (false, Blocked::Later) => batch.put(task),
            (true, Blocked::Now) => {
                if let Some(known) = task.known.take()
                    && let Err(reason) = batch.take_away(&task.path, &known)
                {
                    return batch.skip(&task.path, reason);
                }
                batch.put(task)
            }
            _ => Ok(()),
        }
    })
}

fn deletions(batch: &mut Batch) -> Result<()> {
    let known = KNOWN.split(", ").map(|c| format!("d.{c}")).collect::<Vec<_>>().join(", ");
    let mut last: Option<Vec<u8>> = None;
    loop {
        let query = format!(
            "SELECT d.path, {known} {LEFT} AND {} ORDER BY d.path DESC LIMIT {PAGE}",
            behind("d", last.is_some(), true)
        );
        let page = batch
            .tree()
            .index
            .look()
            .all(&query, params![last], |row| Ok((row.get::<_, Vec<u8>>(0)?, index::known(row, 1)?)))?;
        let is_last = page.len() < PAGE;
        last = page.last().map(|(path, _)| path.clone());
        for (path, known) in page {
            batch.tree().moment("realise: delete")?;
            let gone = batch.take_away(&path, &known);
            if gone.is_ok() {
                batch.count_deleted();
            }
            if gone == Err(Reason::NotEmpty) && batch.tree().holds_ignored_only(&path) {
                continue;
            }
            settle(batch, &path, gone)?;
        }
        if is_last {
            return batch.finish();
        }
    }
}

fn permissions(batch: &mut Batch) -> Result<()> {
    each(batch, DIFFERING_DIRECTORY, true, |batch, task| {
        let touched = match batch.parent(&task.path) {
            Ok(parent) => batch.retouch(&task, &Rc::clone(&parent)),
            Err(e) => Err(crate::look::reason(e)),
        };
        settle(batch, &task.path, touched)
    })
}

fn settle(batch: &mut Batch, path: &[u8], done: std::result::Result<(), Reason>) -> Result<()> {
    match done {
        Ok(()) => batch.finish_if_full(),
        Err(reason) => batch.skip(path, reason),
    }
}
