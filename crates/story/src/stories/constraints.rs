//! What a constraint forbids is kept, and shown as soon as it can be: each rule, between three sites in a ring.

use sync_core::Value;
use sync_store::ParkedKind;

use super::{PAIR, RING};
use crate::{Bench, BenchSite, Network};

/// Both sites gave one e-mail address to a row of their own, site 0 first.
fn collided<B: Bench>(bench: &B) -> Network<B::Site> {
    let mut network = Network::new(bench, 3);
    network.settle(&RING);
    network.app(0, "INSERT INTO person (id, name, email) VALUES (1, 'one', 'same@x'), (5, 'five', 'five@x')");
    network.later(1, "INSERT INTO person (id, name, email) VALUES (2, 'two', 'same@x'), (6, 'six', 'six@x')");
    let report = network.round(0, 1);
    assert_eq!(report.parked(), 2, "{:?}", report.by_table());
    network.finish(&RING);
    let expected = ["1|one|same@x", "2|two|NULL", "5|five|five@x", "6|six|six@x"];
    network.shows("SELECT id, name, email FROM person ORDER BY id", &expected);
    assert!(network.sites.iter_mut().all(|s| s.parked() == 1));
    network
}

fn ended(network: &mut Network<impl BenchSite>) {
    let links = if network.sites.len() == RING.len() { &RING[..] } else { &PAIR };
    network.finish(links);
    assert!(network.sites.iter_mut().all(|s| s.parked() == 0));
}

/// Whoever has a unique value first keeps it. The other row regains it when the first one goes.
pub fn the_earliest_claim_has_the_value(bench: &impl Bench) {
    let mut network = collided(bench);
    let parked = network.store(0).parked().unwrap();
    assert_eq!((parked.len(), parked[0].kind, parked[0].detail.as_str()), (1, ParkedKind::Value, "email"));
    assert_eq!(parked[0].other, Some(("person".to_owned(), vec![Value::Int(1)])));
    assert_eq!(network.store(2).parked().unwrap(), parked);
    network.app(1, "UPDATE person SET email='other@x' WHERE id=1");
    ended(&mut network);
    let expected = ["1|one|other@x", "2|two|same@x", "5|five|five@x", "6|six|six@x"];
    network.shows("SELECT id, name, email FROM person ORDER BY id", &expected);
}

/// A row that is shown with another value is changed: the other columns, then the value itself.
pub fn a_row_that_gave_way_is_changed(bench: &impl Bench) {
    let mut network = collided(bench);
    network.app(0, "UPDATE person SET age=3 WHERE id=2");
    network.app(1, "UPDATE person SET name='zwei' WHERE id=2");
    network.app(0, "DELETE FROM person WHERE id=5");
    network.finish(&RING);
    network.shows("SELECT name, email, age FROM person WHERE id=2", &["zwei|NULL|3"]);
    network.app(1, "UPDATE person SET email='other@x' WHERE id=2");
    ended(&mut network);
    let expected = ["1|one|same@x|NULL", "2|zwei|other@x|3", "6|six|six@x|NULL"];
    network.shows("SELECT id, name, email, age FROM person ORDER BY id", &expected);
}

/// The value goes to the next claim when the first is deleted, and so on.
pub fn a_value_goes_to_the_next_claim(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.finish(&RING);
    for site in 0..3 {
        network.later(site, &format!("INSERT INTO person (id, name, email) VALUES ({site}, 'n{site}', 'same@x')"));
    }
    network.finish(&RING);
    network.shows("SELECT id, email FROM person ORDER BY id", &["0|same@x", "1|NULL", "2|NULL"]);
    network.app(2, "DELETE FROM person WHERE id=0");
    network.finish(&RING);
    network.shows("SELECT id, email FROM person ORDER BY id", &["1|same@x", "2|NULL"]);
    network.app(0, "DELETE FROM person WHERE id=1");
    network.finish(&RING);
    network.shows("SELECT id, email FROM person ORDER BY id", &["2|same@x"]);
    assert!(network.sites.iter_mut().all(|s| s.parked() == 0));
}

