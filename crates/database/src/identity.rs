//! `server_sync_store`: who this store is, whom it belongs to, what its site lets others do, and the head of its
//! history; and `server_sync_token`, the proof of that history. Locking its one row is the store's lock: there is
//! one writer of metadata at a time.

use sync_core::{Incarnation, Position, SiteId, Source, StoreId, Value};
use sync_store::{Result, Role, SlaveSettings, StoreError, Trouble};

use crate::epochs::Epochs;
use crate::rules::{self, Rules};
use crate::sql::{Fields, Sql};

/// The version of the stored formats. A store with another one is refused.
pub const FORMAT: i64 = 6;

/// What a site publishes of its settings in its own database, so that a master can read it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The site's number.
    pub site: SiteId,
    /// The site's name.
    pub site_name: String,
    /// The virtual desktop.
    pub vd: String,
    /// The version of its application.
    pub vd_version: String,
    /// The slave mode.
    pub role: Role,
    /// What its settings say of tables.
    pub rules: Rules,
}

/// The one row of `server_sync_store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Store and incarnation.
    pub source: Source,
    /// What the site publishes.
    pub card: Card,
    /// The version of server_sync that wrote it.
    pub product_version: String,
    /// The head of the history.
    pub head: Position,
    /// The authoritative restores that it has met.
    pub epochs: Epochs,
}

const COLUMNS: &str = "format, store, incarnation, site, site_name, vd, vd_version, product_version, slave, masters, \
     excluded, together, trees, counters, rekey, seq, token, epochs";

/// Reads the identity; `None` if the database was never prepared.
pub fn read(sql: &mut dyn Sql) -> Result<Option<Identity>> {
    match sql.first(&format!("SELECT {COLUMNS} FROM server_sync_store WHERE one=1"), &[]) {
        Ok(row) => row.map(parse).transpose(),
        Err(e) if e.trouble == Trouble::SchemaChanged => match format_of(sql)? {
            Some(format) if format != FORMAT => Err(other_format(format)),
            _ => Ok(None),
        },
        Err(e) => Err(e),
    }
}

/// The format of a store, whatever columns it has; nothing if there is none.
fn format_of(sql: &mut dyn Sql) -> Result<Option<i64>> {
    match sql.first("SELECT format FROM server_sync_store WHERE one=1", &[]) {
        Ok(row) => row.map(|row| Fields::of(row).int()).transpose(),
        Err(e) if e.trouble == Trouble::SchemaChanged => Ok(None),
        Err(e) => Err(e),
    }
}

/// The columns that older formats did not have, with their types. They may be NULL. Format 3 added the first two, format 4 the
/// registry, which is a table of its own, format 5 the last, and format 6 a table again, of brief rows.
const ADDED: [(&str, &str); 3] = [("counters", "TEXT"), ("rekey", "TEXT"), ("epochs", "BLOB")];

/// Brings a store of formats 2 to 5 to this one, once our tables are there. Harmless to repeat after a crash at any point.
pub fn upgrade(sql: &mut dyn Sql) -> Result<()> {
    if !matches!(format_of(sql)?, Some(2..=5)) {
        return Ok(());
    }
    for (column, kind) in ADDED {
        match sql.first(&format!("SELECT {column} FROM server_sync_store LIMIT 1"), &[]) {
            Err(e) if e.trouble == Trouble::SchemaChanged => {
                sql.run(&format!("ALTER TABLE server_sync_store ADD COLUMN {column} {kind}"))?;
            }
            other => drop(other?),
        }
    }
    sql.execute("UPDATE server_sync_store SET format=? WHERE one=1", &[Value::Int(FORMAT)]).map(drop)
}

/// Takes the store's lock for this transaction and reads the head. Waits for another writer of metadata.
pub fn lock(sql: &mut dyn Sql, for_update: &str) -> Result<(Source, Position)> {
    let query = format!("SELECT store, incarnation, seq, token FROM server_sync_store WHERE one=1{for_update}");
    let row = sql.first(&query, &[])?.ok_or_else(not_prepared)?;
    let mut fields = Fields::of(row);
    let source = Source { store: store_id(&fields.bytes()?)?, incarnation: Incarnation(fields.unsigned()?) };
    Ok((source, Position { seq: fields.unsigned()?, token: fields.unsigned()? }))
}

/// Records a new head and its token, in the transaction that wrote the rows.
pub fn advance(sql: &mut dyn Sql, head: Position) -> Result<()> {
    let params = [Value::unsigned(head.seq), Value::unsigned(head.token)];
    sql.execute("UPDATE server_sync_store SET seq=?, token=? WHERE one=1", &params)?;
    sql.execute("INSERT INTO server_sync_token (seq, token) VALUES (?,?)", &params)?;
    Ok(())
}

/// The token under which a seq is named: that of the transaction which it belongs to.
pub fn token_of(sql: &mut dyn Sql, seq: u64) -> Result<Option<u64>> {
    let query = "SELECT token FROM server_sync_token WHERE seq>=? ORDER BY seq LIMIT 1";
    let row = sql.first(query, &[Value::unsigned(seq)])?;
    row.map(|r| Fields::of(r).unsigned()).transpose()
}

