//! A connection to MySQL or MariaDB. Converts values exactly and sorts errors; knows nothing of synchronisation.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use mysql::consts::{CapabilityFlags, ColumnType};
use mysql::prelude::Queryable;
use mysql::{Column, Conn, OptsBuilder, Params, SslOpts};
use sync_core::Value;
use sync_core::digest::Cells;
use sync_store::Result;

use super::{cells, errors};
use crate::sql::{EachCells, EachRow, Fields, Sql};

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Encrypted with a verified certificate, or not at all.
    Required,
    /// Encrypted if the server offers it. Verified if a CA file is given; without one it only keeps out listeners.
    #[default]
    Preferred,
    /// Not encrypted.
    Off,
}

/// Where a database is and how to log in.
#[derive(Clone, Default)]
pub struct Address {
    /// Host name or address; ignored if `socket` is given.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Unix socket.
    pub socket: Option<PathBuf>,
    /// The database.
    pub database: String,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// Encryption.
    pub tls: Tls,
    /// Certificates of the authorities that are trusted; the usual public ones if not given.
    pub ca_file: Option<PathBuf>,
}

/// Never shows the password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").field("place", &self.place()).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Address {
    /// How the place is named in messages: `crm at db.example.org:3306`.
    pub fn place(&self) -> String {
        match &self.socket {
            Some(socket) => format!("{} at {}", self.database, socket.display()),
            None => format!("{} at {}:{}", self.database, self.host, self.port),
        }
    }

    /// Whether it is on another machine, as far as its name tells.
    pub fn is_far(&self) -> bool {
        let is_loopback = || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        self.socket.is_none() && !self.host.is_empty() && !self.host.eq_ignore_ascii_case("localhost") && !is_loopback()
    }

    fn options(&self, ssl: Option<SslOpts>) -> OptsBuilder {
        OptsBuilder::new()
            .ip_or_hostname(Some(self.host.clone()))
            .tcp_port(self.port)
            .socket(self.socket.as_ref().map(|s| s.to_string_lossy().into_owned()))
            .prefer_socket(self.socket.is_some())
            .db_name(Some(self.database.clone()))
            .user(Some(self.user.clone()))
            .pass(self.password.clone())
            .ssl_opts(ssl)
            .stmt_cache_size(Some(200))
            .tcp_connect_timeout(Some(Duration::from_secs(10)))
            .tcp_keepalive_time_ms(Some(30_000))
            .tcp_nodelay(true)
            // The server keeps to its own limit for what it takes; rows that it has may be larger.
            .max_allowed_packet(Some(LARGEST_PACKET))
            .additional_capabilities(CapabilityFlags::CLIENT_FOUND_ROWS)
            .init(SESSION.map(str::to_owned).to_vec())
    }

    fn ssl(&self) -> Option<SslOpts> {
        let encrypt = self.tls != Tls::Off && self.socket.is_none();
        let unverified = self.tls == Tls::Preferred && self.ca_file.is_none();
        encrypt.then(|| {
            SslOpts::default().with_root_cert_path(self.ca_file.clone()).with_danger_accept_invalid_certs(unverified)
        })
    }
}

/// The session every connection of ours has: UTC, exact values, short waits, and our own writes are not captured.
const SESSION: [&str; 4] = [
    "SET NAMES utf8mb4",
    "SET time_zone='+00:00', sql_mode='STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION', \
     foreign_key_checks=0, innodb_lock_wait_timeout=1, lock_wait_timeout=5, group_concat_max_len=1048576",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET @server_sync_applying = 1",
];

/// The most that a server can be set to.
const LARGEST_PACKET: usize = 1 << 30;

/// A connection.
pub struct Driver {
    conn: Conn,
    place: String,
    /// Whether the server runs a statement for many rows in one exchange; asked when it matters first.
    in_bulk: Option<bool>,
}

impl Driver {
    /// Connects.
    pub fn connect(address: &Address) -> Result<Self> {
        let place = address.place();
        let first = Conn::new(address.options(address.ssl()));
        let conn = match first {
            Err(e) if address.tls == Tls::Preferred && errors::is_tls_missing(&e) => Conn::new(address.options(None)),
            other => other,
        };
        let conn = conn.map_err(|e| errors::connecting(&e, address))?;
        Ok(Driver { conn, place, in_bulk: None })
    }

