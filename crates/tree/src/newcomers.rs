//! Accounts that were not known here when their files came, and are now: their files are given to them then. Which names
//! were not known is written down with the files (`stranger`), so that nothing is looked for while all are known.

use rusqlite::params;
use sync_store::Result;

use crate::accounts::Kind;
use crate::index::{CELLS, Index, KNOWN, Writing, columns_of};
use crate::pending::{DIFFER, UNLESS_IGNORED};
use crate::place::{Batch, Task};
use crate::realise::{PAGE, put, task};
use crate::tree::Tree;

/// So many names are looked for; a peer could send any number of them.
const LOOKED_FOR: i64 = 1000;

/// The columns that an account is in: of the row, and of what the system says.
fn columns(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::User => ("owner", "uid"),
        Kind::Group => ("grp", "gid"),
    }
}

/// Files are written down that could not be given to these.
pub fn note(writing: &Writing, strangers: impl IntoIterator<Item = (Kind, String)>) -> Result<()> {
    strangers.into_iter().try_for_each(|(kind, name)| {
        const NOTE: &str = "INSERT OR IGNORE INTO stranger (kind, name) SELECT ?1, ?2 \
             WHERE (SELECT COUNT(*) FROM stranger)<?3";
        writing.run(NOTE, params![columns(kind).0, name, LOOKED_FOR]).map(drop)
    })
}

/// A name that is known by now, and its number.
pub(crate) struct Newcomer {
    kind: Kind,
    name: String,
    number: u32,
}

/// Those that are known by now.
pub(crate) fn arrived(tree: &Tree) -> Result<Vec<Newcomer>> {
    let names = tree
        .index
        .look()
        .all("SELECT kind, name FROM stranger", [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let known = names.into_iter().filter_map(|(column, name)| {
        let kind = [Kind::User, Kind::Group].into_iter().find(|kind| columns(*kind).0 == column)?;
        let number = tree.accounts.known(kind, &name)?;
        Some(Newcomer { kind, name, number })
    });
    Ok(known.collect())
}

/// Gives them what is theirs. Whose files could not all be given is tried again in the next round.
pub(crate) fn welcome(batch: &mut Batch, newcomers: &[Newcomer]) -> Result<()> {
    for newcomer in newcomers {
        let left = batch.left();
        give(batch, newcomer)?;
        if batch.left() == left {
            forget(&mut batch.tree().index, newcomer)?;
        }
    }
    Ok(())
}

fn give(batch: &mut Batch, newcomer: &Newcomer) -> Result<()> {
    let (column, number) = columns(newcomer.kind);
    let (cells, known) = (columns_of("e", CELLS), columns_of("d", KNOWN));
    let query = format!(
        "SELECT e.path, {cells}, 1, {known} FROM disk d CROSS JOIN entry e ON e.path=d.path \
         WHERE d.path>?1 AND d.{column}=?2 AND d.{number}<>?3 AND NOT {DIFFER}{UNLESS_IGNORED} \
         ORDER BY d.path LIMIT {PAGE}"
    );
    let mut last = Vec::new();
    loop {
        let params = params![last, newcomer.name.as_bytes(), newcomer.number];
        let tasks: Vec<Task> = batch.tree().index.look().all(&query, params, task)?;
        let is_last = tasks.len() < PAGE;
        last = tasks.last().map(|task| task.path.clone()).unwrap_or_default();
        tasks.into_iter().try_for_each(|task| put(batch, task))?;
        batch.finish()?;
        if is_last {
            return Ok(());
        }
    }
}

fn forget(index: &mut Index, newcomer: &Newcomer) -> Result<()> {
    let writing = index.begin()?;
    writing.run("DELETE FROM stranger WHERE kind=? AND name=?", params![columns(newcomer.kind).0, newcomer.name])?;
    writing.commit()
}
