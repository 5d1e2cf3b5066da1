//! Columns that merge by adding: everybody's additions count, wherever and whenever they were made.

use sync_core::Value;
use sync_store::ParkedKind;

use super::{PAIR, RING};
use crate::{Bench, BenchSite, Network};

const QUANTITY: &str = "SELECT quantity FROM stock ORDER BY id";

/// Sites with one row of stock: 100 pieces, at all of them.
fn stocked<B: Bench>(bench: &B, sites: usize) -> Network<B::Site> {
    let mut network = Network::new(bench, sites);
    network.app(0, "INSERT INTO stock (id, name, quantity, total) VALUES (1, 'nails', 100, 0)");
    for site in 1..sites {
        network.round(0, site);
    }
    network
}

fn add(network: &mut Network<impl BenchSite>, site: usize, number: i64) {
    network.app(site, &format!("UPDATE stock SET quantity = quantity + {number} WHERE id=1"));
}

/// Nobody's addition is lost or listed, and other columns of the row merge as ever.
pub fn additions_of_all_sites_count(bench: &impl Bench) {
    let mut network = stocked(bench, 3);
    add(&mut network, 0, 5);
    add(&mut network, 1, -3);
    network.app(2, "UPDATE stock SET quantity = quantity - 50, name='screws' WHERE id=1");
    network.finish(&RING);
    network.shows("SELECT name, quantity FROM stock", &["screws|52"]);
    assert_eq!(network.conflicts(0), []);
    add(&mut network, 0, 1);
    add(&mut network, 1, 1);
    network.finish(&RING);
    network.shows(QUANTITY, &["54"]);
}

/// The marks of one row are added up, across rounds too, and a row that was added to before anybody heard of it.
pub fn many_additions_in_one_round(bench: &impl Bench) {
    let mut network = stocked(bench, 2);
    network.app(1, "INSERT INTO stock (id, quantity, total) VALUES (2, 10, 0)");
    for n in 1..=20 {
        add(&mut network, 0, n);
        add(&mut network, 1, -n);
        network.app(1, "UPDATE stock SET quantity = quantity + 1, total = total + 2 WHERE id=2");
        if n == 7 {
            network.round(0, 1);
            network.app(0, "UPDATE stock SET total = total + 1000 WHERE id=2");
        }
    }
    network.finish(&PAIR);
    network.shows(QUANTITY, &["100", "30"]);
    network.shows("SELECT total FROM stock WHERE id=2", &["1040"]);
}

/// SET quantity = 50 takes the difference away, as the person who wrote it saw it.
pub fn a_value_that_is_set_is_a_difference(bench: &impl Bench) {
    let mut network = stocked(bench, 2);
    network.app(0, "UPDATE stock SET quantity = 50 WHERE id=1");
    add(&mut network, 1, 7);
    network.finish(&PAIR);
    network.shows(QUANTITY, &["57"]);
}

/// A row from before synchronisation has its value as base, wherever it is.
pub fn rows_from_before_count(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 3);
    network.everywhere("INSERT INTO stock (id, quantity, total) VALUES (1, 100, 0)");
    network.prepare();
    network.finish(&RING);
    (0..3).for_each(|site| add(&mut network, site, 1 + site as i64));
    network.finish(&RING);
    network.shows(QUANTITY, &["106"]);
}

/// As any other write: the later of both wins, and what lost is listed.
pub fn an_addition_against_a_delete_counts(bench: &impl Bench) {
    let mut network = stocked(bench, 2);
    network.app(0, "INSERT INTO stock (id, quantity, total) VALUES (2, 7, 0)");
    network.finish(&PAIR);
    network.app(0, "UPDATE stock SET quantity = quantity + 1 WHERE id=1");
    network.app(0, "DELETE FROM stock WHERE id=1");
    network.later(1, "UPDATE stock SET quantity = quantity + 5 WHERE id=1");
    network.app(1, "UPDATE stock SET quantity = quantity + 5 WHERE id=2");
    network.later(0, "DELETE FROM stock WHERE id=2");
    network.finish(&PAIR);
    network.shows("SELECT id, quantity FROM stock", &["1|106"]);
    let mut kinds: Vec<String> = network.conflicts(1).into_iter().map(|c| c.kind).collect();
    kinds.sort();
    assert_eq!(kinds, ["delete-lost", "update-lost"]);
}

