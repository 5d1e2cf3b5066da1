//! Awkward schemas: keys and names of every kind, tables that cannot or should not be synchronised, statements that
//! write many rows at once, and definitions that change while the application writes.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use mysql::prelude::Queryable;
use mysql::{Conn, LocalInfileHandler};
use support::{Pair, Site, Story, options, round_between, stories};
use sync_engine::RoundReport;
use sync_store::Store;
use sync_testbed::{Flavour, MariaDb, Server, on_both_servers};

/// The key's columns, and five keys.
type Key = (&'static str, [&'static str; 5]);

const KEYS: &[Key] = &[
    ("k INT, l VARCHAR(20)", ["1, 'a'", "1, 'b'", "2, 'a'", "-1, ''", "2, 'ä'"]),
    ("k VARCHAR(40)", ["'abc'", "''", "'é😀'", "'a\\'b\\\\'", "REPEAT('x', 40)"]),
    ("k VARCHAR(40) COLLATE utf8mb4_bin", ["'abc'", "'ABC'", "'é'", "'e\u{301}'", "'ab'"]),
    ("k VARCHAR(40) CHARACTER SET latin1", ["'abc'", "'é'", "'€'", "'ÿ'", "'ab'"]),
    ("k BINARY(16)", ["0x00112233445566778899aabbccddeeff", "REPEAT(0x00, 16)", "REPEAT(0xff, 16)", "'a'", "'A'"]),
    ("k VARBINARY(300)", ["REPEAT(0x61, 300)", "''", "0x00", "0x0000", "0xff"]),
    ("k DECIMAL(65,30)", ["1", "1.000000000000000000000000000001", "1.000000000000000000000000000002", "-1", "0"]),
    ("k DATE", ["'2024-01-01'", "'0000-00-00'", "'2024-01-00'", "'9999-12-31'", "'2024-01-02'"]),
    (
        "k DATETIME(6)",
        [
            "'2024-01-01'",
            "'2024-01-01 00:00:00.000001'",
            "'2024-01-01 00:00:00.000002'",
            "'1000-01-01'",
            "'2025-01-01'",
        ],
    ),
    (
        "k TIMESTAMP(3)",
        ["'2024-01-01'", "'2024-01-01 00:00:00.001'", "'2024-01-01 00:00:00.002'", "'1980-01-01'", "'2025-01-01'"],
    ),
    ("k TIME(6)", ["'-838:59:59'", "'00:00:00.000001'", "'00:00:00'", "'838:59:59'", "'12:00:00'"]),
    (
        "k BIGINT UNSIGNED",
        ["18446744073709551615", "18446744073709551614", "0", "9223372036854775808", "9223372036854775807"],
    ),
    ("k BIGINT", ["-9223372036854775808", "9223372036854775807", "0", "9007199254740993", "9007199254740992"]),
    ("k DOUBLE", ["0.1", "0.30000000000000004e0", "0.3e0", "1.7976931348623157e308", "-1"]),
    ("k FLOAT", ["0.1", "16777216", "16777214", "3e38", "-1"]),
    ("k BIT(64)", ["0xffffffffffffffff", "0xfffffffffffffffe", "0", "1", "0x8000000000000000"]),
    ("k YEAR", ["0", "1901", "2155", "2000", "2024"]),
    ("k ENUM('a','A b','é','d','e')", ["'a'", "'A b'", "'é'", "'d'", "'e'"]),
    ("k SET('a','b','c')", ["''", "'a'", "'a,b'", "'c'", "'a,b,c'"]),
    (
        "k INT, l DATE, m CHAR(3), n DECIMAL(6,2)",
        [
            "1, '2024-01-01', 'a', 1.5",
            "1, '2024-01-01', 'a', 1.51",
            "1, '2024-01-01', 'b', 1.5",
            "1, '2024-01-02', 'a', 1.5",
            "2, '2024-01-01', 'a', 1.5",
        ],
    ),
];

const UUID_KEY: Key = (
    "k UUID",
    [
        "'00000000-0000-0000-0000-000000000001'",
        "'123e4567-e89b-12d3-a456-426655440000'",
        "'123e4567-e89b-12d3-a456-426655440001'",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        "'00000000-0000-0000-0000-000000000000'",
    ],
);

fn lax(site: &Site) -> Conn {
    let mut connection = site.app();
    connection.query_drop("SET sql_mode='ALLOW_INVALID_DATES', time_zone='+00:00'").unwrap();
    connection
}

fn run(connection: &mut Conn, statement: &str) {
    let result = connection.query_drop(statement);
    assert!(result.is_ok(), "{}: {result:?}", statement.chars().take(300).collect::<String>());
}

