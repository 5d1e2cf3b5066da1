//! What foreign keys do to the rows of other tables is marked, on real servers.
#![allow(clippy::unwrap_used, clippy::panic)]

mod mysql_bench;

use mysql::prelude::Queryable;
use mysql_bench::{Bench, each};

fn set(bench: &Bench, tables: &[&str]) -> Vec<Vec<String>> {
    tables.iter().map(|t| bench.mark_set(t)).collect()
}

fn clear(bench: &Bench) {
    bench.registered.iter().for_each(|r| drop(bench.marks(&r.name)));
}

/// Creates tables, installs, fills, and forgets the marks so far.
fn prepare(bench: &mut Bench, tables: &[&str], rows: &[&str]) {
    bench.run(tables);
    bench.install();
    bench.run(rows);
    clear(bench);
}

const THREE_LEVELS: &[&str] = &[
    "CREATE TABLE a (id INT PRIMARY KEY)",
    "CREATE TABLE b (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
    "CREATE TABLE c (id INT PRIMARY KEY, b INT, FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE)",
    "CREATE TABLE d (id INT PRIMARY KEY, c INT, v INT, FOREIGN KEY (c) REFERENCES c (id) ON DELETE SET NULL)",
];
const THREE_LEVELS_ROWS: &[&str] = &[
    "INSERT INTO a VALUES (1), (2), (3)",
    "INSERT INTO b VALUES (1, 1), (2, 1), (3, 2), (4, 3)",
    "INSERT INTO c VALUES (1, 1), (2, 2), (3, 3), (4, NULL)",
    "INSERT INTO d VALUES (1, 1, 0), (2, 3, 0), (3, NULL, 0)",
];

#[test]
fn deletes_through_three_levels() {
    each("three_levels", |bench| {
        prepare(bench, THREE_LEVELS, THREE_LEVELS_ROWS);
        bench.run(&["DELETE FROM a WHERE id < 3"]);
        let expected = [
            vec!["delete 1", "delete 2"],
            vec!["delete 1", "delete 2", "delete 3"],
            vec!["delete 1", "delete 2", "delete 3"],
            vec!["update 1 (c)", "update 2 (c)"],
        ];
        assert_eq!(set(bench, &["a", "b", "c", "d"]), expected);
    });
}

#[test]
fn not_for_our_own_writes_and_not_where_keys_are_not_checked() {
    each("no_cascade", |bench| {
        prepare(bench, THREE_LEVELS, THREE_LEVELS_ROWS);
        bench.run(&["SET @server_sync_applying = 1", "DELETE FROM a WHERE id = 1"]);
        bench.run(&["SET foreign_key_checks = 0", "DELETE FROM a WHERE id = 2"]);
        let nothing: Vec<&str> = vec![];
        assert_eq!(set(bench, &["a", "b", "c", "d"]), [vec!["delete 2"], nothing.clone(), nothing.clone(), nothing]);
    });
}

#[test]
fn triggers_of_the_children_that_fire_too() {
    each("cascade_triggers", |bench| {
        if !bench.is_mysql() {
            return;
        }
        bench.server.execute("SET GLOBAL enable_cascade_triggers = ON").unwrap();
        prepare(bench, THREE_LEVELS, THREE_LEVELS_ROWS);
        bench.run(&["DELETE FROM a WHERE id < 3"]);
        bench.server.execute("SET GLOBAL enable_cascade_triggers = OFF").unwrap();
        let expected = [
            vec!["delete 1", "delete 2"],
            vec!["delete 1", "delete 2", "delete 3"],
            vec!["delete 1", "delete 2", "delete 3"],
            vec!["update 1 (c)", "update 2 (c)"],
        ];
        assert_eq!(set(bench, &["a", "b", "c", "d"]), expected);
    });
}

#[test]
fn a_tree_in_one_table() {
    each("tree", |bench| {
        let table = "CREATE TABLE t (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES t (id) ON DELETE CASCADE)";
        let rows = "INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2), (4, 2), (5, NULL), (6, 5)";
        prepare(bench, &[table], &[rows]);
        bench.run(&["DELETE FROM t WHERE id IN (1, 6)"]);
        assert_eq!(bench.mark_set("t"), ["delete 1", "delete 2", "delete 3", "delete 4", "delete 6"]);
    });
}

#[test]
fn a_tree_whose_orphans_stay() {
    each("orphans", |bench| {
        let table =
            "CREATE TABLE t (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES t (id) ON DELETE SET NULL)";
        prepare(bench, &[table], &["INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2)"]);
        bench.run(&["DELETE FROM t WHERE id = 1"]);
        assert_eq!(bench.mark_set("t"), ["delete 1", "update 2 (up)"]);
    });
}

