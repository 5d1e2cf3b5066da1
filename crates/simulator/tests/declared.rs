//! Histories in which a site's data are declared the truth for all, often after a copy was put back.
#![allow(clippy::unwrap_used)]

mod good;

use good::all_are_good_with;
use simulator::scenario::Step;
use simulator::{Scenario, Wishes};

fn wishes() -> Wishes {
    Wishes { declares: true, ..Wishes::default() }
}

/// Several tests, so that they run at once.
fn all_are_good(seeds: std::ops::Range<u64>) {
    all_are_good_with(seeds, wishes());
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
