//! Runs seeds that have to be good, in whichever world.
#![allow(dead_code, clippy::panic)]

use std::ops::Range;

use simulator::{Failure, Scenario, Wishes, run, shrink};

/// How a scenario ended, and what is told of it.
pub type Told<C> = (Result<C, Failure>, Vec<String>);

/// A seed that fails is told as the shortest history that fails in the same way.
pub fn all_are_good<S, C: std::fmt::Debug>(
    seeds: Range<u64>,
    scenario: impl Fn(u64) -> S,
    run: impl Fn(&S, bool) -> Told<C>,
    shrink: impl Fn(&S, &str) -> S,
) {
    for seed in seeds {
        let scenario = scenario(seed);
        if let (Err(failure), _) = run(&scenario, false) {
            let (outcome, trace) = run(&shrink(&scenario, failure.kind()), true);
            panic!("seed {seed}: {failure}\n{}\n{outcome:?}", trace.join("\n"));
        }
    }
}

/// Of the world of databases.
pub fn all_are_good_with(seeds: Range<u64>, wishes: Wishes) {
    all_are_good(
        seeds,
        |seed| Scenario::new(seed, wishes),
        |scenario, traced| run(scenario, None, traced),
        |scenario, kind| shrink(scenario, None, kind),
    );
}
