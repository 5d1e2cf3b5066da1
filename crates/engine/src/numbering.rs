//! How a server numbers automatic keys: looks, plans what this site needs, sets it. Every site takes its own numbers out of
//! each round of N: `auto_increment_increment = N`, `auto_increment_offset` = the site's number.

use sync_config::Database as Place;
use sync_database::sql::{Fields, Sql};
use sync_store::Trouble;

use crate::error::{EngineError, Kind, Result};
use crate::open;

/// `auto_increment_increment` and `auto_increment_offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The step: the most sites there can be.
    pub increment: u64,
    /// Which number of each step is this site's.
    pub offset: u64,
}

/// The greatest value that servers take.
const MOST: u64 = 65_535;

impl Steps {
    /// What a site needs among so many sites, or among as many as are likely to come.
    ///
    /// # Errors
    /// If its number does not fit among them.
    pub fn for_site(site: u16, sites: Option<u64>) -> Result<Self> {
        let site = u64::from(site);
        let increment = sites.unwrap_or_else(|| site.next_power_of_two().max(16));
        if site > increment || !(2..=MOST).contains(&increment) {
            let message = format!("the number of this site is {site}: it does not fit among {increment} sites");
            return Err(EngineError::new(Kind::Configuration, message)
                .hint(format!("give the most sites there will ever be, at least {} and at most {MOST}", site.max(2))));
        }
        Ok(Steps { increment, offset: site })
    }

    /// The lines for a server's configuration file.
    pub fn lines(self) -> String {
        let Steps { increment, offset } = self;
        format!("[mysqld]\nauto_increment_increment = {increment}\nauto_increment_offset = {offset}")
    }
}

/// What is to be done at one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// As it is set now.
    pub before: Steps,
    /// As it should be.
    pub wanted: Steps,
    /// The statements that set it; none if it is so already.
    pub statements: Vec<String>,
    /// Whether the server remembers it when it is started again. MariaDB needs the lines in its configuration file.
    pub lasts: bool,
}

/// Looks at the server of a database; nothing for SQLite, which has no such setting.
///
/// # Errors
/// If it cannot be reached.
pub fn plan(place: &Place, wanted: Steps) -> Result<Option<Plan>> {
    if let Place::Sqlite(_) = place {
        return Ok(None);
    }
    let mut connections = open::connect(place)?;
    let sql = connections.writer.as_mut();
    let before = current(sql)?;
    let version = Fields::of(sql.first("SELECT VERSION()", &[])?.unwrap_or_default()).text()?;
    let lasts = !version.to_ascii_lowercase().contains("mariadb");
    Ok(Some(Plan { before, wanted, statements: statements(before, wanted, lasts), lasts }))
}

fn statements(before: Steps, wanted: Steps, lasts: bool) -> Vec<String> {
    // What MySQL was told for as long as it runs would be gone after a restart, so it is told again.
    if before == wanted && !lasts {
        return Vec::new();
    }
    let scope = if lasts { "PERSIST" } else { "GLOBAL" };
    let set = |name: &str, value: u64| format!("SET {scope} auto_increment_{name} = {value}");
    vec![set("increment", wanted.increment), set("offset", wanted.offset)]
}

/// Carries it out, and looks whether it is so now.
///
/// # Errors
/// If the account lacks the privilege: the hint is the GRANT. If the server does something else than it says.
pub fn set(place: &Place, plan: &Plan) -> Result<()> {
    let mut connections = open::connect(place)?;
    let sql = connections.writer.as_mut();
    for statement in &plan.statements {
        if let Err(e) = sql.run(statement) {
            let hint = if e.trouble == Trouble::Privilege { Some(grant(sql, plan.lasts)?) } else { None };
            let error = EngineError::from(e);
            return Err(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
    }
    let after = current(sql)?;
    if after == plan.wanted {
        return Ok(());
    }
    let Steps { increment, offset } = after;
    Err(EngineError::new(Kind::Failure, format!("the server still has increment {increment}, offset {offset}")))
}

/// The GRANT that the account needs.
fn grant(sql: &mut dyn Sql, is_mysql: bool) -> Result<String> {
    let account = Fields::of(sql.first("SELECT CURRENT_USER()", &[])?.unwrap_or_default()).text()?;
    let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    let quoted = |part: &str| format!("'{}'", part.replace('\'', "''"));
    let privilege = if is_mysql { "SYSTEM_VARIABLES_ADMIN" } else { "SUPER" };
    Ok(format!("GRANT {privilege} ON *.* TO {}@{}", quoted(user), quoted(host)))
}

fn current(sql: &mut dyn Sql) -> Result<Steps> {
    let query = "SELECT @@GLOBAL.auto_increment_increment, @@GLOBAL.auto_increment_offset";
    let mut fields = Fields::of(sql.first(query, &[])?.unwrap_or_default());
    Ok(Steps { increment: fields.unsigned()?, offset: fields.unsigned()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_site_has_its_own_numbers() {
        assert_eq!(Steps::for_site(3, Some(5)).unwrap(), Steps { increment: 5, offset: 3 });
        assert_eq!(Steps::for_site(3, None).unwrap(), Steps { increment: 16, offset: 3 });
        assert_eq!(Steps::for_site(40, None).unwrap(), Steps { increment: 64, offset: 40 });
        for (site, sites) in [(6, 5), (1, 1), (1, 0), (1, 65_536)] {
            assert!(Steps::for_site(site, Some(sites)).is_err(), "{site} of {sites}");
        }
    }

    #[test]
    fn a_server_that_forgets_is_told_how_to_remember() {
        let (old, new) = (Steps { increment: 1, offset: 1 }, Steps { increment: 8, offset: 2 });
        assert_eq!(statements(new, new, false), [""; 0]);
        assert_eq!(statements(old, new, false)[1], "SET GLOBAL auto_increment_offset = 2");
        assert_eq!(statements(new, new, true)[0], "SET PERSIST auto_increment_increment = 8");
        assert_eq!(new.lines(), "[mysqld]\nauto_increment_increment = 8\nauto_increment_offset = 2");
    }
}
