//! Whether two stores may be synchronised at all, and which of their tables. A pure function of what both say of
//! themselves; nothing has moved when it refuses.

use std::time::Duration;

use sync_config::Version;
use sync_store::{Description, Role, TableInfo, TableStatus};

use crate::error::{EngineError, Kind, Result};
use crate::report::PausedTable;

/// What the master's settings expect of the slave.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The slave's name.
    pub slave: String,
    /// The slave's virtual desktop.
    pub remote_vd: String,
    /// The lowest version that is synchronised.
    pub minimum: Option<Version>,
    /// How far the clocks may differ.
    pub max_clock_difference: Duration,
}

/// What takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Tables that are alike on both sides.
    pub tables: Vec<String>,
    /// Tables that both sides synchronise and that differ.
    pub paused: Vec<PausedTable>,
    /// Tables that cannot be synchronised.
    pub refused: Vec<PausedTable>,
    /// All tables that do not take part: what the other side has of them is still to come.
    pub held: Vec<String>,
}

/// Refuses, or says which tables take part. `local` is the master.
pub fn check(local: &Description, remote: &Description, expected: &Expectation) -> Result<Agreement> {
    programs(local, remote)?;
    names(remote, expected)?;
    role(local, remote)?;
    numbers(local, remote)?;
    restores(local, remote)?;
    versions(local, remote, expected.minimum.as_ref())?;
    clocks(local, remote, expected.max_clock_difference)?;
    Ok(tables(local, remote))
}

fn refuse(message: String, hint: impl Into<String>) -> EngineError {
    EngineError::new(Kind::Configuration, message).hint(hint)
}

fn programs(local: &Description, remote: &Description) -> Result<()> {
    if (local.protocol, &local.product_version) == (remote.protocol, &remote.product_version) {
        return Ok(());
    }
    Err(refuse(
        format!(
            "server_sync is {} (protocol {}) at {} and {} (protocol {}) at {}",
            local.product_version,
            local.protocol,
            local.site_name,
            remote.product_version,
            remote.protocol,
            remote.site_name
        ),
        "install the same version at both sites, then run `server_sync init-site -vd NAME` at each",
    ))
}

fn names(remote: &Description, expected: &Expectation) -> Result<()> {
    if remote.site_name != expected.slave {
        return Err(refuse(
            format!(
                "the settings expect the slave {}, but the database belongs to site {}",
                expected.slave, remote.site_name
            ),
            "check `slave` and the database's host and name in [[master]]",
        ));
    }
    if remote.vd != expected.remote_vd {
        return Err(refuse(
            format!(
                "the settings expect the virtual desktop {} at {}, but it is {}",
                expected.remote_vd, remote.site_name, remote.vd
            ),
            "check `remote_vd` in [[master]]",
        ));
    }
    Ok(())
}

fn role(local: &Description, remote: &Description) -> Result<()> {
    let Role::Slave(settings) = &remote.role else {
        return Err(refuse(
            format!("the slave mode is not enabled at {}", remote.site_name),
            format!(
                "at {}, set enabled = true and masters = [\"{}\"] in [slave], then run `server_sync init-site -vd {}` there",
                remote.site_name, local.site_name, remote.vd
            ),
        ));
    };
    if settings.masters.contains(&local.site_name) {
        return Ok(());
    }
    Err(refuse(
        format!("{} expects the master {}, not {}", remote.site_name, settings.masters.join(" or "), local.site_name),
        format!(
            "at {}, add \"{}\" to masters in [slave], then run `server_sync init-site` there",
            remote.site_name, local.site_name
        ),
    ))
}

/// Refuses while an authoritative restore that was begun at either site is not finished.
fn restores(local: &Description, remote: &Description) -> Result<()> {
    match [local, remote].into_iter().find(|d| d.restoring) {
        None => Ok(()),
        Some(site) => {
            let name = &site.site_name;
            Err(EngineError::new(
                Kind::Halt,
                format!("at {name} an authoritative restore (restore-here) was begun and is not finished"),
            )
            .hint(format!(
                "at {name}, run `server_sync restore-here` again with the same tables: it goes on; or, if it was a \
                 mistake, put the backup back once more: nothing of it has left {name}"
            )))
        }
    }
}

/// Refuses while the application is being upgraded at either site.
pub fn upgrades(local: &Description, remote: &Description) -> Result<()> {
    match [local, remote].into_iter().find(|d| d.upgrading) {
        None => Ok(()),
        Some(site) => {
            let message = format!("the application is being upgraded at {} (server_sync lock)", site.site_name);
            Err(EngineError::new(Kind::Locked, message).hint("wait until the upgrade ends, or override with -force"))
        }
    }
}

