//! What one seed stands for: sites, links, clocks, and the steps of a history. Plain data, made from the seed alone. A
//! step says what it does relative to what it finds, so that it still means something when others are left out.

use fastrand::Rng;

use crate::schema::TABLES;

/// A history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// How many sites; the first are there from the beginning.
    pub sites: usize,
    /// How many of them are there from the beginning.
    pub founders: usize,
    /// Who starts rounds with whom. Any first few sites are connected.
    pub links: Vec<(usize, usize)>,
    /// How far each clock is off, in milliseconds.
    pub skews: Vec<i64>,
    /// Rows that are there before synchronisation begins, as transactions: everywhere, or at one site.
    pub before: Vec<(Option<usize>, Transaction)>,
    /// Whether marks get ids as MySQL gives them: growing for ever, before the commit.
    pub early_ids: bool,
    /// Whether the tables with constraints are there.
    pub constraints: bool,
    /// How often, in milliseconds, sites tell what they contain; nothing: no grave is ever purged.
    pub tells: Option<u64>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One statement of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// INSERT, or an update of everything if the key is taken.
    Insert { table: usize, key: u32, salt: u32 },
    /// UPDATE of some columns of a row that is there.
    Update { table: usize, pick: u32, columns: u32, salt: u32 },
    /// DELETE of a row that is there.
    Delete { table: usize, pick: u32 },
    /// DELETE and INSERT of one key.
    Again { table: usize, pick: u32, salt: u32 },
    /// UPDATE of a key, and of all else.
    Move { table: usize, pick: u32, to: u32, salt: u32 },
    /// REPLACE.
    Replace { table: usize, key: u32, salt: u32 },
    /// UPDATE of one column of about half the rows.
    UpdateMany { table: usize, columns: u32, salt: u32 },
    /// DELETE of about a third of the rows.
    DeleteMany { table: usize, salt: u32 },
}

/// A transaction of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its statements.
    pub operations: Vec<Operation>,
    /// Whether it is rolled back.
    pub rollback: bool,
    /// Whether its marks have ids from before those of transactions that are committed already.
    pub late: bool,
}

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who starts the round.
    Master,
    /// The other.
    Slave,
}

/// What goes wrong in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A site dies at its n-th statement, before or after it was carried out.
    Crash { side: Side, statement: u32, after: bool },
    /// The n-th verb to a site, or the answer to it, is lost.
    Cut { side: Side, verb: u32, after: bool },
}

/// How a round is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As always.
    Plain,
    /// `--dry-run`.
    Dry,
    /// `-init`.
    Init,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The application writes.
    Write { site: usize, transaction: Transaction },
    /// The application begins to write and does not commit yet: that is when it writes next, or when a round needs the
    /// database.
    Begin { site: usize, transaction: Transaction },
    /// A round.
    Round {
        link: usize,
        manner: Manner,
        fault: Option<Fault>,
        /// Transactions that are committed when a side is at its n-th statement.
        meanwhile: Vec<(Side, u32, Transaction)>,
        /// Batches are cut into pieces of so many rows.
        pieces: Option<usize>,
        /// Each batch comes twice.
        twice: bool,
    },
    /// Time passes, in milliseconds.
    Wait(i64),
    /// A clock is set.
    Clock { site: usize, by: i64 },
    /// server_sync is started anew.
    Reopen { site: usize },
    /// A copy is made.
    Backup { site: usize },
    /// The last copy is put back.
    Restore { site: usize },
    /// The application is upgraded.
    Upgrade { site: usize },
    /// Rows are deleted with triggers off.
    Truncate { site: usize, table: usize },
    /// The next site joins.
    Join,
    /// A site leaves for ever, after a last round.
    Retire { site: usize },
    /// A site is not met for a while, and somebody declares that it left. The application goes on there.
    Away { site: usize },
    /// It is met again.
    Return { site: usize },
    /// Somebody puts a losing value back.
    PutBack { site: usize, pick: u32 },
    /// What a site shows is declared the truth for all; the site dies at its n-th statement, and it is done once more.
    Declare { site: usize, dies: Option<u32> },
    /// A copy of a site's database begins to run beside it, under its name and number. One in a history.
    Clone { site: usize },
    /// The application writes at the copy, whatever it is by now.
    AtCopy { transaction: Transaction },
    /// The copy has a round with a neighbour of its original.
    CopyMeets { pick: u32, is_master: bool, fault: Option<Fault> },
    /// Somebody goes on at the copy with `-force`.
    ForceCopy { pick: u32 },
    /// Somebody finds out: the copy is stopped for ever, or it sends what it has and becomes a site of its own.
    EndClone { keeps: bool },
}

