//! How contents are put into messages: bytes as bytes, and lists no longer than anybody sends, so that hostile messages end
//! here. Rows travel as `sync_core` packs them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::contents::Hash;

/// Bytes of a message, at most so many.
struct Bytes(usize);

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "at most {} bytes", self.0)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        match bytes.len() <= self.0 {
            true => Ok(bytes.to_vec()),
            false => Err(E::invalid_length(bytes.len(), &self)),
        }
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let bytes = input.deserialize_bytes(Bytes(32))?;
        bytes.try_into().map(Hash).map_err(|_| D::Error::custom("a hash of another length"))
    }
}

/// Writes bytes as bytes.
pub(crate) fn bytes<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
    out.serialize_bytes(bytes)
}

/// Reads at most `MOST` bytes.
pub(crate) fn read_bytes<'de, D: Deserializer<'de>, const MOST: usize>(input: D) -> Result<Vec<u8>, D::Error> {
    input.deserialize_bytes(Bytes(MOST))
}

/// Reads a list of at most `MOST`.
pub(crate) fn read_list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    input: D,
) -> Result<Vec<T>, D::Error> {
    input.deserialize_seq(List::<T>(MOST, PhantomData))
}

struct List<T>(usize, PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a list of at most {}", self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == self.0 {
                return Err(A::Error::invalid_length(list.len() + 1, &self));
            }
            list.push(item);
        }
        Ok(list)
    }
}
