//! What the standings of both sides amount to.

use sync_core::SiteId;
use sync_store::Content;

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
    let content = |hash: u128| Content { hash, modified: None };
    let master = Standing { hash: Some(1), content: here.map(content), line: written, ..Standing::default() };
    let slave = Standing { content: there.map(content), line: Some(line()), travels: true, ..Standing::default() };
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

/// When the master's file from before was modified, if it is doubtful beside the slave's, which was written `at`, and whether that
/// was later.
fn doubted(here: (u128, Option<i64>), there: u128, at: Stamp) -> Option<(u64, bool)> {
    let content = |hash, modified| Some(Content { hash, modified });
    let master = Standing { hash: Some(1), content: content(here.0, here.1), ..Standing::default() };
    let written = Standpoint { newest: at, ..line() };
    let slave = Standing {
        hash: Some(2),
        content: content(there, Some(5)),
        line: Some(written),
        travels: true,
        ..Standing::default()
    };
    let nothing = Lost::default();
    let found = sorted("t", vec![vec![Value::Int(1)]], [vec![master], vec![slave]], [&nothing; 2]);
    assert_eq!((found.differing.len(), found.doubtful[1].len()), (1, 0));
    found.doubtful[0].first().map(|doubtful| (doubtful.modified, doubtful.is_later))
}

#[test]
fn a_file_from_before_is_doubtful_beside_another_that_was_written() {
    let at = Stamp::at(7, SiteId::new(1).unwrap());
    assert_eq!(doubted((1, Some(6_999_999)), 2, at), Some((6, true)));
    assert_eq!(doubted((1, Some(5)), 2, at), Some((0, false)), "of the same time");
    assert_eq!(doubted((1, Some(-1_000_000)), 2, at), Some((0, false)), "before 1970");
    assert_eq!(doubted((1, Some(6_000_000)), 1, at), None, "the same content");
    assert_eq!(doubted((0, None), 2, at), None, "no file");
    assert_eq!(doubted((1, Some(6_000_000)), 2, Stamp::BASELINE), None, "nobody wrote it");
}
