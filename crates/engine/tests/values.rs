//! Faithful values: every column type with its extreme values is the same, bit for bit, after an insert, an update of
//! each column and a trip back; and of a row of which one column changes nothing else is touched.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use mysql::Conn;
use mysql::prelude::Queryable;
use support::{Pair, Site, stories};
use sync_testbed::{Cell, Flavour, MariaDb, Mysql, Server, TableDump, dump};

/// A column's type, and values as SQL; each is written after the one before, the first again after the last.
type Column = (&'static str, &'static [&'static str]);

const INTEGERS: &[Column] = &[
    ("TINYINT", &["-128", "127", "0", "NULL"]),
    ("TINYINT UNSIGNED", &["255", "0", "NULL", "128"]),
    ("TINYINT(1) NOT NULL", &["0", "1", "-1"]),
    ("SMALLINT", &["-32768", "32767", "NULL"]),
    ("SMALLINT UNSIGNED", &["65535", "NULL", "32768"]),
    ("MEDIUMINT", &["-8388608", "8388607", "NULL"]),
    ("MEDIUMINT UNSIGNED", &["16777215", "NULL", "8388608"]),
    ("INT", &["-2147483648", "2147483647", "NULL", "0"]),
    ("INT UNSIGNED", &["4294967295", "NULL", "2147483648"]),
    ("INT(10) UNSIGNED ZEROFILL", &["7", "4294967295", "NULL"]),
    ("BIGINT", &["-9223372036854775808", "9223372036854775807", "NULL", "9007199254740993"]),
    ("BIGINT UNSIGNED", &["18446744073709551615", "9223372036854775808", "9223372036854775807", "NULL"]),
    ("BIT(1)", &["b'0'", "b'1'", "NULL"]),
    ("BIT(7)", &["b'1111111'", "b'0'", "NULL"]),
    ("BIT(64)", &["0xffffffffffffffff", "0x8000000000000000", "0x7fffffffffffffff", "0", "NULL", "0x3132333435363738"]),
    ("YEAR", &["1901", "2155", "0", "NULL", "2024"]),
    ("BOOLEAN", &["TRUE", "FALSE", "NULL"]),
];

const LARGEST: &str = "99999999999999999999999999999999999.999999999999999999999999999999";
const SMALLEST: &str = "-99999999999999999999999999999999999.999999999999999999999999999999";

const NUMBERS: &[Column] = &[
    ("DECIMAL(65,30)", &[LARGEST, SMALLEST, "0.000000000000000000000000000001", "0", "NULL", "1.1"]),
    ("DECIMAL(65,0)", &["99999999999999999999999999999999999999999999999999999999999999999", "-1", "NULL"]),
    ("DECIMAL(30,30)", &["0.999999999999999999999999999999", "-0.000000000000000000000000000001", "NULL"]),
    ("DECIMAL(10,2) UNSIGNED", &["99999999.99", "0.01", "NULL"]),
    ("DECIMAL(6,2) ZEROFILL", &["1.5", "9999.99", "NULL"]),
    // The largest, the smallest normal, the smallest subnormal; two zeros; neighbours that look alike in six digits.
    (
        "FLOAT",
        &[
            "3.4028234663852886e38",
            "-3.4028234663852886e38",
            "1.17549435e-38",
            "1.4e-45",
            "-1.4e-45",
            "0",
            "16777216",
            "16777215",
            "16777214",
            "16777218",
            "0.1",
            "0.10000001",
            "NULL",
            "1e0/3",
        ],
    ),
    ("FLOAT NOT NULL", &["0", "1.5"]),
    ("FLOAT UNSIGNED", &["3.4028234663852886e38", "0", "NULL"]),
    ("FLOAT(7,3)", &["9999.999", "-9999.999", "0.001", "NULL"]),
    (
        "DOUBLE",
        &[
            "1.7976931348623157e308",
            "-1.7976931348623157e308",
            "2.2250738585072014e-308",
            "4.9406564584124654e-324",
            "0",
            "NULL",
            "9007199254740991e0",
            "9007199254740992e0",
            "9007199254740994e0",
            "0.1",
            "0.30000000000000004e0",
            "0.3e0",
            "1e0/3",
            "16777217",
            "16777216",
        ],
    ),
    ("DOUBLE UNSIGNED", &["1.7976931348623157e308", "0", "NULL"]),
    ("DOUBLE(20,5)", &["123456789012345.12345", "-0.00001", "NULL"]),
];

const TIMES: &[Column] = &[
    (
        "DATE",
        &[
            "'1000-01-01'",
            "'9999-12-31'",
            "'0000-00-00'",
            "'2024-00-00'",
            "'2024-02-00'",
            "'2024-02-31'",
            "'0001-01-01'",
            "NULL",
        ],
    ),
    ("DATE NOT NULL", &["'0000-00-00'", "'2024-02-29'", "'2023-11-00'"]),
    (
        "DATETIME",
        &[
            "'9999-12-31 23:59:59'",
            "'1000-01-01 00:00:00'",
            "'0000-00-00 00:00:00'",
            "'2024-00-00 12:13:14'",
            "'2024-02-30 00:00:01'",
            "NULL",
        ],
    ),
    (
        "DATETIME(3)",
        &[
            "'9999-12-31 23:59:59.999'",
            "'2024-01-01 00:00:00.001'",
            "'2024-01-01 00:00:00.000'",
            "'0000-00-00 00:00:00'",
            "NULL",
        ],
    ),
    (
        "DATETIME(6)",
        &[
            "'9999-12-31 23:59:59.999999'",
            "'2024-01-01 00:00:00.000001'",
            "'2024-01-01 00:00:00.000002'",
            "'0000-00-00 00:00:00'",
            "NULL",
            "'2024-01-01 00:00:00'",
        ],
    ),
    (
        "TIMESTAMP NULL",
        &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'", "NULL", "'2024-03-31 01:30:00'"],
    ),
    ("TIMESTAMP(3) NULL", &["'2038-01-19 03:14:07.999'", "'1970-01-01 00:00:01.001'", "NULL", "'0000-00-00 00:00:00'"]),
    (
        "TIMESTAMP(6) NULL",
        &[
            "'2038-01-19 03:14:07.999999'",
            "'1970-01-01 00:00:01.000001'",
            "NULL",
            "'2024-10-27 00:30:00.5'",
            "'2024-10-27 01:30:00.5'",
        ],
    ),
    ("TIME", &["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'", "NULL", "'24:00:00'"]),
    ("TIME(3)", &["'-838:59:58.999'", "'838:59:58.999'", "'-00:00:00.001'", "'00:00:00'", "NULL"]),
    (
        "TIME(6)",
        &["'-838:59:58.999999'", "'838:59:59'", "'-00:00:00.000001'", "'00:00:00.000001'", "'00:00:00'", "NULL"],
    ),
];

const LATIN: &str = "_latin1 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20217f8081828384858687\
    88898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3\
    c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

const TEXTS: &[Column] = &[
    ("CHAR(10)", &["'abc'", "'ABC'", "'äbc'", "''", "NULL", "'x\\0y'", "' abc'", "'😀'"]),
    ("CHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL", &["'é'", "'e\u{301}'", "''"]),
    (
        "VARCHAR(100) COLLATE utf8mb4_general_ci",
        &[
            "'straße'",
            "'STRASSE'",
            "'strasse'",
            "'strasse '",
            "'strasse  '",
            "''",
            "' '",
            "NULL",
            "'a\\'b\"c`d\\\\e%_\\n\\r\\t'",
        ],
    ),
    (
        "VARCHAR(100) COLLATE utf8mb4_unicode_ci",
        &["'œuf'", "'oeuf'", "'ŒUF'", "'\u{200b}oeuf'", "NULL", "'😀👩‍👩‍👧🇨🇭'", "'😁👩‍👩‍👧🇨🇭'"],
    ),
    ("VARCHAR(100) CHARACTER SET latin1", &["'é€'", "'É€'", "'e€'", LATIN, "NULL", "'abc '", "'abc'"]),
    ("VARCHAR(100) CHARACTER SET latin1 COLLATE latin1_bin", &["'é'", "'É'", LATIN]),
    ("VARCHAR(20) CHARACTER SET ascii", &["'a'", "'A'", "NULL", "'\\0'"]),
    ("VARCHAR(20) CHARACTER SET utf16", &["'😀é'", "'😀É'", "''", "NULL", "'a'"]),
    ("VARCHAR(20) CHARACTER SET ucs2", &["'é'", "'É'", "NULL"]),
    ("VARCHAR(20) CHARACTER SET utf32", &["'😀'", "'a '", "'a'", "NULL"]),
    ("VARCHAR(20) CHARACTER SET utf8mb3", &["'é'", "'e'", "'É'", "NULL"]),
    ("VARCHAR(20) CHARACTER SET cp1251", &["'Жук'", "'жук'", "NULL"]),
    ("VARCHAR(20) CHARACTER SET gbk", &["'汉字'", "'漢字'", "NULL"]),
    ("VARCHAR(20) CHARACTER SET sjis", &["'日本'", "'表'", "NULL"]),
    ("TINYTEXT", &["'a'", "'A'", "''", "NULL", "REPEAT('é', 127)"]),
    ("TEXT CHARACTER SET latin1", &["'é'", "'É'", LATIN, "NULL", "REPEAT('é', 65535)"]),
    ("MEDIUMTEXT", &["'a'", "REPEAT('😀', 20000)", "REPEAT('😁', 20000)", "NULL"]),
    ("LONGTEXT COLLATE utf8mb4_bin", &["'a'", "'a '", "NULL"]),
    ("ENUM('a','b','','é')", &["'a'", "'b'", "''", "'é'", "NULL"]),
    ("ENUM('x','X','1','0') COLLATE utf8mb4_bin", &["'x'", "'X'", "'0'", "'1'", "NULL"]),
    // What is written where a label is unknown, if the application is not strict.
    ("ENUM('a','b') NOT NULL", &["'a'", "'unknown'", "'b'", "''"]),
    ("ENUM('a','b','0') CHARACTER SET latin1", &["'0'", "'unknown'", "NULL", "'a'"]),
    ("SET('a','b','é','it''s')", &["'a,b'", "''", "'a,b,é,it\\'s'", "NULL", "'it\\'s'"]),
    (
        "SET('1','2','3','4','5','6','7','8','9','10','11','12','13','14','15','16','17','18','19','20','21','22','23',\
         '24','25','26','27','28','29','30','31','32','33','34','35','36','37','38','39','40','41','42','43','44','45',\
         '46','47','48','49','50','51','52','53','54','55','56','57','58','59','60','61','62','63','64')",
        &["18446744073709551615", "9223372036854775808", "'64,1'", "''", "NULL"],
    ),
];

const BYTES: &[Column] = &[
    ("BINARY(5)", &["'a'", "'a '", "0xffffffffff", "NULL", "''"]),
    ("BINARY(16) NOT NULL", &["0x00112233445566778899aabbccddeeff", "REPEAT('\\0', 16)", "REPEAT(0xff, 16)"]),
    ("VARBINARY(20)", &["'a'", "'a\\0'", "'a '", "''", "NULL", "0xc328fffe00", "'A'"]),
    ("TINYBLOB", &["0x00", "''", "0x0000", "NULL", "REPEAT(0xfe, 255)"]),
    ("BLOB", &["0x27225c00", "'text'", "'TEXT'", "NULL", "REPEAT(0x00ff, 32767)"]),
    ("MEDIUMBLOB", &["0x80", "NULL", "REPEAT(0x8081, 100000)", "REPEAT(0x8082, 100000)"]),
    ("LONGBLOB NOT NULL", &["''", "0x00", "'é'"]),
];

const GEOMETRIES: &[Column] = &[
    (
        "POINT",
        &[
            "ST_GeomFromText('POINT(1 2)')",
            "ST_GeomFromText('POINT(1.1 -2)')",
            "NULL",
            "ST_GeomFromText('POINT(1e300 -1e-300)')",
        ],
    ),
    (
        "GEOMETRY",
        &[
            "ST_GeomFromText('POINT(1 2)')",
            "ST_GeomFromText('POINT(1 2)', 4326)",
            "ST_GeomFromText('LINESTRING(0 0,1 1)')",
            "NULL",
            "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')",
        ],
    ),
    (
        "LINESTRING",
        &["ST_GeomFromText('LINESTRING(0 0,1 1,2 2)')", "NULL", "ST_GeomFromText('LINESTRING(2 2,1 1,0 0)')"],
    ),
    (
        "POLYGON",
        &[
            "ST_GeomFromText('POLYGON((0 0,9 0,9 9,0 9,0 0),(1 1,2 1,2 2,1 2,1 1))')",
            "NULL",
            "ST_GeomFromText('POLYGON((9 0,9 9,0 9,0 0,9 0))')",
        ],
    ),
    ("MULTIPOINT", &["ST_GeomFromText('MULTIPOINT(0 0,1 1)')", "NULL"]),
    ("MULTILINESTRING", &["ST_GeomFromText('MULTILINESTRING((0 0,1 1),(2 2,3 3))')", "NULL"]),
    ("MULTIPOLYGON", &["ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))')", "NULL"]),
    ("GEOMETRYCOLLECTION", &["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1))')", "NULL"]),
    ("POINT NOT NULL", &["ST_GeomFromText('POINT(0 0)')", "ST_GeomFromText('POINT(-0e0 0)')"]),
];

const DOCUMENTS: &[Column] = &[
    (
        "JSON",
        &[
            "'{}'",
            "'{\"b\":1,\"a\":[1,2.5,null,true]}'",
            "'{\"b\": 2, \"a\": [1, 2.5, null, true]}'",
            "'\"é😀\"'",
            "'\"\\\\u00e9\"'",
            "'18446744073709551615'",
            "'-9223372036854775808'",
            "'1.0'",
            "'1'",
            "'1e300'",
            "'1e-300'",
            "'0.1'",
            "'null'",
            "NULL",
            "'\"\"'",
            "'[]'",
            "'\"A\"'",
            "'\"a\"'",
            "'123456789012345678901234567890'",
            "'-0.0'",
        ],
    ),
    ("JSON NOT NULL", &["'[1]'", "'[2]'", "'[1, [2, [3, {\"x\": \"\\\\\\\\ \\\\\" \\\\n\"}]]]'"]),
];

const OF_MARIADB: &[Column] = &[
    (
        "UUID",
        &[
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "NULL",
            "'123e4567-e89b-12d3-a456-426655440000'",
        ],
    ),
    (
        "INET6",
        &[
            "'::'",
            "'2001:db8::ff00:42:8329'",
            "'::ffff:192.0.2.1'",
            "NULL",
            "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'",
        ],
    ),
    ("INET4", &["'0.0.0.0'", "'255.255.255.255'", "NULL", "'192.0.2.1'"]),
    ("VARCHAR(50) COMPRESSED", &["REPEAT('a', 50)", "'A'", "NULL"]),
    ("BLOB COMPRESSED", &["REPEAT(0x00, 5000)", "0x00", "NULL"]),
    ("VARCHAR(50) CHARACTER SET utf8mb4 COLLATE uca1400_ai_ci", &["'ä'", "'a'", "'a '", "NULL"]),
];

const OF_MYSQL: &[Column] = &[
    // MariaDB knows no -0.
    ("FLOAT", &["0", "'-0'", "NULL", "'-0'"]),
    ("DOUBLE", &["'-0'", "0", "1"]),
    (
        "VECTOR(3)",
        &[
            "TO_VECTOR('[1,2,3]')",
            "TO_VECTOR('[1.5,-2,3e10]')",
            "NULL",
            "TO_VECTOR('[0,0,0]')",
            "TO_VECTOR('[-0.0,0,0]')",
        ],
    ),
    (
        "POINT SRID 4326",
        &["ST_GeomFromText('POINT(46.2 6.1)', 4326)", "ST_GeomFromText('POINT(45.7 4.8)', 4326)", "NULL"],
    ),
    ("VARCHAR(50) COLLATE utf8mb4_0900_ai_ci", &["'ä'", "'a'", "'A'", "'a '", "NULL"]),
    ("VARCHAR(50) COLLATE utf8mb4_0900_as_cs", &["'é'", "'e\u{301}'", "NULL"]),
];

const NOT_STRICT: &str = "SET time_zone='+00:00', sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'";

/// A connection of an application that lets everything in.
fn lax(site: &Site) -> Conn {
    let mut connection = site.app();
    connection.query_drop("SET NAMES utf8mb4").unwrap();
    connection.query_drop(NOT_STRICT).unwrap();
    connection
}

/// A table of these columns, and what is done to it.
struct Table {
    columns: Vec<(String, Column)>,
}

impl Table {
    fn new(columns: &[Column]) -> Self {
        let name = |i: usize, sql: &str| {
            let word: String = sql.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(40).collect();
            format!("c{i}_{}", word.trim_matches('_').to_ascii_lowercase())
        };
        Table { columns: columns.iter().enumerate().map(|(i, c)| (name(i, c.0), *c)).collect() }
    }

    fn schema(&self) -> String {
        let columns: String = self.columns.iter().map(|(name, (sql, _))| format!(", {name} {sql}")).collect();
        format!(
            "SET sql_mode='';\nCREATE TABLE v (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY{columns}) ROW_FORMAT=DYNAMIC"
        )
    }

    /// How many values the column with the most has.
    fn steps(&self) -> usize {
        self.columns.iter().map(|(_, (_, values))| values.len()).max().unwrap_or(0)
    }

    fn value(&self, column: usize, step: usize) -> &'static str {
        let values = self.columns[column].1.1;
        values[step % values.len()]
    }

    fn insert(&self, connection: &mut Conn, id: usize, step: usize) {
        let names: String = self.columns.iter().map(|(name, _)| format!(", {name}")).collect();
        let values: String = (0..self.columns.len()).map(|c| format!(", {}", self.value(c, step))).collect();
        run(connection, &format!("INSERT INTO v (id{names}) VALUES ({id}{values})"));
    }

    fn update(&self, connection: &mut Conn, id: usize, column: usize, step: usize) {
        let column = column % self.columns.len();
        let (name, value) = (&self.columns[column].0, self.value(column, step));
        run(connection, &format!("UPDATE v SET {name}={value} WHERE id={id}"));
    }
}

fn run(connection: &mut Conn, statement: &str) {
    let result = connection.query_drop(statement);
    assert!(result.is_ok(), "{}: {result:?}", statement.chars().take(300).collect::<String>());
}

fn contents(site: &Site) -> TableDump {
    dump(&mut site.app(), &site.database).unwrap().remove("v").unwrap()
}

fn by_id(table: &TableDump) -> BTreeMap<Cell, Vec<Cell>> {
    table.rows.iter().map(|row| (row[0].clone(), row.clone())).collect()
}

/// Rows whose one column is updated begin here.
const FIRST: usize = 2000;

/// Inserts every value, then updates each column by itself, at both sites by turns.
fn every_value(server: &Server, name: &str, columns: &[Column]) {
    let table = Table::new(columns);
    let mut pair = Pair::new(server, name, &table.schema());
    let connection = &mut lax(&pair.a);
    (0..table.steps()).for_each(|step| table.insert(connection, step, step));
    (0..table.columns.len()).for_each(|i| table.insert(connection, FIRST + i, 0));
    assert_distinct(&contents(&pair.a), &table);
    let report = pair.settle();
    assert_eq!(report.pushed.total().parked, 0);
    for step in 1..=table.steps() + 1 {
        update_each(&mut pair, &table, step);
    }
}

/// The values arrived at the server as different ones, so that a change that is missed shows.
fn assert_distinct(contents: &TableDump, table: &Table) {
    let rows = by_id(contents);
    for (i, (name, (_, values))) in table.columns.iter().enumerate() {
        let cells: Vec<_> = (0..values.len()).map(|id| rows[&Cell::Integer(id as i128)][i + 1].clone()).collect();
        for (k, cell) in cells.iter().enumerate() {
            assert_ne!(*cell, cells[(k + 1) % cells.len()], "{name}: {} and the next", values[k]);
        }
    }
}

/// Column i of its row changes at one site, the next column at the other; both arrive, and nothing else changes.
fn update_each(pair: &mut Pair, table: &Table, step: usize) {
    let before = contents(&pair.a);
    let (first, second) = if step % 2 == 1 { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
    let (mut one, mut other) = (lax(first), lax(second));
    for i in 0..table.columns.len() {
        table.update(&mut one, FIRST + i, i, step);
        table.update(&mut other, FIRST + i, i + 1, step);
    }
    let expected = expected(&before, &contents(first), &contents(second), table.columns.len());
    let report = pair.settle();
    assert_eq!(report.conflicts().count(), 0, "step {step}");
    let after = by_id(&contents(&pair.a));
    for (id, row) in &expected {
        for (i, cell) in row.iter().enumerate() {
            assert_eq!(after[id][i], *cell, "row {id}, column {}, step {step}", before.columns[i]);
        }
    }
}

fn expected(before: &TableDump, one: &TableDump, other: &TableDump, count: usize) -> BTreeMap<Cell, Vec<Cell>> {
    let mut rows = by_id(before);
    let (one, other) = (by_id(one), by_id(other));
    for i in 0..count {
        let id = Cell::Integer((FIRST + i) as i128);
        let next = (i + 1) % count;
        let row = rows.get_mut(&id).unwrap();
        row[i + 1] = one[&id][i + 1].clone();
        if count > 1 {
            row[next + 1] = other[&id][next + 1].clone();
        }
    }
    rows
}

fn integers(server: &Server) {
    every_value(server, "integers", INTEGERS);
}

fn numbers(server: &Server) {
    every_value(server, "numbers", NUMBERS);
}

fn times(server: &Server) {
    every_value(server, "times", TIMES);
}

fn texts(server: &Server) {
    every_value(server, "texts", TEXTS);
}

fn bytes(server: &Server) {
    every_value(server, "bytes", BYTES);
}

fn geometries(server: &Server) {
    every_value(server, "geometries", GEOMETRIES);
}

fn documents(server: &Server) {
    every_value(server, "documents", DOCUMENTS);
}

fn of_one_product(server: &Server) {
    let columns = if server.flavour() == Flavour::MariaDb { OF_MARIADB } else { OF_MYSQL };
    every_value(server, "product", columns);
}

const STORIES: &[(&str, fn(&Server))] = &[
    ("integers", integers),
    ("numbers", numbers),
    ("times", times),
    ("texts", texts),
    ("bytes", bytes),
    ("geometries", geometries),
    ("documents", documents),
    ("of_one_product", of_one_product),
];

#[test]
fn on_mariadb() {
    stories(MariaDb::shared().unwrap(), STORIES);
}

#[test]
fn on_mysql() {
    if let Some(server) = Mysql::shared().unwrap() {
        stories(server, STORIES);
    }
}
