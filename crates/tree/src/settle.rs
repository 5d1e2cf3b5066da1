//! After rows were merged: what a person would not want to lose, or what no directory can hold, is mended by ordinary
//! writes to rows. Everything follows from what is alike at all sites, so that all of them make the same rows; and
//! equal rows are no conflict.
//!
//! * An edit that lost against another becomes a file of its own, under a name made from who lost what and when.
//! * An edit that lost against a deletion is put back.
//! * A directory that was deleted while something in it lives is put back.
//! * Where something lives below a path, the path is a directory; a file of that name moves aside.

use rusqlite::{Row, params};
use sync_core::{Stamp, Value, codec, key};
use sync_store::{Result, StoreError};

use crate::cells::{self, Account, Cells, Content};
use crate::index::{CELLS, ENTRY, Index, Writing};
use crate::name::{self, Loser};
use crate::scan::add_copy;
use crate::stage::{self, Whereabouts};
use crate::tree::Tree;
use crate::{fresh, pending};

/// Mends all there is to mend; says how many rows were written.
pub fn settle(tree: &mut Tree) -> Result<u64> {
    let mut written = losses(tree)?;
    // What came along with rows is at its place, or is seen to be wanted.
    fresh::finish(tree)?;
    if !pending::is_due(&mut tree.index)? {
        return Ok(written);
    }
    // Mending one thing can make another one visible, further up.
    for _ in 0..8 {
        let mended = shapes(tree)?;
        written += mended;
        if mended == 0 {
            break;
        }
    }
    Ok(written)
}

/// An entry of the conflict list that was not looked at yet.
struct Loss {
    kind: String,
    path: Vec<u8>,
    winner: Stamp,
    loser: Stamp,
    columns: Vec<String>,
    winning: Vec<Value>,
    losing: Vec<Value>,
    restored: bool,
}

/// Whether entries of the conflict list wait to be looked at.
pub fn is_due(index: &Index) -> Result<bool> {
    let query = "SELECT 1 FROM server_sync_conflict c LEFT JOIN settled s ON s.id=c.id WHERE c.table_name=? AND s.id IS NULL LIMIT 1";
    Ok(index.look().one::<i64>(query, [ENTRY])?.is_some())
}

const LOSSES: &str = "SELECT c.id, c.kind, c.row_key, c.winner, c.loser, c.column_names, c.winning, c.losing, c.restored \
     FROM server_sync_conflict c LEFT JOIN settled s ON s.id=c.id WHERE c.table_name=? AND c.id>? AND s.id IS NULL ORDER BY c.id LIMIT 200";

fn losses(tree: &mut Tree) -> Result<u64> {
    let (mut after, mut written) = (String::new(), 0);
    loop {
        let page = tree.index.look().all(LOSSES, params![ENTRY, after], raw)?;
        let Some(last) = page.last() else { return Ok(written) };
        after.clone_from(&last.id);
        let due = page.into_iter().map(|raw| judge(tree, raw)).collect::<Result<Vec<_>>>()?;
        let writing = tree.index.begin()?;
        for (id, due) in due {
            match due {
                Due::Copy(loss) => written += u64::from(make_good(&writing, &loss)?),
                Due::Nothing => {}
                Due::Later => continue,
            }
            writing.run("INSERT OR IGNORE INTO settled (id) VALUES (?)", [id])?;
        }
        writing.commit()?;
    }
}

/// A loss is made good where the lost content is: at the site that wrote it, or that it came to. Where it is not any more, it
/// was made good before, and somebody has replaced or deleted it since.
fn judge(tree: &Tree, raw: Raw) -> Result<(String, Due)> {
    let id = raw.id.clone();
    let Ok(loss) = read(raw) else { return Ok((id, Due::Nothing)) };
    let whereabouts = match loss.value("content").and_then(content) {
        // It may be in a file that somebody writes to before it is at its place.
        Some(Content::File { hash, size: 1.., .. }) => stage::secure(tree, hash)?,
        Some(_) => Whereabouts::Here,
        None => Whereabouts::Nowhere,
    };
    Ok((
        id,
        match whereabouts {
            Whereabouts::Here => Due::Copy(Box::new(loss)),
            Whereabouts::Nowhere => Due::Nothing,
            Whereabouts::Unknown => Due::Later,
        },
    ))
}

/// What is to be done about an entry.
enum Due {
    /// The loss is made good.
    Copy(Box<Loss>),
    /// It is of no concern here.
    Nothing,
    /// The disk does not let us see.
    Later,
}

