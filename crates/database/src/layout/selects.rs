//! The statements that read rows of a table, and their lengths, by key or in the order of keys. Text only; nothing is run here.

use sync_core::{ColumnId, Value};

use super::Tracked;
use super::keys::{following, key_in, repeated, within};
use crate::dialect::Dialect;

impl Tracked {
    pub(super) fn key_names<'a>(&'a self, dialect: &'a dyn Dialect) -> impl Iterator<Item = String> + 'a {
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
    pub(super) fn places(&self, dialect: &dyn Dialect, names: Vec<String>) -> Vec<(String, String)> {
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
}
