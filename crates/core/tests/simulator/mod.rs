//! A little network of stores in memory: what the core's laws are tested on. It does with rows what a store does
//! (marks, drain, stream, merge, record), and nothing else: no schema, no constraint, no crash.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sync_core::capture::{Mark, Operation, stamp};
use sync_core::{
    Author, ColumnId, Conflict, ConflictKind, Effect, Incarnation, Number, Planned, Relation, Row, RowState, Seen,
    SiteId, Stamp, Value,
};

/// Columns that are written; the key is not among them.
pub const COLUMNS: ColumnId = 3;
/// The column after them, which merges by adding.
pub const COUNTER: ColumnId = COLUMNS;
/// Keys 0 and 1 are there before synchronisation begins; the others are not.
pub const KEYS: u8 = 4;
const FROM_BEFORE: u8 = 2;

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Step {
    /// The application writes; what does not fit (an update of a missing row) is turned into what does.
    Write { site: usize, key: u8, what: What, after: u8 },
    /// A site turns its marks into stamps.
    Drain { site: usize },
    /// One direction of a round; interrupted after so many rows, if any.
    Send { from: usize, to: usize, cut: Option<u8>, backwards: bool },
    /// A row that was once on its way arrives (again).
    Stray { message: u16, to: usize },
    /// An administrator declares what a site shows the truth for all.
    Declare { site: usize },
}

/// What the application does.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Insert, or delete and insert again.
    Insert,
    /// Write a column, or insert.
    Update(ColumnId),
    /// Add to the counter, or insert.
    Add(i64),
    /// Write the counter so that nobody knows what was added, or insert.
    Set,
    /// Delete, if the row is there.
    Delete,
}

/// A step for `sites` sites. Without `lineages`, a key is never inserted twice.
pub fn step(sites: usize, lineages: bool) -> impl Strategy<Value = Step> {
    let insert = u32::from(lineages);
    let what = prop_oneof![
        insert => Just(What::Insert),
        6 => (0..COLUMNS).prop_map(What::Update),
        4 => (-9..9i64).prop_map(What::Add),
        1 => Just(What::Set),
        2 => Just(What::Delete),
    ];
    prop_oneof![
        8 => (0..sites, 0..KEYS, what, 0..4u8)
            .prop_map(|(site, key, what, after)| Step::Write { site, key, what, after }),
        1 => (0..sites).prop_map(|site| Step::Drain { site }),
        6 => (0..sites, 1..sites, proptest::option::weighted(0.3, 0..4u8), any::<bool>())
            .prop_map(move |(from, by, cut, backwards)| Step::Send { from, to: (from + by) % sites, cut, backwards }),
        1 => (any::<u16>(), 0..sites).prop_map(|(message, to)| Step::Stray { message, to }),
    ]
}

/// The same, and now and then what one site shows is declared the truth.
pub fn step_declaring(sites: usize, lineages: bool) -> impl Strategy<Value = Step> {
    prop_oneof![
        15 => step(sites, lineages),
        1 => (0..sites).prop_map(|site| Step::Declare { site }),
    ]
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// Began a lineage.
    Insert,
    /// Gave a cell its value, with the insert or later.
    Cell(ColumnId),
    /// Deleted the row.
    Delete,
    /// Was declared the truth.
    Declared,
}

/// What a drain found about the counter of a row.
#[derive(Clone, Debug)]
pub enum Counted {
    /// So much was added.
    Added(Number),
    /// Its base was given, with this stamp.
    Based(Stamp, Number),
}

/// A write that was stamped.
#[derive(Clone, Debug)]
pub struct Event {
    pub key: u8,
    pub did: Did,
    pub value: Value,
    pub stamp: Stamp,
    /// The lineage that the row has now.
    pub lineage: Stamp,
    /// The epoch that it was written in.
    pub epoch: Stamp,
    /// What the row had seen before.
    pub before: Seen,
}

/// What an administrator declared the truth.
#[derive(Clone, Debug)]
pub struct Declaration {
    pub epoch: Stamp,
    pub rows: BTreeMap<u8, Vec<Value>>,
}

