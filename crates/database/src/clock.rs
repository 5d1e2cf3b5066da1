//! What time it is at the database server, without asking it each time. Never the time of this machine.

use std::time::Instant;

use sync_store::steady::{Steady, since};

/// The server's clock as it was when it was last read.
///
/// It is read again with each handshake; in between it goes on with this machine's steady clock. It is a copy that is asked
/// **after** the marks that it judges were read: one asked before a wait for a lock would take all that was written
/// during the wait for something from the future.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    read: Instant,
    micros: i64,
    steady: Steady,
}

impl Clock {
    /// The clock of a server that has just said that it is `micros` microseconds after the Unix epoch.
    pub fn says(micros: i64, steady: Steady) -> Self {
        Clock { read: steady(), micros, steady }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(self) -> u64 {
        let elapsed = i64::try_from(since(self.read, self.steady).as_micros()).unwrap_or(i64::MAX);
        u64::try_from(self.micros.saturating_add(elapsed) / 1000).unwrap_or_default()
    }

    /// Now and a second more: what is later than this was not written yet.
    pub fn latest(self) -> u64 {
        self.now() + 1000
    }
}
