//! How a round begins with a store: what the master has to know of it before anything can go, in one question and not in six, as
//! each costs the time to the other side and back. Plain data, and what a store that is here makes of the question; the order of
//! what is done is the one that a round demands.

use serde::{Deserialize, Serialize};
use sync_core::{Knowledge, Position, Registry, SiteId, Source};

use crate::{Description, Drained, Greeting, Outline, Result, Since, Store, TableStatus};

/// What a master says when it begins a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Who it is.
    pub master: Source,
    /// What it contains.
    pub knowledge: Knowledge,
}

/// What a store answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Opened {
    /// It forgot a part of its history; this is its site. It has to leave that history before anything is stamped, so nothing
    /// was done.
    Forgot(SiteId),
    /// It is drained.
    Ready(Box<Ready>),
}

/// What is known of a store once it is drained.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// What the drain did.
    pub drained: Drained,
    /// What it says of itself.
    pub about: Description,
    /// How far the master claimed to contain it, and what it made of that; nothing if it was not asked: the master knows of a
    /// later history of this store.
    pub greeted: Option<(Option<Position>, Greeting)>,
    /// What a stream to the master would bring, if there may be anything.
    pub outlined: Option<(Since, Outline)>,
    /// As [`Store::registry`].
    pub registry: Registry,
    /// As [`Store::oldest_line`].
    pub oldest_line: u64,
    /// As [`Store::is_empty`]; nothing if it was not looked for: the master claims to contain some of it.
    pub is_empty: Option<bool>,
}

/// By the single verbs.
pub(crate) fn open<S: Store + ?Sized>(
    store: &mut S,
    opening: &Opening,
    told: &mut dyn FnMut(&Knowledge) -> Result<()>,
) -> Result<Opened> {
    told(&store.knowledge()?)?;
    if let Some(site) = store.forgot(&opening.knowledge)? {
        return Ok(Opened::Forgot(site));
    }
    let drained = store.drain()?;
    let about = store.describe()?;
    let greeted = greeted(store, opening, &about)?;
    let outlined = match greeted {
        Some((_, Greeting::Known(position))) if position.seq != about.head.seq && !drained.left => {
            let since = since(opening, &about, position);
            let outline = store.outline(&since)?;
            Some((since, outline))
        }
        _ => None,
    };
    let registry = store.registry()?;
    let oldest_line = store.oldest_line(&registry)?;
    let is_strange = matches!(greeted, Some((None, _)));
    let is_empty = if is_strange { Some(store.is_empty()?) } else { None };
    Ok(Opened::Ready(Box::new(Ready { drained, about, greeted, outlined, registry, oldest_line, is_empty })))
}

/// A store that goes on in a history which it left is left to the round: it may be a copy that nobody may believe.
fn greeted<S: Store + ?Sized>(
    store: &mut S,
    opening: &Opening,
    about: &Description,
) -> Result<Option<(Option<Position>, Greeting)>> {
    let latest = opening.knowledge.latest(about.source.store);
    if latest.is_some_and(|latest| latest > about.source.incarnation) {
        return Ok(None);
    }
    let claimed = opening.knowledge.position(about.source);
    Ok(Some((claimed, store.greet(opening.master, claimed)?)))
}

/// Of all tables: which of them take part is known to the master only.
fn since(opening: &Opening, about: &Description, position: Position) -> Since {
    let tables = about.tables.iter().filter(|t| t.status == TableStatus::Synchronised);
    Since {
        receiver: opening.master,
        position,
        held: opening.knowledge.held(about.source).map(|(table, seq)| (table.to_owned(), seq)).collect(),
        tables: tables.map(|t| t.name.clone()).collect(),
        upto: None,
    }
}

