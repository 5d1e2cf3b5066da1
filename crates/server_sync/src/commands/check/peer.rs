//! A slave: reachable, prepared, and fit to be synchronised with. What the handshake says here is what a round would
//! say.

use std::cell::RefCell;

use sync_config::Link;
use sync_database::Database;
use sync_engine::handshake::{self, Agreement};
use sync_engine::remote::Remote;
use sync_engine::{EngineError, open};
use sync_store::Store;

use super::Report;

/// Checks the site at the other end of a link.
pub(super) fn check(report: &mut Report, link: &Link, own: Option<&RefCell<Database>>) {
    let lang = report.output.lang;
    let subject = format!("link {}", link.slave);
    let mut remote = match reach(link) {
        Ok(remote) => remote,
        Err(e) => return report.error(&subject, e),
    };
    report.ok(&subject, lang.check_peer(&link.slave));
    folders(report, &subject, link, &mut remote);
    let Some(own) = own else {
        return report.warn(&subject, lang.check_peer_alone(&link.slave), None);
    };
    match agree(report, link, &mut own.borrow_mut(), remote.store()) {
        Ok(agreement) => tell(report, &subject, link, &agreement),
        Err(e) => report.error(&subject, e),
    }
}

/// Which folders of documents both sites name.
fn folders(report: &mut Report, subject: &str, link: &Link, remote: &mut Remote) {
    let (lang, own) = (report.output.lang, &report.settings.documents);
    if own.is_empty() && !remote.has_agent() {
        return;
    }
    let theirs = match remote.folders() {
        Ok(names) => names,
        Err(e) => return report.error(subject, e),
    };
    let (common, alone): (Vec<&str>, Vec<&str>) =
        own.iter().map(|f| f.name.as_str()).partition(|name| theirs.iter().any(|n| n == name));
    if !common.is_empty() {
        report.ok(subject, lang.check_folders_alike(&link.slave, common.join(", ")));
    }
    for name in alone {
        report.skipped(subject, lang.check_folder_alone(name, &link.slave));
    }
    for name in theirs.iter().filter(|name| report.settings.folder(name).is_none()) {
        report.skipped(subject, lang.check_folder_there(name, &link.slave));
    }
}

/// An agent answers only when it is asked: what is wrong with its database is heard here and not later.
fn reach(link: &Link) -> Result<Remote, EngineError> {
    let mut remote = Remote::open(link)?;
    remote.store().describe().map_err(|e| EngineError::from(e).at(link.slave.as_str()))?;
    Ok(remote)
}

fn agree(report: &Report, link: &Link, own: &mut Database, remote: &mut dyn Store) -> Result<Agreement, EngineError> {
    remote.drain()?;
    let expected = open::options(report.settings, link).expected;
    handshake::check(&own.describe()?, &remote.describe()?, &expected)
}

fn tell(report: &mut Report, subject: &str, link: &Link, agreement: &Agreement) {
    let lang = report.output.lang;
    report.ok(subject, lang.check_agreed(&link.slave, agreement.tables.len()));
    for table in &agreement.paused {
        report.skipped(subject, lang.table_paused(&table.name, &table.reason));
    }
    for table in &agreement.refused {
        report.warn(subject, lang.table_refused(&table.name, &table.reason), None);
    }
}
