//! The laws of knowledge: it only grows, and never claims a table that nobody brought.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sync_core::{Incarnation, Knowledge, Position, Source, StoreId};

const SOURCES: u128 = 4;
const TABLES: [&str; 3] = ["deals", "tags", "users"];

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() }
}

fn source(n: u128) -> Source {
    Source { store: StoreId(n), incarnation: Incarnation(1) }
}

/// A position follows from its seq, as it does where a store never loses its history.
fn at(seq: u64) -> Position {
    Position { seq, token: seq * 7 + 1 }
}

fn knowledge() -> impl Strategy<Value = Knowledge> {
    let held = proptest::collection::btree_map(0..TABLES.len(), 0..20u64, 0..3);
    proptest::collection::btree_map(0..SOURCES, (0..20u64, held), 0..4).prop_map(|sources| {
        let mut knowledge = Knowledge::default();
        for (n, (seq, held)) in sources {
            knowledge.advance(source(n), at(seq));
            held.into_iter().filter(|(_, s)| *s < seq).for_each(|(t, s)| knowledge.hold(source(n), TABLES[t], s));
        }
        knowledge
    })
}

/// All that a knowledge claims, as numbers.
fn claims(k: &Knowledge) -> Vec<u64> {
    (0..SOURCES).flat_map(|n| TABLES.map(|t| k.table_seq(source(n), t))).collect()
}

fn adopt(mut mine: Knowledge, other: &Knowledge) -> Knowledge {
    mine.adopt(other, source(99), &[]);
    mine
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn adopting_takes_the_maximum_of_every_table_and_nothing_more(mine in knowledge(), other in knowledge()) {
        let expected: Vec<u64> = claims(&mine).into_iter().zip(claims(&other)).map(|(a, b)| a.max(b)).collect();
        prop_assert_eq!(claims(&adopt(mine, &other)), expected);
    }

    #[test]
    fn adopting_is_commutative_associative_and_idempotent(a in knowledge(), b in knowledge(), c in knowledge()) {
        prop_assert_eq!(adopt(a.clone(), &b), adopt(b.clone(), &a));
        prop_assert_eq!(adopt(adopt(a.clone(), &b), &c), adopt(a.clone(), &adopt(b.clone(), &c)));
        prop_assert_eq!(adopt(a.clone(), &a), a);
    }

    #[test]
    fn a_held_table_is_below_its_source(mine in knowledge(), other in knowledge()) {
        let after = adopt(mine, &other);
        for (source, position) in after.positions() {
            prop_assert!(after.held(source).all(|(_, seq)| seq < position.seq));
        }
    }

    #[test]
    fn what_others_say_of_oneself_is_left_out(mine in knowledge(), other in knowledge(), own in 0..SOURCES) {
        let mut after = mine.clone();
        after.adopt(&other, source(own), &[]);
        prop_assert_eq!(after.position(source(own)), mine.position(source(own)));
        prop_assert!(after.held(source(own)).eq(mine.held(source(own))));
    }
}
