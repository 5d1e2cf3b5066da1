//! Versions of the application of a virtual desktop: parse, compare, show.
//!
//! Two sites exchange data only when their versions are equal and not below the configured minimum. This
//! module never asks a file or a database for a version; it only understands the answer.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A dotted version, `6.2` or `v6.2.1` or `6.2.1-rc2`.
///
/// Numbers compare as numbers, and missing ones count as 0: `6.0 = 6.0.0 < 6.0.1 < 6.2 < 6.10`. A text
/// after a dash marks something before the release: `6.2-beta < 6.2-rc2 < 6.2-rc10 < 6.2`. `Display`
/// shows the version as it was written.
#[derive(Clone, Debug)]
pub struct Version {
    text: String,
    /// Without zeros at the end, so that slices compare like versions.
    numbers: Vec<u64>,
    suffix: Option<Vec<Chunk>>,
}

/// A run of digits or of anything else in a suffix; numbers come before texts, as in semver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Chunk {
    Number(u64),
    Text(String),
}

/// A text that is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version; write numbers and dots like 6.2.1, with a suffix if need be like 6.2.1-rc2")]
pub struct VersionError(String);

/// Longest version accepted, in bytes: what is longer is some other text.
const LONGEST: usize = 64;

impl FromStr for Version {
    type Err = VersionError;

    /// Blanks and line ends around the version are ignored, since it often comes from a file.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let text = text.trim();
        parse(text).ok_or_else(|| VersionError(text.chars().take(LONGEST).collect()))
    }
}

fn parse(text: &str) -> Option<Version> {
    if text.len() > LONGEST {
        return None;
    }
    let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (release, suffix) = match bare.split_once('-') {
        Some((release, suffix)) => (release, Some(chunks(suffix)?)),
        None => (bare, None),
    };
    let mut numbers = release.split('.').map(number).collect::<Option<Vec<_>>>()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(Version { text: text.to_owned(), numbers, suffix })
}

/// Digits only: `u64::from_str` would also take a plus sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn chunks(suffix: &str) -> Option<Vec<Chunk>> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+');
    if suffix.is_empty() || !suffix.bytes().all(allowed) {
        return None;
    }
    let mut rest = suffix;
    let mut chunks = Vec::new();
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        chunks.push(if digits { Chunk::Number(run.parse().ok()?) } else { Chunk::Text(run.to_owned()) });
        rest = after;
    }
    Some(chunks)
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let releases = self.numbers.cmp(&other.numbers);
        releases.then_with(|| match (&self.suffix, &other.suffix) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(b),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.numbers.hash(state);
        self.suffix.hash(state);
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
