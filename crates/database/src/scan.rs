//! Streaming a whole table for a first copy: ranges of whole rows in key order, one statement and one short snapshot for
//! each, with lines and marks only where the table has any. Writes nothing but drains.

use sync_core::{RowId, Value};
use sync_store::batch::baseline_row;
use sync_store::{Change, Drained, Result, Sink};

use crate::changes::{PAGE, Page, outgoing, read_page};
use crate::database::Database;
use crate::drain::{drain_pending, unknown_table};
use crate::layout::Tracked;
use crate::meta;
use crate::sql::Fields;
use crate::tables::{self, PAGE_BYTES};

/// Rows in one batch at most: more lock rows at the receiver for longer, fewer cost a commit more often.
const ROWS: usize = 4096;

/// What a batch should weigh, so that one is read while others are applied.
const WEIGHT: usize = 3 << 19;

/// Streams a whole table.
pub fn scan(db: &mut Database, table: &str, sink: &mut Sink) -> Result<()> {
    let tracked = db.catalog.named(table).ok_or_else(|| unknown_table(table))?.clone();
    let (mut after, mut limit): (Option<Vec<Value>>, usize) = (None, PAGE);
    loop {
        drain_pending(db, &mut Drained::default())?;
        let (batch, last) = read_page(db, |page| page.range(&tracked, after.as_deref(), limit))?;
        let Some(last) = last else { return Ok(()) };
        after = Some(last);
        limit = next_limit(batch.changes.len(), batch.weight());
        sink(batch)?;
    }
}

/// How many rows to ask for next, by what the last ones weighed.
fn next_limit(rows: usize, weight: usize) -> usize {
    weight.checked_div(rows).map_or(PAGE, |each| (WEIGHT / each.max(1)).clamp(1, ROWS))
}

impl Page<'_> {
    /// Adds the rows that follow a key; returns the last key.
    fn range(&mut self, tracked: &Tracked, after: Option<&[Value]>, limit: usize) -> Result<Option<Vec<Value>>> {
        let params = after.map(|key| tracked.following_params(self.dialect, key)).unwrap_or_default();
        if !tracked.bulky.is_empty() && self.length(tracked, after, &params, limit)? > PAGE_BYTES {
            let keys = tables::keys_after(self.sql, self.dialect, tracked, after, limit.min(PAGE))?;
            return Ok(self.add_fitting(tracked, keys)?.into_iter().next_back());
        }
        let (mut rows, mut weight) = (Vec::new(), 0);
        let statement = tracked.select_rows(self.dialect, after.is_some(), limit);
        let dialect = self.dialect;
        self.sql.query(&statement, &params, &mut |row| {
            // Rows of many short columns can be heavy, too: what is too much is read again.
            if weight <= PAGE_BYTES {
                weight += row.iter().map(Value::weight).sum::<usize>();
                rows.push(tracked.received_in_order(dialect, row));
            }
            Ok(())
        })?;
        let last = rows.last().map(|row| tracked.key_of(row));
        self.add(tracked, rows)?;
        Ok(last)
    }

    fn length(&mut self, tracked: &Tracked, after: Option<&[Value]>, params: &[Value], limit: usize) -> Result<usize> {
        let statement = tracked.select_rows_length(self.dialect, after.is_some(), limit);
        Ok(Fields::of(self.sql.first(&statement, params)?.unwrap_or_default()).unsigned()? as usize)
    }

    /// Adds rows, given in the order of their columns' ids, except those with a pending mark.
    fn add(&mut self, tracked: &Tracked, rows: Vec<Vec<Value>>) -> Result<()> {
        let table = self.head(tracked);
        let keys: Vec<Vec<Value>> = rows.iter().map(|row| tracked.key_of(row)).collect();
        let number = tracked.number();
        let is_plain = !self.marked.contains(&number) && !meta::has_history(self.sql, number)?;
        if is_plain {
            let change = |(key, row)| Change { table, key, row: baseline_row(row) };
            self.batch.changes.extend(keys.into_iter().zip(rows).map(change));
            return Ok(());
        }
        let pending = self.pending(tracked, &keys)?;
        let ids: Vec<RowId> = keys.iter().map(|key| RowId::of(key)).collect();
        let mut lines = meta::load(self.sql, tracked.number(), &ids)?;
        for ((id, key), row) in ids.iter().zip(keys).zip(rows).filter(|((id, _), _)| !pending.contains(id)) {
            if let Some(row) = outgoing(tracked, lines.remove(id), Some(tracked.spread(row)), lines.epoch) {
                self.batch.changes.push(Change { table, key, row });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_as_long_as_its_weight_allows() {
        assert_eq!(next_limit(0, 0), PAGE);
        assert_eq!(next_limit(1000, 1000 * 100), ROWS);
        assert_eq!(next_limit(1024, 1024 * 2048), WEIGHT / 2048);
        assert_eq!(next_limit(1, 64 << 20), 1);
    }
}
