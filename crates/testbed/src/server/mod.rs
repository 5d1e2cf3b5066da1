//! One running test server, whatever its flavour: connections, accounts, scripts, and the ways to break it. Everything
//! it owns (process, folders, port) ends with the value, or with the test process.

mod account;
mod mariadb;
mod memory;
mod mysql;
pub(crate) mod supervisor;
mod template;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::mysql::prelude::Queryable;
use ::mysql::{Conn, OptsBuilder, SslOpts};

pub use self::account::Account;
pub use self::mariadb::MariaDb;
pub use self::mysql::Mysql;
use self::supervisor::{Job, Supervisor};
use crate::error::Context;
use crate::port::Port;
use crate::wait::wait_until;
use crate::{Authority, Result, TestbedError, client};

/// How long a server may take to come up on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Which product a test server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// MariaDB as installed on this machine.
    MariaDb,
    /// MySQL in a root of its own.
    Mysql,
}

/// A test server. It may be shared between threads; dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Server {
    // Dropped first: the files and the port below are in use until the process is gone.
    supervisor: Supervisor,
    flavour: Flavour,
    port: Port,
    home: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    authority: Option<Authority>,
}

impl Server {
    /// Which product this is.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The address it listens on; always 127.0.0.1.
    #[must_use]
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// Its TCP port, the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Settings of a TCP connection as root (no password), without database and TLS.
    #[must_use]
    pub fn opts(&self) -> OptsBuilder {
        OptsBuilder::new()
            .ip_or_hostname(Some(self.host()))
            .tcp_port(self.port())
            .prefer_socket(false)
            .user(Some("root"))
    }

    /// A connection as root over the Unix socket.
    ///
    /// # Errors
    /// When the server does not run or has no free connection.
    pub fn root(&self) -> Result<Conn> {
        self.root_connection(None)
    }

    /// A connection as root whose current database is `database`.
    ///
    /// # Errors
    /// As [`Self::root`], and when there is no such database.
    pub fn root_in(&self, database: &str) -> Result<Conn> {
        self.root_connection(Some(database))
    }

    fn root_connection(&self, database: Option<&str>) -> Result<Conn> {
        let opts = OptsBuilder::new().socket(self.socket.to_str()).user(Some("root")).db_name(database);
        Conn::new(opts).context(format!("cannot connect to {} as root", self.name()))
    }

    /// A connection as `account` over TCP, without TLS.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn connect(&self, account: &Account, database: Option<&str>) -> Result<Conn> {
        let opts = account.opts(self).db_name(database);
        Conn::new(opts).context(format!("cannot connect to {} as {}", self.name(), account.name()))
    }

    /// Client settings that insist on TLS and trust nothing but `authority`; for [`OptsBuilder::ssl_opts`].
    ///
    /// # Errors
    /// When the authority's certificate cannot be written into this server's folder.
    pub fn trusting(&self, authority: &Authority) -> Result<SslOpts> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let file = self.home.join(format!("trusted-{}.pem", NEXT.fetch_add(1, Ordering::Relaxed)));
        authority.write_certificate(&file)?;
        Ok(SslOpts::default().with_root_cert_path(Some(file)))
    }

    /// The authority that signed this server's certificate, if it was started with TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Creates an empty database (utf8mb4, the same collation on both flavours), replacing one of that name.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn create_database(&self, name: &str) -> Result<()> {
        let text = format!(
            "DROP DATABASE IF EXISTS `{name}`; \
             CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
        );
        self.execute(&text)
    }

    /// Runs statements as root, separated by `;` (no DELIMITER; for that see [`Self::run_script`]).
    ///
    /// # Errors
    /// At the first statement that fails.
    pub fn execute(&self, statements: &str) -> Result<()> {
        let what = || format!("cannot run on {}: {}", self.name(), first_line(statements));
        let mut connection = self.root()?;
        let mut results = connection.query_iter(statements).context(what())?;
        // Every result must be read: that is where a later statement's failure shows.
        while let Some(set) = results.iter() {
            for row in set {
                row.context(what())?;
            }
        }
        Ok(())
    }

    /// Runs a script as root, as the command-line client would: DELIMITER is understood.
    ///
    /// # Errors
    /// At the first statement that fails, with the client's message.
    pub fn run_script(&self, database: Option<&str>, script: &str) -> Result<()> {
        client::run_script(&self.socket, database, script)
    }

    /// Kills the server with SIGKILL, as a crash would; its data and port stay for [`Self::start`].
    ///
    /// # Errors
    /// When it does not go away.
    pub fn kill9(&self) -> Result<()> {
        if self.supervisor.kill()? { Ok(()) } else { Err(self.failure("it does not die")) }
    }

    /// Shuts the server down cleanly; its data and port stay for [`Self::start`].
    ///
    /// # Errors
    /// When it does not go down within a minute.
    pub fn stop(&self) -> Result<()> {
        // The connection ends with the server, so an error says nothing here.
        let _ = self.root()?.query_drop("SHUTDOWN");
        if self.supervisor.wait_end()? { Ok(()) } else { Err(self.failure("it does not shut down")) }
    }

    /// Starts the server again after [`Self::kill9`] or [`Self::stop`] and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(&self) -> Result<()> {
        // MySQL takes the lock file of a killed server seriously until its process has been reaped.
        let _ = std::fs::remove_file(self.socket.with_extension("sock.lock"));
        if !self.supervisor.start()? {
            return Err(self.failure("it does not start, or it already runs"));
        }
        let ready = wait_until("the server answers", START_LIMIT, || self.root().is_ok() || !self.is_alive());
        if ready.is_ok() && self.is_alive() { Ok(()) } else { Err(self.failure("it does not come up")) }
    }

    /// Stops the server cleanly and starts it again.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    /// Whether the server's process runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.supervisor.is_alive().unwrap_or(false)
    }

    /// Flavour and port, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{:?} on port {}", self.flavour, self.port())
    }

    /// Its error log.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn failure(&self, reason: &str) -> TestbedError {
        let log = self.log();
        let tail = log.lines().count().saturating_sub(15);
        let log = log.lines().skip(tail).collect::<Vec<_>>().join("\n");
        TestbedError::Server { server: self.name(), reason: reason.to_owned(), log }
    }
}

/// Whether this process runs as root.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}
