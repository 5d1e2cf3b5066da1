//! Which tables are synchronised: the application's schema held against `server_sync_table`, where each table has a
//! number and each column a lasting id. Keeps capture in line with the schema, unattended.

use std::collections::BTreeMap;

use sync_core::ColumnId;
use sync_store::{Result, TableInfo, TableStatus};

use crate::connections::lock;
use crate::constraints::{self, Constraints};
use crate::dialect::Dialect;
use crate::layout::Tracked;
use crate::registration::{self, Registration, key_names};
use crate::rules::Rules;
use crate::schema::{ForeignKey, Op, Registered, Schema, Table};
use crate::sql::Sql;
use crate::{counters, rekey, sums};

/// The number of the conflict list; the application's tables begin at 1.
pub const CONFLICTS: u16 = 0;

/// The tables as they were when last looked at.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    seen: Option<Seen>,
    readings: u64,
    /// The message that it was forgotten after, until it is renewed.
    failed: Option<String>,
    /// The synchronised tables: the conflict list first, then those that others refer to before those that refer to them.
    pub tracked: Vec<Tracked>,
    /// All tables of the application, for the handshake.
    pub infos: Vec<TableInfo>,
    /// What the schema demands of the rows of each, by number.
    pub constraints: BTreeMap<u16, Constraints>,
    /// What an administrator should know.
    pub warnings: Vec<String>,
}

/// What a catalog was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    probe: String,
    rules: Rules,
}

impl Catalog {
    /// The synchronised table of this name.
    pub fn named(&self, name: &str) -> Option<&Tracked> {
        self.tracked.iter().find(|t| t.table.name == name)
    }

    /// The synchronised table of this number.
    pub fn numbered(&self, number: u16) -> Option<&Tracked> {
        self.tracked.iter().find(|t| t.number() == number)
    }

    /// Looks at the schema again; if anything changed, renews registrations and triggers. `prepared`: the store has
    /// an identity, so a table that is new now was not there when synchronisation began.
    pub fn refresh(
        &mut self,
        sql: &mut dyn Sql,
        dialect: &dyn Dialect,
        rules: &Rules,
        prepared: bool,
    ) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let mut seen = look(sql, dialect, rules)?;
        while self.seen.as_ref() != Some(&seen) {
            let (catalog, said) =
                alone(sql, dialect, |sql| Renewal::run(sql, dialect, prepared, rules, self.failed.as_deref()))?;
            notes.extend(said);
            *self = Catalog { readings: self.readings + 1, ..catalog };
            // What was read is only believed if nothing changed since before it was; installing triggers changes it.
            let after = look(sql, dialect, rules)?;
            self.seen = (after == seen).then_some(seen);
            seen = after;
        }
        Ok(notes)
    }

    /// How often the schema was read: as long as this stands still, so do the tables and their numbers.
    pub fn readings(&self) -> u64 {
        self.readings
    }

    /// Whether the schema is still what was last read.
    pub fn is_current(&self, sql: &mut dyn Sql, dialect: &dyn Dialect, rules: &Rules) -> Result<bool> {
        Ok(self.seen.as_ref() == Some(&look(sql, dialect, rules)?))
    }

    /// Whether the schema was read, and not forgotten since, under these rules.
    pub fn is_known(&self, rules: &Rules) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.rules == *rules)
    }

    /// Forgets what was seen, so that the next refresh reads everything.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// The same after an error with this message, the cause of which the next refresh removes if it can.
    pub fn forget_after(&mut self, message: String) {
        self.forget();
        self.failed = Some(message);
    }
}

fn look(sql: &mut dyn Sql, dialect: &dyn Dialect, rules: &Rules) -> Result<Seen> {
    Ok(Seen { probe: dialect.probe(sql)?, rules: rules.clone() })
}

/// Runs `work` while no other process of ours renews triggers in this database.
fn alone<T>(sql: &mut dyn Sql, dialect: &dyn Dialect, work: impl FnOnce(&mut dyn Sql) -> Result<T>) -> Result<T> {
    let Some([acquire, release]) = dialect.renewal_lock() else { return work(sql) };
    lock(sql, acquire, "another server_sync renews the triggers of this database")?;
    let result = work(sql);
    let released = sql.first(release, &[]);
    result.and_then(|value| released.map(|_| value))
}

struct Renewal<'a> {
    dialect: &'a dyn Dialect,
    prepared: bool,
    schema: &'a Schema,
    rules: &'a Rules,
    notes: Vec<String>,
}

