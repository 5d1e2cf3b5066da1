//! From an operation to statements, given the rows that are there. Fresh values are numbered by site, so a history gives
//! the same ones each time it is run.

use rusqlite::Connection;

use crate::scenario::Operation;
use crate::schema::{Column, Kind, Table};

/// Makes values that were never there before.
pub struct Words {
    site: usize,
    count: u64,
}

/// Where a statement is made.
struct Place<'a> {
    tables: &'a [Table],
    table: &'a Table,
    later: usize,
    connection: &'a Connection,
}

impl Words {
    /// Those of a site.
    pub fn new(site: usize) -> Self {
        Words { site, count: 0 }
    }

    /// The statements; none if there is nothing to do it to.
    pub fn statements(
        &mut self,
        operation: &Operation,
        tables: &[Table],
        versions: &[usize],
        connection: &Connection,
    ) -> rusqlite::Result<Vec<String>> {
        let place = |table: usize| Place { tables, table: &tables[table], later: versions[table], connection };
        match *operation {
            Operation::Insert { table, key, salt } => self.insert(&place(table), key, salt),
            Operation::Update { table, pick, columns, salt } => {
                let place = place(table);
                let Some(row) = place.pick(pick)? else { return Ok(Vec::new()) };
                let set = self.set(&place, Some(columns), salt)?;
                Ok(vec![format!("UPDATE {} SET {set} WHERE {row}", place.table.name)])
            }
            Operation::Delete { table, pick } => {
                let place = place(table);
                Ok(place
                    .pick(pick)?
                    .map(|row| format!("DELETE FROM {} WHERE {row}", place.table.name))
                    .into_iter()
                    .collect())
            }
            Operation::Again { table, pick, salt } => {
                let place = place(table);
                let Some(key) = place.pick_key(pick)? else { return Ok(Vec::new()) };
                let delete = format!("DELETE FROM {} WHERE {}", place.table.name, place.is_key(&key));
                Ok(vec![delete, self.insertion("INSERT", &place, &key, salt)?])
            }
            Operation::Move { table, pick, to, salt } => self.renamed(&place(table), pick, to, salt),
            Operation::Replace { table, key, salt } => {
                let place = place(table);
                let key = place.table.key_literals(key);
                Ok(vec![self.insertion("REPLACE", &place, &key, salt)?])
            }
            Operation::UpdateMany { table, columns, salt } => self.update_many(&place(table), columns, salt),
            Operation::DeleteMany { table, salt } => {
                let place = place(table);
                let key = place.table.key_names().last().copied().unwrap_or_default();
                Ok(vec![format!("DELETE FROM {} WHERE ({key} + {}) % 3 = 0", place.table.name, salt % 3)])
            }
        }
    }

    fn insert(&mut self, place: &Place, key: u32, salt: u32) -> rusqlite::Result<Vec<String>> {
        let key = place.table.key_literals(key);
        if place.keys()?.contains(&key) {
            let set = self.set(place, None, salt)?;
            return Ok(vec![format!("UPDATE {} SET {set} WHERE {}", place.table.name, place.is_key(&key))]);
        }
        Ok(vec![self.insertion("INSERT", place, &key, salt)?])
    }

    fn insertion(&mut self, verb: &str, place: &Place, key: &[String], salt: u32) -> rusqlite::Result<String> {
        let mut names: Vec<&str> = place.table.key_names().to_vec();
        let mut values = key.to_vec();
        for (i, column) in place.table.columns(place.later).enumerate() {
            names.push(column.name);
            values.push(self.value(place, column, salt.rotate_left(3 * i as u32))?);
        }
        Ok(format!("{verb} INTO {} ({}) VALUES ({})", place.table.name, names.join(", "), values.join(", ")))
    }

    /// A key becomes another one that is free.
    fn renamed(&mut self, place: &Place, pick: u32, to: u32, salt: u32) -> rusqlite::Result<Vec<String>> {
        let (Some(row), to) = (place.pick(pick)?, place.table.key_literals(to)) else { return Ok(Vec::new()) };
        if place.keys()?.contains(&to) {
            return Ok(Vec::new());
        }
        let key: Vec<String> = place.table.key_names().iter().zip(&to).map(|(n, v)| format!("{n} = {v}")).collect();
        let set = self.set(place, None, salt)?;
        Ok(vec![format!("UPDATE {} SET {}, {set} WHERE {row}", place.table.name, key.join(", "))])
    }