/// What may be asked of a scenario.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// So many sites; 2 to 7 otherwise.
    pub sites: Option<usize>,
    /// With the tables that have constraints.
    pub constraints: bool,
    /// With much that has to do with graves: long pauses, copies put back, sites that are away.
    pub graves: bool,
    /// The same history, but no grave is ever purged.
    pub remembers: bool,
    /// The same history, and now and then a site's data are declared the truth.
    pub declares: bool,
    /// The same history, and a copy of a site runs beside it for a while.
    pub clones: bool,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn new(seed: u64, wishes: Wishes) -> Self {
        let mut rng = Rng::with_seed(seed);
        // Few sites meet more often.
        let sites = wishes.sites.unwrap_or_else(|| [2, 2, 3, 3, 3, 4, 4, 5, 6, 7][rng.usize(..10)]).max(2);
        let tables = if wishes.constraints { TABLES.len() } else { 2 };
        let mut maker = Maker { rng, sites, tables, graves: wishes.graves };
        let founders = if maker.one_in(4) { maker.rng.usize(1..=sites) } else { sites };
        let links = maker.links();
        let skews = (0..sites).map(|_| maker.skew()).map(|skew| if wishes.clones { 0 } else { skew }).collect();
        let before = maker.before();
        let count = maker.rng.usize(15..60);
        let mut steps: Vec<Step> = (0..count).map(|_| maker.step(links.len())).collect();
        if wishes.graves {
            steps.extend(maker.forgotten(links.len()));
        }
        if wishes.declares {
            maker.declarations(&mut steps);
        }
        if wishes.clones {
            maker.copy(&mut steps);
        }
        let early_ids = maker.one_in(2);
        let tells = [None, Some(0), Some(0), Some(2_000)][maker.rng.usize(usize::from(wishes.graves)..4)];
        let tells = tells.filter(|_| !wishes.remembers);
        Scenario { sites, founders, links, skews, before, early_ids, constraints: wishes.constraints, tells, steps }
    }
}

struct Maker {
    rng: Rng,
    sites: usize,
    tables: usize,
    graves: bool,
}

impl Maker {
    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    /// Chain, star, ring, mesh, or a random tree with further links; any first few sites are connected.
    fn links(&mut self) -> Vec<(usize, usize)> {
        let n = self.sites;
        let kind = self.rng.u32(..5);
        let mut links: Vec<(usize, usize)> = match kind {
            0 | 2 => (1..n).map(|i| (i - 1, i)).collect(),
            1 => (1..n).map(|i| (0, i)).collect(),
            3 => (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).collect(),
            _ => (1..n).map(|i| (self.rng.usize(..i), i)).collect(),
        };
        if kind == 2 && n > 2 {
            links.push((n - 1, 0));
        }
        if kind == 4 && n > 2 {
            for _ in 0..self.rng.usize(..=2) {
                let (a, b) = (self.rng.usize(..n), self.rng.usize(..n));
                if a != b && !links.contains(&(a, b)) && !links.contains(&(b, a)) {
                    links.push((a, b));
                }
            }
        }
        links.into_iter().map(|(a, b)| if self.rng.bool() { (a, b) } else { (b, a) }).collect()
    }

    fn skew(&mut self) -> i64 {
        match self.rng.u32(..4) {
            0 => self.rng.i64(-120_000..120_000),
            1 => self.rng.i64(-20..20),
            _ => 0,
        }
    }

