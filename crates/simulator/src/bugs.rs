//! Planted bugs: mistakes that are easily made and that the simulator must find. They are made around the product, never
//! in it.

use sync_core::{Knowledge, Purgeable, Registry, Source};
use sync_store::{Batch, Completed, Description, Result, Store, StoreError, Trouble};

use crate::courier::Secrets;
use crate::failure::Failure;
use crate::schema;
use crate::tap::lock;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Marks are read above the highest id that was read before, instead of being drained by exact id.
    HighWaterMark,
    /// The receiver's knowledge moves before the rows are there.
    EarlyKnowledge,
    /// A row that comes in with a unique value that is taken replaces whoever has it, here and now.
    NewestUnique,
    /// Stamps do not say at which site they were made.
    TieWithoutSite,
    /// Graves are purged although somebody may not know of them, and nobody looks whether a side lacks any.
    HastyPurge,
    /// Graves are purged with care, but nobody looks whether a side that was restored or away lacks any.
    NoLookForGraves,
    /// A store that goes on in a history which another copy of it has left is not refused.
    BlindToTwins,
}

impl Bug {
    /// The bug with this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "high-water-mark" => Some(Bug::HighWaterMark),
            "early-knowledge" => Some(Bug::EarlyKnowledge),
            "newest-unique" => Some(Bug::NewestUnique),
            "tie-without-site" => Some(Bug::TieWithoutSite),
            "hasty-purge" => Some(Bug::HastyPurge),
            "no-look-for-graves" => Some(Bug::NoLookForGraves),
            "blind-to-twins" => Some(Bug::BlindToTwins),
            _ => None,
        }
    }

    /// Whether it hides which graves are forgotten.
    pub fn hides_graves(self) -> bool {
        matches!(self, Bug::HastyPurge | Bug::NoLookForGraves)
    }
}

/// Without what was heard of later histories of the one that is talked to.
pub fn hide_twins(knowledge: &Knowledge, peer: Source) -> Knowledge {
    let is_later = |source: Source| source.store == peer.store && source.incarnation > peer.incarnation;
    let mut hidden = Knowledge::default();
    knowledge.positions().filter(|(source, _)| !is_later(*source)).for_each(|(source, to)| hidden.advance(source, to));
    let held = knowledge.all_held().filter(|(source, ..)| !is_later(*source));
    held.for_each(|(source, table, seq)| hidden.hold(source, table, seq));
    hidden
}

/// Without what is forgotten.
pub fn hide_graves(registry: &Registry) -> Registry {
    let mut hidden = Registry::default();
    for (store, entry) in registry.entries() {
        hidden.tell(store, entry.told.clone(), 0);
        if entry.is_retired() {
            hidden.retire(store, entry.retired_at);
        }
    }
    hidden
}

/// Purges whatever there is, as far as is old enough.
pub fn purge_all(store: &mut dyn Store, graves: &Purgeable, before: u64) -> Result<u64> {
    let upto = store.describe()?.head.seq;
    store.purge(&Purgeable { upto, ..graves.clone() }, before)
}

fn failed(e: impl Into<Failure>) -> StoreError {
    StoreError::new(Trouble::Failure, e.into().0)
}

/// Marks below the highest that was read are never read.
pub fn pass_over_low_marks(secrets: &Secrets) -> Result<()> {
    let application = lock(&secrets.application);
    let mut highest = lock(&secrets.highest);
    if application.is_open() {
        return Ok(());
    }
    for table in application.mark_tables().map_err(failed)? {
        let seen = highest.entry(table.clone()).or_default();
        let connection = application.connection();
        connection.execute(&format!("DELETE FROM {table} WHERE id <= ?"), [*seen]).map_err(failed)?;
        let query = format!("SELECT COALESCE(MAX(id), 0) FROM {table}");
        let now: i64 = connection.query_row(&query, [], |r| r.get(0)).map_err(failed)?;
        *seen = now.max(*seen);
    }
    Ok(())
}

/// Remembers what a site says of itself.
pub fn tell(secrets: &Secrets, store: &mut dyn Store, description: &Description) -> Result<()> {
    let knowledge = store.knowledge()?;
    lock(&secrets.said).push((description.source, description.head, knowledge));
    Ok(())
}

/// Takes the sender's knowledge before its rows.
pub fn know_early(secrets: &Secrets, store: &mut dyn Store, batch: &Batch) -> Result<()> {
    let said = lock(&secrets.said).iter().rev().find(|(source, ..)| *source == batch.sender).cloned();
    let Some((sender, end, knowledge)) = said else { return Ok(()) };
    let known: Knowledge = store.knowledge()?;
    if batch.upto.is_none() || known.position(sender).is_some_and(|p| p.seq >= end.seq) {
        return Ok(());
    }
    store.complete(&Completed { sender, end, knowledge, sent: Vec::new(), held: Vec::new() })
}

/// Deletes whoever has a unique value that comes in; uncaptured.
pub fn make_room(secrets: &Secrets, batch: &Batch) -> Result<()> {
    let application = lock(&secrets.application);
    if application.is_open() {
        return Ok(());
    }
    let connection = application.connection();
    let config = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    connection.set_db_config(config, false).map_err(failed)?;
    for change in &batch.changes {
        let head = &batch.heads[change.table];
        let Some(values) = change.row.values.as_ref().filter(|_| change.row.state.is_live()) else { continue };
        for unique in schema::uniques(&head.name) {
            let place = |name: &&str| head.columns.iter().position(|c| c == name);
            let found: Vec<String> = unique.iter().filter_map(|n| Some(values.get(place(n)?)?.to_string())).collect();
            let same: Vec<String> = unique.iter().map(|n| format!("{n} = ?")).collect();
            let delete = format!("DELETE FROM {} WHERE {} AND id <> ?", head.name, same.join(" AND "));
            let key = change.key.first().map(ToString::to_string).unwrap_or_default();
            let _ = connection.execute(&delete, rusqlite::params_from_iter(found.into_iter().chain([key])));
        }
    }
    connection.set_db_config(config, true).map_err(failed)?;
    Ok(())
}
