//! Five servers in every arrangement, under load, with links cut and servers killed: at the end all are equal, every
//! constraint holds, and every committed write is accounted for.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, park_timeout, scope};
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use support::{Accounts, Site, options, try_open, try_round};
use sync_engine::round;
use sync_store::{ConflictEntry, Store};
use sync_testbed::{
    LoadReport, MariaDb, Options, Server, Writers, WritersOptions, assert_equal, create_load_tables, dump,
    fill_load_tables,
};

const NAMES: [&str; 5] = ["geneva", "lyon", "bern", "basel", "turin"];
const ACCOUNTS: u64 = 200;

type Links = Vec<(usize, usize)>;

/// Master and slave of each link.
fn arrangement(name: &str) -> Links {
    match name {
        "chain" => (1..5).map(|i| (i - 1, i)).collect(),
        "star" => (1..5).map(|i| (0, i)).collect(),
        "ring" => (0..5).map(|i| (i, (i + 1) % 5)).collect(),
        _ => (0..5).flat_map(|a| (a + 1..5).map(move |b| (a, b))).collect(),
    }
}

/// How long the writers of one arrangement write; the five minutes are `SERVER_SYNC_TEST_NETWORK_SECONDS=75`.
fn seconds() -> u64 {
    std::env::var("SERVER_SYNC_TEST_NETWORK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(15)
}

/// What goes wrong: links are cut for a while, connections killed, servers killed and started again.
struct Faults<'a> {
    servers: &'a [Server],
    database: &'a str,
    cut: Vec<AtomicBool>,
    over: AtomicBool,
}

impl Faults<'_> {
    fn run(&self, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        while !self.over.load(Ordering::Relaxed) {
            park_timeout(Duration::from_millis(rng.u64(200..1500)));
            match rng.u8(..10) {
                0..5 => self.cut[rng.usize(..self.cut.len())].fetch_xor(true, Ordering::Relaxed),
                5..8 => self.disconnect(&self.servers[rng.usize(..5)]),
                _ => self.kill(&self.servers[rng.usize(..5)]),
            };
        }
        self.cut.iter().for_each(|cut| cut.store(false, Ordering::Relaxed));
    }

    /// Ends every connection to the database, the application's too.
    fn disconnect(&self, server: &Server) -> bool {
        let Ok(mut root) = server.root() else { return false };
        let query = format!("SELECT id FROM information_schema.processlist WHERE db='{}'", self.database);
        let ids: Vec<u64> = root.query(query).unwrap_or_default();
        ids.iter().all(|id| root.query_drop(format!("KILL {id}")).is_ok())
    }

    fn kill(&self, server: &Server) -> bool {
        server.kill9().and_then(|()| server.start()).unwrap();
        true
    }
}

/// Rounds over one link, with stores of its own, until the load is over.
fn keep_in_step(
    servers: &[Server],
    database: &str,
    (master, slave): (usize, usize),
    cut: &AtomicBool,
    over: &AtomicBool,
) {
    let open = |site: usize| try_open(&servers[site], database, NAMES[site], site as u64 + 1);
    let stops = || over.load(Ordering::Relaxed);
    while !stops() {
        let (false, Ok(mut a), Ok(mut b)) = (cut.load(Ordering::Relaxed), open(master), open(slave)) else {
            park_timeout(Duration::from_millis(50));
            continue;
        };
        while !stops() && !cut.load(Ordering::Relaxed) {
            let result = round(&mut a as &mut dyn Store, &mut b, &options(NAMES[slave]), &mut ());
            if let Err(e) = result {
                assert!(e.retryable, "{e} {:?}", e.hint);
                break;
            }
        }
    }
}

fn start_writers(server: &Server, database: &str, site: usize) -> Writers {
    let duration = Duration::from_secs(seconds());
    let options = WritersOptions {
        count: 4,
        slow_for: Duration::from_secs(3),
        pause: Duration::from_millis(5),
        duration,
        ..WritersOptions::at(NAMES[site], site as u16 + 1, ACCOUNTS)
    };
    Writers::start(server, database, options).unwrap()
}

