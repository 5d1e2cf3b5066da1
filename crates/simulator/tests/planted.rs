//! Mistakes that are easily made are found within 200 seeds, and told in few steps.
#![allow(clippy::unwrap_used, clippy::panic)]

use simulator::{Bug, Scenario, Wishes, run, shrink};

const WITHIN: u64 = 200;

/// The first seed that finds the bug, which without it is good; made short.
fn found(bug: Bug, wishes: Wishes) -> Scenario {
    for seed in 1..=WITHIN {
        let scenario = Scenario::new(seed, wishes);
        if let (Err(failure), _) = run(&scenario, Some(bug), false) {
            if run(&scenario, None, false).0.is_err() {
                continue;
            }
            let short = shrink(&scenario, Some(bug), failure.kind());
            assert_eq!(run(&short, None, false).0.err(), None, "seed {seed} fails without the bug too");
            return short;
        }
    }
    panic!("{bug:?} was not found within {WITHIN} seeds");
}

#[test]
fn a_high_water_mark_instead_of_the_drain() {
    let short = found(Bug::HighWaterMark, Wishes::default());
    assert!(short.steps.len() <= 6, "{short:#?}");
}

#[test]
fn knowledge_adopted_too_early() {
    let short = found(Bug::EarlyKnowledge, Wishes::default());
    assert!(short.steps.len() <= 6, "{short:#?}");
}

#[test]
fn a_tie_without_the_site() {
    let short = found(Bug::TieWithoutSite, Wishes::default());
    assert!(short.steps.len() <= 8, "{short:#?}");
}

#[test]
fn newest_wins_repair_of_unique_values_while_applying() {
    let short = found(Bug::NewestUnique, Wishes { constraints: true, ..Wishes::default() });
    assert!(short.steps.len() <= 8, "{short:#?}");
}

#[test]
fn graves_purged_before_everybody_knows_them() {
    let short = found(Bug::HastyPurge, Wishes::default());
    assert!(short.steps.len() <= 8, "{short:#?}");
}

#[test]
fn nobody_looks_who_lacks_graves() {
    let short = found(Bug::NoLookForGraves, Wishes { graves: true, ..Wishes::default() });
    assert!(short.steps.len() <= 12, "{short:#?}");
}

#[test]
fn nobody_refuses_a_site_that_runs_twice() {
    let short = found(Bug::BlindToTwins, Wishes { clones: true, ..Wishes::default() });
    assert!(short.steps.len() <= 8, "{short:#?}");
}
