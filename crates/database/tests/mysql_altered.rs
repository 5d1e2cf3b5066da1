//! The application changes its tables while our triggers are still the old ones: no write of it may fail, and nothing
//! may go unmarked.
#![allow(clippy::unwrap_used, clippy::panic)]

mod mysql_bench;

use mysql_bench::{Bench, each};

/// Inserts, updates and deletes row 3 of a table, whatever its key is called now.
fn write(bench: &Bench, key: &str, update: &str) -> Vec<String> {
    bench.run(&[
        &format!("INSERT INTO t ({key}) VALUES (3)"),
        &format!("UPDATE t SET {update} WHERE {key} = 3"),
        &format!("DELETE FROM t WHERE {key} = 3"),
    ]);
    bench.marks("t")
}

fn table(bench: &mut Bench) {
    bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20), b INT, c INT)"]);
    bench.install();
}

#[test]
fn columns_dropped_renamed_changed_and_added() {
    let changes = [
        ("DROP COLUMN c", "b = 7", "update 3 (all)"),
        ("RENAME COLUMN b TO bb", "bb = 7", "update 3 (all)"),
        ("CHANGE a aa VARCHAR(40)", "aa = 'x'", "update 3 (all)"),
        ("ADD COLUMN d INT, ADD COLUMN e INT AS (b + 1)", "b = 7, d = 7", "update 3 (b)"),
        ("MODIFY a LONGTEXT, MODIFY b BIGINT", "a = 'x'", "update 3 (a)"),
        ("ALTER COLUMN b SET DEFAULT 4, COMMENT = 'x'", "b = 7", "update 3 (b)"),
    ];
    for (change, update, expected) in changes {
        each("altered", |bench| {
            table(bench);
            bench.run(&[&format!("ALTER TABLE t {change}")]);
            assert_eq!(write(bench, "id", update), ["insert 3", expected, "delete 3"], "{change}");
            bench.install();
            let marks = write(bench, "id", update);
            assert!(!marks.contains(&"update 3 (all)".to_owned()), "{change}: {marks:?}");
        });
    }
}

#[test]
fn a_key_column_that_is_renamed_leaves_a_mark_without_key() {
    each("renamed_key", |bench| {
        table(bench);
        bench.run(&["ALTER TABLE t RENAME COLUMN id TO number"]);
        assert_eq!(write(bench, "number", "b = 7"), ["unknown NULL", "unknown NULL", "unknown NULL"]);
        bench.install();
        assert_eq!(write(bench, "number", "b = 7"), ["insert 3", "update 3 (b)", "delete 3"]);
    });
}

#[test]
fn a_key_that_outgrows_its_type() {
    each("grown_key", |bench| {
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, b INT)", "CREATE TABLE s (id VARCHAR(3) PRIMARY KEY, b INT)"]);
        bench.install();
        bench.run(&["ALTER TABLE t MODIFY id BIGINT", "ALTER TABLE s MODIFY id VARCHAR(30)"]);
        bench.run(&["INSERT INTO t VALUES (3000000000, 1)", "INSERT INTO s VALUES ('long key', 1)"]);
        bench.run(&["UPDATE s SET b = 2", "DELETE FROM s"]);
        bench.install();
        bench.run(&["INSERT INTO s VALUES ('long key', 1)"]);
        assert_eq!(bench.marks("t"), ["insert 3000000000"]);
        let expected = ["insert long key", "update long key (all)", "delete long key", "insert long key"];
        assert_eq!(bench.marks("s"), expected);
    });
}

#[test]
fn a_mark_table_that_was_dropped() {
    each("no_marks", |bench| {
        table(bench);
        let mark_table = bench.registered("t").mark_table();
        bench.run(&[&format!("DROP TABLE {mark_table}")]);
        bench.run(&["INSERT INTO t (id) VALUES (1)", "UPDATE t SET b = 1", "UPDATE t SET id = 2", "DELETE FROM t"]);
        bench.install();
        let expected = ["insert 1", "update 1 (all)", "delete 1", "insert 2", "delete 2"];
        assert_eq!(bench.marks("t"), expected);
    });
}

