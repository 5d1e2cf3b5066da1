//! The full compare against the truth, on real servers: every difference is found and nothing else, in large tables, in
//! tables that are stored differently, under collations that differ, and while the application writes.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use mysql::prelude::Queryable;
use mysql::{Conn, params};
use support::{Pair, Site, options};
use sync_core::Value;
use sync_core::digest::Order;
use sync_engine::compare::{Reaches, Stores, Traffic, find};
use sync_engine::verify::{Verification, verify};
use sync_store::{Method, Scope, Store};
use sync_testbed::{MariaDb, Mysql};

/// What a compare finds in one table: the keys, and how rows differ.
type Found = BTreeMap<Vec<Value>, &'static str>;

/// Compares a table without asking whether its definition is the same on both sides.
fn found(a: &mut Site, b: &mut Site, table: &str, order: Order) -> (Found, Traffic) {
    found_by(a, b, Scope::whole(table, order))
}

/// The same by sums that the databases make.
fn summed(a: &mut Site, b: &mut Site, table: &str) -> (Found, Traffic) {
    found_by(a, b, Scope { method: Method::Summed, ..Scope::whole(table, Order::Keys) })
}

fn found_by(a: &mut Site, b: &mut Site, scope: Scope) -> (Found, Traffic) {
    let (mut traffic, mut all) = (Traffic::default(), Found::new());
    a.store.drain().unwrap();
    b.store.drain().unwrap();
    let (here, there) = (a.store.describe().unwrap(), b.store.describe().unwrap());
    let knowledge = (a.store.knowledge().unwrap(), b.store.knowledge().unwrap());
    let reaches = Reaches::of((here.source, &knowledge.0), (there.source, &knowledge.1));
    let mut stores = Stores { master: &mut a.store, slave: &mut b.store };
    let tables = find(&mut stores, vec![scope], &mut traffic, &mut ()).unwrap();
    for table in tables {
        let mut review = table.review().unwrap();
        while let Some(differences) = review.next(&mut stores, &reaches, &mut traffic).unwrap() {
            assert!(differences.on_the_way.is_empty(), "{:?}", differences.on_the_way);
            let mut add = |keys: Vec<Vec<Value>>, kind| {
                keys.into_iter().for_each(|k| assert_eq!(all.insert(k, kind), None, "a row is found once"))
            };
            add(differences.differing, "differs");
            add(differences.only_master, "only a");
            add(differences.only_slave, "only b");
        }
    }
    (all, traffic)
}

fn verified(pair: &mut Pair) -> Verification {
    let expected = options("lyon").expected;
    let mut stores = Stores { master: &mut pair.a.store, slave: &mut pair.b.store };
    verify(&mut stores, &expected, &mut ()).unwrap()
}

/// A connection whose writes are not marked, as if triggers were off.
fn unmarked(site: &Site) -> Conn {
    let mut connection = site.app();
    connection.query_drop("SET NAMES utf8mb4").unwrap();
    connection.query_drop("SET @server_sync_applying = 1").unwrap();
    connection
}

const COLUMNS: &str = "id BIGINT PRIMARY KEY, n INT NOT NULL, flag TINYINT NOT NULL, f DOUBLE, amount DECIMAL(10,2), \
    at DATETIME(3), s VARCHAR(40), t VARCHAR(40) NOT NULL, b VARBINARY(12) NOT NULL, state ENUM('new','open','won')";

const VALUES: &str = "seq * 3, seq % 1000, seq % 2, SQRT(seq), seq / 7, '2024-02-29' + INTERVAL seq SECOND, \
    IF(seq % 5, CONCAT('soci\u{e9}t\u{e9} ', seq), ''), CONCAT('name ', seq % 777), UNHEX(SHA1(seq)) , 1 + seq % 3";

