use super::*;
use crate::error::Kind;

/// Time that passes only where it is waited for, and ends after so many pauses.
struct Fake {
    now: Duration,
    pauses: Vec<Duration>,
    left: usize,
}

impl Pace for Fake {
    fn now(&mut self) -> Duration {
        self.now
    }

    fn pause(&mut self, limit: Duration) -> bool {
        self.now += limit;
        self.pauses.push(limit);
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }

    fn chance(&mut self) -> f64 {
        0.0
    }
}

fn pauses(period: Period, left: usize, mut work: impl FnMut(usize) -> Result<Moved>) -> (Vec<u128>, usize) {
    let mut pace = Fake { now: Duration::ZERO, pauses: Vec::new(), left };
    let (mut rounds, mut failures) = (0, 0);
    let work = |_: &mut dyn Pace| {
        rounds += 1;
        work(rounds)
    };
    repeat(period, &mut pace, work, |_, _| failures += 1);
    (pace.pauses.iter().map(Duration::as_millis).collect(), failures)
}

fn away() -> EngineError {
    EngineError::new(Kind::Unreachable, "away")
}

#[test]
fn continuous_links_wait_only_when_nothing_moved() {
    let work = |round| Ok(if round < 3 { Moved::Rows } else { Moved::Nothing });
    assert_eq!(pauses(Period::Continuous, 5, work), (vec![0, 0, 0, 500, 500], 0));
}

#[test]
fn failures_back_off_and_one_success_forgets_them() {
    let work = |round| if [1, 2, 4].contains(&round) { Err(away()) } else { Ok(Moved::Rows) };
    let period = Period::Every(Duration::from_secs(60));
    assert_eq!(pauses(period, 5, work), (vec![0, 1_000, 2_000, 60_000, 1_000], 3));
}

#[test]
fn a_daemon_that_is_told_to_stop_begins_no_round() {
    let mut rounds = 0;
    let work = |round| {
        rounds = round;
        Ok(Moved::Rows)
    };
    pauses(Period::Continuous, 1, work);
    assert_eq!(rounds, 0);
}

#[test]
fn rounds_start_at_the_period_whatever_they_take() {
    let every = Period::Every(Duration::from_secs(60));
    for (took, wait) in [(0, 60), (20, 40), (60, 0), (90, 0)] {
        let wait = Duration::from_secs(wait);
        assert_eq!(until_next(every, Moved::Rows, Duration::from_secs(took)), wait, "{took}");
    }
}

#[test]
fn back_off_doubles_up_to_five_minutes_and_is_never_less_than_half() {
    assert_eq!([1, 2, 5, 9, 10, 1_000].map(|n| back_off(n, 0.0).as_secs()), [1, 2, 16, 256, 300, 300]);
    for chance in [0.0, 0.3, 1.0, 7.0] {
        let pause = back_off(12, chance);
        assert!(pause <= LONGEST_BACK_OFF && pause >= LONGEST_BACK_OFF / 2, "{pause:?}");
    }
}
