//! Looking again at rows that seemed to differ: each as it stands now, seen with its mark and line in one snapshot. What
//! still differs, and no stream of changes will make equal, differs. Decides nothing.

use std::collections::BTreeMap;

use sync_core::{Knowledge, Position, Source, Stamp, Value, key};
use sync_store::{Answer, Burial, Candidates, Question, Standing, Standpoint, StoreError};

use super::ask::{Questions, Stores, mixed};
use super::join::KeyReader;
use super::{Found, Keys, SIDES, Traffic, confused};
use crate::error::Result;
use crate::gone::{Fate, Lost};

/// How far the other side contains a store: what else streams will bring.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The other side.
    pub peer: Source,
    /// How far it contains this store.
    pub position: Position,
    /// How far, of tables that it holds.
    pub held: BTreeMap<String, u64>,
    /// Which rows that only this store has were deleted there, although no grave is left to say so.
    pub lost: Lost,
}

/// What each side's stream will bring to the other.
#[derive(Clone, Debug)]
pub struct Reaches {
    /// From the master to the slave.
    pub master: Reach,
    /// From the slave to the master.
    pub slave: Reach,
}

impl Reaches {
    /// By what each side says of itself and of what it contains.
    pub fn of(master: (Source, &Knowledge), slave: (Source, &Knowledge)) -> Self {
        let reach = |(own, _): (Source, &Knowledge), (peer, knows): (Source, &Knowledge)| Reach {
            peer,
            position: knows.position(own).unwrap_or_default(),
            held: knows.held(own).map(|(table, seq)| (table.to_owned(), seq)).collect(),
            lost: Lost::default(),
        };
        Reaches { master: reach(master, slave), slave: reach(slave, master) }
    }

    /// With where the streams really begin, the master's first.
    pub(crate) fn from(mut self, (master, slave): (Option<Position>, Option<Position>)) -> Self {
        self.master.position = master.unwrap_or_default();
        self.slave.position = slave.unwrap_or_default();
        self
    }
}

/// Rows that differ in the end, by what they are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// On both sides, with other values.
    pub differing: Vec<Vec<Value>>,
    /// Only at the master.
    pub only_master: Vec<Vec<Value>>,
    /// Only at the slave.
    pub only_slave: Vec<Vec<Value>>,
    /// Those of the former two that are there although they were deleted.
    pub unmarked: [Vec<Vec<Value>>; SIDES],
    /// Rows only at the master, and only at the slave, that were deleted at the other: nobody has their graves any more.
    pub gone: [Vec<Burial>; SIDES],
    /// Rows only at the master, and only at the slave, that are to be written now.
    pub renewed: [Vec<Vec<Value>>; SIDES],
    /// Of the rows only at the master, and only at the slave, those from before whose deletion at the other was of something else, and
    /// a stamp that is no lower than the grave's.
    pub unseen: [Vec<(Vec<Value>, Stamp)>; SIDES],
    /// Of those that differ, the master's and the slave's files from before whose content is not what somebody wrote at the other.
    pub doubtful: [Vec<Doubtful>; SIDES],
    /// Those that differ now, and will not once what was written has been streamed.
    pub on_the_way: Vec<Vec<Value>>,
}

/// A file from before that differs from one that was written: an old content of that, or an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubtful {
    /// The key of its row.
    pub key: Vec<Value>,
    /// When it was modified, in milliseconds since the Unix epoch.
    pub modified: u64,
    /// Whether that is after the other file was.
    pub is_later: bool,
    /// The other's row.
    pub other: Standpoint,
}

impl Differences {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.counts() == [0; 3]
    }

    /// How many rows differ, are only at the master, only at the slave.
    pub fn counts(&self) -> [u64; 3] {
        [&self.differing, &self.only_master, &self.only_slave].map(|keys| keys.len() as u64)
    }

    /// Adds others.
    pub fn add(&mut self, other: Differences) {
        self.differing.extend(other.differing);
        self.only_master.extend(other.only_master);
        self.only_slave.extend(other.only_slave);
        self.on_the_way.extend(other.on_the_way);
        extend(&mut self.gone, other.gone);
        extend(&mut self.renewed, other.renewed);
        extend(&mut self.unmarked, other.unmarked);
        extend(&mut self.unseen, other.unseen);
        extend(&mut self.doubtful, other.doubtful);
    }
}

fn extend<T>(sides: &mut [Vec<T>; SIDES], others: [Vec<T>; SIDES]) {
    sides.iter_mut().zip(others).for_each(|(side, other)| side.extend(other));
}

/// Rows that are looked at again at a time.
const CHUNK: u64 = 1024;

/// Rows that seemed to differ, looked at again part by part.
pub struct Review {
    table: String,
    keys: KeyReader,
}

impl Found {
    /// Begins to look again.
    ///
    /// # Errors
    /// If a temporary file cannot be read.
    pub fn review(self) -> Result<Review> {
        Ok(Review { table: self.table, keys: self.keys.rewound()? })
    }
}

