//! How much time has passed: asked through a function that is handed in, so that where time is simulated a fast machine and a
//! slow one see the same. Never says what time it is.

use std::time::{Duration, Instant};

/// What is asked how much time has passed: [`Instant::now`] in all that ships.
pub type Steady = fn() -> Instant;

/// How much time has passed since then.
pub fn since(then: Instant, steady: Steady) -> Duration {
    steady().saturating_duration_since(then)
}
