//! The agent: serves this site's stores to a master over a pair of byte streams, and nothing else. What it serves is fixed
//! by this site's own settings; whoever may start it may run rounds with this site, as the settings allow, and no more.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::thread;

use sync_config::Settings;
use sync_database::Database;
use sync_link::mux::{Channel, Mux};
use sync_link::serve::{refuse, serve};
use sync_link::{Hello, LinkError, Openings, contents, lanes};
use sync_store::{Store, StoreError};

use crate::error::{EngineError, Kind, Result};
use crate::folder::Folder;
use crate::link::open_prepared;
use crate::open;
use crate::remote::{DATABASE, folder_service};

/// Serves until the other side ends the link. If it wants one more lane for another link, that one's agent gets the streams: they are
/// pipes or sockets, of which nothing was read ahead.
///
/// # Errors
/// If what comes is not the protocol, or another version of it. What is wrong with this site's stores is the other side's to
/// hear.
pub fn run(
    settings: &Settings,
    mut from: impl Read + AsFd + Send + 'static,
    mut to: impl Write + AsFd + Send + 'static,
) -> Result<()> {
    if let Some(pass) = greet(settings.vd.as_str(), &mut from, &mut to)?.lane {
        return lanes::hand_over(&pass, from.as_fd(), to.as_fd()).map_err(broken);
    }
    let link = Mux::start(from, to, 2);
    let ways = link.lanes();
    let names: Vec<String> = settings.documents.iter().map(|f| f.name.to_string()).collect();
    // That the link broke is seen by `accept` too.
    let _ = contents::announce(&link, Ok(&names));
    each(&link, &|channel, service, openings| match service {
        lanes::SERVICE => lanes::serve(channel, &ways),
        _ => answer(settings, channel, service, openings),
    })
}

/// Tells whoever asks for anything why this site serves nothing: its settings cannot be used.
///
/// # Errors
/// As [`run`].
pub fn refuse_all(
    vd: &str,
    why: EngineError,
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
) -> Result<()> {
    greet(vd, &mut from, &mut to)?;
    let error = store_error(why);
    let link = Mux::start(from, to, 2);
    let _ = contents::announce(&link, Err(&error));
    each(&link, &|channel, _, _| refuse(channel, &error))
}

fn greet(vd: &str, from: &mut dyn Read, to: &mut dyn Write) -> Result<Hello> {
    let own = Hello::of(vd);
    let theirs = own.send(to).and_then(|()| Hello::receive(from)).map_err(broken)?;
    own.check(&theirs).map_err(broken)?;
    Ok(theirs)
}

/// What answers a conversation with a service.
type Answer<'a> = dyn Fn(&Channel, &str, &Openings) -> sync_link::Result<()> + Sync + 'a;

/// Answers each conversation on a thread of its own, until the link ends.
fn each(link: &Mux, answer: &Answer) -> Result<()> {
    let openings = Openings::default();
    thread::scope(|scope| {
        let answer_all = || {
            while let Some((channel, service)) = link.accept().map_err(broken)? {
                let openings = &openings;
                // That the link broke is seen by `accept` too.
                scope.spawn(move || answer(&channel, &service, openings).unwrap_or_default());
            }
            Ok(())
        };
        let ended = answer_all();
        openings.end();
        ended
    })
}

fn broken(error: LinkError) -> EngineError {
    StoreError::from(error).into()
}

fn answer(settings: &Settings, channel: &Channel, service: &str, openings: &Openings) -> sync_link::Result<()> {
    if service == DATABASE {
        return match database(settings).map_err(store_error) {
            Ok(mut store) => serve(channel, &mut store, openings),
            Err(error) => refuse(channel, &error),
        };
    }
    match folder(settings, service).map_err(store_error) {
        Ok(mut folder) => contents::serve(channel, &mut folder, openings),
        Err(error) => refuse(channel, &error),
    }
}

/// One of this site's folders of documents; the settings say which there are, whatever is asked for.
fn folder(settings: &Settings, service: &str) -> Result<Folder> {
    let named = settings.documents.iter().find(|f| folder_service(f.name.as_str()) == service);
    let folder = named.map(|f| Folder::of(settings, f.name.as_str())).transpose()?.flatten();
    folder.ok_or_else(|| {
        EngineError::new(Kind::Configuration, format!("the agent serves no {service:?}"))
            .hint("install the same version of server_sync at both sites")
    })
}

/// This site's database. While an upgrade of the application runs it is left as it is; the handshake then refuses.
fn database(settings: &Settings) -> Result<Database> {
    let mut prepared = open_prepared(settings)?;
    match prepared.describe()?.upgrading {
        true => Ok(prepared),
        false => {
            drop(prepared);
            Ok(open::prepare(settings)?.0)
        }
    }
}

fn store_error(error: EngineError) -> StoreError {
    StoreError { trouble: error.kind.trouble(), message: error.message, hint: error.hint }
}
