use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::Duration;

use proptest::prelude::*;

use super::ends::OVERHEAD;
use super::*;
use crate::frame::BODY_LIMIT;

/// Two ends of one link.
fn link() -> (Mux, Mux) {
    let (a, b) = UnixStream::pair().unwrap();
    let start = |s: UnixStream, first| Mux::start(s.try_clone().unwrap(), Closing(s), first);
    (start(a, 1), start(b, 2))
}

/// A socket of which the other side sees the end when the writer is done with it, as with a pipe.
struct Closing(UnixStream);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

fn accept(mux: &Mux) -> Channel {
    mux.accept().unwrap().unwrap().0
}

/// What need not go out at once goes at the latest when its sender waits, or is done, or there is much of it.
#[test]
fn what_goes_along_arrives() {
    let (a, b) = link();
    let here = a.open("documents").unwrap();
    let there = accept(&b);
    for round in 0..200u32 {
        here.send_along(round.to_le_bytes().to_vec()).unwrap();
        let answers = std::thread::scope(|scope| {
            let answer = scope.spawn(|| here.receive().unwrap());
            assert_eq!(there.receive().unwrap(), Some(round.to_le_bytes().to_vec()));
            there.send(vec![7]).unwrap();
            answer.join().unwrap()
        });
        assert_eq!(answers, Some(vec![7]));
    }
    let long = vec![1; BODY_LIMIT];
    here.send_along(long.clone()).unwrap();
    assert_eq!(there.receive().unwrap(), Some(long), "it is as much as goes out at once");
    here.send_along(b"last".to_vec()).unwrap();
    drop(here);
    assert_eq!((there.receive().unwrap(), there.receive().unwrap()), (Some(b"last".to_vec()), None));
}

#[test]
fn many_that_go_along_arrive_in_order() {
    let (a, b) = link();
    let here = a.open("documents").unwrap();
    let there = accept(&b);
    let sender = std::thread::spawn(move || {
        (0..20_000u32).for_each(|number| here.send_along(number.to_le_bytes().repeat(100)).unwrap());
        here.send(Vec::new()).unwrap();
        here
    });
    for number in 0..20_000u32 {
        assert!(there.receive().unwrap() == Some(number.to_le_bytes().repeat(100)), "message {number}");
    }
    assert_eq!(there.receive().unwrap(), Some(Vec::new()));
    drop(sender.join().unwrap());
}

#[test]
fn messages_arrive_whole_and_in_order() {
    let (a, b) = link();
    let here = a.open("database").unwrap();
    let (there, service) = b.accept().unwrap().unwrap();
    assert_eq!(service, "database");
    let sizes = [0, 1, BODY_LIMIT, BODY_LIMIT + 1, 3 * WINDOW as usize + 5, 7];
    let sender = std::thread::spawn(move || {
        for (i, size) in sizes.iter().enumerate() {
            here.send(vec![i as u8; *size]).unwrap();
        }
        assert_eq!(here.receive().unwrap(), Some(b"thanks".to_vec()));
        here
    });
    for (i, size) in sizes.iter().enumerate() {
        assert!(there.receive().unwrap() == Some(vec![i as u8; *size]), "message {i}");
    }
    there.send(b"thanks".to_vec()).unwrap();
    drop(sender.join().unwrap());
    assert_eq!(there.receive().unwrap(), None, "the channel was closed");
}

#[test]
fn a_channel_that_nobody_reads_does_not_stop_another() {
    let (a, b) = link();
    let (large, small) = (a.open("tree").unwrap(), a.open("database").unwrap());
    let (large_there, small_there) = (accept(&b), accept(&b));
    let (done, is_done) = channel();
    let sender = std::thread::spawn(move || {
        for _ in 0..4 {
            large.send(vec![7; WINDOW as usize]).unwrap();
        }
        done.send(()).unwrap();
        large
    });
    for i in 0..100u8 {
        small.send(vec![i]).unwrap();
        assert_eq!(small_there.receive().unwrap(), Some(vec![i]));
    }
    assert!(is_done.try_recv().is_err(), "what nobody takes is not sent without end");
    for _ in 0..4 {
        assert_eq!(large_there.receive().unwrap().unwrap().len(), WINDOW as usize);
    }
    is_done.recv_timeout(Duration::from_secs(60)).unwrap();
    drop(sender.join().unwrap());
}

