//! One synchronisation over one link: drain, compare knowledge, exchange, merge, apply, record.

use std::time::{Duration, Instant};

use sync_core::digest::Order;
use sync_core::{Incarnation, Knowledge, Position, Source, Value};
use sync_store::{
    Applied, Batch, Completed, Description, Greeting, Method, Mode, Outline, Scope, Since, Store, Streamed,
};

use crate::brake::{self, Brake};
use crate::compare::{Reaches, Stores};
use crate::contact::{self, Settling};
use crate::error::{EngineError, Kind, Result};
use crate::gone::Gone;
use crate::graves::{self, Memory};
use crate::handshake::{self, Agreement, Expectation};
use crate::report::{Direction, Event, RoundReport, Watch};
use crate::scrub::Scrub;
use crate::transfer::{Horizon, pour};
use crate::{restores, twins};

/// How a round is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the settings expect of the slave.
    pub expected: Expectation,
    /// Compare all records of both databases (`-init`).
    pub init: bool,
    /// Go on where a brake would halt (`-force`).
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// How much may be deleted.
    pub brake: Brake,
    /// When graves are forgotten.
    pub graves: Memory,
    /// On first contact the slave's cell wins where nothing tells which is newer; the master's otherwise.
    pub prefer_slave: bool,
    /// Contents of files go no faster than so many bytes a second, each way.
    pub bandwidth: Option<u64>,
}

impl Options {
    /// A plain round with a slave of which this is expected.
    pub fn expecting(expected: Expectation) -> Self {
        Options {
            expected,
            init: false,
            force: false,
            dry_run: false,
            brake: Brake::default(),
            prefer_slave: false,
            bandwidth: None,
            graves: Memory::default(),
        }
    }
}

/// The two sides of a round, after the handshake.
pub(crate) struct Parties<'a> {
    pub master: &'a mut dyn Store,
    pub slave: &'a mut dyn Store,
    pub agreement: Agreement,
    /// What the sides said of themselves.
    pub about: Sides<Description>,
    pub horizon: Horizon,
    pub mode: Mode,
    /// Whether the drains left marks for the streams.
    pub left: Sides<bool>,
    /// Goes through the folders of documents, if there are any.
    documents: Option<&'a mut Documents<'a>>,
    /// The seqs of rows whose documents are there for certain: how far the stores were when the documents were last begun with.
    carried: Sides<u64>,
}

/// One of each.
#[derive(Clone, Debug)]
pub(crate) struct Sides<T> {
    pub master: T,
    pub slave: T,
}

impl<T> Sides<T> {
    pub fn sender(&self, direction: Direction) -> &T {
        match direction {
            Direction::Pull => &self.slave,
            Direction::Push => &self.master,
        }
    }

    pub fn receiver(&self, direction: Direction) -> &T {
        match direction {
            Direction::Pull => &self.master,
            Direction::Push => &self.slave,
        }
    }
}

impl<'a> Parties<'a> {
    /// The sender and the receiver of a direction.
    pub fn stores(&mut self, direction: Direction) -> (&mut dyn Store, &mut dyn Store) {
        match direction {
            Direction::Pull => (self.slave, self.master),
            Direction::Push => (self.master, self.slave),
        }
    }

