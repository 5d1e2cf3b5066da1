//! A round of documents: the rows as in any round, then the contents they name, both ways, then each side's directory is
//! made like its rows. A file that fails never stops the others.

use sync_store::contents::{Ask, WANTS};
use sync_store::{Contents, Lacking, Next, Realised, Settled, Skipped, Store, Want};

use crate::error::{EngineError, Result};
use crate::parties::Sides;
use crate::passage::Passage;
use crate::report::{Direction, RoundReport, Watch};
use crate::round::{Beside, Options, unconfirmed};
use crate::together::together;

/// What a round of documents did.
#[derive(Clone, Debug, Default)]
pub struct DocumentsReport {
    /// The round of the rows.
    pub rows: RoundReport,
    /// What was done at the master.
    pub master: Side,
    /// What was done at the slave.
    pub slave: Side,
}

/// What became of one folder in a round of its virtual desktop.
#[derive(Clone, Debug)]
pub struct FolderReport {
    /// The folder.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a folder.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Its round was done.
    Done(Box<DocumentsReport>),
    /// It does not take part in this link, and why.
    Paused(String),
    /// Its round could not be done.
    Failed(EngineError),
}

impl FolderReport {
    /// Takes in another round of it that followed at once.
    pub fn then(&mut self, later: FolderReport) {
        match (&mut self.outcome, later.outcome) {
            (Outcome::Done(done), Outcome::Done(later)) => done.add(*later),
            (outcome, later) => *outcome = later,
        }
    }

    /// Its round, if it was done.
    pub fn done(&self) -> Option<&DocumentsReport> {
        match &self.outcome {
            Outcome::Done(report) => Some(report),
            _ => None,
        }
    }

    /// What kept its round from being done.
    pub fn error(&self) -> Option<&EngineError> {
        match &self.outcome {
            Outcome::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Whether a person should look.
    pub fn has_remains(&self) -> bool {
        self.done().is_none_or(DocumentsReport::has_remains)
    }

    /// Whether nothing moved.
    pub fn is_quiet(&self) -> bool {
        self.done().is_none_or(DocumentsReport::is_quiet)
    }
}

/// What was done at one side.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Bytes of contents that came.
    pub bytes: u64,
    /// Rows that were mended after merging: copies of concurrent edits, things put back.
    pub settled: u64,
    /// What was done in the directory.
    pub realised: Realised,
    /// Paths that the scan could not take in.
    pub unread: Vec<Skipped>,
}

impl DocumentsReport {
    /// Whether a person should look (exit code 3).
    pub fn has_remains(&self) -> bool {
        let remains = |side: &Side| !side.unread.is_empty() || !side.realised.skipped.is_empty();
        self.rows.has_remains() || remains(&self.master) || remains(&self.slave)
    }

    fn add(&mut self, later: DocumentsReport) {
        self.rows.pulled.add(later.rows.pulled);
        self.rows.pushed.add(later.rows.pushed);
        self.master.add(later.master);
        self.slave.add(later.slave);
    }

    /// Copies of concurrent edits that this round made; both sides make the same.
    pub fn copies(&self) -> u64 {
        self.master.settled.max(self.slave.settled)
    }

    /// Paths that were left out, and whether at the master.
    pub fn skipped(&self) -> impl Iterator<Item = (bool, &Skipped)> {
        self.master.skipped().map(|s| (true, s)).chain(self.slave.skipped().map(|s| (false, s)))
    }

    /// How many paths were left out.
    pub fn skipped_count(&self) -> u64 {
        self.skipped().count() as u64 + self.master.realised.more_skipped + self.slave.realised.more_skipped
    }

    /// Whether nothing moved.
    pub fn is_quiet(&self) -> bool {
        let is_quiet = |side: &Side| side.bytes == 0 && side.settled == 0 && side.realised.is_quiet();
        self.rows.is_quiet() && is_quiet(&self.master) && is_quiet(&self.slave)
    }
}

impl Side {
    fn add(&mut self, later: Side) {
        self.bytes += later.bytes;
        self.settled += later.settled;
        self.realised.add(later.realised);
        self.unread = later.unread;
    }

