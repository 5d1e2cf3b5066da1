//! What becomes of one row of a batch: its states and values at both sides are put together, merged, and the outcome is
//! turned into the line to record. Reads and writes nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use sync_core::merge::join;
use sync_core::resolve::Name;
use sync_core::{Author, ColumnId, Planned, Relation, Row, RowId, RowState, Stamp, Value};
use sync_store::Result;

use crate::catalog::Catalog;
use crate::dialect::Dialect;
use crate::kept::{self, Kept};
use crate::layout::Tracked;
use crate::meta::{self, Line};
use crate::{counters, rekey};

/// A row that came in, over this store's column ids.
pub(crate) struct Incoming {
    pub id: RowId,
    pub key: Vec<Value>,
    pub row: Row,
    /// Whether this store made it: an entry of the conflict list.
    pub noticed: bool,
}

impl Incoming {
    pub fn noticed((key, row): (Vec<Value>, Row)) -> Self {
        Incoming { id: RowId::of(&key), key, row, noticed: true }
    }
}

/// What becomes of one row.
pub(crate) struct Outcome {
    /// The row.
    pub id: RowId,
    /// Its key.
    pub key: Vec<Value>,
    /// The decision.
    pub planned: Planned,
    /// Whether it is in the table now.
    pub present: bool,
    /// Its line, where it has one.
    pub line: Option<Line>,
    /// Whether marks of it were drained just now, whatever they said, or its grave was unheard until now.
    pub drained: bool,
    /// Whether this store made what came in: an entry of the conflict list.
    pub noticed: bool,
    /// Cells that the table shows with other values than the state has, as it shows them.
    pub shown: BTreeMap<ColumnId, Value>,
    /// Whether a counter is among them: its sum does not fit.
    pub is_unfit: bool,
    /// The row here that lost its place to another one, if this site gives it a new key.
    pub loser: Option<Row>,
    /// The values before, where others may refer to them.
    pub before: Option<Vec<Value>>,
}

impl Outcome {
    /// Whether it was decided before that it is not to be shown.
    pub fn was_parked(&self) -> bool {
        self.line.as_ref().is_some_and(Line::is_parked) && !self.present
    }

    /// Whether it is a grave of a row that this store does not know.
    pub fn is_unknown_grave(&self) -> bool {
        self.line.is_none() && !self.present && !self.planned.row.state.is_live()
    }

    /// Whether its grave is never to be forgotten, if this is the newest delete that was. A grave that comes that late may have been
    /// forgotten here before: to forget it once more would let it go round for ever, as whoever forgot it takes it for new
    /// and tells it to others who did. Nor may it be left out, as nobody can tell it from one that never was here, and others
    /// could need it.
    fn lasts(&self, forgotten: Stamp) -> bool {
        let state = &self.planned.row.state;
        match &self.line {
            Some(line) => line.lasts && !state.is_live() && line.state.deleted == state.deleted,
            None => self.is_unknown_grave() && state.deleted <= forgotten,
        }
    }

    /// Whether it is shown although it is deleted.
    pub fn stays(&self) -> bool {
        self.present && !self.drained && self.line.as_ref().is_some_and(|l| !l.state.is_live())
    }

    /// The values to write. What a constraint keeps from being shown stays as it is shown.
    pub fn to_show(&self) -> Cow<'_, [Value]> {
        let values = self.planned.row.values.as_deref().unwrap_or_default();
        if self.shown.is_empty() {
            return values.into();
        }
        let mut values = values.to_vec();
        self.shown.iter().for_each(|(id, value)| kept::set(&mut values, *id, value.clone()));
        values.into()
    }
}

/// All outcomes for one table.
pub(crate) struct Group<'a> {
    /// The table.
    pub tracked: &'a Tracked,
    /// The rows.
    pub outcomes: Vec<Outcome>,
    pub marks: Vec<u64>,
}

impl Group<'_> {
    /// The rows with counters whose sums do not fit.
    pub fn unfit(&self) -> impl Iterator<Item = Name> + '_ {
        self.outcomes.iter().filter(|o| o.is_unfit).map(|o| (self.tracked.number(), o.id.clone()))
    }
}

/// Whether rows of other tables refer to columns of this one that can change.
pub(crate) fn referenced_beyond_key(catalog: &Catalog, tracked: &Tracked) -> bool {
    let is_key = |name: &String| tracked.table.key_columns().any(|c| c.name == *name);
    let leads = |(number, place): &(u16, usize)| Some(&catalog.constraints.get(number)?.references[*place]);
    let constraints = catalog.constraints.get(&tracked.number());
    constraints.is_some_and(|c| c.referenced.iter().filter_map(leads).any(|r| !r.parent_columns.iter().all(is_key)))
}

/// What deciding about a row needs to know besides.
pub(crate) struct Deciding<'a> {
    /// The authoritative restore that the table has met.
    pub epoch: Stamp,
    /// The new states of the rows that had marks, or whose graves were unheard until now.
    pub drained: &'a HashMap<RowId, Option<RowState>>,
    /// Whether to remember the values before.
    pub remembers: bool,
    /// The rows whose cells do not go together.
    pub whole: &'a HashSet<Name>,
    pub tracked: &'a Tracked,
    pub dialect: &'a dyn Dialect,
    /// When and where such a row is written.
    pub millis: u64,
    pub author: Author,
}

