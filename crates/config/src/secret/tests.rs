use super::*;
use crate::ExposeSecret;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

fn write(directory: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn modes() {
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o600, 0o400, 0o640, 0o440, 0o700] {
        let path = write(directory.path(), "good", b"hunter2\n", mode);
        assert_eq!(read(&path).unwrap().expose_secret(), "hunter2", "{mode:o}");
    }
    let table = [
        (0o644, "can be read by everybody on this machine (mode 0644); type: chmod 0640"),
        (0o604, "can be read by everybody on this machine (mode 0604); type: chmod 0600"),
        (0o666, "can be read by everybody on this machine (mode 0666); type: chmod 0640"),
        (0o602, "is open to everybody on this machine (mode 0602); type: chmod 0600"),
        (0o601, "is open to everybody on this machine (mode 0601); type: chmod 0600"),
        (0o660, "can be written by its group (mode 0660); type: chmod 0640"),
        (0o620, "can be written by its group (mode 0620); type: chmod 0600"),
        (0o444, "can be read by everybody on this machine (mode 0444); type: chmod 0440"),
    ];
    for (mode, told) in table {
        let path = write(directory.path(), &format!("bad{mode:o}"), b"hunter2", mode);
        let path = path.display();
        assert_eq!(read(path.to_string().as_ref()).unwrap_err(), Refusal::Exposed(format!("{path} {told} {path}")));
    }
}

#[test]
fn the_command_can_be_typed_as_it_is() {
    let message = exposure(Path::new("/etc/my vd's/pass"), 0o100_644).unwrap();
    assert!(message.ends_with(r"type: chmod 0640 '/etc/my vd'\''s/pass'"), "{message}");
}

#[test]
fn contents() {
    let good: [(&[u8], &str); 5] = [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b" hunter 2 \n", " hunter 2 "),
        ("h\u{e9}\n".as_bytes(), "h\u{e9}"),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (content, expected) in good {
        let path = write(directory.path(), "good", content, 0o600);
        assert_eq!(read(&path).unwrap().expose_secret(), expected);
    }
    let long = vec![b'x'; LONGEST as usize + 1];
    let bad: [(&[u8], &str); 6] = [
        (b"", "the file holds no password"),
        (b"\n", "the file holds no password"),
        (b"hunter2\nmore", "the file must hold the password and nothing else, in one line"),
        (b"hun\0ter2", "the file must hold the password and nothing else, in one line"),
        (b"hunter\xff", "not UTF-8 text"),
        (&long, "longer than 65536 bytes"),
    ];
    for (content, expected) in bad {
        let path = write(directory.path(), "bad", content, 0o600);
        assert_eq!(read(&path).unwrap_err(), Refusal::Unusable(format!("{}: {expected}", path.display())));
    }
}

#[test]
fn not_files() {
    let directory = tempfile::tempdir().unwrap();
    let missing = read(&directory.path().join("missing")).unwrap_err();
    assert!(matches!(missing, Refusal::Unusable(m) if m.contains("missing: No such file")));
    let socket = directory.path().join("socket");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(
        matches!(read(&socket), Err(Refusal::Unusable(m)) if m.contains("not a plain file")),
        "told apart before it is opened"
    );
    assert!(matches!(read(directory.path()), Err(Refusal::Unusable(m)) if m.contains("not a plain file")));
    assert!(matches!(read(Path::new("/dev/zero")), Err(Refusal::Unusable(m)) if m.contains("not a plain file")));
}

#[test]
fn credentials_come_first_and_only_for_relative_names() {
    let (settings, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(settings.path(), "both", b"beside", 0o600);
    write(settings.path(), "only", b"beside", 0o600);
    fs::create_dir(settings.path().join("sub")).unwrap();
    write(settings.path(), "sub/both", b"beside", 0o600);
    write(credentials.path(), "both", b"credential", 0o400);
    let with = Environment { credentials_directory: Some(credentials.path().to_owned()) };
    let without = Environment::default();
    let absolute = settings.path().join("both");
    let table = [
        (&with, Path::new("both"), "credential"),
        (&with, Path::new("sub/both"), "credential"),
        (&with, Path::new("only"), "beside"),
        (&with, absolute.as_path(), "beside"),
        (&without, Path::new("both"), "beside"),
    ];
    for (environment, named, expected) in table {
        let files = Files { directory: settings.path(), environment };
        assert_eq!(files.read(named).unwrap().expose_secret(), expected, "{named:?}");
    }
}

#[test]
fn an_exposed_credential_is_not_passed_over() {
    let (settings, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(settings.path(), "both", b"beside", 0o600);
    write(credentials.path(), "both", b"credential", 0o444);
    let environment = Environment { credentials_directory: Some(credentials.path().to_owned()) };
    let files = Files { directory: settings.path(), environment: &environment };
    assert!(matches!(files.read(Path::new("both")), Err(Refusal::Exposed(_))));
}
