//! `server_sync verify -vd NAME`: compares everything with each slave and says what differs. Changes nothing.

use sync_config::{Link, Settings};
use sync_engine::verify::{Difference, Verification, Verified, verify_link};

use crate::arguments::Cli;
use crate::commands::settings;
use crate::documents;
use crate::failure::{Failure, REMAINS, Result, worse};
use crate::interrupt;
use crate::json;
use crate::lang::Lang;
use crate::output::{Line, Output, Style};
use crate::progress::Progress;
use crate::show;

/// Runs it; the exit code is that of the worst link, 0 if all is equal.
pub fn run(cli: &Cli, output: &Output) -> Result<u8> {
    let settings = settings(&cli.common, output.lang)?;
    if settings.links.is_empty() {
        let masters: Vec<&str> = settings.masters.iter().map(|n| n.as_str()).collect();
        return Err(Failure::usage(output.lang.verify_no_slaves(masters.join(", "))));
    }
    interrupt::end_at_signal(output.lang);
    Ok(settings.links.iter().map(|link| one(&settings, link, output)).fold(0, worse))
}

fn one(settings: &Settings, link: &Link, output: &Output) -> u8 {
    match verify_link(settings, link, &mut Progress::new(output)) {
        Ok(found) => {
            tell(settings, &found, output);
            let code = if found.is_equal() { 0 } else { REMAINS };
            found.documents.iter().map(documents::verified_code).fold(code, worse)
        }
        Err(error) => {
            let failure = Failure::from(error);
            failure.tell(output);
            failure.code
        }
    }
}

fn tell(settings: &Settings, found: &Verification, output: &Output) {
    let lang = output.lang;
    output.object(&json::verification(settings.vd.as_str(), settings.site.as_str(), found));
    output.say(Line::new().add(Style::Bold, headline(found, lang)));
    found.tables.iter().for_each(|table| tell_table(table, output));
    found.documents.iter().for_each(|folder| documents::tell_verified(folder, output));
    let warn = |text: String| output.say(Line::new().add(Style::Yellow, format!("  {text}")));
    found.paused.iter().for_each(|t| warn(lang.table_paused(&t.name, &t.reason)));
    found.refused.iter().for_each(|t| output.say_more(format!("  {}", lang.table_refused(&t.name, &t.reason))));
    if found.tables.iter().any(|t| t.differences() > 0) {
        output.say(Line::new().add(Style::Dim, format!("  {}", lang.verify_hint(&settings.vd))));
    }
}

fn headline(found: &Verification, lang: Lang) -> String {
    let (peer, seconds) = (&found.peer, show::seconds(found.millis));
    let differ = found.tables.iter().filter(|t| t.differences() > 0);
    let rows = |tables: &mut dyn Iterator<Item = u64>| lang.rows(tables.sum::<u64>());
    match (differ.clone().count(), found.paused.len()) {
        (0, 0) => {
            let all = rows(&mut found.tables.iter().map(|t| t.rows));
            lang.verified_equal(peer, lang.tables(found.tables.len() as u64), all, seconds)
        }
        (0, paused) => lang.verified_in_part(peer, lang.tables(paused as u64), seconds),
        (n, _) => {
            let differences = rows(&mut differ.map(Verified::differences));
            lang.verified_different(peer, differences, lang.tables(n as u64), seconds)
        }
    }
}

fn tell_table(table: &Verified, output: &Output) {
    let lang = output.lang;
    if table.on_the_way > 0 {
        output.say(format!("  {}", lang.verified_on_the_way(&table.name, lang.rows(table.on_the_way))));
    }
    if table.differences() == 0 {
        return output.say_more(format!("  {}", lang.verified_table(&table.name, lang.rows(table.rows))));
    }
    let [differing, here, there] = [table.differing, table.only_here, table.only_there].map(|n| lang.rows(n));
    let text = lang.verified_table_differs(&table.name, differing, here, there);
    output.say(Line::new().add(Style::Yellow, format!("  {text}")));
    for example in &table.examples {
        let key = show::key(&example.key);
        let text = match example.kind {
            Difference::Values => lang.example_values(key),
            Difference::OnlyHere => lang.example_here(key),
            Difference::OnlyThere => lang.example_there(key),
        };
        output.say(format!("    {text}"));
    }
}
