//! Two sites on real servers, for end-to-end tests.
#![allow(dead_code, clippy::unwrap_used)]

mod accounts;
mod agent;
mod pair;
pub mod sakila;

#[allow(unused_imports)]
pub use accounts::Accounts;
#[allow(unused_imports)]
pub use agent::{round_between, through_an_agent};
#[allow(unused_imports)]
pub use pair::{Pair, Story, run_all, stories};

use std::time::{Duration, Instant};

use mysql::Conn;
use mysql::prelude::Queryable;
use sync_core::codec::unpack_state;
use sync_core::{RowId, SiteId, Value};
use sync_database::mysql::{Address, Tls, connect};
use sync_database::{Card, Database, Rules};
use sync_engine::handshake::Expectation;
use sync_engine::{Options, RoundReport};
use sync_store::{Role, SlaveSettings};
use sync_testbed::Server;

/// A site: a database on a server, prepared.
pub struct Site<'a> {
    pub name: &'static str,
    pub server: &'a Server,
    pub database: String,
    pub store: Database,
    number: u64,
    /// With more marks than this, a table is drained while it streams.
    backlog_from: Option<usize>,
    rules: Rules,
}

impl<'a> Site<'a> {
    /// Prepares a database that is there.
    pub fn prepare(server: &'a Server, database: &str, name: &'static str, number: u64) -> Self {
        Self::with_rules(server, database, name, number, Rules::default())
    }

    /// The same, whose settings say something of tables.
    pub fn with_rules(server: &'a Server, database: &str, name: &'static str, number: u64, rules: Rules) -> Self {
        let store = open_with(server, database, name, number, &rules).unwrap();
        Site { rules, ..Self::new(server, database, name, number, store) }
    }

    /// A site whose store is open.
    pub fn new(server: &'a Server, database: &str, name: &'static str, number: u64, store: Database) -> Self {
        let (database, rules) = (database.to_owned(), Rules::default());
        Site { name, server, database, store, number, backlog_from: None, rules }
    }

    /// Changes what the settings say of tables; refused if the tables do not allow it.
    pub fn set_rules(&mut self, rules: Rules) -> sync_store::Result<()> {
        self.store = open_with(self.server, &self.database, self.name, self.number, &rules)?;
        self.rules = rules;
        Ok(())
    }

    /// The same site, which drains tables while they stream from more marks on than this.
    pub fn with_backlog_from(self, marks: usize) -> Self {
        Site { backlog_from: Some(marks), store: self.store.with_backlog_from(marks), ..self }
    }

    /// Opens connections that say that the database is on another machine.
    pub fn far(&mut self) {
        let connections = connect(&address(self.server, &self.database)).unwrap();
        self.store = Database::open(connections.far(true)).unwrap();
    }

    pub fn number(&self) -> u16 {
        self.number as u16
    }

    /// Opens new connections.
    pub fn reopen(&mut self) {
        let store = open_with(self.server, &self.database, self.name, self.number, &self.rules).unwrap();
        self.store = match self.backlog_from {
            Some(marks) => store.with_backlog_from(marks),
            None => store,
        };
    }

    /// A connection as the application has; it takes rows of any size.
    pub fn app(&self) -> Conn {
        let options = self.server.opts().db_name(Some(&self.database)).max_allowed_packet(Some(1 << 30));
        Conn::new(options).unwrap()
    }

    /// A statement of the application.
    pub fn run(&self, statement: &str) {
        self.app().query_drop(statement).unwrap();
    }

    /// What the store keeps of a row: its state, whether its values are kept, and whether it is in the table.
    pub fn state(&self, table: &str, key: i64) -> String {
        let query = "SELECT r.state, r.seq, r.origin, r.kept IS NOT NULL, p.kind FROM server_sync_table t \
                     JOIN server_sync_row r ON r.tab = t.number LEFT JOIN server_sync_parked p ON p.tab = r.tab AND p.id = r.id \
                     WHERE t.name = ? AND r.id = ?";
        let id = RowId::of(&[Value::Int(key)]).as_bytes().to_vec();
        type Line = (Vec<u8>, u64, u16, bool, Option<String>);
        let line: Option<Line> = self.app().exec_first(query, (table, id)).unwrap();
        let there = self.one(&format!("SELECT COUNT(*) FROM {table} WHERE id = {key}"));
        let line = line.map(|(state, seq, origin, kept, parked)| {
            let state = unpack_state(&state).unwrap();
            format!("seq {seq}, origin {origin}, kept {kept}, parked {parked:?}, {state:?}")
        });
        format!("{there} in the table; {}", line.unwrap_or_else(|| "no line".to_owned()))
    }

    pub fn one(&self, query: &str) -> String {
        let value: Option<Option<String>> = self.app().query_first(query).unwrap();
        value.flatten().unwrap_or_default()
    }
}

pub fn address(server: &Server, database: &str) -> Address {
    Address {
        host: server.host().to_owned(),
        port: server.port(),
        database: database.to_owned(),
        user: "root".to_owned(),
        tls: Tls::Off,
        ..Address::default()
    }
}

/// Prepares a database, beside an application that may be in the way.
pub fn try_open(server: &Server, database: &str, name: &str, number: u64) -> sync_store::Result<Database> {
    open_with(server, database, name, number, &Rules::default())
}

fn open_with(server: &Server, database: &str, name: &str, number: u64, rules: &Rules) -> sync_store::Result<Database> {
    let card = Card {
        site: SiteId::new(number).unwrap(),
        site_name: name.to_owned(),
        vd: "crm".to_owned(),
        vd_version: "6.2".to_owned(),
        role: Role::Slave(SlaveSettings {
            masters: ["geneva", "lyon", "bern", "basel", "turin"].map(str::to_owned).to_vec(),
        }),
        rules: rules.clone(),
    };
    Ok(Database::prepare(connect(&address(server, database))?, &card)?.0)
}

pub fn options(slave: &str) -> Options {
    Options::expecting(Expectation {
        slave: slave.to_owned(),
        remote_vd: "crm".to_owned(),
        minimum: None,
        max_clock_difference: Duration::from_secs(300),
    })
}

/// A round between two sites.
pub fn sync(master: &mut Site, slave: &mut Site) -> RoundReport {
    round_between(master, slave, &options(slave.name), &mut ()).unwrap()
}

/// A round, where nobody is in the way; else new connections.
pub fn try_round(master: &mut Site, slave: &mut Site, options: &Options) -> Option<RoundReport> {
    match round_between(master, slave, options, &mut ()) {
        Ok(report) => Some(report),
        Err(e) if e.retryable => {
            master.reopen();
            slave.reopen();
            None
        }
        Err(e) => unreachable!("{e} {:?}", e.hint),
    }
}

/// Rounds until it is time, then until nothing moves; says how many. Connections are made again where that helps.
pub fn rounds(master: &mut Site, slave: &mut Site, options: &Options, until: Instant) -> u32 {
    let mut rounds = 0;
    let mut quiet = false;
    while !quiet || Instant::now() < until {
        quiet = try_round(master, slave, options).map_or(quiet, |report| report.is_quiet());
        rounds += 1;
    }
    rounds
}

/// The databases are equal, table by table.
pub fn assert_same(a: &Site, b: &Site) {
    let dump = |s: &Site| sync_testbed::dump(&mut s.app(), &s.database).unwrap();
    sync_testbed::assert_equal(&dump(a), &dump(b));
}
