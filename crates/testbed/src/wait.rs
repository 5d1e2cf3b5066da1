//! Waiting for a condition instead of for a time. Never sleeps longer than the condition needs.

use std::time::{Duration, Instant};

use crate::{Result, TestbedError};

/// How long between two looks at the condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks at `condition` until it holds, at most for `limit`; `what` names it in the error.
///
/// # Errors
/// [`TestbedError::Timeout`] when it did not come true in time.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= deadline {
            return Err(TestbedError::Timeout { what: what.to_owned(), limit });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
