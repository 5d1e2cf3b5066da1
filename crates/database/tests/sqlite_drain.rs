//! Draining, and reading what was drained, beside an application that never stops writing.
#![allow(clippy::unwrap_used)]

mod eager;
mod lone_card;
mod sqlite_support;

use sqlite_support::Site;
use sync_database::Database;
use sync_database::sqlite::connect;
use sync_store::Store;

const SCHEMA: &str = "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);";

/// More than is drained in one transaction.
const MANY: u32 = 2_500;

/// A store with these rows from before, beside an application that writes this.
fn beside(rows: &str, writes: &str) -> Database {
    let site = Site::bare(SCHEMA);
    site.app(rows);
    let (path, writes) = (site.path.clone(), writes.to_owned());
    let write = move || {
        site.app(&writes);
    };
    eager::beside(|| connect(&path).unwrap(), write)
}

#[test]
fn a_drain_ends_though_the_application_never_stops() {
    let writes = format!(
        "INSERT INTO item(name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{MANY}) \
         SELECT 'x' FROM n"
    );
    let mut store = beside("", &writes);
    let drained = store.drain().unwrap();
    assert!(drained.marks >= u64::from(MANY), "{drained:?}");
}

#[test]
fn a_row_is_read_though_the_application_never_stops_writing_to_it() {
    let rows = "INSERT INTO item(id, name) VALUES (1, ''), (2, 'quiet')";
    eager::reads_a_busy_row(beside(rows, "UPDATE item SET name=name||'x' WHERE id=1"), "item");
}