#[derive(Clone, Debug)]
struct Line {
    seq: u64,
    origin: Option<usize>,
    state: RowState,
    kept: Option<Vec<Value>>,
}

/// One site and its store.
#[derive(Clone, Debug)]
pub struct Site {
    pub id: SiteId,
    skew: i64,
    table: BTreeMap<u8, Vec<Value>>,
    lines: BTreeMap<u8, Line>,
    pending: BTreeMap<u8, Vec<Mark>>,
    head: u64,
    /// The last declaration that it has met.
    pub epoch: Stamp,
    knows: BTreeMap<usize, u64>,
    /// The conflicts noticed here, in order.
    pub noticed: Vec<(u8, Conflict)>,
}

/// All sites.
#[derive(Clone, Debug)]
pub struct World {
    pub sites: Vec<Site>,
    lineages: bool,
    now: i64,
    values: i64,
    pub events: Vec<Event>,
    /// What was written of counters, by key and lineage.
    pub counted: Vec<(u8, (Stamp, Stamp), Counted)>,
    pub messages: Vec<(u8, Row)>,
    deleted_once: BTreeSet<(usize, u8)>,
    pub declared: Vec<Declaration>,
}

impl World {
    /// Sites whose clocks differ by these milliseconds, filled alike.
    pub fn new(skews: &[i64], lineages: bool) -> Self {
        let sites = skews.iter().enumerate().map(|(i, skew)| Site::new(i, *skew)).collect();
        let (events, counted, messages, deleted_once) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
        let declared = Vec::new();
        World { sites, lineages, now: 1_000, values: 100, events, counted, messages, deleted_once, declared }
    }

