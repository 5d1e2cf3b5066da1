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

/// `user@host` as it is written in GRANT.
pub(super) fn account(user_at_host: &str) -> String {
    let (user, host) = user_at_host.rsplit_once('@').unwrap_or((user_at_host, "%"));
    format!("{}@{}", literal(user), literal(host))
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

/// What a trigger of ours is for, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Marks a table's own changes; the table's number.
    Capture(u16),
    /// Marks what a cascade does to other tables.
    Cascade,
    /// Anything else.
    Other,
}

/// Reads a trigger's name.
pub(super) fn purpose(name: &str) -> Purpose {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    match rest.trim_end_matches('_').rsplit_once('_') {
        Some((_, "bu" | "bd")) => Purpose::Cascade,
        Some((number, "ai" | "au" | "ad")) => number.parse().map_or(Purpose::Other, Purpose::Capture),
        _ => Purpose::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_trigger_is_for() {
        assert_eq!(purpose(&trigger_name(7, "au")), Purpose::Capture(7));
        assert_eq!(purpose(&other_name(&trigger_name(7, "au"))), Purpose::Capture(7));
        assert_eq!(purpose("server_sync_h0123_bd_"), Purpose::Cascade);
        assert_eq!(purpose("server_sync_x_ai"), Purpose::Other);
        assert_eq!(purpose("crm_1_ai"), Purpose::Other);
        assert_eq!(other_name(&other_name("t")), "t");
    }

    #[test]
    fn literals_do_not_depend_on_how_backslashes_are_read() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'"), "CONVERT(x'615c27' USING utf8mb4)");
    }
}
