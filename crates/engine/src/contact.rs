//! First contact and `-init`: making two stores alike that have no common history, or of which that is doubted.
//!
//! Rows that only one side has are united. Where both have a row and cells differ under equal stamps, nothing tells
//! which is newer: both cells are stamped as written now, the preferred side's a moment later, so that it wins and
//! the other is listed as a conflict. What has stamps is left to the streams, which follow. Between strangers a cell from
//! before loses against one that has a stamp, which was written without knowledge of it: it is stamped as the oldest
//! write there is, so that it is listed too. The same is done to rows from before that only one side has, if the other already
//! knows somebody else: there they can meet rows from before that came another way, which look the same. A file from before does
//! not go with a delete of another content at its path, and one that was modified after what others have seen of
//! its site there was written then.

use std::collections::{HashMap, HashSet};

use sync_core::row::compare_bases;
use sync_core::{ColumnId, Row, RowState, SiteId, Source, Value};
use sync_store::{Batch, Change, Mode, Restamp, Scope};

use crate::compare::{self, Differences, Doubtful, Reaches, Traffic};
use crate::copy;
use crate::error::Result;
use crate::gone::Gone;
use crate::parties::{Parties, Sides};
use crate::report::{Direction, Event, RoundReport, Watch};
use crate::round::Options;

/// Which differences are settled, and how.
#[derive(Clone)]
pub(crate) struct Settling {
    /// What each side had before synchronisation began has never been compared.
    pub strangers: bool,
    /// Settle also what streams bring, as far as both sides have it: in one of its cells they may differ for no reason.
    pub all: bool,
    /// What the streams that follow will bring.
    pub reaches: Reaches,
    /// Which sides know somebody besides each other.
    pub acquainted: Sides<bool>,
    /// Which sides get all of the other's history with the stream that follows.
    pub unheard: Sides<bool>,
}

/// Makes both sides alike. An empty side is filled in bulk; otherwise all rows are compared.
pub(crate) fn meet(
    parties: &mut Parties,
    options: &Options,
    settling: &Settling,
    report: &mut RoundReport,
    watch: &mut dyn Watch,
) -> Result<Gone> {
    let tables = parties.agreement.tables.clone();
    let theirs = parties.early.is_empty().map_or_else(|| parties.slave.is_empty(), Ok)?;
    match (parties.master.is_empty()?, theirs) {
        (true, true) => Ok(Gone::default()),
        // Rows that may need a stamp are not copied as they are.
        (true, false) if settling.acquainted.master => compare(parties, options, &tables, settling, report, watch),
        (false, true) if settling.acquainted.slave => compare(parties, options, &tables, settling, report, watch),
        (true, false) if settling.unheard.master => copy::copy(parties, Direction::Pull, options, report, watch),
        (false, true) if settling.unheard.slave => copy::copy(parties, Direction::Push, options, report, watch),
        _ => compare(parties, options, &tables, settling, report, watch),
    }
}

/// Compares these tables and settles what differs, but for the rows that are to be deleted: those it returns.
pub(crate) fn compare(
    parties: &mut Parties,
    options: &Options,
    tables: &[String],
    settling: &Settling,
    report: &mut RoundReport,
    watch: &mut dyn Watch,
) -> Result<Gone> {
    parties.is_compared |= !tables.is_empty();
    let mut gone = Gone::default();
    let scopes: Vec<Scope> = tables.iter().map(|t| parties.scope(t)).collect();
    let mut traffic = Traffic::default();
    let found = compare::find(&mut parties.pair(), scopes, &mut traffic, watch)?;
    for found in found {
        let (table, rows) = (found.table.clone(), found.rows);
        let mut review = found.review()?;
        let mut counts = [0; 3];
        while let Some(differences) = review.next(&mut parties.pair(), &settling.reaches, &mut traffic)? {
            let differences = settling.wanted(differences);
            gone.note(&table, rows, &differences)?;
            counts.iter_mut().zip(differences.counts()).for_each(|(sum, count)| *sum += count);
            settle(parties, options, &table, settling, report, &differences)?;
        }
        if !settling.strangers {
            note(parties, &table, counts, report, watch);
        }
    }
    Ok(gone)
}

