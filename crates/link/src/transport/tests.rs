use super::*;

fn words(command: &Command) -> Vec<String> {
    command.get_args().map(|a| a.to_string_lossy().into_owned()).collect()
}

#[test]
fn ssh_is_asked_for_the_agent_and_never_asks_back() {
    let ssh = Ssh { user: Some("sync".into()), port: Some(2222), ..Ssh::to("lyon.example.org") };
    let words = words(&ssh.command("crm"));
    assert!(words.windows(2).any(|w| w == ["-o", "BatchMode=yes"]));
    assert!(words.windows(2).any(|w| w == ["-p", "2222"]) && words.windows(2).any(|w| w == ["-l", "sync"]));
    assert_eq!(words[words.len() - 3..], ["--", "lyon.example.org", "server_sync agent -vd crm"]);
}

#[test]
fn nothing_of_a_name_reaches_the_shell() {
    let ssh = Ssh { program: "/opt/my tools/server_sync".into(), ..Ssh::to("-oProxyCommand=touch x") };
    let words = words(&ssh.command("it's; reboot"));
    assert_eq!(words[words.len() - 3..words.len() - 1], ["--", "-oProxyCommand=touch x"]);
    assert_eq!(words.last().unwrap(), r"'/opt/my tools/server_sync' agent -vd 'it'\''s; reboot'");
}

#[test]
fn what_ssh_says_becomes_what_to_do() {
    let cases = [
        ("Warning: x\nsync@lyon: Permission denied (publickey).\n", Fault::Authentication, "authorized_keys"),
        (
            "No ED25519 host key is known for lyon\nHost key verification failed.\n",
            Fault::Authentication,
            "log in once",
        ),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            Fault::Authentication,
            "ssh-keygen -R",
        ),
        ("ssh: Could not resolve hostname lyon: Name or service not known", Fault::Unreachable, "host name"),
        ("ssh: connect to host lyon port 22: Connection refused", Fault::Unreachable, "sshd"),
        ("sh: 1: server_sync: not found", Fault::Setup, "install server_sync"),
    ];
    for (said, fault, hint) in cases {
        let error = explained("lyon", None, said);
        assert_eq!(error.fault, fault, "{said}");
        assert!(error.hint.as_ref().is_some_and(|h| h.contains(hint)), "{said}: {error}");
        assert!(error.message.starts_with("lyon cannot be reached: "), "{error}");
    }
    assert!(!explained("lyon", None, "evil \x1b[2J\n").message.contains('\x1b'));
}

#[test]
fn a_process_that_fails_says_why() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo some banner; echo 'the disk is on fire' >&2; exit 3"]);
    let (process, _output, _input) = Process::start(command, "lyon").unwrap();
    let error = process.explain();
    assert_eq!(error.fault, Fault::Unreachable);
    assert_eq!(error.message, "lyon cannot be reached: the disk is on fire");
}

#[test]
fn a_program_that_is_missing_is_named() {
    let error = Process::start(Command::new("no_such_program_here"), "lyon").map(|_| ()).unwrap_err();
    assert_eq!(error.fault, Fault::Setup);
    assert!(error.message.contains("no_such_program_here"), "{error}");
}
