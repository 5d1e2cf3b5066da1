//! Scripts through the `mariadb` command-line client, which understands DELIMITER. Never gives it a password.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Context;
use crate::{Result, TestbedError};

/// Runs `script` as root over `socket`, in `database` if one is given, until the first error.
pub(crate) fn run_script(socket: &Path, database: Option<&str>, script: &str) -> Result<()> {
    let output = Command::new("mariadb")
        .args(["--no-defaults", "--batch", "--comments", "--default-character-set=utf8mb4", "--user=root"])
        .arg(format!("--socket={}", socket.display()))
        .args(database)
        .stdin(as_file(script)?)
        .stdout(Stdio::null())
        .output()
        .context("cannot run the mariadb client (package mariadb-client)")?;
    if output.status.success() {
        return Ok(());
    }
    Err(TestbedError::Script(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// A file, not a pipe: a pipe would have to be fed while the client's complaints are read.
fn as_file(script: &str) -> Result<File> {
    let write = || -> std::io::Result<File> {
        let mut file = tempfile::tempfile()?;
        file.write_all(script.as_bytes())?;
        file.rewind()?;
        Ok(file)
    };
    write().context("cannot hand the script to the client")
}