/// What was added to the row that went is not added to the one that came.
pub fn inserted_again_it_begins_anew(bench: &impl Bench) {
    let mut network = stocked(bench, 2);
    add(&mut network, 0, 5);
    network.finish(&PAIR);
    add(&mut network, 1, 3);
    network.app(0, "UPDATE stock SET quantity = quantity + 1 WHERE id=1");
    network.app(0, "DELETE FROM stock WHERE id=1");
    network.later(0, "INSERT INTO stock (id, quantity, total) VALUES (1, 20, 0)");
    add(&mut network, 0, 2);
    network.finish(&PAIR);
    network.shows(QUANTITY, &["22"]);
    add(&mut network, 1, 4);
    network.finish(&PAIR);
    network.shows(QUANTITY, &["26"]);
}

/// Under its new key the row has what it had, and what is added from then on.
pub fn a_changed_key_begins_anew(bench: &impl Bench) {
    let mut network = stocked(bench, 2);
    add(&mut network, 0, 5);
    network.finish(&PAIR);
    network.app(0, "UPDATE stock SET id = 9, quantity = quantity + 1 WHERE id=1");
    network.finish(&PAIR);
    network.app(0, "UPDATE stock SET quantity = quantity + 10 WHERE id=9");
    network.app(1, "UPDATE stock SET quantity = quantity + 20 WHERE id=9");
    network.finish(&PAIR);
    network.shows("SELECT id, quantity FROM stock", &["9|136"]);
}

/// REPLACE puts another row in the place; an upsert adds.
pub fn replaced_and_upserted(bench: &impl Bench) {
    let mut network = stocked(bench, 2);
    let upsert = match bench.speech().binary {
        "BLOB" => "ON CONFLICT(id) DO UPDATE SET quantity = quantity + 4",
        _ => "ON DUPLICATE KEY UPDATE quantity = quantity + 4",
    };
    network.app(0, &format!("INSERT INTO stock (id, quantity, total) VALUES (1, 0, 0) {upsert}"));
    add(&mut network, 1, 5);
    network.finish(&PAIR);
    network.shows(QUANTITY, &["109"]);
    network.app(1, "REPLACE INTO stock (id, quantity, total) VALUES (1, 70, 0)");
    network.finish(&PAIR);
    add(&mut network, 0, 1);
    add(&mut network, 1, 1);
    network.finish(&PAIR);
    network.shows(QUANTITY, &["72"]);
}

/// A value that was changed without a mark: a full compare finds it, and what was added meanwhile still counts.
pub fn additions_made_behind_our_back(bench: &impl Bench) {
    let mut network = stocked(bench, 2);
    add(&mut network, 0, 5);
    network.finish(&PAIR);
    network.sites[0].behind("UPDATE stock SET quantity = 1000 WHERE id=1");
    add(&mut network, 0, 1);
    add(&mut network, 1, 2);
    network.round_with(0, 1, |o| o.init = true);
    network.finish(&PAIR);
    network.shows(QUANTITY, &["1003"]);
}

/// What no column holds is shown as near as it can be, listed, and comes back.
pub fn a_sum_that_does_not_fit(bench: &impl Bench) {
    const TOP: i64 = i64::MAX;
    let mut network = Network::new(bench, 3);
    network.app(0, &format!("INSERT INTO stock (id, quantity, total) VALUES (1, 0, {})", TOP - 10));
    network.finish(&RING);
    let total = |n: i64| format!("UPDATE stock SET total = total + {n} WHERE id=1");
    (0..3).for_each(|site| network.app(site, &total(8)));
    network.finish(&RING);
    network.shows("SELECT total FROM stock", &[&TOP.to_string()]);
    for site in 0..3 {
        let parked = network.store(site).parked().unwrap();
        assert_eq!(
            (parked.len(), parked[0].kind, parked[0].key.clone()),
            (1, ParkedKind::Counter, vec![Value::Int(1)])
        );
        assert_eq!(parked[0].detail, "total = 9223372036854775821");
    }
    // An addition of another column, and one to what is shown.
    add(&mut network, 1, 3);
    network.app(2, &total(-5));
    network.finish(&RING);
    network.shows("SELECT total, quantity FROM stock", &[&format!("{TOP}|3")]);
    network.app(0, &total(-10));
    network.finish(&RING);
    network.shows("SELECT total FROM stock", &[&(TOP - 1).to_string()]);
    for site in &mut network.sites {
        assert_eq!(site.parked(), 0, "at {}", site.name());
    }
}

