//! Proof that two sites hold the same: everything is compared and reported, nothing is settled. Writes nothing to the
//! tables of the application.

use std::time::Instant;

use sync_config::{Link, Settings};
use sync_core::Value;

use crate::compare::{self, Differences, Found, Reaches, Stores, Traffic};
use crate::error::{EngineError, Kind, Result};
use crate::folders::Folders;
use crate::handshake::{self, Expectation};
use crate::link::open_prepared;
use crate::remote::Remote;
use crate::report::{Event, PausedTable, Watch};
use crate::{open, parties};

/// What a verification found.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// The other site.
    pub peer: String,
    /// The tables that were compared.
    pub tables: Vec<Verified>,
    /// Tables whose definitions differ; they were not compared.
    pub paused: Vec<PausedTable>,
    /// Tables that cannot be synchronised.
    pub refused: Vec<PausedTable>,
    /// The folders of documents.
    pub documents: Vec<VerifiedFolder>,
    /// What crossed the link.
    pub traffic: Traffic,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// What was found in one folder of documents.
#[derive(Clone, Debug)]
pub struct VerifiedFolder {
    /// The folder.
    pub name: String,
    /// What was found.
    pub found: FolderFindings,
}

/// What was found in a folder.
#[derive(Clone, Debug)]
pub enum FolderFindings {
    /// Every file was read again at both sites.
    Compared {
        /// Files and directories.
        paths: Verified,
        /// Those at either site that could not be looked at.
        unread: u64,
        /// Those at either site that are not as they should be yet.
        waiting: u64,
    },
    /// It does not take part in this link, and why.
    Paused(String),
    /// It could not be compared.
    Failed(EngineError),
}

impl VerifiedFolder {
    /// Whether all of it was compared and is equal.
    pub fn is_equal(&self) -> bool {
        match &self.found {
            FolderFindings::Compared { paths, unread, waiting } => paths.differences() + unread + waiting == 0,
            _ => false,
        }
    }
}

/// What was found in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The table.
    pub name: String,
    /// Rows at this site.
    pub rows: u64,
    /// Rows at the other.
    pub peer_rows: u64,
    /// Rows that both have, with other values.
    pub differing: u64,
    /// Rows that only this site has.
    pub only_here: u64,
    /// Rows that only the other has.
    pub only_there: u64,
    /// Rows that differ now because one side's change has not been sent yet.
    pub on_the_way: u64,
    /// The keys of some rows that differ.
    pub examples: Vec<Example>,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its key.
    pub key: Vec<Value>,
    /// How.
    pub kind: Difference,
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Both have it, with other values.
    Values,
    /// Only this site has it.
    OnlyHere,
    /// Only the other has it.
    OnlyThere,
}

/// Examples of each kind.
const EXAMPLES: usize = 3;

impl Verified {
    /// Rows that differ and will not be equal by themselves.
    pub fn differences(&self) -> u64 {
        self.differing + self.only_here + self.only_there
    }

    fn add(&mut self, mut differences: Differences) {
        let waiting = std::mem::take(&mut differences.on_the_way);
        self.on_the_way += waiting.len() as u64;
        let lists = [
            (differences.differing, Difference::Values, &mut self.differing),
            (differences.only_master, Difference::OnlyHere, &mut self.only_here),
            (differences.only_slave, Difference::OnlyThere, &mut self.only_there),
        ];
        for (keys, kind, count) in lists {
            for key in keys.into_iter().filter(|key| !waiting.contains(key)) {
                *count += 1;
                if *count <= EXAMPLES as u64 {
                    self.examples.push(Example { key, kind });
                }
            }
        }
    }
}

impl Verification {
    /// Whether all tables and folders were compared and are equal.
    pub fn is_equal(&self) -> bool {
        let tables = self.tables.iter().all(|t| t.differences() == 0);
        self.paused.is_empty() && tables && self.documents.iter().all(VerifiedFolder::is_equal)
    }
}

/// How often it begins again if the schema changes under it.
const TRIES: u32 = 3;

/// Verifies one link of the settings.
///
/// # Errors
/// As [`verify`], and if a store cannot be opened.
pub fn verify_link(settings: &Settings, link: &Link, watch: &mut dyn Watch) -> Result<Verification> {
    let mut tries = 1;
    loop {
        let mut here = open_prepared(settings)?;
        let mut there = Remote::open(link)?;
        let expected = open::options(settings, link).expected;
        match verify(&mut Stores { master: &mut here, slave: there.store() }, &expected, watch) {
            Err(e) if e.retryable && e.kind == Kind::Failure && tries < TRIES => tries += 1,
            Err(e) => return Err(e),
            Ok(found) => {
                let documents = Folders::open(settings, link, &mut there).verify(&expected, watch);
                return Ok(Verification { documents, ..found });
            }
        }
    }
}

/// Compares all tables of two stores. `master` is the local one.
///
/// # Errors
/// If the sites do not belong together, or one cannot be read.
pub fn verify(stores: &mut Stores, expected: &Expectation, watch: &mut dyn Watch) -> Result<Verification> {
    let started = Instant::now();
    stores.master.drain()?;
    stores.slave.drain()?;
    let (here, there) = (stores.master.describe()?, stores.slave.describe()?);
    let agreement = handshake::check(&here, &there, expected)?;
    watch.event(Event::Agreed { peer: &there.site_name });
    let knowledge = (stores.master.knowledge()?, stores.slave.knowledge()?);
    let reaches = Reaches::of((here.source, &knowledge.0), (there.source, &knowledge.1));
    let mut result = Verification {
        peer: there.site_name.clone(),
        paused: agreement.paused,
        refused: agreement.refused,
        ..Verification::default()
    };
    let scopes = agreement.tables.iter().map(|t| parties::scope(&here, &there, t)).collect();
    for found in compare::find(stores, scopes, &mut result.traffic, watch)? {
        result.tables.push(table(stores, found, &reaches, &mut result.traffic)?);
    }
    result.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(result)
}

fn table(stores: &mut Stores, found: Found, reaches: &Reaches, traffic: &mut Traffic) -> Result<Verified> {
    let [rows, peer_rows] = found.rows;
    let mut verified = Verified { name: found.table.clone(), rows, peer_rows, ..Verified::default() };
    let mut review = found.review()?;
    while let Some(differences) = review.next(stores, reaches, traffic)? {
        verified.add(differences);
    }
    Ok(verified)
}
