//! A site whose database is replaced by an older copy of itself.

use std::thread::sleep;
use std::time::Duration;

use sync_engine::Kind;

use super::{PAIR, RING};
use crate::{Bench, BenchSite, Network};

/// What was published and lost comes back from the others, and the restored site goes on in a new incarnation.
pub fn an_old_copy(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early')");
    network.finish(&PAIR);
    let copy = network.sites[0].copy();
    let incarnation = network.incarnation(0);
    network.app(0, "INSERT INTO person (id, name) VALUES (3, 'published')");
    network.app(0, "UPDATE person SET name='published' WHERE id=1");
    network.app(1, "INSERT INTO person (id, name) VALUES (4, 'of the other')");
    network.finish(&PAIR);
    network.sites[0].put_back(&copy);
    assert_eq!(network.rows(0, "SELECT COUNT(*) FROM person"), ["2"]);
    network.round(0, 1);
    network.finish(&PAIR);
    assert_ne!(network.incarnation(0), incarnation);
    let expected = ["1|published", "2|early", "3|published", "4|of the other"];
    network.shows("SELECT id, name FROM person ORDER BY id", &expected);
    network.app(0, "UPDATE person SET name='after' WHERE id=1");
    network.app(1, "UPDATE person SET name='after' WHERE id=2");
    network.finish(&PAIR);
    network.shows("SELECT name FROM person WHERE id < 3", &["after", "after"]);
}

/// People worked on the old copy before anybody noticed: its seqs were given a second time.
pub fn an_old_copy_that_was_used(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early')");
    network.finish(&PAIR);
    let copy = network.sites[0].copy();
    network.app(0, "UPDATE person SET name='lost and found' WHERE id=1");
    network.app(0, "INSERT INTO person (id, name) VALUES (3, 'lost and found')");
    network.finish(&PAIR);
    network.sites[0].put_back(&copy);
    for i in 10..20 {
        network.app(0, &format!("INSERT INTO person (id, name) VALUES ({i}, 'on the copy')"));
        network.store(0).drain().unwrap();
    }
    network.app(0, "UPDATE person SET age=1 WHERE id=1");
    network.round(0, 1);
    network.finish(&PAIR);
    network.shows(
        "SELECT id, name, age FROM person WHERE id < 5 ORDER BY id",
        &["1|lost and found|1", "2|early|NULL", "3|lost and found|NULL"],
    );
    network.shows("SELECT COUNT(*) FROM person WHERE name='on the copy'", &["10"]);
}

/// The restored site first meets one that knows its history only by hearsay.
pub fn told_by_a_third_site(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let mesh = [(0, 1), (1, 2), (0, 2)];
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.finish(&mesh);
    let copy = network.sites[0].copy();
    let incarnation = network.incarnation(0);
    network.app(0, "INSERT INTO person (id, name) VALUES (2, 'published')");
    network.app(0, "DELETE FROM person WHERE id=1");
    network.round(0, 1);
    network.round(1, 2);
    network.sites[0].put_back(&copy);
    network.app(0, "INSERT INTO person (id, name) VALUES (3, 'on the copy')");
    network.round(2, 0);
    assert_ne!(network.incarnation(0), incarnation);
    network.finish(&mesh);
    network.shows("SELECT id, name FROM person ORDER BY id", &["2|published", "3|on the copy"]);
}

/// The restored site is soon further than it was, and who has what it lost hears of that from a third before it meets it: then
/// the position that everybody names is one of the new history, and what was lost must be found out all the same.
pub fn hidden_by_a_third_site(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.finish(&RING);
    let copy = network.sites[0].copy();
    network.app(0, "INSERT INTO person (id, name) VALUES (2, 'published and lost')");
    network.round(0, 1);
    network.sites[0].put_back(&copy);
    network.app(0, "INSERT INTO person (id, name) VALUES (3, 'since'), (4, 'since'), (5, 'since')");
    network.round(0, 2);
    network.round(1, 2);
    network.round(1, 2);
    network.round(0, 1);
    assert_eq!(network.rows(0, "SELECT id FROM person ORDER BY id"), ["1", "2", "3", "4", "5"]);
    network.finish(&RING);
}

