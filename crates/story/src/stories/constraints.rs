//! What a constraint forbids is kept, and shown as soon as it can be.

use super::PAIR;
use crate::{Bench, BenchSite, Network};

/// Both sites gave one e-mail address to a row of their own.
fn collided<B: Bench>(bench: &B) -> Network<B::Site> {
    let mut network = Network::new(bench, 2);
    network.round(0, 1);
    network.app(0, "INSERT INTO person (id, name, email) VALUES (1, 'one', 'same@x'), (5, 'five', 'five@x')");
    network.app(1, "INSERT INTO person (id, name, email) VALUES (2, 'two', 'same@x'), (6, 'six', 'six@x')");
    let report = network.round(0, 1);
    assert_eq!(report.parked(), 2);
    assert_eq!(network.rows(0, "SELECT id FROM person ORDER BY id"), ["1", "5", "6"]);
    assert_eq!(network.rows(1, "SELECT id FROM person ORDER BY id"), ["2", "5", "6"]);
    assert_eq!([network.sites[0].parked(), network.sites[1].parked()], [1, 1]);
    network
}

fn ended(network: &mut Network<impl BenchSite>) {
    network.finish(&PAIR);
    assert_eq!([network.sites[0].parked(), network.sites[1].parked()], [0, 0]);
}

/// The row that stood in the way is changed where it is shown.
pub fn a_parked_row_returns(bench: &impl Bench) {
    let mut network = collided(bench);
    network.app(0, "UPDATE person SET email='other@x' WHERE id=1");
    ended(&mut network);
    let expected = ["1|one|other@x", "2|two|same@x", "5|five|five@x", "6|six|six@x"];
    network.shows("SELECT id, name, email FROM person ORDER BY id", &expected);
}

/// The row is changed where it is shown, and comes back where it was parked.
pub fn a_parked_row_returns_when_it_is_changed(bench: &impl Bench) {
    let mut network = collided(bench);
    network.round(0, 1);
    network.app(1, "UPDATE person SET email='other@x', age=3 WHERE id=2");
    network.app(0, "DELETE FROM person WHERE id=5");
    ended(&mut network);
    let expected = ["1|one|same@x|NULL", "2|two|other@x|3", "6|six|six@x|NULL"];
    network.shows("SELECT id, name, email, age FROM person ORDER BY id", &expected);
}

/// Two rows exchange a unique value.
pub fn swapped_unique_values(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, email, age) VALUES (1, 'a@x', 1), (2, 'b@x', 2), (3, 'c@x', 3)");
    network.finish(&PAIR);
    network.app(1, "UPDATE person SET email=NULL WHERE id=1");
    network.app(1, "UPDATE person SET email='a@x' WHERE id=2");
    network.app(1, "UPDATE person SET email='b@x' WHERE id=1");
    network.app(0, "UPDATE person SET age=33 WHERE id=3");
    let report = network.round(0, 1);
    assert_eq!(report.parked(), 0);
    ended(&mut network);
    network.shows("SELECT id, email, age FROM person ORDER BY id", &["1|b@x|1", "2|a@x|2", "3|c@x|33"]);
}

/// One row among many that go in by several statements: only that one is parked.
pub fn a_collision_among_many_rows(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.round(0, 1);
    network.app(1, "INSERT INTO person (id, name, email) VALUES (9000, 'mine', 'mail 299')");
    let rows: Vec<String> = (1..=300).map(|i| format!("({i}, 'n', 'mail {i}')")).collect();
    network.app(0, &format!("INSERT INTO person (id, name, email) VALUES {}", rows.join(", ")));
    let report = network.round(0, 1);
    assert_eq!(report.pushed.total().parked, 1, "{:?}", report.by_table());
    assert_eq!(network.rows(1, "SELECT COUNT(*) FROM person"), ["300"]);
    network.app(1, "DELETE FROM person WHERE id=9000");
    ended(&mut network);
    network.shows("SELECT COUNT(*) FROM person", &["300"]);
}

/// A row that cannot be shown because of one whose key differs in case leaves that one alone.
pub fn a_case_collision_harms_nobody(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO word (word, meaning) VALUES ('abc', 'of 0'), ('x', 'x')");
    network.app(1, "INSERT INTO word (word, meaning) VALUES ('ABC', 'of 1'), ('y', 'y')");
    network.settle(&PAIR);
    assert_eq!(network.rows(0, "SELECT meaning FROM word ORDER BY meaning"), ["of 0", "x", "y"]);
    assert_eq!(network.rows(1, "SELECT meaning FROM word ORDER BY meaning"), ["of 1", "x", "y"]);
    network.app(0, "DELETE FROM word WHERE word='abc'");
    ended(&mut network);
    network.shows("SELECT word FROM word ORDER BY meaning", &["ABC", "x", "y"]);
}
