//! The store over SQLite: two sites that write at once, brought together by the verbs of a round.
#![allow(clippy::unwrap_used, clippy::panic)]

mod lone_card;
mod sqlite_support;

use lone_card::card;
use rusqlite::Connection;
use sync_database::Database;
use sync_database::sqlite::connect;
use sync_store::{Completed, Greeting, Mode, Since, Store, Streamed, TableStatus};

use sqlite_support::Site;

const SCHEMA: &str = "
    CREATE TABLE company(id TEXT PRIMARY KEY COLLATE NOCASE, name TEXT UNIQUE, note, size REAL, raw BLOB);
    CREATE TABLE person(company TEXT NOT NULL REFERENCES company ON DELETE CASCADE ON UPDATE CASCADE, n INT NOT NULL,
        name TEXT COLLATE NOCASE, boss INT, PRIMARY KEY(company, n)) WITHOUT ROWID;
    CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT, changed INT DEFAULT 0);
    CREATE VIRTUAL TABLE search USING fts5(body, content='note', content_rowid='id');
    CREATE TRIGGER find AFTER INSERT ON note BEGIN INSERT INTO search(rowid, body) VALUES(new.id, new.body); END;
    CREATE TRIGGER lose AFTER DELETE ON note BEGIN
        INSERT INTO search(search, rowid, body) VALUES('delete', old.id, old.body); END;
    CREATE TRIGGER again AFTER UPDATE OF body ON note BEGIN
        INSERT INTO search(search, rowid, body) VALUES('delete', old.id, old.body);
        INSERT INTO search(rowid, body) VALUES(new.id, new.body); END;
    CREATE TRIGGER touched AFTER UPDATE OF body ON note BEGIN UPDATE note SET changed=changed+1 WHERE id=new.id; END;";

struct Half {
    site: Site,
    store: Database,
}

fn half(name: &str, number: u64) -> Half {
    let site = Site::bare(SCHEMA);
    let (store, _) = Database::prepare(connect(&site.path).unwrap(), &card(name, number)).unwrap();
    Half { site, store }
}

fn tables(store: &mut Database) -> Vec<String> {
    let tables = store.describe().unwrap().tables;
    let shared = tables.into_iter().filter(|t| t.status == TableStatus::Synchronised).map(|t| t.name);
    shared.chain(["server_sync_conflict".to_owned()]).collect()
}

/// One direction of a round; returns how many rows were received.
fn stream(from: &mut Database, to: &mut Database) -> u64 {
    from.drain().unwrap();
    to.drain().unwrap();
    let (sender, receiver) = (from.source(), to.source());
    let claimed = to.knowledge().unwrap().position(sender);
    let position = match from.greet(receiver, claimed).unwrap() {
        Greeting::Known(position) | Greeting::Continues { upto: position, .. } => position,
        Greeting::Stranger => Default::default(),
        Greeting::Restored => panic!("restored"),
    };
    let knowledge = from.knowledge().unwrap();
    let tables = tables(from);
    let since = Since { receiver, position, held: Vec::new(), tables: tables.clone(), upto: None };
    let mut received = 0;
    let Streamed { end, .. } = from
        .changes(&since, &mut |batch| {
            received += to.apply(&batch, Mode::Write)?.total().received;
            Ok(())
        })
        .unwrap();
    to.complete(&Completed { sender, end, knowledge, sent: tables, held: Vec::new() }).unwrap();
    received
}

fn round(a: &mut Half, b: &mut Half) -> u64 {
    stream(&mut b.store, &mut a.store) + stream(&mut a.store, &mut b.store)
}

fn assert_same(a: &Half, b: &Half) {
    for query in [
        "SELECT id, name, note, typeof(note), size, quote(raw) FROM company ORDER BY id COLLATE BINARY",
        "SELECT * FROM person ORDER BY 1, 2",
        "SELECT * FROM note ORDER BY 1",
        "SELECT rowid FROM search WHERE search MATCH 'word' ORDER BY rowid",
    ] {
        assert_eq!(a.site.rows(query), b.site.rows(query), "{query}");
    }
    for half in [a, b] {
        half.site.app("INSERT INTO search(search, rank) VALUES('integrity-check', 1)");
    }
}

#[test]
fn what_both_sites_wrote_is_at_both() {
    let (mut a, mut b) = (half("geneva", 1), half("lyon", 2));
    a.site.app(
        "INSERT INTO company VALUES('acme', 'Acme', 1, 1, x'00ff'), ('Beta', 'Beta', 1.0, -0.5, CAST(x'61ff' AS TEXT));
         INSERT INTO person VALUES('acme', 1, 'Ann', NULL), ('acme', 2, 'Bob', 1), ('Beta', 1, 'Cid', NULL);
         INSERT INTO note VALUES(1, 'a word', 0)",
    );
    b.site.app("INSERT INTO company VALUES('gamma', NULL, 'a' || char(0) || 'b', 9e999, ''); INSERT INTO note VALUES(2, 'no', 0)");
    assert_eq!(round(&mut a, &mut b), 8);
    assert_same(&a, &b);
    assert_eq!(round(&mut a, &mut b), 0);

    a.site.app("UPDATE company SET name='ACME' WHERE id='acme'; UPDATE note SET body='no more' WHERE id=1");
    b.site.app("UPDATE company SET size=7 WHERE id='acme'; UPDATE note SET body='word' WHERE id=2; UPDATE person SET name='ANN' WHERE n=1");
    round(&mut a, &mut b);
    assert_same(&a, &b);
    assert_eq!(a.site.rows("SELECT name, size FROM company WHERE id='acme'"), ["ACME 7.0"]);
    assert_eq!(a.site.rows("SELECT id, changed FROM note ORDER BY id"), ["1 1", "2 1"]);

    // A key that changes only its case, with a cascade; a replaced row; a delete with a cascade.
    a.site.app("UPDATE company SET id='ACME' WHERE id='acme'; REPLACE INTO company(id, name) VALUES('delta', 'Beta')");
    b.site.app("UPDATE note SET body='other word' WHERE id=1");
    round(&mut a, &mut b);
    assert_same(&a, &b);
    assert_eq!(b.site.rows("SELECT id FROM company ORDER BY id"), ["ACME", "delta", "gamma"]);
    // SQLite does not cascade to a key that its collation calls the same.
    assert_eq!(b.site.rows("SELECT company, n FROM person"), ["acme 1", "acme 2"]);
    assert_eq!(round(&mut a, &mut b), 0);
}

