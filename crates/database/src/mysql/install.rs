//! Putting our triggers on a table, renewing and removing them, beside a working application. Nothing is done where all
//! is as it should be. At every moment a table that was captured stays captured: the new trigger is there before the
//! old one goes, and a row marked by both is no harm.

use std::collections::BTreeSet;

use sync_core::Value;
use sync_store::Result;

use super::names::{Purpose, other_name, purpose, quote};
use super::pace::{Paced, alternating};
use super::session::{Settings, apply, dated_ahead, ddl, with_short_waits};
use super::triggers::{self, Wanted};
use super::{Flavour, MySql, cascade, guard, late, mark, schema as reader, statement};
use crate::schema::{PREFIX, Registered, Schema, Table, Trigger};
use crate::sql::{Fields, Sql};

/// The tables that are to be captured.
type Tables<'a> = [(&'a Table, &'a Registered)];

/// Makes the mark tables and the triggers of these tables what they should be, guards the application's triggers, and
/// removes ours from other tables; says what it did.
pub(super) fn install(server: &MySql, sql: &mut dyn Sql, schema: &Schema, tables: &Tables) -> Result<Vec<String>> {
    let captured = captured(schema);
    with_short_waits(sql, |sql| {
        late_table(server, sql)?;
        let mut notes = Vec::new();
        for (table, registered) in tables {
            notes.extend(mark_table(server, sql, table, registered, captured.contains(table.name.as_str()))?);
        }
        let mut paced = Paced::new(sql)?;
        notes.extend(our_triggers(server, &mut paced, schema, tables)?);
        for (table, _) in tables {
            let guarded = guard::guard(server, &mut paced, schema, &table.name)?;
            if !guarded.is_empty() {
                let guarded = guarded.join(", ");
                notes.push(format!("table {}: triggers of the application guarded: {guarded}", table.name));
            }
        }
        Ok(notes)
    })
}

/// The tables that had triggers of ours before.
fn captured(schema: &Schema) -> BTreeSet<&str> {
    let ours = schema.triggers.iter().filter(|t| matches!(purpose(&t.name), Purpose::Capture(_)));
    ours.map(|t| t.table.as_str()).collect()
}

/// Makes our triggers what they should be, those of all tables together so that tables can take turns; says what it did.
fn our_triggers(server: &MySql, paced: &mut Paced, schema: &Schema, tables: &Tables) -> Result<Vec<String>> {
    let registered: Vec<Registered> = tables.iter().map(|(_, registered)| (*registered).clone()).collect();
    let mut wanted: Vec<Wanted> = tables.iter().flat_map(|(t, r)| triggers::capture(server.flavour, t, r)).collect();
    wanted.extend(cascade::wanted(server.flavour, schema, &registered));
    let (made, mut removed) = renew(server, paced, &wanted, &schema.triggers)?;
    let stale: Vec<&Trigger> = schema.triggers.iter().filter(|t| is_stale(t, &registered, &wanted)).collect();
    drop_all(paced, stale.iter().copied())?;
    removed.extend(stale);

    let made = made.iter().map(|w| (purpose(&w.name), w.table.as_str()));
    let changed: Vec<_> = made.chain(removed.iter().map(|t| (purpose(&t.name), t.table.as_str()))).collect();
    Ok(notes(&changed, &registered, &captured(schema)))
}

/// Whether a trigger is one of ours that nothing needs: its table is not registered or has another number now (it was
/// renamed, or is registered anew), or the foreign key went.
fn is_stale(trigger: &Trigger, registered: &[Registered], wanted: &[Wanted]) -> bool {
    let registered = registered.iter().find(|r| r.name == trigger.table);
    match purpose(&trigger.name) {
        Purpose::Capture(number) => match registered {
            Some(registered) => registered.number != number,
            None => !trigger.table.starts_with(PREFIX),
        },
        Purpose::Cascade => !wanted.iter().any(|w| w.table == trigger.table && is_named(trigger, w)),
        Purpose::Other => false,
    }
}

