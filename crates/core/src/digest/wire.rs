//! Nodes and rows as they travel: short, since keys that follow each other begin alike; and safe to read from hostile
//! input.

use super::{Node, RowHash};
use crate::codec::{CodecError, Input, put_varint};

/// Packs nodes.
pub fn pack_nodes(nodes: &[Node]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nodes.len() * 24);
    let mut before: &[u8] = &[];
    put_varint(&mut out, nodes.len() as u64);
    for node in nodes {
        put_key(&mut out, before, &node.end);
        put_varint(&mut out, node.rows);
        out.extend_from_slice(&node.sum.to_be_bytes());
        before = &node.end;
    }
    out
}

/// Unpacks what [`pack_nodes`] made.
///
/// # Errors
/// If these bytes are no such list.
pub fn unpack_nodes(bytes: &[u8]) -> Result<Vec<Node>, CodecError> {
    let one = |input: &mut Input, before: Option<&Node>| {
        let end = key(input, before.map_or(&[][..], |n| &n.end))?;
        Ok(Node { end, rows: input.varint()?, sum: u128::from_be_bytes(input.array()?) })
    };
    list(bytes, one)
}

/// Packs rows.
pub fn pack_rows(rows: &[RowHash]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len() * 14);
    let mut before: &[u8] = &[];
    put_varint(&mut out, rows.len() as u64);
    for row in rows {
        put_key(&mut out, before, &row.key);
        out.extend_from_slice(&row.hash.to_be_bytes());
        before = &row.key;
    }
    out
}

/// Unpacks what [`pack_rows`] made.
///
/// # Errors
/// If these bytes are no such list.
pub fn unpack_rows(bytes: &[u8]) -> Result<Vec<RowHash>, CodecError> {
    let one = |input: &mut Input, before: Option<&RowHash>| {
        let key = key(input, before.map_or(&[][..], |r| &r.key))?;
        Ok(RowHash { key, hash: u64::from_be_bytes(input.array()?) })
    };
    list(bytes, one)
}

fn put_key(out: &mut Vec<u8>, before: &[u8], key: &[u8]) {
    let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
    put_varint(out, shared as u64);
    put_varint(out, (key.len() - shared) as u64);
    out.extend_from_slice(&key[shared..]);
}

fn key(input: &mut Input, before: &[u8]) -> Result<Vec<u8>, CodecError> {
    let shared = usize::try_from(input.varint()?).map_err(|_| CodecError::Short)?;
    let mut key = before.get(..shared).ok_or(CodecError::Unknown("key"))?.to_vec();
    key.extend_from_slice(input.counted()?);
    Ok(key)
}

fn list<T>(bytes: &[u8], one: impl Fn(&mut Input, Option<&T>) -> Result<T, CodecError>) -> Result<Vec<T>, CodecError> {
    let mut input = Input(bytes);
    let count = input.varint()?;
    let mut all: Vec<T> = Vec::new();
    for _ in 0..count {
        let next = one(&mut input, all.last())?;
        all.push(next);
    }
    input.end()?;
    Ok(all)
}
