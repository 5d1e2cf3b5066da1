//! What the triggers mark in SQLite: every fact that decides whether a change can be missed.
#![allow(clippy::unwrap_used)]

mod sqlite_support;

use sqlite_support::Site;

fn marks_of(schema: &str, statements: &[(&str, &[&str])]) {
    let mut site = Site::new(schema);
    for (statement, expected) in statements {
        site.app(statement);
        assert_eq!(site.marks("t"), *expected, "{statement}");
    }
}

#[test]
fn an_update_names_the_columns_that_changed() {
    marks_of(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT, c INT)",
        &[
            ("INSERT INTO t VALUES(1, 'a', 'b', 1), (2, 'a', 'b', 2)", &["insert 1", "insert 2"]),
            ("UPDATE t SET a='x', b=b WHERE id=1", &["update 1 a"]),
            ("UPDATE t SET a=NULL, c=7 WHERE id=1", &["update 1 a c"]),
            ("UPDATE t SET a=a", &[]),
            ("UPDATE t SET a='y' WHERE id=2; DELETE FROM t WHERE id=2", &["update 2 a", "delete 2"]),
            ("DELETE FROM t", &["delete 1"]),
        ],
    );
}

#[test]
fn more_columns_than_fit_into_one_word() {
    let columns: String = (1..80).map(|i| format!(", c{i} INT")).collect();
    marks_of(
        &format!("CREATE TABLE t(id INTEGER PRIMARY KEY{columns}); INSERT INTO t(id) VALUES(1)"),
        &[
            ("UPDATE t SET c1=1, c31=1, c32=1, c33=1, c63=1, c64=1, c79=1", &["update 1 c1 c31 c32 c33 c63 c64 c79"]),
            ("UPDATE t SET c64=2", &["update 1 c64"]),
            ("UPDATE t SET c64=2", &[]),
        ],
    );
}

#[test]
fn columns_are_compared_byte_by_byte() {
    marks_of(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n TEXT COLLATE NOCASE, r TEXT COLLATE RTRIM, x, i INT, b BLOB, u NUMERIC);
         INSERT INTO t VALUES(1, 'x', 'a', 1, 1, x'61', 1)",
        &[
            ("UPDATE t SET n='X'", &["update 1 n"]),
            ("UPDATE t SET r='a '", &["update 1 r"]),
            ("UPDATE t SET x=1.0", &["update 1 x"]),
            ("UPDATE t SET x='1.0'", &["update 1 x"]),
            ("UPDATE t SET x=0.0", &["update 1 x"]),
            // The one difference that no expression of SQL can see.
            ("UPDATE t SET x=-0.0", &[]),
            ("UPDATE t SET x='a' || char(0) || 'b'", &["update 1 x"]),
            ("UPDATE t SET x='a' || char(0) || 'c'", &["update 1 x"]),
            ("UPDATE t SET b=CAST(x'61' AS TEXT)", &["update 1 b"]),
            ("UPDATE t SET b=CAST(x'ff' AS TEXT)", &["update 1 b"]),
            ("UPDATE t SET b=CAST(x'fe' AS TEXT)", &["update 1 b"]),
            // Here the column makes them one.
            ("UPDATE t SET i='1', u=1.0", &[]),
        ],
    );
}

#[test]
fn a_changed_key_is_a_delete_and_an_insert() {
    marks_of(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1, 1)",
        &[
            ("UPDATE t SET id=2", &["delete 1", "insert 2"]),
            ("UPDATE t SET rowid=3, a=2", &["delete 2", "insert 3"]),
            ("UPDATE t SET _rowid_=4", &["delete 3", "insert 4"]),
            ("UPDATE t SET id=4", &[]),
        ],
    );
}

