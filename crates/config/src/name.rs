//! Names of sites and virtual desktops.
//!
//! Such a name becomes part of file names, of arguments and of messages, so its alphabet is narrow and
//! checked once, here. It never stands for a table, a database or a person.

use std::fmt;
use std::str::FromStr;

/// Longest name, in characters (which are bytes: the alphabet is ASCII).
const LONGEST: usize = 64;

/// The name of a site or of a virtual desktop: 1 to 64 of `A-Z a-z 0-9 . _ -`, and the first is neither
/// a dot (hidden file, `..`) nor a dash (an option).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text has more than 64 characters.
    #[error("a name has at most 64 characters, not {0}")]
    TooLong(usize),
    /// The text begins with a dot or a dash.
    #[error("a name must not begin with `{0}`")]
    First(char),
    /// The text holds a character outside the alphabet.
    #[error("a name is made of A-Z a-z 0-9 . _ - and cannot contain {0:?}")]
    Character(char),
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.chars().next() {
            None => return Err(NameError::Empty),
            Some(first @ ('.' | '-')) => return Err(NameError::First(first)),
            Some(_) => {}
        }
        if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
            return Err(NameError::Character(bad));
        }
        if text.len() > LONGEST {
            return Err(NameError::TooLong(text.len()));
        }
        Ok(Self(text.to_owned()))
    }
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
