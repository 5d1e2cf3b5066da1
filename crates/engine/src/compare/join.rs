//! Joining the rows of one span by key, whatever the order they come in: in memory while they are few, else over temporary
//! files, each of which is small enough to be compared in memory.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

use sync_core::digest::{RowHash, key_hash};

use super::{SIDES, Side};
use crate::error::{EngineError, Kind, Result};

/// Rows of both sides together that are joined in memory: about 20 MiB.
const FEW: usize = 200_000;

/// How many files rows are spread over: with 256, ten million rows take about 4 MiB at a time.
const PARTS: usize = 256;

/// The rows of both sides.
#[derive(Default)]
pub(super) struct Join {
    rows: [Vec<RowHash>; SIDES],
    spool: Option<Spool>,
}

impl Join {
    /// Adds rows of a side.
    pub fn add(&mut self, side: Side, rows: Vec<RowHash>) -> Result<()> {
        if let Some(spool) = &mut self.spool {
            return spool.add(side, &rows);
        }
        self.rows[side as usize].extend(rows);
        if self.rows.iter().map(Vec::len).sum::<usize>() > FEW {
            let mut spool = Spool::new()?;
            spool.add(Side::Master, &std::mem::take(&mut self.rows[0]))?;
            spool.add(Side::Slave, &std::mem::take(&mut self.rows[1]))?;
            self.spool = Some(spool);
        }
        Ok(())
    }

    /// Calls `each` with the packed key of every row that is not the same on both sides.
    pub fn finish(self, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match self.spool {
            Some(spool) => spool.finish(each),
            None => {
                let [master, slave] = self.rows;
                differing(master, slave, each)
            }
        }
    }
}

fn differing(master: Vec<RowHash>, slave: Vec<RowHash>, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut left: HashMap<Vec<u8>, u64> = master.into_iter().map(|row| (row.key, row.hash)).collect();
    for row in slave {
        if left.remove(&row.key) != Some(row.hash) {
            each(&row.key)?;
        }
    }
    left.keys().try_for_each(|key| each(key))
}

/// Rows spread over files by a hash of their key.
struct Spool {
    parts: Vec<BufWriter<File>>,
}

impl Spool {
    /// In files without a name.
    fn new() -> Result<Self> {
        let part = |_| tempfile::tempfile().map(|f| BufWriter::with_capacity(4096, f)).map_err(|e| disk(&e));
        Ok(Spool { parts: (0..PARTS).map(part).collect::<Result<_>>()? })
    }

    fn add(&mut self, side: Side, rows: &[RowHash]) -> Result<()> {
        rows.iter().try_for_each(|row| self.put(side, row).map_err(|e| disk(&e)))
    }

    fn put(&mut self, side: Side, row: &RowHash) -> std::io::Result<()> {
        let part = &mut self.parts[key_hash(&row.key) as usize % PARTS];
        part.write_all(&[side as u8])?;
        part.write_all(&(row.key.len() as u32).to_be_bytes())?;
        part.write_all(&row.key)?;
        part.write_all(&row.hash.to_be_bytes())
    }

    fn finish(self, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for part in self.parts {
            let mut file = part.into_inner().map_err(|e| disk(e.error()))?;
            file.rewind().map_err(|e| disk(&e))?;
            let [master, slave] = read(BufReader::new(file)).map_err(|e| disk(&e))?;
            differing(master, slave, each)?;
        }
        Ok(())
    }
}

fn read(mut file: impl Read) -> std::io::Result<[Vec<RowHash>; SIDES]> {
    let mut rows: [Vec<RowHash>; SIDES] = Default::default();
    let mut side = [0u8];
    while file.read(&mut side)? > 0 {
        let mut length = [0u8; 4];
        file.read_exact(&mut length)?;
        let mut key = vec![0u8; u32::from_be_bytes(length) as usize];
        file.read_exact(&mut key)?;
        let mut hash = [0u8; 8];
        file.read_exact(&mut hash)?;
        rows[usize::from(side[0] & 1)].push(RowHash { key, hash: u64::from_be_bytes(hash) });
    }
    Ok(rows)
}

/// Keys, each once, in the order in which they were found; on disk, if they are many.
pub(crate) struct Keys {
    file: BufWriter<tempfile::SpooledTempFile>,
    count: u64,
    /// A key can turn up in two spans if the sides sort differently against expectation.
    known: HashSet<u64>,
}

