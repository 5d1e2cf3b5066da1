//! Values on their way into and out of SQLite, exactly. Never looks at what a value means.
//!
//! SQLite has five storage classes and no unsigned integers, single floats or character sets, so four kinds of value
//! need a rule:
//!
//! - An integer above `i64::MAX` is stored as the negative integer with the same bits. Only our own tables get such
//!   values (tokens, incarnations), and they are read back as unsigned; order is not kept. A column of an application
//!   never does: a table of SQLite is synchronised only with tables of SQLite, which cannot hold one.
//! - A single-precision float and a NaN are refused: SQLite cannot hold them, and no SQLite table could send them.
//! - TEXT that is not UTF-8 (SQLite does not check) becomes [`Value::Bytes`] with a prefix that says so, and TEXT with
//!   the same bytes again when it is written.
//! - A BLOB that by chance begins with that prefix gets another one in front, so that nothing is ambiguous.

use rusqlite::types::{ToSqlOutput, ValueRef};
use sync_core::Value;
use sync_core::digest::Cells;
use sync_store::{Result, StoreError, Trouble};

const TEXT: &[u8] = b"\0server_sync:text\0";
const BLOB: &[u8] = b"\0server_sync:blob\0";

/// A value as SQLite gave it.
pub(super) fn from_sqlite(value: ValueRef) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Int(n),
        ValueRef::Real(f) => Value::double(f),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::text(text),
            Err(_) => Value::Bytes([TEXT, bytes].concat()),
        },
        ValueRef::Blob(bytes) if is_tagged(bytes) => Value::Bytes([BLOB, bytes].concat()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

/// The same as the next cell of a row that is only hashed.
pub(super) fn add_cell(value: ValueRef, cells: &mut Cells) {
    match value {
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_ok() => cells.text(bytes),
        ValueRef::Blob(bytes) if !is_tagged(bytes) => cells.bytes(bytes),
        other => cells.value(&from_sqlite(other)),
    }
}

fn is_tagged(bytes: &[u8]) -> bool {
    bytes.starts_with(TEXT) || bytes.starts_with(BLOB)
}

/// A value as SQLite takes it; an error if it could not come back as it was.
pub(super) fn to_sqlite(value: &Value) -> Result<ToSqlOutput<'_>> {
    let borrowed = match value {
        Value::Null => ValueRef::Null,
        Value::Int(n) => ValueRef::Integer(*n),
        Value::UInt(n) => ValueRef::Integer(*n as i64),
        Value::Float(_) => return Err(refused("a single-precision float")),
        Value::Double(bits) if f64::from_bits(*bits).is_nan() => return Err(refused("a NaN")),
        Value::Double(bits) => ValueRef::Real(f64::from_bits(*bits)),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Bytes(bytes) => from_tagged(bytes),
    };
    Ok(ToSqlOutput::Borrowed(borrowed))
}

fn from_tagged(bytes: &[u8]) -> ValueRef<'_> {
    match (bytes.strip_prefix(TEXT), bytes.strip_prefix(BLOB)) {
        (Some(text), _) => ValueRef::Text(text),
        (_, Some(blob)) => ValueRef::Blob(blob),
        _ => ValueRef::Blob(bytes),
    }
}

fn refused(what: &str) -> StoreError {
    StoreError::new(Trouble::Failure, format!("SQLite cannot hold {what}"))
        .hint("the column belongs to a table that does not have the same definition at both sites: compare them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_unambiguous() {
        let text = ValueRef::Text(b"a\xffb");
        let blobs: [&[u8]; 4] = [b"a\xffb", TEXT, BLOB, &[BLOB, TEXT, b"x"].concat()];
        for original in blobs.map(ValueRef::Blob).into_iter().chain([text]) {
            let value = from_sqlite(original);
            assert_eq!(to_sqlite(&value).unwrap(), ToSqlOutput::Borrowed(original));
        }
        assert_ne!(from_sqlite(text), from_sqlite(ValueRef::Blob(b"a\xffb")));
    }

    #[test]
    fn what_sqlite_would_change_is_refused() {
        assert!(to_sqlite(&Value::float(1.5)).is_err());
        assert!(to_sqlite(&Value::double(f64::NAN)).is_err());
        assert_eq!(to_sqlite(&Value::UInt(u64::MAX)).unwrap(), ToSqlOutput::Borrowed(ValueRef::Integer(-1)));
    }
}