/// As it is stored.
struct Raw {
    id: String,
    kind: String,
    key: Vec<u8>,
    stamps: [i64; 2],
    packed: [Vec<u8>; 3],
    restored: bool,
}

fn raw(row: &Row) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        kind: row.get(1)?,
        key: row.get(2)?,
        stamps: [row.get(3)?, row.get(4)?],
        packed: [row.get(5)?, row.get(6)?, row.get(7)?],
        restored: row.get(8)?,
    })
}

/// What cannot be read, or names a path that leads elsewhere, is nothing to us.
fn read(raw: Raw) -> Result<Loss> {
    let Some(Value::Bytes(path)) = key::unpack(&raw.key)?.into_iter().next() else {
        return Err(StoreError::new(sync_store::Trouble::Corrupt, "a conflict about no path"));
    };
    name::check(&path)?;
    let [names, winning, losing] = &raw.packed;
    let names = codec::unpack_values(names)?;
    let text = |value: Value| if let Value::Text(text) = value { text } else { String::new() };
    let [winner, loser] = raw.stamps.map(|stamp| Stamp::from_raw(stamp.cast_unsigned()));
    Ok(Loss {
        kind: raw.kind,
        path,
        winner,
        loser,
        columns: names.into_iter().map(text).collect(),
        winning: codec::unpack_values(winning)?,
        losing: codec::unpack_values(losing)?,
        restored: raw.restored,
    })
}

/// Says whether a row was written.
fn make_good(writing: &Writing, loss: &Loss) -> Result<bool> {
    let there = writing.look().entry(&loss.path)?;
    let Some(lost) = loss.cells(there.as_ref()) else { return Ok(false) };
    if loss.restored || lost.content.is_directory() {
        return Ok(false);
    }
    let is_cell = loss.kind == "cell";
    match there {
        _ if is_cell && loss.won().is_some_and(|won| won.is_same(&lost.content)) => Ok(false),
        Some(there) if there.content.is_same(&lost.content) => Ok(false),
        None if loss.kind == "update-lost" => put_back(writing, loss, &lost),
        // It was deleted since, by somebody who saw the conflict or its winner; the copy is still due.
        _ => copy(writing, loss, &lost),
    }
}

/// Puts a row back that a deletion took. If anything happened to it after that deletion, this was done before.
fn put_back(writing: &Writing, loss: &Loss, lost: &Cells) -> Result<bool> {
    let state = writing.look().state(&loss.path)?;
    if state.is_none_or(|state| state.deleted != loss.winner) {
        return Ok(false);
    }
    writing.put_entry(&loss.path, &Cells { twin: loss.twin(), ..lost.clone() }).map(|()| true)
}

/// Makes the copy, unless one was ever made: then somebody may have deleted it since.
fn copy(writing: &Writing, loss: &Loss, lost: &Cells) -> Result<bool> {
    let content = lost.content.digest();
    let loser = Loser { site: loss.loser.site().number(), millis: loss.loser.millis(), content: &content };
    if writing.look().state(&name::conflict(&loss.path, &loser))?.is_some() {
        return Ok(false);
    }
    add_copy(writing, &loss.path, lost, &loser)
}

impl Loss {
    fn value(&self, column: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.losing.get(at)
    }

    fn won(&self) -> Option<Content> {
        content(self.winning.first()?)
    }

    /// Whose twin it was.
    fn twin(&self) -> Vec<u8> {
        match self.value("twin") {
            Some(Value::Bytes(twin)) if cells::check_twin(twin).is_ok() => twin.clone(),
            _ => Vec::new(),
        }
    }

    /// What was lost, as a file of its own. Where only the content is known, the rest is that of the winner.
    fn cells(&self, there: Option<&Cells>) -> Option<Cells> {
        let content = content(self.value("content")?)?;
        let number = |column: &str, other: Option<u32>, default: u32| match self.value(column) {
            Some(Value::Int(n)) => u32::try_from(*n).unwrap_or(default),
            _ => other.unwrap_or(default),
        };
        let account = |column: &str, other: Option<&Account>| {
            let lost = self.value(column).and_then(|value| Account::of(value).ok());
            lost.or_else(|| other.cloned()).unwrap_or(ROOT)
        };
        let attributes = match self.value("xattrs") {
            Some(Value::Bytes(packed)) if cells::unpack_attributes(packed).is_ok() => packed.clone(),
            _ => there.map(|cells| cells.attributes.clone()).unwrap_or_default(),
        };
        Some(Cells {
            content,
            mode: number("mode", there.map(|c| c.mode), PRIVATE) & cells::MODE,
            owner: account("owner", there.map(|c| &c.owner)),
            group: account("grp", there.map(|c| &c.group)),
            attributes,
            twin: Vec::new(),
        })
    }
}

