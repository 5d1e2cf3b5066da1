//! The store at the other end of a link, whichever way leads there: a direct connection to its database, or its agent by
//! ssh. Only reaches it; rounds are others' business.

use sync_config::Link;
use sync_database::Database;
use sync_link::mux::{Channel, Mux};
use sync_link::transport::{Process, Ssh};
use sync_link::{Fault, Hello, LinkError, RemoteStore, RemoteTree};
use sync_store::{Store, Trouble};

use crate::error::{EngineError, Kind, Result};
use crate::open;

/// The service of an agent that is the database.
pub(crate) const DATABASE: &str = "database";

/// The service that is a folder of documents.
pub(crate) fn folder_service(name: &str) -> String {
    format!("documents/{name}")
}

/// A slave's stores, reached.
pub struct Remote {
    // Fields are dropped in order: the channel, then the link, then the process that carries it.
    database: Place,
    agent: Option<Agent>,
    link: Link,
}

enum Place {
    Direct(Box<Database>),
    Agent(Box<RemoteStore>),
}

/// The agent at the other end.
struct Agent {
    mux: Mux,
    /// The folders of documents that it told of, once that was heard.
    folders: Option<Vec<String>>,
    _process: Process,
}

impl Remote {
    /// Reaches the slave of a link.
    ///
    /// # Errors
    /// What keeps it from being reached, and what to do about it.
    pub fn open(link: &Link) -> Result<Self> {
        let (database, agent) = match (&link.database, &link.ssh) {
            (Some(database), _) => (Place::Direct(Box::new(direct(link, database)?)), None),
            (None, Some(ssh)) => {
                let agent = Agent::reach(link, ssh)?;
                let store = RemoteStore::new(agent.open(link, DATABASE)?).named(link.slave.as_str());
                (Place::Agent(Box::new(store)), Some(agent))
            }
            (None, None) => {
                return Err(EngineError::new(
                    Kind::Configuration,
                    format!("nothing says how {} is reached", link.slave),
                )
                .hint("write a section [master.ssh] or [master.database]"));
            }
        };
        Ok(Remote { database, agent, link: link.clone() })
    }

    /// The database.
    pub fn store(&mut self) -> &mut dyn Store {
        match &mut self.database {
            Place::Direct(database) => database.as_mut(),
            Place::Agent(store) => store.as_mut(),
        }
    }

    /// Whether the database is open: an agent opens it when it is asked.
    pub fn is_open(&self) -> bool {
        matches!(self.database, Place::Direct(_))
    }

    /// Whether the agent is there already.
    pub fn has_agent(&self) -> bool {
        self.agent.is_some()
    }

    /// The folders of documents that the other site names.
    ///
    /// # Errors
    /// If its agent cannot be reached.
    pub fn folders(&mut self) -> Result<Vec<String>> {
        let slave = self.link.slave.to_string();
        let agent = self.agent()?;
        if let Some(names) = &agent.folders {
            return Ok(names.clone());
        }
        let names = sync_link::contents::announced(&agent.mux).map_err(|e| EngineError::from(e).at(&slave))?;
        Ok(agent.folders.insert(names).clone())
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`Remote::folders`].
    pub fn folder(&mut self, name: &str) -> Result<RemoteTree> {
        Ok(RemoteTree::new(self.channel(&folder_service(name))?, self.link.slave.as_str()))
    }

    /// A conversation with the agent.
    fn channel(&mut self, service: &str) -> Result<Channel> {
        let link = self.link.clone();
        self.agent()?.open(&link, service)
    }

    /// The agent, which is started if the database is reached in another way.
    fn agent(&mut self) -> Result<&mut Agent> {
        let agent = match self.agent.take() {
            Some(agent) => agent,
            None => {
                let ssh = self.link.ssh.as_ref().ok_or_else(|| no_way(&self.link))?;
                Agent::reach(&self.link, ssh)?
            }
        };
        Ok(self.agent.insert(agent))
    }
}

fn no_way(link: &Link) -> EngineError {
    EngineError::new(Kind::Configuration, format!("documents go to {} by ssh, and nothing says how", link.slave))
        .hint("write a section [master.ssh] below that [[master]]")
}

impl Agent {
    fn reach(link: &Link, ssh: &sync_config::Ssh) -> Result<Self> {
        let reached = reach(&way_of(ssh), link.remote_vd.as_str(), link.slave.as_str());
        let (mux, process) = reached.map_err(|e| of_link(e, link))?;
        Ok(Agent { mux, folders: None, _process: process })
    }

    fn open(&self, link: &Link, service: &str) -> Result<Channel> {
        self.mux.open(service).map_err(|e| of_link(e, link))
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
        ciphers: None,
    }
}

/// Starts the agent there, and hears who it is.
fn reach(ssh: &Ssh, vd: &str, name: &str) -> sync_link::Result<(Mux, Process)> {
    let command = ssh.clone().with_fast_cipher().command(vd);
    let (process, mut output, mut input) = Process::start(command, name)?;
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
