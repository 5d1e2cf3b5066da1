//! Passwords: where they are kept and who else could read them.
//!
//! A file with a password is refused unless "other" has no access to it and the group cannot write it.
//! Passwords never come from arguments or the environment, and no message shows one.

use crate::error::quoted;
use crate::{Environment, SecretString, file};
use std::io;
use std::path::{Path, PathBuf};

/// No longer password file is read: it is some other file.
const LONGEST: u64 = 64 * 1024;

/// Any access for other, and writing for the group.
const FORBIDDEN: u32 = 0o027;

/// Why a password file gives no password.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Others can read it; the message says who could, and what to type.
    Exposed(String),
    /// Anything else.
    Unusable(String),
}

/// Where the reader of settings gets the password for a `password_file`.
pub(crate) trait Passwords {
    /// The password in the file that the settings call `named`.
    fn read(&self, named: &Path) -> Result<SecretString, Refusal>;
}

/// Password files as they are: first in the credentials directory, then beside the settings.
pub(crate) struct Files<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) environment: &'a Environment,
}

/// Opens no file and gives an empty password: for checking an edit, which may be made by a process that
/// is not allowed to read passwords.
pub(crate) struct Unread;

impl Passwords for Unread {
    fn read(&self, _: &Path) -> Result<SecretString, Refusal> {
        Ok(SecretString::default())
    }
}

impl Passwords for Files<'_> {
    fn read(&self, named: &Path) -> Result<SecretString, Refusal> {
        read(&self.place(named))
    }
}

impl Files<'_> {
    /// A relative name means the credential of that file name if there is one, else a file beside the settings.
    fn place(&self, named: &Path) -> PathBuf {
        let credential = self.credential(named).filter(|path| path.exists());
        credential.unwrap_or_else(|| self.directory.join(named))
    }

    fn credential(&self, named: &Path) -> Option<PathBuf> {
        let directory = self.environment.credentials_directory.as_ref()?;
        let file = named.file_name().filter(|_| named.is_relative())?;
        Some(directory.join(file))
    }
}

/// What is wrong with the mode of a file that holds a password, with the command that mends it.
pub(crate) fn exposure(path: &Path, mode: u32) -> Option<String> {
    let who = match mode {
        _ if mode & 0o004 != 0 => "can be read by everybody on this machine",
        _ if mode & 0o007 != 0 => "is open to everybody on this machine",
        _ if mode & FORBIDDEN != 0 => "can be written by its group",
        _ => return None,
    };
    let (mode, better) = (mode & 0o7777, mode & 0o640);
    Some(format!("{} {who} (mode {mode:04o}); type: chmod {better:04o} {}", path.display(), quoted(path)))
}

fn read(path: &Path) -> Result<SecretString, Refusal> {
    let unusable = |problem: &str| Refusal::Unusable(format!("{}: {problem}", path.display()));
    let failed = |e: io::Error| unusable(&e.to_string());
    let (file, mode) = file::open(path).map_err(failed)?;
    if let Some(message) = exposure(path, mode) {
        return Err(Refusal::Exposed(message));
    }
    password(file::text(file, LONGEST).map_err(failed)?).map_err(unusable)
}

/// The password in the content of its file: one line, whose end does not belong to it.
fn password(mut text: String) -> Result<SecretString, &'static str> {
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    match text.as_str() {
        "" => Err("the file holds no password"),
        line if line.contains(['\n', '\0']) => Err("the file must hold the password and nothing else, in one line"),
        _ => Ok(SecretString::from(text)),
    }
}

#[cfg(test)]
mod tests;
