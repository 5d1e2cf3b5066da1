//! What can be wrong with settings, told so that the person who reads it can mend it.
//!
//! No message holds a password or the value of a setting that holds one.

use crate::{Name, NameError, Revision};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Everything this crate refuses. Trying again helps only for [`ConfigError::Changed`], after reading the
/// file again, and perhaps for [`ConfigError::File`]; everything else needs a person.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The name of the virtual desktop cannot be one (a mistake on the command line).
    #[error("{text:?} cannot be the name of a virtual desktop: {source}")]
    VdName {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// The virtual desktop has no settings yet, or neither mode is enabled in them.
    #[error(transparent)]
    NotConfigured(Box<NotConfigured>),
    /// The file cannot be understood or contradicts itself.
    #[error("{0}")]
    Invalid(Problems),
    /// Like [`ConfigError::Invalid`], and among the problems is a file with a password that others can read.
    #[error("{0}")]
    SecretExposed(Problems),
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was being done, as "read".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is not the one that the edit began with; nothing was written.
    #[error("{} was changed by somebody else in the meantime; look at it again and repeat the edit", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is in the file now.
        now: Revision,
    },
    /// A new file was to be written and there is one already; nothing was written.
    #[error("{} exists already; edit it, or move it away first", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// An edit names a setting or a list entry that does not exist.
    #[error("there is no setting `{setting}`{hint}")]
    NoSuchSetting {
        /// What was named.
        setting: String,
        /// What was probably meant; empty, or begins with a semicolon.
        hint: String,
    },
    /// An edit gives a value that cannot be one for its setting.
    #[error("`{setting}` {message}")]
    BadValue {
        /// The setting.
        setting: String,
        /// What is wrong with the value.
        message: String,
    },
}

/// A virtual desktop that has no usable settings yet: says how to get some.
#[derive(Debug)]
pub struct NotConfigured {
    /// The virtual desktop.
    pub vd: Name,
    /// The file its settings were looked for in.
    pub file: PathBuf,
    /// Whether the file exists and only enables no mode.
    pub file_exists: bool,
    /// The virtual desktops that do have a file in the same directory.
    pub others: Vec<Name>,
}

impl std::error::Error for NotConfigured {}

impl fmt::Display for NotConfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file_exists {
            true => self.no_mode(f),
            false => self.no_file(f),
        }
    }
}

impl NotConfigured {
    fn no_mode(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (vd, file) = (&self.vd, self.file.display());
        write!(f, "virtual desktop `{vd}`: neither master nor slave mode is enabled in {file}")?;
        write!(f, "\n  for a master, write a [[master]] section with `enabled = true` for each slave")?;
        write!(f, "\n  for a slave, write a [slave] section with `enabled = true` and its `masters`")
    }

    fn no_file(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (vd, file) = (&self.vd, self.file.display());
        write!(f, "virtual desktop `{vd}` is not configured here: there is no {file}")?;
        if !self.others.is_empty() {
            let others: Vec<_> = self.others.iter().map(Name::as_str).collect();
            write!(f, "\n  configured here: {}", others.join(", "))?;
        }
        write!(f, "\n  to configure it, run: server_sync init-site{} -vd {vd}", self.config_dir())?;
        write!(f, "\n  to see a complete example, add: --example")
    }

    /// The option that leads the proposed command to the same directory.
    fn config_dir(&self) -> String {
        match self.file.parent() {
            Some(dir) if dir != std::path::Path::new(crate::DEFAULT_DIRECTORY) => {
                format!(" --config-dir {}", quoted(dir))
            }
            _ => String::new(),
        }
    }
}

/// All that is wrong with one file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file of settings.
    pub file: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in the line in characters, from 1.
    pub column: usize,
    /// The whole path of the setting, as `master[0].period`; empty where the file is not TOML.
    pub setting: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Whether it is that others can read a password.
    pub exposes_secret: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.setting.as_str() {
            "" => f.write_str(&self.message),
            setting => write!(f, "`{setting}` {}", self.message),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{}:{}: {problem}", self.file.display(), problem.line, problem.column)?;
        }
        Ok(())
    }
}

impl From<Problems> for ConfigError {
    fn from(problems: Problems) -> Self {
        match problems.problems.iter().any(|problem| problem.exposes_secret) {
            true => Self::SecretExposed(problems),
            false => Self::Invalid(problems),
        }
    }
}

/// For `map_err` after something done to a file.
pub(crate) fn file_error(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> ConfigError {
    let path = path.into();
    move |source| ConfigError::File { action, path, source }
}

/// A path as it can be typed into a shell.
pub(crate) fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@,".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
