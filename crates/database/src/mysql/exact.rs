//! How values that are more than text are read and written. Text only; which they are is [`crate::exact`]'s business.

use sync_core::Value;

use super::names::{literal, quote};
use crate::exact::{Decimal, decimals, two_ways};
use crate::schema::{Column, Kind};

/// More numbers than this in one value are written into the statement: it has 65,535 parameters.
const MANY: usize = 1000;

/// Text as text if the server would make the same bytes of it again, else the bytes; a letter tells which.
pub(super) fn read_as(column: &Column) -> Option<String> {
    let (charset, name) = (two_ways(column)?, quote(&column.name));
    let (bytes, text) = (format!("CAST({name} AS BINARY)"), format!("CONVERT({name} USING utf8mb4)"));
    let again = format!("CAST(CONVERT({text} USING {charset}) AS BINARY)");
    Some(format!("IF({again} = {bytes}, CONCAT('t', CAST({text} AS BINARY)), CONCAT('b', {bytes}))"))
}

/// What the letter tells.
pub(super) fn received(value: Value) -> Value {
    let Value::Bytes(mut bytes) = value else { return value };
    if bytes.is_empty() {
        return Value::Bytes(bytes);
    }
    match bytes.remove(0) {
        b't' => String::from_utf8(bytes).map_or_else(|e| Value::Bytes(e.into_bytes()), Value::Text),
        _ => Value::Bytes(bytes),
    }
}

/// What stands for such a value, with its parameters.
pub(super) fn place(column: &Column, value: &Value) -> Option<(String, Vec<Value>)> {
    match (column.kind, value) {
        (Kind::Text, Value::Bytes(_)) => Some(("CAST(? AS BINARY)".to_owned(), vec![value.clone()])),
        (Kind::Json, Value::Text(_)) => typed(value, &decimals(value)),
        _ => None,
    }
}

/// JSON whose text says too little of these numbers.
fn typed(json: &Value, decimals: &[Decimal]) -> Option<(String, Vec<Value>)> {
    if decimals.is_empty() {
        return None;
    }
    let (mut places, mut params) = (Vec::with_capacity(decimals.len()), vec![json.clone()]);
    for Decimal { path, number, scale } in decimals {
        let [path, number] = if decimals.len() > MANY {
            [literal(path), literal(number)]
        } else {
            params.extend([Value::text(path), Value::text(*number)]);
            ["?", "?"].map(str::to_owned)
        };
        places.push(format!("{path}, CAST({number} AS DECIMAL(65,{scale}))"));
    }
    Some((format!("JSON_REPLACE(CAST(? AS JSON), {})", places.join(", ")), params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_tells_text_from_bytes() {
        let received = |bytes: &[u8]| received(Value::Bytes(bytes.to_vec()));
        assert_eq!(received("té".as_bytes()), Value::text("é"));
        assert_eq!(received(b"t"), Value::text(""));
        assert_eq!(received(b"b\xfa\x5c"), Value::Bytes(vec![0xfa, 0x5c]));
        assert_eq!(super::received(Value::Null), Value::Null);
    }
}
