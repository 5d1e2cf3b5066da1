//! The guard around the application's triggers: they ran where a row was written, so they must not run again where it
//! is applied. Their bodies are wrapped in a test of our session variable, and unwrapped again byte for byte.
//!
//! Definer, settings and firing order stay. Nothing is ever lost or run twice, whenever this is killed: MariaDB replaces
//! a trigger in one step. MySQL cannot, so there a *substitute* stands in under a name of ours, which acts only while
//! the trigger of the application's name is not there. Its steps are sent in one packet, which the server carries out
//! even if this process dies, and the table is locked meanwhile, because a substitute cannot see what happened after a
//! transaction's snapshot. One that is left behind all the same (the server was killed) works like the trigger it stands
//! for, until the next installation puts that back.

use sync_store::{Result, StoreError, Trouble};

use super::names::quote;
use super::pace::Paced;
use super::session::{self, Settings, ddl};
use super::statement::{self, Statement};
use super::{Flavour, MySql, privileges};
use crate::schema::{PREFIX, Schema, Trigger};
use crate::sql::Sql;

// Both test what `triggers::GUARD` says, for the reason given there.
const HEAD: &str = "IF NOT (@server_sync_applying <=> 1) THEN\n";
const TAIL: &str = "\n;END IF";
// Behind a body that has its own separator.
const SEPARATED_TAIL: &str = "\nEND IF";
const STANDS_FOR: &str = "IF NOT (@server_sync_applying <=> 1) AND NOT EXISTS (SELECT 1 FROM \
     information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME = CONVERT(x'";
const STANDS_FOR_END: &str = "' USING utf8mb4)) THEN\n";

/// Guards the application's triggers on a table; returns their names.
pub(super) fn guard(server: &MySql, paced: &mut Paced, schema: &Schema, table: &str) -> Result<Vec<String>> {
    let changed = put_back(server, paced, schema, table)?;
    rewrite_all(server, paced, &changed.as_ref().unwrap_or(schema).triggers, table, &Change::Guard)
}

/// Removes the guards from the application's triggers on a table; returns their names.
pub(super) fn unguard(server: &MySql, paced: &mut Paced, schema: &Schema, table: &str) -> Result<Vec<String>> {
    let changed = put_back(server, paced, schema, table)?;
    rewrite_all(server, paced, &changed.as_ref().unwrap_or(schema).triggers, table, &Change::Unguard)
}

fn is_guarded(body: &str) -> bool {
    body.starts_with(HEAD)
}

fn wrapped(body: &str, sql_mode: &str) -> String {
    format!("{HEAD}{body}{}", tail(body, sql_mode))
}

fn unwrapped(body: &str) -> Option<&str> {
    without_tail(body.strip_prefix(HEAD)?)
}

fn tail(body: &str, sql_mode: &str) -> &'static str {
    if statement::is_separated(body, sql_mode) { SEPARATED_TAIL } else { TAIL }
}

fn without_tail(body: &str) -> Option<&str> {
    body.strip_suffix(TAIL).or_else(|| body.strip_suffix(SEPARATED_TAIL))
}

enum Change {
    Guard,
    Unguard,
}

impl Change {
    fn is_needed(&self, body: &str) -> bool {
        match self {
            Change::Guard => !is_guarded(body),
            Change::Unguard => is_guarded(body),
        }
    }

    fn of(&self, body: &str, sql_mode: &str) -> Option<String> {
        match self {
            Change::Guard => Some(wrapped(body, sql_mode)),
            Change::Unguard => unwrapped(body).map(str::to_owned),
        }
    }
}