impl Review {
    /// Looks again at these rows of a table.
    ///
    /// # Errors
    /// If a temporary file cannot be read.
    pub(crate) fn of(table: &str, keys: Keys) -> Result<Self> {
        Ok(Review { table: table.to_owned(), keys: keys.rewound()? })
    }

    /// What still differs of the next rows; `None` at the end.
    ///
    /// # Errors
    /// If a store cannot be read.
    pub fn next(
        &mut self,
        stores: &mut Stores,
        reaches: &Reaches,
        traffic: &mut Traffic,
    ) -> Result<Option<Differences>> {
        let packed = self.keys.next(CHUNK)?;
        if packed.is_empty() {
            return Ok(None);
        }
        let unpacked: std::result::Result<Vec<Vec<Value>>, _> = packed.iter().map(|k| key::unpack(k)).collect();
        let keys = unpacked.map_err(StoreError::from)?;
        let standings = standings(stores, &self.table, &keys, reaches, traffic)?;
        Ok(Some(sorted(&self.table, keys, standings, [&reaches.master.lost, &reaches.slave.lost])))
    }
}

fn standings(
    stores: &mut Stores,
    table: &str,
    keys: &[Vec<Value>],
    reaches: &Reaches,
    traffic: &mut Traffic,
) -> Result<[Vec<Standing>; SIDES]> {
    let question = |reach: &Reach| {
        let (table, held) = (table.to_owned(), reach.held.get(table).copied());
        Question::Standings(vec![Candidates {
            table,
            keys: keys.to_vec(),
            peer: reach.peer,
            position: reach.position,
            held,
        }])
    };
    let questions = Questions { master: question(&reaches.master), slave: question(&reaches.slave) };
    let mut found: [Vec<Standing>; SIDES] = Default::default();
    traffic.ask(&questions.slave);
    mixed(stores, &questions, |side, answer| {
        traffic.hear(side, &answer);
        let Answer::Standings { standings, .. } = answer else { return Err(confused()) };
        found[side as usize] = standings;
        Ok(())
    })?;
    match found.iter().all(|side| side.len() == keys.len()) {
        true => Ok(found),
        false => Err(confused()),
    }
}

fn sorted(
    table: &str,
    keys: Vec<Vec<Value>>,
    [master, slave]: [Vec<Standing>; SIDES],
    lost: [&Lost; SIDES],
) -> Differences {
    let mut differences = Differences::default();
    for ((key, ours), theirs) in keys.into_iter().zip(master).zip(slave) {
        if ours.hash == theirs.hash {
            continue;
        }
        let sides = [(&ours, &theirs), (&theirs, &ours)];
        let fate = |side: usize| lost[side].fate(table, &key, sides[side]);
        match (0..SIDES).find_map(|side| Some((side, fate(side)?))) {
            Some((side, Fate::Buried(burial))) => {
                differences.gone[side].push(burial);
                continue;
            }
            Some((side, Fate::Renewed)) => differences.renewed[side].push(key.clone()),
            None => {}
        }
        if ours.travels || theirs.travels {
            differences.on_the_way.push(key.clone());
        }
        for (side, (standing, other)) in sides.into_iter().enumerate() {
            if standing.unmarked {
                differences.unmarked[side].push(key.clone());
            }
            if let Some(grave) = unseen(standing, other) {
                differences.unseen[side].push((key.clone(), grave.highest()));
            }
            differences.doubtful[side].extend(doubtful(&key, standing, other));
        }
        match (ours.hash, theirs.hash) {
            (Some(_), None) => differences.only_master.push(key),
            (None, _) => differences.only_slave.push(key),
            _ => differences.differing.push(key),
        }
    }
    differences
}

/// The grave at the other side of a row from before, if that is of something else: there was another content when it was deleted.
fn unseen<'a>(here: &Standing, there: &'a Standing) -> Option<&'a Standpoint> {
    let grave = there.line.as_ref().filter(|_| is_from_before(here) && there.hash.is_none())?;
    here.is_another_file(there).then_some(grave)
}

/// A file from before, if somebody wrote another content at the other side.
fn doubtful(key: &[Value], here: &Standing, there: &Standing) -> Option<Doubtful> {
    let other = there.line.clone().filter(|line| there.hash.is_some() && line.newest.is_written())?;
    let [modified, others] = [here, there].map(|standing| standing.content.and_then(|content| content.modified));
    let nanoseconds = modified.filter(|_| is_from_before(here) && here.is_another_file(there))?;
    let modified = u64::try_from(nanoseconds / 1_000_000).unwrap_or_default();
    Some(Doubtful { key: key.to_vec(), modified, is_later: others.is_some_and(|other| nanoseconds > other), other })
}

/// Whether nothing is known of how the row came there.
fn is_from_before(standing: &Standing) -> bool {
    standing.hash.is_some() && standing.line.is_none() && !standing.travels
}

#[cfg(test)]
mod tests;
