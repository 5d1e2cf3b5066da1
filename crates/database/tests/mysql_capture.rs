//! What our triggers mark on real servers, statement by statement, and what happens to them when the application
//! changes its tables.
#![allow(clippy::unwrap_used, clippy::panic)]

mod mysql_bench;

use std::time::Duration;

use mysql::prelude::Queryable;
use mysql_bench::{Bench, each};
use sync_testbed::wait_until;

fn people(bench: &mut Bench) {
    bench.run(&["CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(30), note TEXT, amount DECIMAL(10,2))"]);
    bench.install();
}

#[test]
fn insert_update_delete() {
    each("insert_update_delete", |bench| {
        people(bench);
        bench.run(&[
            "INSERT INTO people VALUES (1, 'Anna', NULL, 1.5), (2, 'Bert', '', 0)",
            "UPDATE people SET name = 'Berta', amount = 1 WHERE id = 2",
            "UPDATE people SET name = name",
            "DELETE FROM people WHERE id = 1",
        ]);
        assert_eq!(bench.marks("people"), ["insert 1", "insert 2", "update 2 (name,amount)", "delete 1"]);
    });
}

#[test]
fn a_key_that_changes_is_a_delete_and_an_insert() {
    each("key_change", |bench| {
        bench.run(&["CREATE TABLE t (code VARCHAR(9), n INT, v INT, PRIMARY KEY (code, n))"]);
        bench.install();
        bench.run(&[
            "INSERT INTO t VALUES ('x', 1, 0)",
            "UPDATE t SET code = 'X', v = 1",
            "UPDATE t SET n = 2",
            "UPDATE t SET code = 'X', v = 2",
        ]);
        let expected = ["insert x,1", "delete x,1", "insert X,1", "delete X,1", "insert X,2", "update X,2 (v)"];
        assert_eq!(bench.marks("t"), expected);
    });
}

#[test]
fn statements_of_every_kind() {
    each("statements", |bench| {
        people(bench);
        bench.run(&["CREATE TABLE other (id INT PRIMARY KEY, name VARCHAR(30))"]);
        bench.install();
        bench.run(&[
            "INSERT INTO people VALUES (1, 'a', 'n', 0), (2, 'b', 'n', 0)",
            "INSERT INTO other VALUES (1, 'z')",
        ]);
        bench.marks("people");
        bench.marks("other");
        bench.run(&["REPLACE INTO people VALUES (1, 'c', 'n', 0)"]);
        let replaced = bench.marks("people");
        assert!(replaced == ["delete 1", "insert 1"] || replaced == ["update 1 (name)"], "{replaced:?}");
        bench.run(&["INSERT INTO people VALUES (1, 'x', 'n', 0) ON DUPLICATE KEY UPDATE name = 'd'"]);
        assert_eq!(bench.marks("people"), ["update 1 (name)"]);
        bench.run(&["INSERT IGNORE INTO people VALUES (1, 'x', 'n', 0)"]);
        assert_eq!(bench.marks("people"), Vec::<String>::new());
        bench.run(&["UPDATE people p JOIN other o USING (id) SET p.note = o.name, o.name = 'y'"]);
        assert_eq!(bench.marks("people"), ["update 1 (note)"]);
        assert_eq!(bench.marks("other"), ["update 1 (name)"]);
        bench.run(&["DELETE p, o FROM people p JOIN other o USING (id)"]);
        assert_eq!((bench.marks("people"), bench.marks("other")), (vec!["delete 1".into()], vec!["delete 1".into()]));
        bench.run(&["INSERT INTO people SELECT id + 10, name, note, amount FROM people"]);
        assert_eq!(bench.marks("people"), ["insert 12"]);
    });
}

#[test]
fn load_data() {
    each("load_data", |bench| {
        people(bench);
        let mut app = bench.app();
        app.query_drop("SET SESSION sql_log_bin = 0").unwrap();
        bench.run(&["INSERT INTO people VALUES (1, 'a', 'n', 0)"]);
        bench.marks("people");
        let file = std::env::temp_dir().join(format!("server_sync-load-{}", std::process::id()));
        std::fs::write(&file, "1\tb\tn\t0\n2\tc\tn\t0\n").unwrap();
        bench.server.execute("SET GLOBAL local_infile = 1").unwrap();
        let path = file.to_str().unwrap().to_owned();
        let mut app = bench.app();
        let content = std::fs::read(&path).unwrap();
        app.set_local_infile_handler(Some(mysql::LocalInfileHandler::new(move |_, writer| {
            std::io::Write::write_all(writer, &content)
        })));
        app.query_drop(format!("LOAD DATA LOCAL INFILE '{path}' REPLACE INTO TABLE people")).unwrap();
        std::fs::remove_file(file).unwrap();
        let marks = bench.mark_set("people");
        assert!(marks.contains(&"insert 2".to_owned()) && marks.len() > 1, "{marks:?}");
    });
}

