//! Reading a row that is large by itself, value by value and in pieces: a driver takes the size of a packet several times,
//! and keeps the memory. Only for a row that nobody changes meanwhile.

use std::collections::HashMap;

use sync_core::{ColumnId, RowId, Value};
use sync_store::{Result, StoreError, Trouble};

use crate::dialect::Dialect;
use crate::layout::Tracked;
use crate::sql::{Fields, Sql};

/// Characters or bytes in one piece.
const PIECE: u64 = 2 << 20;

/// The values of the row with this key, by id; nothing if it is not there.
pub fn read(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    key: &[Value],
    lock: bool,
) -> Result<HashMap<RowId, Vec<Value>>> {
    let cut = tracked.cut_apart(dialect);
    let mut found = HashMap::new();
    for row in sql.all(&tracked.select_without(dialect, &cut, lock), key)? {
        // One whose key merely sorts alike is another.
        if tracked.key_of(&row) == key {
            let mut values = tracked.received(dialect, row);
            for id in &cut {
                values[usize::from(*id)] = value(sql, dialect, tracked, *id, key)?;
            }
            found.insert(RowId::of(key), values);
        }
    }
    Ok(found)
}

fn value(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, id: ColumnId, key: &[Value]) -> Result<Value> {
    let count = one(sql, &tracked.select_count(dialect, id), key.to_vec())?;
    if count.is_null() {
        return Ok(Value::Null);
    }
    let count = Fields::of(vec![count]).unsigned()?;
    let statement = tracked.select_piece(dialect, id);
    let mut whole = Whole::with_room(count);
    for from in (1..=count.max(1)).step_by(PIECE as usize) {
        let window = [Value::unsigned(from), Value::unsigned(PIECE)];
        whole.add(one(sql, &statement, window.into_iter().chain(key.iter().cloned()).collect())?);
    }
    Ok(whole.value())
}

fn one(sql: &mut dyn Sql, statement: &str, params: Vec<Value>) -> Result<Value> {
    let gone = || StoreError::new(Trouble::Contention, "a row disappeared while it was read");
    Ok(Fields::of(sql.first(statement, &params)?.ok_or_else(gone)?).value())
}

/// A value being put together.
struct Whole {
    bytes: Vec<u8>,
    is_text: bool,
}

impl Whole {
    /// Of so many characters or bytes: made at once, so that what is there is not copied again and again.
    fn with_room(count: u64) -> Self {
        Whole { bytes: Vec::with_capacity(usize::try_from(count).unwrap_or_default()), is_text: true }
    }

    fn add(&mut self, piece: Value) {
        self.is_text &= matches!(piece, Value::Text(_));
        match piece {
            Value::Text(text) => self.bytes.extend_from_slice(text.as_bytes()),
            Value::Bytes(bytes) => self.bytes.extend_from_slice(&bytes),
            _ => {}
        }
    }

    /// What is not text in one place is not text as a whole.
    fn value(self) -> Value {
        match self.is_text {
            true => String::from_utf8(self.bytes).map_or_else(|e| Value::Bytes(e.into_bytes()), Value::Text),
            false => Value::Bytes(self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_what_the_whole_would_have_been() {
        let (text, raw) = (|s: &str| Value::text(s), |b: &[u8]| Value::Bytes(b.to_vec()));
        let joined = |first: Value, second: Value| {
            let mut whole = Whole::with_room(3);
            whole.add(first);
            whole.add(second);
            whole.value()
        };
        assert_eq!(joined(text("é"), text("€")), text("é€"));
        assert_eq!(joined(raw(b"\xff"), raw(b"\x00")), raw(b"\xff\x00"));
        assert_eq!(joined(text("a"), raw(b"\xff")), raw(b"a\xff"));
        assert_eq!(joined(raw(b"\xff"), text("a")), raw(b"\xffa"));
    }
}
