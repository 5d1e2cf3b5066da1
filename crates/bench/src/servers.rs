//! The servers that are measured: with the memory of a small production server, durable, and each with the binary log
//! as its maker ships it. Starts them; changes nothing else.

use mysql::prelude::Queryable;
use sync_testbed::{MariaDb, Mysql, Options, Server};

use crate::Result;

/// The database of all benches.
pub const DATABASE: &str = "crm";

fn mariadb_options() -> Options {
    ["--innodb-buffer-pool-size=512M", "--innodb-log-file-size=512M"]
        .into_iter()
        .fold(Options::new(), Options::argument)
}

/// A MariaDB as Debian ships it: every commit reaches the disk, no binary log.
pub fn mariadb() -> Result<Server> {
    Ok(MariaDb::start(mariadb_options().durable())?)
}

/// A MariaDB with a binary log, to replicate from and to.
pub fn replicating_mariadb(id: u32) -> Result<Server> {
    let options = mariadb_options().durable().binary_log();
    Ok(MariaDb::start(options.argument(format!("--server-id={id}")))?)
}

/// A MySQL as it is shipped: every commit reaches the disk, in the binary log as well. None if there is none here.
pub fn mysql() -> Result<Option<Server>> {
    let Some(mysql) = Mysql::available() else { return Ok(None) };
    let sizes = ["--innodb-buffer-pool-size=512M", "--innodb-redo-log-capacity=1G"];
    let options = sizes.into_iter().fold(Options::new().durable().binary_log(), Options::argument);
    Ok(Some(mysql.start(options)?))
}

/// Whether commits reach the disk: switched off while changes are only prepared.
pub fn set_durable(server: &Server, durable: bool) -> Result<()> {
    let (log, binary) = if durable { (1, 1) } else { (2, 0) };
    Ok(server.execute(&format!("SET GLOBAL innodb_flush_log_at_trx_commit={log}; SET GLOBAL sync_binlog={binary}"))?)
}

/// What a server calls itself.
pub fn version(server: &Server) -> Result<String> {
    let version: Option<String> = server.root()?.query_first("SELECT VERSION()")?;
    let version = version.unwrap_or_default();
    let maker = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    Ok(format!("{maker} {}", version.split('-').next().unwrap_or_default()))
}

/// Statements the server has run so far.
pub fn statements(server: &Server) -> Result<u64> {
    let row: Option<(String, u64)> = server.root()?.query_first("SHOW GLOBAL STATUS LIKE 'Questions'")?;
    Ok(row.map_or(0, |r| r.1))
}