fn numbers(local: &Description, remote: &Description) -> Result<()> {
    if local.source.store == remote.source.store {
        return Err(refuse(
            format!("both sides are the same store ({} and {})", local.site_name, remote.site_name),
            "one database is a copy of the other, or both settings name the same database: check host and name",
        ));
    }
    if local.site == remote.site {
        return Err(refuse(
            format!("{} and {} both have site number {}", local.site_name, remote.site_name, local.site),
            "give each site of the network a number of its own (site_number)",
        ));
    }
    if local.site_name == remote.site_name {
        return Err(refuse(
            format!("both sites are called {}", local.site_name),
            "give each site of the network a name of its own (site)",
        ));
    }
    Ok(())
}

fn versions(local: &Description, remote: &Description, minimum: Option<&Version>) -> Result<()> {
    if local.vd_version != remote.vd_version {
        return Err(refuse(
            format!(
                "the application is version {} at {} and {} at {}",
                local.vd_version, local.site_name, remote.vd_version, remote.site_name
            ),
            "upgrade the older site; synchronisation goes on by itself once both are equal",
        ));
    }
    let parsed = local.vd_version.parse::<Version>();
    match (minimum, parsed) {
        (Some(minimum), Ok(version)) if version < *minimum => Err(refuse(
            format!("the application is version {version}, and at least {minimum} is needed"),
            "upgrade the application at both sites, or lower minimum_version",
        )),
        (Some(_), Err(e)) => {
            Err(refuse(format!("the application's version {:?}: {e}", local.vd_version), "check [vd]"))
        }
        _ => Ok(()),
    }
}

/// Refuses clocks that differ by more than this.
pub fn clocks(local: &Description, remote: &Description, bound: Duration) -> Result<()> {
    let difference = local.clock_micros.abs_diff(remote.clock_micros);
    let uncertainty = local.clock_uncertainty_micros.unsigned_abs() + remote.clock_uncertainty_micros.unsigned_abs();
    if Duration::from_micros(difference.saturating_sub(uncertainty)) <= bound {
        return Ok(());
    }
    let ahead = if local.clock_micros > remote.clock_micros { &local.site_name } else { &remote.site_name };
    Err(EngineError::new(
        Kind::Halt,
        format!(
            "the clocks of {} and {} differ by {} ({ahead} is ahead); at most {} is allowed",
            local.site_name,
            remote.site_name,
            sync_config::duration_text(Duration::from_secs(difference / 1_000_000)),
            sync_config::duration_text(bound)
        ),
    )
    .hint(format!("check the clock of {} and of {} (timedatectl), then try again", local.site_name, remote.site_name)))
}

fn tables(local: &Description, remote: &Description) -> Agreement {
    let mut agreement = Agreement::default();
    for ours in &local.tables {
        let theirs = remote.tables.iter().find(|t| t.name == ours.name);
        compare(&mut agreement, local, remote, ours, theirs);
    }
    for theirs in remote.tables.iter().filter(|t| !local.tables.iter().any(|o| o.name == t.name)) {
        compare(&mut agreement, remote, local, theirs, None);
    }
    let all = local.tables.iter().chain(&remote.tables).map(|t| &t.name);
    let mut held: Vec<String> = all.filter(|n| !agreement.tables.contains(n)).cloned().collect();
    held.sort();
    held.dedup();
    Agreement { held, ..agreement }
}

fn compare(
    agreement: &mut Agreement,
    here: &Description,
    there: &Description,
    ours: &TableInfo,
    theirs: Option<&TableInfo>,
) {
    let name = ours.name.clone();
    let refusal = [Some(ours), theirs].into_iter().flatten().find_map(|t| match &t.status {
        TableStatus::Refused(reason) => Some(reason.clone()),
        _ => None,
    });
    let excluded = [Some(ours), theirs].into_iter().flatten().any(|t| t.status == TableStatus::Excluded);
    if excluded {
        return;
    }
    if let Some(reason) = refusal {
        return agreement.refused.push(PausedTable { name, reason });
    }
    match theirs {
        Some(theirs) if theirs.fingerprint == ours.fingerprint => agreement.tables.push(name),
        Some(theirs) => agreement.paused.push(PausedTable { name, reason: difference(here, there, ours, theirs) }),
        None => {
            let reason = format!(
                "it is at {} and not at {}; create it there, or exclude it in [tables]",
                here.site_name, there.site_name
            );
            agreement.paused.push(PausedTable { name, reason });
        }
    }
}

/// The first line in which two definitions differ.
fn difference(here: &Description, there: &Description, ours: &TableInfo, theirs: &TableInfo) -> String {
    let lines = ours.definition.len().max(theirs.definition.len());
    let line = |t: &TableInfo, i: usize| t.definition.get(i).cloned().unwrap_or_else(|| "nothing".to_owned());
    let first = (0..lines).find(|i| line(ours, *i) != line(theirs, *i)).unwrap_or(0);
    format!(
        "its definition differs: {:?} at {} and {:?} at {}; it goes on by itself once both are equal",
        line(ours, first),
        here.site_name,
        line(theirs, first),
        there.site_name
    )
}

#[cfg(test)]
pub(crate) mod tests;
