//! The store over an SQL database: schema, capture by triggers, drain, changes, apply, and the conflict list.
//!
//! The way of a row is the same on every kind of server and is written once, over the two small interfaces
//! [`sql::Sql`] (run a statement) and [`dialect::Dialect`] (how this kind of server says it). What differs is in
//! [`mysql`] and [`sqlite`]. Nothing here talks to people or reads settings.

pub mod dialect;
pub mod mysql;
pub mod schema;
pub mod sql;
pub mod sqlite;
