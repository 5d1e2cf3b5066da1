//! How folders of documents are told: in a round, in the status, in a verification. For people and for programs.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use sync_config::{Settings, duration_text};
use sync_engine::documents::Side;
use sync_engine::state::{FolderState, LinkState};
use sync_engine::verify::{FolderFindings, VerifiedFolder};
use sync_engine::{DocumentsReport, FolderReport, Outcome, folder};
use sync_store::Skipped;
use sync_tree::survey::{self, Summary};

use crate::failure::{REMAINS, code_name, worse};
use crate::lang::Lang;
use crate::output::{Line, Output, Style};
use crate::show;

/// Skipped paths that are told.
const TOLD: usize = 10;

/// The exit code of folders: that of the worst.
pub fn code(reports: &[FolderReport]) -> u8 {
    let one = |report: &FolderReport| match report.error() {
        Some(error) => error.kind.exit_code(),
        None if report.has_remains() => REMAINS,
        None => 0,
    };
    reports.iter().map(one).fold(0, worse)
}

/// Says what a round did with a folder, if it did anything.
pub fn tell(settings: &Settings, peer: &str, report: &FolderReport, output: &Output) {
    let (lang, name) = (output.lang, report.name.as_str());
    let warn = |text: String| output.say(Line::new().add(Style::Yellow, format!("  {text}")));
    match &report.outcome {
        Outcome::Paused(why) => warn(lang.folder_paused(name, why)),
        Outcome::Failed(error) => tell_failure(name, &error.message, error.hint.as_deref(), output),
        Outcome::Done(done) => {
            if !done.is_quiet() || done.rows.dry_run {
                output.say(format!("  {}", headline(name, peer, done, output)));
            }
            if done.copies() > 0 {
                warn(lang.folder_copies(lang.copies(done.copies()), &settings.vd));
            }
            for (here, skipped) in done.skipped().take(TOLD) {
                let site = if here { settings.site.as_str() } else { peer };
                warn(lang.path_skipped(site, sync_tree::shown(&skipped.path), &skipped.reason));
            }
            let more = done.skipped_count().saturating_sub(TOLD as u64);
            if more > 0 {
                warn(lang.paths_skipped_more(lang.files(more)));
            }
        }
    }
}

fn tell_failure(name: &str, message: &str, hint: Option<&str>, output: &Output) {
    output.say(Line::new().add(Style::Red, format!("  {}", output.lang.folder_failed(name, message))));
    for line in hint.into_iter().flat_map(str::lines) {
        output.say(Line::new().add(Style::Dim, format!("    {}", line.trim())));
    }
}

fn headline(name: &str, peer: &str, done: &DocumentsReport, output: &Output) -> String {
    let lang = output.lang;
    if done.rows.dry_run {
        let rows = |applied: &sync_store::Applied| lang.files(applied.total().received);
        return lang.folder_planned(name, rows(&done.rows.pulled), rows(&done.rows.pushed));
    }
    let (here, there) = (lang.files(changed(&done.master)), lang.files(changed(&done.slave)));
    lang.folder_done(name, here, peer, there, show::bytes(done.master.bytes), show::bytes(done.slave.bytes))
}

fn changed(side: &Side) -> u64 {
    let r = &side.realised;
    r.created + r.replaced + r.deleted + r.touched
}

/// A folder in a line of the daemon's log; nothing if there is nothing to say.
pub fn summary(report: &FolderReport, lang: Lang) -> Option<String> {
    match &report.outcome {
        Outcome::Paused(why) => Some(lang.folder_paused(&report.name, why)),
        Outcome::Failed(error) => Some(lang.folder_failed(&report.name, &error.message)),
        Outcome::Done(done) if done.is_quiet() && !done.has_remains() => None,
        Outcome::Done(done) => {
            let files = lang.files(changed(&done.master) + changed(&done.slave));
            Some(lang.folder_summary(&report.name, files, lang.files(done.skipped_count())))
        }
    }
}

/// A folder's round for programs.
pub fn object(report: &FolderReport) -> Json {
    let mut object = match &report.outcome {
        Outcome::Paused(why) => json!({ "state": "paused", "reason": why }),
        Outcome::Failed(error) => json!({
            "state": if error.kind == sync_engine::Kind::Halt { "halted" } else { "failed" },
            "code": error.kind.exit_code(),
            "kind": code_name(error.kind.exit_code()),
            "reason": error.message,
            "hint": error.hint,
        }),
        Outcome::Done(done) => json!({
            "state": "done",
            "here": side(&done.master),
            "there": side(&done.slave),
            "received": done.rows.pulled.total().received,
            "sent": done.rows.pushed.total().received,
            "copies": done.copies(),
            "skipped": done.skipped_count(),
        }),
    };
    object["name"] = json!(report.name);
    object
}

fn side(side: &Side) -> Json {
    let r = &side.realised;
    let skipped = |s: &Skipped| json!({ "path": sync_tree::shown(&s.path), "reason": s.reason.to_string() });
    json!({
        "bytes": side.bytes,
        "created": r.created,
        "replaced": r.replaced,
        "deleted": r.deleted,
        "moved": r.moved,
        "touched": r.touched,
        "skipped": side.skipped().map(skipped).collect::<Vec<_>>(),
    })
}

/// What a folder of this site holds; nothing if it is not set up.
fn held(settings: &Settings, name: &str) -> Option<Summary> {
    survey::summary(&folder::index(&settings.state_dir(), name)).ok().flatten()
}

