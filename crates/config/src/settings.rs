//! The settings of one virtual desktop as typed values: all read, checked and consistent.
//!
//! A [`Settings`] never changes; after a change of the file, load it again.

use crate::error::file_error;
use crate::read::{Origin, parse};
use crate::secret::Files;
use crate::{ConfigError, Name, NotConfigured, Pattern, Period, SecretString, Version, settings_file};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the settings need to know about the environment of the process; the caller reads it.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// systemd's `$CREDENTIALS_DIRECTORY`: searched first for a `password_file` with a relative name.
    pub credentials_directory: Option<PathBuf>,
}

/// The settings of one virtual desktop at this site.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The virtual desktop.
    pub vd: Name,
    /// The file all this was read from.
    pub file: PathBuf,
    /// This site's name, unique in the network.
    pub site: Name,
    /// This site's number, 1 to 4095, unique in the network.
    pub site_number: u16,
    /// Which version the application has, and which it must have.
    pub version: VersionRule,
    /// This site's own database.
    pub database: Database,
    /// The directory for the state of all virtual desktops, absolute; see [`Settings::state_dir`].
    pub state_root: PathBuf,
    /// The folders of documents, each with another name and place; none lies within another or within the state.
    pub documents: Vec<Folder>,
    /// Slave mode: the sites that may start rounds with this one, each once; empty when the mode is off.
    pub masters: Vec<Name>,
    /// Master mode: the enabled links, each to another slave; empty when the mode is off.
    pub links: Vec<Link>,
    /// Master mode: the slaves whose links are configured and not enabled.
    pub disabled_links: Vec<Name>,
    /// When to stop and ask a person, and how much to do at once.
    pub limits: Limits,
    /// Tables whose names fit one of these are not synchronised.
    pub excluded_tables: Vec<Pattern>,
    /// Columns that merge as one.
    pub together: Vec<TableColumns>,
    /// Columns that refer to the parent in a tree.
    pub trees: Vec<TableColumns>,
    /// Columns that merge by adding, each by itself.
    pub counters: Vec<TableColumns>,
    /// Tables of which a row that loses against another one with its key gets a new key.
    pub rekey: Vec<String>,
    /// Whose row wins on first contact of two filled databases, where nothing tells which is newer.
    pub prefer_on_first_contact: Preference,
}

/// A link on which this site is the master: it starts the rounds.
#[derive(Clone, Debug)]
pub struct Link {
    /// The site at the other end.
    pub slave: Name,
    /// How often a round starts.
    pub period: Period,
    /// The name of the virtual desktop at the slave; this site's unless configured.
    pub remote_vd: Name,
    /// The mail domain at the slave, if mail is synchronised. Checked only as a plain name.
    pub mail_domain: Option<String>,
    /// Bytes a second that contents of documents may take in each direction; without a limit if there is none.
    pub documents_bandwidth: Option<u64>,
    /// The slave's database, where it is reached directly; without it, it is reached through the agent.
    pub database: Option<Database>,
    /// How the slave's agent is reached. There is at least one of the two.
    pub ssh: Option<Ssh>,
}

/// A folder of documents. Whether it is there is looked at when it is used: a file system that is not mounted concerns
/// nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Folder {
    /// Its name, alike at all sites.
    pub name: Name,
    /// Where it is here; absolute path.
    pub path: PathBuf,
    /// How long replaced and deleted files are kept.
    pub keep_deleted: Duration,
    /// Patterns as in `.gitignore` of what is left out at this site.
    pub ignore: Vec<String>,
    /// Whether temporary and lock files of editors and office programs are left out as well.
    pub ignore_temporary: bool,
    /// How owners and groups are told to other sites, and whether what those tell is written.
    pub owners: Owners,
    /// Whether programs keep the right to run as their owner or group (setuid, setgid).
    pub keep_setuid: bool,
    /// The share of its files and directories that one round may delete, 0 to 1.
    pub max_deleted_share: f64,
    /// How many of them one round may delete.
    pub max_deleted_files: u64,
}

/// What becomes of the owners and groups of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Told by name; by number where there is none.
    Names,
    /// Told by number.
    Numbers,
    /// What other sites tell is not written.
    Ignore,
}

/// How the agent at a slave is reached. What is not there is left to ssh's own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// A host, or the alias of one in ssh's configuration.
    pub host: String,
    /// The account there.
    pub user: Option<String>,
    /// The port of its sshd.
    pub port: Option<u16>,
    /// The private key; absolute path.
    pub identity_file: Option<PathBuf>,
    /// Another configuration of ssh; absolute path.
    pub config_file: Option<PathBuf>,
    /// server_sync at the slave: a name that its shell finds, or a path.
    pub program: String,
}

/// Which version the application has and must have. Versions of both ends of a link must be equal too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRule {
    /// Where this site's version is found.
    pub source: VersionSource,
    /// The lowest version that is synchronised; a written [`VersionSource::Fixed`] is never below it.
    pub minimum: Option<Version>,
}

/// Where the version of the application is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionSource {
    /// In the settings.
    Fixed(Version),
    /// In a file that holds nothing else; absolute path.
    File(PathBuf),
    /// The one value of the one row of this query, on this site's own database.
    Query(String),
}

/// How to reach a database.
#[derive(Clone, Debug)]
pub enum Database {
    /// MySQL or MariaDB.
    Mysql(Mysql),
    /// SQLite.
    Sqlite(Sqlite),
}

