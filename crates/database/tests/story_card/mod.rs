//! What every site of the story suite publishes of itself, whatever its database is.

use sync_core::SiteId;
use sync_database::{Card, Rules};
use sync_store::{Role, SlaveSettings};
use sync_story::{COUNTERS, EXCLUDED, REKEY, TOGETHER, TREES, VD};

/// The card of one of these sites.
pub fn card(names: &[String], index: usize) -> Card {
    Card {
        site: SiteId::new(index as u64 + 1).unwrap(),
        site_name: names[index].clone(),
        vd: VD.to_owned(),
        vd_version: "1".to_owned(),
        role: Role::Slave(SlaveSettings { masters: names.to_vec() }),
        rules: Rules {
            excluded: EXCLUDED.map(str::to_owned).to_vec(),
            together: TOGETHER.map(|c| c.parse().unwrap()).to_vec(),
            trees: TREES.map(|c| c.parse().unwrap()).to_vec(),
            counters: COUNTERS.map(|c| c.parse().unwrap()).to_vec(),
            rekey: REKEY.map(str::to_owned).to_vec(),
        },
    }
}
