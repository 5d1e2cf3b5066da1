//! The stored form of states and values: short, versioned, and safe to read from hostile input. Lengths are checked
//! before anything is allocated; nothing here panics.

mod registry;

use thiserror::Error;

pub(crate) use self::registry::{pack_registry, pack_told, unpack_registry};
use crate::knowledge::Incarnation;
use crate::number::Number;
use crate::row::{ColumnId, RowState, Seen, Sum};
use crate::stamp::Stamp;
use crate::value::Value;

/// Bytes that this program did not write, or wrote in a later version.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CodecError {
    /// The bytes end too early.
    #[error("the stored bytes end too early")]
    Short,
    /// Something is there that the format does not know.
    #[error("the stored bytes hold an unknown {0}")]
    Unknown(&'static str),
    /// Bytes are left over.
    #[error("{0} bytes are left over after the stored value")]
    Trailing(usize),
}

const STATE_VERSION: u8 = 1;
/// A state with sums. States without are written as before there were any.
const WITH_SUMS: u8 = 2;
/// A state of an epoch that began with an authoritative restore. All others are written as before there were any.
const WITH_EPOCH: u8 = 3;

/// The type of an integer.
pub(crate) const INT: u8 = 1;
/// The type of text.
pub(crate) const TEXT: u8 = 5;
/// The type of bytes.
pub(crate) const BYTES: u8 = 6;

/// Packs a state: version, inserted, deleted, then cells, seen and, if there are any, sums as counted lists; of an epoch also
/// sums that are not there, its stamp, and what was seen before.
pub fn pack_state(state: &RowState) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + state.cells.len() * 10);
    let version = match (state.epoch, state.sums.is_empty()) {
        (Stamp::NEVER, true) => STATE_VERSION,
        (Stamp::NEVER, false) => WITH_SUMS,
        _ => WITH_EPOCH,
    };
    out.push(version);
    put_stamp(&mut out, state.inserted);
    put_stamp(&mut out, state.deleted);
    put_varint(&mut out, state.cells.len() as u64);
    for (column, stamp) in &state.cells {
        put_varint(&mut out, u64::from(*column));
        put_stamp(&mut out, *stamp);
    }
    put_seen(&mut out, &state.seen);
    if version >= WITH_SUMS {
        put_sums(&mut out, state);
    }
    if version >= WITH_EPOCH {
        put_stamp(&mut out, state.epoch);
        put_seen(&mut out, &state.before);
    }
    out
}

fn put_seen(out: &mut Vec<u8>, seen: &Seen) {
    put_varint(out, seen.stamps().len() as u64);
    seen.stamps().for_each(|s| put_stamp(out, s));
}

fn put_sums(out: &mut Vec<u8>, state: &RowState) {
    put_varint(out, state.sums.len() as u64);
    for ((column, history), sum) in &state.sums {
        put_varint(out, u64::from(*column));
        out.extend_from_slice(&history.0.to_be_bytes());
        put_stamp(out, sum.last);
        let (unscaled, scale) = sum.total.parts();
        out.push(scale);
        out.extend_from_slice(&unscaled.to_be_bytes());
    }
}

/// Unpacks what [`pack_state`] made.
pub fn unpack_state(bytes: &[u8]) -> Result<RowState, CodecError> {
    let mut input = Input(bytes);
    let version = input.byte()?;
    if !(STATE_VERSION..=WITH_EPOCH).contains(&version) {
        return Err(CodecError::Unknown("state version"));
    }
    let (inserted, deleted) = (input.stamp()?, input.stamp()?);
    let mut cells = std::collections::BTreeMap::new();
    for _ in 0..input.varint()? {
        cells.insert(input.column()?, input.stamp()?);
    }
    let seen = input.seen()?;
    let mut sums = std::collections::BTreeMap::new();
    for _ in 0..if version >= WITH_SUMS { input.varint()? } else { 0 } {
        let (column, history) = (input.column()?, Incarnation(u64::from_be_bytes(input.array()?)));
        sums.insert((column, history), input.sum()?);
    }
    let (epoch, before) = match version {
        WITH_EPOCH => (input.stamp()?, input.seen()?),
        _ => (Stamp::NEVER, Seen::default()),
    };
    input.end()?;
    Ok(RowState { epoch, before, inserted, deleted, cells, sums, seen })
}

/// Packs values, each with its type, so that they come back exactly.
pub fn pack_values(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.iter().map(Value::weight).sum());
    put_varint(&mut out, values.len() as u64);
    values.iter().for_each(|v| put_value(&mut out, v));
    out
}

/// Unpacks what [`pack_values`] made.
pub fn unpack_values(bytes: &[u8]) -> Result<Vec<Value>, CodecError> {
    let mut input = Input(bytes);
    let count = input.varint()?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(input.value()?);
    }
    input.end()?;
    Ok(values)
}

pub(crate) fn put_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    out.extend_from_slice(&stamp.raw().to_be_bytes());
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Int(n) => put_tagged(out, INT, &n.to_be_bytes()),
        Value::UInt(n) => put_tagged(out, 2, &n.to_be_bytes()),
        Value::Float(b) => put_tagged(out, 3, &b.to_be_bytes()),
        Value::Double(b) => put_tagged(out, 4, &b.to_be_bytes()),
        Value::Text(s) => put_counted(out, TEXT, s.as_bytes()),
        Value::Bytes(b) => put_counted(out, BYTES, b),
    }
}

fn put_tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_counted(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        self.take(N)?.try_into().map_err(|_| CodecError::Short)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn stamp(&mut self) -> Result<Stamp, CodecError> {
        Ok(Stamp::from_raw(u64::from_be_bytes(self.array()?)))
    }

    fn column(&mut self) -> Result<ColumnId, CodecError> {
        u16::try_from(self.varint()?).map_err(|_| CodecError::Unknown("column"))
    }

    fn seen(&mut self) -> Result<Seen, CodecError> {
        let mut seen = Seen::default();
        for _ in 0..self.varint()? {
            seen.add(self.stamp()?);
        }
        Ok(seen)
    }

    fn sum(&mut self) -> Result<Sum, CodecError> {
        let (last, scale) = (self.stamp()?, self.byte()?);
        let total = Number::new(i128::from_be_bytes(self.array()?), scale).ok_or(CodecError::Unknown("number"))?;
        Ok(Sum { last, total })
    }

    pub(crate) fn varint(&mut self) -> Result<u64, CodecError> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(CodecError::Unknown("length"))
    }

    pub(crate) fn counted(&mut self) -> Result<&'a [u8], CodecError> {
        let len = usize::try_from(self.varint()?).map_err(|_| CodecError::Short)?;
        self.take(len)
    }

    fn value(&mut self) -> Result<Value, CodecError> {
        Ok(match self.byte()? {
            0 => Value::Null,
            INT => Value::Int(i64::from_be_bytes(self.array()?)),
            2 => Value::UInt(u64::from_be_bytes(self.array()?)),
            3 => Value::Float(u32::from_be_bytes(self.array()?)),
            4 => Value::Double(u64::from_be_bytes(self.array()?)),
            TEXT => Value::Text(self.text()?),
            BYTES => Value::Bytes(self.counted()?.to_vec()),
            _ => return Err(CodecError::Unknown("type of value")),
        })
    }

    pub(crate) fn text(&mut self) -> Result<String, CodecError> {
        let bytes = self.counted()?.to_vec();
        String::from_utf8(bytes).map_err(|_| CodecError::Unknown("text encoding"))
    }

    pub(crate) fn end(&self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::Trailing(self.0.len())) }
    }
}
