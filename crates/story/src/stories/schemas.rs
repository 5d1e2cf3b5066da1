//! Schemas that change, one site after the other, while both go on writing.

use sync_core::Value;
use sync_engine::round;

use super::conflicts::losing;
use super::{PAIR, RING};
use crate::faulty::{Faulty, When};
use crate::{Bench, BenchSite, Network};

fn is_paused(network: &mut Network<impl BenchSite>, table: &str) {
    let report = network.round(0, 1);
    let paused: Vec<&str> = report.paused.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(paused, [table]);
}

fn people(bench: &impl Bench) -> Network<impl BenchSite> {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name, age) VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)");
    network.finish(&PAIR);
    network
}

/// The table waits, the others go on, and it catches up by itself.
pub fn a_column_added_here_then_there(bench: &impl Bench) {
    let mut network = people(bench);
    network.app(0, "UPDATE person SET name='before' WHERE id=1");
    network.app(0, "ALTER TABLE person ADD COLUMN city VARCHAR(50) DEFAULT 'nowhere'");
    network.app(0, "UPDATE person SET city='Lyon' WHERE id=1");
    network.app(0, "INSERT INTO person (id, name, city) VALUES (4, 'four', 'Bern')");
    network.app(1, "UPDATE person SET age=22 WHERE id=2");
    network.app(1, "INSERT INTO team (id, name) VALUES (1, 'goes on')");
    is_paused(&mut network, "person");
    network.shows("SELECT name FROM team", &["goes on"]);
    assert_eq!(network.rows(1, "SELECT COUNT(*) FROM person"), ["3"]);
    network.app(1, "DELETE FROM person WHERE id=3");
    network.app(0, "UPDATE person SET name='after' WHERE id=2");
    is_paused(&mut network, "person");
    network.app(1, "ALTER TABLE person ADD COLUMN city VARCHAR(50) DEFAULT 'nowhere'");
    network.app(1, "UPDATE person SET city='Rome' WHERE id=2");
    let report = network.round(0, 1);
    assert_eq!(report.paused, []);
    network.finish(&PAIR);
    network.shows(
        "SELECT id, name, age, city FROM person ORDER BY id",
        &["1|before|1|Lyon", "2|after|22|Rome", "4|four|NULL|Bern"],
    );
    assert_eq!(network.conflicts(0), []);
}