#[test]
fn an_id_that_is_taken() {
    each("taken_id", |bench| {
        table(bench);
        let mark_table = bench.registered("t").mark_table();
        // The next ids of the server, as after a boot at the same clock reading.
        for statement in [
            "INSERT INTO t (id) VALUES (1)",
            "UPDATE t SET b = COALESCE(b, 0) + 1",
            "UPDATE t SET id = 2",
            "DELETE FROM t",
        ] {
            let digits = "(SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 \
                 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
            let taken = format!(
                "INSERT INTO {mark_table} (id, op, at) \
                 SELECT first + a.n + 10 * b.n + 100 * c.n + 1000 * d.n, 9, UTC_TIMESTAMP(6) \
                 FROM (SELECT UUID_SHORT() AS first) f, {digits} a, {digits} b, {digits} c, {digits} d"
            );
            bench.run(&[&format!("DELETE FROM {mark_table} WHERE op = 9"), &taken, statement]);
        }
        bench.run(&[&format!("DELETE FROM {mark_table} WHERE op = 9")]);
        assert_eq!(bench.marks("t"), ["insert 1", "update 1 (all)", "delete 1", "insert 2", "delete 2"]);
    });
}

#[test]
fn the_late_table_is_gone_too() {
    each("no_late", |bench| {
        table(bench);
        let mark_table = bench.registered("t").mark_table();
        bench.run(&[&format!("DROP TABLE {mark_table}, server_sync_late")]);
        bench.run(&["INSERT INTO t (id) VALUES (1)", "UPDATE t SET b = 1", "UPDATE t SET id = 2", "DELETE FROM t"]);
        let notes = bench.install();
        assert!(notes.iter().any(|n| n.contains("may have gone unnoticed")), "{notes:?}");
        if !bench.is_mysql() {
            bench.run(&["DROP PROCEDURE server_sync_late", "ALTER TABLE t DROP COLUMN b", "UPDATE t SET c = 1"]);
        }
        bench.install();
        bench.run(&["INSERT INTO t (id) VALUES (1)"]);
        assert_eq!(bench.marks("t"), ["insert 1"]);
    });
}

#[test]
fn a_definer_whose_rights_were_taken() {
    each("revoked", |bench| {
        table(bench);
        let grants =
            format!("SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, TRIGGER, EXECUTE ON `{}`.*", bench.name);
        bench.server.user_with("owner", &[&grants]).unwrap();
        let body = bench.schema().triggers.iter().find(|t| t.event == "INSERT").unwrap().body.clone();
        bench.run(&[
            "DROP TRIGGER server_sync_1_ai",
            &format!("CREATE DEFINER = 'owner'@'%' TRIGGER server_sync_1_ai AFTER INSERT ON t FOR EACH ROW {body}"),
            &format!("REVOKE INSERT ON `{}`.* FROM 'owner'@'%'", bench.name),
            "INSERT INTO t (id) VALUES (1)",
        ]);
        bench.install();
        bench.run(&["INSERT INTO t (id) VALUES (2)"]);
        assert_eq!(bench.marks("t"), ["insert 2"]);
    });
}

#[test]
fn more_columns_need_more_bits() {
    each("more_bits", |bench| {
        table(bench);
        let added: Vec<String> = (0..40).map(|i| format!("ADD COLUMN d{i} INT")).collect();
        bench.run(&["INSERT INTO t (id) VALUES (1)", &format!("ALTER TABLE t {}", added.join(", "))]);
        bench.install();
        bench.run(&["UPDATE t SET d39 = 1"]);
        assert_eq!(bench.marks("t"), ["insert 1", "update 1 (d39)"]);
    });
}

#[test]
fn renamed_and_swapped_tables() {
    each("swapped", |bench| {
        table(bench);
        bench.run(&["CREATE TABLE t_new LIKE t", "RENAME TABLE t TO t_old, t_new TO t"]);
        bench.run(&["INSERT INTO t_old (id) VALUES (1)"]);
        assert_eq!(bench.marks("t"), ["insert 1"]);
        bench.install();
        bench.run(&["INSERT INTO t (id) VALUES (2)", "INSERT INTO t_old (id) VALUES (3)"]);
        assert_eq!((bench.marks("t"), bench.marks("t_old")), (vec!["insert 2".into()], vec!["insert 3".into()]));
        bench.run(&["DROP TABLE t_old", "RENAME TABLE t TO t_old"]);
        bench.run(&["CREATE TABLE t LIKE t_old"]);
        bench.install();
        bench.run(&["INSERT INTO t (id) VALUES (2)", "INSERT INTO t_old (id) VALUES (3)"]);
        assert_eq!((bench.marks("t"), bench.marks("t_old")), (vec!["insert 2".into()], vec!["insert 3".into()]));
    });
}
