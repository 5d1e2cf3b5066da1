//! `server_sync agent -vd NAME`: serves this site to a master that started it by ssh. Standard output belongs to the link:
//! nothing else is ever written there.

use std::io::{stdin, stdout};

use sync_engine::{EngineError, Kind, agent};

use crate::arguments::Cli;
use crate::commands::{settings, vd};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Runs it until the master ends the link. The master is told what is wrong with the settings: nobody else sees it.
pub fn run(cli: &Cli, output: &Output) -> Result<u8> {
    let vd = vd(&cli.common, output.lang)?;
    match settings(&cli.common, output.lang) {
        Ok(settings) => agent::run(&settings, stdin(), stdout()).map_err(Failure::from)?,
        Err(failure) => agent::refuse_all(vd, refusal(&failure), stdin(), stdout()).map_err(Failure::from)?,
    }
    Ok(0)
}

fn refusal(failure: &Failure) -> EngineError {
    let not_configured = failure.code == Kind::NotConfigured.exit_code();
    let kind = if not_configured { Kind::NotConfigured } else { Kind::Configuration };
    EngineError { hint: failure.hint.clone(), ..EngineError::new(kind, failure.message.clone()) }
}
