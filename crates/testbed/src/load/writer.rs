//! The threads of a load. Each runs transaction after transaction until time is over, and journals what it committed.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sync_fixture::{Dialect, Size, Workload};

use super::journal::JournalFile;
use super::plan::{Planner, Step};
use super::session::{Failure, Session, note_time, sort};
use super::{LoadReport, Shared, Write};
use crate::crm;

/// What one thread has to report.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) report: LoadReport,
    pub(super) journal_error: Option<io::Error>,
}

/// How long an ordinary transaction pauses in all.
const ORDINARY_PAUSE_MS: u64 = 20;

/// How a transaction ended.
enum End {
    Committed(Vec<Write>),
    /// Given up on purpose, or because a constraint or an error forbade it.
    RolledBack,
    Again,
    Lost(Vec<Write>),
}

/// When a transaction's writes were made, as [`Write`] has it.
#[derive(Clone, Copy)]
struct Times {
    began: i64,
    locked: i64,
    committed: i64,
}

struct Writer<'a> {
    shared: &'a Shared,
    site: Arc<str>,
    planner: Planner,
    report: LoadReport,
}

/// Writes to the load tables as writer number `writer`.
pub(super) fn write_load(shared: &Shared, writer: u16) -> Tally {
    let options = &shared.options;
    let site: Arc<str> = options.site.as_str().into();
    let planner = Planner::new(options, Arc::clone(&site), writer);
    let mut writer_ = Writer { shared, site, planner, report: LoadReport::default() };
    let file = options.journals.as_ref().map(|folder| JournalFile::create(folder, &options.site, writer)).transpose();
    let result = file.and_then(|mut file| writer_.run(file.as_mut()));
    Tally { report: writer_.report, journal_error: result.err() }
}

impl Writer<'_> {
    fn run(&mut self, mut file: Option<&mut JournalFile>) -> io::Result<()> {
        let mut session = Session::connect(self.shared);
        while let Some(open) = session.as_mut().filter(|_| !self.shared.is_over()) {
            let slow = self.planner.chance(self.shared.options.slow, 1000);
            let steps = if slow { self.planner.own_transaction() } else { self.planner.transaction() };
            let (writes, lost) = self.until_done(open, &steps, slow);
            for write in &writes {
                file.as_mut().map_or(Ok(()), |file| file.append(write))?;
            }
            self.report.journal.extend(writes);
            if lost {
                self.report.lost_connections += 1;
                session = Session::connect(self.shared);
            }
            self.shared.sleep(self.shared.options.pause);
        }
        Ok(())
    }

    /// Tries until the transaction is committed or given up. Returns what to journal, and whether the connection is gone.
    fn until_done(&mut self, session: &mut Session, steps: &[Step], slow: bool) -> (Vec<Write>, bool) {
        loop {
            match self.attempt(session, steps, slow).unwrap_or_else(|failure| self.give_up(session, &failure)) {
                End::Committed(writes) => {
                    self.report.commits += 1;
                    self.shared.count_commit();
                    self.planner.remember(steps);
                    return (writes, false);
                }
                End::Again if !self.shared.is_over() => {}
                End::RolledBack | End::Again => return (Vec::new(), false),
                End::Lost(writes) => {
                    self.report.uncertain += u64::from(!writes.is_empty());
                    return (writes, true);
                }
            }
        }
    }

    fn attempt(&mut self, session: &mut Session, steps: &[Step], slow: bool) -> Result<End, Failure> {
        let began = session.clock(&mut self.report)?;
        session.control("BEGIN", &mut self.report)?;
        let mut done = Vec::new();
        for step in steps {
            let statement = step.statement();
            let changed = session.execute(&statement.sql, crm::parameters(statement.params), &mut self.report)?;
            if changed > 0 {
                done.push(step);
            }
            self.pause_within(steps.len(), slow);
        }
        if !slow && self.planner.chance(self.shared.options.rollbacks, 100) {
            session.control("ROLLBACK", &mut self.report)?;
            self.report.rollbacks += 1;
            return Ok(End::RolledBack);
        }
        self.commit(session, &done, began)
    }

    fn pause_within(&mut self, steps: usize, slow: bool) {
        let each = if slow {
            self.shared.options.slow_for / u32::try_from(steps).unwrap_or(1)
        } else {
            Duration::from_micros(fastrand::u64(..=ORDINARY_PAUSE_MS * 1000) / steps as u64)
        };
        if slow { self.shared.sleep(each) } else { std::thread::sleep(each) }
    }

    fn commit(&mut self, session: &mut Session, done: &[&Step], began: i64) -> Result<End, Failure> {
        let locked = session.clock(&mut self.report)?;
        let start = Instant::now();
        let result = session.control("COMMIT", &mut self.report);
        // The commit is done even if the clock cannot be asked any more.
        let now = result.is_ok().then(|| session.clock(&mut self.report).ok()).flatten();
        let committed = now.unwrap_or_else(|| locked + micros(start));
        let times = Times { began, locked, committed };
        match result {
            Ok(()) => Ok(End::Committed(self.writes(done, times, true))),
            Err(Failure::Lost) => Ok(End::Lost(self.writes(done, times, false))),
            Err(other) => Err(other),
        }
    }

    fn writes(&self, done: &[&Step], Times { began, locked, committed }: Times, certain: bool) -> Vec<Write> {
        let write = |(place, step): (usize, &&Step)| Write {
            site: Arc::clone(&self.site),
            table: step.table,
            key: step.key,
            change: step.change.clone(),
            began,
            locked,
            committed,
            step: place,
            certain,
        };
        done.iter().enumerate().map(write).collect()
    }

    /// Rolls back after a failed statement.
    fn give_up(&mut self, session: &mut Session, failure: &Failure) -> End {
        if matches!(failure, Failure::Lost) || session.control("ROLLBACK", &mut self.report).is_err() {
            return End::Lost(Vec::new());
        }
        match failure {
            Failure::Retry => End::Again,
            Failure::Refused => {
                self.report.refused += 1;
                End::RolledBack
            }
            _ => End::RolledBack,
        }
    }
}

fn micros(start: Instant) -> i64 {
    i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX)
}

/// Runs the CRM's workload. Its writes are not journaled: only errors, times and counts are reported.
pub(super) fn work_on_crm(shared: &Shared, size: Size, lane: u16) -> Tally {
    let options = &shared.options;
    let mut report = LoadReport::default();
    let work = Workload::new(Dialect::Mysql, size, options.seed, options.site_number).lane(lane.into());
    let mut session = Session::connect(shared);
    for transaction in work {
        let Some(open) = session.as_mut().filter(|_| !shared.is_over()) else { break };
        let start = Instant::now();
        let result = crm::attempt(open.connection(), &transaction);
        note_time(start.elapsed(), transaction.name, &mut report);
        match result.map_err(|error| sort(error, transaction.name, &mut report)) {
            Ok(()) => {
                report.commits += 1;
                shared.count_commit();
            }
            Err(Failure::Refused) => report.refused += 1,
            Err(Failure::Lost) => {
                report.lost_connections += 1;
                session = Session::connect(shared);
            }
            Err(Failure::Retry | Failure::Error) => {}
        }
        shared.sleep(options.pause);
    }
    Tally { report, journal_error: None }
}
