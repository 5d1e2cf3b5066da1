//! The part of the state that resolving constraints must see, read from the database: rows that a constraint is about,
//! their parents, their children, and whoever has their unique values. Reading and locking only; what comes of it is
//! decided by [`mod@sync_core::resolve`].
//!
//! A row is *open* if it is not shown as its state says, or may not be: then all that bears on it is read. Its neighbours
//! are not open: what they themselves refer to is taken to be in order, until resolving says otherwise of them.

use std::collections::{BTreeSet, HashMap};

use sync_core::resolve::{Claim, Fact, Name, Verdict, claimed_at};
use sync_core::{ColumnId, RowId, RowState, Value};
use sync_store::Result;

use crate::catalog::Catalog;
use crate::connections::Connections;
use crate::constraints::{Constraints, Reference, Unique};
use crate::kept::Kept;
use crate::layout::Tracked;
use crate::meta::{self, Line};
use crate::{marks, tables};

/// A row as resolving sees it.
pub(crate) struct Known {
    /// Which.
    pub name: Name,
    /// Its key.
    pub key: Vec<Value>,
    /// Its line, where it has one.
    pub line: Option<Line>,
    /// What the table shows.
    pub shown: Option<Vec<Value>>,
    /// Its values as the state has them.
    pub truth: Option<Vec<Value>>,
    /// Whether the schema forbids it for a reason that is not looked into here.
    pub blocked: bool,
    /// Whether all that bears on it was read.
    is_open: bool,
    is_closed: bool,
    /// By reference: the row it leads to.
    parents: Vec<Option<Parent>>,
}

/// Where a reference leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parent {
    /// To this row.
    Row(usize),
    /// To a row that was never heard of.
    Missing,
}

impl Known {
    /// The row's stamps.
    pub fn state(&self) -> RowState {
        self.line.as_ref().map_or_else(RowState::baseline, |l| l.state.clone())
    }

    /// Whether the state says that it is there.
    pub fn is_live(&self) -> bool {
        self.truth.is_some() && self.line.as_ref().is_none_or(|l| l.state.is_live())
    }

    /// The true values of these columns; nothing if one is NULL.
    pub fn values_of(&self, columns: &[ColumnId]) -> Option<Vec<Value>> {
        let truth = self.truth.as_ref()?;
        let values: Vec<Value> =
            columns.iter().map(|id| truth.get(usize::from(*id)).cloned().unwrap_or_default()).collect();
        (!values.iter().any(Value::is_null)).then_some(values)
    }
}

/// The rows that were read.
pub(crate) struct World<'a> {
    catalog: &'a Catalog,
    /// The rows.
    pub rows: Vec<Known>,
    at: HashMap<Name, usize>,
    /// Whether a row has marks that were not drained: then nothing can be decided.
    pub is_stale: bool,
}

impl<'a> World<'a> {
    /// Nothing yet.
    pub fn new(catalog: &'a Catalog) -> Self {
        World { catalog, rows: Vec::new(), at: HashMap::new(), is_stale: false }
    }

    /// Reads rows of one table, locks them, and opens them.
    pub fn open(&mut self, c: &mut Connections, number: u16, ids: &[RowId]) -> Result<()> {
        let lines = meta::load(c.writer.as_mut(), number, ids)?;
        let keys = ids.iter().filter_map(|id| match lines.get(id) {
            Some(line) => Some(line.key(id)),
            None => id.key().ok().map(Ok),
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        for row in self.add(c, number, keys)? {
            self.rows[row].is_open = true;
        }
        Ok(())
    }

    /// Reads rows that were not read yet; returns the places of all of them.
    fn add(&mut self, c: &mut Connections, number: u16, keys: Vec<Vec<Value>>) -> Result<Vec<usize>> {
        let Some(tracked) = self.catalog.numbered(number) else { return Ok(Vec::new()) };
        let is_new = |key: &Vec<Value>| !self.at.contains_key(&(number, RowId::of(key)));
        let new: Vec<Vec<Value>> = keys.iter().filter(|k| is_new(k)).cloned().collect();
        if !new.is_empty() {
            self.read(c, tracked, new)?;
        }
        Ok(keys.iter().filter_map(|key| self.at.get(&(number, RowId::of(key))).copied()).collect())
    }

    fn read(&mut self, c: &mut Connections, tracked: &Tracked, keys: Vec<Vec<Value>>) -> Result<()> {
        let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
        let ids: Vec<RowId> = keys.iter().map(|k| RowId::of(k)).collect();
        let mut shown = tables::read(sql, dialect, tracked, &keys, true)?;
        let mut lines = meta::load(sql, tracked.number(), &ids)?;
        self.is_stale |= !marks::of_rows(sql, dialect, tracked, &keys)?.rows.is_empty();
        for (key, id) in keys.into_iter().zip(ids) {
            let name = (tracked.number(), id);
            if self.at.contains_key(&name) {
                continue;
            }
            let (line, shown) = (lines.remove(&name.1), shown.remove(&name.1));
            let kept = line.as_ref().map_or(&Kept::Nothing, |l| &l.kept);
            let truth = kept.true_values(shown.clone());
            if line.is_none() && shown.is_none() {
                continue;
            }
            self.at.insert(name.clone(), self.rows.len());
            let parents = vec![None; self.constraints(name.0).references.len()];
            let is_open = line.as_ref().is_some_and(|l| is_set_aside(l, shown.is_some()));
            self.rows.push(Known { name, key, line, shown, truth, blocked: false, is_open, is_closed: false, parents });
        }
        Ok(())
    }

    /// The constraints of a table.
    pub fn constraints(&self, number: u16) -> &'a Constraints {
        static FREE: Constraints = Constraints { uniques: Vec::new(), references: Vec::new(), referenced: Vec::new() };
        self.catalog.constraints.get(&number).unwrap_or(&FREE)
    }

    /// The table of a row.
    pub fn tracked(&self, row: usize) -> Option<&'a Tracked> {
        self.catalog.numbered(self.rows[row].name.0)
    }

