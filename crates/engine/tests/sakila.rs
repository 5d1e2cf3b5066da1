//! Sakila between two real servers: filled from empty, then edited at both sites at once, with its own triggers.
#![allow(clippy::unwrap_used)]

mod support;

use support::sakila::{load_schema, work};
use support::{Site, assert_same, sync};
use sync_testbed::{Locations, MariaDb, Mysql, Options, Server, load_sakila, sakila};

fn story(a: &Server, b: &Server, locations: Locations) {
    if !load_sakila(a, "sakila_a", locations).unwrap() {
        return;
    }
    load_schema(b, "sakila_b", locations);
    let mut geneva = Site::prepare(a, "sakila_a", "geneva", 1);
    let mut lyon = Site::prepare(b, "sakila_b", "lyon", 2);
    let report = sync(&mut geneva, &mut lyon);
    assert_eq!(report.paused, []);
    assert_same(&geneva, &lyon);

    work(&geneva, 1);
    work(&lyon, 2);
    let report = sync(&mut geneva, &mut lyon);
    assert_eq!(report.conflicts().count(), 0);
    assert!(report.pulled.total().received > 10 && report.pushed.total().received > 10);
    assert_same(&geneva, &lyon);
    assert!(sync(&mut geneva, &mut lyon).is_quiet());
    assert_eq!(lyon.one("SELECT title FROM film_text WHERE film_id=2001"), "GENEVA 1");
}

#[test]
fn between_two_mariadb_servers() {
    if sakila().is_none() {
        return println!("skipped: no Sakila (set SERVER_SYNC_TEST_SAKILA)");
    }
    let a = MariaDb::start(Options::new()).unwrap();
    let b = MariaDb::start(Options::new().time_zone("+05:00")).unwrap();
    story(&a, &b, Locations::Keep);
}

#[test]
fn through_an_agent() {
    if sakila().is_none() {
        return println!("skipped: no Sakila (set SERVER_SYNC_TEST_SAKILA)");
    }
    let [a, b] = [Options::new(), Options::new().time_zone("+05:00")].map(|options| MariaDb::start(options).unwrap());
    support::through_an_agent(|| story(&a, &b, Locations::Keep));
}

#[test]
fn between_two_mysql_servers() {
    let (Some(mysql), Some(_)) = (Mysql::available(), sakila()) else {
        return println!("skipped: no MySQL 9 or no Sakila");
    };
    let a = mysql.start(Options::new()).unwrap();
    let b = mysql.start(Options::new()).unwrap();
    story(&a, &b, Locations::Keep);
}

#[test]
fn between_mariadb_and_mysql() {
    let (Some(mysql), Some(_)) = (Mysql::available(), sakila()) else {
        return println!("skipped: no MySQL 9 or no Sakila");
    };
    let a = MariaDb::start(Options::new()).unwrap();
    let b = mysql.start(Options::new()).unwrap();
    story(&a, &b, Locations::Drop);
}
