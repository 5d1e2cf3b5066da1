use super::*;
use crate::secret::{Refusal, Unread};
use crate::{Database, Endpoint, ExposeSecret, Mysql, SecretString, Sqlite, TlsMode};
use crate::{DigestBy, Owners};

/// A site that is master and slave, in as few settings as possible.
const SMALL: &str = r#"site = "geneva"
site_number = 1
[vd]
version = "6.2"
[database]
kind = "sqlite"
path = "/srv/crm.db"
[slave]
masters = ["paris"]
[[master]]
slave = "lyon"
[master.database]
kind = "mysql"
host = "db.lyon"
name = "crm"
user = "sync"
"#;

/// Password files for tests, without files.
struct Given;

impl Passwords for Given {
    fn read(&self, named: &Path) -> Result<SecretString, Refusal> {
        match named.to_str() {
            Some("good") => Ok("hunter2".into()),
            Some("open") => Err(Refusal::Exposed("/etc/open can be read".to_owned())),
            _ => Err(Refusal::Unusable("/etc/none: No such file".to_owned())),
        }
    }
}

fn parse_as(text: &str, mode: u32) -> Result<Settings, ConfigError> {
    let vd = "crm".parse().unwrap();
    parse(text, &Origin { vd: &vd, file: Path::new("crm.toml"), mode, passwords: &Given })
}

