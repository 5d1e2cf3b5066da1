//! A store's connection, tapped: it counts statements, dies at one of them, and lets the application write between two.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sync_core::Value;
use sync_database::sql::{EachRow, Sql};
use sync_database::sqlite::SqliteDriver;
use sync_store::{Result, StoreError, Trouble};

use crate::application::Application;
use crate::scenario::Transaction;

/// A lock that never fails: a test that panics ends the run anyway.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happens to a store's statements.
#[derive(Default)]
pub struct Tap {
    /// Statements since the last [`Tap::reset`].
    pub statements: u32,
    crash: Option<(u32, bool)>,
    /// Whether the site is dead.
    pub dead: bool,
    writing: bool,
    meanwhile: VecDeque<(u32, Transaction)>,
    /// What the application was told of its transactions meanwhile.
    pub told: Vec<String>,
    refused: bool,
}

impl Tap {
    /// For another round.
    pub fn reset(&mut self, crash: Option<(u32, bool)>, mut meanwhile: Vec<(u32, Transaction)>) {
        meanwhile.sort_by_key(|(statement, _)| *statement);
        *self = Tap { crash, meanwhile: meanwhile.into(), ..Tap::default() };
    }

    /// Before a statement; says whether it dies after it.
    fn before(&mut self, sql: &str, application: &Mutex<Application>) -> Result<bool> {
        if self.dead {
            return Err(dead());
        }
        let number = self.statements;
        self.statements += 1;
        let after = match self.crash {
            Some((at, after)) if at == number => Some(after),
            _ => None,
        };
        if after == Some(false) {
            self.dead = true;
            return Err(dead());
        }
        if !self.writing {
            self.interlude(number, application)?;
        }
        if sql == "BEGIN IMMEDIATE" {
            self.wait_for(application)?;
            self.writing = true;
        }
        Ok(after == Some(true))
    }

    fn after(&mut self, sql: &str, dies: bool) -> Result<()> {
        if matches!(sql, "COMMIT" | "ROLLBACK") {
            self.writing = false;
        }
        if dies {
            self.dead = true;
            return Err(dead());
        }
        Ok(())
    }

    fn interlude(&mut self, number: u32, application: &Mutex<Application>) -> Result<()> {
        while self.meanwhile.front().is_some_and(|(at, _)| *at <= number) {
            let Some((_, transaction)) = self.meanwhile.pop_front() else { break };
            let ended = lock(application).run(&transaction).map_err(|e| StoreError::new(Trouble::Failure, e.0))?;
            let spoken = lock(application).spoken().join("; ");
            self.told.push(format!("before statement {number}, {ended:?}: {spoken}"));
        }
        Ok(())
    }

    /// A statement outside a transaction met an open one of the application, which ends before the statement is tried again.
    fn was_refused(&mut self, application: &Mutex<Application>) -> Result<()> {
        self.refused = true;
        end(&mut lock(application))
    }

    /// An open transaction of the application is in the way once; then it ends.
    fn wait_for(&mut self, application: &Mutex<Application>) -> Result<()> {
        let mut application = lock(application);
        if !application.is_open() {
            return Ok(());
        }
        if !self.refused {
            self.refused = true;
            return Err(StoreError::new(Trouble::Contention, "the application holds the database"));
        }
        end(&mut application)
    }
}

/// Ends an open transaction of the application.
fn end(application: &mut Application) -> Result<()> {
    application.end().map(drop).map_err(|e| StoreError::new(Trouble::Failure, e.0))
}

/// The error of a site that is dead.
fn dead() -> StoreError {
    StoreError::new(Trouble::Unreachable, "the site died on purpose")
}

/// A tapped connection.
pub struct Tapped {
    /// The connection.
    pub driver: SqliteDriver,
    /// What happens to it.
    pub tap: Arc<Mutex<Tap>>,
    /// Who writes meanwhile.
    pub application: Arc<Mutex<Application>>,
}

impl Tapped {
    fn around<T>(&mut self, sql: &str, work: impl FnOnce(&mut SqliteDriver) -> Result<T>) -> Result<T> {
        let dies = lock(&self.tap).before(sql, &self.application)?;
        let result = work(&mut self.driver);
        if result.as_ref().is_err_and(|e| e.trouble == Trouble::Contention) {
            lock(&self.tap).was_refused(&self.application)?;
        }
        lock(&self.tap).after(sql, dies)?;
        result
    }
}

impl Sql for Tapped {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.around(sql, |driver| driver.execute(sql, params))
    }

    fn execute_owned(&mut self, sql: &str, params: Vec<Value>) -> Result<u64> {
        self.around(sql, |driver| driver.execute_owned(sql, params))
    }

    fn query(&mut self, sql: &str, params: &[Value], each: &mut EachRow) -> Result<()> {
        self.around(sql, |driver| driver.query(sql, params, each))
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        self.around(sql, |driver| driver.run(sql))
    }
}
