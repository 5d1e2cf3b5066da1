//! Which of the deletions of a stream are moves: the content is still in the tree, at another path. Reads only.

use rusqlite::params;
use sync_core::{RowId, Value, key};
use sync_store::Result;

use crate::index::{ENTRY, Look};

/// Fewer deletions than this bother nobody.
const FEW: u64 = 100;

const PAGE: &str = "SELECT seq, id, row_key FROM server_sync_row WHERE seq>? AND dead<>0 \
     AND tab=(SELECT number FROM server_sync_table WHERE name=?) ORDER BY seq LIMIT 1000";

/// How many of the graves behind a seq are moves. Directories count with what was in them: they hold nothing of their own.
pub fn count(look: Look, seq: u64, graves: u64) -> Result<u64> {
    if graves <= FEW {
        return Ok(0);
    }
    let (mut after, mut moved) = (seq, 0);
    loop {
        let lines = look.all(PAGE, params![after.cast_signed(), ENTRY], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?))
        })?;
        let Some((last, _, _)) = lines.last() else { return Ok(moved.min(graves)) };
        after = last.cast_unsigned();
        for (_, id, key) in lines {
            moved += u64::from(is_moved(look, id, key)?);
        }
    }
}

fn is_moved(look: Look, id: Vec<u8>, packed: Option<Vec<u8>>) -> Result<bool> {
    let key = match packed {
        Some(packed) => key::unpack(&packed)?,
        None => RowId::from_bytes(id).key()?,
    };
    let Some(Value::Bytes(path)) = key.into_iter().next() else { return Ok(false) };
    let query =
        "SELECT r.hash IS NULL OR EXISTS (SELECT 1 FROM entry e WHERE e.hash=r.hash) FROM removed r WHERE r.path=?";
    Ok(look.one(query, [path])?.unwrap_or(false))
}