    /// Paths that were left out here.
    pub fn skipped(&self) -> impl Iterator<Item = &Skipped> {
        self.unread.iter().chain(&self.realised.skipped)
    }
}

/// Runs a round between two trees. `master` is the local one, which starts it.
///
/// # Errors
/// As [`fn@crate::round`]; what concerns a single file is in the report instead.
pub fn round_documents(
    master: &mut dyn Contents,
    slave: &mut dyn Contents,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<DocumentsReport> {
    let done = exchange(master, slave, options, watch);
    if done.is_err() {
        // Nothing of this round comes up in a later one.
        let _ = slave.applied();
    }
    done
}

fn exchange(
    master: &mut dyn Contents,
    slave: &mut dyn Contents,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<DocumentsReport> {
    let rows = rows(master, slave, options, watch)?;
    let mut report = DocumentsReport { rows, ..DocumentsReport::default() };
    report.master.unread = master.unread().to_vec();
    report.slave.unread = slave.unread().to_vec();
    if options.dry_run {
        report.rows.pushed.add(slave.applied()?);
        slave.confirm()?;
        return Ok(report);
    }
    let Begun { rests, wants: Sides { master: here, slave: there }, realised } =
        settle(master, slave, options, watch, &mut report)?;
    (report.master.bytes, report.slave.bytes) = (report.rows.pulled.along, report.rows.pushed.along);
    report.master.bytes += fetch(slave, master, here, (Direction::Pull, Last::Wants), options, watch)?.bytes;
    let mut made = realised.or_else(|| rests.then(Realised::default));
    if made.is_none() {
        let last = if master.unrealised()? == 0 { Last::Realises } else { Last::Wants };
        let fetched = fetch(master, slave, there, (Direction::Push, last), options, watch)?;
        report.slave.bytes += fetched.bytes;
        made = fetched.realised;
    }
    let is_far = slave.is_far();
    let there = || made.map_or_else(|| slave.realise(), Ok);
    let realised = together(is_far, || master.realise(), there)?;
    (report.master.realised, report.slave.realised) = (realised.master, realised.slave);
    slave.confirm()?;
    Ok(report)
}

/// What is known when contents begin to be fetched.
struct Begun {
    /// Whether the slave rests: it said so when the round began, and nothing has come to it since, so that it need not be asked
    /// anything.
    rests: bool,
    /// What each wants first, if nothing changed since that was asked.
    wants: Sides<Option<Vec<Want>>>,
    /// What was done at the slave, if nothing was wanting.
    realised: Option<Realised>,
}

/// Mends what merging left, at both sides, and tells each other: whoever deletes a copy afterwards has then seen the other
/// side's, which is the same.
fn settle(
    master: &mut dyn Contents,
    slave: &mut dyn Contents,
    options: &Options,
    watch: &mut dyn Watch,
    report: &mut DocumentsReport,
) -> Result<Begun> {
    let mut rests = report.rows.is_quiet() && !report.rows.compared && slave.rests()?;
    for _ in 0..SETTLINGS {
        let Sides { master: here, slave: there } = settle_both(master, slave, rests, report)?;
        report.rows.pushed.add(slave.applied()?);
        report.master.settled += here.rows;
        report.slave.settled += there.rows;
        if here.rows + there.rows == 0 {
            let wants = Sides { master: Some(here.wants), slave: Some(there.wants) };
            return Ok(Begun { rests, wants, realised: there.realised });
        }
        rests = false;
        let again = rows(master, slave, options, watch)?;
        report.rows.pulled.add(again.pulled);
        report.rows.pushed.add(again.pushed);
    }
    report.rows.pushed.add(slave.applied()?);
    Ok(Begun { rests, wants: Sides { master: None, slave: None }, realised: None })
}

/// Settles at both sides at the same time; but where nothing came to the master, which has little to do then, at the master first: if it
/// wants nothing, the slave may go on to the end.
fn settle_both(
    master: &mut dyn Contents,
    slave: &mut dyn Contents,
    rests: bool,
    report: &DocumentsReport,
) -> Result<Sides<Settled>> {
    let is_far = slave.is_far();
    let mut settle_there = |alone| if rests { Ok(Settled::default()) } else { slave.settle_and_want(WANTS, alone) };
    if report.rows.pulled.total().received > 0 {
        return together(is_far, || master.settle_and_want(WANTS, false), || settle_there(false));
    }
    let here = master.settle_and_want(WANTS, false)?;
    let alone = !rests && here.rows == 0 && here.wants.is_empty() && master.unrealised()? == 0;
    Ok(Sides { master: here, slave: settle_there(alone)? })
}

/// So often rows are exchanged again; what is left then waits for the next round.
const SETTLINGS: usize = 4;

/// A round of the rows, which are settled next: what became of the last of them is heard with that.
fn rows(
    master: &mut dyn Contents,
    slave: &mut dyn Contents,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<RoundReport> {
    let beside = Beside { is_followed: true, ..Beside::default() };
    unconfirmed(as_store(master), as_store(slave), options, beside, watch)
}

/// The rows of a tree are a store like any other.
fn as_store(contents: &mut dyn Contents) -> &mut dyn Store {
    contents
}

/// What one side lacks, on its way.
struct Fetch<'a> {
    passage: Passage<'a>,
    /// Whether all that was lacking was counted; else the total is what has come, and what is asked for.
    is_counted: bool,
}

/// What fetching came to.
#[derive(Default)]
struct Fetched {
    /// Bytes that came.
    bytes: u64,
    /// What was done in the directory, if it was made like the rows already.
    realised: Option<Realised>,
}

/// What the receiver is asked when nothing more may be wanting: over a long line each question costs.
#[derive(Clone, Copy)]
enum Last {
    /// What it wants.
    Wants,
    /// The same, and to make its directory like the rows if that is nothing.
    Realises,
}

impl Last {
    fn ask(self, to: &mut dyn Contents) -> Result<Next> {
        Ok(match self {
            Last::Wants => Next::Wants(to.wanted(WANTS)?),
            Last::Realises => to.want_or_realise(WANTS)?,
        })
    }
}

/// Gets what the receiver lacks, which wants this first if it was asked already.
fn fetch(
    from: &mut dyn Contents,
    to: &mut dyn Contents,
    first: Option<Vec<Want>>,
    (direction, last): (Direction, Last),
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<Fetched> {
    let mut wants = match first {
        Some(wants) => wants,
        None => {
            to.meet();
            to.wanted(WANTS)?
        }
    };
    if wants.is_empty() {
        return Ok(Fetched::default());
    }
    let all = is_all(&wants);
    let mut fetch = Fetch { passage: Passage::new(direction, options, watch), is_counted: false };
    loop {
        fetch.begin(&wants, to)?;
        from.supply(&wants, &mut |piece| {
            to.receive(&piece)?;
            fetch.passage.passed(&piece);
            Ok(())
        })?;
        fetch.passage.tell();
        let bytes = fetch.passage.bytes;
        if all {
            return Ok(Fetched { bytes, realised: None });
        }
        match last.ask(to)? {
            Next::Realised(realised) => return Ok(Fetched { bytes, realised: Some(realised) }),
            // A peer that answers nothing is not asked again.
            Next::Wants(next) if next.is_empty() || next == wants => return Ok(Fetched { bytes, realised: None }),
            Next::Wants(next) => wants = next,
        }
    }
}

/// Whether what is lacking is just what is asked for: whoever has few small contents to ask for asks for all of them, and each
/// comes whole or not at all. Over a long line it need not be asked again.
fn is_all(wants: &[Want]) -> bool {
    wants.iter().all(|want| want.ask == Ask::Whole) && is_little(asked(wants))
}

/// Whether this is far from what is asked for at once.
fn is_little(asked: Lacking) -> bool {
    asked.files < FEW && asked.bytes <= SMALL
}

/// What comes of these wants. Lists of chunks are nothing beside contents.
fn asked(wants: &[Want]) -> Lacking {
    let bytes = |want: &Want| match &want.ask {
        Ask::Whole => want.size,
        Ask::Ranges(ranges) => ranges.iter().map(|chunk| u64::from(chunk.size)).sum(),
        _ => 0,
    };
    let sum = wants.iter().fold(0u64, |sum, want| sum.saturating_add(bytes(want)));
    Lacking { files: wants.len() as u64, bytes: sum }
}

/// So many contents, and so many bytes of them, are far from what is asked for at once.
const FEW: u64 = 4096;
const SMALL: u64 = 32 << 20;

impl Fetch<'_> {
    /// Sees how much there is in all: over a long line that is asked only where it is worth an answer.
    fn begin(&mut self, wants: &[Want], to: &mut dyn Contents) -> Result<()> {
        if self.is_counted {
            return Ok(());
        }
        let asked = asked(wants);
        self.is_counted = !is_little(asked);
        let Passage { files, bytes, .. } = self.passage;
        self.passage.total = match self.is_counted {
            true => to.lacking()?,
            false => Lacking { files: asked.files.max(files), bytes: asked.bytes.saturating_add(bytes) },
        };
        Ok(())
    }
}
