//! The list of every setting: where it stands, what kind of value it has, its default, what it is for.
//!
//! The reader takes from it which names are known, the messages what a missing setting is for, the
//! console its forms, and a test holds the manual against it. It never holds values of a virtual desktop.

/// The kind of value a setting has in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text in quotes.
    Text,
    /// A whole number.
    Whole,
    /// A number from 0 to 1.
    Share,
    /// `true` or `false`.
    Flag,
    /// A list of texts.
    List,
    /// A length of time, text like `"5m"` or whole seconds.
    Duration,
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where it stands, with `[]` for "each of a list of sections": `master[].database.host`.
    pub path: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// What holds when it is not written: a value as in the file, `required`, or `none`. Which settings
    /// exclude or need each other is said in the manual.
    pub default: &'static str,
    /// What it is, as half a sentence.
    pub help: &'static str,
}

/// Every setting, in the order of the example.
#[rustfmt::skip] // a table: one line for one setting
pub const SETTINGS: &[Setting] = &[
    entry("site", Kind::Text, "required", "the name of this site, unique in the network"),
    entry("site_number", Kind::Whole, "required", "the number of this site, 1 to 4095, unique in the network"),
    entry("vd.version", Kind::Text, "none", "the version of the application, written here"),
    entry("vd.version_file", Kind::Text, "none", "a file that holds the version of the application"),
    entry("vd.version_query", Kind::Text, "none", "a SELECT that gives the version of the application"),
    entry("vd.minimum_version", Kind::Text, "none", "the lowest version that may be synchronised"),
    entry("database.kind", Kind::Text, "required", "the kind of database, \"mysql\" or \"sqlite\""),
    entry("database.host", Kind::Text, "none", "the host of the database server"),
    entry("database.port", Kind::Whole, "3306", "the port of the database server"),
    entry("database.socket", Kind::Text, "none", "the local socket of the database server"),
    entry("database.name", Kind::Text, "none", "the name of the database"),
    entry("database.user", Kind::Text, "none", "the account at the database server"),
    entry("database.password_file", Kind::Text, "none", "a file that holds only the password"),
    entry("database.password", Kind::Text, "none", "the password itself"),
    entry("database.tls", Kind::Text, "\"preferred\"", "whether the connection is encrypted"),
    entry("database.ca_file", Kind::Text, "none", "the certificate that must have signed the server's"),
    entry("database.digest", Kind::Text, "\"auto\"", "how a compare makes digests of rows, by \"rows\" or \"sums\""),
    entry("database.path", Kind::Text, "none", "the file of the SQLite database"),
    entry("state.dir", Kind::Text, "\"/var/lib/server_sync\"", "the directory for the state of all virtual desktops"),
    entry("documents[].name", Kind::Text, "required", "the name of the folder, alike at all sites"),
    entry("documents[].path", Kind::Text, "required", "where the folder is at this site"),
    entry("documents[].keep_deleted", Kind::Duration, "\"365d\"", "how long replaced and deleted files are kept"),
    entry("documents[].ignore", Kind::List, "[]", "patterns, as in .gitignore, of what is left out at this site"),
    entry("documents[].ignore_temporary", Kind::Flag, "false", "whether temporary files of office programs are left out"),
    entry("documents[].owners", Kind::Text, "\"names\"", "how owners and groups are told, by \"names\" or \"numbers\", or \"ignore\""),
    entry("documents[].keep_setuid", Kind::Flag, "false", "whether programs keep the right to run as their owner or group"),
    entry("documents[].max_deleted_share", Kind::Share, "0.2", "the share of the folder that one round may delete"),
    entry("documents[].max_deleted_files", Kind::Whole, "10000", "the files of the folder that one round may delete"),
    entry("slave.enabled", Kind::Flag, "true", "whether other sites may start rounds with this one"),
    entry("slave.masters", Kind::List, "required", "the sites that may start rounds with this one"),
    entry("master[].enabled", Kind::Flag, "true", "whether this site starts rounds over this link"),
    entry("master[].slave", Kind::Text, "required", "the name of the site at the other end of the link"),
    entry("master[].period", Kind::Duration, "\"5m\"", "the time between two rounds, 0 for continuously"),
    entry("master[].remote_vd", Kind::Text, "none", "the name of the virtual desktop at the slave"),
    entry("master[].mail_domain", Kind::Text, "none", "the mail domain at the slave"),
    entry("master[].documents_bandwidth", Kind::Whole, "0", "KiB a second for documents in each direction; 0: no limit"),
    entry("master[].database.kind", Kind::Text, "required", "the kind of database, \"mysql\" or \"sqlite\""),
    entry("master[].database.host", Kind::Text, "none", "the host of the database server"),
    entry("master[].database.port", Kind::Whole, "3306", "the port of the database server"),
    entry("master[].database.socket", Kind::Text, "none", "the local socket of the database server"),
    entry("master[].database.name", Kind::Text, "none", "the name of the database"),
    entry("master[].database.user", Kind::Text, "none", "the account at the database server"),
    entry("master[].database.password_file", Kind::Text, "none", "a file that holds only the password"),
    entry("master[].database.password", Kind::Text, "none", "the password itself"),
    entry("master[].database.tls", Kind::Text, "\"preferred\"", "whether the connection is encrypted"),
    entry("master[].database.ca_file", Kind::Text, "none", "the certificate that must have signed the server's"),
    entry("master[].database.digest", Kind::Text, "\"auto\"", "how a compare makes digests of rows, by \"rows\" or \"sums\""),
    entry("master[].database.path", Kind::Text, "none", "the file of the SQLite database"),
    entry("master[].ssh.host", Kind::Text, "required", "the host of the slave, or its alias in ssh's configuration"),
    entry("master[].ssh.user", Kind::Text, "none", "the account at the slave"),
    entry("master[].ssh.port", Kind::Whole, "none", "the port of the slave's sshd"),
    entry("master[].ssh.identity_file", Kind::Text, "none", "the private key to log in with"),
    entry("master[].ssh.config_file", Kind::Text, "none", "another configuration of ssh"),
    entry("master[].ssh.program", Kind::Text, "\"server_sync\"", "server_sync at the slave"),
    entry("limits.max_clock_difference", Kind::Duration, "\"5m\"", "how far the clocks of two sites may differ"),
    entry("limits.max_deleted_share", Kind::Share, "0.2", "the share of a table that one round may delete"),
    entry("limits.max_deleted_rows", Kind::Whole, "10000", "the rows of a table that one round may delete"),
    entry("limits.batch_rows", Kind::Whole, "500", "the rows that are written in one transaction"),
    entry("tables.exclude", Kind::List, "[]", "patterns of the names of tables that are not synchronised"),
    entry("tables.counters", Kind::List, "[]", "columns that merge by adding: \"table.column\""),
    entry("tables.rekey", Kind::List, "[]", "tables where the loser of two inserts under one key gets a new key"),
    entry("tables.together", Kind::List, "[]", "columns that merge as one: \"table: column, column\""),
    entry("tables.tree", Kind::List, "[]", "columns that refer to the parent in a tree: \"table: column\""),
    entry("conflicts.prefer_on_first_contact", Kind::Text, "\"master\"", "whose row wins where nothing tells which is newer"),
];