impl Renewal<'_> {
    /// Looks at the whole schema, and renews registrations and triggers; says what it did.
    fn run(
        sql: &mut dyn Sql,
        dialect: &dyn Dialect,
        prepared: bool,
        rules: &Rules,
        failed: Option<&str>,
    ) -> Result<(Catalog, Vec<String>)> {
        let mut schema = dialect.read_schema(sql)?;
        if let Some(message) = failed {
            dialect.outdate(&mut schema, message);
        }
        let mut refused = counters::mark_counters(dialect, &mut schema, rules);
        refused.extend(rekey::mark_tables(sql, dialect, &mut schema, rules)?);
        let mut renewal = Renewal { dialect, prepared, schema: &schema, rules, notes: Vec::new() };
        let (tracked, infos) = renewal.tables(sql)?;
        let notes = renewal.notes;
        let constraints = constraints::read(&schema, &tracked, rules);
        Ok((
            Catalog {
                seen: None,
                readings: 0,
                failed: None,
                tracked,
                infos,
                constraints,
                warnings: warnings(&schema, rules, refused),
            },
            notes,
        ))
    }

    fn tables(&mut self, sql: &mut dyn Sql) -> Result<(Vec<Tracked>, Vec<TableInfo>)> {
        let known = registration::read(sql)?;
        let known = self.retire_changed_keys(sql, known)?;
        let conflicts = self.dialect.conflict_table();
        let mut found = vec![self.register(sql, &conflicts, &known)?];
        let mut infos = Vec::new();
        for table in constraints::parents_first(self.schema) {
            let (definition, fingerprint) = fingerprint(table, self.rules);
            let status = status(table, &self.rules.excluded);
            if status == TableStatus::Synchronised {
                found.push(self.register(sql, table, &known)?);
            }
            let key = table.key_columns().map(|c| c.definition.clone()).collect();
            let sums = sums::method(self.dialect, table);
            infos.push(TableInfo { name: table.name.clone(), fingerprint, definition, key, sums, status });
        }
        let all: Vec<(&Table, &Registered)> = found.iter().map(|f| (f.table, &f.registration.registered)).collect();
        self.notes.extend(self.dialect.install(sql, self.schema, &all)?);
        let tracked: Result<Vec<Tracked>> =
            found.into_iter().map(|f| f.complete(sql, self.dialect, self.rules, &self.schema.foreign_keys)).collect();
        Ok((tracked?, infos))
    }

    /// Rows under another key are other rows: such a table is taken as a new one, under a new number. Nothing that
    /// was stamped under the old one is sent any more.
    fn retire_changed_keys(&mut self, sql: &mut dyn Sql, mut known: Vec<Registration>) -> Result<Vec<Registration>> {
        for table in &self.schema.tables {
            let Some(at) = known.iter().position(|r| r.registered.name == table.name) else { continue };
            let key = registration::renumber(&known[at], table).0.registered.key;
            if status(table, &self.rules.excluded) == TableStatus::Synchronised && key != key_names(table) {
                registration::retire(sql, &known.remove(at).registered)?;
                self.notes.push(format!(
                    "table {}: its key changed from ({}) to ({}), so it is taken as a new table",
                    table.name,
                    key.join(", "),
                    key_names(table).join(", ")
                ));
            }
        }
        Ok(known)
    }

    /// Records a table, before its triggers are made: a mark's bits must never name an id that is not recorded.
    fn register<'t>(&self, sql: &mut dyn Sql, table: &'t Table, known: &[Registration]) -> Result<Found<'t>> {
        let known = known.iter().find(|r| r.registered.name == table.name);
        let (registration, added) = match known {
            Some(r) => registration::renumber(r, table),
            None => self.first(sql, table)?,
        };
        let recorded = registration.with_pending(&added);
        if known.is_none_or(|k| *k != recorded) {
            registration::store(sql, self.dialect, &recorded)?;
        }
        Ok(Found { table, registration, added })
    }

    /// A table that is new although the store is prepared has rows that no trigger saw.
    fn first(&self, sql: &mut dyn Sql, table: &Table) -> Result<(Registration, Vec<ColumnId>)> {
        let registration = registration::first(table, registration::next_number(sql, table)?);
        let unseen = self.prepared && table.name != crate::conflicts::TABLE;
        let added = if unseen { (0..registration.registered.columns.len() as ColumnId).collect() } else { Vec::new() };
        Ok((registration, added))
    }
}

/// A table that is synchronised, and which of its columns nothing was marked of until its triggers were renewed.
struct Found<'a> {
    table: &'a Table,
    registration: Registration,
    added: Vec<ColumnId>,
}