/// The names of a key's columns.
fn names(key: &str) -> Vec<&str> {
    let parts = key.split(", ").filter(|part| part.starts_with(|c: char| ('k'..='n').contains(&c)));
    parts.filter_map(|part| part.split_once(' ').map(|(name, _)| name)).collect()
}

fn is(key: &str, value: &str) -> String {
    format!("({}) = ({value})", names(key).join(", "))
}

fn keys(server: &Server) {
    let mut all: Vec<Key> = KEYS.to_vec();
    if server.flavour() == Flavour::MariaDb {
        all.push(UUID_KEY);
    }
    let table = |(i, (key, _)): (usize, &Key)| {
        format!("CREATE TABLE t{i} ({key}, v INT, w INT, PRIMARY KEY ({}))", names(key).join(", "))
    };
    let schema: Vec<String> = all.iter().enumerate().map(table).collect();
    let mut pair = Pair::new(server, "keys", &format!("SET sql_mode='';\n{}", schema.join(";\n")));
    let (mut a, mut b) = (lax(&pair.a), lax(&pair.b));
    let each = |connection: &mut Conn, statement: &dyn Fn(usize, &Key) -> String| {
        all.iter().enumerate().for_each(|(i, key)| run(connection, &statement(i, key)));
    };
    let insert = |i: usize, k: &Key, n: usize| format!("INSERT INTO t{i} VALUES ({}, 0, 0)", k.1[n]);
    for n in 0..3 {
        each(if n == 1 { &mut b } else { &mut a }, &|i, k| insert(i, k, n));
    }
    pair.settle();
    each(&mut a, &|i, k| format!("UPDATE t{i} SET v=1 WHERE {}", is(k.0, k.1[1])));
    each(&mut b, &|i, k| format!("UPDATE t{i} SET w=2 WHERE {}", is(k.0, k.1[1])));
    assert_eq!(pair.settle().conflicts().count(), 0);
    // A row moves, one goes, one comes.
    let moved = |k: &Key, to: &str| {
        let columns: Vec<&str> = names(k.0);
        let values = to.split(", ").map(str::trim);
        columns.iter().zip(values).map(|(c, v)| format!("{c}={v}")).collect::<Vec<_>>().join(", ")
    };
    each(&mut a, &|i, k| match k.0.contains("VARBINARY") || k.1[3].contains("REPEAT") {
        true => format!("UPDATE t{i} SET k={} WHERE {}", k.1[3], is(k.0, k.1[0])),
        false => format!("UPDATE t{i} SET {} WHERE {}", moved(k, k.1[3]), is(k.0, k.1[0])),
    });
    each(&mut b, &|i, k| format!("DELETE FROM t{i} WHERE {}", is(k.0, k.1[2])));
    each(&mut b, &|i, k| insert(i, k, 4));
    assert_eq!(pair.settle().conflicts().count(), 0);
    for (i, (key, _)) in all.iter().enumerate() {
        assert_eq!(pair.one(&format!("SELECT CONCAT_WS(',', COUNT(*), SUM(v), SUM(w)) FROM t{i}")), "3,1,2", "{key}");
    }
}

/// First contact with tables that are larger than a page, and whose keys sort in other ways than they compare.
fn large_tables(server: &Server) {
    let keys = [
        "e ENUM('z','a','m',''), k INT",
        "k INT, e ENUM('z','a','m') COLLATE utf8mb4_bin",
        "k DECIMAL(65,30), e INT",
        "k INT, e VARCHAR(20) COLLATE utf8mb4_unicode_ci",
        "e VARCHAR(20) CHARACTER SET latin1, k INT",
        "e SET('z','a','m'), k INT",
        "e BIT(3), k BIGINT UNSIGNED",
        "k DATETIME(6), e TINYINT",
        "e FLOAT, k INT",
        "e TIME, k INT",
        "k BINARY(16), e CHAR(1)",
    ];
    let rows = |key: &str| -> String {
        let e = if key.contains("ENUM") || key.contains("SET(") {
            "ELT(IF(n < 700, 1, 2 + n % 2), 'z', 'a', 'm')"
        } else if key.contains("CHAR") {
            "ELT(1 + n % 3, 'é', 'E', 'f ')"
        } else {
            "n % 3"
        };
        let k = if key.contains("DECIMAL") {
            "CAST(n AS DECIMAL(65,30)) / 1000000000000000000"
        } else if key.contains("DATETIME") {
            "'2024-01-01' + INTERVAL n MICROSECOND"
        } else if key.contains("BINARY(16)") {
            "UNHEX(LEFT(SHA2(n, 256), 32))"
        } else {
            "n"
        };
        format!("{e} AS e, {k} AS k")
    };
    let table = |(i, key): (usize, &&str)| {
        format!(
            "CREATE TABLE t{i} ({key}, v INT, PRIMARY KEY ({}))",
            if key.starts_with('e') { "e, k" } else { "k, e" }
        )
    };
    let fill = |i: usize, key: &str, count: u32| {
        let numbers = format!("WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < {count})");
        format!("INSERT INTO t{i} (e, k, v) {numbers} SELECT {}, n FROM s", rows(key))
    };
    let schema = |side: usize| {
        let one = |(i, key): (usize, &&str)| {
            let count = if i % 2 == side { 999 } else { 300 };
            format!("{};\n{}", table((i, key)), fill(i, key, count))
        };
        keys.iter().enumerate().map(one).collect::<Vec<_>>().join(";\n")
    };
    let mut pair = Pair::filled(server, server, "pages", [&schema(0), &schema(1)]);
    pair.settle();
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(pair.one(&format!("SELECT COUNT(*) FROM t{i}")), "999", "{key}");
    }
}

