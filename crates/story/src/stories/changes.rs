//! Changes that nobody contests.

use super::PAIR;
use crate::{Bench, Network};

/// Each kind of change, in each direction, in one round.
pub fn inserts_updates_and_deletes_go_both_ways(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    for site in 0..2 {
        let base = site * 10;
        network.app(
            site,
            &format!(
                "INSERT INTO person (id, name) VALUES ({}, 'a'), ({}, 'b'), ({}, 'c')",
                base + 1,
                base + 2,
                base + 3
            ),
        );
    }
    network.round(0, 1);
    for site in 0..2 {
        let base = site * 10;
        network.app(site, &format!("UPDATE person SET name='changed at {site}' WHERE id={}", base + 1));
        network.app(site, &format!("DELETE FROM person WHERE id={}", base + 2));
        network.app(site, &format!("INSERT INTO person (id, name) VALUES ({}, 'new')", base + 4));
    }
    let report = network.round(0, 1);
    for side in [&report.pulled, &report.pushed] {
        let total = side.total();
        assert_eq!((total.inserted, total.updated, total.deleted, total.conflicts), (1, 1, 1, 0));
    }
    network.finish(&PAIR);
    let expected = ["1|changed at 0", "3|c", "4|new", "11|changed at 1", "13|c", "14|new"];
    network.shows("SELECT id, name FROM person ORDER BY id", &expected);
}

/// NULL is a value: written, overwritten and written over.
pub fn nulls(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name, email, age) VALUES (1, NULL, NULL, NULL), (2, 'x', 'e', 1)");
    network.round(0, 1);
    network.app(1, "UPDATE person SET name='', email='mail', age=0 WHERE id=1");
    network.app(0, "UPDATE person SET name=NULL, email=NULL, age=NULL WHERE id=2");
    network.finish(&PAIR);
    network.shows("SELECT id, name, email, age FROM person ORDER BY id", &["1||mail|0", "2|NULL|NULL|NULL"]);
    network.app(0, "UPDATE person SET name=NULL WHERE id=1");
    network.app(1, "UPDATE person SET age=NULL WHERE id=1");
    network.finish(&PAIR);
    network.shows("SELECT name, email, age FROM person WHERE id=1", &["NULL|mail|NULL"]);
}

/// Deleted, known to be deleted, inserted again — by the same site and by the other.
pub fn a_row_deleted_and_inserted_again(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name, age) VALUES (1, 'first', 1)");
    network.round(0, 1);
    for (deleter, inserter) in [(0, 0), (0, 1), (1, 1), (1, 0)] {
        network.app(deleter, "DELETE FROM person WHERE id=1");
        network.round(0, 1);
        network.shows("SELECT id FROM person", &[]);
        network.app(inserter, &format!("INSERT INTO person (id, name) VALUES (1, 'by {inserter}')"));
        network.round(0, 1);
        network.shows("SELECT name, age FROM person", &[&format!("by {inserter}|NULL")]);
    }
    // Without a round between.
    network.app(1, "DELETE FROM person WHERE id=1");
    network.app(1, "INSERT INTO person (id, age) VALUES (1, 9)");
    network.finish(&PAIR);
    network.shows("SELECT name, age FROM person", &["NULL|9"]);
    assert_eq!(network.conflicts(0), []);
}

/// REPLACE is a delete and an insert, and takes other rows with it.
pub fn a_replaced_row(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name, email) VALUES (1, 'one', 'e1'), (2, 'two', 'e2')");
    network.round(0, 1);
    network.app(1, "REPLACE INTO person (id, name) VALUES (1, 'replaced')");
    network.finish(&PAIR);
    network.shows("SELECT id, name, email FROM person ORDER BY id", &["1|replaced|NULL", "2|two|e2"]);
    // By the unique value: row 2 goes.
    network.app(0, "REPLACE INTO person (id, name, email) VALUES (3, 'three', 'e2')");
    network.finish(&PAIR);
    network.shows("SELECT id, name, email FROM person ORDER BY id", &["1|replaced|NULL", "3|three|e2"]);
}

/// Nobody hears of a row that came and went between two rounds.
pub fn a_row_that_came_and_went(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.round(0, 1);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'short')");
    network.app(0, "UPDATE person SET name='life' WHERE id=1");
    network.app(0, "DELETE FROM person WHERE id=1");
    let report = network.round(0, 1);
    assert!(report.is_quiet());
    network.finish(&PAIR);
}

/// The last value counts.
pub fn many_changes_of_one_row(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, age) VALUES (1, 0)");
    network.round(0, 1);
    for i in 1..=50 {
        network.app(i % 2, &format!("UPDATE person SET age={i} WHERE id=1"));
        if i % 10 < 2 {
            network.round(0, 1);
        }
    }
    network.later(1, "UPDATE person SET age=99 WHERE id=1");
    network.finish(&PAIR);
    network.shows("SELECT age FROM person", &["99"]);
}

/// What a cascade deletes at one site is gone at the other.
pub fn cascades_travel(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'red'), (2, 'blue')");
    network.app(0, "INSERT INTO task (id, team, title) VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c')");
    network.round(0, 1);
    network.app(1, "DELETE FROM team WHERE id=1");
    network.finish(&PAIR);
    network.shows("SELECT id FROM task", &["3"]);
    network.shows("SELECT id FROM team", &["2"]);
}

/// Marks that say nothing (a cascade that was announced and did not happen) still give the row a later seq: a stream
/// that ran beside them left it out.
pub fn marks_that_say_nothing(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.app(0, "INSERT INTO person (id, age) VALUES (1, 1)");
    network.prepare();
    network.app(0, "INSERT INTO person (id, age) VALUES (2, 2)");
    network.finish(&PAIR);
    let number = network.rows(0, "SELECT number FROM server_sync_table WHERE name='person'").remove(0);
    for id in [1, 2] {
        let before = network.heads()[0];
        network.app(0, &format!("UPDATE person SET age=9 WHERE id={id}"));
        network.app(0, &format!("UPDATE person SET age={id} WHERE id={id}"));
        network.app(0, &format!("UPDATE server_sync_mark_{number} SET op=3"));
        network.store(0).drain().unwrap();
        assert_eq!(network.heads()[0], before + 1, "row {id}");
        network.finish(&PAIR);
    }
    network.shows("SELECT id, age FROM person ORDER BY id", &["1|1", "2|2"]);
}
