//! Where knowledge is kept: `server_sync_knowledge` (what this store contains of others), `server_sync_acknowledged`
//! (what others said they contain of this one) and `server_sync_source` (short numbers for origins).

use std::collections::HashMap;

use sync_core::{Incarnation, Knowledge, Position, Source, Value};
use sync_store::{Result, StoreError, Trouble};

use crate::identity::{self, store_id};
use crate::retry;
use crate::sql::{Fields, Sql};

/// In the place of a table's name: how far the source itself said that it was. No table of ours is synchronised under this name.
const MET: &str = "server_sync_knowledge";

/// Reads the knowledge.
pub fn read(sql: &mut dyn Sql) -> Result<Knowledge> {
    let mut knowledge = Knowledge::default();
    let rows = sql.all("SELECT store, incarnation, tab, seq, token FROM server_sync_knowledge ORDER BY tab", &[])?;
    for row in rows {
        let mut fields = Fields::of(row);
        let source = Source { store: store_id(&fields.bytes()?)?, incarnation: Incarnation(fields.unsigned()?) };
        let (table, seq, token) = (fields.text()?, fields.unsigned()?, fields.unsigned()?);
        match &*table {
            "" => knowledge.advance(source, Position { seq, token }),
            MET => knowledge.meet(source, Position { seq, token }),
            _ => knowledge.hold(source, &table, seq),
        }
    }
    Ok(knowledge)
}

/// Replaces what is stored about one source.
pub fn write(sql: &mut dyn Sql, knowledge: &Knowledge, source: Source) -> Result<()> {
    let Some(position) = knowledge.position(source) else { return Ok(()) };
    let [store, incarnation] = source_params(source);
    sql.execute("DELETE FROM server_sync_knowledge WHERE store=? AND incarnation=?", &[store, incarnation])?;
    insert(sql, source, "", position)?;
    if let Some(met) = knowledge.met(source) {
        insert(sql, source, MET, met)?;
    }
    for (table, seq) in knowledge.held(source) {
        insert(sql, source, table, Position { seq, token: 0 })?;
    }
    Ok(())
}

fn insert(sql: &mut dyn Sql, source: Source, table: &str, position: Position) -> Result<()> {
    let [store, incarnation] = source_params(source);
    let params =
        [store, incarnation, Value::text(table), Value::unsigned(position.seq), Value::unsigned(position.token)];
    let statement = "INSERT INTO server_sync_knowledge (store, incarnation, tab, seq, token) VALUES (?,?,?,?,?)";
    sql.execute(statement, &params).map(drop)
}

/// Moves the position of a source that is met forward; the cheap path of a batch.
pub fn meet(sql: &mut dyn Sql, source: Source, to: Position) -> Result<()> {
    let [store, incarnation] = source_params(source);
    let (seq, token) = (Value::unsigned(to.seq), Value::unsigned(to.token));
    let statement = "UPDATE server_sync_knowledge SET seq=?, token=? WHERE store=? AND incarnation=? AND tab IN (?, '') \
                     AND seq<?";
    let params = [seq.clone(), token, store, incarnation, Value::text(MET), seq];
    if sql.execute(statement, &params)? < 2 {
        let mut knowledge = read(sql)?;
        knowledge.meet(source, to);
        write(sql, &knowledge, source)?;
    }
    Ok(())
}

/// Moves one source's position forward.
pub fn advance(sql: &mut dyn Sql, source: Source, to: Position) -> Result<()> {
    let [store, incarnation] = source_params(source);
    let params = [Value::unsigned(to.seq), Value::unsigned(to.token), store, incarnation];
    let statement =
        "UPDATE server_sync_knowledge SET seq=?, token=? WHERE store=? AND incarnation=? AND tab='' AND seq<?";
    let mut all = params.to_vec();
    all.push(Value::unsigned(to.seq));
    if sql.execute(statement, &all)? == 0 && position(sql, source)?.is_none() {
        insert(sql, source, "", to)?;
    }
    Ok(())
}

fn position(sql: &mut dyn Sql, source: Source) -> Result<Option<u64>> {
    let query = "SELECT seq FROM server_sync_knowledge WHERE store=? AND incarnation=? AND tab=''";
    let row = sql.first(query, &source_params(source))?;
    row.map(|r| Fields::of(r).unsigned()).transpose()
}

/// The short number of a source, for origins; given at its first use. Other links of this site give numbers at the same time.
pub fn number(sql: &mut dyn Sql, source: Source) -> Result<u16> {
    retry::first_come(|| match known_number(sql, source)? {
        Some(number) => Ok(number),
        None => give_number(sql, source),
    })
}