impl Found<'_> {
    /// Marks what was written before the triggers were there.
    fn complete(self, sql: &mut dyn Sql, dialect: &dyn Dialect, rules: &Rules, keys: &[ForeignKey]) -> Result<Tracked> {
        let Found { table, registration, added } = self;
        let tracked = Tracked::new(table.clone(), registration.registered.clone(), fingerprint(table, rules).1)
            .with_rules(rules)
            .with_references(keys);
        if !added.is_empty() {
            sql.run(dialect.begin())?;
            let caught_up = catch_up(sql, dialect, &tracked, &added)
                .and_then(|()| registration::store(sql, dialect, &registration));
            sql.run(if caught_up.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
            caught_up?;
        }
        Ok(tracked)
    }
}

/// What was written before the triggers knew of it: the rows of a new table, the values of a new column.
fn catch_up(sql: &mut dyn Sql, dialect: &dyn Dialect, tracked: &Tracked, added: &[ColumnId]) -> Result<()> {
    if added.contains(&0) {
        // Id 0 is given once, when the table is first registered.
        return mark_rows(sql, dialect, tracked, Op::Insert, &[], "1=1").map(drop);
    }
    for id in added {
        let condition = dialect.unlike_default(sql, &tracked.table.name, tracked.name_of(*id))?;
        mark_rows(sql, dialect, tracked, Op::Update, &[*id], &condition)?;
    }
    Ok(())
}

/// Marks rows as a trigger would have.
pub fn mark_rows(
    sql: &mut dyn Sql,
    dialect: &dyn Dialect,
    tracked: &Tracked,
    op: Op,
    columns: &[ColumnId],
    condition: &str,
) -> Result<u64> {
    let words = tracked.registered.bit_columns();
    let names: String = (0..words).map(|i| format!(", b{i}")).collect();
    let bits: String = (0..words).map(|i| format!(", {}", word(columns, i))).collect();
    let keys: Vec<String> = tracked.table.key_columns().map(|c| dialect.quote(&c.name)).collect();
    let places: String = (0..keys.len()).map(|i| format!(", k{i}")).collect();
    let statement = format!(
        "INSERT INTO {} (id, op, at{names}{places}) SELECT {}, {}, {}{bits}, {} FROM {} WHERE {condition}",
        dialect.quote(&tracked.registered.mark_table()),
        dialect.mark_id(),
        op as u8,
        dialect.mark_now(),
        keys.join(", "),
        dialect.quote(&tracked.table.name),
    );
    sql.execute(&statement, &[])
}

fn word(columns: &[ColumnId], index: usize) -> u64 {
    use crate::schema::BITS;
    columns.iter().map(|c| usize::from(*c)).filter(|c| c / BITS == index).map(|c| 1u64 << (c % BITS)).sum()
}

fn status(table: &Table, excluded: &[String]) -> TableStatus {
    if excluded.iter().any(|pattern| matches_pattern(pattern, &table.name)) {
        return TableStatus::Excluded;
    }
    if table.key.is_empty() {
        let why = "it has neither a primary key nor a unique key without NULLs, so its rows cannot be told apart";
        return TableStatus::Refused(why.to_owned());
    }
    TableStatus::Synchronised
}

/// `*` stands for any characters, `?` for one.
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (mut rest, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let mut reachable = vec![false; name.len() + 1];
    reachable[0] = true;
    for p in rest.drain(..) {
        let before = reachable.clone();
        for i in 0..=name.len() {
            reachable[i] = match p {
                '*' => before[i] || (i > 0 && reachable[i - 1]),
                _ => i > 0 && before[i - 1] && (p == '?' || p == name[i - 1]),
            };
        }
    }
    reachable[name.len()]
}

fn warnings(schema: &Schema, rules: &Rules, refused: Vec<String>) -> Vec<String> {
    let fragile = schema.tables.iter().filter(|t| !t.transactional && !t.key.is_empty());
    let fragile = fragile.map(|t| {
        format!(
            "table {} is not transactional: after a crash of its server a change can lack its mark; \
             ALTER TABLE … ENGINE=InnoDB is safer",
            t.name
        )
    });
    let unknown = rules.unknown(&schema.tables).into_iter();
    fragile
        .chain(unknown.map(|r| format!("[tables] names \"{r}\", which is not in the database")))
        .chain(refused)
        .collect()
}

fn fingerprint(table: &Table, rules: &Rules) -> (Vec<String>, String) {
    let mut lines: Vec<String> = table.columns.iter().map(|c| c.definition.clone()).collect();
    lines.push(format!("key ({})", key_names(table).join(", ")));
    lines.extend(rules.definition(table));
    let hash = blake3::hash(lines.join("\n").as_bytes()).to_hex()[..16].to_owned();
    (lines, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("cache_*", "cache_pages", true),
            ("cache_*", "my_cache_pages", false),
            ("*log", "log", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
        ] {
            assert_eq!(matches_pattern(pattern, name), expected, "{pattern} {name}");
        }
    }
}
