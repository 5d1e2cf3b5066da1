//! The agent: serves this site's stores to a master over a pair of byte streams, and nothing else. What it serves is fixed
//! by this site's own settings; whoever may start it may run rounds with this site, as the settings allow, and no more.

use std::io::{Read, Write};
use std::thread;

use sync_config::Settings;
use sync_database::Database;
use sync_link::mux::{Channel, Mux};
use sync_link::serve::{refuse, serve};
use sync_link::{Hello, LinkError};
use sync_store::{Store, StoreError, Trouble};

use crate::error::{EngineError, Result};
use crate::link::open_prepared;
use crate::open;
use crate::remote::DATABASE;

/// Serves until the other side ends the link.
///
/// # Errors
/// If what comes is not the protocol, or another version of it. What is wrong with this site's stores is the other side's to
/// hear.
pub fn run(
    settings: &Settings,
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
) -> Result<()> {
    greet(settings.vd.as_str(), &mut from, &mut to)?;
    let link = Mux::start(from, to, 2);
    each(&link, &|channel, service| answer(settings, channel, service))
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
    each(&link, &|channel, _| refuse(channel, &error))
}

fn greet(vd: &str, from: &mut dyn Read, to: &mut dyn Write) -> Result<()> {
    let own = Hello::of(vd);
    let theirs = own.send(to).and_then(|()| Hello::receive(from)).map_err(broken)?;
    own.check(&theirs).map_err(broken)
}

/// Answers each conversation on a thread of its own, until the link ends.
fn each(link: &Mux, answer: &(dyn Fn(&Channel, &str) -> sync_link::Result<()> + Sync)) -> Result<()> {
    thread::scope(|scope| {
        while let Some((channel, service)) = link.accept().map_err(broken)? {
            scope.spawn(move || {
                // That the link broke is seen by `accept` too.
                let _ = answer(&channel, &service);
            });
        }
        Ok(())
    })
}

fn broken(error: LinkError) -> EngineError {
    StoreError::from(error).into()
}

fn answer(settings: &Settings, channel: &Channel, service: &str) -> sync_link::Result<()> {
    let opened = match service {
        DATABASE => database(settings).map_err(store_error),
        _ => Err(StoreError::new(Trouble::Configuration, format!("the agent serves no {service:?}"))
            .hint("install the same version of server_sync at both sites")),
    };
    match opened {
        Ok(mut store) => serve(channel, &mut store),
        Err(error) => refuse(channel, &error),
    }
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
