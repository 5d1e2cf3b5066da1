//! Catch-up: a site was away while rows changed at the other. Timed from the beginning of the round to its end (drain,
//! stream, apply, record), against row-based replication of the same changes on servers of the same settings.

use std::time::Instant;

use mysql::prelude::Queryable;
use sync_testbed::Server;

use crate::Result;
use crate::arguments::Arguments;
use crate::process::Cpu;
use crate::replication::Replication;
use crate::report::{self, median};
use crate::servers::{self, DATABASE, set_durable};
use crate::site::{self, Site, sync};
use crate::timed;

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(40), c VARCHAR(40), d DECIMAL(12,2), \
    e DATETIME, f VARCHAR(80), g INT, h TINYINT, i DATE, j VARCHAR(20), k TEXT) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";

/// The values of the row number `seq`.
const VALUES: &str = "seq, seq%1000, CONCAT('name ', seq), REPEAT('x', seq%40), seq/7, '2024-02-29 12:00:00', \
    CONCAT(seq, ' rue du March\u{e9}'), seq%97, seq%2, '2024-01-01', seq%1000, REPEAT('note ', seq%10)";

/// What was done to each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Insert,
    Update,
    Delete,
}

const CHANGES: [Change; 3] = [Change::Insert, Change::Update, Change::Delete];

impl Change {
    fn name(self) -> &'static str {
        match self {
            Change::Insert => "insert",
            Change::Update => "update of 3 columns",
            Change::Delete => "delete",
        }
    }

    /// One statement for the rows `first..=last`.
    fn bulk(self, first: u64, last: u64) -> String {
        match self {
            Change::Insert => format!("INSERT INTO t SELECT {VALUES} FROM seq_{first}_to_{last}"),
            Change::Update => {
                format!("UPDATE t SET a=a+1, b=CONCAT(b,'!'), g=g+1 WHERE id BETWEEN {first} AND {last}")
            }
            Change::Delete => format!("DELETE FROM t WHERE id BETWEEN {first} AND {last}"),
        }
    }

    /// The statement for the row whose number is in the variable `seq`.
    fn single(self) -> String {
        match self {
            Change::Insert => format!("INSERT INTO t VALUES ({VALUES})"),
            Change::Update => "UPDATE t SET a=a+1, b=CONCAT(b,'!'), g=g+1 WHERE id=seq".to_owned(),
            Change::Delete => "DELETE FROM t WHERE id=seq".to_owned(),
        }
    }

    /// A script that changes the rows `first..=last` in transactions of `size` rows; all in one statement if 0.
    fn script(self, size: u32, first: u64, last: u64) -> String {
        if size == 0 {
            return self.bulk(first, last);
        }
        let single = self.single();
        format!(
            "BEGIN NOT ATOMIC DECLARE seq INT DEFAULT {first}; WHILE seq <= {last} DO START TRANSACTION; \
             REPEAT {single}; SET seq = seq + 1; UNTIL (seq - {first}) % {size} = 0 OR seq > {last} END REPEAT; \
             COMMIT; END WHILE; END"
        )
    }
}

/// Runs the bench.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut pair = Pair::start()?;
    let note = format!(
        "{} changed rows of 12 columns between two servers ({}), every commit on disk at both. Replication is \
         MariaDB's own, row-based, the replica stopped while the changes are made; the transactions are those of the \
         application. Medians of {}; processor seconds of both servers, and of server_sync.",
        arguments.changed_rows(),
        servers::version(&pair.a)?,
        arguments.samples
    );
    let columns = [
        "transactions",
        "change",
        "replication rows/s",
        "server_sync rows/s",
        "ratio",
        "goal",
        "replication CPU s",
        "server_sync CPU s",
    ];
    report::table("Catch-up", &note, &columns);
    let sizes = [0, 10, 1].into_iter().filter(|size| arguments.transactions.is_none_or(|only| only == *size));
    for size in sizes {
        pair.measure(size, arguments)?;
    }
    Ok(())
}

/// Both contestants.
struct Pair {
    replication: Option<Replication>,
    a: Server,
    b: Server,
    geneva: Site,
    lyon: Site,
    /// The last row number that was used.
    last: u64,
}

/// Seconds and processor seconds of one run.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    cpu: f64,
}

