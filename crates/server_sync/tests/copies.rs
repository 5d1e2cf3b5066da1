//! A machine and a copy of it, both running: what `init-site` says to whoever wants to keep the copy as a site of its own.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use mysql::prelude::Queryable;
use support::{Site, pair};

/// A copy of a site's database, as a dump is put back that has no triggers.
fn copy_database(from: &Site, to: &Site) {
    let query = "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE()";
    let tables: Vec<String> = from.app().query(query).unwrap();
    let mut app = to.app();
    app.query_drop("SET foreign_key_checks=0").unwrap();
    for table in tables {
        app.query_drop(format!("DROP TABLE IF EXISTS `{table}`")).unwrap();
        app.query_drop(format!("CREATE TABLE `{table}` LIKE `{}`.`{table}`", from.database)).unwrap();
        app.query_drop(format!("INSERT INTO `{table}` SELECT * FROM `{}`.`{table}`", from.database)).unwrap();
    }
}

#[test]
fn a_copied_machine_becomes_a_site_of_its_own() {
    let sites = pair();
    sites.acquaint();
    let (geneva, bern) = (&sites.geneva, sites.bern());
    copy_database(geneva, &bern);
    fs::create_dir_all(bern.state()).unwrap();
    fs::copy(geneva.state().join("state.json"), bern.state().join("state.json")).unwrap();
    geneva.sql("INSERT INTO notes VALUES (1, 'of geneva')");

    let said = bern.run(&["init-site"]);
    said.says(78, &["belong to site geneva (number 1)", "those of site bern (number 3)", "bern/state/crm away"]);
    fs::rename(bern.state(), bern.config().join("away")).unwrap();
    bern.run(&["init-site"]).expect(0);
    bern.sql("INSERT INTO notes VALUES (2, 'of bern')");
    geneva.run(&[]).expect(0);
    geneva.run(&[]).expect(0);
    sites.assert_same();
    sync_testbed::assert_equal(&geneva.dump(), &bern.dump());
}
