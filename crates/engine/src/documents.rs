//! A round of documents: the rows as in any round, then the contents they name, both ways, then each side's directory is
//! made like its rows. A file that fails never stops the others.

use sync_store::{Contents, Realised, Skipped, Store};

use crate::error::Result;
use crate::report::{Direction, Event, RoundReport, Watch};
use crate::round::{Options, round};

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

    /// Whether nothing moved.
    pub fn is_quiet(&self) -> bool {
        let is_quiet = |side: &Side| side.bytes == 0 && side.settled == 0 && side.realised.is_quiet();
        self.rows.is_quiet() && is_quiet(&self.master) && is_quiet(&self.slave)
    }
}

/// How many contents are asked for at once.
const WANTS: usize = 256;

/// Runs a round between two trees. `master` is the local one, which starts it.
///
/// # Errors
/// As [`round`]; what concerns a single file is in the report instead.
pub fn round_documents(
    master: &mut dyn Contents,
    slave: &mut dyn Contents,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<DocumentsReport> {
    let rows = round(as_store(master), as_store(slave), options, watch)?;
    let mut report = DocumentsReport { rows, ..DocumentsReport::default() };
    report.master.unread = master.unread().to_vec();
    report.slave.unread = slave.unread().to_vec();
    if options.dry_run {
        return Ok(report);
    }
    settle(master, slave, options, watch, &mut report)?;
    report.master.bytes = fetch(slave, master, Direction::Pull, watch)?;
    report.slave.bytes = fetch(master, slave, Direction::Push, watch)?;
    report.master.realised = master.realise()?;
    report.slave.realised = slave.realise()?;
    Ok(report)
}

/// Mends what merging left, at both sides, and tells each other: whoever deletes a copy afterwards has then seen the other
/// side's, which is the same.
fn settle(
    master: &mut dyn Contents,
    slave: &mut dyn Contents,
    options: &Options,
    watch: &mut dyn Watch,
    report: &mut DocumentsReport,
) -> Result<()> {
    for _ in 0..SETTLINGS {
        let (here, there) = (master.settle()?, slave.settle()?);
        report.master.settled += here;
        report.slave.settled += there;
        if here + there == 0 {
            break;
        }
        let again = round(as_store(master), as_store(slave), options, watch)?;
        report.rows.pulled.add(again.pulled);
        report.rows.pushed.add(again.pushed);
    }
    Ok(())
}

/// So often rows are exchanged again; what is left then waits for the next round.
const SETTLINGS: usize = 4;

/// The rows of a tree are a store like any other.
fn as_store(contents: &mut dyn Contents) -> &mut dyn Store {
    contents
}

/// Gets what the receiver lacks; says how many bytes came.
fn fetch(from: &mut dyn Contents, to: &mut dyn Contents, direction: Direction, watch: &mut dyn Watch) -> Result<u64> {
    to.meet();
    let (mut bytes, mut before) = (0, Vec::new());
    loop {
        let wants = to.wanted(WANTS)?;
        // A peer that answers nothing is not asked again.
        if wants.is_empty() || wants == before {
            return Ok(bytes);
        }
        from.supply(&wants, &mut |piece| {
            bytes += piece.weight() as u64;
            to.receive(&piece)
        })?;
        watch.event(Event::Contents { direction, bytes });
        before = wants;
    }
}
