//! The settings of a virtual desktop: one TOML file each, `<directory>/<vd>.toml`.
//!
//! - [`Settings::load`] reads a file, checks *all* of it and gives a typed value or every problem at
//!   once, each with file, line, column and setting.
//! - [`Draft`] changes a file without losing its comments, its order, its owner or somebody else's edit.
//! - [`example`] is a complete commented file; [`SETTINGS`] lists every setting there is.
//!
//! This crate never reads environment variables or arguments (the caller passes [`Environment`]), never
//! connects to anything and never prints. Passwords are held in [`SecretString`], which shows
//! `[REDACTED]` in `Debug`, and occur in no message.

mod convert;
mod duration;
mod edit;
mod error;
mod example;
mod file;
mod name;
mod pattern;
mod read;
mod schema;
mod secret;
mod section;
mod settings;
mod version;

pub use duration::{DurationError, Period, duration_text, parse_duration};
pub use edit::{Draft, Revision, RevisionError, set};
pub use error::{ConfigError, NotConfigured, Problem, Problems};
pub use example::example;
pub use name::{Name, NameError};
pub use pattern::Pattern;
pub use schema::{Kind, SETTINGS, Setting};
pub use secrecy::{ExposeSecret, SecretString};
pub use settings::{
    Database, DigestBy, Endpoint, Environment, Folder, Limits, Link, Mysql, Owners, Preference, Settings, Sqlite, Ssh,
    TableColumns, Tls, TlsMode, VersionRule, VersionSource, configured,
};
pub use toml_edit::Value;
pub use version::{Version, VersionError};

use std::path::{Path, PathBuf};

/// Where settings are looked for when the caller names no other directory.
pub const DEFAULT_DIRECTORY: &str = "/etc/server_sync";

/// Where state is kept when the settings name no other directory.
pub const DEFAULT_STATE_DIRECTORY: &str = "/var/lib/server_sync";

/// The file that holds the settings of `vd` under `directory`.
pub fn settings_file(directory: &Path, vd: &Name) -> PathBuf {
    directory.join(format!("{vd}.toml"))
}
