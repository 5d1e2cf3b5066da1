//! `server_sync_row`: one line for each row that was ever written since synchronisation began, with its packed state,
//! the seq under which it is published and whose change it last was. Rows without a line are in the baseline.
//!
//! `kept` holds values that are not in the table ([`crate::kept`]).

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use sync_core::row::shifted;
use sync_core::{ColumnId, RowId, RowState, Stamp, Value, codec, key};
use sync_store::Result;

use crate::epochs::{self, Epochs};
use crate::kept::Kept;
use crate::layout::{powers, rows};
use crate::sql::{Fields, Sql};

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The arrival order.
    pub seq: u64,
    /// The number of the source whose change this was, 0 for this store's own.
    pub origin: u16,
    /// The stamps.
    pub state: RowState,
    /// Key values, where the id does not hold them.
    pub key: Option<Vec<Value>>,
    /// Values that are not in the table.
    pub kept: Kept,
    /// Whether it is a grave that is never forgotten: it came when this store had forgotten later ones already.
    pub lasts: bool,
}

impl Line {
    /// The key of the row with this id.
    pub fn key(&self, id: &RowId) -> Result<Vec<Value>> {
        match &self.key {
            Some(key) => Ok(key.clone()),
            None => Ok(id.key()?),
        }
    }

    /// Bytes of memory that the kept values take, roughly.
    pub fn kept_weight(&self) -> usize {
        self.kept.values().map(Value::weight).sum()
    }

    /// Whether the row should be visible and is not.
    pub fn is_parked(&self) -> bool {
        matches!(self.kept, Kept::Row(_)) && self.state.is_live()
    }

    /// What is still to be kept if the row's state becomes this one: a cell that was written anew is what the table has,
    /// and what was added to a counter is added to its true value, too. A deleted row that others refer to need not be shown
    /// as it was.
    pub fn kept_under(&self, state: &RowState) -> Kept {
        let is_same =
            |id: &ColumnId| self.state.lineage() == state.lineage() && self.state.cell(*id) == state.cell(*id);
        match &self.kept {
            Kept::Cells(cells) if state.is_live() => {
                let now = |(id, value): (&ColumnId, &Value)| (*id, shifted(value, *id, &self.state, state));
                Kept::cells(cells.iter().filter(|(id, _)| is_same(id)).map(now).collect())
            }
            Kept::Row(_) if self.is_parked() && state.is_live() && self.state.lineage() == state.lineage() => {
                self.kept.clone()
            }
            Kept::Row(_) if !self.state.is_live() && self.state.lineage() == state.lineage() => self.kept.clone(),
            _ => Kept::Nothing,
        }
    }
}

/// A line with its table's number and its row's id.
pub type Numbered = (u16, RowId, Line);

const COLUMNS: &str = "tab, id, seq, origin, dead, state, row_key, kept";
const WIDTH: usize = 8;

/// What `dead` says of a row that is not: it is deleted, or deleted and its grave lasts.
const GRAVE: i64 = 1;
/// See [`Line::lasts`].
pub const LASTING: i64 = 2;

/// Lines of one table, as they are to be understood where an authoritative restore was met: what is not part of it is gone.
#[derive(Debug, Default)]
pub struct Lines {
    lines: HashMap<RowId, Line>,
    /// The restore that the table has met last; [`Stamp::NEVER`] if there was none.
    pub epoch: Stamp,
}

impl Lines {
    /// Lines that were read otherwise.
    pub fn of(lines: Vec<Numbered>) -> Self {
        Lines { lines: lines.into_iter().map(|(_, id, line)| (id, line)).collect(), epoch: Stamp::NEVER }
    }

    /// What is known of a row; nothing if it was never heard of. Since a restore there is no such row.
    pub fn state_of(&self, id: &RowId) -> Option<RowState> {
        self.get(id).map(|line| line.state.clone()).or_else(|| swept(self.epoch))
    }

