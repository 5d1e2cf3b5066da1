//! The scrub: the daemon compares a slice of a table after each round, all tables in turn, and so finds what triggers cannot
//! see: TRUNCATE, imports with triggers off, triggers that were lost. What differs is settled as by `-init`; a row that
//! vanished without a mark comes back, and the report says so. Where many rows are missing at one side only, a person
//! decides: the table waits, and nothing of it is restored or deleted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sync_core::digest::Span;
use sync_store::Scope;

use crate::brake;
use crate::compare::{self, Differences, Found, Traffic};
use crate::contact::{self, Settling};
use crate::error::Result;
use crate::parties::Parties;
use crate::report::{Event, PausedTable, RoundReport, Watch};
use crate::round::Options;

/// How much is compared, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Rows of a slice, about.
    pub rows: u64,
    /// A slice that took a second is followed by so many seconds without one.
    pub rest: u32,
    /// A turn through all tables begins no sooner than this after the one before.
    pub turn: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { rows: 16_384, rest: 50, turn: Duration::from_secs(600) }
    }
}

/// Where the scrub of one link stands.
#[derive(Debug)]
pub struct Scrub {
    pace: Pace,
    /// The table that is next, and behind which of its keys.
    next: Place,
    /// Tables of which many rows are missing at one side: where that was seen, and what was said.
    halted: BTreeMap<String, (Vec<u8>, String)>,
    /// No slice before this moment.
    due: Option<Instant>,
    /// When this turn began.
    began: Option<Instant>,
}

/// A table, and behind which of its keys.
type Place = (String, Vec<u8>);

impl Scrub {
    /// From the first table on.
    pub fn new(pace: Pace) -> Self {
        Scrub { pace, next: Place::default(), halted: BTreeMap::new(), due: None, began: None }
    }

    /// Compares the next slice, if it is time.
    pub(crate) fn run(
        &mut self,
        parties: &mut Parties,
        options: &Options,
        settling: &Settling,
        report: &mut RoundReport,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let now = Instant::now();
        // Rows are looked for among the marks of their table, of which there are very many while a backlog streams.
        let is_busy = parties.left.master || parties.left.slave;
        if !is_busy && self.due.is_none_or(|due| due <= now) {
            let mut slice = Slice { parties, options, settling, report, watch, rows: self.pace.rows };
            self.again(&mut slice)?;
            self.onward(&mut slice, now)?;
            self.rest(now);
        }
        self.hold(parties, report);
        Ok(())
    }

    /// Looks again at tables that wait: somebody may have put the rows back.
    fn again(&mut self, slice: &mut Slice) -> Result<()> {
        let waiting: Vec<(String, Vec<u8>)> =
            self.halted.iter().map(|(t, (after, _))| (t.clone(), after.clone())).collect();
        for (table, after) in waiting {
            if !slice.parties.agreement.tables.contains(&table) {
                self.halted.remove(&table);
            } else if let Ended::Upto(_) = slice.compare(&table, &after)? {
                self.halted.remove(&table);
            }
        }
        Ok(())
    }

    fn onward(&mut self, slice: &mut Slice, now: Instant) -> Result<()> {
        let tables = &slice.parties.agreement.tables;
        let place = tables.iter().find(|t| **t >= self.next.0 && !self.halted.contains_key(*t)).cloned();
        let Some(table) = place else {
            self.next = Place::default();
            return Ok(());
        };
        if self.next == Place::default() {
            self.began = Some(now);
        }
        let after = if table == self.next.0 { std::mem::take(&mut self.next.1) } else { Vec::new() };
        self.next = match slice.compare(&table, &after)? {
            Ended::Upto(end) if end.is_empty() => behind(&table),
            Ended::Upto(end) => (table, end),
            Ended::Halted(reason) => {
                let next = behind(&table);
                self.halted.insert(table, (after, reason));
                next
            }
        };
        let is_last = !slice.parties.agreement.tables.iter().any(|t| *t >= self.next.0);
        if is_last {
            self.next = Place::default();
        }
        Ok(())
    }

