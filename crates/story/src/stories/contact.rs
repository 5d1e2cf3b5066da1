//! First contact: sites that have no common history.

use sync_engine::error::EngineError;
use sync_engine::{RoundReport, round};

use super::PAIR;
use super::conflicts::losing;
use crate::faulty::{Watched, lost};
use crate::{Bench, BenchSite, Network};

fn fill(network: &mut Network<impl BenchSite>, site: usize) {
    for sql in [
        "INSERT INTO person (id, name, email, age) VALUES (1, 'Ann', 'ann@x', 30), (2, 'Bob', NULL, NULL), (3, 'Cid', 'cid@x', 0)",
        "INSERT INTO membership (person, team, role) VALUES (1, 1, 'lead'), (1, 2, 'guest'), (2, 1, NULL)",
        "INSERT INTO word (word, meaning) VALUES ('Ångström', 'unit'), ('zebra', 'animal')",
        "INSERT INTO token (id, label) VALUES (x'000102030405060708090a0b0c0d0e0f', 'first')",
        "INSERT INTO team (id, name) VALUES (1, 'red'), (2, 'blue')",
        "INSERT INTO task (id, team, title) VALUES (1, 1, 'paint'), (2, NULL, 'none')",
    ] {
        network.app(site, sql);
    }
}

fn one_is_filled(bench: &impl Bench, filled: usize) {
    let mut network = Network::unprepared(bench, 2);
    fill(&mut network, filled);
    network.prepare();
    let report = network.round(0, 1);
    assert!(report.compared);
    assert_eq!(report.pulled.total().inserted + report.pushed.total().inserted, 13);
    network.shows("SELECT COUNT(*) FROM membership", &["3"]);
    assert_eq!(network.conflicts(0), []);
    network.finish(&PAIR);
}

/// The master has no row.
pub fn empty_master_is_filled(bench: &impl Bench) {
    one_is_filled(bench, 1);
}

/// The slave has no row.
pub fn empty_slave_is_filled(bench: &impl Bench) {
    one_is_filled(bench, 0);
}

/// Neither has a row; what comes then is exchanged.
pub fn two_empty_sites(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    assert!(network.round(0, 1).is_quiet());
    fill(&mut network, 0);
    network.app(1, "INSERT INTO team (id, name) VALUES (7, 'green')");
    network.round(0, 1);
    network.shows("SELECT COUNT(*) FROM team", &["3"]);
    network.finish(&PAIR);
}

/// Two copies of the same data: nothing moves.
pub fn equal_sites_move_nothing(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    fill(&mut network, 0);
    fill(&mut network, 1);
    network.prepare();
    let report = network.round(0, 1);
    assert!(report.compared && report.is_quiet(), "{:?}", report.by_table());
    assert_eq!(network.conflicts(0), []);
    network.app(0, "UPDATE person SET age=31 WHERE id=1");
    network.app(1, "DELETE FROM person WHERE id=2");
    network.finish(&PAIR);
    network.shows("SELECT id, age FROM person ORDER BY id", &["1|31", "3|0"]);
}

fn overlapping(bench: &impl Bench, prefer_slave: bool) {
    let mut network = Network::unprepared(bench, 2);
    for (site, name) in [(0, "master"), (1, "slave")] {
        network.app(site, "INSERT INTO person (id, name, age) VALUES (1, 'same', 1)");
        network.app(site, &format!("INSERT INTO person (id, name, age) VALUES (2, '{name}', 2)"));
        network.app(site, &format!("INSERT INTO person (id, name) VALUES ({}, 'only {name}')", 10 + site));
        network.app(site, "INSERT INTO membership (person, team, role) VALUES (1, 1, 'lead')");
    }
    network.prepare();
    network.round_with(0, 1, |o| o.prefer_slave = prefer_slave);
    let (winner, loser) = if prefer_slave { ("slave", "master") } else { ("master", "slave") };
    let expected =
        ["1|same|1".to_owned(), format!("2|{winner}|2"), "10|only master|NULL".into(), "11|only slave|NULL".into()];
    network.shows("SELECT id, name, age FROM person ORDER BY id", &expected.each_ref().map(String::as_str));
    let conflict = network.only_conflict(0);
    assert_eq!((conflict.kind.as_str(), conflict.column.as_deref()), ("cell", Some("name")));
    assert_eq!(
        (conflict.winning[0].to_string(), conflict.losing[0].to_string()),
        (winner.to_owned(), loser.to_owned())
    );
    network.finish(&PAIR);
    assert_eq!(network.conflicts(1), [conflict]);
}

/// Rows of one side are united; the master's cells win by default and the others are listed.
pub fn overlapping_sites_are_united(bench: &impl Bench) {
    overlapping(bench, false);
}

/// The settings can let the slave win.
pub fn the_slave_can_be_preferred(bench: &impl Bench) {
    overlapping(bench, true);
}

/// A cell that was written since preparing wins against one from before, which is listed.
pub fn written_cells_beat_cells_from_before(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'old at 1')");
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'old at 2')");
    network.prepare();
    network.app(1, "UPDATE person SET name='new at 2' WHERE id=1");
    network.round(0, 1);
    network.finish(&PAIR);
    network.shows("SELECT name FROM person", &["new at 2"]);
    assert_eq!(network.only_conflict(0).losing[0].to_string(), "old at 1");
}

/// A row that was inserted since preparing wins against one from before under its key, which is listed whole.
pub fn an_insert_beats_a_row_from_before(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.app(0, "INSERT INTO person (id, name, age) VALUES (1, 'from before', 5)");
    network.prepare();
    network.app(1, "INSERT INTO person (id, name, age) VALUES (1, 'inserted', 6)");
    network.app(1, "INSERT INTO person (id, name) VALUES (2, 'other')");
    network.round(0, 1);
    network.finish(&PAIR);
    network.shows("SELECT name, age FROM person WHERE id=1", &["inserted|6"]);
    let conflict = network.only_conflict(1);
    assert_eq!(losing(&conflict, "name"), "from before");
}