    pub fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
        (0..self.sites.len()).for_each(|s| self.drain(s));
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write { site, key, what, after } => self.write(site, key, what, after),
            Step::Drain { site } => self.drain(site),
            Step::Send { from, to, cut, backwards } => {
                self.send(from, to, cut.map(usize::from), backwards);
            }
            Step::Stray { message, to } => {
                if !self.messages.is_empty() {
                    let (key, row) = self.messages[usize::from(message) % self.messages.len()].clone();
                    self.drain(to);
                    self.receive(to, None, key, &row);
                }
            }
            Step::Declare { site } => self.declare(site),
        }
    }

    /// Declares what a site shows the truth for all.
    fn declare(&mut self, at: usize) {
        self.drain(at);
        let millis = u64::try_from(self.now + self.sites[at].skew).unwrap();
        let site = &mut self.sites[at];
        let epoch = Stamp::next(millis, site.epoch, site.id);
        self.declared.push(Declaration { epoch, rows: site.table.clone() });
        for (key, values) in site.table.clone() {
            let known = site.lines.get(&key).map_or_else(|| site.unheard(key), |l| l.state.clone());
            let state = known.declared(epoch, millis, site.id);
            let mut before = known.seen.clone();
            before.join(&known.before);
            let did = |did, value: Value| Event {
                key,
                did,
                value,
                stamp: state.inserted,
                lineage: state.inserted,
                epoch,
                before: before.clone(),
            };
            self.events.push(did(Did::Declared, Value::Null));
            let base = Number::of(&values[usize::from(COUNTER)]).unwrap();
            self.counted.push((key, state.lineage(), Counted::Based(state.inserted, base)));
            site.head += 1;
            site.lines.insert(key, Line { seq: site.head, origin: None, state, kept: None });
        }
        self.enter(at, epoch);
    }

    /// All that is not part of a declaration goes.
    fn enter(&mut self, at: usize, epoch: Stamp) {
        let keys: BTreeSet<u8> = self.sites[at].table.keys().copied().collect();
        let is_old = |key: &u8| self.sites[at].lines.get(key).is_none_or(|line| line.state.epoch < epoch);
        for key in keys.into_iter().filter(is_old).collect::<Vec<_>>() {
            self.receive(at, None, key, &Row { state: RowState::swept(epoch), values: None });
            // It is a grave without being written down.
            self.sites[at].lines.remove(&key);
        }
        self.sites[at].epoch = epoch.max(self.sites[at].epoch);
    }

    fn write(&mut self, at: usize, key: u8, what: What, after: u8) {
        self.now += i64::from(after);
        let millis = u64::try_from(self.now + self.sites[at].skew).unwrap();
        let values: Vec<Value> = (0..=COUNTER).map(|c| Value::Int(self.values + i64::from(c))).collect();
        self.values += i64::from(COUNTER) + 1;
        let may_insert = self.lineages || at == 0 && !self.sites[at].lines.contains_key(&key) && key >= FROM_BEFORE;
        let site = &mut self.sites[at];
        let marks = site.pending.entry(key).or_default();
        let mut mark = |operation| marks.push(Mark { operation, millis });
        match (what, site.table.get_mut(&key)) {
            (What::Update(column), Some(row)) => {
                row[usize::from(column)] = values[usize::from(column)].clone();
                mark(Operation::Update(vec![column], Vec::new()));
            }
            (What::Add(n), Some(row)) => {
                let Value::Int(before) = row[usize::from(COUNTER)] else { panic!("a counter is a number") };
                row[usize::from(COUNTER)] = Value::Int(before + n);
                mark(Operation::Update(Vec::new(), vec![(COUNTER, Number::new(n.into(), 0).unwrap())]));
            }
            (What::Set, Some(row)) => {
                row[usize::from(COUNTER)] = values[usize::from(COUNTER)].clone();
                mark(Operation::Update(vec![COUNTER], Vec::new()));
            }
            (What::Delete, Some(_)) => {
                site.table.remove(&key);
                mark(Operation::Delete);
            }
            (What::Insert, Some(row)) if self.lineages => {
                *row = values;
                mark(Operation::Delete);
                mark(Operation::Insert);
            }
            (What::Insert | What::Update(_) | What::Add(_) | What::Set, None)
                if may_insert && !self.deleted_once.contains(&(at, key)) =>
            {
                if !self.lineages {
                    self.deleted_once.insert((at, key));
                }
                site.table.insert(key, values);
                mark(Operation::Insert);
            }
            _ => {}
        }
        site.pending.retain(|_, marks| !marks.is_empty());
    }

    /// Turns a site's marks into stamps.
    pub fn drain(&mut self, at: usize) {
        for (key, marks) in std::mem::take(&mut self.sites[at].pending) {
            let site = &mut self.sites[at];
            let values = site.table.get(&key);
            let known = site.state(key);
            let before = known.clone().unwrap_or_else(|| site.unheard(key));
            let Some(state) = stamp(known.as_ref(), &marks, values.is_some(), site.author()) else { continue };
            self.events.extend(events(key, &before, &state, values));
            self.counted.extend(counted(&before, &state, values).into_iter().map(|c| (key, state.lineage(), c)));
            let site = &mut self.sites[at];
            site.head += 1;
            site.lines.insert(key, Line { seq: site.head, origin: None, state, kept: None });
        }
    }

    /// One direction of a round; returns how much came of it.
    pub fn send(&mut self, from: usize, to: usize, cut: Option<usize>, backwards: bool) -> usize {
        self.drain(from);
        self.drain(to);
        let (knowledge, epoch) = (self.sites[from].knows.clone(), self.sites[from].epoch);
        let since = self.sites[to].knows.get(&from).copied().unwrap_or(0);
        let head = self.sites[from].head;
        let mut stream: Vec<(u64, u8, Row)> = self.sites[from].changes(since, to);
        if backwards {
            stream.reverse();
        }
        let moved = stream.len();
        for (i, (seq, key, row)) in stream.into_iter().enumerate() {
            if cut == Some(i) {
                return i;
            }
            self.messages.push((key, row.clone()));
            self.receive(to, Some(from), key, &row);
            if !backwards {
                // Batch by batch.
                let known = self.sites[to].knows.entry(from).or_default();
                *known = seq.max(*known);
            }
        }
        let knows = &mut self.sites[to].knows;
        for (source, seq) in knowledge.into_iter().chain([(from, head)]).filter(|(s, _)| *s != to) {
            let known = knows.entry(source).or_default();
            *known = seq.max(*known);
        }
        let enters = epoch > self.sites[to].epoch;
        if enters {
            self.enter(to, epoch);
        }
        moved + usize::from(enters)
    }

    fn receive(&mut self, to: usize, from: Option<usize>, key: u8, incoming: &Row) {
        let site = &mut self.sites[to];
        let local = site.row(key);
        let planned = Planned::new(local.as_ref(), incoming);
        judge(local.as_ref(), incoming, &planned);
        site.noticed.extend(planned.conflicts.iter().map(|c| (key, c.clone())));
        match (planned.row.state.is_live(), &planned.row.values) {
            (true, Some(values)) => drop(site.table.insert(key, values.clone())),
            (true, None) => panic!("a live row has no values"),
            (false, _) => drop(site.table.remove(&key)),
        }
        let state = planned.row.state;
        let kept = planned.row.values.filter(|_| !state.is_live());
        match planned.relation {
            Relation::Dominated => {
                if let Some(line) = site.lines.get_mut(&key).filter(|_| planned.saw_more) {
                    (line.state, line.kept) = (state, kept);
                }
            }
            relation => {
                site.head += 1;
                let origin = from.filter(|_| relation == Relation::Taken);
                site.lines.insert(key, Line { seq: site.head, origin, state, kept });
            }
        }
    }

    /// Rounds over these links until nothing moves; returns how often all were gone through.
    pub fn settle(&mut self, links: &[(usize, usize)]) -> usize {
        for turn in 1..=3 * self.sites.len() + 3 {
            let moved: usize =
                links.iter().map(|(a, b)| self.send(*b, *a, None, false) + self.send(*a, *b, None, false)).sum();
            if moved == 0 {
                return turn;
            }
        }
        panic!("the rounds never go quiet");
    }

    /// All conflicts that any site noticed.
    pub fn conflicts(&self) -> impl Iterator<Item = &(u8, Conflict)> {
        self.sites.iter().flat_map(|s| &s.noticed)
    }
}

