//! What a site does for its own store beside rounds: keeping capture in line with the schema and marks turned into
//! stamps, so that its masters find it ready. Talks to no other site.

use std::time::{Duration, Instant};

use sync_config::{Period, Settings};
use sync_database::Database;
use sync_store::Store;

use crate::error::Result;
use crate::open;
use crate::report::{Event, Watch};

/// How often.
pub const PERIOD: Period = Period::Every(Duration::from_secs(30));

/// Keeps the own store ready. Its connections stay open while all goes well.
pub struct Keeper<'a> {
    settings: &'a Settings,
    open: Option<(Database, Instant)>,
}

impl<'a> Keeper<'a> {
    /// A keeper; nothing is opened yet.
    pub fn new(settings: &'a Settings) -> Self {
        Keeper { settings, open: None }
    }

    /// Prepares the store if need be, and drains it.
    ///
    /// # Errors
    /// What was in the way; the next call begins anew.
    pub fn keep(&mut self, watch: &mut dyn Watch) -> Result<()> {
        let (mut database, used) = match self.open.take() {
            Some((database, used)) if used.elapsed() < open::FRESH && self.is_current(&database)? => (database, used),
            _ => self.prepare(watch)?,
        };
        let drained = database.drain()?;
        drained.notes.iter().for_each(|note| watch.event(Event::Note(note)));
        self.open = Some((database, used));
        Ok(())
    }

    fn is_current(&self, database: &Database) -> Result<bool> {
        Ok(open::version_now(self.settings)? == database.card().vd_version)
    }

    fn prepare(&self, watch: &mut dyn Watch) -> Result<(Database, Instant)> {
        let (database, notes) = open::prepare(self.settings)?;
        notes.iter().for_each(|note| watch.event(Event::Note(note)));
        Ok((database, Instant::now()))
    }
}