/// A way in which one row can differ, as a statement at one site for the row `:id`.
const CHANGES: &[(&str, &str)] = &[
    ("one bit of an integer", "UPDATE big SET n = n ^ 64 WHERE id = :id"),
    (
        "one bit of bytes",
        "UPDATE big SET b = CONCAT(CHAR(ORD(LEFT(b, 1)) ^ 1 USING binary), SUBSTR(b, 2)) WHERE id = :id",
    ),
    ("the last bits of a double", "UPDATE big SET f = f * 1.0000000000000003 WHERE id = :id"),
    ("a cent", "UPDATE big SET amount = amount + 0.01 WHERE id = :id"),
    ("a millisecond", "UPDATE big SET at = at + INTERVAL 1000 MICROSECOND WHERE id = :id"),
    ("NULL and empty", "UPDATE big SET s = IF(s = '', NULL, '') WHERE id = :id"),
    ("a space at the end", "UPDATE big SET t = CONCAT(t, ' ') WHERE id = :id"),
    ("letter case", "UPDATE big SET t = CONCAT('N', SUBSTR(t, 2)) WHERE id = :id"),
    ("another label", "UPDATE big SET state = IF(state = 'new', 'won', 'new') WHERE id = :id"),
];

/// Numbers that look random but are always the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Makes rows differ in all ways; returns the truth.
fn scatter(pair: &Pair, rows: u64) -> Found {
    let mut numbers = Numbers(rows);
    let mut truth = Found::new();
    let mut connections = [unmarked(&pair.a), unmarked(&pair.b)];
    let mut change = |side: usize, statement: &str, id: u64, kind| {
        if truth.insert(vec![Value::Int(id as i64)], kind).is_none() {
            connections[side].exec_drop(statement, params! { "id" => id }).unwrap();
            assert_eq!(connections[side].affected_rows(), 1, "{statement} {id}");
        }
    };
    for i in 0..20 {
        for (k, (_, statement)) in CHANGES.iter().enumerate() {
            change((i + k) % 2, statement, 3 * (1 + numbers.below(rows)), "differs");
        }
        let (gone, come) = (3 * (1 + numbers.below(rows)), 3 * numbers.below(rows) + 1);
        change(i % 2, "DELETE FROM big WHERE id = :id", gone, if i % 2 == 0 { "only b" } else { "only a" });
        let insert = "INSERT INTO big VALUES (:id, 1, 1, 1, 1, NULL, NULL, '', '', NULL)";
        change(i % 2, insert, come, if i % 2 == 0 { "only a" } else { "only b" });
        // Two flags of neighbours: what XOR of a CRC misses.
        let first = 3 * (1 + numbers.below(rows - 1));
        for id in [first, first + 3] {
            change(0, "UPDATE big SET flag = 1 - flag WHERE id = :id", id, "differs");
        }
    }
    truth
}

#[test]
fn every_difference_among_a_million_rows_is_found() {
    const ROWS: u64 = 1_000_000;
    let server = MariaDb::shared().unwrap();
    // The same rows: stored in another order, row format and character set.
    let a = format!("CREATE TABLE big ({COLUMNS}) ROW_FORMAT=COMPACT CHARACTER SET utf8mb4");
    let b = format!("CREATE TABLE big ({COLUMNS}, KEY (n)) ROW_FORMAT=DYNAMIC CHARACTER SET latin1");
    let mut pair = Pair::filled(server, server, "million", [&a, &b]);
    for (site, order) in [(&pair.a, "seq"), (&pair.b, "seq DESC")] {
        let fill = format!("INSERT INTO big SELECT {VALUES} FROM seq_1_to_{ROWS} ORDER BY {order}");
        unmarked(site).query_drop("SET sql_mode=''").unwrap();
        let mut connection = unmarked(site);
        connection.query_drop("SET sql_mode=''").unwrap();
        connection.query_drop(fill).unwrap();
    }
    let (nothing, traffic) = found(&mut pair.a, &mut pair.b, "big", Order::Keys);
    assert_eq!(nothing, Found::new());
    assert!(traffic.exchanges == 1 && traffic.bytes < 20_000, "{traffic:?}");
    let (nothing, traffic) = summed(&mut pair.a, &mut pair.b, "big");
    assert_eq!(nothing, Found::new());
    assert!(traffic.exchanges == 1 && traffic.bytes < 120_000, "{traffic:?}");
    let truth = scatter(&pair, ROWS);
    let (all, traffic) = found(&mut pair.a, &mut pair.b, "big", Order::Keys);
    assert_eq!(all, truth);
    assert!(traffic.exchanges == 4 && traffic.bytes < 1_000_000, "{traffic:?}");
    assert_eq!(found(&mut pair.a, &mut pair.b, "big", Order::Buckets).0, truth);
    let (all, traffic) = summed(&mut pair.a, &mut pair.b, "big");
    assert_eq!(all, truth);
    assert_eq!(traffic.exchanges, 4);
}

