//! The leaves of tables that were read through, kept from a compare's first question to its second, packed as they travel
//! and by super-leaf: a fifth of what they take as nodes. Reads no table.

use std::collections::HashMap;

use sync_core::digest::{Node, Order, Span, pack_nodes, supers, unpack_nodes};
use sync_store::Result;

/// Bytes that are kept of all tables together: those of thirty million rows with short keys. What is beyond is read again.
const ROOM: usize = 32 << 20;

/// The leaves of one table.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// Where each super-leaf ends, and its leaves.
    supers: Vec<(Vec<u8>, Vec<u8>)>,
    size: usize,
    room: usize,
    is_full: bool,
}

impl Packed {
    /// Nothing yet; `taken` bytes are kept of other tables. There is always room for buckets: they are few, and to read
    /// some of them again the whole table is read.
    pub fn with_room(taken: usize, order: Order) -> Self {
        let room = match order {
            Order::Keys => ROOM.saturating_sub(taken),
            Order::Buckets => usize::MAX,
        };
        Packed { room, ..Packed::default() }
    }

    /// Bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Adds leaves that follow those that were added before, whole super-leaves but for the last of a table. Where there is
    /// no room for them nothing is kept at all: leaves that are missing in the middle would look like an end.
    pub fn add(&mut self, leaves: &[Node], order: Order) {
        let mut rest = leaves;
        for node in supers(leaves, order) {
            let own = rest.iter().position(|leaf| leaf.end == node.end).map_or(rest.len(), |last| last + 1);
            let (these, others) = rest.split_at(own);
            self.put(node.end, pack_nodes(these));
            rest = others;
        }
    }

    fn put(&mut self, end: Vec<u8>, leaves: Vec<u8>) {
        self.size += end.len() + leaves.len();
        self.is_full |= self.size > self.room;
        if self.is_full {
            (self.supers, self.size) = (Vec::new(), 0);
        } else {
            self.supers.push((end, leaves));
        }
    }

    /// Where super-leaves end.
    pub fn places(&self) -> HashMap<&[u8], usize> {
        self.supers.iter().enumerate().map(|(i, (end, _))| (end.as_slice(), i)).collect()
    }

    /// The leaves that make up a span; nothing if it does not begin and end with any super-leaf.
    ///
    /// # Errors
    /// None but that of a broken memory: what was packed can be unpacked.
    pub fn within(&self, places: &HashMap<&[u8], usize>, span: &Span) -> Result<Option<Vec<Node>>> {
        let Some(supers) = range(places, span).and_then(|(from, to)| self.supers.get(from..=to)) else {
            return Ok(None);
        };
        let mut all = Vec::new();
        for (_, leaves) in supers {
            all.extend(unpack_nodes(leaves)?);
        }
        Ok(Some(all))
    }
}

/// The leaves that make up a span; nothing if it does not begin and end with any.
pub(crate) fn within<'a>(leaves: &'a [Node], span: &Span) -> Option<&'a [Node]> {
    let places = leaves.iter().enumerate().map(|(i, leaf)| (leaf.end.as_slice(), i)).collect();
    let (from, to) = range(&places, span)?;
    leaves.get(from..=to)
}

fn range(places: &HashMap<&[u8], usize>, span: &Span) -> Option<(usize, usize)> {
    let place = |end: &[u8]| places.get(end).copied();
    let from = if span.after.is_empty() { 0 } else { place(&span.after)? + 1 };
    Some((from, place(&span.upto)?))
}

#[cfg(test)]
mod tests {
    use sync_core::digest::{Cutter, key_hash};

    use super::*;

    /// The leaves of so many rows.
    fn leaves(rows: u64) -> Vec<Node> {
        let mut cutter = Cutter::default();
        for n in 0..rows {
            cutter.add(&n.to_be_bytes(), u128::from(key_hash(&n.to_le_bytes())));
        }
        cutter.finish(Some(b""))
    }

    #[test]
    fn leaves_of_a_span_are_those_that_were_added() {
        let all = leaves(40_000);
        let mut packed = Packed::with_room(0, Order::Keys);
        packed.add(&all, Order::Keys);
        let ends: Vec<Vec<u8>> = supers(&all, Order::Keys).into_iter().map(|node| node.end).collect();
        assert!(ends.len() > 3);
        let places = packed.places();
        for (after, upto) in [(vec![], &ends[0]), (ends[0].clone(), &ends[2]), (ends[1].clone(), &vec![])] {
            let span = Span { after, upto: upto.clone() };
            assert_eq!(packed.within(&places, &span).unwrap().as_deref(), within(&all, &span));
        }
        let unknown = Span { after: vec![1], upto: vec![] };
        assert_eq!(packed.within(&places, &unknown).unwrap(), None);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let all = leaves(20_000);
        let mut packed = Packed::with_room(ROOM - 1000, Order::Keys);
        packed.add(&all, Order::Keys);
        let whole = Span::default();
        assert_eq!(packed.within(&packed.places(), &whole).unwrap(), None);
        assert_eq!(packed.size(), 0);
    }
}
