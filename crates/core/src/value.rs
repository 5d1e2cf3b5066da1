//! The value of one cell, in the one canonical form that every store reads and writes. Never converts between types:
//! two values are the same cell content exactly if they are equal here, bit for bit.

use std::fmt;

/// A cell's value. Dates, times and decimals are text in their canonical notation; floats keep their bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Value {
    /// SQL NULL.
    #[default]
    Null,
    /// A signed integer, and every unsigned one that fits.
    Int(i64),
    /// An unsigned integer above `i64::MAX`; smaller ones are [`Value::Int`] so that equality is numeric.
    UInt(u64),
    /// The bits of a single-precision float.
    Float(u32),
    /// The bits of a double-precision float.
    Double(u64),
    /// Text (also DECIMAL, dates and times in canonical notation).
    Text(String),
    /// Bytes without a character set.
    Bytes(Vec<u8>),
}

impl Value {
    /// An unsigned integer in canonical form.
    pub fn unsigned(n: u64) -> Self {
        i64::try_from(n).map_or(Value::UInt(n), Value::Int)
    }

    /// A single-precision float.
    pub fn float(f: f32) -> Self {
        Value::Float(f.to_bits())
    }

    /// A double-precision float.
    pub fn double(f: f64) -> Self {
        Value::Double(f.to_bits())
    }

    /// Text.
    pub fn text(s: impl Into<String>) -> Self {
        Value::Text(s.into())
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Bytes of memory that the content takes, roughly; batches are cut by it.
    pub fn weight(&self) -> usize {
        match self {
            Value::Text(s) => 24 + s.len(),
            Value::Bytes(b) => 24 + b.len(),
            _ => 24,
        }
    }
}

/// For people: text as it is, bytes as hexadecimal, both cut after 60 characters.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Int(n) => n.fmt(f),
            Value::UInt(n) => n.fmt(f),
            Value::Float(b) => f32::from_bits(*b).fmt(f),
            Value::Double(b) => f64::from_bits(*b).fmt(f),
            Value::Text(s) => short(f, s.chars().map(printable), s.chars().count()),
            Value::Bytes(b) => {
                f.write_str("0x")?;
                short(f, b.iter().flat_map(hex), b.len() * 2)
            }
        }
    }
}

/// Control characters would let a value move the cursor of the terminal that shows it.
fn printable(c: char) -> char {
    if c.is_control() { '\u{b7}' } else { c }
}

fn hex(byte: &u8) -> [char; 2] {
    [byte >> 4, byte & 15].map(|n| char::from_digit(u32::from(n), 16).unwrap_or('0'))
}

fn short(f: &mut fmt::Formatter<'_>, chars: impl Iterator<Item = char>, len: usize) -> fmt::Result {
    const LIMIT: usize = 60;
    let text: String = chars.take(LIMIT).collect();
    f.write_str(&text)?;
    if len > LIMIT { f.write_str("…") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_integers_have_one_form() {
        assert_eq!(Value::unsigned(7), Value::Int(7));
        assert_eq!(Value::unsigned(u64::MAX), Value::UInt(u64::MAX));
    }

    #[test]
    fn zero_and_minus_zero_differ() {
        assert_ne!(Value::double(0.0), Value::double(-0.0));
    }

    #[test]
    fn shown_short_and_without_control_characters() {
        assert_eq!(Value::text("a\x1b[2Jb").to_string(), "a·[2Jb");
        assert_eq!(Value::Bytes(vec![0xAB, 1]).to_string(), "0xab01");
        assert!(Value::text("é".repeat(100)).to_string().ends_with('…'));
    }
}