/// A key that changes only in what its collation does not see.
fn keys_alike(server: &Server) {
    let schema = "CREATE TABLE t (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT);\n\
        CREATE TABLE u (a INT, k VARCHAR(20) COLLATE utf8mb4_general_ci, v INT, PRIMARY KEY (a, k))";
    let mut pair = Pair::new(server, "alike", schema);
    pair.a.run("INSERT INTO t VALUES ('abc', 1), ('def', 1), ('é', 1), ('x', 1)");
    pair.a.run("INSERT INTO u VALUES (1, 'abc', 1), (2, 'abc', 1)");
    pair.settle();
    pair.a.run("UPDATE t SET k='ABC' WHERE k='abc'");
    pair.b.run("UPDATE t SET k='e' WHERE k='é'");
    pair.b.run("UPDATE u SET k='Abc' WHERE a=1");
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(k ORDER BY BINARY k) FROM t"), "ABC,def,e,x");
    assert_eq!(pair.one("SELECT GROUP_CONCAT(k ORDER BY a) FROM u"), "Abc,abc");
    pair.b.run("UPDATE t SET k='abc', v=2 WHERE k='ABC'");
    pair.a.run("DELETE FROM t WHERE k='def'");
    pair.a.run("INSERT INTO t VALUES ('DEF', 5)");
    pair.a.run("UPDATE t SET k='x ' WHERE k='x'");
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(k, ':', v ORDER BY BINARY k) FROM t"), "DEF:5,abc:2,e:1,x :1");
}

fn wide(server: &Server) {
    let columns: String = (0..200).map(|i| format!(", c{i} VARCHAR(30) CHARACTER SET latin1")).collect();
    let mut pair = Pair::new(server, "wide", &format!("CREATE TABLE t (id INT PRIMARY KEY{columns})"));
    pair.a.run("INSERT INTO t (id, c0, c199) VALUES (1, 'a', 'b'), (2, 'a', 'b')");
    pair.settle();
    for (i, site) in [0, 30, 31, 32, 63, 64, 127, 128, 198, 199].iter().zip([&pair.a, &pair.b].into_iter().cycle()) {
        site.run(&format!("UPDATE t SET c{i}='x{i}' WHERE id=1"));
    }
    let all: String = (0..200).map(|i| format!("c{i}='y', ")).collect();
    pair.b.run(&format!("UPDATE t SET {} WHERE id=2", all.trim_end_matches(", ")));
    assert_eq!(pair.settle().conflicts().count(), 0);
    assert_eq!(
        pair.one("SELECT CONCAT_WS(',', c0, c30, c31, c32, c63, c64, c127, c128, c198, c199) FROM t WHERE id=1"),
        "x0,x30,x31,x32,x63,x64,x127,x128,x198,x199"
    );
    assert_eq!(pair.one("SELECT CONCAT(c0, c100, c199) FROM t WHERE id=2"), "yyy");
}

