//! The driver: exact values, sorted errors, triggers that do not fire for us, and two writers at once.
#![allow(clippy::unwrap_used)]

mod sqlite_support;

use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;
use sqlite_support::Site;
use sync_core::Value;
use sync_core::digest::Cells;
use sync_database::dialect::Dialect;
use sync_database::schema::Kind;
use sync_database::sql::Sql;
use sync_database::sqlite::{Options, SqliteDialect, SqliteDriver, open};
use sync_store::{StoreError, Trouble};

const ANY: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, x, r REAL, s TEXT)";

fn round_trip(site: &mut Site, values: &[Value]) {
    let sql = site.sql();
    for value in values {
        sql.execute("INSERT INTO t(x) VALUES (?)", std::slice::from_ref(value)).unwrap();
    }
    let back = sql.all("SELECT x FROM t ORDER BY id", &[]).unwrap();
    assert_eq!(back.concat(), values);
}

#[test]
fn every_value_comes_back_bit_for_bit() {
    let mut site = Site::bare(ANY);
    let values = [
        Value::Null,
        Value::Int(0),
        Value::Int(i64::MIN),
        Value::Int(i64::MAX),
        Value::double(0.0),
        Value::double(-0.0),
        Value::double(1.0),
        Value::double(0.1 + 0.2),
        Value::double(f64::MAX),
        Value::double(f64::MIN_POSITIVE / 4.0),
        Value::double(f64::INFINITY),
        Value::double(f64::NEG_INFINITY),
        Value::text(""),
        Value::text("1"),
        Value::text("a\0b\0"),
        Value::text("É\u{1F600}\u{fffd}"),
        Value::text("long ".repeat(1_000_000)),
        Value::Bytes(Vec::new()),
        Value::Bytes(vec![0, 255, 0]),
        Value::Bytes(b"text".to_vec()),
        Value::Bytes(vec![7; 5_000_000]),
    ];
    round_trip(&mut site, &values);
}

#[test]
fn text_that_is_not_utf8_stays_text() {
    let mut site = Site::bare(ANY);
    site.app("INSERT INTO t(x) VALUES (CAST(x'61ff00' AS TEXT)), (x'61ff00')");
    let sql = site.sql();
    let rows = sql.all("SELECT x FROM t ORDER BY id", &[]).unwrap().concat();
    assert!(matches!(rows[0], Value::Bytes(_)) && rows[0] != rows[1], "{rows:?}");
    for value in &rows {
        sql.execute("INSERT INTO t(x) VALUES (?)", std::slice::from_ref(value)).unwrap();
        let found = sql.all("SELECT id FROM t WHERE x=? ORDER BY id", std::slice::from_ref(value)).unwrap();
        assert_eq!(found.len(), 2, "{value:?}");
    }
    assert_eq!(
        site.rows("SELECT typeof(x), hex(x) FROM t ORDER BY id"),
        ["text 61FF00", "blob 61FF00", "text 61FF00", "blob 61FF00"]
    );
}

#[test]
fn what_sqlite_cannot_hold_is_refused_before_anything_is_written() {
    let mut site = Site::bare(ANY);
    for value in [Value::float(1.5), Value::double(f64::NAN)] {
        let error = site.sql().execute("INSERT INTO t(x) VALUES (?)", &[value]).unwrap_err();
        assert!(error.to_string().contains("SQLite cannot hold"), "{error}");
    }
    assert_eq!(site.rows("SELECT count(*) FROM t"), ["0"]);
    // Our own tables keep unsigned numbers; they are read back as such.
    site.sql().execute("INSERT INTO t(id, x) VALUES (1, ?)", &[Value::UInt(u64::MAX - 1)]).unwrap();
    let row = site.sql().first("SELECT x FROM t WHERE x=?", &[Value::UInt(u64::MAX - 1)]).unwrap().unwrap();
    assert_eq!(sync_database::sql::Fields::of(row).unsigned().unwrap(), u64::MAX - 1);
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("not NaN", |f| !f.is_nan()).prop_map(Value::double),
        ".{0,20}".prop_map(Value::text),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    #[test]
    fn any_values_come_back(values in prop::collection::vec(any_value(), 1..30)) {
        round_trip(&mut Site::bare(ANY), &values);
    }
}

