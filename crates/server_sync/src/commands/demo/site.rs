//! One site of the demo: the application's own connection to its file, and the store over the same file.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Params, params_from_iter};
use sync_core::{SiteId, Value};
use sync_database::{Card, Database, sqlite};
use sync_engine::Options;
use sync_engine::handshake::Expectation;
use sync_fixture::{Dialect, Row, Transaction, crm_schema};
use sync_store::{Role, SlaveSettings};

use super::{broken, value};
use crate::failure::{Failure, Result};

/// A site.
pub struct Site {
    /// Its name.
    pub name: &'static str,
    /// What the application uses.
    pub app: Connection,
    /// What rounds use.
    pub store: Database,
}

/// A row as columns and values, or nothing.
pub type Cells = Vec<(String, Value)>;

impl Site {
    /// A site whose CRM has these rows, from before anybody thought of synchronising it.
    pub fn create(folder: &Path, name: &'static str, number: u64, rows: impl IntoIterator<Item = Row>) -> Result<Self> {
        let file = folder.join(format!("{name}.db"));
        let mut app = Connection::open(&file).map_err(broken)?;
        app.busy_timeout(Duration::from_secs(5)).map_err(broken)?;
        app.execute_batch("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON").map_err(broken)?;
        app.execute_batch(crm_schema(Dialect::Sqlite)).map_err(broken)?;
        sync_fixture::sqlite::load(&mut app, rows).map_err(broken)?;
        let (store, _) = Database::prepare(sqlite::connect(&file)?, &card(name, number)?)?;
        Ok(Site { name, app, store })
    }

    /// Does what a person does; false if a constraint refused it.
    pub fn work(&mut self, work: &Transaction) -> Result<bool> {
        sync_fixture::sqlite::run(&mut self.app, work).map_err(broken)
    }

    /// Runs a statement of the application.
    pub fn run(&self, sql: &str, params: impl Params) -> Result<()> {
        self.app.execute(sql, params).map(drop).map_err(broken)
    }

    /// The first value of a query, as a number.
    pub fn id(&self, query: &str) -> Result<i64> {
        self.app.query_row(query, [], |row| row.get(0)).map_err(broken)
    }

    /// A row by its key, which is in the column `id`.
    pub fn row(&self, table: &str, id: i64) -> Result<Cells> {
        let mut statement = self.app.prepare(&format!("SELECT * FROM {table} WHERE id = ?")).map_err(broken)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let read = |row: &rusqlite::Row| (0..names.len()).map(|i| row.get_ref(i).map(value)).collect();
        let values: Option<Vec<Value>> = statement.query_row([id], read).optional().map_err(broken)?;
        Ok(values.map(|values| names.into_iter().zip(values).collect()).unwrap_or_default())
    }

    /// One cell of a row with a key of one column, `id`.
    pub fn cell(&self, table: &str, key: &[Value], column: &str) -> Result<Value> {
        let key = key.iter().map(ToString::to_string);
        let query = format!("SELECT {column} FROM {table} WHERE id = ?");
        self.app.query_row(&query, params_from_iter(key), |row| row.get_ref(0).map(value)).map_err(broken)
    }
}

fn card(name: &str, number: u64) -> Result<Card> {
    Ok(Card {
        site: SiteId::new(number).map_err(|e| Failure::usage(e.to_string()))?,
        site_name: name.to_owned(),
        vd: "demo".to_owned(),
        vd_version: "1.0".to_owned(),
        role: Role::Slave(SlaveSettings { masters: vec!["geneva".to_owned()] }),
        rules: sync_database::Rules::default(),
    })
}

/// How rounds with this slave are done.
pub fn options(slave: &str) -> Options {
    Options::expecting(Expectation {
        slave: slave.to_owned(),
        remote_vd: "demo".to_owned(),
        minimum: None,
        max_clock_difference: Duration::from_secs(300),
    })
}
