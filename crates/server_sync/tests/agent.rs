//! Rounds through the agent, over a real sshd: what an administrator sets up, and what is said where it is not right.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::{Pair, pair, pair_by_ssh};
use sync_testbed::{KeyType, Sshd};

/// A pair that is linked by ssh with a key of this kind, restricted to Lyon's agent.
fn linked(kind: KeyType) -> (Pair<'static>, Sshd) {
    let sites = pair();
    let sshd = Sshd::start().unwrap();
    pair_by_ssh(&sites, &sshd, kind);
    (sites, sshd)
}

#[test]
fn two_sites_in_step_with_no_database_port_open() {
    let (sites, _sshd) = linked(KeyType::Rsa);
    sites.lyon.run(&["init-site"]).expect(0);
    sites.geneva.run(&["init-site"]).expect(0);
    sites.geneva.run(&["check"]).says(0, &["lyon: reachable", "tables alike: 2"]);
    sites.geneva.run(&[]).says(0, &["lyon: 0 rows received, 2 rows sent"]);
    sites.assert_same();
    assert_eq!(sites.geneva.run(&[]).expect(0).all(), "exit 0\n");
    sites.geneva.sql("UPDATE customers SET phone='11' WHERE id=1; INSERT INTO notes VALUES (1, 'from geneva')");
    sites.lyon.sql("UPDATE customers SET city='Carouge' WHERE id=1; DELETE FROM customers WHERE id=2");
    sites.geneva.run(&["-v"]).says(0, &["2 rows received, 2 rows sent"]);
    sites.assert_same();
    assert_eq!(sites.lyon.one("SELECT CONCAT(city, phone) FROM customers"), "Carouge11");
    sites.geneva.run(&["verify"]).says(0, &["equal"]);
    sites.lyon.sql("SET @server_sync_applying=1; UPDATE customers SET city='?' WHERE id=1");
    sites.geneva.run(&["verify"]).says(3, &["differ"]);
    sites.geneva.run(&["-init"]).expect(3);
    sites.assert_same();
}

#[test]
fn refusals_of_the_other_side_are_told_here() {
    let (sites, sshd) = linked(KeyType::Ed25519);
    sites.geneva.run(&["init-site"]).expect(0);
    sites.geneva.run(&[]).says(10, &["lyon: ", "init-site"]);
    sites.lyon.run(&["init-site"]).expect(0);
    sites
        .lyon
        .edit("enabled = true", "enabled = false")
        .append("\n[[master]]\nslave = \"x\"\n[master.ssh]\nhost = \"x\"\n");
    sites.geneva.run(&[]).says(78, &["lyon", "slave mode"]);
    sites.lyon.edit("enabled = false", "enabled = true");
    sites.geneva.run(&[]).expect(0);

    let authorized = sshd.home().join("authorized_keys");
    let text = fs::read_to_string(&authorized).unwrap();
    fs::write(&authorized, text.replace("-vd crm", "-vd hr")).unwrap();
    sites.geneva.run(&["check"]).says(78, &["lyon: the other side is of the virtual desktop hr, not crm"]);
    fs::write(&authorized, text.replace("--config-dir ", "--config-dir /no/such")).unwrap();
    sites.geneva.run(&[]).says(10, &["lyon: ", "/no/such"]);
    fs::write(&authorized, text.replace(" agent ", " --version ")).unwrap();
    sites.geneva.run(&["check"]).says(78, &["did not start server_sync", "restricted to"]);
    fs::write(&authorized, "").unwrap();
    sites.geneva.run(&["check"]).says(12, &["lyon cannot be reached", "authorized_keys"]);
    fs::write(&authorized, &text).unwrap();
    fs::write(sshd.known_hosts(), "").unwrap();
    sites.geneva.run(&["check"]).says(12, &["log in once by hand"]);
}

#[test]
fn a_link_that_breaks_is_mended_by_the_daemon() {
    let (sites, sshd) = linked(KeyType::Ed25519);
    sites.lyon.run(&["init-site"]).expect(0);
    sites.geneva.edit("period = \"1s\"", "period = 0");
    let mut daemon = sites.geneva.start(&["-daemon"]);
    daemon.wait_for("2 rows sent");
    sshd.kill().unwrap();
    sites.geneva.run(&["-force"]).says(20, &["lyon"]);
    sites.lyon.sql("INSERT INTO notes VALUES (7, 'while the line was cut')");
    sshd.resume().unwrap();
    daemon.wait_for("1 row received");
    sites.assert_same();
    daemon.signal("TERM");
    daemon.end();
}
