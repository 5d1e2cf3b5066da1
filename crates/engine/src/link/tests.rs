use super::*;
use crate::report::PausedTable;

fn error(kind: Kind, retryable: bool) -> EngineError {
    EngineError { retryable, ..EngineError::new(kind, "x") }
}

#[test]
fn only_what_a_moment_can_mend_is_tried_again() {
    let tries = |failed, connected, seconds| Tries { failed, connected, lost_for: Duration::from_secs(seconds) };
    for (what, tries, error, again) in [
        ("a refusal", tries(1, true, 0), error(Kind::Configuration, false), false),
        ("a server that was away from the start", tries(1, false, 0), error(Kind::Unreachable, true), false),
        ("a server that went away", tries(1, true, 0), error(Kind::Unreachable, true), true),
        ("a server that is still away", tries(20, true, 29), error(Kind::Unreachable, true), true),
        ("a server that stays away", tries(30, true, 31), error(Kind::Unreachable, true), false),
        ("others in the way", tries(5, true, 100), error(Kind::Failure, true), true),
        ("others in the way for ever", tries(6, true, 1), error(Kind::Failure, true), false),
    ] {
        assert_eq!(patience(&tries, &error).is_some(), again, "{what}");
    }
}

#[test]
fn pauses_grow_and_stay_short() {
    let pause = |failed| {
        let tries = Tries { failed, connected: true, lost_for: Duration::ZERO };
        patience(&tries, &error(Kind::Unreachable, true)).unwrap().as_millis()
    };
    assert_eq!([1, 2, 3, 5, 6, 60].map(pause), [50, 100, 200, 800, 1_000, 1_000]);
}

#[test]
fn a_success_forgets_the_failures_and_a_failure_keeps_the_success() {
    let mut link = LinkState::default();
    note_outcome(&mut link, Err(&error(Kind::Unreachable, true)));
    let since = link.failing_since.clone();
    note_outcome(&mut link, Err(&error(Kind::Failure, false)));
    assert!(since.is_some() && link.failing_since == since && link.last_success.is_none());
    let paused = vec![PausedTable { name: "deals".into(), reason: "differs".into() }];
    note_outcome(&mut link, Ok(&RoundReport { millis: 7, paused, ..RoundReport::default() }));
    assert_eq!((link.millis, &link.last_error, &link.failing_since), (7, &None, &None));
    assert_eq!(link.paused["deals"], "differs");
    note_outcome(&mut link, Err(&error(Kind::Failure, false)));
    assert!(link.last_success.is_some() && link.paused.len() == 1);
}
