//! The stored form of a registry and of the knowledge in it. Bytes only; what they mean is [`crate::registry`]'s.

use std::collections::BTreeMap;

use super::{CodecError, Input, put_stamp, put_varint};
use crate::knowledge::{Incarnation, Knowledge, Position, Source, StoreId};
use crate::registry::{Entry, Forgotten, Told};
use crate::stamp::SiteId;

const VERSION: u8 = 1;

type Parts = (BTreeMap<StoreId, Entry>, BTreeMap<Source, Forgotten>);

pub(crate) fn pack_registry(entries: &BTreeMap<StoreId, Entry>, forgotten: &BTreeMap<Source, Forgotten>) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_varint(&mut out, entries.len() as u64);
    for (store, entry) in entries {
        out.extend_from_slice(&store.0.to_be_bytes());
        put_varint(&mut out, entry.retired_at);
        put_told(&mut out, &entry.told);
    }
    put_varint(&mut out, forgotten.len() as u64);
    for (source, graves) in forgotten {
        put_source(&mut out, *source);
        put_varint(&mut out, graves.seq);
        put_stamp(&mut out, graves.latest);
    }
    out
}

pub(crate) fn unpack_registry(bytes: &[u8]) -> Result<Parts, CodecError> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION {
        return Err(CodecError::Unknown("version of the registry"));
    }
    let (mut entries, mut forgotten) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..input.varint()? {
        let store = StoreId(u128::from_be_bytes(input.array()?));
        let retired_at = input.varint()?;
        entries.insert(store, Entry { retired_at, told: told(&mut input)? });
    }
    for _ in 0..input.varint()? {
        let source = source(&mut input)?;
        forgotten.insert(source, Forgotten { seq: input.varint()?, latest: input.stamp()? });
    }
    input.end()?;
    Ok((entries, forgotten))
}

/// What a store told, as bytes.
pub(crate) fn pack_told(told: &Told) -> Vec<u8> {
    let mut out = Vec::new();
    put_told(&mut out, told);
    out
}

fn put_told(out: &mut Vec<u8>, told: &Told) {
    out.extend_from_slice(&told.incarnation.0.to_be_bytes());
    put_varint(out, told.at);
    put_varint(out, told.site.number().into());
    put_text(out, &told.name);
    put_knowledge(out, &told.contains);
}

fn told(input: &mut Input) -> Result<Told, CodecError> {
    let incarnation = Incarnation(u64::from_be_bytes(input.array()?));
    let (at, number) = (input.varint()?, input.varint()?);
    let site = SiteId::new(number).map_err(|_| CodecError::Unknown("site number"))?;
    Ok(Told { incarnation, at, site, name: input.text()?, contains: knowledge(input)? })
}

fn put_knowledge(out: &mut Vec<u8>, knowledge: &Knowledge) {
    put_varint(out, knowledge.positions().count() as u64);
    for (source, position) in knowledge.positions() {
        put_source(out, source);
        put_varint(out, position.seq);
        out.extend_from_slice(&position.token.to_be_bytes());
    }
    put_varint(out, knowledge.all_held().count() as u64);
    for (source, table, seq) in knowledge.all_held() {
        put_source(out, source);
        put_text(out, table);
        put_varint(out, seq);
    }
}

fn knowledge(input: &mut Input) -> Result<Knowledge, CodecError> {
    let mut knowledge = Knowledge::default();
    for _ in 0..input.varint()? {
        let source = source(input)?;
        let seq = input.varint()?;
        knowledge.advance(source, Position { seq, token: u64::from_be_bytes(input.array()?) });
    }
    for _ in 0..input.varint()? {
        let source = source(input)?;
        let table = input.text()?;
        knowledge.hold(source, &table, input.varint()?);
    }
    Ok(knowledge)
}

fn put_source(out: &mut Vec<u8>, source: Source) {
    out.extend_from_slice(&source.store.0.to_be_bytes());
    out.extend_from_slice(&source.incarnation.0.to_be_bytes());
}

fn source(input: &mut Input) -> Result<Source, CodecError> {
    let store = StoreId(u128::from_be_bytes(input.array()?));
    Ok(Source { store, incarnation: Incarnation(u64::from_be_bytes(input.array()?)) })
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}
