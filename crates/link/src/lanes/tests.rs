use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;

use super::*;
use crate::mux::{Channel, Mux};

/// The two ends of a link whose agent lets lanes in, and the conversation in which the master asks for them.
struct Link {
    master: Mux,
    asks: Channel,
    _agent: thread::JoinHandle<()>,
}

fn link() -> Link {
    let (here, there) = UnixStream::pair().unwrap();
    let agent = thread::spawn(move || {
        let link = Mux::start(there.try_clone().unwrap(), there, 2);
        let lanes = link.lanes();
        let (asked, service) = link.accept().unwrap().unwrap();
        assert_eq!(service, SERVICE);
        serve(&asked, &lanes).unwrap_or_default();
    });
    let master = Mux::start(here.try_clone().unwrap(), here, 1);
    let asks = master.open(SERVICE).unwrap();
    Link { master, asks, _agent: agent }
}

impl Link {
    fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.asks.send(request.to_vec()).unwrap();
        self.asks.receive().unwrap().unwrap()
    }

    fn pass(&self) -> Pass {
        Pass::parse(&String::from_utf8(self.ask(PASS)).unwrap()).unwrap()
    }
}

/// What comes back from an agent that was started for a lane with this pass, and the streams of the lane.
fn started(pass: &Pass) -> (UnixStream, thread::JoinHandle<Result<()>>) {
    let (here, there) = UnixStream::pair().unwrap();
    let pass = pass.clone();
    (here, thread::spawn(move || hand_over(&pass, there.as_fd(), there.as_fd())))
}

#[test]
fn who_has_the_pass_is_let_in_until_the_link_ends() {
    let link = link();
    assert_eq!(link.ask(ANSWER), ANSWER);
    let pass = link.pass();
    assert!(link.ask(PASS).is_empty(), "there is one door");
    let reserved = link.master.lanes().reserve();
    let (mut lane, waits) = started(&pass);
    let mut said = [0; READY.len()];
    lane.read_exact(&mut said).unwrap();
    assert_eq!(said, READY);
    reserved.join(lane.try_clone().unwrap(), lane.try_clone().unwrap());
    (0..100).for_each(|_| assert_eq!(link.ask(ANSWER), ANSWER));
    assert!(!waits.is_finished());
    drop(link.asks);
    drop(link.master);
    lane.shutdown(std::net::Shutdown::Both).unwrap();
    waits.join().unwrap().unwrap();
}

#[test]
fn nobody_else_is() {
    let link = link();
    let pass = link.pass();
    let other = Pass::new().unwrap();
    assert!(started(&other).1.join().unwrap().is_err(), "there is no such door");
    // The door is seen by everybody, what has to be shown there by nobody.
    let wrong = Pass(format!("{}{}", &pass.0[..DOOR], &other.0[DOOR..]));
    let (mut refused, waits) = started(&wrong);
    waits.join().unwrap().unwrap();
    let mut said = Vec::new();
    refused.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"");
    assert_eq!(link.ask(ANSWER), ANSWER, "the link goes on");
    // Nor when nobody waits any more.
    drop(link.asks);
    let is_closed = || started(&pass).1.join().unwrap().is_err();
    while !is_closed() {
        thread::yield_now();
    }
}

#[test]
fn a_pass_is_kept_to_its_letters_and_does_not_tell_its_secret() {
    let pass = Pass::new().unwrap();
    assert_eq!(Pass::parse(&pass.to_string()), Some(pass.clone()));
    assert!(!format!("{pass:?}").contains(std::str::from_utf8(pass.secret()).unwrap()));
    for text in [
        "",
        "../x",
        &pass.to_string()[1..],
        &pass.to_string().to_uppercase().replace(|c: char| c.is_ascii_digit(), "A"),
    ] {
        assert_eq!(Pass::parse(text), None, "{text}");
    }
}
