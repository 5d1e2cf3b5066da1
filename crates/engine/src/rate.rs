//! How fast contents may go: so many bytes a second on average, after a burst of one second's. A pure function of the time;
//! who asks does the waiting.

use std::time::Duration;

/// What may still be sent, and since when.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Bytes a second; `None` is without limit.
    rate: Option<u64>,
    /// Bytes that may be sent at once; less than nothing after a large piece.
    left: f64,
    since: Duration,
}

impl Bucket {
    /// A full one at a time.
    pub fn new(rate: Option<u64>, now: Duration) -> Self {
        let rate = rate.filter(|rate| *rate > 0);
        Bucket { rate, left: rate.unwrap_or_default() as f64, since: now }
    }

    /// Bytes go now; says how long to wait before the next ones.
    pub fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let Some(rate) = self.rate.map(|rate| rate as f64) else { return Duration::ZERO };
        let grown = now.saturating_sub(self.since).as_secs_f64() * rate;
        self.since = self.since.max(now);
        self.left = (self.left + grown).min(rate) - bytes as f64;
        if self.left >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64((-self.left / rate).min(3600.0)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_limit_nobody_waits() {
        for rate in [None, Some(0)] {
            assert_eq!(Bucket::new(rate, Duration::ZERO).take(u64::MAX, Duration::ZERO), Duration::ZERO);
        }
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_is_no_harm() {
        let mut bucket = Bucket::new(Some(100), Duration::from_secs(9));
        assert_eq!(bucket.take(100, Duration::from_secs(9)), Duration::ZERO);
        assert_eq!(bucket.take(50, Duration::from_secs(1)), Duration::from_millis(500));
    }

    proptest! {
        /// Whoever waits as told sends what the rate allows, and a second's more at most; and is not held up below it.
        #[test]
        fn the_rate_is_kept(
            rate in 1_000_u64..10_000_000,
            pieces in proptest::collection::vec((1_u64..300_000, 0_u64..2_000), 1..200),
        ) {
            let mut bucket = Bucket::new(Some(rate), Duration::ZERO);
            let (mut now, mut sent, mut pauses) = (Duration::ZERO, 0, Duration::ZERO);
            for (bytes, pause) in pieces {
                let wait = bucket.take(bytes, now);
                sent += bytes;
                let own = Duration::from_millis(pause);
                now += wait + own;
                pauses += own;
                let allowed = rate as f64 * (now.as_secs_f64() + 1.0);
                prop_assert!(sent as f64 <= allowed + 1.0, "{sent} > {allowed}");
            }
            let waited = (now - pauses).as_secs_f64();
            prop_assert!(waited <= sent as f64 / rate as f64 + 0.001);
        }
    }
}