/// A site that paused a table with one neighbour does not believe that it has what that one knows of others.
pub fn a_paused_table_comes_from_somebody_else(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let triangle = [(0, 1), (0, 2), (1, 2)];
    network.finish(&triangle);
    network.app(0, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'one')");
    network.round(1, 2);
    network.round(1, 2);
    is_paused(&mut network, "person");
    network.app(2, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.round(0, 2);
    assert_eq!(network.rows(0, "SELECT name FROM person"), ["one"]);
    network.app(1, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.finish(&triangle);
}

/// Rounds that are interrupted while a table waits do not take it for received.
pub fn a_paused_table_and_a_line_that_breaks(bench: &impl Bench) {
    let mut network = people(bench);
    network.app(0, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    for calls in 0..12 {
        network.app(1, &format!("INSERT INTO person (id, name) VALUES ({}, 'more')", 10 + calls));
        network.app(1, &format!("INSERT INTO team (id, name) VALUES ({}, 'more')", 10 + calls));
        let options = network.options(1);
        let (here, there) = network.two(0, 1);
        drop(round(&mut Faulty::new(here.store(), calls, When::Before), there.store(), &options, &mut ()));
    }
    network.app(1, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*) FROM person", &["15"]);
}

/// A table that waited on first contact is compared when it no longer does, also where its rows have come to one of the two
/// from somebody else meanwhile.
pub fn a_table_paused_on_first_contact(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 3);
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'of one')");
    network.app(2, "INSERT INTO person (id, name) VALUES (1, 'of two')");
    network.app(0, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.prepare();
    is_paused(&mut network, "person");
    network.app(1, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.app(2, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.round(0, 2);
    network.finish(&[(0, 1), (0, 2)]);
    let conflict = network.only_conflict(0);
    assert_ne!(conflict.winning, conflict.losing);
}

/// The same if everything is compared when it no longer waits: what one site had before is listed where it loses.
pub fn a_table_paused_on_first_contact_and_init(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'of zero')");
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'of one')");
    network.app(0, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.prepare();
    is_paused(&mut network, "person");
    network.app(1, "UPDATE person SET name='written' WHERE id=1");
    network.app(1, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.round_with(0, 1, |options| options.init = true);
    network.finish(&PAIR);
    network.shows("SELECT name FROM person", &["written"]);
    assert_eq!(losing(&network.only_conflict(0), "name"), "of zero");
}

/// One site notices that a delete lost before a column is added, another one after it: the entry is the same.
pub fn a_column_added_between_two_who_notice(bench: &impl Bench) {
    let mut network = Network::new(bench, 4);
    let chain = [(0, 1), (1, 2), (2, 3)];
    network.app(0, "INSERT INTO person (id, name, age) VALUES (1, 'one', 1)");
    network.settle(&chain);
    network.app(0, "DELETE FROM person WHERE id=1");
    network.round(0, 1);
    network.later(3, "UPDATE person SET age=2 WHERE id=1");
    network.round(2, 3);
    // 3 and a copy of what 1 knows meet at two places, before and after the upgrade.
    network.round(0, 3);
    network.everywhere("ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.round(1, 2);
    network.settle(&chain);
    network.assert_same();
    network.only_conflict(0);
}

/// A row in a grave from before the column comes back with the column that the other side wrote.
pub fn a_column_added_while_rows_lie_in_graves(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let chain = [(0, 1), (1, 2)];
    network.app(0, "INSERT INTO person (id, name, age) VALUES (1, 'one', 1)");
    network.finish(&chain);
    network.app(0, "DELETE FROM person WHERE id=1");
    network.round(0, 1);
    network.everywhere("ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.later(2, "UPDATE person SET city='Lyon', age=5 WHERE id=1");
    network.round(1, 2);
    network.finish(&chain);
    network.shows("SELECT id, name, age, city FROM person", &["1|one|5|Lyon"]);
}

/// An upgrade goes through three sites one by one, while people write at all of them, in old tables and new.
pub fn an_upgrade_rolled_through_three_sites(bench: &impl Bench) {
    for links in [&RING[..], &[(0, 1), (1, 2)]] {
        let mut network = Network::new(bench, 3);
        network.app(1, "INSERT INTO person (id, name, age) VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)");
        network.finish(links);
        for upgraded in 0..3 {
            network.app(upgraded, "ALTER TABLE person ADD COLUMN city VARCHAR(50) DEFAULT 'nowhere'");
            network.app(upgraded, "ALTER TABLE person DROP COLUMN age");
            network.app(upgraded, CITY);
            network.app(upgraded, &format!("UPDATE person SET city='of {upgraded}' WHERE id={}", upgraded + 1));
            network.app(upgraded, &format!("INSERT INTO city (id, name) VALUES ({upgraded}, 'of {upgraded}')"));
            for site in 0..3 {
                let row = 10 * (upgraded + 1) + site;
                network.app(site, &format!("INSERT INTO person (id, name) VALUES ({row}, 'by {site}')"));
                network.later(site, &format!("UPDATE person SET note='{upgraded} by {site}' WHERE id=1"));
                network.app(site, &format!("INSERT INTO team (id, name) VALUES ({row}, 'goes on')"));
            }
            network.settle(links);
            let teams = (3 * (upgraded + 1)).to_string();
            network.shows("SELECT COUNT(*) FROM team", &[&teams]);
        }
        network.finish(links);
        network.shows("SELECT COUNT(*) FROM person", &["12"]);
        network.shows("SELECT note FROM person WHERE id=1", &["2 by 2"]);
        // A trigger that still names the dropped column marks all columns: then what another site gave the new one is listed.
        let listed: Vec<String> = network.conflicts(0).iter().map(|entry| losing(entry, "city")).collect();
        for (id, city) in [(1, "of 0"), (2, "of 1"), (3, "of 2")] {
            let shown = network.rows(0, &format!("SELECT city FROM person WHERE id={id}"));
            assert!(shown == [city] || listed.iter().any(|lost| lost == city), "{id}: {shown:?}, {listed:?}");
        }
        network.shows("SELECT name FROM city ORDER BY id", &["of 0", "of 1", "of 2"]);
    }
}

/// A renamed column is the same column.
pub fn a_column_renamed(bench: &impl Bench) {
    let mut network = people(bench);
    network.app(0, "UPDATE person SET age=11 WHERE id=1");
    network.app(1, "UPDATE person SET age=22 WHERE id=2");
    network.app(0, "ALTER TABLE person RENAME COLUMN age TO years");
    network.app(0, "UPDATE person SET years=33 WHERE id=3");
    is_paused(&mut network, "person");
    network.app(1, "UPDATE person SET name='zwei', age=222 WHERE id=2");
    network.app(1, "ALTER TABLE person RENAME COLUMN age TO years");
    network.finish(&PAIR);
    network.shows("SELECT id, name, years FROM person ORDER BY id", &["1|one|11", "2|zwei|222", "3|three|33"]);
}

/// A dropped column is gone; what else was written is not.
pub fn a_column_dropped(bench: &impl Bench) {
    let mut network = people(bench);
    network.app(0, "UPDATE person SET note='first', age=9 WHERE id=1");
    network.app(0, "ALTER TABLE person DROP COLUMN age");
    network.app(0, "UPDATE person SET name='eins' WHERE id=1");
    network.app(1, "UPDATE person SET age=8, name='zwei' WHERE id=2");
    is_paused(&mut network, "person");
    network.app(1, "ALTER TABLE person DROP COLUMN age");
    network.finish(&PAIR);
    let expected = ["1|eins|first", "2|zwei|NULL", "3|three|NULL"];
    network.shows("SELECT id, name, note FROM person ORDER BY id", &expected);
}

const CITY: &str = "CREATE TABLE city (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(50))";

/// A new table with rows waits until the other site has it too.
pub fn a_table_created_at_one_site_then_the_other(bench: &impl Bench) {
    let mut network = people(bench);
    network.app(1, CITY);
    network.app(1, "INSERT INTO city (id, name) VALUES (1, 'Bern'), (2, 'Lyon')");
    is_paused(&mut network, "city");
    network.app(1, "INSERT INTO city (id, name) VALUES (3, 'Rome')");
    network.app(1, "DELETE FROM city WHERE id=1");
    is_paused(&mut network, "city");
    network.app(0, CITY);
    network.round(0, 1);
    network.finish(&PAIR);
    network.shows("SELECT id, name FROM city ORDER BY id", &["2|Lyon", "3|Rome"]);
}

/// An upgrade makes the same table with the same rows at both sites; one row differs.
pub fn a_table_created_with_rows_at_both(bench: &impl Bench) {
    let mut network = people(bench);
    network.everywhere(CITY);
    network.everywhere("INSERT INTO city (id, name) VALUES (1, 'Bern'), (2, 'Lyon')");
    network.app(0, "INSERT INTO city (id, name) VALUES (3, 'of 0')");
    network.later(1, "INSERT INTO city (id, name) VALUES (3, 'of 1')");
    network.round(0, 1);
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*) FROM city", &["3"]);
    assert_eq!(network.only_conflict(0).table, "city");
}

/// The sites number their columns differently, each after its own history.
pub fn columns_in_another_order_on_first_contact(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.sites[0].prepare();
    for site in 0..2 {
        network.app(site, "ALTER TABLE team ADD COLUMN motto VARCHAR(50)");
    }
    // Here the column is added to what is known; there it is one of the first.
    network.app(1, "ALTER TABLE team DROP COLUMN name");
    network.app(1, "ALTER TABLE team ADD COLUMN name VARCHAR(50)");
    network.app(0, "ALTER TABLE team DROP COLUMN name");
    network.sites[0].store().drain().unwrap();
    network.app(0, "ALTER TABLE team ADD COLUMN name VARCHAR(50)");
    for (site, name) in [(0, "master"), (1, "slave")] {
        network.app(site, "INSERT INTO team (id, name, motto) VALUES (1, 'red', 'on')");
        network.app(site, &format!("INSERT INTO team (id, name, motto) VALUES (2, '{name}', 'up')"));
    }
    network.sites[1].prepare();
    network.round(0, 1);
    network.finish(&PAIR);
    network.shows("SELECT id, motto FROM team ORDER BY id", &["1|on", "2|up"]);
    let names: Vec<Vec<Value>> = network.conflicts(0).into_iter().map(|c| c.losing).collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

/// What the settings leave out stays where it is.
pub fn excluded_tables_stay(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.app(0, "INSERT INTO local_place (name) VALUES ('before')");
    network.prepare();
    network.app(0, "INSERT INTO local_place (name) VALUES ('here')");
    network.app(1, "INSERT INTO local_place (name) VALUES ('there')");
    let report = network.round(0, 1);
    assert!(report.is_quiet() && report.paused.is_empty());
    network.finish(&PAIR);
    assert_eq!(network.rows(0, "SELECT name FROM local_place ORDER BY name"), ["before", "here"]);
    assert_eq!(network.rows(1, "SELECT name FROM local_place"), ["there"]);
}
