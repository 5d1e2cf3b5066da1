//! What the schema demands of the rows of the synchronised tables: unique keys and foreign keys, over the lasting ids of
//! their columns. Shapes and statements only; what is shown under them is decided by [`mod@sync_core::resolve`].

use std::collections::BTreeMap;

use sync_core::resolve::Rule;
use sync_core::{ColumnId, Value};

use crate::dialect::Dialect;
use crate::layout::{Tracked, type_length};
use crate::rules::Rules;
use crate::schema::{Action, Column, ForeignKey, Kind, Schema, Table};

/// The constraints of one table.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    /// Its unique keys. The key itself is one: a collation can take two keys for the same.
    pub uniques: Vec<Unique>,
    /// Its foreign keys.
    pub references: Vec<Reference>,
    /// The foreign keys that lead here: the number of the table, the place among its references.
    pub referenced: Vec<(u16, usize)>,
}

/// A unique key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// Its columns.
    pub columns: Vec<ColumnId>,
    /// How a row that may not have its value is shown; parked if there is no way.
    pub way_out: Option<WayOut>,
    /// Whether values can be equal that differ byte by byte.
    pub collated: bool,
}

/// What is shown instead of a unique value that another row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayOut {
    /// NULL in this column.
    Null(ColumnId),
    /// The text of this column with the site's number behind it, in at most so many characters.
    Text(ColumnId, usize),
}

impl WayOut {
    /// The column that changes.
    pub fn column(self) -> ColumnId {
        match self {
            WayOut::Null(column) | WayOut::Text(column, _) => column,
        }
    }
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its columns.
    pub columns: Vec<ColumnId>,
    /// The table that it leads to.
    pub parent: String,
    /// That table's columns, in the same order.
    pub parent_columns: Vec<String>,
    /// What is done to rows whose parent goes.
    pub rule: Rule,
    /// The columns that can be shown as NULL.
    pub nullable: Vec<ColumnId>,
    /// Whether rows must not refer to each other in a circle.
    pub is_tree: bool,
}

/// The constraints of these tables, by number.
pub fn read(schema: &Schema, tracked: &[Tracked], rules: &Rules) -> BTreeMap<u16, Constraints> {
    let mut all: BTreeMap<u16, Constraints> =
        tracked.iter().map(|t| (t.number(), Constraints::of(t, schema, rules))).collect();
    for child in tracked {
        let parents: Vec<String> = all[&child.number()].references.iter().map(|r| r.parent.clone()).collect();
        for (place, parent) in parents.iter().enumerate() {
            let number = tracked.iter().find(|t| t.table.name == *parent).map(Tracked::number);
            if let Some(constraints) = number.and_then(|n| all.get_mut(&n)) {
                constraints.referenced.push((child.number(), place));
            }
        }
    }
    all
}

/// The tables in an order in which rows can be put in: those that others refer to first. Whoever refers in a circle comes
/// in the order of names.
pub fn parents_first(schema: &Schema) -> Vec<&Table> {
    let mut left: Vec<&Table> = schema.tables.iter().collect();
    let mut sorted = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |table: &Table| {
            let mut parents = schema.foreign_keys.iter().filter(|k| k.child == table.name && k.parent != table.name);
            parents.any(|k| left.iter().any(|t| t.name == k.parent))
        };
        let next = left.iter().position(|table| !waits(table)).unwrap_or(0);
        sorted.push(left.remove(next));
    }
    sorted
}

impl Constraints {
    fn of(tracked: &Tracked, schema: &Schema, rules: &Rules) -> Self {
        let keys = schema.foreign_keys.iter().filter(|k| k.child == tracked.table.name);
        let references: Vec<Reference> = keys.filter_map(|k| Reference::of(tracked, k, rules)).collect();
        let bound: Vec<ColumnId> = references.iter().flat_map(|r| r.columns.iter().copied()).collect();
        let uniques = [&tracked.table.key].into_iter().chain(&tracked.table.uniques);
        let uniques = uniques.filter_map(|places| Unique::of(tracked, places, &bound)).collect();
        Constraints { uniques, references, referenced: Vec::new() }
    }
}

impl Unique {
    /// Nothing if a column is computed: such a value is not part of the state.
    fn of(tracked: &Tracked, places: &[usize], bound: &[ColumnId]) -> Option<Self> {
        let found: Vec<&Column> = places.iter().map(|i| &tracked.table.columns[*i]).collect();
        let columns = found.iter().map(|c| stored_id(tracked, &c.name)).collect::<Option<Vec<_>>>()?;
        let candidates = || found.iter().zip(&columns).filter(|(_, id)| !is_key(tracked, **id));
        let null = candidates().find(|(c, _)| c.nullable).map(|(_, id)| WayOut::Null(*id));
        let text = || {
            let free = candidates().find(|(c, id)| is_text(c) && !bound.contains(id));
            free.map(|(c, id)| WayOut::Text(*id, type_length(&c.sql_type).map_or(200, |n| n as usize)))
        };
        let (way_out, collated) = (null.or_else(text), found.iter().any(|c| c.kind == Kind::Text));
        Some(Unique { columns, way_out, collated })
    }
}

