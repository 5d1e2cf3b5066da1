//! The daemon: keeps links in step, outlives a server that goes away, obeys signals.
#![allow(clippy::unwrap_used)]

mod support;

use mysql::prelude::Queryable;
use support::{LIMIT, Site, pair, pair_on};
use sync_testbed::{MariaDb, Options, wait_until};

#[track_caller]
fn arrives(site: &Site, query: &str, value: &str) {
    wait_until(query, LIMIT, || site.one(query) == value).unwrap();
}

const PHONE: &str = "SELECT phone FROM customers WHERE id=1";

#[test]
fn it_synchronises_continuously_rereads_its_settings_and_ends() {
    let sites = pair();
    sites.acquaint();
    sites.geneva.edit("period = \"1s\"", "period = 0");
    let mut daemon = sites.geneva.start(&["-daemon"]);
    daemon.wait_for("crm: geneva keeps 1 link in step");
    sites.lyon.sql("UPDATE customers SET phone='a' WHERE id=1");
    arrives(&sites.geneva, PHONE, "a");
    sites.geneva.sql("UPDATE customers SET phone='b' WHERE id=1");
    arrives(&sites.lyon, PHONE, "b");
    daemon.wait_for("lyon: 1 row received");
    sites.geneva.run(&[]).says(11, &["(daemon) since"]);
    // A mistake in the settings leaves those in force that are.
    sites.geneva.edit("period = 0", "period = \"never\"");
    daemon.signal("HUP");
    daemon.wait_for("the changed settings are not in force");
    sites.geneva.sql("UPDATE customers SET phone='c' WHERE id=1");
    arrives(&sites.lyon, PHONE, "c");
    sites.geneva.edit("period = \"never\"", "period = 0\nremote_vd = \"shop\"");
    daemon.signal("HUP");
    daemon.wait_for("the settings were read again");
    daemon.wait_for("the settings expect the virtual desktop shop at lyon");
    sites.geneva.edit("remote_vd = \"shop\"", "remote_vd = \"crm\"");
    daemon.signal("HUP");
    sites.geneva.sql("UPDATE customers SET phone='d' WHERE id=1");
    arrives(&sites.lyon, PHONE, "d");
    daemon.signal("TERM");
    assert_eq!(daemon.end(), 0);
    sites.geneva.run(&["status"]).says(0, &["nothing runs at the moment", "lyon: in step"]);
}

/// What no trigger saw: a few lost rows come back, an emptied table waits for a person and the others go on.
#[test]
fn it_scrubs() {
    let sites = pair();
    sites.acquaint();
    sites.geneva.sql("INSERT INTO notes SELECT seq, 'note' FROM seq_1_to_500").run(&[]).expect(0);
    sites.lyon.sql("SET @server_sync_applying=1; DELETE FROM customers WHERE id=2");
    sites.lyon.sql("TRUNCATE TABLE notes");
    let mut daemon = sites.geneva.start(&["-daemon"]);
    arrives(&sites.lyon, "SELECT COUNT(*) FROM customers", "2");
    daemon.wait_for("missing at lyon");
    daemon.wait_for("500 of 500 rows are missing at lyon");
    sites.geneva.sql("UPDATE customers SET phone='goes on' WHERE id=1");
    arrives(&sites.lyon, PHONE, "goes on");
    assert_eq!(sites.lyon.one("SELECT COUNT(*) FROM notes"), "0");
    let waits = || sites.geneva.run(&["status"]).all().contains("notes");
    wait_until("status names the table", LIMIT, waits).unwrap();
    daemon.signal("TERM");
    assert_eq!(daemon.end(), 0);
    sites.geneva.run(&["-init", "-v"]).says(0, &["missing at lyon"]);
    sites.assert_same();
}

