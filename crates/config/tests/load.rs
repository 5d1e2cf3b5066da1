//! Loading from real directories: which class each failure is, and what it says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use sync_config::{ConfigError, DEFAULT_DIRECTORY, Environment, NotConfigured, SETTINGS, Settings, configured};

const TEXT: &str = r#"site = "geneva"
site_number = 1
vd.version = "6.2"
slave.masters = ["paris"]
[database]
kind = "mysql"
socket = "/run/mysqld/mysqld.sock"
name = "crm"
user = "server_sync"
password_file = "crm.password"
"#;

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn load(directory: &Path, vd: &str) -> Result<Settings, ConfigError> {
    Settings::load(directory, vd, &Environment::default())
}

#[test]
fn a_good_site() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("crm.toml"), TEXT, 0o644);
    write(&directory.path().join("crm.password"), "hunter2\n", 0o600);
    let settings = load(directory.path(), "crm").unwrap();
    assert!(settings.is_slave() && !settings.is_master());
    assert_eq!(settings.file, directory.path().join("crm.toml"));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn not_configured() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("crn.toml");
    let (at, file) = (directory.path().display(), file.display());
    for missing in [directory.path().to_owned(), directory.path().join("none")] {
        assert!(matches!(load(&missing, "crm"), Err(ConfigError::NotConfigured(_))));
    }
    for name in ["shop.toml", "crm.toml", "crm.toml.bak", ".hidden.toml", "notes"] {
        write(&directory.path().join(name), "", 0o600);
    }
    assert_eq!(
        load(directory.path(), "crn").unwrap_err().to_string(),
        format!(
            "virtual desktop `crn` is not configured here: there is no {file}
  configured here: crm, shop
  to configure it, run: server_sync init-site --config-dir {at} -vd crn
  to see a complete example, add: --example"
        )
    );
}

#[test]
fn the_usual_directory_needs_no_option() {
    let vd: sync_config::Name = "crm".parse().unwrap();
    let file = sync_config::settings_file(Path::new(DEFAULT_DIRECTORY), &vd);
    let problem = NotConfigured { vd, file, file_exists: false, others: Vec::new() };
    assert_eq!(
        problem.to_string(),
        "virtual desktop `crm` is not configured here: there is no /etc/server_sync/crm.toml
  to configure it, run: server_sync init-site -vd crm
  to see a complete example, add: --example"
    );
}

#[test]
fn a_name_never_leaves_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("below");
    fs::create_dir(&below).unwrap();
    write(&directory.path().join("crm.toml"), TEXT, 0o600);
    for vd in ["../crm", "", "..", "/etc/passwd", "a/../../crm"] {
        let error = load(&below, vd).unwrap_err();
        assert!(matches!(error, ConfigError::VdName { .. }), "{vd}");
    }
    assert_eq!(
        load(&below, "../crm").unwrap_err().to_string(),
        "\"../crm\" cannot be the name of a virtual desktop: a name must not begin with `.`"
    );
}

#[test]
fn exposed_passwords() {
    let directory = tempfile::tempdir().unwrap();
    let (toml, password) = (directory.path().join("crm.toml"), directory.path().join("crm.password"));
    write(&toml, TEXT, 0o644);
    write(&password, "hunter2", 0o664);
    let error = load(directory.path(), "crm").unwrap_err();
    let (toml_shown, shown) = (toml.display(), password.display());
    assert!(matches!(error, ConfigError::SecretExposed(_)));
    assert_eq!(
        error.to_string(),
        format!(
            "{toml_shown}:10:1: `database.password_file` is readable: {shown} can be read by everybody on this \
             machine (mode 0664); type: chmod 0640 {shown}"
        )
    );
    write(&toml, &TEXT.replace("password_file = \"crm.password\"", "password = \"hunter2\""), 0o644);
    assert!(matches!(load(directory.path(), "crm"), Err(ConfigError::SecretExposed(_))));
    fs::set_permissions(&toml, Permissions::from_mode(0o600)).unwrap();
    assert!(load(directory.path(), "crm").is_ok());
}

#[test]
fn files_that_are_not_settings() {
    let directory = tempfile::tempdir().unwrap();
    let toml = directory.path().join("crm.toml");
    fs::create_dir(&toml).unwrap();
    let error = load(directory.path(), "crm").unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read {}: not a plain file", toml.display()));
    fs::remove_dir(&toml).unwrap();
    fs::write(&toml, b"site = \"\xff\"").unwrap();
    assert!(matches!(load(directory.path(), "crm"), Err(ConfigError::File { .. })));
    fs::write(&toml, "#".repeat(2 << 20)).unwrap();
    assert!(matches!(load(directory.path(), "crm"), Err(ConfigError::File { .. })));
}

#[test]
fn what_is_configured() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(configured(&directory.path().join("none")).unwrap(), []);
    assert!(configured(Path::new("/dev/null")).is_err());
}

/// The manual has, under the heading of each section, one row for each setting with its right default.
#[test]
fn the_manual_is_complete() {
    let manual = include_str!("../../../docs/configuration.md");
    for setting in SETTINGS {
        let (section, name) = setting.path.rsplit_once('.').unwrap_or(("", setting.path));
        let heading = match section {
            "" => "## The site".to_owned(),
            "master[].database" => "## `[database]` and `[master.database]`".to_owned(),
            "database" => "## `[database]` and `[master.database]`".to_owned(),
            "master[].ssh" => "## `[master.ssh]`".to_owned(),
            _ => match section.strip_suffix("[]") {
                Some(list) => format!("## `[[{list}]]`"),
                None => format!("## `[{section}]`"),
            },
        };
        let chapter = manual.split("\n## ").find(|chapter| heading[3..] == *chapter.lines().next().unwrap());
        let chapter = chapter.unwrap_or_else(|| panic!("no heading {heading}"));
        let default = match setting.default {
            "required" | "none" => setting.default.to_owned(),
            value => format!("`{value}`"),
        };
        let row = format!("\n| `{name}` | {default} | ");
        assert!(chapter.contains(&row), "{} must have a row {row}", setting.path);
    }
}

/// The manual names no setting that does not exist.
#[test]
fn the_manual_invents_nothing() {
    let manual = include_str!("../../../docs/configuration.md");
    let names = manual.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for name in names {
        let known = SETTINGS.iter().any(|setting| setting.path.rsplit('.').next() == Some(name));
        assert!(known, "{name}");
    }
}
