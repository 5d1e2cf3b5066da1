//! Histories in which a copy of a site's database runs beside its original for a while, under its name and number.
#![allow(clippy::unwrap_used)]

mod good;

use good::all_are_good_with;
use simulator::scenario::Step;
use simulator::{Scenario, Wishes, run};

fn wishes() -> Wishes {
    Wishes { clones: true, ..Wishes::default() }
}

/// Several tests, so that they run at once.
fn all_are_good(seeds: std::ops::Range<u64>) {
    all_are_good_with(seeds, wishes());
}

#[test]
fn the_first_seeds() {
    all_are_good(1..41);
}

#[test]
fn further_seeds() {
    all_are_good(41..81);
}

#[test]
fn with_constraints() {
    all_are_good_with(1..21, Wishes { constraints: true, ..wishes() });
}

#[test]
fn twins_are_refused_and_both_ends_are_tried() {
    let ends = |seed: u64, is: bool| {
        Scenario::new(seed, wishes()).steps.iter().any(|s| matches!(s, Step::EndClone { keeps } if *keeps == is))
    };
    assert!((1..31).any(|seed| ends(seed, true)) && (1..31).any(|seed| ends(seed, false)));
    let refused = (1..31).map(|seed| run(&Scenario::new(seed, wishes()), None, false).0.unwrap().twins);
    assert!(refused.sum::<u64>() > 5);
}
