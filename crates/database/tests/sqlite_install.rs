//! Putting triggers in place, keeping them in line with the schema, and taking them away without a trace. No
//! statement of the application may fail at any point.
#![allow(clippy::unwrap_used)]

mod sqlite_support;

use sqlite_support::Site;
use sync_database::dialect::Dialect;
use sync_database::schema::Schema;
use sync_database::sqlite::SqliteDialect;

const NOTHING: [&str; 0] = [];

#[test]
fn installing_again_does_nothing() {
    let mut site = Site::bare("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE keyless(a)");
    assert_eq!(site.install(), ["table t: triggers installed"]);
    let before = site.whole_schema();
    assert_eq!(site.install(), NOTHING);
    assert_eq!(site.whole_schema(), before);
}

#[test]
fn the_probe_changes_with_tables_and_triggers_and_not_with_rows() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)");
    let mut probe = SqliteDialect.probe(&mut site.ours).unwrap();
    site.app("INSERT INTO t VALUES(1, 'a')");
    assert_eq!(SqliteDialect.probe(&mut site.ours).unwrap(), probe);
    for ddl in [
        "ALTER TABLE t ADD COLUMN b INT",
        "CREATE INDEX i ON t(b)",
        "DROP INDEX i",
        "ALTER TABLE t RENAME COLUMN b TO c",
        "ALTER TABLE t DROP COLUMN c",
        "DROP TRIGGER server_sync_1_insert",
    ] {
        site.app(ddl);
        let next = SqliteDialect.probe(&mut site.ours).unwrap();
        assert_ne!(next, probe, "{ddl}");
        probe = next;
    }
}

#[test]
fn added_columns_are_captured_after_renewal() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT); INSERT INTO t VALUES(1, 1)");
    site.app("ALTER TABLE t ADD COLUMN b INT DEFAULT 5; UPDATE t SET a=2");
    assert_eq!(site.marks("t"), ["update 1 a"]);
    assert_eq!(site.install(), ["table t: triggers renewed"]);
    site.app("UPDATE t SET b=6");
    assert_eq!(site.marks("t"), ["update 1 b"]);
}

#[test]
fn columns_that_need_another_word_are_added_to_the_marks() {
    let columns: String = (1..32).map(|i| format!(", c{i} INT")).collect();
    let mut site = Site::new(&format!("CREATE TABLE t(id INTEGER PRIMARY KEY{columns}); INSERT INTO t(id) VALUES(1)"));
    site.app("UPDATE t SET c31=1; ALTER TABLE t ADD COLUMN c32 INT");
    assert_eq!(site.install(), ["table t: triggers renewed"]);
    site.app("UPDATE t SET c32=1, c1=1");
    assert_eq!(site.marks("t"), ["update 1 c31", "update 1 c1 c32"]);
}

#[test]
fn renamed_columns_are_captured_before_and_after_renewal() {
    let mut site =
        Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT UNIQUE, b INT); INSERT INTO t VALUES(1, 1, 1)");
    site.app("ALTER TABLE t RENAME COLUMN a TO x; ALTER TABLE t RENAME COLUMN b TO y");
    site.app("UPDATE t SET x=2, y=2; REPLACE INTO t VALUES(2, 2, 2)");
    assert_eq!(site.marks("t"), ["update 1 a b", "delete 1", "insert 2"]);
    site.registered[0].columns = ["id", "x", "y"].map(str::to_owned).to_vec();
    assert_eq!(site.install(), ["table t: triggers renewed"]);
    site.app("UPDATE t SET x=3; UPDATE t SET y=3");
    assert_eq!(site.marks("t"), ["update 2 x", "update 2 y"]);
    site.app("ALTER TABLE t RENAME COLUMN id TO key; UPDATE t SET key=9, x=4");
    assert_eq!(site.marks("t"), ["delete 2", "insert 9"]);
}

