//! What a store contains of every store's history, as one vector. Pure; where it is kept is the store's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The lasting identity of a store, drawn at random when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreId(pub u128);

/// One unbroken history of a store. A store that was restored from a backup takes a new one, which is above all that it had:
/// milliseconds since the Unix epoch (44 bits), then random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

const RANDOM_BITS: u32 = 20;

impl Incarnation {
    /// One that begins at this time.
    pub fn at(millis: u64, random: u64) -> Self {
        Incarnation(millis << RANDOM_BITS | (random & ((1 << RANDOM_BITS) - 1)))
    }

    /// The next one of a store, whatever its clock says.
    pub fn next(self, millis: u64, random: u64) -> Self {
        Incarnation::at(millis.max(self.millis() + 1), random)
    }

    /// When it began, in milliseconds since the Unix epoch.
    pub fn millis(self) -> u64 {
        self.0 >> RANDOM_BITS
    }
}

/// Whose seqs are meant: a store in one of its incarnations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// The store.
    pub store: StoreId,
    /// Its history.
    pub incarnation: Incarnation,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}/{:016x}", self.store.0, self.incarnation.0)
    }
}

/// A point in a store's history. The token is the random number that the store drew when it committed the
/// transaction this seq belongs to; a store that does not recognise its own token was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The store's arrival order; 0 is before everything.
    pub seq: u64,
    /// Proof of the history that led there.
    pub token: u64,
}

/// Map from source to the highest position that is contained here.
///
/// A table that is paused is *held*: it stays at its own lower seq while the others go on.
/// Invariant: a held seq is below the source's position.
///
/// What the source itself said last is kept beside what was heard of it: if two stores go on in one history, as a copy beside
/// its original does, the one can be further than the other, and hearsay hides what came from whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knowledge {
    positions: BTreeMap<Source, Position>,
    held: BTreeMap<(Source, String), u64>,
    #[serde(default)]
    met: BTreeMap<Source, Position>,
}

impl Knowledge {
    /// The position for a source, or nothing if this store never heard of it.
    pub fn position(&self, source: Source) -> Option<Position> {
        self.positions.get(&source).copied()
    }

    /// The last position that came from the source itself.
    pub fn met(&self, source: Source) -> Option<Position> {
        self.met.get(&source).copied()
    }

    /// The same without who said it, as it is told to others.
    pub fn heard(self) -> Self {
        Knowledge { met: BTreeMap::new(), ..self }
    }

    /// The source itself is contained as far as this.
    pub fn meet(&mut self, source: Source, at: Position) {
        self.advance(source, at);
        let entry = self.met.entry(source).or_insert(at);
        if at.seq > entry.seq {
            *entry = at;
        }
    }

    /// The latest incarnation of a store that was heard of.
    pub fn latest(&self, store: StoreId) -> Option<Incarnation> {
        self.positions.keys().filter(|s| s.store == store).map(|s| s.incarnation).max()
    }

    /// Up to which seq of the source one table is contained.
    pub fn table_seq(&self, source: Source, table: &str) -> u64 {
        let general = self.position(source).unwrap_or_default().seq;
        self.held.get(&(source, table.to_owned())).copied().unwrap_or(general)
    }

    /// The tables held back for a source, with their seqs.
    pub fn held(&self, source: Source) -> impl Iterator<Item = (&str, u64)> {
        self.held.iter().filter(move |((s, _), _)| *s == source).map(|((_, t), seq)| (t.as_str(), *seq))
    }

    /// All sources and positions.
    pub fn positions(&self) -> impl Iterator<Item = (Source, Position)> + '_ {
        self.positions.iter().map(|(s, p)| (*s, *p))
    }

    /// All tables that are held: for which source, and at which seq.
    pub fn all_held(&self) -> impl Iterator<Item = (Source, &str, u64)> {
        self.held.iter().map(|((source, table), seq)| (*source, table.as_str(), *seq))
    }

    /// Whether it reaches everywhere as far as another one, whatever tables are held; `own` is contained anyway.
    pub fn covers(&self, other: &Knowledge, own: Source) -> bool {
        let reaches = |(source, to): (Source, Position)| self.position(source).unwrap_or_default().seq >= to.seq;
        other.positions().filter(|(source, _)| *source != own).all(reaches)
    }

    /// Whether nothing was ever received.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Moves a source's position forward; never back.
    pub fn advance(&mut self, source: Source, to: Position) {
        let entry = self.positions.entry(source).or_insert(to);
        if to.seq > entry.seq {
            *entry = to;
        }
    }

    /// Holds a table back at this seq. A table already held stays where it is: what it lacks it still lacks.
    pub fn hold(&mut self, source: Source, table: &str, seq: u64) {
        self.held.entry((source, table.to_owned())).or_insert(seq);
    }

    /// The table has caught up with its source's position.
    pub fn release(&mut self, source: Source, table: &str) {
        self.held.remove(&(source, table.to_owned()));
    }

    /// What is contained of a history that was never heard of, if it goes on where `left` was at `upto`: as much as was
    /// contained of that one, with the tables that are held. A store that began as a copy goes on in a history of the
    /// original's. Nothing if `left` is not known either.
    pub fn inherit(&mut self, heir: Source, left: Incarnation, upto: Position) -> Option<Position> {
        let own = Source { incarnation: left, ..heir };
        let all = || self.positions().filter(|(source, _)| source.incarnation == left);
        let (left, known) = all().find(|(source, _)| *source == own).or_else(|| all().next())?;
        let start = if known.seq < upto.seq { known } else { upto };
        let held: Vec<_> = self.held(left).map(|(table, seq)| (table.to_owned(), seq)).collect();
        self.advance(heir, start);
        held.iter().filter(|(_, seq)| *seq <= start.seq).for_each(|(table, seq)| self.hold(heir, table, *seq));
        Some(start)
    }

    /// Takes the maximum with all that another store contained when the stream began that has now been received
    /// whole. Entries about `own` are of no use here and are left out.
    ///
    /// A table that the other holds is contained here only as far as one of the two had it; one that was withheld from the
    /// stream only as far as it was, whosever rows they are: what the other has of them did not come.
    pub fn adopt(&mut self, other: &Knowledge, own: Source, withheld: &[String]) {
        let mine = self.clone();
        for (source, position) in other.positions().filter(|(s, _)| *s != own) {
            self.advance(source, position);
            self.adopt_held(&mine, other, source, withheld);
        }
    }

    fn adopt_held(&mut self, mine: &Knowledge, other: &Knowledge, source: Source, withheld: &[String]) {
        let general = self.position(source).unwrap_or_default().seq;
        let held = mine.held(source).chain(other.held(source)).map(|(t, _)| t.to_owned());
        let tables: BTreeSet<String> = held.chain(withheld.iter().cloned()).collect();
        for table in tables {
            let (own, theirs) = (mine.table_seq(source, &table), other.table_seq(source, &table));
            let seq = if withheld.contains(&table) { own } else { own.max(theirs) };
            self.release(source, &table);
            if seq < general {
                self.hold(source, &table, seq);
            }
        }
    }
}

#[cfg(test)]
mod tests;