fn awkward_names(server: &Server) {
    let long = "t".repeat(64);
    let (wide, umlaut) = ("ü".repeat(64), "naïve täble — 表");
    let tables = [long.as_str(), &wide, umlaut, "select", "a`b\"c'd", "a.b", "UPPER", "100%", "a\\b", "$x y", "@ssa"];
    let columns = ["key", "a`b\"c'd", "a.b", "weiß nicht", "100%", "\\", "order", "?", ":x", "@y"];
    let quote = |name: &str| format!("`{}`", name.replace('`', "``"));
    let longest = "c".repeat(64);
    let list: Vec<String> = columns.iter().copied().chain([longest.as_str()]).map(quote).collect();
    let definition = list.iter().skip(1).map(|c| format!(", {c} VARCHAR(20)")).collect::<String>();
    let schema = tables.map(|t| format!("CREATE TABLE {} ({} VARCHAR(20) PRIMARY KEY{definition})", quote(t), list[0]));
    let mut pair = Pair::new(server, "names", &schema.join(";\n"));
    let report = pair.sync();
    assert_eq!((report.paused.len(), report.refused.len()), (0, 0));
    for table in tables.map(quote) {
        pair.a.run(&format!("INSERT INTO {table} ({}) VALUES ('k1'), ('k2'), ('k3')", list[0]));
    }
    pair.settle();
    for table in tables.map(quote) {
        for (i, column) in list.iter().enumerate().skip(1) {
            let site = if i % 2 == 0 { &pair.a } else { &pair.b };
            site.run(&format!("UPDATE {table} SET {column}='v{i}' WHERE {}='k1'", list[0]));
        }
        pair.b.run(&format!("DELETE FROM {table} WHERE {}='k2'", list[0]));
        pair.b.run(&format!("UPDATE {table} SET {0}='k4' WHERE {0}='k3'", list[0]));
    }
    assert_eq!(pair.settle().conflicts().count(), 0);
    let set = list.iter().skip(1).map(|c| format!("COALESCE({c}, '-')")).collect::<Vec<_>>().join(", ");
    for table in tables.map(quote) {
        let row = pair.one(&format!("SELECT CONCAT_WS(',', {set}) FROM {table} WHERE {}='k1'", list[0]));
        assert_eq!(row, "v1,v2,v3,v4,v5,v6,v7,v8,v9,v10", "{table}");
        assert_eq!(pair.one(&format!("SELECT COUNT(*) FROM {table}")), "2");
    }
}

fn without_primary_key(server: &Server) {
    let schema = "CREATE TABLE plain (id INT PRIMARY KEY, x INT);\n\
        CREATE TABLE by_unique (code VARCHAR(20) NOT NULL, x INT, y INT, UNIQUE KEY (code), UNIQUE KEY (x));\n\
        CREATE TABLE by_two (a INT NOT NULL, b INT NOT NULL, x INT, UNIQUE KEY (a, b));\n\
        CREATE TABLE nullable (code VARCHAR(20), x INT, UNIQUE KEY (code));\n\
        CREATE TABLE none (x INT, y INT)";
    let mut pair = Pair::new(server, "keyless", schema);
    pair.a.run("INSERT INTO none VALUES (1, 1), (1, 1)");
    pair.a.run("INSERT INTO nullable VALUES ('a', 1)");
    pair.a.run("INSERT INTO plain VALUES (1, 1)");
    pair.a.run("INSERT INTO by_unique VALUES ('a', 1, 1), ('b', 2, 2)");
    pair.b.run("INSERT INTO by_two VALUES (1, 1, 1), (1, 2, 2)");
    let report = pair.sync();
    let mut refused: Vec<&str> = report.refused.iter().map(|t| t.name.as_str()).collect();
    refused.sort();
    assert_eq!(refused, ["none", "nullable"]);
    assert!(report.refused[0].reason.contains("primary key"), "{:?}", report.refused);
    pair.b.run("UPDATE by_unique SET x=3 WHERE code='a'");
    pair.a.run("UPDATE by_unique SET y=3 WHERE code='a'");
    pair.a.run("UPDATE by_unique SET code='c' WHERE code='b'");
    pair.a.run("UPDATE by_two SET x=5 WHERE b=2");
    pair.b.run("DELETE FROM by_two WHERE b=1");
    assert_eq!(pair.sync().conflicts().count(), 0);
    assert!(pair.sync().is_quiet());
    assert_eq!(pair.one("SELECT GROUP_CONCAT(code, x, y ORDER BY code) FROM by_unique"), "a33,c22");
    assert_eq!(pair.one("SELECT GROUP_CONCAT(a, b, x) FROM by_two"), "125");
    assert_eq!(pair.one("SELECT COUNT(*) FROM plain"), "1");
    assert_eq!([pair.a.one("SELECT COUNT(*) FROM none"), pair.b.one("SELECT COUNT(*) FROM none")], ["2", "0"]);
}

