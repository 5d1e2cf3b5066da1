//! Trying again where another transaction was in the way.

use std::thread::sleep;
use std::time::Duration;

use sync_store::{Result, Trouble};

const ATTEMPTS: u32 = 12;

/// Repeats `work` while it fails by contention: twelve times over about 15 s, besides the server's own lock waits.
pub(crate) fn contention<T>(mut work: impl FnMut() -> Result<T>) -> Result<T> {
    for attempt in 0..ATTEMPTS {
        match work() {
            Err(e) if e.trouble == Trouble::Contention => sleep(pause(attempt)),
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
