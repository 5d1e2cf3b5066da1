//! Cutting a content into chunks where the content itself says so (FastCDC, Xia et al. 2016, with normalised chunking):
//! what is inserted or removed moves no cut but those next to it. Pure.
//!
//! Sizes and table are part of the exchange: both sides must cut alike. Changing them is another protocol version.

use std::io::{self, Read};
use std::sync::LazyLock;

use sync_store::Hash;
use sync_store::contents::{Chunk, PIECE};

/// The smallest chunk but the last one.
pub const MIN: usize = 16 * 1024;
/// Around this size cuts become easier.
const AVERAGE: usize = 64 * 1024;
/// The largest chunk.
const MAX: usize = PIECE;

/// Before the average, two bits more than its logarithm have to be zero; behind it, two less. They are spread, so that
/// the window is wide.
const HARD: u64 = spread(18);
const EASY: u64 = spread(14);

/// So many of the upper bits, every third one left out.
const fn spread(bits: u32) -> u64 {
    let (mut mask, mut left, mut at) = (0, bits, 63);
    while left > 0 {
        if at % 3 != 0 {
            mask |= 1 << at;
            left -= 1;
        }
        at -= 1;
    }
    mask
}

/// Random numbers that are the same everywhere.
static GEAR: LazyLock<[u64; 256]> = LazyLock::new(|| {
    let mut reader = blake3::Hasher::new_derive_key("server_sync gear 1").finalize_xof();
    std::array::from_fn(|_| {
        let mut bytes = [0; 8];
        reader.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    })
});

/// The length of the first chunk of `data`, which goes on for [`MAX`] bytes or to the end of the content.
fn cut(data: &[u8]) -> usize {
    let gear = &*GEAR;
    let end = data.len().min(MAX);
    let mut hash = 0_u64;
    for (at, byte) in data[..end].iter().enumerate().skip(MIN) {
        hash = (hash << 1).wrapping_add(gear[usize::from(*byte)]);
        let mask = if at < AVERAGE { HARD } else { EASY };
        if hash & mask == 0 {
            return at;
        }
    }
    end
}

/// Cuts all that a reader gives, and passes each chunk on with its bytes.
pub fn each<E: From<io::Error>>(
    mut reader: impl Read,
    mut sink: impl FnMut(Chunk, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = Vec::with_capacity(4 * MAX);
    let (mut start, mut offset) = (0, 0);
    loop {
        if buffer.len() - start < MAX {
            buffer.drain(..start);
            start = 0;
            let room = 4 * MAX - buffer.len();
            reader.by_ref().take(room as u64).read_to_end(&mut buffer)?;
        }
        let data = &buffer[start..];
        if data.is_empty() {
            return Ok(());
        }
        let bytes = &data[..cut(data)];
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        sink(Chunk { offset, size, hash: Hash(*blake3::hash(bytes).as_bytes()) }, bytes)?;
        start += bytes.len();
        offset += u64::from(size);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn random(length: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(7);
        (0..length).map(|_| rng.u8(..)).collect()
    }

    fn chunks(data: &[u8]) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut whole = Vec::new();
        each::<io::Error>(data, |chunk, bytes| {
            chunks.push(chunk);
            whole.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
        assert!(whole == data);
        chunks
    }

    #[test]
    fn sizes_are_bounded_and_about_the_average() {
        let data = random(8 << 20);
        let chunks = chunks(&data);
        let sizes: Vec<usize> = chunks.iter().map(|c| c.size as usize).collect();
        assert!(sizes[..sizes.len() - 1].iter().all(|s| (MIN..=MAX).contains(s)));
        let average = data.len() / sizes.len();
        assert!((AVERAGE / 2..AVERAGE * 2).contains(&average), "{average}");
    }

    #[test]
    fn an_insertion_moves_few_cuts() {
        let old = random(4 << 20);
        let mut new = old.clone();
        new.splice(1_500_000..1_500_000, random(1000));
        let known: HashSet<Hash> = chunks(&old).iter().map(|c| c.hash).collect();
        let sent: u64 = chunks(&new).iter().filter(|c| !known.contains(&c.hash)).map(|c| u64::from(c.size)).sum();
        assert!(sent > 0 && sent < 3 * MAX as u64, "{sent}");
    }

    #[test]
    fn everything_alike_is_cut_at_the_most() {
        assert!(chunks(&vec![0; 3 * MAX + 5]).iter().map(|c| c.size as usize).eq([MAX, MAX, MAX, 5]));
        assert!(chunks(b"").is_empty());
        assert_eq!(chunks(b"x").len(), 1);
    }

    /// The cuts are part of the exchange.
    #[test]
    fn cuts_never_change() {
        let offsets: Vec<u64> = chunks(&random(600_000)).iter().map(|c| c.offset).collect();
        assert_eq!(offsets, CUTS);
    }

    const CUTS: [u64; 9] = [0, 83456, 153_001, 220_080, 290_167, 427_817, 503_396, 571_478, 589_140];
}
