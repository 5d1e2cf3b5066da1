//! The full compare of two servers, beside what others take: `mariadb-dump` that only reads one side, and pt-table-sync,
//! which compares both. Rows differ without a mark, so nothing but a compare finds them. Then the same with the other side on
//! another machine, as far as the program knows: what that takes from the network.

use std::process::{Command, Stdio};
use std::time::Instant;

use mysql::prelude::Queryable;
use sync_engine::compare::Stores;
use sync_engine::verify::{Verification, verify};
use sync_testbed::{Line, Server};

use crate::Result;
use crate::arguments::Arguments;
use crate::process::{Cpu, own_peak_mib};
use crate::report::{self, median};
use crate::servers::{self, DATABASE, set_durable};
use crate::site::{self, Site, expectation};

/// A table of a usual width.
pub const TABLE: &str = "CREATE TABLE deal (id BIGINT PRIMARY KEY, customer INT NOT NULL, \
    state ENUM('new','open','won','lost') NOT NULL, amount DECIMAL(12,2), weight DOUBLE, created DATETIME NOT NULL, \
    changed TIMESTAMP(3) NULL, name VARCHAR(80) NOT NULL, note VARCHAR(200), mail VARCHAR(80)) \
    ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";

/// The values of the row number `seq`: about 200 bytes.
const VALUES: &str = "seq, seq % 9973, 1 + seq % 4, seq / 7, SQRT(seq), '2024-02-29' + INTERVAL seq SECOND, \
    '2024-03-01 10:11:12.5' + INTERVAL seq SECOND, CONCAT('Soci\u{e9}t\u{e9} num\u{e9}ro ', seq), \
    REPEAT('note ', seq % 33), CONCAT('contact.', seq, '@example.org')";

/// One row of so many differs.
const SPREAD: u32 = 1000;

/// With more rows pt-table-sync is not waited for.
const TOO_MANY: u32 = 2_000_000;

/// Runs the bench.
pub fn run(arguments: &Arguments) -> Result<()> {
    let rows = arguments.compared_rows();
    let (a, b) = (servers::mariadb()?, servers::mariadb()?);
    for server in [&a, &b] {
        set_durable(server, false)?;
        server.create_database(DATABASE)?;
        fill(server, rows)?;
    }
    Site::prepare(&site::local(&a), site::MASTER)?;
    Site::prepare(&site::local(&b), site::SLAVE)?;
    table(&a, &b, arguments, "no differences", 0)?;
    let line = Line::to(b.port())?;
    let equal = over_network(&a, &b, arguments, &line, 0)?;
    let differing = differ(&a, &b, rows)?;
    table(&a, &b, arguments, &format!("{differing} of them differ, spread"), differing)?;
    let different = over_network(&a, &b, arguments, &line, differing)?;
    report::table(
        &format!("The same over a direct connection: 2 x {rows} rows"),
        "Bytes are those that pass the network to the far server, both ways.",
        &["", "seconds", "CPU seconds", "found", "bytes", "of the table"],
    );
    let size: u64 = length(&a)?;
    for (what, runs) in [("equal", equal), ("0.1 % differ", different)] {
        for (how, run) in ["rows are read", "sums are asked for"].iter().zip(runs) {
            let (share, found) = (run.bytes as f64 / size as f64 * 100.0, run.found);
            let (seconds, cpu) = (format!("{:.2}", run.seconds), format!("{:.2}", run.cpu));
            let name = format!("{what}: {how}");
            let cells = [&name, &seconds, &cpu, &found.to_string(), &run.bytes.to_string(), &format!("{share:.2} %")];
            report::row(&cells.map(String::as_str));
        }
    }
    Ok(())
}

/// Verifies by reading the far side's rows, then by sums that the databases make.
fn over_network(a: &Server, b: &Server, arguments: &Arguments, line: &Line, expected: u64) -> Result<[Run; 2]> {
    let run = |far: bool| {
        median_of(arguments, || {
            let (master, slave) = (site::local(a), site::remote(line.port()));
            let before = line.bytes();
            let run = compare((a, &mut Site::open(&master)?), (b, &mut Site::open_far(&slave, far)?))?;
            Ok(Run { bytes: line.bytes() - before, ..run })
        })
    };
    let runs = [run(false)?, run(true)?];
    match runs.iter().find(|run| run.found != expected) {
        Some(run) => Err(format!("{expected} rows differ, and {} were found", run.found).into()),
        None => Ok(runs),
    }
}