/// Keys of several columns, a text among them; empty sides; and a side that has rows behind the last of the other.
#[test]
fn sums_over_other_keys() {
    let server = MariaDb::shared().unwrap();
    let schema = "CREATE TABLE k (k VARCHAR(40), m INT, v INT NOT NULL, PRIMARY KEY (k, m))";
    let mut pair = Pair::new(server, "summed", schema);
    let fill = |site: &Site, seqs: &str| {
        let statement =
            format!("INSERT INTO k SELECT CONCAT(CHAR(65 + seq % 50), seq DIV 3), seq % 3, seq FROM {seqs}");
        unmarked(site).query_drop(statement).unwrap();
    };
    assert_eq!(summed(&mut pair.a, &mut pair.b, "k").0, Found::new());
    fill(&pair.b, "seq_1_to_9");
    let only_b = summed(&mut pair.a, &mut pair.b, "k").0;
    assert_eq!((only_b.len(), only_b.values().all(|kind| *kind == "only b")), (9, true));
    fill(&pair.a, "seq_1_to_20000");
    fill(&pair.b, "seq_10_to_20000");
    assert_eq!(summed(&mut pair.a, &mut pair.b, "k").0, Found::new());
    unmarked(&pair.a).query_drop("UPDATE k SET v = -v WHERE v % 999 = 1").unwrap();
    unmarked(&pair.b).query_drop("DELETE FROM k WHERE v % 999 = 3").unwrap();
    unmarked(&pair.b).query_drop("INSERT INTO k VALUES ('\u{df}', 1, 1), ('{', 1, 1)").unwrap();
    let by_reading = found(&mut pair.a, &mut pair.b, "k", Order::Keys).0;
    assert_eq!(by_reading.len(), 21 + 21 + 2);
    assert_eq!(summed(&mut pair.a, &mut pair.b, "k").0, by_reading);
}

/// A database on another machine is compared by sums, and a round over such a link settles what they find.
#[test]
fn far_databases_are_compared_by_sums() {
    let server = MariaDb::shared().unwrap();
    let schema = "CREATE TABLE t (id INT PRIMARY KEY, s TEXT, d DOUBLE); CREATE TABLE g (id INT PRIMARY KEY, g POINT)";
    let mut pair = Pair::new(server, "far", schema);
    pair.a.run("INSERT INTO t SELECT seq, CONCAT('text ', seq), seq / 7 FROM seq_1_to_5000");
    pair.a.run("INSERT INTO g SELECT seq, POINT(seq, 1) FROM seq_1_to_100");
    pair.settle();
    pair.b.far();
    unmarked(&pair.b).query_drop("UPDATE t SET d = d * 1.0000000000000003 WHERE id % 500 = 7").unwrap();
    unmarked(&pair.b).query_drop("UPDATE g SET g = POINT(1, 2) WHERE id = 7").unwrap();
    let found = verified(&mut pair);
    let counts: Vec<_> = found.tables.iter().map(|t| (t.name.as_str(), t.differing, t.rows, t.peer_rows)).collect();
    assert_eq!(counts, [("g", 1, 100, 100), ("t", 10, 5000, 5000)]);
    let init = sync_engine::Options { init: true, ..options("lyon") };
    support::rounds(&mut pair.a, &mut pair.b, &init, std::time::Instant::now());
    pair.settle();
    assert!(verified(&mut pair).is_equal());
}

/// A value that is larger than the server's packets cannot be hashed there, and is looked at as it is.
#[test]
fn what_a_server_cannot_hash_is_looked_at() {
    let server = MariaDb::shared().unwrap();
    let mut pair = Pair::new(server, "packets", "CREATE TABLE t (id INT PRIMARY KEY, s LONGTEXT CHARACTER SET latin1)");
    let limit: u64 = pair.a.app().query_first("SELECT @@max_allowed_packet").unwrap().unwrap();
    for site in [&pair.a, &pair.b] {
        let mut connection = unmarked(site);
        connection.query_drop("INSERT INTO t SELECT seq, CONCAT('text ', seq) FROM seq_1_to_500").unwrap();
        // As two bytes a character, which it becomes on its way into the hash, it is too large.
        let large = format!("UPDATE t SET s = REPEAT(_latin1 0xe9, {}) WHERE id = 7", limit * 2 / 3);
        connection.query_drop(large).unwrap();
    }
    assert_eq!(summed(&mut pair.a, &mut pair.b, "t").0, Found::new());
    unmarked(&pair.b).query_drop("UPDATE t SET s = CONCAT(LEFT(s, CHAR_LENGTH(s) - 1), 'e') WHERE id = 7").unwrap();
    assert_eq!(summed(&mut pair.a, &mut pair.b, "t").0, Found::from([(vec![Value::Int(7)], "differs")]));
}

