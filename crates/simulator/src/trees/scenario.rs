//! What one seed stands for: sites, links, clocks, and the steps of a history. Plain data, made from the seed alone.

use fastrand::Rng;
use rustix::io::Errno;

use super::action::Action;
use super::fault::Manner;
use sync_tree::Op;

/// A history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// How many sites.
    pub sites: usize,
    /// Who starts rounds with whom; all sites are connected.
    pub links: Vec<(usize, usize)>,
    /// How far each clock is off, in milliseconds.
    pub skews: Vec<i64>,
    /// Whether what changed just now counts as at rest, so that it is only read again if the system says that it changed.
    pub calm: bool,
    /// What is there before synchronisation begins.
    pub before: Vec<(usize, Action)>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// What of a site is copied or put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Directory and index.
    Both,
    /// The directory.
    Directory,
    /// The index.
    Index,
}

/// What happens to a directory while a round is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// Another, empty one is in its place.
    Other,
    /// Everything is gone but our own directory.
    Emptied,
}

/// What happens in a round, at one of its sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The slave, otherwise the master.
    pub at_slave: bool,
    /// At the n-th call of this kind, or of any.
    pub op: Option<Op>,
    /// Which one of them.
    pub nth: u64,
    /// What it is.
    pub manner: Manner,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An application works.
    Act { site: usize, actions: Vec<Action> },
    /// A round, and what happens in it.
    Round { link: usize, events: Vec<Event> },
    /// Time passes, in milliseconds.
    Wait(i64),
    /// A clock is set.
    Clock { site: usize, by: i64 },
    /// server_sync is started anew.
    Reopen { site: usize },
    /// A copy of everything is made.
    Backup { site: usize },
    /// Something of the last copy is put back.
    Restore { site: usize, part: Part },
    /// The index is deleted.
    DeleteIndex { site: usize },
    /// A directory is not what it should be while the site's links are tried.
    Damage { site: usize, damage: Damage },
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Scenario {
    /// The history of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x7ee5);
        let sites = [2, 2, 3, 3, 4, 5][rng.usize(..6)];
        let links = links(&mut rng, sites);
        let skews = (0..sites).map(|_| if rng.bool() { 0 } else { rng.i64(-5000..5000) }).collect();
        let calm = rng.u32(..4) > 0;
        let before = before(&mut rng, sites);
        let rough = rng.bool();
        let mut steps = Vec::new();
        for _ in 0..rng.usize(8..30) {
            steps.push(step(&mut rng, sites, links.len(), rough));
        }
        Scenario { sites, links, skews, calm, before, steps }
    }
}

fn links(rng: &mut Rng, sites: usize) -> Vec<(usize, usize)> {
    let mut links: Vec<(usize, usize)> = match rng.u32(..4) {
        0 => (1..sites).map(|i| (0, i)).collect(),
        1 => (1..sites).map(|i| (i - 1, i)).collect(),
        2 if sites > 2 => (0..sites).map(|i| (i, (i + 1) % sites)).collect(),
        _ => (0..sites).flat_map(|a| (a + 1..sites).map(move |b| (a, b))).collect(),
    };
    for link in &mut links {
        if rng.bool() {
            *link = (link.1, link.0);
        }
    }
    links
}

fn step(rng: &mut Rng, sites: usize, links: usize, rough: bool) -> Step {
    let site = rng.usize(..sites);
    match rng.u32(..40) {
        0..=21 => act(rng, site),
        22..=33 => Step::Round { link: rng.usize(..links), events: events(rng) },
        34 => Step::Wait(rng.i64(0..10_000)),
        35 => Step::Reopen { site },
        36 => Step::Clock { site, by: rng.i64(-3_600_000..3_600_000) },
        37 if rough => Step::Backup { site },
        38 if rough => match rng.u32(..5) {
            0 => Step::DeleteIndex { site },
            1 => Step::Restore { site, part: Part::Directory },
            2 => Step::Restore { site, part: Part::Index },
            _ => Step::Restore { site, part: Part::Both },
        },
        39 => Step::Damage { site, damage: [Damage::Missing, Damage::Other, Damage::Emptied][rng.usize(..3)] },
        _ => act(rng, site),
    }
}

/// A few directories with files in them, and whatever else.
fn before(rng: &mut Rng, sites: usize) -> Vec<(usize, Action)> {
    let makes = (0..3).map(|n| Action::Make { pick: n, name: n + 8 });
    let writes = (0..6).map(|n| Action::Write { pick: n, name: n, large: false });
    let mut before: Vec<(usize, Action)> = makes.chain(writes).map(|action| (0, action)).collect();
    before.extend((0..rng.usize(..6)).map(|_| (rng.usize(..sites), Action::any(rng))));
    before
}

fn act(rng: &mut Rng, site: usize) -> Step {
    Step::Act { site, actions: (0..rng.usize(1..5)).map(|_| Action::any(rng)).collect() }
}

fn events(rng: &mut Rng) -> Vec<Event> {
    if rng.u32(..3) == 0 {
        return Vec::new();
    }
    let event = |rng: &mut Rng| {
        let op = OPS[rng.usize(..OPS.len())];
        let most = if op.is_some() { 1 << rng.u32(1..5) } else { 1 << rng.u32(3..10) };
        Event { at_slave: rng.bool(), op, nth: rng.u64(1..=most), manner: manner(rng) }
    };
    (0..rng.usize(1..4)).map(|_| event(rng)).collect()
}

/// Where it is worth while.
const OPS: [Option<Op>; 11] = [
    None,
    None,
    None,
    Some(Op::Rename),
    Some(Op::Rename),
    Some(Op::List),
    Some(Op::Enter),
    Some(Op::Commit),
    Some(Op::Chmod),
    Some(Op::Read),
    Some(Op::Link),
];

fn manner(rng: &mut Rng) -> Manner {
    let errno = [Errno::NOSPC, Errno::IO, Errno::ACCESS][rng.usize(..3)];
    match rng.u32(..8) {
        0..=2 => Manner::Kill,
        3 => Manner::Once(errno),
        4 => Manner::FromThen(errno),
        5 => Manner::Meanwhile(Action::any(rng)),
        _ => Manner::Over,
    }
}