#[test]
fn many_small_messages_are_held_back_too() {
    let (a, b) = link();
    let here = a.open("x").unwrap();
    let there = accept(&b);
    let (done, is_done) = channel();
    let sender = std::thread::spawn(move || {
        for _ in 0..3 * WINDOW / 1000 {
            here.send(vec![1; 1000]).unwrap();
        }
        done.send(()).unwrap();
        here
    });
    // What has no credit left waits at the sender: the rest comes only as it is taken.
    let waiting = |mux: &Mux| mux.shared.lock().channels.values().map(|e| e.received.len()).sum::<usize>();
    let full = WINDOW as usize / (1000 + OVERHEAD);
    sync_wait(|| waiting(&b) >= full);
    assert!(waiting(&b) <= full + 1 && is_done.try_recv().is_err());
    for _ in 0..3 * WINDOW / 1000 {
        assert_eq!(there.receive().unwrap().unwrap().len(), 1000);
    }
    is_done.recv_timeout(Duration::from_secs(60)).unwrap();
    drop(sender.join().unwrap());
}

/// Gives other threads time until something holds; the test runner ends a test that waits for ever.
fn sync_wait(holds: impl Fn() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}

#[test]
fn everybody_hears_that_the_link_broke() {
    let (a, b) = link();
    let here = a.open("x").unwrap();
    let there = accept(&b);
    let waits = std::thread::spawn(move || here.receive().map(|_| ()));
    let error = LinkError::new(Fault::Unreachable, "pulled out");
    a.fail(error.clone());
    assert_eq!(waits.join().unwrap(), Err(error.clone()));
    assert_eq!(a.open("y").map(|_| ()), Err(error));
    drop(a);
    assert!(there.receive().is_err());
    assert!(b.accept().unwrap().is_none(), "the other side only sees the end");
}

#[test]
fn channels_are_forgotten_when_both_sides_closed_them() {
    let (a, b) = link();
    for _ in 0..3 * CHANNELS {
        let here = a.open("x").unwrap();
        here.send(b"?".to_vec()).unwrap();
        let there = accept(&b);
        assert!(there.receive().unwrap().is_some());
        there.send(vec![0; 2 * WINDOW as usize]).unwrap();
        drop(here);
        drop(there);
    }
    sync_wait(|| a.shared.lock().channels.is_empty() && b.shared.lock().channels.is_empty());
}

#[test]
fn a_message_that_is_too_long_is_refused_by_name() {
    let (a, _b) = link();
    let here = a.open("x").unwrap();
    let error = here.send(vec![0; MESSAGE_LIMIT + 1]).unwrap_err();
    assert_eq!(error.fault, Fault::Protocol);
}

fn hostile() -> impl Strategy<Value = Frame> {
    let kind = proptest::sample::select(vec![Kind::Open, Kind::Data, Kind::Data, Kind::Credit, Kind::Close]);
    let body = prop_oneof![Just(Vec::new()), proptest::collection::vec(any::<u8>(), 0..20), Just(vec![0; BODY_LIMIT]),];
    (kind, any::<bool>(), 0..6u32, body).prop_map(|(kind, last, channel, body)| Frame { kind, last, channel, body })
}

proptest! {
    /// What a hostile side sends is taken or refused; never more than the window is kept on a channel.
    #[test]
    fn hostile_frames_are_bounded(frames in proptest::collection::vec(hostile(), 0..400)) {
        let mut state = State { next: 2, ..State::default() };
        for frame in frames {
            if state.accept(frame).is_err() {
                break;
            }
            for ends in state.channels.values() {
                let held: usize = ends.received.iter().map(Vec::len).sum();
                prop_assert!(held <= WINDOW as usize + BODY_LIMIT * 400);
                prop_assert!(ends.owed <= u64::from(WINDOW) + OVERHEAD as u64);
            }
            prop_assert!(state.channels.len() <= CHANNELS);
        }
    }
}

#[test]
fn more_than_the_credit_is_refused() {
    let mut state = State { next: 2, ..State::default() };
    state.accept(Frame { body: b"x".to_vec(), ..Frame::bare(Kind::Open, 1) }).unwrap();
    let piece = || Frame { last: true, body: vec![0; BODY_LIMIT], ..Frame::bare(Kind::Data, 1) };
    let pieces = (WINDOW as usize + OVERHEAD) / (BODY_LIMIT + OVERHEAD);
    for _ in 0..pieces {
        state.accept(piece()).unwrap();
    }
    assert!(state.accept(piece()).is_err());
}

/// Adds a lane to a link; gives its ends, by which it can be broken.
fn add_lane(a: &Mux, b: &Mux) -> [UnixStream; 2] {
    let (here, there) = UnixStream::pair().unwrap();
    let ends = [here.try_clone().unwrap(), there.try_clone().unwrap()];
    let reserved = (a.lanes().reserve(), b.lanes().reserve());
    reserved.0.join(here.try_clone().unwrap(), Closing(here));
    reserved.1.join(there.try_clone().unwrap(), Closing(there));
    ends
}