#[test]
fn our_own_writes_are_not_captured() {
    each("own_writes", |bench| {
        people(bench);
        bench.run(&[
            "SET @server_sync_applying = 1",
            "INSERT INTO people VALUES (1, 'a', '', 0), (2, 'b', '', 0)",
            "UPDATE people SET name = 'c'",
            "DELETE FROM people WHERE id = 1",
            "SET @server_sync_applying = NULL",
            "UPDATE people SET name = 'd'",
        ]);
        assert_eq!(bench.marks("people"), ["update 2 (name)"]);
    });
}

#[test]
fn sessions_that_use_a_table_after_us_are_captured() {
    each("after_us", |bench| {
        people(bench);
        bench.own("INSERT INTO people VALUES (1, 'a', '', 0)");
        bench.own("UPDATE people SET name = 'b'");
        bench.own("DELETE FROM people");
        let mut app = bench.neighbour();
        app.query_drop("INSERT INTO people VALUES (2, 'a', '', 0)").unwrap();
        app.query_drop("UPDATE people SET name = 'b'").unwrap();
        app.query_drop("DELETE FROM people").unwrap();
        assert_eq!(bench.marks("people"), ["insert 2", "update 2 (name)", "delete 2"]);
    });
}

#[test]
fn rolled_back_writes_leave_no_marks() {
    each("rolled_back", |bench| {
        people(bench);
        bench.run(&["BEGIN", "INSERT INTO people VALUES (1, 'a', '', 0)", "ROLLBACK"]);
        assert_eq!(bench.marks("people"), Vec::<String>::new());
    });
}

/// Every type, a first value, and a second one that is easily taken for the first.
const TYPES: &[(&str, &str, &str)] = &[
    ("INT", "1", "2"),
    ("BIGINT UNSIGNED", "18446744073709551615", "18446744073709551614"),
    ("BIT(64)", "b'1'", "b'11'"),
    ("YEAR", "2000", "2001"),
    ("DECIMAL(30,10)", "1", "1.0000000001"),
    ("FLOAT", "1e-45", "3e-45"),
    ("DOUBLE", "5e-324", "0"),
    ("DATE", "'2020-01-01'", "'2020-01-02'"),
    ("TIME(6)", "'00:00:00'", "'00:00:00.000001'"),
    ("DATETIME(6)", "'2020-01-01 00:00:00'", "'2020-01-01 00:00:00.000001'"),
    ("TIMESTAMP(6) NULL", "'2020-01-01 00:00:00'", "'2020-01-01 00:00:00.000001'"),
    ("CHAR(5)", "'a'", "'A'"),
    ("VARCHAR(20)", "'a'", "'a '"),
    ("VARCHAR(20) CHARACTER SET latin1", "'a'", "'A'"),
    ("VARCHAR(20) CHARACTER SET utf16", "'a'", "'ä'"),
    ("LONGTEXT", "'strasse'", "'straße'"),
    ("ENUM('a','b','')", "'a'", "''"),
    ("SET('x','y')", "'x'", "'x,y'"),
    ("BINARY(3)", "'a'", "'A'"),
    ("VARBINARY(9)", "'a'", "'a\\0'"),
    ("LONGBLOB", "x'00'", "x'0000'"),
    // MySQL itself takes 1 and 1.0 for the same and does not store the second.
    ("JSON", "'{\"a\": 1}'", "'{\"a\": \"1\"}'"),
    ("POINT", "ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(2 1)')"),
];

#[test]
fn every_type_is_compared_by_its_bytes() {
    each("types", |bench| {
        let columns: String = TYPES.iter().enumerate().map(|(i, (t, _, _))| format!(", c{i} {t}")).collect();
        bench.run(&[&format!("CREATE TABLE t (id INT PRIMARY KEY{columns})")]);
        bench.install();
        bench.run(&["SET sql_mode = ''", "INSERT INTO t (id) VALUES (1)"]);
        bench.marks("t");
        for (i, (sql_type, first, second)) in TYPES.iter().enumerate() {
            for value in [first, first, second, second, &"NULL", &"NULL"] {
                bench.run(&[&format!("UPDATE t SET c{i} = {value}")]);
            }
            assert_eq!(bench.marks("t"), vec![format!("update 1 (c{i})"); 3], "{sql_type}");
        }
    });
}

