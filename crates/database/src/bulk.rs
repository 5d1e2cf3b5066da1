//! Rows from before synchronisation, inserted without being looked up: what a first copy is made of. Only where that is
//! sure to come to what merging would: the table has no history of its own, so a row of the batch is either there, which
//! the insert finds out, or was never heard of. Whatever objects, everything is undone, and the batch goes the usual way
//! ([`crate::apply`]). Decides nothing and merges nothing.

use sync_core::{RowId, RowState, Summary, Value};
use sync_store::{Applied, Batch, Change, Mode, Result};

use crate::apply::{Translation, is_only_source, settle, with_parked};
use crate::catalog::{CONFLICTS, Catalog};
use crate::connections::{Connections, Ended};
use crate::database::Database;
use crate::dialect::Dialect;
use crate::layout::Tracked;
use crate::suspects::Suspects;
use crate::{identity, marks, meta, tables};

/// Applies a batch so, if that can be done.
pub fn apply(db: &mut Database, batch: &Batch, mode: Mode) -> Option<Applied> {
    let catalog = &db.catalog;
    let rows = Rows::of(batch, catalog, db.connections.dialect.as_ref()).filter(|_| mode == Mode::Write)?;
    // Whatever went wrong, the usual way meets it as well, and knows what to do about it.
    db.connections.transaction(|c| rows.insert(c, catalog)).ok().flatten()
}

/// The rows of a batch, if they are all of one table and from before.
struct Rows<'a> {
    batch: &'a Batch,
    map: Translation<'a>,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a Batch, catalog: &'a Catalog, dialect: &dyn Dialect) -> Option<Self> {
        let [head] = &batch.heads[..] else { return None };
        let map = Translation::new(head, catalog).ok()?;
        let rows = Rows { batch, map };
        let fits = rows.is_whole()
            && batch.upto.is_none()
            && !batch.more
            && !batch.changes.is_empty()
            && rows.are_plain(dialect);
        fits.then_some(rows)
    }

    fn tracked(&self) -> &'a Tracked {
        self.map.tracked
    }

    /// Whether what is undone is undone, and each column of the table comes with the rows.
    fn is_whole(&self) -> bool {
        let tracked = self.tracked();
        let is_given = |id| self.map.ids.contains(id);
        tracked.table.transactional && tracked.number() != CONFLICTS && tracked.ids.iter().all(is_given)
    }

    fn are_plain(&self, dialect: &dyn Dialect) -> bool {
        let (baseline, tracked) = (RowState::baseline(), self.tracked());
        let is_plain = |row: &[Value]| {
            let value = |id| row.get(self.map.ids.iter().position(|i| *i == id)?);
            row.len() == self.map.ids.len() && !tracked.is_special(dialect, &value)
        };
        let mut changes = self.batch.changes.iter();
        changes.all(|c| c.row.state == baseline && c.row.values.as_deref().is_some_and(is_plain))
    }

    fn values(&self) -> impl Iterator<Item = &'a [Value]> {
        self.batch.changes.iter().filter_map(|change| change.row.values.as_deref())
    }

    fn insert(&self, c: &mut Connections, catalog: &Catalog) -> Result<Ended<Option<Applied>>> {
        let (_, head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
        let number = self.tracked().number();
        if !is_only_source(c, self.batch.sender)? || meta::has_history(c.writer.as_mut(), number)? {
            return Ok(Ended::Rollback(None));
        }
        let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
        tables::insert_new(sql, dialect, self.tracked(), &self.map.ids, &self.values().collect::<Vec<_>>())?;
        // Now that the keys are taken: marks of a row that was here and went are seen, and none comes to them any more.
        let marked = marks::pending(sql, dialect, catalog)?;
        if marked.contains(&number) || marked.contains(&marks::LATE) {
            return Ok(Ended::Rollback(None));
        }
        let open = self.suspects(catalog)?.open(c, catalog)?;
        let parked = settle(c, catalog, open, head)?;
        Ok(Ended::Commit(Some(with_parked(self.summary(), catalog, &parked))))
    }

    fn suspects(&self, catalog: &Catalog) -> Result<Suspects> {
        let number = self.tracked().number();
        let refers = catalog.constraints.get(&number).is_some_and(|c| !c.references.is_empty());
        if !refers {
            return Ok(Suspects::default());
        }
        let changes = self.batch.changes.iter();
        let row = |change: &Change| Ok((RowId::of(&change.key), self.map.row(&change.row)?.values));
        let rows = changes.map(row).collect::<Result<Vec<_>>>()?;
        Ok(Suspects::of_inserted(catalog, number, &rows))
    }

    fn summary(&self) -> Applied {
        let rows = self.batch.changes.len() as u64;
        let summary = Summary { received: rows, inserted: rows, ..Summary::default() };
        let tables = [(self.tracked().table.name.clone(), summary)].into();
        Applied { tables, ..Applied::default() }
    }
}
