//! Column-wise merging: what was written at both sites survives, or is listed at both and can be put back.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::{Pair, Story, options, round_between, stories};
use sync_engine::error::Kind;
use sync_store::{ConflictEntry, Store};
use sync_testbed::{MariaDb, Options, Server, on_both_servers};

const SCHEMA: &str = "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20), b VARCHAR(20), n INT, big LONGBLOB)";

fn pair<'a>(server: &'a Server, name: &str) -> Pair<'a> {
    let mut pair = Pair::new(server, name, SCHEMA);
    pair.a.run(
        "INSERT INTO t (id, a, b, n) VALUES (1, 'a', 'b', 0), (2, 'a', 'b', 0), (3, 'a', 'b', 0), (4, 'a', 'b', 0)",
    );
    pair.settle();
    pair
}

/// The conflict list, which must be the same at both sites.
fn conflicts(pair: &mut Pair) -> Vec<ConflictEntry> {
    let (mut a, b) = (pair.a.store.conflicts().unwrap(), pair.b.store.conflicts().unwrap());
    assert_eq!(a, b);
    a.sort_by_key(|c| (c.key.clone(), c.column.clone()));
    a
}

/// Restores a conflict at one site, after which both sites show the losing value and none is listed anew.
fn restore(pair: &mut Pair, id: &str, at_b: bool) {
    let before = conflicts(pair).len();
    let site = if at_b { &mut pair.b } else { &mut pair.a };
    site.store.restore(id).unwrap();
    pair.settle();
    let after = conflicts(pair);
    assert_eq!(after.len(), before);
    assert!(after.iter().any(|c| c.id == id && c.restored));
}

fn different_columns(server: &Server) {
    let mut pair = pair(server, "columns");
    pair.a.run("UPDATE t SET a='A' WHERE id=1");
    pair.b.run("UPDATE t SET b='B', n=n+1 WHERE id=1");
    assert_eq!(pair.settle().conflicts().count(), 0);
    assert_eq!(pair.one("SELECT CONCAT(a, b, n) FROM t WHERE id=1"), "AB1");
}

fn same_column(server: &Server) {
    let mut pair = pair(server, "cell");
    pair.a.run("UPDATE t SET a='first' WHERE id IN (1, 2)");
    pair.tick();
    pair.b.run("UPDATE t SET a='later', b='B' WHERE id=1");
    pair.b.run("UPDATE t SET a='later' WHERE id=2");
    pair.a.run("UPDATE t SET n=9 WHERE id=1");
    // And the other way round.
    pair.b.run("UPDATE t SET a='first' WHERE id=3");
    pair.tick();
    pair.a.run("UPDATE t SET a='later' WHERE id=3");
    assert_eq!(pair.settle().conflicts().count(), 3);
    assert_eq!(pair.one("SELECT GROUP_CONCAT(a, b, n ORDER BY id) FROM t"), "laterB9,laterb0,laterb0,ab0");
    let listed = conflicts(&mut pair);
    for (conflict, (winner, loser)) in listed.iter().zip([(2, 1), (2, 1), (1, 2)]) {
        assert_eq!((conflict.kind.as_str(), conflict.column.as_deref()), ("cell", Some("a")));
        assert_eq!((conflict.winner.site().number(), conflict.loser.site().number()), (winner, loser));
        assert_eq!([&conflict.winning, &conflict.losing].map(|v| v[0].to_string()), ["later", "first"]);
    }
    for (i, conflict) in listed.iter().enumerate() {
        restore(&mut pair, &conflict.id, i % 2 == 1);
    }
    assert_eq!(pair.one("SELECT GROUP_CONCAT(a, b, n ORDER BY id) FROM t"), "firstB9,firstb0,firstb0,ab0");
}

fn equal_values(server: &Server) {
    let mut pair = pair(server, "equal");
    pair.run_at_both("UPDATE t SET a='same', n=n+1 WHERE id<3");
    pair.run_at_both("INSERT INTO t (id, a) VALUES (9, 'same')");
    pair.run_at_both("DELETE FROM t WHERE id=3");
    assert_eq!(pair.settle().conflicts().count(), 0);
    assert_eq!(conflicts(&mut pair).len(), 0);
}

/// The later wins; a delete that loses and an update that loses are both listed.
fn deleted_and_updated(server: &Server) {
    let mut pair = pair(server, "deleted");
    pair.a.run("DELETE FROM t WHERE id=1");
    pair.tick();
    pair.b.run("UPDATE t SET a='kept' WHERE id=1");
    pair.b.run("UPDATE t SET a='lost', n=7 WHERE id=2");
    pair.tick();
    pair.a.run("DELETE FROM t WHERE id=2");
    pair.b.run("DELETE FROM t WHERE id=3");
    pair.tick();
    pair.a.run("UPDATE t SET a='kept' WHERE id=3");
    assert_eq!(pair.settle().conflicts().count(), 3);
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, a, b, n ORDER BY id) FROM t"), "1keptb0,3keptb0,4ab0");
    let listed = conflicts(&mut pair);
    let kinds: Vec<&str> = listed.iter().map(|c| c.kind.as_str()).collect();
    assert_eq!(kinds, ["delete-lost", "update-lost", "delete-lost"]);
    restore(&mut pair, &listed[1].id, false);
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, a, b, n ORDER BY id) FROM t"), "1keptb0,2lostb7,3keptb0,4ab0");
    restore(&mut pair, &listed[0].id, true);
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id ORDER BY id) FROM t"), "2,3,4");
}

