//! The store at the other end of a link, whichever way leads there: a direct connection to its database, or its agent by
//! ssh. Only reaches it; rounds are others' business.

use sync_config::Link;
use sync_database::Database;
use sync_link::mux::Mux;
use sync_link::transport::{Process, Ssh};
use sync_link::{Fault, Hello, LinkError, RemoteStore};
use sync_store::{Store, Trouble};

use crate::error::{EngineError, Kind, Result};
use crate::open;

/// The service of an agent that is the database.
pub(crate) const DATABASE: &str = "database";

/// A slave's store, reached.
pub struct Remote {
    way: Way,
}

// Fields are dropped in order: the channel, then the link, then the process that carries it.
enum Way {
    Direct(Box<Database>),
    Agent { store: RemoteStore, _link: Mux, _process: Process },
}

impl Remote {
    /// Reaches the slave of a link.
    ///
    /// # Errors
    /// What keeps it from being reached, and what to do about it.
    pub fn open(link: &Link) -> Result<Self> {
        let way = match (&link.database, &link.ssh) {
            (Some(database), _) => Way::Direct(Box::new(direct(link, database)?)),
            (None, Some(ssh)) => agent(link, &way_of(ssh))?,
            (None, None) => {
                return Err(EngineError::new(
                    Kind::Configuration,
                    format!("nothing says how {} is reached", link.slave),
                )
                .hint("write a section [master.ssh] or [master.database]"));
            }
        };
        Ok(Remote { way })
    }

    /// The store.
    pub fn store(&mut self) -> &mut dyn Store {
        match &mut self.way {
            Way::Direct(database) => database.as_mut(),
            Way::Agent { store, .. } => store,
        }
    }
}

/// Opens the database at the other end, which its own site must have prepared.
fn direct(link: &Link, database: &sync_config::Database) -> Result<Database> {
    let mut connections = open::connect(database)?;
    connections.dialect.visit();
    connections.require_privileges().and_then(|()| Database::open(connections)).map_err(|e| {
        let not_prepared = e.trouble == Trouble::NotPrepared;
        let mut error = EngineError::from(e).at(link.slave.as_str());
        if not_prepared {
            error.hint = Some(format!("run `server_sync init-site -vd {}` at {}", link.remote_vd, link.slave));
        }
        error
    })
}

fn way_of(ssh: &sync_config::Ssh) -> Ssh {
    Ssh {
        host: ssh.host.clone(),
        user: ssh.user.clone(),
        port: ssh.port,
        identity: ssh.identity_file.clone(),
        config: ssh.config_file.clone(),
        program: ssh.program.clone(),
    }
}

fn agent(link: &Link, ssh: &Ssh) -> Result<Way> {
    let vd = link.remote_vd.as_str();
    let reached = reach(ssh, vd, link.slave.as_str()).map_err(|e| of_link(e, link));
    let (mux, process) = reached?;
    let channel = mux.open(DATABASE).map_err(|e| of_link(e, link))?;
    Ok(Way::Agent { store: RemoteStore::new(channel), _link: mux, _process: process })
}

/// Starts the agent there, and hears who it is.
fn reach(ssh: &Ssh, vd: &str, name: &str) -> sync_link::Result<(Mux, Process)> {
    let (process, mut output, mut input) = Process::start(ssh.command(vd), name)?;
    let own = Hello::of(vd);
    let theirs = own.send(&mut input).and_then(|()| Hello::receive(&mut output));
    let theirs = match theirs {
        Err(e) if e.fault == Fault::Unreachable => return Err(process.explain()),
        other => other?,
    };
    own.check(&theirs)?;
    if theirs.vd != vd {
        let text = format!("the agent at {name} serves the virtual desktop {}, not {vd}", theirs.vd);
        return Err(LinkError::new(Fault::Setup, text)
            .hint("check remote_vd here, and the command that the key is restricted to there"));
    }
    Ok((Mux::start(output, input, 1), process))
}

fn of_link(error: LinkError, link: &Link) -> EngineError {
    EngineError::from(sync_store::StoreError::from(error)).at(link.slave.as_str())
}
