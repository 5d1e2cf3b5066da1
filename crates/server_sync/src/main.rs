//! The command: reads arguments, calls the engine, shows what it says, and ends with an exit code that tells a script
//! what happened (see docs/cli.md). Decides nothing about data.

mod arguments;
mod commands;
mod documents;
mod failure;
mod help;
mod interrupt;
mod json;
mod lang;
mod output;
mod progress;
mod show;
mod texts;
mod usage;

use std::process::ExitCode;

use rustix::process::{Resource, getrlimit, setrlimit};

fn main() -> ExitCode {
    allow_open_files();
    ExitCode::from(commands::run(std::env::args_os()))
}

/// As many open files as the system allows at all: the usual limit of 1024 is there for programs that still use `select`, and new
/// documents are held open by the thousand until they are safe. With fewer it goes on in smaller lots.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // What is refused is no hindrance.
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}
