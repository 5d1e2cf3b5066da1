//! Stores of older formats, as they were made then, are brought to today's: everything goes on and nothing is lost.
#![allow(clippy::unwrap_used, clippy::panic)]

mod story_card;
mod story_files;
mod story_servers;

use story_files::Files;
use story_servers::Servers;
use sync_core::codec;
use sync_story::{Bench, BenchSite, Network};
use sync_testbed::MariaDb;

const PAIR: [(usize, usize); 1] = [(0, 1)];
const ROWS: &str = "SELECT id, name FROM person ORDER BY id";

/// The columns of `server_sync_store` that older formats did not have, with the format that added each.
const LATER: [(&str, u32); 3] = [("counters", 3), ("rekey", 3), ("epochs", 5)];

/// How each kind of database declared the columns of `server_sync_store`.
struct Then {
    columns: &'static [(&'static str, &'static str)],
    tail: &'static str,
}

const SQLITE: Then = Then {
    columns: &[
        ("one", "INTEGER PRIMARY KEY"),
        ("format", "INTEGER NOT NULL"),
        ("store", "BLOB NOT NULL"),
        ("incarnation", "INTEGER NOT NULL"),
        ("site", "INTEGER NOT NULL"),
        ("site_name", "TEXT NOT NULL"),
        ("vd", "TEXT NOT NULL"),
        ("vd_version", "TEXT NOT NULL"),
        ("product_version", "TEXT NOT NULL"),
        ("slave", "INTEGER NOT NULL"),
        ("masters", "TEXT NOT NULL"),
        ("excluded", "TEXT NOT NULL"),
        ("together", "TEXT NOT NULL"),
        ("trees", "TEXT NOT NULL"),
        ("counters", "TEXT"),
        ("rekey", "TEXT"),
        ("seq", "INTEGER NOT NULL"),
        ("token", "INTEGER NOT NULL"),
        ("epochs", "BLOB"),
    ],
    tail: "",
};

const MARIADB: Then = Then {
    columns: &[
        ("one", "TINYINT PRIMARY KEY"),
        ("format", "INT NOT NULL"),
        ("store", "BINARY(16) NOT NULL"),
        ("incarnation", "BIGINT UNSIGNED NOT NULL"),
        ("site", "SMALLINT UNSIGNED NOT NULL"),
        ("site_name", "VARCHAR(64) NOT NULL"),
        ("vd", "VARCHAR(64) NOT NULL"),
        ("vd_version", "VARCHAR(64) NOT NULL"),
        ("product_version", "VARCHAR(64) NOT NULL"),
        ("slave", "TINYINT NOT NULL"),
        ("masters", "TEXT NOT NULL"),
        ("excluded", "TEXT NOT NULL"),
        ("together", "TEXT NOT NULL"),
        ("trees", "TEXT NOT NULL"),
        ("counters", "TEXT"),
        ("rekey", "TEXT"),
        ("seq", "BIGINT UNSIGNED NOT NULL"),
        ("token", "BIGINT UNSIGNED NOT NULL"),
        ("epochs", "BLOB"),
    ],
    tail: " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
};

/// Makes of a store what it was in an older format: the one row of `server_sync_store` in a table as it was declared then, and
/// none of the tables that came later. The other tables have been the same in all of them.
fn age(site: &mut impl BenchSite, format: u32, then: &Then) {
    let is_old = |name: &str| LATER.iter().all(|(later, added)| *later != name || *added <= format);
    let (names, columns): (Vec<&str>, Vec<String>) = then
        .columns
        .iter()
        .filter(|(name, _)| is_old(name))
        .map(|(name, kind)| (*name, format!("{name} {kind}")))
        .unzip();
    let names = names.join(", ");
    site.app("ALTER TABLE server_sync_store RENAME TO server_sync_today");
    site.app(&format!("CREATE TABLE server_sync_store ({}){}", columns.join(", "), then.tail));
    site.app(&format!("INSERT INTO server_sync_store ({names}) SELECT {names} FROM server_sync_today"));
    site.app(&format!("UPDATE server_sync_store SET format={format}"));
    site.app("DROP TABLE server_sync_today");
    site.app("DROP TABLE server_sync_brief");
    if format < 4 {
        site.app("DROP TABLE server_sync_registry");
    }
}

