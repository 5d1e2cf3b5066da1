//! Columns that merge by adding, on real servers: their types and what does not fit, schemas that change, and the sum of all
//! that was added under load.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use support::{Pair, Site, Story, address, assert_same, options, run_all, stories, sync, try_round};
use sync_database::mysql::connect;
use sync_database::{Database, Rules};
use sync_store::{ParkedKind, Store, Trouble};
use sync_testbed::{MariaDb, Options, Server, on_both_servers};

const SCHEMA: &str = "CREATE TABLE account (id INT PRIMARY KEY, balance DECIMAL(10,2) NOT NULL, \
     level TINYINT UNSIGNED NOT NULL, big BIGINT UNSIGNED NOT NULL, exact DECIMAL(30,10) NOT NULL, \
     owner VARCHAR(20), code INT NOT NULL, other INT, price DOUBLE NOT NULL, UNIQUE (code))";

fn counters(columns: &[&str]) -> Rules {
    let counters = columns.iter().map(|c| format!("account: {c}").parse().unwrap());
    Rules { counters: counters.collect(), ..Rules::default() }
}

/// Two sites with one account.
fn pair<'a>(server: &'a Server, name: &str) -> Pair<'a> {
    let mut pair = Pair::filled(server, server, name, [SCHEMA, SCHEMA]);
    let rules = counters(&["balance", "level", "big", "exact"]);
    pair.a.set_rules(rules.clone()).unwrap();
    pair.b.set_rules(rules).unwrap();
    pair.a.run("INSERT INTO account VALUES (1, 100.00, 10, 18446744073709551000, 0.5, 'ann', 1, NULL, 0)");
    pair.sync();
    pair.settle();
    pair
}

fn of_every_type(server: &Server) {
    let mut pair = pair(server, "types");
    pair.a.run("UPDATE account SET balance = balance + 0.05, big = big - 18446744073709551000, exact = exact / 4");
    pair.b.run("UPDATE account SET balance = balance - 200.10, level = level + 5, big = big + 600, owner='bob'");
    pair.a.run("UPDATE account SET level = 8");
    assert_eq!(pair.settle().conflicts().count(), 0);
    let shown = "SELECT CONCAT_WS(' ', balance, level, big, exact, owner) FROM account";
    assert_eq!(pair.one(shown), "-100.05 13 600 0.1250000000 bob");
}

fn what_does_not_fit(server: &Server) {
    let mut pair = pair(server, "range");
    pair.a.run("UPDATE account SET level = level - 8, balance = 99999999.00");
    pair.b.run("UPDATE account SET level = level - 7, balance = balance + 99999000");
    pair.settle();
    let shown = "SELECT CONCAT_WS(' ', balance, level) FROM account";
    assert_eq!(pair.one(shown), "99999999.99 0");
    for site in [&mut pair.a, &mut pair.b] {
        let parked = site.store.parked().unwrap();
        assert_eq!((parked.len(), parked[0].kind), (1, ParkedKind::Counter));
        assert_eq!(parked[0].detail, "balance = 199998999, level = -5");
    }
    // Wide enough at both sites, it is shown as it is; what is added to what is shown counts.
    pair.a.run("UPDATE account SET level = level + 6");
    pair.run_at_both("ALTER TABLE account MODIFY balance DECIMAL(12,3) NOT NULL");
    pair.sync();
    pair.settle();
    assert_eq!(pair.one(shown), "199998999.000 1");
    assert_eq!(pair.a.store.parked().unwrap(), []);
    assert_eq!(pair.b.store.parked().unwrap(), []);
}