/// What became of triggers, in words; `captured` are the tables that had some.
fn notes(changed: &[(Purpose, &str)], registered: &[Registered], captured: &BTreeSet<&str>) -> Vec<String> {
    let captures = changed.iter().filter(|(purpose, _)| matches!(purpose, Purpose::Capture(_)));
    let tables: BTreeSet<&str> = captures.map(|(_, table)| *table).collect();
    let what = |table| match (registered.iter().any(|r| r.name == table), captured.contains(table)) {
        (false, _) => "removed, it is not synchronised",
        (true, true) => "renewed",
        (true, false) => "made",
    };
    let mut notes: Vec<String> =
        tables.iter().map(|table| format!("table {table}: triggers {}", what(table))).collect();
    let cascades = changed.iter().filter(|(purpose, _)| *purpose == Purpose::Cascade).count();
    if cascades > 0 {
        notes.push(format!("triggers for cascades: {cascades} made, replaced or removed"));
    }
    notes
}

/// Removes everything of ours from the application's tables but our own tables.
pub(super) fn uninstall(server: &MySql, sql: &mut dyn Sql, schema: &Schema) -> Result<()> {
    with_short_waits(sql, |sql| {
        let mut paced = Paced::new(sql)?;
        // A substitute of a guarded trigger is put back first, so it is none of those dropped.
        let mut tables: Vec<&str> = schema.triggers.iter().map(|t| t.table.as_str()).collect();
        tables.dedup();
        for table in tables {
            guard::unguard(server, &mut paced, schema, table)?;
        }
        let ours = |t: &&Trigger| matches!(purpose(&t.name), Purpose::Capture(_) | Purpose::Cascade);
        drop_all(&mut paced, schema.triggers.iter().filter(ours))?;
        match server.flavour {
            Flavour::MariaDb => paced.sql.run(&format!("DROP PROCEDURE IF EXISTS {}", late::NAME)),
            Flavour::MySql => Ok(()),
        }
    })
}

/// Makes the way for late marks, if it is not there or not whole.
fn late_table(server: &MySql, sql: &mut dyn Sql) -> Result<()> {
    let wanted = late::create(server.flavour);
    let row = sql.first(
        "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?) + \
         (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_NAME = ?)",
        &[Value::text(late::NAME), Value::text(late::NAME)],
    )?;
    if Fields::of(row.unwrap_or_default()).int()? < wanted.len() as i64 {
        apply(sql, &Settings::own())?;
        wanted.iter().try_for_each(|statement| ddl(sql, late::NAME, statement))?;
    }
    Ok(())
}

/// Creates the mark table, or brings its columns in line with the table's.
fn mark_table(
    server: &MySql,
    sql: &mut dyn Sql,
    table: &Table,
    registered: &Registered,
    captured: bool,
) -> Result<Vec<String>> {
    let name = registered.mark_table();
    let mut found = reader::columns(sql, server.flavour, Some(&name))?;
    let Some(existing) = found.remove(&name) else {
        ddl(sql, &table.name, &mark::create(table, registered))?;
        let lost = format!(
            "table {}: its mark table was missing, so changes may have gone unnoticed; compare the table (verify)",
            table.name
        );
        return Ok(if captured { vec![lost] } else { Vec::new() });
    };
    let has = |name: &str| existing.iter().find(|c| c.name == name);
    let mut changes = Vec::new();
    for (column, sql_type) in mark::columns(table, registered) {
        let declaration = mark::declaration(&column, &sql_type);
        match has(&column) {
            None => changes.push(format!("ADD COLUMN {declaration}")),
            Some(c) if !same_type(&c.sql_type, &sql_type) => changes.push(format!("MODIFY COLUMN {declaration}")),
            Some(_) => {}
        }
    }
    if !changes.is_empty() {
        ddl(sql, &table.name, &format!("ALTER TABLE {} {}", quote(&name), changes.join(", ")))?;
    }
    Ok(Vec::new())
}

/// Compares types without display widths, which MariaDB adds.
fn same_type(a: &str, b: &str) -> bool {
    let plain = |t: &str| {
        let t = t.to_ascii_lowercase();
        match (t.find("int("), t.find(')')) {
            (Some(from), Some(to)) if from < to => format!("{}{}", &t[..from + 3], &t[to + 1..]),
            _ => t,
        }
    };
    a == b || plain(a) == plain(b)
}