    /// Both, for a compare.
    pub fn pair(&mut self) -> Stores<'_> {
        Stores { master: self.master, slave: self.slave }
    }

    pub fn order(&self, table: &str) -> Order {
        order(&self.about.master, &self.about.slave, table)
    }

    /// The whole of a table, for a compare.
    pub fn scope(&self, table: &str) -> Scope {
        scope(&self.about.master, &self.about.slave, table)
    }

    /// Before rows that were just read go this way: if any were published since the documents were gone through, they are gone
    /// through again. A file was there before the row that cites it was written, so it goes with them.
    pub fn carry_documents(&mut self, direction: Direction, watch: &mut dyn Watch) -> Result<()> {
        if self.documents.is_none() || self.mode == Mode::Preview {
            return Ok(());
        }
        let heads = Sides { master: self.master.describe()?.head.seq, slave: self.slave.describe()?.head.seq };
        if heads.sender(direction) != self.carried.sender(direction) {
            self.carried = heads;
            self.go_through_documents(watch);
        }
        Ok(())
    }

    /// The time, in milliseconds, from which on rows of a sender may cite documents that were not gone through; nothing if
    /// there are no documents.
    pub fn written_since(&self, direction: Direction) -> Option<u64> {
        /// Rows of other sites pass through this one, by clocks that differ.
        const MARGIN: i64 = 300_000;
        let millis = self.sender(direction).clock_micros / 1000 - MARGIN;
        self.documents.as_ref().map(|_| u64::try_from(millis).unwrap_or_default())
    }

    fn go_through_documents(&mut self, watch: &mut dyn Watch) {
        if let Some(documents) = &mut self.documents {
            documents(watch);
        }
    }

    pub fn sender(&self, direction: Direction) -> &Description {
        self.about.sender(direction)
    }

    pub fn receiver(&self, direction: Direction) -> &Description {
        self.about.receiver(direction)
    }
}

/// Goes through the folders of documents.
pub type Documents<'a> = dyn FnMut(&mut dyn Watch) + 'a;

/// What goes with a round of rows.
#[derive(Default)]
pub struct Beside<'a> {
    /// The next slice of a scrub.
    pub scrub: Option<&'a mut Scrub>,
    /// Is called when both sites have agreed and every row that was written before has its stamp, and before any row goes:
    /// what rows cite has to be there first. A row that is written meanwhile waits for the next round.
    pub documents: Option<&'a mut Documents<'a>>,
}

