//! The ways from a parent through its foreign keys, as far as what happens at one end has effects at the other.

use std::collections::BTreeMap;

use super::{Graph, equal};
use crate::mysql::names::quote;
use crate::schema::{Action, ForeignKey};

/// InnoDB refuses to go deeper.
const DEPTH: usize = 15;

/// More paths from one foreign key are not written down: their tables are marked as a whole.
pub(super) const LIMIT: usize = 200;

/// Columns that get new values: their names and the expressions for these.
pub(super) type NewValues<'a> = BTreeMap<&'a str, String>;

/// What happens to the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// They go.
    Delete,
    /// Columns get new values.
    Update(NewValues<'a>),
}

impl<'a> Change<'a> {
    /// What an update of the trigger's row does to the columns that a foreign key refers to.
    pub fn new_values(key: &'a ForeignKey) -> Self {
        Change::Update(key.parent_columns.iter().map(|c| (c.as_str(), format!("NEW.{}", quote(c)))).collect())
    }
}

/// Where the values of a path's first parent are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the row that the trigger fires for.
    Row,
    /// In the rows of a table expression: its name, a condition on its rows, and its column for each of the parent's.
    Rows { from: String, condition: String, columns: BTreeMap<String, String> },
}

impl Origin {
    fn value(&self, column: &str) -> String {
        match self {
            Origin::Row => format!("OLD.{}", quote(column)),
            Origin::Rows { columns, .. } => columns.get(column).cloned().unwrap_or_else(|| "NULL".to_owned()),
        }
    }
}

/// Where paths begin.
#[derive(Clone, Debug)]
pub(super) struct Start<'a> {
    pub table: &'a str,
    pub origin: Origin,
    pub change: Change<'a>,
}

/// A way from a parent to rows that change with it.
#[derive(Clone, Debug)]
pub(super) struct Path<'a> {
    origin: Origin,
    steps: Vec<&'a ForeignKey>,
    change: Change<'a>,
    /// Tables on the way whose rows get new values; a cascade of updates never comes back to one.
    updated: Vec<&'a str>,
}

impl<'a> Path<'a> {
    /// The table it ends at.
    pub fn table(&self) -> &'a str {
        self.steps.last().map_or("", |k| &k.child)
    }

    /// What follows FROM, with its condition, for the rows it ends at.
    pub fn rows(&self) -> String {
        let mut tables = Vec::new();
        let mut conditions = Vec::new();
        if let Origin::Rows { from, condition, .. } = &self.origin {
            tables.push(from.clone());
            conditions.push(condition.clone());
        }
        for (i, key) in self.steps.iter().enumerate() {
            let alias = format!("x{}", i + 1);
            tables.push(format!("{} {alias}", quote(&key.child)));
            conditions.push(equal(&alias, key, |column| match i {
                0 => self.origin.value(column),
                _ => format!("x{i}.{}", quote(column)),
            }));
        }
        format!("{} WHERE {}", tables.join(" JOIN "), conditions.join(" AND "))
    }

    /// The expression for a column of the rows it ends at, as it is before.
    pub fn value(&self, column: &str) -> String {
        format!("x{}.{}", self.steps.len(), quote(column))
    }

    /// The expression for a column as it will be.
    pub fn new_value(&self, column: &str) -> String {
        self.changes().and_then(|c| c.get(column)).cloned().unwrap_or_else(|| self.value(column))
    }

    /// The columns that get new values; nothing if the rows go.
    pub fn changes(&self) -> Option<&NewValues<'a>> {
        match &self.change {
            Change::Delete => None,
            Change::Update(values) => Some(values),
        }
    }

    /// One step further, if what happens here has an effect there.
    fn step(&self, key: &'a ForeignKey) -> Option<Path<'a>> {
        let change = effect(&self.change, key)?;
        let mut updated = self.updated.clone();
        if matches!(change, Change::Update(_)) {
            if updated.contains(&key.child.as_str()) {
                return None;
            }
            updated.push(&key.child);
        }
        let steps = self.steps.iter().copied().chain([key]).collect();
        Some(Path { origin: self.origin.clone(), steps, change, updated })
    }
}

/// What a change of the parent does to the children.
pub(super) fn effect<'a>(change: &Change<'a>, key: &'a ForeignKey) -> Option<Change<'a>> {
    let to_null = || Change::Update(key.columns.iter().map(|c| (c.as_str(), "NULL".to_owned())).collect());
    let action = match change {
        Change::Delete => key.on_delete,
        Change::Update(values) if key.parent_columns.iter().any(|c| values.contains_key(c.as_str())) => key.on_update,
        Change::Update(_) => return None,
    };
    match (action, change) {
        (Action::Restrict, _) => None,
        (Action::SetNull, _) => Some(to_null()),
        (Action::Cascade, Change::Delete) => Some(Change::Delete),
        (Action::Cascade, Change::Update(values)) => {
            let pairs = key.columns.iter().zip(&key.parent_columns);
            let moved = pairs.filter_map(|(c, p)| Some((c.as_str(), values.get(p.as_str())?.clone())));
            Some(Change::Update(moved.collect()))
        }
    }
}

/// All paths from a start.
pub(super) fn below<'a>(graph: &Graph<'a>, start: &Start<'a>) -> Vec<Path<'a>> {
    graph.foreign_keys_to(start.table).flat_map(|key| along(graph, start, key)).collect()
}

/// All paths from a start whose first step is this foreign key.
pub(super) fn along<'a>(graph: &Graph<'a>, start: &Start<'a>, key: &'a ForeignKey) -> Vec<Path<'a>> {
    let updated = if matches!(start.change, Change::Update(_)) { vec![start.table] } else { Vec::new() };
    let root = Path { origin: start.origin.clone(), steps: Vec::new(), change: start.change.clone(), updated };
    let mut found = Vec::new();
    extend(graph, &root, key, &mut found);
    found
}

fn extend<'a>(graph: &Graph<'a>, path: &Path<'a>, key: &'a ForeignKey, found: &mut Vec<Path<'a>>) {
    let Some(next) = path.step(key) else { return };
    found.push(next.clone());
    if next.steps.len() < DEPTH && found.len() <= LIMIT {
        graph.foreign_keys_to(next.table()).for_each(|key| extend(graph, &next, key, found));
    }
}
