//! From the text of a file to [`Settings`]: every section in turn, then what must hold between them.
//!
//! Opens no file itself; passwords come through [`Passwords`].

mod consistency;
mod database;
mod documents;
mod ssh;

use self::consistency::Here;
use crate::convert::{self, choice, whole};
use crate::secret::Passwords;
use crate::section::{Findings, Section};
use crate::{
    ConfigError, DEFAULT_STATE_DIRECTORY, Limits, Link, Name, NotConfigured, Pattern, Period, Preference, Problems,
    Settings, TableColumns, Version, VersionRule, VersionSource,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml_edit::{Document, TomlError};

/// Where a text comes from.
pub(crate) struct Origin<'a> {
    pub(crate) vd: &'a Name,
    pub(crate) file: &'a Path,
    /// The mode of that file, which matters if it holds a password.
    pub(crate) mode: u32,
    pub(crate) passwords: &'a dyn Passwords,
}

/// Reads and checks a whole file of settings.
pub(crate) fn parse(text: &str, origin: &Origin) -> Result<Settings, ConfigError> {
    let findings = Findings::new(text);
    let settings = match Document::parse(text) {
        Ok(document) => read(&Section::top(document.as_table(), &findings), origin),
        Err(error) => {
            syntax(&findings, &error);
            None
        }
    };
    let problems = findings.into_problems();
    match settings {
        Some(settings) if problems.is_empty() => with_a_mode(settings),
        _ => Err(Problems { file: origin.file.to_owned(), problems }.into()),
    }
}

/// Why a text is not TOML.
pub(crate) fn syntax_problems(text: &str, file: &Path) -> Problems {
    let findings = Findings::new(text);
    if let Err(error) = Document::parse(text) {
        syntax(&findings, &error);
    }
    Problems { file: file.to_owned(), problems: findings.into_problems() }
}

/// Only the parser's message: its `Display` would show the line, which may hold a password.
fn syntax(findings: &Findings, error: &TomlError) {
    let offset = error.span().map_or(0, |span| span.start);
    findings.add(offset, "", format!("this is not TOML: {}", error.message().replace('\n', "; ")));
}

fn with_a_mode(settings: Settings) -> Result<Settings, ConfigError> {
    if settings.is_master() || settings.is_slave() {
        return Ok(settings);
    }
    let Settings { vd, file, .. } = settings;
    Err(ConfigError::NotConfigured(Box::new(NotConfigured { vd, file, file_exists: true, others: Vec::new() })))
}

fn read(top: &Section, origin: &Origin) -> Option<Settings> {
    // Every part is read before any `?`, so that one that failed does not hide what is wrong with the next.
    let site = top.need("site", convert::name);
    let site_number = top.need("site_number", whole(1..=4095));
    let version = needed(top, "vd").and_then(|section| version(&section));
    let database = needed(top, "database").and_then(|section| database::read(&section, origin, true));
    let state_root = state_root(top);
    let documents = documents::read(top, state_root.as_deref());
    let here = Here { site: site.as_ref(), database: database.as_ref() };
    let masters = masters(top, here);
    let (links, disabled_links) = links(top, origin, here);
    let limits = limits(top);
    let tables = tables(top);
    let prefer_on_first_contact = preference(top);
    let Tables { excluded: excluded_tables, together, trees, counters, rekey } = tables?;
    Some(Settings {
        vd: origin.vd.clone(),
        file: origin.file.to_owned(),
        site: site?,
        site_number: site_number? as u16,
        version: version?,
        database: database?,
        state_root: state_root?,
        documents,
        masters: masters?,
        links,
        disabled_links,
        limits: limits?,
        excluded_tables,
        together,
        counters,
        rekey,
        trees,
        prefer_on_first_contact: prefer_on_first_contact?,
    })
}

/// A section that must be there; `None` has been noted.
fn needed<'a>(parent: &Section<'a>, name: &str) -> Option<Section<'a>> {
    if !parent.has(name) {
        parent.refuse(name, format!("is missing: write a section [{name}]"));
    }
    parent.section(name)
}

fn version(section: &Section) -> Option<VersionRule> {
    let fixed = section.get("version", convert::version);
    let file = section.get("version_file", convert::absolute);
    let query = section.get("version_query", convert::select);
    let minimum = minimum_version(section, fixed.as_ref());
    let only_one = one_of(section, &["version", "version_file", "version_query"]);
    let sources = [fixed.map(VersionSource::Fixed), file.map(VersionSource::File), query.map(VersionSource::Query)];
    only_one.then_some(())?;
    Some(VersionRule { source: sources.into_iter().flatten().next()?, minimum: minimum? })
}

/// The outer `None` has been noted.
fn minimum_version(section: &Section, fixed: Option<&Version>) -> Option<Option<Version>> {
    if !section.has("minimum_version") {
        return Some(None);
    }
    let minimum = section.get("minimum_version", convert::version)?;
    if let Some(version) = fixed.filter(|version| **version < minimum) {
        section.refuse("version", format!("is {version}, which is below the minimum_version {minimum}"));
    }
    Some(Some(minimum))
}

/// Notes it if not exactly one of the names is there.
fn one_of(section: &Section, names: &[&str]) -> bool {
    let list = names.join(", ");
    let mut present = names.iter().filter(|name| section.has(name));
    let Some(first) = present.next() else {
        section.refuse(names[0], format!("is missing: write one of {list}"));
        return false;
    };
    let more: Vec<_> = present.collect();
    for name in &more {
        section.refuse(name, format!("cannot stand beside `{first}`: write only one of {list}"));
    }
    more.is_empty()
}

