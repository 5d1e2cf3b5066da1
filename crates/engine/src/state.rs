//! What this site remembers outside the databases: the last rounds, and how far its own store's history had come —
//! so that a database restored from a backup is recognised though nobody else tells. Written atomically; losing it
//! loses nothing but that memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sync_core::{Incarnation, Position, Source, StoreId};
use sync_store::Skipped;

use crate::documents::Outcome;
use crate::error::{EngineError, Kind, Result};

/// The file `state.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The own store as it was at the end of the last round.
    pub store: Option<Remembered>,
    /// By slave: what became of the last rounds.
    pub links: BTreeMap<String, LinkState>,
    /// The names of the sites that were met, by number; for showing who wrote a value.
    pub sites: BTreeMap<u16, String>,
}

/// A point in the own store's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The store's id, hexadecimal.
    pub store: String,
    /// Its incarnation, hexadecimal.
    pub incarnation: String,
    /// The head's seq.
    pub seq: u64,
    /// The head's token, hexadecimal.
    pub token: String,
}

impl Remembered {
    /// Remembers a head.
    pub fn new(source: Source, head: Position) -> Self {
        Remembered {
            store: format!("{:032x}", source.store.0),
            incarnation: format!("{:016x}", source.incarnation.0),
            seq: head.seq,
            token: format!("{:016x}", head.token),
        }
    }

    /// What was remembered, unless the file is damaged.
    pub fn recall(&self) -> Option<(Source, Position)> {
        let store = StoreId(u128::from_str_radix(&self.store, 16).ok()?);
        let incarnation = Incarnation(u64::from_str_radix(&self.incarnation, 16).ok()?);
        let token = u64::from_str_radix(&self.token, 16).ok()?;
        Some((Source { store, incarnation }, Position { seq: self.seq, token }))
    }
}

/// What became of the last rounds of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkState {
    /// When the last round that succeeded ended, RFC 3339 in UTC.
    pub last_success: Option<String>,
    /// When the last round was tried.
    pub last_attempt: Option<String>,
    /// Why it failed, if it did.
    pub last_error: Option<String>,
    /// Since when all rounds have failed.
    pub failing_since: Option<String>,
    /// Rows received and sent in the last round that succeeded.
    pub rows: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Tables that wait, with the reason.
    pub paused: BTreeMap<String, String>,
    /// By name: what became of the folders of documents.
    pub documents: BTreeMap<String, FolderState>,
}

/// What became of the last rounds of a folder of documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FolderState {
    /// When the last round that succeeded ended.
    pub last_success: Option<String>,
    /// Why it failed, if it did.
    pub last_error: Option<String>,
    /// What to do about that.
    pub hint: Option<String>,
    /// Since when all rounds have failed.
    pub failing_since: Option<String>,
    /// Whether it waits for a person's decision.
    pub halted: bool,
    /// Why it does not take part, if it does not.
    pub paused: Option<String>,
    /// Paths that were left out in the last round, at both sites.
    pub skipped: u64,
    /// Some of them, with the reason.
    pub examples: Vec<(String, String)>,
}

/// Skipped paths that are remembered.
const EXAMPLES: usize = 20;

impl FolderState {
    /// Takes in what became of a round.
    pub fn note(&mut self, outcome: &Outcome, now: &str) {
        let last_success = self.last_success.take();
        *self = match outcome {
            Outcome::Done(report) => FolderState {
                last_success: Some(now.to_owned()),
                skipped: report.skipped_count(),
                examples: report.skipped().take(EXAMPLES).map(|(_, s)| example(s)).collect(),
                ..FolderState::default()
            },
            Outcome::Paused(why) => FolderState { last_success, paused: Some(why.clone()), ..FolderState::default() },
            Outcome::Failed(error) => FolderState {
                last_success,
                last_error: Some(error.message.clone()),
                hint: error.hint.clone(),
                failing_since: self.failing_since.take().or_else(|| Some(now.to_owned())),
                halted: error.kind == Kind::Halt,
                ..FolderState::default()
            },
        };
    }

    /// Whether a person should look.
    pub fn has_remains(&self) -> bool {
        self.failing_since.is_some() || self.paused.is_some() || self.skipped > 0
    }
}

fn example(skipped: &Skipped) -> (String, String) {
    (sync_tree::shown(&skipped.path), skipped.reason.to_string())
}

impl State {
    /// Reads the state; a missing or damaged file is an empty one.
    pub fn load(dir: &Path) -> Self {
        let text = fs::read_to_string(path(dir)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// When it was last written, in milliseconds since the Unix epoch; 0 if that cannot be told.
    pub fn saved_at(dir: &Path) -> u64 {
        let modified = fs::metadata(path(dir)).and_then(|m| m.modified()).ok();
        let age = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        age.and_then(|age| u64::try_from(age.as_millis()).ok()).unwrap_or_default()
    }

    /// Writes it, whole or not at all.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.write(dir).map_err(|e| {
            EngineError::new(Kind::Failure, format!("cannot write {}: {e}", path(dir).display()))
                .hint("the state directory must be writable for the account that runs server_sync ([state] dir)")
        })
    }

    /// Changes the state and saves it. Several threads and processes may do so at once: each sees the others' changes.
    pub fn update(dir: &Path, change: impl FnOnce(&mut State)) -> Result<()> {
        let _turn = turn(dir).map_err(|e| {
            EngineError::new(Kind::Failure, format!("cannot use {}: {e}", dir.join("state.lock").display()))
                .hint("the state directory must be writable for the account that runs server_sync ([state] dir)")
        })?;
        let mut state = State::load(dir);
        change(&mut state);
        state.save(dir)
    }

    fn write(&self, dir: &Path) -> std::io::Result<()> {
        fs::create_dir_all(dir)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.as_file().sync_all()?;
        file.persist(path(dir))?;
        fs::File::open(dir)?.sync_all()
    }
}

/// Held while somebody changes the state; the system gives it back even if the process is killed.
fn turn(dir: &Path) -> std::io::Result<fs::File> {
    fs::create_dir_all(dir)?;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("state.lock"))?;
    file.lock()?;
    Ok(file)
}

/// Now, as it is remembered.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn path(dir: &Path) -> PathBuf {
    dir.join("state.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(State::load(dir.path()), State::default());
        let source = Source { store: StoreId(7), incarnation: Incarnation(u64::MAX) };
        let head = Position { seq: 12, token: 34 };
        let mut state = State { store: Some(Remembered::new(source, head)), ..State::default() };
        state.links.insert("lyon".into(), LinkState { rows: 3, ..LinkState::default() });
        state.save(dir.path()).unwrap();
        assert_eq!(State::load(dir.path()), state);
        assert_eq!(state.store.unwrap().recall(), Some((source, head)));
        let add = |n: u64| State::update(dir.path(), |s| s.links.entry("lyon".into()).or_default().rows += n).unwrap();
        std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(|| add(1)))));
        assert_eq!(State::load(dir.path()).links["lyon"].rows, 11);
        fs::write(path(dir.path()), "{").unwrap();
        assert_eq!(State::load(dir.path()), State::default());
    }
}
