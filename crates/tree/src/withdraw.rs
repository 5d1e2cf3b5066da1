//! Contents that nobody has: a row names one that its writer wrote over, or lost, before anybody had fetched it. Every round asks
//! for it; since when in vain is remembered. After a day the site that wrote the row gives up, as nobody else can tell: its row
//! becomes what is at the path in its own directory. Everybody else keeps what is there, and says so; once that site was declared
//! to have left, they give up as well. Touches no file.

use std::collections::BTreeMap;

use rusqlite::params;
use sync_core::{ColumnId, SiteId, Value};
use sync_store::{Change, Hash, Reason, Result, Store};

use crate::contents;
use crate::index::{ENTRY, Look, Writing};
use crate::name;
use crate::source;
use crate::tree::Tree;

/// For so long a content is asked for before its writer gives up, in milliseconds: a site that has it may be reached less often
/// than the one that is asked now. What has it by then nevertheless keeps it in its trash.
const PATIENCE: i64 = DAY;

/// And for so long that of a row from before synchronisation: nobody knows whose it was, so everybody gives up. A first copy between
/// two other sites must not take longer.
const LONG_PATIENCE: i64 = 30 * DAY;

const DAY: i64 = 24 * 3600 * 1000;

/// Rows that are looked at in one round.
const PAGE: usize = 500;

/// Notes what the peer was asked for and does not have, forgets what is not needed any more, and gives up what nobody has.
pub fn withdraw(tree: &mut Tree) -> Result<()> {
    let missed = missed(tree)?;
    if missed.is_empty() && tree.index.look().one::<i64>("SELECT 1 FROM vain LIMIT 1", [])?.is_none() {
        return Ok(());
    }
    let now = now(tree.index.look())?;
    let writing = tree.index.begin()?;
    for hash in missed.values() {
        writing.run("INSERT OR IGNORE INTO vain (hash, since) VALUES (?, ?)", params![hash.0, now])?;
    }
    writing.run(
        "DELETE FROM vain WHERE hash NOT IN (SELECT e.hash FROM pending p CROSS JOIN entry e ON e.path=p.path WHERE e.hash IS NOT NULL)",
        [],
    )?;
    writing.commit()?;
    let mut due = BTreeMap::new();
    for (path, hash) in missed {
        if let Some(since) = given_up(tree.index.look(), hash, now)? {
            due.insert(path, now - since);
        }
    }
    follow(tree, &due)
}

/// Why a content is not here that the peer does not have either.
pub fn reason(tree: &Tree, hash: Hash) -> Result<Reason> {
    if !tree.missed.contains(&hash) {
        return Ok(Reason::NoContent);
    }
    let look = tree.index.look();
    let since = given_up(look, hash, now(look)?)?;
    Ok(since.map_or(Reason::NoContent, |since| Reason::Nowhere { since: since.cast_unsigned() }))
}

/// Since when it was asked for in vain, if that is long enough.
fn given_up(look: Look, hash: Hash, now: i64) -> Result<Option<i64>> {
    let since: Option<i64> = look.one("SELECT since FROM vain WHERE hash=?", [hash.0])?;
    Ok(since.filter(|since| *since <= now.saturating_sub(PATIENCE)))
}

/// By the clock that rows are stamped by.
fn now(look: Look) -> Result<i64> {
    let now: Option<i64> = look.one("SELECT CAST((julianday('now')-2440587.5)*86400000 AS INTEGER)", [])?;
    Ok(now.unwrap_or_default())
}

/// Paths whose content is nowhere here, and that the peer said it does not have.
fn missed(tree: &Tree) -> Result<BTreeMap<Vec<u8>, Hash>> {
    if tree.missed.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut missed = BTreeMap::new();
    let mut after = Vec::new();
    loop {
        let page = contents::lacking(tree, &after, PAGE)?;
        let Some(last) = page.last() else { return Ok(missed) };
        after.clone_from(&last.path);
        let is_missed = |hash: &Hash| tree.missed.contains(hash) && !source::is_staged(tree, *hash);
        missed.extend(page.into_iter().filter(|lack| is_missed(&lack.hash)).map(|lack| (lack.path, lack.hash)));
        if missed.len() >= PAGE {
            return Ok(missed);
        }
    }
}

/// Makes the rows of these paths what is there, as far as it is for this site to say so after so many milliseconds.
fn follow(tree: &mut Tree, due: &BTreeMap<Vec<u8>, i64>) -> Result<()> {
    if due.is_empty() {
        return Ok(());
    }
    let (own, registry) = (tree.inner.card().site, tree.inner.registry()?);
    let says = |path: &[u8], writer: Option<SiteId>| match writer {
        Some(writer) => writer == own || registry.has_left(writer),
        None => due.get(path).is_some_and(|passed| *passed >= LONG_PATIENCE),
    };
    let keys: Vec<Vec<Value>> = due.keys().map(|path| vec![Value::Bytes(path.clone())]).collect();
    let (mut given_up, mut left) = (Vec::new(), &keys[..]);
    while !left.is_empty() {
        let (batch, done) = tree.inner.rows(ENTRY, left)?;
        let columns = batch.heads.first().map_or(&[][..], |head| &head.columns);
        let content = columns.iter().position(|column| column == "content").unwrap_or_default() as ColumnId;
        let written = batch.changes.iter().filter_map(|change| written(change, content));
        given_up.extend(written.filter(|(path, writer)| says(path, *writer)).map(|(path, _)| path));
        left = &left[done.clamp(1, left.len())..];
    }
    if given_up.is_empty() {
        return Ok(());
    }
    tree.moment("withdraw: write")?;
    let writing = tree.index.begin()?;
    given_up.iter().try_for_each(|path| become_what_is_there(&writing, path))?;
    writing.commit()
}

/// The path of a row, and who wrote its content, if that is known. That of a copy was written by whom its name says, although
/// others made the same row.
fn written(change: &Change, content: ColumnId) -> Option<(Vec<u8>, Option<SiteId>)> {
    let Some(Value::Bytes(path)) = change.key.first() else { return None };
    let stamp = change.row.state.cell(content);
    let loser = name::loser(path).and_then(|number| SiteId::new(number.into()).ok());
    Some((path.clone(), loser.or_else(|| stamp.is_written().then(|| stamp.site()))))
}

fn become_what_is_there(writing: &Writing, path: &[u8]) -> Result<()> {
    match writing.look().known(path)? {
        Some(known) => writing.put_alike(path, &known.cells),
        None => writing.delete_alike(path),
    }
}
