//! The statements for one table, made once from its schema: reading rows by key, writing them, reading marks. Text
//! only; nothing is run here.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sync_core::{ColumnId, Value};

use crate::dialect::Dialect;
use crate::exact;
use crate::rules::{Columns, Rules};
use crate::schema::{BITS, Column, ForeignKey, Kind, Op, Registered, Table};

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

    fn key_names<'a>(&'a self, dialect: &'a dyn Dialect) -> impl Iterator<Item = String> + 'a {
        self.table.key_columns().map(|c| dialect.quote(&c.name))
    }

    /// These columns as they are, for a list.
    pub fn columns(&self, dialect: &dyn Dialect, ids: &[ColumnId]) -> String {
        ids.iter().map(|id| dialect.quote(self.name_of(*id))).collect::<Vec<_>>().join(", ")
    }

    /// The condition that the key is one of `count` keys, `?` for each key value.
    pub(crate) fn key_in(&self, dialect: &dyn Dialect, count: usize) -> String {
        let names = self.key_names(dialect).collect();
        key_in(&self.places(dialect, names), count)
    }

    /// Expressions of the key columns' types, each with what stands for its value.
    fn places(&self, dialect: &dyn Dialect, names: Vec<String>) -> Vec<(String, String)> {
        names.into_iter().zip(self.table.key_columns().map(|c| dialect.key_place(c))).collect()
    }

    /// SELECT of all columns of the rows with `count` keys; with `lock`, locking them without waiting.
    pub fn select(&self, dialect: &dyn Dialect, count: usize, lock: bool) -> String {
        let table = dialect.by_key(&self.table);
        let lock = if lock { dialect.for_update() } else { "" };
        let condition = self.key_in(dialect, count);
        format!("SELECT {} FROM {table} WHERE {condition}{lock}", self.all_selected(dialect))
    }

    /// The columns whose values can be large, and be read in pieces.
    pub fn cut_apart(&self, dialect: &dyn Dialect) -> Vec<ColumnId> {
        let is_key = |id: &ColumnId| self.key_at.iter().any(|at| self.ids[*at] == *id);
        let is_whole = |id: &ColumnId| self.reading(dialect, *id).is_some();
        let cuts = |id: &&ColumnId| !is_key(id) && !is_whole(id) && self.column(**id).is_some_and(|c| dialect.cuts(c));
        self.bulky.iter().filter(cuts).copied().collect()
    }

    /// As [`Tracked::select`] of one row, with NULL instead of these columns.
    pub fn select_without(&self, dialect: &dyn Dialect, columns: &[ColumnId], lock: bool) -> String {
        let column = |id: &ColumnId| match columns.contains(id) {
            true => "NULL".to_owned(),
            false => self.selected(dialect, *id),
        };
        let columns = self.ids.iter().map(column).collect::<Vec<_>>().join(", ");
        let lock = if lock { dialect.for_update() } else { "" };
        format!("{}{lock}", self.select_of_one(dialect, &columns))
    }

    /// SELECT of how many characters or bytes a column of one row has.
    pub fn select_count(&self, dialect: &dyn Dialect, column: ColumnId) -> String {
        self.select_of_one(dialect, &format!("CHAR_LENGTH({})", dialect.quote(self.name_of(column))))
    }

    /// SELECT of a piece of it: from where (1 is the first), how many, then the key.
    pub fn select_piece(&self, dialect: &dyn Dialect, column: ColumnId) -> String {
        self.select_of_one(dialect, &format!("SUBSTR({}, ?, ?)", dialect.quote(self.name_of(column))))
    }

    fn select_of_one(&self, dialect: &dyn Dialect, what: &str) -> String {
        format!("SELECT {what} FROM {} WHERE {}", dialect.by_key(&self.table), self.key_in(dialect, 1))
    }

    /// SELECT of the keys and the byte length of the rows with `count` keys. Small columns are not counted.
    pub fn select_lengths(&self, dialect: &dyn Dialect, count: usize) -> String {
        let keys = self.key_names(dialect).collect::<Vec<_>>().join(", ");
        let (length, table) = (self.length(dialect), dialect.by_key(&self.table));
        format!("SELECT {length}, {keys} FROM {table} WHERE {}", self.key_in(dialect, count))
    }

    /// SELECT of the sum of the lengths of the rows with `count` keys.
    pub fn select_length(&self, dialect: &dyn Dialect, count: usize) -> String {
        let (length, table) = (self.length(dialect), dialect.by_key(&self.table));
        format!("SELECT SUM({length}) FROM {table} WHERE {}", self.key_in(dialect, count))
    }

    fn length(&self, dialect: &dyn Dialect) -> String {
        let length = |id: &ColumnId| format!("COALESCE(LENGTH({}), 0)", dialect.quote(self.name_of(*id)));
        self.bulky.iter().map(length).collect::<Vec<_>>().join(" + ")
    }

    /// SELECT of up to `limit` keys that follow a key (`?` for each value, several times for a composite key), or
    /// the first ones.
    pub fn select_keys(&self, dialect: &dyn Dialect, after: bool, limit: usize) -> String {
        let keys: Vec<String> = self.key_names(dialect).collect();
        let places = self.places(dialect, keys.clone());
        let condition = if after { format!("WHERE {}", following(&places)) } else { String::new() };
        let (list, table) = (keys.join(", "), dialect.by_key(&self.table));
        format!("SELECT {list} FROM {table} {condition} ORDER BY {list} LIMIT {limit}")
    }

    /// SELECT of up to `limit` rows in key order, of what is `wanted` of them, within any of these bounds; each says whether
    /// only those behind a key, and whether only those up to a key. With `on` only those behind a further key.
    pub fn select_spans(
        &self,
        dialect: &dyn Dialect,
        wanted: &str,
        bounds: &[(bool, bool)],
        on: bool,
        limit: usize,
    ) -> String {
        let keys: Vec<String> = self.key_names(dialect).collect();
        let places = self.places(dialect, keys.clone());
        let within = |bounds: &(bool, bool)| within(&places, *bounds);
        let spans = bounds.iter().map(within).collect::<Option<Vec<_>>>().filter(|spans| !spans.is_empty());
        let spans = spans.map(|spans| format!("({})", spans.join(" OR ")));
        let conditions: Vec<String> = [spans, on.then(|| following(&places))].into_iter().flatten().collect();
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let table = dialect.by_key(&self.table);
        format!("SELECT {wanted} FROM {table}{condition} ORDER BY {} LIMIT {limit}", keys.join(", "))
    }

    /// SELECT of the place of each of these bounds, and how many rows are within, and the sum of `what` of them.
    pub fn select_sums(&self, dialect: &dyn Dialect, what: &str, bounds: &[(bool, bool)]) -> String {
        let places = self.places(dialect, self.key_names(dialect).collect());
        let table = dialect.by_key(&self.table);
        let one = |(place, bounds): (usize, &(bool, bool))| {
            let condition = within(&places, *bounds).map(|c| format!(" WHERE {c}")).unwrap_or_default();
            format!("SELECT {place}, COUNT(*), COALESCE(SUM({what}), 0) FROM {table}{condition}")
        };
        bounds.iter().enumerate().map(one).collect::<Vec<_>>().join(" UNION ALL ")
    }

    /// The same as [`Tracked::select_spans`], of whole rows.
    pub fn select_rows(&self, dialect: &dyn Dialect, after: bool, limit: usize) -> String {
        self.select_spans(dialect, &self.all_selected(dialect), &[], after, limit)
    }

    /// SELECT of the byte length of the same rows together.
    pub fn select_rows_length(&self, dialect: &dyn Dialect, after: bool, limit: usize) -> String {
        let rows = self.select_spans(dialect, &format!("{} AS n", self.length(dialect)), &[], after, limit);
        format!("SELECT SUM(n) FROM ({rows}) AS rows_of_a_page")
    }

    /// The parameters that [`Tracked::select_keys`] wants for the key to follow.
    pub fn following_params(&self, dialect: &dyn Dialect, key: &[Value]) -> Vec<Value> {
        let key: Vec<Value> =
            self.table.key_columns().zip(key).map(|(column, value)| dialect.sorting_value(column, value)).collect();
        repeated(&key)
    }

    /// INSERT of rows, given over these columns: what stands for their values is written like `(?,?),(?,?)`.
    pub fn insert(&self, dialect: &dyn Dialect, places: &str, ids: &[ColumnId]) -> String {
        let table = dialect.quote(&self.table.name);
        format!("INSERT INTO {table} ({}) VALUES {places}", self.columns(dialect, ids))
    }

    /// The same of rows whose keys exist, given over `ids`, which sets `columns`.
    pub fn update(&self, dialect: &dyn Dialect, places: &str, ids: &[ColumnId], columns: &[ColumnId]) -> String {
        let keys: Vec<String> = self.key_names(dialect).collect();
        let set: Vec<String> = columns.iter().map(|id| dialect.quote(self.name_of(*id))).collect();
        format!("{}{}", self.insert(dialect, places, ids), dialect.on_duplicate(&keys, &set))
    }

    /// UPDATE of the row with one key, which sets these columns, each with what stands for its value; then `?` for each key
    /// value.
    pub fn update_one(&self, dialect: &dyn Dialect, columns: &[(ColumnId, String)]) -> String {
        let set = columns.iter().map(|(id, place)| format!("{}={place}", dialect.quote(self.name_of(*id))));
        let set: Vec<String> = set.collect();
        let table = dialect.quote(&self.table.name);
        format!("UPDATE {table} SET {} WHERE {}", set.join(", "), self.key_in(dialect, 1))
    }

    /// DELETE of the rows with `count` keys.
    pub fn delete(&self, dialect: &dyn Dialect, count: usize) -> String {
        format!("DELETE FROM {} WHERE {}", dialect.quote(&self.table.name), self.key_in(dialect, count))
    }

    /// SELECT of the oldest `limit` marks of rows, each with whether its row is in the table.
    pub fn select_marks(&self, dialect: &dyn Dialect, limit: usize) -> String {
        let same =
            |(i, c): (usize, &Column)| dialect.same(c, &format!("t.{}", dialect.quote(&c.name)), &format!("m.k{i}"));
        let on: Vec<String> = self.table.key_columns().enumerate().map(same).collect();
        let first = self.key_names(dialect).next().unwrap_or_default();
        format!(
            "SELECT m.id, m.op, {}, t.{first} IS NOT NULL, {}, {} FROM {} m LEFT JOIN {} t ON {} WHERE m.op<>{} \
             ORDER BY m.id LIMIT {limit}",
            dialect.mark_micros(),
            self.bits("m."),
            self.mark_keys("m.").join(", "),
            dialect.quote(&self.registered.mark_table()),
            dialect.quote(&self.table.name),
            on.join(" AND "),
            Op::Unknown as u8,
        )
    }

    /// Whether ORDER BY tells all keys apart: servers look at the first 1024 bytes of a value, 4 a character.
    pub fn sorts_whole_keys(&self) -> bool {
        let is_plain = |c: &Column| match c.kind {
            Kind::Integer | Kind::Exact => true,
            Kind::Text | Kind::Bytes => !is_bulky(&c.sql_type) && type_length(&c.sql_type).is_none_or(|n| n <= 255),
            Kind::Float | Kind::Json | Kind::Geometry => false,
        };
        self.table.key_columns().all(is_plain)
    }

    /// SELECT of all marks of rows, those of one row together and oldest first; whether rows are there is left open.
    pub fn select_sorted_marks(&self, dialect: &dyn Dialect) -> String {
        let keys = self.mark_keys("m.");
        let sorted = self.table.key_columns().zip(&keys).map(|(column, key)| match column.kind {
            // Keys that a collation takes for the same are different rows.
            Kind::Text => format!("CAST({key} AS BINARY)"),
            _ => key.clone(),
        });
        format!(
            "SELECT m.id, m.op, {}, 0, {}, {} FROM {} m WHERE m.op<>{} ORDER BY {}, m.id",
            dialect.mark_micros(),
            self.bits("m."),
            keys.join(", "),
            dialect.quote(&self.registered.mark_table()),
            Op::Unknown as u8,
            sorted.collect::<Vec<_>>().join(", "),
        )
    }

    /// SELECT of the marks of `count` keys.
    pub fn select_marks_of(&self, dialect: &dyn Dialect, count: usize) -> String {
        let keys = self.mark_keys("m.");
        format!(
            "SELECT m.id, m.op, {}, 0, {}, {} FROM {} m WHERE {} ORDER BY m.id",
            dialect.mark_micros(),
            self.bits("m."),
            keys.join(", "),
            dialect.quote(&self.registered.mark_table()),
            key_in(&self.places(dialect, keys.clone()), count),
        )
    }

    /// SELECT of the ids of the marks without a key.
    pub fn select_unknown_marks(&self, dialect: &dyn Dialect) -> String {
        let table = dialect.quote(&self.registered.mark_table());
        format!("SELECT m.id FROM {table} m WHERE m.op={}", Op::Unknown as u8)
    }

    /// The words of changed-column bits, and where there are counters what was added.
    fn bits(&self, prefix: &str) -> String {
        let words = (0..self.registered.bit_columns()).map(|i| format!("{prefix}b{i}"));
        let delta = (!self.counters.is_empty()).then(|| format!("{prefix}delta"));
        words.chain(delta).collect::<Vec<_>>().join(", ")
    }

    fn mark_keys(&self, prefix: &str) -> Vec<String> {
        (0..self.table.key.len()).map(|i| format!("{prefix}k{i}")).collect()
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

/// Types that can have ON UPDATE CURRENT_TIMESTAMP. Which of them do is not asked: to name them all is harmless.
fn is_automatic(sql_type: &str) -> bool {
    let t = sql_type.to_ascii_lowercase();
    t.starts_with("timestamp") || t.starts_with("datetime")
}

/// Types whose values can exceed what a page of rows may weigh.
fn is_bulky(sql_type: &str) -> bool {
    let t = sql_type.to_ascii_lowercase();
    t.is_empty()
        || ["blob", "text", "json", "geom", "char(", "clob"].iter().any(|word| t.contains(word)) && !is_short(&t)
}

fn is_empty_text(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.is_empty())
}