/// Messages go over whichever lane has room and arrive as over one, in both directions at a time, also while lanes are added.
#[test]
fn messages_over_several_lanes_arrive_whole_and_in_order() {
    let (a, b) = link();
    let channels: Vec<Channel> = (0..3).map(|_| a.open("documents").unwrap()).collect();
    let message = |number: u32| number.to_le_bytes().repeat(1 + (number as usize * 7919) % 40_000);
    let talk = |channel: &Channel| {
        for number in 0..400 {
            channel.send(message(number)).unwrap();
            assert!(number < 20 || channel.receive().unwrap() == Some(message(number - 20)), "message {number}");
        }
        assert!((380..400).all(|number| channel.receive().unwrap() == Some(message(number))));
    };
    std::thread::scope(|scope| {
        let there: Vec<Channel> = channels.iter().map(|_| accept(&b)).collect();
        there.into_iter().for_each(|channel| drop(scope.spawn(move || talk(&channel))));
        channels.into_iter().for_each(|channel| drop(scope.spawn(move || talk(&channel))));
        (0..3).for_each(|_| drop(add_lane(&a, &b)));
    });
    drop(a);
    assert!(b.accept().unwrap().is_none(), "nothing was missing at the end");
}

/// What was on its way over it is lost, and nobody waits for it.
#[test]
fn a_lane_that_breaks_breaks_the_link() {
    let (a, b) = link();
    let here = a.open("documents").unwrap();
    let there = accept(&b);
    let ends = add_lane(&a, &b);
    here.send(vec![1; 3 * BODY_LIMIT]).unwrap();
    assert_eq!(there.receive().unwrap(), Some(vec![1; 3 * BODY_LIMIT]));
    ends.iter().for_each(|end| end.shutdown(std::net::Shutdown::Both).unwrap());
    assert_eq!(there.receive().unwrap_err().fault, Fault::Unreachable);
    assert_eq!(here.receive().unwrap_err().fault, Fault::Unreachable);
}

#[test]
fn a_lane_that_comes_to_nothing_is_not_waited_for() {
    let (a, b) = link();
    drop(a.lanes().reserve());
    let here = a.open("database").unwrap();
    here.send(vec![7]).unwrap();
    assert_eq!(accept(&b).receive().unwrap(), Some(vec![7]));
    drop(here);
    drop(a);
    assert!(b.accept().unwrap().is_none());
}

/// Frames with places, as somebody may send them who knows what lanes are.
fn turning() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (0u32..8).prop_map(Frame::turn),
        Just(Frame::bare(Kind::End, 0)),
        (0u32..4).prop_map(|number| Frame::bare(Kind::Open, 2 * number + 1)),
        (0u32..4).prop_map(|number| Frame { last: true, body: vec![7; 3], ..Frame::bare(Kind::Data, 2 * number + 1) }),
        (0u32..4).prop_map(|number| Frame::bare(Kind::Close, 2 * number + 1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever comes over two lanes, in whatever order, the link ends when they do: nobody waits for what cannot come.
    #[test]
    fn hostile_lanes_end(lanes in proptest::collection::vec(proptest::collection::vec(turning(), 0..12), 2)) {
        let [first, second] = [0, 1].map(|lane| {
            let mut bytes = Vec::new();
            lanes[lane].iter().for_each(|frame| frame.write(&mut bytes).unwrap());
            std::io::Cursor::new(bytes)
        });
        let link = Mux::begin(std::io::sink(), 2);
        let reserved = link.lanes().reserve();
        link.listen(first);
        reserved.join(second, std::io::sink());
        while let Ok(Some(_)) = link.accept() {}
    }
}

/// A peer that says that something else comes first, and does not send it.
#[test]
fn frames_that_never_come_are_not_waited_for() {
    let (mut hostile, ours) = UnixStream::pair().unwrap();
    let link = Mux::start(ours.try_clone().unwrap(), Closing(ours), 2);
    let waits = link.lanes().reserve();
    Frame::turn(5).write(&mut hostile).unwrap();
    Frame::bare(Kind::Open, 1).write(&mut hostile).unwrap();
    drop(waits);
    assert!(link.accept().is_err_and(|e| e.fault == Fault::Protocol));
}

#[test]
fn who_waits_for_much_hears_when_it_was_carried_and_when_it_never_will_be() {
    let (a, b) = link();
    let (lanes, never) = (a.lanes(), b.lanes());
    let (here, much) = (a.open("documents").unwrap(), 10 * BODY_LIMIT);
    let there = accept(&b);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| lanes.wait_until_carried(much as u64));
        let waits_longer = scope.spawn(|| never.wait_until_carried(u64::MAX));
        here.send(vec![0; much]).unwrap();
        assert!(there.receive().unwrap().is_some());
        assert!(waits.join().unwrap());
        drop((here, a));
        assert!(!waits_longer.join().unwrap());
    });
}
