//! From settings to stores: the only place that knows which kinds there are. Refuses before anything is touched.

use std::fs;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;
use sync_config::{self as config, Link, Settings, VersionSource};
use sync_core::{SiteId, Value};
use sync_database::mysql::{self, Address, Tls};
use sync_database::rules::Columns;
use sync_database::sql::Sql;
use sync_database::{Card, Connections, Database, Rules, UpgradeLock, identity, seed, sqlite};
use sync_store::{Role, SlaveSettings, Store, StoreError, Trouble};

use crate::brake::Brake;
use crate::error::{EngineError, Kind, Result};
use crate::handshake::Expectation;
use crate::round::Options;
use crate::state::{Remembered, State};

/// Connects to a database.
pub fn connect(database: &config::Database) -> Result<Connections> {
    match database {
        config::Database::Mysql(m) => {
            let connections = mysql::connect(&address(m))?;
            Ok(match m.digest {
                config::DigestBy::Auto => connections,
                config::DigestBy::Rows => connections.far(false),
                config::DigestBy::Sums => connections.far(true),
            })
        }
        config::Database::Sqlite(s) => Ok(sqlite::connect(&s.path)?),
    }
}

fn address(m: &config::Mysql) -> Address {
    let mut address = Address {
        database: m.name.clone(),
        user: m.user.clone(),
        password: m.password.as_ref().map(|p| p.expose_secret().to_owned()),
        ca_file: m.tls.ca_file.clone(),
        tls: match m.tls.mode {
            config::TlsMode::Required => Tls::Required,
            config::TlsMode::Preferred => Tls::Preferred,
            config::TlsMode::Off => Tls::Off,
        },
        ..Address::default()
    };
    match &m.endpoint {
        config::Endpoint::Tcp { host, port } => (address.host, address.port) = (host.clone(), *port),
        config::Endpoint::Socket(path) => address.socket = Some(path.clone()),
    }
    address
}

/// Keeps the rounds of other sites away from this site's own database for as long as the result lives.
pub fn upgrade_lock(settings: &Settings) -> Result<Option<UpgradeLock>> {
    Ok(UpgradeLock::take(connect(&settings.database)?)?)
}

/// Prepares this site's own database, or publishes changed settings in it. Says what was done.
pub fn prepare(settings: &Settings) -> Result<(Database, Vec<String>)> {
    let mut connections = connect(&settings.database)?;
    let version = vd_version(settings, connections.writer.as_mut());
    let card = match version.and_then(|version| card(settings, version)) {
        Ok(card) => card,
        // Without privileges the version cannot be asked for.
        Err(e) => return Err(connections.require_privileges().map_or_else(Into::into, |()| e)),
    };
    let (mut database, notes) = match whose(settings, connections.writer.as_mut(), &card)? {
        Whose::Copied => seed::adopt(connections, &card)?,
        Whose::Own => Database::prepare(connections, &card)?,
        Whose::Original(site) => return Err(other_site(settings, &site, &card)),
    };
    recognise(settings, &mut database)?;
    Ok((database, notes))
}

/// Whose a database is.
enum Whose {
    /// This site's, or nobody's yet.
    Own,
    /// A copy of another site's, put here to seed this one.
    Copied,
    /// Another site's, and this machine remembers it as its own: it has other settings now, or all of it is a copy.
    Original(Box<Card>),
}

fn whose(settings: &Settings, sql: &mut dyn Sql, card: &Card) -> Result<Whose> {
    let Some(known) = identity::read(sql)?.filter(|known| known.card.site != card.site) else { return Ok(Whose::Own) };
    let remembered = State::load(&settings.state_dir()).store.and_then(|r: Remembered| r.recall());
    Ok(match remembered {
        Some((source, _)) if source.store == known.source.store => Whose::Original(Box::new(known.card)),
        _ => Whose::Copied,
    })
}

/// Only a person knows whether it is a copy of the whole machine.
fn other_site(settings: &Settings, theirs: &Card, own: &Card) -> EngineError {
    let state = settings.state_dir();
    EngineError::new(
        Kind::Configuration,
        format!(
            "the database and the state directory belong to site {} (number {}), the settings are those of site {} (number {})",
            theirs.site_name, theirs.site, own.site_name, own.site
        ),
    )
    .hint(format!(
        "check site and site_number; if this machine is a copy of that of {}, and is to become a site of its own, move {} \
         away and run `server_sync init-site` again",
        theirs.site_name,
        state.display()
    ))
}

