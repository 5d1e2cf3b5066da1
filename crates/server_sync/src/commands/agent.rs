//! `server_sync agent -vd NAME`: serves this site to a master that started it by ssh. Standard output belongs to the link:
//! nothing else is ever written there.

use std::fs::File;
use std::io::{stdin, stdout};
use std::os::fd::AsFd;

use sync_engine::{EngineError, Kind, agent};

use crate::arguments::Cli;
use crate::commands::{settings, vd};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Runs it until the master ends the link. The master is told what is wrong with the settings: nobody else sees it.
pub fn run(cli: &Cli, output: &Output) -> Result<u8> {
    let vd = vd(&cli.common, output.lang)?;
    let (from, to) = streams().map_err(|e| {
        Failure::from(EngineError::new(Kind::Failure, format!("the streams of the link cannot be opened: {e}")))
    })?;
    match settings(&cli.common, output.lang) {
        Ok(settings) => agent::run(&settings, from, to).map_err(Failure::from)?,
        Err(failure) => agent::refuse_all(vd, refusal(&failure), from, to).map_err(Failure::from)?,
    }
    Ok(0)
}

/// What the link goes over. Not by way of this process's own buffers: one of them waits for ends of lines.
fn streams() -> std::io::Result<(File, File)> {
    Ok((stdin().as_fd().try_clone_to_owned()?.into(), stdout().as_fd().try_clone_to_owned()?.into()))
}

fn refusal(failure: &Failure) -> EngineError {
    let not_configured = failure.code == Kind::NotConfigured.exit_code();
    let kind = if not_configured { Kind::NotConfigured } else { Kind::Configuration };
    EngineError { hint: failure.hint.clone(), ..EngineError::new(kind, failure.message.clone()) }
}
