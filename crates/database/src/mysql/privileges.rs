//! What the account must be allowed to do, held against what it is. Each thing that is missing is one line: what it is
//! for, and what to type. Reads only.
//!
//! Our triggers run with this account's rights, whoever writes. On MariaDB a trigger has only what is granted to the
//! account itself: rights that come by a role do not count, and would make every write of the application fail.

use sync_store::Result;

use super::names::{account, quote};
use super::{Flavour, MySql};
use crate::schema::Trigger;
use crate::sql::{Fields, Sql};

/// A privilege on the database, and what it is needed for.
const NEEDED: &[(&str, &str)] = &[
    ("SELECT", "reading the tables"),
    ("INSERT", "writing what other sites changed, and our own tables"),
    ("UPDATE", "writing what other sites changed, and our own tables"),
    ("DELETE", "deleting what other sites deleted"),
    ("CREATE", "creating our own tables"),
    ("DROP", "removing our own tables"),
    ("ALTER", "changing our own tables when the application's change"),
    ("TRIGGER", "noticing changes by triggers"),
];

/// What MariaDB needs besides, for the procedure that late marks go through.
const ROUTINES: &[(&str, &str)] = &[
    ("CREATE ROUTINE", "the procedure that catches what triggers cannot mark"),
    ("ALTER ROUTINE", "removing that procedure again"),
    ("EXECUTE", "calling that procedure in triggers"),
];

/// What is missing, one line each.
pub(super) fn missing(server: &MySql, sql: &mut dyn Sql, triggers: &[Trigger]) -> Result<Vec<String>> {
    let row = sql.first("SELECT DATABASE(), @@log_bin, @@log_bin_trust_function_creators", &[])?;
    let mut fields = Fields::of(row.unwrap_or_default());
    let (database, log_bin, trusted) = (fields.text()?, fields.int()? != 0, fields.int()? != 0);
    let statement = match server.flavour {
        Flavour::MariaDb => "SHOW GRANTS FOR CURRENT_USER()",
        // Those of the roles that are active included; in triggers the default ones are.
        Flavour::MySql => "SHOW GRANTS",
    };
    let mut grants = Grants::default();
    for row in sql.all(statement, &[])? {
        grants.add(&Fields::of(row).text()?, &database);
    }
    let mut lines = on_database(server, &grants, &database, triggers);
    lines.extend(on_server(server, &grants, log_bin && !trusted, triggers));
    Ok(lines)
}

fn on_database(server: &MySql, grants: &Grants, database: &str, triggers: &[Trigger]) -> Vec<String> {
    let has_triggers = foreign(triggers).next().is_some();
    let routines = if server.flavour == Flavour::MariaDb { ROUTINES } else { &[] };
    let locks: &[(&str, &str)] = match server.flavour {
        Flavour::MySql if has_triggers => &[("LOCK TABLES", "guarding the application's triggers in one step")],
        _ => &[],
    };
    let lacks = |(privilege, _): &&(&str, &str)| !grants.on_database(privilege);
    let line = |(privilege, purpose): &(&str, &str)| {
        let to = account(&server.account);
        format!("{privilege} ({purpose}): GRANT {privilege} ON {}.* TO {to}", quote(database))
    };
    [NEEDED, routines, locks].concat().iter().filter(lacks).map(line).collect()
}

fn on_server(server: &MySql, grants: &Grants, must_trust: bool, triggers: &[Trigger]) -> Vec<String> {
    let to = account(&server.account);
    let mut lines = Vec::new();
    if must_trust && !grants.on_server("SUPER") {
        lines.push(format!(
            "the binary log is on, and then creating triggers needs either SET GLOBAL log_bin_trust_function_creators = 1 \
             (and the same in the server's configuration file), or: GRANT SUPER ON *.* TO {to}"
        ));
    }
    let privilege = definer_privilege(server);
    let others: Vec<&Trigger> = foreign(triggers).filter(|t| t.definer != server.account).collect();
    if let (Some(first), false) = (others.first(), grants.on_server("SUPER") || grants.on_server(privilege)) {
        let more = if others.len() > 1 { format!(" and {} more", others.len() - 1) } else { String::new() };
        let system = match server.flavour {
            Flavour::MySql => "; if that account has SYSTEM_USER, this one needs it too",
            Flavour::MariaDb => "",
        };
        lines.push(format!(
            "{privilege} (guarding the application's trigger {}{more} without changing whom it belongs to, {}{system}): \
             GRANT {privilege} ON *.* TO {to}",
            first.name, first.definer
        ));
    }
    lines
}

/// What making a trigger of another account takes.
pub(super) fn definer_privilege(server: &MySql) -> &'static str {
    match (server.flavour, server.version) {
        (Flavour::MariaDb, version) if version >= (10, 5) => "SET USER",
        (Flavour::MySql, version) if version >= (8, 2) => "SET_ANY_DEFINER",
        (Flavour::MySql, version) if version >= (8, 0) => "SET_USER_ID",
        _ => "SUPER",
    }
}