#[test]
fn keys_of_every_kind() {
    marks_of(
        "CREATE TABLE t(a TEXT NOT NULL, b BLOB NOT NULL, v, PRIMARY KEY(b, a)) WITHOUT ROWID",
        &[
            ("INSERT INTO t VALUES('x', x'00ff', 1)", &["insert X'00FF' 'x'"]),
            ("UPDATE t SET v=2", &["update X'00FF' 'x' v"]),
            ("UPDATE t SET a='y', v=3", &["delete X'00FF' 'x'", "insert X'00FF' 'y'"]),
            ("DELETE FROM t", &["delete X'00FF' 'y'"]),
        ],
    );
    marks_of(
        "CREATE TABLE t(k TEXT PRIMARY KEY COLLATE NOCASE, v)",
        &[
            ("INSERT INTO t VALUES('abc', 1)", &["insert 'abc'"]),
            ("UPDATE t SET k='ABC'", &["delete 'abc'", "insert 'ABC'"]),
            ("UPDATE t SET k='ABC', v=2", &["update 'ABC' v"]),
        ],
    );
    marks_of(
        "CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES(1, 1)",
        &[("UPDATE t SET k=1.0", &["delete 1", "insert 1.0"]), ("UPDATE t SET k='1'", &["delete 1.0", "insert '1'"])],
    );
    marks_of(
        "CREATE TABLE t(v, a INT NOT NULL, b TEXT NOT NULL, UNIQUE(a, b)); INSERT INTO t VALUES(1, 1, 'x')",
        &[
            ("UPDATE t SET v=2", &["update 1 'x' v"]),
            ("UPDATE t SET b='y'", &["delete 1 'x'", "insert 1 'y'"]),
            ("INSERT OR REPLACE INTO t VALUES(9, 1, 'y')", &["delete 1 'y'", "insert 1 'y'"]),
        ],
    );
}

#[test]
fn names_that_need_quotes() {
    marks_of(
        "CREATE TABLE t(\"a \"\"b\" INTEGER PRIMARY KEY, [select] INT, \"new\" INT, \"old\" INT, \"r\" INT UNIQUE,
                        found INT, x INT, \"b0\" INT, k0 INT, 'op' INT, \"ON t\" INT);
         INSERT INTO t(\"a \"\"b\") VALUES(1)",
        &[
            ("UPDATE t SET [select]=1, \"new\"=1, \"old\"=1, \"r\"=1", &["update 1 select new old r"]),
            ("UPDATE t SET found=1, x=1, b0=1, k0=1, op=1, \"ON t\"=1", &["update 1 found x b0 k0 op ON t"]),
            ("INSERT OR REPLACE INTO t(\"a \"\"b\", \"r\") VALUES(2, 1)", &["delete 1", "insert 2"]),
        ],
    );
    let mut site =
        Site::new("CREATE TABLE \"new\"(rowid TEXT PRIMARY KEY, u INT UNIQUE); INSERT INTO \"new\" VALUES('a', 1)");
    site.app("REPLACE INTO \"new\" VALUES('b', 1)");
    assert_eq!(site.marks("new"), ["delete 'a'", "insert 'b'"]);
}

#[test]
fn a_row_with_null_in_its_key_is_not_marked() {
    marks_of(
        "CREATE TABLE t(k TEXT PRIMARY KEY, v)",
        &[
            ("INSERT INTO t VALUES(NULL, 1), (NULL, 2)", &[]),
            ("UPDATE t SET v=3", &[]),
            ("UPDATE t SET k='x' WHERE rowid=1", &["insert 'x'"]),
            ("UPDATE t SET k=NULL", &["delete 'x'"]),
            ("DELETE FROM t", &[]),
        ],
    );
}

#[test]
fn generated_columns_are_left_out() {
    marks_of(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, g INT AS (a * 2) STORED, v INT AS (a + 1), b INT);
         INSERT INTO t(id, a, b) VALUES(1, 1, 1)",
        &[("UPDATE t SET a=2", &["update 1 a"]), ("UPDATE t SET b=2", &["update 1 b"])],
    );
}