#[test]
fn statements_count_the_rows_they_found() {
    let mut site = Site::bare(ANY);
    site.app("INSERT INTO t(id, x) VALUES (1, 1), (2, 2), (3, 3)");
    let sql = site.sql();
    assert_eq!(sql.execute("UPDATE t SET x=x WHERE id<?", &[Value::Int(3)]).unwrap(), 2);
    assert_eq!(sql.execute("DELETE FROM t WHERE id=?", &[Value::Int(9)]).unwrap(), 0);
}

#[test]
fn a_query_that_is_given_up_leaves_the_connection_usable() {
    let mut site = Site::bare(ANY);
    site.app("INSERT INTO t(id) VALUES (1), (2), (3)");
    let sql = site.sql();
    let mut seen = 0;
    let error = sql
        .query("SELECT id FROM t", &[], &mut |_| {
            seen += 1;
            Err(StoreError::new(Trouble::Halt, "enough"))
        })
        .unwrap_err();
    assert_eq!((error.trouble, seen), (Trouble::Halt, 1));
    sql.run("BEGIN IMMEDIATE").unwrap();
    sql.execute("DELETE FROM t", &[]).unwrap();
    sql.run("COMMIT").unwrap();
    assert_eq!(site.rows("SELECT count(*) FROM t"), ["0"]);
}

#[test]
fn errors_say_what_helps() {
    let mut site = Site::bare(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT UNIQUE NOT NULL, CHECK(a > 0)); INSERT INTO t VALUES(1, 1)",
    );
    let mut trouble = |statement: &str| site.sql().execute(statement, &[]).unwrap_err().trouble;
    assert_eq!(trouble("SELECT missing FROM t"), Trouble::SchemaChanged);
    assert_eq!(trouble("SELECT \"missing\" FROM t"), Trouble::SchemaChanged);
    assert_eq!(trouble("INSERT INTO missing VALUES (1)"), Trouble::SchemaChanged);
    assert_eq!(trouble("INSERT INTO t(missing) VALUES (1)"), Trouble::SchemaChanged);
    assert_eq!(trouble("INSERT INTO t VALUES (2, 1)"), Trouble::Constraint);
    assert_eq!(trouble("INSERT INTO t VALUES (2, NULL)"), Trouble::Constraint);
    assert_eq!(trouble("INSERT INTO t VALUES (2, 0)"), Trouble::Check);
    assert_eq!(trouble("INSERT INTO t VALUES ('x', 2)"), Trouble::Constraint);
    assert_eq!(trouble("SELEC"), Trouble::Failure);
    let error = site.sql().run("SELEC").unwrap_err();
    assert!(error.to_string().contains("app.db"), "{error}");
}

#[test]
fn opening_says_what_is_wrong_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.db");
    let error = open(&missing).unwrap_err();
    assert_eq!(error.trouble, Trouble::Configuration);
    assert!(error.to_string().contains("missing.db") && error.hint.is_some(), "{error}");
    assert!(!missing.exists());
    assert!(open(directory.path()).unwrap_err().to_string().contains("is not a file"));
    let text = directory.path().join("text.db");
    std::fs::write(&text, "this is no database, ".repeat(100)).unwrap();
    let error = open(&text).unwrap_err();
    assert_eq!(error.trouble, Trouble::Corrupt);
    assert!(error.to_string().contains("text.db") && error.to_string().contains("not an SQLite database"), "{error}");
}

#[test]
fn the_journal_is_switched_only_if_nobody_minds() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.db");
    let app = Connection::open(&path).unwrap();
    app.execute_batch("CREATE TABLE t(a); BEGIN; SELECT * FROM t").unwrap();
    let quick = Options { patience: Duration::from_millis(1), write_ahead: true };
    assert_eq!(SqliteDriver::open(&path, quick).unwrap().journal_mode().unwrap(), "delete");
    app.execute_batch("COMMIT").unwrap();
    let untouched = Options { write_ahead: false, ..quick };
    assert_eq!(SqliteDriver::open(&path, untouched).unwrap().journal_mode().unwrap(), "delete");
    drop(app);
    assert_eq!(open(&path).unwrap().journal_mode().unwrap(), "wal");
}