impl Pair {
    fn start() -> Result<Self> {
        // While statements are looked at, the peer only disturbs.
        let alone = std::env::var_os("BENCH_STATEMENTS").is_some();
        let replication = if alone { None } else { Some(Replication::start()?) };
        let (a, b) = (servers::mariadb()?, servers::mariadb()?);
        let theirs = replication.iter().flat_map(|r| [&r.source, &r.replica]);
        for server in theirs.chain([&a, &b]) {
            server.root()?.query_drop(format!("SET STATEMENT sql_log_bin=0 FOR CREATE DATABASE {DATABASE}"))?;
            let conn = &mut server.root_in(DATABASE)?;
            conn.query_drop("SET sql_log_bin=0")?;
            conn.query_drop(TABLE)?;
        }
        let mut geneva = Site::prepare(&site::local(&a), site::MASTER)?;
        let mut lyon = Site::prepare(&site::remote(b.port()), site::SLAVE)?;
        sync(&mut geneva, &mut lyon)?;
        Ok(Pair { replication, a, b, geneva, lyon, last: 0 })
    }

    fn measure(&mut self, size: u32, arguments: &Arguments) -> Result<()> {
        let mut costs: Vec<(Change, Option<Cost>, Cost)> = Vec::new();
        for sample in 0..arguments.samples {
            let (first, last) = (self.last + 1, self.last + u64::from(arguments.changed_rows()));
            self.last = last;
            for change in CHANGES {
                let (theirs, ours) = self.sample(change, &change.script(size, first, last), sample % 2 == 0)?;
                costs.push((change, theirs, ours));
            }
        }
        for change in CHANGES {
            let of_change: Vec<_> = costs.iter().filter(|c| c.0 == change).collect();
            let theirs: Vec<Cost> = of_change.iter().filter_map(|c| c.1).collect();
            let ours: Vec<Cost> = of_change.iter().map(|c| c.2).collect();
            print(size, change, f64::from(arguments.changed_rows()), &theirs, &ours);
        }
        Ok(())
    }

    fn sample(&mut self, change: Change, script: &str, peer_first: bool) -> Result<(Option<Cost>, Cost)> {
        let sources = self.replication.iter().map(|r| &r.source).chain([&self.a]);
        for source in sources {
            make(source, script)?;
        }
        if peer_first {
            let theirs = self.replicate()?;
            return Ok((theirs, self.synchronise(change)?));
        }
        let ours = self.synchronise(change)?;
        Ok((self.replicate()?, ours))
    }

    fn replicate(&self) -> Result<Option<Cost>> {
        let Some(replication) = &self.replication else { return Ok(None) };
        let cpu = Cpu::of(&[&replication.source, &replication.replica], false)?;
        let seconds = replication.catch_up()?.as_secs_f64();
        let cost = Cost { seconds, cpu: cpu.used()? };
        same(&replication.source, &replication.replica)?;
        Ok(Some(cost))
    }

    fn synchronise(&mut self, change: Change) -> Result<Cost> {
        let cpu = Cpu::of(&[&self.a, &self.b], true)?;
        let start = Instant::now();
        sync(&mut self.geneva, &mut self.lyon)?;
        let cost = Cost { seconds: start.elapsed().as_secs_f64(), cpu: cpu.used()? };
        for (name, site) in [("master", &self.geneva), ("slave", &self.lyon)] {
            timed::print(&format!("{name}, {change:?}, {:.2} s", cost.seconds), &site.times);
        }
        same(&self.a, &self.b)?;
        Ok(cost)
    }
}

/// Makes the changes; how long that takes does not matter.
fn make(source: &Server, script: &str) -> Result<()> {
    set_durable(source, false)?;
    source.root_in(DATABASE)?.query_drop(script)?;
    set_durable(source, true)
}

/// A figure of something that is not equal afterwards would be worth nothing.
fn same(a: &Server, b: &Server) -> Result<()> {
    let sum = |server: &Server| -> Result<Option<(String, Option<u64>)>> {
        Ok(server.root_in(DATABASE)?.query_first("CHECKSUM TABLE t")?)
    };
    if sum(a)? == sum(b)? { Ok(()) } else { Err("the two sites differ after the round".into()) }
}

fn print(size: u32, change: Change, rows: f64, theirs: &[Cost], ours: &[Cost]) {
    let rate = |costs: &[Cost]| rows / median(costs.iter().map(|c| c.seconds));
    let cpu = |costs: &[Cost]| format!("{:.1}", median(costs.iter().map(|c| c.cpu)));
    let ratio = median(theirs.iter().zip(ours).map(|(t, o)| t.seconds / o.seconds));
    report::row(&[
        if size == 0 { "one statement".to_owned() } else { format!("{size} row{}", if size == 1 { "" } else { "s" }) },
        change.name().to_owned(),
        format!("{:.0}", rate(theirs)),
        format!("{:.0}", rate(ours)),
        format!("{ratio:.2}"),
        "≥ 0.80".to_owned(),
        cpu(theirs),
        cpu(ours),
    ]);
}
