//! The first copy to a side that has nothing: whole tables in bulk, and small contents of files along with their rows. What
//! must not be copied as it is, is compared instead ([`crate::contact`]).

use std::cell::Cell;

use sync_store::{Applied, Batch, Mode};

use crate::error::{EngineError, Kind, Result};
use crate::gone::Gone;
use crate::parties::Parties;
use crate::passage::Passage;
use crate::report::{Direction, Event, RoundReport, Watch};
use crate::round::Options;
use crate::transfer::pour;

/// Copies all tables. If contents cannot be used there, their rows are copied again without.
pub(crate) fn copy(
    parties: &mut Parties,
    direction: Direction,
    options: &Options,
    report: &mut RoundReport,
    watch: &mut dyn Watch,
) -> Result<Gone> {
    parties.copied = Some(direction);
    let tables = parties.agreement.tables.clone();
    let mut passage = Passage::new(direction, options, watch);
    for table in &tables {
        let side = report.applied(direction);
        let along = parties.mode == Mode::Write;
        if copy_table(parties, direction, (table, along), side, &mut passage)? == Copied::InVain {
            copy_table(parties, direction, (table, false), side, &mut passage)?;
        }
    }
    Ok(Gone::default())
}

/// How copying a table ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// All of it was copied.
    Whole,
    /// It was broken off, as too much of what goes along is left aside: the disk is full, or it is ignored there.
    InVain,
}

fn copy_table(
    parties: &mut Parties,
    direction: Direction,
    (table, along): (&str, bool),
    side: &mut Applied,
    passage: &mut Passage,
) -> Result<Copied> {
    let (mode, horizon, late) = (parties.mode, parties.horizon, parties.written_since(direction));
    let rest = parties.rest(direction);
    let (mut rows, is_in_vain) = (0, Cell::new(false));
    let (from, to) = parties.stores(direction);
    let look = |batch: &mut Batch| {
        if is_in_vain.get() {
            return Err(EngineError::new(Kind::Failure, "too much is left aside"));
        }
        horizon.check(batch)?;
        batch.contents.iter().for_each(|whole| passage.passed_whole(whole));
        if !batch.changes.is_empty() {
            // Their documents may not be there yet; these rows come with the stream.
            batch.changes.retain(|change| late.is_none_or(|late| change.row.state.newest().millis() < late));
            rows += batch.changes.len() as u64;
            passage.event(Event::Table { name: table, rows, total: 0 });
        }
        Ok(())
    };
    let told = |applied| {
        side.add(applied);
        is_in_vain.set(along && side.in_vain > IN_VAIN && side.in_vain > side.along / 8);
    };
    let poured = pour(from, to, (mode, rest), |from, sink| from.scan(table, along, sink), look, told);
    if is_in_vain.get() && poured.is_err() { Ok(Copied::InVain) } else { poured.map(|()| Copied::Whole) }
}

/// So many bytes of contents may be left aside.
const IN_VAIN: u64 = 1 << 20;