/// Says what was found that no mark told of: rows that differ, rows that only the master and that only the slave has.
pub(crate) fn note(
    parties: &Parties,
    table: &str,
    [differing, only_master, only_slave]: [u64; 3],
    report: &mut RoundReport,
    watch: &mut dyn Watch,
) {
    let (master, slave) = (&parties.about.master.site_name, &parties.about.slave.site_name);
    let found = [
        (only_slave, format!("missing at {master}")),
        (only_master, format!("missing at {slave}")),
        (differing, "different at the two sites".to_owned()),
    ];
    for (count, what) in found.into_iter().filter(|(count, _)| *count > 0) {
        let note = format!("table {table}: rows {what} without a mark that says why: {count}; they are made equal");
        watch.event(Event::Note(&note));
        report.notes.push(note);
    }
}

/// Settles what differs in one table.
pub(crate) fn settle(
    parties: &mut Parties,
    options: &Options,
    table: &str,
    settling: &Settling,
    report: &mut RoundReport,
    differences: &Differences,
) -> Result<()> {
    Work { parties, options, table, settling, report }.settle(differences)
}

impl Settling {
    /// Without what streams will settle.
    pub fn wanted(&self, mut differences: Differences) -> Differences {
        let travelling: HashSet<Vec<Value>> = std::mem::take(&mut differences.on_the_way).into_iter().collect();
        let waits = |key: &Vec<Value>| !travelling.contains(key);
        if !self.strangers {
            differences.only_master.retain(waits);
            differences.only_slave.retain(waits);
        }
        if !self.all {
            differences.differing.retain(waits);
        }
        differences
    }
}

/// Rows settled at a time.
const CHUNK: usize = 256;

struct Work<'a, 'b> {
    parties: &'a mut Parties<'b>,
    options: &'a Options,
    table: &'a str,
    settling: &'a Settling,
    report: &'a mut RoundReport,
}

impl Work<'_, '_> {
    fn settle(&mut self, differences: &Differences) -> Result<()> {
        self.revive(differences)?;
        self.renew(differences)?;
        self.object(differences)?;
        let mut left = &differences.differing[..];
        while !left.is_empty() && self.parties.mode == Mode::Write {
            let done = self.decide(&left[..left.len().min(CHUNK)], &differences.doubtful)?;
            left = &left[done..];
        }
        // One direction after the other: what was sent is published there, and documents have to be there before it goes on.
        for keys in differences.only_master.chunks(CHUNK).chain(differences.differing.chunks(CHUNK)) {
            self.send(Direction::Push, keys)?;
        }
        for keys in differences.only_slave.chunks(CHUNK).chain(differences.differing.chunks(CHUNK)) {
            self.send(Direction::Pull, keys)?;
        }
        Ok(())
    }

    /// Rows that somebody put back without its being marked are inserted now.
    fn revive(&mut self, differences: &Differences) -> Result<()> {
        if self.parties.mode == Mode::Preview {
            return Ok(());
        }
        let now = self.now();
        let whole = |keys: &[Vec<Value>]| -> Vec<Restamp> {
            keys.iter().map(|key| Restamp { key: key.clone(), ..Restamp::default() }).collect()
        };
        let [master, slave] = &differences.unmarked;
        self.parties.master.restamp(self.table, &whole(master), now)?;
        self.parties.slave.restamp(self.table, &whole(slave), now)?;
        Ok(())
    }

