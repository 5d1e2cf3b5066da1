//! Histories in which a site's data are declared the truth for all, often after a copy was put back.
#![allow(clippy::unwrap_used, clippy::panic)]

use simulator::scenario::Step;
use simulator::{Scenario, Wishes, run, shrink};

fn wishes() -> Wishes {
    Wishes { declares: true, ..Wishes::default() }
}

/// Several tests, so that they run at once.
fn all_are_good(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let scenario = Scenario::new(seed, wishes());
        if let (Err(failure), _) = run(&scenario, None, false) {
            let short = shrink(&scenario, None, failure.kind());
            let (outcome, trace) = run(&short, None, true);
            panic!("seed {seed}: {failure}\n{}\n{outcome:?}", trace.join("\n"));
        }
    }
}

#[test]
fn the_first_seeds() {
    all_are_good(1..51);
}

#[test]
fn further_seeds() {
    all_are_good(51..151);
}

#[test]
fn they_declare() {
    let declares = |seed: u64| Scenario::new(seed, wishes()).steps.iter().any(|s| matches!(s, Step::Declare { .. }));
    assert!((1..101).all(declares));
}
