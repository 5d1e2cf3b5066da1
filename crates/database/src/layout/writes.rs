//! The statements that write rows of a table. Text only; nothing is run here.

use sync_core::ColumnId;

use super::Tracked;
use crate::dialect::Dialect;

impl Tracked {
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
}
