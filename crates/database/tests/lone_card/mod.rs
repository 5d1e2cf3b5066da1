//! What a site publishes of itself that is nobody's slave and has no settings for tables. For tests only.
#![allow(clippy::unwrap_used)]

use sync_core::SiteId;
use sync_database::{Card, Rules};
use sync_store::Role;

/// The card of such a site.
pub fn card(name: &str, number: u64) -> Card {
    Card {
        site: SiteId::new(number).unwrap(),
        site_name: name.to_owned(),
        vd: "crm".to_owned(),
        vd_version: "1".to_owned(),
        role: Role::NotSlave,
        rules: Rules::default(),
    }
}
