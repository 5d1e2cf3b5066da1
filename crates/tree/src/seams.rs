//! What tests put between a tree and the machine: a disk that fails, hooks, connections to the index that ask it, and what a
//! dying machine leaves of an index. Nothing of it is used by a tree that is opened in the usual way.

use std::path::Path;
use std::sync::Arc;

use sync_core::Value;
use sync_database::Connections;
use sync_database::sql::{EachRow, Sql};
use sync_database::sqlite::SqliteDriver;
use sync_store::{Result, StoreError, Trouble};

use crate::accounts::Book;
use crate::disk::{Disk, Fault, Op};
pub use crate::index::file_of;

/// Is called before each step that writes; an error stops everything there, as dying would.
pub type Hook = Box<dyn FnMut(&'static str) -> Result<()> + Send>;

/// Opens an index as a database.
pub type Connect = Box<dyn FnOnce(&Path) -> Result<Connections>>;

/// Prepares a connection.
pub type Prepare = Box<dyn FnOnce(&rusqlite::Connection) -> rusqlite::Result<()>>;

/// Where a test can step between a tree and the machine.
#[derive(Default)]
pub struct Seams {
    /// The file system.
    pub disk: Disk,
    /// Is told of the steps.
    pub hook: Option<Hook>,
    /// Opens the index as a database.
    pub connect: Option<Connect>,
    /// Prepares the other connection to the index.
    pub index: Option<Prepare>,
    /// What accounts there are.
    pub accounts: Option<Box<dyn Book>>,
    /// How many files are put into their places together while more contents come, if it is not the usual.
    pub many: Option<usize>,
}

/// The rows' connection: beginning and ending a transaction are calls that a [`Fault`] is asked about.
pub struct Asked {
    /// What does it.
    pub driver: SqliteDriver,
    /// Who is asked.
    pub fault: Arc<dyn Fault>,
}

impl Sql for Asked {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.driver.execute(sql, params)
    }

    fn execute_owned(&mut self, sql: &str, params: Vec<Value>) -> Result<u64> {
        self.driver.execute_owned(sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> Result<()> {
        self.driver.query(sql, params, each)
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        let op = match sql {
            "COMMIT" => Some(Op::Commit),
            _ if sql.starts_with("BEGIN") => Some(Op::Begin),
            _ => None,
        };
        let asked = op.map_or(Ok(()), |op| self.fault.before(op, b""));
        asked.map_err(|e| StoreError::new(Trouble::Failure, format!("the index: {e}")))?;
        self.driver.run(sql)
    }
}

/// Keeps what of an index is on the disk at this moment.
pub fn keep_index(index: &Path) {
    for ending in ["", "-wal"] {
        let _ = std::fs::copy(file_of(index, ending), file_of(index, &format!("{ending}.kept")));
    }
}

/// Puts that back, as if nothing had been done since.
pub fn put_back_index(index: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(file_of(index, ending));
        let _ = std::fs::rename(file_of(index, &format!("{ending}.kept")), file_of(index, ending));
    }
}
