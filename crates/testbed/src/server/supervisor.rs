//! The small shell process between a test and its server. It outlives a killed test process just long enough to kill
//! the server and remove its files, so that no test leaves anything behind; it never signals any other process.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::Result;
use crate::error::Context;

const SCRIPT: &str = include_str!("supervise.sh");

/// What is to be supervised.
pub(crate) struct Job {
    /// Whether `command` is the server itself or a tool which starts it and returns.
    pub(crate) detached: bool,
    /// The command with its arguments.
    pub(crate) command: Vec<String>,
    /// Where the server writes its process id (detached servers only).
    pub(crate) pid_file: PathBuf,
    /// Where the command's output goes.
    pub(crate) log: PathBuf,
    /// What to remove in the end.
    pub(crate) garbage: Vec<PathBuf>,
}

/// The handle of the supervising process; dropping it ends the server and removes its files.
#[derive(Debug)]
pub(crate) struct Supervisor(Mutex<Link>);

#[derive(Debug)]
struct Link {
    process: Child,
    verbs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts the supervising process, not yet the server.
    pub(crate) fn new(job: &Job) -> Result<Self> {
        let mut process = shell(job).spawn().context("cannot run sh")?;
        let verbs = process.stdin.take();
        let answers = process
            .stdout
            .take()
            .ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))
            .context("sh has no output")?;
        let answers = BufReader::new(answers);
        Ok(Self(Mutex::new(Link { process, verbs, answers })))
    }

    /// Starts the server; false if the command failed at once. Readiness is for the caller to find out.
    pub(crate) fn start(&self) -> Result<bool> {
        self.ask("start")
    }

    /// Whether the server process runs.
    pub(crate) fn is_alive(&self) -> Result<bool> {
        self.ask("alive")
    }

    /// Waits for a server that was told to shut down; false if it has not ended after a minute.
    pub(crate) fn wait_end(&self) -> Result<bool> {
        self.ask("end")
    }

    /// Kills the server with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&self) -> Result<bool> {
        self.ask("kill")
    }

    fn ask(&self, verb: &str) -> Result<bool> {
        let mut link = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        link.ask(verb).context(format!("the supervisor did not answer to {verb:?}"))
    }
}

impl Link {
    fn ask(&mut self, verb: &str) -> io::Result<bool> {
        let verbs = self.verbs.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(verbs, "{verb}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim_end() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.verbs = None;
        // Nothing can be done about a failure here, and the files are in a temporary folder.
        let _ = self.process.wait();
    }
}

/// A process group of its own keeps Ctrl-C and a test runner's time limit away from it: its order to end is the end
/// of its input, which they cause as well.
fn shell(job: &Job) -> Command {
    let kind = if job.detached { "detached" } else { "child" };
    let mut shell = Command::new("sh");
    shell
        .args(["-c", SCRIPT, "supervise", kind, &lines(&job.garbage)])
        .arg(&job.log)
        .args(&job.command)
        .env("SERVER_PID_FILE", &job.pid_file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    shell
}

fn lines(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path: &PathBuf| Path::display(path).to_string()).collect();
    paths.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn who_is_killed_before_an_answer_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (garbage, go) = (at("garbage"), at("go"));
        std::fs::create_dir(&garbage).unwrap();
        let waits = format!("until [ -e '{}' ]; do sleep 0.01; done; exit 1", go.display());
        let job = Job {
            detached: true,
            command: ["sh", "-c", &waits].map(str::to_owned).to_vec(),
            pid_file: at("pid"),
            log: at("log"),
            garbage: vec![garbage.clone()],
        };
        let mut process = shell(&job).spawn().unwrap();
        process.stdin.take().unwrap().write_all(b"start\n").unwrap();
        drop(process.stdout.take());
        std::fs::write(&go, "").unwrap();
        assert!(process.wait().unwrap().success());
        assert!(!garbage.exists());
    }
}