/// Rewrites the application's triggers on a table where that is needed.
fn rewrite_all(
    server: &MySql,
    paced: &mut Paced,
    triggers: &[Trigger],
    table: &str,
    change: &Change,
) -> Result<Vec<String>> {
    let is_due = |t: &&Trigger| t.table == table && !t.is_ours() && change.is_needed(&t.body);
    let due: Vec<&Trigger> = triggers.iter().filter(is_due).collect();
    let mut work = Vec::new();
    for trigger in &due {
        let now = statement::read(paced.sql, server.flavour, &trigger.name)?;
        let body = change.of(&now.body, &trigger.sql_mode).ok_or_else(|| unknown_guard(trigger))?;
        work.push(Rewrite { server, trigger, wanted: Statement { body, ..now }, alone: is_alone(trigger, triggers) });
    }
    match (server.flavour, work.is_empty()) {
        (_, true) => Ok(()),
        (Flavour::MariaDb, _) => work.iter().try_for_each(|w| paced.change(table, |sql| w.replace(sql, triggers))),
        (Flavour::MySql, _) => locked(paced, table, |sql| work.iter().try_for_each(|w| w.substitute(sql))),
    }?;
    Ok(due.into_iter().map(|t| t.name.clone()).collect())
}

fn unknown_guard(trigger: &Trigger) -> StoreError {
    let message = format!("the guard of trigger {} on table {} was altered", trigger.name, trigger.table);
    StoreError::new(Trouble::Halt, message).hint("create the trigger again as the application has it, then repeat")
}

/// Runs `work` while nobody else uses the table; for others it is one change, however many it consists of.
fn locked(paced: &mut Paced, table: &str, work: impl FnOnce(&mut dyn Sql) -> Result<()>) -> Result<()> {
    paced.change(table, |sql| {
        ddl(sql, table, &format!("LOCK TABLES {} WRITE", quote(table)))?;
        let done = work(sql);
        let unlocked = sql.run("UNLOCK TABLES");
        done.and(unlocked)
    })
}

/// A trigger of the application, and the statement that is to have made it.
struct Rewrite<'a> {
    server: &'a MySql,
    trigger: &'a Trigger,
    wanted: Statement,
    /// Whether no other trigger of the application fires at the same time.
    alone: bool,
}

/// Whether no other trigger of the application fires at the same time as this one.
fn is_alone(trigger: &Trigger, triggers: &[Trigger]) -> bool {
    let is_peer = |t: &&Trigger| (&t.table, &t.event, &t.timing) == (&trigger.table, &trigger.event, &trigger.timing);
    !triggers.iter().filter(is_peer).any(|t| !t.is_ours() && t.name != trigger.name)
}