#[test]
fn the_applications_triggers_fire_only_while_capturing() {
    let mut site = Site::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT DEFAULT \"x\"); CREATE TABLE log(id INTEGER PRIMARY KEY, a TEXT);
         CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log(a) VALUES(\"text\"); END",
    );
    let insert = |site: &mut Site, id| site.sql().execute("INSERT INTO t(id) VALUES (?)", &[Value::Int(id)]).unwrap();
    insert(&mut site, 1);
    assert_eq!((site.marks("t").len(), site.rows("SELECT count(*) FROM log")), (0, vec!["0".to_owned()]));
    site.sql().run(SqliteDialect.capture(true)).unwrap();
    insert(&mut site, 2);
    site.sql().run(SqliteDialect.capture(false)).unwrap();
    insert(&mut site, 3);
    assert_eq!((site.marks("t"), site.marks("log")), (vec!["insert 2".to_owned()], vec!["insert 1".to_owned()]));
}

#[test]
fn declared_conflict_clauses_do_not_apply_to_us() {
    let mut site = Site::bare(
        "CREATE TABLE t(id INTEGER PRIMARY KEY ON CONFLICT REPLACE, u INT UNIQUE ON CONFLICT IGNORE,
                        v INT UNIQUE ON CONFLICT ROLLBACK); INSERT INTO t VALUES(1, 1, 1)",
    );
    let sql = site.sql();
    sql.run("BEGIN IMMEDIATE").unwrap();
    for values in ["(1, 2, 2)", "(2, 1, 2)", "(2, 2, 1)"] {
        let error = sql.execute(&format!("INSERT INTO t (id, u, v) VALUES {values}"), &[]).unwrap_err();
        assert_eq!(error.trouble, Trouble::Constraint, "{values}");
    }
    let upsert = SqliteDialect.on_duplicate(&["id".into()], &["u".into(), "v".into()]);
    sql.execute(&format!("INSERT INTO t (id, u, v) VALUES (1, 5, 6){upsert}"), &[]).unwrap();
    sql.run("COMMIT").unwrap();
    assert_eq!(site.rows("SELECT * FROM t"), ["1 5 6"]);
}

#[test]
fn a_busy_database_is_contention_and_then_works() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    let quick = Options { patience: Duration::from_millis(1), ..Options::default() };
    let mut other = SqliteDriver::open(&site.path, quick).unwrap();
    site.app("BEGIN IMMEDIATE; INSERT INTO t VALUES(1)");
    assert_eq!(other.run("BEGIN IMMEDIATE").unwrap_err().trouble, Trouble::Contention);
    assert_eq!(other.execute("INSERT INTO t VALUES(2)", &[]).unwrap_err().trouble, Trouble::Contention);
    // A snapshot that another writer has overtaken cannot write any more.
    site.app("COMMIT");
    let other_sql: &mut dyn Sql = &mut other;
    other_sql.run(SqliteDialect.begin_snapshot()).unwrap();
    assert_eq!(other_sql.all("SELECT * FROM t", &[]).unwrap().len(), 1);
    site.app("INSERT INTO t VALUES(3)");
    assert_eq!(other_sql.all("SELECT * FROM t", &[]).unwrap().len(), 1);
    assert_eq!(other_sql.execute("DELETE FROM t", &[]).unwrap_err().trouble, Trouble::Contention);
    other_sql.run("ROLLBACK").unwrap();
    other_sql.run("BEGIN IMMEDIATE").unwrap();
    other_sql.execute("DELETE FROM t", &[]).unwrap();
    other_sql.run("COMMIT").unwrap();
    assert_eq!(site.marks("t"), ["insert 1", "insert 3"]);
}

#[test]
fn two_writers_lose_no_mark_however_they_interleave() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT)");
    let path = site.path.clone();
    let writer = std::thread::spawn(move || {
        let app = Connection::open(path).unwrap();
        app.busy_timeout(Duration::from_secs(60)).unwrap();
        for i in 0..500 {
            app.execute("INSERT INTO t VALUES(?, 0)", [i]).unwrap();
        }
    });
    let mut drained = Vec::new();
    while drained.len() < 500 {
        let sql = site.sql();
        sql.run("BEGIN IMMEDIATE").unwrap();
        let read = sql.all("SELECT id, k0 FROM server_sync_mark_1 ORDER BY id LIMIT 7", &[]).unwrap();
        for row in read {
            assert_eq!(sql.execute("DELETE FROM server_sync_mark_1 WHERE id=?", &row[..1]).unwrap(), 1);
            drained.push(row[1].clone());
        }
        sql.run("COMMIT").unwrap();
    }
    writer.join().unwrap();
    assert_eq!(drained, (0..500).map(Value::Int).collect::<Vec<_>>());
}

