//! The stories, by what they are about.

pub mod changes;
pub mod conflicts;
pub mod constraints;
pub mod contact;
pub mod counters;
pub mod declared;
pub mod graves;
pub mod interruption;
pub mod keys;
pub mod rekeying;
pub mod restore;
pub mod safety;
pub mod schemas;
pub mod scrub;
pub mod sizes;
pub mod topology;
pub mod triggers;

/// The link of two sites.
pub(crate) const PAIR: [(usize, usize); 1] = [(0, 1)];
/// The links of three sites in a ring.
pub(crate) const RING: [(usize, usize); 3] = [(0, 1), (1, 2), (2, 0)];