/// Makes triggers what is wanted; returns those it made, and those it removed. `all` are the triggers of the whole database.
fn renew<'a>(
    server: &MySql,
    paced: &mut Paced,
    wanted: &'a [Wanted],
    all: &'a [Trigger],
) -> Result<(Vec<&'a Wanted>, Vec<&'a Trigger>)> {
    let (mut made, mut removed) = (Vec::new(), Vec::new());
    for wanted in alternating(wanted.iter().collect(), |w| &w.table) {
        let namesakes: Vec<&Trigger> = all.iter().filter(|t| is_named(t, wanted)).collect();
        // Those on another table went with it when it was renamed; there they are stale.
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for trigger in namesakes.iter().copied().filter(|t| t.table == wanted.table) {
            let is_right = is_right(server, paced.sql, trigger, wanted)?;
            if is_right { &mut right } else { &mut wrong }.push(trigger);
        }
        if right.is_empty() {
            let name = create(server, paced, wanted, &namesakes)?;
            wrong.retain(|t| t.name != name);
            made.push(wanted);
        }
        removed.extend(wrong.into_iter().chain(right.into_iter().skip(1)));
    }
    drop_all(paced, removed.iter().copied())?;
    Ok((made, removed))
}

/// Whether a trigger has one of the two names of the one that is wanted.
fn is_named(trigger: &Trigger, wanted: &Wanted) -> bool {
    trigger.name == wanted.name || trigger.name == other_name(&wanted.name)
}

fn is_right(server: &MySql, sql: &mut dyn Sql, trigger: &Trigger, wanted: &Wanted) -> Result<bool> {
    let is_owned = server.is_guest || trigger.definer == server.account;
    let alike = is_owned && trigger.event == wanted.event && trigger.timing == wanted.timing;
    // MySQL shows names with backticks wrongly, so a difference there proves nothing.
    if alike && trigger.body != wanted.body && wanted.body.contains("``") {
        return Ok(statement::read(sql, server.flavour, &trigger.name)?.body == wanted.body);
    }
    Ok(alike && trigger.body == wanted.body)
}

/// Creates a trigger under one of its two names, which it returns. Those it replaces are for the caller to drop, but for one
/// of that name.
fn create(server: &MySql, paced: &mut Paced, wanted: &Wanted, namesakes: &[&Trigger]) -> Result<String> {
    apply(paced.sql, &Settings::own())?;
    let holder = |name: &str| namesakes.iter().copied().find(|t| t.name == name);
    let other = other_name(&wanted.name);
    let replaceable =
        |name: &str| server.flavour == Flavour::MariaDb && holder(name).is_some_and(|t| t.table == wanted.table);
    let free = [&wanted.name, &other].into_iter().find(|n| holder(n).is_none() || replaceable(n));
    let name = match free {
        Some(name) => name,
        // Both names are taken; the one that goes is not the one that captures this table.
        None => {
            let is_here = holder(&wanted.name).is_some_and(|t| t.table == wanted.table);
            let name = if is_here { &other } else { &wanted.name };
            drop_all(paced, holder(name).into_iter())?;
            name
        }
    };
    let verb = if replaceable(name) { "CREATE OR REPLACE" } else { "CREATE" };
    let statement = create_trigger(verb, name, wanted);
    paced.change(&wanted.table, |sql| match server.flavour {
        Flavour::MariaDb => dated_ahead(sql, |sql| ddl(sql, &wanted.table, &statement)),
        Flavour::MySql => ddl(sql, &wanted.table, &statement),
    })?;
    Ok(name.clone())
}

fn create_trigger(verb: &str, name: &str, wanted: &Wanted) -> String {
    let Wanted { table, timing, event, body, .. } = wanted;
    format!("{verb} TRIGGER {} {timing} {event} ON {} FOR EACH ROW {body}", quote(name), quote(table))
}

fn drop_all<'a>(paced: &mut Paced, triggers: impl Iterator<Item = &'a Trigger>) -> Result<()> {
    let drop = |t: &Trigger| paced.ddl(&t.table, &format!("DROP TRIGGER IF EXISTS {}", quote(&t.name)));
    alternating(triggers.collect(), |t| &t.table).into_iter().try_for_each(drop)
}
