//! What a peer sends is looked at before anything is touched: rows of the tree whose names lead elsewhere, or whose
//! cells no site writes, are refused with the whole batch. Pure.

use sync_core::Value;
use sync_store::{Batch, Result, StoreError, TableHead, Trouble};

use crate::cells::{self, Account, Content};
use crate::index::ENTRY;
use crate::name;

/// Refuses a batch that holds a row of the tree that no site writes.
pub fn check(batch: &Batch) -> Result<()> {
    for change in &batch.changes {
        let Some(head) = batch.heads.get(change.table).filter(|head| head.name == ENTRY) else { continue };
        match change.key.as_slice() {
            [Value::Bytes(path)] => name::check(path)?,
            _ => return Err(refused("a path is not bytes")),
        }
        let values = change.row.values.as_deref().unwrap_or_default();
        for (column, value) in head.columns.iter().zip(values) {
            check_cell(column, value, head)?;
        }
    }
    Ok(())
}

/// NULL stands for a cell that has not come yet.
fn check_cell(column: &str, value: &Value, head: &TableHead) -> Result<()> {
    match (column, value) {
        (_, Value::Null) => Ok(()),
        ("path", Value::Bytes(path)) => name::check(path),
        ("content", Value::Bytes(content)) => Content::unpack(content).map(drop),
        ("xattrs", Value::Bytes(packed)) => cells::unpack_attributes(packed).map(drop),
        ("twin", Value::Bytes(twin)) => cells::check_twin(twin),
        ("mode", Value::Int(mode)) => cells::check_mode(*mode),
        ("owner" | "grp", account) => Account::of(account).map(drop),
        _ => Err(refused(&format!("the column {column} of {} holds something else", head.name))),
    }
}

fn refused(what: &str) -> StoreError {
    StoreError::new(Trouble::Corrupt, format!("the other site sent a row that is refused: {what}"))
        .hint("the other site is damaged or hostile: nothing was written")
}
