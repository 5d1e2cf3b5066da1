//! Which rows that came and went are remembered, and for how long.
#![allow(clippy::unwrap_used)]

mod lone_card;
mod sqlite_support;

use lone_card::card;
use sqlite_support::Site;
use sync_database::Database;
use sync_database::sqlite::connect;
use sync_store::Store;

const DAY: i64 = 86_400_000;

fn prepared() -> (Site, Database) {
    let site = Site::bare("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);");
    let (store, _) = Database::prepare(connect(&site.path).unwrap(), &card("geneva", 1)).unwrap();
    (site, store)
}

/// Writes a row, as if so many milliseconds ago, and deletes it.
fn come_and_go(site: &Site, id: i64, millis: i64) {
    let marks = site.marks_of("item");
    site.app(&format!("INSERT INTO item(id) VALUES ({id})"));
    site.app(&format!("UPDATE {marks} SET at = at - {millis} / 86400000.0 WHERE k0={id}"));
    site.app(&format!("DELETE FROM item WHERE id={id}"));
}

fn remembered(site: &Site) -> i64 {
    site.app.query_row("SELECT COUNT(*) FROM server_sync_brief", [], |r| r.get(0)).unwrap()
}

#[test]
fn a_row_of_a_moment_is_not_remembered_and_a_longer_one_is() {
    let (site, mut store) = prepared();
    come_and_go(&site, 1, 0);
    assert_eq!(store.drain().unwrap().rows, 0);
    assert_eq!(remembered(&site), 0);
    come_and_go(&site, 2, 5_000);
    assert_eq!(store.drain().unwrap().rows, 0);
    assert_eq!(remembered(&site), 1);
}

#[test]
fn what_is_older_than_a_month_is_forgotten_when_others_come() {
    let (site, mut store) = prepared();
    for id in 1..4 {
        come_and_go(&site, id, 5_000);
    }
    store.drain().unwrap();
    site.app(&format!("UPDATE server_sync_brief SET deleted = deleted - {}", 31 * DAY));
    come_and_go(&site, 4, 5_000);
    store.drain().unwrap();
    assert_eq!(remembered(&site), 1);
}
