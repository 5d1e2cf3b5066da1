//! Reads `[database]` and `[master.database]`: the same settings for this site and for a slave.

use super::Origin;
use crate::convert::{self, choice, whole};
use crate::secret::{Refusal, exposure};
use crate::section::Section;
use crate::{Database, DigestBy, Endpoint, Mysql, SecretString, Sqlite, Tls, TlsMode};

/// What only a MySQL database has.
const MYSQL_ONLY: [&str; 10] =
    ["host", "port", "socket", "name", "user", "password_file", "password", "tls", "ca_file", "digest"];

const TLS_MODES: &[(&str, TlsMode)] =
    &[("required", TlsMode::Required), ("preferred", TlsMode::Preferred), ("off", TlsMode::Off)];

const DIGESTS: &[(&str, DigestBy)] = &[("auto", DigestBy::Auto), ("rows", DigestBy::Rows), ("sums", DigestBy::Sums)];

#[derive(Clone, Copy)]
enum Engine {
    Mysql,
    Sqlite,
}

/// Reads the section; its password file is opened only if the database is going to be used.
pub(super) fn read(section: &Section, origin: &Origin, used: bool) -> Option<Database> {
    const ENGINES: &[(&str, Engine)] = &[("mysql", Engine::Mysql), ("sqlite", Engine::Sqlite)];
    match section.need("kind", choice(ENGINES))? {
        Engine::Mysql => mysql(section, origin, used).map(Database::Mysql),
        Engine::Sqlite => sqlite(section).map(Database::Sqlite),
    }
}

fn sqlite(section: &Section) -> Option<Sqlite> {
    for name in MYSQL_ONLY.iter().filter(|name| section.has(name)) {
        section.refuse(name, "is only for kind = \"mysql\"; this database is SQLite");
    }
    section.need("path", convert::absolute).map(|path| Sqlite { path })
}

fn mysql(section: &Section, origin: &Origin, used: bool) -> Option<Mysql> {
    if section.has("path") {
        section.refuse("path", "is only for kind = \"sqlite\"; this database is MySQL");
    }
    let endpoint = endpoint(section);
    let name = section.need("name", convert::text);
    let user = section.need("user", convert::text);
    let password = password(section, origin, used);
    let tls = tls(section);
    let digest = section.or("digest", choice(DIGESTS), DigestBy::Auto);
    Some(Mysql { endpoint: endpoint?, name: name?, user: user?, password: password?, tls: tls?, digest: digest? })
}

fn endpoint(section: &Section) -> Option<Endpoint> {
    let host = section.get("host", convert::host);
    let port = section.or("port", whole(1..=65535), 3306);
    let socket = section.get("socket", convert::absolute);
    if !super::one_of(section, &["host", "socket"]) {
        return None;
    }
    if section.has("socket") {
        only_with_host(section);
        return socket.map(Endpoint::Socket);
    }
    Some(Endpoint::Tcp { host: host?, port: port? as u16 })
}

fn only_with_host(section: &Section) {
    for name in ["port", "tls", "ca_file"].iter().filter(|name| section.has(name)) {
        section.refuse(name, "has no meaning for a `socket`; leave it out, or write `host`");
    }
}

/// The outer `None` has been noted.
fn password(section: &Section, origin: &Origin, used: bool) -> Option<Option<SecretString>> {
    let inline = section.get("password", convert::text).map(SecretString::from);
    if section.has("password") {
        if let Some(message) = exposure(origin.file, origin.mode) {
            section.expose("password", format!("is readable: {message}"));
        }
        if section.has("password_file") {
            section.refuse("password", "cannot stand beside `password_file`: write only one of them");
        }
        return inline.map(Some);
    }
    if !section.has("password_file") {
        return Some(None);
    }
    let file = section.get("password_file", convert::path)?;
    match used {
        true => read_file(section, origin, &file).map(Some),
        false => Some(None),
    }
}

fn read_file(section: &Section, origin: &Origin, file: &std::path::Path) -> Option<SecretString> {
    match origin.passwords.read(file) {
        Ok(password) => return Some(password),
        Err(Refusal::Exposed(message)) => section.expose("password_file", format!("is readable: {message}")),
        Err(Refusal::Unusable(message)) => section.refuse("password_file", format!("cannot be used: {message}")),
    }
    None
}

fn tls(section: &Section) -> Option<Tls> {
    if section.has("socket") {
        return Some(Tls { mode: TlsMode::Off, ca_file: None });
    }
    let ca_file = section.get("ca_file", convert::absolute);
    let default = if section.has("ca_file") { TlsMode::Required } else { TlsMode::Preferred };
    let mode = section.or("tls", choice(TLS_MODES), default)?;
    if mode == TlsMode::Off && section.has("ca_file") {
        section.refuse("ca_file", "has no meaning with `tls = \"off\"`; leave it out, or write `tls = \"required\"`");
    }
    Some(Tls { mode, ca_file })
}
