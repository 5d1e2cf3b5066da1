//! `server_sync status`: how the links and the own store are doing. Reads only; shows what it can where something is
//! away.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sync_config::{Settings, duration_text};
use sync_engine::lock::{self, Holder};
use sync_engine::members::{Member, members};
use sync_engine::state::{LinkState, State};
use sync_engine::survey::{Survey, survey};

use crate::arguments::Cli;
use crate::commands::{retire, settings};
use crate::documents;
use crate::failure::{Failure, REMAINS, Result, worse};
use crate::json::now;
use crate::output::{Line, Output, Style};
use crate::show;

/// Shows it; exit code 3 if something needs a person.
pub fn run(cli: &Cli, output: &Output) -> Result<u8> {
    let settings = settings(&cli.common, output.lang)?;
    let state = State::load(&settings.state_dir());
    let holder = lock::holder(&settings.state_dir());
    let store = survey(&settings).map_err(Failure::from);
    // What keeps them from being read is told of the store.
    let members = members(&settings).unwrap_or_default();
    output.object(&object(&settings, &state, holder.as_ref(), (&store, &members)));
    tell(&settings, &state, holder.as_ref(), output);
    let code = match &store {
        Ok(store) => {
            let others = members.iter().filter(|m| !m.own);
            others.for_each(|m| output.say(retire::line(m, output)));
            tell_store(store, output)
        }
        Err(failure) => {
            failure.tell(output);
            failure.code
        }
    };
    let failing = state.links.iter().any(|(name, link)| is_enabled(&settings, name) && needs_a_person(link));
    let of_documents = |(name, link): (&String, &LinkState)| match is_enabled(&settings, name) {
        true => documents::remembered_code(link),
        false => 0,
    };
    let code = state.links.iter().map(of_documents).fold(code, worse);
    Ok(if code == 0 && failing { REMAINS } else { code })
}

fn is_enabled(settings: &Settings, slave: &str) -> bool {
    settings.links.iter().any(|l| l.slave.as_str() == slave)
}

fn needs_a_person(link: &LinkState) -> bool {
    link.failing_since.is_some() || !link.paused.is_empty()
}

fn tell(settings: &Settings, state: &State, holder: Option<&Holder>, output: &Output) {
    let lang = output.lang;
    output.say(
        Line::new()
            .add(Style::Bold, settings.vd.as_str())
            .plain(" ")
            .plain(lang.status_site(&settings.site, settings.site_number)),
    );
    output.say(match holder {
        Some(h) => lang.status_running(h.pid, &h.purpose, show::local_text(&h.since)),
        None => lang.status_idle(),
    });
    for link in &settings.links {
        tell_link(link.slave.as_str(), state.links.get(link.slave.as_str()), output);
    }
    documents::status(settings, output);
    for slave in &settings.disabled_links {
        output.say(Line::new().add(Style::Dim, lang.status_disabled(slave)));
    }
    if settings.is_slave() {
        let masters: Vec<&str> = settings.masters.iter().map(|n| n.as_str()).collect();
        output.say(lang.status_masters(masters.join(", ")));
    }
}

fn tell_link(slave: &str, link: Option<&LinkState>, output: &Output) {
    let lang = output.lang;
    let Some(link) = link else {
        return output.say(Line::new().add(Style::Yellow, lang.status_never(slave)));
    };
    let success = link.last_success.as_deref();
    match success.and_then(|at| Some((at, show::age(at, Timestamp::now())?))) {
        Some((at, age)) => {
            let style = if link.failing_since.is_some() { Style::Plain } else { Style::Green };
            let text = lang.status_in_step(
                slave,
                duration_text(age.max(Duration::from_secs(1))),
                show::local_text(at),
                lang.rows(link.rows),
            );
            output.say(Line::new().add(style, text));
        }
        None => output.say(Line::new().add(Style::Yellow, lang.status_never(slave))),
    }
    if let Some(since) = &link.failing_since {
        output.say(Line::new().add(Style::Red, format!("  {}", lang.status_failing(show::local_text(since)))));
        output.say(format!("    {}", link.last_error.as_deref().unwrap_or_default()));
    }
    documents::status_of_link(link, output);
    for (table, reason) in &link.paused {
        output.say(Line::new().add(Style::Yellow, format!("  {}", lang.table_paused(table, reason))));
    }
}

fn tell_store(store: &Survey, output: &Output) -> u8 {
    let lang = output.lang;
    if store.card.is_none() {
        output.say(Line::new().add(Style::Yellow, lang.store_not_prepared()));
        return REMAINS;
    }
    output.say(lang.status_store(store.pending, lang.conflicts(store.conflicts)));
    for parked in &store.parked {
        let text = lang.status_parked(lang.rows(parked.rows), &parked.table, lang.parked(parked.kind, &parked.detail));
        output.say(Line::new().add(Style::Yellow, text));
    }
    if store.parked.is_empty() { 0 } else { REMAINS }
}

fn object(
    settings: &Settings,
    state: &State,
    holder: Option<&Holder>,
    (store, members): (&std::result::Result<Survey, Failure>, &[Member]),
) -> serde_json::Value {
    let links: Vec<_> = settings.links.iter().map(|l| link_object(l.slave.as_str(), state)).collect();
    let survey = store.as_ref().ok();
    let parked = |s: &Survey| -> Vec<_> {
        s.parked
            .iter()
            .map(|p| json!({ "table": p.table, "kind": p.kind.name(), "detail": p.detail, "rows": p.rows }))
            .collect()
    };
    json!({
        "message_type": "status",
        "time": now(),
        "vd": settings.vd.as_str(),
        "site": settings.site.as_str(),
        "site_number": settings.site_number,
        "masters": settings.masters.iter().map(|m| m.as_str()).collect::<Vec<_>>(),
        "running": holder.map(|h| json!({ "pid": h.pid, "since": h.since, "purpose": h.purpose })),
        "links": links,
        "documents": documents::status_object(settings),
        "disabled_links": settings.disabled_links.iter().map(|n| n.as_str()).collect::<Vec<_>>(),
        "sites": members.iter().map(retire::object).collect::<Vec<_>>(),
        "prepared": survey.map(|s| s.card.is_some()),
        "pending": survey.map(|s| s.pending),
        "conflicts": survey.map(|s| s.conflicts),
        "parked": survey.map(parked),
    })
}

fn link_object(slave: &str, state: &State) -> serde_json::Value {
    let link = state.links.get(slave).cloned().unwrap_or_default();
    json!({
        "slave": slave,
        "last_success": link.last_success,
        "last_attempt": link.last_attempt,
        "last_error": link.last_error,
        "failing_since": link.failing_since,
        "rows": link.rows,
        "millis": link.millis,
        "paused": link.paused,
        "documents": documents::status_of_link_object(&link),
    })
}
