//! `server_sync conflicts`: the values that lost against a concurrent change, and putting them back. Restoring is a new
//! write of this site; the next round carries it to the others.

use sync_config::Settings;
use sync_core::{Stamp, Value};
use sync_database::Database;
use sync_engine::link::open_prepared;
use sync_engine::state::State;
use sync_engine::{Kind, folder};
use sync_store::{ConflictEntry, ParkedEntry, Store};
use sync_tree::survey;

use crate::arguments::{Cli, ConflictsAction};
use crate::commands::settings;
use crate::failure::{Failure, Result};
use crate::json;
use crate::lang::Lang;
use crate::output::{Line, Output, Style};
use crate::show::{self, Sites};

/// Lists, shows or restores.
pub fn run(cli: &Cli, action: Option<&ConflictsAction>, output: &Output) -> Result<u8> {
    let settings = settings(&cli.common, output.lang)?;
    let mut database = open_prepared(&settings)?;
    let view = View { vd: settings.vd.as_str(), sites: sites(&settings), output, indent: "" };
    match action {
        None => view.list(&mut database, &settings, false),
        Some(ConflictsAction::List { all }) => view.list(&mut database, &settings, *all),
        Some(ConflictsAction::Show { id }) => view.show(&mut database, id),
        Some(ConflictsAction::Restore { id }) => view.restore(&mut database, id),
    }
}

/// The sites whose names are known here: this one and those it has met.
pub fn sites(settings: &Settings) -> Sites {
    let mut sites = Sites(State::load(&settings.state_dir()).sites);
    sites.0.insert(settings.site_number, settings.site.to_string());
    sites
}

/// How conflicts are shown.
pub struct View<'a> {
    /// The virtual desktop, for the commands that are proposed.
    pub vd: &'a str,
    /// Who wrote.
    pub sites: Sites,
    /// Where to.
    pub output: &'a Output,
    /// What every line begins with.
    pub indent: &'static str,
}

/// Letters of an id that are shown; enough to be unique.
const SHORT: usize = 8;

