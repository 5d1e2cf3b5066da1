//! The most memory a round takes, measured in a process that does nothing else: this program, started again.

use std::process::Command;

use mysql::prelude::Queryable;
use sync_testbed::Server;

use crate::arguments::Arguments;
use crate::report;
use crate::servers::{self, DATABASE, set_durable};
use crate::site::{self, Site, sync};
use crate::{Result, process};

/// Rows with a large value.
const BLOBS: u32 = 24;

/// Runs the bench.
pub fn run(arguments: &Arguments) -> Result<()> {
    report::table(
        "Memory",
        "The most memory (VmHWM) of a process that runs one round between two MariaDB servers.",
        &["round", "MiB", "goal"],
    );
    let (a, b) = (servers::mariadb()?, servers::mariadb()?);
    for server in [&a, &b] {
        server.create_database(DATABASE)?;
        set_durable(server, false)?;
        let conn = &mut server.root_in(DATABASE)?;
        conn.query_drop(
            "CREATE TABLE small (id INT PRIMARY KEY, a INT, b VARCHAR(80), c TEXT, d DATETIME, e VARCHAR(80))",
        )?;
        conn.query_drop("CREATE TABLE large (id INT PRIMARY KEY, content LONGBLOB)")?;
    }
    let rows = arguments.changed_rows();
    let first = "nothing to do (the first round)";
    let fill = format!(
        "INSERT INTO small SELECT seq, seq, CONCAT('name ', seq), REPEAT('x', seq%200), NOW(), '' FROM seq_1_to_{rows}"
    );
    let blobs = format!("INSERT INTO large SELECT seq, REPEAT(CHAR(seq + 32), 8 << 20) FROM seq_1_to_{BLOBS}");
    measure(&a, &b, first, "DO 0")?;
    measure(&a, &b, &format!("{rows} inserted rows"), &fill)?;
    measure(&a, &b, &format!("{rows} updated rows"), "UPDATE small SET a=a+1, e='changed'")?;
    measure(&a, &b, &format!("{BLOBS} blobs of 8 MiB"), &blobs)?;
    let changed = "UPDATE large SET content=CONCAT(SUBSTR(content, 2), 'x')";
    measure(&a, &b, &format!("{BLOBS} blobs of 8 MiB, changed"), changed)?;
    measure(&a, &b, &format!("{rows} deleted rows"), "DELETE FROM small")
}

fn measure(a: &Server, b: &Server, name: &str, statement: &str) -> Result<()> {
    Site::prepare(&site::remote(a.port()), site::MASTER)?;
    Site::prepare(&site::remote(b.port()), site::SLAVE)?;
    a.root_in(DATABASE)?.query_drop(statement)?;
    let program = std::env::current_exe()?;
    let output = Command::new(program).arg("child").args([a.port(), b.port()].map(|p| p.to_string())).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    report::row(&[name, String::from_utf8_lossy(&output.stdout).trim(), "< 64"]);
    Ok(())
}

/// The process that is looked at: one round, then its peak in MiB on standard output.
pub fn child(master: u16, slave: u16) -> Result<()> {
    let (mut master, mut slave) = (Site::open(&site::remote(master))?, Site::open(&site::remote(slave))?);
    sync(&mut master, &mut slave)?;
    println!("{:.0}", process::own_peak_mib()?);
    Ok(())
}