fn triggers_that_cannot_follow(server: &Server) {
    let mut pair = pair(server, "late");
    pair.a.run("UPDATE account SET balance = balance + 1");
    // The trigger names a column that is gone: it cannot tell what is added, and the value is a new base.
    pair.b.run("UPDATE account SET level = level + 1");
    pair.run_at_both("ALTER TABLE account DROP COLUMN other");
    pair.a.run("UPDATE account SET balance = balance + 10");
    pair.sync();
    pair.settle();
    assert_eq!(pair.one("SELECT CONCAT_WS(' ', balance, level) FROM account"), "111.00 11");
    pair.a.run("UPDATE account SET balance = balance + 100");
    pair.b.run("UPDATE account SET balance = balance + 1000");
    pair.settle();
    assert_eq!(pair.one("SELECT balance FROM account"), "1211.00");
}

fn becoming_a_counter_and_ceasing(server: &Server) {
    let mut pair = Pair::new(server, "become", SCHEMA);
    pair.a.run("INSERT INTO account VALUES (1, 100, 10, 0, 0, 'ann', 1, NULL, 0)");
    pair.settle();
    pair.a.set_rules(counters(&["balance"])).unwrap();
    pair.a.run("UPDATE account SET balance = balance + 5");
    pair.b.run("UPDATE account SET owner = 'bob'");
    let report = pair.sync();
    assert_eq!(report.paused.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["account"]);
    pair.b.set_rules(counters(&["balance"])).unwrap();
    pair.b.run("UPDATE account SET balance = balance + 7");
    pair.sync();
    pair.settle();
    assert_eq!(pair.one("SELECT CONCAT_WS(' ', balance, owner) FROM account"), "112.00 bob");
    for site in [&mut pair.a, &mut pair.b] {
        site.set_rules(Rules::default()).unwrap();
    }
    pair.a.run("UPDATE account SET balance = balance + 1");
    pair.sync();
    pair.tick();
    pair.b.run("UPDATE account SET balance = 50");
    pair.settle();
    assert_eq!(pair.one("SELECT balance FROM account"), "50.00");
}

fn what_cannot_count_is_refused_by_name(server: &Server) {
    let mut pair = Pair::new(server, "refuse", SCHEMA);
    pair.a.run("CREATE TABLE child (id INT PRIMARY KEY, code INT NOT NULL, n INT NOT NULL, FOREIGN KEY (code) REFERENCES account (code))");
    let mut refusal = |rules: Rules| {
        let error = pair.a.set_rules(rules).unwrap_err();
        assert_eq!(error.trouble, Trouble::Configuration);
        error.message
    };
    for (column, why) in [
        ("id", "which is part of the key"),
        ("code", "which is part of a unique key"),
        ("other", "which can be NULL"),
        ("price", "which is neither an integer nor a DECIMAL of at most 30 digits"),
        ("owner", "which is neither an integer nor a DECIMAL of at most 30 digits"),
        ("nothing", "a column that the table does not have"),
    ] {
        assert_eq!(refusal(counters(&[column])), format!("[tables] counters names account.{column}, {why}"));
    }
    let together = vec!["account: balance, owner".parse().unwrap()];
    assert!(refusal(Rules { together, ..counters(&["balance"]) }).ends_with("which is also in together"));
    let child = vec!["child: code".parse().unwrap()];
    assert!(refusal(Rules { counters: child, ..Rules::default() }).ends_with("which a foreign key is about"));
}

/// A store of the format before, which had no place for these rules, is brought to this one, once and for all.
fn a_store_of_the_format_before(server: &Server) {
    let mut pair = Pair::new(server, "format", SCHEMA);
    pair.a.run("INSERT INTO account VALUES (1, 100, 10, 0, 0, 'ann', 1, NULL, 0)");
    pair.settle();
    pair.a.run("UPDATE server_sync_store SET format = 2");
    pair.a.run("ALTER TABLE server_sync_store DROP COLUMN counters, DROP COLUMN rekey");
    let refused = Database::open(connect(&address(server, "format_a")).unwrap()).err().unwrap();
    assert_eq!(refused.trouble, Trouble::Configuration);
    pair.a.reopen();
    pair.a.run("UPDATE account SET owner = 'bob'");
    pair.settle();
    for site in [&mut pair.a, &mut pair.b] {
        site.set_rules(counters(&["balance"])).unwrap();
        site.run("UPDATE account SET balance = balance + 1");
    }
    pair.sync();
    pair.settle();
    assert_eq!(pair.one("SELECT CONCAT_WS(' ', balance, owner) FROM account"), "102.00 bob");
}

