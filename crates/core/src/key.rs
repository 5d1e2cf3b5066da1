//! The identity of a row: its key values as bytes, and a short id made of them. Sorting and equality of ids are those
//! of the bytes, never of a collation.

use crate::codec::{self, CodecError};
use crate::value::Value;

/// At most 32 bytes that name a row within its table.
///
/// A key that packs into [`RowId::SHORT`] bytes is its own id and can be read back; of a longer one the id is the
/// first 7 bytes (which keeps neighbours together in an index) and a 192-bit BLAKE3 hash. Integers pack big-endian
/// with the sign bit flipped, so ids of auto-increment keys ascend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(Vec<u8>);

const HASHED: u8 = 0xff;
const SMALL_INT: u8 = 0x80;

impl RowId {
    /// The longest packed key that is its own id.
    pub const SHORT: usize = 31;

    /// The id of the row with these key values.
    pub fn of(key: &[Value]) -> Self {
        let packed = pack(key);
        if packed.len() <= Self::SHORT { RowId(packed) } else { RowId(hashed(&packed)) }
    }

    /// The id that was stored as these bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        RowId(bytes)
    }

    /// The bytes, for storing.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the key cannot be read back from the id and must be stored beside it.
    pub fn is_hashed(&self) -> bool {
        self.0.first() == Some(&HASHED)
    }

    /// The key values, where the id is not hashed.
    pub fn key(&self) -> Result<Vec<Value>, CodecError> {
        unpack(&self.0)
    }
}

/// Packs a key: a single integer as 9 bytes that sort like it, anything else as packed values.
pub fn pack(key: &[Value]) -> Vec<u8> {
    match key {
        [Value::Int(n)] => {
            let mut out = Vec::with_capacity(9);
            pack_int(&mut out, &n.to_be_bytes());
            out
        }
        _ => codec::pack_values(key),
    }
}

/// Packs a key of a single integer, given big-endian.
pub(crate) fn pack_int(out: &mut Vec<u8>, big_endian: &[u8]) {
    out.push(SMALL_INT);
    let begin = out.len();
    out.extend_from_slice(big_endian);
    if let Some(first) = out.get_mut(begin) {
        *first ^= 0x80;
    }
}

/// Unpacks what [`pack`] made.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Value>, CodecError> {
    match bytes {
        [SMALL_INT, rest @ ..] if rest.len() == 8 => {
            let bits = rest.try_into().map_err(|_| CodecError::Short)?;
            Ok(vec![Value::Int((u64::from_be_bytes(bits) ^ (1 << 63)) as i64)])
        }
        _ => codec::unpack_values(bytes),
    }
}

fn hashed(packed: &[u8]) -> Vec<u8> {
    let mut id = vec![HASHED];
    id.extend_from_slice(&packed[..7]);
    id.extend_from_slice(&blake3::hash(packed).as_bytes()[..24]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_keys_come_back_from_their_id() {
        let keys = [
            vec![Value::Int(7)],
            vec![Value::Int(i64::MIN)],
            vec![Value::UInt(u64::MAX)],
            vec![Value::Int(1), Value::Int(2)],
            vec![Value::text("abc"), Value::Null],
        ];
        for key in keys {
            let id = RowId::of(&key);
            assert!(!id.is_hashed());
            assert_eq!(id.key().unwrap(), key);
        }
    }

    #[test]
    fn integer_ids_ascend() {
        let ids: Vec<_> = [-5, -1, 0, 1, 300].map(|n| RowId::of(&[Value::Int(n)])).into();
        assert!(ids.is_sorted());
    }

    #[test]
    fn long_keys_are_hashed_to_32_bytes_and_case_matters() {
        let long = |s: &str| RowId::of(&[Value::text(s.repeat(40))]);
        assert!(long("a").is_hashed() && long("a").as_bytes().len() == 32);
        assert_ne!(long("a"), long("A"));
    }
}
