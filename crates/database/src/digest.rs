//! Answering the questions of a full compare beside the database: tables are read through once, in short statements over
//! ranges of the key, and each row is reduced to a hash as it comes from the wire. Writes nothing, and decides nothing.
//!
//! What is hashed is the application's row as it is; rows whose true values are in their lines are named besides
//! ([`Answer::Aside`]).

use std::collections::HashMap;

use sync_core::digest::{Buckets, Cells, Cutter, Node, Order, RowHash, Span, bucket, fold, supers};
use sync_core::resolve::Name;
use sync_core::{RowId, Source, Value, key};
use sync_store::digest::TOGETHER;
use sync_store::{Answer, Answers, Candidates, Method, Question, Result, Scope, Standing, Standpoint};

use crate::changes::{Page, read_page};
use crate::database::Database;
use crate::dialect::Dialect;
use crate::drain::unknown_table;
use crate::layout::Tracked;
use crate::leaves::{Packed, within};
use crate::meta::{self, Line};
use crate::sql::{Fields, Sql};
use crate::{parked, sums, tables, vector};

/// Rows read by one statement: about a tenth of a second.
const PAGE: usize = 50_000;

/// The same where reading is to stop soon.
const SHORT_PAGE: usize = 8_192;

/// Rows in one answer.
const PIECE: usize = 4_096;

/// Rows between two signs of life.
const STEP: u64 = 16_384;

/// Answers.
pub fn answer(db: &mut Database, question: &Question, answers: &mut Answers) -> Result<()> {
    match question {
        Question::Supers(scopes) => {
            db.leaves.clear();
            each(scopes, |i, scope| read_through(db, i, scope, answers))
        }
        Question::Leaves(scopes) => each(scopes, |i, scope| leaves(db, i, scope, answers)),
        Question::Rows(scopes) => each(scopes, |i, scope| rows(db, i, scope, answers)),
        Question::Ends(scopes) => each(scopes, |i, scope| sums::ends(db, i, scope, answers)),
        Question::Sums(scopes) => each(scopes, |i, scope| sums::sums(db, i, scope, answers)),
        Question::Standings(all) => each(all, |scope, candidates| {
            let standings = standings(db, candidates)?;
            answers(Answer::Standings { scope, standings })
        }),
    }
}

fn each<T>(all: &[T], mut work: impl FnMut(usize, &T) -> Result<()>) -> Result<()> {
    all.iter().enumerate().try_for_each(|(i, one)| work(i, one))
}

fn read_through(db: &mut Database, scope: usize, wanted: &Scope, answers: &mut Answers) -> Result<()> {
    let mut kept = Packed::with_room(db.leaves.values().map(Packed::size).sum(), wanted.order);
    let mut reading = Reading::new(db, wanted)?;
    let about = if wanted.limit == 0 { reading.about()? } else { 0 };
    answers(Answer::Begins { scope, about })?;
    for (span, bounds) in wanted.spans.iter().enumerate() {
        let mut nodes = Vec::new();
        reading.leaves(bounds, &mut |rows| answers(Answer::Read { scope, rows }), &mut |leaves| {
            nodes.extend(supers(&leaves, wanted.order));
            kept.add(&leaves, wanted.order);
            Ok(())
        })?;
        answers(Answer::Nodes { scope, span, nodes })?;
    }
    let rows = reading.aside()?;
    db.leaves.insert(wanted.table.clone(), kept);
    answers(Answer::Aside { scope, rows })
}

fn leaves(db: &mut Database, scope: usize, wanted: &Scope, answers: &mut Answers) -> Result<()> {
    let kept = db.leaves.remove(&wanted.table).unwrap_or_default();
    let places = kept.places();
    for (span, bounds) in wanted.spans.iter().enumerate() {
        let nodes = match kept.within(&places, bounds)? {
            Some(nodes) => nodes,
            None => read_again(&mut Reading::new(db, wanted)?, scope, bounds, answers)?,
        };
        answers(Answer::Nodes { scope, span, nodes })?;
    }
    Ok(())
}

fn read_again(reading: &mut Reading, scope: usize, span: &Span, answers: &mut Answers) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    reading.leaves(span, &mut |rows| answers(Answer::Read { scope, rows }), &mut |leaves| {
        nodes.extend(leaves);
        Ok(())
    })?;
    Ok(nodes)
}

