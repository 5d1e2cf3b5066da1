//! What time it is at the database server, without asking it each time. Never the time of this machine.

use std::time::Instant;

use sync_store::Result;
use sync_store::steady::{Steady, since};

use crate::dialect::Dialect;
use crate::marks::Marks;
use crate::sql::{Fields, Sql};

/// The server's clock as it was when it was last read.
///
/// It is read again with each handshake, and when marks seem to be from the future; in between it goes on with this machine's
/// steady clock. It is a copy that is asked
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

    /// The clock to judge these marks by: this one, or if some are later than it says, what the server says now. Its clock can have
    /// been set meanwhile, and a machine that slept did not count: what was written since would be taken for earlier than it is,
    /// by as long as that, and lose against what others wrote before. Only a session that has set a time of its own is ahead of
    /// its server.
    pub fn for_marks(self, sql: &mut dyn Sql, dialect: &dyn Dialect, marks: &Marks) -> Result<Self> {
        let mut all = marks.rows.iter().flat_map(|row| &row.marks);
        if all.all(|mark| mark.millis <= self.latest()) {
            return Ok(self);
        }
        let row = sql.first(&format!("SELECT {}", dialect.now_micros()), &[])?.unwrap_or_default();
        Ok(Clock::says(Fields::of(row).int()?, self.steady))
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
