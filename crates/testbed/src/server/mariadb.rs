//! Starts MariaDB from the machine's own packages, each server with its own folder, socket and port. Never uses or
//! stops the packaged service.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{Flavour, Job, Server, Supervisor, memory, template};
use crate::error::Context;
use crate::port::Port;
use crate::{Options, Result};

/// The MariaDB installed on this machine.
#[derive(Debug, Clone, Copy)]
pub struct MariaDb;

impl MariaDb {
    /// Starts a server and waits until it answers (about a second).
    ///
    /// # Errors
    /// When MariaDB is not installed, an option is refused, or it does not come up.
    pub fn start(options: Options) -> Result<Server> {
        let home = memory::folder("server_sync-mariadb-", &options)?;
        let data = home.path().join("data");
        template::copy(&initialised()?, &data)?;
        let port = Port::reserve()?;
        let socket = home.path().join("socket");
        let log = home.path().join("log");
        let job = Job {
            detached: false,
            command: command(&options, home.path(), port.number())?,
            pid_file: PathBuf::new(),
            log: log.clone(),
            garbage: vec![home.path().to_owned()],
        };
        let supervisor = Supervisor::new(&job)?;
        let authority = options.authority;
        // From here on the supervisor removes the folder.
        let home = home.keep();
        let server = Server { supervisor, flavour: Flavour::MariaDb, port, home, socket, log, authority };
        server.start()?;
        Ok(server)
    }

    /// A server with the default options that all tests of one process share; it ends with the process.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn shared() -> Result<&'static Server> {
        static SHARED: OnceLock<Server> = OnceLock::new();
        if let Some(server) = SHARED.get() {
            return Ok(server);
        }
        // Two first callers may both start one; the loser's ends at once.
        let server = Self::start(Options::new())?;
        Ok(SHARED.get_or_init(|| server))
    }
}

fn initialised() -> Result<PathBuf> {
    let version = Command::new(mariadbd())
        .args(["--no-defaults", "--version"])
        .output()
        .context("cannot run mariadbd (package mariadb-server); tests.sh installs it")?;
    let version = String::from_utf8_lossy(&version.stdout);
    let version = version.split_whitespace().nth(2).unwrap_or("unknown");
    template::template(&template::home(), &format!("mariadb-{version}"), initialise)
}

fn initialise(data: &Path) -> Result<()> {
    template::run(
        Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            // Accounts for 127.0.0.1, even where the machine's own name cannot be looked up.
            .args(["--skip-name-resolve", "--force", "--innodb-log-file-size=16M"])
            .args(run_as())
            .arg(format!("--datadir={}", data.display())),
    )
}

/// Debian installs it where only root's PATH looks.
fn mariadbd() -> &'static str {
    const DEBIAN: &str = "/usr/sbin/mariadbd";
    if Path::new(DEBIAN).exists() { DEBIAN } else { "mariadbd" }
}

/// MariaDB refuses to run as root unless told so by name.
fn run_as() -> Option<&'static str> {
    super::is_root().then_some("--user=root")
}

fn command(options: &Options, home: &Path, port: u16) -> Result<Vec<String>> {
    let mut command = vec!["env".to_owned()];
    command.extend(environment(options));
    command.extend([mariadbd(), "--no-defaults"].map(str::to_owned));
    command.extend(run_as().map(str::to_owned));
    command.extend(place(home, port));
    command.extend(frugality().map(str::to_owned));
    command.extend(promises(options).map(str::to_owned));
    if let Some(zone) = options.time_zone.as_deref().filter(|zone| is_offset(zone)) {
        command.push(format!("--default-time-zone={zone}"));
    }
    if let Some(authority) = &options.authority {
        let files = authority.write_server_files(home)?;
        command.push(format!("--ssl-ca={}", files.authority.display()));
        command.push(format!("--ssl-cert={}", files.certificate.display()));
        command.push(format!("--ssl-key={}", files.key.display()));
    }
    command.extend(options.arguments.iter().cloned());
    Ok(command)
}

fn place(home: &Path, port: u16) -> [String; 6] {
    [
        // A server that starts clears this folder of temporary tables, also of those another server still uses.
        format!("--tmpdir={}", home.display()),
        format!("--datadir={}", home.join("data").display()),
        format!("--socket={}", home.join("socket").display()),
        format!("--pid-file={}", home.join("pid").display()),
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
    ]
}

fn frugality() -> [&'static str; 9] {
    [
        "--skip-name-resolve",
        "--character-set-server=utf8mb4",
        "--innodb-buffer-pool-size=64M",
        "--innodb-log-file-size=16M",
        "--innodb-buffer-pool-load-at-startup=OFF",
        "--innodb-buffer-pool-dump-at-shutdown=OFF",
        "--aria-pagecache-buffer-size=8M",
        "--key-buffer-size=1M",
        "--max-connections=250",
    ]
}

/// Without durability a commit still reaches the operating system, so that it survives SIGKILL.
fn promises(options: &Options) -> impl Iterator<Item = &'static str> {
    let durability: &[&str] = if options.durable {
        &["--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"]
    } else {
        &["--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--innodb-doublewrite=OFF"]
    };
    let binary_log: &[&str] =
        if options.binary_log { &["--log-bin=binlog", "--server-id=1", "--binlog-format=ROW"] } else { &[] };
    durability.iter().chain(binary_log).copied()
}

/// A zone's name goes through TZ, since a fresh server has no time zone tables.
fn environment(options: &Options) -> Vec<String> {
    let mut environment: Vec<String> = match options.time_zone.as_deref() {
        Some(zone) if !is_offset(zone) => vec![format!("TZ={zone}")],
        _ => vec!["TZ=UTC".to_owned()],
    };
    if let Some(offset) = &options.clock {
        environment.push(format!("LD_PRELOAD={}", libfaketime()));
        environment.push(format!("FAKETIME={offset}"));
        // Waits with a time limit would never end, or end at once.
        environment.push("FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned());
    }
    environment
}

fn is_offset(zone: &str) -> bool {
    zone.starts_with(['+', '-'])
}

/// Debian keeps the library in the multi-architecture folder; the loader resolves the variable itself.
fn libfaketime() -> &'static str {
    "/usr/$LIB/faketime/libfaketimeMT.so.1"
}