/// A row from before that one site deleted since preparing is gone.
pub fn a_delete_counts_on_first_contact(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    fill(&mut network, 0);
    fill(&mut network, 1);
    network.prepare();
    network.app(1, "DELETE FROM person WHERE id=3");
    network.round(0, 1);
    network.finish(&PAIR);
    network.shows("SELECT id FROM person ORDER BY id", &["1", "2"]);
}

/// `-init` finds what capture could not see, and loses nothing.
pub fn init_compares_again(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    fill(&mut network, 0);
    network.prepare();
    network.round(0, 1);
    network.app(1, "UPDATE person SET age=77 WHERE id=2");
    let report = network.round_with(0, 1, |o| o.init = true);
    assert!(report.compared);
    network.finish(&PAIR);
    network.shows("SELECT age FROM person WHERE id=2", &["77"]);
    assert_eq!(network.conflicts(0), []);
}

/// Two filled sites that meet only through two others, which met while they were empty: both rows come by as rows from
/// before synchronisation, and are told apart.
pub fn filled_sites_meet_far_from_home(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 4);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'of zero'), (2, 'only here')");
    network.app(3, "INSERT INTO person (id, name) VALUES (1, 'of three')");
    network.prepare();
    network.round(1, 2);
    network.round(0, 1);
    network.round(2, 3);
    network.settle(&[(0, 1), (1, 2), (2, 3)]);
    network.assert_same();
    let conflict = network.only_conflict(0);
    assert_eq!((conflict.kind.as_str(), conflict.column.as_deref()), ("cell", Some("name")));
}

/// Enough rows from before for several batches.
fn many(network: &mut Network<impl BenchSite>) {
    for block in 0..6 {
        let rows: Vec<String> = (1..=1000).map(|i| format!("({}, 'from before')", block * 1000 + i)).collect();
        network.app(0, &format!("INSERT INTO person (id, name) VALUES {}", rows.join(", ")));
    }
}

/// The first site fills the second, while `before` is called with the number of each batch.
fn fill_watched(
    network: &mut Network<impl BenchSite>,
    before: impl FnMut(u32) -> sync_store::Result<()> + Send,
) -> Result<RoundReport, EngineError> {
    let options = network.options(1);
    let (master, slave) = network.two(0, 1);
    let mut watched = Watched::new(slave.store(), before);
    let result = round(master.store(), &mut watched, &options, &mut ());
    assert!(watched.batches > 1, "there are several batches");
    result
}

/// What the applications write at both sites while the first copy runs is kept: rows that have been copied, rows that are
/// still to come, and rows that came and went under keys that are still to come.
pub fn applications_write_while_a_site_is_filled(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    many(&mut network);
    network.prepare();
    let (mut at_master, mut at_slave) = (network.sites[0].writer(), network.sites[1].writer());
    let write = |n| {
        if n == 1 {
            at_master("UPDATE person SET age=1 WHERE id IN (10, 5900)");
            at_master("DELETE FROM person WHERE id IN (20, 5910)");
            at_slave("UPDATE person SET age=2 WHERE id=30");
            at_slave("DELETE FROM person WHERE id=40");
            at_slave("INSERT INTO person (id, name) VALUES (5800, 'mine'), (5810, 'mine')");
            at_slave("DELETE FROM person WHERE id=5810");
        }
        Ok(())
    };
    fill_watched(&mut network, write).unwrap();
    network.finish(&PAIR);
    network.shows("SELECT id, age FROM person WHERE age IS NOT NULL ORDER BY id", &["10|1", "30|2", "5900|1"]);
    network.shows("SELECT id FROM person WHERE id IN (20, 40, 5910)", &[]);
    // The row that went was never that of the other site.
    let names = ["5800|mine", "5810|from before"];
    network.shows("SELECT id, name FROM person WHERE id IN (5800, 5810) ORDER BY id", &names);
    network.shows("SELECT COUNT(*) FROM person", &["5997"]);
}

/// What has been copied stays, the rest follows.
pub fn filling_that_breaks_off_goes_on(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    many(&mut network);
    network.prepare();
    assert!(fill_watched(&mut network, |n| if n == 2 { Err(lost()) } else { Ok(()) }).is_err());
    let copied = network.rows(1, "SELECT COUNT(*) FROM person")[0].parse::<u64>().unwrap();
    assert!(0 < copied && copied < 6000, "{copied} were copied");
    let report = network.round(0, 1);
    assert_eq!(copied + report.pushed.total().inserted, 6000, "no row comes twice");
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*) FROM person", &["6000"]);
    assert_eq!(network.conflicts(0), []);
}

/// Each row refers to one that is copied later, in another batch for some.
pub fn rows_come_before_their_parents(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    for block in 0..3 {
        let ids = (1..=500).map(|i| block * 500 + i);
        let rows: Vec<String> = ids.map(|id| format!("({id})")).collect();
        for table in ["node", "folder"] {
            network.app(0, &format!("INSERT INTO {table} (id) VALUES {}", rows.join(", ")));
        }
    }
    network.app(0, "UPDATE node SET parent=id+1 WHERE id<1500");
    network.app(0, "UPDATE folder SET parent=id+1 WHERE id % 100<>0");
    network.prepare();
    fill_watched(&mut network, |_| Ok(())).unwrap();
    assert_eq!(network.sites[1].parked(), 0);
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*), COUNT(parent) FROM node", &["1500|1499"]);
    network.shows("SELECT COUNT(*), COUNT(parent) FROM folder", &["1500|1485"]);
}