#[test]
fn columns_can_be_dropped_before_renewal() {
    let mut site = Site::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b INT, c INT, d INT); CREATE UNIQUE INDEX u ON t(c, d);
         INSERT INTO t VALUES(1, 1, 1, 1, 1)",
    );
    site.app("ALTER TABLE t DROP COLUMN a; UPDATE t SET b=2");
    assert_eq!(site.marks("t"), ["update 1 b"]);
    site.app("DROP INDEX u; ALTER TABLE t DROP COLUMN c; UPDATE t SET b=3, d=3; INSERT INTO t VALUES(2, 2, 1)");
    assert_eq!(site.marks("t"), ["update 1 b d", "insert 2"]);
    site.app("REPLACE INTO t VALUES(2, 3, 1); ALTER TABLE t DROP COLUMN d; UPDATE t SET b=9 WHERE id=1");
    assert_eq!(site.marks("t"), ["delete 2", "insert 2", "update 1 b"]);
    assert_eq!(site.install(), ["table t: triggers renewed"]);
    site.app("ALTER TABLE t DROP COLUMN b; INSERT INTO t DEFAULT VALUES");
    assert_eq!(site.marks("t"), ["insert 3"]);
    assert_eq!(site.registered[0].columns, ["id", "", "b", "", ""]);
}

#[test]
fn columns_of_expressions_and_conditions_can_be_dropped_with_their_index() {
    let mut site = Site::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT, gone INT);
         CREATE UNIQUE INDEX x ON t(lower(a), b) WHERE gone IS NULL; INSERT INTO t VALUES(1, 'a', 'b', NULL)",
    );
    site.app("DROP INDEX x; ALTER TABLE t DROP COLUMN a; INSERT INTO t VALUES(2, 'b', NULL)");
    site.app("ALTER TABLE t DROP COLUMN gone; REPLACE INTO t VALUES(2, 'c'); ALTER TABLE t DROP COLUMN b");
    site.app("UPDATE t SET id=3 WHERE id=1");
    assert_eq!(site.marks("t"), ["insert 2", "delete 2", "insert 2", "delete 1", "insert 3"]);
}

#[test]
fn dropping_a_column_renamed_just_before_needs_a_renewal() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, b INT)");
    site.app("ALTER TABLE t RENAME COLUMN b TO c");
    assert!(site.app.execute_batch("ALTER TABLE t DROP COLUMN c").is_err());
    site.install();
    site.app("ALTER TABLE t DROP COLUMN c; INSERT INTO t VALUES(1)");
    assert_eq!(site.marks("t"), ["insert 1"]);
}

#[test]
fn even_the_columns_of_a_key_without_primary_key_can_be_dropped() {
    let mut site = Site::new(
        "CREATE TABLE t(a INT NOT NULL, b INT NOT NULL, c INT); CREATE UNIQUE INDEX u ON t(a, b);
         INSERT INTO t VALUES(1, 1, 1)",
    );
    site.app("DROP INDEX u; ALTER TABLE t DROP COLUMN b");
    site.app("UPDATE t SET a=2, c=2; INSERT INTO t VALUES(2, 2); REPLACE INTO t VALUES(3, 3); DELETE FROM t");
    site.app("ALTER TABLE t DROP COLUMN a; INSERT INTO t VALUES(1)");
    assert!(site.schema().tables[0].key.is_empty());
}

#[test]
fn tables_are_rebuilt_as_the_manual_of_sqlite_says() {
    let mut site = Site::new(
        "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(id INTEGER PRIMARY KEY, p INT REFERENCES p, a INT);
         INSERT INTO p VALUES(1); INSERT INTO t VALUES(1, 1, 1)",
    );
    site.app(
        "PRAGMA foreign_keys=OFF; BEGIN;
         CREATE TABLE new_p(id INTEGER PRIMARY KEY, extra INT); INSERT INTO new_p(id) SELECT id FROM p;
         DROP TABLE p; ALTER TABLE new_p RENAME TO p; COMMIT; PRAGMA foreign_keys=ON;
         UPDATE t SET a=2; INSERT INTO p VALUES(2, 2)",
    );
    assert_eq!(site.marks("t"), ["update 1 a"]);
    let notes = site.install();
    assert!(notes.len() == 1 && notes[0].contains("were gone"), "{notes:?}");
    site.app("INSERT INTO p VALUES(3, 3)");
    assert_eq!(site.marks("p"), ["insert 3"]);
}

