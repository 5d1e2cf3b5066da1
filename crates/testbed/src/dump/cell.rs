//! One value as the server holds it. Two cells are equal only if every bit is.

use std::fmt;

use mysql::Value;

/// A value of the binary protocol, made comparable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// NULL.
    Null,
    /// Every integer type, signed or not.
    Integer(i128),
    /// Bits of a FLOAT.
    Float(u32),
    /// Bits of a DOUBLE.
    Double(u64),
    /// Texts, blobs, DECIMAL, BIT, ENUM, SET, JSON, geometry: as the server sends them.
    Bytes(Vec<u8>),
    /// Dates with or without time: year, month, day, hour, minute, second, microsecond. Zero dates are all zero.
    Date(u16, u8, u8, u8, u8, u8, u32),
    /// Times of day and durations: negative, days, hours, minutes, seconds, microseconds.
    Time(bool, u32, u8, u8, u8, u32),
}

impl Cell {
    /// A text cell.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }

    /// The text of a cell that holds valid UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::NULL => Self::Null,
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Int(number) => Self::Integer(number.into()),
            Value::UInt(number) => Self::Integer(number.into()),
            Value::Float(number) => Self::Float(number.to_bits()),
            Value::Double(number) => Self::Double(number.to_bits()),
            Value::Date(y, mo, d, h, mi, s, us) => Self::Date(y, mo, d, h, mi, s, us),
            Value::Time(negative, d, h, m, s, us) => Self::Time(negative, d, h, m, s, us),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(bits) => write!(f, "{:e} (FLOAT bits {bits:08x})", f32::from_bits(*bits)),
            Self::Double(bits) => write!(f, "{:e} (DOUBLE bits {bits:016x})", f64::from_bits(*bits)),
            Self::Bytes(bytes) => write_bytes(f, bytes),
            Self::Date(y, mo, d, h, mi, s, us) => write!(f, "{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02}.{us:06}"),
            Self::Time(negative, d, h, m, s, us) => {
                let sign = if *negative { "-" } else { "" };
                write!(f, "{sign}{d}d {h:02}:{m:02}:{s:02}.{us:06}")
            }
        }
    }
}

/// Text where it is text, else hexadecimal; long values are cut, since the message is for reading.
fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    const SHOWN: usize = 200;
    if let Ok(text) = std::str::from_utf8(bytes) {
        write!(f, "{:?}", text.chars().take(SHOWN).collect::<String>())?;
    } else {
        f.write_str("0x")?;
        bytes.iter().take(SHOWN).try_for_each(|byte| write!(f, "{byte:02x}"))?;
    }
    if bytes.len() > SHOWN { write!(f, " ({} bytes)", bytes.len()) } else { Ok(()) }
}