#[test]
fn a_cycle_of_two_tables_with_leaves() {
    each("cycle", |bench| {
        let tables = [
            "CREATE TABLE a (id INT PRIMARY KEY, b VARCHAR(9))",
            "CREATE TABLE b (id VARCHAR(9) PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
            "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE",
            "CREATE TABLE l (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE SET NULL)",
            "CREATE TABLE m (id INT PRIMARY KEY, b VARCHAR(9), FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE)",
        ];
        let rows = [
            "INSERT INTO a VALUES (1, NULL)",
            "INSERT INTO b VALUES ('x', 1)",
            "INSERT INTO a VALUES (2, 'x')",
            "INSERT INTO b VALUES ('y', 2)",
            "INSERT INTO l VALUES (1, 1), (2, 2), (3, NULL)",
            "INSERT INTO m VALUES (1, 'x'), (2, 'y'), (3, NULL)",
        ];
        prepare(bench, &tables, &rows);
        bench.run(&["DELETE FROM a WHERE id = 1"]);
        let expected = [
            vec!["delete 1", "delete 2"],
            vec!["delete x", "delete y"],
            vec!["update 1 (a)", "update 2 (a)"],
            vec!["delete 1", "delete 2"],
        ];
        assert_eq!(set(bench, &["a", "b", "l", "m"]), expected);
    });
}

#[test]
fn a_diamond() {
    each("diamond", |bench| {
        let tables = [
            "CREATE TABLE a (id INT PRIMARY KEY)",
            "CREATE TABLE b (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
            "CREATE TABLE c (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
            "CREATE TABLE d (id INT PRIMARY KEY, b INT, c INT, FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE, \
             FOREIGN KEY (c) REFERENCES c (id) ON DELETE SET NULL)",
        ];
        let rows = [
            "INSERT INTO a VALUES (1), (2)",
            "INSERT INTO b VALUES (1, 1), (2, 2)",
            "INSERT INTO c VALUES (1, 1), (2, 2)",
            "INSERT INTO d VALUES (1, 1, 1), (2, 2, 1), (3, 1, 2)",
        ];
        prepare(bench, &tables, &rows);
        bench.run(&["DELETE FROM a WHERE id = 1"]);
        assert_eq!(bench.mark_set("d"), ["delete 1", "delete 3", "update 1 (c)", "update 2 (c)"]);
    });
}

#[test]
fn updates_of_composite_keys() {
    each("composite", |bench| {
        let tables = [
            "CREATE TABLE a (x INT, y VARCHAR(9), v INT, PRIMARY KEY (x, y))",
            "CREATE TABLE b (id INT PRIMARY KEY, ax INT, ay VARCHAR(9), \
             FOREIGN KEY (ax, ay) REFERENCES a (x, y) ON UPDATE CASCADE ON DELETE SET NULL)",
            "CREATE TABLE c (ax INT, ay VARCHAR(9), n INT, PRIMARY KEY (ax, ay, n), \
             FOREIGN KEY (ax, ay) REFERENCES a (x, y) ON UPDATE CASCADE ON DELETE CASCADE)",
            "CREATE TABLE d (id INT PRIMARY KEY, cx INT, cy VARCHAR(9), cn INT, \
             FOREIGN KEY (cx, cy, cn) REFERENCES c (ax, ay, n) ON UPDATE CASCADE)",
            "CREATE TABLE e (id INT PRIMARY KEY, ax INT, ay VARCHAR(9), \
             FOREIGN KEY (ax, ay) REFERENCES a (x, y) ON UPDATE SET NULL)",
        ];
        let rows = [
            "INSERT INTO a VALUES (1, 'k', 0), (2, 'l', 0)",
            "INSERT INTO b VALUES (1, 1, 'k'), (2, 2, 'l'), (3, NULL, 'k')",
            "INSERT INTO c VALUES (1, 'k', 7), (2, 'l', 7)",
            "INSERT INTO d VALUES (1, 1, 'k', 7), (2, 2, 'l', 7)",
            "INSERT INTO e VALUES (1, 1, 'k'), (2, 2, 'l')",
        ];
        prepare(bench, &tables, &rows);
        bench.run(&["UPDATE a SET v = 1"]);
        assert_eq!(set(bench, &["b", "c", "d", "e"]), vec![Vec::<String>::new(); 4]);
        clear(bench);
        bench.run(&["UPDATE a SET y = 'K' WHERE x = 1"]);
        let expected = [
            vec!["delete 1,k", "insert 1,K"],
            vec!["update 1 (ax,ay)"],
            vec!["delete 1,k,7", "insert 1,K,7"],
            vec!["update 1 (cx,cy)"],
            vec!["update 1 (ax,ay)"],
        ];
        assert_eq!(set(bench, &["a", "b", "c", "d", "e"]), expected);
        let shown: Vec<(i32, String)> = bench.app().query("SELECT ax, ay FROM b WHERE id = 1").unwrap();
        assert_eq!(shown, [(1, "K".to_owned())], "the server did what the marks say");
    });
}