const fn entry(path: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { path, kind, default, help }
}

/// The setting at a path as in [`Setting::path`].
pub(crate) fn find(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}

/// The names that may stand in a section (`""` is the top of the file), sections among them.
pub(crate) fn names_in(section: &str) -> impl Iterator<Item = &'static str> {
    let section = section.to_owned();
    let mut last = "";
    SETTINGS.iter().filter_map(move |setting| {
        let below = below(setting.path, &section)?;
        let name = &below[..below.find(['.', '[']).unwrap_or(below.len())];
        let new = name != last;
        last = name;
        new.then_some(name)
    })
}

/// What follows the section in the path of something that stands in it.
fn below(path: &'static str, section: &str) -> Option<&'static str> {
    match section {
        "" => Some(path),
        _ => path.strip_prefix(section)?.strip_prefix('.'),
    }
}

/// Settings of earlier versions: the section, the name, and what to write instead.
const REPLACED: [(&str, &str, &str); 1] =
    [("documents[]", "keep_owner", "write `owners = \"names\"` for true, and `owners = \"ignore\"` for false")];

/// What a person who wrote the unknown `name` in `section` probably wanted, as the end of a message.
pub(crate) fn hint(section: &str, name: &str) -> String {
    if let Some((_, _, instead)) = REPLACED.iter().find(|(home, old, _)| *home == section && *old == name) {
        return format!(" any more; {instead}");
    }
    if let Some(close) = closest(names_in(section), name) {
        return format!("; did you mean `{close}`?");
    }
    let home = SETTINGS.iter().find_map(|setting| match setting.path.rsplit_once('.') {
        Some((home, last)) if last == name => Some(header(home)),
        None if setting.path == name => Some("the top of the file, before the first [section]".to_owned()),
        _ => None,
    });
    home.map(|home| format!("; it belongs in {home}")).unwrap_or_default()
}

/// A section as it is written in the file.
fn header(section: &str) -> String {
    match section.strip_suffix("[]") {
        Some(list) => format!("[[{list}]]"),
        None => format!("[{}]", section.replace("[]", "")),
    }
}

/// The known word nearest to `word`, if it is near enough to be what was meant; else one that is `word`
/// with more around it, or the reverse (`clock_difference` for `max_clock_difference`).
pub(crate) fn closest<'a>(known: impl Iterator<Item = &'a str>, word: &str) -> Option<&'a str> {
    let known: Vec<_> = known.collect();
    let bound = (word.chars().count() / 3).clamp(1, 3);
    let edits = known.iter().map(|candidate| (strsim::damerau_levenshtein(candidate, word), *candidate));
    let nearest = edits.min_by_key(|(edits, _)| *edits).filter(|(edits, _)| *edits <= bound);
    let around = || known.iter().find(|candidate| contains(candidate, word) || contains(word, candidate));
    nearest.map(|(_, candidate)| candidate).or_else(|| around().copied())
}

fn contains(long: &str, short: &str) -> bool {
    short.len() > 3 && long.contains(short)
}

#[cfg(test)]
mod tests;
