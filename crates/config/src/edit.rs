//! Changes a file of settings the way a careful person would.
//!
//! Comments, order, owner and mode stay; the file is replaced in one step; a change that somebody else made
//! meanwhile is never overwritten; and what would not load is never written. Password files are not opened
//! for that, since who edits need not be who may read them. Extended attributes are not kept.

mod place;
mod replace;

use crate::convert::Converted;
use crate::error::file_error;
use crate::read::{Origin, parse, syntax_problems};
use crate::secret::Unread;
use crate::settings::vd_name;
use crate::{ConfigError, Kind, Name};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml_edit::{DocumentMut, Item, Value};

/// The mode of a new file: it may come to hold a password.
const NEW_MODE: u32 = 0o600;

/// Which content a file had: a hash, to carry through a form and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(blake3::Hash);

impl Revision {
    fn of(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

/// A text that is not a [`Revision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a revision of a file: 64 hexadecimal digits are expected")]
pub struct RevisionError;

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Self, RevisionError> {
        blake3::Hash::from_hex(text).map(Self).map_err(|_| RevisionError)
    }
}

/// A file of settings with changes that are not yet written.
#[derive(Clone)]
pub struct Draft {
    vd: Name,
    /// The file itself, not a symbolic link to it.
    path: PathBuf,
    document: DocumentMut,
    /// What was read; `None` if the file is new.
    revision: Option<Revision>,
}

/// Without the content, which may hold a password.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("path", &self.path).field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Draft {
    /// Reads a file in order to change it. It must be TOML and may otherwise be wrong: an edit may mend it.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::VdName`] (the file is not called after one) or
    /// [`ConfigError::Invalid`] (not TOML).
    pub fn open(file: &Path) -> Result<Self, ConfigError> {
        let vd = vd_of(file)?;
        let path = file.canonicalize().map_err(file_error("read", file))?;
        let (text, _) = crate::settings::read(&path).map_err(file_error("read", file))?;
        let document = document(&text, &path)?;
        Ok(Self { vd, path, document, revision: Some(Revision::of(&text)) })
    }

    /// Begins a new file, which must not exist when it is saved; for instance from [`crate::example`].
    ///
    /// # Errors
    /// [`ConfigError::VdName`] or [`ConfigError::Invalid`] (not TOML).
    pub fn new(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let vd = vd_of(file)?;
        Ok(Self { vd, path: file.to_owned(), document: document(text, file)?, revision: None })
    }

    /// What the file held when this draft began; `None` for a new one.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Refuses to go on if the file is no longer the one that a form was made from.
    ///
    /// # Errors
    /// [`ConfigError::Changed`].
    pub fn expect(&self, revision: Revision) -> Result<(), ConfigError> {
        match self.revision {
            Some(now) if now != revision => Err(ConfigError::Changed { path: self.path.clone(), now }),
            _ => Ok(()),
        }
    }

    /// The file as it would be written.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// The value of a setting in the file, if it is written there.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchSetting`].
    pub fn get(&self, setting: &str) -> Result<Option<&Value>, ConfigError> {
        let place = place::parse(setting)?;
        Ok(place.find(self.document.as_item()).and_then(Item::as_value))
    }

    /// Sets one setting, as `master[0].period`; sections on the way are made if need be, and the index
    /// after the last of a list begins a new entry. The comment behind the old value stays.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchSetting`]. Whether the value is good shows when the draft is checked or saved.
    pub fn set(&mut self, setting: &str, value: impl Into<Value>) -> Result<(), ConfigError> {
        place::parse_setting(setting)?.0.set(&mut self.document, value.into())
    }

    /// Like [`Draft::set`], from the text of a form or an argument, read after the kind of the setting:
    /// `true`, `500`, `cache_*, sessions`.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchSetting`] or [`ConfigError::BadValue`].
    pub fn set_text(&mut self, setting: &str, text: &str) -> Result<(), ConfigError> {
        let (place, known) = place::parse_setting(setting)?;
        let bad = |message| ConfigError::BadValue { setting: setting.to_owned(), message };
        let value = value(known.kind, text.trim()).map_err(bad)?;
        place.set(&mut self.document, value)
    }

    /// Removes a setting or a whole section, as `master[1]`, with the comment above it. What is not there
    /// is removed already.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchSetting`].
    pub fn remove(&mut self, setting: &str) -> Result<(), ConfigError> {
        place::parse(setting)?.remove(&mut self.document);
        Ok(())
    }

    /// Whether the draft would load, password files apart. That neither mode is enabled is no objection:
    /// switching off is a legitimate edit.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] or [`ConfigError::SecretExposed`], with all that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mode = replace::mode(&self.path).unwrap_or(NEW_MODE);
        let origin = Origin { vd: &self.vd, file: &self.path, mode, passwords: &Unread };
        match parse(&self.text(), &origin) {
            Ok(_) | Err(ConfigError::NotConfigured(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes the draft: all of it or, on any error, nothing. The draft can be changed and saved again.
    ///
    /// # Errors
    /// Those of [`Draft::check`]; [`ConfigError::Changed`] if the file is no longer what was read;
    /// [`ConfigError::Exists`] if it was to be new; [`ConfigError::File`].
    pub fn save(&mut self) -> Result<Revision, ConfigError> {
        self.check()?;
        let text = self.text();
        let guard = replace::Guard::lock(&self.path)?;
        match self.revision {
            Some(revision) => guard.replace(&text, |now| self.unchanged(revision, now))?,
            None => guard.create(&text, NEW_MODE)?,
        }
        let revision = Revision::of(&text);
        self.revision = Some(revision);
        Ok(revision)
    }

    fn unchanged(&self, revision: Revision, now: &str) -> Result<(), ConfigError> {
        let now = Revision::of(now);
        match now == revision {
            true => Ok(()),
            false => Err(ConfigError::Changed { path: self.path.clone(), now }),
        }
    }
}

/// Changes one setting of a file; see [`Draft`] for what is kept and what is refused.
///
/// # Errors
/// Those of [`Draft::open`], [`Draft::set`] and [`Draft::save`].
pub fn set(file: &Path, setting: &str, value: impl Into<Value>) -> Result<Revision, ConfigError> {
    let mut draft = Draft::open(file)?;
    draft.set(setting, value)?;
    draft.save()
}

fn vd_of(file: &Path) -> Result<Name, ConfigError> {
    let stem = file.file_stem().unwrap_or_default();
    vd_name(&stem.to_string_lossy())
}

fn document(text: &str, file: &Path) -> Result<DocumentMut, ConfigError> {
    text.parse().map_err(|_| syntax_problems(text, file).into())
}

/// The value that a text means for a kind of setting.
fn value(kind: Kind, text: &str) -> Converted<Value> {
    let must = |what: &str| format!("must be {what}, not {text:?}");
    match kind {
        Kind::Text | Kind::Duration => Ok(text.into()),
        Kind::Whole => text.parse::<i64>().map(Value::from).map_err(|_| must("a whole number")),
        Kind::Share => text.parse::<f64>().map(Value::from).map_err(|_| must("a number from 0 to 1")),
        Kind::Flag => text.parse::<bool>().map(Value::from).map_err(|_| must("true or false")),
        Kind::List => Ok(text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect()),
    }
}

#[cfg(test)]
mod tests;