/// The restored site goes on in a new history, of which another one that was restored never heard: what that said of the old
/// one is more than it contains now.
pub fn two_old_copies(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let mesh = [(0, 1), (1, 2), (0, 2)];
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.finish(&mesh);
    let older = network.sites[1].copy();
    network.app(0, "INSERT INTO person (id, name) VALUES (2, 'not in the older copy')");
    network.settle(&PAIR);
    let copy = network.sites[0].copy();
    network.app(0, "INSERT INTO person (id, name) VALUES (3, 'published')");
    network.round(0, 2);
    network.sites[0].put_back(&copy);
    network.round(0, 2);
    network.sites[1].put_back(&older);
    network.round(1, 0);
    assert_eq!(network.rows(1, "SELECT id FROM person ORDER BY id"), ["1", "2", "3"]);
    network.finish(&mesh);
}

/// A row was published and lost, and its mark is in the copy: deleting it there is a delete all the same.
pub fn a_row_that_is_only_a_mark_in_the_copy(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.finish(&PAIR);
    network.app(0, "INSERT INTO person (id, name) VALUES (2, 'not stamped yet'), (3, 'not stamped yet')");
    let copy = network.sites[0].copy();
    network.finish(&PAIR);
    network.sites[0].put_back(&copy);
    network.app(0, "DELETE FROM person WHERE id=2");
    network.finish(&PAIR);
    network.shows("SELECT id FROM person ORDER BY id", &["1", "3"]);
}

/// The same, and the site that is met first after the copy was put back never heard of this one: nobody can say then that anything
/// was lost, and the row, which came and went between two drains, must be known when it comes back.
pub fn a_row_that_came_and_went_across_a_copy(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO person (id, name) VALUES (2, 'not stamped yet'), (3, 'not stamped yet')");
    let copy = network.sites[0].copy();
    network.round(0, 1);
    network.sites[0].put_back(&copy);
    // Rows that are there for less than a second are not remembered: nothing is put back that fast.
    sleep(Duration::from_millis(1_100));
    network.app(0, "DELETE FROM person WHERE id=2");
    network.round(0, 2);
    network.finish(&[(0, 1), (1, 2)]);
    network.shows("SELECT id FROM person ORDER BY id", &["3"]);
}

/// Rows that came and went under a key are nothing to the row of another site with that key.
pub fn a_row_that_came_and_went_beside_another(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'of the other')");
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'for a moment')");
    sleep(Duration::from_millis(1_100));
    network.app(0, "DELETE FROM person WHERE id=1");
    network.store(0).drain().unwrap();
    network.finish(&PAIR);
    network.shows("SELECT name FROM person", &["of the other"]);
}

/// A table that waited for another site before the copy was made has still to come, in the new history as well.
pub fn a_table_that_waited(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early')");
    network.finish(&PAIR);
    network.app(0, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.app(0, "UPDATE person SET name='waits' WHERE id=1");
    network.app(0, "DELETE FROM person WHERE id=2");
    network.round(0, 1);
    network.round(0, 1);
    let (copy, incarnation) = (network.sites[0].copy(), network.incarnation(0));
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'published')");
    network.round(0, 1);
    network.sites[0].put_back(&copy);
    network.round(0, 1);
    assert_ne!(network.incarnation(0), incarnation);
    network.app(1, "ALTER TABLE person ADD COLUMN city VARCHAR(50)");
    network.finish(&PAIR);
    network.shows("SELECT id, name FROM person", &["1|waits"]);
}

/// The copy is of a time when the site knew nobody: it must be filled again.
pub fn a_copy_from_before_first_contact(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'one'), (2, 'two')");
    network.prepare();
    let copy = network.sites[1].copy();
    network.finish(&PAIR);
    network.app(0, "INSERT INTO person (id, name) VALUES (3, 'three')");
    network.finish(&PAIR);
    network.sites[1].put_back(&copy);
    assert_eq!(network.rows(1, "SELECT COUNT(*) FROM person"), ["0"]);
    network.round(0, 1);
    network.shows("SELECT name FROM person ORDER BY id", &["one", "two", "three"]);
    network.app(1, "INSERT INTO person (id, name) VALUES (4, 'four')");
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*) FROM person", &["4"]);
}

/// A delete does not come undone because a copy still has the row.
pub fn deleted_rows_stay_deleted(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'from before'), (2, 'from before'), (3, 'stays')");
    network.prepare();
    network.app(1, "INSERT INTO person (id, name) VALUES (4, 'new')");
    network.finish(&PAIR);
    let copies = [network.sites[0].copy(), network.sites[1].copy()];
    network.app(0, "DELETE FROM person WHERE id IN (1, 4)");
    network.app(1, "DELETE FROM person WHERE id=2");
    network.finish(&PAIR);
    for (site, copy) in copies.iter().enumerate() {
        network.sites[site].put_back(copy);
        network.round(0, 1);
        network.finish(&PAIR);
        network.shows("SELECT id FROM person ORDER BY id", &["3"]);
    }
}

