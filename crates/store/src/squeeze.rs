//! Bytes made smaller where that is worth anything: rows and texts mostly are, pictures and archives never. What comes back is
//! bounded, whatever the bytes of a hostile side claim to become. Knows nothing of what they mean.

use std::borrow::Cow;
use std::cell::RefCell;

/// What bytes begin with that are as they are.
pub const PLAIN: u8 = 0;
/// What those begin with that were made smaller.
const ZSTD: u8 = 1;

/// Fast: lines are slow, but not that slow.
const LEVEL: i32 = 1;
/// What is compressed already is known by its beginning.
const SAMPLE: usize = 4096;

/// The bytes behind what tells how they are, made smaller if that is worth it.
pub fn packed(bytes: &[u8]) -> Vec<u8> {
    squeezed(bytes).unwrap_or_else(|| [&[PLAIN], bytes].concat())
}

/// The same, if it makes them smaller by an eighth at least.
pub fn squeezed(bytes: &[u8]) -> Option<Vec<u8>> {
    let pays = |small: usize, large: usize| small < large - large / 8;
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    if is_noise(sample) {
        return None;
    }
    let first = compressed(sample).filter(|first| pays(first.len(), sample.len()))?;
    let all = if bytes.len() > SAMPLE { compressed(bytes)? } else { first };
    pays(all.len(), bytes.len()).then(|| [&[ZSTD], all.as_slice()].concat())
}

/// What was packed, if it is that, and is no longer than this; no more room is made than for that.
pub fn unpacked(packed: &[u8], most: usize) -> Option<Cow<'_, [u8]>> {
    match packed.split_first()? {
        (&PLAIN, plain) => Some(plain.into()),
        // Nothing is never packed, and what goes on behind the end is not that.
        (&ZSTD, small) => zstd::bulk::decompress(small, most).ok().filter(|bytes| !bytes.is_empty()).map(Cow::Owned),
        _ => None,
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    /// Bytes that nobody can make smaller.
    pub(crate) fn noise(length: usize) -> Vec<u8> {
        let mut reader = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            reader = reader.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (reader >> 56) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    /// What becomes far more than it is.
    pub(crate) fn bomb() -> Vec<u8> {
        [&[ZSTD], zstd::bulk::compress(&vec![0; 1 << 30], 1).unwrap().as_slice()].concat()
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
    fn bytes_come_back_as_they_were() {
        let mixed = [noise(1 << 10), vec![b'a'; 100 << 10]].concat();
        for bytes in [vec![], vec![1], vec![0; 1 << 20], noise(1 << 16), b"text ".repeat(20_000), mixed] {
            let most = bytes.len().max(1);
            assert_eq!(unpacked(&packed(&bytes), most).unwrap(), bytes);
        }
        assert!(packed(&b"text ".repeat(20_000)).len() < 1000);
        assert_eq!(packed(&noise(1 << 16)).len(), (1 << 16) + 1);
    }

    #[test]
    fn what_was_not_packed_or_is_too_much_is_refused() {
        for bad in [bomb(), vec![ZSTD], vec![ZSTD, 1, 2, 3], vec![9, 9], vec![]] {
            assert!(unpacked(&bad, 1 << 20).is_none(), "{} bytes", bad.len());
        }
        assert!(unpacked(&packed(&[7; 1000]), 999).is_none());
    }
}
