//! The transport over a real sshd: keys of both kinds, a restricted command, and what is said where it fails.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};

use sync_link::transport::{Process, Ssh};
use sync_link::{Fault, Hello, LinkError};
use sync_testbed::{KeyType, Sshd};

/// Starts what is at the other side and says hello to it.
fn greet(ssh: &Ssh) -> Result<Hello, LinkError> {
    let (process, mut output, mut input) = Process::start(ssh.command("crm"), "lyon")?;
    let said = Hello::of("crm").send(&mut input);
    match said.and_then(|()| Hello::receive(&mut output)) {
        Err(e) if e.fault == Fault::Unreachable => Err(process.explain()),
        other => other,
    }
}

fn host(sshd: &Sshd, config: std::path::PathBuf) -> Ssh {
    // Not the machine's own configuration, and a program that answers with what it hears.
    let program = sshd.home().join("echo");
    fs::write(&program, "#!/bin/sh\nexec cat\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Ssh { config: Some(config), program: program.display().to_string(), ..Ssh::to("lyon") }
}

#[test]
fn both_kinds_of_keys_log_in() {
    let sshd = Sshd::start().unwrap();
    for (name, kind) in [("ed25519", KeyType::Ed25519), ("rsa", KeyType::Rsa)] {
        let key = sshd.key(name, kind, None).unwrap();
        let ssh = host(&sshd, sshd.client_config("lyon", &key).unwrap());
        assert_eq!(greet(&ssh).unwrap(), Hello::of("crm"), "{name}");
    }
}

#[test]
fn a_restricted_key_starts_its_own_command_whatever_is_asked_for() {
    let sshd = Sshd::start().unwrap();
    let command = "printf 'server_sync link 1 9.9 other\\n'; exec cat >/dev/null";
    let key = sshd.key("restricted", KeyType::Ed25519, Some(command)).unwrap();
    let ssh = host(&sshd, sshd.client_config("lyon", &key).unwrap());
    let hello = greet(&ssh).unwrap();
    assert_eq!((hello.vd.as_str(), hello.product.as_str()), ("other", "9.9"));
}

/// What was configured stays; else the cipher that this machine is best at comes first, and is what both agree on.
#[test]
fn the_cipher_is_chosen_only_where_nobody_did() {
    let sshd = Sshd::start().unwrap();
    let key = sshd.key("key", KeyType::Ed25519, None).unwrap();
    let config = sshd.client_config("lyon", &key).unwrap();
    let ssh = host(&sshd, config.clone()).with_fast_cipher();
    // A machine without instructions for it has no choice to make.
    assert!(ssh.ciphers.iter().all(|ciphers| ciphers.starts_with("aes128-gcm@openssh.com,")), "{ssh:?}");
    assert_eq!(greet(&ssh).unwrap(), Hello::of("crm"));

    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("Ciphers aes256-ctr,aes128-gcm@openssh.com\n{text}")).unwrap();
    let ssh = host(&sshd, config).with_fast_cipher();
    assert_eq!(ssh.ciphers, None);
    assert_eq!(greet(&ssh).unwrap(), Hello::of("crm"));
}

#[test]
fn bytes_pass_unchanged_in_both_directions() {
    let sshd = Sshd::start().unwrap();
    let key = sshd.key("key", KeyType::Ed25519, None).unwrap();
    let ssh = host(&sshd, sshd.client_config("lyon", &key).unwrap());
    let (_process, mut output, mut input) = Process::start(ssh.command("crm"), "lyon").unwrap();
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    let bytes = sent.clone();
    let writer = std::thread::spawn(move || input.write_all(&bytes).unwrap());
    let mut received = Vec::new();
    output.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == sent, "{} of {} bytes came back unchanged", received.len(), sent.len());
}

#[test]
fn each_failure_says_what_to_do() {
    let sshd = Sshd::start().unwrap();
    let key = sshd.key("key", KeyType::Ed25519, None).unwrap();
    let good = host(&sshd, sshd.client_config("lyon", &key).unwrap());

    let other = Sshd::start().unwrap();
    let unknown_key = other.key("unknown", KeyType::Ed25519, None).unwrap();
    let refused = Ssh { config: Some(sshd.client_config("lyon", &unknown_key).unwrap()), ..good.clone() };
    expect(&refused, Fault::Authentication, "authorized_keys");

    let good = Ssh { config: Some(sshd.client_config("lyon", &key).unwrap()), ..good };
    expect(&Ssh { program: "/no/such/server_sync".into(), ..good.clone() }, Fault::Setup, "install server_sync");
    expect(&Ssh { program: "echo hello from".into(), ..good.clone() }, Fault::Setup, "server_sync");
    expect(&Ssh { host: "no-such-host.invalid".into(), ..good.clone() }, Fault::Unreachable, "host name");

    let known = fs::read(sshd.known_hosts()).unwrap();
    fs::write(sshd.known_hosts(), "").unwrap();
    expect(&good, Fault::Authentication, "log in once by hand");
    let another = fs::read_to_string(other.known_hosts()).unwrap();
    let key_of_another = another.split_once(' ').unwrap().1;
    fs::write(sshd.known_hosts(), format!("[127.0.0.1]:{} {key_of_another}", sshd.port())).unwrap();
    expect(&good, Fault::Authentication, "ssh-keygen -R");
    fs::write(sshd.known_hosts(), known).unwrap();

    sshd.kill().unwrap();
    expect(&good, Fault::Unreachable, "sshd runs");
    sshd.resume().unwrap();
    greet(&good).unwrap();
}

#[track_caller]
fn expect(ssh: &Ssh, fault: Fault, hint: &str) {
    let error = greet(ssh).unwrap_err();
    assert_eq!(error.fault, fault, "{error}");
    assert!(error.to_string().contains(hint), "{error}");
}
