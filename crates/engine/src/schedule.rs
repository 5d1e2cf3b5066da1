//! When the next round of a link begins. Decides only; time, chance and waiting come from outside ([`Pace`]), so that
//! all of it can be tested without a clock.

use std::time::Duration;

use sync_config::Period;

use crate::error::{EngineError, Result};

/// Whether a round had anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// No row went either way.
    Nothing,
    /// Some did: more may have come meanwhile.
    Rows,
}

/// Time as the schedule sees it.
pub trait Pace {
    /// Time since some moment in the past.
    fn now(&mut self) -> Duration;

    /// Waits so long; false as soon as there is no reason to go on.
    fn pause(&mut self, limit: Duration) -> bool;

    /// A number from 0 to 1 that is different every time.
    fn chance(&mut self) -> f64;
}

/// How long a continuous link waits after a round that moved nothing.
pub const IDLE: Duration = Duration::from_millis(500);

/// The longest wait between two tries while a link fails.
pub const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

/// Runs `work` at the period until [`Pace::pause`] ends it. `failed` is told of each error and of the pause after it.
pub fn repeat(
    period: Period,
    pace: &mut dyn Pace,
    mut work: impl FnMut(&mut dyn Pace) -> Result<Moved>,
    mut failed: impl FnMut(&EngineError, Duration),
) {
    let mut failures = 0;
    // A reason to stop that came before the first round counts as well.
    let mut wait = Duration::ZERO;
    while pace.pause(wait) {
        let started = pace.now();
        wait = match work(pace) {
            Ok(moved) => {
                failures = 0;
                until_next(period, moved, pace.now().saturating_sub(started))
            }
            Err(error) => {
                failures += 1;
                let wait = back_off(failures, pace.chance());
                failed(&error, wait);
                wait
            }
        };
    }
}

/// The pause after a round that took so long. Rounds start at the period; one that takes longer delays the next only
/// until its own end.
pub fn until_next(period: Period, moved: Moved, took: Duration) -> Duration {
    match (period, moved) {
        (Period::Every(period), _) => period.saturating_sub(took),
        (Period::Continuous, Moved::Rows) => Duration::ZERO,
        (Period::Continuous, Moved::Nothing) => IDLE,
    }
}

/// The pause after so many failures in a row: 1 s, doubling up to five minutes, shortened by up to half by `chance`
/// (0 to 1) so that many links to one site do not come back at the same moment.
pub fn back_off(failures: u32, chance: f64) -> Duration {
    let doubled = Duration::from_secs(1 << failures.saturating_sub(1).min(20));
    doubled.min(LONGEST_BACK_OFF).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