/// What is given to a file of which no more is known: nobody else may read it.
const PRIVATE: u32 = 0o600;

/// And to whom it belongs.
const ROOT: Account = Account::Number(0);

fn content(value: &Value) -> Option<Content> {
    match value {
        Value::Bytes(packed) => Content::unpack(packed).ok(),
        _ => None,
    }
}

/// Rows that are not made yet, and paths that are to go: only these can be of a shape that no directory has.
const PENDING: &str = "SELECT p.path, e.kind FROM pending p LEFT JOIN entry e ON e.path=p.path LEFT JOIN disk d ON d.path=p.path \
     WHERE p.path>?1 AND d.content IS NOT e.content ORDER BY p.path LIMIT 500";

fn shapes(tree: &mut Tree) -> Result<u64> {
    if tree.is_at_rest()? {
        return Ok(0);
    }
    let (mut after, mut written) = (Vec::new(), 0);
    loop {
        let writing = tree.index.begin()?;
        let page: Vec<(Vec<u8>, Option<String>)> =
            writing.look().all(PENDING, params![after], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((last, _)) = page.last() else { return Ok(written) };
        let is_last = page.len() < 500;
        after.clone_from(last);
        let mut checked = Vec::new();
        for (path, kind) in &page {
            written += shape(&writing, path, kind.as_deref(), &mut checked)?;
        }
        writing.commit()?;
        if is_last {
            return Ok(written);
        }
    }
}

/// `kind` is that of its row, if it has one; `checked` the directory whose ancestors and itself are known to be directories.
fn shape(writing: &Writing, path: &[u8], kind: Option<&str>, checked: &mut Vec<u8>) -> Result<u64> {
    let mut written = 0;
    if kind != Some("d") && writing.look().has_below(ENTRY, path)? {
        written += make_directory(writing, path)?;
    }
    let (directory, _) = name::split(path);
    if kind.is_some() && directory != checked.as_slice() {
        for ancestor in name::ancestors(path) {
            written += make_directory(writing, ancestor)?;
        }
        *checked = directory.to_vec();
    }
    Ok(written)
}

/// Makes a path a directory, if it is none; what is there moves aside.
fn make_directory(writing: &Writing, path: &[u8]) -> Result<u64> {
    match writing.look().entry(path)? {
        Some(cells) if cells.content.is_directory() => Ok(0),
        Some(cells) => {
            let stamp = writing.look().state(path)?.map(|state| state.newest());
            let content = cells.content.digest();
            let (site, millis) = stamp.map_or((0, 0), |stamp| (stamp.site().number(), stamp.millis()));
            add_copy(writing, path, &cells.clone().alone(), &Loser { site, millis, content: &content })?;
            let readable = (cells.mode & 0o444) >> 2;
            let mode = if cells.mode == 0 { 0o755 } else { cells.mode | readable | 0o700 };
            let attributes = Vec::new();
            writing.put_entry(path, &Cells { content: Content::Directory, mode, attributes, ..cells.alone() })?;
            Ok(2)
        }
        None => {
            let like = like(writing, path)?;
            writing.put_entry(path, &Cells { content: Content::Directory, attributes: Vec::new(), ..like.alone() })?;
            Ok(1)
        }
    }
}

/// Whose permissions a directory gets that is put back: those of the directory it lies in, or else of what lies in it.
fn like(writing: &Writing, path: &[u8]) -> Result<Cells> {
    let (directory, _) = name::split(path);
    if !directory.is_empty()
        && let Some(cells) = writing.look().entry(directory)?.filter(|cells| cells.content.is_directory())
    {
        return Ok(cells);
    }
    let (from, to) = name::below(path);
    let query = format!("SELECT {CELLS} FROM entry WHERE path>=? AND path<? ORDER BY path LIMIT 1");
    let child = writing.look().first(&query, params![from, to], |row| crate::index::cells(row, 0))?;
    let (owner, group) = child.map_or((ROOT, ROOT), |cells| (cells.owner, cells.group));
    Ok(Cells { content: Content::Directory, mode: 0o755, owner, group, attributes: Vec::new(), twin: Vec::new() })
}
