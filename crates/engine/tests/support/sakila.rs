//! Sakila at two sites: the schema without rows, and work that does not meet at the other site.

use mysql::prelude::Queryable;
use sync_testbed::{Locations, Server, load_sakila};

use super::Site;

/// The same tables and triggers, no rows.
pub fn load_schema(server: &Server, database: &str, locations: Locations) {
    load_sakila(server, database, locations).unwrap();
    let conn = &mut server.root_in(database).unwrap();
    conn.query_drop("SET foreign_key_checks=0").unwrap();
    let tables: Vec<String> = conn.query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_TYPE='BASE TABLE'").unwrap();
    for table in tables {
        conn.query_drop(format!("TRUNCATE `{table}`")).unwrap();
    }
}

/// What customers and staff do at one site, on rows of its own.
pub fn work(site: &Site, n: u32) {
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