/// A MySQL or MariaDB database.
#[derive(Clone, Debug)]
pub struct Mysql {
    /// Where the server listens.
    pub endpoint: Endpoint,
    /// The database (schema) at the server.
    pub name: String,
    /// The account.
    pub user: String,
    /// Its password; none for accounts that the server knows by their socket.
    pub password: Option<SecretString>,
    /// Encryption; [`TlsMode::Off`] for a socket.
    pub tls: Tls,
    /// How a compare makes digests of its rows.
    pub digest: DigestBy,
}

/// How a full compare makes digests of a database's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestBy {
    /// By sums if the server is on another host, else by rows.
    Auto,
    /// The rows are read, and hashed by this program.
    Rows,
    /// The database counts and sums them up.
    Sums,
}

/// Where a MySQL server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Over the network.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A local socket; absolute path.
    Socket(PathBuf),
}

/// Encryption of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Whether to encrypt.
    pub mode: TlsMode,
    /// A file of PEM certificates, one of which must have signed the server's; absolute path. Never with
    /// [`TlsMode::Off`]. With [`TlsMode::Preferred`] the certificate is checked wherever the server offers one.
    pub ca_file: Option<PathBuf>,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Encrypted, or no connection.
    Required,
    /// Encrypted if the server can.
    Preferred,
    /// Not encrypted.
    Off,
}

/// A SQLite database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sqlite {
    /// Its file; absolute path.
    pub path: PathBuf,
}

/// When to stop and ask a person, and how much to do at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// How far the clocks of two sites may differ; 1 s to 1 day.
    pub max_clock_difference: Duration,
    /// The share of a table's rows that one round may delete, 0 to 1.
    pub max_deleted_share: f64,
    /// The number of a table's rows that one round may delete.
    pub max_deleted_rows: u64,
    /// The rows that are written in one transaction, 1 to 100,000.
    pub batch_rows: usize,
}

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// The master's row wins.
    Master,
    /// The slave's row wins.
    Slave,
}

/// No file of settings is longer than this, in bytes.
const LONGEST: u64 = 1024 * 1024;

impl Settings {
    /// Reads and checks `<directory>/<vd>.toml` and the password files it names (those of disabled links
    /// excepted).
    ///
    /// # Errors
    /// [`ConfigError::NotConfigured`] if there is no such file or it enables no mode;
    /// [`ConfigError::Invalid`] or [`ConfigError::SecretExposed`] with *all* that is wrong in it;
    /// [`ConfigError::VdName`]; [`ConfigError::File`].
    pub fn load(directory: &Path, vd: &str, environment: &Environment) -> Result<Self, ConfigError> {
        let vd = vd_name(vd)?;
        let file = settings_file(directory, &vd);
        let (text, mode) = match read(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(not_configured(directory, vd, file));
            }
            other => other.map_err(file_error("read", &file))?,
        };
        let passwords = Files { directory, environment };
        parse(&text, &Origin { vd: &vd, file: &file, mode, passwords: &passwords })
    }

    /// The directory for the state of this virtual desktop.
    pub fn state_dir(&self) -> PathBuf {
        self.state_root.join(self.vd.as_str())
    }

    /// Whether this site starts rounds.
    pub fn is_master(&self) -> bool {
        !self.links.is_empty()
    }

    /// Whether other sites may start rounds with this one.
    pub fn is_slave(&self) -> bool {
        !self.masters.is_empty()
    }

    /// The folder of documents of this name.
    pub fn folder(&self, name: &str) -> Option<&Folder> {
        self.documents.iter().find(|folder| folder.name.as_str() == name)
    }

    /// The enabled link to a slave.
    pub fn link(&self, slave: &Name) -> Option<&Link> {
        self.links.iter().find(|link| link.slave == *slave)
    }

    /// Whether a table takes part.
    pub fn synchronises(&self, table: &str) -> bool {
        !self.excluded_tables.iter().any(|pattern| pattern.matches(table))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_clock_difference: Duration::from_secs(300),
            max_deleted_share: 0.2,
            max_deleted_rows: 10_000,
            batch_rows: 500,
        }
    }
}

/// The virtual desktops that have a file of settings in `directory`, sorted. Whether the files are good is
/// not looked at; a missing directory has none.
///
/// # Errors
/// [`ConfigError::File`] if the directory exists and cannot be read.
pub fn configured(directory: &Path) -> Result<Vec<Name>, ConfigError> {
    let entries = match std::fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(file_error("read", directory))?,
    };
    let file_names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<Name> = file_names.filter_map(|file| file.strip_suffix(".toml")?.parse().ok()).collect();
    names.sort();
    Ok(names)
}

pub(crate) fn vd_name(text: &str) -> Result<Name, ConfigError> {
    text.parse().map_err(|source| ConfigError::VdName { text: text.to_owned(), source })
}

fn not_configured(directory: &Path, vd: Name, file: PathBuf) -> ConfigError {
    // The list of others is only a help: without it the message is still right.
    let others = configured(directory).unwrap_or_default();
    ConfigError::NotConfigured(Box::new(NotConfigured { vd, file, file_exists: false, others }))
}

/// Content and mode of a file of settings, both of the same open file.
pub(crate) fn read(path: &Path) -> io::Result<(String, u32)> {
    let (file, mode) = crate::file::open(path)?;
    Ok((crate::file::text(file, LONGEST)?, mode))
}

/// Columns of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumns {
    /// The table.
    pub table: String,
    /// The columns.
    pub columns: Vec<String>,
}
