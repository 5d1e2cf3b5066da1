//! Two sites of a virtual desktop on servers of the bench, and a round between them.

use std::path::PathBuf;
use std::time::Duration;

use sync_core::SiteId;
use sync_database::mysql::{Address, Tls, connect};
use sync_database::{Card, Connections, Database};
use sync_engine::handshake::Expectation;
use sync_engine::{Options, RoundReport, round};
use sync_store::{Role, SlaveSettings, Store};
use sync_testbed::Server;

use crate::Result;
use crate::servers::DATABASE;
use crate::timed::{Timed, Times};

/// The site that starts rounds, and its number.
pub const MASTER: (&str, u64) = ("geneva", 1);
/// The other one.
pub const SLAVE: (&str, u64) = ("lyon", 2);

/// A prepared database.
pub struct Site {
    /// Its store.
    pub store: Database,
    /// Where its time goes, if `BENCH_STATEMENTS` is set.
    pub times: Times,
}

/// As the master has it: its own server, over the socket.
pub fn local(server: &Server) -> Address {
    Address { socket: Some(PathBuf::from(server.socket())), ..remote(server.port()) }
}

/// As the master reaches the slave: over TCP, here without encryption.
pub fn remote(port: u16) -> Address {
    let text = str::to_owned;
    let (host, database, user) = (text("127.0.0.1"), text(DATABASE), text("root"));
    Address { host, port, database, user, tls: Tls::Off, ..Address::default() }
}

impl Site {
    /// Prepares a database.
    pub fn prepare(address: &Address, (name, number): (&str, u64)) -> Result<Self> {
        let card = Card {
            site: SiteId::new(number)?,
            site_name: name.to_owned(),
            vd: DATABASE.to_owned(),
            vd_version: "1".to_owned(),
            role: Role::Slave(SlaveSettings { masters: vec![MASTER.0.to_owned()] }),
            rules: sync_database::Rules::default(),
        };
        let (connections, times) = connections(address)?;
        Ok(Site { store: Database::prepare(connections, &card)?.0, times })
    }

    /// Opens a database that is prepared, and is taken for one on another machine or for one on this.
    pub fn open_far(address: &Address, far: bool) -> Result<Self> {
        let (connections, times) = connections(address)?;
        Ok(Site { store: Database::open(connections.far(far))?, times })
    }

    /// Opens a database that is prepared.
    pub fn open(address: &Address) -> Result<Self> {
        let (connections, times) = connections(address)?;
        Ok(Site { store: Database::open(connections)?, times })
    }
}

fn connections(address: &Address) -> Result<(Connections, Times)> {
    let mut connections = connect(address)?;
    let times = Times::default();
    if std::env::var_os("BENCH_STATEMENTS").is_some() {
        let timed = |inner, name| Box::new(Timed::new(inner, name, times.clone()));
        connections.reader = connections.reader.take().map(|r| timed(r, "reader") as _);
        connections.writer = timed(connections.writer, "writer");
    }
    Ok((connections, times))
}

/// What the master expects of the slave.
pub fn expectation() -> Expectation {
    Expectation {
        slave: SLAVE.0.to_owned(),
        remote_vd: DATABASE.to_owned(),
        minimum: None,
        max_clock_difference: Duration::from_secs(300),
    }
}

/// A round.
pub fn sync(master: &mut Site, slave: &mut Site) -> Result<RoundReport> {
    let options = Options { force: true, ..Options::expecting(expectation()) };
    Ok(round(&mut master.store as &mut dyn Store, &mut slave.store, &options, &mut ())?)
}