    /// MariaDB has a command for it; with MySQL each row would be an exchange.
    fn runs_in_bulk(&mut self) -> Result<bool> {
        if let Some(known) = self.in_bulk {
            return Ok(known);
        }
        let version = (self as &mut dyn Sql).first("SELECT VERSION()", &[])?.unwrap_or_default();
        let known = Fields::of(version).text()?.contains("MariaDB");
        self.in_bulk = Some(known);
        Ok(known)
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&mut self) -> Result<bool> {
        let row = (self as &mut dyn Sql).first("SHOW SESSION STATUS LIKE 'Ssl_cipher'", &[])?;
        Ok(row.and_then(|r| r.into_iter().nth(1)).is_some_and(|v| v != Value::text("")))
    }
}

impl Sql for Driver {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.execute_owned(sql, params.to_vec())
    }

    fn execute_owned(&mut self, sql: &str, params: Vec<Value>) -> Result<u64> {
        let place = &self.place;
        let result = self.conn.exec_iter(sql, to_params(params)).map_err(|e| errors::classify(&e, place))?;
        Ok(result.affected_rows())
    }

    fn execute_each(&mut self, sql: &str, rows: &[&[Value]]) -> Result<bool> {
        if !is_fit_for_bulk(rows) || !self.runs_in_bulk()? {
            return Ok(false);
        }
        let params = rows.iter().map(|row| to_params(row.to_vec()));
        self.conn.exec_batch(sql, params).map_err(|e| errors::classify(&e, &self.place))?;
        Ok(true)
    }

    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> Result<()> {
        let place = &self.place;
        let fault = |e| errors::classify(&e, place);
        let rows = self.conn.exec_iter(sql, to_params(params.to_vec())).map_err(fault)?;
        let columns: Vec<Column> = rows.columns().as_ref().to_vec();
        for row in rows {
            let cells = row.map_err(fault)?.unwrap_raw();
            let values = cells.into_iter().zip(&columns).map(|(cell, column)| from_cell(cell, column));
            each(values.collect())?;
        }
        Ok(())
    }

    fn digest(&mut self, sql: &str, params: &[Value], into: &mut Cells, each: &mut EachCells) -> Result<()> {
        let place = &self.place;
        let fault = |e| errors::classify(&e, place);
        let rows = self.conn.exec_iter(sql, to_params(params.to_vec())).map_err(fault)?;
        let columns: Vec<cells::Format> = rows.columns().as_ref().iter().map(cells::Format::of).collect();
        for row in rows {
            let row = row.map_err(fault)?;
            into.clear();
            columns.iter().enumerate().for_each(|(i, format)| format.add(row.as_ref(i), into));
            each(into)?;
        }
        Ok(())
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        self.conn.query_drop(sql).map_err(|e| errors::classify(&e, &self.place))
    }
}

/// What is sent in bulk is one packet, which the smallest server takes; larger values are sent in pieces otherwise.
const BULK: usize = 1 << 20;

/// In bulk all values of a parameter have one type.
fn is_fit_for_bulk(rows: &[&[Value]]) -> bool {
    let width = rows.first().map_or(0, |row| row.len());
    let weight: usize = rows.iter().flat_map(|row| row.iter()).map(Value::weight).sum();
    let of_one_type = |at: usize| {
        let mut types = rows.iter().filter_map(|row| wire_type(row.get(at)?));
        let first = types.next();
        types.all(|t| Some(t) == first)
    };
    width > 0 && weight <= BULK && rows.iter().all(|row| row.len() == width) && (0..width).all(of_one_type)
}

/// The type that a value is sent as; NULL goes with any.
fn wire_type(value: &Value) -> Option<u8> {
    match value {
        Value::Null => None,
        Value::Int(_) => Some(1),
        Value::UInt(_) => Some(2),
        Value::Float(_) => Some(3),
        Value::Double(_) => Some(4),
        Value::Text(_) | Value::Bytes(_) => Some(5),
    }
}

fn to_params(values: Vec<Value>) -> Params {
    if values.is_empty() {
        return Params::Empty;
    }
    Params::Positional(values.into_iter().map(to_cell).collect())
}

