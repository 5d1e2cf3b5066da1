//! `server_sync demo`: two sites of a small CRM on SQLite files in a temporary folder, and the engine's own rounds
//! between them. Everything that is shown is read back from the databases.

mod cells;
mod proof;
mod site;

use sync_core::Value;
use sync_engine::{Kind, RoundReport, round};
use sync_fixture::{Dialect, Size, Workload};
use sync_store::Store;

use self::cells::Watched;
use self::site::{Site, options};
use crate::commands::conflicts::View;
use crate::failure::{Failure, Result};
use crate::json;
use crate::lang::Lang;
use crate::output::{Line, Output, Style};
use crate::show::{self, Sites};

const SIZE: Size = Size::companies(60);
const SEED: u64 = 2_026;

/// What people do at the first site while the other is away.
const TRANSACTIONS: usize = 150;

/// Plays it; exit code 0 if both sites end up equal.
pub fn run(output: &Output) -> Result<u8> {
    let folder = tempfile::tempdir().map_err(|e| Failure::new(Kind::Failure, e.to_string()))?;
    let geneva = Site::create(folder.path(), "geneva", 1, sync_fixture::generate(SIZE, SEED))?;
    let lyon = Site::create(folder.path(), "lyon", 2, [])?;
    let mut play = Play { lang: output.lang, output, geneva, lyon, act: 0 };
    play.acquaintance()?;
    play.work_apart()?;
    play.conflict()?;
    play.absence()?;
    play.proof()
}

struct Play<'a> {
    lang: Lang,
    output: &'a Output,
    geneva: Site,
    lyon: Site,
    act: u32,
}

impl Play<'_> {
    fn title(&mut self, text: String) {
        self.act += 1;
        self.output.say("");
        self.output.say(Line::new().add(Style::Bold, format!("{}. {text}", self.act)));
    }

    fn tell(&self, text: String) {
        self.output.say(format!("   {text}"));
    }

    /// A round that Geneva starts, as `server_sync -vd demo` would.
    fn round(&mut self) -> Result<RoundReport> {
        let report = round(&mut self.geneva.store, &mut self.lyon.store, &options("lyon"), &mut ())?;
        self.output.object(&json::Round::new("demo", "geneva", &report));
        let (received, sent) = (report.pulled.total().received, report.pushed.total().received);
        let (received, sent) = (self.lang.rows(received), self.lang.rows(sent));
        let text = self.lang.round_done("lyon", received, sent, show::seconds(report.millis));
        self.output.say(Line::new().add(Style::Dim, format!("   → {text}")));
        Ok(report)
    }

    fn acquaintance(&mut self) -> Result<()> {
        let rows = proof::tables(&self.geneva, &self.lyon)?.iter().map(|t| t.rows() as u64).sum();
        self.title(self.lang.demo_first());
        self.tell(self.lang.demo_first_told(self.lang.rows(rows)));
        self.round()?;
        Ok(())
    }

    fn work_apart(&mut self) -> Result<()> {
        self.title(self.lang.demo_apart());
        self.tell(self.lang.demo_apart_told());
        let mut watched = Watched::begin(&self.geneva)?;
        watched.people_work(&mut self.geneva, &mut self.lyon)?;
        watched.before(&self.geneva, &self.lyon)?;
        self.round()?;
        watched.after(&self.geneva, &self.lyon)?;
        watched.show(self.output);
        Ok(())
    }

    fn conflict(&mut self) -> Result<()> {
        self.title(self.lang.demo_conflict());
        let entries = self.geneva.store.conflicts()?;
        let Some(entry) = entries.first() else {
            return Err(Failure::new(Kind::Failure, self.lang.conflicts_none()));
        };
        self.tell(self.lang.demo_conflict_told(entries.len()));
        let view = view(self.output);
        view.brief(entry);
        self.tell(self.lang.demo_restored());
        view.restore(&mut self.geneva.store, &entry.id)?;
        self.round()?;
        let column = entry.column.clone().unwrap_or_default();
        for site in [&self.geneva, &self.lyon] {
            let value = site.cell(&entry.table, &entry.key, &column)?;
            self.tell(self.lang.demo_now(site.name, &entry.table, show::key(&entry.key), &column, value));
        }
        Ok(())
    }

    /// Lyon is away for a while; the first round afterwards brings all it missed.
    fn absence(&mut self) -> Result<()> {
        self.title(self.lang.demo_away());
        let mut done = 0u64;
        for work in Workload::new(Dialect::Sqlite, SIZE, SEED, 1).take(TRANSACTIONS) {
            done += u64::from(self.geneva.work(&work)?);
        }
        let behind = proof::tables(&self.geneva, &self.lyon)?.iter().filter(|t| !t.is_equal()).count();
        self.tell(self.lang.demo_away_told(done, behind));
        self.round()?;
        Ok(())
    }

    fn proof(&mut self) -> Result<u8> {
        self.title(self.lang.demo_proof());
        let tables = proof::tables(&self.geneva, &self.lyon)?;
        tables.iter().for_each(|t| t.show(self.output));
        let equal = tables.iter().all(proof::Compared::is_equal);
        let (style, text) = match equal {
            true => (Style::Green, self.lang.demo_equal(tables.len())),
            false => (Style::Red, self.lang.demo_unequal()),
        };
        self.output.say(Line::new().add(style, format!("   {text}")));
        Ok(if equal { 0 } else { Kind::Failure.exit_code() })
    }
}

/// How `server_sync conflicts` shows them.
fn view(output: &Output) -> View<'_> {
    let sites = [(1, "geneva"), (2, "lyon")].map(|(n, name)| (n, name.to_owned()));
    View { vd: "demo", sites: Sites(sites.into()), output, indent: "   " }
}

/// An error of the application's own connection.
fn broken(error: rusqlite::Error) -> Failure {
    Failure::new(Kind::Failure, error.to_string())
}

/// A value as SQLite holds it.
fn value(value: rusqlite::types::ValueRef) -> Value {
    use rusqlite::types::ValueRef as Sqlite;
    match value {
        Sqlite::Null => Value::Null,
        Sqlite::Integer(n) => Value::Int(n),
        Sqlite::Real(f) => Value::double(f),
        Sqlite::Text(text) => Value::text(String::from_utf8_lossy(text)),
        Sqlite::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}