/// How many keys are remembered.
const REMEMBERED: usize = 1 << 19;

impl Default for Keys {
    fn default() -> Self {
        Keys {
            file: BufWriter::with_capacity(4096, tempfile::spooled_tempfile(1 << 20)),
            count: 0,
            known: HashSet::new(),
        }
    }
}

impl Keys {
    /// Adds a packed key.
    pub fn add(&mut self, key: &[u8]) -> Result<()> {
        if self.known.len() < REMEMBERED && !self.known.insert(key_hash(key)) {
            return Ok(());
        }
        self.count += 1;
        let length = (key.len() as u32).to_be_bytes();
        self.file.write_all(&length).and_then(|()| self.file.write_all(key)).map_err(|e| disk(&e))
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// For reading them back.
    pub fn rewound(self) -> Result<KeyReader> {
        let mut file = self.file.into_inner().map_err(|e| disk(e.error()))?;
        file.rewind().map_err(|e| disk(&e))?;
        Ok(KeyReader { file: BufReader::new(file), left: self.count })
    }
}

/// Reads keys back.
pub(crate) struct KeyReader {
    file: BufReader<tempfile::SpooledTempFile>,
    left: u64,
}

impl KeyReader {
    /// The next ones, at most so many; none at the end.
    pub fn next(&mut self, size: u64) -> Result<Vec<Vec<u8>>> {
        let take = self.left.min(size);
        self.left -= take;
        (0..take).map(|_| read_key(&mut self.file).map_err(|e| disk(&e))).collect()
    }
}

fn read_key(file: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0u8; 4];
    file.read_exact(&mut length)?;
    let mut key = vec![0u8; u32::from_be_bytes(length) as usize];
    file.read_exact(&mut key)?;
    Ok(key)
}

fn disk(error: &std::io::Error) -> EngineError {
    EngineError::new(Kind::Failure, format!("cannot write temporary files for the compare: {error}"))
        .hint("free some space in the temporary folder (TMPDIR): about 60 bytes a row are needed")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn row(key: u32, hash: u64) -> RowHash {
        RowHash { key: key.to_be_bytes().to_vec(), hash }
    }

    fn joined(master: Vec<RowHash>, slave: Vec<RowHash>) -> BTreeSet<Vec<u8>> {
        let mut join = Join::default();
        // In pieces that alternate, as they come.
        for chunk in master.chunks(1000) {
            join.add(Side::Master, chunk.to_vec()).unwrap();
        }
        for chunk in slave.chunks(1000) {
            join.add(Side::Slave, chunk.to_vec()).unwrap();
        }
        let mut found = BTreeSet::new();
        let mut each = |key: &[u8]| {
            assert!(found.insert(key.to_vec()), "a key is found once");
            Ok(())
        };
        join.finish(&mut each).unwrap();
        found
    }

    #[test]
    fn few_and_many_rows_are_joined_alike() {
        for rows in [0, 10, FEW as u32] {
            let master: Vec<RowHash> = (0..rows).map(|n| row(n, 1)).collect();
            let mut slave: Vec<RowHash> = master.iter().rev().cloned().collect();
            slave.retain(|r| r.key != 3u32.to_be_bytes());
            slave.push(row(rows + 7, 1));
            slave.iter_mut().filter(|r| r.key == 5u32.to_be_bytes()).for_each(|r| r.hash = 2);
            let differ: BTreeSet<Vec<u8>> =
                [3, 5].into_iter().filter(|n| *n < rows).chain([rows + 7]).map(|n| n.to_be_bytes().to_vec()).collect();
            assert_eq!(joined(master, slave), differ);
        }
    }

    #[test]
    fn keys_come_back_in_chunks() {
        let mut keys = Keys::default();
        let all: Vec<Vec<u8>> =
            (0..300_000u32).map(|n| [&n.to_be_bytes()[..], &vec![7; (n % 5) as usize]].concat()).collect();
        all.iter().chain(&all[..10]).try_for_each(|k| keys.add(k)).unwrap();
        assert_eq!(keys.count(), 300_000);
        let mut reader = keys.rewound().unwrap();
        let chunks = std::iter::from_fn(|| Some(reader.next(7_000).unwrap()).filter(|chunk| !chunk.is_empty()));
        let back: Vec<Vec<u8>> = chunks.inspect(|chunk| assert!(chunk.len() <= 7_000)).flatten().collect();
        assert_eq!(back, all);
    }
}
