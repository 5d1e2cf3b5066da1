//! Reading the head of a CREATE TRIGGER: when it fires, and where its body begins. Never changes one.

use super::tokens::{Token, find};

/// What stands before the body. Indexes are into the tokens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// `BEFORE`, `AFTER` or `INSTEAD OF`.
    pub timing: &'static str,
    /// `INSERT`, `UPDATE` or `DELETE`.
    pub event: &'static str,
    /// The first token after the name.
    pub after_name: usize,
    /// The BEGIN of the body.
    pub begin: usize,
}

impl Header {
    /// Reads it; `None` if this is not a trigger.
    pub fn of(tokens: &[Token]) -> Option<Self> {
        let mut at = tokens.iter().position(|t| t.is("TRIGGER"))? + 1;
        if tokens.get(at)?.is("IF") {
            at += 3;
        }
        at += if tokens.get(at + 1)?.is(".") { 3 } else { 1 };
        let rest = tokens.get(at..)?;
        let (timing, event_at) = timing(rest)?;
        let event = ["INSERT", "UPDATE", "DELETE"].into_iter().find(|e| rest.get(event_at).is_some_and(|t| t.is(e)))?;
        Some(Header { timing, event, after_name: at, begin: at + find(rest, "BEGIN")? })
    }
}

/// The timing and where the event stands. BEFORE may be left out.
fn timing(rest: &[Token]) -> Option<(&'static str, usize)> {
    let first = rest.first()?;
    Some(match first {
        t if t.is("BEFORE") => ("BEFORE", 1),
        t if t.is("AFTER") => ("AFTER", 1),
        t if t.is("INSTEAD") => ("INSTEAD OF", 2),
        _ => ("BEFORE", 0),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    fn timing_of(sql: &str) -> Option<(&'static str, &'static str)> {
        Header::of(&tokens(sql)).map(|h| (h.timing, h.event))
    }

    #[test]
    fn heads_of_every_form() {
        assert_eq!(timing_of("CREATE TRIGGER a AFTER DELETE ON t BEGIN SELECT 1; END"), Some(("AFTER", "DELETE")));
        assert_eq!(timing_of("create trigger \"before\" insert on t begin select 1; end"), Some(("BEFORE", "INSERT")));
        assert_eq!(
            timing_of("CREATE TEMP TRIGGER IF NOT EXISTS main.x BEFORE UPDATE OF a, b ON t BEGIN SELECT 1; END"),
            Some(("BEFORE", "UPDATE"))
        );
        assert_eq!(
            timing_of("CREATE TRIGGER v INSTEAD OF INSERT ON w BEGIN SELECT 1; END"),
            Some(("INSTEAD OF", "INSERT"))
        );
        assert_eq!(timing_of("CREATE TABLE t(a)"), None);
        assert_eq!(timing_of("CREATE TRIGGER"), None);
    }
}
