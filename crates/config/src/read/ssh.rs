//! Reads `[master.ssh]`: how the slave is reached by ssh. What is not written is left to ssh's own configuration.

use crate::Ssh;
use crate::convert::{self, whole};
use crate::section::Section;

/// Reads the section.
pub(super) fn read(section: &Section) -> Option<Ssh> {
    let host = section.need("host", convert::host);
    let user = optional(section, "user", account);
    let port = optional(section, "port", whole(1..=65535));
    let identity_file = optional(section, "identity_file", convert::absolute);
    let config_file = optional(section, "config_file", convert::absolute);
    let program = section.or("program", program, "server_sync".to_owned());
    Some(Ssh {
        host: host?,
        user: user?,
        port: port?.map(|p| p as u16),
        identity_file: identity_file?,
        config_file: config_file?,
        program: program?,
    })
}

/// The outer `None` has been noted.
fn optional<T>(
    section: &Section,
    name: &str,
    convert: impl Fn(&toml_edit::Value) -> convert::Converted<T>,
) -> Option<Option<T>> {
    section.or(name, |value| convert(value).map(Some), None)
}

/// An account at the other side; nothing that ssh could take for an option.
fn account(value: &toml_edit::Value) -> convert::Converted<String> {
    let text = convert::text(value)?;
    match text.starts_with('-') || text.contains(char::is_whitespace) {
        true => Err(format!("must be the name of an account, not {text:?}")),
        false => Ok(text),
    }
}

/// A program at the other side: a name that its shell finds, or a path.
fn program(value: &toml_edit::Value) -> convert::Converted<String> {
    let text = convert::text(value)?;
    match text.starts_with('-') {
        true => Err(format!("must be a program, not {text:?}")),
        false => Ok(text),
    }
}
