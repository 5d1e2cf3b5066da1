//! Which versions of a path are kept in the trash: many of the last hour, few of long ago. A pure function of times.

use std::time::Duration;

/// How long versions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Nothing is kept longer than this.
    pub longest: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { longest: Duration::from_secs(365 * 24 * 3600) }
    }
}

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// Up to this age, one version is kept in each span.
const STEPS: [(i64, i64); 4] = [(HOUR, 30 * SECOND), (DAY, HOUR), (30 * DAY, DAY), (i64::MAX, 7 * DAY)];

impl Keep {
    /// Of the versions of one path, by the milliseconds at which they were replaced, those that go. Of a span the oldest
    /// stays: the one that had been there longest.
    pub fn superfluous(&self, mut versions: Vec<i64>, now: i64) -> Vec<i64> {
        versions.sort_unstable();
        let longest = i64::try_from(self.longest.as_millis()).unwrap_or(i64::MAX);
        let mut last: Option<(i64, i64)> = None;
        let is_superfluous = |at: &i64| {
            let age = now.saturating_sub(*at).max(0);
            if age > longest {
                return true;
            }
            let span = STEPS.iter().find(|(most, _)| age <= *most).map_or(7 * DAY, |(_, span)| *span);
            // Spans are counted from the epoch, so that the same versions stay whenever it is asked.
            let place = (span, at.div_euclid(span));
            let is_taken = last == Some(place);
            last = Some(place);
            is_taken
        };
        versions.into_iter().filter(is_superfluous).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 20_000 * DAY;

    #[test]
    fn the_further_back_the_fewer() {
        for (what, span, most, kept) in [
            ("of a minute", SECOND, 60 * SECOND, 2..=3),
            ("of an hour", 10 * SECOND, HOUR, 120..=121),
            ("of a day", 10 * 60 * SECOND, DAY, 23 + 6..=25 + 6),
            ("of a month", 6 * HOUR, 30 * DAY, 29 + 4..=31 + 4),
            ("of a year", DAY, 364 * DAY, 30 + 47..=30 + 49),
        ] {
            let versions: Vec<i64> = (0..most / span).map(|n| NOW - n * span).collect();
            let left = versions.len() - Keep::default().superfluous(versions.clone(), NOW).len();
            assert!(kept.contains(&left), "{what}: {left}");
        }
    }

    #[test]
    fn nothing_is_kept_too_long() {
        let keep = Keep { longest: Duration::from_secs(60) };
        assert_eq!(keep.superfluous(vec![NOW, NOW - 61 * SECOND], NOW), [NOW - 61 * SECOND]);
    }

    proptest! {
        /// A single version stays, whatever its age; asking again changes nothing.
        #[test]
        fn laws(ages in proptest::collection::vec(0..300 * DAY, 1..50)) {
            let versions: Vec<i64> = ages.iter().map(|age| NOW - age).collect();
            let gone = Keep::default().superfluous(versions.clone(), NOW);
            prop_assert!(!gone.contains(&versions.iter().copied().min().unwrap_or_default()));
            let left: Vec<i64> = versions.into_iter().filter(|v| !gone.contains(v)).collect();
            prop_assert!(Keep::default().superfluous(left, NOW).is_empty());
        }
    }
}
