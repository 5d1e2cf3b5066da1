//! How this site's own store is doing, for `status` and `check`. Reads only, whatever state the store is in.

use sync_config::{Database as Place, Settings};
use sync_database::identity;
use sync_database::schema::Schema;
use sync_database::sql::{Fields, Sql};
use sync_database::{Card, Connections};
use sync_store::{ParkedKind, Trouble};

use crate::error::Result;
use crate::open;

/// The own store as it is now.
#[derive(Clone, Debug)]
pub struct Survey {
    /// What it says of itself; nothing if it was never prepared.
    pub card: Option<Card>,
    /// Changes of the application that wait to be drained.
    pub pending: u64,
    /// Rows that a constraint keeps from being shown as they are.
    pub parked: Vec<Parked>,
    /// Conflicts whose losing value was not put back.
    pub conflicts: u64,
}

/// Rows of a table that are not shown as they are for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The table.
    pub table: String,
    /// Why.
    pub kind: ParkedKind,
    /// The columns of the constraint, or what the database said.
    pub detail: String,
    /// How many.
    pub rows: u64,
}

/// Looks at this site's own store.
///
/// # Errors
/// If the database cannot be reached, or holds what this version cannot read.
pub fn survey(settings: &Settings) -> Result<Survey> {
    let mut connections = open::connect(&settings.database)?;
    let sql = connections.writer.as_mut();
    let Some(identity) = identity::read(sql)? else {
        return Ok(Survey { card: None, pending: 0, parked: Vec::new(), conflicts: 0 });
    };
    Ok(Survey {
        card: Some(identity.card),
        pending: pending(sql)?,
        parked: parked(sql)?,
        conflicts: number(sql, "SELECT COUNT(*) FROM server_sync_conflict WHERE restored=0")?,
    })
}

fn number(sql: &mut dyn Sql, query: &str) -> Result<u64> {
    Ok(Fields::of(sql.first(query, &[])?.unwrap_or_default()).unsigned()?)
}

fn pending(sql: &mut dyn Sql) -> Result<u64> {
    let mut total = 0;
    for row in sql.all("SELECT number FROM server_sync_table", &[])? {
        let table = Fields::of(row).unsigned()?;
        total += match sql.first(&format!("SELECT COUNT(*) FROM server_sync_mark_{table}"), &[]) {
            Ok(row) => Fields::of(row.unwrap_or_default()).unsigned()?,
            // Registered, and its mark table not made yet.
            Err(e) if e.trouble == Trouble::SchemaChanged => 0,
            Err(e) => return Err(e.into()),
        };
    }
    Ok(total)
}

fn parked(sql: &mut dyn Sql) -> Result<Vec<Parked>> {
    let query = "SELECT t.name, p.kind, p.detail, COUNT(*) FROM server_sync_parked p \
         JOIN server_sync_table t ON t.number=p.tab GROUP BY t.name, p.kind, p.detail ORDER BY t.name, p.kind, p.detail";
    let one = |row| {
        let mut fields = Fields::of(row);
        let (table, kind) = (fields.text()?, ParkedKind::named(&fields.text()?));
        Ok(Parked { table, kind, detail: fields.text()?, rows: fields.unsigned()? })
    };
    sql.all(query, &[])?.into_iter().map(one).collect()
}

/// What the database's account may do and the schema is like.
#[derive(Clone, Debug)]
pub struct Access {
    /// The application's schema.
    pub schema: Schema,
    /// What the account lacks, one line each with the GRANT to type.
    pub missing: Vec<String>,
    /// How automatic keys are numbered, where the server can be told.
    pub numbering: Option<Numbering>,
}

/// `auto_increment_increment` and `auto_increment_offset` of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// The step.
    pub increment: u64,
    /// The remainder of all keys of this site.
    pub offset: u64,
    /// How many tables have such keys.
    pub tables: u64,
}

/// Looks at a database as far as the account may.
///
/// # Errors
/// If it cannot be reached or read.
pub fn access(place: &Place) -> Result<Access> {
    let mut connections = open::connect(place)?;
    let Connections { writer, dialect, .. } = &mut connections;
    let schema = dialect.read_schema(writer.as_mut())?;
    let missing = dialect.missing_privileges(writer.as_mut(), &schema.triggers)?;
    let numbering = match place {
        Place::Mysql(_) => numbering(writer.as_mut())?,
        Place::Sqlite(_) => None,
    };
    Ok(Access { schema, missing, numbering })
}

fn numbering(sql: &mut dyn Sql) -> Result<Option<Numbering>> {
    let query = "SELECT @@GLOBAL.auto_increment_increment, @@GLOBAL.auto_increment_offset, COUNT(*) \
         FROM information_schema.columns WHERE table_schema = DATABASE() AND extra LIKE '%auto_increment%' \
         AND table_name NOT LIKE 'server\\_sync\\_%'";
    let Some(row) = sql.first(query, &[])? else { return Ok(None) };
    let mut fields = Fields::of(row);
    Ok(Some(Numbering { increment: fields.unsigned()?, offset: fields.unsigned()?, tables: fields.unsigned()? }))
}