impl View<'_> {
    fn lang(&self) -> Lang {
        self.output.lang
    }

    fn list(&self, database: &mut Database, settings: &Settings, all: bool) -> Result<u8> {
        let entries = database.conflicts()?;
        let shown: Vec<_> = entries.iter().filter(|e| all || !e.restored).collect();
        for entry in &shown {
            self.output.object(&json::conflict(self.vd, entry, &self.sites));
            self.brief(entry);
        }
        let parked = database.parked()?;
        self.parked(&parked);
        let copies = self.copies(settings)?;
        match (shown.is_empty(), parked.is_empty() && copies == 0) {
            (true, true) => self.output.say(self.lang().conflicts_none()),
            (true, false) => {}
            (false, _) => self.output.say(self.lang().conflicts_how(self.vd)),
        }
        Ok(0)
    }

    /// The copies of concurrent edits in folders of documents; says how many.
    fn copies(&self, settings: &Settings) -> Result<usize> {
        let mut all = Vec::new();
        for folder in &settings.documents {
            let copies = survey::copies(&folder::index(&settings.state_dir(), folder.name.as_str()))?;
            all.extend(copies.into_iter().map(|copy| (folder, copy)));
        }
        if all.is_empty() {
            return Ok(0);
        }
        self.output.say(self.lang().document_copies(self.lang().copies(all.len() as u64)));
        for (folder, copy) in &all {
            self.output.object(&json::document_copy(self.vd, folder.name.as_str(), copy));
            let path = format!("{}/{}", folder.path.display(), sync_tree::shown(&copy.path));
            self.output.say(Line::new().plain(self.indent).plain("  ").add(Style::Yellow, path));
        }
        self.output.say(self.lang().document_copies_how());
        Ok(all.len())
    }

    /// What a constraint keeps from being shown, and what to do about it.
    fn parked(&self, parked: &[ParkedEntry]) {
        if parked.is_empty() {
            return;
        }
        self.output.say(self.lang().parked_rows(self.lang().rows(parked.len() as u64)));
        for entry in parked {
            self.output.object(&json::parked(self.vd, entry));
            let reason = self.lang().parked(entry.kind, &entry.detail);
            let text = self.lang().parked_row(&entry.table, show::key(&entry.key), reason);
            self.output.say(Line::new().plain(self.indent).plain("  ").add(Style::Yellow, text));
            if let Some((table, key)) = &entry.other {
                let text = self.lang().parked_other(table, show::key(key));
                self.output.say(Line::new().plain(self.indent).plain("    ").add(Style::Dim, text));
            }
        }
    }

    /// An entry in three lines.
    pub fn brief(&self, entry: &ConflictEntry) {
        let id: String = entry.id.chars().take(SHORT).collect();
        let line =
            Line::new().plain(self.indent).add(Style::Yellow, id).plain("  ").add(Style::Bold, self.title(entry));
        if is_rekeyed(entry) {
            return self.output.say(line.plain(" ").plain(self.lang().conflict_rekeyed(show::key(&entry.winning))));
        }
        self.output.say(match entry.restored {
            true => line.plain(" ").plain(self.lang().conflict_restored()),
            false => line,
        });
        self.output.say(self.side(entry.winner, &outcome(entry, &entry.winning, self.lang()), Style::Green, true));
        self.output.say(self.side(entry.loser, &outcome(entry, &entry.losing, self.lang()), Style::Dim, false));
    }

    fn title(&self, entry: &ConflictEntry) -> String {
        let key = show::key(&entry.key);
        match &entry.column {
            Some(column) => self.lang().conflict_cell(&entry.table, key, column),
            None => self.lang().conflict_row(&entry.table, key),
        }
    }

    fn side(&self, stamp: Stamp, what: &str, style: Style, shown: bool) -> Line {
        let when = show::timestamp(stamp).map(show::local).unwrap_or_else(|| self.lang().before_all());
        let mark = if shown { self.lang().conflict_shown() } else { self.lang().conflict_aside() };
        Line::new()
            .plain(self.indent)
            .plain("    ")
            .cell(Style::Plain, &self.sites.name(stamp.site()), 12)
            .plain(format!(" {when}  "))
            .add(style, what)
            .plain(format!("  ({mark})"))
    }

    fn show(&self, database: &mut Database, id: &str) -> Result<u8> {
        let entry = self.find(database, id)?;
        self.output.object(&json::conflict(self.vd, &entry, &self.sites));
        self.brief(&entry);
        self.output.say("");
        if is_rekeyed(&entry) {
            let (old, new) = (show::key(&entry.key), show::key(&entry.winning));
            self.output.say(self.lang().explain_rekeyed(&entry.table, old, new));
            return Ok(0);
        }
        for (i, column) in entry.columns.iter().enumerate() {
            self.column(column, entry.winning.get(i), entry.losing.get(i));
        }
        self.output.say(self.explanation(&entry));
        Ok(0)
    }

    fn column(&self, column: &str, winning: Option<&Value>, losing: Option<&Value>) {
        let full = |v: Option<&Value>| v.map_or_else(|| "–".to_owned(), full);
        let (winning, losing) = (full(winning), full(losing));
        self.output.say(Line::new().add(Style::Bold, format!("  {column}")));
        if winning == losing {
            return self.output.say(format!("    {winning}"));
        }
        self.output.say(Line::new().plain("    ").add(Style::Green, winning));
        self.output.say(Line::new().plain("    ").add(Style::Dim, losing));
    }

    fn explanation(&self, entry: &ConflictEntry) -> String {
        let (lang, id) = (self.lang(), &entry.id[..SHORT.min(entry.id.len())]);
        let what = match entry.kind.as_str() {
            "cell" => lang.explain_cell(),
            "insert" => lang.explain_insert(),
            "update-lost" => lang.explain_update_lost(),
            _ => lang.explain_delete_lost(),
        };
        format!("\n{what}\n{}", lang.conflict_restore(id, self.vd))
    }

    /// Puts the losing value of a conflict back.
    pub fn restore(&self, database: &mut Database, id: &str) -> Result<u8> {
        let entry = self.find(database, id)?;
        if entry.restored {
            self.output.say(self.lang().conflict_restored_before(self.title(&entry)));
            return Ok(0);
        }
        database.restore(&entry.id)?;
        let restored = ConflictEntry { restored: true, ..entry };
        self.output.object(&json::conflict(self.vd, &restored, &self.sites));
        let value = outcome(&restored, &restored.losing, self.lang());
        let line = self.lang().conflict_put_back(self.title(&restored), value);
        self.output.say(Line::new().plain(self.indent).add(Style::Green, line));
        Ok(0)
    }

    fn find(&self, database: &mut Database, id: &str) -> Result<ConflictEntry> {
        let mut found: Vec<_> = database.conflicts()?.into_iter().filter(|e| e.id.starts_with(id)).collect();
        let hint = self.lang().conflicts_list_hint(self.vd);
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(Failure::new(Kind::Failure, self.lang().conflict_unknown(id)).hint(hint)),
            n => Err(Failure::new(Kind::Failure, self.lang().conflict_ambiguous(id, n)).hint(hint)),
        }
    }
}

/// Whether the row that lost was given a new key: nothing was set aside.
fn is_rekeyed(entry: &ConflictEntry) -> bool {
    entry.kind == sync_database::REKEYED
}

/// What a side of a conflict did, in a few words.
fn outcome(entry: &ConflictEntry, values: &[Value], lang: Lang) -> String {
    match (entry.column.is_some(), values) {
        (_, []) => lang.conflict_deleted(),
        (true, [value]) => value.to_string(),
        _ => show::key(values).chars().take(70).collect(),
    }
}

/// A value whole; long bytes are cut.
fn full(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}
