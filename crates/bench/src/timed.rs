//! Where the time of a store goes: a connection that adds up how long each kind of statement took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sync_core::Value;
use sync_database::sql::{EachRow, Sql};
use sync_store::Result;

/// By the beginning of the statement: how often, how long.
pub type Times = Arc<Mutex<BTreeMap<String, (u64, Duration)>>>;

/// A connection that is timed.
pub struct Timed {
    inner: Box<dyn Sql>,
    name: &'static str,
    times: Times,
}

impl Timed {
    /// Times a connection.
    pub fn new(inner: Box<dyn Sql>, name: &'static str, times: Times) -> Self {
        Timed { inner, name, times }
    }

    fn note(&self, sql: &str, start: Instant) {
        let short: String = sql.chars().take(70).collect();
        let Ok(mut times) = self.times.lock() else { return };
        let entry = times.entry(format!("{} {short}", self.name)).or_default();
        entry.0 += 1;
        entry.1 += start.elapsed();
    }
}

impl Sql for Timed {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        let start = Instant::now();
        let result = self.inner.execute(sql, params);
        self.note(sql, start);
        result
    }

    fn execute_owned(&mut self, sql: &str, params: Vec<Value>) -> Result<u64> {
        let start = Instant::now();
        let result = self.inner.execute_owned(sql, params);
        self.note(sql, start);
        result
    }

    fn execute_each(&mut self, sql: &str, rows: &[&[Value]]) -> Result<bool> {
        let start = Instant::now();
        let result = self.inner.execute_each(sql, rows);
        self.note(sql, start);
        result
    }

    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> Result<()> {
        let start = Instant::now();
        let result = self.inner.query(sql, params, each);
        self.note(sql, start);
        result
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        let start = Instant::now();
        let result = self.inner.run(sql);
        self.note(sql, start);
        result
    }
}

/// Statements that are printed.
const SHOWN: usize = 16;

/// Prints the costliest statements to standard error, and forgets all. Nothing where nothing was timed.
pub fn print(title: &str, times: &Times) {
    let Ok(mut times) = times.lock() else { return };
    let mut all: Vec<_> = std::mem::take(&mut *times).into_iter().collect();
    if all.is_empty() || title.is_empty() {
        return;
    }
    all.sort_by_key(|(_, (_, time))| std::cmp::Reverse(*time));
    eprintln!("{title}:");
    for (sql, (count, time)) in all.into_iter().take(SHOWN) {
        eprintln!("    {time:>12.1?} {count:>6} {sql}");
    }
}
