//! `server_sync trash`: the versions of files that were replaced or deleted by a round, and putting one back. That is a new
//! write of this site; the next round carries it to the others.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sync_config::Settings;
use sync_engine::{Folder, Kind};
use sync_tree::{Version, shown, survey};

use crate::arguments::{Cli, TrashAction};
use crate::commands::settings;
use crate::failure::{Failure, REMAINS, Result};
use crate::json;
use crate::output::{Line, Output, Style};
use crate::show;

/// Versions that are listed.
const LISTED: usize = 1000;

/// Lists or restores.
pub fn run(cli: &Cli, action: Option<&TrashAction>, output: &Output) -> Result<u8> {
    let settings = settings(&cli.common, output.lang)?;
    match action {
        None => list(&settings, None, None, output),
        Some(TrashAction::List { folder, path }) => list(&settings, folder.as_deref(), path.as_ref(), output),
        Some(TrashAction::Restore { folder, path, at }) => restore(&settings, folder, path, at.as_deref(), output),
    }
}

fn list(settings: &Settings, folder: Option<&str>, path: Option<&OsString>, output: &Output) -> Result<u8> {
    let lang = output.lang;
    if let Some(name) = folder {
        find(settings, name, output)?;
    }
    let path = relative(path.map_or(OsStr::new(""), OsString::as_os_str));
    let mut is_empty = true;
    for folder in settings.documents.iter().filter(|f| folder.is_none_or(|name| f.name.as_str() == name)) {
        let name = folder.name.as_str();
        let index = sync_engine::folder::index(&settings.state_dir(), name);
        for (path, version) in survey::trashed(&index, path, LISTED)? {
            is_empty = false;
            output.object(&json::trashed(settings.vd.as_str(), name, &path, &version));
            let (at, size) = (moment(version.at), show::bytes(version.size));
            output.say(format!("{at}  {size:>7}  {name} {}", shown(&path)));
        }
    }
    output.say(if is_empty { lang.trash_empty() } else { lang.trash_how(&settings.vd) });
    Ok(0)
}

fn restore(settings: &Settings, name: &str, path: &OsStr, at: Option<&str>, output: &Output) -> Result<u8> {
    let lang = output.lang;
    let mut folder = find(settings, name, output)?;
    let path = relative(path);
    let at = at.map(|text| time(text).ok_or_else(|| Failure::usage(lang.trash_bad_time(text)))).transpose()?;
    let versions = folder.versions(path, LISTED)?;
    let fits = |version: &Version| at.is_none_or(|(from, to)| (from..=to).contains(&version.at));
    let version = versions.into_iter().find(|(found, version)| found == path && fits(version)).map(|(_, v)| v);
    let Some(version) = version else { return Err(Failure::new(Kind::Failure, lang.trash_empty())) };
    let realised = folder.bring_back(path, version.at)?;
    output.object(&json::trashed(settings.vd.as_str(), name, path, &version));
    match realised.skipped.iter().find(|left| left.path == path) {
        Some(left) => {
            output.say(Line::new().add(Style::Yellow, lang.trash_not_yet(shown(path), &left.reason)));
            Ok(REMAINS)
        }
        None => {
            output.say(Line::new().add(Style::Green, lang.trash_restored(shown(path), moment(version.at))));
            Ok(0)
        }
    }
}

fn find(settings: &Settings, name: &str, output: &Output) -> Result<Folder> {
    let folder = Folder::of(settings, name)?;
    folder.ok_or_else(|| Failure::usage(output.lang.trash_no_folder(name)))
}

/// A path as the index has it.
fn relative(path: &OsStr) -> &[u8] {
    path.as_bytes().strip_suffix(b"/").unwrap_or(path.as_bytes())
}

/// A moment of the trash, to the millisecond, in local time.
fn moment(millis: i64) -> String {
    let moment = Timestamp::from_millisecond(millis).unwrap_or_default();
    moment.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// From when to when, in milliseconds: a time that is written without fractions is a whole second.
fn time(text: &str) -> Option<(i64, i64)> {
    let local = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::system()).ok().map(|zoned| zoned.timestamp());
    let from = text.parse::<Timestamp>().ok().or_else(local)?.as_millisecond();
    Some(if text.contains('.') { (from, from) } else { (from, from + 999) })
}
