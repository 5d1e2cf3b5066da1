//! Where the programs run: two folders, an sshd between them, and a way to it that counts bytes and delays them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sync_testbed::{KeyType, Line, Sshd};

use crate::Result;

/// The ground of one bench.
pub struct Ground {
    sshd: Sshd,
    way: Line,
    delay: Duration,
}

impl Ground {
    /// With a line of this delay, there and back.
    pub fn new(delay: Duration) -> Result<Self> {
        let sshd = Sshd::start()?;
        let way = Line::long(sshd.port(), delay / 2)?;
        let ground = Ground { sshd, way, delay };
        fs::create_dir_all(ground.here())?;
        ground.clear()?;
        Ok(ground)
    }

    /// Files of the programs themselves.
    pub fn home(&self) -> &Path {
        self.sshd.home()
    }

    /// The folder that is filled.
    pub fn here(&self) -> PathBuf {
        self.home().join("here")
    }

    /// The folder at the other end.
    pub fn there(&self) -> PathBuf {
        self.home().join("there")
    }

    /// Gives the other end an empty folder, and takes from this one what programs left in it. The old folder is not deleted yet:
    /// a file system like ext4 looks long for a free inode where many files were deleted in the last minutes, which would meet
    /// whoever comes second.
    pub fn clear(&self) -> Result<()> {
        if self.there().exists() {
            fs::create_dir_all(self.old())?;
            let number = fs::read_dir(self.old())?.count();
            fs::rename(self.there(), self.old().join(number.to_string()))?;
        }
        fs::create_dir_all(self.there())?;
        let left = [".server_sync", ".stfolder"].map(|name| self.here().join(name));
        left.iter().filter(|path| path.exists()).try_for_each(fs::remove_dir_all)?;
        Ok(())
    }

    fn old(&self) -> PathBuf {
        self.home().join("old")
    }

    /// Deletes what was there before.
    pub fn sweep(&self) -> Result<()> {
        if self.old().exists() {
            fs::remove_dir_all(self.old())?;
        }
        Ok(())
    }

    /// Bytes that have passed so far, both ways.
    pub fn bytes(&self) -> u64 {
        self.way.bytes()
    }

    /// Another way with the same delay, to a port of a program that does not use ssh; its bytes count as well.
    pub fn also_to(&self, port: u16) -> Result<u16> {
        Ok(self.way.another(port, self.delay / 2)?)
    }

    /// A file of settings for ssh with a host of this name, whose key may do only this or, without it, everything.
    pub fn ssh_config(&self, host: &str, restricted_to: Option<&str>) -> Result<PathBuf> {
        let key = self.sshd.key(host, KeyType::Ed25519, restricted_to)?;
        Ok(self.sshd.client_config_over(&self.way, host, &key)?)
    }
}
