//! The rows that one side has and the other has not, on their way: outlined, braked if they delete too much, carried, and
//! recorded.

use sync_core::{Knowledge, Position, Value};
use sync_store::{Applied, Batch, Completed, Mode, Outline, Since, Store, Streamed};

use crate::brake;
use crate::error::{EngineError, Result};
use crate::parties::Parties;
use crate::report::{Direction, Event, RoundReport, Watch};
use crate::restores;
use crate::round::Options;
use crate::transfer::{Rest, pour};

/// One direction's stream of changes.
pub(crate) struct Stream<'a> {
    pub direction: Direction,
    pub start: Position,
    /// What was written before the documents were gone through; later rows wait for the next round.
    pub bound: Option<Position>,
    pub sender_knows: &'a Knowledge,
    pub receiver_knows: &'a Knowledge,
}

impl Stream<'_> {
    pub(crate) fn run(
        &self,
        parties: &mut Parties,
        options: &Options,
        report: &mut RoundReport,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let since = self.since(parties);
        let head = self.head(parties, report)?;
        let left = parties.left.sender(self.direction);
        let streamed = if head.seq == self.start.seq && since.held.is_empty() && !left {
            Streamed { end: head, whole: true }
        } else {
            self.transfer(parties, &since, options, report, watch)?
        };
        self.complete(parties, streamed)?;
        // What was left out comes with the next stream; until then it must not be taken for deleted.
        if streamed.whole { restores::take_over(parties, self.direction, report, watch) } else { Ok(()) }
    }

    fn since(&self, parties: &Parties) -> Since {
        let tables = parties.agreement.tables.clone();
        let held = self.receiver_knows.held(parties.sender(self.direction).source);
        let held = held.filter(|(t, _)| tables.iter().any(|a| a == t)).map(|(t, s)| (t.to_owned(), s)).collect();
        Since {
            receiver: parties.receiver(self.direction).source,
            position: self.start,
            held,
            tables,
            upto: self.bound,
        }
    }

    /// The sender's head; since the handshake only the rows of the other direction, or of a compare, moved it. What was copied to it
    /// in bulk is nothing to be sent back.
    fn head(&self, parties: &mut Parties, report: &RoundReport) -> Result<Position> {
        if let Some(bound) = self.bound.filter(|_| parties.is_compared) {
            return Ok(bound);
        }
        let is_copy = parties.copied.is_some_and(|direction| direction != self.direction);
        if self.bound.is_some() || is_copy || report.is_quiet() && !parties.is_compared {
            return Ok(parties.sender(self.direction).head);
        }
        Ok(parties.stores(self.direction).0.describe()?.head)
    }

    fn transfer(
        &self,
        parties: &mut Parties,
        since: &Since,
        options: &Options,
        report: &mut RoundReport,
        watch: &mut dyn Watch,
    ) -> Result<Streamed> {
        let site = parties.sender(self.direction).site_name.clone();
        let (mode, horizon, direction) = (parties.mode, parties.horizon, self.direction);
        let rest = parties.rest(direction);
        // Until the first rows come, the slave publishes none but by a compare.
        let early = parties.early.outline(since).filter(|_| direction == Direction::Pull && !parties.is_compared);
        let (from, to) = parties.stores(direction);
        let outline = early.map_or_else(|| from.outline(since), Ok)?;
        if !options.force && brake::check(&outline, &options.brake, &site).is_err() {
            // The receiver may have heard of these deletes by another way, or never have had the rows.
            let (deletions, examples) = deletions(from, to, since, &outline)?;
            brake::check(&deletions, &options.brake, &site).map_err(|e| with_examples(e, &examples))?;
        }
        let total = outline.tables.values().map(|t| t.live + t.graves).sum();
        if total == 0 {
            // What moved the sender's head came from the receiver.
            return Ok(Streamed { end: outline.end, whole: true });
        }
        self.withhold(parties)?;
        let (from, to) = parties.stores(direction);
        let mut done = 0;
        let side = report.applied(direction);
        let look = |batch: &mut Batch| {
            horizon.check(batch)?;
            done += batch.changes.len() as u64;
            watch.event(Event::Rows { direction, done, total });
            Ok(())
        };
        pour(from, to, (mode, rest), |from, sink| from.changes(since, sink), look, |applied| side.add(applied))
    }

    /// Records which tables do not come with the stream before its first batch moves the receiver's knowledge: if it is
    /// interrupted, they must not seem to have come so far.
    fn withhold(&self, parties: &mut Parties) -> Result<()> {
        let sender = parties.sender(self.direction).source;
        let is_new = |t: &&String| !self.receiver_knows.held(sender).any(|(held, _)| held == t.as_str());
        let held: Vec<_> = parties.agreement.held.iter().filter(is_new).map(|t| (t.clone(), self.start.seq)).collect();
        if parties.mode == Mode::Preview || held.is_empty() {
            return Ok(());
        }
        let withheld = Completed { sender, end: self.start, knowledge: Knowledge::default(), sent: Vec::new(), held };
        Ok(parties.stores(self.direction).1.complete(&withheld)?)
    }

    /// Records the end of the stream, unless the receiver already knows all that it would learn.
    fn complete(&self, parties: &mut Parties, Streamed { end, whole }: Streamed) -> Result<()> {
        if parties.mode == Mode::Preview {
            return Ok(());
        }
        let (sender, own) = (parties.sender(self.direction).source, parties.receiver(self.direction).source);
        let completed = Completed {
            sender,
            end,
            knowledge: if whole { self.sender_knows.clone() } else { Knowledge::default() },
            sent: parties.agreement.tables.clone(),
            held: parties.agreement.held.iter().map(|t| (t.clone(), self.start.seq)).collect(),
        };
        if completed.after(self.receiver_knows, own) == *self.receiver_knows {
            return Ok(());
        }
        Ok(parties.stores(self.direction).1.complete(&completed)?)
    }
}

/// Deleted rows that are named.
const EXAMPLES: usize = 10;

/// What a stream would really delete at the receiver, and the keys of some of these rows: it is read once without writing
/// anything.
fn deletions(
    from: &mut dyn Store,
    to: &mut dyn Store,
    since: &Since,
    outline: &Outline,
) -> Result<(Outline, Vec<String>)> {
    let (mut applied, mut examples) = (Applied::default(), Vec::new());
    let look = |batch: &mut Batch| {
        let deleted = batch.changes.iter().filter(|change| !change.row.state.is_live());
        examples.extend(deleted.take(EXAMPLES - examples.len()).map(|change| shown(&change.key)));
        Ok(())
    };
    let manner = (Mode::Preview, Rest::Awaited);
    pour(from, to, manner, |from, sink| from.changes(since, sink), look, |more| applied.add(more))?;
    let mut outline = outline.clone();
    for (name, table) in &mut outline.tables {
        table.graves = applied.tables.get(name).map_or(0, |summary| summary.deleted);
    }
    Ok((outline, examples))
}

/// A key, for people; bytes are mostly paths.
fn shown(key: &[Value]) -> String {
    let one = |value: &Value| match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).escape_debug().to_string(),
        other => other.to_string(),
    };
    key.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn with_examples(mut error: EngineError, examples: &[String]) -> EngineError {
    let hint = error.hint.unwrap_or_default();
    error.hint = Some(format!("{hint}\namong them: {}", examples.join("; ")));
    error
}
