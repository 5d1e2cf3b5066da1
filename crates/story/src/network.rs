//! Several sites and their links: rounds, and what must hold when a story ends.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use sync_core::{Incarnation, Knowledge};
use sync_engine::error::EngineError;
use sync_engine::handshake::Expectation;
use sync_engine::{Options, RoundReport, round};
use sync_store::{ConflictEntry, Store};

use crate::bench::{Bench, BenchSite};

/// The virtual desktop's name at every site.
pub const VD: &str = "story";

/// The names of `count` sites; the first has number 1.
pub fn names(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("site{n}")).collect()
}

/// Sites that can be linked.
pub struct Network<S> {
    /// The sites.
    pub sites: Vec<S>,
}

impl<S: BenchSite> Network<S> {
    /// Prepared sites without rows.
    pub fn new(bench: &impl Bench<Site = S>, count: usize) -> Self {
        let mut network = Self::unprepared(bench, count);
        network.prepare();
        network
    }

    /// Sites without rows, not prepared: what is written now was there before synchronisation began.
    pub fn unprepared(bench: &impl Bench<Site = S>, count: usize) -> Self {
        Network { sites: bench.sites(count) }
    }

    /// Prepares all sites.
    pub fn prepare(&mut self) {
        self.sites.iter_mut().for_each(BenchSite::prepare);
    }

    /// Runs a statement as the application at a site does.
    pub fn app(&mut self, site: usize, sql: &str) {
        self.sites[site].app(sql);
    }

    /// The same statement at all sites.
    pub fn everywhere(&mut self, sql: &str) {
        self.sites.iter_mut().for_each(|s| s.app(sql));
    }

    /// A write that is later than all before it, whatever the resolution of stamps.
    pub fn later(&mut self, site: usize, sql: &str) {
        let millis = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let before = millis();
        while millis() < before + 2 {
            std::thread::yield_now();
        }
        self.app(site, sql);
    }

    /// What a query gives at a site.
    pub fn rows(&mut self, site: usize, sql: &str) -> Vec<String> {
        self.sites[site].rows(sql)
    }

    /// Fails unless a query gives this at every site.
    #[track_caller]
    pub fn shows(&mut self, sql: &str, expected: &[&str]) {
        for site in &mut self.sites {
            assert_eq!(site.rows(sql), expected, "at {}: {sql}", site.name());
        }
    }

    /// How a round with this slave is done.
    pub fn options(&self, slave: usize) -> Options {
        Options::expecting(Expectation {
            slave: self.sites[slave].name().to_owned(),
            remote_vd: VD.to_owned(),
            minimum: None,
            max_clock_difference: Duration::from_secs(300),
        })
    }

    /// Two sites at once.
    pub fn two(&mut self, a: usize, b: usize) -> (&mut S, &mut S) {
        let [x, y] = self.sites.get_disjoint_mut([a, b]).unwrap();
        (x, y)
    }

    /// A round that must succeed.
    #[track_caller]
    pub fn round(&mut self, master: usize, slave: usize) -> RoundReport {
        self.round_with(master, slave, |_| {})
    }

    /// A round with other options that must succeed.
    #[track_caller]
    pub fn round_with(&mut self, master: usize, slave: usize, change: impl FnOnce(&mut Options)) -> RoundReport {
        match self.try_round(master, slave, change) {
            Ok(report) => report,
            Err(e) => panic!("the round from {master} to {slave} failed: {e:?}"),
        }
    }

    /// A round that may fail.
    pub fn try_round(
        &mut self,
        master: usize,
        slave: usize,
        change: impl FnOnce(&mut Options),
    ) -> Result<RoundReport, EngineError> {
        let mut options = self.options(slave);
        change(&mut options);
        let (a, b) = self.two(master, slave);
        round(a.store(), b.store(), &options, &mut ())
    }

    /// Rounds over all links until nothing moves.
    #[track_caller]
    pub fn settle(&mut self, links: &[(usize, usize)]) {
        for _ in 0..=2 * self.sites.len() + 2 {
            let before = self.heads();
            links.iter().for_each(|(a, b)| drop(self.round(*a, *b)));
            if self.heads() == before {
                return;
            }
        }
        panic!("the rounds never go quiet");
    }

    /// The end of a story: the links have nothing more to do, everything is equal, nothing is left over.
    #[track_caller]
    pub fn finish(&mut self, links: &[(usize, usize)]) {
        self.settle(links);
        self.assert_same();
        self.assert_quiet(links);
    }

    /// All sites hold the same rows and the same conflicts.
    #[track_caller]
    pub fn assert_same(&mut self) {
        let first = shared(self.sites[0].dump());
        let list = self.conflicts(0);
        for i in 1..self.sites.len() {
            let other = shared(self.sites[i].dump());
            assert_eq!(first.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "other tables");
            for (table, rows) in &first {
                let name = self.sites[i].name().to_owned();
                assert_rows(table, rows, &other[table], &name);
            }
            assert_eq!(self.conflicts(i), list, "another conflict list at {}", self.sites[i].name());
        }
    }

    /// A further round of all links moves nothing and publishes nothing, and no mark is left.
    #[track_caller]
    pub fn assert_quiet(&mut self, links: &[(usize, usize)]) {
        let heads = self.heads();
        for (a, b) in links {
            let report = self.round(*a, *b);
            assert!(report.is_quiet(), "between {a} and {b}: {:?}", report.by_table());
        }
        assert_eq!(self.heads(), heads, "something was published");
        let knowledge = self.knowledge();
        links.iter().for_each(|(a, b)| drop(self.round(*a, *b)));
        assert_eq!(self.knowledge(), knowledge, "something was learnt");
        for site in &mut self.sites {
            assert_eq!(site.marks(), 0, "marks are left at {}", site.name());
        }
    }

    /// The head of every site's history.
    pub fn heads(&mut self) -> Vec<u64> {
        self.sites.iter_mut().map(|s| s.store().describe().unwrap().head.seq).collect()
    }

    fn knowledge(&mut self) -> Vec<Knowledge> {
        self.sites.iter_mut().map(|s| s.store().knowledge().unwrap()).collect()
    }

    /// A site's incarnation.
    pub fn incarnation(&mut self, site: usize) -> Incarnation {
        self.sites[site].store().describe().unwrap().source.incarnation
    }

    /// A site's conflict list, by id.
    pub fn conflicts(&mut self, site: usize) -> Vec<ConflictEntry> {
        let mut list = self.sites[site].store().conflicts().unwrap();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list
    }

    /// The only conflict there is.
    #[track_caller]
    pub fn only_conflict(&mut self, site: usize) -> ConflictEntry {
        let mut list = self.conflicts(site);
        assert_eq!(list.len(), 1, "{list:#?}");
        list.remove(0)
    }

    /// The store of a site.
    pub fn store(&mut self, site: usize) -> &mut dyn Store {
        self.sites[site].store()
    }
}

/// Without the tables that the settings leave out.
fn shared(mut dump: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    dump.retain(|table, _| !table.starts_with("local_"));
    dump
}

#[track_caller]
fn assert_rows(table: &str, first: &[String], other: &[String], name: &str) {
    let short = |rows: Vec<&String>| -> Vec<String> {
        rows.into_iter().take(5).map(|r| r.chars().take(300).collect()).collect()
    };
    let missing = short(first.iter().filter(|r| !other.contains(r)).collect());
    let extra = short(other.iter().filter(|r| !first.contains(r)).collect());
    assert!(first == other, "table {table} at {name}: missing or other {missing:#?}, has instead {extra:#?}");
}
