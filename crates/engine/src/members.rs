//! The sites of the network as this one knows them, and the declaration that one has left. Says nothing to other sites: what
//! is declared here spreads with the rounds.

use std::path::Path;

use sync_config::Settings;
use sync_core::{Registry, StoreId};
use sync_database::{Database, sqlite};
use sync_store::Store;

use crate::error::{EngineError, Kind, Result};
use crate::folder;
use crate::link::open_prepared;

/// A site that takes part, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// When it last told how far it is, in milliseconds since the Unix epoch.
    pub told_at: u64,
    /// Whether it was declared to have left and has not been heard of since.
    pub retired: bool,
    /// Whether it is this site.
    pub own: bool,
    store: StoreId,
}

/// All sites that were heard of, by number.
///
/// # Errors
/// If this site's database cannot be opened.
pub fn members(settings: &Settings) -> Result<Vec<Member>> {
    let mut store = open_prepared(settings)?;
    let own = store.describe()?.source.store;
    Ok(listed(&store.registry()?, own))
}

/// Declares that a site, given by its name or number, has left: nobody waits any more for it to take what others delete.
/// Returns the site.
///
/// # Errors
/// [`Kind::Configuration`] for this site itself and for one that was never heard of; those that were are named.
pub fn retire(settings: &Settings, site: &str) -> Result<Member> {
    let mut store = open_prepared(settings)?;
    let about = store.describe()?;
    let mut registry = store.registry()?;
    let known = listed(&registry, about.source.store);
    let stores = chosen(&known, site)?;
    let now = u64::try_from(about.clock_micros / 1000).unwrap_or_default();
    for member in &stores {
        registry.retire(member.store, now);
    }
    store.register(&registry)?;
    let numbers: Vec<u16> = stores.iter().map(|m| m.number).collect();
    settings.documents.iter().try_for_each(|folder| {
        let index = folder::index(&settings.state_dir(), folder.name.as_str());
        if index.exists() { retire_in(&index, &numbers, now) } else { Ok(()) }
    })?;
    let retired = stores.into_iter().next_back().cloned();
    retired.map(|m| Member { retired: true, ..m }).ok_or_else(|| unknown(&known, site))
}

/// The same in the index of a folder of documents, which has a registry of its own.
fn retire_in(index: &Path, numbers: &[u16], now: u64) -> Result<()> {
    let mut store = Database::open(sqlite::connect(index)?)?;
    let mut registry = store.registry()?;
    let left = registry.entries().filter(|(_, entry)| numbers.contains(&entry.told.site.number()));
    let left: Vec<StoreId> = left.map(|(store, _)| store).collect();
    left.into_iter().for_each(|store| registry.retire(store, now));
    Ok(store.register(&registry)?)
}

fn listed(registry: &Registry, own: StoreId) -> Vec<Member> {
    let member = |(store, entry): (StoreId, &sync_core::registry::Entry)| Member {
        number: entry.told.site.number(),
        name: entry.told.name.clone(),
        told_at: entry.told.at,
        retired: entry.is_retired(),
        own: store == own,
        store,
    };
    let is_shown = |(store, entry): &(StoreId, &sync_core::registry::Entry)| !registry.is_replaced(*store, entry);
    let mut members: Vec<Member> = registry.entries().filter(is_shown).map(member).collect();
    members.sort_by_key(|m| (m.number, m.told_at));
    members
}

/// The stores of a site: it may have had several.
fn chosen<'a>(known: &'a [Member], site: &str) -> Result<Vec<&'a Member>> {
    let is_meant = |m: &&Member| m.name == site || site.parse() == Ok(m.number);
    let stores: Vec<&Member> = known.iter().filter(is_meant).collect();
    if stores.is_empty() {
        return Err(unknown(known, site));
    }
    match stores.iter().any(|m| m.own) {
        false => Ok(stores),
        true => {
            Err(EngineError::new(Kind::Configuration, format!("{site} is this site; another site has to retire it"))
                .hint("to take server_sync off this site's database, run `server_sync uninstall`"))
        }
    }
}

fn unknown(known: &[Member], site: &str) -> EngineError {
    let names = known.iter().filter(|m| !m.own).map(|m| format!("{} ({})", m.name, m.number)).collect::<Vec<_>>();
    let error = EngineError::new(Kind::Configuration, format!("no site {site} was ever heard of here"));
    match names.is_empty() {
        true => error.hint("this site has not met any other yet"),
        false => error.hint(format!("known are: {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u16, name: &str, own: bool) -> Member {
        let store = StoreId(number.into());
        Member { number, name: name.to_owned(), told_at: 1, retired: false, own, store }
    }

    #[test]
    fn a_site_is_meant_by_its_name_or_number() {
        let known = [member(1, "geneva", true), member(2, "lyon", false), member(3, "bern", false)];
        let names = |site: &str| chosen(&known, site).map(|s| s.iter().map(|m| m.number).collect::<Vec<_>>());
        assert_eq!(names("lyon").unwrap(), [2]);
        assert_eq!(names("3").unwrap(), [3]);
        assert!(names("geneva").unwrap_err().message.contains("this site"));
        assert_eq!(names("2x").unwrap_err().hint.unwrap(), "known are: lyon (2), bern (3)");
    }
}