    /// Rows that the other side does not know, although it may once have deleted them, are inserted now. Were they only written
    /// to, a grave that a third site still has would win, and never be told to those that have forgotten it.
    fn renew(&mut self, differences: &Differences) -> Result<()> {
        if self.parties.mode == Mode::Preview {
            return Ok(());
        }
        for (keys, direction) in differences.renewed.iter().zip([Direction::Push, Direction::Pull]) {
            let reaches = &self.settling.reaches;
            let lost = if direction == Direction::Push { &reaches.master.lost } else { &reaches.slave.lost };
            // Whatever the clocks say, it is later than every delete that was forgotten.
            let now = self.now().max(lost.latest.millis() + 1);
            self.insert_now(direction, keys, now)?;
        }
        Ok(())
    }

    /// Between strangers a row from before does not go with a delete of another's content: it is inserted now. Whose number the
    /// delete is of does not matter, nor what was seen of that: a site whose index was made anew can have made it itself.
    fn object(&mut self, differences: &Differences) -> Result<()> {
        if self.parties.mode == Mode::Preview || !self.settling.strangers {
            return Ok(());
        }
        for (unseen, direction) in differences.unseen.iter().zip([Direction::Push, Direction::Pull]) {
            let latest = unseen.iter().map(|(_, deleted)| deleted.millis()).max().unwrap_or_default();
            let keys: Vec<Vec<Value>> = unseen.iter().map(|(key, _)| key.clone()).collect();
            self.insert_now(direction, &keys, self.now().max(latest + 1))?;
        }
        Ok(())
    }

    fn insert_now(&mut self, direction: Direction, mut keys: &[Vec<Value>], now: u64) -> Result<()> {
        let from = self.parties.stores(direction).0;
        while !keys.is_empty() {
            let (batch, done) = from.rows(self.table, keys)?;
            from.restamp(self.table, &anew(&batch), now)?;
            keys = rest(keys, done);
        }
        Ok(())
    }

    fn now(&self) -> u64 {
        let clock = self.parties.about.master.clock_micros.min(self.parties.about.slave.clock_micros);
        u64::try_from(clock / 1000).unwrap_or_default()
    }

    /// Sends rows that the other side does not have. A grave there has its say in the merge.
    fn send(&mut self, direction: Direction, mut keys: &[Vec<Value>]) -> Result<()> {
        let (mode, horizon) = (self.parties.mode, self.parties.horizon);
        let stamps = self.settling.strangers && *self.settling.acquainted.receiver(direction) && mode == Mode::Write;
        let oldest = oldest(self.parties.sender(direction).source);
        while !keys.is_empty() {
            let from = self.parties.stores(direction).0;
            let (mut batch, done) = from.rows(self.table, keys)?;
            let unwritten = if stamps { unwritten(&batch) } else { Vec::new() };
            if !unwritten.is_empty() {
                from.restamp(self.table, &unwritten, oldest)?;
                batch = from.rows(self.table, first(keys, done))?.0;
            }
            horizon.check(&batch)?;
            self.parties.carry_documents(direction, &mut ())?;
            let applied = self.parties.stores(direction).1.apply(&batch, mode)?;
            self.report.applied(direction).add(applied);
            keys = rest(keys, done);
        }
        Ok(())
    }

    /// Rows that differ will be exchanged as they are: the cells that nothing decides between are stamped before. Returns how
    /// many keys that were: as many as both sides can bring in one batch.
    fn decide(&mut self, keys: &[Vec<Value>], doubtful: &[Vec<Doubtful>; 2]) -> Result<usize> {
        let (master, done) = self.parties.master.rows(self.table, keys)?;
        let keys = first(keys, done);
        let (slave, done) = self.parties.slave.rows(self.table, keys)?;
        let keys = first(keys, done);
        self.restamp(&contested(&master, &slave))?;
        if self.settling.strangers {
            self.stamp(Direction::Push, unheard(&master, &slave), &doubtful[0])?;
            self.stamp(Direction::Pull, unheard(&slave, &master), &doubtful[1])?;
        }
        Ok(keys.len())
    }