    /// Reads all that bears on open rows; rows that are read now can call for more.
    pub fn close(&mut self, c: &mut Connections) -> Result<()> {
        // Rows before the one that is looked at may be opened meanwhile, and others added.
        while self.rows.iter().any(|row| row.is_open && !row.is_closed) {
            for row in 0..self.rows.len() {
                let known = &mut self.rows[row];
                if known.is_open && !std::mem::replace(&mut known.is_closed, true) {
                    self.find_parents(c, row)?;
                    self.find_rivals(c, row)?;
                }
            }
        }
        Ok(())
    }

    /// Opens what a decision bears on, and reads the children of rows that are not to be shown; says whether there was
    /// anything new.
    pub fn follow(&mut self, c: &mut Connections, verdicts: &[Verdict], asked: &mut BTreeSet<usize>) -> Result<bool> {
        let before = (self.rows.len(), self.open_rows());
        for (row, verdict) in verdicts.iter().enumerate() {
            let is_shown = matches!(verdict, Verdict::Shown { .. });
            self.rows[row].is_open |= is_shown != self.is_shown(row) || (is_shown && *verdict != Verdict::WHOLE);
            let is_open = self.rows[row].is_open;
            if is_open && (!is_shown || !self.rows[row].is_live()) && asked.insert(row) {
                self.find_children(c, row)?;
            }
        }
        self.close(c)?;
        Ok(before != (self.rows.len(), self.open_rows()))
    }

    /// Whether all that bears on a row was read, so that it is decided about.
    pub fn is_open(&self, row: usize) -> bool {
        self.rows[row].is_open
    }

    fn is_shown(&self, row: usize) -> bool {
        self.rows[row].shown.is_some()
    }

    fn open_rows(&self) -> usize {
        self.rows.iter().filter(|r| r.is_open).count()
    }

    fn find_parents(&mut self, c: &mut Connections, row: usize) -> Result<()> {
        for (place, reference) in self.constraints(self.rows[row].name.0).references.iter().enumerate() {
            if let Some(values) = self.rows[row].values_of(&reference.columns) {
                let parent = self.find_parent(c, reference, &values)?;
                self.rows[row].parents[place] = parent;
                if let (true, Some(Parent::Row(parent))) = (reference.is_tree, parent) {
                    // The whole way up may lead back here.
                    self.rows[parent].is_open = true;
                }
            }
        }
        Ok(())
    }

    /// The row that a reference with these values leads to; nothing if it leads to a table that is not synchronised and
    /// is in order.
    fn find_parent(&mut self, c: &mut Connections, reference: &Reference, values: &[Value]) -> Result<Option<Parent>> {
        let Some(tracked) = self.catalog.named(&reference.parent) else {
            return Ok((!is_there(c, reference, values)?).then_some(Parent::Missing));
        };
        if let Some(row) = self.find_shown(c, tracked, &reference.parent_columns, values)?.first() {
            return Ok(Some(Parent::Row(*row)));
        }
        if let Some(key) = as_key(tracked, reference, values)
            && let Some(row) = self.add(c, tracked.number(), vec![key])?.first()
        {
            return Ok(Some(Parent::Row(*row)));
        }
        Ok(Some(self.find_hidden(tracked, &reference.parent_columns, values).map_or(Parent::Missing, Parent::Row)))
    }