impl Deciding<'_> {
    pub fn decide(&self, incoming: Incoming, values: Option<Vec<Value>>, line: Option<Line>) -> Result<Outcome> {
        let present = values.is_some();
        let marked = self.drained.get(&incoming.id);
        let stamped = marked.and_then(Option::as_ref);
        let state = stamped.or(line.as_ref().map(|l| &l.state)).cloned();
        let state = state.or_else(|| meta::swept(self.epoch)).or_else(|| present.then(RowState::baseline));
        let kept = state.as_ref().zip(line.as_ref()).map(|(state, line)| still_kept(line, state, present));
        let kept = kept.unwrap_or_default();
        let before = if self.remembers { values.clone() } else { None };
        let hidden = values.as_ref().map(|values| shown_cells(&kept, values)).unwrap_or_default();
        let local = state.map(|state| Row { state, values: kept.true_values(values) });
        let Incoming { id, key, row, noticed } = incoming;
        let planned = self.planned(&id, local.as_ref(), row);
        // A value that is the same is not written, whatever its stamp is now.
        let is_hidden = |id: &ColumnId| {
            planned.row.state.is_live() && local.as_ref().is_some_and(|l| l.value(*id) == planned.row.value(*id))
        };
        let mut shown: BTreeMap<ColumnId, Value> = hidden.into_iter().filter(|(id, _)| is_hidden(id)).collect();
        let unfit = self.unfit(&planned.row);
        let is_unfit = !unfit.is_empty();
        shown.extend(unfit);
        let loser = local.as_ref().and_then(|local| rekey::loser(self.tracked, local, &planned, self.author));
        let drained = marked.is_some();
        Ok(Outcome { id, key, planned, present, line, drained, noticed, shown, is_unfit, loser, before })
    }

    /// The counters that cannot be shown as they are, with what is shown instead.
    fn unfit(&self, row: &Row) -> BTreeMap<ColumnId, Value> {
        match &row.values {
            Some(values) if row.state.is_live() => counters::unfit(self.dialect, self.tracked, &row.state, values),
            _ => BTreeMap::new(),
        }
    }

    fn planned(&self, id: &RowId, local: Option<&Row>, row: Row) -> Planned {
        match local {
            Some(local) if self.whole.contains(&(self.tracked.number(), id.clone())) => {
                let stamp = join(&local.state, &row.state).next_stamp(self.millis, self.author.site);
                Planned::whole(local, &row, stamp)
            }
            _ => Planned::taking(local, row),
        }
    }
}

/// What a line keeps of a row whose state is this one now.
fn still_kept(line: &Line, state: &RowState, present: bool) -> Kept {
    match present {
        true => line.kept_under(state),
        false if line.state.lineage() == state.lineage() => line.kept.clone(),
        false => Kept::Nothing,
    }
}

/// What the table shows instead of values that are kept.
fn shown_cells(kept: &Kept, values: &[Value]) -> BTreeMap<ColumnId, Value> {
    let shown = |id: ColumnId| Some((id, values.get(usize::from(id))?.clone()));
    match kept {
        Kept::Nothing => BTreeMap::new(),
        Kept::Cells(cells) => cells.keys().filter_map(|id| shown(*id)).collect(),
        Kept::Row(truth) => {
            let differs = |id: &ColumnId| truth.get(usize::from(*id)) != values.get(usize::from(*id));
            (0..truth.len() as ColumnId).filter(differs).filter_map(shown).collect()
        }
    }
}

/// Whether and how an outcome is recorded.
pub(crate) enum Recorded {
    /// With the next seq: others must hear of it.
    Published(Line),
    /// Under the seq it has: it only learnt what it has seen.
    Taught(Line),
    Nothing,
}

/// What recording needs to know besides.
pub(crate) struct Recording {
    /// The number of the source that a batch came from.
    pub sender: u16,
    /// Whether nobody else can ever ask this store for rows from before.
    pub alone: bool,
    /// The newest delete whose grave was forgotten here, where a grave of a row came that is not known.
    pub forgotten: Stamp,
}

pub(crate) fn record(outcome: &Outcome, is_parked: bool, recording: &Recording) -> Recorded {
    let Recording { sender, alone, forgotten } = *recording;
    let planned = &outcome.planned;
    let state = planned.row.state.clone();
    let keeps = is_parked || !state.is_live();
    let cells = || {
        outcome.shown.keys().filter_map(|id| Some((*id, planned.row.values.as_ref()?.get(usize::from(*id))?.clone())))
    };
    let kept = || match &planned.row.values {
        Some(values) if keeps => Kept::Row(values.clone()),
        _ => Kept::cells(cells().collect()),
    };
    let known = outcome.line.as_ref();
    let line = |origin, seq| {
        let (state, lasts) = (state.clone(), outcome.lasts(forgotten));
        Line { seq, origin, state, key: Some(outcome.key.clone()), kept: kept(), lasts }
    };
    match planned.relation {
        Relation::Taken if alone && state == RowState::baseline() && !is_parked => Recorded::Nothing,
        Relation::Taken if outcome.noticed => Recorded::Published(line(0, 0)),
        Relation::Taken => Recorded::Published(line(sender, 0)),
        Relation::Mixed => Recorded::Published(line(0, 0)),
        Relation::Dominated if outcome.drained => Recorded::Published(line(0, 0)),
        Relation::Dominated => match known {
            // Those that show it as well must come to the same values.
            Some(l) if outcome.stays() && l.state.cells != state.cells => Recorded::Published(line(sender, 0)),
            Some(l) if planned.saw_more || l.is_parked() != is_parked || learns_values(l, planned) => {
                Recorded::Taught(line(l.origin, l.seq))
            }
            _ => Recorded::Nothing,
        },
    }
}

/// Whether the last values of a deleted row came in, which this store did not know: it deleted the row itself.
fn learns_values(line: &Line, planned: &Planned) -> bool {
    !planned.row.state.is_live() && planned.row.values.is_some() && planned.row.values != line.kept.true_values(None)
}
