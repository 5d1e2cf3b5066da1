//! What time marks are taken to be of where the machine's steady clock does not tell.
#![allow(clippy::unwrap_used)]

mod lone_card;
mod sqlite_support;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use lone_card::card;
use sqlite_support::Site;
use sync_core::{RowState, codec};
use sync_database::Database;
use sync_database::sqlite::connect;
use sync_store::Store;
use sync_testbed::wait_until;

/// The steady clock of a machine that sleeps.
fn asleep() -> Instant {
    static ALWAYS: LazyLock<Instant> = LazyLock::new(Instant::now);
    *ALWAYS
}

fn now(site: &Site) -> u64 {
    let now: i64 = site
        .app
        .query_row("SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)", [], |r| r.get(0))
        .unwrap();
    now.cast_unsigned()
}

/// The state of the only row that was written.
fn written(site: &Site) -> RowState {
    let packed: Vec<u8> = site.app.query_row("SELECT state FROM server_sync_row", [], |r| r.get(0)).unwrap();
    codec::unpack_state(&packed).unwrap()
}

/// The machine slept after the handshake: what is written since is as late as it is, and no earlier.
#[test]
fn a_machine_that_slept_takes_nothing_for_earlier() {
    let site = Site::bare("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);");
    let connections = connect(&site.path).unwrap().measured(asleep);
    let (mut store, _) = Database::prepare(connections, &card("geneva", 1)).unwrap();
    store.describe().unwrap();
    let later = now(&site) + 1_100;
    wait_until("more than a mark may be ahead", Duration::from_secs(10), || now(&site) > later).unwrap();
    let before = now(&site);
    site.app("INSERT INTO item(id) VALUES (1)");
    store.drain().unwrap();
    assert!(written(&site).inserted.millis() >= before);
}

/// A mark from the future is taken as of now all the same.
#[test]
fn what_is_from_the_future_is_of_now() {
    let site = Site::bare("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);");
    let (mut store, _) = Database::prepare(connect(&site.path).unwrap(), &card("geneva", 1)).unwrap();
    site.app("INSERT INTO item(id) VALUES (1)");
    site.app(&format!("UPDATE {} SET at = at + 1", site.marks_of("item")));
    store.drain().unwrap();
    assert!(written(&site).inserted.millis() <= now(&site) + 1_000);
}
