//! What a compare is told of a path beside its row: the content of its file, or of the file that was there when the row was
//! deleted. A deletion from before two sites met takes only what was alike at both, and an edit that only a new index knows
//! is told from an old content by the time of the file. One from a backup knows no edit before rows came. Reads only.

use sync_core::Value;
use sync_database::Database;
use sync_store::{Answer, Answers, Candidates, Content, Question, Result, Store};

use crate::cells;
use crate::index::{ENTRY, Look};
use crate::rows_first::{self, Why};

/// Answers like the database of the index, and tells the contents.
pub fn digest(inner: &mut Database, look: Look, question: &Question, answers: &mut Answers) -> Result<()> {
    let Question::Standings(candidates) = question else { return inner.digest(question, answers) };
    let is_old = rows_first::why(look)? == Some(Why::Backup);
    inner.digest(question, &mut |mut answer| {
        if let Answer::Standings { scope, standings } = &mut answer
            && let Some(Candidates { table, keys, .. }) = candidates.get(*scope)
            && table == ENTRY
        {
            for (standing, key) in standings.iter_mut().zip(keys) {
                let told = content(look, key)?;
                standing.content = told.map(|told| Content { modified: told.modified.filter(|_| !is_old), ..told });
            }
        }
        answers(answer)
    })
}

/// Of a path's row, or from when that was deleted; nothing if there was never anything at the path.
fn content(look: Look, key: &[Value]) -> Result<Option<Content>> {
    let Some(Value::Bytes(path)) = key.first() else { return Ok(None) };
    if let Some(cells) = look.entry(path)? {
        return Ok(Some(there(&cells.content)));
    }
    let hash: Option<Option<[u8; 32]>> =
        look.first("SELECT hash FROM removed WHERE path=?1", [path], |row| row.get(0))?;
    Ok(hash.map(|hash| Content { hash: hash.map_or(0, start), modified: None }))
}

fn there(content: &cells::Content) -> Content {
    match content {
        cells::Content::File { hash, mtime, .. } => Content { hash: start(hash.0), modified: Some(*mtime) },
        _ => Content { hash: 0, modified: None },
    }
}

/// Whether anything was deleted here.
pub fn was_more(look: Look) -> Result<bool> {
    Ok(look.one::<i64>("SELECT 1 FROM removed LIMIT 1", [])?.is_some())
}

fn start(hash: [u8; 32]) -> u128 {
    hash.first_chunk().map_or(0, |start| u128::from_be_bytes(*start))
}