#[test]
fn cascades_fire_triggers_through_all_levels() {
    let mut site = Site::new(
        "CREATE TABLE a(id INTEGER PRIMARY KEY);
         CREATE TABLE b(id INTEGER PRIMARY KEY, a INT REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE c(id INTEGER PRIMARY KEY, b INT REFERENCES b ON DELETE CASCADE);
         CREATE TABLE d(id INTEGER PRIMARY KEY, c INT REFERENCES c ON DELETE SET NULL);
         CREATE TABLE e(id INTEGER PRIMARY KEY, up INT REFERENCES e ON DELETE CASCADE);
         INSERT INTO a VALUES(1); INSERT INTO b VALUES(1, 1), (2, 1); INSERT INTO c VALUES(1, 1), (2, 2);
         INSERT INTO d VALUES(1, 1); INSERT INTO e VALUES(1, NULL), (2, 1), (3, 2), (4, 3);",
    );
    site.app("UPDATE a SET id=5");
    assert_eq!(site.marks("a"), ["delete 1", "insert 5"]);
    assert_eq!(site.marks("b"), ["update 1 a", "update 2 a"]);
    site.app("DELETE FROM a");
    assert_eq!(site.marks("a"), ["delete 5"]);
    assert_eq!(site.marks("b"), ["delete 1", "delete 2"]);
    assert_eq!(site.marks("c"), ["delete 1", "delete 2"]);
    assert_eq!(site.marks("d"), ["update 1 c"]);
    site.app("DELETE FROM e WHERE id=1");
    let mut deleted = site.marks("e");
    deleted.sort();
    assert_eq!(deleted, ["delete 1", "delete 2", "delete 3", "delete 4"]);
}

#[test]
fn replace_marks_the_rows_that_it_removes() {
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT UNIQUE COLLATE NOCASE, v INT, w INT, UNIQUE(v, w));
         INSERT INTO t VALUES(1, 'a', 1, 1), (2, 'b', 2, 2), (3, 'c', 3, 3)";
    marks_of(
        schema,
        &[
            ("REPLACE INTO t VALUES(1, 'x', 1, 1)", &["delete 1", "delete 1", "insert 1"]),
            ("REPLACE INTO t VALUES(9, 'B', 9, 9)", &["delete 2", "insert 9"]),
            ("REPLACE INTO t(u, v, w) VALUES('new', 3, 3)", &["delete 3", "insert 10"]),
            ("UPDATE OR REPLACE t SET u='NEW' WHERE id=1", &["delete 10", "update 1 u"]),
            ("UPDATE OR REPLACE t SET id=9 WHERE id=1", &["delete 9", "delete 1", "insert 9"]),
            // A mark too many is harmless: whether the row is there is read later.
            ("INSERT OR IGNORE INTO t VALUES(9, 'z', 0, 0)", &["delete 9"]),
            ("INSERT INTO t VALUES(20, 'q', 20, NULL), (21, NULL, 20, NULL)", &["insert 20", "insert 21"]),
        ],
    );
    let mut site = Site::new(schema);
    site.app("PRAGMA recursive_triggers=ON; REPLACE INTO t VALUES(9, 'B', 9, 9)");
    assert_eq!(site.marks("t"), ["delete 2", "delete 2", "insert 9"]);
}