#[test]
fn minus_zero_is_another_value_where_it_can_be_stored() {
    each("minus_zero", |bench| {
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, d DOUBLE, f FLOAT)", "INSERT INTO t VALUES (1, 0, 0)"]);
        bench.install();
        let mut app = bench.app();
        app.exec_drop("UPDATE t SET d = ?, f = ?", (-0.0f64, -0.0f32)).unwrap();
        let stored: (f64, f32) = app.exec_first("SELECT d, f FROM t", ()).unwrap().unwrap();
        let changed = stored.0.is_sign_negative() && stored.1.is_sign_negative();
        assert_eq!(!bench.marks("t").is_empty(), changed, "{stored:?}");
    });
}

#[test]
fn the_hour_that_is_there_twice() {
    each("dst", |bench| {
        if bench.is_mysql() {
            // Its tables of time zones are empty.
            return;
        }
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL)"]);
        bench.run(&["SET time_zone = '+00:00'", "INSERT INTO t VALUES (1, '2025-10-26 00:30:00')"]);
        bench.install();
        bench.run(&["SET time_zone = '+00:00'", "UPDATE t SET at = '2025-10-26 01:30:00'"]);
        assert_eq!(bench.marks("t"), ["update 1 (at)"]);
    });
}

#[test]
fn two_hundred_columns() {
    each("wide", |bench| {
        let columns: String =
            (0..200).map(|i| format!(", c{i} {}", if i % 2 == 0 { "VARCHAR(5)" } else { "INT" })).collect();
        bench.run(&[&format!("CREATE TABLE t (id INT PRIMARY KEY{columns})"), "INSERT INTO t (id) VALUES (1)"]);
        bench.install();
        bench.run(&["UPDATE t SET c0 = 'a', c30 = 'a', c31 = 1, c63 = 1, c199 = 1"]);
        assert_eq!(bench.marks("t"), ["update 1 (c0,c30,c31,c63,c199)"]);
    });
}

#[test]
fn awful_names() {
    each("awful_names", |bench| {
        let long = "é".repeat(64);
        let name = "se`le'ct \"\\ %s ?";
        let table = format!("`{}`", name.replace('`', "``"));
        bench.run(&[
            &format!("CREATE TABLE {table} (`{long}` INT, `or``der` VARCHAR(9), `b0` INT, `new` INT, `w0` INT, PRIMARY KEY (`{long}`))"),
            "CREATE TABLE `NEW` (`OLD` INT PRIMARY KEY, `k0` INT, `op` INT, `at` INT)",
        ]);
        bench.install();
        bench.run(&[
            &format!("INSERT INTO {table} VALUES (1, 'a', 1, 1, 1)"),
            &format!("UPDATE {table} SET `or``der` = 'A', `b0` = 2, `new` = 2, `w0` = 2"),
            "INSERT INTO `NEW` VALUES (1, 1, 1, 1)",
            "UPDATE `NEW` SET op = 2, k0 = 2",
        ]);
        assert_eq!(bench.marks(name), ["insert 1", "update 1 (or`der,b0,new,w0)"]);
        assert_eq!(bench.marks("NEW"), ["insert 1", "update 1 (k0,op)"]);
    });
}

#[test]
fn generated_columns_are_not_marked_and_invisible_ones_are() {
    each("generated", |bench| {
        bench.run(&[
            "CREATE TABLE t (id INT PRIMARY KEY, a INT, g INT AS (a + 1) VIRTUAL, s INT AS (a + 2) STORED, hid INT INVISIBLE)",
            "INSERT INTO t (id, a, hid) VALUES (1, 1, 1)",
        ]);
        bench.install();
        bench.run(&["UPDATE t SET a = 2", "UPDATE t SET hid = 2"]);
        assert_eq!(bench.marks("t"), ["update 1 (a)", "update 1 (hid)"]);
    });
}

#[test]
fn keys_of_every_type() {
    each("key_types", |bench| {
        let keys = [
            ("a", "BIGINT UNSIGNED", "18446744073709551615"),
            ("b", "DECIMAL(20,5)", "1.50000"),
            ("c", "DATETIME(6)", "0000-00-00 00:00:00.000000"),
            ("d", "VARBINARY(20)", "a"),
            ("e", "ENUM('x','y')", "y"),
            ("f", "CHAR(36) CHARACTER SET ascii", "abc"),
            ("g", "BIT(5)", "\u{1}"),
            ("h", "DATE", "2020-02-30"),
            ("i", "VARCHAR(191)", "日本"),
        ];
        for (name, sql_type, _) in keys {
            bench.run(&[&format!("CREATE TABLE {name} (id {sql_type} PRIMARY KEY, v INT)")]);
        }
        bench.install();
        for (name, sql_type, value) in keys {
            bench.run(&["SET sql_mode = 'ALLOW_INVALID_DATES'", &format!("INSERT INTO {name} VALUES ('{value}', 1)")]);
            bench.run(&[&format!("UPDATE {name} SET v = 2"), &format!("DELETE FROM {name}")]);
            let marks = bench.marks(name);
            let kinds: Vec<&str> = marks.iter().map(|m| m.split(' ').next().unwrap()).collect();
            assert_eq!(kinds, ["insert", "update", "delete"], "{sql_type}: {marks:?}");
            if sql_type != "BIT(5)" && sql_type != "VARBINARY(20)" {
                assert!(marks[0].contains(value), "{sql_type}: {marks:?}");
            }
        }
    });
}

