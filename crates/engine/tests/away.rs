//! A site that was away while the two others wrote a million changes: it catches up in bounded memory.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Site, assert_same, run_all, sync};
use sync_testbed::{MariaDb, Options, Server};

const SCHEMA: &str = "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(60) NOT NULL, stock INT NOT NULL);
CREATE TABLE movement (id INT PRIMARY KEY, item INT NOT NULL, note VARCHAR(60))";

/// Changes of each of the two that go on.
const CHANGES: u32 = 500_000;

/// The peak that a round may have, in KiB; what all the changes weigh is several times as much.
const ROOM: u64 = 64 << 10;

fn site<'a>(server: &'a Server, name: &'static str, number: u64) -> Site<'a> {
    server.create_database(name).unwrap();
    run_all(&mut server.root_in(name).unwrap(), SCHEMA);
    Site::prepare(server, name, name, number)
}

/// The most memory this process ever had, in KiB. Linux only.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_site_away_for_a_million_changes_catches_up_in_bounded_memory() {
    let server = MariaDb::start(Options::new()).unwrap();
    let (mut geneva, mut lyon) = (site(&server, "geneva", 1), site(&server, "lyon", 2));
    let mut bern = site(&server, "bern", 3);
    geneva.run("INSERT INTO item SELECT seq, CONCAT('item ', seq), 0 FROM seq_1_to_1000");
    sync(&mut geneva, &mut lyon);
    sync(&mut geneva, &mut bern);
    geneva.run(&format!("INSERT INTO movement SELECT seq, seq % 1000, 'of geneva' FROM seq_1_to_{CHANGES}"));
    let rows = format!("SELECT {CHANGES} + seq, seq % 1000, 'of lyon' FROM seq_1_to_{}", CHANGES - 1000);
    lyon.run(&format!("INSERT INTO movement {rows}"));
    lyon.run("UPDATE item SET stock = id");
    sync(&mut geneva, &mut lyon);
    bern.run("UPDATE item SET name = CONCAT(name, ' of bern') WHERE id <= 10");
    let report = sync(&mut geneva, &mut bern);
    assert_eq!(report.pushed.total().received, u64::from(2 * CHANGES));
    println!("peak: {} KiB", peak());
    assert!(peak() < ROOM, "the rounds took {} KiB", peak());
    assert!(sync(&mut geneva, &mut lyon).is_quiet() || sync(&mut geneva, &mut lyon).is_quiet());
    let sums = "SELECT CONCAT_WS(' ', COUNT(*), SUM(id), SUM(item)) FROM movement";
    let expected = geneva.one(sums);
    assert_eq!([lyon.one(sums), bern.one(sums)], [expected.clone(), expected]);
    assert_same(&geneva, &bern);
}