fn known_number(sql: &mut dyn Sql, source: Source) -> Result<Option<u16>> {
    let query = "SELECT number FROM server_sync_source WHERE store=? AND incarnation=?";
    let row = sql.first(query, &source_params(source))?;
    row.map(|row| Ok(Fields::of(row).unsigned()? as u16)).transpose()
}

fn give_number(sql: &mut dyn Sql, source: Source) -> Result<u16> {
    let row = sql.first("SELECT COALESCE(MAX(number), 0) + 1 FROM server_sync_source", &[])?;
    let next = Fields::of(row.unwrap_or_default()).unsigned()?;
    let number =
        u16::try_from(next).map_err(|_| StoreError::new(Trouble::Failure, "more than 65535 histories are known"))?;
    let [store, incarnation] = source_params(source);
    let params = [Value::Int(number.into()), store, incarnation];
    sql.execute("INSERT INTO server_sync_source (number, store, incarnation) VALUES (?,?,?)", &params)?;
    Ok(number)
}

/// The sources by their short numbers.
pub fn sources(sql: &mut dyn Sql) -> Result<HashMap<u16, Source>> {
    let rows = sql.all("SELECT number, store, incarnation FROM server_sync_source", &[])?;
    let one = |row| {
        let mut fields = Fields::of(row);
        let number = fields.unsigned()? as u16;
        let store = store_id(&fields.bytes()?)?;
        Ok((number, Source { store, incarnation: Incarnation(fields.unsigned()?) }))
    };
    rows.into_iter().map(one).collect()
}

/// Remembers that `peer` contains this store's history up to `seq` of incarnation `own`.
pub fn acknowledge(sql: &mut dyn Sql, peer: Source, own: Incarnation, seq: u64) -> Result<()> {
    let [store, incarnation] = source_params(peer);
    let params = [Value::unsigned(seq), store, incarnation, Value::unsigned(own.0)];
    let update = "UPDATE server_sync_acknowledged SET seq=? WHERE store=? AND incarnation=? AND own_incarnation=?";
    let insert = "INSERT INTO server_sync_acknowledged (seq, store, incarnation, own_incarnation) VALUES (?,?,?,?)";
    retry::first_come(|| match sql.execute(update, &params)? {
        0 => sql.execute(insert, &params).map(drop),
        _ => Ok(()),
    })
}

/// Up to which seq `peer` is known to contain this store's history, and in which of its incarnations it said so. A new
/// incarnation continues the seqs of the one before, and what was acknowledged then is in the part they share.
pub fn acknowledged(sql: &mut dyn Sql, peer: Source) -> Result<Option<(Incarnation, u64)>> {
    let query = "SELECT own_incarnation, seq FROM server_sync_acknowledged WHERE store=? AND incarnation=? \
                 ORDER BY seq DESC, own_incarnation DESC LIMIT 1";
    let Some(row) = sql.first(query, &source_params(peer))? else { return Ok(None) };
    let mut fields = Fields::of(row);
    Ok(Some((Incarnation(fields.unsigned()?), fields.unsigned()?)))
}

/// Remembers, as this store leaves a history, what it certainly contains of it: as much as anybody acknowledged. What came
/// later there can be lost.
pub fn leave(sql: &mut dyn Sql, own: Source) -> Result<()> {
    let row = sql.first("SELECT MAX(seq) FROM server_sync_acknowledged", &[])?.unwrap_or_default();
    let Value::Int(seq) = Fields::of(row).value() else { return Ok(()) };
    let seq = seq.unsigned_abs();
    let token = identity::token_of(sql, seq)?.unwrap_or_default();
    advance(sql, own, Position { seq, token })
}

/// Whether `peer` ever said that it contains anything of this incarnation of ours.
pub fn has_acknowledged(sql: &mut dyn Sql, peer: Source, own: Incarnation) -> Result<bool> {
    let query = "SELECT 1 FROM server_sync_acknowledged WHERE store=? AND incarnation=? AND own_incarnation=?";
    let [store, incarnation] = source_params(peer);
    Ok(sql.first(query, &[store, incarnation, Value::unsigned(own.0)])?.is_some())
}

fn source_params(source: Source) -> [Value; 2] {
    [Value::Bytes(source.store.0.to_be_bytes().to_vec()), Value::unsigned(source.incarnation.0)]
}
