//! Two sites write what the other has not seen.

use std::collections::BTreeMap;

use sync_core::Value;
use sync_store::ConflictEntry;

use super::PAIR;
use crate::{Bench, BenchSite, Network};

/// Two sites that both have the row `1|Ann|30`.
fn known<B: Bench>(bench: &B) -> Network<B::Site> {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name, age) VALUES (1, 'Ann', 30)");
    network.finish(&PAIR);
    network
}

/// What a column of the row that lost held.
pub(super) fn losing(conflict: &ConflictEntry, column: &str) -> String {
    let at = conflict.columns.iter().position(|c| c == column);
    at.and_then(|at| conflict.losing.get(at)).map(ToString::to_string).unwrap_or_default()
}

const ROW: &str = "SELECT name, age FROM person WHERE id=1";

/// Cells merge one by one.
pub fn different_columns_both_survive(bench: &impl Bench) {
    let mut network = known(bench);
    network.app(0, "UPDATE person SET name='Anna' WHERE id=1");
    network.app(1, "UPDATE person SET age=31 WHERE id=1");
    network.round(0, 1);
    network.shows(ROW, &["Anna|31"]);
    assert_eq!(network.conflicts(0), []);
    network.finish(&PAIR);
}

fn contested(network: &mut Network<impl BenchSite>, first: usize) {
    let second = 1 - first;
    network.app(first, &format!("UPDATE person SET name='of {first}' WHERE id=1"));
    network.later(second, &format!("UPDATE person SET name='of {second}' WHERE id=1"));
    network.round(0, 1);
    network.shows(ROW, &[&format!("of {second}|30")]);
    let here = network.only_conflict(0);
    assert_eq!(here.losing[0].to_string(), format!("of {first}"));
    assert_eq!(here.winning[0].to_string(), format!("of {second}"));
    assert_eq!((here.kind.as_str(), here.column.as_deref(), here.table.as_str()), ("cell", Some("name"), "person"));
    assert_eq!(usize::from(here.loser.site().number()), first + 1);
    assert_eq!(network.only_conflict(1), here, "listed alike at both sites after one round");
    network.finish(&PAIR);
}

/// The later wins, the other is listed at both sites.
pub fn the_same_column(bench: &impl Bench) {
    contested(&mut known(bench), 0);
}

/// The same, the other way round.
pub fn the_earlier_write_at_the_other_site(bench: &impl Bench) {
    contested(&mut known(bench), 1);
}

/// Nothing was lost.
pub fn the_same_value_is_no_conflict(bench: &impl Bench) {
    let mut network = known(bench);
    network.app(0, "UPDATE person SET name='alike', age=4 WHERE id=1");
    network.later(1, "UPDATE person SET name='alike' WHERE id=1");
    network.finish(&PAIR);
    network.shows(ROW, &["alike|4"]);
    assert_eq!(network.conflicts(0), []);
}

/// Who saw a value may overwrite it.
pub fn an_overwrite_is_no_conflict(bench: &impl Bench) {
    let mut network = known(bench);
    for i in 0..4 {
        network.app(i % 2, &format!("UPDATE person SET name='turn {i}' WHERE id=1"));
        network.round(0, 1);
    }
    network.finish(&PAIR);
    network.shows(ROW, &["turn 3|30"]);
    assert_eq!(network.conflicts(0), []);
}

/// The row is gone, and kept whole in the list.
pub fn a_later_delete(bench: &impl Bench) {
    let mut network = known(bench);
    network.app(0, "UPDATE person SET name='lost' WHERE id=1");
    network.later(1, "DELETE FROM person WHERE id=1");
    network.round(0, 1);
    network.shows(ROW, &[]);
    let conflict = network.only_conflict(1);
    assert_eq!(conflict.kind, "update-lost");
    assert_eq!(losing(&conflict, "name"), "lost");
    network.finish(&PAIR);
}

/// The row stays, and the delete is in the list.
pub fn a_later_update(bench: &impl Bench) {
    let mut network = known(bench);
    network.app(0, "DELETE FROM person WHERE id=1");
    network.later(1, "UPDATE person SET age=31 WHERE id=1");
    network.round(0, 1);
    network.shows(ROW, &["Ann|31"]);
    assert_eq!(network.only_conflict(0).kind, "delete-lost");
    network.finish(&PAIR);
}

/// The later row is shown, the other is kept whole.
pub fn two_inserts_of_one_key(bench: &impl Bench) {
    let mut network = known(bench);
    network.app(1, "INSERT INTO person (id, name, age) VALUES (2, 'of 1', 1)");
    network.later(0, "INSERT INTO person (id, name, email) VALUES (2, 'of 0', 'mail')");
    network.round(0, 1);
    network.shows("SELECT name, email, age FROM person WHERE id=2", &["of 0|mail|NULL"]);
    let conflict = network.only_conflict(1);
    assert_eq!(conflict.kind, "insert");
    assert_eq!([losing(&conflict, "name"), losing(&conflict, "age")], ["of 1", "1"]);
    network.finish(&PAIR);
}

