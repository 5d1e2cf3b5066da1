//! `server_sync uninstall`: removes everything of ours from this site's database, and what is remembered of it.
//! The application's own tables and data stay as they are.

use sync_config::Settings;
use sync_database::Database;
use sync_engine::survey::survey;
use sync_engine::{Folder, Kind, lock, open};
use sync_store::ParkedKind;

use crate::arguments::Cli;
use crate::commands::{confirm, settings};
use crate::failure::{Failure, Result};
use crate::json;
use crate::lang::Lang;
use crate::output::{Line, Output, Style};

/// Removes it, after asking.
pub fn run(cli: &Cli, yes: bool, output: &Output) -> Result<u8> {
    let settings = settings(&cli.common, output.lang)?;
    let lang = output.lang;
    if !yes && !cli.common.force && !confirmed(&settings, output)? {
        return Err(Failure::new(Kind::Interrupted, lang.uninstall_kept()));
    }
    if !cli.common.force {
        refuse_what_would_be_lost(&settings, lang)?;
    }
    let _lock = lock::acquire(&settings.state_dir(), "uninstall", cli.common.force)?;
    for name in settings.documents.iter().map(|f| f.name.as_str()) {
        if let Some(mut folder) = Folder::of(&settings, name)? {
            folder.remove()?;
        }
    }
    let tables = Database::uninstall(open::connect(&settings.database)?)?;
    // What is remembered of a store that is gone would mislead nobody, but it is of no use either.
    let _ = std::fs::remove_file(settings.state_dir().join("state.json"));
    output.object(&json::uninstalled(&settings, tables));
    output.say(Line::new().add(Style::Green, lang.uninstalled(&settings.vd, &settings.site)));
    Ok(0)
}

/// What a constraint keeps from being shown is kept in our tables only. A row that merely stays is in its own.
fn refuse_what_would_be_lost(settings: &Settings, lang: Lang) -> Result<()> {
    let Ok(survey) = survey(settings) else { return Ok(()) };
    let rows: u64 = survey.parked.iter().filter(|p| p.kind != ParkedKind::Stays).map(|p| p.rows).sum();
    match rows {
        0 => Ok(()),
        rows => Err(Failure::new(Kind::Halt, lang.uninstall_parked(lang.rows(rows)))
            .hint(lang.uninstall_parked_hint(&settings.vd))),
    }
}

fn confirmed(settings: &Settings, output: &Output) -> Result<bool> {
    let lang = output.lang;
    confirm::needs_terminal(|| Failure::usage(lang.uninstall_unasked()).hint(lang.uninstall_unasked_hint()))?;
    Ok(confirm::is_meant(settings, lang.uninstall_question(&settings.vd, &settings.site), output))
}
