//! A row as canonical bytes: what is hashed, and read back as its key. Equal exactly if the values are.

use xxhash_rust::xxh3::xxh3_128;

use crate::codec;
use crate::key;
use crate::value::Value;

/// The cells of one row, in the order of the columns' names. Made once for a table and filled for each row, so that
/// nothing is allocated for a cell.
#[derive(Clone, Debug)]
pub struct Cells {
    bytes: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<usize>,
    /// The places of the key's columns, in the key's order.
    key_at: Vec<usize>,
    is_key: Vec<bool>,
}

/// A value that is longer stands for itself by its hash, unless it is part of the key.
const LONG: usize = 512;

impl Cells {
    /// For rows of so many columns, of which these are the key's.
    pub fn new(width: usize, key_at: Vec<usize>) -> Self {
        let is_key = (0..width).map(|i| key_at.contains(&i)).collect();
        Cells { bytes: Vec::new(), ends: Vec::with_capacity(width), key_at, is_key }
    }

    /// Forgets the row.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// A row given as values.
    pub fn set(&mut self, values: &[Value]) {
        self.clear();
        values.iter().for_each(|v| self.value(v));
    }

    /// The next cell.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.text(text.as_bytes()),
            Value::Bytes(bytes) => self.bytes(bytes),
            other => {
                codec::put_value(&mut self.bytes, other);
                self.end();
            }
        }
    }

    /// The next cell is NULL.
    pub fn null(&mut self) {
        self.value(&Value::Null);
    }

    /// The next cell is an integer.
    pub fn int(&mut self, n: i64) {
        self.value(&Value::Int(n));
    }

    /// The next cell is an unsigned integer.
    pub fn unsigned(&mut self, n: u64) {
        self.value(&Value::unsigned(n));
    }

    /// The next cell is a float.
    pub fn float(&mut self, f: f32) {
        self.value(&Value::float(f));
    }

    /// The next cell is a double-precision float.
    pub fn double(&mut self, f: f64) {
        self.value(&Value::double(f));
    }

    /// The next cell is text, in UTF-8.
    pub fn text(&mut self, text: &[u8]) {
        self.counted(codec::TEXT, text);
    }

    /// The next cell is bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.counted(codec::BYTES, bytes);
    }

    fn counted(&mut self, tag: u8, content: &[u8]) {
        let whole = content.len() <= LONG || self.is_key.get(self.ends.len()).copied().unwrap_or_default();
        if whole {
            codec::put_counted(&mut self.bytes, tag, content);
        } else {
            self.bytes.push(tag | 0x80);
            self.bytes.extend_from_slice(&(content.len() as u64).to_be_bytes());
            self.bytes.extend_from_slice(&xxh3_128(content).to_be_bytes());
        }
        self.end();
    }

    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// The hash of the row.
    pub fn hash(&self) -> u128 {
        xxh3_128(&self.bytes)
    }

    /// The packed key, as [`key::pack`] makes it.
    pub fn key(&self, out: &mut Vec<u8>) {
        out.clear();
        let cell = |place: &usize| {
            let begin = place.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or_default());
            let end = self.ends.get(*place).copied().unwrap_or(begin);
            &self.bytes[begin..end]
        };
        match self.key_at.as_slice() {
            [one] if cell(one).first() == Some(&codec::INT) => key::pack_int(out, &cell(one)[1..]),
            many => {
                codec::put_varint(out, many.len() as u64);
                many.iter().for_each(|place| out.extend_from_slice(cell(place)));
            }
        }
    }
}

/// The half of a row's hash that travels with its key.
pub fn fold(hash: u128) -> u64 {
    (hash ^ (hash >> 64)) as u64
}
