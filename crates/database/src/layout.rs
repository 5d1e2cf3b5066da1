//! What is known of one table, made once from its schema: its columns, how they merge, and what of them has to be named, read
//! or written in a way of its own. Its statements are in `selects`, `writes` and `marks`. Text only; nothing is run here.

mod keys;
mod marks;
mod selects;
mod types;
mod writes;

use std::borrow::Cow;
use std::collections::BTreeSet;

use sync_core::{ColumnId, Value};

use crate::dialect::Dialect;
use crate::exact;
use crate::rules::{Columns, Rules};
use crate::schema::{BITS, Column, ForeignKey, Registered, Table};

pub(crate) use keys::{powers, rows};
pub(crate) use types::type_length;
use types::{is_automatic, is_bulky, is_empty_text, lacks_empty_label};

/// A table as it is now, together with its registered number and column ids.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// The schema.
    pub table: Table,
    /// Number and ids.
    pub registered: Registered,
    /// Equal at two sites exactly if rows go from one to the other unchanged.
    pub fingerprint: String,
    /// The ids of the columns that exist, ascending; the order in which values are read and written.
    pub ids: Vec<ColumnId>,
    /// Positions of the key columns within `ids`.
    pub key_at: Vec<usize>,
    /// The columns that can make a row large; where there are any, lengths are asked before values.
    pub bulky: Vec<ColumnId>,
    /// Whether an upsert of a row that exists is sure to find it by its key. A server looks at unique keys in an order of
    /// its own, the primary key first: without one it could meet a row that has another value of this row, and overwrite it.
    pub found_by_key: bool,
    /// Columns that merge as one.
    together: Vec<Vec<ColumnId>>,
    /// Columns that merge by adding.
    pub counters: Vec<ColumnId>,
    /// What an upsert of some columns must name besides them; `None`: it must name all columns.
    required: Option<Vec<ColumnId>>,
    /// The columns that the server may set by itself when a row is updated, unless it is told their value.
    automatic: Vec<ColumnId>,
    /// The ENUM columns whose empty text is no label, but what a server keeps where it was given an unknown one.
    unlabelled: Vec<ColumnId>,
    /// The columns whose values can be more than text, but for those by which rows are looked up.
    delicate: Vec<ColumnId>,
}

impl Tracked {
    /// Puts schema and registration together. Columns that are not registered are left out.
    pub fn new(table: Table, registered: Registered, fingerprint: String) -> Self {
        let ids: Vec<ColumnId> = (0..registered.columns.len() as ColumnId)
            .filter(|id| table.stored_columns().any(|c| c.name == registered.columns[usize::from(*id)]))
            .collect();
        let position = |c: &Column| ids.iter().position(|id| registered.columns[usize::from(*id)] == c.name);
        let key_at = table.key_columns().filter_map(position).collect();
        let which = |wanted: &dyn Fn(&Column) -> bool| -> Vec<ColumnId> {
            table.stored_columns().filter(|c| wanted(c)).filter_map(|c| registered.id(&c.name)).collect()
        };
        let bulky = which(&|c| is_bulky(&c.sql_type));
        let automatic = which(&|c| is_automatic(&c.sql_type) && !table.key_columns().any(|k| k.name == c.name));
        let required = upserts_in_part(&table).then(|| which(&|c| is_required(&table, c)));
        let unlabelled = table.stored_columns().filter(|c| lacks_empty_label(&c.sql_type));
        let unlabelled = unlabelled.filter_map(|c| registered.id(&c.name)).collect();
        let is_looked_up = |c: &Column| {
            let mut places = table.key.iter().chain(table.uniques.iter().flatten());
            places.any(|at| table.columns.get(*at).is_some_and(|key| key.name == c.name))
        };
        let delicate = which(&|c| exact::is_delicate(c) && !is_looked_up(c));
        let counters = table.counter_columns().filter_map(|c| registered.id(&c.name)).collect();
        let found_by_key = table.has_primary || table.uniques.is_empty();
        let together = Vec::new();
        Tracked {
            table,
            registered,
            fingerprint,
            ids,
            key_at,
            bulky,
            found_by_key,
            together,
            counters,
            required,
            automatic,
            unlabelled,
            delicate,
        }
    }

