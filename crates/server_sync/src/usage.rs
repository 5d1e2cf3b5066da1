//! Mistakes on the command line and help, in both languages. English is clap's own; for French the headings and the
//! kinds of mistakes are put into words here.

use std::io::IsTerminal;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use crate::arguments::Cli;
use crate::failure::{Failure, USAGE};
use crate::help;
use crate::lang::Lang;
use crate::output::Output;

/// Reads the arguments; `Err` has been said already and is the exit code.
pub fn parse(arguments: &[std::ffi::OsString], output: &Output) -> Result<Cli, u8> {
    let mut command = Cli::command().long_version(versions());
    if output.lang == Lang::Fr {
        command = help::translate(command);
    }
    command = command.color(output.clap_colors(std::io::stdout().is_terminal()));
    let parsed = command.try_get_matches_from(arguments).and_then(|m| Cli::from_arg_matches(&m));
    parsed.map_err(|error| tell(&error, output))
}

/// What `--version` says: the program, the exchange and the stored formats, each with its version.
fn versions() -> String {
    let (program, protocol) = (env!("CARGO_PKG_VERSION"), sync_database::PROTOCOL);
    format!("{program}\nprotocol {protocol}\nformat {}", sync_database::identity::FORMAT)
}

fn tell(error: &clap::Error, output: &Output) -> u8 {
    let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if help {
        let _ = error.print();
        return 0;
    }
    if output.lang == Lang::En && !output.json {
        let _ = error.print();
        return USAGE;
    }
    Failure::usage(words(error, output.lang)).hint(output.lang.see_help()).tell(output);
    USAGE
}

fn words(error: &clap::Error, lang: Lang) -> String {
    let context = |kind| error.get(kind).map(text).unwrap_or_default();
    let (what, value) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::UnknownArgument => lang.unknown_argument(what) + &suggestion(error, lang),
        ErrorKind::InvalidSubcommand => {
            lang.unknown_command(context(ContextKind::InvalidSubcommand)) + &suggestion(error, lang)
        }
        ErrorKind::InvalidValue if value.is_empty() => lang.value_missing(what),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => lang.bad_value(value, what),
        ErrorKind::MissingRequiredArgument => lang.argument_missing(what),
        ErrorKind::ArgumentConflict => lang.argument_conflict(what, context(ContextKind::PriorArg)),
        ErrorKind::MissingSubcommand => lang.command_missing(),
        _ => lang.bad_arguments(),
    }
}

fn suggestion(error: &clap::Error, lang: Lang) -> String {
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand].into_iter().find_map(|k| error.get(k));
    near.map(|value| lang.did_you_mean(text(value))).unwrap_or_default()
}

fn text(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(all) => all.join(", "),
        other => other.to_string(),
    }
}
