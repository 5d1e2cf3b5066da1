//! The story suite on MariaDB where four marks are a backlog already: much of it is drained while it streams. (The load
//! test of the engine does the same beside writers.)
#![allow(clippy::unwrap_used, clippy::panic)]

mod story_card;
mod story_servers;

use story_servers::Servers;
use sync_testbed::MariaDb;

fn bench() -> Option<Servers> {
    Some(Servers::of(vec![MariaDb::shared().unwrap()]).with_backlog_from(3))
}

sync_story::stories!(bench());
