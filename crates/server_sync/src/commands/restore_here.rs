//! `server_sync restore-here -vd NAME`: declares what this site's database shows the truth for all sites. For after a backup was
//! put back that everybody is to return to. The other sites follow in the next rounds.

use serde_json::json;
use sync_config::Settings;
use sync_engine::{Kind, declaration, lock, open};

use crate::arguments::Cli;
use crate::commands::{confirm, settings};
use crate::failure::{Failure, Result};
use crate::json::now;
use crate::output::{Line, Output, Style};

/// What was asked for.
pub struct Wish<'a> {
    /// Only these tables; all if none is named.
    pub tables: &'a [String],
    /// Only say what would be declared.
    pub dry_run: bool,
    /// Do not ask.
    pub yes: bool,
}

/// Declares it, after asking.
pub fn run(cli: &Cli, wish: &Wish, output: &Output) -> Result<u8> {
    let (settings, lang) = (settings(&cli.common, output.lang)?, output.lang);
    if wish.dry_run {
        let declared = declaration::preview(&settings, wish.tables)?;
        tell(&settings, &declared, true, output);
        return Ok(0);
    }
    if !wish.yes && !confirmed(&settings, wish, output)? {
        return Err(Failure::new(Kind::Interrupted, lang.restore_not_declared()));
    }
    let _lock = lock::acquire(&settings.state_dir(), "restore-here", cli.common.force)?;
    // Masters that reach this database directly have to be kept away as well.
    let _upgrade = open::upgrade_lock(&settings)?;
    let mut told = 0;
    let mut progress = |table: &str, rows: u64| {
        if rows < told || rows - told >= 100_000 {
            told = rows;
            output.say_more(format!("  {table}: {}", lang.rows(rows)));
        }
    };
    let declared = declaration::declare(&settings, wish.tables, &mut progress)?;
    tell(&settings, &declared, false, output);
    Ok(0)
}

fn tell(settings: &Settings, declared: &[(String, u64)], dry_run: bool, output: &Output) {
    let lang = output.lang;
    let tables: Vec<_> = declared.iter().map(|(table, rows)| json!({ "table": table, "rows": rows })).collect();
    output.object(&json!({
        "message_type": "restore_declared",
        "time": now(),
        "vd": settings.vd.as_str(),
        "site": settings.site.as_str(),
        "dry_run": dry_run,
        "tables": tables,
    }));
    let (count, rows) = (declared.len(), lang.rows(declared.iter().map(|(_, rows)| rows).sum::<u64>()));
    let (vd, site) = (&settings.vd, &settings.site);
    match dry_run {
        true => output.say(lang.restore_would_declare(vd, site, count, rows)),
        false => output.say(Line::new().add(Style::Green, lang.restore_declared(vd, site, count, rows))),
    }
    declared.iter().for_each(|(table, rows)| output.say(format!("  {table}: {}", lang.rows(*rows))));
    if !dry_run {
        output.say(lang.restore_spreads());
    }
}

fn confirmed(settings: &Settings, wish: &Wish, output: &Output) -> Result<bool> {
    let lang = output.lang;
    confirm::needs_terminal(|| Failure::usage(lang.restore_unasked()).hint(lang.restore_unasked_hint()))?;
    tell(settings, &declaration::preview(settings, wish.tables)?, true, output);
    Ok(confirm::is_meant(settings, lang.restore_question(&settings.vd, &settings.site), output))
}