impl Reference {
    fn of(tracked: &Tracked, key: &ForeignKey, rules: &Rules) -> Option<Self> {
        let columns = key.columns.iter().map(|name| stored_id(tracked, name)).collect::<Option<Vec<_>>>()?;
        let can_be_null = |id: &ColumnId| {
            let column = tracked.table.columns.iter().find(|c| c.name == tracked.name_of(*id));
            !is_key(tracked, *id) && column.is_some_and(|c| c.nullable)
        };
        let nullable: Vec<ColumnId> = columns.iter().copied().filter(can_be_null).collect();
        let rule = match key.on_delete {
            Action::SetNull if !nullable.is_empty() => Rule::SetNull,
            Action::Restrict => Rule::Restrict,
            Action::Cascade | Action::SetNull => Rule::Cascade,
        };
        let (parent, parent_columns) = (key.parent.clone(), key.parent_columns.clone());
        let is_tree = key.parent == key.child && !nullable.is_empty() && rules.is_tree(&key.child, &key.columns);
        Some(Reference { columns, parent, parent_columns, rule, nullable, is_tree })
    }
}

fn stored_id(tracked: &Tracked, name: &str) -> Option<ColumnId> {
    tracked.registered.id(name).filter(|id| tracked.ids.contains(id))
}

fn is_key(tracked: &Tracked, id: ColumnId) -> bool {
    tracked.key_at.iter().any(|at| tracked.ids[*at] == id)
}

/// CHAR, VARCHAR and TEXT, which take any text; not ENUM and SET.
fn is_text(column: &Column) -> bool {
    let t = column.sql_type.to_ascii_lowercase();
    column.kind == Kind::Text && !t.starts_with("enum") && !t.starts_with("set")
}

impl Tracked {
    /// SELECT of the keys of the rows that have these values in these columns, `?` for each value. Columns are found by
    /// their index; the values are compared as the schema compares them.
    pub fn select_keys_with(&self, dialect: &dyn Dialect, columns: &[String]) -> String {
        self.select_keys_where(dialect, &self.having(dialect, columns))
    }

    /// The values of columns that all belong to the key, given the key.
    pub fn of_key(&self, key: &[Value], columns: &[ColumnId]) -> Option<Vec<Value>> {
        let value = |id: &ColumnId| {
            let place = self.key_at.iter().position(|at| self.ids[*at] == *id)?;
            key.get(place).cloned()
        };
        columns.iter().map(value).collect()
    }

    /// The names of these columns.
    pub fn names_of(&self, columns: &[ColumnId]) -> Vec<String> {
        columns.iter().map(|id| self.name_of(*id).to_owned()).collect()
    }

    /// SELECT of the keys of those rows, of `count` keys, whose reference leads nowhere.
    pub fn select_orphans(&self, dialect: &dyn Dialect, reference: &Reference, count: usize) -> String {
        let own = |id: &ColumnId| format!("{}.{}", dialect.quote(&self.table.name), dialect.quote(self.name_of(*id)));
        let pairs = reference.columns.iter().zip(&reference.parent_columns);
        let leads = pairs.map(|(id, name)| format!("server_sync_p.{}={}", dialect.quote(name), own(id)));
        let leads = leads.collect::<Vec<_>>().join(" AND ");
        let there =
            reference.columns.iter().map(|id| format!("{} IS NOT NULL", own(id))).collect::<Vec<_>>().join(" AND ");
        let parent = dialect.quote(&reference.parent);
        let nowhere = format!("NOT EXISTS (SELECT 1 FROM {parent} server_sync_p WHERE {leads})");
        self.select_keys_where(dialect, &format!("{} AND {there} AND {nowhere}", self.key_in(dialect, count)))
    }

    /// SELECT of the keys of the rows for which a condition holds.
    pub fn select_keys_where(&self, dialect: &dyn Dialect, condition: &str) -> String {
        let keys: Vec<String> = self.table.key_columns().map(|c| dialect.quote(&c.name)).collect();
        format!("SELECT {} FROM {} WHERE {condition}", keys.join(", "), dialect.quote(&self.table.name))
    }

    /// `a=? AND b=?`.
    pub fn having(&self, dialect: &dyn Dialect, columns: &[String]) -> String {
        let one = |name: &String| {
            let column = self.table.columns.iter().find(|c| c.name == *name);
            let place = column.map_or_else(|| "?".to_owned(), |c| dialect.key_place(c));
            format!("{}={place}", dialect.quote(name))
        };
        columns.iter().map(one).collect::<Vec<_>>().join(" AND ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_others_refer_to_come_first() {
        let table = |name: &str| Table::plain(name, Vec::new(), Vec::new());
        let key = |child: &str, parent: &str| ForeignKey {
            child: child.to_owned(),
            columns: Vec::new(),
            parent: parent.to_owned(),
            parent_columns: Vec::new(),
            on_delete: Action::Restrict,
            on_update: Action::Restrict,
        };
        let schema = Schema {
            tables: ["a", "b", "c", "d", "e"].map(table).into(),
            foreign_keys: vec![key("a", "c"), key("c", "d"), key("c", "c"), key("b", "e"), key("e", "b")],
            triggers: Vec::new(),
        };
        let names: Vec<&str> = parents_first(&schema).iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["d", "c", "a", "b", "e"]);
    }
}