fn not_transactional(server: &Server) {
    let other = if server.flavour() == Flavour::MariaDb { "Aria" } else { "InnoDB" };
    let schema = format!(
        "CREATE TABLE m (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(20), u INT, UNIQUE KEY (u), FULLTEXT KEY (x)) ENGINE=MyISAM;\n\
        CREATE TABLE n (id INT PRIMARY KEY, x INT) ENGINE={other};\nCREATE TABLE i (id INT PRIMARY KEY, x INT)"
    );
    let mut pair = Pair::new(server, "myisam", &schema);
    let warnings = pair.sync().warnings;
    assert!(warnings.iter().any(|w| w.contains("table m ") && w.contains("not transactional")), "{warnings:?}");
    pair.a.run("INSERT INTO m (x, u) VALUES ('a', 1), ('b', 2), ('c', 3)");
    pair.b.run("INSERT INTO n VALUES (1, 1)");
    pair.b.run("INSERT INTO i VALUES (1, 1)");
    pair.settle();
    pair.b.run("UPDATE m SET x='B' WHERE id=2");
    pair.a.run("DELETE FROM m WHERE id=1");
    pair.a.run("UPDATE n SET x=2");
    pair.settle();
    pair.a.run("UPDATE m SET u=NULL WHERE id=2");
    pair.a.run("UPDATE m SET u=2 WHERE id=3");
    pair.a.run("UPDATE m SET u=3 WHERE id=2");
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, x, u ORDER BY id) FROM m"), "2B3,3c2");
}

fn truncated(server: &Server) {
    let mut pair = Pair::new(server, "truncated", "CREATE TABLE t (id INT PRIMARY KEY, x INT)");
    pair.a.run("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)");
    pair.settle();
    pair.a.run("TRUNCATE t");
    pair.a.run("INSERT INTO t VALUES (9, 9)");
    pair.sync();
    assert_eq!(pair.b.one("SELECT GROUP_CONCAT(id ORDER BY id) FROM t"), "1,2,3,9");
    // Whatever is written to such a row elsewhere brings it back.
    pair.b.run("UPDATE t SET x=5 WHERE id=2");
    pair.sync();
    assert_eq!(pair.a.one("SELECT GROUP_CONCAT(id, x ORDER BY id) FROM t"), "25,99");
}

/// Tables are created, dropped, created anew with another definition, and renamed.
fn tables_come_and_go(server: &Server) {
    let mut pair = Pair::new(server, "tables", "CREATE TABLE t (id INT PRIMARY KEY, x INT)");
    let create = "CREATE TABLE extra (id INT PRIMARY KEY, x INT)";
    pair.a.run(create);
    pair.a.run("INSERT INTO extra VALUES (1, 1)");
    let report = pair.sync();
    assert_eq!(report.paused.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["extra"]);
    pair.a.run("INSERT INTO extra VALUES (2, 2)");
    pair.a.run("INSERT INTO t VALUES (1, 1)");
    pair.sync();
    assert_eq!(pair.one("SELECT COUNT(*) FROM t"), "1");
    pair.b.run(create);
    pair.b.run("INSERT INTO extra VALUES (3, 3)");
    pair.sync();
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id ORDER BY id) FROM extra"), "1,2,3");

    pair.a.run("DROP TABLE extra");
    pair.b.run("UPDATE extra SET x=9 WHERE id=3");
    assert_eq!(pair.sync().paused.len(), 1);
    pair.b.run("DROP TABLE extra");
    assert_eq!(pair.sync().paused.len(), 0);

    let again = "CREATE TABLE extra (name VARCHAR(20) PRIMARY KEY, n INT)";
    pair.run_at_both(again);
    pair.a.run("INSERT INTO extra VALUES ('a', 1)");
    pair.b.run("INSERT INTO extra VALUES ('b', 2)");
    pair.sync();
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(name ORDER BY name) FROM extra"), "a,b");
    pair.b.run("UPDATE extra SET n=5 WHERE name='a'");
    pair.settle();

    pair.a.run("RENAME TABLE extra TO other");
    pair.a.run("UPDATE other SET n=6 WHERE name='b'");
    pair.b.run("UPDATE extra SET n=7 WHERE name='a'");
    pair.sync();
    pair.b.run("RENAME TABLE extra TO other");
    pair.sync();
    pair.settle();
    assert_eq!(pair.one("SELECT COUNT(*) FROM other"), "2");
}

const FAMILY: &str = "CREATE TABLE parent (id INT PRIMARY KEY, x INT);\n\
    CREATE TABLE child (id INT PRIMARY KEY, p INT, x INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE);\n\
    CREATE TABLE grandchild (p INT, n INT, x INT, PRIMARY KEY (p, n), FOREIGN KEY (p) REFERENCES child (id) ON DELETE CASCADE ON UPDATE CASCADE);\n\
    CREATE TABLE great (id INT PRIMARY KEY, p INT, n INT, x INT, FOREIGN KEY (p, n) REFERENCES grandchild (p, n) ON DELETE CASCADE ON UPDATE CASCADE);\n\
    CREATE TABLE friend (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE);\n\
    CREATE TABLE tree (id INT PRIMARY KEY, up INT, x INT, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)";

