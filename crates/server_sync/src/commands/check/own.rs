//! This site's own database: reachable, with all privileges, prepared, captured, in time.

use std::time::Duration;

use sync_config::duration_text;
use sync_database::Database;
use sync_database::schema::{Schema, Table};
use sync_engine::link::open_prepared;
use sync_engine::open::version_now;
use sync_engine::survey::{Access, Numbering, access};
use sync_engine::{Folder, Kind};
use sync_store::Store;

use super::{Report, failure};
use crate::failure::Failure;

/// Checks it; gives the store if rounds could use it.
pub(super) fn check(report: &mut Report) -> Option<Box<std::cell::RefCell<Database>>> {
    let access = match access(&report.settings.database) {
        Ok(access) => access,
        Err(e) => {
            report.error("database", e);
            return None;
        }
    };
    report.ok("database", report.output.lang.check_database());
    if !privileges(report, &access) {
        // Whatever else there is to say would follow from that, or cannot be seen.
        return None;
    }
    version(report);
    tables(report, &access.schema);
    if let Some(numbering) = access.numbering.filter(|n| n.tables > 0) {
        numbers(report, numbering);
    }
    store(report, &access.schema)
}

/// Whether the folders of documents can be used.
pub(super) fn check_folders(report: &mut Report) {
    let settings = report.settings;
    for folder in &settings.documents {
        let name = folder.name.as_str();
        let checked = Folder::of(settings, name).and_then(|f| f.map(|f| Ok(f.check()?)).transpose());
        match checked {
            Ok(_) => report.ok("documents", report.output.lang.check_folder(name, folder.path.display())),
            Err(error) => {
                let message = report.output.lang.folder_failed(name, &error.message);
                report.error("documents", Failure { message, ..Failure::from(error) });
            }
        }
    }
}

/// Whether the account has all privileges.
fn privileges(report: &mut Report, access: &Access) -> bool {
    let lang = report.output.lang;
    let has_all = access.missing.is_empty();
    if has_all {
        report.ok("privileges", lang.check_privileges());
    } else {
        let missing = Failure::new(Kind::Authentication, lang.check_privileges_missing());
        report.error("privileges", missing.hint(access.missing.join("\n")));
    }
    has_all
}

fn version(report: &mut Report) {
    let lang = report.output.lang;
    let version = match version_now(report.settings) {
        Ok(version) => version,
        Err(e) => return report.error("version", e),
    };
    let minimum = report.settings.version.minimum.as_ref();
    match (version.parse::<sync_config::Version>(), minimum) {
        (Ok(v), Some(minimum)) if v < *minimum => {
            report.error("version", Failure::new(Kind::Configuration, lang.check_version_low(&version, minimum)));
        }
        (Err(e), _) => {
            report.error("version", Failure::new(Kind::Configuration, lang.check_version_bad(&version, e)));
        }
        _ => report.ok("version", lang.check_version(&version)),
    }
}

fn tables(report: &mut Report, schema: &Schema) {
    let lang = report.output.lang;
    let (wanted, excluded): (Vec<&Table>, Vec<&Table>) =
        schema.tables.iter().partition(|t| report.settings.synchronises(&t.name));
    let (good, refused): (Vec<&Table>, Vec<&Table>) = wanted.into_iter().partition(|t| !t.key.is_empty());
    report.ok("tables", lang.check_tables(good.len(), excluded.len()));
    for table in refused {
        report.warn("tables", lang.check_no_key(&table.name), Some(lang.check_no_key_hint(&table.name)));
    }
    for table in good.into_iter().filter(|t| !t.transactional) {
        report.warn("tables", lang.check_fragile(&table.name), Some(lang.check_fragile_hint(&table.name)));
    }
}

/// Two sites that number alike choose the same keys for different rows.
fn numbers(report: &mut Report, numbering: Numbering) {
    let lang = report.output.lang;
    let site = u64::from(report.settings.site_number);
    let Numbering { increment, offset, tables } = numbering;
    if increment > 1 && offset % increment == site % increment {
        return report.ok("numbering", lang.check_numbering(increment, offset));
    }
    let step = site.next_power_of_two().max(16);
    report.warn(
        "numbering",
        lang.check_numbering_alike(tables, increment, offset),
        Some(lang.check_numbering_hint(step, site, &report.settings.vd)),
    );
}

fn store(report: &mut Report, schema: &Schema) -> Option<Box<std::cell::RefCell<Database>>> {
    let lang = report.output.lang;
    let mut database = match open_prepared(report.settings) {
        Ok(database) => database,
        Err(e) => {
            report.error("store", e);
            return None;
        }
    };
    published(report, &database);
    triggers(report, schema);
    if let Err(e) = database.drain() {
        report.error("store", failure(e));
        return None;
    }
    match database.describe() {
        Ok(about) => clock(report, about.clock_micros),
        Err(e) => report.error("store", failure(e)),
    }
    report.ok("store", lang.check_store(report.settings.site.as_str(), report.settings.site_number));
    Some(Box::new(std::cell::RefCell::new(database)))
}

/// Whether what others read of this site is what its settings say.
fn published(report: &mut Report, database: &Database) {
    let settings = report.settings;
    let card = database.card();
    let masters: Vec<String> = settings.masters.iter().map(ToString::to_string).collect();
    let role_matches = match &card.role {
        sync_store::Role::NotSlave => masters.is_empty(),
        sync_store::Role::Slave(slave) => slave.masters == masters,
    };
    let lang = report.output.lang;
    if card.site_name == settings.site.as_str() && card.site.number() == settings.site_number && role_matches {
        return;
    }
    report.warn("store", lang.check_unpublished(), Some(lang.check_unpublished_hint(&settings.vd)));
}

fn triggers(report: &mut Report, schema: &Schema) {
    let lang = report.output.lang;
    let is_captured = |t: &&Table| schema.triggers.iter().any(|g| g.is_ours() && g.table == t.name);
    let wanted = schema.tables.iter().filter(|t| !t.key.is_empty() && report.settings.synchronises(&t.name));
    let missing: Vec<&str> = wanted.filter(|t| !is_captured(t)).map(|t| t.name.as_str()).collect();
    match missing.is_empty() {
        true => report.ok("triggers", lang.check_triggers()),
        false => report.warn("triggers", lang.check_triggers_missing(missing.join(", ")), None),
    }
}

fn clock(report: &mut Report, database_micros: i64) {
    let lang = report.output.lang;
    let here = jiff::Timestamp::now().as_microsecond();
    let difference = Duration::from_micros(here.abs_diff(database_micros));
    if difference < Duration::from_secs(5) {
        return report.ok("clock", lang.check_clock());
    }
    report.warn("clock", lang.check_clock_off(duration_text(difference)), Some(lang.check_clock_hint()));
}
