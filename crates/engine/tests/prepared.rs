//! Statements that an application prepared go on whatever becomes of our triggers. A server prepares a statement again if a
//! table of it has changed, but three times in a row only; then it fails (error 1615).
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{Conn, Error};
use support::{Site, address, try_open};
use sync_database::Database;
use sync_database::mysql::connect;
use sync_fixture::Size;
use sync_store::Store;
use sync_testbed::{Flavour, Options, Server, create_crm, on_both_servers, wait_until};

const CRM: Size = Size::companies(40);

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// How often everything is done.
const CYCLES: u32 = 3;

/// What the application does all day: with one table and with several, with triggers of its own, and with cascades. Each is
/// executed with the number of its thread, so that nobody waits for another's rows.
const STATEMENTS: [&str; 9] = [
    "SELECT c.name, p.last_name, d.title, i.number FROM companies c JOIN contacts p ON p.company_id = c.id \
     JOIN deals d ON d.company_id = c.id JOIN invoices i ON i.deal_id = d.id WHERE c.id = ?",
    "SELECT a.subject, d.title, s.label, u.login, o.name FROM activities a JOIN deals d ON d.id = a.deal_id \
     JOIN deal_stages s ON s.code = d.stage_code JOIN users u ON u.id = d.owner_id \
     LEFT JOIN documents o ON o.activity_id = a.id WHERE a.id = ?",
    "SELECT COUNT(*) FROM contact_tags t JOIN tags g ON g.id = t.tag_id WHERE t.contact_id = ?",
    "UPDATE companies SET employees = COALESCE(employees, 0) + 1 WHERE id = ?",
    "UPDATE deals SET stage_code = IF(stage_code = 'won', 'lost', 'won') WHERE id = ?",
    "UPDATE contacts SET notes = CONCAT(LEFT(COALESCE(notes, ''), 20), '.') WHERE id = ?",
    "UPDATE activities a JOIN deals d ON d.id = a.deal_id SET a.minutes = COALESCE(a.minutes, 0) % 60 + 1 WHERE a.id = ?",
    "INSERT INTO deal_stages (code, label, position) SELECT CONCAT('x', n), 'x', 1000 + n FROM (SELECT ? AS n) t",
    "DELETE FROM deal_stages WHERE code = CONCAT('x', ?)",
];

/// A deadlock, a lock wait; and then a row that was not deleted is there.
const EXPECTED: [u16; 3] = [1213, 1205, 1062];

/// Threads of the application: some with all statements, and for each statement some with that alone.
const EACH: u64 = 2;

/// What the threads share.
#[derive(Default)]
struct Office {
    closed: AtomicBool,
    done: AtomicU64,
}

/// Closes the office whatever happens, or its threads would work for ever.
struct Closing<'a>(&'a Office);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }
}

impl Office {
    /// Executes statements until it closes; returns what failed, and how often.
    fn work(&self, mut connection: Conn, statements: &[&str], number: u64) -> BTreeMap<String, u64> {
        let mut failures = BTreeMap::new();
        for text in statements.iter().cycle().take_while(|_| !self.closed.load(Ordering::Relaxed)) {
            // Prepared once: the connection remembers.
            match connection.exec_drop(*text, (number,)) {
                Ok(()) => drop(self.done.fetch_add(1, Ordering::Relaxed)),
                Err(Error::MySqlError(e)) if EXPECTED.contains(&e.code) => {}
                Err(e) => *failures.entry(format!("{e} ({text})")).or_default() += 1,
            }
        }
        failures
    }
}

/// Does `work` while the application is at it, which must not notice.
fn beside_the_application(server: &Server, database: &str, work: impl FnOnce(&dyn Fn())) {
    let office = Office::default();
    let mut orders: Vec<Vec<&str>> = vec![STATEMENTS.to_vec(); EACH as usize];
    orders.extend(STATEMENTS[..7].iter().flat_map(|s| vec![vec![*s]; EACH as usize]));
    let goes_on = || {
        let goal = office.done.load(Ordering::Relaxed) + 200;
        wait_until("the application goes on", LIMIT, || office.done.load(Ordering::Relaxed) >= goal).unwrap();
    };
    let failures: Vec<_> = std::thread::scope(|scope| {
        let _closing = Closing(&office);
        let clerk = |(number, statements): (u64, Vec<&'static str>)| {
            let (connection, office) = (server.root_in(database).unwrap(), &office);
            scope.spawn(move || office.work(connection, &statements, number))
        };
        let clerks: Vec<_> = (1..).zip(orders).map(clerk).collect();
        goes_on();
        work(&goes_on);
        office.closed.store(true, Ordering::Relaxed);
        clerks.into_iter().flat_map(|c| c.join().unwrap()).collect()
    });
    let done = office.done.load(Ordering::Relaxed);
    println!("{:?}: {done} statements, failed: {failures:?}", server.flavour());
    let failed: u64 = failures.iter().map(|(_, times)| times).sum();
    assert!(failed <= allowed(server, done), "{failed} of {done} failed: {failures:?}");
}

/// On MariaDB nothing fails. On MySQL changes are spaced by time, and on a machine that is very busy a statement over two
/// tables can take so long that it meets several: one in 330,000 was seen once.
fn allowed(server: &Server, done: u64) -> u64 {
    if server.flavour() == Flavour::Mysql { done / 100_000 } else { 0 }
}

/// Does it again as long as the application is in the way.
fn patiently<T>(mut work: impl FnMut() -> sync_store::Result<T>) -> T {
    loop {
        match work() {
            Ok(done) => return done,
            Err(e) if e.is_retryable() => println!("(again: {e})"),
            Err(e) => unreachable!("{e} {:?}", e.hint),
        }
    }
}

/// Prepared, made to follow a schema that changes, and taken off.
fn cycle(server: &Server, name: &'static str, goes_on: &dyn Fn()) {
    let mut site = Site::new(server, name, name, 1, patiently(|| try_open(server, name, name, 1)));
    goes_on();
    for table in ["companies", "deals", "deal_stages"] {
        site.run(&format!("ALTER TABLE {table} ADD COLUMN more INT NULL"));
    }
    goes_on();
    let drained = patiently(|| site.store.drain());
    assert!(drained.notes.iter().any(|n| n.contains("triggers renewed")), "{:?}", drained.notes);
    goes_on();
    patiently(|| Database::uninstall(connect(&address(server, name))?));
    goes_on();
    for table in ["companies", "deals", "deal_stages"] {
        site.run(&format!("ALTER TABLE {table} DROP COLUMN more"));
    }
}

/// MySQL 9.7 itself: while anybody's LOCK TABLES … WRITE waits for a table, a prepared statement that writes that table or one
/// with a foreign key to it can fail with 1615, though nothing changed. Guarding a trigger there needs LOCK TABLES.
fn drop_triggers(server: &Server, database: &str) {
    let mut connection = server.root_in(database).unwrap();
    let query = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()";
    let names: Vec<String> = connection.query(query).unwrap();
    names.iter().for_each(|name| connection.query_drop(format!("DROP TRIGGER {name}")).unwrap());
}

fn nothing_is_prepared_in_vain(server: &Server) {
    create_crm(server, "crm", CRM, 1).unwrap();
    if server.flavour() == Flavour::Mysql {
        drop_triggers(server, "crm");
    }
    beside_the_application(server, "crm", |goes_on| (0..CYCLES).for_each(|_| cycle(server, "crm", goes_on)));
}

on_both_servers!(
    nothing_is_prepared_in_vain_on_mariadb,
    nothing_is_prepared_in_vain_on_mysql,
    nothing_is_prepared_in_vain,
    Options::new()
);
