//! `server_sync -vd NAME`: one round over every enabled link, or for a slave: preparing and draining its own store.

use sync_config::Settings;
use sync_engine::{Flags, RoundReport, folder, lock, open, run_link};
use sync_store::Store;

use crate::arguments::Cli;
use crate::commands::{conflicts, daemon, settings};
use crate::documents;
use crate::failure::{Failure, REMAINS, Result, worse};
use crate::interrupt;
use crate::json;
use crate::output::{Line, Output, Style};
use crate::progress::Progress;
use crate::show;

/// Runs it; the exit code is that of the worst link.
pub fn run(cli: &Cli, output: &Output) -> Result<u8> {
    let lang = output.lang;
    if cli.daemon && cli.dry_run {
        return Err(Failure::usage(lang.dry_daemon()).hint(lang.see_help()));
    }
    let settings = settings(&cli.common, lang)?;
    let flags = Flags { init: cli.init, force: cli.common.force, dry_run: cli.dry_run };
    if cli.daemon {
        return daemon::run(cli, flags, settings, output);
    }
    interrupt::end_at_signal(lang);
    let _lock = lock::acquire(&settings.state_dir(), "round", flags.force)?;
    match settings.links.is_empty() {
        true => prepare(&settings, output),
        false => Ok(links(&settings, flags, output)),
    }
}

fn links(settings: &Settings, flags: Flags, output: &Output) -> u8 {
    let one = |link| match run_link(settings, link, flags, &mut Progress::new(output)) {
        Ok(report) => {
            tell(settings, &report, output);
            let remains = if report.has_remains() && !report.dry_run { REMAINS } else { 0 };
            // A folder that cannot take part has its own code.
            match (worse(remains, documents::code(&report.documents)), report.dry_run) {
                (REMAINS, true) => 0,
                (code, _) => code,
            }
        }
        Err(error) => {
            let failure = Failure::from(error);
            failure.tell(output);
            failure.code
        }
    };
    settings.links.iter().map(one).fold(0, worse)
}

/// A slave waits for its masters; its own store is kept ready.
fn prepare(settings: &Settings, output: &Output) -> Result<u8> {
    let (mut database, notes) = open::prepare(settings)?;
    let drained = database.drain()?;
    notes.iter().chain(&drained.notes).for_each(|note| output.say_more(note.as_str()));
    let masters: Vec<&str> = settings.masters.iter().map(|n| n.as_str()).collect();
    output.say(output.lang.slave_only(masters.join(", "), &settings.vd));
    output.object(&json::prepared(settings, &database.card().vd_version));
    Ok(prepare_folders(settings, output))
}

/// Sets up the folders of documents; the exit code is that of the worst.
pub fn prepare_folders(settings: &Settings, output: &Output) -> u8 {
    let one = |(name, prepared): (String, sync_engine::Result<Vec<sync_store::Skipped>>)| match prepared {
        Ok(skipped) => {
            for left in &skipped {
                let text = output.lang.path_skipped(&settings.site, sync_tree::shown(&left.path), &left.reason);
                output.say(Line::new().add(Style::Yellow, format!("  {text}")));
            }
            if skipped.is_empty() { 0 } else { REMAINS }
        }
        Err(error) => {
            let message = output.lang.folder_failed(&name, &error.message);
            let failure = Failure { message, ..Failure::from(error) };
            failure.tell(output);
            failure.code
        }
    };
    folder::prepare(settings).into_iter().map(one).fold(0, worse)
}

/// Says what a round did, if it did anything.
pub fn tell(settings: &Settings, report: &RoundReport, output: &Output) {
    output.object(&json::Round::new(settings.vd.as_str(), settings.site.as_str(), report));
    let sites = conflicts::sites(settings);
    report.conflicts().for_each(|c| output.object(&json::conflict(settings.vd.as_str(), c, &sites)));
    if !report.is_quiet() || report.dry_run || output.verbosity > 0 {
        output.say(Line::new().add(Style::Bold, headline(report, output)));
        tables(report, output);
    }
    report.documents.iter().for_each(|f| documents::tell(settings, &report.peer, f, output));
    remains(settings, report, output);
}

fn headline(report: &RoundReport, output: &Output) -> String {
    let lang = output.lang;
    let (received, sent) = (lang.rows(report.pulled.total().received), lang.rows(report.pushed.total().received));
    match report.dry_run {
        true => lang.round_planned(&report.peer, received, sent),
        false => lang.round_done(&report.peer, received, sent, show::seconds(report.millis)),
    }
}

fn tables(report: &RoundReport, output: &Output) {
    for (name, (pulled, pushed)) in report.by_table() {
        let line =
            Line::new().plain(format!("  {name}: ")).plain(output.lang.table_moved(pulled.received, pushed.received));
        if report.dry_run { output.say(line) } else { output.say_more(line) }
    }
}

fn remains(settings: &Settings, report: &RoundReport, output: &Output) {
    let lang = output.lang;
    let warn = |text: String| output.say(Line::new().add(Style::Yellow, format!("  {text}")));
    let conflicts = report.conflicts().count() as u64;
    if conflicts > 0 {
        warn(lang.conflicts_found(lang.conflicts(conflicts), &settings.vd));
    }
    if report.parked() > 0 {
        warn(lang.rows_parked(lang.rows(report.parked())));
    }
    report.paused.iter().for_each(|t| warn(lang.table_paused(&t.name, &t.reason)));
    for table in &report.refused {
        output.say_more(format!("  {}", lang.table_refused(&table.name, &table.reason)));
    }
    report.warnings.iter().for_each(|w| output.say_more(format!("  {w}")));
}