/// A unique text that cannot be NULL is shown with the number of the site behind it.
pub fn a_text_that_is_taken_is_told_apart(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.finish(&RING);
    for site in 0..3 {
        network.later(site, &format!("INSERT INTO label (id, code) VALUES ({site}, 'NEW')"));
    }
    network.later(1, "INSERT INTO label (id, code) VALUES (10, 'new~3')");
    network.finish(&RING);
    let codes = network.rows(0, "SELECT code FROM label WHERE id<>2 ORDER BY id");
    assert_eq!(codes, ["NEW", "NEW~2", "new~3"]);
    let third = network.rows(0, "SELECT code FROM label WHERE id=2").concat();
    assert!(third.starts_with("NEW~3-"), "{third}");
    network.app(1, "DELETE FROM label WHERE id IN (0, 10)");
    network.finish(&RING);
    network.shows("SELECT id, code FROM label ORDER BY id", &["1|NEW", "2|NEW~3"]);
}

/// Both sites deleted or wrote something that a foreign key does not let go together.
pub(super) fn parent_against_child<B: Bench>(bench: &B, child: &str) -> Network<B::Site> {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'one'), (2, 'two')");
    network.finish(&RING);
    network.app(0, "DELETE FROM team WHERE id=1");
    network.app(1, child);
    network.finish(&RING);
    network
}

/// RESTRICT: the parent stays, until nothing refers to it any more.
pub fn a_parent_that_is_referred_to_stays(bench: &impl Bench) {
    let mut network = parent_against_child(bench, "INSERT INTO badge (id, team) VALUES (7, 1)");
    network.shows("SELECT id, name FROM team ORDER BY id", &["1|one", "2|two"]);
    network.shows("SELECT id, team FROM badge", &["7|1"]);
    let parked = network.store(0).parked().unwrap();
    assert_eq!((parked.len(), parked[0].kind), (1, ParkedKind::Stays));
    assert_eq!(parked[0].other, Some(("badge".to_owned(), vec![Value::Int(7)])));
    network.app(0, "UPDATE badge SET team=2 WHERE id=7");
    ended(&mut network);
    network.shows("SELECT id FROM team", &["2"]);
}

/// Whoever could not be decided about, for whatever was in the way, is tried again in a round in which nothing moves.
pub fn what_waits_is_tried_again_in_a_quiet_round(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'one')");
    network.finish(&PAIR);
    network.sites[1].behind("DELETE FROM team WHERE id=1");
    network.app(0, "INSERT INTO task (id, team, title) VALUES (5, 1, 'waits')");
    network.round(0, 1);
    assert_eq!((network.sites[1].parked(), network.rows(1, "SELECT id FROM task").len()), (1, 0));
    // As if the parent had come back while all tries were in vain: nothing tells of it.
    network.sites[1].behind("INSERT INTO team (id, name) VALUES (1, 'one')");
    network.sites[1].reopen();
    assert!(network.round(0, 1).is_quiet());
    assert_eq!(network.sites[1].parked(), 0);
    network.assert_same();
    network.shows("SELECT id, title FROM task", &["5|waits"]);
}

/// What a parent that stays is shown with may be known to one site only, which is not where it is needed first.
pub fn a_parent_stays_with_its_last_values(bench: &impl Bench) {
    let mut network = Network::new(bench, 4);
    let links = [(0, 1), (0, 2), (2, 3)];
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'first')");
    network.settle(&links);
    network.app(0, "UPDATE team SET name='last' WHERE id=1");
    network.round(0, 1);
    network.app(3, "INSERT INTO badge (id, team) VALUES (10, 1)");
    network.later(0, "DELETE FROM team WHERE id=1");
    network.round(0, 2);
    network.round(2, 3);
    network.settle(&links);
    network.assert_same();
    network.shows("SELECT id, name FROM team", &["1|last"]);
}