    /// A row that was read and that has these values without showing them.
    fn find_hidden(&self, tracked: &Tracked, columns: &[String], values: &[Value]) -> Option<usize> {
        let columns: Vec<ColumnId> = columns.iter().filter_map(|name| tracked.registered.id(name)).collect();
        let has = |known: &Known| {
            known.name.0 == tracked.number() && known.values_of(&columns).is_some_and(|own| own == values)
        };
        self.rows.iter().position(has)
    }

    /// The rows whose table shows these values.
    fn find_shown(
        &mut self,
        c: &mut Connections,
        tracked: &Tracked,
        columns: &[String],
        values: &[Value],
    ) -> Result<Vec<usize>> {
        let statement = tracked.select_keys_with(c.dialect.as_ref(), columns);
        let keys = c.writer.all(&statement, values)?;
        self.add(c, tracked.number(), keys)
    }

    /// Whoever has the unique values of a row.
    fn find_rivals(&mut self, c: &mut Connections, row: usize) -> Result<()> {
        let Some(tracked) = self.tracked(row) else { return Ok(()) };
        for unique in &self.constraints(tracked.number()).uniques {
            if let Some(values) = self.rows[row].values_of(&unique.columns) {
                let names = tracked.names_of(&unique.columns);
                self.find_shown(c, tracked, &names, &values)?;
            }
        }
        Ok(())
    }

    /// The rows that refer to one and are shown.
    fn find_children(&mut self, c: &mut Connections, row: usize) -> Result<()> {
        let Some(parent) = self.tracked(row) else { return Ok(()) };
        for (number, place) in &self.constraints(parent.number()).referenced {
            let Some(child) = self.catalog.numbered(*number) else { continue };
            let reference = &self.constraints(*number).references[*place];
            let columns: Vec<ColumnId> =
                reference.parent_columns.iter().filter_map(|name| parent.registered.id(name)).collect();
            // The key is known of a row whose values are not.
            let known = &self.rows[row];
            let Some(values) = known.values_of(&columns).or_else(|| parent.of_key(&known.key, &columns)) else {
                continue;
            };
            let names = child.names_of(&reference.columns);
            for found in self.find_shown(c, child, &names, &values)? {
                self.rows[found].is_open = true;
            }
        }
        Ok(())
    }

    /// What resolving is told.
    pub fn facts(&self, c: &mut Connections) -> Result<Vec<Fact>> {
        let mut groups = Groups::default();
        let mut facts = Vec::with_capacity(self.rows.len());
        for row in 0..self.rows.len() {
            facts.push(self.fact(c, row, &mut groups)?);
        }
        Ok(facts)
    }

    fn fact(&self, c: &mut Connections, row: usize, groups: &mut Groups) -> Result<Fact> {
        let known = &self.rows[row];
        let constraints = self.constraints(known.name.0);
        // Which of the constraints' references are told, in this order.
        let mut told = Vec::new();
        let mut references = Vec::new();
        for (place, reference) in constraints.references.iter().enumerate() {
            if let Some(parent) = self.parent(row, place) {
                told.push(place);
                let tree = reference.is_tree.then(|| claimed_at(&known.state(), &reference.columns));
                references.push(sync_core::resolve::Reference { parent, rule: reference.rule, tree });
            }
        }
        let mut claims = Vec::new();
        for unique in &constraints.uniques {
            let Some(values) = known.values_of(&unique.columns) else { continue };
            let void =
                |i: &usize| constraints.references[told[*i]].nullable.iter().any(|id| unique.columns.contains(id));
            claims.push(Claim {
                value: groups.of(c, self.tracked(row), unique, known.name.0, values)?,
                stamp: claimed_at(&known.state(), &unique.columns),
                can_yield: unique.way_out.is_some(),
                void_without: (0..told.len()).filter(void).collect(),
            });
        }
        let (is_live, has_values) = (known.is_live(), known.truth.is_some());
        Ok(Fact { name: known.name.clone(), is_live, has_values, blocked: known.blocked, claims, references })
    }

    /// Where a reference of a row leads, as resolving is to see it; nothing if it is NULL or known to be in order.
    fn parent(&self, row: usize, place: usize) -> Option<Option<usize>> {
        match self.rows[row].parents[place]? {
            Parent::Row(parent) => Some(Some(parent)),
            Parent::Missing => Some(None),
        }
    }