/// Before: rows from before, written ones, a grave, a conflict, a parked row and marks that are not drained. After: all of it.
fn goes_on(bench: &impl Bench, format: u32, then: &Then) {
    let mut network = Network::unprepared(bench, 2);
    network.everywhere("INSERT INTO person (id, name) VALUES (1, 'from before'), (2, 'from before')");
    network.prepare();
    network.app(0, "INSERT INTO person (id, name, email) VALUES (3, 'early', 'x'), (4, 'early', NULL)");
    network.later(1, "INSERT INTO person (id, name, email) VALUES (5, 'early', 'x')");
    network.finish(&PAIR);
    network.app(0, "UPDATE person SET name='of 0' WHERE id=3");
    network.later(1, "UPDATE person SET name='of 1' WHERE id=3");
    network.app(1, "DELETE FROM person WHERE id=4");
    network.finish(&PAIR);
    network.app(0, "UPDATE person SET name='not drained' WHERE id=1");
    let (identity, heads) = (network.store(0).describe().unwrap().source, network.heads());
    let (list, parked) = (network.conflicts(0), network.store(0).parked().unwrap());
    assert!(!list.is_empty() && !parked.is_empty());
    for site in &mut network.sites {
        age(site, format, then);
    }
    // Preparing again is what `init-site` and each round of this site do.
    network.prepare();
    assert_eq!(network.rows(0, "SELECT format FROM server_sync_store"), ["6"]);
    assert_eq!((network.store(0).describe().unwrap().source, network.heads()), (identity, heads));
    assert_eq!((network.conflicts(0), network.store(0).parked().unwrap()), (list, parked));
    network.app(1, "UPDATE person SET name='since' WHERE id=2");
    network.app(1, "UPDATE person SET email=NULL WHERE id=3");
    let report = network.round(0, 1);
    assert!(!report.compared, "they know each other");
    network.finish(&PAIR);
    network.shows(ROWS, &["1|not drained", "2|since", "3|of 1", "5|early"]);
    network.shows("SELECT email FROM person WHERE id=5", &["x"]);
    // What came later is there as well.
    network.app(0, "INSERT INTO stock (id, quantity, total) VALUES (1, 1, 0)");
    network.finish(&PAIR);
    for site in 0..2 {
        network.app(site, "UPDATE stock SET quantity = quantity + 1");
    }
    network.finish(&PAIR);
    network.shows("SELECT quantity FROM stock", &["3"]);
    network.sites[0].declare(&[], &mut |_, _| Ok(())).unwrap();
    network.finish(&PAIR);
    network.prepare();
    network.finish(&PAIR);
}

/// A store that says format 2 and whose upgrade was interrupted after any of its statements is brought there all the same.
fn after_any_interruption(bench: &impl Bench, then: &Then, added: &[&str]) {
    for done in 0..=added.len() {
        let mut network = Network::new(bench, 2);
        network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
        network.finish(&PAIR);
        age(&mut network.sites[0], 2, then);
        for column in &added[..done] {
            network.app(0, &format!("ALTER TABLE server_sync_store ADD COLUMN {column}"));
        }
        network.prepare();
        network.app(0, "UPDATE person SET name='since' WHERE id=1");
        network.finish(&PAIR);
        network.shows(ROWS, &["1|since"]);
    }
}

const ADDED: [&str; 3] = ["counters TEXT", "rekey TEXT", "epochs BLOB"];

fn servers() -> Servers {
    Servers::of(vec![MariaDb::shared().unwrap()])
}

#[test]
fn format_2_of_sqlite() {
    goes_on(&Files, 2, &SQLITE);
}

#[test]
fn format_3_of_sqlite() {
    goes_on(&Files, 3, &SQLITE);
}

#[test]
fn format_4_of_sqlite() {
    goes_on(&Files, 4, &SQLITE);
}

#[test]
fn format_5_of_sqlite() {
    goes_on(&Files, 5, &SQLITE);
}

#[test]
fn format_2_of_mariadb() {
    goes_on(&servers(), 2, &MARIADB);
}

#[test]
fn format_3_of_mariadb() {
    goes_on(&servers(), 3, &MARIADB);
}

#[test]
fn format_4_of_mariadb() {
    goes_on(&servers(), 4, &MARIADB);
}

#[test]
fn format_5_of_mariadb() {
    goes_on(&servers(), 5, &MARIADB);
}

#[test]
fn an_upgrade_that_was_interrupted() {
    after_any_interruption(&Files, &SQLITE, &ADDED);
    after_any_interruption(&servers(), &MARIADB, &ADDED);
}

/// States as they were stored before there were sums and epochs: version 1, and with sums version 2.
#[test]
fn states_of_all_versions_are_read() {
    let inserted = 5_u64.to_be_bytes();
    let old = [&[1][..], &inserted, &0_u64.to_be_bytes(), &[0, 1], &inserted].concat();
    let state = codec::unpack_state(&old).unwrap();
    assert_eq!((state.inserted.raw(), state.epoch.raw(), state.is_live()), (5, 0, true));
    assert_eq!(codec::pack_state(&state), old, "and written as before");
}