fn rows(db: &mut Database, scope: usize, wanted: &Scope, answers: &mut Answers) -> Result<()> {
    if wanted.order == Order::Buckets {
        return Reading::new(db, wanted)?.bucket_rows(scope, answers);
    }
    each(&wanted.spans.chunks(TOGETHER).collect::<Vec<_>>(), |i, spans| {
        let mut pieces = Pieces { scope, span: i * TOGETHER, rows: Vec::new(), answers: &mut *answers };
        match wanted.method {
            Method::Summed => sums::rows(db, wanted, spans, &mut pieces)?,
            Method::Read => {
                Reading::new(db, wanted)?.each(spans, |key, hash| pieces.add(key, fold(hash)).map(|()| true))?;
            }
        }
        pieces.finish()
    })
}

/// Rows on their way out, in pieces.
pub(crate) struct Pieces<'a, 'b> {
    scope: usize,
    span: usize,
    rows: Vec<RowHash>,
    answers: &'a mut Answers<'b>,
}

impl Pieces<'_, '_> {
    pub fn add(&mut self, key: &[u8], hash: u64) -> Result<()> {
        self.rows.push(RowHash { key: key.to_vec(), hash });
        if self.rows.len() < PIECE { Ok(()) } else { self.send(false) }
    }

    fn send(&mut self, last: bool) -> Result<()> {
        let (scope, span, rows) = (self.scope, self.span, std::mem::take(&mut self.rows));
        (self.answers)(Answer::Rows { scope, span, rows, last })
    }

    fn finish(mut self) -> Result<()> {
        self.send(true)
    }
}

/// Hears how many more rows were read.
pub(crate) type Told<'a> = dyn FnMut(u64) -> Result<()> + 'a;

/// Receives leaves.
pub(crate) type Leaves<'a> = dyn FnMut(Vec<Node>) -> Result<()> + 'a;

/// Whether a span begins behind a key, and whether it ends with one.
type Ends = (bool, bool);

/// Reading one table.
pub(crate) struct Reading<'a> {
    pub sql: &'a mut dyn Sql,
    pub dialect: &'a dyn Dialect,
    pub tracked: &'a Tracked,
    pub scope: &'a Scope,
    /// What is read of each row, as it stands in a SELECT.
    pub columns: String,
    pub cells: Cells,
}

impl<'a> Reading<'a> {
    pub fn new(db: &'a mut Database, scope: &'a Scope) -> Result<Self> {
        let tracked = db.catalog.named(&scope.table).ok_or_else(|| unknown_table(&scope.table))?;
        let c = &mut db.connections;
        let sql = c.reader.as_mut().unwrap_or(&mut c.writer).as_mut();
        let dialect = c.dialect.as_ref();
        let columns = tracked.columns(dialect, &by_name(tracked));
        Ok(Reading { sql, dialect, tracked, scope, columns, cells: cells(tracked) })
    }

    pub fn about(&mut self) -> Result<u64> {
        let table = &self.tracked.table.name;
        let row = self.sql.first(&self.dialect.count_roughly(table), &[])?;
        Fields::of(row.unwrap_or_default()).unsigned()
    }

    /// Gives the leaves of a span to `sink` as they end, a super-leaf's or fewer at a time.
    pub fn leaves(&mut self, span: &Span, read: &mut Told, sink: &mut Leaves) -> Result<()> {
        match self.scope.order {
            Order::Keys => self.cut(span, read, sink),
            Order::Buckets => self.spread(span, read, sink),
        }
    }

    fn spread(&mut self, span: &Span, read: &mut Told, sink: &mut Leaves) -> Result<()> {
        let mut buckets = Buckets::default();
        let mut count = Count::default();
        self.each(&[], |key, hash| {
            buckets.add(key, hash);
            count.one(read).map(|()| true)
        })?;
        count.finish(read)?;
        let all = buckets.finish();
        sink(within(&all, span).unwrap_or(&all).to_vec())
    }

    fn cut(&mut self, span: &Span, read: &mut Told, sink: &mut Leaves) -> Result<()> {
        let mut cutter = Cutter::default();
        let mut count = Count::default();
        let limit = self.scope.limit;
        let whole = self.each(std::slice::from_ref(span), |key, hash| {
            let ends_super = cutter.add(key, hash);
            count.one(read)?;
            if ends_super {
                sink(cutter.take())?;
            }
            Ok(!(ends_super && limit > 0 && count.total >= limit))
        })?;
        count.finish(read)?;
        sink(cutter.finish(whole.then_some(span.upto.as_slice())))
    }

