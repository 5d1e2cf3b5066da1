//! When the schema must be looked at. To say whether any definition changed a server opens every table, so a store with
//! nothing to do is spared that while a cheap sign stands still: the server's counts of the statements that change
//! schemas. Decides when to look; asks nothing itself.
//!
//! A statement is counted when it *begins*, whoever runs it and however. One that runs for long, or waits for a table,
//! takes effect after it was counted, and after the look that this led to. So looks go on at doubling distances, up to
//! [`LONGEST`]: what a statement of one second did is seen within a second of its end.

use std::time::{Duration, Instant};

/// The longest time between two looks.
const LONGEST: Duration = Duration::from_secs(10);

/// What is remembered of the last look.
#[derive(Clone, Debug, Default)]
pub struct Vigil(Option<Look>);

#[derive(Clone, Debug)]
struct Look {
    at: Instant,
    /// As read before it.
    counts: String,
    /// When these were first read.
    since: Instant,
}

impl Vigil {
    /// Whether the schema must be looked at, if the counts are these now; always where there are none.
    pub fn is_due(&self, counts: Option<&str>, now: Instant) -> bool {
        match (&self.0, counts) {
            (Some(last), Some(counts)) => last.counts != counts || now - last.at >= (last.at - last.since).min(LONGEST),
            _ => true,
        }
    }

    /// Remembers a look that succeeded: when it began, and the counts that were read before it.
    pub fn looked(&mut self, counts: Option<String>, at: Instant) {
        let last = self.0.take();
        self.0 = counts.map(|counts| {
            let same = last.filter(|last| last.counts == counts);
            Look { at, since: same.map_or(at, |last| last.since), counts }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moments, in milliseconds, of the looks that come of asking every so often.
    fn looks(vigil: &mut Vigil, start: Instant, counts: &str, until: u64, every: usize) -> Vec<u64> {
        let moments = (0..until).step_by(every).map(|ms| (ms, start + Duration::from_millis(ms)));
        let look = |(ms, at)| {
            let due = vigil.is_due(Some(counts), at);
            due.then(|| vigil.looked(Some(counts.to_owned()), at)).map(|()| ms)
        };
        moments.filter_map(look).collect()
    }

    #[test]
    fn looks_become_rare_while_nothing_moves() {
        let expected = [0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 22_800, 32_800];
        assert_eq!(looks(&mut Vigil::default(), Instant::now(), "1", 40_000, 100), expected);
    }

    #[test]
    fn a_count_that_moves_begins_anew() {
        let (mut vigil, start) = (Vigil::default(), Instant::now());
        looks(&mut vigil, start, "1", 5_000, 100);
        let later = start + Duration::from_secs(5);
        assert_eq!(looks(&mut vigil, later, "2", 1_000, 100), [0, 100, 200, 400, 800]);
        assert!(vigil.is_due(Some("1"), later + Duration::from_secs(1)));
    }

    #[test]
    fn always_without_counts() {
        let (mut vigil, now) = (Vigil::default(), Instant::now());
        assert!(vigil.is_due(None, now));
        vigil.looked(None, now);
        assert!(vigil.is_due(None, now));
        assert!(vigil.is_due(Some("1"), now));
    }
}