fn to_cell(value: Value) -> mysql::Value {
    match value {
        Value::Null => mysql::Value::NULL,
        Value::Int(n) => mysql::Value::Int(n),
        Value::UInt(n) => mysql::Value::UInt(n),
        Value::Float(bits) => mysql::Value::Float(f32::from_bits(bits)),
        Value::Double(bits) => mysql::Value::Double(f64::from_bits(bits)),
        Value::Text(s) => mysql::Value::Bytes(s.into_bytes()),
        Value::Bytes(b) => mysql::Value::Bytes(b),
    }
}

fn from_cell(cell: Option<mysql::Value>, column: &Column) -> Value {
    use mysql::Value as My;
    match cell.unwrap_or(My::NULL) {
        My::NULL => Value::Null,
        My::Int(n) => Value::Int(n),
        My::UInt(n) => Value::unsigned(n),
        My::Float(f) => Value::float(f),
        My::Double(f) => Value::double(f),
        My::Bytes(bytes) => from_bytes(bytes, column),
        My::Date(y, mo, d, h, mi, s, us) => Value::Text(date(column, (y, mo, d), (h, mi, s, us))),
        My::Time(negative, days, h, mi, s, us) => Value::Text(time(column, negative, (days, h, mi, s, us))),
    }
}

/// The character set number of bytes without a character set.
pub(super) const BINARY: u16 = 63;

fn from_bytes(bytes: Vec<u8>, column: &Column) -> Value {
    use ColumnType as T;
    match column.column_type() {
        T::MYSQL_TYPE_BIT => Value::unsigned(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))),
        T::MYSQL_TYPE_GEOMETRY => Value::Bytes(bytes),
        T::MYSQL_TYPE_NEWDECIMAL | T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_JSON => text(bytes),
        _ if column.character_set() == BINARY => Value::Bytes(bytes),
        _ => text(bytes),
    }
}

fn text(bytes: Vec<u8>) -> Value {
    String::from_utf8(bytes).map_or_else(|e| Value::Bytes(e.into_bytes()), Value::Text)
}

/// Fractions have all six digits where the column has any, so that equal instants are equal texts.
fn fraction(column: &Column, micros: u32) -> String {
    if column.decimals() == 0 || column.decimals() > 6 { String::new() } else { format!(".{micros:06}") }
}

fn date(column: &Column, (y, mo, d): (u16, u8, u8), (h, mi, s, us): (u8, u8, u8, u32)) -> String {
    let day = format!("{y:04}-{mo:02}-{d:02}");
    if column.column_type() == ColumnType::MYSQL_TYPE_DATE {
        return day;
    }
    format!("{day} {h:02}:{mi:02}:{s:02}{}", fraction(column, us))
}

fn time(column: &Column, negative: bool, (days, h, mi, s, us): (u32, u8, u8, u8, u32)) -> String {
    let sign = if negative { "-" } else { "" };
    format!("{sign}{:02}:{mi:02}:{s:02}{}", days * 24 + u32::from(h), fraction(column, us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_is_for_rows_of_one_shape() {
        let (one, null) = ([Value::Int(1), Value::text("a")], [Value::Null, Value::Bytes(vec![1])]);
        assert!(is_fit_for_bulk(&[&one, &null]));
        for other in [Value::UInt(u64::MAX), Value::double(1.0), Value::text("1")] {
            assert!(!is_fit_for_bulk(&[&one, &[other, Value::Null]]));
        }
        let large = [Value::Int(1), Value::Bytes(vec![0; BULK])];
        assert!(!is_fit_for_bulk(&[&large]) && !is_fit_for_bulk(&[]) && !is_fit_for_bulk(&[&one, &one[..1]]));
    }

    #[test]
    fn what_is_on_another_machine() {
        let at = |host: &str, socket: Option<&str>| {
            Address { host: host.to_owned(), socket: socket.map(PathBuf::from), ..Address::default() }.is_far()
        };
        for near in ["", "localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"] {
            assert!(!at(near, None), "{near}");
        }
        assert!(!at("db.example.org", Some("/run/mysqld/mysqld.sock")));
        assert!(at("db.example.org", None) && at("10.0.0.7", None) && at("2001:db8::1", None));
    }
}