/// A new site begins with a copy of another's database: only what is newer is exchanged, with the original and with others.
pub fn a_copy_seeds_a_new_site(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early'), (3, 'gone')");
    network.settle(&PAIR);
    network.app(1, "UPDATE person SET name='of 1' WHERE id=1");
    network.app(0, "DELETE FROM person WHERE id=3");
    network.settle(&PAIR);
    network.app(0, "UPDATE person SET name='not stamped yet' WHERE id=2");
    let copy = network.sites[0].copy();
    network.app(0, "UPDATE person SET name='newer' WHERE id=2");
    network.app(1, "INSERT INTO person (id, name) VALUES (4, 'newer')");
    network.settle(&PAIR);
    network.sites[2].put_back(&copy);
    network.sites[2].adopt();
    network.app(2, "INSERT INTO person (id, name) VALUES (5, 'of the new site')");
    let report = network.round(1, 2);
    assert!(!report.compared);
    assert_eq!((report.pushed.total().received, report.pulled.total().received), (2, 1), "{:?}", report.by_table());
    network.finish(&[(0, 1), (1, 2), (0, 2)]);
    let expected = ["1|of 1", "2|newer", "4|newer", "5|of the new site"];
    network.shows("SELECT id, name FROM person ORDER BY id", &expected);
    assert!(network.conflicts(0).is_empty());
    network.app(0, "UPDATE person SET age=1");
    network.app(2, "UPDATE person SET note='x'");
    network.finish(&[(0, 1), (0, 2)]);
}

/// The same database runs at two places: whoever comes second in its old history is refused and named.
pub fn a_copy_beside_its_original(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.settle(&PAIR);
    let copy = network.sites[0].copy();
    network.sites[2].put_back(&copy);
    network.app(0, "INSERT INTO person (id, name) VALUES (2, 'of the original')");
    network.app(2, "INSERT INTO person (id, name) VALUES (3, 'of the copy')");
    network.settle(&PAIR);
    network.round(2, 1);
    let error = network.try_round(0, 1, |_| {}).unwrap_err();
    assert_eq!(error.kind, Kind::Halt);
    assert!(error.message.contains("site site1 seems to run twice"), "{error:?}");
    network.round_with(0, 1, |options| options.force = true);
    network.settle(&PAIR);
    let expected = ["1|early", "2|of the original", "3|of the copy"];
    assert_eq!(network.rows(0, "SELECT id, name FROM person ORDER BY id"), expected);
    assert_eq!(network.try_round(2, 1, |_| {}).unwrap_err().kind, Kind::Halt);
}

/// The copy that ran beside its original is kept, as the refusal says: it sends what it has, and goes on under its own name.
pub fn a_copy_that_ran_becomes_a_site_of_its_own(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early'), (3, 'early')");
    network.settle(&PAIR);
    let copy = network.sites[0].copy();
    network.sites[2].put_back(&copy);
    network.app(0, "UPDATE person SET name='of the original' WHERE id=1");
    network.app(2, "UPDATE person SET name='of the copy' WHERE id=2");
    network.round(2, 1);
    network.round(0, 1);
    network.app(2, "INSERT INTO person (id, name) VALUES (4, 'of the copy')");
    network.app(2, "DELETE FROM person WHERE id=3");
    let error = network.try_round(2, 1, |_| {}).unwrap_err();
    assert!(error.message.contains("site site1 seems to run twice"), "{error:?}");
    assert!(error.hint.unwrap().contains("give it another site and site_number"));
    network.round_with(2, 1, |options| options.force = true);
    network.sites[2].adopt();
    network.app(0, "INSERT INTO person (id, name) VALUES (5, 'of the original')");
    network.round_with(0, 1, |options| options.force = true);
    network.app(2, "UPDATE person SET age=9 WHERE id=1");
    network.finish(&[(0, 1), (1, 2), (0, 2)]);
    let expected = ["1|of the original|9", "2|of the copy|NULL", "4|of the copy|NULL", "5|of the original|NULL"];
    network.shows("SELECT id, name, age FROM person ORDER BY id", &expected);
}
