//! Load with proof: writers that remember every committed write, and a checker that says whether a final state accounts
//! for all of them. Touches nothing but the fixture's load tables and, if asked to, its CRM.

mod check;
mod journal;
mod plan;
mod session;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use check::{CheckReport, Violation, check_journals};
pub use journal::{Change, Write};
use mysql::Opts;
use sync_fixture::{Keys, Row, Size, Value};
use writer::Tally;

use crate::error::Context;
use crate::{Result, Server, TestbedError, insert_rows};

/// How a load is to be. The default is the one of the product's promise: 16 writers, a minute.
#[derive(Debug, Clone)]
pub struct WritersOptions {
    /// Name of the site, the first part of every value written.
    pub site: String,
    /// Number of the site, 1 to 63: its new keys are of that residue.
    pub site_number: u16,
    /// Writers of the load tables.
    pub count: u16,
    /// How long they write.
    pub duration: Duration,
    /// How many accounts [`fill_load_tables`] made.
    pub accounts: u64,
    /// Of 100 transactions so many are rolled back on purpose.
    pub rollbacks: u64,
    /// Of 1000 transactions so many stay open for `slow_for` before they commit. They write rows of their own only, so
    /// that nobody else waits for them.
    pub slow: u64,
    /// How long slow transactions stay open.
    pub slow_for: Duration,
    /// Pause between two transactions of a writer.
    pub pause: Duration,
    /// Chance.
    pub seed: u64,
    /// Where each writer's journal goes as text, for reading after a failure.
    pub journals: Option<PathBuf>,
    /// Size of the CRM in the same database, if some more writers shall run its workload, and how many.
    pub crm: Option<(Size, u16)>,
}

impl WritersOptions {
    /// The default load at a site.
    #[must_use]
    pub fn at(site: &str, site_number: u16, accounts: u64) -> Self {
        Self {
            site: site.to_owned(),
            site_number,
            count: 16,
            duration: Duration::from_secs(60),
            accounts,
            rollbacks: 10,
            slow: 2,
            slow_for: Duration::from_secs(10),
            pause: Duration::ZERO,
            seed: site_number.into(),
            journals: None,
            crm: None,
        }
    }
}

/// What a load did.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Every write that was committed or may have been.
    pub journal: Vec<Write>,
    /// Transactions committed, CRM included.
    pub commits: u64,
    /// Transactions rolled back on purpose.
    pub rollbacks: u64,
    /// Transactions whose commit may or may not have happened: the connection was lost.
    pub uncertain: u64,
    /// Transactions that a constraint refused, as when a row's parent is gone.
    pub refused: u64,
    /// The errors that these constraints gave, by number.
    pub refusals: BTreeMap<u16, u64>,
    /// Deadlocks (1213), retried.
    pub deadlocks: u64,
    /// Lock waits that timed out (1205), retried.
    pub lock_waits: u64,
    /// Connections lost and made again.
    pub lost_connections: u64,
    /// The longest that one statement or commit took.
    pub slowest: Duration,
    /// That statement.
    pub slowest_statement: String,
    /// Every other failure of a statement, and every one that names an object of server_sync. An unmodified application
    /// must not see any.
    pub errors: Vec<String>,
}

impl LoadReport {
    fn add(&mut self, other: Self) {
        self.journal.extend(other.journal);
        self.commits += other.commits;
        self.rollbacks += other.rollbacks;
        self.uncertain += other.uncertain;
        self.refused += other.refused;
        self.deadlocks += other.deadlocks;
        self.lock_waits += other.lock_waits;
        self.lost_connections += other.lost_connections;
        self.errors.extend(other.errors);
        other.refusals.into_iter().for_each(|(code, count)| *self.refusals.entry(code).or_default() += count);
        if other.slowest > self.slowest {
            (self.slowest, self.slowest_statement) = (other.slowest, other.slowest_statement);
        }
    }
}

/// What all writers share.
pub(crate) struct Shared {
    pub(crate) options: WritersOptions,
    pub(crate) connect: Opts,
    pub(crate) deadline: Instant,
    stop: AtomicBool,
    commits: AtomicU64,
}

impl Shared {
    /// Whether it is time to stop.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }

    /// Notes one commit, for those who watch.
    pub(crate) fn count_commit(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// Sleeps, but not beyond the end of the load.
    pub(crate) fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.is_over() {
            std::thread::sleep(Duration::from_millis(10).min(end.saturating_duration_since(Instant::now())));
        }
    }
}

/// A running load. Dropped without [`Self::finish`], it stops soon and its journal is lost.
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Tally>>,
}

impl Writers {
    /// Starts writing to `database`, which has the load tables (see [`fill_load_tables`]). The connections are made
    /// again when the server goes away and comes back.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(server: &Server, database: &str, options: WritersOptions) -> Result<Self> {
        // A server that is killed while it has not yet taken a connection leaves the client alone with it, waiting for ever for the
        // first word.
        let connect = server
            .opts()
            .db_name(Some(database))
            .tcp_connect_timeout(Some(Duration::from_secs(5)))
            .tcp_keepalive_time_ms(Some(1_000));
        let shared = Arc::new(Shared {
            connect: connect.into(),
            deadline: Instant::now() + options.duration,
            stop: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            options,
        });
        let mut writers = Self { shared, threads: Vec::new() };
        for number in 0..writers.shared.options.count {
            writers.spawn(format!("w{number}"), move |shared| writer::write_load(shared, number))?;
        }
        if let Some((size, count)) = writers.shared.options.crm {
            for lane in 0..count {
                writers.spawn(format!("crm{lane}"), move |shared| writer::work_on_crm(shared, size, lane))?;
            }
        }
        Ok(writers)
    }

    fn spawn(&mut self, name: String, work: impl FnOnce(&Shared) -> Tally + Send + 'static) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name).spawn(move || work(&shared));
        self.threads.push(thread.context("cannot start a writer")?);
        Ok(())
    }

    /// Transactions committed so far, to wait for with [`crate::wait_until`].
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Asks the writers to stop early; open transactions are committed.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until all writers are done (the duration is over or [`Self::stop`] was called).
    ///
    /// # Errors
    /// When a journal cannot be written, or a writer died.
    pub fn finish(mut self) -> Result<LoadReport> {
        let mut report = LoadReport::default();
        for thread in self.threads.drain(..) {
            let tally = thread.join().map_err(|_| TestbedError::Unsupported("a writer panicked; see its message"))?;
            if let Some(error) = tally.journal_error {
                return Err(error).context("cannot write a journal");
            }
            report.add(tally.report);
        }
        Ok(report)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Fills the load tables with `accounts` accounts of two children each, the same at every site.
///
/// # Errors
/// When the server refuses a row.
pub fn fill_load_tables(server: &Server, database: &str, accounts: u64) -> Result<()> {
    let keys = Keys::of_site(0);
    let text = |column: &str, id: i64| Value::Text(format!("start/{column}/{id}"));
    let account = move |index| {
        let id = keys.id(index);
        let values = vec![id.into(), text("a", id), text("b", id), text("c", id), text("note", id)];
        Row { table: "load_account", columns: &["id", "a", "b", "c", "note"], values }
    };
    let child = move |index: u64| {
        let id = keys.id(index);
        let values = vec![id.into(), keys.id(index / 2).into(), text("v", id)];
        Row { table: "load_child", columns: &["id", "account_id", "v"], values }
    };
    let rows = (0..accounts).map(account).chain((0..accounts * 2).map(child));
    insert_rows(&mut server.root_in(database)?, rows).map(|_| ())
}
