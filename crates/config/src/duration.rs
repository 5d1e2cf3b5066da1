//! Lengths of time as people write them: `30s`, `5m`, `1h30m`, `2d`, or plain seconds.
//!
//! Whole seconds only, and never a date or a clock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Units from long to short, in seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A text that is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time; write for instance 30s, 5m, 1h, 1h30m, 2d or a number of seconds")]
pub struct DurationError(String);

/// How often a master starts a round over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// The next round starts when the last one has ended; written `0`.
    Continuous,
    /// A round starts so often; at least one second, whole seconds.
    Every(Duration),
}

/// Reads `30s`, `5m`, `1h`, `1h30m`, `2d` or plain seconds; units from long to short, each once.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    seconds(text.trim()).map(Duration::from_secs).ok_or_else(|| DurationError(text.to_owned()))
}

fn seconds(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let number: u64 = digits.parse().ok()?;
        let Some(unit) = after.chars().next() else {
            return (rest == text).then_some(number);
        };
        // `find` goes on where the last unit was found, so units can only become shorter.
        let (_, size) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*size)?)?;
        rest = &after[unit.len_utf8()..];
    }
    Some(total)
}

/// The shortest text that [`parse_duration`] reads as `duration`, fractions of a second left out; `0` for none.
pub fn duration_text(duration: Duration) -> String {
    let mut left = duration.as_secs();
    if left == 0 {
        return "0".to_owned();
    }
    let mut text = String::new();
    for (name, size) in UNITS {
        if left >= size {
            text.push_str(&format!("{}{name}", left / size));
            left %= size;
        }
    }
    text
}

impl From<Duration> for Period {
    /// Less than a second is [`Period::Continuous`].
    fn from(duration: Duration) -> Self {
        match duration.as_secs() {
            0 => Self::Continuous,
            seconds => Self::Every(Duration::from_secs(seconds)),
        }
    }
}

impl FromStr for Period {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse_duration(text).map(Self::from)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continuous => f.write_str("0"),
            Self::Every(duration) => f.write_str(&duration_text(*duration)),
        }
    }
}

#[cfg(test)]
mod tests;