/// What a restored site had added and lost counts, with what it adds before it knows that it was restored.
pub fn a_restored_site_adds_again(bench: &impl Bench) {
    let mut network = stocked(bench, 3);
    add(&mut network, 0, 1);
    network.finish(&RING);
    let copy = network.sites[0].copy();
    add(&mut network, 0, 5);
    network.finish(&RING);
    network.sites[0].put_back(&copy);
    add(&mut network, 0, 2);
    add(&mut network, 1, 10);
    network.round(1, 0);
    add(&mut network, 0, 3);
    network.finish(&RING);
    network.shows(QUANTITY, &["121"]);
}

/// A backup has marks that were not stamped when it was made; they were published since, and count once.
pub fn a_backup_with_marks_counts_once(bench: &impl Bench) {
    let mut network = stocked(bench, 2);
    network.finish(&PAIR);
    add(&mut network, 0, 5);
    network.app(0, "INSERT INTO stock (id, quantity, total) VALUES (2, 10, 0)");
    network.app(0, "UPDATE stock SET quantity = quantity + 1, name='x' WHERE id=2");
    let copy = network.sites[0].copy();
    network.finish(&PAIR);
    network.later(0, "UPDATE stock SET quantity = quantity + 20 WHERE id=2");
    network.finish(&PAIR);
    network.sites[0].put_back(&copy);
    network.later(0, "UPDATE stock SET quantity = quantity + 1000");
    network.finish(&PAIR);
    network.shows(QUANTITY, &["1105", "1031"]);
}

/// A copy of a site's database belongs to another site: both go on adding, each for itself.
pub fn a_copy_adds_for_itself(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO stock (id, quantity, total) VALUES (1, 100, 0), (2, 0, 0)");
    network.settle(&PAIR);
    add(&mut network, 0, 5);
    network.settle(&PAIR);
    // Not stamped yet when the copy is made.
    add(&mut network, 0, 7);
    network.app(0, "UPDATE stock SET quantity = quantity + 1 WHERE id=2");
    network.app(0, "DELETE FROM stock WHERE id=2");
    network.app(0, "INSERT INTO stock (id, quantity, total) VALUES (2, 50, 0), (3, 60, 0)");
    network.app(0, "UPDATE stock SET quantity = quantity + 2 WHERE id > 1");
    let copy = network.sites[0].copy();
    network.sites[2].put_back(&copy);
    network.sites[2].adopt();
    add(&mut network, 0, 10);
    add(&mut network, 1, 30);
    add(&mut network, 2, 20);
    network.finish(&RING);
    network.shows(QUANTITY, &["172", "52", "62"]);
}

/// Putting a lost row's value back is a write as any other.
pub fn what_a_conflict_restores_is_a_difference(bench: &impl Bench) {
    let mut network = stocked(bench, 2);
    network.app(0, "UPDATE stock SET name='early', quantity = quantity + 1 WHERE id=1");
    network.later(1, "UPDATE stock SET name='late', quantity = quantity + 2 WHERE id=1");
    network.finish(&PAIR);
    network.shows("SELECT name, quantity FROM stock", &["late|103"]);
    let lost = network.only_conflict(0);
    assert_eq!(lost.column.as_deref(), Some("name"));
    network.store(0).restore(&lost.id).unwrap();
    network.finish(&PAIR);
    network.shows("SELECT name, quantity FROM stock", &["early|103"]);
    network.app(0, "DELETE FROM stock WHERE id=1");
    network.later(1, "UPDATE stock SET quantity = quantity + 4 WHERE id=1");
    network.finish(&PAIR);
    network.shows(QUANTITY, &["107"]);
}
