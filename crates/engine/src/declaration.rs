//! The administrator declares this site's data the truth for all sites: an authoritative restore. Only for this site's own
//! database; the others hear of it in rounds (`restores`).

use sync_config::Settings;
use sync_database::{Database, declare};
use sync_store::Store;

use crate::error::{EngineError, Kind, Result};
use crate::link::open_prepared;
use crate::open;

/// How many rows each of these tables shows, of all that are synchronised if none is named. Changes nothing.
///
/// # Errors
/// If this site's database cannot be opened, or does not synchronise one of the tables.
pub fn preview(settings: &Settings, tables: &[String]) -> Result<Vec<(String, u64)>> {
    Ok(declare::counts(&mut open_prepared(settings)?, tables)?)
}

/// Declares it; says how many rows each table declares. Whoever holds the run lock and the upgrade lock may.
///
/// # Errors
/// As [`preview`]; and if rows cannot be stamped. What was begun is then on record, and doing it again goes on.
pub fn declare(
    settings: &Settings,
    tables: &[String],
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Vec<(String, u64)>> {
    let mut store = prepared(settings)?;
    let mut progress = |table: &str, rows: u64| {
        progress(table, rows);
        Ok(())
    };
    Ok(declare::declare(&mut store, tables, &mut progress)?)
}

/// With capture as it has to be: a backup may lack triggers.
fn prepared(settings: &Settings) -> Result<Database> {
    // Nobody has to be prepared by this who was not.
    let about = open_prepared(settings)?.describe()?;
    if about.site.number() != settings.site_number {
        return Err(EngineError::new(
            Kind::Configuration,
            format!("the database belongs to site {} (number {})", about.site_name, about.site),
        )
        .hint("run `server_sync init-site` first: it makes the copy this site's"));
    }
    Ok(open::prepare(settings)?.0)
}
