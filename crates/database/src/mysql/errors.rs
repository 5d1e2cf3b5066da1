//! Sorting the errors of MySQL and MariaDB by what helps, and saying what to do. Messages never hold a password.

use mysql::{DriverError, Error};
use sync_store::{StoreError, Trouble};

use super::driver::{Address, Tls};
use super::reopen::is_spoilt;

/// Whether the server offers no encryption.
pub(super) fn is_tls_missing(error: &Error) -> bool {
    matches!(error, Error::DriverError(DriverError::TlsNotSupported))
}

/// An error of a statement.
pub(super) fn classify(error: &Error, place: &str) -> StoreError {
    match error {
        Error::MySqlError(e) if e.code == 1064 && is_spoilt(&e.message) => spoilt(&e.message, place),
        Error::MySqlError(e) => StoreError::new(trouble(e.code), format!("{place}: {} (error {})", e.message, e.code)),
        Error::IoError(_) | Error::CodecError(_) => lost(error, place),
        Error::DriverError(DriverError::ConnectTimeout | DriverError::Timeout | DriverError::PacketOutOfSync) => {
            lost(error, place)
        }
        other => StoreError::new(Trouble::Failure, format!("{place}: {other}")),
    }
}

/// The trigger's text is right, nearly always.
fn spoilt(message: &str, place: &str) -> StoreError {
    StoreError::new(Trouble::SchemaChanged, format!("{place}: {message} (error 1064)")).hint(
        "the table is opened anew in the next round; if the message stays, a trigger really has such an error: \
         see SHOW TRIGGERS",
    )
}

fn lost(error: &Error, place: &str) -> StoreError {
    StoreError::new(Trouble::Unreachable, format!("{place}: the connection was lost ({error})"))
        .hint("nothing is lost: the next round goes on where this one stopped")
}

fn trouble(code: u16) -> Trouble {
    match code {
        // Deadlock, lock wait, snapshot conflict, NOWAIT.
        1213 | 1205 | 1020 | 3572 => Trouble::Contention,
        // Unknown column or table, definition changed, column count, trigger there already or gone.
        1054 | 1146 | 1412 | 1136 | 1615 | 1359 | 1360 | 4031 => Trouble::SchemaChanged,
        3819 | 4025 => Trouble::Check,
        // Duplicate key, NOT NULL, no default, foreign keys, value does not fit.
        1062 | 1586 | 1048 | 1364 | 1451 | 1452 | 1216 | 1217 | 1406 | 1264 | 1265 | 1366 | 1292 | 1416 => {
            Trouble::Constraint
        }
        1045 | 1698 | 1251 | 1862 | 1820 => Trouble::Authentication,
        1044 | 1142 | 1143 | 1227 | 1370 | 1419 | 1410 => Trouble::Privilege,
        1049 => Trouble::Configuration,
        // Shutdown, killed, too many connections, network.
        1053 | 1040 | 1077 | 1079 | 1158..=1161 | 1203 | 1927 | 1317 | 2006 | 2013 | 1094 | 1152 | 1184 => {
            Trouble::Unreachable
        }
        _ => Trouble::Failure,
    }
}

/// An error of connecting.
pub(super) fn connecting(error: &Error, address: &Address) -> StoreError {
    let place = address.place();
    match error {
        Error::MySqlError(e) if trouble(e.code) == Trouble::Authentication => refused(address, &e.message),
        Error::MySqlError(e) if e.code == 1049 || e.code == 1044 => unknown_database(address, &e.message),
        Error::DriverError(DriverError::TlsNotSupported) => tls_missing(address),
        Error::TlsError(e) => tls_refused(address, &e.to_string()),
        Error::IoError(e) if is_tls_text(&e.to_string()) => tls_refused(address, &e.to_string()),
        Error::MySqlError(e) => classify(error, &place).during(&format!("cannot connect (error {})", e.code)),
        other if is_tls_text(&other.to_string()) => tls_refused(address, &other.to_string()),
        other => StoreError::new(Trouble::Unreachable, format!("cannot reach the database {place}: {other}"))
            .hint("check that the server runs and that host, port and firewall let this machine in"),
    }
}

/// The TLS library's errors arrive wrapped in I/O errors.
fn is_tls_text(text: &str) -> bool {
    ["certificate", "UnknownIssuer", "TLS", "tls"].iter().any(|word| text.contains(word))
}

fn refused(address: &Address, message: &str) -> StoreError {
    StoreError::new(
        Trouble::Authentication,
        format!("the database {} refused the login of '{}': {message}", address.place(), address.user),
    )
    .hint("check user and password_file in the settings, and the account's host part on the server")
}

fn unknown_database(address: &Address, message: &str) -> StoreError {
    StoreError::new(Trouble::Configuration, format!("cannot use the database {}: {message}", address.place())).hint(
        format!(
            "create it, or give the account access: GRANT ALL PRIVILEGES ON `{}`.* TO '{}'@'…'",
            address.database, address.user
        ),
    )
}

fn tls_missing(address: &Address) -> StoreError {
    let required = if address.tls == Tls::Required { "tls = \"required\"" } else { "encryption is wanted" };
    StoreError::new(Trouble::Authentication, format!("{required}, but the server of {} offers no TLS", address.place()))
        .hint("enable TLS on the server (ssl_cert, ssl_key), or set tls = \"preferred\" if the line is a VPN")
}

fn tls_refused(address: &Address, message: &str) -> StoreError {
    StoreError::new(
        Trouble::Authentication,
        format!("the certificate of {} is not trusted: {message}", address.place()),
    )
    .hint("set ca_file to the certificate of the authority that signed the server's, and use a host name it is made out to")
}