    /// The references of a row in the order in which [`World::facts`] tells them.
    pub fn told_references(&self, row: usize) -> Vec<&'a Reference> {
        let references = &self.constraints(self.rows[row].name.0).references;
        references.iter().enumerate().filter(|(place, _)| self.parent(row, *place).is_some()).map(|(_, r)| r).collect()
    }

    /// The unique keys of a row in the order in which [`World::facts`] tells its claims.
    pub fn told_uniques(&self, row: usize) -> Vec<&'a Unique> {
        let uniques = &self.constraints(self.rows[row].name.0).uniques;
        uniques.iter().filter(|u| self.rows[row].values_of(&u.columns).is_some()).collect()
    }

    /// The row that a told reference leads to.
    pub fn told_parent(&self, row: usize, told: usize) -> Option<usize> {
        let parents = (0..self.rows[row].parents.len()).filter_map(|place| self.parent(row, place));
        parents.into_iter().nth(told).flatten()
    }
}

/// Whether a row is not shown as its state says.
fn is_set_aside(line: &Line, is_shown: bool) -> bool {
    match line.state.is_live() {
        true => line.kept != Kept::Nothing,
        false => is_shown,
    }
}

/// Whether a table that is not synchronised has the row that a reference leads to.
fn is_there(c: &mut Connections, reference: &Reference, values: &[Value]) -> Result<bool> {
    let columns: Vec<String> = reference.parent_columns.iter().map(|n| format!("{}=?", c.dialect.quote(n))).collect();
    let table = c.dialect.quote(&reference.parent);
    let query = format!("SELECT 1 FROM {table} WHERE {} LIMIT 1", columns.join(" AND "));
    Ok(c.writer.first(&query, values)?.is_some())
}

/// The values of a reference as the key of the row that it leads to, if it leads to the key.
fn as_key(tracked: &Tracked, reference: &Reference, values: &[Value]) -> Option<Vec<Value>> {
    let value = |column: &crate::schema::Column| {
        let place = reference.parent_columns.iter().position(|name| *name == column.name)?;
        values.get(place).cloned()
    };
    let key: Vec<Value> = tracked.table.key_columns().map(value).collect::<Option<_>>()?;
    (key.len() == values.len()).then_some(key)
}

/// Equal values of a unique key, numbered.
#[derive(Default)]
struct Groups {
    /// By table and columns.
    seen: HashMap<(u16, Vec<ColumnId>), HashMap<Vec<Value>, usize>>,
    next: usize,
}

impl Groups {
    fn of(
        &mut self,
        c: &mut Connections,
        tracked: Option<&Tracked>,
        unique: &Unique,
        number: u16,
        values: Vec<Value>,
    ) -> Result<usize> {
        let seen = self.seen.entry((number, unique.columns.clone())).or_default();
        if let Some(group) = seen.get(&values) {
            return Ok(*group);
        }
        let mut found = None;
        for (other, group) in seen.iter().filter(|_| unique.collated) {
            if are_equal(c, tracked, unique, other, &values)? {
                found = Some(*group);
                break;
            }
        }
        let group = found.unwrap_or(self.next);
        self.next += usize::from(found.is_none());
        seen.insert(values, group);
        Ok(group)
    }
}

/// Whether the schema takes two values for the same. Only asked where they can be.
fn are_equal(
    c: &mut Connections,
    tracked: Option<&Tracked>,
    unique: &Unique,
    a: &[Value],
    b: &[Value],
) -> Result<bool> {
    let Some(tracked) = tracked.filter(|_| a.iter().zip(b).all(|(a, b)| may_be_equal(a, b))) else { return Ok(false) };
    let conditions = unique.columns.iter().map(|id| {
        let column = tracked.table.columns.iter().find(|column| column.name == tracked.name_of(*id));
        column.map_or_else(|| "? = ?".to_owned(), |column| c.dialect.equal(column))
    });
    let query = format!("SELECT 1 WHERE {}", conditions.collect::<Vec<_>>().join(" AND "));
    let params: Vec<Value> = a.iter().zip(b).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    Ok(c.writer.first(&query, &params)?.is_some())
}

/// No collation takes two texts of ASCII for the same that differ in more than case and space at the end.
fn may_be_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) if a.is_ascii() && b.is_ascii() => {
            a.trim_end().eq_ignore_ascii_case(b.trim_end())
        }
        (Value::Text(_), Value::Text(_)) => true,
        (a, b) => a == b,
    }
}
