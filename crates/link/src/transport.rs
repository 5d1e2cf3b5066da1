//! The ways to the other side: the system's `ssh`, or a child process. Starts them and says what went wrong with them;
//! never looks at what goes over them.
//!
//! Keys, known hosts, ports, users and jump hosts are the administrator's own ssh configuration: nothing of it is
//! overridden but what makes ssh ask questions. Host keys are verified as ssh does.

mod cipher;

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Fault, LinkError, Result};

/// How to reach the other side by ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// A host, or the alias of one in the ssh configuration.
    pub host: String,
    /// The account; ssh's choice if none.
    pub user: Option<String>,
    /// The port; ssh's choice if none.
    pub port: Option<u16>,
    /// The private key; ssh's choice if none.
    pub identity: Option<PathBuf>,
    /// Another ssh configuration than the usual one.
    pub config: Option<PathBuf>,
    /// The program at the other side.
    pub program: String,
    /// The ciphers in the order in which they are offered; ssh's choice if none.
    pub ciphers: Option<String>,
}

impl Ssh {
    /// A host with everything else as ssh is configured.
    pub fn to(host: &str) -> Self {
        Ssh {
            host: host.to_owned(),
            user: None,
            port: None,
            identity: None,
            config: None,
            program: "server_sync".into(),
            ciphers: None,
        }
    }

    /// The command that starts the agent of a virtual desktop there. A key that is restricted to a command of its own
    /// ignores what is asked for.
    pub fn command(&self, vd: &str) -> Command {
        let mut command = self.options();
        command.arg("--").arg(&self.host);
        command.arg(format!("{} agent -vd {}", quoted(&self.program), quoted(vd)));
        command
    }

    /// ssh, and how it is to reach the host.
    fn options(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"]);
        command.args(["-o", "ConnectTimeout=20", "-o", "ControlMaster=no", "-o", "ControlPath=none"]);
        let mut option = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                command.arg(name).arg(value);
            }
        };
        option("-F", self.config.clone().map(Into::into));
        option("-p", self.port.map(|p| p.to_string().into()));
        option("-l", self.user.clone().map(Into::into));
        option("-i", self.identity.clone().map(Into::into));
        option("-c", self.ciphers.clone().map(Into::into));
        command
    }
}

/// A word for the other side's shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// A process that carries a link on its standard input and output.
pub struct Process {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
    /// What it is in messages: `lyon (ssh)`.
    name: String,
}

/// How long a process may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of what a process says on its standard error that are kept: the last ones.
const SAID: usize = 8 << 10;

impl Process {
    /// Starts it; gives what it writes and where it reads.
    ///
    /// # Errors
    /// [`Fault::Setup`] if the program cannot be started.
    pub fn start(mut command: Command, name: &str) -> Result<(Process, ChildStdout, ChildStdin)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().map_err(|e| {
            LinkError::new(Fault::Setup, format!("the program {program} cannot be started: {e}"))
                .hint(format!("install it: the link to {name} needs it"))
        })?;
        let pipes = (child.stdout.take(), child.stdin.take(), child.stderr.take());
        let (Some(output), Some(input), Some(errors)) = pipes else { return Err(LinkError::closed()) };
        let said = Arc::new(Mutex::new(Vec::new()));
        let listens = said.clone();
        let listener = std::thread::spawn(move || listen(errors, &listens));
        Ok((Process { child, said, listener: Some(listener), name: name.to_owned() }, output, input))
    }

    /// Ends it now.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Why there is no link, once it has ended by itself. Waits for its end.
    pub fn explain(mut self) -> LinkError {
        let status = self.child.wait().ok();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        explained(&self.name, status, &String::from_utf8_lossy(&said))
    }
}

impl Drop for Process {
    /// It ends as its input does, mostly at once; one that does not is ended.
    fn drop(&mut self) {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(1));
        while began.elapsed() < PATIENCE {
            if let Ok(Some(_)) | Err(_) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 5 / 4).min(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(mut from: ChildStderr, said: &Mutex<Vec<u8>>) {
    let mut part = [0; 1024];
    while let Ok(count) = from.read(&mut part) {
        if count == 0 {
            break;
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(&part[..count]);
        let too_much = said.len().saturating_sub(SAID);
        said.drain(..too_much);
    }
}

/// What ssh says of a failure, what that means, and what to do.
const CAUSES: [(&str, Fault, &str); 13] = [
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        Fault::Authentication,
        "the host has another key than before: find out why; if it was installed anew, remove the old key with \
         `ssh-keygen -R HOST` and log in once by hand",
    ),
    (
        "Host key verification failed",
        Fault::Authentication,
        "the host is not known yet: log in once by hand as the user who runs server_sync, and compare the fingerprint",
    ),
    ("Load key", Fault::Authentication, "the private key cannot be read: check its file, owner and permissions"),
    (
        "Permission denied (",
        Fault::Authentication,
        "no key is accepted: put the public key of the user who runs server_sync into authorized_keys of the account there",
    ),
    ("Too many authentication failures", Fault::Authentication, "set `identity_file`, so that one key only is offered"),
    ("Could not resolve hostname", Fault::Unreachable, "check the host name, and the name service"),
    ("Connection refused", Fault::Unreachable, "check that sshd runs there, and the port"),
    ("Connection timed out", Fault::Unreachable, "check the network, the VPN and the firewall"),
    ("No route to host", Fault::Unreachable, "check the network, the VPN and the firewall"),
    ("Network is unreachable", Fault::Unreachable, "check the network, the VPN and the firewall"),
    (
        "Bad owner or permissions",
        Fault::Setup,
        "ssh refuses its configuration file: make it writable for its owner only",
    ),
    ("Bad configuration option", Fault::Setup, "ssh does not understand its configuration file"),
    ("not found", Fault::Setup, "install server_sync there, or set `program` to where it is"),
];

/// What the shell answers if there is no such program.
const NOT_FOUND: i32 = 127;

fn explained(name: &str, status: Option<ExitStatus>, said: &str) -> LinkError {
    if let Some((_, fault, hint)) = CAUSES.iter().find(|(words, ..)| said.contains(words)) {
        let text = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default();
        return LinkError::new(*fault, format!("{name} cannot be reached: {}", readable(text))).hint(*hint);
    }
    let code = status.and_then(|s| s.code());
    let text = said.lines().map(readable).filter(|l| !l.is_empty()).collect::<Vec<_>>();
    let text = text.last().cloned().unwrap_or_else(|| match code {
        Some(code) => format!("the connection ended with exit code {code}"),
        None => "the connection was ended".to_owned(),
    });
    let error = LinkError::new(Fault::Unreachable, format!("{name} cannot be reached: {text}"));
    match code {
        Some(NOT_FOUND) => LinkError { fault: Fault::Setup, ..error }
            .hint("install server_sync there, or set `program` to where it is"),
        _ => error,
    }
}

/// A line of another machine as it may be shown.
fn readable(line: &str) -> String {
    line.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests;
