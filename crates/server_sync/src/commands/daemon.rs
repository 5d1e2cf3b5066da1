//! `server_sync -vd NAME -daemon`: rounds at the period, in the foreground. Logs to standard error, tells systemd how
//! it is, and obeys signals: SIGTERM and SIGINT end it after the rounds that run, a second one at once; SIGHUP has the
//! settings read again.

mod log;
mod systemd;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sync_config::Settings;
use sync_engine::daemon::{self, Control, Observer};
use sync_engine::report::Event;
use sync_engine::{EngineError, Flags, Kind, RoundReport, lock};

use crate::arguments::Cli;
use crate::commands::{conflicts, settings};
use crate::failure::{Failure, Result};
use crate::json;
use crate::lang::Lang;
use crate::output::Output;

/// Runs until it is told to stop.
pub fn run(cli: &Cli, flags: Flags, first: Settings, output: &Output) -> Result<u8> {
    log::begin(output);
    let _lock = lock::acquire(&first.state_dir(), "daemon", flags.force)?;
    let control = Control::default();
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|e| Failure::new(Kind::Failure, e.to_string()))?;
    let voice = Voice { output, ready: AtomicBool::new(false) };
    let handle = signals.handle();
    let load = || settings(&cli.common, output.lang).map_err(|f| EngineError::new(Kind::Configuration, f.message));
    std::thread::scope(|scope| {
        scope.spawn(|| obey(signals, &control, output.lang));
        daemon::run(first, flags, &control, &load, &voice);
        handle.close();
    });
    systemd::stopping();
    log::say(&output.lang.daemon_ended());
    Ok(0)
}

fn obey(mut signals: Signals, control: &Control, lang: Lang) {
    for signal in signals.forever() {
        if signal == SIGHUP {
            systemd::reloading();
            control.reload();
        } else if control.is_stopped() {
            std::process::exit(Kind::Interrupted.exit_code().into());
        } else {
            log::say(&lang.daemon_ending());
            systemd::stopping();
            control.stop();
        }
    }
}

/// Passes on what the daemon does: to the log, to systemd, and to programs that read JSON.
struct Voice<'a> {
    output: &'a Output,
    ready: AtomicBool,
}

impl Observer for Voice<'_> {
    fn ready(&self, settings: &Settings) {
        let lang = self.output.lang;
        let line = match settings.links.len() {
            0 => lang.daemon_keeps(&settings.vd, &settings.site),
            n => lang.daemon_begins(&settings.vd, &settings.site, lang.links(n as u64)),
        };
        systemd::ready(&line);
        self.ready.store(true, Ordering::Relaxed);
        log::say(&line);
    }

    fn event(&self, link: &str, event: &Event) {
        let lang = self.output.lang;
        match event {
            Event::Note(note) => log::say(&format!("{link}: {note}")),
            Event::FirstContact => log::say(&format!("{link}: {}", lang.comparing_all())),
            Event::Retrying { error, .. } => log::warn(&format!("{link}: {}", lang.trying_again(&error.message))),
            Event::Agreed { .. }
            | Event::Folder(_)
            | Event::Table { .. }
            | Event::Rows { .. }
            | Event::Contents { .. } => {}
        }
    }

    fn round(&self, settings: &Settings, report: &RoundReport) {
        let line = log::summary(report, self.output.lang);
        systemd::status(&line);
        if report.is_quiet() && !report.has_remains() {
            return log::detail(&line);
        }
        log::say(&line);
        let vd = settings.vd.as_str();
        self.output.object(&json::Round::new(vd, settings.site.as_str(), report));
        let sites = conflicts::sites(settings);
        report.conflicts().for_each(|c| self.output.object(&json::conflict(vd, c, &sites)));
    }

    fn failed(&self, link: &str, error: &EngineError, pause: Duration) {
        let hint = error.hint.as_deref().map(|h| format!(" ({})", h.replace('\n', "; "))).unwrap_or_default();
        let lang = self.output.lang;
        let line = lang.daemon_failed(link, &error.message, pause.as_secs().max(1));
        systemd::status(&line);
        log::warn(&format!("{line}{hint}"));
        self.output.object(&json::failed(link, error, pause));
    }

    fn reloaded(&self, problem: Option<&EngineError>) {
        let lang = self.output.lang;
        match problem {
            None => log::say(&lang.daemon_reloaded()),
            Some(e) => {
                log::warn(&lang.daemon_not_reloaded(&e.message));
                systemd::ready(&lang.daemon_not_reloaded(&e.message));
            }
        }
    }

    fn alive(&self) {
        systemd::alive();
    }

    fn stuck(&self, link: &str) {
        log::warn(&self.output.lang.daemon_stuck(link));
    }
}
