//! The fixture's schema, data and workload on real servers. Never decides what they are: that is `sync_fixture`.

use mysql::prelude::Queryable;
use mysql::{Conn, TxOpts, Value as Parameter};
use sync_fixture::{Dialect, Row, Size, Statement, Transaction, Value, crm_schema, generate, load_schema};

use crate::error::Context;
use crate::{Result, Server};

/// Rows of one INSERT: beyond a few hundred nothing is gained, and placeholders are limited to 65,535.
const BATCH: usize = 250;

/// Rows of one transaction while loading.
const COMMIT_EVERY: usize = 20_000;

/// Creates `database` (replacing one of that name) with the CRM's schema and the starting data of `size` from `seed`.
///
/// # Errors
/// When the server refuses a statement.
pub fn create_crm(server: &Server, database: &str, size: Size, seed: u64) -> Result<()> {
    server.create_database(database)?;
    run_schema(server, database, crm_schema(Dialect::Mysql))?;
    insert_rows(&mut server.root_in(database)?, generate(size, seed)).map(|_| ())
}

/// Creates the tables for accountable load in an existing database.
///
/// # Errors
/// When the server refuses a statement.
pub fn create_load_tables(server: &Server, database: &str) -> Result<()> {
    run_schema(server, database, load_schema(Dialect::Mysql))
}

fn run_schema(server: &Server, database: &str, schema: &str) -> Result<()> {
    server.execute(&format!("USE `{database}`;\n{schema}"))
}

/// Inserts rows, many a statement, and says how many there were. Memory stays bounded whatever their number.
///
/// # Errors
/// At the first statement that is refused; what was committed before it stays.
pub fn insert_rows(connection: &mut Conn, rows: impl IntoIterator<Item = Row>) -> Result<u64> {
    let mut batch: Vec<Row> = Vec::new();
    let (mut count, mut open) = (0, 0);
    let context = |result: mysql::Result<()>| result.context("cannot insert the fixture's rows");
    context(connection.query_drop("START TRANSACTION"))?;
    for row in rows {
        if batch.len() == BATCH || batch.first().is_some_and(|first| first.table != row.table) {
            context(insert_batch(connection, &mut batch))?;
        }
        if open >= COMMIT_EVERY {
            context(connection.query_drop("COMMIT").and_then(|()| connection.query_drop("START TRANSACTION")))?;
            open = 0;
        }
        batch.push(row);
        count += 1;
        open += 1;
    }
    context(insert_batch(connection, &mut batch).and_then(|()| connection.query_drop("COMMIT")))?;
    Ok(count)
}

fn insert_batch(connection: &mut Conn, batch: &mut Vec<Row>) -> mysql::Result<()> {
    let Some(first) = batch.first() else { return Ok(()) };
    let sql = Row::insert_sql(first.table, first.columns, batch.len());
    let params = parameters(batch.drain(..).flat_map(|row| row.values));
    connection.exec_drop(sql, params)
}

/// Runs one transaction of a workload. False: a constraint refused it, or another transaction was in its way (deadlock,
/// lock wait), as may happen to an application; nothing of it remains then.
///
/// # Errors
/// Any other failure; nothing of the transaction remains.
pub fn run_transaction(connection: &mut Conn, work: &Transaction) -> Result<bool> {
    match attempt(connection, work) {
        Ok(()) => Ok(true),
        Err(mysql::Error::MySqlError(error)) if is_expected(error.code) => Ok(false),
        Err(error) => Err(error).context(format!("cannot run {:?}", work.name)),
    }
}

pub(crate) fn attempt(connection: &mut Conn, work: &Transaction) -> mysql::Result<()> {
    // Dropped without commit, it is rolled back.
    let mut transaction = connection.start_transaction(TxOpts::default())?;
    for statement in &work.statements {
        execute(&mut transaction, statement)?;
    }
    transaction.commit()
}

/// Runs one statement.
pub(crate) fn execute(connection: &mut impl Queryable, statement: &Statement) -> mysql::Result<()> {
    connection.exec_drop(&statement.sql, parameters(statement.params.iter().cloned()))
}

/// Duplicate key, foreign key (child, parent), CHECK (MySQL, MariaDB), lock wait, deadlock, a cascade over more tables
/// than MySQL 9 opens.
pub(crate) fn is_expected(code: u16) -> bool {
    matches!(code, 1062 | 1451 | 1452 | 3819 | 4025 | 1205 | 1213 | 6575)
}

pub(crate) fn parameters(values: impl IntoIterator<Item = Value>) -> mysql::Params {
    let values: Vec<_> = values.into_iter().map(parameter).collect();
    if values.is_empty() { mysql::Params::Empty } else { mysql::Params::Positional(values) }
}

fn parameter(value: Value) -> Parameter {
    match value {
        Value::Null => Parameter::NULL,
        Value::Integer(number) => Parameter::Int(number),
        Value::Double(number) => Parameter::Double(number),
        Value::Text(text) => Parameter::Bytes(text.into_bytes()),
        Value::Bytes(bytes) => Parameter::Bytes(bytes),
    }
}