    /// Each row gets values of its own.
    fn update_many(&mut self, place: &Place, columns: u32, salt: u32) -> rusqlite::Result<Vec<String>> {
        self.count += 1;
        let word = format!("v{}.{}.", self.site, self.count);
        let key = place.table.key_names().join(" || '/' || ");
        let fresh: Vec<&Column> = place.table.columns(place.later).filter(|c| c.kind == Kind::Fresh).collect();
        let Some(column) = fresh.get(columns as usize % fresh.len().max(1)) else { return Ok(Vec::new()) };
        let last = place.table.key_names().last().copied().unwrap_or_default();
        let (table, name) = (place.table.name, column.name);
        Ok(vec![format!("UPDATE {table} SET {name} = '{word}' || {key} WHERE ({last} + {salt}) % 2 = 0")])
    }

    fn set(&mut self, place: &Place, columns: Option<u32>, salt: u32) -> rusqlite::Result<String> {
        let all: Vec<&Column> = place.table.columns(place.later).collect();
        let count = all.len();
        let wanted = |i: usize| columns.is_none_or(|bits| bits >> (i % 6) & 1 == 1);
        let first = salt as usize % count.max(1);
        let mut set = Vec::new();
        for (i, column) in all.into_iter().enumerate() {
            if wanted(i) || (i == first && columns.is_some_and(|bits| bits & ((1 << count.min(6)) - 1) == 0)) {
                set.push(format!("{} = {}", column.name, self.value(place, column, salt.rotate_left(3 * i as u32))?));
            }
        }
        Ok(set.join(", "))
    }

    fn value(&mut self, place: &Place, column: &Column, salt: u32) -> rusqlite::Result<String> {
        let parent = |table: usize| -> rusqlite::Result<String> {
            let parents = Place { table: &place.tables[table], ..*place };
            Ok(parents.pick_key(salt / 4)?.map_or("NULL".to_owned(), |key| key[0].clone()))
        };
        Ok(match column.kind {
            Kind::Fresh if salt.is_multiple_of(23) && !column.definition.contains("NOT NULL") => "NULL".to_owned(),
            Kind::Fresh => {
                self.count += 1;
                format!("'v{}.{}'", self.site, self.count)
            }
            Kind::Flag => (salt % 3).to_string(),
            Kind::Name => format!("'name{}'", salt % 5),
            Kind::Mail if salt.is_multiple_of(4) => "NULL".to_owned(),
            Kind::Mail => format!("'{}'", ["ann@x", "Ann@x", "bob@x", "BOB@X", "cy@x"][salt as usize / 4 % 5]),
            Kind::Parent(table) => parent(table)?,
            Kind::MaybeParent(_) if salt.is_multiple_of(4) => "NULL".to_owned(),
            Kind::MaybeParent(table) => parent(table)?,
            Kind::Low => (salt % 10).to_string(),
            Kind::High => (salt / 16 % 12).to_string(),
        })
    }
}

impl Place<'_> {
    /// The keys that are there, as literals.
    fn keys(&self) -> rusqlite::Result<Vec<Vec<String>>> {
        let names = self.table.key_names();
        let list: Vec<String> = names.iter().map(|n| format!("quote({n})")).collect();
        let query = format!("SELECT {} FROM {} ORDER BY {}", list.join(", "), self.table.name, names.join(", "));
        let mut statement = self.connection.prepare_cached(&query)?;
        let rows = statement.query_map([], |row| (0..names.len()).map(|i| row.get(i)).collect())?;
        rows.collect()
    }

    fn pick_key(&self, pick: u32) -> rusqlite::Result<Option<Vec<String>>> {
        let mut keys = self.keys()?;
        if keys.is_empty() {
            return Ok(None);
        }
        Ok(Some(keys.swap_remove(pick as usize % keys.len())))
    }

    fn pick(&self, pick: u32) -> rusqlite::Result<Option<String>> {
        Ok(self.pick_key(pick)?.map(|key| self.is_key(&key)))
    }

    fn is_key(&self, key: &[String]) -> String {
        let names = self.table.key_names().iter();
        names.zip(key).map(|(n, v)| format!("{n} = {v}")).collect::<Vec<_>>().join(" AND ")
    }
}
