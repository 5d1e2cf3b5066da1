//! How contents are put into messages: bytes as bytes, and lists no longer than anybody sends, so that hostile messages end
//! here. Rows travel as `sync_core` packs them.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::batch::ALONG;
use crate::contents::{Hash, Piece};

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

/// What bytes begin with that are as they are, and those that were made smaller.
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// Writes contents: smaller, where that is worth anything.
pub(crate) fn content<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
    let packed = squeezed(bytes).unwrap_or_else(|| [&[PLAIN], bytes].concat());
    out.serialize_bytes(&packed)
}

/// Fast: lines are slow, but not that slow.
const LEVEL: i32 = 1;
/// What is compressed already is known by its beginning.
const SAMPLE: usize = 4096;

/// Made smaller by an eighth at least; nothing if that cannot be.
fn squeezed(bytes: &[u8]) -> Option<Vec<u8>> {
    let pays = |small: usize, large: usize| small < large - large / 8;
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    if is_noise(sample) {
        return None;
    }
    let first = compressed(sample).filter(|first| pays(first.len(), sample.len()))?;
    let all = if bytes.len() > SAMPLE { compressed(bytes)? } else { first };
    pays(all.len(), bytes.len()).then(|| [&[ZSTD], all.as_slice()].concat())
}

/// Whether all bytes are about as frequent, as in what was compressed before: asking zstd costs twenty times as much. Too few
/// bytes say nothing.
fn is_noise(sample: &[u8]) -> bool {
    let mut counts = [0_u32; 256];
    sample.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    // The expectation for bytes of chance is n²/256 + n.
    let squares: u64 = counts.iter().map(|count| u64::from(*count).pow(2)).sum();
    let n = sample.len() as u64;
    n >= SAMPLE as u64 / 2 && squares < n * n / 256 * 5 / 4 + n
}

/// By a compressor that is kept: making one costs more than a small content.
fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            none => none.insert(zstd::bulk::Compressor::new(LEVEL).ok()?),
        };
        compressor.compress(bytes).ok()
    })
}

/// Reads contents that are at most `MOST` bytes, whatever they claim to become.
pub(crate) fn read_content<'de, D: Deserializer<'de>, const MOST: usize>(input: D) -> Result<Vec<u8>, D::Error> {
    let mut packed = input.deserialize_bytes(Bytes(MOST + 1))?;
    match packed.first() {
        Some(&PLAIN) => Ok(packed.split_off(1)),
        Some(&ZSTD) => {
            // No more room is made than a piece has; what goes on behind it is an error. Nothing is never packed.
            let content = zstd::bulk::decompress(&packed[1..], MOST).ok().filter(|content| !content.is_empty());
            content.ok_or_else(|| D::Error::custom("a content that cannot be unpacked"))
        }
        _ => Err(D::Error::custom("a content that is packed in an unknown way")),
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
pub(crate) fn read_pieces<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Piece>, D::Error> {
    input.deserialize_seq(Pieces)
}

struct Pieces;

impl<'de> Visitor<'de> for Pieces {
    type Value = Vec<Piece>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "contents of at most {ALONG} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Piece>, A::Error> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while let Some(piece) = items.next_element::<Piece>()? {
            bytes += piece.weight();
            if bytes > ALONG {
                return Err(A::Error::invalid_length(bytes, &self));
            }
            pieces.push(piece);
        }
        Ok(pieces)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::contents::{Body, PIECE, Piece};

    fn data(bytes: Vec<u8>) -> Piece {
        Piece::asked(Hash([7; 32]), Body::Data { offset: 5, bytes })
    }

    /// Bytes that nobody can make smaller.
    fn noise(length: usize) -> Vec<u8> {
        let mut reader = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            reader = reader.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (reader >> 56) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
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
    fn what_is_noise_is_seen_without_trying() {
        for length in [SAMPLE / 2, SAMPLE] {
            assert!(is_noise(&noise(length)));
            assert!(!is_noise(&b"text ".repeat(length / 5)) && !is_noise(&vec![0; length]));
        }
        let digits: Vec<u8> = noise(SAMPLE).iter().map(|byte| b'0' + byte % 10).collect();
        assert!(!is_noise(&digits) && !is_noise(b"short"));
    }

    #[test]
    fn a_bomb_is_refused_before_it_bursts() {
        let bomb = [&[ZSTD], zstd::bulk::compress(&vec![0; 1 << 30], 1).unwrap().as_slice()].concat();
        assert!(bomb.len() < PIECE);
        for bad in [bomb, vec![ZSTD], vec![ZSTD, 1, 2, 3], vec![9, 9], vec![], vec![0; PIECE + 2]] {
            let mut packed = rmp_serde::Serializer::new(Vec::new());
            serde::Serializer::serialize_bytes(&mut packed, &bad).unwrap();
            let packed = packed.into_inner();
            let mut input = rmp_serde::Deserializer::from_read_ref(&packed);
            assert!(read_content::<_, PIECE>(&mut input).is_err(), "{} bytes", bad.len());
        }
    }
}
