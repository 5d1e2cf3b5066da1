//! Several connections side by side where much goes over a long line: that they are made, and what becomes of a round where they
//! cannot be, or are cut.
#![allow(clippy::unwrap_used)]

mod files;
mod support;

use std::fs;
use std::time::Duration;

use files::{Network, Site, pair};
use support::LIMIT;
use sync_testbed::{Line, wait_until};

/// The lanes of a link.
const LANES: usize = 4;

/// Two sites with a line between them whose answers take 60 ms.
fn far() -> (Network, Line) {
    let network = pair();
    let line = Line::long(network.sshd.port(), Duration::from_millis(30)).unwrap();
    network.reach_over(&line, 1);
    (network, line)
}

/// Writes so many files of a megabyte that nothing makes smaller.
fn write_much(site: &Site, count: usize) {
    let mut dice = fastrand::Rng::new();
    for number in 0..count {
        let bytes: Vec<u8> = (0..1 << 20).map(|_| dice.u8(..)).collect();
        site.write(format!("{}/{number}", site.name), bytes);
    }
}

/// In either direction; and where little is to be done there is one.
#[test]
fn much_goes_over_several_connections() {
    let (network, line) = far();
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    geneva.run(&[]).expect(0);
    let mut connections = line.connections();
    assert_eq!(connections, 1);
    for site in [geneva, lyon] {
        write_much(site, 60);
        geneva.run(&[]).expect(0);
        network.assert_equal();
        connections += LANES;
        assert_eq!(line.connections(), connections, "{}", site.name);
        assert_eq!(geneva.run(&[]).expect(0).all(), "exit 0\n");
        connections += 1;
        assert_eq!(line.connections(), connections);
    }
}

/// Who limits the line has one connection.
#[test]
fn a_limit_of_the_line_is_not_gone_round() {
    let (network, line) = far();
    let geneva = &network.sites[0];
    geneva.edit("period = 0\n", "period = 0\ndocuments_bandwidth = 40000\n");
    write_much(geneva, 40);
    geneva.run(&[]).expect(0);
    network.assert_equal();
    assert_eq!(line.connections(), 1);
}

/// A server may let in no more of them, for whatever reason.
#[test]
fn where_more_are_refused_one_carries_all() {
    let (network, line) = far();
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    let (script, first) = (lyon.home.join("agent.sh"), lyon.home.join("first"));
    let agent = fs::read_to_string(&script).unwrap();
    let (shell, agent) = agent.split_once('\n').unwrap();
    fs::write(&script, format!("{shell}\nmkdir {} 2>/dev/null || exit 1\n{agent}", first.display())).unwrap();
    write_much(geneva, 60);
    geneva.run(&[]).expect(0);
    network.assert_equal();
    assert_eq!(line.connections(), LANES, "it was tried");
}

/// What was on its way over any of them is lost, and nothing else: the round is tried again, and goes on with what is there.
#[test]
fn a_round_whose_lanes_are_cut_goes_on() {
    let (network, line) = far();
    let geneva = &network.sites[0];
    write_much(geneva, 150);
    let mut round = geneva.start(&["-v"]);
    wait_until("all lanes carry", LIMIT, || line.connections() == LANES && line.bytes() > 60 << 20).unwrap();
    line.cut();
    assert_eq!(round.end(), 0, "{}", round.log());
    assert!(round.log().contains("trying again: the other side ended the connection"), "{}", round.log());
    network.assert_equal();
    assert!(line.connections() > LANES && line.bytes() < 185 << 20, "{} bytes", line.bytes());
}
