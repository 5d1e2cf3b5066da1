//! Finding the rows in which two stores differ, without either sending its tables: both read theirs at once and only
//! digests cross. Four exchanges for any number of tables: super-leaves, the leaves of those that differ, the rows of the
//! leaves that differ, and how the rows that seem to differ stand now. The application goes on writing meanwhile: a row
//! counts only if it differs in the end and no stream of changes will bring it. Changes nothing; what becomes of a
//! difference is the caller's business.

mod ask;
mod join;
mod review;
mod slice;
mod summed;
mod traffic;

use std::collections::HashSet;
use std::sync::mpsc::Receiver;

pub use ask::Stores;
use ask::{Questions, mixed, paired};
use join::Join;
pub(crate) use join::Keys;
pub use review::{Differences, Doubtful, Reach, Reaches, Review};
use sync_core::digest::{Node, Order, RowHash, Span, differing};
use sync_store::digest::TOGETHER;
use sync_store::{Answer, Method, Question, Scope};
pub use traffic::Traffic;

use crate::error::{EngineError, Kind, Result};
use crate::report::{Event, Watch};

/// Which store a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The master's.
    Master = 0,
    /// The slave's.
    Slave = 1,
}

const SIDES: usize = 2;

/// What was found in one table.
pub struct Found {
    /// The table.
    pub table: String,
    /// Rows read at the master and at the slave.
    pub rows: [u64; SIDES],
    /// Up to which key; empty if up to the end.
    pub upto: Vec<u8>,
    keys: Keys,
}

impl Found {
    /// How many rows may differ, before it was looked at again.
    pub fn candidates(&self) -> u64 {
        self.keys.count()
    }
}

/// Compares parts of tables.
///
/// # Errors
/// If a store cannot be read, or temporary files cannot be written.
pub fn find(
    stores: &mut Stores,
    scopes: Vec<Scope>,
    traffic: &mut Traffic,
    watch: &mut dyn Watch,
) -> Result<Vec<Found>> {
    if scopes.is_empty() {
        // A quiet round has nothing to ask.
        return Ok(Vec::new());
    }
    let mut works: Vec<Work> = scopes.into_iter().map(Work::new).collect();
    read_through(stores, &mut works, traffic, watch)?;
    slice::align(stores, &mut works, traffic)?;
    let spans = works.iter().map(Work::differing).collect();
    let mut spans = leaves(stores, &works, spans, traffic)?;
    summed::differing(stores, &mut works, &mut spans, traffic, watch)?;
    rows(stores, &mut works, spans, traffic)?;
    works.into_iter().map(Work::found).collect()
}

/// One table on its way through the exchanges.
struct Work {
    scope: Scope,
    /// The super-leaves.
    nodes: [Vec<Node>; SIDES],
    /// The rows whose true values are not in the table.
    aside: [Vec<RowHash>; SIDES],
    keys: Keys,
}

impl Work {
    fn new(scope: Scope) -> Self {
        Work { scope, nodes: Default::default(), aside: Default::default(), keys: Keys::default() }
    }

    fn after(&self) -> &[u8] {
        self.scope.spans.first().map_or(&[], |s| &s.after)
    }

    fn differing(&self) -> Vec<Span> {
        differing(self.after(), &self.nodes[0], &self.nodes[1])
    }

    fn found(mut self) -> Result<Found> {
        self.add_aside()?;
        let rows = [0, 1].map(|side: usize| self.nodes[side].iter().map(|n| n.rows).sum());
        let upto = self.nodes[0].last().map(|n| n.end.clone()).unwrap_or_default();
        Ok(Found { table: self.scope.table, rows, upto, keys: self.keys })
    }

    /// Of rows that are aside at one side, the other's true values can be anywhere: they are looked at by themselves.
    fn add_aside(&mut self) -> Result<()> {
        let [master, slave] = &self.aside;
        let mut keys: Vec<&RowHash> = master.iter().chain(slave).collect();
        keys.sort_by(|a, b| (&a.key, a.hash).cmp(&(&b.key, b.hash)));
        for same in keys.chunk_by(|a, b| a.key == b.key) {
            let agree = same.len() == SIDES && same[0].hash == same[1].hash;
            if !agree {
                self.keys.add(&same[0].key)?;
            }
        }
        Ok(())
    }
}

/// How far each table was read.
struct Progress(Vec<(u64, u64)>);

impl Progress {
    fn begins(&mut self, place: usize, about: u64) -> Result<()> {
        at(&mut self.0, place)?.1 += about;
        Ok(())
    }

    fn read(&mut self, place: usize, name: &str, rows: u64, watch: &mut dyn Watch) -> Result<()> {
        let (done, total) = at(&mut self.0, place)?;
        *done += rows;
        let (rows, total) = (*done, (*total).max(*done));
        watch.event(Event::Table { name, rows, total });
        Ok(())
    }
}

fn read_through(stores: &mut Stores, works: &mut [Work], traffic: &mut Traffic, watch: &mut dyn Watch) -> Result<()> {
    let asked = Asked::by(works, Method::Read);
    let mut progress = Progress(vec![(0, 0); works.len()]);
    asked.mixed(stores, Question::Supers, traffic, |side, answer| {
        match answer {
            Answer::Begins { scope, about } => progress.begins(asked.place(scope)?, about)?,
            Answer::Read { scope, rows } => {
                let place = asked.place(scope)?;
                progress.read(place, &works[place].scope.table, rows, watch)?;
            }
            Answer::Nodes { scope, nodes, .. } => at(works, asked.place(scope)?)?.nodes[side as usize].extend(nodes),
            Answer::Aside { scope, rows } => at(works, asked.place(scope)?)?.aside[side as usize].extend(rows),
            _ => return Err(confused()),
        }
        Ok(())
    })
}