    /// Calls `row` with the key and the hash of each row of these spans (none: of the table), in key order, until it says no.
    /// Says whether it never did.
    fn each(&mut self, spans: &[Span], mut row: impl FnMut(&[u8], u128) -> Result<bool>) -> Result<bool> {
        let page = if self.scope.limit > 0 { SHORT_PAGE } else { PAGE };
        let (mut key, mut after) = (Vec::new(), Vec::new());
        loop {
            let (statement, params) = self.statement(spans, &after, page)?;
            let (mut found, mut goes_on) = (0, true);
            self.sql.digest(&statement, &params, &mut self.cells, &mut |cells| {
                found += 1;
                if goes_on {
                    cells.key(&mut key);
                    goes_on = row(&key, cells.hash())?;
                }
                Ok(())
            })?;
            if !goes_on || found < page {
                return Ok(goes_on);
            }
            after.clone_from(&key);
        }
    }

    /// The rows of these spans that are behind the key `after`.
    pub fn statement(&self, spans: &[Span], after: &[u8], limit: usize) -> Result<(String, Vec<Value>)> {
        let (bounds, params) = self.bounds(spans, after)?;
        let statement = self.tracked.select_spans(self.dialect, &self.columns, &bounds, !after.is_empty(), limit);
        Ok((statement, params))
    }

    /// Which ends these spans have, and the parameters for them and then for a key `after`.
    pub fn bounds(&self, spans: &[Span], after: &[u8]) -> Result<(Vec<Ends>, Vec<Value>)> {
        let mut params = Vec::new();
        let ends = spans.iter().flat_map(|span| [span.after.as_slice(), &span.upto]).chain([after]);
        for end in ends.filter(|end| !end.is_empty()) {
            params.extend(self.tracked.following_params(self.dialect, &key::unpack(end)?));
        }
        Ok((spans.iter().map(|s| (!s.after.is_empty(), !s.upto.is_empty())).collect(), params))
    }

    fn bucket_rows(&mut self, scope: usize, answers: &mut Answers) -> Result<()> {
        let spans = &self.scope.spans;
        let mut waiting: Vec<Vec<RowHash>> = vec![Vec::new(); spans.len()];
        self.each(&[], |key, hash| {
            let number = bucket(key);
            // Spans are in order, and disjoint.
            let span = spans.partition_point(|s| !s.upto.is_empty() && s.upto.as_slice() < &number[..]);
            if spans.get(span).is_some_and(|s| s.after.as_slice() < &number[..]) {
                waiting[span].push(RowHash { key: key.to_vec(), hash: fold(hash) });
                if waiting[span].len() >= PIECE {
                    let rows = std::mem::take(&mut waiting[span]);
                    answers(Answer::Rows { scope, span, rows, last: false })?;
                }
            }
            Ok(true)
        })?;
        let mut rest = waiting.into_iter().enumerate();
        rest.try_for_each(|(span, rows)| answers(Answer::Rows { scope, span, rows, last: true }))
    }

    /// The rows that the table does not show as they are.
    pub fn aside(&mut self) -> Result<Vec<RowHash>> {
        let mut lines = Vec::new();
        meta::set_aside(self.sql, self.tracked.number(), &mut |id, line| {
            lines.push((id, line));
            Ok(())
        })?;
        let mut rows = Vec::new();
        for lines in lines.chunks(PIECE) {
            let keys = lines.iter().map(|(id, line)| line.key(id)).collect::<Result<Vec<_>>>()?;
            let mut shown = tables::read_still(self.sql, self.dialect, self.tracked, &keys, false)?;
            for ((id, line), key) in lines.iter().zip(&keys) {
                if let Some(values) = truth(Some(line), shown.remove(id)).filter(|_| line.state.is_live()) {
                    let hash = fold(hash_of(&mut self.cells, self.tracked, &values));
                    rows.push(RowHash { key: key::pack(key), hash });
                }
            }
        }
        Ok(rows)
    }
}

/// Counts rows, and gives signs of life.
#[derive(Default)]
struct Count {
    total: u64,
    told: u64,
}

impl Count {
    fn one(&mut self, read: &mut Told) -> Result<()> {
        self.total += 1;
        if self.total - self.told < STEP {
            return Ok(());
        }
        self.told += STEP;
        read(STEP)
    }

