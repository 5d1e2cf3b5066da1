//! What becomes of the counters of a store that was restored from a backup. Its additions are summed up by history, so it
//! takes a new one before it stamps what was added since; but marks that were in the backup were made in the old one, and
//! may have been stamped and published there. Stamped once more as part of it, they count once.

use sync_core::capture::Operation;
use sync_core::{Position, SiteId, Source, Value, codec};
use sync_store::Result;

use crate::catalog::Catalog;
use crate::database::{Connections, Database, Ended, random};
use crate::drain::{author, publish_marked};
use crate::layout::Tracked;
use crate::marks::{self, Marked, Marks};
use crate::sql::Fields;
use crate::{identity, retry};

/// Marks read at a time.
const PAGE: usize = 2_000;

/// When a site last wrote to a table with counters, as far as the lines tell.
pub fn last_heard(db: &mut Database, site: SiteId) -> Result<u64> {
    // This comes before a drain, which looks at the tables first.
    db.refresh()?;
    let (sql, mut latest) = (db.connections.writer.as_mut(), 0);
    for tracked in db.catalog.tracked.iter().filter(|t| !t.counters.is_empty()) {
        let query = "SELECT state FROM server_sync_row WHERE tab=?";
        sql.query(query, &[Value::Int(tracked.number().into())], &mut |row| {
            let state = codec::unpack_state(&Fields::of(row).bytes()?)?;
            let own = state.seen.stamps().filter(|stamp| stamp.site() == site);
            latest = own.map(|stamp| stamp.millis()).max().unwrap_or(0).max(latest);
            Ok(())
        })?;
    }
    Ok(latest)
}

/// Takes a new incarnation; additions that were marked until `latest` are stamped as part of the old one before.
pub fn leave_history(db: &mut Database, latest: u64) -> Result<Source> {
    db.refresh()?;
    let now = db.latest_millis()?;
    let incarnation = db.identity.source.incarnation.next(now.saturating_sub(1000), random()?);
    let (catalog, site) = (&db.catalog, db.identity.card.site);
    retry::contention(|| {
        db.connections.transaction(|c| {
            let (source, mut head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
            marks::gather(c.writer.as_mut(), c.dialect.as_ref(), catalog)?;
            for tracked in catalog.tracked.iter().filter(|t| !t.counters.is_empty()) {
                while let Some(next) = drain_old(c, (catalog, tracked), head, (author(site, source), latest))? {
                    head = next;
                }
            }
            identity::set_incarnation(c.writer.as_mut(), incarnation)?;
            Ok(Ended::Commit(()))
        })
    })?;
    db.identity.source.incarnation = incarnation;
    Ok(db.identity.source)
}

/// Drains the oldest marks that are not later than `latest`; nothing if there are none.
fn drain_old(
    c: &mut Connections,
    (catalog, tracked): (&Catalog, &Tracked),
    head: Position,
    (author, latest): (sync_core::Author, u64),
) -> Result<Option<Position>> {
    let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
    let read = marks::oldest(sql, dialect, tracked, PAGE)?;
    let old = Marks { rows: read.rows.into_iter().filter_map(|row| until(row, latest)).collect() };
    if old.rows.is_empty() {
        return Ok(None);
    }
    let (head, _) = publish_marked(c, (catalog, tracked), &old, head, (author, latest))?;
    marks::delete(c.writer.as_mut(), c.dialect.as_ref(), tracked, &old.ids())?;
    Ok(Some(head))
}

/// The first marks of a row, up to the one that is later. What is left then says what became of the row since.
fn until(mut row: Marked, latest: u64) -> Option<Marked> {
    let count = row.marks.iter().take_while(|mark| mark.millis <= latest).count();
    if count < row.marks.len() {
        row.marks.truncate(count);
        row.ids.truncate(count);
        row.present = row.marks.last()?.operation != Operation::Delete;
    }
    (count > 0).then_some(row)
}
