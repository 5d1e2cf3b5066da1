use super::*;
use crate::SETTINGS;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use toml_edit::DocumentMut;

fn shown() -> String {
    example(&"crm".parse().unwrap())
}

/// The example in a directory with the passwords it names.
fn installed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("crm.toml"), shown()).unwrap();
    for name in ["crm.password", "crm.lyon.password"] {
        let path = directory.path().join(name);
        fs::write(&path, "hunter2\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

#[test]
fn it_loads() {
    let directory = installed();
    let settings = crate::Settings::load(directory.path(), "crm", &Default::default()).unwrap();
    assert!(settings.is_master() && settings.is_slave());
    assert_eq!(settings.links.len(), 1);
}

#[test]
fn a_written_default_is_the_default() {
    let document: DocumentMut = shown().parse().unwrap();
    for setting in SETTINGS.iter().filter(|s| s.path.starts_with("limits.") || s.path.starts_with("conflicts.")) {
        let (section, name) = setting.path.split_once('.').unwrap();
        assert_eq!(document[section][name].as_value().unwrap().to_string().trim(), setting.default, "{}", setting.path);
    }
}

/// The example with every commented setting in force; the sections a comment stands in are kept.
fn in_force() -> String {
    let is_setting = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && line.contains(" = ");
    let lines = shown()
        .lines()
        .map(|line| if is_setting(&line) { line[1..].to_owned() } else { line.to_owned() })
        .collect::<Vec<_>>();
    lines.join("\n")
}

#[test]
fn it_shows_every_setting() {
    let text = in_force();
    let document: DocumentMut = text.parse().unwrap();
    for setting in SETTINGS {
        let place = setting.path.split('.').try_fold(document.as_item(), |item, step| match step.strip_suffix("[]") {
            Some(list) => item.get(list)?.get(0),
            None => item.get(step),
        });
        assert!(place.is_some_and(toml_edit::Item::is_value), "{} is not shown", setting.path);
    }
}

#[test]
fn it_shows_no_unknown_setting() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("crm.toml"), in_force()).unwrap();
    let error = crate::Settings::load(directory.path(), "crm", &Default::default()).unwrap_err().to_string();
    assert!(error.contains("cannot stand beside") && !error.contains("not a known setting"), "{error}");
}