impl Site {
    fn new(index: usize, skew: i64) -> Self {
        let values = |key: u8| (0..=COUNTER).map(|c| Value::Int(i64::from(key) * 10 + i64::from(c))).collect();
        Site {
            id: SiteId::new(index as u64 + 1).unwrap(),
            skew,
            table: (0..FROM_BEFORE).map(|key| (key, values(key))).collect(),
            lines: BTreeMap::new(),
            pending: BTreeMap::new(),
            head: 0,
            epoch: Stamp::NEVER,
            knows: BTreeMap::new(),
            noticed: Vec::new(),
        }
    }

    fn author(&self) -> Author {
        Author { site: self.id, history: Incarnation(self.id.number().into()) }
    }

    fn unheard(&self, key: u8) -> RowState {
        if key < FROM_BEFORE { RowState::baseline() } else { RowState::default() }
    }

    /// What is known of a row, if it was ever heard of.
    fn state(&self, key: u8) -> Option<RowState> {
        let line = self.lines.get(&key).map(|line| line.state.raised(self.epoch));
        line.or_else(|| (self.epoch > Stamp::NEVER).then(|| RowState::swept(self.epoch)))
    }

    /// The row as merging sees it.
    pub fn row(&self, key: u8) -> Option<Row> {
        let values = self.table.get(&key).cloned();
        let kept = || self.lines.get(&key).filter(|line| line.state.epoch >= self.epoch)?.kept.clone();
        match self.state(key) {
            Some(state) => Some(Row { state, values: values.or_else(kept) }),
            None => values.map(|values| Row { state: RowState::baseline(), values: Some(values) }),
        }
    }

    /// What the application sees.
    pub fn visible(&self) -> &BTreeMap<u8, Vec<Value>> {
        &self.table
    }

