use super::*;

const LONG: Duration = Duration::from_secs(3_600);

#[test]
fn a_pause_ends_when_the_daemon_is_told_to_stop() {
    let control = Control::default();
    std::thread::scope(|scope| {
        let paused = scope.spawn(|| control.pause(0, LONG));
        control.stop();
        assert!(!paused.join().unwrap());
    });
    assert!(control.is_stopped() && !control.pause(0, LONG));
}

#[test]
fn a_pause_ends_with_its_generation_and_not_with_a_wish_to_reload() {
    let control = Control::default();
    control.reload();
    assert!(control.pause(0, Duration::ZERO));
    control.change(|w| w.generation += 1);
    assert!(!control.pause(0, LONG) && control.pause(1, Duration::ZERO));
}

#[test]
fn stopping_comes_before_rereading_and_a_wish_is_heard_once() {
    let control = Control::default();
    assert!(matches!(control.next(Duration::ZERO), Next::Tick));
    control.reload();
    assert!(matches!(control.next(LONG), Next::Reload));
    assert!(matches!(control.next(Duration::ZERO), Next::Tick));
    control.reload();
    control.stop();
    assert!(matches!(control.next(LONG), Next::Stop));
}

#[test]
fn only_a_thread_that_works_can_be_stuck() {
    let long_ago = Instant::now().checked_sub(SILENCE + SILENCE).unwrap_or_else(Instant::now);
    let beat = Beat { since: long_ago, ..Beat::new("lyon") };
    assert!(!beat.is_stuck(), "it pauses");
    beat.last.store(1, Ordering::Relaxed);
    assert_eq!(beat.is_stuck(), long_ago.elapsed() > SILENCE);
    beat.beat();
    assert!(!beat.is_stuck(), "it gave a sign");
    beat.last.store(1, Ordering::Relaxed);
    beat.during(|| ());
    assert!(!beat.is_stuck(), "it pauses again");
}