    fn before(&mut self) -> Vec<(Option<usize>, Transaction)> {
        let mut before = Vec::new();
        if self.one_in(2) {
            before.push((None, self.inserts()));
        }
        if self.one_in(4) {
            for site in 0..self.sites {
                if self.rng.bool() {
                    before.push((Some(site), self.inserts()));
                }
            }
        }
        before
    }

    fn inserts(&mut self) -> Transaction {
        let count = self.rng.usize(1..8);
        let operations = (0..count)
            .map(|_| Operation::Insert { table: self.table(), key: self.key(), salt: self.rng.u32(..) })
            .collect();
        Transaction { operations, rollback: false, late: false }
    }

    fn table(&mut self) -> usize {
        // The plain table most often, as it has most to tell.
        if self.one_in(3) { 0 } else { self.rng.usize(..self.tables) }
    }

    fn key(&mut self) -> u32 {
        if self.one_in(6) { self.rng.u32(1..30) } else { self.rng.u32(1..6) }
    }

    fn transaction(&mut self) -> Transaction {
        let count = [1, 1, 1, 2, 3, 5][self.rng.usize(..6)];
        let operations = (0..count).map(|_| self.operation()).collect();
        Transaction { operations, rollback: self.one_in(12), late: self.one_in(4) }
    }

    fn operation(&mut self) -> Operation {
        let (table, key, pick) = (self.table(), self.key(), self.rng.u32(..));
        let (salt, columns) = (self.rng.u32(..), self.rng.u32(1..64));
        match self.rng.u32(..20) {
            0..=3 => Operation::Insert { table, key, salt },
            4..=10 => Operation::Update { table, pick, columns, salt },
            11..=13 => Operation::Delete { table, pick },
            14 | 15 => Operation::Again { table, pick, salt },
            16 => Operation::Move { table, pick, to: key, salt },
            17 => Operation::Replace { table, key, salt },
            18 => Operation::UpdateMany { table, columns, salt },
            _ => Operation::DeleteMany { table, salt },
        }
    }

    fn step(&mut self, links: usize) -> Step {
        let site = self.rng.usize(..self.sites);
        if self.graves && self.one_in(6) {
            return self.grave_step(site);
        }
        match self.rng.u32(..200) {
            0..=89 => Step::Write { site, transaction: self.transaction() },
            90..=93 => Step::Begin { site, transaction: self.transaction() },
            94..=163 => self.round(links),
            164..=173 => {
                Step::Wait([0, 1, 1, 5, 1_000, 60_000, 3_600_000, 86_400_000, 86_400_000][self.rng.usize(..9)])
            }
            174..=177 => Step::Clock { site, by: self.jump() },
            178 | 179 => Step::Reopen { site },
            180..=183 => Step::Backup { site },
            184 | 185 => Step::Restore { site },
            186..=188 => Step::Upgrade { site },
            189 => Step::Truncate { site, table: self.table() },
            190 | 191 => Step::Join,
            192 => Step::Away { site },
            193 => Step::Return { site },
            194 => Step::Retire { site },
            _ => Step::PutBack { site, pick: self.rng.u32(..) },
        }
    }

    fn grave_step(&mut self, site: usize) -> Step {
        match self.rng.u32(..12) {
            0..=4 => Step::Wait(86_400_000),
            5 | 6 => Step::Backup { site },
            7 | 8 => Step::Restore { site },
            9 => Step::Away { site },
            _ => Step::Return { site },
        }
    }

