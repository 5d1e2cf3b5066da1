//! What becomes of the marks that lay in a backup when a store was restored from it: they may have been stamped and published
//! in the history that is left.
//!
//! Additions to counters are summed up by history, so the store takes a new one before it stamps what was added since.
//! Those that were in the backup are stamped once more as part of the old one, so that they count once. And a row that was
//! inserted before and deleted since was perhaps heard of, so it gets a grave.

use sync_core::capture::Operation;
use sync_core::{Author, Position, SiteId, Source, Value, codec};
use sync_store::Result;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::connections::{Connections, Ended};
use crate::database::{Database, random};
use crate::drain::{author, own_line, publish, publish_marked};
use crate::layout::Tracked;
use crate::marks::{self, Marked, Marks};
use crate::meta;
use crate::sql::Fields;
use crate::{brief, identity, retry, vector};

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
    let clock = db.clock()?;
    let incarnation = db.identity.source.incarnation.next(clock.now(), random()?);
    let (catalog, site) = (&db.catalog, db.identity.card.site);
    retry::contention(|| {
        db.connections.transaction(|c| {
            let (source, mut head) = identity::lock(c.writer.as_mut(), c.dialect.wait_for_update())?;
            marks::gather(c.writer.as_mut(), c.dialect.as_ref(), catalog)?;
            let author = author(site, source);
            for tracked in &catalog.tracked {
                loop {
                    let next = match tracked.counters.is_empty() {
                        true => drain_all(c, (catalog, tracked), head, (author, clock))?,
                        false => drain_old(c, (catalog, tracked), head, latest, (author, clock))?,
                    };
                    let Some(next) = next else { break };
                    head = next;
                }
            }
            vector::leave(c.writer.as_mut(), source)?;
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
    latest: u64,
    (author, clock): (Author, Clock),
) -> Result<Option<Position>> {
    let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
    let read = marks::oldest(sql, dialect, tracked, PAGE)?;
    let old = Marks { rows: read.rows.into_iter().filter_map(|row| until(row, latest)).collect() };
    if old.rows.is_empty() {
        return Ok(None);
    }
    let (head, _) = publish_marked(c, (catalog, tracked), &old, head, (author, clock))?;
    marks::delete(c.writer.as_mut(), c.dialect.as_ref(), tracked, &old.ids())?;
    Ok(Some(head))
}

/// Drains the oldest marks of a table without counters; nothing if there are none.
fn drain_all(
    c: &mut Connections,
    (catalog, tracked): (&Catalog, &Tracked),
    head: Position,
    (author, clock): (Author, Clock),
) -> Result<Option<Position>> {
    let read = marks::oldest(c.writer.as_mut(), c.dialect.as_ref(), tracked, PAGE)?;
    if read.rows.is_empty() {
        return Ok(None);
    }
    let clock = clock.for_marks(c.writer.as_mut(), c.dialect.as_ref(), &read)?;
    let ids = read.ids();
    let lines = meta::load(c.writer.as_mut(), tracked.number(), &read.row_ids())?;
    let (mut graves, mut others) = (Vec::new(), Marks::default());
    for row in read.rows {
        match brief::of(&row, &lines, (author, clock.latest())).filter(|_| !row.present) {
            // It was never heard of here, and may have been elsewhere.
            Some(brief) => graves.push((tracked.number(), row.id.clone(), own_line(brief.grave, &row.key))),
            None => others.rows.push(row),
        }
    }
    let head = publish(c, head, &mut graves)?;
    let (head, _) = publish_marked(c, (catalog, tracked), &others, head, (author, clock))?;
    marks::delete(c.writer.as_mut(), c.dialect.as_ref(), tracked, &ids)?;
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
