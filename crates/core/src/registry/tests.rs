use proptest::prelude::*;

use super::*;
use crate::knowledge::Position;

fn source(n: u128) -> Source {
    Source { store: StoreId(n), incarnation: Incarnation(1) }
}

fn contains(positions: &[(u128, u64)]) -> Knowledge {
    let mut knowledge = Knowledge::default();
    positions.iter().for_each(|(n, seq)| knowledge.advance(source(*n), at(*seq)));
    knowledge
}

fn at(seq: u64) -> Position {
    Position { seq, token: seq * 7 + 1 }
}

fn told(site: u64, when: u64, positions: &[(u128, u64)]) -> Told {
    let site = SiteId::new(site).unwrap();
    Told { incarnation: Incarnation(1), at: when, site, name: format!("site{site}"), contains: contains(positions) }
}

/// Three stores, of which each contains 10 of the first.
fn three() -> Registry {
    let mut registry = Registry::default();
    for n in 1..=3 {
        assert!(registry.tell(StoreId(n), told(n as u64, 100, &[(1, 10), (2, 20), (3, 30)]), 50));
    }
    registry
}

fn upto(registry: &Registry, knows: &[(u128, u64)]) -> Option<u64> {
    registry.purgeable(source(1), &contains(knows)).map(|p| p.upto)
}

const ALL: [(u128, u64); 2] = [(2, 20), (3, 30)];

#[test]
fn what_all_others_contain_can_go() {
    let mut registry = three();
    assert_eq!(upto(&registry, &ALL), Some(10));
    registry.tell(StoreId(2), told(2, 200, &[(1, 15), (2, 20), (3, 30)]), 50);
    assert_eq!(upto(&registry, &ALL), Some(10), "the third still has 10");
    registry.tell(StoreId(3), told(3, 200, &[(1, 14), (2, 20), (3, 30)]), 50);
    assert_eq!(upto(&registry, &ALL), Some(14));
}

#[test]
fn nothing_goes_while_somebody_may_not_know() {
    assert_eq!(upto(&Registry::default(), &[]), None, "nobody else is known");
    assert_eq!(upto(&three(), &[(2, 20), (3, 30), (4, 1)]), None, "the fourth never told");
    assert_eq!(upto(&three(), &[(2, 19), (3, 30)]), None, "something of the second is still on its way");
    let mut registry = three();
    registry.tell(StoreId(3), told(3, 200, &[(2, 20), (3, 30)]), 50);
    assert_eq!(upto(&registry, &ALL), Some(0), "the third was restored and contains nothing");
}

#[test]
fn tables_that_wait_are_excepted() {
    let mut registry = three();
    let mut waits = told(3, 200, &[(1, 12), (2, 20), (3, 30)]);
    waits.contains.hold(source(1), "deals", 3);
    registry.tell(StoreId(3), waits, 50);
    let found = registry.purgeable(source(1), &contains(&ALL)).unwrap();
    assert_eq!((found.upto, found.except), (10, BTreeSet::from(["deals".to_owned()])));
}

#[test]
fn a_store_that_left_does_not_count_until_it_tells_again() {
    let mut registry = three();
    registry.tell(StoreId(2), told(2, 200, &[(1, 15), (2, 20)]), 50);
    registry.retire(StoreId(3), 150);
    assert_eq!(upto(&registry, &ALL), Some(15));
    assert!(registry.tell(StoreId(3), told(3, 120, &[(1, 10), (3, 30)]), 50), "at once, even if its clock is behind");
    assert_eq!(upto(&registry, &ALL), Some(10));
}

#[test]
fn a_site_that_was_prepared_anew_replaces_itself() {
    let mut registry = three();
    registry.tell(StoreId(4), told(3, 200, &[(1, 12)]), 50);
    assert_eq!(registry.counted().map(|(store, _)| store.0).collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn telling_waits_and_needs_something_to_tell() {
    let mut registry = three();
    assert!(!registry.tell(StoreId(2), told(2, 900, &[(1, 10), (2, 20), (3, 30)]), 50), "nothing moved");
    assert!(!registry.tell(StoreId(2), told(2, 149, &[(1, 11), (2, 20), (3, 30)]), 50), "it is too soon");
    assert!(registry.tell(StoreId(2), told(2, 150, &[(1, 11), (2, 20), (3, 30)]), 50));
    assert!(registry.tell(StoreId(2), told(2, 20, &[(1, 12), (2, 20), (3, 30)]), 50), "its clock was set back");
    let another = Told { incarnation: Incarnation(2), ..told(2, 20, &[]) };
    assert!(registry.tell(StoreId(2), another, 50), "it began another history");
    assert!(!registry.tell(StoreId(2), told(2, 9000, &[(1, 99)]), 50), "an older history has nothing to say");
}

fn registries() -> impl Strategy<Value = Registry> {
    let position = (1..5u128, 0..20u64);
    let entry = (1..4u64, 0..4u64, 0..3u64, 0..4u64, proptest::collection::vec(position, 0..3), any::<bool>());
    let forgotten = (1..5u128, 0..9u64, 0..9u64);
    let parts = (proptest::collection::btree_map(1..5u128, entry, 0..4), proptest::collection::vec(forgotten, 0..4));
    parts.prop_map(|(entries, forgotten)| {
        let mut registry = Registry::default();
        for (store, (site, when, incarnation, retired_at, positions, holds)) in entries {
            let mut told = Told { incarnation: Incarnation(incarnation), ..told(site, when, &positions) };
            if holds {
                told.contains.hold(source(2), "deals", 1);
            }
            registry.entries.insert(StoreId(store), Entry { told, retired_at });
        }
        for (n, seq, millis) in forgotten {
            registry.forget(source(n), Forgotten { seq, latest: Stamp::at(millis, SiteId::NOBODY) });
        }
        registry
    })
}

fn joined(a: &Registry, b: &Registry) -> Registry {
    let mut all = a.clone();
    all.join(b);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn copies_become_the_same_in_whatever_order_they_meet(a in registries(), b in registries(), c in registries()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(joined(&a, &a), a);
    }

    #[test]
    fn what_is_stored_comes_back(a in registries()) {
        let bytes = pack(&a);
        prop_assert_eq!(unpack(&bytes), Ok(a));
        for end in 0..bytes.len() {
            prop_assert!(unpack(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn hostile_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = unpack(&bytes);
    }
}
