//! One file a command. Each takes the arguments and the output, and gives the exit code or a failure.

mod agent;
mod check;
mod confirm;
mod conflicts;
mod daemon;
mod demo;
mod init_site;
mod lock;
mod numbering;
mod restore_here;
mod retire;
mod round;
mod status;
mod trash;
mod uninstall;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sync_config::{Environment, Settings};

use crate::arguments::{Cli, Color, Common, Verb, peek, rewrite};
use crate::commands::restore_here::Wish;
use crate::failure::{Failure, Result};
use crate::lang::Lang;
use crate::output::Output;
use crate::usage;

/// Runs the command these arguments name; gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = rewrite(arguments);
    let mut output = first_output(&arguments);
    let cli = match usage::parse(&arguments, &output) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    output.verbosity = if cli.common.quiet { -1 } else { i8::try_from(cli.common.verbose).unwrap_or(i8::MAX) };
    dispatch(cli, &output).unwrap_or_else(|failure| {
        failure.tell(&output);
        failure.code
    })
}

/// How to speak before the arguments are understood.
fn first_output(arguments: &[OsString]) -> Output {
    let lang = Lang::choose(peek(arguments, "--lang").as_deref(), |name| std::env::var(name).ok());
    let color = match peek(arguments, "--color").as_deref() {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    };
    let json = arguments.iter().take_while(|a| *a != "--").any(|a| a == "--json");
    let mut output = Output::new(lang, color);
    output.json = json;
    output
}

fn dispatch(cli: Cli, output: &Output) -> Result<u8> {
    if cli.verb.is_some() {
        refuse_round_options(&cli, output.lang)?;
    }
    match &cli.verb {
        None => round::run(&cli, output),
        Some(Verb::Check) => check::run(&cli, output),
        Some(Verb::Status) => status::run(&cli, output),
        Some(Verb::Verify) => verify::run(&cli, output),
        Some(Verb::Conflicts { action }) => conflicts::run(&cli, action.as_ref(), output),
        Some(Verb::Trash { action }) => trash::run(&cli, action.as_ref(), output),
        Some(Verb::Lock { command }) => lock::run(&cli, command, output),
        Some(Verb::InitSite { set_auto_increment: Some(sites), dry_run, .. }) => {
            numbering::run(&cli, *sites, *dry_run, output)
        }
        Some(Verb::InitSite { example, .. }) => init_site::run(&cli, *example, output),
        Some(Verb::RestoreHere { tables, dry_run, yes }) => {
            restore_here::run(&cli, &Wish { tables, dry_run: *dry_run, yes: *yes }, output)
        }
        Some(Verb::Retire { site }) => retire::run(&cli, site, output),
        Some(Verb::Agent) => agent::run(&cli, output),
        Some(Verb::Demo) => demo::run(output),
        Some(Verb::Uninstall { yes }) => uninstall::run(&cli, *yes, output),
    }
}

fn refuse_round_options(cli: &Cli, lang: Lang) -> Result<()> {
    let given = [(cli.init, "-init"), (cli.daemon, "-daemon"), (cli.dry_run, "-dry-run")];
    match given.iter().find(|(given, _)| *given) {
        Some((_, option)) => Err(Failure::usage(lang.only_for_rounds(option)).hint(lang.see_help())),
        None => Ok(()),
    }
}

/// The name of the virtual desktop.
fn vd(common: &Common, lang: Lang) -> Result<&str> {
    common.vd.as_deref().ok_or_else(|| Failure::usage(lang.vd_missing()).hint(lang.vd_missing_hint()))
}

/// Where the settings are.
fn directory(common: &Common) -> PathBuf {
    common.config_dir.clone().unwrap_or_else(|| Path::new(sync_config::DEFAULT_DIRECTORY).to_owned())
}

/// The settings of the virtual desktop that was named.
fn settings(common: &Common, lang: Lang) -> Result<Settings> {
    let environment = Environment { credentials_directory: std::env::var_os("CREDENTIALS_DIRECTORY").map(Into::into) };
    let vd = vd(common, lang)?;
    Settings::load(&directory(common), vd, &environment).map_err(|e| Failure::of_settings(e, lang))
}
