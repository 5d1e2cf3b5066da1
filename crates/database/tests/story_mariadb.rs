//! The story suite on MariaDB.
#![allow(clippy::unwrap_used, clippy::panic)]

mod story_card;
mod story_servers;

use story_servers::Servers;
use sync_testbed::MariaDb;

fn bench() -> Option<Servers> {
    Some(Servers::of(vec![MariaDb::shared().unwrap()]))
}

sync_story::stories!(bench());

/// Two servers whose clocks and time zones differ.
#[test]
fn two_servers() {
    use sync_testbed::Options;
    let other: &'static _ = Box::leak(Box::new(MariaDb::start(Options::new().time_zone("+09:00")).unwrap()));
    let bench = Servers::of(vec![MariaDb::shared().unwrap(), other]);
    sync_story::stories::contact::overlapping_sites_are_united(&bench);
    sync_story::stories::changes::inserts_updates_and_deletes_go_both_ways(&bench);
    sync_story::stories::conflicts::the_earlier_write_at_the_other_site(&bench);
}
