//! A seed is one history, whatever is asked of it: a second run shows the same, and tells the same on the way. What leaks into it of
//! real time, of threads or of random numbers is found here, by a test that must not fail now and then.
#![allow(clippy::unwrap_used)]

use simulator::{Scenario, Wishes, run};

/// Runs each twice.
fn replay(seeds: std::ops::Range<u64>, wishes: Wishes) {
    for seed in seeds {
        let scenario = Scenario::new(seed, wishes);
        let first = run(&scenario, None, true);
        assert_eq!(first, run(&scenario, None, true), "seed {seed}");
        assert!(first.0.is_ok(), "seed {seed}");
    }
}

#[test]
fn plain() {
    replay(3_300_000..3_300_010, Wishes::default());
}

#[test]
fn constraints() {
    replay(3_300_000..3_300_010, Wishes { constraints: true, ..Wishes::default() });
}

#[test]
fn graves() {
    replay(3_300_000..3_300_010, Wishes { graves: true, ..Wishes::default() });
}

#[test]
fn declarations() {
    replay(3_300_000..3_300_010, Wishes { declares: true, ..Wishes::default() });
}

#[test]
fn clones() {
    replay(3_300_000..3_300_010, Wishes { clones: true, ..Wishes::default() });
}
