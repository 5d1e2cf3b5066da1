//! `server_sync retire SITE -vd NAME`: declares that a site has left, so that nobody waits for it any more.

use serde_json::json;
use sync_engine::members::{self, Member};

use crate::arguments::Cli;
use crate::commands::settings;
use crate::failure::Result;
use crate::json::now;
use crate::output::{Line, Output, Style};
use crate::show;

/// Declares it, and says what that means.
pub fn run(cli: &Cli, site: &str, output: &Output) -> Result<u8> {
    let (settings, lang) = (settings(&cli.common, output.lang)?, output.lang);
    let retired = members::retire(&settings, site)?;
    output.object(&json!({
        "message_type": "retired",
        "time": now(),
        "vd": settings.vd.as_str(),
        "site": retired.name,
        "site_number": retired.number,
    }));
    output.say(Line::new().add(Style::Green, lang.retired(&retired.name, retired.number)));
    output.say(lang.retired_spreads());
    Ok(0)
}

/// One line for a site of the network.
pub fn line(member: &Member, output: &Output) -> Line {
    let lang = output.lang;
    let told = show::local_millis(member.told_at);
    match member.retired {
        true => Line::new().add(Style::Dim, lang.member_retired(&member.name, member.number, told)),
        false => Line::new().plain(lang.member(&member.name, member.number, told)),
    }
}

/// The same for programs.
pub fn object(member: &Member) -> serde_json::Value {
    json!({
        "site": member.name,
        "site_number": member.number,
        "told": show::utc_millis(member.told_at),
        "retired": member.retired,
    })
}
