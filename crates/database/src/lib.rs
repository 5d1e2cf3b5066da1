//! The store over an SQL database: schema, capture by triggers, drain, changes, apply, and the conflict list.
//!
//! The way of a row is the same on every kind of server and is written once, over the two small interfaces
//! [`sql::Sql`] (run a statement) and [`dialect::Dialect`] (how this kind of server says it). What differs is in
//! [`mysql`] and [`sqlite`]. Nothing here talks to people or reads settings.

mod apply;
mod backlog;
mod brief;
mod bulk;
mod bury;
pub mod catalog;
mod changes;
mod clock;
mod conflicts;
mod connections;
pub mod constraints;
pub mod counters;
mod database;
pub mod declare;
pub mod dialect;
mod digest;
mod drain;
pub mod epochs;
mod exact;
pub mod identity;
pub mod kept;
mod large;
pub mod layout;
mod leaves;
mod marks;
mod meta;
pub mod mysql;
mod outcome;
mod parked;
mod registration;
mod registry;
mod rekey;
mod resolve;
mod restored;
mod retry;
pub mod rules;
mod scan;
pub mod schema;
pub mod seed;
mod show;
mod spool;
pub mod sql;
pub mod sqlite;
mod sums;
mod suspects;
mod tables;
mod vector;
mod vigil;
mod world;

pub use conflicts::REKEYED;
pub use connections::{Connections, UpgradeLock};
pub use database::{Database, PROTOCOL, opening_of};
pub use identity::Card;
pub use rules::Rules;
