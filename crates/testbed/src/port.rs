//! TCP ports for test servers. A port stays reserved between a server's stop and its restart, also against other
//! test processes; ports of the kernel's ephemeral range are never used, since any client may take those.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Result;
use crate::error::Context;

const FIRST: u32 = 20_000;
const COUNT: u32 = 10_000;

/// A port on 127.0.0.1 that no other testbed uses while this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Holding the lock is the reservation; the system drops it even if the process is killed.
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    pub(crate) fn reserve() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = folder()?;
        let start = std::process::id().wrapping_mul(61);
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + start.wrapping_add(step) % COUNT;
            if let Some(port) = u16::try_from(number).ok().and_then(|number| Self::try_reserve(&folder, number)) {
                return Ok(port);
            }
        }
        Err(io::Error::from(io::ErrorKind::AddrInUse)).context("no free TCP port for a test server")
    }

    /// The port's number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn try_reserve(folder: &Path, number: u16) -> Option<Self> {
        let lock = File::create(folder.join(number.to_string())).ok()?;
        lock.try_lock().ok()?;
        TcpListener::bind(("127.0.0.1", number)).ok()?;
        Some(Self { number, _lock: lock })
    }
}

/// Where the reservations are: a folder for each user, since nobody can lock another's files.
fn folder() -> Result<PathBuf> {
    let user = fs::metadata("/proc/self").map_or(0, |own| own.uid());
    let folder = std::env::temp_dir().join(format!("server_sync-ports-{user}"));
    fs::create_dir_all(&folder).context(format!("cannot create {}", folder.display()))?;
    Ok(folder)
}
