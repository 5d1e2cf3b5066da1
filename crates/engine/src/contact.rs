//! First contact and `-init`: making two stores alike that have no common history, or of which that is doubted.
//!
//! Rows that only one side has are united. Where both have a row and cells differ under equal stamps, nothing tells
//! which is newer: both cells are stamped as written now, the preferred side's a moment later, so that it wins and
//! the other is listed as a conflict. What has stamps is left to the streams, which follow.

use std::collections::HashMap;

use sync_core::{Row, Value};
use sync_store::{Batch, Mode, Restamp, Store};

use crate::compare::{Differences, Side, Spool};
use crate::error::Result;
use crate::report::{Direction, Event, RoundReport, Watch};
use crate::round::{Options, Parties};
use crate::transfer::pump;

/// Makes both sides alike. An empty side is filled in bulk; otherwise all rows are compared.
pub(crate) fn meet(
    parties: &mut Parties,
    options: &Options,
    strangers: bool,
    report: &mut RoundReport,
    watch: &mut dyn Watch,
) -> Result<()> {
    let tables = parties.agreement.tables.clone();
    let empty = (parties.master.is_empty()?, parties.slave.is_empty()?);
    match empty {
        (true, true) => Ok(()),
        (true, false) if strangers => copy(parties, Direction::Pull, &tables, report, watch),
        (false, true) if strangers => copy(parties, Direction::Push, &tables, report, watch),
        _ => compare(parties, options, &tables, report, watch),
    }
}

fn copy(
    parties: &mut Parties,
    direction: Direction,
    tables: &[String],
    report: &mut RoundReport,
    watch: &mut dyn Watch,
) -> Result<()> {
    let mode = parties.mode;
    for table in tables {
        let mut rows = 0;
        let side = if direction == Direction::Pull { &mut report.pulled } else { &mut report.pushed };
        let horizon = parties.horizon;
        let (from, to) = parties.stores(direction);
        pump(
            from,
            |from, sink| from.scan(table, sink),
            |batch| {
                horizon.check(&batch)?;
                rows += batch.changes.len() as u64;
                side.add(to.apply(&batch, mode)?);
                watch.event(Event::Table { name: table, rows });
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Compares these tables and settles what differs.
pub(crate) fn compare(
    parties: &mut Parties,
    options: &Options,
    tables: &[String],
    report: &mut RoundReport,
    watch: &mut dyn Watch,
) -> Result<()> {
    for table in tables {
        let spool = spool(parties, table, watch)?;
        spool.compare(|differences| {
            let mut settling = Settling { parties, options, table, report };
            settling.settle(&differences)
        })?;
    }
    Ok(())
}

fn spool(parties: &mut Parties, table: &str, watch: &mut dyn Watch) -> Result<Spool> {
    let mut spool = Spool::new()?;
    let mut rows = 0;
    let stores: [(&mut dyn Store, Side); 2] = [(parties.master, Side::Master), (parties.slave, Side::Slave)];
    for (store, side) in stores {
        pump(
            store,
            |store, sink| store.scan(table, sink),
            |batch: Batch| {
                rows += batch.changes.len() as u64;
                watch.event(Event::Table { name: table, rows });
                spool.add(side, &batch)
            },
        )?;
    }
    Ok(spool)
}

/// Rows settled at a time.
const CHUNK: usize = 256;

struct Settling<'a, 'b> {
    parties: &'a mut Parties<'b>,
    options: &'a Options,
    table: &'a str,
    report: &'a mut RoundReport,
}

impl Settling<'_, '_> {
    fn settle(&mut self, differences: &Differences) -> Result<()> {
        for keys in differences.only_master.chunks(CHUNK) {
            self.send(Direction::Push, keys)?;
        }
        for keys in differences.only_slave.chunks(CHUNK) {
            self.send(Direction::Pull, keys)?;
        }
        for keys in differences.differing.chunks(CHUNK) {
            self.decide(keys)?;
        }
        Ok(())
    }

    /// Sends rows that the other side does not have. A grave there has its say in the merge.
    fn send(&mut self, direction: Direction, keys: &[Vec<Value>]) -> Result<()> {
        let (mode, horizon) = (self.parties.mode, self.parties.horizon);
        let (from, to) = self.parties.stores(direction);
        for keys in keys.chunks(CHUNK) {
            let batch = from.rows(self.table, keys)?;
            horizon.check(&batch)?;
            let applied = to.apply(&batch, mode)?;
            match direction {
                Direction::Pull => self.report.pulled.add(applied),
                Direction::Push => self.report.pushed.add(applied),
            }
        }
        Ok(())
    }

    /// Rows that differ: exchanged as they are, after the cells that nothing decides between were stamped.
    fn decide(&mut self, keys: &[Vec<Value>]) -> Result<()> {
        let (master, slave) = (self.parties.master.rows(self.table, keys)?, self.parties.slave.rows(self.table, keys)?);
        let contested = contested(&master, &slave);
        if !contested.is_empty() && self.parties.mode == Mode::Write {
            self.restamp(&contested)?;
        }
        self.send(Direction::Push, keys)?;
        self.send(Direction::Pull, keys)
    }

    fn restamp(&mut self, rows: &[Restamp]) -> Result<()> {
        let clock = self.parties.about.master.clock_micros.min(self.parties.about.slave.clock_micros);
        let now = u64::try_from(clock / 1000).unwrap_or_default();
        let (master_at, slave_at) = if self.options.prefer_slave { (now, now + 1) } else { (now + 1, now) };
        self.parties.master.restamp(self.table, rows, master_at)?;
        self.parties.slave.restamp(self.table, rows, slave_at)?;
        Ok(())
    }
}

/// The columns that differ under equal stamps, row by row.
fn contested(master: &Batch, slave: &Batch) -> Vec<Restamp> {
    let by_key: HashMap<&Vec<Value>, &Row> = slave.changes.iter().map(|c| (&c.key, &c.row)).collect();
    let names = |id: usize| master.heads.first().and_then(|h| h.columns.get(id)).cloned();
    let one = |change: &sync_store::Change| {
        let columns: Vec<String> =
            contested_columns(&change.row, by_key.get(&change.key)?).into_iter().filter_map(names).collect();
        (!columns.is_empty()).then(|| Restamp { key: change.key.clone(), columns })
    };
    master.changes.iter().filter_map(one).collect()
}

fn contested_columns(a: &Row, b: &Row) -> Vec<usize> {
    let (Some(ours), Some(theirs)) = (&a.values, &b.values) else { return Vec::new() };
    if a.state.inserted != b.state.inserted {
        return Vec::new();
    }
    let differs = |i: &usize| ours[*i] != theirs[*i] && a.state.cell(*i as u16) == b.state.cell(*i as u16);
    (0..ours.len().min(theirs.len())).filter(differs).collect()
}
