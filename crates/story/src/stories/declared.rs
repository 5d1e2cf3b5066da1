//! A site's data are declared the truth for all: an authoritative restore.

use sync_engine::{Kind, round};
use sync_store::{Result, StoreError, Trouble};

use super::PAIR;
use crate::faulty::{Faulty, When};
use crate::{Bench, BenchSite, Network};

/// Three sites, the first in the middle.
const STAR: [(usize, usize); 2] = [(0, 1), (0, 2)];
const ROWS: &str = "SELECT id, name FROM person ORDER BY id";

/// A declaration that must succeed.
fn declare<S: BenchSite>(network: &mut Network<S>, site: usize, tables: &[&str]) {
    network.sites[site].declare(tables, &mut |_, _| Ok(())).unwrap();
}

/// What was lost, by table and key, as the list of a site says.
fn lost<S: BenchSite>(network: &mut Network<S>, site: usize) -> Vec<String> {
    let list = network.conflicts(site).into_iter();
    let text = |entry: sync_store::ConflictEntry| {
        let at = entry.columns.iter().position(|c| c == "name").unwrap_or_default();
        format!("{} {:?} {}: {:?}", entry.table, entry.key[0], entry.kind, entry.losing.get(at))
            .replace("Int(", "")
            .replace("Some(Text(", "")
            .replace([')', '"'], "")
    };
    let mut lost: Vec<String> = list.map(text).collect();
    lost.sort();
    lost
}

/// A backup is put back and declared. What others wrote since loses, also at a site that was away; what is written by who has
/// met the declaration wins. Everything that is lost is listed.
pub fn what_others_wrote_is_undone(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 3);
    network
        .everywhere("INSERT INTO person (id, name) VALUES (1, 'from before'), (2, 'from before'), (3, 'from before')");
    network.prepare();
    network.app(0, "INSERT INTO person (id, name) VALUES (4, 'early'), (5, 'early')");
    network.finish(&STAR);
    let copy = network.sites[0].copy();
    network.app(1, "UPDATE person SET name='of 1' WHERE id=1");
    network.app(1, "DELETE FROM person WHERE id IN (2, 4)");
    network.app(1, "INSERT INTO person (id, name) VALUES (10, 'of 1')");
    network.app(0, "UPDATE person SET name='of 0' WHERE id=5");
    network.app(0, "INSERT INTO person (id, name) VALUES (11, 'of 0')");
    network.finish(&STAR);
    // The third is away from here on.
    network.app(2, "UPDATE person SET name='away' WHERE id=3");
    network.app(2, "INSERT INTO person (id, name) VALUES (12, 'away')");
    network.sites[0].put_back(&copy);
    declare(&mut network, 0, &[]);
    network.later(2, "INSERT INTO person (id, name) VALUES (13, 'after, not having met it')");
    network.later(2, "UPDATE person SET name='after, not having met it' WHERE id=4");
    network.round(0, 1);
    let truth = ["1|from before", "2|from before", "3|from before", "4|early", "5|early"];
    for site in 0..2 {
        assert_eq!(network.rows(site, ROWS), truth);
    }
    network.later(1, "UPDATE person SET name='having met it' WHERE id=2");
    network.app(1, "INSERT INTO person (id, name) VALUES (20, 'having met it')");
    network.app(1, "DELETE FROM person WHERE id=1");
    // The third hears of it from who did not declare it.
    network.round(1, 2);
    network.finish(&STAR);
    network.shows(ROWS, &["2|having met it", "3|from before", "4|early", "5|early", "20|having met it"]);
    let expected = [
        "person 1 insert: of 1",
        "person 10 update-lost: of 1",
        "person 11 update-lost: of 0",
        "person 12 update-lost: away",
        "person 13 update-lost: after, not having met it",
        "person 2 delete-lost: None",
        "person 3 insert: away",
        "person 4 delete-lost: None",
        "person 5 insert: of 0",
    ];
    let list = lost(&mut network, 0);
    // That a row was deleted and written again by who had not heard of that is listed as well, or only its last value.
    let others: Vec<&String> = list.iter().filter(|l| !expected.contains(&l.as_str())).collect();
    assert!(others.iter().all(|l| l.starts_with("person 4 ")), "{others:?}");
    assert!(expected.iter().all(|e| list.iter().any(|l| l == e)), "{list:#?}");
    let restored = network.conflicts(1).into_iter().find(|c| c.key == [sync_core::Value::Int(12)]).unwrap();
    network.store(1).restore(&restored.id).unwrap();
    network.finish(&STAR);
    assert_eq!(network.rows(2, "SELECT name FROM person WHERE id=12"), ["away"]);
}

