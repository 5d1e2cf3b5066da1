//! `server_sync check`: tries everything that a round needs, and says for each whether it is well and what to do. Its
//! own database and those of the slaves are read; marks are drained as a round would do, nothing else is written.

mod own;
mod peer;

use sync_config::Settings;
use sync_engine::EngineError;

use crate::arguments::Cli;
use crate::commands::settings;
use crate::failure::{Failure, REMAINS, Result, worse};
use crate::json;
use crate::output::{Line, Output, Style};

/// Runs all checks; the exit code is that of the worst finding.
pub fn run(cli: &Cli, output: &Output) -> Result<u8> {
    let lang = output.lang;
    let settings = settings(&cli.common, lang)?;
    let mut report = Report { output, settings: &settings, code: 0, warnings: 0, errors: 0 };
    let format = sync_database::identity::FORMAT;
    report.ok("program", lang.check_program(env!("CARGO_PKG_VERSION"), sync_database::PROTOCOL, format));
    report.ok("settings", lang.check_settings(settings.file.display()));
    let own = own::check(&mut report);
    own::check_folders(&mut report);
    for link in &settings.links {
        peer::check(&mut report, link, own.as_deref());
    }
    if settings.is_slave() {
        let masters: Vec<&str> = settings.masters.iter().map(|n| n.as_str()).collect();
        report.ok("slave", lang.status_masters(masters.join(", ")));
    }
    report.conclude()
}

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Error,
}

/// Shows findings as they come, and remembers the worst.
struct Report<'a> {
    output: &'a Output,
    settings: &'a Settings,
    code: u8,
    warnings: u64,
    errors: u64,
}

impl Report<'_> {
    /// It is well.
    fn ok(&mut self, subject: &str, text: impl Into<String>) {
        self.tell(Level::Ok, subject, &text.into(), None, 0);
    }

    /// Rounds run, but somebody should look.
    fn warn(&mut self, subject: &str, text: impl Into<String>, hint: Option<String>) {
        self.warnings += 1;
        self.tell(Level::Warning, subject, &text.into(), hint.as_deref(), 0);
    }

    /// Rounds run without this.
    fn skipped(&mut self, subject: &str, text: impl Into<String>) {
        self.code = worse(self.code, REMAINS);
        self.warnings += 1;
        self.tell(Level::Warning, subject, &text.into(), None, REMAINS);
    }

    /// Rounds do not run.
    fn error(&mut self, subject: &str, error: impl Into<Failure>) {
        let failure = error.into();
        self.code = worse(self.code, failure.code);
        self.errors += 1;
        self.tell(Level::Error, subject, &failure.message, failure.hint.as_deref(), failure.code);
    }

    fn tell(&self, level: Level, subject: &str, text: &str, hint: Option<&str>, code: u8) {
        let lang = self.output.lang;
        let (name, word, style) = match level {
            Level::Ok => ("ok", lang.level_ok(), Style::Green),
            Level::Warning => ("warning", lang.level_warning(), Style::Yellow),
            Level::Error => ("error", lang.level_error(), Style::Red),
        };
        self.output.object(&json::check(self.settings.vd.as_str(), name, subject, text, hint, code));
        self.output.say(Line::new().cell(style, &word, 10).plain(text));
        for line in hint.into_iter().flat_map(str::lines) {
            self.output.say(Line::new().plain(" ".repeat(12)).plain(line.trim()));
        }
    }

    fn conclude(self) -> Result<u8> {
        let lang = self.output.lang;
        let style = if self.errors > 0 { Style::Red } else { Style::Green };
        self.output
            .say(Line::new().add(style, lang.check_result(lang.errors(self.errors), lang.warnings(self.warnings))));
        Ok(self.code)
    }
}

/// An error whose kind is that of a store.
fn failure(error: impl Into<EngineError>) -> Failure {
    Failure::from(error.into())
}