fn cascades(server: &Server) {
    let mut pair = Pair::new(server, "cascades", FAMILY);
    for statement in [
        "INSERT INTO parent VALUES (1, 0), (2, 0), (3, 0)",
        "INSERT INTO child VALUES (11, 1, 0), (12, 1, 0), (21, 2, 0)",
        "INSERT INTO grandchild VALUES (11, 1, 0), (11, 2, 0), (21, 1, 0)",
        "INSERT INTO great VALUES (1, 11, 1, 0), (2, 11, 2, 0), (3, 21, 1, 0)",
        "INSERT INTO friend VALUES (1, 1), (2, 2), (3, 3)",
        "INSERT INTO tree VALUES (1, NULL, 0), (2, 1, 0), (3, 2, 0), (4, 3, 0), (5, NULL, 0), (6, 5, 0)",
    ] {
        pair.a.run(statement);
    }
    pair.settle();
    pair.a.run("DELETE FROM parent WHERE id=1");
    pair.b.run("UPDATE parent SET id=20 WHERE id=2");
    pair.b.run("DELETE FROM tree WHERE id=2");
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, ':', p ORDER BY id) FROM child"), "21:20");
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, ':', p) FROM great"), "3:21");
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, ':', COALESCE(p, '-') ORDER BY id) FROM friend"), "1:-,2:20,3:3");
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id ORDER BY id) FROM tree"), "1,5,6");
    // Into child keys, three levels down.
    pair.a.run("UPDATE child SET id=210 WHERE id=21");
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(p, ':', n) FROM grandchild"), "210:1");
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, ':', p) FROM great"), "3:210");
    pair.b.run("DELETE FROM parent");
    pair.b.run("DELETE FROM tree WHERE up IS NULL");
    pair.settle();
    assert_eq!(
        pair.one("SELECT (SELECT COUNT(*) FROM great) + (SELECT COUNT(*) FROM child) + (SELECT COUNT(*) FROM tree)"),
        "0"
    );
}

fn statements_of_many_rows(server: &Server) {
    let schema = "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, u INT, x VARCHAR(20), UNIQUE KEY (u));\n\
        CREATE TABLE o (id INT PRIMARY KEY, t_id INT, n INT)";
    let mut pair = Pair::new(server, "many", schema);
    if server.flavour() == Flavour::Mysql {
        server.execute("SET GLOBAL local_infile=1").unwrap();
    }
    pair.a.run("INSERT INTO t (id, u, x) VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (4, 4, 'd')");
    pair.a.run("INSERT INTO o SELECT id, id, 0 FROM t");
    pair.settle();
    pair.a.run("REPLACE INTO t (id, u, x) VALUES (1, 1, 'A'), (9, 2, 'nine'), (10, 10, 'new')");
    pair.b.run(
        "INSERT INTO t (id, u, x) VALUES (3, 3, 'C'), (11, 11, 'new') ON DUPLICATE KEY UPDATE x=CONCAT(VALUES(x), '!')",
    );
    pair.b.run("INSERT INTO t (u, x) VALUES (4, 'D') ON DUPLICATE KEY UPDATE x='by u'");
    pair.b.run("INSERT IGNORE INTO t (id, u, x) VALUES (3, 99, 'ignored'), (12, 12, 'twelve')");
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, x ORDER BY id) FROM t"), "1A,3C!,4by u,9nine,10new,11new,12twelve");
    pair.a.run("UPDATE t JOIN o ON o.t_id=t.id SET t.x='joined', o.n=t.u WHERE t.id IN (3, 4)");
    pair.b.run("DELETE t, o FROM t JOIN o ON o.t_id=t.id WHERE t.id=1");
    load_data(&pair.b);
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, n ORDER BY id) FROM o"), "20,33,44");
    assert_eq!(
        pair.one("SELECT GROUP_CONCAT(id, x ORDER BY id) FROM t WHERE id IN (3, 4) OR id>=100"),
        "3joined,4joined,100eins,101zwölf"
    );
    // Values of a unique column are swapped in one statement.
    pair.a.run("DELETE FROM t WHERE id>10");
    pair.settle();
    pair.b.run("UPDATE t SET u=NULL WHERE id=3");
    pair.b.run("UPDATE t SET u=3 WHERE id=4");
    pair.b.run("UPDATE t SET u=4 WHERE id=3");
    pair.settle();
    pair.a.run("UPDATE t SET u=u+1 ORDER BY u DESC");
    pair.settle();
    pair.a.run("INSERT INTO o SELECT id + 1000, id, 7 FROM t");
    pair.a.run("DELETE FROM o WHERE id<1000 ORDER BY id LIMIT 2");
    pair.settle();
}

fn load_data(site: &Site) {
    let mut connection = site.app();
    let handler = |_: &[u8], stream: &mut mysql::LocalInfile<'_>| {
        std::io::Write::write_all(stream, "100\t100\teins\n101\t101\tzwölf\n".as_bytes())
    };
    connection.set_local_infile_handler(Some(LocalInfileHandler::new(handler)));
    run(&mut connection, "LOAD DATA LOCAL INFILE 'rows' INTO TABLE t CHARACTER SET utf8mb4");
}

