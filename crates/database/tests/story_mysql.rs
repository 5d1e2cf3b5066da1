//! The story suite on MySQL 9, where there is one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod story_card;
mod story_servers;

use story_servers::Servers;
use sync_testbed::Mysql;

fn bench() -> Option<Servers> {
    match Mysql::shared().unwrap() {
        Some(server) => Some(Servers::of(vec![server])),
        None => {
            println!("skipped: no MySQL 9 on this machine");
            None
        }
    }
}

sync_story::stories!(bench());