#[test]
fn keys_that_merely_compare_alike_are_told_apart() {
    let mut site = Site::bare(
        "CREATE TABLE t(k TEXT PRIMARY KEY COLLATE NOCASE) WITHOUT ROWID; CREATE TABLE u(k PRIMARY KEY);
         INSERT INTO t VALUES('abc'); INSERT INTO u VALUES(1);
         CREATE TABLE m(i INTEGER PRIMARY KEY, k0); INSERT INTO m VALUES(1, 'ABC'), (2, 'abc'), (3, 1), (4, 1.0), (5, '1')",
    );
    let schema = site.schema();
    for (table, expected) in [("t", "2"), ("u", "3")] {
        let column = &schema.table(table).unwrap().columns[0];
        let same = SqliteDialect.same(column, "x.k", "m.k0");
        assert_eq!(site.rows(&format!("SELECT m.i FROM m JOIN {table} x ON {same}")), [expected]);
        let plan = site.rows(&format!("EXPLAIN QUERY PLAN SELECT x.k FROM m LEFT JOIN {table} x ON {same}"));
        assert!(plan.iter().any(|line| line.contains("SEARCH x")), "{plan:?}");
    }
}

#[test]
fn a_column_that_was_added_is_compared_with_its_default() {
    let mut site = Site::bare("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES(1), (2)");
    let defaults = [
        "INT",
        "INT NOT NULL DEFAULT 5",
        "REAL DEFAULT 1",
        "TEXT DEFAULT 'it''s'",
        "TEXT COLLATE NOCASE DEFAULT \"a\"",
        "BOOL DEFAULT TRUE",
        "BLOB DEFAULT x'00'",
        "TEXT DEFAULT 5",
    ];
    for (i, definition) in defaults.iter().enumerate() {
        site.app(&format!("ALTER TABLE t ADD COLUMN c{i} {definition}"));
    }
    let schema = site.schema();
    for column in &schema.tables[0].columns[1..] {
        let condition = SqliteDialect.unlike_default(&mut site.ours, "t", &column.name).unwrap();
        let count = format!("SELECT count(*) FROM t WHERE {condition}");
        assert_eq!(site.rows(&count), ["0"], "{column:?}");
        site.app(&format!("UPDATE t SET {} = 'A' WHERE id=2", column.name));
        assert_eq!(site.rows(&count), ["1"], "{column:?}");
    }
    assert!(matches!(schema.tables[0].columns[1].kind, Kind::Integer));
}

fn hashed_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => any_value(),
        1 => (510usize..515).prop_map(|n| Value::Text("x".repeat(n))),
        // What stands for text that is not UTF-8, and what looks like it.
        1 => Just(Value::Bytes(b"\0server_sync:text\0a\xff".to_vec())),
        1 => Just(Value::Bytes(b"\0server_sync:blob\0\0server_sync:blob\0".to_vec())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A row that is hashed as it comes from the database has the hash of its values.
    #[test]
    fn rows_are_hashed_as_their_values(values in proptest::collection::vec(hashed_value(), 1..20)) {
        let mut site = Site::bare(ANY);
        let sql = site.sql();
        for value in &values {
            sql.execute("INSERT INTO t(x) VALUES (?)", std::slice::from_ref(value)).unwrap();
        }
        let query = "SELECT id, x, r FROM t ORDER BY id";
        let rows = sql.all(query, &[]).unwrap();
        let (mut by_value, mut direct) = (Cells::new(3, vec![0]), Cells::new(3, vec![0]));
        let mut expected = rows.iter().map(|row| {
            by_value.set(row);
            by_value.hash()
        });
        sql.digest(query, &[], &mut direct, &mut |cells| {
            assert_eq!(Some(cells.hash()), expected.next());
            Ok(())
        })
        .unwrap();
        prop_assert_eq!(expected.next(), None);
    }
}
