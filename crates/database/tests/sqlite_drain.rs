//! Draining beside an application that never stops writing.
#![allow(clippy::unwrap_used)]

mod sqlite_support;

use sqlite_support::Site;
use sync_core::{SiteId, Value};
use sync_database::sql::{EachRow, Sql};
use sync_database::sqlite::connect;
use sync_database::{Card, Connections, Database, Rules};
use sync_store::{Result, Role, Store};

const SCHEMA: &str = "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT);";

/// More than is drained in one transaction.
const MANY: u32 = 2_500;

/// A connection after whose every commit the application has written many rows.
struct Eager {
    inner: Box<dyn Sql>,
    site: Site,
    writing: bool,
}

impl Eager {
    fn write(&self) {
        self.site.app(&format!(
            "INSERT INTO item(name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{MANY}) \
             SELECT 'x' FROM n"
        ));
    }
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
        if sql == "COMMIT" && self.writing {
            self.write();
        }
        Ok(())
    }
}

#[test]
fn a_drain_ends_though_the_application_never_stops() {
    let site = Site::bare(SCHEMA);
    let card = Card {
        site: SiteId::new(1).unwrap(),
        site_name: "one".to_owned(),
        vd: "test".to_owned(),
        vd_version: "1".to_owned(),
        role: Role::NotSlave,
        rules: Rules::default(),
    };
    drop(Database::prepare(connect(&site.path).unwrap(), &card).unwrap());
    let Connections { writer, reader, dialect, .. } = connect(&site.path).unwrap();
    let eager = Eager { inner: writer, site, writing: true };
    eager.write();
    let mut store = Database::open(Connections::new(Box::new(eager), reader, dialect)).unwrap();
    let drained = store.drain().unwrap();
    assert!(drained.marks >= u64::from(MANY), "{drained:?}");
}