impl Rewrite<'_> {
    /// On MariaDB: in one step, in its place among those that fire at the same time.
    fn replace(&self, sql: &mut dyn Sql, triggers: &[Trigger]) -> Result<()> {
        let Statement { header, gap, body } = &self.wanted;
        let rest = header.get("CREATE".len()..).unwrap_or_default();
        let order = place(self.trigger, triggers);
        self.create(sql, &format!("CREATE OR REPLACE{rest}{order}{gap}{body}"))
    }

    /// On MySQL: through a substitute.
    fn substitute(&self, sql: &mut dyn Sql) -> Result<()> {
        let name = &self.trigger.name;
        let substitute = substitute_name(name);
        // What the application's trigger does, without any guard of ours.
        let plain = unwrapped(&self.wanted.body).unwrap_or(&self.wanted.body);
        let hex: String = name.bytes().map(|b| format!("{b:02x}")).collect();
        let body = format!("{STANDS_FOR}{hex}{STANDS_FOR_END}{plain}{}", tail(plain, &self.trigger.sql_mode));
        let stand_in = self.named(&substitute, &format!("FOLLOWS {}", quote(name)), &body);
        self.in_one_packet(sql, &[stand_in, drop_trigger(name)], &substitute)
    }

    /// Runs statements and creates the trigger in the place of its substitute, which then goes.
    fn in_one_packet(&self, sql: &mut dyn Sql, first: &[String], substitute: &str) -> Result<()> {
        let name = &self.trigger.name;
        let mut trigger = self.named(name, &format!("FOLLOWS {}", quote(substitute)), &self.wanted.body);
        // The last: a separator that followed it would count as part of its body. One that is part of it needs what it
        // separates.
        if statement::is_separated(&self.wanted.body, &self.trigger.sql_mode) {
            trigger.push_str("DO 0");
        }
        let packet: Vec<&str> = first.iter().chain([&trigger]).map(String::as_str).collect();
        self.create(sql, &packet.join(";\n"))?;
        // Only the first statement's error is told.
        if statement::read(sql, self.server.flavour, name).is_ok_and(|made| made.body == self.wanted.body) {
            return ddl(sql, &self.trigger.table, &drop_trigger(substitute));
        }
        Err(self.unfinished())
    }

    fn unfinished(&self) -> StoreError {
        let Trigger { name, table, .. } = self.trigger;
        let message = format!("the guard of trigger {name} on table {table} could not be completed");
        StoreError::new(Trouble::SchemaChanged, message).hint("it is completed in the next round")
    }

    fn named(&self, name: &str, order: &str, body: &str) -> String {
        let Trigger { table, timing, event, definer, .. } = self.trigger;
        let (user, host) = definer.rsplit_once('@').unwrap_or((definer, "%"));
        // MySQL 9.7 can deny under LOCK TABLES that the trigger named in FOLLOWS is there (3011).
        let order = if self.alone { "" } else { order };
        format!(
            "CREATE DEFINER={}@{} TRIGGER {} {timing} {event} ON {} FOR EACH ROW {order} {body}",
            quote(user),
            quote(host),
            quote(name),
            quote(table)
        )
    }

    /// Runs a CREATE under the settings that the trigger was made under.
    fn create(&self, sql: &mut dyn Sql, text: &str) -> Result<()> {
        let t = self.trigger;
        let mut settings =
            Settings { sql_mode: t.sql_mode.clone(), charset: t.charset.clone(), collation: t.collation.clone() };
        let mut text = text.to_owned();
        if !text.is_ascii() && !settings.charset.starts_with("utf8") {
            match self.server.flavour {
                // The server then keeps the text in the character set it had.
                Flavour::MariaDb => text = as_hex(&text),
                // MySQL has no way to receive it so; it means the same in UTF-8.
                Flavour::MySql => "utf8mb4".clone_into(&mut settings.charset),
            }
        }
        session::apply(sql, &settings)?;
        let created = ddl(sql, &t.table, &text).map_err(|e| self.explain(e));
        let restored = session::apply(sql, &Settings::own());
        created.and(restored)
    }

    fn explain(&self, error: StoreError) -> StoreError {
        let Trigger { name, table, definer, .. } = self.trigger;
        let error = error.during(&format!("guarding the application's trigger {name} on table {table}"));
        if error.trouble != Trouble::Privilege {
            return error;
        }
        let privilege = privileges::definer_privilege(self.server);
        error.hint(format!(
            "it belongs to {definer}; keeping that needs GRANT {privilege} ON *.* TO {}",
            super::names::account(&self.server.account)
        ))
    }
}

fn drop_trigger(name: &str) -> String {
    format!("DROP TRIGGER {}", quote(name))
}

fn as_hex(text: &str) -> String {
    let hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
    format!("EXECUTE IMMEDIATE CONVERT(x'{hex}' USING utf8mb4)")
}

/// ` PRECEDES …` or ` FOLLOWS …`, if others fire at the same time.
fn place(trigger: &Trigger, triggers: &[Trigger]) -> String {
    let is_peer = |t: &&Trigger| t.table == trigger.table && t.event == trigger.event && t.timing == trigger.timing;
    let peers: Vec<&Trigger> = triggers.iter().filter(is_peer).collect();
    let at = peers.iter().position(|t| t.name == trigger.name).unwrap_or_default();
    match (peers.get(at + 1), at.checked_sub(1).and_then(|i| peers.get(i))) {
        (Some(next), _) => format!(" PRECEDES {}", quote(&next.name)),
        (None, Some(previous)) => format!(" FOLLOWS {}", quote(&previous.name)),
        (None, None) => String::new(),
    }
}

fn substitute_name(trigger: &str) -> String {
    let hash = blake3::hash(trigger.as_bytes()).to_hex();
    format!("{PREFIX}guard_{}", &hash[..16])
}