#[test]
fn tables_that_are_not_transactional() {
    each("myisam", |bench| {
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, v INT) ENGINE=MyISAM"]);
        bench.install();
        assert!(!bench.schema().tables[0].transactional);
        bench.run(&["INSERT INTO t VALUES (1, 1)", "UPDATE t SET v = 2", "DELETE FROM t"]);
        assert_eq!(bench.marks("t"), ["insert 1", "update 1 (v)", "delete 1"]);
        if !bench.is_mysql() {
            bench.run(&["CREATE TABLE u (id INT PRIMARY KEY) ENGINE=Aria"]);
            bench.install();
            bench.run(&["INSERT INTO u VALUES (1)"]);
            assert_eq!(bench.marks("u"), ["insert 1"]);
        }
    });
}

#[test]
fn lock_tables_of_the_application() {
    each("lock_tables", |bench| {
        bench.run(&[
            "CREATE TABLE t (a INT, b VARCHAR(9) CHARACTER SET latin1, c DATETIME(3), d TIMESTAMP(6), e BIT(9), \
             f VARBINARY(9), g DECIMAL(9,2), v INT, PRIMARY KEY (a, b, c, d, e, f, g))",
        ]);
        bench.install();
        let statements = [
            "LOCK TABLES t WRITE",
            "SET time_zone = '+05:30'",
            "INSERT INTO t VALUES (-1, 'é', '2020-01-02 03:04:05.006', '2020-01-01 05:30:00.000001', 5, ',', -1.5, 0)",
            "UPDATE t SET v = 1",
            "UPDATE t SET b = 'É'",
            "DELETE FROM t",
        ];
        bench.run(&statements);
        let first = bench.marks("t");
        // MariaDB remembers that the mark table was used by somebody else, and refuses the triggers (1442).
        bench.run(&statements);
        let second = bench.marks("t");
        let all = |marks: &[String]| marks.iter().map(|m| m.replace("(v)", "(all)")).collect::<Vec<_>>();
        assert_eq!(all(&first), all(&second));
        assert_eq!(first.len(), 5);
        assert_eq!(second.contains(&first[1]), bench.is_mysql(), "{second:?}");
    });
}

#[test]
fn an_application_account_without_any_grant_on_our_tables() {
    each("app_account", |bench| {
        people(bench);
        let grant = format!("SELECT, INSERT, UPDATE, DELETE ON `{}`.people", bench.name);
        let account = bench.server.user_with("clerk", &[&grant]).unwrap();
        let mut app = bench.server.connect(&account, Some(&bench.name)).unwrap();
        for statement in
            ["INSERT INTO people VALUES (1, 'a', '', 0)", "UPDATE people SET name = 'b'", "DELETE FROM people"]
        {
            app.query_drop(statement).unwrap();
        }
        assert_eq!(bench.marks("people"), ["insert 1", "update 1 (name)", "delete 1"]);
    });
}

/// MariaDB goes by the time when CREATE TRIGGER began: a statement that was prepared while it waited is not prepared
/// again, and its execution does not find what the trigger needs.
#[test]
fn a_statement_prepared_while_a_trigger_waits_for_its_table() {
    each("prepared", |bench| {
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 0), (2, 0)"]);
        bench.install();
        bench.run(&["DROP TRIGGER server_sync_1_ad"]);
        let (mut holder, mut app, mut eye) = (bench.app(), bench.app(), bench.app());
        holder.query_drop("BEGIN").unwrap();
        holder.query_drop("UPDATE t SET v = 1 WHERE id = 2").unwrap();
        let waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() \
             AND STATE LIKE '%table metadata lock%'";
        let (mut app, statement) = std::thread::scope(|scope| {
            let prepare = scope.spawn(move || {
                let mut is_waiting = || eye.query_first::<u64, _>(waiting).unwrap() == Some(1);
                wait_until("the trigger waits", Duration::from_secs(30), &mut is_waiting).unwrap();
                let statement = app.prep("DELETE FROM t WHERE id = ?").unwrap();
                holder.query_drop("COMMIT").unwrap();
                (app, statement)
            });
            bench.try_install().unwrap();
            prepare.join().unwrap()
        });
        app.exec_drop(&statement, (1,)).unwrap();
        assert_eq!(bench.marks("t"), ["update 2 (v)", "delete 1"]);
    });
}