fn swapped(server: &Server) {
    let mut pair = Pair::new(
        server,
        "swapped",
        "CREATE TABLE t (id INT PRIMARY KEY, u INT NOT NULL, v VARCHAR(9) NOT NULL, x INT, UNIQUE KEY (u), UNIQUE KEY (v))",
    );
    pair.a.run("INSERT INTO t VALUES (1, 1, 'a', 0), (2, 2, 'b', 0), (3, 3, 'c', 0)");
    pair.settle();
    let swap = "UPDATE t SET u=-u WHERE id IN (1, 2); UPDATE t SET u=IF(id=1, 2, 1), v=CONCAT('~', v) WHERE id IN (1, 2); UPDATE t SET v=IF(id=1, 'b', 'a') WHERE id IN (1, 2)";
    pair.b.run(swap);
    pair.a.run("UPDATE t SET x=1");
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(u, v, x ORDER BY id) FROM t"), "2b1,1a1,3c1");
    // Around the corner, with other rows of the same batch.
    pair.a.run("UPDATE t SET u=u+10; UPDATE t SET u=CASE id WHEN 1 THEN 3 WHEN 2 THEN 2 ELSE 1 END; UPDATE t SET v=CONCAT(v, v); UPDATE t SET v=CASE id WHEN 1 THEN 'c' WHEN 2 THEN 'b' ELSE 'a' END");
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(u, v ORDER BY id) FROM t"), "3c,2b,1a");
}

/// A row gets another key while the other site edits it: both rows are there, or the edit is listed.
fn moved_while_edited(server: &Server) {
    let mut pair = Pair::new(server, "moved", "CREATE TABLE t (id INT PRIMARY KEY, x VARCHAR(20))");
    pair.a.run("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    pair.settle();
    pair.a.run("UPDATE t SET id=10 WHERE id=1");
    pair.tick();
    pair.b.run("UPDATE t SET x='edited' WHERE id=1");
    pair.b.run("UPDATE t SET x='edited' WHERE id=2");
    pair.tick();
    pair.a.run("UPDATE t SET id=20 WHERE id=2");
    let report = pair.settle();
    assert_eq!(report.conflicts().count(), 2);
    assert_eq!(pair.one("SELECT GROUP_CONCAT(id, x ORDER BY id) FROM t"), "1edited,10a,20b");
    let conflicts = pair.a.store.conflicts().unwrap();
    assert!(conflicts.iter().any(|c| c.losing.iter().any(|v| v.to_string() == "edited")), "{conflicts:?}");
}

/// What an application writes all the time at one site, and what it was told.
struct Application {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(BTreeMap<u32, String>, Vec<String>)>,
    written: Arc<Mutex<u32>>,
}

impl Application {
    /// Inserts rows from `first` on and updates column `a` of them; now and then also column `c`, which may be gone.
    fn start(site: &Site, first: u32) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0)));
        let (connection, flag, count) = (site.app(), stop.clone(), written.clone());
        let thread = std::thread::spawn(move || work(connection, first, &flag, &count));
        Application { stop, thread, written }
    }

    /// Waits until it has written so many times more.
    fn wait(&self, more: u32) {
        let goal = *self.written.lock().unwrap() + more;
        let reached = || *self.written.lock().unwrap() >= goal || self.thread.is_finished();
        sync_testbed::wait_until("the application writes", std::time::Duration::from_secs(60), reached).unwrap();
    }

    /// The last value of each row that was committed. It must have seen no error but about its own use of `c`.
    fn finish(self) -> BTreeMap<u32, String> {
        self.stop.store(true, Ordering::Relaxed);
        let (journal, errors) = self.thread.join().unwrap();
        assert_eq!(errors, Vec::<String>::new());
        journal
    }
}

fn work(mut c: Conn, first: u32, stop: &AtomicBool, count: &Mutex<u32>) -> (BTreeMap<u32, String>, Vec<String>) {
    let (mut journal, mut errors) = (BTreeMap::new(), Vec::new());
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (id, value) = (first + n % 50, format!("{first}/{n}"));
        let statement = if n < 50 {
            format!("INSERT INTO t (id, a) VALUES ({id}, '{value}')")
        } else if n % 7 == 0 {
            format!("UPDATE t SET a='{value}', c='{value}' WHERE id={id}")
        } else {
            format!("UPDATE t SET a='{value}' WHERE id={id}")
        };
        match c.query_drop(&statement) {
            Ok(()) => drop(journal.insert(id, value)),
            Err(mysql::Error::MySqlError(e)) if e.code == 1054 && e.message.contains("'c'") => {}
            // What an application must expect at any time, and repeats.
            Err(mysql::Error::MySqlError(e)) if [1213, 1205].contains(&e.code) => {}
            Err(e) => errors.push(format!("{statement}: {e}")),
        }
        *count.lock().unwrap() += 1;
    }
    (journal, errors)
}

