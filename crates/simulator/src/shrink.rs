//! Making a failing history short: steps are left out as long as it still fails in the same way.

use crate::bugs::Bug;
use crate::scenario::{Scenario, Step};
use crate::world;

/// Runs at most.
const BUDGET: usize = 600;

/// The shortest scenario found that fails as this one does; of a planted bug, one that fails because of it only.
pub fn shrink(scenario: &Scenario, bug: Option<Bug>, kind: &str) -> Scenario {
    let mut best = scenario.clone();
    let mut left = BUDGET;
    let mut fails = |candidate: &Scenario| {
        left = left.saturating_sub(1);
        let is_to_blame = || bug.is_none() || world::run(candidate, None, false).0.is_ok();
        left > 0 && world::run(candidate, bug, false).0.is_err_and(|e| e.kind() == kind) && is_to_blame()
    };
    loop {
        let before = best.clone();
        drop_steps(&mut best, &mut fails);
        drop_before(&mut best, &mut fails);
        simplify(&mut best, &mut fails);
        if best == before {
            return best;
        }
    }
}

fn drop_steps(best: &mut Scenario, fails: &mut impl FnMut(&Scenario) -> bool) {
    let mut size = best.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.steps.len() {
            let mut candidate = best.clone();
            candidate.steps.drain(at..(at + size).min(best.steps.len()));
            if fails(&candidate) {
                *best = candidate;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
}

fn drop_before(best: &mut Scenario, fails: &mut impl FnMut(&Scenario) -> bool) {
    for at in (0..best.before.len()).rev() {
        let mut candidate = best.clone();
        candidate.before.remove(at);
        if fails(&candidate) {
            *best = candidate;
        }
    }
}

/// Fewer statements and faults within what is left.
fn simplify(best: &mut Scenario, fails: &mut impl FnMut(&Scenario) -> bool) {
    let mut at = 0;
    while at < best.steps.len() {
        let simpler = simpler(&best.steps[at]).into_iter().find_map(|step| {
            let mut candidate = best.clone();
            candidate.steps[at] = step;
            fails(&candidate).then_some(candidate)
        });
        match simpler {
            Some(candidate) => *best = candidate,
            None => at += 1,
        }
    }
}

/// Steps that do less than this one.
fn simpler(step: &Step) -> Vec<Step> {
    let mut all = Vec::new();
    match step {
        Step::Write { site, transaction } if transaction.operations.len() > 1 => {
            for i in 0..transaction.operations.len() {
                let mut transaction = transaction.clone();
                transaction.operations.remove(i);
                all.push(Step::Write { site: *site, transaction });
            }
        }
        Step::Round { link, manner, fault, meanwhile, pieces, twice } => {
            let round = |fault, meanwhile: &[_], pieces, twice| Step::Round {
                link: *link,
                manner: *manner,
                fault,
                meanwhile: meanwhile.to_vec(),
                pieces,
                twice,
            };
            if fault.is_some() {
                all.push(round(None, meanwhile, *pieces, *twice));
            }
            if let Some((_, rest)) = meanwhile.split_first() {
                all.push(round(*fault, rest, *pieces, *twice));
            }
            if pieces.is_some() || *twice {
                all.push(round(*fault, meanwhile, None, false));
            }
        }
        _ => {}
    }
    all
}
