use super::*;
use crate::{Environment, Settings};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const TEXT: &str = r#"# At the top.
site = "geneva"   # our name
site_number = 1

[vd]
version = "6.2"

[database]
kind = "sqlite"
path = "/srv/crm.db"

# The links.
[[master]]
period = "5m"     # not too often
slave = "lyon"
# Before the name.
database = { kind = "sqlite", path = "/mnt/lyon.db" }

[limits]          # stop
batch_rows = 500
# The end.
"#;

struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        fs::write(site.file(), TEXT).unwrap();
        fs::set_permissions(site.file(), Permissions::from_mode(0o640)).unwrap();
        site
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("crm.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn draft(&self) -> Draft {
        Draft::open(&self.file()).unwrap()
    }

    fn load(&self) -> Result<Settings, ConfigError> {
        Settings::load(self.directory.path(), "crm", &Environment::default())
    }

    /// Everything in the directory: nothing temporary may stay.
    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn one_value_changes_and_nothing_else() {
    let table: [(&str, Value, &str, &str); 6] = [
        ("site", "basel".into(), r#"site = "geneva"   # our name"#, r#"site = "basel"   # our name"#),
        ("site_number", 7.into(), "site_number = 1\n", "site_number = 7\n"),
        ("master[0].period", "1h".into(), r#"period = "5m"     # not"#, r#"period = "1h"     # not"#),
        ("master[0].database.path", "/mnt/x.db".into(), "/mnt/lyon.db", "/mnt/x.db"),
        ("limits.batch_rows", 9.into(), "batch_rows = 500", "batch_rows = 9"),
        ("limits.max_deleted_rows", 0.into(), "batch_rows = 500\n", "batch_rows = 500\nmax_deleted_rows = 0\n"),
    ];
    for (setting, value, old, new) in table {
        let site = Site::new();
        set(&site.file(), setting, value).unwrap();
        assert_eq!(site.text(), TEXT.replacen(old, new, 1), "{setting}");
        assert_eq!(site.entries(), ["crm.toml"]);
    }
}

#[test]
fn sections_and_links_are_made_where_they_belong() {
    let site = Site::new();
    let mut draft = site.draft();
    draft.set("master[1].slave", "nice").unwrap();
    draft.set("master[1].database.kind", "sqlite").unwrap();
    draft.set("master[1].database.path", "/mnt/nice.db").unwrap();
    draft.set_text("tables.exclude", "cache_*, sessions").unwrap();
    draft.save().unwrap();
    let made = "\n[[master]]\nslave = \"nice\"\n\n[master.database]\nkind = \"sqlite\"\npath = \"/mnt/nice.db\"\n";
    let text = site.text();
    assert_eq!(
        text.replacen(made, "", 1).replacen("\n[tables]\nexclude = [\"cache_*\", \"sessions\"]\n", "", 1),
        TEXT,
        "{text}"
    );
    let settings = site.load().unwrap();
    assert_eq!(settings.links[1].slave.as_str(), "nice");
    assert!(!settings.synchronises("sessions"));
}

#[test]
fn owner_and_mode_stay() {
    for mode in [0o600, 0o640, 0o644, 0o440] {
        let site = Site::new();
        fs::set_permissions(site.file(), Permissions::from_mode(mode)).unwrap();
        // Only root can give a file away; others keep their own, which is to be kept just as well.
        let _ = std::os::unix::fs::chown(site.file(), Some(4321), Some(1234));
        let before = fs::metadata(site.file()).unwrap();
        set(&site.file(), "site", "basel").unwrap();
        let after = fs::metadata(site.file()).unwrap();
        assert_eq!((after.uid(), after.gid(), after.mode()), (before.uid(), before.gid(), before.mode()));
        assert_ne!(after.ino(), before.ino(), "replaced, not written over");
    }
}

#[test]
fn a_symbolic_link_stays_one() {
    let site = Site::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("settings-of-crm");
    fs::rename(site.file(), &real).unwrap();
    std::os::unix::fs::symlink(&real, site.file()).unwrap();
    set(&site.file(), "site", "basel").unwrap();
    assert!(fs::symlink_metadata(site.file()).unwrap().is_symlink());
    assert!(fs::read_to_string(real).unwrap().contains("basel"));
}

#[test]
fn a_change_of_somebody_else_is_not_lost() {
    let site = Site::new();
    let (mut first, mut second) = (site.draft(), site.draft());
    first.set("site", "basel").unwrap();
    first.save().unwrap();
    second.set("site", "zurich").unwrap();
    let error = second.save().unwrap_err();
    assert!(matches!(&error, ConfigError::Changed { now, .. } if Some(*now) == first.revision()));
    assert!(error.to_string().contains("was changed by somebody else in the meantime"), "{error}");
    assert!(site.text().contains("basel"));
    assert_eq!(site.entries(), ["crm.toml"]);
    // The first goes on from what it wrote.
    first.set("site", "bern").unwrap();
    first.save().unwrap();
    assert!(site.text().contains("bern"));
}

#[test]
fn of_many_edits_at_once_every_saved_one_is_there() {
    let site = Site::new();
    let names = ["vd.minimum_version", "master[0].mail_domain", "master[0].remote_vd", "state.dir"];
    let values = ["6.0", "example.org", "crm2", "/srv/state"];
    let edit = |i: usize| loop {
        match set(&site.file(), names[i], values[i]) {
            Err(ConfigError::Changed { .. }) => {}
            other => break other.map(drop).unwrap(),
        }
    };
    std::thread::scope(|scope| (0..names.len()).for_each(|i| drop(scope.spawn(move || edit(i)))));
    let draft = site.draft();
    for (name, value) in names.iter().zip(values) {
        assert_eq!(draft.get(name).unwrap().and_then(Value::as_str), Some(value), "{name}");
    }
}

#[test]
fn a_form_of_an_older_file_is_refused() {
    let site = Site::new();
    let shown: Revision = site.draft().revision().unwrap().to_string().parse().unwrap();
    assert!(site.draft().expect(shown).is_ok());
    set(&site.file(), "site", "basel").unwrap();
    assert!(matches!(site.draft().expect(shown), Err(ConfigError::Changed { .. })));
    assert_eq!("x".parse::<Revision>(), Err(RevisionError));
}

#[test]
fn what_would_not_load_is_not_written() {
    let site = Site::new();
    let error = set(&site.file(), "master[0].slave", "geneva").unwrap_err();
    let file = site.file().canonicalize().unwrap();
    assert_eq!(
        error.to_string(),
        format!("{}:15:1: `master[0].slave` must be another site: `geneva` is this one", file.display())
    );
    assert!(matches!(set(&site.file(), "site_number", 0), Err(ConfigError::Invalid(_))));
    assert_eq!(site.text(), TEXT);
    assert_eq!(site.entries(), ["crm.toml"]);
}

#[test]
fn a_password_is_not_written_where_others_read() {
    let site = Site::new();
    let mut draft = site.draft();
    draft.remove("master[0].database").unwrap();
    for (name, value) in [("kind", "mysql"), ("host", "db"), ("name", "crm"), ("user", "u"), ("password", "hunter2")] {
        draft.set(&format!("master[0].database.{name}"), value).unwrap();
    }
    fs::set_permissions(site.file(), Permissions::from_mode(0o644)).unwrap();
    let error = draft.save().unwrap_err();
    assert!(matches!(error, ConfigError::SecretExposed(_)), "{error}");
    assert_eq!(site.text(), TEXT);
    assert!(!format!("{draft:?} {error:?}").contains("hunter2"));
    fs::set_permissions(site.file(), Permissions::from_mode(0o640)).unwrap();
    draft.save().unwrap();
    assert!(site.load().is_ok());
}

#[test]
fn both_modes_can_be_switched_off() {
    let site = Site::new();
    set(&site.file(), "master[0].enabled", false).unwrap();
    assert!(matches!(site.load(), Err(ConfigError::NotConfigured(_))));
}

#[test]
fn a_bad_file_can_be_mended() {
    let site = Site::new();
    fs::write(site.file(), TEXT.replace("site_number = 1", "site_number = 0\nwrong = 1")).unwrap();
    let mut draft = site.draft();
    assert!(matches!(draft.check(), Err(ConfigError::Invalid(_))));
    draft.set("site_number", 1).unwrap();
    assert!(draft.remove("wrong").is_err(), "what the schema does not know is mended by hand");
    fs::write(site.file(), "site = ").unwrap();
    assert!(matches!(Draft::open(&site.file()), Err(ConfigError::Invalid(_))));
}

#[test]
fn removing() {
    let table = [
        ("limits.batch_rows", "batch_rows = 500\n", ""),
        ("master[0].database", "# Before the name.\ndatabase = { kind = \"sqlite\", path = \"/mnt/lyon.db\" }\n", ""),
        ("vd.minimum_version", "", ""),
        ("master[3]", "", ""),
        ("master[3].slave", "", ""),
        ("slave.masters", "", ""),
    ];
    for (setting, old, new) in table {
        let mut draft = Site::new().draft();
        draft.remove(setting).unwrap();
        assert_eq!(draft.text(), TEXT.replacen(old, new, 1), "{setting}");
    }
    let mut draft = Site::new().draft();
    draft.remove("master[0]").unwrap();
    assert!(!draft.text().contains("master"));
    assert_eq!(draft.get("site").unwrap().and_then(Value::as_str), Some("geneva"));
}

#[test]
fn no_such_setting() {
    let table = [
        ("sit", "there is no setting `sit`; did you mean `site`?"),
        ("", "there is no setting ``"),
        ("site.x", "there is no setting `site.x`"),
        ("vd", "there is no setting `vd`; that is a section"),
        (
            "master.period",
            "there is no setting `master.period`; `master` is a list, write `master[0]` for its first entry",
        ),
        ("vd[0].version", "there is no setting `vd[0].version`; `vd` is not a list of sections"),
        ("master[0]", "there is no setting `master[0]`; that is a section"),
        ("master[0].perid", "there is no setting `master[0].perid`; did you mean `period`?"),
        ("master[x].period", "there is no setting `master[x].period`"),
        ("slave.period", "there is no setting `slave.period`; it belongs in [[master]]"),
        (
            "master[2].period",
            "there is no setting `master[2].period`; the list has fewer entries, or a value stands in the place of a section",
        ),
    ];
    let mut draft = Site::new().draft();
    for (setting, expected) in table {
        assert_eq!(draft.set(setting, 1).unwrap_err().to_string(), expected);
    }
    assert_eq!(draft.text(), TEXT, "a refused edit leaves nothing behind");
}

#[test]
fn values_from_text() {
    let good = [
        ("site", " basel ", "\"basel\""),
        ("site_number", "12", "12"),
        ("limits.max_deleted_share", "0.5", "0.5"),
        ("limits.max_deleted_share", "1", "1.0"),
        ("master[0].enabled", "false", "false"),
        ("master[0].period", "30s", "\"30s\""),
        ("tables.exclude", "", "[]"),
        ("tables.exclude", "a*,, b ", "[\"a*\", \"b\"]"),
    ];
    let mut draft = Site::new().draft();
    for (setting, text, expected) in good {
        draft.set_text(setting, text).unwrap();
        assert_eq!(draft.get(setting).unwrap().unwrap().to_string().split('#').next().unwrap().trim(), expected);
        draft.check().unwrap();
    }
    let bad = [
        ("site_number", "one", "`site_number` must be a whole number, not \"one\""),
        ("limits.max_deleted_share", "20%", "`limits.max_deleted_share` must be a number from 0 to 1, not \"20%\""),
        ("master[0].enabled", "yes", "`master[0].enabled` must be true or false, not \"yes\""),
    ];
    for (setting, text, expected) in bad {
        assert_eq!(draft.set_text(setting, text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_new_file_is_private_and_never_replaces_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deep").join("crm.toml");
    let mut draft = Draft::new(&file, TEXT).unwrap();
    draft.save().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&file).unwrap(), TEXT);
    draft.set("site", "basel").unwrap();
    draft.save().unwrap();
    let error = Draft::new(&file, TEXT).unwrap().save().unwrap_err();
    assert!(matches!(error, ConfigError::Exists { .. }), "{error}");
    assert!(fs::read_to_string(&file).unwrap().contains("basel"));
    assert!(matches!(Draft::new(Path::new("/x/.toml"), TEXT), Err(ConfigError::VdName { .. })));
}

#[test]
fn sections_written_inline() {
    let site = Site::new();
    let inline = r#"site = "geneva"
site_number = 1
vd.version = "6.2" # dotted
database = { kind = "sqlite", path = "/srv/crm.db" }
master = [{ slave = "lyon", database = { kind = "sqlite", path = "/mnt/lyon.db" } }]
"#;
    fs::write(site.file(), inline).unwrap();
    let mut draft = site.draft();
    draft.set("vd.version", "6.3").unwrap();
    draft.set("vd.minimum_version", "6.0").unwrap();
    draft.set("master[0].period", 60).unwrap();
    draft.set("master[1].slave", "nice").unwrap();
    draft.set("master[1].database.kind", "sqlite").unwrap();
    draft.set("master[1].database.path", "/mnt/nice.db").unwrap();
    draft.save().unwrap();
    let settings = site.load().unwrap();
    assert_eq!(settings.links[0].period, "1m".parse().unwrap());
    assert_eq!(settings.links[1].slave.as_str(), "nice");
    assert!(site.text().contains("vd.version = \"6.3\" # dotted\n"), "{}", site.text());
    draft.remove("master[1]").unwrap();
    assert!(draft.text().contains("lyon") && !draft.text().contains("nice"));
    draft.remove("master[0]").unwrap();
    assert!(!draft.text().contains("master"));
}

#[test]
fn line_ends_of_another_system_are_read() {
    let site = Site::new();
    fs::write(site.file(), TEXT.replace('\n', "\r\n")).unwrap();
    set(&site.file(), "site", "basel").unwrap();
    assert_eq!(site.text().replace("\r\n", "\n"), TEXT.replacen("geneva", "basel", 1));
    site.load().unwrap();
}

#[test]
fn who_edits_need_not_read_passwords() {
    let site = Site::new();
    let mut draft = site.draft();
    draft.remove("database").unwrap();
    for (name, value) in
        [("kind", "mysql"), ("host", "db"), ("name", "crm"), ("user", "u"), ("password_file", "absent")]
    {
        draft.set(&format!("database.{name}"), value).unwrap();
    }
    draft.save().unwrap();
    let error = site.load().unwrap_err().to_string();
    assert!(error.contains("absent: No such file"), "{error}");
}