    fn rest(&mut self, since: Instant) {
        let due = Instant::now() + since.elapsed() * self.pace.rest;
        let turn = self.began.filter(|_| self.next == Place::default()).map(|began| began + self.pace.turn);
        self.due = Some(turn.map_or(due, |turn| due.max(turn)));
    }

    /// Takes the tables that wait out of the round.
    fn hold(&self, parties: &mut Parties, report: &mut RoundReport) {
        for (name, (_, reason)) in &self.halted {
            parties.agreement.tables.retain(|t| t != name);
            parties.agreement.held.push(name.clone());
            report.paused.push(PausedTable { name: name.clone(), reason: reason.clone() });
        }
    }
}

/// The first place behind a table.
fn behind(table: &str) -> Place {
    (format!("{table}\0"), Vec::new())
}

/// How a slice ended.
enum Ended {
    /// Everything up to this key is settled; empty: up to the end.
    Upto(Vec<u8>),
    /// Many rows are missing at one side.
    Halted(String),
}

struct Slice<'a, 'b> {
    parties: &'a mut Parties<'b>,
    options: &'a Options,
    settling: &'a Settling,
    report: &'a mut RoundReport,
    watch: &'a mut dyn Watch,
    rows: u64,
}

impl Slice<'_, '_> {
    fn compare(&mut self, table: &str, after: &[u8]) -> Result<Ended> {
        let span = Span { after: after.to_vec(), upto: Vec::new() };
        let scope = Scope { spans: vec![span], limit: self.rows, ..Scope::whole(table, self.parties.order(table)) };
        let mut traffic = Traffic::default();
        let found = compare::find(&mut self.parties.pair(), vec![scope], &mut traffic, &mut ())?;
        let Some(found) = found.into_iter().next() else { return Ok(Ended::Upto(Vec::new())) };
        let (upto, rows) = (found.upto.clone(), found.rows);
        let differences = self.review(found, &mut traffic)?;
        if let Some(reason) = self.excess(&differences, rows) {
            self.watch.event(Event::Note(&format!("table {table}: {reason}")));
            return Ok(Ended::Halted(reason));
        }
        self.settle(table, &differences)?;
        Ok(Ended::Upto(upto))
    }

    /// What differs in a slice: no more than its rows.
    fn review(&mut self, found: Found, traffic: &mut Traffic) -> Result<Differences> {
        let mut all = Differences::default();
        let mut review = found.review()?;
        while let Some(part) = review.next(&mut self.parties.pair(), &self.settling.reaches, traffic)? {
            all.add(self.settling.wanted(part));
        }
        Ok(all)
    }

    fn excess(&self, differences: &Differences, rows: [u64; 2]) -> Option<String> {
        let sites = [&self.parties.about.master.site_name, &self.parties.about.slave.site_name];
        let missing =
            [(differences.only_slave.len(), rows[1], sites[0]), (differences.only_master.len(), rows[0], sites[1])];
        let is_too_much = |(missing, rows): (u64, u64)| {
            !self.options.force && brake::is_excessive(missing, rows, &self.options.brake)
        };
        let (missing, rows, site) = missing.into_iter().find(|(n, rows, _)| is_too_much((*n as u64, *rows)))?;
        Some(format!(
            "{missing} of {rows} rows are missing at {site} without having been deleted there (TRUNCATE, or an import?); \
             run once with -init -force to bring them back, or delete them at the other site as well"
        ))
    }

    fn settle(&mut self, table: &str, differences: &Differences) -> Result<()> {
        if differences.is_empty() {
            return Ok(());
        }
        contact::note(self.parties, table, differences.counts(), self.report, self.watch);
        contact::settle(self.parties, self.options, table, self.settling, self.report, differences)
    }
}