/// What the site itself had deleted and published since the backup is undone, too, and listed.
pub fn its_own_deletes_are_listed(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.finish(&PAIR);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.store(0).drain().unwrap();
    let copy = network.sites[0].copy();
    network.later(0, "DELETE FROM person WHERE id=1");
    network.finish(&PAIR);
    network.sites[0].put_back(&copy);
    declare(&mut network, 0, &[]);
    network.finish(&PAIR);
    network.shows(ROWS, &["1|early"]);
    assert_eq!(network.only_conflict(1).kind, "delete-lost");
}

/// Only the tables that were named; the others go on as before.
pub fn only_some_tables(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'early')");
    network.finish(&PAIR);
    network.app(1, "UPDATE person SET name='later' WHERE id=1");
    network.app(1, "UPDATE team SET name='later' WHERE id=1");
    network.app(1, "INSERT INTO word (word, meaning) VALUES ('w', 'later')");
    declare(&mut network, 0, &["person", "word"]);
    network.finish(&PAIR);
    network.shows("SELECT name FROM person", &["early"]);
    network.shows("SELECT name FROM team", &["later"]);
    network.shows("SELECT word FROM word", &[]);
    let error = network.sites[0].declare(&["persons"], &mut |_, _| Ok(())).unwrap_err();
    assert!(error.message.contains("persons") && error.hint.unwrap().contains("person"));
}

/// What is added to counters since counts; what was added before does not.
pub fn counters_begin_anew(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO stock (id, quantity, total) VALUES (1, 100, 0)");
    network.finish(&STAR);
    for site in 0..3 {
        network.app(site, "UPDATE stock SET quantity = quantity + 5 WHERE id=1");
    }
    declare(&mut network, 0, &[]);
    network.app(0, "UPDATE stock SET quantity = quantity + 1 WHERE id=1");
    network.round(0, 1);
    network.app(1, "UPDATE stock SET quantity = quantity + 10 WHERE id=1");
    network.app(2, "UPDATE stock SET quantity = quantity + 50 WHERE id=1");
    network.finish(&STAR);
    network.shows("SELECT quantity FROM stock", &["116"]);
    network.app(2, "UPDATE stock SET quantity = quantity + 100 WHERE id=1");
    network.finish(&STAR);
    network.shows("SELECT quantity FROM stock", &["216"]);
}

/// What a constraint keeps from being shown is not part of what is shown: it is listed, and does not come back.
pub fn what_is_not_shown_is_lost(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 't')");
    network.finish(&PAIR);
    network.app(0, "INSERT INTO person (id, name, email) VALUES (1, 'first', 'x@y')");
    network.later(1, "INSERT INTO person (id, name, email) VALUES (2, 'second', 'x@y')");
    network.app(0, "DELETE FROM team WHERE id=1");
    network.later(1, "INSERT INTO task (id, team, title) VALUES (1, 1, 'parked')");
    network.finish(&PAIR);
    network.shows("SELECT id, email FROM person ORDER BY id", &["1|x@y", "2|NULL"]);
    network.shows("SELECT COUNT(*) FROM task", &["0"]);
    declare(&mut network, 0, &[]);
    network.finish(&PAIR);
    let list = network.conflicts(1);
    let find = |table: &str, kind: &str| list.iter().any(|c| c.table == table && c.kind == kind);
    assert!(find("person", "cell") && find("task", "update-lost"), "{list:#?}");
    for site in &mut network.sites {
        assert_eq!(site.parked(), 0);
    }
    network.app(1, "DELETE FROM person WHERE id=1");
    network.app(1, "INSERT INTO team (id, name) VALUES (1, 'again')");
    network.finish(&PAIR);
    network.shows("SELECT id, email FROM person ORDER BY id", &["2|NULL"]);
    network.shows("SELECT COUNT(*) FROM task", &["0"]);
}

/// An empty table can be the truth, too.
pub fn an_empty_table(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.everywhere("INSERT INTO person (id, name) VALUES (1, 'from before')");
    network.prepare();
    network.finish(&PAIR);
    let copy = network.sites[1].copy();
    network.app(0, "DELETE FROM person");
    network.finish(&PAIR);
    declare(&mut network, 0, &[]);
    network.finish(&PAIR);
    // One that was restored from before meets it again.
    network.sites[1].put_back(&copy);
    network.app(1, "INSERT INTO person (id, name) VALUES (2, 'on the copy')");
    network.finish(&PAIR);
    network.shows(ROWS, &[]);
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'new'), (2, 'new')");
    network.finish(&PAIR);
    network.shows(ROWS, &["1|new", "2|new"]);
}

