//! The run lock of a virtual desktop: one run at a time, none during an upgrade. Held by the operating system for as
//! long as the process lives, so that a kill never leaves it behind; the file names its holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Kind, Result};

/// Who holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
    /// What for: `round`, `daemon`, or the command that runs under `server_sync lock`.
    pub purpose: String,
}

/// The lock, until it is dropped. With `-force` nothing may be held.
#[derive(Debug)]
pub struct RunLock {
    _file: Option<File>,
}

/// Takes the lock in the state directory; refuses naming its holder, unless forced.
pub fn acquire(state_dir: &Path, purpose: &str, force: bool) -> Result<RunLock> {
    let path = state_dir.join("run.lock");
    std::fs::create_dir_all(state_dir).map_err(|e| cannot(&path, &e))?;
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(|e| cannot(&path, &e))?;
    match file.try_lock() {
        Ok(()) => {
            sign(&mut file, purpose).map_err(|e| cannot(&path, &e))?;
            Ok(RunLock { _file: Some(file) })
        }
        Err(TryLockError::WouldBlock) if force => Ok(RunLock { _file: None }),
        Err(TryLockError::WouldBlock) => Err(held(&mut file)),
        Err(TryLockError::Error(e)) => Err(cannot(&path, &e)),
    }
}

/// Who holds the lock now, if anybody does.
pub fn holder(state_dir: &Path) -> Option<Holder> {
    let mut file = OpenOptions::new().read(true).write(true).open(state_dir.join("run.lock")).ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => read(&mut file),
        _ => None,
    }
}

fn sign(file: &mut File, purpose: &str) -> std::io::Result<()> {
    let since = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let holder = Holder { pid: std::process::id(), since, purpose: purpose.to_owned() };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(&holder)?)
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn held(file: &mut File) -> EngineError {
    let message = match read(file) {
        Some(h) => format!("already running: process {} ({}) since {}", h.pid, h.purpose, h.since),
        None => "already running: another process holds the lock".to_owned(),
    };
    EngineError::new(Kind::Locked, message).hint("wait until it ends, or override with -force")
}

fn cannot(path: &Path, error: &std::io::Error) -> EngineError {
    EngineError::new(Kind::Failure, format!("cannot use the lock file {}: {error}", path.display()))
        .hint("the state directory must be writable for the account that runs server_sync ([state] dir)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_and_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = acquire(dir.path(), "round", false).unwrap();
        let error = acquire(dir.path(), "round", false).unwrap_err();
        assert_eq!(error.kind, Kind::Locked);
        assert!(error.message.contains(&std::process::id().to_string()), "{}", error.message);
        assert_eq!(holder(dir.path()).unwrap().purpose, "round");
        acquire(dir.path(), "round", true).unwrap();
        drop(first);
        assert_eq!(holder(dir.path()), None);
        acquire(dir.path(), "daemon", false).unwrap();
    }
}