/// A value that is not shown is stamped anew and stays what it is: here because sites that never met had it before.
pub fn a_value_from_before_that_is_not_shown(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 4);
    let links = [(0, 1), (1, 2), (2, 3)];
    network.app(0, "INSERT INTO person (id, name, email) VALUES (1, 'one', 'same@x')");
    network.app(1, "INSERT INTO person (id, name, email) VALUES (2, 'two', 'same@x')");
    network.prepare();
    network.round(1, 0);
    network.round(2, 3);
    network.settle(&links);
    network.assert_same();
    network.shows("SELECT id, email FROM person ORDER BY id", &["1|same@x", "2|NULL"]);
    network.app(0, "DELETE FROM person WHERE id=1");
    network.settle(&links);
    network.assert_same();
    network.shows("SELECT id, email FROM person ORDER BY id", &["2|same@x"]);
}

/// A parent that stays is changed: it is there again for good.
pub fn a_parent_that_stays_is_changed(bench: &impl Bench) {
    let mut network = parent_against_child(bench, "INSERT INTO badge (id, team) VALUES (7, 1)");
    network.app(1, "UPDATE team SET name='uno' WHERE id=1");
    ended(&mut network);
    network.app(1, "DELETE FROM badge");
    ended(&mut network);
    network.shows("SELECT id, name FROM team ORDER BY id", &["1|uno", "2|two"]);
}

/// CASCADE: the child is parked, and returns with its parent.
pub fn a_child_goes_with_its_parent(bench: &impl Bench) {
    let mut network = parent_against_child(bench, "INSERT INTO task (id, team, title) VALUES (7, 1, 'seven')");
    network.shows("SELECT id FROM task", &[]);
    let parked = network.store(1).parked().unwrap();
    assert_eq!((parked.len(), parked[0].kind, parked[0].detail.as_str()), (1, ParkedKind::Parent, "team"));
    network.app(1, "INSERT INTO team (id, name) VALUES (1, 'again')");
    ended(&mut network);
    network.shows("SELECT id, team, title FROM task", &["7|1|seven"]);
}

/// A row takes the place of one that is not shown: that one is in the conflict list.
pub fn a_parked_row_is_replaced(bench: &impl Bench) {
    let mut network = parent_against_child(bench, "INSERT INTO task (id, team, title) VALUES (7, 1, 'seven')");
    network.app(0, "INSERT INTO task (id, team, title) VALUES (7, 2, 'another')");
    ended(&mut network);
    network.shows("SELECT id, team, title FROM task", &["7|2|another"]);
    let entry = network.only_conflict(2);
    assert_eq!((entry.table.as_str(), entry.kind.as_str()), ("task", "insert"));
    assert_eq!(entry.losing, [Value::Int(7), Value::Int(1), Value::text("seven")]);
}

/// Two rows that cannot both be shown come together where their parent was deleted: neither is shown.
pub fn rows_that_claim_one_value_of_a_deleted_parent(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'goes')");
    network.finish(&RING);
    network.app(0, "DELETE FROM team WHERE id=1");
    network.app(1, "INSERT INTO seat (id, team, number) VALUES (3, 1, 0)");
    network.app(2, "INSERT INTO seat (id, team, number) VALUES (5, 1, 0)");
    network.round(1, 2);
    network.round(0, 1);
    network.finish(&RING);
    network.shows("SELECT id FROM seat", &[]);
}

/// SET NULL: the child shows no parent, and keeps the reference.
pub fn a_reference_is_shown_as_null(bench: &impl Bench) {
    let mut network = parent_against_child(bench, "INSERT INTO desk (id, team, place) VALUES (7, 1, 'left')");
    network.shows("SELECT id, team, place FROM desk", &["7|NULL|left"]);
    assert_eq!(network.store(0).parked().unwrap()[0].kind, ParkedKind::Reference);
    network.app(0, "UPDATE desk SET place='right' WHERE id=7");
    network.finish(&RING);
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'again')");
    ended(&mut network);
    network.shows("SELECT id, team, place FROM desk", &["7|1|right"]);
}

