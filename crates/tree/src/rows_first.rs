//! An index that does not know what its site had told others: what they have comes before the directory is looked at. A path that
//! changed here since the index began, and before that elsewhere, changed twice, and both are kept; looked at first, the change
//! would be stamped after all that this site ever wrote, as if it had seen that. Written down, so that a round that breaks
//! does not let the next one look first. Decides nothing about a path; that is [`crate::reconcile`]'s.

use sync_store::{Result, Store};

use crate::index::{Index, Look};
use crate::tree::Tree;
use crate::{fresh, scan};

/// Why the index does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was made anew from what is in the directory. The first round looks: much may have come before it.
    New,
    /// That round began, and did not get as far as the rows.
    Unmet,
    /// It was put back to a backup.
    Backup,
}

/// The directory is not looked at before rows came.
pub fn note(index: &mut Index, why: Why) -> Result<()> {
    let writing = index.begin()?;
    writing.run("INSERT OR REPLACE INTO rows_first (one, why) VALUES (1, ?)", [why as u8])?;
    writing.commit()
}

/// Whether and why that is so.
pub fn why(look: Look) -> Result<Option<Why>> {
    let number: Option<u8> = look.one("SELECT why FROM rows_first", [])?;
    Ok(number.and_then(|number| [Why::New, Why::Unmet, Why::Backup].into_iter().find(|why| *why as u8 == number)))
}

/// A round begins: looks if it is time to, and else refuses a directory that lost all it had. Says whether it looked.
pub fn begin(tree: &mut Tree) -> Result<bool> {
    match why(tree.index.look())? {
        None => tree.look()?,
        Some(Why::New) => {
            tree.look()?;
            note(&mut tree.index, Why::Unmet)?;
        }
        Some(Why::Unmet | Why::Backup) => return check(tree).map(|()| false),
    }
    Ok(true)
}

/// Files come along with the rows, and a directory that is empty would not be seen to be so any more.
fn check(tree: &Tree) -> Result<()> {
    if tree.options.force {
        return Ok(());
    }
    let count = tree.index.look().one::<i64>("SELECT COUNT(*) FROM disk", [])?.unwrap_or_default();
    scan::refuse_emptied(&tree.root, &tree.ignore, count.cast_unsigned())
}

/// Rows came: looks, if that was put off in this round. Says whether what was found has to go to the other site.
pub fn catch_up(tree: &mut Tree) -> Result<bool> {
    if why(tree.index.look())?.is_none() {
        return Ok(false);
    }
    let found = if tree.has_looked { 0 } else { look(tree)? };
    let writing = tree.index.begin()?;
    writing.run("DELETE FROM rows_first", [])?;
    writing.commit()?;
    Ok(found > 0)
}

fn look(tree: &mut Tree) -> Result<u64> {
    fresh::finish(tree)?;
    tree.look()?;
    Ok(tree.inner.drain()?.rows)
}