/// Says how the folders of this site are.
pub fn status(settings: &Settings, output: &Output) {
    let lang = output.lang;
    for folder in &settings.documents {
        let line = match held(settings, folder.name.as_str()) {
            None => Line::new().add(Style::Yellow, lang.status_folder_new(&folder.name, folder.path.display())),
            Some(held) => Line::new().plain(lang.status_folder(
                &folder.name,
                folder.path.display(),
                lang.files(held.files),
                lang.copies(held.copies),
            )),
        };
        output.say(line);
    }
}

/// Says how they are over a link.
pub fn status_of_link(link: &LinkState, output: &Output) {
    let lang = output.lang;
    for (name, state) in &link.documents {
        match state.last_success.as_deref().and_then(|at| Some((at, show::age(at, Timestamp::now())?))) {
            Some((at, age)) => {
                let age = duration_text(age.max(Duration::from_secs(1)));
                output.say(format!("  {}", lang.status_folder_in_step(name, age, show::local_text(at))));
            }
            None => output.say(Line::new().add(Style::Yellow, format!("  {}", lang.status_folder_never(name)))),
        }
        if let Some(error) = &state.last_error {
            tell_failure(name, error, state.hint.as_deref(), output);
        }
        if let Some(why) = &state.paused {
            output.say(Line::new().add(Style::Yellow, format!("    {}", lang.folder_paused(name, why))));
        }
        if state.skipped > 0 {
            let text = lang.status_folder_skipped(lang.files(state.skipped));
            output.say(Line::new().add(Style::Yellow, format!("    {text}")));
        }
        for (path, reason) in &state.examples {
            output.say_more(format!("      {path}: {reason}"));
        }
    }
}

/// The exit code that what is remembered of folders gives.
pub fn remembered_code(link: &LinkState) -> u8 {
    let one = |state: &FolderState| match (state.halted, state.has_remains()) {
        (true, _) => sync_engine::Kind::Halt.exit_code(),
        (_, true) => REMAINS,
        _ => 0,
    };
    link.documents.values().map(one).fold(0, worse)
}

/// The folders of this site, for programs.
pub fn status_object(settings: &Settings) -> Json {
    let one = |folder: &sync_config::Folder| {
        let held = held(settings, folder.name.as_str());
        json!({
            "name": folder.name.as_str(),
            "path": folder.path,
            "prepared": held.is_some(),
            "files": held.map(|h| h.files),
            "conflicts": held.map(|h| h.copies),
        })
    };
    settings.documents.iter().map(one).collect()
}

/// What is remembered of folders over a link, for programs.
pub fn status_of_link_object(link: &LinkState) -> Json {
    let one = |(name, state): (&String, &FolderState)| {
        json!({
            "name": name,
            "last_success": state.last_success,
            "last_error": state.last_error,
            "hint": state.hint,
            "failing_since": state.failing_since,
            "halted": state.halted,
            "paused": state.paused,
            "skipped": state.skipped,
            "examples": state.examples.iter().map(|(path, reason)| json!({ "path": path, "reason": reason })).collect::<Vec<_>>(),
        })
    };
    link.documents.iter().map(one).collect()
}

/// Says what a verification found in a folder.
pub fn tell_verified(folder: &VerifiedFolder, output: &Output) {
    let (lang, name) = (output.lang, folder.name.as_str());
    let warn = |text: String| output.say(Line::new().add(Style::Yellow, format!("  {text}")));
    if let FolderFindings::Compared { paths, .. } = &folder.found
        && paths.on_the_way > 0
    {
        output.say(format!("  {}", lang.verified_on_the_way(name, lang.files(paths.on_the_way))));
    }
    match &folder.found {
        FolderFindings::Paused(why) => warn(lang.folder_paused(name, why)),
        FolderFindings::Failed(error) => tell_failure(name, &error.message, error.hint.as_deref(), output),
        FolderFindings::Compared { paths, .. } if folder.is_equal() => {
            output.say(format!("  {}", lang.verified_folder(name, lang.files(paths.rows))));
        }
        FolderFindings::Compared { paths, unread, waiting } => {
            let [differing, here, there] = [paths.differing, paths.only_here, paths.only_there].map(|n| lang.files(n));
            warn(lang.verified_folder_differs(name, differing, here, there));
            if unread + waiting > 0 {
                warn(lang.verified_folder_unread(lang.files(*unread), lang.files(*waiting)));
            }
            for example in &paths.examples {
                let path = example.key.first().map_or_else(String::new, path_text);
                output.say(format!("    {path}"));
            }
        }
    }
}

fn path_text(value: &sync_core::Value) -> String {
    match value {
        sync_core::Value::Bytes(bytes) => sync_tree::shown(bytes),
        other => other.to_string(),
    }
}

/// The exit code of what was found.
pub fn verified_code(folder: &VerifiedFolder) -> u8 {
    match &folder.found {
        FolderFindings::Failed(error) => error.kind.exit_code(),
        _ if folder.is_equal() => 0,
        _ => REMAINS,
    }
}

/// What a verification found in a folder, for programs.
pub fn verified_object(folder: &VerifiedFolder) -> Json {
    let mut object = match &folder.found {
        FolderFindings::Paused(why) => json!({ "state": "paused", "reason": why }),
        FolderFindings::Failed(error) => json!({ "state": "failed", "reason": error.message, "hint": error.hint }),
        FolderFindings::Compared { paths, unread, waiting } => json!({
            "state": "compared",
            "files": paths.rows,
            "peer_files": paths.peer_rows,
            "differing": paths.differing,
            "only_here": paths.only_here,
            "only_there": paths.only_there,
            "on_the_way": paths.on_the_way,
            "unread": unread,
            "waiting": waiting,
            "examples": paths.examples.iter().filter_map(|e| e.key.first()).map(path_text).collect::<Vec<_>>(),
        }),
    };
    object["name"] = json!(folder.name);
    object["equal"] = json!(folder.is_equal());
    object
}
