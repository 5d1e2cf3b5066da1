//! What a site's settings say of tables: which are left out, which columns merge as one or by adding, which references form
//! a tree.
//! Published in the database, because whoever drains it must follow the same rules. Shapes only.

use std::fmt;
use std::str::FromStr;

use crate::schema::Table;

/// The rules of one site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Patterns of table names that are left out.
    pub excluded: Vec<String>,
    /// Columns that merge as one cell: whoever writes one of them writes all.
    pub together: Vec<Columns>,
    /// Columns that merge by adding.
    pub counters: Vec<Columns>,
    /// Tables of which a row that loses against another one with its key is inserted again under a new key.
    pub rekey: Vec<String>,
    /// Columns that refer to a row of the same table as its parent in a tree: they must not form a cycle.
    pub trees: Vec<Columns>,
}

/// Columns of a table, written `table: column, column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The table.
    pub table: String,
    /// The columns.
    pub columns: Vec<String>,
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.table, self.columns.join(", "))
    }
}

/// Not written like `table: column, column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotColumns;

impl FromStr for Columns {
    type Err = NotColumns;

    fn from_str(text: &str) -> Result<Self, NotColumns> {
        let (table, columns) = text.split_once(':').ok_or(NotColumns)?;
        let columns: Vec<String> = columns.split(',').map(|c| c.trim().to_owned()).collect();
        let table = table.trim().to_owned();
        if table.is_empty() || columns.iter().any(String::is_empty) {
            return Err(NotColumns);
        }
        Ok(Columns { table, columns })
    }
}

impl Rules {
    /// What they say of one table, one line each: part of its definition, as it must be alike at all sites.
    pub fn definition(&self, table: &Table) -> Vec<String> {
        let of = |what: &str, rules: &[Columns]| -> Vec<String> {
            let own = rules.iter().filter(|r| r.table == table.name);
            own.map(|r| format!("{what} ({})", r.columns.join(", "))).collect()
        };
        let counters: Vec<String> = table.counter_columns().map(|c| format!("counter ({})", c.name)).collect();
        let rekey = if table.rekeys { vec!["rekey".to_owned()] } else { Vec::new() };
        let mut lines = [of("together", &self.together), of("tree", &self.trees), counters, rekey].concat();
        lines.sort_unstable();
        lines
    }

    /// The rules that name a table or column which does not exist: most likely a slip.
    pub fn unknown(&self, tables: &[Table]) -> Vec<&Columns> {
        let exists = |rule: &&Columns| {
            let table = tables.iter().find(|t| t.name == rule.table);
            table.is_some_and(|t| rule.columns.iter().all(|name| t.columns.iter().any(|c| c.name == *name)))
        };
        self.together.iter().chain(&self.trees).filter(|rule| !exists(rule)).collect()
    }

    /// Whether these columns of a table refer to the parent in a tree.
    pub fn is_tree(&self, table: &str, columns: &[String]) -> bool {
        self.trees.iter().any(|rule| rule.table == table && rule.columns == columns)
    }
}

/// As they are stored: one a line.
pub(crate) fn written(rules: &[Columns]) -> String {
    rules.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The reverse of [`written`]; what cannot be read is left out.
pub(crate) fn read(text: &str) -> Vec<Columns> {
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_written_and_read() {
        let columns: Columns = " invoice :amount,  currency".parse().unwrap_or_else(|_| panic!("it is well written"));
        assert_eq!(
            (columns.table.as_str(), columns.columns.as_slice()),
            ("invoice", &["amount", "currency"].map(str::to_owned)[..])
        );
        assert_eq!(columns.to_string(), "invoice: amount, currency");
        assert_eq!(read(&written(std::slice::from_ref(&columns))), [columns]);
        for bad in ["", "invoice", ": amount", "invoice:", "invoice: a,,b"] {
            assert_eq!(bad.parse::<Columns>(), Err(NotColumns), "{bad}");
        }
    }
}
