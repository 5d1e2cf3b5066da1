//! Halts, and looking without touching.

use sync_engine::error::Kind;

use super::PAIR;
use crate::{Bench, BenchSite, Network};

fn crowd<B: Bench>(bench: &B) -> Network<B::Site> {
    let mut network = Network::unprepared(bench, 2);
    let rows: Vec<String> = (1..=300).map(|i| format!("({i}, 'row {i}')")).collect();
    network.app(0, &format!("INSERT INTO person (id, name) VALUES {}", rows.join(", ")));
    network.prepare();
    network.finish(&PAIR);
    network
}

fn halts_until_forced(network: &mut Network<impl BenchSite>) {
    let error = network.try_round(0, 1, |_| {}).unwrap_err();
    assert_eq!(error.kind, Kind::Halt, "{error:?}");
    assert!(error.message.contains("200 of 300 rows of person"), "{}", error.message);
    assert_eq!(network.rows(0, "SELECT COUNT(*) FROM person"), ["300"], "nothing is touched");
    network.round_with(0, 1, |o| o.force = true);
    network.shows("SELECT COUNT(*) FROM person", &["100"]);
    network.finish(&PAIR);
}

/// Many deletes stop the round before anything is touched; -force goes on.
pub fn mass_deletes_halt(bench: &impl Bench) {
    let mut network = crowd(bench);
    network.app(1, "DELETE FROM person WHERE id > 100");
    network.app(1, "INSERT INTO team (id, name) VALUES (1, 'new')");
    halts_until_forced(&mut network);
}

/// The same where the deletes were made while the table was paused, and other tables went on.
pub fn mass_deletes_of_a_paused_table_halt(bench: &impl Bench) {
    let mut network = crowd(bench);
    network.app(1, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.app(1, "DELETE FROM person WHERE id > 100");
    for i in 0..3 {
        network.app(1, &format!("INSERT INTO team (id, name) VALUES ({i}, 'goes on')"));
        network.round(0, 1);
    }
    network.app(0, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    halts_until_forced(&mut network);
}

fn previewed(network: &mut Network<impl BenchSite>, expected: (u64, u64)) {
    let state = |network: &mut Network<_>| {
        let dumps = [0, 1].map(|i| BenchSite::dump(&mut network.sites[i]));
        (dumps, network.heads(), network.store(0).knowledge().unwrap(), network.store(1).knowledge().unwrap())
    };
    // A preview drains: what was written is stamped, and nothing else happens.
    network.store(0).drain().unwrap();
    network.store(1).drain().unwrap();
    let before = state(network);
    let report = network.round_with(0, 1, |o| o.dry_run = true);
    assert!(report.dry_run);
    assert_eq!((report.pulled.total().received, report.pushed.total().received), expected);
    assert!(state(network) == before, "a preview wrote something");
    assert_eq!(network.conflicts(0), []);
}

/// The report of a dry run says what would happen, and it has not.
pub fn a_preview_writes_nothing(bench: &impl Bench) {
    let mut network = crowd(bench);
    network.app(0, "UPDATE person SET name='of 0' WHERE id=1");
    network.later(1, "UPDATE person SET name='of 1' WHERE id=1");
    network.app(1, "DELETE FROM person WHERE id=2");
    network.app(1, "INSERT INTO person (id, name) VALUES (400, 'new')");
    previewed(&mut network, (3, 1));
    let report = network.round(0, 1);
    assert_eq!(report.pulled.total().conflicts, 1);
    network.finish(&PAIR);
}

/// The same before the sites have ever met.
pub fn a_preview_of_first_contact_writes_nothing(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'one'), (2, 'two')");
    network.prepare();
    previewed(&mut network, (0, 2));
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*) FROM person", &["2"]);
}

/// What others deleted long ago keeps neither an empty site from being filled, nor one that has heard of it already from
/// hearing it again.
pub fn only_rows_that_are_there_count_as_deleted(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let rows: Vec<String> = (1..=300).map(|i| format!("({i}, 'row {i}')")).collect();
    network.app(0, &format!("INSERT INTO person (id, name) VALUES {}", rows.join(", ")));
    network.round(0, 1);
    network.app(0, "DELETE FROM person WHERE id > 50");
    network.round_with(0, 1, |o| o.force = true);
    network.round(0, 2);
    network.round(2, 1);
    network.shows("SELECT COUNT(*) FROM person", &["50"]);
    network.finish(&[(0, 1), (0, 2), (2, 1)]);
}
