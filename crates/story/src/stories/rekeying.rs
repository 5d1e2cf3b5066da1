//! Two rows that two sites inserted under one key: where the settings say so both stay, one under a new key.

use sync_core::Value;

use super::{PAIR, RING};
use crate::{Bench, BenchSite, Network};

/// The tickets with their replies; a reply is called like the ticket that it was written for.
const JOINED: &str = "SELECT t.title, r.id FROM ticket t LEFT JOIN reply r ON r.ticket = t.id ORDER BY t.title, r.id";

fn ticket(network: &mut Network<impl BenchSite>, site: usize, id: i64, title: &str) {
    network.later(site, &format!("INSERT INTO ticket (id, title, above) VALUES ({id}, '{title}', {id})"));
    network.app(site, &format!("INSERT INTO reply (id, ticket) VALUES ('{title}', {id})"));
}

/// References to the row that got the new key follow it, its own too; those to the winner stay.
pub fn both_rows_stay_with_what_refers_to_them(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO ticket (id, title) VALUES (1, 'old')");
    network.finish(&PAIR);
    ticket(&mut network, 0, 2, "early");
    network.app(0, "INSERT INTO ticket (id, title, above) VALUES (3, 'below', 2)");
    ticket(&mut network, 1, 2, "late");
    network.finish(&PAIR);
    network.shows(JOINED, &["below|NULL", "early|early", "late|late", "old|NULL"]);
    network.shows("SELECT id FROM ticket WHERE title='late'", &["2"]);
    network.shows("SELECT COUNT(*) FROM ticket WHERE title IN ('early', 'late') AND above = id", &["2"]);
    network.shows("SELECT t.title FROM ticket b JOIN ticket t ON t.id = b.above WHERE b.title='below'", &["early"]);
    let entry = network.only_conflict(1);
    let new: i64 = network.rows(0, "SELECT id FROM ticket WHERE title='early'")[0].parse().unwrap();
    assert_eq!((entry.kind.as_str(), entry.restored), ("rekeyed", true));
    assert_eq!((entry.key, entry.winning), (vec![Value::Int(2)], vec![Value::Int(new)]));
}

/// Who notices the collision first lists a loss; the site that inserted the loser gives it a key, and the entry says so.
pub fn a_third_site_notices_first(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    ticket(&mut network, 0, 2, "early");
    network.round(0, 1);
    ticket(&mut network, 2, 2, "late");
    network.round(2, 1);
    assert_eq!(network.only_conflict(1).kind, "insert");
    network.rows(1, JOINED);
    network.round(1, 0);
    network.finish(&RING);
    network.shows(JOINED, &["early|early", "late|late"]);
    assert_eq!(network.only_conflict(2).kind, "rekeyed");
    // What refers to the key from a third site means the row that has it.
    network.app(1, "INSERT INTO reply (id, ticket) VALUES ('another', 2)");
    network.finish(&RING);
    network.shows(JOINED, &["early|early", "late|another", "late|late"]);
}

/// However often new keys collide again, every row has one in the end, and what was written for it.
pub fn many_rows_at_three_sites(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let mut expected = Vec::new();
    for turn in 0..2 {
        for (site, n) in (0..3).flat_map(|site| (1..=4).map(move |n| (site, n))) {
            let title = format!("{site} {turn} {n}");
            let max = network.rows(site, "SELECT COALESCE(MAX(id), 0) FROM ticket")[0].parse::<i64>().unwrap();
            ticket(&mut network, site, max + 1, &title);
            expected.push(format!("{title}|{title}"));
        }
        network.finish(&RING);
    }
    expected.sort();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    network.shows(JOINED, &expected);
    assert!(network.conflicts(0).iter().all(|c| c.kind == "rekeyed"), "nothing is listed as lost");
}

/// Who puts another row in the place of one that it knows wants it so.
pub fn a_key_that_was_replaced_on_purpose(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO ticket (id, title) VALUES (2, 'early')");
    network.finish(&PAIR);
    network.later(1, "REPLACE INTO ticket (id, title) VALUES (2, 'late')");
    network.finish(&PAIR);
    network.shows("SELECT id, title FROM ticket", &["2|late"]);
    assert!(network.conflicts(0).is_empty());
}

/// Without the option the later row stays whole, nothing of both is mixed, and the other is listed whole.
pub fn without_the_option_one_row_wins_whole(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name, email, age) VALUES (1, 'ann', 'ann@x', 30)");
    network.later(1, "INSERT INTO person (id, name, note) VALUES (1, 'bob', 'of 1')");
    network.finish(&PAIR);
    network.shows("SELECT name, email, age, note FROM person", &["bob|NULL|NULL|of 1"]);
    let lost = network.only_conflict(0);
    assert_eq!((lost.kind.as_str(), lost.columns.len(), lost.losing.len()), ("insert", 5, 5));
    assert!(lost.losing.contains(&Value::text("ann@x")) && lost.losing.contains(&Value::Int(30)));
}