/// What hangs on a child goes and returns with it, level by level.
pub fn levels_go_and_return_together(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO node (id, parent) VALUES (1, NULL), (2, 1)");
    network.finish(&RING);
    network.app(0, "DELETE FROM node WHERE id=1");
    network.app(1, "INSERT INTO node (id, parent) VALUES (3, 2), (4, 3), (5, 4)");
    network.finish(&RING);
    network.shows("SELECT id FROM node", &[]);
    assert_eq!(network.sites[0].parked(), 3);
    network.app(0, "INSERT INTO node (id, parent) VALUES (2, NULL)");
    ended(&mut network);
    network.shows("SELECT id, parent FROM node ORDER BY id", &["2|NULL", "3|2", "4|3", "5|4"]);
}

/// Rows that refer to each other arrive one after the other.
pub fn rows_that_refer_to_each_other(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO node (id, parent) VALUES (1, NULL), (2, 1)");
    network.app(0, "UPDATE node SET parent=2 WHERE id=1");
    ended(&mut network);
    network.shows("SELECT id, parent FROM node ORDER BY id", &["1|2", "2|1"]);
}

/// Columns that are in order at each site, and not together: the later row is shown whole, the other's cell is listed.
pub fn columns_that_do_not_go_together(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO span (id, low, high) VALUES (1, 10, 20)");
    network.finish(&RING);
    network.app(0, "UPDATE span SET low=18 WHERE id=1");
    network.later(1, "UPDATE span SET high=12 WHERE id=1");
    ended(&mut network);
    network.shows("SELECT low, high FROM span", &["10|12"]);
    let lost: Vec<_> = network.conflicts(0).into_iter().map(|c| (c.column, c.losing)).collect();
    assert_eq!(lost, [(Some("low".to_owned()), vec![Value::Int(18)])]);
}

/// Folders moved into each other at two sites: the later move is shown as none, until one of them is moved out.
pub fn a_tree_stays_a_tree(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(
        0,
        "INSERT INTO folder (id, parent, name) VALUES (1, NULL, 'root'), (2, 1, 'a'), (3, 1, 'b'), (4, 3, 'c')",
    );
    network.finish(&RING);
    network.app(0, "UPDATE folder SET parent=4 WHERE id=2");
    network.later(1, "UPDATE folder SET parent=2 WHERE id=3");
    network.finish(&RING);
    network.shows("SELECT id, parent FROM folder ORDER BY id", &["1|NULL", "2|4", "3|NULL", "4|3"]);
    let parked = network.store(2).parked().unwrap();
    assert_eq!((parked.len(), parked[0].kind, parked[0].key.clone()), (1, ParkedKind::Reference, vec![Value::Int(3)]));
    network.app(2, "UPDATE folder SET parent=1 WHERE id=2");
    ended(&mut network);
    network.shows("SELECT id, parent FROM folder ORDER BY id", &["1|NULL", "2|1", "3|2", "4|3"]);
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

/// One row among many that go in by several statements: only that one gives way.
pub fn a_collision_among_many_rows(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.round(0, 1);
    network.app(1, "INSERT INTO person (id, name, email) VALUES (9000, 'mine', 'mail 299')");
    let rows: Vec<String> = (1..=300).map(|i| format!("({i}, 'n', 'mail {i}')")).collect();
    network.later(0, &format!("INSERT INTO person (id, name, email) VALUES {}", rows.join(", ")));
    let report = network.round(0, 1);
    assert_eq!(report.pushed.total().parked, 1, "{:?}", report.by_table());
    network.shows("SELECT COUNT(*), COUNT(email) FROM person", &["301|300"]);
    network.app(1, "DELETE FROM person WHERE id=9000");
    ended(&mut network);
    network.shows("SELECT COUNT(*), COUNT(email) FROM person", &["300|300"]);
}

/// A row that cannot be shown because of one whose key differs in case leaves that one alone.
pub fn a_case_collision_harms_nobody(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO word (word, meaning) VALUES ('abc', 'of 0'), ('x', 'x')");
    network.later(1, "INSERT INTO word (word, meaning) VALUES ('ABC', 'of 1'), ('y', 'y')");
    network.finish(&PAIR);
    network.shows("SELECT meaning FROM word ORDER BY meaning", &["of 0", "x", "y"]);
    network.app(0, "DELETE FROM word WHERE word='abc'");
    ended(&mut network);
    network.shows("SELECT word FROM word ORDER BY meaning", &["ABC", "x", "y"]);
}