/// Text keys of every kind under collations that sort them differently: compared by bucket, and even if somebody takes
/// them for sorted alike, nothing wrong is reported.
#[test]
fn keys_under_other_collations() {
    let server = MariaDb::shared().unwrap();
    let table = |collation: &str| {
        format!("CREATE TABLE k (k VARCHAR(40) COLLATE {collation}, m INT, v INT NOT NULL, PRIMARY KEY (k, m))")
    };
    let schemas = [table("utf8mb4_bin"), table("utf8mb4_general_ci")];
    let mut pair = Pair::filled(server, server, "collations", [&schemas[0], &schemas[1]]);
    let word =
        "CONCAT(CHAR(65 + seq % 26), IF(seq % 3, 'e', 'é'), CHAR(97 + seq DIV 26 % 26), IF(seq % 7, '', '_'), seq)";
    for site in [&pair.a, &pair.b] {
        unmarked(site).query_drop(format!("INSERT INTO k SELECT {word}, seq % 3, seq FROM seq_1_to_50000")).unwrap();
    }
    for order in [Order::Buckets, Order::Keys] {
        assert_eq!(found(&mut pair.a, &mut pair.b, "k", order).0, Found::new());
    }
    unmarked(&pair.a).query_drop("UPDATE k SET v = -v WHERE v % 9999 = 1").unwrap();
    unmarked(&pair.b).query_drop("UPDATE k SET k = LOWER(k) WHERE v % 9999 = 2").unwrap();
    unmarked(&pair.b).query_drop("DELETE FROM k WHERE v % 9999 = 3").unwrap();
    let keys = |site: &Site, condition: &str| -> BTreeSet<Vec<Value>> {
        let rows: Vec<(String, i64)> = site.app().query(format!("SELECT k, m FROM k WHERE {condition}")).unwrap();
        rows.into_iter().map(|(k, m)| vec![Value::text(k), Value::Int(m)]).collect()
    };
    let mut truth = Found::new();
    truth.extend(keys(&pair.a, "v < 0").into_iter().map(|k| (k, "differs")));
    truth.extend(keys(&pair.a, "v % 9999 IN (2, 3)").into_iter().map(|k| (k, "only a")));
    truth.extend(keys(&pair.b, "v % 9999 = 2").into_iter().map(|k| (k, "only b")));
    assert_eq!(truth.len(), 6 + 6 + 6 + 6);
    for order in [Order::Buckets, Order::Keys] {
        assert_eq!(found(&mut pair.a, &mut pair.b, "k", order).0, truth, "{order:?}");
    }
}

