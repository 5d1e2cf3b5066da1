//! What capture costs the application: durable commits of one row by four clients, on a table with our triggers and
//! on an equal one without, in turns.

use std::thread;
use std::time::Instant;

use mysql::prelude::Queryable;
use mysql::{Conn, Params, Value};
use sync_store::Store;
use sync_testbed::Server;

use crate::Result;
use crate::arguments::Arguments;
use crate::process::Cpu;
use crate::report::{self, median};
use crate::servers::{self, DATABASE};
use crate::site::{self, Site};

const CLIENTS: u64 = 4;
const PLAIN: &str = "plain";
/// Commits of one client in one turn.
const COMMITS: u64 = 400;
/// Turns of each database in a sample.
const TURNS: [bool; 4] = [true, false, false, true];

/// Runs the bench on every server there is.
pub fn run(arguments: &Arguments) -> Result<()> {
    report::table(
        "Capture",
        "Durable commits of one row, 4 clients, a table of 20 columns; an update changes 2 of them. Time and processor \
         time of the server with our triggers, divided by those without; medians, the lowest and the highest.",
        &["server", "statement", "commits/s without", "with", "time", "lowest–highest", "goal", "server CPU"],
    );
    for server in [Some(servers::mariadb()?), servers::mysql()?].into_iter().flatten() {
        measure(&server, arguments.samples)?;
    }
    Ok(())
}

fn measure(server: &Server, samples: usize) -> Result<()> {
    for database in [DATABASE, PLAIN] {
        server.create_database(database)?;
        server.root_in(database)?.query_drop(TABLE)?;
    }
    let mut site = Site::prepare(&site::local(server), site::MASTER)?;
    let mut key = 0;
    for (statement, goal) in [(Statement::Insert, "1.30"), (Statement::Update, "1.35")] {
        // The first turns of a server are slower: its caches are cold.
        sample(server, &mut site, statement, &mut key)?;
        let all = (0..samples).map(|_| sample(server, &mut site, statement, &mut key)).collect::<Result<Vec<_>>>()?;
        print(&servers::version(server)?, statement, goal, &all);
    }
    Ok(())
}

const TABLE: &str = "CREATE TABLE contact (id BIGINT PRIMARY KEY, company INT, first_name VARCHAR(60), \
     last_name VARCHAR(60), street VARCHAR(120), zip VARCHAR(12), city VARCHAR(60), country CHAR(2), phone VARCHAR(40), \
     mobile VARCHAR(40), email VARCHAR(120), language CHAR(2), born DATE, revenue DECIMAL(14,2), score DOUBLE, \
     active TINYINT, category INT, note VARCHAR(500), created DATETIME, changed TIMESTAMP(6) NULL) ENGINE=InnoDB";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Statement {
    Insert,
    Update,
}

/// Seconds a commit took (all clients at work), and processor seconds of the server a commit.
#[derive(Clone, Copy, Default)]
struct Cost {
    seconds: f64,
    cpu: f64,
}

/// One sample: with capture and without.
struct Sample {
    with: Cost,
    without: Cost,
}

fn sample(server: &Server, site: &mut Site, statement: Statement, key: &mut u64) -> Result<Sample> {
    let mut sample = Sample { with: Cost::default(), without: Cost::default() };
    let commits = (CLIENTS * COMMITS) as f64 * TURNS.len() as f64 / 2.0;
    for captured in TURNS {
        let database = if captured { DATABASE } else { PLAIN };
        let cost = if captured { &mut sample.with } else { &mut sample.without };
        let cpu = Cpu::of(&[server], false)?;
        cost.seconds += turn(server, database, statement, *key)? / commits;
        cost.cpu += cpu.used()? / commits;
        *key += CLIENTS * COMMITS;
        // What a round would do, outside the measured time: marks do not pile up.
        site.store.drain()?;
    }
    Ok(sample)
}

/// Runs one turn; returns its seconds.
fn turn(server: &Server, database: &str, statement: Statement, key: u64) -> Result<f64> {
    let clients = (0..CLIENTS).map(|_| Ok(server.root_in(database)?)).collect::<Result<Vec<Conn>>>()?;
    let last = if statement == Statement::Update { last_keys(server, database)? } else { Vec::new() };
    let start = Instant::now();
    let work = |(client, mut conn): (u64, Conn)| {
        let last = &last;
        move || -> Result<()> {
            for i in 0..COMMITS {
                match statement {
                    Statement::Insert => insert(&mut conn, key + client * COMMITS + i)?,
                    Statement::Update => {
                        update(&mut conn, last[(client * COMMITS + i) as usize], start.elapsed().as_nanos())?
                    }
                }
            }
            Ok(())
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS).zip(clients).map(|client| scope.spawn(work(client))).collect();
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| "a client broke down")?)
    })?;
    Ok(start.elapsed().as_secs_f64())
}

fn last_keys(server: &Server, database: &str) -> Result<Vec<u64>> {
    let query = format!("SELECT id FROM contact ORDER BY id DESC LIMIT {}", CLIENTS * COMMITS);
    Ok(server.root_in(database)?.query(query)?)
}

fn insert(conn: &mut Conn, key: u64) -> Result<()> {
    let statement = "INSERT INTO contact VALUES (?,?,'Marie','Dupont-Schaller','12 rue du March\u{e9}','1204','Gen\u{e8}ve',\
         'CH','+41 22 300 00 00','+41 79 300 00 00',?,'fr','1980-02-29',1234.50,0.25,1,7,'met at the fair in spring',\
         '2024-02-29 12:00:00','2024-02-29 12:00:00.5')";
    let email = format!("marie.dupont.{key}@example.org");
    conn.exec_drop(statement, Params::Positional(vec![key.into(), (key % 997).into(), email.into()]))?;
    Ok(())
}

fn update(conn: &mut Conn, key: u64, value: u128) -> Result<()> {
    let phone = Value::from(format!("+41 22 {value}"));
    let statement = "UPDATE contact SET phone=?, revenue=revenue+1 WHERE id=?";
    conn.exec_drop(statement, Params::Positional(vec![phone, key.into()]))?;
    Ok(())
}

fn print(server: &str, statement: Statement, goal: &str, samples: &[Sample]) {
    let rate = |of: fn(&Sample) -> Cost| format!("{:.0}", 1.0 / median(samples.iter().map(|s| of(s).seconds)));
    let mut ratios: Vec<f64> = samples.iter().map(|s| s.with.seconds / s.without.seconds).collect();
    ratios.sort_by(f64::total_cmp);
    let cpu = median(samples.iter().map(|s| s.with.cpu / s.without.cpu));
    let edge = |ratio: Option<&f64>| ratio.copied().unwrap_or_default();
    report::row(&[
        server.to_owned(),
        if statement == Statement::Insert { "insert" } else { "update" }.to_owned(),
        rate(|s| s.without),
        rate(|s| s.with),
        format!("× {:.2}", median(ratios.iter().copied())),
        format!("{:.2}–{:.2}", edge(ratios.first()), edge(ratios.last())),
        format!("≤ {goal}"),
        format!("× {cpu:.2}"),
    ]);
}