#[test]
fn a_conflict_is_listed_and_can_be_put_back() {
    let (mut a, mut b) = (half("geneva", 1), half("lyon", 2));
    a.site.app("INSERT INTO note VALUES(1, 'word', 0)");
    round(&mut a, &mut b);
    a.site.app("UPDATE note SET body='word a' WHERE id=1");
    b.site.app("UPDATE note SET body='word b' WHERE id=1");
    round(&mut a, &mut b);
    round(&mut a, &mut b);
    assert_same(&a, &b);
    let shown = a.site.rows("SELECT body FROM note");
    let listed = a.store.conflicts().unwrap();
    let body = listed.iter().find(|e| e.column.as_deref() == Some("body")).unwrap();
    a.store.restore(&body.id).unwrap();
    assert_eq!(a.site.rows("SELECT body FROM note"), [body.losing[0].to_string()]);
    round(&mut a, &mut b);
    assert_same(&a, &b);
    assert_ne!(b.site.rows("SELECT body FROM note"), shown);
}

#[test]
fn the_conflict_list_is_the_same_at_both_sites() {
    let (mut a, mut b) = (half("geneva", 1), half("lyon", 2));
    a.site.app("INSERT INTO note VALUES(1, 'word', 0)");
    round(&mut a, &mut b);
    a.site.app("UPDATE note SET body='word a' WHERE id=1");
    b.site.app("UPDATE note SET body='word b' WHERE id=1");
    round(&mut a, &mut b);
    round(&mut a, &mut b);
    let list = "SELECT id, kind, column_name, restored FROM server_sync_conflict ORDER BY 1";
    assert_eq!(a.site.rows(list), b.site.rows(list));
    assert_ne!(b.site.rows(list), [""; 0]);
}

#[test]
fn an_upgrade_goes_through_the_sites_one_by_one() {
    let (mut a, mut b) = (half("geneva", 1), half("lyon", 2));
    a.site.app("INSERT INTO company(id, name) VALUES('acme', 'Acme'), ('beta', 'Beta')");
    round(&mut a, &mut b);
    let upgrade = "ALTER TABLE company ADD COLUMN tax INT NOT NULL DEFAULT 8; ALTER TABLE company DROP COLUMN note;
         ALTER TABLE company RENAME COLUMN size TO staff";
    for half in [&a, &b] {
        half.site.app(upgrade);
    }
    a.site.app("UPDATE company SET tax=9, staff=3 WHERE id='acme'");
    b.site.app("UPDATE company SET name='BETA' WHERE id='beta'");
    round(&mut a, &mut b);
    let query = "SELECT id, name, staff, tax FROM company ORDER BY 1";
    assert_eq!(a.site.rows(query), ["acme Acme 3.0 9", "beta BETA NULL 8"]);
    assert_eq!(b.site.rows(query), a.site.rows(query));
}

#[test]
fn the_application_writes_while_rounds_run() {
    let (mut a, mut b) = (half("geneva", 1), half("lyon", 2));
    let paths = [a.site.path.clone(), b.site.path.clone()];
    let writers: Vec<_> =
        paths.into_iter().enumerate().map(|(i, path)| std::thread::spawn(move || write(&path, i as i64))).collect();
    while !writers.iter().all(std::thread::JoinHandle::is_finished) {
        round(&mut a, &mut b);
    }
    writers.into_iter().for_each(|w| w.join().unwrap());
    while round(&mut a, &mut b) > 0 {}
    assert_same(&a, &b);
    assert_eq!(a.site.rows("SELECT count(*) FROM note WHERE id >= 1000"), ["400"]);
}

fn write(path: &std::path::Path, number: i64) {
    let app = Connection::open(path).unwrap();
    app.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    // Or REPLACE would not tell the search table what it removes.
    app.execute_batch("PRAGMA recursive_triggers=ON").unwrap();
    for i in 0..200 {
        app.execute("INSERT INTO note(id, body) VALUES(?, 'word')", [1000 * (number + 1) + i]).unwrap();
        app.execute("UPDATE note SET body=body || ' and' WHERE id % 50 = ?", [i % 50]).unwrap();
        app.execute("REPLACE INTO note(id, body) VALUES(?, 'same')", [i % 7]).unwrap();
    }
}