#[test]
fn replace_through_every_kind_of_unique_index() {
    marks_of(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT, gone INT);
         CREATE UNIQUE INDEX partial ON t(a COLLATE NOCASE) WHERE gone IS NULL;
         CREATE UNIQUE INDEX expression ON t(lower(b) DESC, length(b));
         INSERT INTO t VALUES(1, 'a', 'x', NULL), (2, 'b', 'y', NULL), (3, 'a', 'z', 1)",
        &[
            ("REPLACE INTO t VALUES(9, 'A', 'q', NULL)", &["delete 1", "insert 9"]),
            ("REPLACE INTO t VALUES(10, 'n', 'Y', NULL)", &["delete 2", "insert 10"]),
            ("UPDATE OR REPLACE t SET gone=NULL WHERE id=3", &["delete 9", "update 3 gone"]),
            ("UPDATE OR REPLACE t SET b='Z' WHERE id=10", &["delete 3", "update 10 b"]),
        ],
    );
    marks_of(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, g INT AS (a / 10) STORED UNIQUE);
         INSERT INTO t(id, a) VALUES(1, 10), (2, 20), (3, 30)",
        &[
            ("REPLACE INTO t(id, a) VALUES(9, 11)", &["delete 1", "insert 9"]),
            ("UPDATE OR REPLACE t SET a=21 WHERE id=9", &["delete 2", "update 9 a"]),
        ],
    );
    marks_of(
        "CREATE TABLE t(a TEXT COLLATE NOCASE, b INT, u INT UNIQUE, PRIMARY KEY(a, b)) WITHOUT ROWID;
         INSERT INTO t VALUES('a', 1, 1), ('b', 1, 2)",
        &[
            ("REPLACE INTO t VALUES('A', 1, 5)", &["delete 'a' 1", "insert 'A' 1"]),
            ("REPLACE INTO t VALUES('c', 1, 2)", &["delete 'b' 1", "insert 'c' 1"]),
            ("UPDATE OR REPLACE t SET u=5 WHERE a='c'", &["delete 'A' 1", "update 'c' 1 u"]),
        ],
    );
}

#[test]
fn upsert_is_an_update() {
    marks_of(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT); INSERT INTO t VALUES(1, 1)",
        &[
            ("INSERT INTO t VALUES(1, 5) ON CONFLICT(id) DO UPDATE SET a=excluded.a", &["delete 1", "update 1 a"]),
            ("INSERT INTO t VALUES(2, 5) ON CONFLICT(id) DO UPDATE SET a=excluded.a", &["insert 2"]),
            ("INSERT INTO t VALUES(2, 5) ON CONFLICT DO NOTHING", &["delete 2"]),
        ],
    );
}

#[test]
fn what_the_applications_triggers_write_is_captured() {
    let mut site = Site::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, changed INT DEFAULT 0);
         CREATE TABLE log(id INTEGER PRIMARY KEY, what TEXT);
         CREATE TRIGGER touch AFTER UPDATE OF a ON t BEGIN
           UPDATE t SET changed = changed + 1 WHERE id = NEW.id;
           INSERT INTO log(what) VALUES('touched ' || NEW.id); END;
         CREATE TRIGGER also AFTER INSERT ON log WHEN NEW.id < 3 BEGIN INSERT INTO log(what) VALUES('again'); END;
         INSERT INTO t VALUES(1, 1, 0)",
    );
    site.app("UPDATE t SET a=2");
    assert_eq!(site.marks("t"), ["update 1 a", "update 1 changed"]);
    assert_eq!(site.marks("log"), ["insert 1", "insert 2"]);
    site.app("PRAGMA recursive_triggers=ON; DELETE FROM log; UPDATE t SET a=3");
    assert_eq!(site.marks("t"), ["update 1 a", "update 1 changed"]);
    assert_eq!(site.marks("log"), ["delete 1", "delete 2", "insert 1", "insert 2", "insert 3"]);
}

#[test]
fn a_trigger_that_ignores_comes_after_ours() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT)");
    site.app("CREATE TRIGGER quiet AFTER INSERT ON t BEGIN SELECT RAISE(IGNORE); END");
    assert_eq!(site.install(), ["table t: triggers renewed"]);
    assert_eq!(site.install(), [""; 0]);
    site.app("INSERT INTO t VALUES(1, 1)");
    assert_eq!(site.marks("t"), ["insert 1"]);
}

