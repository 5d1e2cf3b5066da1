//! A clock that the simulation sets, and SQLite's `julianday('now')` made to follow it: that is all that triggers and
//! stores read of time. What they measure of it besides is [`still`].

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// When histories begin: 2026-01-01, in milliseconds.
pub const START: i64 = 1_767_225_600_000;

/// A steady clock that stands still. Within a step no time passes by a site's clock either, and a store that should notice a
/// longer one between two steps is opened anew ([`crate::world::World`]): so how fast this machine is makes no history.
pub fn still() -> Instant {
    static ALWAYS: LazyLock<Instant> = LazyLock::new(Instant::now);
    *ALWAYS
}

/// A site's clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock that shows this time, in milliseconds.
    pub fn new(millis: i64) -> Self {
        Clock(Arc::new(AtomicI64::new(millis)))
    }

    /// Sets it.
    pub fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    /// What it shows, in milliseconds.
    pub fn millis(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Makes a connection follow it.
    pub fn rule(&self, connection: &Connection) -> rusqlite::Result<()> {
        let clock = self.clone();
        connection.create_scalar_function("julianday", 1, FunctionFlags::SQLITE_UTF8, move |_| {
            Ok(clock.0.load(Ordering::SeqCst) as f64 / 86_400_000.0 + 2_440_587.5)
        })
    }
}
