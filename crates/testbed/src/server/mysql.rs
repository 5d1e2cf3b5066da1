//! Starts MySQL from a root folder of its own, through the tool that made it. Both are named by the environment:
//! SERVER_SYNC_TEST_MYSQL_ROOT (the root) and SERVER_SYNC_TEST_MYSQL_TOOL (`TOOL start ROOT NAME PORT`). Never installs anything.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Flavour, Job, Server, Supervisor, memory, template};
use crate::error::Context;
use crate::port::Port;
use crate::{Authority, Options, Result, TestbedError};

/// A MySQL that tests may start.
#[derive(Debug, Clone)]
pub struct Mysql {
    root: PathBuf,
    tool: PathBuf,
}

/// A server's name inside the root, and the paths that follow from it.
struct Place {
    root: PathBuf,
    name: String,
    /// Where the data are if not in the root: the server alone sees them there.
    memory: Option<PathBuf>,
}

impl Mysql {
    /// The MySQL that the environment names, if it is there and this process may start it (only root can). If not,
    /// prints why a test is skipped.
    #[must_use]
    pub fn available() -> Option<Self> {
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let found = named("SERVER_SYNC_TEST_MYSQL_ROOT")
            .zip(named("SERVER_SYNC_TEST_MYSQL_TOOL"))
            .filter(|(root, tool)| root.join("usr/sbin/mysqld").exists() && tool.exists())
            .map(|(root, tool)| Self { root, tool });
        if found.is_none() {
            println!("skipped: no MySQL 9 (set SERVER_SYNC_TEST_MYSQL_ROOT and SERVER_SYNC_TEST_MYSQL_TOOL)");
        } else if !super::is_root() {
            println!("skipped: MySQL 9 can only be started by root");
        }
        found.filter(|_| super::is_root())
    }

    /// Starts a server and waits until it answers (a few seconds).
    ///
    /// # Errors
    /// When an option is refused or it does not come up; a clock offset and named time zones are not supported.
    pub fn start(&self, options: Options) -> Result<Server> {
        if options.clock.is_some() {
            return Err(TestbedError::Unsupported("a MySQL test server cannot have a clock of its own"));
        }
        let home = memory::folder("server_sync-mysql-", &options)?;
        let place = Place::new(&self.root, home.path());
        let port = Port::reserve()?;
        let supervisor = Supervisor::new(&self.job(&place, &options, port.number(), home.path())?)?;
        self.initialised().and_then(|ready| place.fill(&ready, options.authority.as_ref()))?;
        let (socket, log) = (place.socket(), place.data().join("error.log"));
        let (home, authority) = (home.keep(), options.authority);
        let server = Server { supervisor, flavour: Flavour::Mysql, port, home, socket, log, authority };
        server.start()?;
        Ok(server)
    }

    /// A server with the default options that all tests of one process share, if there is a MySQL.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn shared() -> Result<Option<&'static Server>> {
        static SHARED: OnceLock<Server> = OnceLock::new();
        if let Some(server) = SHARED.get() {
            return Ok(Some(server));
        }
        let Some(mysql) = Self::available() else { return Ok(None) };
        // Two first callers may both start one; the loser's ends at once.
        let server = mysql.start(Options::new())?;
        Ok(Some(SHARED.get_or_init(|| server)))
    }

    fn job(&self, place: &Place, options: &Options, port: u16, home: &Path) -> Result<Job> {
        Ok(Job {
            detached: true,
            command: self.command(place, port, options),
            pid_file: place.data().join("pid"),
            log: home.join("log"),
            garbage: vec![home.to_owned(), place.inside(), place.tls(), place.socket(), place.socket_lock()],
        })
    }

    fn command(&self, place: &Place, port: u16, options: &Options) -> Vec<String> {
        let start = self.start_command(&place.name, port, &arguments(options, &place.name));
        match &place.memory {
            Some(memory) => memory::showing(memory, &place.inside()).into_iter().chain(start).collect(),
            None => start,
        }
    }

    /// The root need not have what TMPDIR names here.
    fn start_command(&self, name: &str, port: u16, arguments: &[String]) -> Vec<String> {
        let display = |path: &Path| path.display().to_string();
        vec![
            "env".to_owned(),
            "--unset=TMPDIR".to_owned(),
            format!("MYSQLD_OPTIONS={}", arguments.join(" ")),
            display(&self.tool),
            "start".to_owned(),
            display(&self.root),
            name.to_owned(),
            port.to_string(),
        ]
    }

    /// A data folder that the tool initialised, in a server of that purpose only.
    fn initialised(&self) -> Result<PathBuf> {
        template::template(&self.root.join("srv"), "server_sync-template", |draft| {
            let name = draft.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let port = Port::reserve()?;
            let command = self.start_command(&name, port.number(), &arguments(&Options::new(), &name));
            template::run(Command::new("env").args(&command[1..]))?;
            template::run(Command::new(&self.tool).arg("stop").arg(&self.root).arg(&name))?;
            let _ = std::fs::remove_file(self.root.join("srv").join(format!("{name}.log")));
            // Two servers with one identity would be taken for copies of each other.
            std::fs::remove_file(draft.join("auto.cnf")).context("cannot remove the template's identity")
        })
    }
}

