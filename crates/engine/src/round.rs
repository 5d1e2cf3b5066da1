//! One synchronisation over one link: drain, compare knowledge, exchange, merge, apply, record.

use std::time::{Duration, Instant};

use sync_core::{Incarnation, Knowledge, Position, Source};
use sync_store::steady::Steady;
use sync_store::{Completed, Description, Drained, Greeting, Mode, Opening, Store};

use crate::brake::Brake;
use crate::compare::Reaches;
use crate::contact::{self, Settling};
use crate::error::{EngineError, Kind, Result};
use crate::gone::Gone;
use crate::graves::{self, Memory};
use crate::handshake::{self, Agreement, Expectation};
use crate::opening::{self, Begun};
pub use crate::parties::Documents;
use crate::parties::{Parties, Sides};
use crate::report::{Direction, Event, RoundReport, Watch};
use crate::scrub::Scrub;
use crate::stream::Stream;
use crate::transfer::Horizon;
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
    /// What is asked how much time has passed since the clocks were read.
    pub steady: Steady,
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
            steady: Instant::now,
        }
    }
}

/// What goes with a round of rows.
#[derive(Default)]
pub struct Beside<'a> {
    /// The next slice of a scrub.
    pub scrub: Option<&'a mut Scrub>,
    /// Is called when both sites have agreed and every row that was written before has its stamp, and before any row goes:
    /// what rows cite has to be there first. A row that is written meanwhile waits for the next round.
    pub documents: Option<&'a mut Documents<'a>>,
    /// Whether whoever began the round goes on at once, and asks what became of the last rows that were pushed
    /// ([`Store::applied`]).
    pub is_followed: bool,
    /// What the slave was told already, if it was.
    pub opening: Option<Opening>,
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
    let report = unconfirmed(master, slave, options, beside, watch)?;
    slave.confirm()?;
    Ok(report)
}

/// The same, of which the end is not waited for: more follows ([`Store::confirm`]).
pub(crate) fn unconfirmed(
    master: &mut dyn Store,
    slave: &mut dyn Store,
    options: &Options,
    beside: Beside,
    watch: &mut dyn Watch,
) -> Result<RoundReport> {
    let started = Instant::now();
    let mut report = RoundReport { dry_run: options.dry_run, ..RoundReport::default() };
    let Beside { scrub, documents, is_followed, opening } = beside;
    let Begun { mut knowledge, drained, about, early } = opening::begin(master, slave, options, opening)?;
    let left = Sides { master: drained.master.left, slave: drained.slave.left };
    note(drained, &mut report, watch);
    let agreement = handshake::check(&about.master, &about.slave, &options.expected)?;
    if !options.force {
        handshake::upgrades(&about.master, &about.slave)?;
    }
    watch.event(Event::Agreed { peer: &about.slave.site_name });
    introduce(&mut report, &about, &agreement);
    let latest = about.master.clock_micros.max(about.slave.clock_micros);
    let horizon = Horizon::new(latest, options);
    let mode = if options.dry_run { Mode::Preview } else { Mode::Write };
    let carried = Sides { master: about.master.head.seq, slave: about.slave.head.seq };
    let mut documents = documents.map(|documents| |watch: &mut dyn Watch| documents(watch));
    let documents = documents.as_mut().map(|documents| documents as &mut Documents);
    let mut parties = Parties {
        master,
        slave,
        agreement,
        about,
        horizon,
        mode,
        left,
        documents,
        carried,
        early,
        copied: None,
        is_compared: false,
        is_followed,
    };
    exchange(&mut parties, &mut knowledge, options, scrub, &mut report, watch)?;
    report.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

/// What the drains noticed.
fn note(drained: Sides<Drained>, report: &mut RoundReport, watch: &mut dyn Watch) {
    for note in [drained.master, drained.slave].into_iter().flat_map(|drained| drained.notes) {
        watch.event(Event::Note(&note));
        report.notes.push(note);
    }
}

fn introduce(report: &mut RoundReport, about: &Sides<Description>, agreement: &Agreement) {
    report.peer.clone_from(&about.slave.site_name);
    report.peer_number = about.slave.site.number();
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
    let theirs = parties.early.registry().map_or_else(|| parties.slave.registry(), Ok)?;
    let registries = Sides { master: parties.master.registry()?, slave: theirs };
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
    if !(is_merged || parties.is_compared) || parties.mode == Mode::Preview {
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
        let claimed = receiver_knows.position(sender);
        let early = parties.early.greeting(sender, receiver, claimed);
        let from = parties.stores(direction).0;
        match early.map_or_else(|| from.greet(receiver, claimed), Ok)? {
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

/// How long a round may be silent before somebody should look; used by the daemon's watchdog.
pub const SILENCE: Duration = Duration::from_secs(600);