/// A round, which may find the schema changed under it.
fn try_round(pair: &mut Pair) -> Option<RoundReport> {
    let name = pair.b.name;
    match round_between(&mut pair.a, &mut pair.b, &options(name), &mut ()) {
        Ok(report) => Some(report),
        Err(e) if e.retryable => {
            println!("(round: {})", e.message);
            None
        }
        Err(e) => unreachable!("{e} {:?}", e.hint),
    }
}

/// Rounds until one goes through for which `holds`.
fn rounds_until(pair: &mut Pair, what: &str, holds: impl Fn(&RoundReport) -> bool) {
    for _ in 0..60 {
        if try_round(pair).is_some_and(|r| holds(&r)) {
            return;
        }
    }
    unreachable!("{what} did not come true");
}

/// The schema changes at one site, then at the other, while the application writes at both.
fn altered(server: &Server, name: &str, alter: &str, b_first: bool) {
    let schema = "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(40), b INT DEFAULT 5, c VARCHAR(40));\nCREATE TABLE u (id INT PRIMARY KEY, x INT)";
    let mut pair = Pair::new(server, name, schema);
    let applications = [Application::start(&pair.a, 1000), Application::start(&pair.b, 2000)];
    let wait = |n| applications.iter().for_each(|a| a.wait(n));
    wait(80);
    rounds_until(&mut pair, "a round", |_| true);
    for (i, at_b) in [b_first, !b_first].into_iter().enumerate() {
        let site = if at_b { &pair.b } else { &pair.a };
        site.run(alter);
        site.run(&format!("INSERT INTO u VALUES ({i}, {i})"));
        wait(20);
        let paused = usize::from(i == 0);
        rounds_until(&mut pair, "paused or not", |r| r.paused.len() == paused);
        wait(20);
        rounds_until(&mut pair, "paused or not", |r| r.paused.len() == paused);
        assert_eq!(pair.one("SELECT COUNT(*) FROM u"), (i + 1).to_string(), "the other tables go on");
    }
    wait(20);
    rounds_until(&mut pair, "a round", |r| r.paused.is_empty());
    let journals = applications.map(Application::finish);
    rounds_until(&mut pair, "quiet", RoundReport::is_quiet);
    pair.assert_same();
    for (id, value) in journals.into_iter().flatten() {
        assert_eq!(pair.one(&format!("SELECT a FROM t WHERE id={id}")), value, "row {id}");
    }
}

fn column_dropped(server: &Server) {
    altered(server, "dropped", "ALTER TABLE t DROP COLUMN c", false);
    altered(server, "dropped_b", "ALTER TABLE t DROP COLUMN b", true);
}

fn column_renamed(server: &Server) {
    altered(server, "renamed_b", "ALTER TABLE t CHANGE b bb INT DEFAULT 5", true);
    altered(server, "renamed_c", "ALTER TABLE t CHANGE c d VARCHAR(40)", false);
}

fn column_added(server: &Server) {
    altered(server, "added", "ALTER TABLE t ADD COLUMN d INT NOT NULL DEFAULT 3 AFTER a", false);
    altered(server, "added_b", "ALTER TABLE t ADD COLUMN d TIMESTAMP NULL, ADD KEY (a), DROP COLUMN b", true);
}

fn column_retyped(server: &Server) {
    altered(server, "retyped", "ALTER TABLE t MODIFY a VARCHAR(60)", true);
    altered(server, "rekeyed", "ALTER TABLE t MODIFY id BIGINT", false);
}

const STORIES: &[Story] = &[
    ("keys", keys),
    ("keys_alike", keys_alike),
    ("large_tables", large_tables),
    ("wide", wide),
    ("awkward_names", awkward_names),
    ("without_primary_key", without_primary_key),
    ("not_transactional", not_transactional),
    ("truncated", truncated),
    ("tables_come_and_go", tables_come_and_go),
    ("cascades", cascades),
    ("statements_of_many_rows", statements_of_many_rows),
    ("swapped", swapped),
    ("moved_while_edited", moved_while_edited),
    ("column_dropped", column_dropped),
    ("column_renamed", column_renamed),
    ("column_added", column_added),
    ("column_retyped", column_retyped),
];

on_both_servers!(on_mariadb, on_mysql, |server| stories(server, STORIES));

#[test]
fn through_an_agent() {
    support::through_an_agent(|| stories(MariaDb::shared().unwrap(), STORIES));
}
