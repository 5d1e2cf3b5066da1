//! Deleting rows of which a compare found that they were deleted elsewhere, and that nobody has their graves any more: a
//! grave is made for each, and applied as if it came in. So whatever is written meanwhile is merged with it, and constraints
//! are looked after as always. What is doubtful is listed as lost.

use std::collections::HashSet;

use sync_core::{Conflict, ConflictKind, Row, RowId, RowState, SiteId, Source, Value};
use sync_store::{Applied, Batch, Burial, Change, ConflictEntry, Drained, Mode, Result, TableHead};

use crate::catalog::CONFLICTS;
use crate::changes::{Page, read_page};
use crate::database::Database;
use crate::drain::{drain_pending, unknown_table};
use crate::layout::Tracked;
use crate::meta::{self, Line};
use crate::{apply, conflicts, marks, tables};

/// Rows of one transaction.
const CHUNK: usize = 500;

/// Deletes rows as written here at `millis`; those that changed since they were judged stay.
pub fn bury(db: &mut Database, table: &str, rows: &[Burial], millis: u64, mode: Mode) -> Result<Applied> {
    drain_pending(db, &mut Drained::default())?;
    let tracked = db.catalog.named(table).ok_or_else(|| unknown_table(table))?.clone();
    let (site, own) = (db.identity.card.site, db.identity.source);
    let mut applied = Applied::default();
    for rows in rows.chunks(CHUNK) {
        let (_, graves) = read_page(db, |page| graves(page, &tracked, rows, (millis, site)))?;
        if !graves.is_empty() {
            let list = db.catalog.numbered(CONFLICTS);
            let batch = batch(own, &tracked, list, graves);
            applied.add(apply::apply(db, &batch, mode)?);
        }
    }
    Ok(applied)
}

/// The grave of a row, and what is lost with it if that is doubtful.
type Grave = (Change, Option<ConflictEntry>);

/// A batch of this store's own, with the entries of the conflict list.
fn batch(own: Source, tracked: &Tracked, list: Option<&Tracked>, graves: Vec<Grave>) -> Batch {
    let head = |tracked: &Tracked| TableHead { name: tracked.table.name.clone(), columns: tracked.names() };
    let mut batch = Batch::empty(own);
    batch.head(&head(tracked));
    let (changes, lost): (Vec<Change>, Vec<Option<ConflictEntry>>) = graves.into_iter().unzip();
    batch.changes = changes;
    let lost: Vec<ConflictEntry> = lost.into_iter().flatten().collect();
    if let (false, Some(list)) = (lost.is_empty(), list) {
        let table = batch.head(&head(list));
        let entries = conflicts::incoming(&lost).into_iter();
        batch.changes.extend(entries.map(|(key, row)| Change { table, key, row }));
    }
    batch
}

/// The graves of the rows that are still as they were judged.
fn graves(page: &mut Page, tracked: &Tracked, rows: &[Burial], now: (u64, SiteId)) -> Result<Vec<Grave>> {
    let keys: Vec<Vec<Value>> = rows.iter().map(|r| r.key.clone()).collect();
    let ids: Vec<RowId> = keys.iter().map(|k| RowId::of(k)).collect();
    let lines = meta::load(page.sql, tracked.number(), &ids)?;
    let marked: HashSet<RowId> = match page.marked.contains(&tracked.number()) {
        true => marks::of_rows(page.sql, page.dialect, tracked, &keys)?.row_ids().into_iter().collect(),
        false => HashSet::new(),
    };
    let doubtful: Vec<Vec<Value>> = rows.iter().filter(|r| r.doubtful).map(|r| r.key.clone()).collect();
    let mut shown = tables::read_still(page.sql, page.dialect, tracked, &doubtful, false)?;
    let is_same = |(row, id): &(&Burial, RowId)| lines.get(id).map(|l| l.seq) == row.seq && !marked.contains(id);
    let grave =
        |(row, id): (&Burial, RowId)| grave(tracked, row, (lines.get(&id), lines.unlined()), shown.remove(&id), now);
    Ok(rows.iter().zip(ids).filter(is_same).map(grave).collect())
}

fn grave(
    tracked: &Tracked,
    row: &Burial,
    (line, unlined): (Option<&Line>, RowState),
    shown: Option<Vec<Value>>,
    (millis, site): (u64, SiteId),
) -> Grave {
    let mut state = line.map_or(unlined, |l| l.state.clone());
    let (loser, stamp) = (state.newest(), state.next_stamp(millis, site));
    state.delete(stamp);
    let losing = line.map_or(shown.clone(), |l| l.kept.true_values(shown)).filter(|_| row.doubtful);
    let lost = losing.map(|losing| {
        let conflict = Conflict { kind: ConflictKind::UpdateLost, winner: stamp, loser, winning: Vec::new(), losing };
        conflicts::entry(tracked, &row.key, &conflict)
    });
    (Change { table: 0, key: row.key.clone(), row: Row { state, values: None } }, lost)
}