fn settings(text: &str) -> Settings {
    parse_as(text, 0o600).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(text: &str) -> String {
    match parse_as(text, 0o644) {
        Ok(_) => panic!("must be refused:\n{text}"),
        Err(error) => error.to_string(),
    }
}

/// `SMALL` with one line exchanged, which must be there.
fn with(line: &str, instead: &str) -> String {
    assert!(SMALL.contains(line), "{line}");
    SMALL.replacen(line, instead, 1)
}

fn mysql(database: &Database) -> &Mysql {
    match database {
        Database::Mysql(mysql) => mysql,
        Database::Sqlite(_) => panic!("MySQL expected"),
    }
}

#[test]
fn defaults() {
    let settings = settings(SMALL);
    assert_eq!(settings.site.as_str(), "geneva");
    assert_eq!(settings.site_number, 1);
    assert_eq!(settings.version.source, VersionSource::Fixed("6.2".parse().unwrap()));
    assert_eq!(settings.version.minimum, None);
    assert_eq!(settings.state_dir(), Path::new("/var/lib/server_sync/crm"));
    assert_eq!(settings.limits, Limits::default());
    assert_eq!(settings.prefer_on_first_contact, Preference::Master);
    assert!(settings.synchronises("orders"));
    assert!(settings.is_master() && settings.is_slave());
    let link = settings.link(&"lyon".parse().unwrap()).unwrap();
    assert_eq!(link.period, Period::Every(Duration::from_secs(300)));
    assert_eq!(link.remote_vd.as_str(), "crm");
    assert_eq!(link.mail_domain, None);
    assert_eq!(link.documents_bandwidth, None);
    let mysql = mysql(link.database.as_ref().unwrap());
    assert_eq!(mysql.endpoint, Endpoint::Tcp { host: "db.lyon".to_owned(), port: 3306 });
    assert_eq!(mysql.tls.mode, TlsMode::Preferred);
    assert!(mysql.password.is_none());
    assert!(settings.link(&"paris".parse().unwrap()).is_none());
}

#[test]
fn everything_written() {
    let settings = settings(
        r#"
site = "geneva"
site_number = 4095
vd = { version_query = "select v from app", minimum_version = "6.0" }
database = { kind = "mysql", socket = "/run/my.sock", name = "crm", user = "sync", password = "hunter2" }
state.dir = "/srv/state"
slave = { enabled = true, masters = ["paris", "rome"] }
limits = { max_clock_difference = 60, max_deleted_share = 1, max_deleted_rows = 0, batch_rows = 1 }
tables = { exclude = ["cache_*"], counters = ["stock.quantity"], rekey = ["customer"] }
conflicts.prefer_on_first_contact = "slave"
[[master]]
slave = "lyon"
period = 0
remote_vd = "crm-lyon"
mail_domain = "example.org"
documents_bandwidth = 2048
database = { kind = "mysql", host = "db", port = 1, name = "c", user = "s", password_file = "good", ca_file = "/ca.pem", digest = "sums" }
[[master]]
enabled = false
slave = "nice"
"#,
    );
    assert_eq!(settings.version.source, VersionSource::Query("select v from app".to_owned()));
    assert_eq!(settings.version.minimum, Some("6".parse().unwrap()));
    let own = mysql(&settings.database);
    assert_eq!(own.endpoint, Endpoint::Socket("/run/my.sock".into()));
    assert_eq!(own.tls.mode, TlsMode::Off);
    assert_eq!(own.password.as_ref().unwrap().expose_secret(), "hunter2");
    assert_eq!(settings.state_dir(), Path::new("/srv/state/crm"));
    assert_eq!(settings.masters.len(), 2);
    assert_eq!(settings.limits.max_clock_difference, Duration::from_secs(60));
    assert_eq!((settings.limits.max_deleted_share, settings.limits.max_deleted_rows), (1.0, 0));
    assert!(!settings.synchronises("cache_x"));
    let [counter] = settings.counters.as_slice() else { panic!("one counter") };
    assert_eq!((counter.table.as_str(), counter.columns.as_slice()), ("stock", &["quantity".to_owned()][..]));
    assert_eq!(settings.rekey, ["customer"]);
    assert_eq!(settings.prefer_on_first_contact, Preference::Slave);
    let link = &settings.links[0];
    assert_eq!((link.period, link.remote_vd.as_str()), (Period::Continuous, "crm-lyon"));
    assert_eq!(link.mail_domain.as_deref(), Some("example.org"));
    assert_eq!(link.documents_bandwidth, Some(2048 << 10));
    let remote = mysql(link.database.as_ref().unwrap());
    assert_eq!((own.digest, remote.digest), (DigestBy::Auto, DigestBy::Sums));
    assert_eq!(remote.tls.mode, TlsMode::Required, "a certificate to check makes it required");
    assert_eq!(remote.password.as_ref().unwrap().expose_secret(), "hunter2");
    assert_eq!(settings.disabled_links, ["nice".parse().unwrap()]);
    assert_eq!(settings.links.len(), 1);
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn both_ends_can_be_sqlite() {
    let text = with("kind = \"mysql\"", "kind = \"sqlite\"\npath = \"/mnt/lyon.db\"")
        .replace("host = \"db.lyon\"\nname = \"crm\"\nuser = \"sync\"\n", "");
    let Some(Database::Sqlite(Sqlite { path })) = &settings(&text).links[0].database else { panic!() };
    assert_eq!(path, Path::new("/mnt/lyon.db"));
}

#[test]
fn one_exact_message_for_each_mistake() {
    let table = [
        // Unknown settings.
        (
            "site = \"geneva\"",
            "sit = \"geneva\"",
            "crm.toml:1:1: `sit` is not a known setting; did you mean `site`?\ncrm.toml:1:1: `site` is missing: the name of this site, unique in the network",
        ),
        (
            "slave = \"lyon\"",
            "slave = \"lyon\"\n  perid = 5",
            "crm.toml:12:3: `master[0].perid` is not a known setting; did you mean `period`?",
        ),
        (
            "masters = [\"paris\"]",
            "masters = [\"paris\"]\nperiod = 5",
            "crm.toml:10:1: `slave.period` is not a known setting; it belongs in [[master]]",
        ),
        (
            "version = \"6.2\"",
            "version = \"6.2\"\nsite_number = 2",
            "crm.toml:5:1: `vd.site_number` is not a known setting; it belongs in the top of the file, before the first [section]",
        ),
        (
            "host = \"db.lyon\"",
            "host = \"db.lyon\"\nxyzzy = 1",
            "crm.toml:15:1: `master[0].database.xyzzy` is not a known setting",
        ),
        (
            "host = \"db.lyon\"",
            "host = \"db.lyon\"\n\"a\\n\\u001b\" = 1",
            "crm.toml:15:1: `master[0].database.a\\n\\u{1b}` is not a known setting",
        ),
        // Kinds and ranges.
        ("site = \"geneva\"", "site = 7", "crm.toml:1:8: `site` must be text in quotes, not a whole number"),
        (
            "site = \"geneva\"",
            "site = \"ge neva\"",
            "crm.toml:1:8: `site` must be a name, not \"ge neva\": a name is made of A-Z a-z 0-9 . _ - and cannot contain ' '",
        ),
        (
            "site_number = 1",
            "site_number = 4096",
            "crm.toml:2:15: `site_number` must be a whole number from 1 to 4095, not 4096",
        ),
        (
            "site_number = 1",
            "site_number = -1",
            "crm.toml:2:15: `site_number` must be a whole number from 1 to 4095, not -1",
        ),
        (
            "site_number = 1",
            "site_number = \"1\"",
            "crm.toml:2:15: `site_number` must be a whole number from 1 to 4095, not text",
        ),
        ("version = \"6.2\"", "version = 6.2", "crm.toml:4:11: `vd.version` must be text in quotes, as \"6.2\""),
        (
            "version = \"6.2\"",
            "version = \"six\"",
            "crm.toml:4:11: `vd.version` must be a version: \"six\" is not a version; write numbers and dots like 6.2.1, with a suffix if need be like 6.2.1-rc2",
        ),
        (
            "version = \"6.2\"",
            "version_file = \"VERSION\"",
            "crm.toml:4:16: `vd.version_file` must be an absolute path, not \"VERSION\"",
        ),
        (
            "version = \"6.2\"",
            "version_query = \"DROP TABLE t\"",
            "crm.toml:4:17: `vd.version_query` must be a query that begins with SELECT",
        ),
        (
            "kind = \"sqlite\"",
            "kind = \"oracle\"",
            "crm.toml:6:8: `database.kind` must be \"mysql\" or \"sqlite\", not \"oracle\"",
        ),
        (
            "masters = [\"paris\"]",
            "masters = \"paris\"",
            "crm.toml:9:11: `slave.masters` must be a list of names like [\"a\", \"b\"], not text",
        ),
        (
            "masters = [\"paris\"]",
            "masters = [\"paris\", 2]",
            "crm.toml:9:11: `slave.masters` must be a list of names; number 2 must be text in quotes, not a whole number",
        ),
        (
            "masters = [\"paris\"]",
            "masters = [\"paris\"]\nenabled = \"yes\"",
            "crm.toml:10:11: `slave.enabled` must be true or false, not text",
        ),
        (
            "slave = \"lyon\"",
            "slave = \"lyon\"\nperiod = \"soon\"",
            "crm.toml:12:10: `master[0].period` must be a length of time: \"soon\" is not a length of time; write for instance 30s, 5m, 1h, 1h30m, 2d or a number of seconds",
        ),
        (
            "slave = \"lyon\"",
            "slave = \"lyon\"\nperiod = \"31d\"",
            "crm.toml:12:10: `master[0].period` must be from 0 to 30d",
        ),
        (
            "slave = \"lyon\"",
            "slave = \"lyon\"\nperiod = -5",
            "crm.toml:12:10: `master[0].period` must be from 0 to 30d",
        ),
        (
            "slave = \"lyon\"",
            "slave = \"lyon\"\nmail_domain = \"a b\"",
            "crm.toml:12:15: `master[0].mail_domain` must be a domain like example.org, not \"a b\"",
        ),
        (
            "host = \"db.lyon\"",
            "host = \"db/lyon\"",
            "crm.toml:14:8: `master[0].database.host` must be a host name or address, not \"db/lyon\"",
        ),
        (
            "host = \"db.lyon\"",
            "host = \"db.lyon\"\nport = 0",
            "crm.toml:15:8: `master[0].database.port` must be a whole number from 1 to 65535, not 0",
        ),
        ("name = \"crm\"", "name = \"\"", "crm.toml:15:8: `master[0].database.name` must not be empty"),
        (
            "user = \"sync\"",
            "user = \"a\\nb\"",
            "crm.toml:16:8: `master[0].database.user` must not contain control characters",
        ),
        (
            "[slave]",
            "[limits]\nmax_deleted_share = 20\n[slave]",
            "crm.toml:9:21: `limits.max_deleted_share` must be a number from 0 to 1, not 20",
        ),
        (
            "[slave]",
            "[limits]\nmax_clock_difference = 0\n[slave]",
            "crm.toml:9:24: `limits.max_clock_difference` must be from 1s to 1d",
        ),
        (
            "[slave]",
            "[limits]\nmax_clock_difference = true\n[slave]",
            "crm.toml:9:24: `limits.max_clock_difference` must be a length of time like \"5m\", not true or false",
        ),
        (
            "[slave]",
            "[limits]\nbatch_rows = 1.5\n[slave]",
            "crm.toml:9:14: `limits.batch_rows` must be a whole number from 1 to 100000, not a fraction",
        ),
        (
            "[slave]",
            "[conflicts]\nprefer_on_first_contact = \"me\"\n[slave]",
            "crm.toml:9:27: `conflicts.prefer_on_first_contact` must be \"master\" or \"slave\", not \"me\"",
        ),
        (
            "[slave]",
            "[tables]\nexclude = [\"\"]\n[slave]",
            "crm.toml:9:11: `tables.exclude` must be a list of patterns; number 1 must not be empty",
        ),
        (
            "[slave]",
            "[tables]\ncounters = [\"stock.quantity\", \"stock\"]\n[slave]",
            "crm.toml:9:12: `tables.counters` must be a list of columns; number 2 must be like \"table.column\", not \"stock\"",
        ),
        (
            "host = \"db.lyon\"",
            "host = \"-v\"",
            "crm.toml:14:8: `master[0].database.host` must be a host name or address, not \"-v\"",
        ),
        // Sections.
        ("[vd]\nversion = \"6.2\"\n", "", "crm.toml:1:1: `vd` is missing: write a section [vd]"),
        ("[vd]\nversion = \"6.2\"\n", "vd = \"crm\"\n", "crm.toml:3:1: `vd` must be a section [vd], not text"),
        (
            "[slave]\nmasters",
            "[[slave]]\nmasters",
            "crm.toml:8:3: `slave` must be a section [slave], not a list of sections",
        ),
        (
            "site = \"geneva\"",
            "[site]",
            "crm.toml:1:1: `site_number` is missing: the number of this site, 1 to 4095, unique in the network\ncrm.toml:1:2: `site` must be a value, not a section",
        ),
        (
            "[[master]]",
            "[master]",
            "crm.toml:10:2: `master` must be a list of sections; write [[master]] with two brackets",
        ),
        // What belongs together.
        (
            "version = \"6.2\"",
            "minimum_version = \"6.0\"",
            "crm.toml:3:1: `vd.version` is missing: write one of version, version_file, version_query",
        ),
        (
            "version = \"6.2\"",
            "version = \"6.2\"\nversion_file = \"/v\"",
            "crm.toml:5:1: `vd.version_file` cannot stand beside `version`: write only one of version, version_file, version_query",
        ),
        (
            "version = \"6.2\"",
            "version = \"6.2\"\nminimum_version = \"6.10\"",
            "crm.toml:4:1: `vd.version` is 6.2, which is below the minimum_version 6.10",
        ),
        ("path = \"/srv/crm.db\"", "", "crm.toml:5:1: `database.path` is missing: the file of the SQLite database"),
        (
            "path = \"/srv/crm.db\"",
            "path = \"/srv/crm.db\"\nhost = \"h\"",
            "crm.toml:8:1: `database.host` is only for kind = \"mysql\"; this database is SQLite",
        ),
        (
            "host = \"db.lyon\"",
            "host = \"db.lyon\"\npath = \"/x\"",
            "crm.toml:15:1: `master[0].database.path` is only for kind = \"sqlite\"; this database is MySQL",
        ),
        (
            "host = \"db.lyon\"",
            "host = \"db.lyon\"\ndigest = \"sum\"",
            "crm.toml:15:10: `master[0].database.digest` must be \"auto\" or \"rows\" or \"sums\", not \"sum\"",
        ),
        ("host = \"db.lyon\"", "", "crm.toml:12:1: `master[0].database.host` is missing: write one of host, socket"),
        (
            "host = \"db.lyon\"",
            "host = \"h\"\nsocket = \"/s\"\ntls = \"off\"",
            "crm.toml:15:1: `master[0].database.socket` cannot stand beside `host`: write only one of host, socket",
        ),
        (
            "host = \"db.lyon\"",
            "socket = \"/s\"\nport = 3306\ntls = \"required\"",
            "crm.toml:15:1: `master[0].database.port` has no meaning for a `socket`; leave it out, or write `host`\ncrm.toml:16:1: `master[0].database.tls` has no meaning for a `socket`; leave it out, or write `host`",
        ),
        (
            "host = \"db.lyon\"",
            "host = \"h\"\ntls = \"off\"\nca_file = \"/ca\"",
            "crm.toml:16:1: `master[0].database.ca_file` has no meaning with `tls = \"off\"`; leave it out, or write `tls = \"required\"`",
        ),
        (
            "user = \"sync\"",
            "user = \"s\"\npassword_file = \"none\"",
            "crm.toml:17:1: `master[0].database.password_file` cannot be used: /etc/none: No such file",
        ),
        // Between sections.
        ("masters = [\"paris\"]", "masters = []", "crm.toml:9:1: `slave.masters` must name at least one site"),
        ("masters = [\"paris\"]", "masters = [\"a\", \"a\"]", "crm.toml:9:1: `slave.masters` names `a` twice"),
        (
            "masters = [\"paris\"]",
            "masters = [\"geneva\"]",
            "crm.toml:9:1: `slave.masters` must name other sites: `geneva` is this one",
        ),
        (
            "slave = \"lyon\"",
            "slave = \"geneva\"",
            "crm.toml:11:1: `master[0].slave` must be another site: `geneva` is this one",
        ),
        (
            "[[master]]",
            "[[master]]\nenabled = false\nslave = \"lyon\"\n[[master]]",
            "crm.toml:14:1: `master[1].slave` is `lyon`, for which there is a [[master]] section already",
        ),
        (
            "slave = \"lyon\"",
            "",
            "crm.toml:10:1: `master[0].slave` is missing: the name of the site at the other end of the link",
        ),
        (
            "slave = \"lyon\"",
            "slave = \"lyon\"\n[[master]]\nslave = \"nice\"",
            "crm.toml:10:1: `master[0].ssh` is missing: write a section [master.ssh] below this [[master]], or [master.database] for a direct connection",
        ),
        (
            "kind = \"mysql\"\nhost = \"db.lyon\"\nname = \"crm\"\nuser = \"sync\"",
            "kind = \"sqlite\"\npath = \"/srv/crm.db\"",
            "crm.toml:12:9: `master[0].database` is this site's own database; it must be the slave's",
        ),
        // Not TOML at all.
        (
            "site = \"geneva\"",
            "site = ",
            "crm.toml:1:8: this is not TOML: string values must be quoted, expected literal string",
        ),
        ("site_number = 1", "site = \"x\"", "crm.toml:2:1: this is not TOML: duplicate key"),
    ];
    for (line, instead, expected) in table {
        assert_eq!(refusal(&with(line, instead)), expected, "\nwith {instead}\n");
    }
}

#[test]
fn all_problems_are_told_in_the_order_of_the_file() {
    let text = "sitr = \"geneva\"\nsite_number = 0\n[vd]\n[database]\nkind = \"mysql\"\n[[master]]\n[[master]]\nperiod = \"x\"\n[limits]\nbatch_rows = 0\n";
    assert_eq!(
        refusal(text),
        "crm.toml:1:1: `sitr` is not a known setting; did you mean `site`?
crm.toml:1:1: `site` is missing: the name of this site, unique in the network
crm.toml:2:15: `site_number` must be a whole number from 1 to 4095, not 0
crm.toml:3:1: `vd.version` is missing: write one of version, version_file, version_query
crm.toml:4:1: `database.host` is missing: write one of host, socket
crm.toml:4:1: `database.name` is missing: the name of the database
crm.toml:4:1: `database.user` is missing: the account at the database server
crm.toml:6:1: `master[0].slave` is missing: the name of the site at the other end of the link
crm.toml:6:1: `master[0].ssh` is missing: write a section [master.ssh] below this [[master]], or [master.database] for a direct connection
crm.toml:7:1: `master[1].slave` is missing: the name of the site at the other end of the link
crm.toml:7:1: `master[1].ssh` is missing: write a section [master.ssh] below this [[master]], or [master.database] for a direct connection
crm.toml:8:10: `master[1].period` must be a length of time: \"x\" is not a length of time; write for instance 30s, 5m, 1h, 1h30m, 2d or a number of seconds
crm.toml:10:14: `limits.batch_rows` must be a whole number from 1 to 100000, not 0"
    );
}

#[test]
fn columns_count_characters() {
    let text = with("[vd]\nversion = \"6.2\"", "vd = { version = \"6.2\", version_file = \"/é€\", x = 1 }");
    let message = refusal(&text);
    assert!(message.contains("crm.toml:3:47: `vd.x` is not a known setting"), "{message}");
}

#[test]
fn neither_mode() {
    let off = with("masters = [\"paris\"]", "enabled = false\nmasters = [\"paris\"]")
        .replace("slave = \"lyon\"", "enabled = false\nslave = \"lyon\"");
    let error = parse_as(&off, 0o600).unwrap_err();
    assert!(matches!(&error, ConfigError::NotConfigured(problem) if problem.file_exists));
    assert_eq!(
        error.to_string(),
        "virtual desktop `crm`: neither master nor slave mode is enabled in crm.toml
  for a master, write a [[master]] section with `enabled = true` for each slave
  for a slave, write a [slave] section with `enabled = true` and its `masters`"
    );
}

#[test]
fn a_disabled_link_is_checked_but_its_password_is_not_read() {
    let off = with("slave = \"lyon\"", "enabled = false\nslave = \"lyon\"");
    let unread = off.replace("user = \"sync\"", "user = \"sync\"\npassword_file = \"none\"");
    assert!(!settings(&unread).is_master());
    let bad = off.replace("user = \"sync\"", "user = 5");
    assert_eq!(refusal(&bad), "crm.toml:17:8: `master[0].database.user` must be text in quotes, not a whole number");
}

#[test]
fn passwords_that_others_can_read() {
    let file = with("user = \"sync\"", "user = \"sync\"\npassword_file = \"open\"");
    let error = parse_as(&file, 0o644).unwrap_err();
    assert!(matches!(error, ConfigError::SecretExposed(_)));
    assert_eq!(
        error.to_string(),
        "crm.toml:17:1: `master[0].database.password_file` is readable: /etc/open can be read"
    );
    let inline = with("user = \"sync\"", "user = \"sync\"\npassword = \"hunter2\"");
    assert!(parse_as(&inline, 0o640).is_ok());
    let error = parse_as(&inline, 0o100_644).unwrap_err();
    assert!(matches!(error, ConfigError::SecretExposed(_)));
    assert_eq!(
        error.to_string(),
        "crm.toml:17:1: `master[0].database.password` is readable: crm.toml can be read by everybody on this machine \
         (mode 0644); type: chmod 0640 crm.toml"
    );
}

#[test]
fn no_message_shows_a_password() {
    let texts = [
        "password = hunter2",
        "password = \"hunter2",
        "password = 'hunter2\npassword_file = 5",
        "password = [\"hunter2\"]",
        "password = { is = \"hunter2\" }",
        "password = \"hunter2\\n\"",
        "password = \"hunter2\"\npassword_file = \"good\"",
        "password = \"hunter2\"\npassword = \"hunter2\"",
        "pasword = \"hunter2\"",
    ];
    for text in texts {
        let error = parse_as(&with("user = \"sync\"", &format!("user = \"sync\"\n{text}")), 0o644).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn edits_are_checked_without_passwords() {
    let vd = "crm".parse().unwrap();
    let text = with("user = \"sync\"", "user = \"sync\"\npassword_file = \"none\"");
    let origin = Origin { vd: &vd, file: Path::new("crm.toml"), mode: 0o600, passwords: &Unread };
    assert!(parse(&text, &origin).is_ok());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "([a-z_]{1,4}|site|vd|master|database|slave|\\[|\\]|=|\\.|\"|1|\\{|\\}|,|\n| |é){0,40}") {
        let _ = parse_as(&text, 0o600);
    }

    #[test]
    fn a_file_cut_anywhere_or_with_a_line_lost_is_read_or_refused(at in 0..SMALL.len(), lost in 0usize..16) {
        let _ = parse_as(&SMALL[..at], 0o600);
        let rest: Vec<_> = SMALL.lines().enumerate().filter(|(i, _)| *i != lost).map(|(_, line)| line).collect();
        if let Err(ConfigError::Invalid(problems)) = parse_as(&rest.join("\n"), 0o600) {
            proptest::prop_assert!(!problems.problems.is_empty());
        }
    }
}

#[test]
fn one_mysql_database_is_not_both_ends() {
    let own = "[database]\nkind = \"mysql\"\nhost = \"db.lyon\"\nname = \"crm\"\nuser = \"other\"\n";
    let same = with("[database]\nkind = \"sqlite\"\npath = \"/srv/crm.db\"\n", own);
    assert_eq!(
        refusal(&same),
        "crm.toml:14:9: `master[0].database` is this site's own database; it must be the slave's"
    );
    for (old, new) in [
        ("name = \"crm\"\nuser = \"sync\"", "name = \"crm2\"\nuser = \"sync\""),
        ("name = \"crm\"\nuser = \"sync\"", "port = 3307\nname = \"crm\"\nuser = \"sync\""),
    ] {
        settings(&same.replace(old, new));
    }
}

#[test]
fn ssh_takes_the_place_of_a_direct_connection() {
    let start = "site = \"geneva\"\nsite_number = 1\n[vd]\nversion = \"6.2\"\n[database]\nkind = \"sqlite\"\npath = \"/a\"\n\
                 [[master]]\nslave = \"lyon\"\n";
    let read = |ssh: &str| settings(&format!("{start}[master.ssh]\n{ssh}"));
    let link = &read("host = \"lyon.example.org\"").links[0];
    let ssh = link.ssh.clone().unwrap();
    assert!(link.database.is_none());
    assert_eq!((ssh.host.as_str(), ssh.program.as_str(), ssh.port), ("lyon.example.org", "server_sync", None));
    let whole = "host = \"lyon\"\nuser = \"sync\"\nport = 2222\nidentity_file = \"/k\"\nconfig_file = \"/c\"\nprogram = \"/opt/x\"";
    let ssh = read(whole).links[0].ssh.clone().unwrap();
    assert_eq!((ssh.user.as_deref(), ssh.port, ssh.program.as_str()), (Some("sync"), Some(2222), "/opt/x"));
    assert_eq!((ssh.identity_file, ssh.config_file), (Some("/k".into()), Some("/c".into())));
    for (bad, expected) in [
        ("", "`master[0].ssh.host` is missing"),
        ("host = \"-oProxyCommand=x\"", "must be a host name"),
        ("host = \"a\"\nuser = \"-x\"", "must be the name of an account"),
        ("host = \"a\"\nprogram = \"-x\"", "must be a program"),
        ("host = \"a\"\nidentity_file = \"id\"", "must be an absolute path"),
        ("host = \"a\"\nkey = \"id\"", "is not a known setting"),
    ] {
        let problems = refusal(&format!("{start}[master.ssh]\n{bad}"));
        assert!(problems.contains(expected), "{bad}: {problems}");
    }
}

#[test]
fn folders_of_documents_have_their_own_names_and_places() {
    let folders = "\n[[documents]]\nname = \"archives\"\npath = \"/srv/a\"\nkeep_deleted = \"30d\"\nignore = [\"*.log\"]\nowners = \"ignore\"\nkeep_setuid = true\nmax_deleted_share = 0.5\n\
         [[documents]]\nname = \"shared\"\npath = \"/srv/b\"\nmax_deleted_files = 7\n";
    let settings = settings(&format!("{SMALL}{folders}"));
    let [archives, shared] = settings.documents.as_slice() else { panic!("two folders") };
    assert_eq!((archives.name.as_str(), archives.path.as_path()), ("archives", Path::new("/srv/a")));
    assert_eq!(archives.keep_deleted, Duration::from_secs(30 * 86_400));
    assert_eq!((archives.ignore.as_slice(), archives.ignore_temporary), (&["*.log".to_owned()][..], false));
    assert_eq!((archives.owners, archives.keep_setuid), (Owners::Ignore, true));
    assert_eq!((shared.owners, shared.keep_setuid), (Owners::Names, false));
    assert_eq!((archives.max_deleted_share, archives.max_deleted_files), (0.5, 10_000));
    assert_eq!((shared.max_deleted_share, shared.max_deleted_files), (0.2, 7));
    assert_eq!(settings.folder("shared"), Some(shared));
    for (from, to, said) in [
        ("\"shared\"", "\"archives\"", "is `archives`, for which there is a [[documents]] section already"),
        ("/srv/b", "/srv/a", "is within the folder `archives`, or around it: /srv/a"),
        ("/srv/b", "/srv/a/x", "is within the folder `archives`, or around it: /srv/a"),
        ("/srv/b", "/srv", "is within the folder `archives`, or around it: /srv/a"),
        ("/srv/b", "/var/lib/server_sync/crm/x", "is within the state directory, or around it"),
        ("/srv/b", "/var", "is within the state directory, or around it"),
        ("/srv/b", "/srv/../b", "must not contain `..`"),
        ("/srv/b", "b", "must be an absolute path"),
        ("\"shared\"", "\"../x\"", "must be a name"),
        ("\"ignore\"", "\"number\"", "must be \"names\" or \"numbers\" or \"ignore\", not \"number\""),
        (
            "owners = \"ignore\"",
            "keep_owner = false",
            "is not a known setting any more; write `owners = \"names\"` for true",
        ),
    ] {
        let refused = refusal(&format!("{SMALL}{}", folders.replace(from, to)));
        assert!(refused.contains(said), "{to}: {refused}");
    }
}