#[test]
fn the_application_does_not_notice() {
    let site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, u INT UNIQUE); INSERT INTO t VALUES(7, 7)");
    for _ in 0..3 {
        site.app("INSERT INTO t(u) SELECT max(u) + 1 FROM t");
    }
    assert_eq!(site.app.last_insert_rowid(), 10);
    assert_eq!(site.app.changes(), 1);
    assert_eq!(site.rows("INSERT INTO t VALUES(20, 20) RETURNING id, u"), ["20 20"]);
    let error = site.app.execute_batch("INSERT INTO t VALUES(30, 20)").unwrap_err();
    assert!(error.to_string().contains("UNIQUE constraint failed: t.u"), "{error}");
    site.app("BEGIN; INSERT INTO t VALUES(31, 31); ROLLBACK");
    assert_eq!(site.rows("SELECT count(*) FROM server_sync_mark_1 WHERE k0 = 31"), ["0"]);
}

#[test]
fn marks_carry_the_time_of_the_write() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    let dialect = &sync_database::sqlite::SqliteDialect as &dyn sync_database::dialect::Dialect;
    let clock = |site: &mut Site, query: String| match site.sql().first(&query, &[]).unwrap().unwrap()[0] {
        sync_core::Value::Int(n) => n,
        ref other => panic!("{other:?}"),
    };
    let before = clock(&mut site, format!("SELECT {}", dialect.now_micros()));
    site.app("INSERT INTO t VALUES(1)");
    let marked = clock(&mut site, format!("SELECT {} FROM server_sync_mark_1 m", dialect.mark_micros()));
    let after = clock(&mut site, format!("SELECT {}", dialect.now_micros()));
    assert!(before <= marked && marked <= after, "{before} {marked} {after}");
    let system = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!((system - after).abs() < 60_000_000 && marked % 1000 == 0);
}

#[test]
fn marks_made_while_others_are_deleted_come_after_those_that_are_left() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT)");
    site.app("INSERT INTO t VALUES(1, 1); UPDATE t SET a=2; INSERT INTO t VALUES(2, 2)");
    site.sql().run("DELETE FROM server_sync_mark_1 WHERE k0=2").unwrap();
    site.app("DELETE FROM t WHERE id=1");
    assert_eq!(site.marks("t"), ["insert 1", "update 1 a", "delete 1"]);
}

#[test]
fn the_triggers_read_no_table_from_end_to_end() {
    let site = Site::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT COLLATE NOCASE UNIQUE, c INT, d INT, UNIQUE(c, d));
         CREATE UNIQUE INDEX x ON t(lower(a)); CREATE UNIQUE INDEX y ON t(a COLLATE NOCASE, d) WHERE c IS NULL;
         CREATE TABLE w(a TEXT, b, c REAL UNIQUE, PRIMARY KEY(a, b)) WITHOUT ROWID;
         CREATE TABLE n(a INT NOT NULL UNIQUE, b)",
    );
    site.app(
        "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 500)
         INSERT INTO t SELECT n, n, n, n, n FROM i;
         INSERT INTO w SELECT id, id, id FROM t; INSERT INTO n SELECT id, id FROM t",
    );
    let steps = |statement: &str| {
        let mut prepared = site.app.prepare(statement).unwrap();
        assert_eq!(prepared.execute([]).unwrap(), 1, "{statement}");
        prepared.get_status(rusqlite::StatementStatus::FullscanStep)
    };
    assert!(steps("DELETE FROM t WHERE d + 0 = 300") > 400);
    for statement in [
        "INSERT INTO t VALUES(501, 'x', 'x', NULL, 9)",
        "REPLACE INTO t VALUES(502, 'X', 'y', 7, 7)",
        "UPDATE OR REPLACE t SET a='x', b=8, c=NULL, d=9 WHERE id=1",
        "DELETE FROM t WHERE id=2",
        "REPLACE INTO w VALUES('1', 1, 2)",
        "UPDATE OR REPLACE w SET a=3, b=3, c=4 WHERE a='1' AND b=1",
        "REPLACE INTO n VALUES(1, 2)",
        "UPDATE OR REPLACE n SET a=3 WHERE a=1",
    ] {
        let steps = steps(statement);
        assert!(steps < 20, "{statement}: {steps}");
    }
}
