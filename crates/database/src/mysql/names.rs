//! Names of our triggers, and quoting.

use crate::schema::PREFIX;

/// An identifier in backticks.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal; independent of NO_BACKSLASH_ESCAPES only if there is no backslash, so that is written in
/// hexadecimal.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        let hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
        return format!("CONVERT(x'{hex}' USING utf8mb4)");
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// The trigger of a table by number: `ai`, `au`, `ad`, `bu`, `bd`.
pub(super) fn trigger_name(number: u16, suffix: &str) -> String {
    format!("{PREFIX}{number}_{suffix}")
}

/// The other name under which the same trigger may be: where a trigger cannot be replaced, the new one is created
/// beside the old.
pub(super) fn other_name(name: &str) -> String {
    match name.strip_suffix('_') {
        Some(first) => first.to_owned(),
        None => format!("{name}_"),
    }
}
