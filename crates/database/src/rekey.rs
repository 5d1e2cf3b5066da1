//! Two different rows that were inserted under one key at two sites: the loser is inserted again under a new key of its
//! own site, where the settings say so (`tables.rekey`), and what refers to it there goes with it.
//!
//! Only the site that inserted the loser does this, in the transaction that lets the winner in; so it is done once. What
//! refers to the key and was written at this site was written about the loser, which is all that this site had shown; what
//! was written elsewhere stays with the winner. The new row is one of this site, with a stamp of now; its insert triggers
//! fired when it was first inserted and do not fire again, but those for updates fire where a reference changes. The entry in
//! the conflict list is kept, and says what became of the row.
//!
//! A row that was inserted before this store was restored is left in the conflict list: it may have been given a new key
//! already, which comes from the others.

use sync_core::{Author, ColumnId, Conflict, ConflictKind, Planned, Position, Row, RowId, RowState, Value};
use sync_store::{Result, StoreError, Trouble};

use crate::catalog::Catalog;
use crate::conflicts;
use crate::connections::Connections;
use crate::constraints::Reference;
use crate::dialect::Dialect;
use crate::drain::{own_line, publish};
use crate::layout::Tracked;
use crate::meta;
use crate::outcome::Group;
use crate::rules::Rules;
use crate::schema::{Kind, Schema, Table};
use crate::show::is_forbidden;
use crate::sql::{Fields, Sql};
use crate::{marks, tables};

/// Lets tables give new keys, as far as the rules can be followed; says what cannot, and why.
pub(crate) fn mark_tables(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    schema: &mut Schema,
    rules: &Rules,
) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    for name in &rules.rekey {
        match schema.tables.iter_mut().find(|table| table.name == *name) {
            None => refused.push(format!("[tables] rekey names {name}, a table that is not in the database")),
            Some(table) if is_single_integer(table) && dialect.numbers_rows(sql, table)? => table.rekeys = true,
            Some(_) => refused.push(format!(
                "[tables] rekey names {name}, whose key is not a single integer that the database gives itself"
            )),
        }
    }
    Ok(refused)
}

fn is_single_integer(table: &Table) -> bool {
    let is_integer = |at: &usize| table.columns.get(*at).is_some_and(|c| c.kind == Kind::Integer);
    table.has_primary && matches!(table.key.as_slice(), [only] if is_integer(only))
}

/// The row here that loses its place to another one, if it is this site's to give it a new key.
pub(crate) fn loser(tracked: &Tracked, local: &Row, planned: &Planned, author: Author) -> Option<Row> {
    let (old, new) = (&local.state, &planned.row.state);
    let is_replaced = old.is_live() && new.is_live() && old.inserted < new.inserted && old.epoch == new.epoch;
    let is_own = old.inserted.site() == author.site
        && new.inserted.site() != author.site
        && old.inserted.millis() >= author.history.millis();
    // Who puts another row in the place of this one deletes it first.
    let is_concurrent = new.deleted < old.inserted || planned.conflicts.iter().any(|c| c.kind == ConflictKind::Insert);
    (tracked.table.rekeys && is_replaced && is_own && is_concurrent).then(|| local.clone())
}

/// Gives the losers of these groups new keys; to be called when everything else is written. Returns the new head.
pub(crate) fn run(
    c: &mut Connections,
    catalog: &Catalog,
    groups: &[Group],
    mut head: Position,
    (author, millis): (Author, u64),
) -> Result<Position> {
    for group in groups {
        for outcome in &group.outcomes {
            let Some(loser) = &outcome.loser else { continue };
            let work = Rekey { catalog, tracked: group.tracked, key: &outcome.key, loser, author, millis };
            head = work.run(c, outcome.planned.row.state.inserted, head)?;
        }
    }
    Ok(head)
}

struct Rekey<'a> {
    catalog: &'a Catalog,
    tracked: &'a Tracked,
    /// The key that the row had.
    key: &'a [Value],
    loser: &'a Row,
    author: Author,
    millis: u64,
}

