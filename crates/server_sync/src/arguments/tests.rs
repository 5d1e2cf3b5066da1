use super::*;
use clap::CommandFactory;

fn rewritten(line: &str) -> String {
    let words = rewrite(line.split(' ').map(OsString::from));
    words.iter().map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(rewrite(line.split(' ').map(OsString::from)))
}

#[test]
fn exact_tokens_are_rewritten_and_nothing_else() {
    for (given, expected) in [
        ("s -vd crm -force -init -daemon", "s --vd crm --force --init --daemon"),
        ("s -vd=crm -dry-run -json", "s --vd=crm --dry-run --json"),
        ("s -f -d -v -n", "s -f -d -v -n"),
        ("s -forc -vdx --force", "s -forc -vdx --force"),
        ("s lock -vd crm -- sh -force -vd", "s lock --vd crm -- sh -force -vd"),
    ] {
        assert_eq!(rewritten(given), expected);
    }
}

#[test]
fn the_original_syntax_is_understood() {
    let cli = parse("s -vd crm -f -init -d").unwrap();
    assert_eq!(cli.common.vd.as_deref(), Some("crm"));
    assert!(cli.common.force && cli.init && cli.daemon && !cli.dry_run);
    let cli = parse("s -fd -vd crm").unwrap();
    assert!(cli.common.force && cli.daemon);
    assert!(parse("s -vd crm status").unwrap().common.vd.is_some());
    assert!(parse("s status -vd crm -json").unwrap().common.json);
    for wrong in ["s -vd -init", "s -vd crm -forc", "s -vd crm lock", "s -vd crm -q -v", "s -vd crm frobnicate"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

/// `-vd` could also mean `-v -d`. The rewrite wins; no other one-dash option is a cluster of short ones.
#[test]
fn vd_is_the_only_token_that_is_also_a_cluster() {
    let command = Cli::command();
    let shorts: Vec<char> = command.get_arguments().filter_map(clap::Arg::get_short).chain(['h', 'V']).collect();
    let is_cluster = |word: &&&str| word.chars().all(|c| shorts.contains(&c));
    let clusters: Vec<&&str> = ["vd"].iter().chain(&ONE_DASH).filter(is_cluster).collect();
    assert_eq!(clusters, [&"vd"]);
    assert!(parse("s -dv --vd crm").is_ok_and(|cli| cli.daemon && cli.common.verbose == 1));
}

#[test]
fn the_command_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn options_are_found_before_parsing() {
    let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
    assert_eq!(peek(&words("s --lang fr"), "--lang").as_deref(), Some("fr"));
    assert_eq!(peek(&words("s --lang=en -x"), "--lang").as_deref(), Some("en"));
    assert_eq!(peek(&words("s lock -- x --lang fr"), "--lang"), None);
    assert_eq!(peek(&words("s --language fr"), "--lang"), None);
}