#[test]
fn tables_without_a_key_and_tables_left_out_are_walked_through() {
    each("left_out", |bench| {
        let tables = [
            "CREATE TABLE a (id INT, KEY (id))",
            "CREATE TABLE b (id INT, a INT, UNIQUE (id), FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
            "CREATE TABLE c (id INT PRIMARY KEY, b INT, FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE)",
        ];
        if bench.is_mysql() {
            bench.server.execute("SET GLOBAL restrict_fk_on_non_standard_key = OFF").unwrap();
        }
        let rows =
            ["INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1, 1)", "INSERT INTO c VALUES (1, 1), (2, NULL)"];
        prepare(bench, &tables, &rows);
        bench.run(&["DELETE FROM a"]);
        assert_eq!(bench.mark_set("c"), ["delete 1"]);
    });
}

#[test]
fn children_that_change_under_an_old_trigger() {
    each("changed_children", |bench| {
        prepare(bench, THREE_LEVELS, THREE_LEVELS_ROWS);
        bench.run(&["ALTER TABLE c RENAME COLUMN id TO number", "DELETE FROM a WHERE id = 1"]);
        assert_eq!(
            set(bench, &["b", "c", "d"]),
            [vec!["delete 1", "delete 2"], vec!["unknown NULL"], vec!["unknown NULL"]]
        );
        bench.install();
        bench.run(&["DROP TABLE d", "DELETE FROM a WHERE id = 2"]);
        assert_eq!(set(bench, &["b", "c"]), [vec!["delete 3"], vec!["delete 3"]]);
        clear(bench);
        bench.run(&["ALTER TABLE a RENAME COLUMN id TO number", "DELETE FROM a WHERE number = 3"]);
        assert_eq!(bench.mark_set("a"), ["unknown NULL"]);
        assert_eq!(set(bench, &["b", "c"]), [vec!["unknown NULL"], vec!["unknown NULL"]]);
        bench.registered.retain(|r| r.name != "d");
        bench.install();
        bench.run(&["INSERT INTO a VALUES (9)", "INSERT INTO b VALUES (9, 9)"]);
        clear(bench);
        bench.run(&["DELETE FROM a"]);
        assert_eq!(set(bench, &["a", "b"]), [vec!["delete 9"], vec!["delete 9"]]);
    });
}

#[test]
fn foreign_keys_that_come_and_go() {
    each("come_and_go", |bench| {
        bench.run(&["CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY, a INT)"]);
        bench.install();
        bench.run(&["ALTER TABLE b ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE"]);
        bench.install();
        bench.run(&["INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1, 1)"]);
        clear(bench);
        bench.run(&["DELETE FROM a"]);
        assert_eq!(bench.mark_set("b"), ["delete 1"]);
        bench.run(&["ALTER TABLE b DROP FOREIGN KEY f"]);
        bench.install();
        assert!(bench.schema().triggers.iter().all(|t| t.timing != "BEFORE"));
    });
}

#[test]
fn a_statement_on_parent_and_child_together() {
    each("together", |bench| {
        prepare(bench, THREE_LEVELS, THREE_LEVELS_ROWS);
        bench.run(&["DELETE a, b FROM a LEFT JOIN b ON b.a = a.id WHERE a.id = 1"]);
        assert_eq!(bench.mark_set("a"), ["delete 1"]);
        assert_eq!(bench.mark_set("b"), ["delete 1", "delete 2"]);
        assert_eq!(bench.mark_set("c"), ["delete 1", "delete 2"]);
    });
}

/// MariaDB refuses (1442) what two triggers of locked tables write to the same table, if somebody else used that before.
#[test]
fn lock_tables_of_the_application() {
    each("locked", |bench| {
        prepare(bench, THREE_LEVELS, THREE_LEVELS_ROWS);
        bench.run(&[
            "LOCK TABLES a WRITE, b WRITE",
            "INSERT INTO a VALUES (9)",
            "INSERT INTO b VALUES (9, 9)",
            "UNLOCK TABLES",
        ]);
        assert_eq!(set(bench, &["a", "b"]), [vec!["insert 9"], vec!["insert 9"]]);
        bench.run(&["LOCK TABLES a WRITE, b WRITE", "DELETE FROM a WHERE id < 9", "UNLOCK TABLES"]);
        assert_eq!(bench.mark_set("a"), ["delete 1", "delete 2", "delete 3"]);
        let below = set(bench, &["b", "c", "d"]);
        let exact = [
            vec!["delete 1", "delete 2", "delete 3", "delete 4"],
            vec!["delete 1", "delete 2", "delete 3"],
            vec!["update 1 (c)", "update 2 (c)"],
        ];
        assert!(below == exact || below.iter().all(|marks| *marks == ["unknown NULL"]), "{below:?}");
        assert!(!bench.is_mysql() || below == exact, "{below:?}");
    });
}
