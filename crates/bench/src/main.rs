//! Benches on real servers, side by side with their peers: what capture costs the application, how fast a site catches
//! up, what a quiet round costs, and how much memory is used. A development tool: it changes nothing but servers of
//! its own, and never decides whether a figure is good enough.
//!
//! `sync_bench capture|catchup|idle|memory|compare|copy|documents|all [--samples N] [--rows N]`; tables in Markdown on standard output.

mod arguments;
mod capture;
mod catchup;
mod compare;
mod copy;
mod documents;
mod idle;
mod memory;
mod process;
mod replication;
mod report;
mod servers;
mod site;
mod timed;

use std::process::ExitCode;

use arguments::{Arguments, Bench};

/// What a bench gives back: anything that goes wrong ends it.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("the bench failed: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Bench::Child { master, slave } = &arguments.bench {
        return memory::child(*master, *slave);
    }
    if let Bench::ComparingChild { master, slave } = &arguments.bench {
        return compare::child(*master, *slave);
    }
    report::machine();
    if arguments.wants(&Bench::Capture) {
        capture::run(arguments)?;
    }
    if arguments.wants(&Bench::Catchup) {
        catchup::run(arguments)?;
    }
    if arguments.wants(&Bench::Idle) {
        idle::run(arguments)?;
    }
    if arguments.wants(&Bench::Compare) {
        compare::run(arguments)?;
    }
    if arguments.wants(&Bench::Copy) {
        copy::run(arguments)?;
    }
    if arguments.wants(&Bench::Documents) {
        documents::run(arguments)?;
    }
    if arguments.wants(&Bench::Memory) {
        memory::run(arguments)?;
    }
    Ok(())
}
