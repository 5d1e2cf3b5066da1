//! How contents are put into messages: bytes as bytes, and lists no longer than anybody sends, so that hostile messages end
//! here. Rows travel as `sync_core` packs them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::batch::ALONG;
use crate::contents::{Hash, Whole};
use crate::squeeze;

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

/// Writes contents: smaller, where that is worth anything.
pub(crate) fn content<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
    out.serialize_bytes(&squeeze::packed(bytes))
}

/// Reads contents that are at most `MOST` bytes, whatever they claim to become.
pub(crate) fn read_content<'de, D: Deserializer<'de>, const MOST: usize>(input: D) -> Result<Vec<u8>, D::Error> {
    input.deserialize_bytes(Packed(MOST))
}

/// A content that was packed, of at most so many bytes.
struct Packed(usize);

impl Visitor<'_> for Packed {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a content of at most {} bytes", self.0)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        if bytes.len() > self.0 + 1 {
            return Err(E::invalid_length(bytes.len(), &self));
        }
        let content = squeeze::unpacked(bytes, self.0).map(Cow::into_owned);
        content.ok_or_else(|| E::custom("a content that cannot be unpacked"))
    }
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

/// Reads contents that go along with a batch: no more bytes of them than anybody sends.
pub(crate) fn read_along<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Whole>, D::Error> {
    input.deserialize_seq(Along)
}

struct Along;

impl<'de> Visitor<'de> for Along {
    type Value = Vec<Whole>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "contents of at most {ALONG} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Whole>, A::Error> {
        let (mut contents, mut bytes) = (Vec::new(), 0);
        while let Some(whole) = items.next_element::<Whole>()? {
            bytes += whole.weight();
            if bytes > ALONG {
                return Err(A::Error::invalid_length(bytes, &self));
            }
            contents.push(whole);
        }
        Ok(contents)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::contents::{Body, PIECE, Piece};
    use crate::squeeze::tests::{bomb, noise};

    fn data(bytes: Vec<u8>) -> Piece {
        Piece::asked(Hash([7; 32]), Body::Data { offset: 5, bytes })
    }

    #[test]
    fn contents_arrive_whatever_they_are() {
        let mixed = [noise(1 << 10), vec![b'a'; 100 << 10]].concat();
        for bytes in [vec![], vec![1], vec![0; PIECE], noise(PIECE), b"text ".repeat(20_000), mixed] {
            let packed = rmp_serde::to_vec(&data(bytes.clone())).unwrap();
            assert_eq!(rmp_serde::from_slice::<Piece>(&packed).unwrap(), data(bytes));
        }
    }

    #[test]
    fn what_can_be_made_smaller_is_and_nothing_else() {
        let size = |bytes: Vec<u8>| rmp_serde::to_vec(&data(bytes)).unwrap().len();
        assert!(size(b"text ".repeat(20_000)) < 1000);
        assert!(size(vec![0; PIECE]) < 1000);
        let random = size(noise(PIECE));
        assert!((PIECE..PIECE + 100).contains(&random), "{random}");
    }

    #[test]
    fn a_bomb_is_refused_before_it_bursts() {
        assert!(bomb().len() < PIECE);
        for bad in [bomb(), vec![1], vec![1, 1, 2, 3], vec![9, 9], vec![], vec![0; PIECE + 2]] {
            let mut packed = rmp_serde::Serializer::new(Vec::new());
            serde::Serializer::serialize_bytes(&mut packed, &bad).unwrap();
            let packed = packed.into_inner();
            let mut input = rmp_serde::Deserializer::from_read_ref(&packed);
            assert!(read_content::<_, PIECE>(&mut input).is_err(), "{} bytes", bad.len());
        }
    }
}