    /// What a row without a line is that is in the table.
    pub fn unlined(&self) -> RowState {
        swept(self.epoch).unwrap_or_else(RowState::baseline)
    }

    fn raise(&mut self) {
        let epoch = self.epoch;
        for line in self.lines.values_mut().filter(|line| line.state.epoch < epoch) {
            line.state = line.state.raised(epoch);
        }
    }
}

/// What is known of every row that has no line where this restore was met.
pub fn swept(epoch: Stamp) -> Option<RowState> {
    (epoch > Stamp::NEVER).then(|| RowState::swept(epoch))
}

impl Deref for Lines {
    type Target = HashMap<RowId, Line>;

    fn deref(&self) -> &HashMap<RowId, Line> {
        &self.lines
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut HashMap<RowId, Line> {
        &mut self.lines
    }
}

/// The lines of these rows of one table.
pub fn load(sql: &mut dyn Sql, tab: u16, ids: &[RowId]) -> Result<Lines> {
    let mut lines = as_stored(sql, tab, ids)?;
    lines.raise();
    Ok(lines)
}

/// The same, as they are stored.
pub fn as_stored(sql: &mut dyn Sql, tab: u16, ids: &[RowId]) -> Result<Lines> {
    let mut lines = Lines { lines: HashMap::with_capacity(ids.len()), epoch: Stamp::NEVER };
    for range in powers(ids.len(), 1024) {
        let places = vec!["?"; range.len()].join(",");
        // What was met comes with the first of them: a statement of its own would be a trip over the network.
        let also = if range.start == 0 { EPOCHS } else { "" };
        let query = format!("SELECT {COLUMNS}, 0 FROM server_sync_row WHERE tab=? AND id IN ({places}){also}");
        let params = [Value::Int(tab.into())].into_iter().chain(ids[range].iter().map(id_value)).collect::<Vec<_>>();
        sql.query(&query, &params, &mut |mut row| {
            let is_line = Fields::of(row.pop().into_iter().collect()).int()? == 0;
            if is_line {
                let (_, id, line) = read(row)?;
                lines.lines.insert(id, line);
            } else {
                lines.epoch = Epochs::unpack(row.swap_remove(STATE))?.of(tab).met;
            }
            Ok(())
        })?;
    }
    Ok(lines)
}

/// Columns of the same types, so that the server has nothing to convert.
const EPOCHS: &str = " UNION ALL SELECT site, store, seq, site, slave, epochs, NULL, NULL, 1 FROM server_sync_store WHERE epochs IS NOT NULL";
/// The place of the state among the columns.
const STATE: usize = 5;

/// Whether a table has lines, or has met an authoritative restore: then a row without a line is not from before.
pub fn has_history(sql: &mut dyn Sql, tab: u16) -> Result<bool> {
    let found = sql.first("SELECT 1 FROM server_sync_row WHERE tab=? LIMIT 1", &[Value::Int(tab.into())])?;
    Ok(found.is_some() || epochs::read(sql)?.of(tab).met > Stamp::NEVER)
}

/// The lines of a table that hold the true values of live rows, because the table cannot show them.
pub fn set_aside(sql: &mut dyn Sql, tab: u16, each: &mut dyn FnMut(RowId, Line) -> Result<()>) -> Result<()> {
    let parked = "SELECT id FROM server_sync_parked WHERE tab=?";
    let query = format!("SELECT {COLUMNS} FROM server_sync_row WHERE tab=? AND id IN ({parked})");
    sql.query(&query, &[Value::Int(tab.into()), Value::Int(tab.into())], &mut |row| {
        let (_, id, line) = read(row)?;
        each(id, line)
    })
}

/// Says of the lines with these seqs, which count as this store's own, that they came from a source. Those that changed since
/// have other seqs.
pub fn ascribe(sql: &mut dyn Sql, seqs: &[u64], source: u16) -> Result<()> {
    for range in powers(seqs.len(), 256) {
        let places = vec!["?"; range.len()].join(",");
        let seqs = seqs[range].iter().map(|seq| Value::unsigned(*seq));
        let params: Vec<Value> = [Value::Int(source.into())].into_iter().chain(seqs).collect();
        sql.execute(&format!("UPDATE server_sync_row SET origin=? WHERE seq IN ({places})"), &params)?;
    }
    Ok(())
}

/// Lines with seqs in `after < seq <= upto`, ascending, of one table or of all: up to so many, and so that what they keep
/// weighs no more than so many bytes, unless a single one does. Also says whether these are all.
pub fn page(
    sql: &mut dyn Sql,
    tab: Option<u16>,
    after: u64,
    upto: u64,
    (limit, bytes): (usize, usize),
) -> Result<(Vec<Numbered>, bool)> {
    let only = if tab.is_some() { "AND tab=?" } else { "" };
    let query =
        format!("SELECT {COLUMNS} FROM server_sync_row WHERE seq>? AND seq<=? {only} ORDER BY seq LIMIT {limit}");
    let mut params = vec![Value::unsigned(after), Value::unsigned(upto)];
    params.extend(tab.map(|n| Value::Int(n.into())));
    let mut lines = Vec::new();
    let (mut weight, mut full) = (0, false);
    sql.query(&query, &params, &mut |row| {
        if full {
            return Ok(());
        }
        let line = read(row)?;
        weight += line.2.kept_weight();
        full = weight > bytes && !lines.is_empty();
        if !full {
            lines.push(line);
        }
        Ok(())
    })?;
    let all = !full && lines.len() < limit;
    Ok((lines, all))
}

/// Writes lines, replacing those that are there.
pub fn save(sql: &mut dyn Sql, upsert: &str, lines: &[Numbered]) -> Result<()> {
    for range in powers(lines.len(), 1024) {
        let places = rows(WIDTH, range.len());
        let statement = format!(
            "INSERT INTO server_sync_row (tab, id, seq, origin, dead, state, row_key, kept) VALUES {places}{upsert}"
        );
        let params: Vec<Value> = lines[range].iter().flat_map(write).collect();
        sql.execute_owned(&statement, params)?;
    }
    Ok(())
}

/// The columns that [`save`] replaces.
pub const REPLACED: [&str; 6] = ["seq", "origin", "dead", "state", "row_key", "kept"];
/// The key of the table.
pub const KEY: [&str; 2] = ["tab", "id"];

fn id_value(id: &RowId) -> Value {
    Value::Bytes(id.as_bytes().to_vec())
}

fn read(row: Vec<Value>) -> Result<Numbered> {
    let mut fields = Fields::of(row);
    let tab = fields.unsigned()? as u16;
    let id = RowId::from_bytes(fields.bytes()?);
    let seq = fields.unsigned()?;
    let origin = fields.unsigned()? as u16;
    let lasts = fields.int()? == LASTING;
    let state = codec::unpack_state(&fields.bytes()?)?;
    let key = optional(fields.value()).map(|b| key::unpack(&b)).transpose()?;
    let kept = optional(fields.value()).map(|b| Kept::unpack(&b)).transpose()?.unwrap_or_default();
    Ok((tab, id, Line { seq, origin, state, key, kept, lasts }))
}

fn optional(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(b) => Some(b),
        Value::Text(s) => Some(s.into_bytes()),
        _ => None,
    }
}

fn write((tab, id, line): &Numbered) -> [Value; WIDTH] {
    let bytes = |b: Option<Vec<u8>>| b.map_or(Value::Null, Value::Bytes);
    let grave = if line.lasts { LASTING } else { GRAVE };
    [
        Value::Int((*tab).into()),
        id_value(id),
        Value::unsigned(line.seq),
        Value::Int(line.origin.into()),
        Value::Int(if line.state.is_live() { 0 } else { grave }),
        Value::Bytes(codec::pack_state(&line.state)),
        bytes(line.key.as_deref().filter(|_| id.is_hashed()).map(key::pack)),
        bytes(line.kept.pack()),
    ]
}
