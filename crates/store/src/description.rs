//! What a store says of itself in the handshake. Plain data.

use serde::{Deserialize, Serialize};
use sync_core::{Position, SiteId, Source, Stamp};

/// Who and what a store is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The site's number.
    pub site: SiteId,
    /// The site's name.
    pub site_name: String,
    /// The virtual desktop.
    pub vd: String,
    /// The version of the virtual desktop's application, as its settings say.
    pub vd_version: String,
    /// The version of server_sync that prepared this store.
    pub product_version: String,
    /// The version of the exchange and of the stored formats.
    pub protocol: u32,
    /// Identity.
    pub source: Source,
    /// The head of its history.
    pub head: Position,
    /// What the site allows others.
    pub role: Role,
    /// The store's clock, microseconds since the Unix epoch, and how long reading it took.
    pub clock_micros: i64,
    /// Half the round trip of reading the clock: its uncertainty.
    pub clock_uncertainty_micros: i64,
    /// Whether an upgrade of the application runs there, during which nobody else may write.
    pub upgrading: bool,
    /// Whether rows cross a network between the database and whoever reads them: then digests should not be made of rows
    /// that were read ([`crate::Method::Summed`]).
    pub far: bool,
    /// The tables, sorted by name.
    pub tables: Vec<TableInfo>,
    /// Synchronised tables of which a change is known to have gone unmarked, as the last drain found: they are to be
    /// compared.
    pub suspect: Vec<String>,
    /// Whether an authoritative restore was begun here and is not finished.
    pub restoring: bool,
    /// The authoritative restores that were met, by table.
    pub epochs: Vec<(String, Stamp)>,
    /// What an administrator should know: tables without a key, tables that are not transactional.
    pub warnings: Vec<String>,
}

/// Whom a site lets start rounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Nobody: the slave mode is not enabled.
    NotSlave,
    /// These masters.
    Slave(SlaveSettings),
}

/// The slave mode's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlaveSettings {
    /// The names of the masters that may start rounds.
    pub masters: Vec<String>,
}

/// A table as the handshake compares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Equal on both sides exactly if rows can go from one to the other unchanged.
    pub fingerprint: String,
    /// One line a column, of which the fingerprint is made; for saying what differs.
    pub definition: Vec<String>,
    /// What decides the order of its keys: where it is equal, both sides sort alike.
    pub key: Vec<String>,
    /// How the database itself makes digests of rows, if it can of all columns: where this is equal, equal rows have equal
    /// digests.
    pub sums: Option<String>,
    /// Whether it takes part.
    pub status: TableStatus,
}

/// Whether a table takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableStatus {
    /// It does.
    Synchronised,
    /// It cannot, and why: no key, an unsupported type.
    Refused(String),
    /// The settings leave it out.
    Excluded,
}