#[test]
fn it_outlives_a_peer_that_goes_away() {
    let server = MariaDb::start(Options::new()).unwrap();
    let sites = pair_on(MariaDb::shared().unwrap(), &server);
    sites.acquaint();
    let mut daemon = sites.geneva.start(&["-d"]);
    daemon.wait_for("keeps 1 link");
    sites.geneva.sql("UPDATE customers SET phone='before' WHERE id=1");
    arrives(&sites.lyon, PHONE, "before");
    server.kill9().unwrap();
    daemon.wait_for("trying again");
    sites.geneva.sql("UPDATE customers SET phone='meanwhile' WHERE id=1");
    server.start().unwrap();
    arrives(&sites.lyon, PHONE, "meanwhile");
    daemon.signal("INT");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn one_link_that_fails_does_not_stop_another() {
    let sites = pair();
    sites.acquaint();
    let text = std::fs::read_to_string(sites.geneva.settings()).unwrap();
    let link = &text[text.find("[[master]]").unwrap()..];
    let lost = link
        .replace("slave = \"lyon\"", "slave = \"bern\"")
        .replace(&format!("name = \"{}\"", sites.lyon.database), "name = \"nowhere\"");
    sites.geneva.append(&format!("\n{lost}"));
    // A single run does both as well, and tells the worse.
    sites.geneva.sql("UPDATE customers SET phone='once' WHERE id=1");
    sites.geneva.run(&[]).says(78, &["cannot use the database nowhere", "lyon: 0 rows received, 1 row sent"]);
    let mut daemon = sites.geneva.start(&["-daemon"]);
    daemon.wait_for("bern: ");
    sites.geneva.sql("UPDATE customers SET phone='e' WHERE id=1");
    arrives(&sites.lyon, PHONE, "e");
    daemon.signal("TERM");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_star_of_three_sites_stays_in_step_while_the_schema_changes() {
    let sites = pair();
    let bern = sites.bern();
    bern.run(&["init-site"]).expect(0);
    sites.acquaint();
    bern.sql("UPDATE customers SET city='Bern' WHERE id=1");
    sites.geneva.run(&[]).says(0, &["bern: 1 row received"]);
    sites.geneva.run(&[]).says(0, &["lyon: 0 rows received, 1 row sent"]);
    sites.geneva.edit("period = \"1s\"", "period = 0");
    let mut daemon = sites.geneva.start(&["-daemon"]);
    daemon.wait_for("keeps 2 links in step");
    sites.lyon.sql("UPDATE customers SET phone='l' WHERE id=1");
    arrives(&bern, PHONE, "l");
    // The application is upgraded at one site after the other, and used meanwhile.
    for site in [&bern, &sites.geneva, &sites.lyon] {
        site.sql("ALTER TABLE customers ADD COLUMN colour VARCHAR(10); UPDATE customers SET colour='red' WHERE id=2");
        site.sql("ALTER TABLE notes ADD COLUMN urgent INT; INSERT INTO notes VALUES (7, 'x', 1) ON DUPLICATE KEY UPDATE urgent=2");
    }
    sites.lyon.sql("UPDATE customers SET phone='after' WHERE id=1");
    for site in [&bern, &sites.geneva] {
        arrives(site, PHONE, "after");
    }
    daemon.signal("TERM");
    assert_eq!(daemon.end(), 0, "{}", daemon.log());
    sites.geneva.run(&[]);
    sites.geneva.run(&[]);
    sites.assert_same();
    sync_testbed::assert_equal(&bern.dump(), &sites.lyon.dump());
}

#[test]
fn a_slave_keeps_its_store_ready() {
    let sites = pair();
    let mut daemon = sites.lyon.start(&["-daemon"]);
    daemon.wait_for("keeps its store ready for its masters");
    wait_until("lyon is prepared", LIMIT, || sites.lyon.objects() > 5).unwrap();
    wait_until("a round is accepted", LIMIT, || sites.geneva.run(&[]).code == 0).unwrap();
    sites.assert_same();
    daemon.signal("TERM");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn systemd_is_told_when_it_is_ready_and_when_it_ends() {
    let sites = pair();
    sites.acquaint();
    let socket = sites.home.path().join("notify");
    let listener = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    listener.set_read_timeout(Some(LIMIT)).unwrap();
    let heard = |text: &str| {
        let mut message = String::new();
        while !message.contains(text) {
            let mut buffer = [0; 4096];
            let length = listener.recv(&mut buffer).unwrap();
            message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        }
    };
    let mut command = sites.geneva.command(&["-vd", "crm", "-daemon"]);
    let log = sites.home.path().join("journal");
    command.env("JOURNAL_STREAM", "8:1").stderr(std::fs::File::create(&log).unwrap());
    let mut daemon = command.env("NOTIFY_SOCKET", &socket).spawn().unwrap();
    heard("READY=1\nSTATUS=crm: geneva keeps 1 link in step");
    heard("WATCHDOG=1");
    assert!(std::process::Command::new("kill").arg(daemon.id().to_string()).status().unwrap().success());
    heard("STOPPING=1");
    assert!(daemon.wait().unwrap().success());
    // The journal adds the time, and is told the priority.
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.starts_with("<6>crm: geneva keeps 1 link in step\n"), "{log}");
}

#[test]
fn an_interrupted_round_says_that_nothing_is_lost() {
    let sites = pair();
    sites.acquaint();
    let mut holder = sites.lyon.app();
    holder.query_drop("BEGIN").unwrap();
    holder.query_drop("UPDATE customers SET city='held' WHERE id=1").unwrap();
    sites.geneva.sql("UPDATE customers SET phone='g' WHERE id=1");
    let mut round = sites.geneva.start(&["-v"]);
    round.wait_for("the two sites go together");
    round.signal("INT");
    assert_eq!(round.end(), 130, "{}", round.log());
    assert!(round.log().contains("interrupted; nothing is lost"));
    holder.query_drop("ROLLBACK").unwrap();
    sites.geneva.run(&[]).says(0, &["1 row sent"]);
    sites.assert_same();
}

#[test]
fn a_round_outlives_a_server_that_is_restarted() {
    let server = MariaDb::start(Options::new()).unwrap();
    let sites = pair_on(MariaDb::shared().unwrap(), &server);
    sites.acquaint();
    // A row that is held makes the round wait in the middle.
    let mut holder = sites.lyon.app();
    holder.query_drop("BEGIN").unwrap();
    holder.query_drop("UPDATE customers SET city='held' WHERE id=1").unwrap();
    sites.geneva.sql("UPDATE customers SET phone='f' WHERE id=1");
    let mut round = sites.geneva.start(&["-v"]);
    round.wait_for("the two sites go together");
    server.kill9().unwrap();
    server.start().unwrap();
    assert_eq!(round.end(), 0, "{}", round.log());
    assert_eq!(sites.lyon.one(PHONE), "f");
}