    /// The same table under these rules.
    pub fn with_rules(mut self, rules: &Rules) -> Self {
        let own = rules.together.iter().filter(|rule| rule.table == self.table.name);
        let ids = |rule: &Columns| rule.columns.iter().filter_map(|name| self.registered.id(name)).collect();
        self.together = own.map(ids).collect();
        self
    }

    /// These columns, and those that are written with them.
    pub fn with_companions(&self, columns: Vec<ColumnId>) -> Vec<ColumnId> {
        if self.together.is_empty() {
            return columns;
        }
        let touched = |group: &&Vec<ColumnId>| group.iter().any(|id| columns.contains(id));
        let all: BTreeSet<ColumnId> = self.together.iter().filter(touched).flatten().chain(&columns).copied().collect();
        all.into_iter().collect()
    }

    /// The same, where rows are looked up by the columns of these foreign keys, too.
    pub fn with_references(mut self, keys: &[ForeignKey]) -> Self {
        let (name, registered) = (&self.table.name, &self.registered);
        let refers = |k: &ForeignKey, column: &String| k.child == *name && k.columns.contains(column);
        let is_referred_to = |k: &ForeignKey, column: &String| k.parent == *name && k.parent_columns.contains(column);
        let is_looked_up = |id: ColumnId| {
            let column = registered.columns.get(usize::from(id));
            column.is_some_and(|c| keys.iter().any(|k| refers(k, c) || is_referred_to(k, c)))
        };
        self.delicate.retain(|id| !is_looked_up(*id));
        self
    }

    /// A row as it came from [`Tracked::select_rows`], in the order of `ids`.
    pub fn received_in_order(&self, dialect: &dyn Dialect, row: Vec<Value>) -> Vec<Value> {
        if self.delicate.is_empty() { row } else { self.gather(self.received(dialect, row)) }
    }

    /// Whether a row, given over all registered ids, holds a value that a strict server keeps but does not take.
    pub fn needs_leniency(&self, row: &[Value]) -> bool {
        self.holds_unlabelled(&|id| row.get(usize::from(id)))
    }

