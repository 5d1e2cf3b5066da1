//! The application is safe: none of its statements fails or waits for long because of us, while triggers are put on, while
//! rounds run and while everything is taken off again; and then its schema is what it was, byte for byte.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use support::sakila::{load_schema, work};
use support::{Site, address, assert_same, options, rounds, sync, try_open};
use sync_database::Database;
use sync_database::mysql::connect;
use sync_fixture::{Dialect, Size, Workload};
use sync_testbed::{
    DatabaseDump, Flavour, LoadReport, Locations, Options, SchemaDump, Server, Writers, WritersOptions, assert_equal,
    create_crm, create_load_tables, dump, fill_load_tables, load_sakila, on_both_servers, run_transaction, sakila,
    schema_dump, wait_until,
};

const CRM: Size = Size::companies(40);
const ACCOUNTS: u64 = 200;

/// The two sites' databases, on one server.
const NAMES: [&str; 2] = ["geneva", "lyon"];

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// How long the writers write in each load; longer by `SERVER_SYNC_TEST_LOAD_SECONDS`.
fn seconds() -> u64 {
    std::env::var("SERVER_SYNC_TEST_LOAD_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(12)
}

/// What a server does with a statement that waits long, and that it tells of every deadlock.
fn impatient() -> Options {
    // By default a statement waits for a row for 50 s, and for a table for ever.
    ["--innodb-lock-wait-timeout=10", "--lock-wait-timeout=10", "--innodb-print-all-deadlocks=ON"]
        .into_iter()
        .fold(Options::new(), Options::argument)
}

/// However much the application deletes, rounds go on.
fn unbraked() -> sync_engine::Options {
    sync_engine::Options { force: true, ..options(NAMES[1]) }
}

/// The application with its starting data, the same at both sites.
fn make(server: &Server) {
    for name in NAMES {
        create_crm(server, name, CRM, 1).unwrap();
        create_load_tables(server, name).unwrap();
        fill_load_tables(server, name, ACCOUNTS).unwrap();
    }
}

/// The application at work at both sites.
fn writers(server: &Server, duration: Duration) -> [Writers; 2] {
    [1, 2].map(|number| {
        let name = NAMES[usize::from(number) - 1];
        let (slow_for, pause) = (Duration::from_secs(2), Duration::from_millis(5));
        let options = WritersOptions {
            count: 8,
            duration,
            slow_for,
            pause,
            crm: Some((CRM, 2)),
            ..WritersOptions::at(name, number, ACCOUNTS)
        };
        Writers::start(server, name, options).unwrap()
    })
}

fn prepare(server: &Server) -> [Site<'_>; 2] {
    [Site::prepare(server, NAMES[0], "geneva", 1), Site::prepare(server, NAMES[1], "lyon", 2)]
}

/// What the application met with, and how often our tables were part of a deadlock.
struct Experience {
    reports: [LoadReport; 2],
    our_deadlocks: usize,
}

impl Experience {
    fn of(server: &Server, what: &str, load: [Writers; 2]) -> Self {
        let reports = load.map(|w| w.finish().unwrap());
        for (name, r) in NAMES.iter().zip(&reports) {
            println!(
                "{:?}, {what}, {name}: {} commits, {} deadlocks, {} lock waits, refused {:?}, slowest {:?} ({})",
                server.flavour(),
                r.commits,
                r.deadlocks,
                r.lock_waits,
                r.refusals,
                r.slowest,
                r.slowest_statement
            );
        }
        let log = server.log();
        let our_deadlocks = log.lines().filter(|l| l.contains("index") && l.contains("`server_sync_")).count();
        Experience { reports, our_deadlocks }
    }

    fn codes(&self) -> BTreeSet<u16> {
        self.reports.iter().flat_map(|r| r.refusals.keys().copied()).collect()
    }

    /// Takes out errors 1615, and says how many. Only of MySQL, only while triggers are put on and taken off: guarding the
    /// application's triggers needs LOCK TABLES there, and while that waits MySQL prepares statements in vain although
    /// nothing changed. That triggers of ours are no reason is tested in `prepared.rs`.
    fn forget_stale_statements(&mut self) -> usize {
        let is_stale = |error: &String| error.contains("ERROR 1615");
        let forget = |report: &mut LoadReport| {
            let before = report.errors.len();
            report.errors.retain(|e| !is_stale(e));
            before - report.errors.len()
        };
        self.reports.iter_mut().map(forget).sum()
    }

    /// Nothing failed, and nothing waited in vain, that would not have without us.
    fn assert_unharmed(&self, without: &Experience) {
        let constraints = [1062, 1451, 1452, 3819, 4025];
        for report in &self.reports {
            assert_eq!(report.errors, Vec::<String>::new());
            assert_eq!((report.lock_waits, report.lost_connections), (0, 0));
            assert!(report.commits > 100, "the application did hardly work");
        }
        let new: BTreeSet<u16> = self.codes().difference(&without.codes()).copied().collect();
        assert!(new.iter().all(|c| constraints.contains(c)), "errors that there were not without us: {new:?}");
        assert_eq!(self.our_deadlocks, 0, "our tables are part of deadlocks");
    }
}

/// The same load on a database that knows nothing of us, then with rounds all the time.
fn rounds_under_load(server: &Server) -> Experience {
    let duration = Duration::from_secs(seconds());
    make(server);
    let without = Experience::of(server, "without us", writers(server, duration));
    without.assert_unharmed(&without);

    make(server);
    let [mut geneva, mut lyon] = prepare(server);
    sync(&mut geneva, &mut lyon);
    let load = writers(server, duration);
    let count = rounds(&mut geneva, &mut lyon, &unbraked(), Instant::now() + duration);
    let with = Experience::of(server, &format!("{count} rounds"), load);
    with.assert_unharmed(&without);
    without
}

/// Prepared and uninstalled while the application writes.
fn put_on_and_taken_off_under_load(server: &Server, without: &Experience) {
    make(server);
    let before = NAMES.map(|name| definitions(server, name));
    let load = writers(server, LIMIT);
    for name in NAMES {
        let site = patiently(|| try_site(server, name));
        let goal = load.each_ref().map(|w| w.commits() + 200);
        let goes_on = || load.iter().zip(goal).all(|(w, goal)| w.commits() >= goal);
        wait_until("the application goes on", LIMIT, goes_on).unwrap();
        assert!(!ours(&site).is_empty());
        patiently(|| Database::uninstall(connect(&address(server, name))?));
        assert_eq!(ours(&site), Vec::<String>::new());
    }
    load.iter().for_each(Writers::stop);
    let mut with = Experience::of(server, "prepared and removed", load);
    if server.flavour() == Flavour::Mysql {
        println!("{} statements had to be prepared again by the application", with.forget_stale_statements());
    }
    with.assert_unharmed(without);
    assert_alike(&before, &NAMES.map(|name| definitions(server, name)));
}

fn assert_alike(before: &[SchemaDump; 2], after: &[SchemaDump; 2]) {
    for (before, after) in before.iter().zip(after) {
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        before.iter().for_each(|(name, text)| assert_eq!(&after[name], text, "{name}"));
    }
}

fn try_site<'a>(server: &'a Server, name: &'static str) -> sync_store::Result<Site<'a>> {
    let number = NAMES.iter().position(|n| *n == name).unwrap() as u64 + 1;
    let store = try_open(server, name, name, number)?;
    Ok(Site::new(server, name, name, number, store))
}

/// Does it again as long as the application is in the way.
fn patiently<T>(work: impl Fn() -> sync_store::Result<T>) -> T {
    loop {
        match work() {
            Ok(done) => return done,
            Err(e) if e.is_retryable() => println!("(again: {e})"),
            Err(e) => unreachable!("{e} {:?}", e.hint),
        }
    }
}

fn under_load(server: &Server) {
    let without = rounds_under_load(server);
    put_on_and_taken_off_under_load(server, &without);
}

on_both_servers!(under_load_on_mariadb, under_load_on_mysql, under_load, impatient());

fn definitions(server: &Server, database: &str) -> SchemaDump {
    schema_dump(&mut server.root().unwrap(), database).unwrap()
}

fn data(site: &Site) -> DatabaseDump {
    dump(&mut site.app(), &site.database).unwrap()
}

/// The objects of ours that a database has, of every kind.
fn ours(site: &Site) -> Vec<String> {
    let query = "SELECT CONCAT('table ', table_name) FROM information_schema.tables \
            WHERE table_schema=DATABASE() AND table_name LIKE 'server\\_sync%' \
        UNION ALL SELECT CONCAT('trigger ', trigger_name) FROM information_schema.triggers \
            WHERE trigger_schema=DATABASE() AND trigger_name LIKE 'server\\_sync%' \
        UNION ALL SELECT CONCAT('routine ', routine_name) FROM information_schema.routines \
            WHERE routine_schema=DATABASE() AND routine_name LIKE 'server\\_sync%' \
        UNION ALL SELECT CONCAT('event ', event_name) FROM information_schema.events \
            WHERE event_schema=DATABASE() AND event_name LIKE 'server\\_sync%'";
    site.app().query(query).unwrap()
}

/// The application's triggers are altered while a database is prepared.
fn is_guarded(site: &Site) -> bool {
    let is_ours =
        |(name, text): (String, String)| name.starts_with("TRIGGER server_sync") || !text.contains("server_sync");
    !definitions(site.server, &site.database).into_iter().filter(|(name, _)| name.starts_with("TRIGGER")).all(is_ours)
}

/// Two databases are prepared, `edit`ed and synchronised, then left: they are equal, and as they were but for the data.
fn restored(server: &Server, databases: [&str; 2], edit: impl Fn(&Site, u32)) {
    let before = databases.map(|d| definitions(server, d));
    let mut geneva = Site::prepare(server, databases[0], "geneva", 1);
    let mut lyon = Site::prepare(server, databases[1], "lyon", 2);
    // By turns: what both change at once is the business of other tests.
    for cycle in 0..2 {
        sync(&mut geneva, &mut lyon);
        edit(&geneva, cycle);
        sync(&mut geneva, &mut lyon);
        edit(&lyon, cycle);
    }
    rounds(&mut geneva, &mut lyon, &unbraked(), Instant::now());
    assert_same(&geneva, &lyon);
    for site in [&geneva, &lyon] {
        let data_before = data(site);
        assert!(!ours(site).is_empty() && is_guarded(site));
        Database::uninstall(connect(&address(server, &site.database)).unwrap()).unwrap();
        assert_eq!(ours(site), Vec::<String>::new());
        assert_equal(&data_before, &data(site));
    }
    assert_alike(&before, &databases.map(|d| definitions(server, d)));
}

/// Whatever else a schema can have: objects of another account, made under other settings, in an order of their own.
const FURNITURE: &str = r#"
SET NAMES latin1, sql_mode='ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES';
DELIMITER //
CREATE DEFINER='keeper'@'%' TRIGGER "trim title" BEFORE UPDATE ON deals FOR EACH ROW /* why */ SET NEW.title = TRIM('\ ' || NEW."title") -- done
//
SET NAMES utf8mb4, sql_mode=''//
create definer=`keeper`@`%` trigger deals_first after update on deals
  for each row precedes deals_audit
begin
  -- é; END
  set @seen = concat("it's ", NEW.id, ' \'so\'');
end//
CREATE TRIGGER users_check BEFORE INSERT ON users FOR EACH ROW l: BEGIN IF NEW.active THEN LEAVE l; END IF; SET NEW.role = 'guest'; END l//
CREATE DEFINER='keeper'@'%' SQL SECURITY INVOKER VIEW open_deals AS SELECT id, title FROM deals WHERE closed_at IS NULL//
CREATE DEFINER='keeper'@'%' PROCEDURE close_deal(IN deal BIGINT) COMMENT 'é' BEGIN UPDATE deals SET closed_at = NOW() WHERE id = deal; END//
CREATE DEFINER='keeper'@'%' FUNCTION tax(amount DECIMAL(14,2)) RETURNS DECIMAL(14,2) DETERMINISTIC RETURN amount * 0.2//
CREATE DEFINER='keeper'@'%' EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM deal_audit WHERE id = ''//
"#;

fn crm_is_restored(server: &Server) {
    for name in NAMES {
        create_crm(server, name, CRM, 1).unwrap();
        server.user_with("keeper", &NAMES.map(|n| format!("ALL ON `{n}`.*")).each_ref().map(String::as_str)).unwrap();
        server.run_script(Some(name), FURNITURE).unwrap();
    }
    restored(server, NAMES, |site, cycle| {
        let work = Workload::new(Dialect::Mysql, CRM, 1, site.number()).lane(cycle.into());
        let connection = &mut site.app();
        let done = work.take(150).filter(|w| run_transaction(connection, w).unwrap()).count();
        assert!(done > 100);
    });
}

fn sakila_is_restored(server: &Server) {
    if sakila().is_none() {
        return println!("skipped: no Sakila (set SERVER_SYNC_TEST_SAKILA)");
    }
    load_sakila(server, "sakila_a", Locations::Keep).unwrap();
    load_schema(server, "sakila_b", Locations::Keep);
    restored(server, ["sakila_a", "sakila_b"], |site, cycle| {
        if cycle == 0 {
            work(site, site.number().into());
        }
    });
}

fn restored_on(server: &Server) {
    crm_is_restored(server);
    sakila_is_restored(server);
}

on_both_servers!(schemas_are_restored_on_mariadb, schemas_are_restored_on_mysql, restored_on);
