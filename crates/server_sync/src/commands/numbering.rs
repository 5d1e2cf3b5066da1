//! `server_sync init-site --set-auto-increment`: gives this site's server numbers of its own for automatic keys, and says
//! what else is needed so that it stays so.

use sync_engine::numbering::{self, Plan, Steps};

use crate::arguments::Cli;
use crate::commands::settings;
use crate::failure::Result;
use crate::json;
use crate::output::{Line, Output, Style};

/// Sets it; with `-dry-run` only says what would be set. `sites` is the most sites there will ever be.
pub fn run(cli: &Cli, sites: Option<u64>, dry_run: bool, output: &Output) -> Result<u8> {
    let (settings, lang) = (settings(&cli.common, output.lang)?, output.lang);
    let wanted = Steps::for_site(settings.site_number, sites)?;
    let Some(plan) = numbering::plan(&settings.database, wanted)? else {
        output.object(&json::numbering(&settings, None, dry_run));
        output.say(lang.numbering_sqlite());
        return Ok(0);
    };
    if !dry_run && !plan.statements.is_empty() {
        numbering::set(&settings.database, &plan)?;
    }
    output.object(&json::numbering(&settings, Some(&plan), dry_run));
    tell(&plan, dry_run, output);
    Ok(0)
}

fn tell(plan: &Plan, dry_run: bool, output: &Output) {
    let lang = output.lang;
    let Steps { increment, offset } = plan.wanted;
    let headline = match (dry_run, plan.statements.is_empty()) {
        (_, true) => lang.numbering_already(increment, offset),
        (true, false) => lang.numbering_would(plan.statements.join("; ")),
        (false, false) => lang.numbering_set(increment, offset),
    };
    output.say(Line::new().add(Style::Green, headline));
    if plan.before != plan.wanted {
        output.say(lang.numbering_connections());
    }
    if !plan.lasts {
        output.say(Line::new().add(Style::Yellow, lang.numbering_file()));
        plan.wanted.lines().lines().for_each(|line| output.say(Line::new().plain("    ").plain(line)));
    }
    output.say(lang.numbering_everywhere(increment));
}
