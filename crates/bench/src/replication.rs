//! MariaDB's own row-based replication between two servers, the peer of the catch-up. The replica is stopped while
//! changes are made, and then timed until it has applied them all.

use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use sync_testbed::Server;

use crate::Result;
use crate::servers::replicating_mariadb;

/// How long a replica may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// A source and its replica.
pub struct Replication {
    /// Where changes are made.
    pub source: Server,
    /// Where they are applied.
    pub replica: Server,
}

impl Replication {
    /// Starts both; the replica does not run yet.
    pub fn start() -> Result<Self> {
        let (source, replica) = (replicating_mariadb(1)?, replicating_mariadb(2)?);
        source.execute(
            "CREATE USER repl@'%' IDENTIFIED BY 'repl'; GRANT REPLICATION SLAVE ON *.* TO repl@'%'; RESET MASTER",
        )?;
        replica.execute(&format!(
            "CHANGE MASTER TO master_host='127.0.0.1', master_port={}, master_user='repl', master_password='repl', \
             master_log_file='', master_log_pos=4",
            source.port()
        ))?;
        Ok(Replication { source, replica })
    }

    /// Lets the replica apply all there is; returns how long that took.
    pub fn catch_up(&self) -> Result<Duration> {
        let conn = &mut self.replica.root()?;
        let place: Option<(String, u64, String, String)> = self.source.root()?.query_first("SHOW MASTER STATUS")?;
        let (file, position, ..) = place.ok_or("the source has no binary log")?;
        let start = Instant::now();
        conn.query_drop("START SLAVE")?;
        let wait = format!("SELECT MASTER_POS_WAIT('{file}', {position}, {})", LIMIT.as_secs());
        let waited: Option<Option<i64>> = conn.query_first(wait)?;
        let took = start.elapsed();
        conn.query_drop("STOP SLAVE")?;
        match waited.flatten() {
            Some(n) if n >= 0 => Ok(took),
            _ => Err("the replica stopped before it had applied everything".into()),
        }
    }
}