/// Ends the writers, whatever becomes of the test.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Rows that move meanwhile are never reported, and what differs without a mark always is.
#[test]
fn nothing_is_wrong_while_the_application_writes() {
    let server = MariaDb::shared().unwrap();
    let schema = "CREATE TABLE w (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL, s VARCHAR(40))";
    let mut pair = Pair::new(server, "writing", schema);
    pair.a.run("INSERT INTO w SELECT seq, seq, CONCAT('text ', seq) FROM seq_1_to_20000");
    pair.settle();
    let wrong: Vec<u64> = (1..10).map(|i| i * 1999).collect();
    let listed = wrong.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    unmarked(&pair.b).query_drop(format!("UPDATE w SET s = 'wrong' WHERE id IN ({listed})")).unwrap();
    let stop = AtomicBool::new(false);
    let write = |site: (&sync_testbed::Server, String), seed: u64| {
        let options = site.0.opts().db_name(Some(site.1));
        let (mut connection, mut numbers) = (Conn::new(options).unwrap(), Numbers(seed));
        while !stop.load(Ordering::Relaxed) {
            // Not the rows that differ: an update of those would settle what is to be found.
            let id = 1 + numbers.below(20_000);
            let id = if wrong.contains(&id) { id + 1 } else { id };
            let statement = match numbers.below(4) {
                0 => format!("DELETE FROM w WHERE id = {id}"),
                1 => format!("REPLACE INTO w VALUES ({id}, {id}, 'again')"),
                2 => format!("INSERT INTO w (n) VALUES ({id})"),
                _ => format!("UPDATE w SET n = n + 1 WHERE id BETWEEN {id} AND {id} + 3 AND id NOT IN ({listed})"),
            };
            connection.query_drop(statement).ok();
            // As fast as a few users, and slower than a drain on any machine.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    };
    let sites = [(pair.a.server, pair.a.database.clone()), (pair.b.server, pair.b.database.clone())];
    std::thread::scope(|scope| {
        let ending = Ending(&stop);
        for (site, seed) in sites.into_iter().zip([7, 8]) {
            let write = &write;
            scope.spawn(move || write(site, seed));
        }
        for round in 0..6 {
            let found = verified(&mut pair);
            let table = &found.tables[0];
            let counts = [table.differing, table.only_here, table.only_there];
            assert_eq!(counts, [wrong.len() as u64, 0, 0], "{:?}", table.examples);
            if round % 2 == 1 {
                support::try_round(&mut pair.a, &mut pair.b, &options("lyon"));
            }
        }
        drop(ending);
    });
    let init = sync_engine::Options { init: true, ..options("lyon") };
    support::rounds(&mut pair.a, &mut pair.b, &init, std::time::Instant::now());
    pair.settle();
    assert!(verified(&mut pair).is_equal());
}

/// What the two products send is hashed alike.
#[test]
fn a_table_of_mariadb_and_mysql_is_equal() {
    let Some(mysql) = Mysql::shared().unwrap() else {
        eprintln!("skipped: there is no MySQL here");
        return;
    };
    let columns = "id INT PRIMARY KEY, n BIGINT UNSIGNED, y YEAR, bits BIT(9), f FLOAT, d DOUBLE, m DECIMAL(20,6), a DATE, \
        t TIME(3), at DATETIME(6), ts TIMESTAMP(3) NULL, c CHAR(9), v VARCHAR(99), x TEXT, e ENUM('a','\u{e9}'), \
        s SET('x','y'), b BINARY(4), l BLOB, g GEOMETRY";
    let schema = format!(
        "CREATE TABLE p ({columns}) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci; \
         CREATE TABLE q (k VARCHAR(20) COLLATE utf8mb4_unicode_ci PRIMARY KEY, n INT); \
         CREATE TABLE r ({}) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        columns.trim_end_matches(", g GEOMETRY")
    );
    let mut pair = Pair::between(MariaDb::shared().unwrap(), mysql, "products", &schema);
    for id in 1..=300 {
        pair.a.run(&format!(
            "SET sql_mode='ALLOW_INVALID_DATES'; INSERT INTO p VALUES ({id}, 18446744073709551615 - {id}, 1901 + {id} % 200, \
             {id} % 512, {id} / 7, SQRT({id}), {id} / 3, '2024-02-30', '-12:34:56.789', '2024-01-01 10:00:00.000001', \
             '2024-01-01 10:00:00.5', 'ab', 'caf\u{e9} ', REPEAT('\u{1F600}', {id} * 3), '\u{e9}', 'x,y', 'ab', \
             REPEAT(0x00ff, {id} * 2), ST_GeomFromText('POINT({id} 2)')), \
             (-{id}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
        ));
        pair.b.run(&format!(
            "INSERT INTO q VALUES ('{}', {id})",
            ["caf\u{e9}", "Z", "a "][id % 3].to_owned() + &id.to_string()
        ));
    }
    pair.a.run("SET sql_mode='ALLOW_INVALID_DATES'; INSERT INTO r SELECT id, n, y, bits, f, d, m, a, t, at, ts, c, v, x, e, s, b, l FROM p");
    pair.sync();
    let found = verified(&mut pair);
    assert!(found.is_equal() && found.tables.iter().all(|t| t.on_the_way == 0), "{found:?}");
    // No row even seemed to differ.
    assert_eq!(summed(&mut pair.a, &mut pair.b, "r").1.exchanges, 1);
    assert_eq!(found.tables.iter().map(|t| t.rows).collect::<Vec<_>>(), [600, 300, 600]);
}
