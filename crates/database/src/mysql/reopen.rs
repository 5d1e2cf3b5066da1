//! MariaDB: copies of tables that were not opened rightly. Finds no such copy by itself.
//!
//! A server parses a table's triggers with each copy of it that it opens. If the connection it does that for is killed in
//! that moment, MariaDB (10.11.19) keeps the copy all the same, and every write through it fails with a syntax error in some
//! trigger that has none, the application's writes too, until the copy is closed. FLUSH TABLES closes it, for which we lack
//! the privilege; so does CREATE TRIGGER.

use std::collections::BTreeSet;

use super::names::{Purpose, purpose};
use crate::schema::{Schema, Trigger};

/// What the server says of such a copy, and of a trigger that it really cannot read.
const SPOILT: &str = " trigger has an error in its body";
const SPOILT_NAMED: [&str; 2] = ["Trigger '", "' has an error in its body"];

/// Whether this is the server's message about such a copy.
pub(super) fn is_spoilt(message: &str) -> bool {
    message.contains(SPOILT) || message.contains(SPOILT_NAMED[1])
}

/// Makes one trigger of ours look out of date on each table that the message can be about.
pub(super) fn outdate(schema: &mut Schema, message: &str) {
    let named = named(message).and_then(|name| schema.triggers.iter().find(|t| t.name == name));
    let place = named.map(|trigger| trigger.table.clone());
    let concerns = |t: &&mut Trigger| place.as_ref().is_none_or(|table| t.table == *table);
    let mut done = BTreeSet::new();
    for trigger in schema.triggers.iter_mut().filter(concerns) {
        if matches!(purpose(&trigger.name), Purpose::Capture(_)) && done.insert(trigger.table.clone()) {
            trigger.timing.clear();
        }
    }
}

/// The trigger that a message is about, if it says.
fn named(message: &str) -> Option<&str> {
    let [before, after] = SPOILT_NAMED;
    let (rest, _) = message.split_once(after)?;
    rest.rsplit_once(before).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says() {
        let known = "crm at db: Trigger 'server_sync_1_ad' has an error in its body: 'You have an error' (error 1064)";
        let unknown = "crm at db: Unknown trigger has an error in its body: 'Query was empty' (error 1064)";
        assert_eq!(named(known), Some("server_sync_1_ad"));
        assert_eq!(named(unknown), None);
        assert!(is_spoilt(known) && is_spoilt(unknown));
        assert!(!is_spoilt("You have an error in your SQL syntax (error 1064)"));
    }
}