/// The same row at both sites (an upgrade's new settings, say) is no conflict.
pub fn two_equal_inserts(bench: &impl Bench) {
    let mut network = known(bench);
    network.everywhere("INSERT INTO person (id, name, age) VALUES (2, 'alike', 1)");
    network.finish(&PAIR);
    assert_eq!(network.conflicts(0), []);
}

/// A restored cell is a new write: it wins everywhere.
pub fn restoring_a_cell(bench: &impl Bench) {
    let mut network = known(bench);
    contested(&mut network, 0);
    let id = network.only_conflict(1).id;
    network.store(1).restore(&id).unwrap();
    network.round(0, 1);
    network.shows(ROW, &["of 0|30"]);
    assert!(network.only_conflict(0).restored);
    network.finish(&PAIR);
}

/// A row that a delete took comes back whole.
pub fn restoring_a_row(bench: &impl Bench) {
    let mut network = known(bench);
    network.app(0, "UPDATE person SET name='lost', note='a note' WHERE id=1");
    network.later(1, "DELETE FROM person WHERE id=1");
    network.round(0, 1);
    let id = network.only_conflict(0).id;
    network.store(0).restore(&id).unwrap();
    network.finish(&PAIR);
    network.shows("SELECT name, age, note FROM person", &["lost|30|a note"]);
}

/// A delete that lost can be done after all, with what the schema does on a delete.
pub fn restoring_a_delete(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'red')");
    network.app(0, "INSERT INTO task (id, team, title) VALUES (1, 1, 'paint')");
    network.round(0, 1);
    network.app(0, "DELETE FROM team WHERE id=1");
    network.later(1, "UPDATE team SET name='crimson' WHERE id=1");
    network.later(1, "UPDATE task SET title='draw' WHERE id=1");
    network.round(0, 1);
    network.shows("SELECT team.name, title FROM task JOIN team ON team.id=task.team", &["crimson|draw"]);
    let conflict = network.conflicts(1).into_iter().find(|c| c.table == "team").unwrap();
    network.store(1).restore(&conflict.id).unwrap();
    network.finish(&PAIR);
    network.shows("SELECT id FROM team", &[]);
    network.shows("SELECT id FROM task", &[]);
}

/// Three sites in a ring: the loser is found at more than one place and listed once.
pub fn one_conflict_noticed_at_two_sites(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let ring = [(0, 1), (1, 2), (2, 0)];
    network.app(0, "INSERT INTO person (id, name, age) VALUES (1, 'Ann', 30)");
    network.finish(&ring);
    for site in 0..3 {
        network.later(site, &format!("UPDATE person SET name='of {site}' WHERE id=1"));
    }
    network.finish(&ring);
    network.shows(ROW, &["of 2|30"]);
    let mut losers: Vec<String> = network.conflicts(0).iter().map(|c| c.losing[0].to_string()).collect();
    losers.sort();
    assert_eq!(losers, ["of 0", "of 1"]);
}

/// One row loses at two places in two versions: neither version is lost, and the list is the same everywhere.
pub fn rows_lost_in_two_versions(bench: &impl Bench) {
    let mut network = Network::new(bench, 4);
    let chain = [(0, 1), (1, 2), (2, 3)];
    network.settle(&chain);
    // Site 1's row, to which site 2 adds an earlier-stamped cell that site 1 does not know.
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'lost')");
    network.round(1, 2);
    network.app(2, "UPDATE person SET note='of 2' WHERE id=1");
    network.later(1, "UPDATE person SET age=5 WHERE id=1");
    // Sites 0 and 3 insert another row, the same for both.
    network.later(0, "INSERT INTO person (id, name) VALUES (1, 'of 0')");
    network.round(0, 1);
    network.round(2, 3);
    network.finish(&chain);
    network.shows("SELECT name, age, note FROM person", &["of 0|NULL|NULL"]);
    let list = network.conflicts(3);
    for value in ["5", "of 2"] {
        assert!(list.iter().any(|c| c.losing.iter().any(|v| v.to_string() == value)), "{value} is lost: {list:#?}");
    }
}

/// Columns that belong together are taken from one write, whichever of them it changed.
pub fn columns_that_merge_as_one(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO price (id, amount, currency) VALUES (1, 10, 'CHF')");
    network.finish(&PAIR);
    network.app(0, "UPDATE price SET amount=20, note='by 0' WHERE id=1");
    network.later(1, "UPDATE price SET currency='EUR' WHERE id=1");
    network.finish(&PAIR);
    network.shows("SELECT amount, currency, note FROM price", &["10|EUR|by 0"]);
    let lost: BTreeMap<_, _> = network.conflicts(0).into_iter().map(|c| (c.column.unwrap(), c.losing)).collect();
    let expected = [("amount", Value::Int(20)), ("currency", Value::text("CHF"))];
    assert_eq!(lost, expected.map(|(column, value)| (column.to_owned(), vec![value])).into());
}
