//! The digest tree of a table: its rows in key order, cut into leaves and super-leaves of which only a count and a sum of
//! hashes are kept. Two tables are equal exactly if their sums are; where they are not, the differing leaves tell where.
//!
//! Cuts depend on nothing but the keys, so both sides cut alike without talking, and a row more or less moves no cut but
//! its own. Sums are wrapping additions of 128-bit hashes: unlike XOR of a CRC, equal changes in several rows do not
//! cancel out. Nothing here reads a table, and nothing decides what becomes of a difference.

mod cells;
mod wire;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub use cells::{Cells, fold};
pub use wire::{pack_nodes, pack_rows, unpack_nodes, unpack_rows};

/// A leaf ends at one key in so many.
pub const LEAF: u64 = 32;
/// A super-leaf ends at one key in so many; every end of one is the end of a leaf.
pub const SUPER: u64 = 4096;

/// What decides where rows are cut: the same for equal keys, and never a collation's opinion.
pub fn key_hash(packed: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(packed)
}

/// The rows up to a key, from behind the end of the node before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The packed key of the last row; empty if there is no end but that of the table.
    pub end: Vec<u8>,
    /// How many rows.
    pub rows: u64,
    /// The sum of their hashes.
    pub sum: u128,
}

impl Node {
    fn add(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    fn join(&mut self, other: &Node) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
        self.end.clone_from(&other.end);
    }

    fn ends_super(&self) -> bool {
        key_hash(&self.end).is_multiple_of(SUPER)
    }
}

/// A row as it is compared one by one: packed key, and a part of its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowHash {
    /// The packed key.
    pub key: Vec<u8>,
    /// Half of the hash.
    pub hash: u64,
}

/// Cuts rows, given in key order, into leaves.
#[derive(Debug, Default)]
pub struct Cutter {
    leaves: Vec<Node>,
    open: Node,
    /// Where the last leaf that was taken ended.
    taken: Vec<u8>,
}

impl Cutter {
    /// Adds the next row; says whether a super-leaf ended with it.
    pub fn add(&mut self, key: &[u8], hash: u128) -> bool {
        self.open.add(hash);
        let cut = key_hash(key);
        if cut.is_multiple_of(LEAF) {
            self.open.end = key.to_vec();
            self.leaves.push(std::mem::take(&mut self.open));
        }
        cut.is_multiple_of(SUPER)
    }

    /// The leaves so far that were not taken yet. Who takes them whenever a super-leaf ends never holds more than those of
    /// one.
    pub fn take(&mut self) -> Vec<Node> {
        if let Some(last) = self.leaves.last() {
            self.taken.clone_from(&last.end);
        }
        std::mem::take(&mut self.leaves)
    }

    /// The rest of the leaves; the last one, which may be empty, ends at `upto`, the end of what was to be read. `None`:
    /// reading stopped at a cut.
    pub fn finish(mut self, upto: Option<&[u8]>) -> Vec<Node> {
        if let Some(end) = upto {
            let is_whole = !self.is_new() && self.last_end() == end && self.open.rows == 0;
            if !is_whole {
                self.leaves.push(Node { end: end.to_vec(), ..self.open });
            }
        }
        self.leaves
    }

    /// Whether no leaf has ended yet.
    fn is_new(&self) -> bool {
        self.leaves.is_empty() && self.taken.is_empty()
    }

    fn last_end(&self) -> &[u8] {
        self.leaves.last().map_or(&self.taken, |last| &last.end)
    }
}

/// How many bits of a key's hash number the bucket it falls into.
const BUCKET_BITS: u32 = 16;
/// Buckets in a super-leaf.
const BUCKETS: u32 = 64;

/// The bucket of a key, as bytes that sort like its number; takes the place of keys where both sides sort those
/// differently.
pub fn bucket(key: &[u8]) -> [u8; 4] {
    ((key_hash(key) >> (64 - BUCKET_BITS)) as u32 + 1).to_be_bytes()
}

/// Spreads rows, in any order, over leaves by a hash of their key.
pub struct Buckets(Vec<(u64, u128)>);

impl Default for Buckets {
    fn default() -> Self {
        Buckets(vec![(0, 0); 1 << BUCKET_BITS])
    }
}

impl Buckets {
    /// Adds a row.
    pub fn add(&mut self, key: &[u8], hash: u128) {
        let (rows, sum) = &mut self.0[(u32::from_be_bytes(bucket(key)) - 1) as usize];
        *rows += 1;
        *sum = sum.wrapping_add(hash);
    }

    /// The leaves that are not empty, and where super-leaves end; then one without rows that ends with the table.
    pub fn finish(self) -> Vec<Node> {
        let mut leaves = Vec::new();
        for (number, (rows, sum)) in (1u32..).zip(self.0) {
            if rows > 0 || number.is_multiple_of(BUCKETS) {
                leaves.push(Node { end: number.to_be_bytes().to_vec(), rows, sum });
            }
        }
        leaves.push(Node::default());
        leaves
    }
}

/// Joins leaves to super-leaves.
pub fn supers(leaves: &[Node], order: Order) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut open = Node::default();
    for (i, leaf) in leaves.iter().enumerate() {
        open.join(leaf);
        if i + 1 == leaves.len() || order.ends_super(leaf) {
            nodes.push(std::mem::take(&mut open));
        }
    }
    nodes
}

/// In what order rows come, and so what the ends of nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// By key; both sides sort keys alike.
    Keys,
    /// By a hash of the key, whatever order either side sorts in.
    Buckets,
}

impl Order {
    fn ends_super(self, leaf: &Node) -> bool {
        match (self, <[u8; 4]>::try_from(leaf.end.as_slice())) {
            (Order::Keys, _) => leaf.ends_super(),
            (Order::Buckets, Ok(number)) => u32::from_be_bytes(number).is_multiple_of(BUCKETS),
            (Order::Buckets, Err(_)) => true,
        }
    }
}

/// What lies behind one end, up to another; an empty one is the beginning or the end of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Not with this key any more.
    pub after: Vec<u8>,
    /// With this key.
    pub upto: Vec<u8>,
}

/// Where two lists of nodes over the same span, that begins behind `after`, differ; both end with the span. Wherever the sides do not have an end
/// in common the span goes on to the next that they have. No span is left out that holds a difference, even if the sides
/// sort differently against expectation: then spans are merely longer.
pub fn differing(after: &[u8], ours: &[Node], theirs: &[Node]) -> Vec<Span> {
    let places: HashMap<&[u8], usize> = theirs.iter().enumerate().map(|(i, n)| (n.end.as_slice(), i)).collect();
    let mut spans = Vec::new();
    let mut after = after;
    let mut next = 0;
    let mut open = Node::default();
    for (i, node) in ours.iter().enumerate() {
        open.join(node);
        let until = match places.get(node.end.as_slice()) {
            _ if i + 1 == ours.len() => theirs.len(),
            Some(place) if *place >= next => place + 1,
            _ => continue,
        };
        let mut other = Node::default();
        theirs[next..until].iter().for_each(|n| other.join(n));
        if (open.rows, open.sum) != (other.rows, other.sum) {
            spans.push(Span { after: after.to_vec(), upto: node.end.clone() });
        }
        (after, next, open) = (&node.end, until, Node::default());
    }
    spans
}

#[cfg(test)]
mod tests;
