//! A store beside an application that never stops writing. For tests only.
#![allow(dead_code, clippy::unwrap_used)]

use sync_core::{Stamp, Value};
use sync_database::sql::{EachRow, Sql};
use sync_database::{Connections, Database};
use sync_store::{Result, Store};

use crate::lone_card::card;

/// A connection after whose every commit the application has written.
struct Eager {
    inner: Box<dyn Sql>,
    write: Box<dyn FnMut() + Send>,
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
            (self.write)();
        }
        Ok(())
    }
}

/// A store of what is in a database, whose application has written once since, and does so again after every commit.
pub fn beside(connect: impl Fn() -> Connections, mut write: impl FnMut() + Send + 'static) -> Database {
    drop(Database::prepare(connect(), &card("geneva", 1)).unwrap());
    let Connections { writer: inner, reader, dialect, .. } = connect();
    write();
    let eager = Eager { inner, write: Box::new(write) };
    Database::open(Connections::new(Box::new(eager), reader, dialect)).unwrap()
}

/// A compare decides by the rows that it asks for. Row 1, whose text the application makes longer all the time, is among them, and
/// what it holds has the stamp that it was written with; row 2 is `quiet`, and there is no row 3.
pub fn reads_a_busy_row(mut store: Database, table: &str) {
    let keys = [1, 2, 3].map(|id| vec![Value::Int(id)]);
    store.drain().unwrap();
    let mut last = (Stamp::NEVER, 0);
    for _ in 0..3 {
        let (batch, done) = store.rows(table, &keys).unwrap();
        assert_eq!((done, batch.changes.len()), (3, 2));
        let row = |key: &Vec<Value>| &batch.changes.iter().find(|change| change.key == *key).unwrap().row;
        let (busy, quiet) = (row(&keys[0]), row(&keys[1]));
        assert_eq!((quiet.state.cell(1), quiet.value(1)), (Stamp::BASELINE, Some(&Value::text("quiet"))));
        let read = (busy.state.cell(1), busy.value(1).unwrap().to_string().len());
        assert!(read.0 > last.0 && read.1 > last.1, "{read:?} after {last:?}");
        last = read;
    }
}
