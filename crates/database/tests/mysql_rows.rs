//! Reading rows by their keys beside an application that never stops writing to one of them. The same on SQLite:
//! `sqlite_drain.rs`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod mysql_bench;

use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_bench::servers;
use sync_core::{SiteId, Stamp, Value};
use sync_database::mysql::{Address, Tls, connect};
use sync_database::sql::{EachRow, Sql};
use sync_database::{Card, Connections, Database, Rules};
use sync_store::{Result, Role, Store};
use sync_testbed::Server;

/// A connection after whose every commit the application has written.
struct Eager {
    inner: Box<dyn Sql>,
    app: Conn,
}

impl Eager {
    fn write(&mut self) {
        self.app.query_drop("UPDATE t SET a=CONCAT(a, 'x') WHERE id=1").unwrap();
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
        if sql == "COMMIT" {
            self.write();
        }
        Ok(())
    }
}

const DATABASE: &str = "rows_read";

fn store(server: &Server) -> Database {
    let card = Card {
        site: SiteId::new(1).unwrap(),
        site_name: "geneva".to_owned(),
        vd: "crm".to_owned(),
        vd_version: "1".to_owned(),
        role: Role::NotSlave,
        rules: Rules::default(),
    };
    let (host, port, database) = (server.host().to_owned(), server.port(), DATABASE.to_owned());
    let address = Address { host, port, database, user: "root".to_owned(), tls: Tls::Off, ..Address::default() };
    drop(Database::prepare(connect(&address).unwrap(), &card).unwrap());
    let Connections { writer: inner, reader, dialect, .. } = connect(&address).unwrap();
    let mut eager = Eager { inner, app: server.root_in(DATABASE).unwrap() };
    eager.write();
    Database::open(Connections::new(Box::new(eager), reader, dialect)).unwrap()
}

#[test]
fn a_row_is_read_though_the_application_never_stops_writing_to_it() {
    for server in servers() {
        server.create_database(DATABASE).unwrap();
        let mut app = server.root_in(DATABASE).unwrap();
        app.query_drop("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(200))").unwrap();
        app.query_drop("INSERT INTO t VALUES (1, ''), (2, 'quiet')").unwrap();
        let mut store = store(server);
        store.drain().unwrap();
        let keys = [1, 2, 3].map(|id| vec![Value::Int(id)]);
        let mut last = (Stamp::NEVER, 0);
        for _ in 0..3 {
            let (batch, done) = store.rows("t", &keys).unwrap();
            assert_eq!((done, batch.changes.len()), (3, 2), "{}", server.name());
            let row = |key: &Vec<Value>| &batch.changes.iter().find(|change| change.key == *key).unwrap().row;
            let (busy, quiet) = (row(&keys[0]), row(&keys[1]));
            assert_eq!((quiet.state.cell(1), quiet.value(1)), (Stamp::BASELINE, Some(&Value::text("quiet"))));
            let read = (busy.state.cell(1), busy.value(1).unwrap().to_string().len());
            assert!(read.0 > last.0 && read.1 > last.1, "{}: {read:?} after {last:?}", server.name());
            last = read;
        }
    }
}
