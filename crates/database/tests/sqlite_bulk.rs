//! Rows from before synchronisation are inserted without being looked up, and only where nothing can be lost by it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod lone_card;
mod sqlite_support;

use std::sync::{Arc, Mutex};

use lone_card::card;
use sqlite_support::Site;
use sync_core::{Incarnation, Source, StoreId, Value};
use sync_database::sql::{EachRow, Sql};
use sync_database::sqlite::connect;
use sync_database::{Connections, Database};
use sync_store::batch::baseline_row;
use sync_store::{Batch, Change, Mode, Store, TableHead};

/// Rows of the application that were read.
const LOOK_UP: &str = "SELECT \"id\", \"name\", \"parent\" FROM \"thing\"";

/// A connection that notes what was asked.
struct Watched {
    inner: Box<dyn Sql>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Sql for Watched {
    fn execute(&mut self, sql: &str, params: &[Value]) -> sync_store::Result<u64> {
        self.inner.execute(sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> sync_store::Result<()> {
        self.seen.lock().unwrap().push(sql.to_owned());
        self.inner.query(sql, params, each)
    }

    fn run(&mut self, sql: &str) -> sync_store::Result<()> {
        self.inner.run(sql)
    }
}

struct Half {
    site: Site,
    store: Database,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Half {
    fn new() -> Self {
        let site = Site::bare(
            "CREATE TABLE thing(id INTEGER PRIMARY KEY, name TEXT UNIQUE ON CONFLICT REPLACE, parent INT REFERENCES thing)",
        );
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = connect(&site.path).unwrap();
        let writer = Box::new(Watched { inner: connections.writer, seen: seen.clone() });
        let (mut store, _) =
            Database::prepare(Connections::new(writer, None, connections.dialect), &card("geneva", 1)).unwrap();
        store.drain().unwrap();
        Half { site, store, seen }
    }

    /// Applies rows from before; says whether rows were looked up.
    fn receives(&mut self, rows: &[(i64, &str)]) -> bool {
        self.seen.lock().unwrap().clear();
        let head =
            TableHead { name: "thing".to_owned(), columns: ["id", "name", "parent"].map(str::to_owned).to_vec() };
        let row = |(id, name): &(i64, &str)| {
            let values = vec![Value::Int(*id), Value::text(*name), Value::Null];
            Change { table: 0, key: vec![Value::Int(*id)], row: baseline_row(values) }
        };
        let sender = Source { store: StoreId(7), incarnation: Incarnation(7) };
        let batch = Batch { heads: vec![head], changes: rows.iter().map(row).collect(), ..Batch::empty(sender) };
        self.store.apply(&batch, Mode::Write).unwrap();
        self.seen.lock().unwrap().iter().any(|sql| sql.starts_with(LOOK_UP))
    }

    fn shows(&self) -> Vec<(i64, Option<String>)> {
        let mut query = self.site.app.prepare("SELECT id, name FROM thing ORDER BY id").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn lines(&self) -> i64 {
        self.site.app.query_row("SELECT COUNT(*) FROM server_sync_row", [], |row| row.get(0)).unwrap()
    }
}

fn named(rows: &[(i64, &str)]) -> Vec<(i64, Option<String>)> {
    rows.iter().map(|(id, name)| (*id, Some((*name).to_owned()))).collect()
}

#[test]
fn new_rows_are_not_looked_up() {
    let mut half = Half::new();
    assert!(!half.receives(&[(1, "a"), (2, "b")]));
    assert!(!half.receives(&[(3, "c")]));
    assert_eq!((half.shows(), half.lines()), (named(&[(1, "a"), (2, "b"), (3, "c")]), 0));
}

#[test]
fn a_row_that_is_there_is_merged() {
    let mut half = Half::new();
    half.receives(&[(1, "a")]);
    assert!(half.receives(&[(1, "a"), (2, "b")]));
    assert_eq!((half.shows(), half.lines()), (named(&[(1, "a"), (2, "b")]), 0));
}

#[test]
fn a_row_that_comes_twice_is_taken_once() {
    let mut half = Half::new();
    assert!(half.receives(&[(1, "a"), (1, "a")]));
    assert_eq!(half.shows(), named(&[(1, "a")]));
}

#[test]
fn a_unique_value_that_is_taken_is_decided_about() {
    let mut half = Half::new();
    half.receives(&[(1, "a")]);
    assert!(half.receives(&[(2, "a")]));
    let shown = half.shows();
    assert_eq!(shown[0], (1, Some("a".to_owned())), "the row that was there is not replaced: {shown:?}");
}

#[test]
fn rows_of_a_table_with_marks_or_lines_are_looked_up() {
    let mut half = Half::new();
    half.site.app("INSERT INTO thing VALUES (9, 'mine', NULL); DELETE FROM thing WHERE id=9");
    assert!(half.receives(&[(1, "a")]), "marks");
    half.site.app("INSERT INTO thing VALUES (8, 'mine', NULL)");
    half.store.drain().unwrap();
    assert_eq!(half.lines(), 1);
    assert!(half.receives(&[(2, "b")]), "lines");
    assert_eq!(half.shows(), named(&[(1, "a"), (2, "b"), (8, "mine")]));
}