    /// The sender's rows from before that meet written ones count as the oldest write there is, but for edits that only a new index
    /// knows.
    fn stamp(&mut self, direction: Direction, mut rows: Vec<Restamp>, doubtful: &[Doubtful]) -> Result<()> {
        let doubtful: HashMap<&Vec<Value>, &Doubtful> = doubtful.iter().map(|one| (&one.key, one)).collect();
        let (now, sender) = (self.now(), self.parties.sender(direction));
        let (site, oldest) = (sender.site, oldest(sender.source));
        let about = &self.parties.about;
        let skew = about.master.clock_micros.abs_diff(about.slave.clock_micros) / 1000;
        for row in &mut rows {
            let Some(one) = doubtful.get(&row.key) else { continue };
            let Some(at) = edited(one, site, (now, skew)).map(|at| at.max(oldest)) else { continue };
            row.at = Some(at);
            // What was inserted is replaced as a whole, or not at all.
            row.anew = one.other.inserted.is_written() && at > one.other.newest.millis();
        }
        Ok(self.parties.stores(direction).0.restamp(self.table, &rows, oldest)?)
    }

    fn restamp(&mut self, rows: &[Restamp]) -> Result<()> {
        let now = self.now();
        let (master_at, slave_at) = if self.options.prefer_slave { (now, now + 1) } else { (now + 1, now) };
        self.parties.master.restamp(self.table, rows, master_at)?;
        self.parties.slave.restamp(self.table, rows, slave_at)?;
        Ok(())
    }
}

/// The keys that a store dealt with: at least one, so that there is an end.
fn first(keys: &[Vec<Value>], done: usize) -> &[Vec<Value>] {
    &keys[..done.clamp(1, keys.len())]
}

fn rest(keys: &[Vec<Value>], done: usize) -> &[Vec<Value>] {
    &keys[done.clamp(1, keys.len())..]
}

/// The rows that are there, to be inserted anew.
fn anew(batch: &Batch) -> Vec<Restamp> {
    let live = batch.changes.iter().filter(|change| change.row.state.is_live());
    live.map(|change| Restamp { key: change.key.clone(), anew: true, ..Restamp::default() }).collect()
}

/// The time of a write that is older than any: in the seventies, and the later the later the store's history began. No two
/// histories of a site have the same one, and what a site has whose index or database was made anew is not taken for what the
/// others have seen of it as the oldest before. (What they have seen of its later writes covers it nevertheless.)
fn oldest(source: Source) -> u64 {
    source.incarnation.millis() / 100
}

/// When a file from before was written, if it was modified after all that the other has seen this site write there, or after the other's
/// file: then it is an edit, which the other cannot have seen, although it may have seen the site's number since. Whatever is older
/// came back from a copy. (Stamps can be ahead of a slow clock. Where another site wrote last, neither is lost by saying so.) Where
/// nothing of this site's was seen, nothing covers what it has.
fn edited(doubtful: &Doubtful, site: SiteId, (now, skew): (u64, u64)) -> Option<u64> {
    let seen = doubtful.other.seen.iter().filter(|stamp| stamp.site() == site).map(|stamp| stamp.millis()).max()?;
    let ahead = if doubtful.other.newest.site() == site { 0 } else { skew };
    (doubtful.modified + ahead > seen || doubtful.is_later).then(|| doubtful.modified.min(now).max(seen + 1))
}

/// The columns that differ under equal stamps, row by row.
fn contested(master: &Batch, slave: &Batch) -> Vec<Restamp> {
    differing(master, slave, |(ours, our), (theirs, their)| {
        ours.lineage() == theirs.lineage() && ours.cell(our) == theirs.cell(their)
    })
}

/// The columns of `batch` from before synchronisation that differ from cells of `other` which have a stamp.
fn unheard(batch: &Batch, other: &Batch) -> Vec<Restamp> {
    differing(batch, other, |(ours, our), (theirs, their)| {
        !ours.cell(our).is_written() && theirs.cell(their).is_written()
    })
}

