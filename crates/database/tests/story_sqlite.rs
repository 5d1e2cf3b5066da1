//! The story suite on SQLite.
#![allow(clippy::unwrap_used, clippy::panic)]

mod story_card;
mod story_files;

use story_files::Files;

fn bench() -> Option<Files> {
    Some(Files)
}

sync_story::stories!(bench());