/// Keeps the newest tokens and those under positions that somebody named; drops the others.
pub fn thin_tokens(sql: &mut dyn Sql, head: u64) -> Result<()> {
    let rows = sql.all("SELECT MIN(seq) FROM server_sync_acknowledged WHERE seq>0", &[])?;
    let named = rows.into_iter().next().map(|r| Fields::of(r).unsigned()).transpose()?.unwrap_or(0);
    let keep_from = head.saturating_sub(TOKENS_KEPT).min(named);
    sql.execute("DELETE FROM server_sync_token WHERE seq<?", &[Value::unsigned(keep_from)])?;
    Ok(())
}

const TOKENS_KEPT: u64 = 1_000_000;

/// Writes the first identity of a store.
pub fn create(sql: &mut dyn Sql, source: Source, card: &Card) -> Result<()> {
    let statement = format!("INSERT INTO server_sync_store (one, {COLUMNS}) VALUES (1{})", ",?".repeat(18));
    let mut params = vec![
        Value::Int(FORMAT),
        Value::Bytes(source.store.0.to_be_bytes().to_vec()),
        Value::unsigned(source.incarnation.0),
    ];
    params.extend(card_params(card));
    params.extend([Value::Int(0), Value::Int(0), Value::Null]);
    sql.execute(&statement, &params).map(drop)
}

/// Publishes changed settings.
pub fn publish(sql: &mut dyn Sql, card: &Card) -> Result<()> {
    let statement = "UPDATE server_sync_store SET site=?, site_name=?, vd=?, vd_version=?, product_version=?, slave=?, \
         masters=?, excluded=?, together=?, trees=?, counters=?, rekey=? WHERE one=1";
    sql.execute(statement, &card_params(card)).map(drop)
}

/// Becomes another store.
pub fn replace(sql: &mut dyn Sql, source: Source) -> Result<()> {
    let params = [Value::Bytes(source.store.0.to_be_bytes().to_vec()), Value::unsigned(source.incarnation.0)];
    sql.execute("UPDATE server_sync_store SET store=?, incarnation=? WHERE one=1", &params).map(drop)
}

/// Takes another incarnation.
pub fn set_incarnation(sql: &mut dyn Sql, incarnation: Incarnation) -> Result<()> {
    sql.execute("UPDATE server_sync_store SET incarnation=? WHERE one=1", &[Value::unsigned(incarnation.0)]).map(drop)
}

fn card_params(card: &Card) -> [Value; 12] {
    let masters = match &card.role {
        Role::NotSlave => None,
        Role::Slave(s) => Some(s.masters.join("\n")),
    };
    [
        Value::Int(card.site.number().into()),
        Value::text(&card.site_name),
        Value::text(&card.vd),
        Value::text(&card.vd_version),
        Value::text(env!("CARGO_PKG_VERSION")),
        Value::Int(masters.is_some().into()),
        Value::text(masters.unwrap_or_default()),
        Value::text(card.rules.excluded.join("\n")),
        Value::text(rules::written(&card.rules.together)),
        Value::text(rules::written(&card.rules.trees)),
        Value::text(rules::written(&card.rules.counters)),
        Value::text(card.rules.rekey.join("\n")),
    ]
}

fn parse(row: Vec<Value>) -> Result<Identity> {
    let mut fields = Fields::of(row);
    let format = fields.int()?;
    if format != FORMAT {
        return Err(other_format(format));
    }
    let source = Source { store: store_id(&fields.bytes()?)?, incarnation: Incarnation(fields.unsigned()?) };
    let site = SiteId::new(fields.unsigned()?).map_err(|e| StoreError::new(Trouble::Corrupt, e.to_string()))?;
    let (site_name, vd, vd_version) = (fields.text()?, fields.text()?, fields.text()?);
    let product_version = fields.text()?;
    let (slave, masters, excluded) = (fields.int()?, lines(&fields.text()?), lines(&fields.text()?));
    let role = if slave == 1 { Role::Slave(SlaveSettings { masters }) } else { Role::NotSlave };
    let (together, trees) = (rules::read(&fields.text()?), rules::read(&fields.text()?));
    let (counters, rekey) = (rules::read(&fields.text()?), lines(&fields.text()?));
    let head = Position { seq: fields.unsigned()?, token: fields.unsigned()? };
    let epochs = Epochs::unpack(fields.value())?;
    let card =
        Card { site, site_name, vd, vd_version, role, rules: Rules { excluded, together, trees, counters, rekey } };
    Ok(Identity { source, card, product_version, head, epochs })
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// Reads a store id as it is stored.
pub(crate) fn store_id(bytes: &[u8]) -> Result<StoreId> {
    let bytes = bytes.try_into().map_err(|_| StoreError::new(Trouble::Corrupt, "a store id does not have 16 bytes"))?;
    Ok(StoreId(u128::from_be_bytes(bytes)))
}

fn other_format(format: i64) -> StoreError {
    StoreError::new(
        Trouble::Configuration,
        format!("the database was prepared by another version of server_sync (format {format}, this one has {FORMAT})"),
    )
    .hint("install the same version of server_sync at both sites")
}

pub(crate) fn not_prepared() -> StoreError {
    StoreError::new(Trouble::NotPrepared, "the database has not been prepared for synchronisation")
        .hint("run `server_sync init-site -vd NAME` at the site that the database belongs to")
}