const STORIES: [Story; 6] = [
    ("a_store_of_the_format_before", a_store_of_the_format_before),
    ("of_every_type", of_every_type),
    ("what_does_not_fit", what_does_not_fit),
    ("triggers_that_cannot_follow", triggers_that_cannot_follow),
    ("becoming_a_counter_and_ceasing", becoming_a_counter_and_ceasing),
    ("what_cannot_count_is_refused_by_name", what_cannot_count_is_refused_by_name),
];

on_both_servers!(on_mariadb, on_mysql, |server| stories(server, &STORIES));

#[test]
fn through_an_agent() {
    support::through_an_agent(|| stories(MariaDb::shared().unwrap(), &STORIES));
}

/// How long three sites add and subtract.
const LOAD: Duration = Duration::from_secs(8);
const ROWS: u64 = 5;
const WRITERS: u64 = 2;

/// Adds at random until it is over; gives what it added to each row and was told that is committed.
fn write(mut app: mysql::Conn, seed: u64, over: &AtomicBool) -> Vec<i64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut added = vec![0; ROWS as usize];
    while !over.load(Ordering::Relaxed) {
        let (row, number) = (rng.usize(..ROWS as usize), rng.i64(-20..20));
        let statement = format!("UPDATE stock SET n = n + {number}, note = '{seed}' WHERE id = {row}");
        // A deadlock with ours is the application's to try again; then nothing was added.
        if app.query_drop(&statement).is_ok() {
            added[row] += number;
        }
    }
    added
}

#[test]
fn nothing_added_at_three_sites_is_lost_or_counted_twice() {
    let server = MariaDb::start(Options::new()).unwrap();
    let rules = Rules { counters: vec!["stock: n".parse().unwrap()], ..Rules::default() };
    let mut sites: Vec<Site> = (["geneva", "lyon", "bern"].into_iter().zip(1..))
        .map(|(name, number)| {
            server.create_database(name).unwrap();
            let create = "CREATE TABLE stock (id INT PRIMARY KEY, n BIGINT NOT NULL, note VARCHAR(20));\n\
                 INSERT INTO stock VALUES (0,0,''), (1,0,''), (2,0,''), (3,0,''), (4,0,'')";
            run_all(&mut server.root_in(name).unwrap(), create);
            Site::with_rules(&server, name, name, number, rules.clone())
        })
        .collect();
    let [a, b, c] = sites.as_mut_slice() else { unreachable!("three sites") };
    let mut apps: Vec<_> = (0..WRITERS).flat_map(|_| [&*a, &*b, &*c].map(Site::app)).collect();
    let over = AtomicBool::new(false);
    let total = scope(|scope| {
        let over = &over;
        let apps = apps.drain(..).zip(1..);
        let writers: Vec<_> = apps.map(|(app, seed)| scope.spawn(move || write(app, seed, over))).collect();
        let until = Instant::now() + LOAD;
        while Instant::now() < until {
            try_round(a, b, &options("lyon"));
            try_round(b, c, &options("bern"));
            try_round(c, a, &options("geneva"));
        }
        over.store(true, Ordering::Relaxed);
        let sums = writers.into_iter().map(|w| w.join().unwrap());
        sums.fold(vec![0; ROWS as usize], |all: Vec<i64>, own| all.iter().zip(own).map(|(a, b)| a + b).collect())
    });
    for _ in 0..2 {
        sync(a, b);
        sync(b, c);
        sync(c, a);
    }
    assert_same(a, b);
    assert_same(a, c);
    let shown: Vec<i64> = a.app().query("SELECT n FROM stock ORDER BY id").unwrap();
    assert_eq!(shown, total);
    assert!(total.iter().any(|n| *n != 0), "something was added");
}