impl Place {
    fn new(root: &Path, home: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("server_sync-{}-{number}", std::process::id());
        let memory = (memory::holds(home) && memory::may_mount()).then(|| home.join("data"));
        Self { root: root.to_owned(), name, memory }
    }

    /// Where tests find the data.
    fn data(&self) -> PathBuf {
        self.memory.clone().unwrap_or_else(|| self.inside())
    }

    /// Where the server does.
    fn inside(&self) -> PathBuf {
        self.root.join("srv").join(&self.name)
    }

    fn tls(&self) -> PathBuf {
        self.root.join("srv").join(format!("{}-tls", self.name))
    }

    fn socket(&self) -> PathBuf {
        self.root.join("tmp").join(format!("{}.sock", self.name))
    }

    fn socket_lock(&self) -> PathBuf {
        self.socket().with_extension("sock.lock")
    }

    fn fill(&self, template: &Path, authority: Option<&Authority>) -> Result<()> {
        template::copy(template, &self.data())?;
        std::fs::create_dir_all(self.inside()).context("cannot create the server's folder in the root")?;
        let Some(authority) = authority else { return Ok(()) };
        std::fs::create_dir(self.tls()).context("cannot create the folder of the certificates")?;
        let files = authority.write_server_files(&self.tls())?;
        let owner = std::fs::metadata(self.data()).context("cannot read the data folder's owner")?;
        chown(&files.key, Some(owner.uid()), Some(owner.gid())).context("cannot give the key to the server")
    }
}

/// Paths among them are as the server sees them: inside the root.
fn arguments(options: &Options, name: &str) -> Vec<String> {
    let mut arguments: Vec<String> = frugality().map(str::to_owned).into();
    arguments.push(if options.binary_log { "--log-bin=binlog" } else { "--skip-log-bin" }.to_owned());
    if !options.durable {
        arguments.extend(
            ["--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--innodb-doublewrite=OFF"].map(str::to_owned),
        );
    }
    let zone = options.time_zone.as_deref().unwrap_or("+00:00");
    arguments.push(format!("--default-time-zone={zone}"));
    if options.authority.is_some() {
        let file = |option, file| format!("--ssl-{option}=/srv/{name}-tls/{file}");
        arguments.extend([file("ca", "ca.pem"), file("cert", "server.pem"), file("key", "server-key.pem")]);
    }
    arguments.extend(options.arguments.iter().cloned());
    arguments
}

fn frugality() -> [&'static str; 6] {
    [
        "--performance-schema=OFF",
        "--innodb-buffer-pool-size=64M",
        "--innodb-redo-log-capacity=32M",
        "--innodb-buffer-pool-load-at-startup=OFF",
        "--innodb-buffer-pool-dump-at-shutdown=OFF",
        "--max-connections=250",
    ]
}
