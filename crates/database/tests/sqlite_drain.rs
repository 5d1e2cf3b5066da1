//! Draining, and reading what was drained, beside an application that never stops writing.
#![allow(clippy::unwrap_used)]

mod sqlite_support;

use sqlite_support::Site;
use sync_core::{SiteId, Stamp, Value};
use sync_database::sql::{EachRow, Sql};
use sync_database::sqlite::connect;
use sync_database::{Card, Connections, Database, Rules};
use sync_store::{Result, Role, Store};

const SCHEMA: &str = "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);";

/// More than is drained in one transaction.
const MANY: u32 = 2_500;

/// A connection after whose every commit the application has written.
struct Eager {
    inner: Box<dyn Sql>,
    site: Site,
    writes: String,
}

impl Sql for Eager {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.inner.execute(sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> Result<()> {
        self.inner.query(sql, params, each)
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        self.inner.run(sql)?;
        if sql == "COMMIT" {
            self.site.app(&self.writes);
        }
        Ok(())
    }
}

/// A store with these rows from before, whose application has written once, and does so again after every commit.
fn beside(rows: &str, writes: &str) -> Database {
    let site = Site::bare(SCHEMA);
    site.app(rows);
    let card = Card {
        site: SiteId::new(1).unwrap(),
        site_name: "one".to_owned(),
        vd: "test".to_owned(),
        vd_version: "1".to_owned(),
        role: Role::NotSlave,
        rules: Rules::default(),
    };
    drop(Database::prepare(connect(&site.path).unwrap(), &card).unwrap());
    site.app(writes);
    let Connections { writer, reader, dialect, .. } = connect(&site.path).unwrap();
    let eager = Eager { inner: writer, site, writes: writes.to_owned() };
    Database::open(Connections::new(Box::new(eager), reader, dialect)).unwrap()
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

/// A compare decides by the rows that it asks for. One that the application writes to all the time is among them, and what it holds
/// has the stamp that it was written with.
#[test]
fn a_row_is_read_though_the_application_never_stops_writing_to_it() {
    let rows = "INSERT INTO item(id, name) VALUES (1, ''), (2, 'quiet')";
    let mut store = beside(rows, "UPDATE item SET name=name||'x' WHERE id=1");
    let keys = [1, 2, 3].map(|id| vec![Value::Int(id)]);
    store.drain().unwrap();
    let mut last = (Stamp::NEVER, 0);
    for _ in 0..3 {
        let (batch, done) = store.rows("item", &keys).unwrap();
        assert_eq!((done, batch.changes.len()), (3, 2));
        let row = |key: &Vec<Value>| &batch.changes.iter().find(|change| change.key == *key).unwrap().row;
        let (busy, quiet) = (row(&keys[0]), row(&keys[1]));
        assert_eq!((quiet.state.cell(1), quiet.value(1)), (Stamp::BASELINE, Some(&Value::text("quiet"))));
        let read = (busy.state.cell(1), busy.value(1).unwrap().to_string().len());
        assert!(read.0 > last.0 && read.1 > last.1, "{read:?} after {last:?}");
        last = read;
    }
}
