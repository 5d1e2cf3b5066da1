//! An index that was put back to a backup: what others have of the history that is left comes before the directory is looked at.
//! A path that changed here since the backup, and before it elsewhere, changed twice, and both are kept; looked at first, the
//! change would be stamped after all that this site ever wrote, as if it had seen that. Written down, so that a round that
//! breaks does not let the next one look first. Decides nothing about a path; that is [`crate::reconcile`]'s.

use sync_store::{Result, Store};

use crate::index::{Index, Look, Writing};
use crate::root::Root;
use crate::tree::Tree;
use crate::{fresh, scan, walk};

/// The directory is not looked at before rows came.
pub fn note(index: &mut Index) -> Result<()> {
    write(index, "INSERT OR IGNORE INTO restored (one) VALUES (1)")
}

/// Whether that is so.
pub fn is_due(look: Look) -> Result<bool> {
    Ok(look.one::<i64>("SELECT one FROM restored", [])?.is_some())
}

/// Files come along with the rows: refuses a directory that lost all it had, which only a look would tell.
pub fn check(tree: &Tree) -> Result<()> {
    let Tree { root, ignore, index, options, .. } = tree;
    let count: u64 = index.look().one::<i64>("SELECT COUNT(*) FROM disk", [])?.unwrap_or_default().cast_unsigned();
    let is_empty = |root: &Root| walk::is_empty(root, ignore).unwrap_or(true);
    if count > 0 && !options.force && is_empty(root) { Err(scan::emptied(root, count)) } else { Ok(()) }
}

/// Rows came: looks, if that was put off. Says whether what was found has to go to the other site.
pub fn catch_up(tree: &mut Tree) -> Result<bool> {
    if !is_due(tree.index.look())? {
        return Ok(false);
    }
    fresh::finish(tree)?;
    tree.look()?;
    let drained = tree.inner.drain()?;
    write(&mut tree.index, "DELETE FROM restored")?;
    Ok(drained.rows > 0)
}

fn write(index: &mut Index, statement: &str) -> Result<()> {
    let writing: Writing = index.begin()?;
    writing.run(statement, [])?;
    writing.commit()
}
