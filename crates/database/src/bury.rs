//! Deleting rows of which a compare found that they were deleted elsewhere, and that nobody has their graves any more: a
//! grave is made for each, and applied as if it came in. So whatever is written meanwhile is merged with it, and constraints
//! are looked after as always. What is doubtful does not claim to have seen the row, so that the row is listed as lost.

use std::collections::{HashMap, HashSet};

use sync_core::{Row, RowId, RowState, Seen, SiteId, Value};
use sync_store::{Applied, Batch, Burial, Change, Drained, Mode, Result, TableHead};

use crate::changes::{Page, read_page};
use crate::database::Database;
use crate::drain::{drain_pending, unknown_table};
use crate::layout::Tracked;
use crate::meta::{self, Line};
use crate::{apply, marks};

/// Rows of one transaction.
const CHUNK: usize = 500;

/// Deletes rows as written here at `millis`; those that changed since they were judged stay.
pub fn bury(db: &mut Database, table: &str, rows: &[Burial], millis: u64, mode: Mode) -> Result<Applied> {
    drain_pending(db, &mut Drained::default())?;
    let tracked = db.catalog.named(table).ok_or_else(|| unknown_table(table))?.clone();
    let (site, own) = (db.identity.card.site, db.identity.source);
    let mut applied = Applied::default();
    for rows in rows.chunks(CHUNK) {
        let (_, changes) = read_page(db, |page| graves(page, &tracked, rows, (millis, site)))?;
        if !changes.is_empty() {
            let mut batch = Batch::empty(own);
            batch.head(&TableHead { name: tracked.table.name.clone(), columns: tracked.names() });
            batch.changes = changes;
            applied.add(apply::apply(db, &batch, mode)?);
        }
    }
    Ok(applied)
}

/// The graves of the rows that are still as they were judged.
fn graves(page: &mut Page, tracked: &Tracked, rows: &[Burial], now: (u64, SiteId)) -> Result<Vec<Change>> {
    let keys: Vec<Vec<Value>> = rows.iter().map(|r| r.key.clone()).collect();
    let ids: Vec<RowId> = keys.iter().map(|k| RowId::of(k)).collect();
    let lines = meta::load(page.sql, tracked.number(), &ids)?;
    let marked: HashSet<RowId> = match page.marked.contains(&tracked.number()) {
        true => marks::of_rows(page.sql, page.dialect, tracked, &keys)?.row_ids().into_iter().collect(),
        false => HashSet::new(),
    };
    let is_same = |(row, id): &(&Burial, RowId)| lines.get(id).map(|l| l.seq) == row.seq && !marked.contains(id);
    let change =
        |(row, id): (&Burial, RowId)| Change { table: 0, key: row.key.clone(), row: grave(&lines, &id, row, now) };
    Ok(rows.iter().zip(ids).filter(is_same).map(change).collect())
}

fn grave(lines: &HashMap<RowId, Line>, id: &RowId, row: &Burial, (millis, site): (u64, SiteId)) -> Row {
    let mut state = lines.get(id).map_or_else(RowState::baseline, |l| l.state.clone());
    let stamp = state.next_stamp(millis, site);
    state.delete(stamp);
    if row.doubtful {
        state.seen = Seen::from_iter([stamp]);
    }
    Row { state, values: None }
}