fn state_root(top: &Section) -> Option<PathBuf> {
    let default = || PathBuf::from(DEFAULT_STATE_DIRECTORY);
    match top.has("state") {
        true => top.section("state")?.or("dir", convert::absolute, default()),
        false => Some(default()),
    }
}

fn masters(top: &Section, here: Here) -> Option<Vec<Name>> {
    if !top.has("slave") {
        return Some(Vec::new());
    }
    let section = top.section("slave")?;
    let enabled = section.or("enabled", convert::flag, true);
    let masters = section.need("masters", convert::names)?;
    consistency::check_masters(&section, &masters, here);
    Some(if enabled? { masters } else { Vec::new() })
}

/// The enabled links and the slaves of the others; what is bad is noted and left out.
fn links(top: &Section, origin: &Origin, here: Here) -> (Vec<Link>, Vec<Name>) {
    let mut links = Vec::new();
    let mut disabled = Vec::new();
    let mut seen = Vec::new();
    for section in top.sections("master") {
        let enabled = section.or("enabled", convert::flag, true);
        let slave = section.need("slave", convert::name);
        consistency::check_slave(&section, slave.as_ref(), here, &seen);
        seen.extend(slave.clone());
        let link = link(&section, origin, slave.clone(), enabled != Some(false));
        consistency::check_database(&section, link.as_ref(), here);
        match enabled {
            Some(false) => disabled.extend(slave),
            _ => links.extend(link),
        }
    }
    (links, disabled)
}

fn link(section: &Section, origin: &Origin, slave: Option<Name>, enabled: bool) -> Option<Link> {
    let default_period = Period::Every(Duration::from_secs(300));
    let period = section.or("period", convert::period, default_period);
    let remote_vd = section.or("remote_vd", convert::name, origin.vd.clone());
    let mail_domain = section.get("mail_domain", convert::domain);
    let bandwidth = section.or("documents_bandwidth", convert::whole(0..=MOST_KIB), 0);
    let (database, ssh) = (remote_database(section, origin, enabled), ways(section, enabled));
    Some(Link {
        slave: slave?,
        period: period?,
        remote_vd: remote_vd?,
        mail_domain,
        documents_bandwidth: Some(bandwidth?).filter(|kib| *kib > 0).map(|kib| kib << 10),
        database: database?,
        ssh: ssh?,
    })
}

/// A terabyte a second, which is no limit.
const MOST_KIB: u64 = 1 << 30;

/// The outer `None` has been noted.
fn remote_database(link: &Section, origin: &Origin, enabled: bool) -> Option<Option<crate::Database>> {
    match link.has("database") {
        true => database::read(&link.section("database")?, origin, enabled).map(Some),
        false => Some(None),
    }
}

/// How the slave is reached by ssh, which something else than a direct connection needs. The outer `None` has been noted.
fn ways(link: &Section, enabled: bool) -> Option<Option<crate::Ssh>> {
    if enabled && !link.has("ssh") && !link.has("database") {
        link.refuse(
            "ssh",
            "is missing: write a section [master.ssh] below this [[master]], \
             or [master.database] for a direct connection",
        );
        return None;
    }
    match link.has("ssh") {
        true => ssh::read(&link.section("ssh")?).map(Some),
        false => Some(None),
    }
}

fn limits(top: &Section) -> Option<Limits> {
    let default = Limits::default();
    if !top.has("limits") {
        return Some(default);
    }
    let section = top.section("limits")?;
    let clock = section.or("max_clock_difference", convert::duration(1, 86_400), default.max_clock_difference);
    let share = section.or("max_deleted_share", convert::share, default.max_deleted_share);
    let rows = section.or("max_deleted_rows", whole(0..=i64::MAX as u64), default.max_deleted_rows);
    let batch = section.or("batch_rows", whole(1..=100_000), default.batch_rows as u64);
    Some(Limits {
        max_clock_difference: clock?,
        max_deleted_share: share?,
        max_deleted_rows: rows?,
        batch_rows: batch? as usize,
    })
}

/// What is said of tables.
#[derive(Default)]
struct Tables {
    excluded: Vec<Pattern>,
    together: Vec<TableColumns>,
    trees: Vec<TableColumns>,
    counters: Vec<TableColumns>,
    rekey: Vec<String>,
}

fn tables(top: &Section) -> Option<Tables> {
    if !top.has("tables") {
        return Some(Tables::default());
    }
    let section = top.section("tables")?;
    let excluded = section.or("exclude", convert::patterns, Vec::new());
    let together = section.or("together", convert::columns, Vec::new());
    let trees = section.or("tree", convert::columns, Vec::new());
    let counters = section.or("counters", convert::single_columns, Vec::new());
    let rekey = section.or("rekey", convert::tables, Vec::new());
    Some(Tables { excluded: excluded?, together: together?, trees: trees?, counters: counters?, rekey: rekey? })
}

fn preference(top: &Section) -> Option<Preference> {
    const CHOICES: &[(&str, Preference)] = &[("master", Preference::Master), ("slave", Preference::Slave)];
    match top.has("conflicts") {
        true => top.section("conflicts")?.or("prefer_on_first_contact", choice(CHOICES), Preference::Master),
        false => Some(Preference::Master),
    }
}

#[cfg(test)]
mod tests;
