//! The hash of a content as a whole, beside other work with its bytes: these come in blocks, and of a large content all but the
//! first of them are hashed on a thread of its own. Few blocks are on the way at any moment. Reads and writes nothing.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use sync_store::Hash;

/// Bytes of a block. As a power of two, all of it is hashed in the widest registers there are.
pub(crate) const BLOCK: usize = 512 * 1024;
/// So many blocks are not worth a thread.
const FEW: usize = 4;
/// Blocks that are on the way.
const AHEAD: usize = 4;

/// A content that is being hashed.
#[derive(Default)]
pub(crate) struct Whole {
    hasher: blake3::Hasher,
    size: u64,
    blocks: usize,
    beside: Option<Beside>,
    free: Vec<Vec<u8>>,
}

/// The thread that hashes, and the blocks on their way there and back.
struct Beside {
    to: SyncSender<Arc<Vec<u8>>>,
    back: Receiver<Arc<Vec<u8>>>,
    away: usize,
    thread: JoinHandle<blake3::Hasher>,
}

impl Beside {
    fn begin(mut hasher: blake3::Hasher) -> io::Result<Self> {
        let (to, blocks) = sync_channel::<Arc<Vec<u8>>>(AHEAD);
        let (done, back) = channel();
        let work = move || {
            for block in blocks {
                hasher.update(&block);
                // Nobody may need it any more.
                let _ = done.send(block);
            }
            hasher
        };
        let thread = std::thread::Builder::new().spawn(work)?;
        Ok(Beside { to, back, away: 0, thread })
    }
}

impl Whole {
    /// A block to be filled, of whatever content.
    pub(crate) fn block(&mut self) -> Vec<u8> {
        if let Some(beside) = self.beside.as_mut().filter(|beside| beside.away >= AHEAD)
            && let Ok(block) = beside.back.recv()
        {
            beside.away -= 1;
            self.free.extend(Arc::try_unwrap(block));
        }
        let mut block = self.free.pop().unwrap_or_default();
        block.resize(BLOCK, 0);
        block
    }

    /// Goes on with a block, which is full unless it is the last one.
    pub(crate) fn add(&mut self, block: &Arc<Vec<u8>>) -> io::Result<()> {
        (self.size, self.blocks) = (self.size + block.len() as u64, self.blocks + 1);
        if self.blocks > FEW && self.beside.is_none() {
            self.beside = Beside::begin(self.hasher.clone()).ok();
        }
        let Some(beside) = &mut self.beside else {
            self.hasher.update(block);
            return Ok(());
        };
        beside.away += 1;
        beside.to.send(Arc::clone(block)).map_err(|_| ended_early())
    }

    /// A block that was added and is not needed any more.
    pub(crate) fn give_back(&mut self, block: Arc<Vec<u8>>) {
        self.free.extend(Arc::try_unwrap(block));
    }

    /// The hash of all that was added, and how much that is.
    pub(crate) fn end(self) -> io::Result<(Hash, u64)> {
        let hasher = match self.beside {
            None => self.hasher,
            Some(Beside { to, thread, .. }) => {
                drop(to);
                thread.join().map_err(|_| ended_early())?
            }
        };
        Ok((Hash(*hasher.finalize().as_bytes()), self.size))
    }
}

fn ended_early() -> io::Error {
    io::Error::other("a thread ended early")
}

/// Reads until a block is full or the reader ends.
pub(crate) fn fill(reader: &mut impl Read, block: &mut Vec<u8>) -> io::Result<()> {
    let mut length = 0;
    while length < block.len() {
        match reader.read(&mut block[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    block.truncate(length);
    Ok(())
}

/// Passes on all that a reader gives, and says what its hash is.
pub(crate) fn each<E: From<io::Error>>(
    reader: &mut impl Read,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(Hash, u64), E> {
    let mut whole = Whole::default();
    loop {
        let mut block = whole.block();
        fill(reader, &mut block)?;
        if block.is_empty() {
            return Ok(whole.end()?);
        }
        let block = Arc::new(block);
        whole.add(&block)?;
        sink(&block)?;
        whole.give_back(block);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_all_blocks_in_order() {
        for size in [0, 1, BLOCK, BLOCK + 1, FEW * BLOCK, FEW * BLOCK + 1, 20 * BLOCK + 12345] {
            let mut rng = fastrand::Rng::with_seed(size as u64);
            let data: Vec<u8> = (0..size).map(|_| rng.u8(..)).collect();
            let mut passed = Vec::new();
            let found = each::<io::Error>(&mut data.as_slice(), |bytes| {
                passed.extend_from_slice(bytes);
                Ok(())
            });
            assert_eq!(found.unwrap(), (Hash(*blake3::hash(&data).as_bytes()), size as u64));
            assert!(passed == data);
        }
    }

    #[test]
    fn one_that_is_given_up_ends() {
        let mut left = 10;
        let found = each::<io::Error>(&mut io::repeat(7), |_| {
            left -= 1;
            if left == 0 { Err(io::Error::other("enough")) } else { Ok(()) }
        });
        assert_eq!(found.unwrap_err().to_string(), "enough");
    }
}
