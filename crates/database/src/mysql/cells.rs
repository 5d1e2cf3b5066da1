//! Cells on their way from the wire into a hash, without becoming values: the same bytes as those values have. Never
//! looks at what a value means.

use mysql::consts::ColumnType;
use mysql::{Column, Value as My};
use sync_core::digest::Cells;

use super::driver::BINARY;

/// How the cells of a result column are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    /// What comes as bytes is text, if it is UTF-8.
    Text,
    /// What comes as bytes is bytes.
    Bytes,
    /// BIT: big-endian.
    Bits,
    /// DATE.
    Day,
    /// DATETIME, TIMESTAMP and TIME: whether they have fractions.
    Time { fraction: bool },
}

impl Format {
    /// The format of a column.
    pub fn of(column: &Column) -> Self {
        use ColumnType as T;
        match column.column_type() {
            T::MYSQL_TYPE_BIT => Format::Bits,
            T::MYSQL_TYPE_GEOMETRY => Format::Bytes,
            T::MYSQL_TYPE_NEWDECIMAL | T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_JSON => Format::Text,
            T::MYSQL_TYPE_DATE => Format::Day,
            T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_TIME => {
                Format::Time { fraction: (1..=6).contains(&column.decimals()) }
            }
            _ if column.character_set() == BINARY => Format::Bytes,
            _ => Format::Text,
        }
    }

    /// Adds a cell.
    pub fn add(self, cell: Option<&My>, cells: &mut Cells) {
        match cell.unwrap_or(&My::NULL) {
            My::NULL => cells.null(),
            My::Int(n) => cells.int(*n),
            My::UInt(n) => cells.unsigned(*n),
            My::Float(f) => cells.float(*f),
            My::Double(f) => cells.double(*f),
            My::Bytes(bytes) => self.add_bytes(bytes, cells),
            My::Date(year, month, day, hour, minute, second, micros) => {
                let mut text = Digits::default();
                text.put(u32::from(*year), 4);
                text.put_after(b'-', u32::from(*month), 2);
                text.put_after(b'-', u32::from(*day), 2);
                if !matches!(self, Format::Day) {
                    text.push(b' ');
                    self.put_clock(&mut text, u32::from(*hour), [*minute, *second], *micros);
                }
                cells.text(text.bytes());
            }
            My::Time(negative, days, hour, minute, second, micros) => {
                let mut text = Digits::default();
                if *negative {
                    text.push(b'-');
                }
                self.put_clock(&mut text, days * 24 + u32::from(*hour), [*minute, *second], *micros);
                cells.text(text.bytes());
            }
        }
    }

    fn add_bytes(self, bytes: &[u8], cells: &mut Cells) {
        match self {
            Format::Bits => cells.unsigned(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))),
            Format::Bytes => cells.bytes(bytes),
            _ if std::str::from_utf8(bytes).is_ok() => cells.text(bytes),
            _ => cells.bytes(bytes),
        }
    }

    fn put_clock(self, text: &mut Digits, hours: u32, [minute, second]: [u8; 2], micros: u32) {
        text.put(hours, if hours > 99 { 3 } else { 2 });
        text.put_after(b':', u32::from(minute), 2);
        text.put_after(b':', u32::from(second), 2);
        if let Format::Time { fraction: true } = self {
            text.put_after(b'.', micros, 6);
        }
    }
}

/// A short text that is made digit by digit, which takes a fraction of what formatting does.
#[derive(Default)]
struct Digits {
    text: [u8; 32],
    len: usize,
}

impl Digits {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn put(&mut self, n: u32, width: u32) {
        (0..width).rev().for_each(|place| self.push(b'0' + (n / 10u32.pow(place) % 10) as u8));
    }

    fn put_after(&mut self, separator: u8, n: u32, width: u32) {
        self.push(separator);
        self.put(n, width);
    }

    fn bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }
}