    /// A site is away, or a copy of it lies somewhere, while rows are deleted elsewhere and their graves forgotten.
    fn forgotten(&mut self, links: usize) -> Vec<Step> {
        let (site, other) = (self.rng.usize(..self.sites), self.rng.usize(..self.sites));
        let [begin, end] = match self.rng.bool() {
            true => [Step::Backup { site }, Step::Restore { site }],
            false => [Step::Away { site }, Step::Return { site }],
        };
        let operations = (0..2).map(|table| Operation::DeleteMany { table, salt: self.rng.u32(..) }).collect();
        let transaction = Transaction { operations, rollback: false, late: false };
        let round = |link| Step::Round {
            link,
            manner: Manner::Plain,
            fault: None,
            meanwhile: Vec::new(),
            pieces: None,
            twice: false,
        };
        let rounds = |times| (0..times).flat_map(|_| (0..links).map(round)).collect::<Vec<_>>();
        let before = [rounds(2), vec![begin, Step::Write { site: other, transaction }], rounds(2)];
        let after = [vec![Step::Wait(86_400_000)], rounds(4), vec![end]];
        before.into_iter().chain(after).flatten().collect()
    }

    /// A declaration or a few, at any time; often after a copy was put back.
    fn declarations(&mut self, steps: &mut Vec<Step>) {
        for _ in 0..self.rng.usize(1..=3) {
            let (at, site) = (self.rng.usize(..=steps.len()), self.rng.usize(..self.sites));
            let dies = self.one_in(3).then(|| self.rng.u32(..60));
            steps.insert(at, Step::Declare { site, dies });
            if self.rng.bool() {
                steps.insert(at, Step::Restore { site });
                let before = self.rng.usize(..=at);
                steps.insert(before, Step::Backup { site });
            }
        }
    }

    /// A site runs twice for a while, beside all that happens anyway. Not what a person would do only with a site that there is
    /// once; and clocks are right, as two stores that make stamps for one site must not make the same.
    fn copy(&mut self, steps: &mut Vec<Step>) {
        let is_other = |step: &Step| !matches!(step, Step::Clock { .. } | Step::Retire { .. } | Step::Away { .. });
        steps.retain(is_other);
        let (site, begin) = (self.rng.usize(..self.sites), self.rng.usize(..=steps.len()));
        let mut copied = vec![Step::Clone { site }];
        for _ in 0..self.rng.usize(4..16) {
            let pick = self.rng.u32(..);
            copied.push(match self.rng.u32(..12) {
                0..=3 => Step::AtCopy { transaction: self.transaction() },
                4..=5 => Step::Write { site, transaction: self.transaction() },
                6 => Step::ForceCopy { pick },
                _ => {
                    let (is_master, is_faulty) = (self.rng.bool(), self.one_in(4));
                    Step::CopyMeets { pick, is_master, fault: is_faulty.then(|| self.fault()) }
                }
            });
        }
        copied.push(Step::EndClone { keeps: self.rng.bool() });
        for _ in 0..self.rng.usize(..3) {
            copied.push(Step::AtCopy { transaction: self.transaction() });
        }
        let mut at = begin;
        for step in copied {
            steps.insert(at, step);
            at = (at + 1 + self.rng.usize(..3)).min(steps.len());
        }
    }

    fn jump(&mut self) -> i64 {
        let size = [2, 50, 5_000, 100_000, 3_600_000][self.rng.usize(..5)];
        self.rng.i64(-size..=size)
    }

    fn round(&mut self, links: usize) -> Step {
        let manner = match self.rng.u32(..16) {
            0 => Manner::Dry,
            1 => Manner::Init,
            _ => Manner::Plain,
        };
        let fault = self.one_in(3).then(|| self.fault());
        let meanwhile = (0..self.rng.usize(..8).saturating_sub(5))
            .map(|_| (self.side(), self.rng.u32(..70), self.transaction()))
            .collect();
        let pieces = self.one_in(3).then(|| self.rng.usize(1..4));
        let twice = self.one_in(8);
        Step::Round { link: self.rng.usize(..links), manner, fault, meanwhile, pieces, twice }
    }

    fn side(&mut self) -> Side {
        if self.rng.bool() { Side::Master } else { Side::Slave }
    }

    fn fault(&mut self) -> Fault {
        let (side, after) = (self.side(), self.rng.bool());
        match self.rng.bool() {
            true => Fault::Crash { side, statement: self.rng.u32(..90), after },
            false => Fault::Cut { side, verb: self.rng.u32(..14), after },
        }
    }
}