/// Two declare at once: the later one wins, and what the other declared is listed.
pub fn two_at_once(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.finish(&STAR);
    network.app(1, "UPDATE person SET name='of 1' WHERE id=1");
    network.app(1, "INSERT INTO person (id, name) VALUES (2, 'of 1')");
    network.app(2, "UPDATE person SET name='of 2' WHERE id=1");
    declare(&mut network, 1, &[]);
    // Two milliseconds later.
    network.later(2, "INSERT INTO person (id, name) VALUES (3, 'of 2')");
    declare(&mut network, 2, &[]);
    network.finish(&STAR);
    network.shows(ROWS, &["1|of 2", "3|of 2"]);
    let list = lost(&mut network, 0);
    assert!(list.contains(&"person 1 insert: of 1".to_owned()), "{list:?}");
    assert!(list.contains(&"person 2 update-lost: of 1".to_owned()), "{list:?}");
}

/// A declaration that breaks off is on record: the site takes part in no round until it is finished. Rows that the application
/// writes meanwhile are part of it.
pub fn one_that_breaks_off(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    let rows: Vec<String> = (0..1200).map(|id| format!("({id}, 'early')")).collect();
    network.app(0, &format!("INSERT INTO person (id, name) VALUES {}", rows.join(", ")));
    network.finish(&PAIR);
    network.app(1, "UPDATE person SET name='later' WHERE id % 2 = 0");
    let broken = |_: &str, rows: u64| -> Result<()> {
        if rows > 500 { Err(StoreError::new(Trouble::Failure, "broken off")) } else { Ok(()) }
    };
    network.sites[0].declare(&["person"], &mut { broken }).unwrap_err();
    network.sites[0].reopen();
    network.app(0, "INSERT INTO person (id, name) VALUES (5000, 'meanwhile')");
    network.app(0, "DELETE FROM person WHERE id=7");
    for (master, slave) in [(0, 1), (1, 0)] {
        let error = network.try_round(master, slave, |_| {}).unwrap_err();
        assert!(error.kind == Kind::Halt && error.message.contains("site1"), "{error:?}");
        assert!(error.message.contains("begun and is not finished"), "{error:?}");
    }
    let error = network.sites[0].declare(&[], &mut |_, _| Ok(())).unwrap_err();
    assert!(error.message.contains("other tables was begun"), "{error:?}");
    declare(&mut network, 0, &["person"]);
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*) FROM person WHERE name='early'", &["1199"]);
    network.shows("SELECT COUNT(*) FROM person", &["1200"]);
    assert_eq!(network.conflicts(0).len(), 600);
}

/// The round that takes a declaration over breaks at every single call, before and after it is carried out.
pub fn a_round_that_breaks(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early')");
    network.app(0, "INSERT INTO stock (id, quantity, total) VALUES (1, 0, 0)");
    network.finish(&PAIR);
    for (turn, when) in [When::Before, When::After].into_iter().enumerate() {
        for calls in 0.. {
            let id = 1000 * (turn as u32 + 1) + calls;
            network.app(1, &format!("INSERT INTO person (id, name) VALUES ({id}, 'later')"));
            network.app(1, &format!("UPDATE person SET name='later {id}' WHERE id=1"));
            network.app(1, "UPDATE stock SET quantity = quantity + 1");
            declare(&mut network, 0, &[]);
            let options = network.options(1);
            let (master, slave) = network.two(0, 1);
            let mut faulty = Faulty::new(slave.store(), calls, when);
            let result = round(master.store(), &mut faulty, &options, &mut ());
            assert_eq!(result.is_err(), faulty.broken, "{result:?}");
            let broken = faulty.broken;
            network.round(0, 1);
            network.assert_same();
            network.shows(ROWS, &["1|early", "2|early"]);
            if !broken {
                assert!(calls > 8, "a round is more than {calls} calls");
                break;
            }
        }
    }
    network.finish(&PAIR);
    network.shows("SELECT quantity FROM stock", &["0"]);
}

/// A site with rows of its own that joins where a declaration is in force is asked about first.
pub fn a_stranger_is_asked_about(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 3);
    network.app(2, "INSERT INTO person (id, name) VALUES (1, 'of the new'), (2, 'of the new')");
    network.prepare();
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.settle(&PAIR);
    declare(&mut network, 0, &[]);
    network.settle(&PAIR);
    let error = network.try_round(0, 2, |_| {}).unwrap_err();
    assert!(error.kind == Kind::Halt && error.message.contains("meet for the first time"), "{error:?}");
    assert_eq!(network.rows(2, ROWS).len(), 2);
    network.round_with(0, 2, |options| options.force = true);
    network.finish(&STAR);
    network.shows(ROWS, &["1|early"]);
    assert_eq!(network.conflicts(0).len(), 2);
}

/// Rows that come unmarked since are found by a compare, and are new.
pub fn rows_imported_since(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.finish(&PAIR);
    declare(&mut network, 0, &[]);
    network.finish(&PAIR);
    network.sites[1].behind("INSERT INTO person (id, name) VALUES (2, 'imported')");
    network.round_with(0, 1, |options| options.init = true);
    network.finish(&PAIR);
    network.shows(ROWS, &["1|early", "2|imported"]);
    assert!(network.conflicts(0).is_empty());
}
