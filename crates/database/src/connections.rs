//! The connections of a store: snapshots to read from, transactions to write in, the lock of an upgrade, and what an account
//! must be allowed. What is read and written is not known here.

use std::time::Instant;

use sync_store::steady::Steady;
use sync_store::{Result, StoreError, Trouble};

use crate::dialect::Dialect;
use crate::rules::Rules;
use crate::sql::{Fields, Sql};
use crate::{counters, rekey};

/// The connections of a store, and how its kind of server says things.
pub struct Connections {
    /// For transactions that write.
    pub writer: Box<dyn Sql>,
    /// For reading from a snapshot beside an open transaction of the writer; `None` where one connection does both.
    pub reader: Option<Box<dyn Sql>>,
    /// The kind of server.
    pub dialect: Box<dyn Dialect>,
    /// Whether the database is on another machine.
    far: bool,
    steady: Steady,
    /// Whether the writer is within a transaction.
    in_transaction: bool,
}

/// The upgrade lock of a database, until it is dropped.
pub struct UpgradeLock {
    connections: Connections,
    release: &'static str,
}

impl UpgradeLock {
    /// Keeps the rounds of other sites away; `None` if the kind of database has no such lock.
    pub fn take(mut connections: Connections) -> Result<Option<Self>> {
        let Some([acquire, _, release]) = connections.dialect.upgrade_lock() else { return Ok(None) };
        lock(connections.writer.as_mut(), acquire, "another upgrade of this database is running")?;
        // An upgrade may take longer than a server keeps an idle connection.
        connections.writer.run("SET wait_timeout=2147483")?;
        Ok(Some(UpgradeLock { connections, release }))
    }
}

/// Takes a lock of the server by this query, which gives 1 on success; if somebody has it, that is why not.
pub(crate) fn lock(sql: &mut dyn Sql, acquire: &str, why_not: &str) -> Result<()> {
    match Fields::of(sql.first(acquire, &[])?.unwrap_or_default()).int()? {
        1 => Ok(()),
        _ => Err(StoreError::new(Trouble::Contention, why_not)),
    }
}

impl Drop for UpgradeLock {
    /// A server lets go of the lock of an ended connection at a moment of its own. Who comes next must not find it held.
    fn drop(&mut self) {
        // Where this fails the connection is lost, and the lock ends with it.
        let _ = self.connections.writer.first(self.release, &[]);
    }
}

impl Connections {
    /// Puts connections together.
    pub fn new(writer: Box<dyn Sql>, reader: Option<Box<dyn Sql>>, dialect: Box<dyn Dialect>) -> Self {
        Connections { writer, reader, dialect, far: false, steady: Instant::now, in_transaction: false }
    }

    /// The same connections, of a database that is on another machine, or is not.
    pub fn far(self, far: bool) -> Self {
        Connections { far, ..self }
    }

    /// The same connections, where passing time is measured so.
    pub fn measured(self, steady: Steady) -> Self {
        Connections { steady, ..self }
    }

    /// What is asked how much time has passed.
    pub(crate) fn steady(&self) -> Steady {
        self.steady
    }

    /// Whether the database is on another machine.
    pub(crate) fn is_far(&self) -> bool {
        self.far
    }

    /// Refuses an account that lacks privileges, and says what to type.
    pub fn require_privileges(&mut self) -> Result<()> {
        let triggers = self.dialect.read_triggers(self.writer.as_mut())?;
        let missing = self.dialect.missing_privileges(self.writer.as_mut(), &triggers)?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(StoreError::new(Trouble::Privilege, "the database account lacks privileges").hint(missing.join("\n  ")))
    }

    /// Refuses rules that the tables do not allow. (What a later ALTER TABLE takes the ground from is a warning, and lets
    /// that table wait.)
    pub(crate) fn require_rules(&mut self, rules: &Rules) -> Result<()> {
        if rules.counters.is_empty() && rules.rekey.is_empty() {
            return Ok(());
        }
        let mut schema = self.dialect.read_schema(self.writer.as_mut())?;
        let mut refused = counters::mark_counters(self.dialect.as_ref(), &mut schema, rules);
        refused.extend(rekey::mark_tables(self.writer.as_mut(), self.dialect.as_ref(), &mut schema, rules)?);
        if refused.is_empty() {
            return Ok(());
        }
        Err(StoreError::new(Trouble::Configuration, refused.join("\n  "))
            .hint("a counter is an integer or DECIMAL column, NOT NULL, that no key and no other rule names; rekey wants tables with an automatic key"))
    }

    /// Runs `work` on the reader within one snapshot. With a single connection the writer's transaction, if one is
    /// open, is the snapshot.
    pub(crate) fn snapshot<T>(&mut self, work: impl FnOnce(&mut dyn Sql, &dyn Dialect) -> Result<T>) -> Result<T> {
        let dialect = self.dialect.as_ref();
        let sql = match &mut self.reader {
            Some(reader) => reader.as_mut(),
            None if self.in_transaction => return work(self.writer.as_mut(), dialect),
            None => self.writer.as_mut(),
        };
        sql.run(dialect.begin_snapshot())?;
        let result = work(sql, dialect);
        let ended = commit(sql);
        result.and_then(|value| ended.map(|()| value))
    }

    /// Runs `work` in a transaction that writes; an error rolls it back.
    pub(crate) fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<Ended<T>>) -> Result<T> {
        self.writer.run(self.dialect.begin())?;
        self.in_transaction = true;
        let worked = work(self);
        self.in_transaction = false;
        match worked {
            Ok(Ended::Commit(value)) => commit(self.writer.as_mut()).map(|()| value),
            Ok(Ended::Rollback(value)) => self.writer.run("ROLLBACK").map(|()| value),
            Err(error) => {
                // The error matters, not whether the connection could still roll back: closing it does as well.
                let _ = self.writer.run("ROLLBACK");
                Err(error)
            }
        }
    }
}

/// Ends a transaction. One that cannot be committed does not stay open: the connection is used for the next one.
fn commit(sql: &mut dyn Sql) -> Result<()> {
    let ended = sql.run("COMMIT");
    if ended.is_err() {
        let _ = sql.run("ROLLBACK");
    }
    ended
}

/// How a transaction ends.
pub(crate) enum Ended<T> {
    /// What was written stays.
    Commit(T),
    /// Nothing stays.
    Rollback(T),
}
