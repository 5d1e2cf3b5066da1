//! `init-site --set-auto-increment` on real servers: refused without the privilege, and with what to type; done, verified and
//! kept where the server can remember it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use mysql::prelude::Queryable;
use support::{Pair, Said, Site, pair_on};
use sync_testbed::{MariaDb, Mysql, Options, Server};

fn numbers(site: &Site) -> String {
    site.one("SELECT CONCAT(@@GLOBAL.auto_increment_increment, ' ', @@GLOBAL.auto_increment_offset)")
}

/// Types the GRANT that the message names.
fn type_grant(server: &Server, said: &Said) {
    let line = said.err.lines().find_map(|line| line.find("GRANT ").map(|at| &line[at..]));
    let grant = line.unwrap_or_else(|| panic!("no GRANT in {}", said.all()));
    server.execute(grant.trim_end()).unwrap();
}

fn story(sites: &Pair, server: &Server, lasts: bool) {
    let lyon = &sites.lyon;
    let set = |more: &[&str]| lyon.run(&[&["init-site", "-vd", "crm"], more].concat());
    lyon.run(&["init-site", "-vd", "crm"]).expect(0);
    let before = numbers(lyon);
    let would = set(&["--set-auto-increment", "8", "-dry-run"]).says(0, &["would run: SET ", "offset = 2"]);
    assert!(!would.out.contains("automatic keys: every"), "{}", would.all());
    set(&["--set-auto-increment", "1"]).says(78, &["the number of this site is 2: it does not fit among 1 sites"]);
    let refused = set(&["--set-auto-increment", "8"]).expect(12);
    assert_eq!(numbers(lyon), before, "nothing was set");
    type_grant(server, &refused);
    let done = set(&["--set-auto-increment", "8"]).says(0, &["every 8th from 2", "Connections that are open"]);
    assert_eq!(done.out.contains("configuration file"), !lasts, "{}", done.all());
    assert_eq!(numbers(lyon), "8 2");
    set(&["--set-auto-increment", "8"]).expect(0);
    set(&["--set-auto-increment", "8", "--lang", "fr"]).says(0, &["propres à ce site", "Sur chaque autre site"]);
    let said = set(&["--set-auto-increment", "-json"]).expect(0);
    let [object] = said.json("auto_increment").try_into().unwrap();
    assert_eq!((&object["wanted"]["increment"], &object["before"]["increment"]), (&16.into(), &8.into()));
    assert_eq!((object["lasts"].as_bool(), object["configuration"].is_null()), (Some(lasts), lasts));
    lyon.run(&["check", "-vd", "crm"]).says(0, &["automatic keys: every 16th from 2"]);
    if lasts {
        // A test server reads no file when it is started, not even this one.
        let query =
            "SELECT GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM performance_schema.persisted_variables";
        let mut root = server.root().unwrap();
        assert_eq!(root.query_first::<String, _>(query).unwrap().as_deref(), Some("16,2"));
    } else {
        server.kill9().unwrap();
        server.start().unwrap();
        assert_eq!(numbers(lyon), before, "it was forgotten, as was said");
    }
}

fn with_keys(sites: &Pair) {
    sites.lyon.sql("CREATE TABLE keyed (id INT AUTO_INCREMENT PRIMARY KEY)");
    sites.geneva.sql("CREATE TABLE keyed (id INT AUTO_INCREMENT PRIMARY KEY)");
}

#[test]
fn mariadb_is_told_and_needs_its_configuration_file() {
    let (geneva, lyon) = (MariaDb::shared().unwrap(), MariaDb::start(Options::new()).unwrap());
    let sites = pair_on(geneva, &lyon);
    with_keys(&sites);
    story(&sites, &lyon, false);
}

#[test]
fn mysql_remembers() {
    let Some(mysql) = Mysql::available() else { return };
    let (geneva, lyon) = (MariaDb::shared().unwrap(), mysql.start(Options::new()).unwrap());
    let sites = pair_on(geneva, &lyon);
    with_keys(&sites);
    story(&sites, &lyon, true);
}
