//! Cutting a content into chunks where the content itself says so (FastCDC, Xia et al. 2016, with normalised chunking):
//! what is inserted or removed moves no cut but those next to it.
//!
//! Sizes and table are part of the exchange: both sides must cut alike. Changing them is another protocol version.

use std::io::{self, Read};
use std::sync::LazyLock;

use sync_store::Hash;
use sync_store::contents::{Chunk, PIECE};

use crate::whole;

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

/// Cuts a content that comes piece by piece.
#[derive(Default)]
struct Cutter {
    /// Where the chunk begins that is not complete, and how much of it came.
    offset: u64,
    length: usize,
    gear: u64,
    hasher: blake3::Hasher,
}

impl Cutter {
    /// Goes on with the content; passes on what chunks end.
    fn feed<E>(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Chunk) -> Result<(), E>) -> Result<(), E> {
        while !bytes.is_empty() {
            let cut = self.cut(bytes);
            let (part, rest) = bytes.split_at(cut.unwrap_or(bytes.len()));
            self.hasher.update(part);
            self.length += part.len();
            if cut.is_some() {
                sink(self.end())?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Where in these bytes the chunk ends, if it does.
    fn cut(&mut self, bytes: &[u8]) -> Option<usize> {
        let [min, average, max] = [MIN, AVERAGE, MAX].map(|to| to.saturating_sub(self.length).min(bytes.len()));
        for (range, mask) in [(min..average, HARD), (average..max, EASY)] {
            if let Some(at) = roll(&mut self.gear, &bytes[range.clone()], mask) {
                return Some(range.start + at);
            }
        }
        (self.length + max == MAX).then_some(max)
    }

    /// The chunk that ends here; the next one begins.
    fn end(&mut self) -> Chunk {
        let size = u32::try_from(self.length).unwrap_or(u32::MAX);
        let chunk = Chunk { offset: self.offset, size, hash: Hash(*self.hasher.finalize().as_bytes()) };
        self.hasher.reset();
        (self.offset, self.length, self.gear) = (self.offset + u64::from(size), 0, 0);
        chunk
    }
}

/// Rolls over these bytes up to the first at which the mask says so.
fn roll(gear: &mut u64, bytes: &[u8], mask: u64) -> Option<usize> {
    let table = &*GEAR;
    let passed = roll_by_four(table, gear, bytes, mask);
    let mut hash = *gear;
    // At most a few bytes.
    let found = bytes[passed..].iter().position(|byte| {
        hash = (hash << 1).wrapping_add(table[usize::from(*byte)]);
        hash & mask == 0
    });
    *gear = hash;
    found.map(|at| passed + at)
}

/// The same, four at a time, so that no step waits for the one before; says behind how many bytes the mask is near or they end.
fn roll_by_four(table: &[u64; 256], gear: &mut u64, bytes: &[u8], mask: u64) -> usize {
    let mut passed = 0;
    for [a, b, c, d] in bytes.as_chunks::<4>().0 {
        let [a, b, c, d] =
            [table[usize::from(*a)], table[usize::from(*b)], table[usize::from(*c)], table[usize::from(*d)]];
        let ab = (a << 1).wrapping_add(b);
        let abc = (ab << 1).wrapping_add(c);
        let abcd = (abc << 1).wrapping_add(d);
        let hash = |bytes: u32, sum: u64| (*gear << bytes).wrapping_add(sum);
        let next = hash(4, abcd);
        if hash(1, a) & mask == 0 || hash(2, ab) & mask == 0 || hash(3, abc) & mask == 0 || next & mask == 0 {
            break;
        }
        *gear = next;
        passed += 4;
    }
    passed
}

/// Cuts all that a reader gives, and passes each chunk on; says what the hash of the whole is, and its size.
pub fn each<E: From<io::Error>>(
    mut reader: impl Read,
    mut sink: impl FnMut(Chunk) -> Result<(), E>,
) -> Result<(Hash, u64), E> {
    let mut cutter = Cutter::default();
    let found = whole::each(&mut reader, |bytes| cutter.feed(bytes, &mut sink))?;
    if cutter.length > 0 {
        sink(cutter.end())?;
    }
    Ok(found)
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
        let found = each::<io::Error>(data, |chunk| {
            chunks.push(chunk);
            Ok(())
        });
        assert_eq!(found.unwrap(), (Hash(*blake3::hash(data).as_bytes()), data.len() as u64));
        let mut end = 0;
        for chunk in &chunks {
            assert_eq!(chunk.offset, end);
            end += u64::from(chunk.size);
            let bytes = &data[chunk.offset as usize..end as usize];
            assert_eq!(blake3::hash(bytes), chunk.hash.0);
        }
        assert_eq!(end, data.len() as u64);
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

    /// What rolling four bytes at a time has to come to.
    #[test]
    fn cuts_are_where_each_byte_by_itself_says_so() {
        let data = random(8 << 20);
        let (mut cuts, mut start) = (vec![0], 0);
        while start < data.len() {
            let (mut hash, mut end) = (0_u64, MIN);
            while end < MAX && start + end < data.len() {
                hash = (hash << 1).wrapping_add(GEAR[usize::from(data[start + end])]);
                if hash & if end < AVERAGE { HARD } else { EASY } == 0 {
                    break;
                }
                end += 1;
            }
            start = data.len().min(start + end);
            cuts.push(start as u64);
        }
        assert!(chunks(&data).iter().map(|chunk| chunk.offset).eq(cuts[..cuts.len() - 1].iter().copied()));
    }

    /// However the pieces fall in which it comes.
    #[test]
    fn pieces_make_no_difference() {
        let data = [random(900_000), vec![0; 2 * MAX], random(300_000)].concat();
        let all = chunks(&data);
        for size in [1, 1000, MIN, MAX - 1, MAX, MAX + 1] {
            let (mut cutter, mut found) = (Cutter::default(), Vec::new());
            for piece in data.chunks(size) {
                let kept: Result<(), ()> = cutter.feed(piece, &mut |chunk| {
                    found.push(chunk);
                    Ok(())
                });
                kept.unwrap();
            }
            found.push(cutter.end());
            assert!(found == all, "{size}");
        }
    }

    /// The cuts are part of the exchange.
    #[test]
    fn cuts_never_change() {
        let offsets: Vec<u64> = chunks(&random(600_000)).iter().map(|c| c.offset).collect();
        assert_eq!(offsets, CUTS);
    }

    const CUTS: [u64; 9] = [0, 83456, 153_001, 220_080, 290_167, 427_817, 503_396, 571_478, 589_140];
}