/// Narrows spans of super-leaves, one list for each table, to spans of leaves. Leaves are looked at span by span as they
/// come from both sides, and none is kept.
fn leaves(stores: &mut Stores, works: &[Work], spans: Vec<Vec<Span>>, traffic: &mut Traffic) -> Result<Vec<Vec<Span>>> {
    let asked = Asked::new(works, spans);
    let mut narrowed = vec![Vec::new(); works.len()];
    if asked.scopes.is_empty() {
        return Ok(narrowed);
    }
    let questions = Questions::alike(Question::Leaves(asked.scopes.clone()));
    traffic.ask(&questions.slave);
    paired(stores, &questions, |answers| {
        for (scope, place) in asked.places.iter().enumerate() {
            for (number, span) in asked.scopes[scope].spans.iter().enumerate() {
                let mut nodes = |side: Side| nodes(answers[side as usize], side, (scope, number), traffic);
                let (ours, theirs) = (nodes(Side::Master)?, nodes(Side::Slave)?);
                narrowed[*place].extend(differing(&span.after, &ours, &theirs));
            }
        }
        Ok(())
    })?;
    Ok(narrowed)
}

/// The next nodes of a side, which must be those of this scope and span.
fn nodes(answers: &Receiver<Answer>, side: Side, expected: (usize, usize), traffic: &mut Traffic) -> Result<Vec<Node>> {
    loop {
        let answer = answers.recv().map_err(|_| confused())?;
        traffic.hear(side, &answer);
        match answer {
            Answer::Nodes { scope, span, nodes } if (scope, span) == expected => return Ok(nodes),
            Answer::Read { .. } => {}
            _ => return Err(confused()),
        }
    }
}

/// The tables that are asked about again.
struct Asked {
    /// Which of all.
    places: Vec<usize>,
    scopes: Vec<Scope>,
}

impl Asked {
    /// All whose rows become digests so.
    fn by(works: &[Work], method: Method) -> Self {
        let wanted = works.iter().enumerate().filter(|(_, work)| work.scope.method == method);
        let (places, scopes) = wanted.map(|(i, work)| (i, work.scope.clone())).unzip();
        Asked { places, scopes }
    }

    /// Which of all a scope is.
    fn place(&self, scope: usize) -> Result<usize> {
        self.places.get(scope).copied().ok_or_else(confused)
    }

    fn new(works: &[Work], spans: Vec<Vec<Span>>) -> Self {
        let (places, scopes) = spans
            .into_iter()
            .enumerate()
            .filter(|(_, spans)| !spans.is_empty())
            .map(|(i, spans)| (i, Scope { spans, limit: 0, ..works[i].scope.clone() }))
            .unzip();
        Asked { places, scopes }
    }

    fn mixed(
        &self,
        stores: &mut Stores,
        question: impl Fn(Vec<Scope>) -> Question,
        traffic: &mut Traffic,
        mut answered: impl FnMut(Side, Answer) -> Result<()>,
    ) -> Result<()> {
        if self.scopes.is_empty() {
            return Ok(());
        }
        let questions = Questions::alike(question(self.scopes.clone()));
        traffic.ask(&questions.slave);
        mixed(stores, &questions, |side, answer| {
            traffic.hear(side, &answer);
            answered(side, answer)
        })
    }
}

/// Reads the rows of these spans on both sides, and notes the keys of those that differ.
fn rows(stores: &mut Stores, works: &mut [Work], spans: Vec<Vec<Span>>, traffic: &mut Traffic) -> Result<()> {
    let asked = Asked::new(works, spans);
    if asked.scopes.is_empty() {
        return Ok(());
    }
    let questions = Questions::alike(Question::Rows(asked.scopes.clone()));
    traffic.ask(&questions.slave);
    paired(stores, &questions, |answers| {
        for (i, scope) in asked.scopes.iter().enumerate() {
            let work = at(works, asked.places[i])?;
            match scope.order {
                Order::Keys => {
                    scope.spans.chunks(TOGETHER).try_for_each(|_| work.join(answers, 1, traffic))?;
                }
                Order::Buckets => work.join(answers, scope.spans.len(), traffic)?,
            }
        }
        Ok(())
    })
}

impl Work {
    /// Joins what both sides have of the spans that come in so many answers.
    fn join(&mut self, answers: [&Receiver<Answer>; SIDES], ends: usize, traffic: &mut Traffic) -> Result<()> {
        let mut join = Join::default();
        for side in [Side::Master, Side::Slave] {
            let aside: HashSet<&[u8]> = self.aside[side as usize].iter().map(|r| r.key.as_slice()).collect();
            let mut left = ends;
            while left > 0 {
                let answer = answers[side as usize].recv().map_err(|_| confused())?;
                traffic.hear(side, &answer);
                let Answer::Rows { mut rows, last, .. } = answer else { return Err(confused()) };
                rows.retain(|row| aside.is_empty() || !aside.contains(row.key.as_slice()));
                join.add(side, rows)?;
                left -= usize::from(last);
            }
        }
        let keys = &mut self.keys;
        let aside: HashSet<&[u8]> = self.aside.iter().flatten().map(|r| r.key.as_slice()).collect();
        join.finish(&mut |key| if aside.contains(key) { Ok(()) } else { keys.add(key) })
    }
}

fn at<T>(all: &mut [T], place: usize) -> Result<&mut T> {
    all.get_mut(place).ok_or_else(confused)
}

fn confused() -> EngineError {
    EngineError::new(Kind::Failure, "a site answered something else than it was asked")
        .hint("run the same version of server_sync at both sites")
}
