//! Where a test server's data are kept: in memory where there is room, because creating and removing the many small files
//! of a server costs more on a disk than most tests do. A durable server stays on the disk: that is what it is for.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::template;
use crate::error::Context;
use crate::{Options, Result};

/// Linux' folder in memory. Containers often have one that is far too small.
const MEMORY: &str = "/dev/shm";

/// What must be free there: several servers under load, and as much again for whatever else the machine does.
const ROOM: u64 = 4 << 30;

/// A new folder for a server; `prefix` begins its name.
pub(super) fn folder(prefix: &str, options: &Options) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    let made = if !options.durable && is_roomy() { builder.tempdir_in(MEMORY) } else { builder.tempdir() };
    made.context("no temporary folder")
}

/// Whether a folder made here is in memory.
pub(super) fn holds(folder: &Path) -> bool {
    folder.starts_with(MEMORY)
}

/// Asked anew for each server: others fill it, too.
fn is_roomy() -> bool {
    rustix::fs::statvfs(MEMORY).is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) >= ROOM)
}

/// Whether this process may show a program another folder in the place of one. Not every container lets root do that.
pub(super) fn may_mount() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    let bind = "mount --bind /dev/shm /dev/shm";
    *MAY.get_or_init(|| template::run(Command::new("unshare").args(["--mount", "sh", "-c", bind])).is_ok())
}

/// The beginning of a command that sees `folder` in the place of `seen_at`; nobody else does.
pub(super) fn showing(folder: &Path, seen_at: &Path) -> Vec<String> {
    let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
    let words = ["unshare", "--mount", "sh", "-c", script, "showing"].map(str::to_owned);
    words.into_iter().chain([folder, seen_at].map(|path| path.display().to_string())).collect()
}