    fn changes(&self, since: u64, to: usize) -> Vec<(u64, u8, Row)> {
        let wanted = |(_, line): &(&u8, &Line)| line.seq > since && line.origin != Some(to);
        let row = |(key, line): (&u8, &Line)| Some((line.seq, *key, self.row(*key)?));
        let mut changes: Vec<_> = self.lines.iter().filter(wanted).filter_map(row).collect();
        changes.sort_by_key(|c| c.0);
        changes
    }
}

/// The writes that a drain stamped and that are still there, and a delete.
fn events(key: u8, before: &RowState, after: &RowState, values: Option<&Vec<Value>>) -> Vec<Event> {
    let event = |did, stamp: Stamp, value: Value| {
        let (lineage, epoch) = (after.inserted, after.epoch);
        let mut seen = before.seen.clone();
        seen.join(&before.before);
        Event { key, did, value, stamp, lineage, epoch, before: seen }
    };
    let Some(values) = values else { return vec![event(Did::Delete, after.deleted, Value::Null)] };
    let mut events: Vec<Event> = (0..COLUMNS)
        .filter(|c| after.cell(*c) != before.cell(*c))
        .map(|c| event(Did::Cell(c), after.cell(c), values[usize::from(c)].clone()))
        .collect();
    if after.inserted != before.inserted {
        events.push(event(Did::Insert, after.inserted, Value::Null));
    }
    events
}

/// What the drain of one row found about its counter.
fn counted(before: &RowState, after: &RowState, values: Option<&Vec<Value>>) -> Vec<Counted> {
    let begins = after.inserted != before.inserted;
    let added = if begins { after.added(COUNTER) } else { after.added(COUNTER).minus(before.added(COUNTER)) };
    let mut all = vec![Counted::Added(added)];
    if let Some(values) = values.filter(|_| begins || after.cell(COUNTER) != before.cell(COUNTER)) {
        let value = Number::of(&values[usize::from(COUNTER)]).unwrap();
        all.push(Counted::Based(after.cell(COUNTER), value.minus(after.added(COUNTER))));
    }
    all
}

/// What must hold of every single merge.
fn judge(local: Option<&Row>, incoming: &Row, planned: &Planned) {
    let local = local.cloned().unwrap_or_default();
    let content = |s: &RowState| (s.lineage(), s.deleted, s.is_live().then(|| (s.cells.clone(), s.sums.clone())));
    let outcome = content(&planned.row.state);
    match planned.relation {
        Relation::Dominated => {
            assert_eq!(outcome, content(&local.state));
            assert_eq!(planned.effect, Effect::None, "dominated, but something is shown");
        }
        Relation::Taken => assert_eq!(outcome, content(&incoming.state)),
        Relation::Mixed => assert!(outcome != content(&local.state) && outcome != content(&incoming.state)),
    }
    assert_eq!(sync_core::merge::join(&planned.row.state, &incoming.state), planned.row.state);
    assert_eq!(sync_core::merge::join(&local.state, &planned.row.state), planned.row.state);
    let again = Planned::new(Some(&planned.row), incoming);
    assert_eq!((again.relation, &again.effect, again.conflicts.len()), (Relation::Dominated, &Effect::None, 0));
    for conflict in &planned.conflicts {
        assert!(conflict.kind == ConflictKind::DeleteLost || conflict.winning != conflict.losing, "{conflict:?}");
    }
}

/// Links of a chain, a star, a ring and a mesh.
pub fn topologies(sites: usize) -> Vec<Vec<(usize, usize)>> {
    let chain: Vec<_> = (1..sites).map(|i| (i - 1, i)).collect();
    let star = (1..sites).map(|i| (0, i)).collect();
    let ring = (0..sites).map(|i| (i, (i + 1) % sites)).filter(|(a, b)| a != b).collect();
    let mesh = (0..sites).flat_map(|a| (a + 1..sites).map(move |b| (a, b))).collect();
    vec![chain, star, ring, mesh]
}
