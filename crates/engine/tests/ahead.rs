//! A row is never sent before its document, in rounds that compare everything as well: the application writes a document and
//! then the row that cites it, at both sites, whenever a round says something. What a document is does not matter here: it
//! has arrived once the documents were gone through after it was written.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use sync_core::SiteId;
use sync_database::{Card, Database, Rules, sqlite};
use sync_engine::handshake::Expectation;
use sync_engine::report::Event;
use sync_engine::round::Documents;
use sync_engine::{Beside, Options, RoundReport, Watch, round_beside};
use sync_store::{Role, SlaveSettings};
use tempfile::TempDir;

const NAMES: [&str; 2] = ["geneva", "lyon"];

/// The applications of two sites. Row n cites document n; whose it is tells its size.
struct Office {
    apps: [Connection; 2],
    written: BTreeSet<i64>,
    arrived: BTreeSet<i64>,
    early: BTreeSet<i64>,
    passes: usize,
    /// Nobody works here.
    idle: Option<usize>,
}

const OF_LYON: i64 = 1_000_000;

impl Office {
    fn works(&mut self) {
        for site in [0, 1].into_iter().filter(|site| self.idle != Some(*site)) {
            let n = self.written.len() as i64 + if site == 0 { 0 } else { OF_LYON };
            self.written.insert(n);
            // A round may hold the database.
            let _ = self.apps[site].execute("INSERT INTO file VALUES (?, 'new')", [n]);
            let _ = self.apps[site].execute("UPDATE file SET name='changed' WHERE id % 3 = 0", []);
        }
    }

    fn rows(&self, site: usize) -> BTreeSet<i64> {
        let mut statement = self.apps[site].prepare("SELECT id FROM file").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Rows of the other site that are here before their documents.
    fn look(&mut self) {
        for site in [0, 1] {
            let rows = self.rows(site);
            let theirs = rows.into_iter().filter(|n| (*n >= OF_LYON) == (site == 0) && !self.arrived.contains(n));
            self.early.extend(theirs);
        }
    }

    fn documents_arrive(&mut self) {
        self.look();
        self.arrived = self.written.clone();
        self.passes += 1;
    }
}

/// Whoever works whenever the round says something.
struct Busy<'a>(&'a RefCell<Office>);

impl Watch for Busy<'_> {
    fn event(&mut self, event: Event) {
        if matches!(event, Event::FirstContact | Event::Table { .. } | Event::Rows { .. }) {
            self.0.borrow_mut().works();
        }
    }
}

struct Sites {
    folder: TempDir,
    stores: [Database; 2],
    office: RefCell<Office>,
}

impl Sites {
    /// With so many rows from before at each.
    fn new(rows: [i64; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |site: usize| folder.path().join(NAMES[site]);
        let apps = [0, 1].map(|site| app(&path(site)));
        let mut written = BTreeSet::new();
        for site in [0, 1] {
            apps[site].execute_batch("CREATE TABLE file (id INTEGER PRIMARY KEY, name TEXT)").unwrap();
            for n in (0..rows[site]).map(|n| 500_000 + n + if site == 0 { 0 } else { OF_LYON }) {
                apps[site].execute("INSERT INTO file VALUES (?, 'early')", [n]).unwrap();
                written.insert(n);
            }
        }
        let stores =
            [0, 1].map(|site| Database::prepare(sqlite::connect(&path(site)).unwrap(), &card(site)).unwrap().0);
        let office = Office { apps, written, arrived: BTreeSet::new(), early: BTreeSet::new(), passes: 0, idle: None };
        Sites { folder, stores, office: RefCell::new(office) }
    }

    fn round(&mut self, init: bool, watch: impl FnOnce(&RefCell<Office>) -> Box<dyn Watch + '_>) -> RoundReport {
        let expected = Expectation {
            slave: NAMES[1].to_owned(),
            remote_vd: "crm".to_owned(),
            minimum: None,
            max_clock_difference: Duration::from_secs(300),
        };
        let options = Options { init, ..Options::expecting(expected) };
        let office = &self.office;
        let mut arrive = |_: &mut dyn Watch| office.borrow_mut().documents_arrive();
        let beside = Beside { documents: Some(&mut arrive as &mut Documents), ..Beside::default() };
        let [master, slave] = &mut self.stores;
        let report = round_beside(master, slave, &options, beside, &mut *watch(office)).unwrap();
        self.office.borrow_mut().look();
        report
    }

    fn busy_round(&mut self, init: bool) -> RoundReport {
        self.round(init, |office| Box::new(Busy(office)))
    }

    /// No row came early; and all come in the end.
    fn assert_good(mut self) {
        let passes = self.office.borrow().passes;
        for _ in 0..3 {
            self.round(false, |_| Box::new(()));
        }
        let office = self.office.get_mut();
        assert_eq!(office.early, BTreeSet::new(), "there before their documents");
        assert_eq!(office.rows(0), office.rows(1));
        assert!(office.rows(0).iter().any(|n| n % OF_LYON < 500_000), "nobody worked meanwhile");
        assert!(passes < 20, "the documents were gone through {passes} times");
        drop(self.folder);
    }
}

fn app(path: &Path) -> Connection {
    let app = Connection::open(path).unwrap();
    app.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF").unwrap();
    app
}

fn card(site: usize) -> Card {
    Card {
        site: SiteId::new(site as u64 + 1).unwrap(),
        site_name: NAMES[site].to_owned(),
        vd: "crm".to_owned(),
        vd_version: "1".to_owned(),
        role: Role::Slave(SlaveSettings { masters: NAMES.map(str::to_owned).to_vec() }),
        rules: Rules::default(),
    }
}

#[test]
fn two_filled_databases_meet_for_the_first_time() {
    let mut sites = Sites::new([30, 20]);
    assert!(sites.busy_round(false).compared);
    sites.assert_good();
}

#[test]
fn an_empty_database_is_filled() {
    for rows in [[3000, 0], [0, 3000]] {
        let mut sites = Sites::new(rows);
        sites.office.get_mut().idle = Some(if rows[0] == 0 { 0 } else { 1 });
        assert!(sites.busy_round(false).compared);
        sites.assert_good();
    }
}

#[test]
fn everything_is_compared_because_somebody_asks_for_it() {
    let mut sites = Sites::new([10, 5]);
    sites.round(false, |_| Box::new(()));
    sites.office.borrow_mut().works();
    assert!(sites.busy_round(true).compared);
    sites.assert_good();
}
