//! Making a failing history short: steps and what happens in them are left out as long as it still fails in the same way.

use super::scenario::{Scenario, Step};
use super::world::run;
use sync_tree::Slip;

/// Runs at most.
const BUDGET: usize = 300;

/// The shortest scenario found that fails as this one does; of a planted mistake, one that fails because of it only.
pub fn shrink(scenario: &Scenario, slip: Option<Slip>, kind: &str) -> Scenario {
    let mut best = scenario.clone();
    let mut left = BUDGET;
    let mut fails = |candidate: &Scenario| {
        left = left.saturating_sub(1);
        let is_to_blame = || slip.is_none() || run(candidate, None, false).0.is_ok();
        left > 0 && run(candidate, slip, false).0.is_err_and(|e| e.kind() == kind) && is_to_blame()
    };
    loop {
        let before = best.clone();
        drop_some(&mut best, |s| &mut s.steps, &mut fails);
        drop_some(&mut best, |s| &mut s.before, &mut fails);
        for at in 0..best.steps.len() {
            drop_events(&mut best, at, &mut fails);
        }
        if best == before {
            return best;
        }
    }
}

fn drop_some<T>(
    best: &mut Scenario,
    part: fn(&mut Scenario) -> &mut Vec<T>,
    fails: &mut impl FnMut(&Scenario) -> bool,
) {
    let mut size = part(best).len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < part(best).len() {
            let mut candidate = best.clone();
            let items = part(&mut candidate);
            items.drain(at..(at + size).min(items.len()));
            if fails(&candidate) {
                *best = candidate;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
}

fn drop_events(best: &mut Scenario, step: usize, fails: &mut impl FnMut(&Scenario) -> bool) {
    let mut at = 0;
    loop {
        let mut candidate = best.clone();
        let Some(Step::Round { events, .. }) = candidate.steps.get_mut(step) else { return };
        if at >= events.len() {
            return;
        }
        events.remove(at);
        if fails(&candidate) {
            *best = candidate;
        } else {
            at += 1;
        }
    }
}
