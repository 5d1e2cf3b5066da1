//! The command line. The original's one-dash options are rewritten token by token, then clap reads everything; only
//! shapes and words here, nothing is done. The comments are the English help.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::lang::Lang;

/// Keeps the working copies of an application at several sites in step, in both directions.
///
/// Without a command: one round over every enabled link of the virtual desktop.
#[derive(Debug, Parser)]
#[command(name = "server_sync", version)]
#[command(
    override_usage = "server_sync -vd NAME [-f|-force] [-init] [-d|-daemon]\n       server_sync COMMAND -vd NAME [OPTIONS]"
)]
#[command(disable_help_subcommand = true, infer_long_args = false)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,

    /// Compare all records of both databases instead of only what changed.
    #[arg(long)]
    pub init: bool,

    /// Stay and synchronise at the configured period (in the foreground, for systemd).
    #[arg(short, long)]
    pub daemon: bool,

    /// Show what would be done, and write nothing.
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What every command understands.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// The virtual desktop.
    #[arg(long, value_name = "NAME", global = true)]
    pub vd: Option<String>,

    /// Go on where a safety halt or a lock would stop.
    #[arg(short, long, global = true)]
    pub force: bool,

    /// Write one JSON object per line, for programs.
    #[arg(long, global = true)]
    pub json: bool,

    /// Say more; twice for details.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Say nothing but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Where the settings are (also: SERVER_SYNC_CONFIG_DIR).
    #[arg(long, value_name = "DIR", global = true, env = "SERVER_SYNC_CONFIG_DIR", hide_env = true)]
    pub config_dir: Option<PathBuf>,

    /// When to colour; auto: on terminals, unless NO_COLOR is set.
    #[arg(long, value_name = "auto|always|never", global = true, value_enum, default_value_t)]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub color: Color,

    /// The language of the output (default: that of the environment).
    #[arg(long, value_name = "en|fr", global = true, value_enum, hide_possible_values = true)]
    pub lang: Option<Lang>,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Try everything a round needs, and say what is missing.
    Check,
    /// Show how the links are doing.
    Status,
    /// Compare everything with each slave and report; nothing is changed.
    Verify,
    /// Show values that lost against a concurrent change, and put them back.
    Conflicts {
        #[command(subcommand)]
        action: Option<ConflictsAction>,
    },
    /// Show the versions of files that were replaced or deleted, and put them back.
    Trash {
        #[command(subcommand)]
        action: Option<TrashAction>,
    },
    /// Run a command, such as an upgrade, while no round runs.
    Lock {
        /// The command and its arguments.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Prepare this site's database and publish its settings.
    InitSite {
        /// Print a complete example of the settings instead.
        #[arg(long)]
        example: bool,

        /// Instead give this site's server numbers of its own for automatic keys, among at most so many sites.
        #[arg(long, value_name = "SITES", num_args = 0..=1, conflicts_with = "example")]
        set_auto_increment: Option<Option<u64>>,

        /// Only say what would be set.
        #[arg(long, requires = "set_auto_increment")]
        dry_run: bool,
    },
    /// Declare what this site's database shows the truth for all sites, after a backup was put back.
    RestoreHere {
        /// Only this table; several times for several. Otherwise all that are synchronised.
        #[arg(long = "table", value_name = "TABLE")]
        tables: Vec<String>,

        /// Only say what would be declared.
        #[arg(short = 'n', long)]
        dry_run: bool,

        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Declare that a site has left the network for good.
    Retire {
        /// Its name or number.
        site: String,
    },
    /// Serve this site to a master over standard input and output; ssh starts it.
    Agent,
    /// Show how it works, on two small databases in a temporary folder.
    Demo,
    /// Remove everything of server_sync from this site's database.
    Uninstall {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// What to do with conflicts.
#[derive(Clone, Debug, Subcommand)]
pub enum ConflictsAction {
    /// List them, newest first (this is the default).
    List {
        /// Also those of which the losing value was put back.
        #[arg(long)]
        all: bool,
    },
    /// Show one whole.
    Show {
        /// Its id, or how it begins.
        id: String,
    },
    /// Put the losing value back, as a new change.
    Restore {
        /// Its id, or how it begins.
        id: String,
    },
}

/// What to do with the trash.
#[derive(Clone, Debug, Subcommand)]
pub enum TrashAction {
    /// List them, newest first (this is the default).
    List {
        /// Only of this folder of documents.
        folder: Option<String>,

        /// Only of this file, or of what was in this directory.
        path: Option<OsString>,
    },
    /// Put a version back, as a new change.
    Restore {
        /// The folder of documents.
        folder: String,

        /// The file's path in it.
        path: OsString,

        /// The version that was there until then, as the list shows it (default: the newest).
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
}

/// The one-dash options of the original, without their dash.
const ONE_DASH: [&str; 5] = ["force", "init", "daemon", "dry-run", "json"];

/// Rewrites the original's one-dash options to the usual two dashes; nothing after `--` is touched.
pub fn rewrite(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut literal = false;
    let one = |argument: OsString| {
        literal |= argument == "--";
        if literal { argument } else { rewrite_one(argument) }
    };
    arguments.into_iter().map(one).collect()
}

fn rewrite_one(argument: OsString) -> OsString {
    let Some(rest) = argument.as_bytes().strip_prefix(b"-") else { return argument };
    let is_vd = rest == b"vd" || rest.starts_with(b"vd=");
    if !is_vd && !ONE_DASH.iter().any(|known| known.as_bytes() == rest) {
        return argument;
    }
    let mut long = OsString::from("--");
    long.push(OsStr::from_bytes(rest));
    long
}

/// The value of an option before everything is parsed: mistakes in the rest are told in the right language and colour.
pub fn peek(arguments: &[OsString], option: &str) -> Option<String> {
    let mut arguments = arguments.iter().map(|a| a.to_string_lossy()).take_while(|a| a != "--");
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix(option) {
            Some("") => return arguments.next().map(|v| v.into_owned()),
            Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
