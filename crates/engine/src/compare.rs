//! Finding the rows in which two stores differ, in bounded memory and whatever the order in which each side sorts
//! its keys: a hash join over temporary files. Both sides' rows are spread over files by a hash of their key; then
//! each file is small enough to be compared in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

use sync_core::{Value, codec, key};
use sync_store::Batch;

use crate::error::{EngineError, Kind, Result};

/// How many files rows are spread over: with 256, ten million rows take about 4 MiB at a time.
const PARTS: usize = 256;

/// Which store a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The master's.
    Master = 0,
    /// The slave's.
    Slave = 1,
}

/// The rows of one table on both sides, reduced to key and hash.
pub struct Spool {
    parts: Vec<Option<BufWriter<File>>>,
}

/// Keys in which the sides differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// On both sides, with other values.
    pub differing: Vec<Vec<Value>>,
    /// Only at the master.
    pub only_master: Vec<Vec<Value>>,
    /// Only at the slave.
    pub only_slave: Vec<Vec<Value>>,
}

impl Spool {
    /// An empty spool, in files without a name.
    pub fn new() -> Result<Self> {
        Ok(Spool { parts: (0..PARTS).map(|_| None).collect() })
    }

    /// Adds the live rows of a batch. Each side may have its columns in another order.
    pub fn add(&mut self, side: Side, batch: &Batch) -> Result<()> {
        let orders: Vec<Vec<usize>> = batch.heads.iter().map(|h| by_name(&h.columns)).collect();
        for change in batch.changes.iter().filter(|c| c.row.state.is_live()) {
            let values = change.row.values.as_deref().unwrap_or_default();
            let order = orders.get(change.table).map(Vec::as_slice).unwrap_or_default();
            let sorted: Vec<Value> = order.iter().map(|i| values.get(*i).cloned().unwrap_or_default()).collect();
            let hash = blake3::hash(&codec::pack_values(&sorted));
            self.put(side, &key::pack(&change.key), &hash.as_bytes()[..16]).map_err(|e| disk(&e))?;
        }
        Ok(())
    }

    fn put(&mut self, side: Side, key: &[u8], hash: &[u8]) -> std::io::Result<()> {
        let part = &mut self.parts[usize::from(blake3::hash(key).as_bytes()[0]) % PARTS];
        if part.is_none() {
            *part = Some(BufWriter::with_capacity(4096, tempfile::tempfile()?));
        }
        let Some(part) = part else { return Ok(()) };
        part.write_all(&[side as u8])?;
        part.write_all(&(key.len() as u32).to_be_bytes())?;
        part.write_all(key)?;
        part.write_all(hash)
    }

    /// Compares, part by part.
    pub fn compare(self, mut each: impl FnMut(Differences) -> Result<()>) -> Result<()> {
        for part in self.parts.into_iter().flatten() {
            let mut file = part.into_inner().map_err(|e| disk(e.error()))?;
            file.rewind().map_err(|e| disk(&e))?;
            each(compare_part(BufReader::new(file))?)?;
        }
        Ok(())
    }
}

/// The positions of columns in the order of their names.
fn by_name(columns: &[String]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|i| &columns[*i]);
    order
}

/// By key: the hash at each side.
type Pairs = HashMap<Vec<u8>, [Option<[u8; 16]>; 2]>;

fn compare_part(mut file: impl Read) -> Result<Differences> {
    let mut pairs = Pairs::new();
    while read_one(&mut file, &mut pairs).map_err(|e| disk(&e))? {}
    let mut differences = Differences::default();
    for (packed, sides) in pairs {
        let list = match sides {
            [Some(a), Some(b)] if a == b => continue,
            [Some(_), Some(_)] => &mut differences.differing,
            [Some(_), None] => &mut differences.only_master,
            _ => &mut differences.only_slave,
        };
        list.push(key::unpack(&packed).map_err(sync_store::StoreError::from)?);
    }
    Ok(differences)
}

fn read_one(file: &mut impl Read, pairs: &mut Pairs) -> std::io::Result<bool> {
    let mut side = [0u8];
    if file.read(&mut side)? == 0 {
        return Ok(false);
    }
    let mut length = [0u8; 4];
    file.read_exact(&mut length)?;
    let mut key = vec![0u8; u32::from_be_bytes(length) as usize];
    file.read_exact(&mut key)?;
    let mut hash = [0u8; 16];
    file.read_exact(&mut hash)?;
    pairs.entry(key).or_default()[usize::from(side[0] & 1)] = Some(hash);
    Ok(true)
}

fn disk(error: &std::io::Error) -> EngineError {
    EngineError::new(Kind::Failure, format!("cannot write temporary files for the compare: {error}"))
        .hint("free some space in the temporary folder (TMPDIR): about 60 bytes a row are needed")
}

#[cfg(test)]
mod tests;