impl Rekey<'_> {
    fn run(&self, c: &mut Connections, winner: sync_core::Stamp, head: Position) -> Result<Position> {
        let Some(values) = &self.loser.values else { return Ok(head) };
        let (new, known) = match self.insert(c, values) {
            // Its unique values are taken, perhaps by the winner: it stays in the conflict list, whole.
            Err(e) if is_forbidden(&e) => return Ok(head),
            other => other?,
        };
        self.follow_itself(c, values, &new)?;
        self.move_references(c, &new)?;
        let key = vec![new];
        let conflict = Conflict {
            kind: ConflictKind::Insert,
            winner,
            loser: self.loser.state.newest(),
            winning: Vec::new(),
            losing: values.clone(),
        };
        let mut lines = conflicts::rekeyed(c, self.catalog, (self.tracked, self.key, &key), &conflict, self.author)?;
        let mut state = known;
        state.insert(state.next_stamp(self.millis, self.author.site));
        let line = own_line(state, &key);
        lines.push((self.tracked.number(), RowId::of(&key), line));
        publish(c, head, &mut lines)
    }

    /// Inserts the row again; returns the key that the database gave it, and what is known of a row of that key which went.
    fn insert(&self, c: &mut Connections, values: &[Value]) -> Result<(Value, RowState)> {
        let is_key = |id: &ColumnId| self.tracked.key_at.iter().any(|at| self.tracked.ids[*at] == *id);
        let ids: Vec<ColumnId> = self.tracked.ids.iter().copied().filter(|id| !is_key(id)).collect();
        let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
        tables::insert_numbered(sql, dialect, self.tracked, values, &ids)?;
        let row = sql.first(dialect.last_number(), &[])?.unwrap_or_default();
        let new = Value::unsigned(Fields::of(row).unsigned()?);
        let id = RowId::of(std::slice::from_ref(&new));
        let known = meta::load(sql, self.tracked.number(), std::slice::from_ref(&id))?.state_of(&id);
        if known.as_ref().is_some_and(RowState::is_live) {
            // A row that a constraint keeps from being shown has it.
            tables::delete(sql, dialect, self.tracked, &[vec![new]])?;
            return Err(StoreError::new(Trouble::Constraint, "the database gave the key of a row that is not shown"));
        }
        Ok((new, known.unwrap_or_default()))
    }

    /// A row that refers to itself refers to its new key.
    fn follow_itself(&self, c: &mut Connections, values: &[Value], new: &Value) -> Result<()> {
        for reference in self.leading_here(self.tracked.number()) {
            let [column] = reference.columns[..] else { continue };
            if values.get(usize::from(column)) == self.key.first() {
                let cells = [(column, new.clone())];
                let key = std::slice::from_ref(new);
                tables::update_one(c.writer.as_mut(), c.dialect.as_ref(), self.tracked, key, &cells)?;
            }
        }
        Ok(())
    }

    /// The references of a table that lead to the key of this one.
    fn leading_here(&self, child: u16) -> impl Iterator<Item = &Reference> {
        let key = self.tracked.table.key_columns().map(|c| c.name.clone()).collect::<Vec<_>>();
        let all = self.catalog.constraints.get(&child).into_iter().flat_map(|c| &c.references);
        all.filter(move |r| r.parent == self.tracked.table.name && r.parent_columns == key)
    }

    /// Rows that refer to the old key and were written so at this site refer to the new one, as a write of the application.
    fn move_references(&self, c: &mut Connections, new: &Value) -> Result<()> {
        let children: Vec<&Tracked> = self.catalog.tracked.iter().collect();
        for child in children {
            for reference in self.leading_here(child.number()) {
                let [column] = reference.columns[..] else { continue };
                for key in self.own_children(c, child, column)? {
                    c.writer.run(c.dialect.capture(true))?;
                    let cells = [(column, new.clone())];
                    let moved = tables::update_one(c.writer.as_mut(), c.dialect.as_ref(), child, &key, &cells);
                    c.writer.run(c.dialect.capture(false))?;
                    moved?;
                }
            }
        }
        Ok(())
    }

    /// The keys of rows that refer to the old key, where that was written here.
    fn own_children(&self, c: &mut Connections, child: &Tracked, column: ColumnId) -> Result<Vec<Vec<Value>>> {
        let (sql, dialect) = (c.writer.as_mut(), c.dialect.as_ref());
        let names = child.names_of(&[column]);
        let keys = sql.all(&child.select_keys_with(dialect, &names), self.key)?;
        let ids: Vec<RowId> = keys.iter().map(|key| RowId::of(key)).collect();
        let lines = meta::load(sql, child.number(), &ids)?;
        let marked = marks::of_rows(sql, dialect, child, &keys)?.row_ids();
        let is_own = |id: &RowId| {
            let written = lines.get(id).is_some_and(|line| line.state.cell(column).site() == self.author.site);
            written || marked.contains(id)
        };
        Ok(keys.into_iter().zip(&ids).filter(|(_, id)| is_own(id)).map(|(key, _)| key).collect())
    }
}