/// Puts back the triggers that substitutes stand for since a crash; returns the schema as it is then, if it changed.
fn put_back(server: &MySql, paced: &mut Paced, schema: &Schema, table: &str) -> Result<Option<Schema>> {
    let is_substitute = |t: &&Trigger| t.table == table && t.name.starts_with(&format!("{PREFIX}guard_"));
    let substitutes: Vec<&Trigger> = schema.triggers.iter().filter(is_substitute).collect();
    if substitutes.is_empty() {
        return Ok(None);
    }
    for substitute in substitutes {
        let now = statement::read(paced.sql, server.flavour, &substitute.name)?;
        let (name, body) = stood_for(&now.body).ok_or_else(|| unknown_guard(substitute))?;
        if schema.triggers.iter().any(|t| t.name == name) {
            paced.ddl(table, &drop_trigger(&substitute.name))?;
            continue;
        }
        let trigger = Trigger { name, ..substitute.clone() };
        let alone = is_alone(&trigger, &schema.triggers);
        let wanted = Statement { body: wrapped(body, &trigger.sql_mode), ..now };
        let rewrite = Rewrite { server, trigger: &trigger, wanted, alone };
        locked(paced, table, |sql| rewrite.in_one_packet(sql, &[], &substitute.name))?;
    }
    super::schema::read(paced.sql, server.flavour).map(Some)
}

/// The trigger that a substitute stands for: its name and its own body.
fn stood_for(body: &str) -> Option<(String, &str)> {
    let (hex, rest) = body.strip_prefix(STANDS_FOR)?.split_once(STANDS_FOR_END)?;
    let digits: Option<Vec<u8>> =
        (0..hex.len() / 2).map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()).collect();
    // In a packet the separator counts as part of the body.
    let rest = rest.trim_end_matches([';', '\n']);
    Some((String::from_utf8(digits?).ok()?, without_tail(rest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_is_told_from_us_as_in_our_own_triggers() {
        let condition = format!("IF {}", super::super::triggers::GUARD);
        assert!(HEAD.starts_with(&condition) && STANDS_FOR.starts_with(&condition));
    }

    #[test]
    fn wrapping_is_undone_exactly() {
        let bodies = [
            "set new.a = 1",
            "begin end",
            "l: begin end l -- end",
            "/* IF */ set @a='\n;END IF'",
            "",
            "# x\nset @b=1 # y",
            "set @b=1;",
            "set @b=1\n;",
            "set @b=1;\n",
        ];
        for body in bodies {
            assert!(is_guarded(&wrapped(body, "")) && !is_guarded(body));
            assert_eq!(unwrapped(&wrapped(body, "")), Some(body));
        }
        assert_eq!(unwrapped("begin end"), None);
    }

    #[test]
    fn a_substitute_says_what_it_stands_for() {
        let body = format!("{STANDS_FOR}c3a927{STANDS_FOR_END}set @a = 1{TAIL}");
        assert_eq!(stood_for(&body), Some(("é'".to_owned(), "set @a = 1")));
        let separated = format!("{STANDS_FOR}61{STANDS_FOR_END}set @a = 1;{SEPARATED_TAIL};\n");
        assert_eq!(stood_for(&separated), Some(("a".to_owned(), "set @a = 1;")));
        assert_eq!(stood_for(&wrapped("set @a = 1", "")), None);
    }

    #[test]
    fn places_among_peers() {
        let trigger = |name: &str, event: &str| Trigger {
            name: name.into(),
            table: "t".into(),
            event: event.into(),
            timing: "BEFORE".into(),
            body: String::new(),
            definer: String::new(),
            sql_mode: String::new(),
            charset: String::new(),
            collation: String::new(),
        };
        let all = [trigger("a", "INSERT"), trigger("b", "INSERT"), trigger("c", "INSERT"), trigger("d", "DELETE")];
        let places: Vec<String> = all.iter().map(|t| place(t, &all)).collect();
        assert_eq!(places, [" PRECEDES `b`", " PRECEDES `c`", " FOLLOWS `b`", ""]);
    }
}
