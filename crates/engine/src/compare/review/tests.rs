//! What the standings of both sides amount to.

use super::*;

fn standing(hash: Option<u128>, travels: bool, unmarked: bool) -> Standing {
    Standing { hash, travels, unmarked, ..Standing::default() }
}

/// What one row is sorted under.
fn names(master: Standing, slave: Standing) -> String {
    let nothing = Lost::default();
    let found = sorted("t", vec![vec![Value::Int(1)]], [vec![master], vec![slave]], [&nothing; 2]);
    let lists = [
        ("differing", found.differing),
        ("only master", found.only_master),
        ("only slave", found.only_slave),
        ("unmarked at master", found.unmarked[0].clone()),
        ("unmarked at slave", found.unmarked[1].clone()),
        ("on the way", found.on_the_way),
    ];
    lists.iter().filter(|(_, keys)| !keys.is_empty()).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[test]
fn rows_are_sorted_by_what_differs() {
    let at = |hash| standing(hash, false, false);
    for (master, slave, expected) in [
        (at(Some(1)), at(Some(1)), ""),
        (at(None), at(None), ""),
        (standing(Some(1), true, false), at(Some(1)), ""),
        (at(Some(1)), at(Some(2)), "differing"),
        (at(Some(1)), at(None), "only master"),
        (at(None), at(Some(1)), "only slave"),
        (standing(Some(1), false, true), at(None), "only master, unmarked at master"),
        (at(None), standing(Some(1), false, true), "only slave, unmarked at slave"),
        (standing(Some(1), true, false), at(Some(2)), "differing, on the way"),
        (at(Some(1)), standing(None, true, false), "only master, on the way"),
    ] {
        assert_eq!(names(master, slave), expected);
    }
}

fn line() -> Standpoint {
    Standpoint { seq: 1, origin: None, inserted: Stamp::NEVER, newest: Stamp::NEVER, seen: Vec::new() }
}

/// Whether a row at the master is none that the slave, which has a grave of it, could delete.
fn is_unseen(here: Option<u128>, there: Option<u128>, written: Option<Standpoint>) -> bool {
    let master = Standing { hash: Some(1), content: here, line: written, ..Standing::default() };
    let slave = Standing { content: there, line: Some(line()), travels: true, ..Standing::default() };
    let nothing = Lost::default();
    let found = sorted("t", vec![vec![Value::Int(1)]], [vec![master], vec![slave]], [&nothing; 2]);
    assert_eq!((found.only_master.len(), found.unseen[1].len()), (1, 0));
    found.unseen[0].len() == 1
}

#[test]
fn a_delete_is_of_what_was_there() {
    assert!(is_unseen(Some(1), Some(2), None));
    assert!(!is_unseen(Some(1), Some(1), None));
    assert!(!is_unseen(None, Some(1), None));
    assert!(!is_unseen(Some(1), None, None));
    assert!(!is_unseen(Some(1), Some(2), Some(line())));
}