    fn holds_unlabelled<'a>(&self, value: &dyn Fn(ColumnId) -> Option<&'a Value>) -> bool {
        self.unlabelled.iter().any(|id| value(*id).is_some_and(is_empty_text))
    }

    /// Whether a row can only be written by itself: a value needs leniency, or something else than `?` to stand for it.
    pub fn is_special<'a>(&self, dialect: &dyn Dialect, value: &dyn Fn(ColumnId) -> Option<&'a Value>) -> bool {
        let is_placed = |id: &ColumnId| value(*id).is_some_and(|v| self.place(dialect, *id, v).is_some());
        self.holds_unlabelled(value) || self.delicate.iter().any(is_placed)
    }

    /// The same of some cells.
    pub fn cells_need_leniency(&self, cells: &[(ColumnId, Value)]) -> bool {
        cells.iter().any(|(id, value)| self.unlabelled.contains(id) && is_empty_text(value))
    }

    /// A column that exists.
    pub fn column(&self, id: ColumnId) -> Option<&Column> {
        self.table.stored_columns().find(|c| c.name == self.name_of(id))
    }

    /// What stands for a value of this column if not `?`, with its parameters.
    pub fn place(&self, dialect: &dyn Dialect, id: ColumnId, value: &Value) -> Option<(String, Vec<Value>)> {
        if !self.delicate.contains(&id) {
            return None;
        }
        dialect.place(self.column(id)?, value)
    }

    /// A row as it came from [`Tracked::select`], over all registered ids.
    pub fn received(&self, dialect: &dyn Dialect, row: Vec<Value>) -> Vec<Value> {
        let mut all = self.spread(row);
        for id in self.delicate.iter().filter(|id| self.reading(dialect, **id).is_some()) {
            let value = &mut all[usize::from(*id)];
            *value = dialect.received(std::mem::take(value));
        }
        all
    }

    /// How a column is read if not by its name.
    fn reading(&self, dialect: &dyn Dialect, id: ColumnId) -> Option<String> {
        self.column(id).filter(|_| self.delicate.contains(&id)).and_then(|c| dialect.read_as(c))
    }

    fn selected(&self, dialect: &dyn Dialect, id: ColumnId) -> String {
        self.reading(dialect, id).unwrap_or_else(|| dialect.quote(self.name_of(id)))
    }

    fn all_selected(&self, dialect: &dyn Dialect) -> String {
        self.ids.iter().map(|id| self.selected(dialect, *id)).collect::<Vec<_>>().join(", ")
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.registered.number
    }

    /// The name of a column by id.
    pub fn name_of(&self, id: ColumnId) -> &str {
        self.registered.columns.get(usize::from(id)).map_or("", String::as_str)
    }

    /// The names of the columns in the order of `ids`.
    pub fn names(&self) -> Vec<String> {
        self.ids.iter().map(|id| self.name_of(*id).to_owned()).collect()
    }

    /// The key of a row given in the order of `ids`.
    pub fn key_of(&self, values: &[Value]) -> Vec<Value> {
        self.key_at.iter().map(|i| values[*i].clone()).collect()
    }

    /// Values in the order of `ids`, spread over all registered ids; dropped columns are NULL.
    pub fn spread(&self, values: Vec<Value>) -> Vec<Value> {
        let mut all = vec![Value::Null; self.registered.columns.len()];
        for (id, value) in self.ids.iter().zip(values) {
            all[usize::from(*id)] = value;
        }
        all
    }

    /// The reverse of [`Tracked::spread`].
    pub fn gather(&self, all: Vec<Value>) -> Vec<Value> {
        let mut values = Vec::with_capacity(self.ids.len());
        gather(&mut values, all.into(), &self.ids);
        values
    }

    /// These columns, and those that would otherwise change by themselves (`ON UPDATE CURRENT_TIMESTAMP`).
    pub fn with_automatic(&self, columns: &[ColumnId]) -> Vec<ColumnId> {
        let wanted = |id: &ColumnId| columns.contains(id) || self.automatic.contains(id);
        self.ids.iter().copied().filter(wanted).collect()
    }

    /// The columns to name in an upsert of rows that exist, if it sets `columns`. The primary key says which row is
    /// meant, and is looked at first; what is left out is not looked at, as the row is there.
    pub fn named_to_update(&self, columns: &[ColumnId]) -> Vec<ColumnId> {
        let Some(required) = &self.required else { return self.ids.clone() };
        self.ids.iter().copied().filter(|id| required.contains(id) || columns.contains(id)).collect()
    }

    /// The column ids that a mark's bits name, of those that exist; all of them if every bit is set.
    pub fn columns_of(&self, bits: &[u64]) -> Vec<ColumnId> {
        let is_set = |id: &ColumnId| {
            let id = usize::from(*id);
            bits.get(id / BITS).is_some_and(|word| word >> (id % BITS) & 1 == 1)
        };
        self.with_companions(self.ids.iter().copied().filter(is_set).collect())
    }
}

/// The values of these columns, of a row given over all registered ids.
pub(crate) fn gather(into: &mut Vec<Value>, all: Cow<'_, [Value]>, ids: &[ColumnId]) {
    let places = ids.iter().map(|id| usize::from(*id));
    match all {
        Cow::Borrowed(all) => into.extend(places.map(|at| all.get(at).cloned().unwrap_or_default())),
        Cow::Owned(mut all) => into.extend(places.map(|at| all.get_mut(at).map(std::mem::take).unwrap_or_default())),
    }
}

/// Whether an upsert of rows that exist may leave columns out: the primary key must be what is looked at first, and
/// nothing may be computed from what is left out.
fn upserts_in_part(table: &Table) -> bool {
    table.has_primary && table.transactional && !table.columns.iter().any(|c| c.generated)
}

/// What such an upsert must name: the key; columns that may have no default; and unique values, since the default
/// could be a stranger's.
fn is_required(table: &Table, column: &Column) -> bool {
    let is = |at: &usize| table.columns.get(*at).is_some_and(|c| c.name == column.name);
    !column.nullable || table.key.iter().chain(table.uniques.iter().flatten()).any(is)
}
