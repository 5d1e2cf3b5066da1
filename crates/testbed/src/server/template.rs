//! Initialised data folders, made once and copied for each server: initialising takes longer than starting. Several
//! test processes may want the same template at once; one makes it, the others wait. A half-made one is never used.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Context;
use crate::{Result, TestbedError};

/// The template `name` in `folder`, made by `make` (which gets the path to create) if it does not exist yet.
pub(super) fn template(folder: &Path, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let ready = folder.join(name);
    fs::create_dir_all(folder).context(format!("cannot create {}", folder.display()))?;
    let lock = File::create(folder.join(format!("{name}.lock"))).context("cannot create a template's lock")?;
    lock.lock().context("cannot lock a template")?;
    if !ready.exists() {
        let draft = folder.join(format!("{name}.draft"));
        let _ = fs::remove_dir_all(&draft);
        make(&draft)?;
        fs::rename(&draft, &ready).context("cannot put a template in its place")?;
    }
    Ok(ready)
}

/// Copies a folder with owners and modes; shares blocks where the file system can.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").args(["-a", "--reflink=auto", "--sparse=auto", "-T"]).arg(from).arg(to))
}

/// Runs a command to its end; its complaints become the error.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .context(format!("cannot run {program}; tests.sh installs what is needed"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = [output.stdout, output.stderr].concat();
    Err(TestbedError::Script(format!("{program}: {}", String::from_utf8_lossy(&complaint).trim())))
}

/// Where templates live: the build's `tmp` folder when run by cargo, else the system's.
pub(super) fn home() -> PathBuf {
    let executable = std::env::current_exe().unwrap_or_default();
    let mut folders = executable.ancestors().skip(1);
    match folders.next() {
        Some(deps) if deps.ends_with("deps") => folders.nth(1).map(|target| target.join("tmp")),
        _ => None,
    }
    .unwrap_or_else(|| std::env::temp_dir().join("server_sync-templates"))
}
