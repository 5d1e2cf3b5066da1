//! Making the disk like the rows. What is to be done is what differs between `entry` and `disk`, read page by page along the
//! list of paths that may differ ([`pending`]):
//! directories from above, files and links, what goes from below, files that a directory was in the way of, and last the
//! permissions of directories, which may forbid writing to them.

use std::rc::Rc;

use rusqlite::{Row, params};
use sync_store::{Realised, Reason, Result};

use crate::fresh;
use crate::index::{self, CELLS, KNOWN, columns_of};
use crate::leftovers;
use crate::newcomers;
use crate::pending::{self, DIFFER, LEFT, ROWS, UNLESS_IGNORED};
use crate::place::{Batch, Task};
use crate::trash;
use crate::tree::Tree;
use crate::withdraw;

/// Rows read at a time.
pub(crate) const PAGE: usize = 200;

/// Conditions on a row and what is known of its path. What is ignored here is left as it is.
const LACKING_DIRECTORY: &str = "e.kind='d' AND (d.path IS NULL OR d.kind<>100) AND NOT ignored(e.path, 1)";
const A_FILE: &str = "e.kind<>'d' AND ";
const A_DIRECTORY: &str = "e.kind='d' AND d.kind=100 AND ";

/// Does it.
pub fn realise(tree: &mut Tree) -> Result<Realised> {
    fresh::finish(tree)?;
    let mut report = std::mem::take(&mut tree.early);
    let newcomers = newcomers::arrived(tree)?;
    if tree.is_at_rest()? && newcomers.is_empty() {
        return Ok(report);
    }
    if !newcomers.is_empty() {
        tree.stir();
        newcomers::welcome(&mut Batch::new(tree, &mut report), &newcomers)?;
    }
    if !pending::is_due(&mut tree.index)? {
        leftovers::tidy(tree)?;
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
    let is_done = !pending::is_due(&mut tree.index)?;
    if is_done {
        leftovers::tidy(tree)?;
    } else {
        pending::shorten(&mut tree.index)?;
    }
    withdraw::withdraw(tree)?;
    trash::expire(tree)?;
    if is_done {
        tree.comes_to_rest()?;
    }
    Ok(report)
}

/// Whether no path is on the list; what is not needed any more is cleared away then.
pub fn rest(tree: &mut Tree) -> Result<bool> {
    if tree.is_at_rest()? {
        return Ok(true);
    }
    if !pending::is_empty(&tree.index)? {
        return Ok(false);
    }
    leftovers::tidy(tree)?;
    tree.comes_to_rest()?;
    Ok(true)
}

/// Directories behind a path, in order, that are not there and of which nothing is known.
pub fn new_directories(tree: &Tree, after: &[u8], limit: usize) -> Result<Vec<Task>> {
    let rows = query(LACKING_DIRECTORY, "p.path>?1 AND d.path IS NULL");
    tree.index.look().all(&format!("{rows} ORDER BY p.path LIMIT {limit}"), [after], task)
}

/// Puts files into their places whose contents have come, while more comes. What cannot be done now is left to
/// [`realise`], which tells why.
pub fn place(tree: &mut Tree, paths: &[Vec<u8>]) -> Result<()> {
    tree.root.check()?;
    tree.stir();
    let mut report = std::mem::take(&mut tree.early);
    let mut batch = Batch::new(tree, &mut report);
    if !std::mem::replace(&mut batch.tree().asked.has_directories, true) {
        directories(&mut batch)?;
    }
    let condition = differing(A_FILE);
    for path in paths {
        let query = query(&condition, "p.path=?1");
        let task = batch.tree().index.look().first(&query, [path], task)?;
        if let Some(task) = task.filter(|task| !task.is_blocked()) {
            batch.put(task)?;
        }
    }
    batch.finish()?;
    (report.skipped, report.more_skipped) = (Vec::new(), 0);
    tree.early = report;
    Ok(())
}

/// That something is to be done about a row of this kind.
fn differing(kind: &str) -> String {
    format!("{kind}{DIFFER}{UNLESS_IGNORED}")
}

/// Rows that a condition holds for, with what is known of their paths, as [`task`] reads them.
fn query(condition: &str, place: &str) -> String {
    let (cells, known) = (columns_of("e", CELLS), columns_of("d", KNOWN));
    format!("SELECT e.path, {cells}, d.path IS NOT NULL, {known} {ROWS}{place} AND {condition}")
}

/// Reads a path, its row, whether it is known, and what is known of it.
pub(crate) fn task(row: &Row) -> rusqlite::Result<Task> {
    let known = if row.get(7)? { Some(index::known(row, 8)?) } else { None };
    Ok(Task { path: row.get(0)?, cells: index::cells(row, 1)?, known })
}

/// Walks through the rows that a condition holds for, in the order of paths or against it.
fn each(
    batch: &mut Batch,
    condition: &str,
    downwards: bool,
    mut work: impl FnMut(&mut Batch, Task) -> Result<()>,
) -> Result<()> {
    let order = if downwards { "DESC" } else { "" };
    let mut last: Option<Vec<u8>> = None;
    loop {
        let rows = query(condition, behind(last.is_some(), downwards));
        let query = format!("{rows} ORDER BY p.path {order} LIMIT {PAGE}");
        let tasks = batch.tree().index.look().all(&query, params![last], task)?;
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
fn behind(is_begun: bool, downwards: bool) -> &'static str {
    match (is_begun, downwards) {
        (false, _) => "?1 IS NULL",
        (true, true) => "p.path<?1",
        (true, false) => "p.path>?1",
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
    each(batch, &differing(A_FILE), false, |batch, mut task| match (task.is_blocked(), blocked) {
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
    })
}

fn deletions(batch: &mut Batch) -> Result<()> {
    let known = columns_of("d", KNOWN);
    let mut last: Option<Vec<u8>> = None;
    loop {
        let query = format!(
            "SELECT d.path, {known} {LEFT} AND {} ORDER BY p.path DESC LIMIT {PAGE}",
            behind(last.is_some(), true)
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
    each(batch, &differing(A_DIRECTORY), true, |batch, task| retouch(batch, &task))
}

/// Makes a path that is what it should be but for what is not content.
pub(crate) fn put(batch: &mut Batch, task: Task) -> Result<()> {
    if task.cells.content.is_directory() { retouch(batch, &task) } else { batch.put(task) }
}

fn retouch(batch: &mut Batch, task: &Task) -> Result<()> {
    let touched = match batch.parent(&task.path) {
        Ok(parent) => batch.retouch(task, &Rc::clone(&parent)),
        Err(e) => Err(crate::look::reason(e)),
    };
    settle(batch, &task.path, touched)
}

fn settle(batch: &mut Batch, path: &[u8], done: std::result::Result<(), Reason>) -> Result<()> {
    match done {
        Ok(()) => batch.finish_if_full(),
        Err(reason) => batch.skip(path, reason),
    }
}