/// The columns of rows from before synchronisation that were not written since.
fn unwritten(batch: &Batch) -> Vec<Restamp> {
    let Some(head) = batch.heads.first() else { return Vec::new() };
    let one = |change: &Change| {
        let state = &change.row.state;
        let is_unwritten = |(i, _): &(usize, &String)| state.is_live() && !state.cell(*i as ColumnId).is_written();
        let columns: Vec<String> =
            head.columns.iter().enumerate().filter(is_unwritten).map(|(_, c)| c.clone()).collect();
        (!columns.is_empty()).then(|| Restamp { key: change.key.clone(), columns, ..Restamp::default() })
    };
    batch.changes.iter().filter_map(one).collect()
}

/// The columns in which rows of two batches differ, what was added to counters left aside, and for which `counts` says yes, given both states with the column's
/// number in each.
fn differing(
    batch: &Batch,
    other: &Batch,
    counts: impl Fn((&RowState, ColumnId), (&RowState, ColumnId)) -> bool,
) -> Vec<Restamp> {
    let rows: HashMap<&Vec<Value>, &Row> = other.changes.iter().map(|c| (&c.key, &c.row)).collect();
    let (Some(head), Some(other_head)) = (batch.heads.first(), other.heads.first()) else { return Vec::new() };
    let pairs: Vec<(usize, usize)> = (0..head.columns.len())
        .filter_map(|i| Some((i, other_head.columns.iter().position(|c| *c == head.columns[i])?)))
        .collect();
    let one = |change: &Change| {
        let (ours, theirs) = (&change.row, *rows.get(&change.key)?);
        ours.values.as_ref().and(theirs.values.as_ref())?;
        let differ = |(i, j): &(usize, usize)| compare_bases((ours, *i as ColumnId), (theirs, *j as ColumnId)).is_ne();
        let decides = |(i, j): &(usize, usize)| counts((&ours.state, *i as ColumnId), (&theirs.state, *j as ColumnId));
        let columns: Vec<String> =
            pairs.iter().filter(|pair| differ(pair) && decides(pair)).map(|(i, _)| head.columns[*i].clone()).collect();
        (!columns.is_empty()).then(|| Restamp { key: change.key.clone(), columns, ..Restamp::default() })
    };
    batch.changes.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use sync_core::Stamp;
    use sync_store::Standpoint;

    use super::*;

    /// When a file of site 1, modified then, was written, if at 100 the other side has seen so much of sites 1 and 2, and the clocks
    /// differ by 5.
    fn written(modified: u64, seen: [u64; 2], is_later: bool) -> Option<u64> {
        let site = |number| SiteId::new(number).unwrap();
        let told = seen.iter().zip(1..).filter(|(at, _)| **at > 0);
        let stamps: Vec<Stamp> = told.map(|(at, number)| Stamp::at(*at, site(number))).collect();
        let newest = stamps.iter().copied().max().unwrap();
        let other = Standpoint { seq: 1, origin: None, inserted: newest, newest, seen: stamps };
        edited(&Doubtful { key: Vec::new(), modified, is_later, other }, site(1), (100, 5))
    }

    #[test]
    fn what_was_modified_after_all_that_was_seen_is_an_edit_of_then() {
        assert_eq!(written(50, [40, 10], true), Some(50));
        assert_eq!(written(50, [40, 90], false), Some(50), "the other was written later");
        assert_eq!(written(35, [40, 10], false), None, "it has been seen");
        assert_eq!(written(36, [40, 10], false), None, "its own clock tells which is older");
        assert_eq!(written(36, [40, 90], false), Some(41), "the stamp was ahead of the clock");
        assert_eq!(written(30, [40, 10], false), None, "an older one has come back");
        assert_eq!(written(30, [40, 10], true), Some(41), "later than the other file");
        assert_eq!(written(500, [40, 10], true), Some(100), "nothing was written in the future");
        assert_eq!(written(500, [400, 10], true), Some(401), "the clock was set back");
        assert_eq!(written(50, [0, 10], true), None, "a site that joins");
    }
}
