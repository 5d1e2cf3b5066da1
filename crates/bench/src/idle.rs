//! A round with nothing to do: how long it takes, and how many statements each side runs for it.

use std::time::Instant;

use mysql::prelude::Queryable;
use sync_testbed::Server;

use crate::Result;
use crate::arguments::Arguments;
use crate::report::{self, median};
use crate::servers::{self, DATABASE};
use crate::site::{self, Site, sync};
use crate::timed;

/// Rounds in one sample.
const ROUNDS: u32 = 10;

/// Rounds before the first sample.
const WARM_UP: u32 = 100;

/// Runs the bench on every server there is.
pub fn run(arguments: &Arguments) -> Result<()> {
    report::table(
        "A round with nothing to do",
        "Connections open, as in the daemon; medians.",
        &["servers", "tables", "milliseconds", "goal", "statements at the master", "at the slave", "goal"],
    );
    let mariadb = Some((servers::mariadb()?, servers::mariadb()?));
    let mysql = servers::mysql()?.zip(servers::mysql()?);
    for (a, b) in [mariadb, mysql].into_iter().flatten() {
        for tables in [16, 200] {
            measure(&a, &b, tables, arguments.samples)?;
        }
    }
    Ok(())
}

fn measure(a: &Server, b: &Server, tables: u32, samples: usize) -> Result<()> {
    for server in [a, b] {
        create(server, tables)?;
    }
    let mut geneva = Site::prepare(&site::local(a), site::MASTER)?;
    let mut lyon = Site::prepare(&site::remote(b.port()), site::SLAVE)?;
    // The tables are new, and looked at often for a while.
    for _ in 0..WARM_UP {
        sync(&mut geneva, &mut lyon)?;
    }
    timed::print("", &geneva.times);
    let statements = |server: &Server| servers::statements(server);
    let before = (statements(a)?, statements(b)?);
    let times = (0..samples).map(|_| rounds(&mut geneva, &mut lyon)).collect::<Result<Vec<f64>>>()?;
    let rounds = samples as f64 * f64::from(ROUNDS);
    // The question itself is counted once.
    let each = |after: u64, before: u64| format!("{:.1}", (after - before - 1) as f64 / rounds);
    timed::print("quiet rounds", &geneva.times);
    report::row(&[
        servers::version(a)?,
        tables.to_string(),
        format!("{:.1}", median(times)),
        "< 20".to_owned(),
        each(statements(a)?, before.0),
        each(statements(b)?, before.1),
        "≤ 10".to_owned(),
    ]);
    Ok(())
}

/// Milliseconds of a round.
fn rounds(geneva: &mut Site, lyon: &mut Site) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let report = sync(geneva, lyon)?;
        if !report.is_quiet() {
            return Err("a round that should have had nothing to do found something".into());
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1000.0 / f64::from(ROUNDS))
}

fn create(server: &Server, tables: u32) -> Result<()> {
    server.create_database(DATABASE)?;
    let conn = &mut server.root_in(DATABASE)?;
    for n in 0..tables {
        conn.query_drop(format!(
            "CREATE TABLE table_{n} (id INT PRIMARY KEY AUTO_INCREMENT, parent INT, name VARCHAR(80), street VARCHAR(80), \
             city VARCHAR(80), amount DECIMAL(12,2), created DATETIME, changed TIMESTAMP NULL, active TINYINT, \
             note TEXT, KEY (parent), KEY (name)) ENGINE=InnoDB"
        ))?;
        conn.query_drop(format!("INSERT INTO table_{n} (id, name) VALUES (1, 'one')"))?;
    }
    Ok(())
}