/// The application's triggers.
fn foreign(triggers: &[Trigger]) -> impl Iterator<Item = &Trigger> {
    triggers.iter().filter(|t| !t.is_ours())
}

/// The privileges of an account, as far as they concern one database.
#[derive(Debug, Default, PartialEq, Eq)]
struct Grants {
    server: Vec<String>,
    database: Vec<String>,
    /// Partial revokes of MySQL: on the server, but not on this database.
    revoked: Vec<String>,
}

impl Grants {
    /// Takes in a line of SHOW GRANTS.
    fn add(&mut self, line: &str, database: &str) {
        let (rest, revoke) = match (line.strip_prefix("GRANT "), line.strip_prefix("REVOKE ")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => return,
        };
        let Some((privileges, object)) = rest.split_once(" ON ") else { return };
        let list = privileges.split(',').map(|p| p.trim().to_ascii_uppercase());
        match target(object) {
            Some(Target::Server) => self.server.extend(list),
            Some(Target::Database(pattern)) if !matches(&pattern, database) => {}
            Some(Target::Database(_)) if revoke => self.revoked.extend(list),
            Some(Target::Database(_)) => self.database.extend(list),
            None => {}
        }
    }

    fn on_server(&self, privilege: &str) -> bool {
        covers(&self.server, privilege)
    }

    fn on_database(&self, privilege: &str) -> bool {
        covers(&self.database, privilege) || (self.on_server(privilege) && !covers(&self.revoked, privilege))
    }
}

fn covers(list: &[String], privilege: &str) -> bool {
    list.iter().any(|p| p == privilege || p == "ALL PRIVILEGES" || p == "ALL")
}

enum Target {
    Server,
    Database(String),
}

/// What a grant is on: everything, or a database by a pattern. Grants on single tables are not enough.
fn target(object: &str) -> Option<Target> {
    if object.starts_with("*.*") {
        return Some(Target::Server);
    }
    let quoted = object.strip_prefix('`')?;
    let end = quoted.find("`.*")?;
    Some(Target::Database(quoted[..end].replace("``", "`")))
}

/// Whether a database's name fits a pattern: `%` any characters, `_` one, `\` takes the next as it is.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pattern = pattern.chars();
    let mut name_chars = name.chars();
    match pattern.next() {
        None => name.is_empty(),
        Some('%') => {
            let rest = pattern.as_str();
            name.char_indices().map(|(i, _)| i).chain([name.len()]).any(|i| matches(rest, &name[i..]))
        }
        Some(first) => {
            let wanted = if first == '\\' { pattern.next() } else { Some(first) };
            let found = name_chars.next();
            let fits = found.is_some() && (found == wanted || (first == '_'));
            fits && matches(pattern.as_str(), name_chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(lines: &[&str]) -> Grants {
        let mut grants = Grants::default();
        lines.iter().for_each(|line| grants.add(line, "my_crm"));
        grants
    }

    #[test]
    fn what_counts() {
        let yes = [
            "GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION",
            "GRANT SELECT, TRIGGER ON `my_crm`.* TO `a`@`%`",
            "GRANT SELECT, TRIGGER ON `my\\_crm`.* TO `a`@`%` IDENTIFIED BY PASSWORD '*1'",
            "GRANT TRIGGER ON `my%`.* TO `a`@`%`",
            "GRANT Trigger ON *.* TO `a`@`%`",
        ];
        for line in yes {
            assert!(grants(&[line]).on_database("TRIGGER"), "{line}");
        }
        let no = [
            "GRANT SELECT ON *.* TO `a`@`%`",
            "GRANT TRIGGER ON `other`.* TO `a`@`%`",
            "GRANT TRIGGER ON `my\\_crm`.`t` TO `a`@`%`",
            "GRANT TRIGGER ON `my\\_cr`.* TO `a`@`%`",
            "GRANT `r`@`%` TO `a`@`%`",
            "GRANT PROXY ON ``@`%` TO `a`@`%`",
        ];
        for line in no {
            assert!(!grants(&[line]).on_database("TRIGGER"), "{line}");
        }
    }

    #[test]
    fn partial_revokes() {
        let lines = ["GRANT SELECT, DELETE ON *.* TO `a`@`%`", "REVOKE DELETE ON `my_crm`.* FROM `a`@`%`"];
        let grants = grants(&lines);
        assert!(grants.on_database("SELECT") && !grants.on_database("DELETE"));
        assert!(grants.on_server("DELETE"));
    }

    #[test]
    fn patterns_of_database_names() {
        assert!(matches("my\\_crm", "my_crm") && !matches("my\\_crm", "myxcrm"));
        assert!(matches("my_crm", "myxcrm") && matches("%", "") && matches("%crm%", "my_crm"));
        assert!(!matches("crm", "crm2") && !matches("crm2", "crm"));
    }
}
