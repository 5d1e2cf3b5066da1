//! `server_sync init-site`: prepares this site's own database and publishes the settings in it, so that masters find
//! it ready. With `--example` only prints settings to begin from.

use sync_config::Name;
use sync_engine::{lock, open};
use sync_store::{Store, TableStatus};

use crate::arguments::Cli;
use crate::commands::{round, settings, vd};
use crate::failure::{Failure, Result};
use crate::json;
use crate::output::{Line, Output, Style};

/// Prepares it. Harmless to repeat: it is also how changed settings are published.
pub fn run(cli: &Cli, example: bool, output: &Output) -> Result<u8> {
    if example {
        return print_example(cli, output);
    }
    let settings = settings(&cli.common, output.lang)?;
    let lang = output.lang;
    let _lock = lock::acquire(&settings.state_dir(), "init-site", cli.common.force)?;
    let (mut database, notes) = open::prepare(&settings)?;
    let drained = database.drain()?;
    notes.iter().chain(&drained.notes).for_each(|note| output.say_more(note.as_str()));
    let about = database.describe()?;
    let refused = about.tables.iter().filter_map(|t| match &t.status {
        TableStatus::Refused(reason) => Some((&t.name, reason)),
        _ => None,
    });
    for (table, reason) in refused {
        output.say(Line::new().add(Style::Yellow, lang.table_refused(table, reason)));
    }
    about.warnings.iter().for_each(|w| output.say(Line::new().add(Style::Yellow, w)));
    let tables = about.tables.iter().filter(|t| t.status == TableStatus::Synchronised).count();
    output.object(&json::prepared(&settings, &about.vd_version));
    let line = lang.site_prepared(&settings.vd, &settings.site, settings.site_number, tables);
    output.say(Line::new().add(Style::Green, line));
    Ok(round::prepare_folders(&settings, output))
}

fn print_example(cli: &Cli, output: &Output) -> Result<u8> {
    let text = vd(&cli.common, output.lang)?;
    let name: Name = text.parse().map_err(|source| {
        Failure::of_settings(sync_config::ConfigError::VdName { text: text.to_owned(), source }, output.lang)
    })?;
    output.raw(&sync_config::example(&name));
    Ok(0)
}
