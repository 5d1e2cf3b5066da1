//! Search tables that the application keeps by triggers stay right on rows that we write.
#![allow(clippy::unwrap_used)]

mod sqlite_support;

use sqlite_support::Site;
use sync_database::dialect::Dialect;
use sync_database::sql::Sql;
use sync_database::sqlite::SqliteDialect;

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
    CREATE VIRTUAL TABLE f USING fts5(a, content='t', content_rowid='id');
    CREATE TABLE log(id INTEGER PRIMARY KEY, what TEXT);
    CREATE TRIGGER t_insert AFTER INSERT ON t BEGIN INSERT INTO f(rowid, a) VALUES(new.id, new.a); END;
    CREATE TRIGGER t_delete AFTER DELETE ON t BEGIN
      INSERT INTO f(f, rowid, a) VALUES('delete', old.id, old.a); INSERT INTO log(what) VALUES('deleted'); END;
    CREATE TRIGGER t_update AFTER UPDATE ON t BEGIN
      INSERT INTO f(f, rowid, a) VALUES('delete', old.id, old.a);
      INSERT INTO f(rowid, a) VALUES(new.id, new.a); END;
    INSERT INTO t VALUES(1, 'apple'), (2, 'pear');";

fn write(site: &mut Site, statements: &[&str]) {
    let sql: &mut dyn Sql = &mut site.ours;
    sql.run(SqliteDialect.begin()).unwrap();
    for statement in statements {
        sql.execute(statement, &[]).unwrap();
    }
    sql.run("COMMIT").unwrap();
}

fn found(site: &Site, word: &str) -> Vec<String> {
    site.app("INSERT INTO f(f, rank) VALUES('integrity-check', 1)");
    site.rows(&format!("SELECT rowid FROM f WHERE f MATCH '{word}' ORDER BY rowid"))
}

#[test]
fn rows_that_we_write_are_found() {
    let mut site = Site::new(SCHEMA);
    let upsert = SqliteDialect.on_duplicate(&["id".into()], &["a".into()]);
    let update = format!("INSERT INTO t (id, a) VALUES (1, 'cherry'){upsert}");
    write(&mut site, &["INSERT INTO t (id, a) VALUES (3, 'apple')", &update, "DELETE FROM t WHERE id IN (2)"]);
    assert_eq!(found(&site, "apple"), ["3"]);
    assert_eq!(found(&site, "cherry"), ["1"]);
    assert_eq!(found(&site, "pear"), [""; 0]);
    assert_eq!((site.rows("SELECT * FROM log"), site.marks("t")), (vec![], vec![]));
    assert!(site.ours.stale_searches().is_empty());
}

#[test]
fn the_copies_follow_the_schema() {
    let mut site = Site::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)");
    site.app(SCHEMA.split_once(';').unwrap().1);
    write(&mut site, &["INSERT INTO t (id, a) VALUES (3, 'plum')"]);
    assert_eq!(found(&site, "plum"), ["3"]);
    site.app("DROP TRIGGER t_insert");
    write(&mut site, &["INSERT INTO t (id, a) VALUES (4, 'plum')"]);
    assert_eq!(site.rows("SELECT rowid FROM f WHERE f MATCH 'plum'"), ["3"]);
    site.app("DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY)");
    write(&mut site, &["INSERT INTO t (id) VALUES (4)"]);
}

#[test]
fn while_capturing_the_originals_do_it() {
    let mut site = Site::new(SCHEMA);
    site.sql().run(SqliteDialect.capture(true)).unwrap();
    write(&mut site, &["INSERT INTO t (id, a) VALUES (3, 'plum')", "DELETE FROM t WHERE id=1"]);
    site.sql().run(SqliteDialect.capture(false)).unwrap();
    write(&mut site, &["INSERT INTO t (id, a) VALUES (4, 'plum')"]);
    assert_eq!(found(&site, "plum"), ["3", "4"]);
    assert_eq!(
        (site.rows("SELECT count(*) FROM log"), site.marks("t")),
        (vec!["1".into()], vec!["insert 3".into(), "delete 1".into()])
    );
}

#[test]
fn a_search_table_of_an_unknown_kind_is_reported_and_hinders_nothing() {
    let mut site = Site::bare(SCHEMA);
    site.app(
        "PRAGMA writable_schema=ON; INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql)
         VALUES('table', 'u', 'u', 0, 'CREATE VIRTUAL TABLE u USING unknown(x)'),
               ('trigger', 'tu', 't', 0, 'CREATE TRIGGER tu AFTER INSERT ON t BEGIN INSERT INTO u VALUES(1); END');
         PRAGMA schema_version=999; PRAGMA writable_schema=RESET",
    );
    write(&mut site, &["INSERT INTO t (id, a) VALUES (3, 'plum')"]);
    assert_eq!(found(&site, "plum"), ["3"]);
    let stale = site.ours.stale_searches();
    assert!(stale.len() == 1 && stale[0].contains("the search table u"), "{stale:?}");
}
