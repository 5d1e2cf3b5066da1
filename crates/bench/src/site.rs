//! A site for a bench.

use std::time::Duration;

use mysql::prelude::Queryable;
use sync_core::SiteId;
use sync_database::mysql::{Address, Tls, connect};
use sync_database::{Card, Database};
use sync_engine::brake::Brake;
use sync_engine::handshake::Expectation;
use sync_engine::{Options, RoundReport, round};
use sync_store::{Role, SlaveSettings, Store};
use sync_testbed::Server;

use crate::timed::{Timed, Times};

/// A prepared database.
pub struct Site<'a> {
    /// Its server.
    pub server: &'a Server,
    /// Its store.
    pub store: Database,
    /// Where its time goes, if `BENCH_STATEMENTS` is set.
    pub times: Times,
    name: &'static str,
}

impl<'a> Site<'a> {
    /// Prepares the database `crm` of a server.
    pub fn prepare(server: &'a Server, name: &'static str, number: u64) -> Self {
        let address = Address {
            host: server.host().to_owned(),
            port: server.port(),
            database: "crm".to_owned(),
            user: "root".to_owned(),
            tls: Tls::Off,
            ..Address::default()
        };
        let card = Card {
            site: SiteId::new(number).unwrap(),
            site_name: name.to_owned(),
            vd: "crm".to_owned(),
            vd_version: "1".to_owned(),
            role: Role::Slave(SlaveSettings { masters: vec!["a".to_owned()] }),
            excluded: Vec::new(),
        };
        let mut connections = connect(&address).unwrap();
        let times = Times::default();
        if std::env::var_os("BENCH_STATEMENTS").is_some() {
            let reader = connections.reader.take().unwrap();
            connections.reader = Some(Box::new(Timed::new(reader, "reader", times.clone())));
            connections.writer = Box::new(Timed::new(connections.writer, "writer", times.clone()));
        }
        let store = Database::prepare(connections, &card).unwrap().0;
        Site { server, store, times, name }
    }

    /// Runs a statement as the application.
    pub fn run(&self, statement: &str) {
        self.server.root_in("crm").unwrap().query_drop(statement).unwrap();
    }
}

/// A round.
pub fn sync(master: &mut Site, slave: &mut Site) -> RoundReport {
    let expected = Expectation {
        slave: slave.name.to_owned(),
        remote_vd: "crm".to_owned(),
        minimum: None,
        max_clock_difference: Duration::from_secs(300),
    };
    let options =
        Options { expected, init: false, force: true, dry_run: false, brake: Brake::default(), prefer_slave: false };
    round(&mut master.store as &mut dyn Store, &mut slave.store, &options, &mut ()).unwrap()
}
