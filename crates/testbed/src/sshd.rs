//! A real sshd for one test: its own host key, port and authorized keys, for the user who runs the tests. Never touches the
//! machine's own ssh server, keys or known hosts.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::Context;
use crate::port::Port;
use crate::server::supervisor::{Job, Supervisor};
use crate::{Line, Result, TestbedError, wait_until};

/// The kinds of keys that a test can log in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// Ed25519.
    Ed25519,
    /// RSA of 3072 bits.
    Rsa,
}

impl KeyType {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            KeyType::Ed25519 => &["-t", "ed25519"],
            KeyType::Rsa => &["-t", "rsa", "-b", "3072"],
        }
    }
}

/// A running sshd. Dropping it ends it and removes its files.
#[derive(Debug)]
pub struct Sshd {
    // Dropped first: the files and the port below are in use until the process is gone.
    supervisor: Supervisor,
    port: Port,
    home: PathBuf,
}

impl Sshd {
    /// Starts one that knows no key yet, and waits until it answers.
    ///
    /// # Errors
    /// When OpenSSH is not installed or does not come up.
    pub fn start() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("server_sync-sshd-").tempdir().context("no temporary folder")?;
        let port = Port::reserve()?;
        make_key(&home.path().join("host_key"), KeyType::Ed25519)?;
        write(&home.path().join("authorized_keys"), "")?;
        write(&home.path().join("sshd_config"), &server_settings(home.path(), port.number()))?;
        let job = Job {
            detached: false,
            command: command(home.path()),
            pid_file: PathBuf::new(),
            log: home.path().join("log"),
            garbage: vec![home.path().to_owned()],
        };
        // sshd separates its privileges into this folder, and does not make it.
        let _ = fs::create_dir_all("/run/sshd");
        let supervisor = Supervisor::new(&job)?;
        let sshd = Sshd { supervisor, port, home: home.keep() };
        sshd.resume()?;
        sshd.trust_host()?;
        Ok(sshd)
    }

    /// The folder with its files; a test may put its own beside them.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Its port at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Makes a key that may log in, restricted to a command if one is given. Returns the file of the private key.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn key(&self, name: &str, kind: KeyType, restricted_to: Option<&str>) -> Result<PathBuf> {
        let path = self.home.join(name);
        let public = make_key(&path, kind)?;
        let rule =
            restricted_to.map(|c| format!("restrict,command=\"{}\" ", c.replace('"', "\\\""))).unwrap_or_default();
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.home.join("authorized_keys"))
            .context("cannot open the authorized keys")?;
        file.write_all(format!("{rule}{public}").as_bytes()).context("cannot write the authorized keys")?;
        Ok(path)
    }

    /// A client configuration for a host alias: this server, this key, and what is known of hosts here.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn client_config(&self, alias: &str, key: &Path) -> Result<PathBuf> {
        self.write_client_config(alias, key, &format!("Port {}", self.port()))
    }

    /// The same by way of a line.
    ///
    /// # Errors
    /// As [`Sshd::client_config`].
    pub fn client_config_over(&self, line: &Line, alias: &str, key: &Path) -> Result<PathBuf> {
        let way = format!("Port {}\n  HostKeyAlias [127.0.0.1]:{}", line.port(), self.port());
        self.write_client_config(alias, key, &way)
    }

    fn write_client_config(&self, alias: &str, key: &Path, way: &str) -> Result<PathBuf> {
        let path = self.home.join(format!("config-{alias}"));
        let text = format!(
            "Host {alias}\n  HostName 127.0.0.1\n  {way}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n",
            key.display(),
            self.known_hosts().display(),
        );
        write(&path, &text)?;
        Ok(path)
    }

    /// What is known of hosts; a test may spoil it.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.home.join("known_hosts")
    }

    /// Kills it and every connection.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&self) -> Result<()> {
        self.supervisor.kill().map(|_| ())
    }

    /// Starts it again after [`Sshd::kill`].
    ///
    /// # Errors
    /// When it does not come up.
    pub fn resume(&self) -> Result<()> {
        let started = self.supervisor.start()?;
        let port = self.port();
        let up = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        match started && wait_until("sshd answers", Duration::from_secs(30), up).is_ok() {
            true => Ok(()),
            false => Err(TestbedError::Server {
                server: format!("sshd on port {port}"),
                reason: "it did not come up".to_owned(),
                log: fs::read_to_string(self.home.join("log")).unwrap_or_default(),
            }),
        }
    }

    fn trust_host(&self) -> Result<()> {
        let public = fs::read_to_string(self.home.join("host_key.pub")).context("cannot read the host key")?;
        write(&self.known_hosts(), &format!("[127.0.0.1]:{} {public}", self.port()))
    }
}

fn server_settings(home: &Path, port: u16) -> String {
    let home = home.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/host_key\nAuthorizedKeysFile {home}/authorized_keys\n\
         PidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n\
         PermitRootLogin yes\nMaxStartups 100\nMaxSessions 100\nPrintMotd no\n"
    )
}

/// sshd wants to be called by its whole path.
fn command(home: &Path) -> Vec<String> {
    let program = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].into_iter().find(|p| Path::new(p).exists());
    let config = home.join("sshd_config").display().to_string();
    [program.unwrap_or("/usr/sbin/sshd"), "-D", "-e", "-f", &config].map(str::to_owned).to_vec()
}

/// Makes a key pair without a passphrase; returns the public one.
fn make_key(path: &Path, kind: KeyType) -> Result<String> {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "test"])
        .args(kind.arguments())
        .arg("-f")
        .arg(path)
        .output()
        .context("cannot run ssh-keygen")?;
    if !output.status.success() {
        return Err(TestbedError::Script(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).context("cannot protect a key")?;
    fs::read_to_string(path.with_extension("pub")).context("cannot read a key")
}

fn write(path: &Path, text: &str) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let mut file =
        fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).context(what())?;
    file.write_all(text.as_bytes()).context(what())
}
