//! The first copy: a filled site meets an empty one, beside `mariadb-dump | mariadb` into an empty database.

use std::process::Command;
use std::time::Instant;

use mysql::prelude::Queryable;
use sync_database::Database;
use sync_database::mysql::connect;
use sync_testbed::Server;

use crate::Result;
use crate::arguments::Arguments;
use crate::compare::{TABLE, fill};
use crate::process::Cpu;
use crate::report::{self, median};
use crate::servers::{self, DATABASE, set_durable};
use crate::site::{self, Site, sync};

/// Runs the bench.
pub fn run(arguments: &Arguments) -> Result<()> {
    let rows = arguments.compared_rows();
    let (a, b) = (servers::mariadb()?, servers::mariadb()?);
    for server in [&a, &b] {
        set_durable(server, false)?;
        server.create_database(DATABASE)?;
    }
    fill(&a, rows)?;
    report::table(
        &format!("First copy of {rows} rows x 10 columns into an empty site"),
        &format!("Two {} on this machine. The ratio is the median of those of runs in turn.", servers::version(&a)?),
        &["", "seconds", "ratio", "CPU seconds of the servers and ours"],
    );
    let (mut dumps, mut copies) = (Vec::new(), Vec::new());
    // In turn, so that a slow moment or a trend of the machine meets both.
    for _ in 0..arguments.samples {
        dumps.push(piped(&a, &b)?);
        copies.push(copied(&a, &b, rows)?);
    }
    let ratio = median(copies.iter().zip(&dumps).map(|(ours, dump)| ours.0 / dump.0));
    print("mariadb-dump piped into mariadb", &dumps, 1.0);
    print("server_sync, first round", &copies, ratio);
    Ok(())
}

/// Seconds, and processor seconds.
type Run = (f64, f64);

fn print(name: &str, runs: &[Run], ratio: f64) {
    let (seconds, cpu) = (median(runs.iter().map(|r| r.0)), median(runs.iter().map(|r| r.1)));
    report::row(&[name, &format!("{seconds:.2}"), &format!("{ratio:.2}"), &format!("{cpu:.2}")]);
}

fn empty(server: &Server) -> Result<()> {
    server.execute(&format!("DROP DATABASE {DATABASE}"))?;
    Ok(server.create_database(DATABASE)?)
}

/// The processor time of the two clients is not counted.
fn piped(a: &Server, b: &Server) -> Result<Run> {
    empty(b)?;
    let socket = |s: &Server| format!("--socket={}", s.socket().display());
    let script = format!(
        "mariadb-dump --no-defaults {} --user=root --single-transaction --quick {DATABASE} deal | \
         mariadb --no-defaults {} --user=root {DATABASE}",
        socket(a),
        socket(b)
    );
    let cpu = Cpu::of(&[a, b], false)?;
    let started = Instant::now();
    let output = Command::new("sh").args(["-c", &script]).output()?;
    if !output.status.success() || !output.stderr.is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok((started.elapsed().as_secs_f64(), cpu.used()?))
}

fn copied(a: &Server, b: &Server, rows: u32) -> Result<Run> {
    empty(b)?;
    b.root_in(DATABASE)?.query_drop(TABLE)?;
    Database::uninstall(connect(&site::local(a))?)?;
    let mut master = Site::prepare(&site::local(a), site::MASTER)?;
    let mut slave = Site::prepare(&site::local(b), site::SLAVE)?;
    let cpu = Cpu::of(&[a, b], true)?;
    let started = Instant::now();
    let report = sync(&mut master, &mut slave)?;
    let run = (started.elapsed().as_secs_f64(), cpu.used()?);
    match report.pushed.total().inserted {
        n if n == u64::from(rows) => Ok(run),
        n => Err(format!("{n} of {rows} rows were copied").into()),
    }
}
