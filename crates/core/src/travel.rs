//! How values and states are put into messages: packed as they are stored ([`crate::codec`]), so that there is one form to
//! keep compatible and one decoder that hostile bytes meet.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::{pack_values, unpack_values};
use crate::value::Value;

/// Bytes of a message, borrowed or not.
struct Packed;

impl Visitor<'_> for Packed {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("packed bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_bytes(&pack_values(std::slice::from_ref(self)))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut values = unpack_values(&input.deserialize_byte_buf(Packed)?).map_err(Error::custom)?;
        match (values.pop(), values.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => Err(Error::custom("not one value")),
        }
    }
}

/// A row's state.
pub(crate) mod state {
    use super::*;
    use crate::codec::{pack_state, unpack_state};
    use crate::row::RowState;

    pub fn serialize<S: Serializer>(state: &RowState, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_bytes(&pack_state(state))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<RowState, D::Error> {
        unpack_state(&input.deserialize_byte_buf(Packed)?).map_err(Error::custom)
    }
}

/// A row's values; no bytes at all if they are not known.
pub(crate) mod values {
    use super::*;

    pub fn serialize<S: Serializer>(values: &Option<Vec<Value>>, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_bytes(&values.as_deref().map(pack_values).unwrap_or_default())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Vec<Value>>, D::Error> {
        match input.deserialize_byte_buf(Packed)? {
            bytes if bytes.is_empty() => Ok(None),
            bytes => unpack_values(&bytes).map(Some).map_err(Error::custom),
        }
    }
}