/// The load with everything that goes wrong meanwhile.
fn under_load(servers: &[Server], database: &str, links: &Links, seed: u64) -> Vec<LoadReport> {
    let cut = links.iter().map(|_| AtomicBool::new(false)).collect();
    let faults = Faults { servers, database, cut, over: AtomicBool::new(false) };
    let faults = &faults;
    scope(|threads| {
        spawn_links(threads, faults, links);
        threads.spawn(move || faults.run(seed));
        let load: Vec<Writers> = (0..5).map(|site| start_writers(&servers[site], database, site)).collect();
        let reports = load.into_iter().map(|w| w.finish().unwrap()).collect();
        faults.over.store(true, Ordering::Relaxed);
        reports
    })
}

fn spawn_links<'s>(threads: &'s Scope<'s, '_>, faults: &'s Faults<'s>, links: &Links) {
    for (link, cut) in links.iter().copied().zip(&faults.cut) {
        threads.spawn(move || keep_in_step(faults.servers, faults.database, link, cut, &faults.over));
    }
}

/// Rounds over all links until nothing moves any more.
fn settle(sites: &mut [Site], links: &Links) {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let mut moved = false;
        for (a, b) in links {
            let [master, slave] = sites.get_disjoint_mut([*a, *b]).unwrap();
            let report = try_round(master, slave, &options(NAMES[*b]));
            moved |= report.is_none_or(|r| !r.is_quiet());
        }
        if !moved {
            return;
        }
        assert!(Instant::now() < deadline, "the rounds never go quiet");
    }
}

/// The entries of a conflict list that everybody must have. `restored` and the like travel with them.
fn list(site: &mut Site) -> BTreeSet<String> {
    let list: Vec<ConflictEntry> = site.store.conflicts().unwrap();
    list.into_iter().map(|entry| entry.id).collect()
}

fn story(servers: &[Server], name: &'static str, seed: u64) {
    let started = Instant::now();
    let links = arrangement(name);
    for server in servers {
        server.create_database(name).unwrap();
        create_load_tables(server, name).unwrap();
    }
    fill_load_tables(&servers[0], name, ACCOUNTS).unwrap();
    let mut sites: Vec<Site> = (0..5).map(|i| Site::prepare(&servers[i], name, NAMES[i], i as u64 + 1)).collect();
    settle(&mut sites, &links);
    let initial = dump(&mut sites[0].app(), name).unwrap();
    let reports = under_load(servers, name, &links, seed);
    sites.iter_mut().for_each(Site::reopen);
    settle(&mut sites, &links);
    let last = dump(&mut sites[0].app(), name).unwrap();
    let conflicts = list(&mut sites[0]);
    for site in &mut sites[1..] {
        assert_equal(&last, &dump(&mut site.app(), name).unwrap());
        assert_eq!(list(site), conflicts, "{} in a {name}", site.name);
    }
    for site in &sites {
        let orphans = site
            .one("SELECT COUNT(*) FROM load_child c LEFT JOIN load_account a ON a.id=c.account_id WHERE a.id IS NULL");
        assert_eq!(orphans, "0", "{} in a {name}", site.name);
    }
    println!("{name}: {} commits, {} conflicts, {:?}", total(&reports), conflicts.len(), started.elapsed());
    Accounts { initial: &initial, last: &last }.check(&mut sites, reports);
}

fn total(reports: &[LoadReport]) -> u64 {
    reports.iter().map(|r| r.commits).sum()
}

#[test]
fn nothing_is_lost_between_five_servers() {
    let servers: Vec<Server> = (0..5).map(|_| MariaDb::start(Options::new().durable()).unwrap()).collect();
    for (seed, name) in ["chain", "star", "ring", "mesh"].into_iter().enumerate() {
        story(&servers, name, seed as u64);
    }
}
