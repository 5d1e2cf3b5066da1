use super::*;

fn names(section: &str) -> Vec<&'static str> {
    names_in(section).collect()
}

#[test]
fn names_of_sections() {
    assert_eq!(
        names(""),
        [
            "site",
            "site_number",
            "vd",
            "database",
            "state",
            "documents",
            "slave",
            "master",
            "limits",
            "tables",
            "conflicts"
        ]
    );
    assert_eq!(names("state"), ["dir"]);
    assert_eq!(
        names("master[]"),
        ["enabled", "slave", "period", "remote_vd", "mail_domain", "documents_bandwidth", "database", "ssh"]
    );
    assert_eq!(names("master[].database"), names("database"));
    assert_eq!(names("slave.masters"), [""; 0]);
}

#[test]
fn each_setting_is_listed_once() {
    for (i, setting) in SETTINGS.iter().enumerate() {
        assert!(SETTINGS[i + 1..].iter().all(|other| other.path != setting.path), "{}", setting.path);
        assert_eq!(find(setting.path), Some(setting));
    }
}

#[test]
fn hints() {
    let table = [
        ("", "site_numbr", "; did you mean `site_number`?"),
        ("", "Site", "; did you mean `site`?"),
        ("", "databse", "; did you mean `database`?"),
        ("", "period", "; it belongs in [[master]]"),
        ("", "host", "; it belongs in [database]"),
        ("", "zzzzzz", ""),
        ("slave", "master", "; did you mean `masters`?"),
        ("slave", "period", "; it belongs in [[master]]"),
        ("vd", "site", "; it belongs in the top of the file, before the first [section]"),
        ("vd", "product_version", "; did you mean `version`?"),
        ("master[]", "perid", "; did you mean `period`?"),
        ("master[].database", "pasword_file", "; did you mean `password_file`?"),
        ("limits", "clock_difference", "; did you mean `max_clock_difference`?"),
    ];
    for (section, name, expected) in table {
        assert_eq!(hint(section, name), expected, "{section} {name}");
    }
}
