//! `restore-here`: a backup is put back at one site and declared the truth for all; one of the others was offline.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};

use mysql::prelude::Queryable;
use support::{LIMIT, Pair, Site, pair};
use sync_testbed::{assert_equal, wait_until};

/// A backup of a database: another one.
fn backup(site: &Site) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("backup_{}_{}", site.database, NEXT.fetch_add(1, Ordering::Relaxed));
    site.server.create_database(&name).unwrap();
    for table in tables(site) {
        site.sql(&format!("CREATE TABLE `{name}`.`{table}` LIKE `{table}`"));
        site.sql(&format!("INSERT INTO `{name}`.`{table}` SELECT * FROM `{table}`"));
    }
    name
}

/// Puts it back, as an import does that fires no trigger.
fn put_back(site: &Site, backup: &str) {
    let mut app = site.app();
    app.query_drop("SET foreign_key_checks=0, @server_sync_applying=1").unwrap();
    for table in tables(site) {
        app.query_drop(format!("DELETE FROM `{table}`")).unwrap();
        app.query_drop(format!("INSERT INTO `{table}` SELECT * FROM `{backup}`.`{table}`")).unwrap();
    }
}

fn tables(site: &Site) -> Vec<String> {
    let query =
        "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() ORDER BY 1";
    site.app().query(query).unwrap()
}

/// Three sites with everything, and Bern offline from here on.
fn three<'a>(sites: &Pair<'a>) -> Site<'a> {
    let bern = sites.bern();
    bern.run(&["init-site"]).expect(0);
    sites.acquaint();
    sites.geneva.sql("INSERT INTO notes VALUES (1, 'early'), (2, 'early')").run(&[]).expect(0);
    bern
}

fn link_to_bern(sites: &Pair, from: &str, to: &str) {
    let text = |enabled: &str| format!("enabled = {enabled}\nslave = \"bern\"");
    sites.geneva.edit(&text(from), &text(to));
}

#[test]
fn a_backup_becomes_the_truth_for_three_sites() {
    let sites = pair();
    let (geneva, lyon, bern) = (&sites.geneva, &sites.lyon, three(&sites));
    let copy = backup(geneva);
    let truth = geneva.dump();
    geneva.sql("UPDATE customers SET city='wrong' WHERE id=1; INSERT INTO notes VALUES (3, 'published and wrong')");
    lyon.sql("DELETE FROM notes WHERE id=1; UPDATE customers SET phone='wrong' WHERE id=2");
    geneva.run(&[]).expect(0);
    link_to_bern(&sites, "true", "false");
    bern.sql("UPDATE notes SET text='offline' WHERE id=2; INSERT INTO notes VALUES (4, 'offline')");
    put_back(geneva, &copy);

    geneva.run(&["restore-here"]).says(2, &["asks first", "--dry-run"]);
    geneva.run(&["restore-here", "--dry-run"]).says(0, &["would declare 4 rows of 2 tables", "customers: 2 rows"]);
    geneva.run(&["restore-here", "--dry-run", "--lang", "fr"]).says(0, &["déclarerait que 4 lignes de 2 tables"]);
    geneva.run(&["restore-here", "--yes", "--table", "no"]).says(78, &["no is not synchronised", "customers, notes"]);
    let said = geneva.run(&["restore-here", "--yes", "--json"]).expect(0).json("restore_declared");
    assert_eq!((&said[0]["dry_run"], &said[0]["tables"][1]["rows"]), (&false.into(), &2.into()));
    // Written after the declaration by the clock, but by who has not met it.
    bern.sql("UPDATE customers SET name='offline' WHERE id=1; INSERT INTO notes VALUES (5, 'offline')");

    geneva.run(&["-v"]).says(3, &["lyon took over the authoritative restore that site 1 declared"]);
    assert_equal(&geneva.dump(), &truth);
    assert_equal(&lyon.dump(), &truth);
    lyon.sql("UPDATE customers SET city='Vienne' WHERE id=2; INSERT INTO notes VALUES (6, 'since')");
    geneva.run(&[]).expect(0);
    link_to_bern(&sites, "false", "true");
    geneva.run(&[]);
    geneva.run(&[]).expect(0);
    for site in [geneva, lyon, &bern] {
        assert_eq!(
            site.one("SELECT GROUP_CONCAT(name, city, phone ORDER BY id) FROM customers"),
            "DupontGenève1,MartinVienne2"
        );
        assert_eq!(site.one("SELECT GROUP_CONCAT(id, text ORDER BY id) FROM notes"), "1early,2early,6since");
    }
    sites.assert_same();
    // Nothing is lost silently.
    let list = bern.run(&["conflicts", "list", "--json"]).json("conflict");
    let all = serde_json::to_string(&list).unwrap();
    for lost in ["published and wrong", "\"wrong\"", "offline"] {
        assert!(all.contains(lost), "{lost} is not listed: {all}");
    }
    let of = |table: &str, key: i64| list.iter().filter(|c| c["table"] == table && c["key"][0] == key).count();
    let keys =
        [("customers", 1), ("customers", 2), ("notes", 1), ("notes", 2), ("notes", 3), ("notes", 4), ("notes", 5)];
    keys.into_iter().for_each(|(table, key)| assert!(of(table, key) > 0, "{table} {key} is not listed: {all}"));
    geneva.run(&["verify"]).expect(0);
}

#[test]
fn one_that_was_killed_goes_on_or_says_so() {
    let sites = pair();
    sites.acquaint();
    let (geneva, lyon) = (&sites.geneva, &sites.lyon);
    lyon.sql("UPDATE customers SET city='later' WHERE id=1");
    let mut other = geneva.app();
    // Nobody can write a line: the declaration is begun, and comes no further.
    other.query_drop("BEGIN").unwrap();
    let _: Vec<mysql::Row> = other.query("SELECT * FROM server_sync_row FOR UPDATE").unwrap();
    let mut running = geneva.start(&["restore-here", "--yes"]);
    let begun = || geneva.one("SELECT COUNT(*) FROM server_sync_store WHERE epochs IS NOT NULL") == "1";
    wait_until("it is begun", LIMIT, begun).unwrap();
    geneva.run(&[]).says(11, &["restore-here"]);
    running.signal("KILL");
    running.end();
    other.query_drop("ROLLBACK").unwrap();
    geneva.run(&[]).says(25, &["geneva", "begun and is not finished", "restore-here` again"]);
    geneva.run(&["restore-here", "--yes"]).expect(0);
    geneva.run(&[]);
    geneva.run(&[]).expect(0);
    sites.assert_same();
    assert_eq!(lyon.one("SELECT city FROM customers WHERE id=1"), "Genève");
}
