//! `server_sync_brief`: rows that came and went between two drains. Nobody hears of them, or a day without a link would end in
//! as many graves as there were short-lived rows. But a store that was put back to a copy from in between may have published
//! such a row in the history that is lost, and those who have it would bring it back; whoever deleted it deleted that row. So
//! when a row comes in that this site inserted and does not know, it is looked for here, and if it is found by the very
//! stamp of its insert, its grave is published then. Never read otherwise, never sent, and kept for [`KEEP`].

use std::collections::HashMap;

use sync_core::capture::{Brief, brief};
use sync_core::{Author, RowId, RowState, Stamp, Value, codec};
use sync_store::Result;

use crate::connections::Connections;
use crate::layout::{Tracked, powers, rows};
use crate::marks::{Marked, Marks};
use crate::meta::Lines;
use crate::outcome::Incoming;
use crate::sql::{Fields, Sql};

/// A row that is gone sooner is not remembered: no database is copied, published from and put back within that time. Many rows are
/// written and deleted in one transaction, and would only take room. Milliseconds.
const AT_LEAST: u64 = 1_000;

/// How long a row is remembered, in milliseconds: as long as graves are kept at least, if nothing else is set.
const KEEP: u64 = 30 * 86_400_000;

/// Old ones that are dropped with each page of marks that adds some: more than can be added, so that they become fewer.
const DROPPED: usize = 4_000;

const KEY: [&str; 3] = ["tab", "id", "inserted"];

/// What became of a row that is not there, if it came and went unheard.
pub(crate) fn of(row: &Marked, lines: &Lines, (author, latest): (Author, u64)) -> Option<Brief> {
    if lines.contains_key(&row.id) {
        return None;
    }
    brief(lines.state_of(&row.id).unwrap_or_default(), &row.clamped(latest), author)
}

/// Remembers the brief ones among marked rows.
pub(crate) fn remember(
    c: &mut Connections,
    tracked: &Tracked,
    marks: &Marks,
    lines: &Lines,
    by: (Author, u64),
) -> Result<()> {
    let gone = marks.rows.iter().filter(|row| !row.present);
    let brief = gone.filter_map(|row| Some((&row.id, of(row, lines, by)?)));
    let long = brief.filter(|(_, brief)| brief.millis >= AT_LEAST);
    let params: Vec<Value> = long.flat_map(|(id, brief)| written(tracked.number(), id, &brief)).collect();
    if params.is_empty() {
        return Ok(());
    }
    save(c, params)?;
    drop_old(c.writer.as_mut(), by.1.saturating_sub(KEEP))
}

const WIDTH: usize = 5;

fn written(tab: u16, id: &RowId, brief: &Brief) -> Vec<Value> {
    let state = codec::pack_state(&brief.grave);
    let one = |inserted: &Stamp| -> [Value; WIDTH] {
        [
            Value::Int(tab.into()),
            Value::Bytes(id.as_bytes().to_vec()),
            Value::unsigned(inserted.raw()),
            Value::unsigned(brief.grave.deleted.millis()),
            Value::Bytes(state.clone()),
        ]
    };
    brief.inserted.iter().flat_map(one).collect()
}

fn save(c: &mut Connections, params: Vec<Value>) -> Result<()> {
    let upsert = c.dialect.on_duplicate(&KEY.map(str::to_owned), &["deleted", "state"].map(str::to_owned));
    for range in powers(params.len() / WIDTH, 512) {
        let places = rows(WIDTH, range.len());
        let statement =
            format!("INSERT INTO server_sync_brief (tab, id, inserted, deleted, state) VALUES {places}{upsert}");
        c.writer.execute(&statement, &params[range.start * WIDTH..range.end * WIDTH])?;
    }
    Ok(())
}

/// Drops some of those that were deleted before `millis`, the oldest first.
fn drop_old(sql: &mut dyn Sql, millis: u64) -> Result<()> {
    let query =
        format!("SELECT deleted FROM server_sync_brief WHERE deleted<? ORDER BY deleted LIMIT 1 OFFSET {DROPPED}");
    let upto = match sql.first(&query, &[Value::unsigned(millis)])? {
        Some(row) => Fields::of(row).unsigned()? + 1,
        None => millis,
    };
    sql.execute("DELETE FROM server_sync_brief WHERE deleted<?", &[Value::unsigned(upto)]).map(drop)
}

/// The graves of those of these rows that came and went here: by the marks that are not drained yet, or remembered. `lines` and
/// `current` are what this store knows and shows of them.
pub(crate) fn find(
    sql: &mut dyn Sql,
    tracked: &Tracked,
    incoming: &[Incoming],
    (lines, current): (&Lines, &HashMap<RowId, Vec<Value>>),
    (marks, by): (&Marks, (Author, u64)),
) -> Result<HashMap<RowId, RowState>> {
    let is_known = |id: &RowId| lines.contains_key(id) || current.contains_key(id);
    let is_lost = |i: &&Incoming| {
        let state = &i.row.state;
        state.is_live() && state.inserted.site() == by.0.site && !is_known(&i.id)
    };
    let lost: HashMap<&RowId, Stamp> = incoming.iter().filter(is_lost).map(|i| (&i.id, i.row.state.inserted)).collect();
    if lost.is_empty() {
        return Ok(HashMap::new());
    }
    let mut graves = remembered(sql, tracked.number(), &lost)?;
    for (row, inserted) in marks.rows.iter().filter_map(|row| Some((row, lost.get(&row.id)?))) {
        let brief = of(row, lines, by).filter(|brief| brief.inserted.contains(inserted));
        graves.extend(brief.map(|brief| (row.id.clone(), brief.grave)));
    }
    Ok(graves.into_iter().map(|(id, grave)| (id, grave.raised(lines.epoch))).collect())
}

fn remembered(sql: &mut dyn Sql, tab: u16, lost: &HashMap<&RowId, Stamp>) -> Result<HashMap<RowId, RowState>> {
    let (mut graves, ids) = (HashMap::new(), lost.keys().copied().collect::<Vec<_>>());
    for range in powers(ids.len(), 256) {
        let places = vec!["?"; range.len()].join(",");
        let query = format!("SELECT id, inserted, state FROM server_sync_brief WHERE tab=? AND id IN ({places})");
        let ids = ids[range].iter().map(|id| Value::Bytes(id.as_bytes().to_vec()));
        let params: Vec<Value> = [Value::Int(tab.into())].into_iter().chain(ids).collect();
        sql.query(&query, &params, &mut |row| {
            let mut fields = Fields::of(row);
            let (id, inserted) = (RowId::from_bytes(fields.bytes()?), Stamp::from_raw(fields.unsigned()?));
            if lost.get(&id) == Some(&inserted) {
                graves.insert(id, codec::unpack_state(&fields.bytes()?)?);
            }
            Ok(())
        })?;
    }
    Ok(graves)
}
