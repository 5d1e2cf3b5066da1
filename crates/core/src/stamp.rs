//! When and where a cell was written: one totally ordered integer. Never reads a clock.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The number of a site, 1 to 4095, unique in the network. 0 means "no site" and belongs to the baseline only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct SiteId(u16);

/// A site number outside 1..=4095.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("site number {0} is not between 1 and 4095")]
pub struct BadSite(pub u64);

impl SiteId {
    /// The site of the baseline: rows that were there before synchronisation began.
    pub const NOBODY: SiteId = SiteId(0);

    /// A real site's number; refuses anything outside 1..=4095.
    pub fn new(number: u64) -> Result<Self, BadSite> {
        match u16::try_from(number) {
            Ok(n @ 1..=4095) => Ok(SiteId(n)),
            _ => Err(BadSite(number)),
        }
    }

    /// The number itself.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for SiteId {
    type Error = BadSite;

    fn try_from(number: u64) -> Result<Self, BadSite> {
        SiteId::new(number)
    }
}

impl From<SiteId> for u64 {
    fn from(site: SiteId) -> u64 {
        site.0.into()
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since the Unix epoch (44 bits), a counter (8 bits) and the site (12 bits), in one u64.
///
/// One integer comparison decides which of two writes is the later. Two sites never make the same stamp, because
/// the site is part of it; one site never stamps the same row twice alike, because every stamp of a row is above
/// all that the row has seen ([`Stamp::next`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp(u64);

const SITE_BITS: u32 = 12;
const COUNTER_BITS: u32 = 8;
const SITE_MASK: u64 = (1 << SITE_BITS) - 1;
const MAX_MILLIS: u64 = (1 << 44) - 1;

impl Stamp {
    /// Never: below every stamp.
    pub const NEVER: Stamp = Stamp(0);
    /// The stamp of rows that were there before synchronisation began, alike at every site.
    pub const BASELINE: Stamp = Stamp(1 << SITE_BITS);

    /// The stamp of the first write of `site` in millisecond `millis` (clamped to 44 bits).
    pub fn at(millis: u64, site: SiteId) -> Self {
        Stamp((millis.min(MAX_MILLIS) << (COUNTER_BITS + SITE_BITS)) | u64::from(site.0))
    }

    /// The stamp for a write at wall time `millis` on a row whose highest stamp so far is `highest`.
    ///
    /// It is always above `highest`, so an overwrite beats what it saw even where the local clock is behind.
    pub fn next(millis: u64, highest: Stamp, site: SiteId) -> Self {
        let tick = ((highest.0 >> SITE_BITS).saturating_add(1)) << SITE_BITS | u64::from(site.0);
        Stamp::at(millis, site).max(Stamp(tick))
    }

    /// The site that made this stamp.
    pub fn site(self) -> SiteId {
        SiteId((self.0 & SITE_MASK) as u16)
    }

    /// Milliseconds since the Unix epoch.
    pub fn millis(self) -> u64 {
        self.0 >> (COUNTER_BITS + SITE_BITS)
    }

    /// The integer, for storing.
    pub fn raw(self) -> u64 {
        self.0
    }

    /// The stamp that [`Stamp::raw`] gave.
    pub fn from_raw(raw: u64) -> Self {
        Stamp(raw)
    }

    /// Whether this is a real site's stamp, neither never nor the baseline.
    pub fn is_written(self) -> bool {
        self.site() != SiteId::NOBODY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(n: u64) -> SiteId {
        SiteId::new(n).unwrap()
    }

    #[test]
    fn parts_come_back() {
        let s = Stamp::at(1_800_000_000_123, site(4095));
        assert_eq!((s.millis(), s.site()), (1_800_000_000_123, site(4095)));
        assert_eq!(Stamp::from_raw(s.raw()), s);
    }

    #[test]
    fn an_overwrite_beats_what_it_saw_though_the_clock_is_behind() {
        let seen = Stamp::at(2_000, site(9));
        let next = Stamp::next(1_000, seen, site(1));
        assert!(next > seen);
        assert_eq!(next.site(), site(1));
    }

    #[test]
    fn counter_overflow_runs_into_the_next_millisecond() {
        let mut s = Stamp::at(5, site(3));
        for _ in 0..300 {
            let n = Stamp::next(5, s, site(3));
            assert!(n > s);
            s = n;
        }
        assert_eq!(s.millis(), 6);
    }

    #[test]
    fn order_is_time_then_site() {
        assert!(Stamp::at(1, site(2)) > Stamp::at(1, site(1)));
        assert!(Stamp::at(2, site(1)) > Stamp::at(1, site(4095)));
        assert!(Stamp::BASELINE > Stamp::NEVER && Stamp::BASELINE < Stamp::at(1, site(1)));
    }

    #[test]
    fn bad_sites_are_refused() {
        for n in [0, 4096, 70_000] {
            assert_eq!(SiteId::new(n), Err(BadSite(n)));
        }
    }
}
