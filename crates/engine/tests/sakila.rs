//! Sakila between two real servers: filled from empty, then edited at both sites at once, with its own triggers.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Site, assert_same, sync};
use sync_testbed::{Locations, MariaDb, Mysql, Options, Server, load_sakila, sakila};

/// The same tables and triggers, no rows.
fn load_schema(server: &Server, database: &str, locations: Locations) {
    load_sakila(server, database, locations).unwrap();
    let conn = &mut server.root_in(database).unwrap();
    use mysql::prelude::Queryable;
    conn.query_drop("SET foreign_key_checks=0").unwrap();
    let tables: Vec<String> = conn.query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_TYPE='BASE TABLE'").unwrap();
    for table in tables {
        conn.query_drop(format!("TRUNCATE `{table}`")).unwrap();
    }
}

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

/// What customers and staff do at one site, on rows of its own.
fn work(site: &Site, n: u32) {
    let customer = 10 + n;
    let film = 2000 + n;
    let name = site.name.to_uppercase();
    for statement in [
        format!(
            "INSERT INTO rental (rental_id, rental_date, inventory_id, customer_id, staff_id) VALUES ({}, NOW(), {n}, {customer}, 1)",
            20_000 + n
        ),
        format!(
            "INSERT INTO payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date) VALUES ({}, {customer}, 1, {}, 4.99, NOW())",
            20_000 + n,
            20_000 + n
        ),
        format!("UPDATE rental SET return_date=NOW() WHERE rental_id BETWEEN {} AND {}", n * 100, n * 100 + 20),
        format!("UPDATE address SET address='{n} rue du Marché', phone='0{n}' WHERE address_id={}", 20 + n),
        format!("UPDATE customer SET active=0 WHERE customer_id={customer}"),
        format!("INSERT INTO film (film_id, title, description, language_id) VALUES ({film}, '{name} {n}', 'new', 1)"),
        format!("UPDATE film SET title=CONCAT(title, ' {n}'), description='edited' WHERE film_id={n}"),
        format!("INSERT INTO film_actor (actor_id, film_id) VALUES ({n}, {film})"),
        format!("INSERT INTO film (film_id, title, language_id) VALUES ({}, 'GONE', 1)", 3000 + n),
        format!("DELETE FROM film WHERE film_id={}", 3000 + n),
        format!("DELETE FROM film_actor WHERE actor_id={}", 100 + n),
        format!("DELETE FROM payment WHERE rental_id={}", 50 + n),
        format!("DELETE FROM rental WHERE rental_id={}", 50 + n),
    ] {
        site.run(&statement);
    }
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