/// Creates the table and fills it.
pub fn fill(server: &Server, rows: u32) -> Result<()> {
    let conn = &mut server.root_in(DATABASE)?;
    conn.query_drop(TABLE)?;
    conn.query_drop(format!("INSERT INTO deal SELECT {VALUES} FROM seq_1_to_{rows}"))?;
    Ok(conn.query_drop("ANALYZE TABLE deal")?)
}

/// Makes rows differ without marks: of those, three fifths are changed at one side, one fifth is missing at each.
fn differ(a: &Server, b: &Server, rows: u32) -> Result<u64> {
    let change = |server: &Server, statement: &str| -> Result<u64> {
        let conn = &mut server.root_in(DATABASE)?;
        conn.query_drop("SET @server_sync_applying = 1")?;
        conn.query_drop(statement)?;
        Ok(conn.affected_rows())
    };
    let of = |part: &str| format!("WHERE id % {SPREAD} = {} AND id DIV {SPREAD} % 5 {part}", 500.min(rows / 2));
    let updated = change(b, &format!("UPDATE deal SET customer = customer + 1 {}", of("< 3")))?;
    let missing = change(b, &format!("DELETE FROM deal {}", of("= 3")))?;
    Ok(updated + missing + change(a, &format!("DELETE FROM deal {}", of("= 4")))?)
}

fn table(a: &Server, b: &Server, arguments: &Arguments, what: &str, expected: u64) -> Result<()> {
    report::table(
        &format!("Full compare of 2 x {} rows x 10 columns: {what}", arguments.compared_rows()),
        &format!("Two {} on this machine. The ratio is to mariadb-dump of one side.", servers::version(a)?),
        &["", "seconds", "ratio", "CPU seconds", "found", "exchanges", "bytes", "of the table", "peak MiB"],
    );
    let (mut dumps, mut compares) = (Vec::new(), Vec::new());
    // In turn, so that a slow moment or a trend of the machine meets both; the first runs warm up.
    for sample in 0..=arguments.samples {
        let dumped = dump(a)?;
        let (master, slave) = (&mut Site::open(&site::local(a))?, &mut Site::open(&site::local(b))?);
        let compared = compare((a, master), (b, slave))?;
        if sample > 0 {
            dumps.push(dumped);
            compares.push(compared);
        }
    }
    let (dump, ours) = (median_run(&dumps), median_run(&compares));
    print("mariadb-dump > /dev/null (reads one side)", &dump, &dump, "")?;
    let size: u64 = length(a)?;
    let share = ours.bytes as f64 / size as f64 * 100.0;
    let peak = child_peak(a, b)?;
    let rest = format!("{} | {} | {share:.2} % | {peak}", ours.exchanges, ours.bytes);
    print("server_sync verify", &ours, &dump, &rest)?;
    if ours.found != expected {
        return Err(format!("{expected} rows differ, and {} were found", ours.found).into());
    }
    if arguments.compared_rows() > TOO_MANY {
        println!("| pt-table-sync | not tried with more than {TOO_MANY} rows |");
        return Ok(());
    }
    match percona(a, b)? {
        Some(theirs) => print("pt-table-sync --print", &theirs, &dump, ""),
        None => {
            println!("| pt-table-sync | not installed (Debian: percona-toolkit) |");
            Ok(())
        }
    }
}

/// What one run took, and found.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    seconds: f64,
    cpu: f64,
    found: u64,
    exchanges: u64,
    bytes: u64,
}

fn median_of(arguments: &Arguments, mut run: impl FnMut() -> Result<Run>) -> Result<Run> {
    run()?;
    let runs = (0..arguments.samples).map(|_| run()).collect::<Result<Vec<Run>>>()?;
    Ok(median_run(&runs))
}

fn median_run(runs: &[Run]) -> Run {
    let last = runs.last().copied().unwrap_or_default();
    Run { seconds: median(runs.iter().map(|r| r.seconds)), cpu: median(runs.iter().map(|r| r.cpu)), ..last }
}