/// Runs a round. `master` is the local store, which starts it.
///
/// # Errors
/// As [`round_beside`].
pub fn round(
    master: &mut dyn Store,
    slave: &mut dyn Store,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<RoundReport> {
    round_beside(master, slave, options, Beside::default(), watch)
}

/// The same, with what goes with it.
///
/// # Errors
/// What stopped it; what was done before is done.
pub fn round_beside(
    master: &mut dyn Store,
    slave: &mut dyn Store,
    options: &Options,
    beside: Beside,
    watch: &mut dyn Watch,
) -> Result<RoundReport> {
    let started = Instant::now();
    let mut report = RoundReport { dry_run: options.dry_run, ..RoundReport::default() };
    let mut knowledge = Sides { master: master.knowledge()?, slave: slave.knowledge()? };
    if recall(master, slave, &knowledge.slave)? {
        knowledge.master = master.knowledge()?;
    }
    if recall(slave, master, &knowledge.master)? {
        knowledge.slave = slave.knowledge()?;
    }
    let left = Sides { master: drain(master, &mut report, watch)?, slave: drain(slave, &mut report, watch)? };
    let about = Sides { master: master.describe()?, slave: slave.describe()? };
    let agreement = handshake::check(&about.master, &about.slave, &options.expected)?;
    if !options.force {
        handshake::upgrades(&about.master, &about.slave)?;
    }
    watch.event(Event::Agreed { peer: &about.slave.site_name });
    introduce(&mut report, &about, &agreement);
    let latest = about.master.clock_micros.max(about.slave.clock_micros);
    let horizon = Horizon::new(latest, options.expected.max_clock_difference);
    let mode = if options.dry_run { Mode::Preview } else { Mode::Write };
    let carried = Sides { master: about.master.head.seq, slave: about.slave.head.seq };
    let Beside { scrub, documents } = beside;
    let mut documents = documents.map(|documents| |watch: &mut dyn Watch| documents(watch));
    let documents = documents.as_mut().map(|documents| documents as &mut Documents);
    let mut parties = Parties { master, slave, agreement, about, horizon, mode, left, documents, carried };
    exchange(&mut parties, &mut knowledge, options, scrub, &mut report, watch)?;
    report.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

/// A store that was restored takes a new history before anything is stamped. Says whether it did.
fn recall(store: &mut dyn Store, peer: &mut dyn Store, peer_knows: &Knowledge) -> Result<bool> {
    let Some(site) = store.forgot(peer_knows)? else { return Ok(false) };
    let latest = peer.last_heard(site)?;
    store.leave_history(latest)?;
    Ok(true)
}

/// In what order a table's rows can be compared: by key, if both sides sort it alike.
pub(crate) fn order(master: &Description, slave: &Description, table: &str) -> Order {
    let key = |about: &Description| about.tables.iter().find(|t| t.name == table).map(|t| t.key.clone());
    if key(master) == key(slave) { Order::Keys } else { Order::Buckets }
}

/// The whole of a table, and how it can be compared: by sums that databases make, where rows would cross a network and both
/// sides make them alike.
pub(crate) fn scope(master: &Description, slave: &Description, table: &str) -> Scope {
    let sums = |about: &Description| about.tables.iter().find(|t| t.name == table).and_then(|t| t.sums.clone());
    let order = order(master, slave, table);
    let can = order == Order::Keys && sums(master).is_some() && sums(master) == sums(slave);
    let method = if can && (master.far || slave.far) { Method::Summed } else { Method::Read };
    Scope { method, ..Scope::whole(table, order) }
}

/// Says whether marks were left.
fn drain(store: &mut dyn Store, report: &mut RoundReport, watch: &mut dyn Watch) -> Result<bool> {
    let drained = store.drain()?;
    for note in drained.notes {
        watch.event(Event::Note(&note));
        report.notes.push(note);
    }
    Ok(drained.left)
}

fn introduce(report: &mut RoundReport, about: &Sides<Description>, agreement: &Agreement) {
    report.peer.clone_from(&about.slave.site_name);
    report.paused.clone_from(&agreement.paused);
    report.refused.clone_from(&agreement.refused);
    for side in [&about.master, &about.slave] {
        report.warnings.extend(side.warnings.iter().map(|w| format!("{}: {w}", side.site_name)));
    }
}

fn exchange(
    parties: &mut Parties,
    knowledge: &mut Sides<Knowledge>,
    options: &Options,
    scrub: Option<&mut Scrub>,
    report: &mut RoundReport,
    watch: &mut dyn Watch,
) -> Result<()> {
    parties.go_through_documents(watch);
    leave_old_histories(parties, knowledge, options)?;
    let pull = greet(parties, Direction::Pull, &mut knowledge.master)?;
    let push = greet(parties, Direction::Push, &mut knowledge.slave)?;
    let knowledge = &*knowledge;
    let strangers = pull.is_none() || push.is_none();
    if strangers {
        restores::check_strangers(parties, options)?;
    }
    let registries = Sides { master: parties.master.registry()?, slave: parties.slave.registry()? };
    let behind = graves::behind(parties, &registries, knowledge, &Sides { master: pull, slave: push });
    // Before any row moves: whoever has some must be waited for.
    let registry = graves::gossip(parties, &registries, knowledge, options)?;
    report.compared = strangers || options.init;
    let (master, slave) = (parties.about.master.source, parties.about.slave.source);
    let reaches = Reaches::of((master, &knowledge.master), (slave, &knowledge.slave)).from((push, pull));
    let reaches = behind.judged(reaches);
    let knows_another =
        |k: &Knowledge| k.positions().any(|(source, _)| source.store != master.store && source.store != slave.store);
    let acquainted = Sides { master: knows_another(&knowledge.master), slave: knows_another(&knowledge.slave) };
    let unheard = Sides { master: pull.is_none(), slave: push.is_none() };
    let settling = Settling { strangers, all: strangers || options.init, reaches, acquainted, unheard };
    behind.tell(report, watch);
    let mut gone = Gone::default();
    if settling.all {
        watch.event(Event::FirstContact);
    }
    if strangers {
        gone.add(contact::meet(parties, options, &settling, report, watch)?);
    } else {
        let doubted = doubted(parties, knowledge);
        let others = if options.init { parties.agreement.tables.clone() } else { behind.tables().cloned().collect() };
        let others: Vec<String> = others.into_iter().filter(|t| !doubted.contains(t)).collect();
        report.compared |= !doubted.is_empty() || !others.is_empty();
        let unheard = Settling { strangers: true, all: true, ..settling.clone() };
        gone.add(contact::compare(parties, options, &doubted, &unheard, report, watch)?);
        gone.add(contact::compare(parties, options, &others, &settling, report, watch)?);
    }
    gone.bury(parties, options, &settling.reaches, report)?;
    if let Some(scrub) = scrub.filter(|_| !settling.all) {
        scrub.run(parties, options, &settling, report, watch)?;
    }
    if report.compared && parties.mode == Mode::Write {
        parties.master.compared(&parties.agreement.tables)?;
        parties.slave.compared(&parties.agreement.tables)?;
    }
    for (direction, start, sender_knows, receiver_knows) in [
        (Direction::Pull, pull, &knowledge.slave, &knowledge.master),
        (Direction::Push, push, &knowledge.master, &knowledge.slave),
    ] {
        let bound = bound(parties, direction, report, watch)?;
        let stream = Stream { direction, start: start.unwrap_or_default(), bound, sender_knows, receiver_knows };
        stream.run(parties, options, report, watch)?;
    }
    graves::purge(parties, &registry, knowledge, options)
}

/// Up to where rows may go, where documents have to be there before them. What was merged since the documents were gone through
/// may be of rows that were written since, and what a compare stamped has to follow at once: they are gone through again.
fn bound(
    parties: &mut Parties,
    direction: Direction,
    report: &RoundReport,
    watch: &mut dyn Watch,
) -> Result<Option<Position>> {
    if parties.documents.is_none() {
        return Ok(None);
    }
    let is_merged = direction == Direction::Push && report.pulled.total().received > 0;
    if !(is_merged || report.compared) || parties.mode == Mode::Preview {
        return Ok(Some(parties.sender(direction).head));
    }
    let head = parties.stores(direction).0.describe()?.head;
    parties.carry_documents(direction, watch)?;
    Ok(Some(head))
}

/// A store that goes on in a history which it left behind takes a new one, unless it runs twice.
fn leave_old_histories(parties: &mut Parties, knowledge: &Sides<Knowledge>, options: &Options) -> Result<()> {
    let now = parties.about.master.clock_micros.max(parties.about.slave.clock_micros) / 1000;
    for direction in [Direction::Pull, Direction::Push] {
        let about = parties.sender(direction);
        let Some(later) = twins::later(about, knowledge.receiver(direction)) else { continue };
        if !options.force {
            twins::refuse(about, later, u64::try_from(now).unwrap_or_default())?;
        }
        let source = parties.stores(direction).0.reincarnate()?;
        set_source(parties, direction, source);
    }
    Ok(())
}

/// Asks the sender of a direction where its stream begins; `None` if the two never met. A sender that was restored
/// takes a new incarnation first.
fn greet(parties: &mut Parties, direction: Direction, receiver_knows: &mut Knowledge) -> Result<Option<Position>> {
    for _ in 0..2 {
        let (sender, receiver) = (parties.sender(direction).source, parties.receiver(direction).source);
        let from = parties.stores(direction).0;
        match from.greet(receiver, receiver_knows.position(sender))? {
            Greeting::Known(position) => return Ok(Some(position)),
            Greeting::Continues { left, upto } => return inherit(parties, direction, receiver_knows, (left, upto)),
            Greeting::Stranger => return Ok(None),
            Greeting::Restored => {
                let source = from.reincarnate()?;
                set_source(parties, direction, source);
            }
        }
    }
    Err(EngineError::new(Kind::Failure, "a store does not recognise its own new history"))
}

/// The receiver records what it contains of the sender's new history, before the first batch says that it contains more: of
/// the history that was left it can contain less than it once said, if it was restored as well, and tables can wait.
fn inherit(
    parties: &mut Parties,
    direction: Direction,
    receiver_knows: &mut Knowledge,
    (left, upto): (Incarnation, Position),
) -> Result<Option<Position>> {
    let (sender, receiver) = (parties.sender(direction).source, parties.receiver(direction).source);
    if left == receiver.incarnation {
        // The sender began as a copy of the receiver.
        if !parties.stores(direction).1.recognises(upto)? {
            return Ok(None);
        }
        receiver_knows.advance(sender, upto);
    } else if receiver_knows.inherit(sender, left, upto).is_none() {
        return Ok(None);
    }
    let end = receiver_knows.position(sender).unwrap_or_default();
    if parties.mode == Mode::Write {
        let held = receiver_knows.held(sender).map(|(table, seq)| (table.to_owned(), seq)).collect();
        let inherited = Completed { sender, end, knowledge: Knowledge::default(), sent: Vec::new(), held };
        parties.stores(direction).1.complete(&inherited)?;
    }
    Ok(Some(end))
}

fn set_source(parties: &mut Parties, direction: Direction, source: Source) {
    match direction {
        Direction::Pull => parties.about.slave.source = source,
        Direction::Push => parties.about.master.source = source,
    }
}

/// Tables whose rows must be compared: those that take part now and never did between these two, for their rows from
/// before, and those of which a change went unmarked.
fn doubted(parties: &Parties, knowledge: &Sides<Knowledge>) -> Vec<String> {
    let never = |k: &Knowledge, source: Source, table: &String| k.held(source).any(|(t, seq)| t == table && seq == 0);
    let (master, slave) = (parties.about.master.source, parties.about.slave.source);
    let is_unmet = |t: &String| never(&knowledge.master, slave, t) || never(&knowledge.slave, master, t);
    let is_suspect = |t: &String| parties.about.master.suspect.contains(t) || parties.about.slave.suspect.contains(t);
    parties.agreement.tables.iter().filter(|t| is_unmet(t) || is_suspect(t)).cloned().collect()
}

/// One direction's stream of changes.
struct Stream<'a> {
    direction: Direction,
    start: Position,
    /// What was written before the documents were gone through; later rows wait for the next round.
    bound: Option<Position>,
    sender_knows: &'a Knowledge,
    receiver_knows: &'a Knowledge,
}

impl Stream<'_> {
    fn run(
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

    /// The sender's head; since the handshake only the rows of the other direction, or of a compare, moved it.
    fn head(&self, parties: &mut Parties, report: &RoundReport) -> Result<Position> {
        if let Some(bound) = self.bound.filter(|_| report.compared) {
            return Ok(bound);
        }
        if self.bound.is_some() || report.is_quiet() && !report.compared {
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
        let (from, to) = parties.stores(direction);
        let outline = from.outline(since)?;
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
        let side = if direction == Direction::Pull { &mut report.pulled } else { &mut report.pushed };
        let look = |batch: &mut Batch| {
            horizon.check(batch)?;
            done += batch.changes.len() as u64;
            watch.event(Event::Rows { direction, done, total });
            Ok(())
        };
        pour(from, to, mode, |from, sink| from.changes(since, sink), look, |applied| side.add(applied))
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
    pour(from, to, Mode::Preview, |from, sink| from.changes(since, sink), look, |more| applied.add(more))?;
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

/// How long a round may be silent before somebody should look; used by the daemon's watchdog.
pub const SILENCE: Duration = Duration::from_secs(600);
