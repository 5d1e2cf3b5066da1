//! Putting our triggers on a table, renewing and removing them, beside a working application. Nothing is done where all
//! is as it should be. At every moment a table that was captured stays captured: the new trigger is there before the
//! old one goes, and a row marked by both is no harm.

use sync_core::Value;
use sync_store::Result;

use super::names::{Purpose, other_name, purpose, quote};
use super::session::{Settings, apply, dated_ahead, ddl, with_short_waits};
use super::triggers::{self, Wanted};
use super::{Flavour, MySql, cascade, guard, late, mark, schema as reader, statement};
use crate::schema::{PREFIX, Registered, Schema, Table, Trigger};
use crate::sql::{Fields, Sql};

/// Makes the mark table and the triggers of one table what they should be; says what it did.
pub(super) fn install(
    server: &MySql,
    sql: &mut dyn Sql,
    schema: &Schema,
    table: &Table,
    registered: &Registered,
) -> Result<Vec<String>> {
    let wanted = triggers::capture(server.flavour, table, registered);
    let existing: Vec<&Trigger> = schema.triggers.iter().filter(|t| t.table == table.name).collect();
    let captured = existing.iter().any(|t| matches!(purpose(&t.name), Purpose::Capture(_)));
    with_short_waits(sql, |sql| {
        late_table(server, sql, &table.name)?;
        let mut notes = mark_table(server, sql, table, registered, captured)?;
        let renewed = renew(server, sql, &wanted, &schema.triggers)?;
        // Of another number: the table was renamed, or is registered anew.
        let stale = |t: &&Trigger| matches!(purpose(&t.name), Purpose::Capture(n) if n != registered.number);
        let removed = drop_all(sql, existing.iter().copied().filter(stale))?;
        if renewed + removed > 0 {
            let what = if captured { "renewed" } else { "made" };
            notes.push(format!("table {}: triggers {what}", table.name));
        }
        let guarded = guard::guard(server, sql, schema, &table.name)?;
        if !guarded.is_empty() {
            notes.push(format!("table {}: triggers of the application guarded: {}", table.name, guarded.join(", ")));
        }
        Ok(notes)
    })
}

/// Makes the triggers for cascades what they should be, and removes ours from tables that are not registered.
pub(super) fn install_cascades(
    server: &MySql,
    sql: &mut dyn Sql,
    schema: &Schema,
    registered: &[Registered],
) -> Result<Vec<String>> {
    let wanted = cascade::wanted(server.flavour, schema, registered);
    let is_wanted = |t: &Trigger| wanted.iter().any(|w| w.table == t.table && is_named(t, w));
    let is_registered = |t: &Trigger| t.table.starts_with(PREFIX) || registered.iter().any(|r| r.name == t.table);
    let stale = |t: &&Trigger| match purpose(&t.name) {
        Purpose::Capture(_) => !is_registered(t),
        Purpose::Cascade => !is_wanted(t),
        Purpose::Other => false,
    };
    with_short_waits(sql, |sql| {
        let renewed = renew(server, sql, &wanted, &schema.triggers)?;
        let removed = drop_all(sql, schema.triggers.iter().filter(stale))?;
        let note = format!("triggers for cascades: {renewed} renewed, {removed} removed");
        Ok(if renewed + removed > 0 { vec![note] } else { Vec::new() })
    })
}

/// Removes everything of ours from the application's tables but our own tables.
pub(super) fn uninstall(server: &MySql, sql: &mut dyn Sql, schema: &Schema) -> Result<()> {
    with_short_waits(sql, |sql| {
        // A substitute of a guarded trigger is put back first, so it is none of those dropped.
        let mut tables: Vec<&str> = schema.triggers.iter().map(|t| t.table.as_str()).collect();
        tables.dedup();
        for table in tables {
            guard::unguard(server, sql, schema, table)?;
        }
        let ours = |t: &&Trigger| matches!(purpose(&t.name), Purpose::Capture(_) | Purpose::Cascade);
        drop_all(sql, schema.triggers.iter().filter(ours))?;
        match server.flavour {
            Flavour::MariaDb => sql.run(&format!("DROP PROCEDURE IF EXISTS {}", late::NAME)),
            Flavour::MySql => Ok(()),
        }
    })
}

/// Makes the way for late marks, if it is not there or not whole.
fn late_table(server: &MySql, sql: &mut dyn Sql, table: &str) -> Result<()> {
    let wanted = late::create(server.flavour);
    let row = sql.first(
        "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?) + \
         (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_NAME = ?)",
        &[Value::text(late::NAME), Value::text(late::NAME)],
    )?;
    if Fields::of(row.unwrap_or_default()).int()? < wanted.len() as i64 {
        apply(sql, &Settings::own())?;
        wanted.iter().try_for_each(|statement| ddl(sql, table, statement))?;
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

/// Makes triggers what is wanted; returns how many were not. `all` are the triggers of the whole database.
pub(super) fn renew(server: &MySql, sql: &mut dyn Sql, wanted: &[Wanted], all: &[Trigger]) -> Result<usize> {
    let mut count = 0;
    for wanted in wanted {
        let namesakes: Vec<&Trigger> = all.iter().filter(|t| is_named(t, wanted)).collect();
        // Those on another table went with it when it was renamed; its own installation removes them.
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for trigger in namesakes.iter().copied().filter(|t| t.table == wanted.table) {
            let is_right = is_right(server, sql, trigger, wanted)?;
            if is_right { &mut right } else { &mut wrong }.push(trigger);
        }
        if right.is_empty() {
            replace(server, sql, wanted, &namesakes)?;
        } else {
            drop_all(sql, wrong.iter().chain(right.iter().skip(1)).copied())?;
        }
        count += usize::from(right.is_empty() || !wrong.is_empty());
    }
    Ok(count)
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

/// Creates a trigger under one of its two names, then drops those it replaces.
fn replace(server: &MySql, sql: &mut dyn Sql, wanted: &Wanted, namesakes: &[&Trigger]) -> Result<()> {
    apply(sql, &Settings::own())?;
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
            drop_all(sql, holder(name).into_iter())?;
            name
        }
    };
    let verb = if replaceable(name) { "CREATE OR REPLACE" } else { "CREATE" };
    let statement = create(verb, name, wanted);
    match server.flavour {
        Flavour::MariaDb => dated_ahead(sql, |sql| ddl(sql, &wanted.table, &statement))?,
        Flavour::MySql => ddl(sql, &wanted.table, &statement)?,
    }
    drop_all(sql, namesakes.iter().copied().filter(|t| t.name != *name && t.table == wanted.table)).map(drop)
}

fn create(verb: &str, name: &str, wanted: &Wanted) -> String {
    let Wanted { table, timing, event, body, .. } = wanted;
    format!("{verb} TRIGGER {} {timing} {event} ON {} FOR EACH ROW {body}", quote(name), quote(table))
}

pub(super) fn drop_all<'a>(sql: &mut dyn Sql, triggers: impl Iterator<Item = &'a Trigger>) -> Result<usize> {
    let mut count = 0;
    for trigger in triggers {
        ddl(sql, &trigger.table, &drop_trigger(&trigger.name))?;
        count += 1;
    }
    Ok(count)
}

fn drop_trigger(name: &str) -> String {
    format!("DROP TRIGGER IF EXISTS {}", quote(name))
}