fn print(name: &str, run: &Run, dump: &Run, rest: &str) -> Result<()> {
    let ratio = run.seconds / dump.seconds;
    let rest = if rest.is_empty() { " | | | " } else { rest };
    let cells = [name, &format!("{:.2}", run.seconds), &format!("{ratio:.2}"), &format!("{:.2}", run.cpu)];
    let found = run.found.to_string();
    report::row(&[&cells[..], &[&found, rest]].concat());
    Ok(())
}

/// The bytes of a table's rows.
fn length(server: &Server) -> Result<u64> {
    let query = "SELECT DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_NAME = 'deal'";
    Ok(server.root_in(DATABASE)?.query_first(query)?.unwrap_or(1))
}

fn compare((a, master): (&Server, &mut Site), (b, slave): (&Server, &mut Site)) -> Result<Run> {
    let cpu = Cpu::of(&[a, b], true)?;
    let started = Instant::now();
    let found = verified(master, slave)?;
    let seconds = started.elapsed().as_secs_f64();
    let differences = found.tables.iter().map(|t| t.differences()).sum();
    let (exchanges, bytes) = (found.traffic.exchanges, found.traffic.bytes);
    Ok(Run { seconds, cpu: cpu.used()?, found: differences, exchanges, bytes })
}

fn verified(master: &mut Site, slave: &mut Site) -> Result<Verification> {
    let mut stores = Stores { master: &mut master.store, slave: &mut slave.store };
    Ok(verify(&mut stores, &expectation(), &mut ())?)
}

fn child_peak(a: &Server, b: &Server) -> Result<String> {
    let ports = [a.port(), b.port()].map(|port| port.to_string());
    let output = Command::new(std::env::current_exe()?).arg("comparing-child").args(ports).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The process that is looked at: one compare, then its peak in MiB on standard output.
pub fn child(master: u16, slave: u16) -> Result<()> {
    let (mut master, mut slave) = (Site::open(&site::remote(master))?, Site::open(&site::remote(slave))?);
    verified(&mut master, &mut slave)?;
    println!("{:.0}", own_peak_mib()?);
    Ok(())
}

fn dump(server: &Server) -> Result<Run> {
    let socket = format!("--socket={}", server.socket().display());
    let mut command = Command::new("mariadb-dump");
    command.args(["--no-defaults", &socket, "--user=root", "--single-transaction", "--quick", DATABASE, "deal"]);
    timed(command, server, None).map(|(run, _)| run)
}

/// `pt-table-sync --print` says each statement that would make the sides alike on a line of its own.
fn percona(a: &Server, b: &Server) -> Result<Option<Run>> {
    if Command::new("pt-table-sync").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return Ok(None);
    }
    let dsn = |s: &Server| format!("h=127.0.0.1,P={},u=root,D={DATABASE},t=deal", s.port());
    let mut command = Command::new("pt-table-sync");
    command.args(["--print", "--no-check-slave", "--no-check-triggers", &dsn(a), &dsn(b)]);
    let (mut run, output) = timed(command, a, Some(b))?;
    run.found = output.lines().filter(|l| !l.trim().is_empty()).count() as u64;
    Ok(Some(run))
}

/// Runs a program; its own processor time is what its finished children add to ours.
fn timed(mut command: Command, a: &Server, b: Option<&Server>) -> Result<(Run, String)> {
    let servers: Vec<&Server> = std::iter::once(a).chain(b).collect();
    let keeps = b.is_some();
    let cpu = Cpu::of(&servers, false)?;
    let children = children_seconds()?;
    let started = Instant::now();
    command.stdout(if keeps { Stdio::piped() } else { Stdio::null() }).stderr(Stdio::piped());
    let output = command.spawn()?.wait_with_output()?;
    let seconds = started.elapsed().as_secs_f64();
    // pt-table-sync says 2 if it found differences.
    if !matches!((output.status.code(), keeps), (Some(0), _) | (Some(2), true)) {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let cpu = cpu.used()? + children_seconds()? - children;
    Ok((Run { seconds, cpu, ..Run::default() }, String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn children_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = rest.split_whitespace().skip(13).take(2).map(|field| field.parse::<f64>().unwrap_or(0.0));
    Ok(ticks.sum::<f64>() / 100.0)
}