    fn finish(self, read: &mut Told) -> Result<()> {
        read(self.total - self.told)
    }
}

/// The ids of the columns in the order of their names: the order in which they are hashed.
fn by_name(tracked: &Tracked) -> Vec<u16> {
    let mut ids = tracked.ids.clone();
    ids.sort_by_key(|id| tracked.name_of(*id));
    ids
}

fn cells(tracked: &Tracked) -> Cells {
    let order = by_name(tracked);
    let place = |at: &usize| order.iter().position(|id| *id == tracked.ids[*at]).unwrap_or_default();
    Cells::new(order.len(), tracked.key_at.iter().map(place).collect())
}

/// The hash of a row given over all registered ids.
fn hash_of(cells: &mut Cells, tracked: &Tracked, values: &[Value]) -> u128 {
    cells.clear();
    let null = Value::Null;
    by_name(tracked).iter().for_each(|id| cells.value(values.get(usize::from(*id)).unwrap_or(&null)));
    cells.hash()
}

/// The true values of a row: those that its line keeps because the table cannot show them, else those in the table.
fn truth(line: Option<&Line>, shown: Option<Vec<Value>>) -> Option<Vec<Value>> {
    match line {
        Some(line) if line.state.is_live() => line.kept.true_values(shown),
        _ => shown,
    }
}

fn standings(db: &mut Database, candidates: &Candidates) -> Result<Vec<Standing>> {
    let peer = vector::number(db.connections.writer.as_mut(), candidates.peer)?;
    let tracked = db.catalog.named(&candidates.table).ok_or_else(|| unknown_table(&candidates.table))?.clone();
    let sources = vector::sources(db.connections.writer.as_mut())?;
    let since = candidates.held.unwrap_or(candidates.position.seq);
    let (_, found) = read_page(db, |page| {
        let mut found = HashMap::new();
        for keys in tables::pieces(page.sql, page.dialect, &tracked, candidates.keys.clone())? {
            page_standings(page, &tracked, &keys, (peer, since), &sources, &mut found)?;
        }
        Ok(found)
    })?;
    let standing = |key: &Vec<Value>| found.get(&RowId::of(key)).cloned().unwrap_or_default();
    Ok(candidates.keys.iter().map(standing).collect())
}

fn standpoint(line: &Line, sources: &HashMap<u16, Source>) -> Standpoint {
    let (inserted, newest) = (line.state.inserted, line.state.newest());
    let (origin, seen) = (sources.get(&line.origin).copied(), line.state.seen.stamps().collect());
    Standpoint { seq: line.seq, origin, inserted, newest, seen }
}

fn page_standings(
    page: &mut Page,
    tracked: &Tracked,
    keys: &[Vec<Value>],
    (peer, since): (u16, u64),
    sources: &HashMap<u16, Source>,
    found: &mut HashMap<RowId, Standing>,
) -> Result<()> {
    let ids: Vec<RowId> = keys.iter().map(|k| RowId::of(k)).collect();
    let lines = meta::load(page.sql, tracked.number(), &ids)?;
    let pending = page.pending(tracked, keys)?;
    let mut shown = tables::read_still(page.sql, page.dialect, tracked, keys, false)?;
    // Rows that stay although they were deleted, because others refer to them, are not there.
    let is_dead = |id: &RowId| lines.state_of(id).is_some_and(|state| !state.is_live());
    let dead = |id: &&RowId| shown.contains_key(id) && is_dead(id);
    let names: Vec<Name> = ids.iter().filter(dead).map(|id| (tracked.number(), id.clone())).collect();
    for (_, id) in parked::of(page.sql, &names)?.into_keys() {
        shown.remove(&id);
    }
    let mut cells = cells(tracked);
    for id in ids {
        let (line, values) = (lines.get(&id), shown.remove(&id));
        let (is_pending, is_there) = (pending.contains(&id), values.is_some());
        let standing = Standing {
            hash: truth(line, values).map(|values| hash_of(&mut cells, tracked, &values)),
            travels: is_pending || line.is_some_and(|l| l.seq > since && l.origin != peer),
            line: line.map(|l| standpoint(l, sources)),
            unmarked: !is_pending && is_there && is_dead(&id),
            content: None,
        };
        found.insert(id, standing);
    }
    Ok(())
}
