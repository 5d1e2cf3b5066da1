//! The story suite over links: through an agent a database behaves as it does directly.
#![allow(clippy::unwrap_used, clippy::panic)]

mod story_card;
mod story_files;
mod story_links;
mod story_servers;

mod sqlite {
    use super::story_files::Files;
    use super::story_links::Linked;

    fn bench() -> Option<Linked<Files>> {
        Some(Linked(Files))
    }

    sync_story::stories!(bench());
}

mod mariadb {
    use super::story_links::Linked;
    use super::story_servers::Servers;

    fn bench() -> Option<Linked<Servers>> {
        Some(Linked(Servers::of(vec![sync_testbed::MariaDb::shared().unwrap()])))
    }

    sync_story::stories!(bench());
}
