//! The store at the other end of a link, whichever way leads there: a direct connection to its database, or its agent by
//! ssh. Only reaches it; rounds are others' business.

use std::process::ChildStdout;
use std::sync::Arc;

use sync_config::Link;
use sync_database::Database;
use sync_link::mux::{Channel, Mux};
use sync_link::transport::{Process, Ssh};
use sync_link::{Fault, Hello, LinkError, Openings, RemoteStore, RemoteTree, Widening};
use sync_store::{Opening, Store, StoreError, Trouble};

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
    // As above: what goes over the lanes ends before they do.
    mux: Mux,
    lanes: Option<Widening>,
    way: Ssh,
    /// What it writes, until it is listened to.
    output: Option<ChildStdout>,
    /// The folders of documents that it told of, once that was heard.
    folders: Option<Vec<String>>,
    process: Option<Process>,
}

impl Remote {
    /// Reaches the slave of a link.
    ///
    /// # Errors
    /// What keeps it from being reached, and what to do about it.
    pub fn open(link: &Link) -> Result<Self> {
        let mut remote = Self::begin(link)?;
        remote.meet()?;
        Ok(remote)
    }

    /// Begins to reach it. What is asked goes there at once; before anything is heard, and for what kept it from being reached, comes
    /// [`Remote::meet`].
    ///
    /// # Errors
    /// What keeps it from being begun.
    pub(crate) fn begin(link: &Link) -> Result<Self> {
        let (database, agent) = match (&link.database, &link.ssh) {
            (Some(database), _) => (Place::Direct(Box::new(direct(link, database)?)), None),
            (None, Some(ssh)) => {
                let mut agent = Agent::begin(link, ssh)?;
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

    /// Waits until its database is reached. Does nothing if it was met.
    ///
    /// # Errors
    /// What keeps it from being reached, and what to do about it.
    pub(crate) fn meet(&mut self) -> Result<()> {
        if let (Place::Agent(store), Some(agent)) = (&mut self.database, &mut self.agent)
            && agent.meet(&self.link)?
        {
            store.met();
        }
        Ok(())
    }

    /// Begins to reach its agent, if the database is reached in another way.
    ///
    /// # Errors
    /// What keeps it from being begun.
    pub(crate) fn begin_agent(&mut self) -> Result<()> {
        self.agent().map(|_| ())
    }

    /// Opens a round with a database that is at the other end of a line, before anybody waits for it; says how many there were, for what
    /// has to come after it.
    ///
    /// # Errors
    /// What the link broke of.
    pub(crate) fn open_ahead(&mut self, opening: &Opening) -> Result<Option<Arc<Openings>>> {
        let Place::Agent(store) = &mut self.database else { return Ok(None) };
        store.open_ahead(opening)?;
        Ok(Some(store.openings()))
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
        let link = self.link.clone();
        let agent = self.agent()?;
        agent.meet(&link)?;
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
                Agent::begin(&self.link, ssh)?
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
    /// Starts it there, and says who asks.
    fn begin(link: &Link, ssh: &sync_config::Ssh) -> Result<Self> {
        let way = way_of(ssh).with_fast_cipher();
        let started = Process::start(way.command(link.remote_vd.as_str()), link.slave.as_str());
        let (process, output, mut input) = started.map_err(|e| of_link(e, link))?;
        // Why it does not listen any more is heard where it is met.
        let _ = Hello::of(link.remote_vd.as_str()).send(&mut input);
        let (mux, output, process) = (Mux::begin(input, 1), Some(output), Some(process));
        Ok(Agent { mux, lanes: None, way, output, folders: None, process })
    }

    /// Hears who it is, and from then on what it answers; says whether that was not known.
    fn meet(&mut self, link: &Link) -> Result<bool> {
        let Some(mut output) = self.output.take() else { return Ok(false) };
        if let Err(e) = self.recognise(link, &mut output) {
            // Nothing of what was asked waits to be written any longer.
            self.mux.fail(e.clone());
            return Err(of_link(e, link));
        }
        self.mux.listen(output);
        // Who limits what goes over the line wants no more of it.
        if link.documents_bandwidth.is_none() {
            self.lanes = Some(self.watch(link));
        }
        Ok(true)
    }

    fn watch(&self, link: &Link) -> Widening {
        let (way, vd, name) = (self.way.clone(), link.remote_vd.to_string(), link.slave.to_string());
        Widening::watch(&self.mux, link.remote_vd.as_str(), move || Process::start(way.command(&vd), &name))
    }

    fn recognise(&mut self, link: &Link, output: &mut ChildStdout) -> sync_link::Result<()> {
        let theirs = match Hello::receive(output) {
            Err(e) if e.fault == Fault::Unreachable => {
                return Err(self.process.take().map_or(e, Process::explain));
            }
            other => other?,
        };
        Hello::of(link.remote_vd.as_str()).check(&theirs)
    }

    fn open(&mut self, link: &Link, service: &str) -> Result<Channel> {
        match self.mux.open(service) {
            Ok(channel) => Ok(channel),
            // What it died of is known better there.
            Err(e) => self.meet(link).and_then(|_| Err(of_link(e, link))),
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
        ciphers: None,
    }
}

fn of_link(error: LinkError, link: &Link) -> EngineError {
    EngineError::from(StoreError::from(error)).at(link.slave.as_str())
}