impl Ready {
    /// What a stream would bring, if that was found out when the round began: [`Store::outline`] of the same question.
    pub fn outline_of(&self, since: &Since) -> Option<Outline> {
        let (asked, outline) = self.outlined.as_ref()?;
        let takes_part = |table: &str| since.tables.iter().any(|t| t == table);
        let held = asked.held.iter().filter(|(table, _)| takes_part(table));
        let is_same = asked.receiver == since.receiver
            && asked.position == since.position
            && since.tables.iter().all(|table| asked.tables.contains(table))
            && held.eq(&since.held);
        let mut outline = is_same.then(|| outline.clone())?;
        // What was not asked for goes in any case, as conflicts do.
        outline.tables.retain(|table, _| takes_part(table) || !asked.tables.iter().any(|t| t == table));
        Some(outline)
    }
}

#[cfg(test)]
mod tests {
    use sync_core::{Incarnation, StoreId};

    use super::*;
    use crate::{Role, TableOutline};

    fn source(n: u128) -> Source {
        Source { store: StoreId(n), incarnation: Incarnation(1) }
    }

    fn since(tables: &[&str], held: &[(&str, u64)]) -> Since {
        Since {
            receiver: source(1),
            position: Position { seq: 5, token: 5 },
            held: held.iter().map(|(table, seq)| ((*table).to_owned(), *seq)).collect(),
            tables: tables.iter().map(|table| (*table).to_owned()).collect(),
            upto: None,
        }
    }

    fn ready(asked: Since, found: &[&str]) -> Ready {
        let one = TableOutline { live: 1, graves: 0, rows: 0 };
        let tables = found.iter().map(|table| ((*table).to_owned(), one)).collect();
        let outline = Outline { tables, end: Position { seq: 9, token: 9 } };
        let about = Description {
            site: SiteId::new(2).unwrap_or(SiteId::NOBODY),
            site_name: "lyon".to_owned(),
            vd: "crm".to_owned(),
            vd_version: "1".to_owned(),
            product_version: "1".to_owned(),
            protocol: 1,
            source: source(2),
            head: outline.end,
            role: Role::NotSlave,
            clock_micros: 0,
            clock_uncertainty_micros: 0,
            upgrading: false,
            far: false,
            tables: Vec::new(),
            suspect: Vec::new(),
            restoring: false,
            epochs: Vec::new(),
            warnings: Vec::new(),
        };
        Ready {
            drained: Drained::default(),
            about,
            greeted: None,
            outlined: Some((asked, outline)),
            registry: Registry::default(),
            oldest_line: 0,
            is_empty: None,
        }
    }

    fn tables(outline: Option<Outline>) -> Option<Vec<String>> {
        outline.map(|outline| outline.tables.into_keys().collect())
    }

    #[test]
    fn what_was_found_for_all_tables_holds_for_some() {
        let ready = ready(since(&["a", "b"], &[("b", 3)]), &["a", "b"]);
        let of = |tables: &[&str]| Some(tables.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(tables(ready.outline_of(&since(&["a", "b"], &[("b", 3)]))), of(&["a", "b"]));
        assert_eq!(tables(ready.outline_of(&since(&["a"], &[]))), of(&["a"]));
    }

    #[test]
    fn what_goes_in_any_case_is_not_forgotten() {
        let ready = ready(since(&["a"], &[]), &["a", "conflicts"]);
        assert_eq!(tables(ready.outline_of(&since(&[], &[]))), Some(vec!["conflicts".to_owned()]));
    }

    #[test]
    fn another_question_has_no_answer_yet() {
        let ready = ready(since(&["a", "b"], &[("b", 3)]), &["a"]);
        let other = |since: Since| tables(ready.outline_of(&since));
        assert_eq!(other(since(&["a", "c"], &[])), None);
        assert_eq!(other(since(&["a", "b"], &[])), None);
        assert_eq!(other(Since { receiver: source(3), ..since(&["a"], &[]) }), None);
        assert_eq!(other(Since { position: Position { seq: 6, token: 6 }, ..since(&["a"], &[]) }), None);
    }
}