#[test]
fn a_renamed_table_takes_its_triggers_along_until_they_are_renewed() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT UNIQUE); INSERT INTO t VALUES(1, 1)");
    site.app("ALTER TABLE t RENAME TO z; UPDATE z SET a=2; REPLACE INTO z VALUES(2, 2)");
    assert_eq!(site.marks("t"), ["update 1 a", "delete 1", "insert 2"]);
    assert_eq!(site.install(), ["table z: triggers renewed"]);
    site.app("UPDATE z SET a=3");
    assert_eq!((site.marks("z"), site.marks("t")), (vec!["update 2 a".to_owned()], vec![]));
}

#[test]
fn damaged_triggers_are_renewed() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT)");
    site.app("DROP TRIGGER server_sync_1_update");
    assert_eq!(site.install(), ["table t: triggers renewed"]);
    site.app(
        "DROP TRIGGER server_sync_1_delete; CREATE TRIGGER server_sync_1_delete AFTER DELETE ON t BEGIN SELECT 1; END",
    );
    assert_eq!(site.install(), ["table t: triggers renewed"]);
    site.app("INSERT INTO t VALUES(1, 1); UPDATE t SET a=2; DELETE FROM t");
    assert_eq!(site.marks("t"), ["insert 1", "update 1 a", "delete 1"]);
}

#[test]
fn uninstalling_leaves_the_schema_byte_for_byte_as_it_was() {
    let mut site = Site::bare(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE UNIQUE, g INT AS (id+1)); -- comment
         CREATE TABLE u(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID;
         CREATE VIEW v AS SELECT * FROM t; CREATE INDEX i ON t(a) WHERE a>'';
         CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET a = a || '!' WHERE id = NEW.id; END;",
    );
    let before = site.whole_schema();
    for statement in SqliteDialect.own_tables() {
        site.sql().run(&statement).unwrap();
    }
    site.install();
    assert_ne!(site.whole_schema(), before);
    SqliteDialect.uninstall(&mut site.ours, &Schema::default()).unwrap();
    site.app("INSERT INTO t(a) VALUES('x'); UPDATE t SET a='y'; DELETE FROM t");
    let query = "SELECT name FROM sqlite_schema WHERE type='table' AND name LIKE 'server@_sync@_%' ESCAPE '@'";
    for table in site.rows(query) {
        site.sql().run(&format!("DROP TABLE {table}")).unwrap();
    }
    assert_eq!(site.whole_schema(), before);
}

#[test]
fn tables_that_are_no_longer_registered_lose_their_triggers() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE u(id INTEGER PRIMARY KEY)");
    let schema = site.schema();
    let kept = [(schema.table("t").unwrap(), &site.registered[0])];
    let notes = SqliteDialect.install(&mut site.ours, &schema, &kept).unwrap();
    assert_eq!(notes, ["table u: triggers removed, it is not synchronised"]);
    assert_eq!(SqliteDialect.install(&mut site.ours, &schema, &kept).unwrap(), NOTHING);
    site.app("INSERT INTO t VALUES(1); INSERT INTO u VALUES(1)");
    assert_eq!((site.marks("t"), site.marks("u")), (vec!["insert 1".to_owned()], vec![]));
}

#[test]
fn a_file_that_cannot_be_written_is_reported() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    let schema = site.schema();
    assert_eq!(SqliteDialect.missing_privileges(&mut site.ours, &schema.triggers).unwrap(), NOTHING);
    site.sql().run("PRAGMA query_only=ON").unwrap();
    let missing = SqliteDialect.missing_privileges(&mut site.ours, &schema.triggers).unwrap();
    assert!(missing.len() == 1 && missing[0].contains("app.db"), "{missing:?}");
    assert_eq!(site.whole_schema().iter().filter(|s| s.contains("server_sync_try")).count(), 0);
}
