//! Rounds that end anywhere, and are repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sync_engine::round;
use sync_store::{Mode, Since};

use super::PAIR;
use crate::faulty::{Faulty, Watched, When, lost};
use crate::{Bench, BenchSite, Network};

/// Something of everything, at both sites, one cell contested.
fn work(network: &mut Network<impl BenchSite>, turn: u32) {
    for site in 0..2u32 {
        let id = 1000 + turn * 10 + site;
        let at = site as usize;
        network.app(at, &format!("INSERT INTO person (id, name) VALUES ({id}, 'turn {turn}')"));
        network.app(at, &format!("UPDATE person SET name='turn {turn} at {site}' WHERE id=1"));
        network.app(at, &format!("UPDATE person SET age={turn} WHERE id={}", 2 + site));
        network.app(at, &format!("DELETE FROM person WHERE id={}", id.saturating_sub(20)));
        network.app(at, &format!("UPDATE stock SET quantity = quantity + {} WHERE id=1", 1 + site));
    }
}

/// A round breaks at every single call of either store, before and after it is carried out.
pub fn before_and_after_every_call(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'one'), (2, 'two'), (3, 'three')");
    network.app(0, "INSERT INTO stock (id, quantity, total) VALUES (1, 0, 0)");
    network.round(0, 1);
    let mut turn = 0;
    for (at_slave, when) in [(false, When::Before), (false, When::After), (true, When::Before), (true, When::After)] {
        let mut calls = 0;
        loop {
            turn += 1;
            work(&mut network, turn);
            if !breaks(&mut network, at_slave, calls, when) {
                break;
            }
            network.round(0, 1);
            network.assert_same();
            calls += 1;
        }
        assert!(calls > 5, "a round is more than {calls} calls");
    }
    network.finish(&PAIR);
    network.shows("SELECT quantity FROM stock", &[&(3 * turn).to_string()]);
}

/// Whether the round came as far as the call that breaks.
fn breaks(network: &mut Network<impl BenchSite>, at_slave: bool, calls: u32, when: When) -> bool {
    let options = network.options(1);
    let (master, slave) = network.two(0, 1);
    let (mut faulty, broken);
    let result = if at_slave {
        faulty = Faulty::new(slave.store(), calls, when);
        let result = round(master.store(), &mut faulty, &options, &mut ());
        broken = faulty.broken;
        result
    } else {
        faulty = Faulty::new(master.store(), calls, when);
        let result = round(&mut faulty, slave.store(), &options, &mut ());
        broken = faulty.broken;
        result
    };
    assert_eq!(result.is_err(), broken, "{result:?}");
    broken
}

fn many(network: &mut Network<impl BenchSite>, site: usize, from: usize) {
    for block in 0..12 {
        let rows: Vec<String> = (0..100).map(|i| format!("({}, 'n')", from + block * 100 + i)).collect();
        network.app(site, &format!("INSERT INTO person (id, name) VALUES {}", rows.join(", ")));
    }
}

/// What has been received stays; the rest follows in the next round.
pub fn in_the_middle_of_many_batches(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.round(0, 1);
    many(&mut network, 0, 1000);
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'other')");
    let options = network.options(1);
    let (master, slave) = network.two(0, 1);
    let mut watched = Watched::new(slave.store(), |n| if n == 1 { Err(lost()) } else { Ok(()) });
    let result = round(master.store(), &mut watched, &options, &mut ());
    assert!(result.is_err());
    drop(watched);
    let before = network.rows(1, "SELECT COUNT(*) FROM person")[0].parse::<u64>().unwrap();
    assert!(1 < before && before < 1_201, "{before} are there");
    let report = network.round(0, 1);
    assert_eq!(before + report.pushed.total().received, 1_201, "no row comes twice");
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*) FROM person", &["1201"]);
}

/// The server ends the connections between batches.
pub fn connections_cut(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.round(0, 1);
    let count = Arc::new(AtomicU32::new(0));
    for turn in 0..3u32 {
        many(&mut network, 0, 1000 + turn as usize * 10_000);
        let mut cut = network.sites[1].cutter();
        let options = network.options(1);
        let (master, slave) = network.two(0, 1);
        let seen = count.clone();
        let mut watched = Watched::new(slave.store(), move |n| {
            if n == turn % 2 {
                seen.fetch_add(1, Ordering::Relaxed);
                cut();
            }
            Ok(())
        });
        // A store may come back by itself, or give up: nothing is lost either way.
        let _ = round(master.store(), &mut watched, &options, &mut ());
        drop(watched);
        network.sites[1].reopen();
        network.round(0, 1);
        network.assert_same();
    }
    assert_eq!(count.load(Ordering::Relaxed), 3);
    network.finish(&PAIR);
}

/// A batch that arrives again changes nothing and publishes nothing.
pub fn a_batch_applied_twice(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'one'), (2, 'two')");
    network.app(0, "INSERT INTO membership (person, team, role) VALUES (1, 2, 'x')");
    network.round(0, 1);
    network.app(0, "UPDATE person SET name='uno' WHERE id=1");
    network.app(1, "UPDATE person SET name='eins' WHERE id=1");
    network.app(0, "DELETE FROM person WHERE id=2");
    network.store(0).drain().unwrap();
    network.store(1).drain().unwrap();
    let receiver = network.store(1).describe().unwrap().source;
    let tables = ["person", "membership"].map(str::to_owned).to_vec();
    let since = Since { receiver, position: Default::default(), held: vec![], tables, upto: None };
    let mut batches = Vec::new();
    let mut sink = |batch| {
        batches.push(batch);
        Ok(())
    };
    network.store(0).changes(&since, &mut sink).unwrap();
    let applied: u64 = batches.iter().map(|b| network.store(1).apply(b, Mode::Write).unwrap().total().conflicts).sum();
    assert_eq!(applied, 1);
    let (head, dump) = (network.heads()[1], network.sites[1].dump());
    for batch in batches.iter().chain(batches.iter().rev()) {
        let total = network.store(1).apply(batch, Mode::Write).unwrap().total();
        assert_eq!((total.inserted, total.updated, total.deleted, total.conflicts), (0, 0, 0, 0));
    }
    assert_eq!((network.heads()[1], network.sites[1].dump()), (head, dump));
    network.finish(&PAIR);
}

/// Nothing is kept in the process.
pub fn reopened_between_rounds(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    for turn in 0..3 {
        work(&mut network, turn);
        network.sites.iter_mut().for_each(BenchSite::reopen);
        network.round(0, 1);
        network.sites.iter_mut().for_each(BenchSite::reopen);
    }
    network.finish(&PAIR);
}
