//! The daemon's log: lines on standard error, without time and with a priority where the journal reads them.

use std::fmt;

use sync_engine::RoundReport;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::documents;
use crate::lang::Lang;
use crate::output::{Output, clean};
use crate::show;

/// Begins logging. Called once; a second time changes nothing.
pub fn begin(output: &Output) {
    let level = match output.verbosity {
        ..0 => Level::WARN,
        0 => Level::INFO,
        _ => Level::DEBUG,
    };
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(Lines { journal })
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// What an administrator wants to know.
pub fn say(line: &str) {
    tracing::info!("{line}");
}

/// What should be looked at.
pub fn warn(line: &str) {
    tracing::warn!("{line}");
}

/// What is only of use when looking for something.
pub fn detail(line: &str) {
    tracing::debug!("{line}");
}

/// A round in one line.
pub fn summary(report: &RoundReport, lang: Lang) -> String {
    let (received, sent) = (lang.rows(report.pulled.total().received), lang.rows(report.pushed.total().received));
    let mut line = lang.round_done(&report.peer, received, sent, show::seconds(report.millis));
    let conflicts = report.conflicts().count() as u64;
    if conflicts > 0 {
        line += &format!(", {}", lang.conflicts(conflicts));
    }
    if report.parked() > 0 {
        line += &format!(", {}", lang.rows_parked(lang.rows(report.parked())));
    }
    report.paused.iter().for_each(|t| line += &format!("; {}", lang.table_paused(&t.name, &t.reason)));
    report.documents.iter().filter_map(|f| documents::summary(f, lang)).for_each(|text| line += &format!("; {text}"));
    line
}

/// `<6>message` for the journal, `time level message` for everybody else.
struct Lines {
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        if self.journal {
            write!(writer, "<{}>", priority(level))?;
        } else {
            SystemTime.format_time(&mut writer)?;
            write!(writer, " {level} ")?;
        }
        let mut message = Message::default();
        event.record(&mut message);
        writeln!(writer, "{}", clean(&message.0).replace('\n', "; "))
    }
}

/// As syslog numbers them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
