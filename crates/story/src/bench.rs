//! What a test brings: how sites of one kind are made, written to, looked at, copied and broken.

use std::collections::BTreeMap;

use sync_store::{Result, Store};

use crate::schema::Speech;

/// One kind of database.
pub trait Bench {
    /// A site of this kind.
    type Site: BenchSite;

    /// `count` sites with the suite's schema and no rows, called and numbered as [`crate::names`] says, not prepared
    /// yet. Each accepts all of them as masters.
    fn sites(&self, count: usize) -> Vec<Self::Site>;

    /// How this kind says what the stories need to say.
    fn speech(&self) -> Speech;
}

/// One site. Everything fails the test with a message when it goes wrong.
pub trait BenchSite {
    /// A copy of everything at this site, ours and the application's.
    type Copy;

    /// Its name.
    fn name(&self) -> &str;

    /// Prepares the database, or renews what is prepared.
    fn prepare(&mut self);

    /// Takes the database over, which is a copy of another site's.
    fn adopt(&mut self);

    /// The store, prepared before.
    fn store(&mut self) -> &mut dyn Store;

    /// Declares what these tables show the truth for all sites; all tables if none is named.
    ///
    /// # Errors
    /// What the store says, or `progress`.
    fn declare(&mut self, tables: &[&str], progress: &mut dyn FnMut(&str, u64) -> Result<()>) -> Result<()>;

    /// Runs one statement as the application does, on a connection of its own.
    fn app(&mut self, sql: &str);

    /// Runs one statement with triggers off: nothing is marked.
    fn behind(&mut self, sql: &str);

    /// Runs statements as [`BenchSite::app`] does, also while the store is in use.
    fn writer(&mut self) -> Box<dyn FnMut(&str) + Send>;

    /// Rows as text, columns separated by `|`.
    fn rows(&mut self, sql: &str) -> Vec<String>;

    /// The whole contents by table, each row as a line, sorted, exact to the bit; without our own tables.
    fn dump(&mut self) -> BTreeMap<String, Vec<String>>;

    /// How many marks are waiting.
    fn marks(&mut self) -> u64;

    /// How many rows are parked.
    fn parked(&mut self) -> u64;

    /// Closes the store and opens it again, as another process would.
    fn reopen(&mut self);

    /// Something that breaks the store's connections under it when it is called.
    fn cutter(&mut self) -> Box<dyn FnMut() + Send>;

    /// Copies the database.
    fn copy(&mut self) -> Self::Copy;

    /// Puts a copy in the database's place and opens the store.
    fn put_back(&mut self, copy: &Self::Copy);
}
