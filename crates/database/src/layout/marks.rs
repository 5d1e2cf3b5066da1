//! The statements that read the marks of a table. Text only; nothing is run here.

use super::Tracked;
use super::keys::key_in;
use super::types::{is_bulky, type_length};
use crate::dialect::Dialect;
use crate::schema::{Column, Kind, Op};

impl Tracked {
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
}