/// What this site publishes of itself.
pub(crate) fn card(settings: &Settings, vd_version: String) -> Result<Card> {
    let site = SiteId::new(settings.site_number.into())
        .map_err(|e| EngineError::new(Kind::Configuration, e.to_string()).hint("check site_number"))?;
    let masters: Vec<String> = settings.masters.iter().map(ToString::to_string).collect();
    let role = if masters.is_empty() { Role::NotSlave } else { Role::Slave(SlaveSettings { masters }) };
    Ok(Card {
        site,
        site_name: settings.site.to_string(),
        vd: settings.vd.to_string(),
        vd_version,
        role,
        rules: rules(settings),
    })
}

/// What the settings say of tables.
fn rules(settings: &Settings) -> Rules {
    let columns = |list: &[config::TableColumns]| -> Vec<Columns> {
        list.iter().map(|c| Columns { table: c.table.clone(), columns: c.columns.clone() }).collect()
    };
    Rules {
        excluded: settings.excluded_tables.iter().map(ToString::to_string).collect(),
        together: columns(&settings.together),
        trees: columns(&settings.trees),
        counters: columns(&settings.counters),
        rekey: settings.rekey.clone(),
    }
}

/// The application's version as it is now; connects only if the version comes from a query.
pub fn version_now(settings: &Settings) -> Result<String> {
    match &settings.version.source {
        VersionSource::Query(_) => vd_version(settings, connect(&settings.database)?.writer.as_mut()),
        VersionSource::Fixed(version) => Ok(version.to_string()),
        VersionSource::File(path) => version_in_file(path),
    }
}

fn vd_version(settings: &Settings, sql: &mut dyn Sql) -> Result<String> {
    let text = match &settings.version.source {
        VersionSource::Fixed(version) => version.to_string(),
        VersionSource::File(path) => version_in_file(path)?,
        VersionSource::Query(query) => version_by_query(sql, query)?,
    };
    Ok(text.trim().to_owned())
}

fn version_in_file(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).map_err(|e| {
        EngineError::new(Kind::Configuration, format!("cannot read the version from {}: {e}", path.display()))
            .hint("check version_file in [vd]")
    })?;
    Ok(text.trim().to_owned())
}

fn version_by_query(sql: &mut dyn Sql, query: &str) -> Result<String> {
    let row = sql.first(query, &[]).map_err(|e| {
        EngineError::from(StoreError::new(Trouble::Configuration, format!("the version query failed: {}", e.message)))
            .hint("check version_query in [vd]")
    })?;
    match row.as_deref() {
        Some([value]) if *value != Value::Null => Ok(value.to_string()),
        _ => Err(EngineError::new(Kind::Configuration, "the version query must give one row with one value")
            .hint("check version_query in [vd]")),
    }
}

/// A database that does not contain the history this site remembers was restored from a backup: it goes on in a new
/// incarnation, and gets back from the others what it lost.
fn recognise(settings: &Settings, database: &mut Database) -> Result<()> {
    let remembered = State::load(&settings.state_dir()).store.and_then(|r: Remembered| r.recall());
    if let Some((source, head)) = remembered
        && source == database.source()
        && !database.recognises(head)?
    {
        // What was marked before that was written is of the backup, or of what came after it and is lost.
        database.leave_history(State::saved_at(&settings.state_dir()))?;
    }
    Ok(())
}

/// How a round over a link is done by these settings.
pub fn options(settings: &Settings, link: &Link) -> Options {
    let limits = &settings.limits;
    Options {
        brake: Brake { share: limits.max_deleted_share, rows: limits.max_deleted_rows, ..Brake::default() },
        bandwidth: link.documents_bandwidth,
        prefer_slave: settings.prefer_on_first_contact == config::Preference::Slave,
        ..Options::expecting(Expectation {
            slave: link.slave.to_string(),
            remote_vd: link.remote_vd.to_string(),
            minimum: settings.version.minimum.clone(),
            max_clock_difference: limits.max_clock_difference,
        })
    }
}

/// How long an unused connection is kept before a round; servers close idle ones after hours.
pub const FRESH: Duration = Duration::from_secs(600);
