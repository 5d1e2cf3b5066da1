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

fn main() -> ExitCode {
    ExitCode::from(commands::run(std::env::args_os()))
}
