//! One run at a time, none during an upgrade; who holds the lock is told.
#![allow(clippy::unwrap_used)]

mod support;

use support::{LIMIT, pair};
use sync_testbed::wait_until;

#[test]
fn an_upgrade_keeps_rounds_away_and_gives_its_exit_code() {
    let sites = pair();
    sites.acquaint();
    let mut upgrade =
        sites.geneva.start(&["lock", "--", "sh", "-c", "echo begun; read -r line; exit 7", "secret-argument"]);
    upgrade.wait_for("begun");
    // Standard input is closed, so the command has ended; hold the lock with one that waits.
    assert_eq!(upgrade.end(), 7);
    let mut upgrade = sites.geneva.start(&["lock", "--", "sleep", "600"]);
    let lock = sites.geneva.state().join("run.lock");
    let held = || std::fs::read_to_string(&lock).is_ok_and(|t| t.contains("sleep"));
    wait_until("the lock is taken", LIMIT, held).unwrap();
    let pid = upgrade.child.id().to_string();
    let texts = ["already running: process", pid.as_str(), "(sleep) since", "override with -force"];
    for refused in [&[][..], &["init-site"], &["uninstall", "--yes"], &["lock", "--", "true"], &["-daemon"]] {
        sites.geneva.run(refused).says(11, &texts);
    }
    sites.geneva.run(&["status"]).says(0, &["running: process", "(sleep)"]);
    sites.geneva.run(&["-force"]).expect(0);
    // A signal reaches the command.
    upgrade.signal("TERM");
    assert_eq!(upgrade.end(), 128 + 15);
    sites.geneva.run(&[]).expect(0);
    assert!(!std::fs::read_to_string(&lock).unwrap().contains("secret"));
}

#[test]
fn a_command_that_cannot_run() {
    let sites = pair();
    sites.geneva.run(&["lock", "--", "no-such-program"]).says(127, &["cannot run no-such-program"]);
    sites.geneva.run(&["lock"]).expect(2);
}

#[test]
fn an_upgrade_at_the_slave_keeps_the_rounds_of_its_master_away() {
    let sites = pair();
    sites.acquaint();
    let mut upgrade = sites.lyon.start(&["lock", "--", "sleep", "600"]);
    let refused = || sites.geneva.run(&[]).code == 11;
    wait_until("the master is kept away", LIMIT, refused).unwrap();
    sites.geneva.run(&[]).says(11, &["being upgraded at lyon", "-force"]);
    sites.geneva.run(&["-force"]).expect(0);
    upgrade.signal("KILL");
    upgrade.end();
    // The server gives the lock back when the connection of a killed process is gone.
    wait_until("the lock is gone", LIMIT, || sites.geneva.run(&[]).code == 0).unwrap();
}