/// Whether a type is an ENUM without an empty label. Labels are quoted, with doubled quotes in them.
fn lacks_empty_label(sql_type: &str) -> bool {
    let is_enum = sql_type.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("enum("));
    let mut rest = sql_type.get(5..).unwrap_or_default();
    while let Some(label) = rest.strip_prefix('\'') {
        let end = label_length(label);
        if end == 0 {
            return false;
        }
        rest = label.get(end + 1..).unwrap_or_default().trim_start_matches(',');
    }
    is_enum
}

/// Up to the quote that closes a label.
fn label_length(label: &str) -> usize {
    let bytes = label.as_bytes();
    let mut at = 0;
    while at < bytes.len() && (bytes[at] != b'\'' || bytes.get(at + 1) == Some(&b'\'')) {
        at += if bytes[at] == b'\'' { 2 } else { 1 };
    }
    at
}

/// CHAR and VARCHAR that cannot hold more than a few hundred characters.
fn is_short(sql_type: &str) -> bool {
    sql_type.contains("char(") && type_length(sql_type).is_some_and(|n| n <= 1024)
}

/// The number in the parentheses of a type.
pub(crate) fn type_length(sql_type: &str) -> Option<u32> {
    let digits: String = sql_type.chars().skip_while(|c| *c != '(').skip(1).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// `a IN (?, ?)`, or for composite keys `(a=? AND b=?) OR …`, which both servers answer from the index.
fn key_in(keys: &[(String, String)], count: usize) -> String {
    if let [(name, place)] = keys {
        return format!("{name} IN ({})", vec![place.as_str(); count].join(","));
    }
    let one = keys.iter().map(|(name, place)| format!("{name}={place}")).collect::<Vec<_>>().join(" AND ");
    format!("({})", vec![format!("({one})"); count].join(" OR "))
}

/// The rows after a key: `a > ?`, or `a >= ? AND (a > ? OR (b > ?))` — never `(a, b) > (?, ?)`, which reads all.
fn following(keys: &[(String, String)]) -> String {
    match keys {
        [] => "1=1".to_owned(),
        [(last, place)] => format!("{last} > {place}"),
        [(first, place), rest @ ..] => {
            format!("({first} >= {place} AND ({first} > {place} OR {}))", following(rest))
        }
    }
}

/// The rows within bounds; nothing if there are none.
fn within(keys: &[(String, String)], (after, upto): (bool, bool)) -> Option<String> {
    let ends = [after.then(|| following(keys)), upto.then(|| leading_to(keys))];
    let ends: Vec<String> = ends.into_iter().flatten().collect();
    (!ends.is_empty()).then(|| format!("({})", ends.join(" AND ")))
}

/// The rows up to a key, with that one: `a <= ?`, or `a <= ? AND (a < ? OR b <= ?)`.
fn leading_to(keys: &[(String, String)]) -> String {
    match keys {
        [] => "1=1".to_owned(),
        [(last, place)] => format!("{last} <= {place}"),
        [(first, place), rest @ ..] => {
            format!("({first} <= {place} AND ({first} < {place} OR {}))", leading_to(rest))
        }
    }
}

/// The values for [`following`]: each but the last twice.
fn repeated(key: &[Value]) -> Vec<Value> {
    let mut params: Vec<Value> = Vec::new();
    for (i, value) in key.iter().enumerate() {
        if i + 1 < key.len() {
            params.push(value.clone());
        }
        params.push(value.clone());
    }
    params
}

/// `(?,?),(?,?)`.
pub(crate) fn rows(columns: usize, count: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; count].join(",")
}

