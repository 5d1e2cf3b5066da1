//! Trying again where another transaction was in the way.

use std::thread::sleep;
use std::time::Duration;

use sync_store::{Result, Trouble};

const ATTEMPTS: u32 = 12;

/// Repeats `work` while it fails by contention: twelve times over about 15 s, besides the server's own lock waits.
pub(crate) fn contention<T>(work: impl FnMut() -> Result<T>) -> Result<T> {
    again(ATTEMPTS, Trouble::Contention, |attempt| sleep(pause(attempt)), work)
}

/// Repeats what looks for a line and writes it if it is not there. Each time that it fails because a line has come in between,
/// another link got on, so that it does not fail for ever. A line that is not committed yet is contention, as everywhere.
pub(crate) fn first_come<T>(work: impl FnMut() -> Result<T>) -> Result<T> {
    const RACES: u32 = 99;
    again(RACES, Trouble::Constraint, drop, work)
}

fn again<T>(attempts: u32, trouble: Trouble, between: impl Fn(u32), mut work: impl FnMut() -> Result<T>) -> Result<T> {
    for attempt in 0..attempts {
        match work() {
            Err(e) if e.trouble == trouble => between(attempt),
            other => return other,
        }
    }
    work()
}

/// 10 ms, doubling up to 2 s, with up to half as much again so that two sites do not step on each other in time.
pub(crate) fn pause(attempt: u32) -> Duration {
    let base = 10u64.saturating_mul(1 << attempt.min(8)).min(2_000);
    let jitter = crate::database::random().unwrap_or_default() % (base / 2 + 1);
    Duration::from_millis(base + jitter)
}
