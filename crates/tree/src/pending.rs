//! The list of paths that may differ between rows and disk, so that a round's work is as large as what changed and not as the
//! index. It is an aid and decides nothing: what is to be done is still the difference between `entry` and `disk`, looked at
//! along the list.
//!
//! The list may be too long, never too short. Every write to `entry` puts its path on it in its own transaction: those of
//! rows that are merged by a trigger of their connection ([`watch`]), our own in [`Writing::put_entry`]; and so does a scan
//! that leaves a difference. [`realise`](crate::realise) needs not: it writes to `disk` only what it took from the list. Paths
//! go from the list once both are seen to be alike, in one transaction. Where it cannot be relied on (an index from before
//! there was a list, other patterns of what is ignored, a person in doubt) it is made again from the whole.

use sync_database::sql::Sql;
use sync_store::Result;

use crate::index::{Index, Writing};

/// A path of the list, with its row and what is known of the disk; `p` comes first, whatever the planner thinks.
pub const ROWS: &str = "FROM pending p CROSS JOIN entry e ON e.path=p.path LEFT JOIN disk d ON d.path=p.path WHERE ";

/// Paths of the list without a row. What is ignored here is left as it is.
pub const LEFT: &str = "FROM pending p CROSS JOIN disk d ON d.path=p.path LEFT JOIN entry e ON e.path=p.path \
     WHERE e.path IS NULL AND NOT ignored(d.path, d.kind=100)";

/// That a row and what is known of its path differ.
pub const DIFFER: &str = "(d.path IS NULL OR d.content<>e.content OR d.mode<>e.mode OR d.owner<>e.owner OR d.grp<>e.grp \
     OR d.xattrs<>e.xattrs OR d.twin<>e.twin)";

/// And that something is to be done about it: what is ignored here is left as it is.
pub const UNLESS_IGNORED: &str = " AND NOT ignored(e.path, e.kind='d')";

/// Rows and paths without one that differ, of all there are.
const WHOLE: [&str; 2] = [
    "SELECT e.path FROM entry e LEFT JOIN disk d ON d.path=e.path WHERE ",
    "SELECT d.path FROM disk d WHERE NOT EXISTS (SELECT 1 FROM entry e WHERE e.path=d.path)",
];

/// The triggers of the connection that rows are merged on. Ordinary triggers are off there; temporary ones are not, and write
/// in the transaction that makes the difference. Whatever the statement does about conflicts is done in them as well, so that
/// they must not rely on their own.
const TRIGGERS: [(&str, &str, &str); 3] =
    [("inserted", "INSERT", "new"), ("updated", "UPDATE", "new"), ("deleted", "DELETE", "old")];

/// From here on, what this connection writes to rows is on the list. Nothing changes the key of a row: it is deleted and
/// inserted.
pub fn watch(connection: &mut dyn Sql) -> Result<()> {
    TRIGGERS.iter().try_for_each(|(name, event, row)| {
        connection.run(&format!(
            "CREATE TEMP TRIGGER IF NOT EXISTS pending_{name} AFTER {event} ON main.entry BEGIN \
             INSERT INTO pending (path) SELECT {row}.path WHERE NOT EXISTS (SELECT 1 FROM pending WHERE path={row}.path); END"
        ))
    })
}

/// Puts a path on the list.
pub fn add(writing: &Writing, path: &[u8]) -> Result<()> {
    writing.run("INSERT OR IGNORE INTO pending (path) VALUES (?)", [path]).map(drop)
}

/// Makes the list again, unless it was kept ever since and for these patterns; says whether it did.
pub fn ensure(index: &mut Index, patterns: &str) -> Result<bool> {
    let kept: Option<String> = index.look().one("SELECT patterns FROM listed", [])?;
    if kept.as_deref() == Some(patterns) {
        return Ok(false);
    }
    renew(index, patterns).map(|()| true)
}

/// Makes the list again, for these patterns.
pub fn renew(index: &mut Index, patterns: &str) -> Result<()> {
    let [rows, left] = WHOLE;
    let writing = index.begin()?;
    writing.run("DELETE FROM pending", [])?;
    writing.run(&format!("INSERT INTO pending (path) {rows}{DIFFER}"), [])?;
    writing.run(&format!("INSERT OR IGNORE INTO pending (path) {left}"), [])?;
    writing.run("INSERT OR REPLACE INTO listed (one, patterns) VALUES (1, ?)", [patterns])?;
    writing.commit()
}

/// Whether there is none on it.
pub fn is_empty(index: &Index) -> Result<bool> {
    Ok(index.look().one::<i64>("SELECT 1 FROM pending LIMIT 1", [])?.is_none())
}

/// Whether anything is to be done; takes from the list what is alike by now.
pub fn is_due(index: &mut Index) -> Result<bool> {
    if is_empty(index)? {
        return Ok(false);
    }
    let writing = index.begin()?;
    let is_due = writing.look().one::<i64>(&format!("{} LIMIT 1", due("1")), [])?.is_some();
    if !is_due {
        writing.run("DELETE FROM pending", [])?;
        writing.commit()?;
    }
    Ok(is_due)
}

/// Takes from the list what is alike by now.
pub fn shorten(index: &mut Index) -> Result<()> {
    let writing = index.begin()?;
    writing.run(&format!("DELETE FROM pending WHERE path NOT IN ({})", due("p.path")), [])?;
    writing.commit()
}

/// At how many paths something is to be done.
pub fn count(index: &Index) -> Result<u64> {
    Ok(index.look().one::<i64>(&due("COUNT(*)"), [])?.unwrap_or_default().cast_unsigned())
}

/// This of the paths at which something is to be done: rows that differ, and paths without one. In one pass, as after a first copy
/// every path is on the list; only CASE leaves aside what need not be evaluated.
fn due(what: &str) -> String {
    format!(
        "SELECT {what} FROM pending p LEFT JOIN entry e ON e.path=p.path LEFT JOIN disk d ON d.path=p.path \
         WHERE CASE WHEN e.path IS NOT NULL THEN CASE WHEN {DIFFER} THEN NOT ignored(e.path, e.kind='d') END \
         WHEN d.path IS NOT NULL THEN NOT ignored(d.path, d.kind=100) END"
    )
}

/// The paths that differ and are not on the list, which there must be none of: for tests, as it looks at everything.
pub fn overlooked(index: &Index) -> Result<Vec<Vec<u8>>> {
    let [rows, left] = WHOLE;
    let query = format!(
        "SELECT path FROM ({rows}{DIFFER}{UNLESS_IGNORED} UNION ALL {left} \
         AND NOT ignored(d.path, d.kind=100)) WHERE path NOT IN (SELECT path FROM pending)"
    );
    index.look().all(&query, [], |row| row.get(0))
}