/// Cuts a length into powers of two up to `max`, so that only a few different statements are ever prepared.
pub(crate) fn powers(len: usize, max: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let max = if max.is_power_of_two() { max } else { max.next_power_of_two() / 2 }.max(1);
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = len - at;
        if left == 0 {
            return None;
        }
        let step = if left >= max { max } else { 1 << left.ilog2() };
        at += step;
        Some(at - step..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_cut_into_powers_of_two() {
        let cut: Vec<_> = powers(300, 200).map(|r| r.len()).collect();
        assert_eq!(cut, [128, 128, 32, 8, 4]);
        assert_eq!(powers(0, 8).count(), 0);
    }

    #[test]
    fn following_a_composite_key_repeats_all_but_the_last_value() {
        let names = ["a", "b", "c"].map(|name| (name.to_owned(), "?".to_owned()));
        assert_eq!(following(&names), "(a >= ? AND (a > ? OR (b >= ? AND (b > ? OR c > ?))))");
        assert_eq!(leading_to(&names), "(a <= ? AND (a < ? OR (b <= ? AND (b < ? OR c <= ?))))");
        let params = repeated(&[Value::Int(1), Value::Int(2), Value::Int(3)]);
        assert_eq!(params, [1, 1, 2, 2, 3].map(Value::Int));
    }

    #[test]
    fn enums_without_an_empty_label() {
        for t in ["enum('a','b')", "ENUM('a''',''',') CHARACTER SET latin1", "enum(' ')", "enum('),''','''''')"] {
            assert!(lacks_empty_label(t), "{t}");
        }
        for t in ["enum('')", "enum('a''','','b') CHARACTER SET utf8mb4", "enum('é','')", "set('a')", "varchar(5)", "é"]
        {
            assert!(!lacks_empty_label(t), "{t}");
        }
    }

    #[test]
    fn bulky_types() {
        for t in ["longblob", "text CHARACTER SET latin1", "varchar(4000)", "json", "geometry", ""] {
            assert!(is_bulky(t), "{t}");
        }
        for t in ["int", "varchar(255) CHARACTER SET utf8mb4", "decimal(10,2)", "datetime(6)", "char(2)"] {
            assert!(!is_bulky(t), "{t}");
        }
    }
}
