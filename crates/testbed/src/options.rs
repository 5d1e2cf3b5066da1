//! How a test server is to be started. Only a description: starting is the business of [`crate::MariaDb`] and
//! [`crate::Mysql`].

use crate::Authority;

/// Settings of one test server. The default is the quickest: no TLS, no binary log, the machine's clock in UTC, and
/// commits that survive a killed server but not a power cut.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub(crate) arguments: Vec<String>,
    pub(crate) time_zone: Option<String>,
    pub(crate) authority: Option<Authority>,
    pub(crate) clock: Option<String>,
    pub(crate) durable: bool,
    pub(crate) binary_log: bool,
}

impl Options {
    /// The quick defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a command-line option of the server, such as `--lower-case-table-names=1`. It wins over the testbed's own.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets `default_time_zone`: an offset (`+05:30`), or on MariaDB also a zone name (`Europe/Paris`).
    #[must_use]
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        self.time_zone = Some(zone.into());
        self
    }

    /// Turns TLS on, with a certificate for 127.0.0.1 and localhost signed by `authority`.
    #[must_use]
    pub fn tls(mut self, authority: &Authority) -> Self {
        self.authority = Some(authority.clone());
        self
    }

    /// Sets the server's clock off by an offset in libfaketime's words: `-2m`, `+3600s`. MariaDB only.
    #[must_use]
    pub fn clock(mut self, offset: impl Into<String>) -> Self {
        self.clock = Some(offset.into());
        self
    }

    /// Makes every commit reach the disk, as a production server does (slower).
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Turns the binary log on: creating triggers then needs more privileges.
    #[must_use]
    pub fn binary_log(mut self) -> Self {
        self.binary_log = true;
        self
    }
}