/// Rows of the same key: the later is shown whole, the other is kept whole.
fn inserted_twice(server: &Server) {
    let mut pair = pair(server, "twice");
    pair.a.run("INSERT INTO t VALUES (9, 'ours', NULL, 1, 0x00)");
    pair.tick();
    pair.b.run("INSERT INTO t VALUES (9, 'theirs', 'x', 1, 0xff)");
    assert_eq!(pair.settle().conflicts().count(), 1);
    assert_eq!(pair.one("SELECT CONCAT(a, b, n, HEX(big)) FROM t WHERE id=9"), "theirsx1FF");
    let listed = conflicts(&mut pair);
    assert_eq!(listed[0].kind, "insert");
    restore(&mut pair, &listed[0].id, true);
    assert_eq!(pair.one("SELECT CONCAT(a, COALESCE(b, '-'), n, HEX(big)) FROM t WHERE id=9"), "ours-100");
}

/// Both values are kept, each of which fills half a packet.
fn large_values(server: &Server) {
    let mut pair = pair(server, "bigger");
    let bytes = 8 << 20;
    pair.a.run(&format!("UPDATE t SET big=REPEAT(0x00, {bytes}) WHERE id=1"));
    pair.b.run(&format!("UPDATE t SET big=REPEAT(0xfe, {bytes}) WHERE id=1"));
    assert_eq!(pair.settle().conflicts().count(), 1);
    let listed = conflicts(&mut pair);
    assert_eq!(listed[0].losing[0].weight(), listed[0].winning[0].weight());
    restore(&mut pair, &listed[0].id, true);
    assert_eq!(pair.one("SELECT CONCAT(LENGTH(big), HEX(RIGHT(big, 1))) FROM t WHERE id=1"), format!("{bytes}00"));
}

const STORIES: &[Story] = &[
    ("different_columns", different_columns),
    ("same_column", same_column),
    ("equal_values", equal_values),
    ("deleted_and_updated", deleted_and_updated),
    ("inserted_twice", inserted_twice),
    ("large_values", large_values),
];

on_both_servers!(on_mariadb, on_mysql, |server| stories(server, STORIES));

#[test]
fn through_an_agent() {
    support::through_an_agent(|| stories(MariaDb::shared().unwrap(), STORIES));
}

/// Who saw a value and wrote another wins, although by its clock it wrote before.
#[test]
fn clocks_two_minutes_apart() {
    let slow = MariaDb::start(Options::new().clock("-2m")).unwrap();
    let right = MariaDb::shared().unwrap();
    for (name, a, b, order) in [("slow", &slow, right, "ab"), ("fast", right, &slow, "ba")] {
        let mut pair = Pair::between(a, b, name, SCHEMA);
        pair.a.run("INSERT INTO t (id, a, n) VALUES (1, 'a', 0), (2, 'a', 0)");
        pair.settle();
        for n in 0..3 {
            let (first, second) = if order == "ab" { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
            let value = format!("by the right clock {n}");
            second.run(&format!("UPDATE t SET a='{value}' WHERE id=1"));
            let (slow_site, value) = (first.name, format!("seen {n}"));
            assert_eq!(pair.settle().conflicts().count(), 0);
            let site = if pair.a.name == slow_site { &pair.a } else { &pair.b };
            site.run(&format!("UPDATE t SET a='{value}' WHERE id=1"));
            site.run("DELETE FROM t WHERE id=2");
            assert_eq!(pair.settle().conflicts().count(), 0);
            assert_eq!(pair.one("SELECT a FROM t WHERE id=1"), value);
            assert_eq!(pair.one("SELECT COUNT(*) FROM t"), "1");
        }
        // Concurrent writes go by the clock; the loser is listed.
        pair.run_at_both("UPDATE t SET n=n+1 WHERE id=1");
        pair.a.run("UPDATE t SET b='geneva' WHERE id=1");
        pair.b.run("UPDATE t SET b='lyon' WHERE id=1");
        assert_eq!(pair.settle().conflicts().count(), 1);
        assert_eq!(pair.one("SELECT b FROM t"), if order == "ab" { "lyon" } else { "geneva" });
    }
}

/// Nothing is touched.
#[test]
fn a_clock_off_by_an_hour() {
    let right = MariaDb::shared().unwrap();
    let schema = format!("{SCHEMA};\nINSERT INTO t (id, a) VALUES (1, 'a')");
    for clock in ["-1h", "+1h"] {
        let off = MariaDb::start(Options::new().clock(clock)).unwrap();
        let mut pair = Pair::filled(right, &off, "hour", [&schema, SCHEMA]);
        for first in [true, false] {
            let name = pair.b.name;
            let mut told = options(name);
            let error = round_between(&mut pair.a, &mut pair.b, &told, &mut ()).unwrap_err();
            assert_eq!(error.kind, Kind::Halt);
            assert!(error.message.contains("clocks of geneva and lyon differ by"), "{}", error.message);
            assert!(error.hint.is_some_and(|h| h.contains("check the clock of")));
            assert_eq!(pair.b.one("SELECT GROUP_CONCAT(id) FROM t"), if first { "" } else { "1" });
            // Two sites that know each other, when a clock goes wrong: here by a stricter setting.
            told.expected.max_clock_difference = Duration::from_secs(7200);
            round_between(&mut pair.a, &mut pair.b, &told, &mut ()).unwrap();
            pair.a.run("INSERT INTO t (id, a) VALUES (2, 'a') ON DUPLICATE KEY UPDATE a='b'");
            if first {
                assert_eq!(pair.b.one("SELECT GROUP_CONCAT(id) FROM t"), "1");
            }
        }
    }
}
