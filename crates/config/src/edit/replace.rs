//! Replaces a file in one step and durably.
//!
//! At every moment, a crash included, the name leads to the whole old or the whole new content. This never
//! looks at what the content means.

use crate::ConfigError;
use crate::error::file_error;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use tempfile::NamedTempFile;

/// The mode of a file, if it exists.
pub(super) fn mode(path: &Path) -> Option<u32> {
    path.metadata().ok().map(|metadata| metadata.permissions().mode())
}

/// Keeps other editors of this kind out of a directory until it is dropped.
pub(super) struct Guard<'a> {
    path: &'a Path,
    directory: File,
}

impl<'a> Guard<'a> {
    /// Waits for the lock on the directory of `path`; the directory is made if it is missing.
    pub(super) fn lock(path: &'a Path) -> Result<Self, ConfigError> {
        let place = directory_of(path);
        fs::create_dir_all(place).map_err(file_error("create", place))?;
        let directory = File::open(place).map_err(file_error("open", place))?;
        directory.lock().map_err(file_error("lock", place))?;
        Ok(Self { path, directory })
    }

    /// Replaces the file by `text` if `expected` approves of what is in it now; owner and mode stay.
    pub(super) fn replace(
        &self,
        text: &str,
        expected: impl FnOnce(&str) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let (now, _) = crate::settings::read(self.path).map_err(file_error("read", self.path))?;
        expected(&now)?;
        self.written(text, |file| like(file, self.path))
            .and_then(|temporary| Ok(temporary.persist(self.path)?))
            .and_then(|_| self.directory.sync_all())
            .map_err(file_error("write", self.path))
    }

    /// Writes a new file; one that exists is left alone.
    pub(super) fn create(&self, text: &str, mode: u32) -> Result<(), ConfigError> {
        self.written(text, |file| file.set_permissions(Permissions::from_mode(mode)))
            .and_then(|temporary| Ok(temporary.persist_noclobber(self.path)?))
            .and_then(|_| self.directory.sync_all())
            .map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => ConfigError::Exists { path: self.path.to_owned() },
                _ => file_error("write", self.path)(e),
            })
    }

    /// A file beside the target with the text in it, on the disk, with its rights set before its content.
    fn written(&self, text: &str, rights: impl FnOnce(&File) -> io::Result<()>) -> io::Result<NamedTempFile> {
        let mut temporary =
            tempfile::Builder::new().prefix(".server_sync.").suffix(".tmp").tempfile_in(directory_of(self.path))?;
        rights(temporary.as_file())?;
        temporary.write_all(text.as_bytes())?;
        temporary.as_file().sync_all()?;
        Ok(temporary)
    }
}

/// Gives a file the owner and the mode of another; the owner first, since a change of owner may clear bits.
fn like(file: &File, model: &Path) -> io::Result<()> {
    let model = model.metadata()?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (model.uid(), model.gid()) {
        fchown(file, Some(model.uid()), Some(model.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(model.mode() & 0o7777))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
