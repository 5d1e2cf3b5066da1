//! The checker on small histories, good and bad: each rule must be able to fail.

use super::*;
use crate::load::Change;
use crate::{Cell, TableDump};

/// A site's write in words: site, milliseconds, what.
#[derive(Clone, Copy)]
enum Did {
    Insert(&'static str, &'static str),
    Child(&'static str),
    Set(&'static str, &'static str),
    Delete,
    SetOnChild(&'static str),
    DeleteChild,
    MaybeSet(&'static str, &'static str),
    MaybeInsert(&'static str, &'static str),
    MaybeDelete,
}

use Did::{Child, Delete, DeleteChild, Insert, MaybeDelete, MaybeInsert, MaybeSet, Set, SetOnChild};

/// Row 1 of `load_account` (columns a and b) and row 9 of `load_child`, which refers to it; `None` where there is none.
type State = (Option<[&'static str; 2]>, Option<&'static str>);

struct Case {
    name: &'static str,
    start: State,
    journal: &'static [(&'static str, i64, Did)],
    listed: &'static [&'static str],
    end: State,
    /// A part of each expected violation; none for a good history.
    violations: &'static [&'static str],
}

fn dump((account, child): State) -> DatabaseDump {
    let columns = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let account = account.map(|cells| vec![Cell::Integer(1), Cell::text(cells[0]), Cell::text(cells[1])]);
    let child = child.map(|v| vec![Cell::Integer(9), Cell::Integer(1), Cell::text(v)]);
    let accounts = TableDump { columns: columns(&["id", "a", "b"]), key: vec![0], rows: account.into_iter().collect() };
    let children =
        TableDump { columns: columns(&["id", "account_id", "v"]), key: vec![0], rows: child.into_iter().collect() };
    DatabaseDump::from([("load_account".to_owned(), accounts), ("load_child".to_owned(), children)])
}

fn write((site, at, did): &(&'static str, i64, Did)) -> Write {
    let set = |column: &'static str, value: &str| Change::Update(column, Cell::text(value));
    let insert = |a: &str, b: &str| Change::Insert(vec![("a", Cell::text(a)), ("b", Cell::text(b))]);
    let (table, key, change) = match *did {
        Insert(a, b) | MaybeInsert(a, b) => ("load_account", 1, insert(a, b)),
        Set(column, value) | MaybeSet(column, value) => ("load_account", 1, set(column, value)),
        Delete | MaybeDelete => ("load_account", 1, Change::Delete),
        Child(v) => ("load_child", 9, Change::Insert(vec![("account_id", Cell::Integer(1)), ("v", Cell::text(v))])),
        SetOnChild(v) => ("load_child", 9, set("v", v)),
        DeleteChild => ("load_child", 9, Change::Delete),
    };
    let certain = !matches!(did, MaybeSet(..) | MaybeInsert(..) | MaybeDelete);
    let locked = at * 1000;
    let (began, committed) = (locked - 1000, locked + 1000);
    Write { site: (*site).into(), table, key, change, began, locked, committed, step: 0, certain }
}

fn check(case: &Case) -> CheckReport {
    let mut journal: Vec<Write> = case.journal.iter().map(write).collect();
    // What one site did in the same millisecond it did in one transaction.
    for i in 1..journal.len() {
        if (&journal[i].site, journal[i].locked) == (&journal[i - 1].site, journal[i - 1].locked) {
            journal[i].step = journal[i - 1].step + 1;
        }
    }
    let listed = |_: &str, _: i64, _: &str| case.listed.iter().map(|value| Cell::text(value)).collect();
    check_journals(&dump(case.start), &dump(case.end), &journal, Duration::from_millis(50), listed)
}

fn examine(cases: &[Case]) {
    for case in cases {
        let found: Vec<String> = check(case).violations.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), case.violations.len(), "{}: {found:?}", case.name);
        for expected in case.violations {
            assert!(found.iter().any(|found| found.contains(expected)), "{}: {expected} not in {found:?}", case.name);
        }
    }
}

const OLD: Option<[&str; 2]> = Some(["a0", "b0"]);

fn case(
    name: &'static str,
    journal: &'static [(&'static str, i64, Did)],
    listed: &'static [&'static str],
    end: Option<[&'static str; 2]>,
    violations: &'static [&'static str],
) -> Case {
    Case { name, start: (OLD, None), journal, listed, end: (end, None), violations }
}

#[test]
fn one_site_must_show_its_last_value() {
    examine(&[
        case("last value", &[("x", 1, Set("a", "a1")), ("x", 2, Set("a", "a2"))], &[], Some(["a2", "b0"]), &[]),
        case(
            "journal out of order",
            &[("x", 2, Set("a", "a2")), ("x", 1, Set("a", "a1"))],
            &[],
            Some(["a2", "b0"]),
            &[],
        ),
        case(
            "lost update",
            &[("x", 1, Set("a", "a1"))],
            &[],
            Some(["a9", "b0"]),
            &["nobody committed", "\"a1\" of x is lost"],
        ),
        case(
            "the start is back",
            &[("x", 1, Set("a", "a1"))],
            &[],
            OLD,
            &["starting value \"a0\" is back", "\"a1\" of x is lost"],
        ),
        case(
            "an own older value is back",
            &[("x", 1, Set("a", "a1")), ("x", 2, Set("a", "a2"))],
            &[],
            Some(["a1", "b0"]),
            &["x overwrote it itself", "\"a2\" of x is lost"],
        ),
        case("untouched", &[("x", 1, Set("a", "a1"))], &[], Some(["a1", "b0"]), &[]),
        case(
            "other column damaged",
            &[("x", 1, Set("a", "a1"))],
            &[],
            Some(["a1", "b9"]),
            &["load_account 1.b: nobody committed"],
        ),
    ]);
}

#[test]
fn between_sites_a_loser_was_seen_by_a_later_write_or_is_listed() {
    let end = Some(["ay", "b0"]);
    examine(&[
        case("seen and overwritten", &[("x", 100, Set("a", "ax")), ("y", 900, Set("a", "ay"))], &[], end, &[]),
        case("concurrent within tolerance", &[("x", 140, Set("a", "ax")), ("y", 100, Set("a", "ay"))], &[], end, &[]),
        case(
            "earlier wins, loser listed",
            &[("x", 900, Set("a", "ax")), ("y", 100, Set("a", "ay"))],
            &["ax"],
            end,
            &[],
        ),
        case(
            "earlier wins, not listed",
            &[("x", 900, Set("a", "ax")), ("y", 100, Set("a", "ay"))],
            &[],
            end,
            &["\"ax\" of x is lost"],
        ),
        case(
            "another value is listed",
            &[("x", 900, Set("a", "ax")), ("y", 100, Set("a", "ay"))],
            &["a7"],
            end,
            &["\"ax\" of x is lost"],
        ),
        case(
            "other columns merge",
            &[("x", 900, Set("b", "bx")), ("y", 100, Set("a", "ay"))],
            &[],
            Some(["ay", "bx"]),
            &[],
        ),
        case(
            "three sites, one in the middle",
            &[("x", 100, Set("a", "ax")), ("z", 500, Set("a", "az")), ("y", 900, Set("a", "ay"))],
            &[],
            end,
            &[],
        ),
        case(
            "only the last of a site needs a place",
            &[("x", 850, Set("a", "a1")), ("x", 100, Set("a", "a2")), ("y", 900, Set("a", "ay"))],
            &[],
            end,
            &[],
        ),
        case(
            "the last of a site is not covered by its own earlier ones",
            &[("x", 800, Set("a", "a1")), ("x", 990, Set("a", "a2")), ("y", 900, Set("a", "ay"))],
            &["a1"],
            end,
            &["\"a2\" of x is lost"],
        ),
    ]);
}

#[test]
fn rows_are_inserted_and_deleted_by_somebody() {
    let new =
        |name, journal, end, violations| Case { start: (None, None), ..case(name, journal, &[], end, violations) };
    examine(&[
        new("inserted", &[("x", 1, Insert("a1", "b1"))], Some(["a1", "b1"]), &[]),
        new(
            "inserted and changed elsewhere",
            &[("x", 1, Insert("a1", "b1")), ("y", 500, Set("b", "b2"))],
            Some(["a1", "b2"]),
            &[],
        ),
        new("inserted and deleted", &[("x", 1, Insert("a1", "b1")), ("x", 2, Delete)], None, &[]),
        new(
            "never inserted",
            &[("x", 1, Set("a", "a1"))],
            Some(["a1", "NULL"]),
            &["nobody inserted", ".b: nobody committed"],
        ),
        new("gone", &[("x", 1, Insert("a1", "b1"))], None, &["nobody deleted", "\"a1\" of x", "\"b1\" of x"]),
        case("gone from the start's rows", &[("x", 1, Set("a", "a1"))], &[], None, &["nobody deleted", "\"a1\" of x"]),
        case("deleted", &[("x", 1, Delete)], &[], None, &[]),
        case("deletion undone by nobody", &[("x", 1, Delete)], &[], OLD, &["nobody wrote to it later"]),
        case(
            "deletion undone by its own site",
            &[("x", 1, Set("a", "a1")), ("x", 2, Delete)],
            &[],
            Some(["a1", "b0"]),
            &["nobody wrote"],
        ),
        case(
            "a later write elsewhere revives",
            &[("x", 100, Delete), ("y", 200, Set("a", "ay"))],
            &[],
            Some(["ay", "b0"]),
            &[],
        ),
        case(
            "an earlier write elsewhere does not",
            &[("x", 500, Delete), ("y", 200, Set("a", "ay"))],
            &[],
            Some(["ay", "b0"]),
            &["nobody wrote"],
        ),
        case(
            "nor does one that its site deleted itself",
            &[("x", 100, Delete), ("y", 200, Set("a", "ay")), ("y", 201, Delete)],
            &[],
            Some(["ay", "b0"]),
            &["y deleted the row"],
        ),
        case(
            "but it brought the row back to its first deleter, who wrote again before that was known",
            &[("x", 100, Delete), ("y", 200, Set("a", "ay")), ("y", 300, Delete), ("x", 400, Set("b", "bx"))],
            &[],
            Some(["ay", "bx"]),
            &[],
        ),
        case("written and deleted in one transaction", &[("x", 1, Set("a", "a1")), ("x", 1, Delete)], &[], None, &[]),
        case(
            "written twice in one transaction",
            &[("x", 1, Set("a", "a1")), ("x", 1, Set("a", "a2"))],
            &[],
            Some(["a1", "b0"]),
            &["x overwrote it itself", "\"a2\" of x is lost"],
        ),
        new("inserted and deleted in one transaction", &[("x", 1, Insert("a1", "b1")), ("x", 1, Delete)], None, &[]),
        case("delete covers what it saw", &[("y", 100, Set("a", "ay")), ("x", 500, Delete)], &[], None, &[]),
        case(
            "delete against a later update, listed",
            &[("x", 100, Delete), ("y", 500, Set("a", "ay"))],
            &["ay"],
            None,
            &[],
        ),
        case(
            "delete against a later update, not listed",
            &[("x", 100, Delete), ("y", 500, Set("a", "ay"))],
            &[],
            None,
            &["\"ay\" of y is lost"],
        ),
    ]);
}

#[test]
fn children_go_with_their_parents() {
    let family =
        |name, journal, end, violations| Case { name, start: (OLD, Some("v0")), journal, listed: &[], end, violations };
    examine(&[
        family("cascade", &[("y", 1, SetOnChild("v1")), ("x", 500, Delete)], (None, None), &[]),
        family(
            "written before the deletion was seen",
            &[("x", 100, Delete), ("y", 900, SetOnChild("v1"))],
            (None, None),
            &[],
        ),
        Case {
            start: (OLD, None),
            ..family(
                "child inserted and its parent deleted in one transaction, but revived elsewhere",
                &[("x", 100, Child("v1")), ("x", 100, Delete), ("y", 200, Set("a", "ay"))],
                (Some(["ay", "b0"]), None),
                &[],
            )
        },
        family("deleted alone", &[("x", 1, DeleteChild)], (OLD, None), &[]),
        family("gone", &[("x", 1, SetOnChild("v1"))], (OLD, None), &["nobody deleted", "\"v1\" of x is lost"]),
        family(
            "revived parent brings the unseen child",
            &[("x", 100, Delete), ("y", 200, Set("a", "ay")), ("y", 10, SetOnChild("v1"))],
            (Some(["ay", "b0"]), Some("v1")),
            &[],
        ),
        Case {
            start: (OLD, None),
            ..family(
                "child of a parent deleted meanwhile",
                &[("x", 100, Delete), ("y", 900, Child("v1"))],
                (None, None),
                &[],
            )
        },
    ]);
}

#[test]
fn uncertain_commits_may_or_may_not_have_happened() {
    let new =
        |name, journal, end, violations| Case { start: (None, None), ..case(name, journal, &[], end, violations) };
    examine(&[
        case("it happened", &[("x", 1, MaybeSet("a", "a1"))], &[], Some(["a1", "b0"]), &[]),
        case("it did not", &[("x", 1, MaybeSet("a", "a1"))], &[], OLD, &[]),
        case(
            "it happened over a certain one",
            &[("x", 1, Set("a", "a1")), ("x", 2, MaybeSet("a", "a2"))],
            &[],
            Some(["a2", "b0"]),
            &[],
        ),
        case(
            "it did not, the certain one stays",
            &[("x", 1, Set("a", "a1")), ("x", 2, MaybeSet("a", "a2"))],
            &[],
            Some(["a1", "b0"]),
            &[],
        ),
        case(
            "without a trace it excuses nothing",
            &[("x", 800, Set("a", "a1")), ("x", 810, MaybeSet("a", "a2")), ("y", 100, Set("a", "ay"))],
            &[],
            Some(["ay", "b0"]),
            &["\"a1\" of x is lost"],
        ),
        case(
            "listed it does",
            &[("x", 800, Set("a", "a1")), ("x", 810, MaybeSet("a", "a2")), ("y", 100, Set("a", "ay"))],
            &["a2"],
            Some(["ay", "b0"]),
            &[],
        ),
        case("a perhaps deleted row", &[("x", 1, MaybeDelete)], &[], None, &[]),
        case("a perhaps deleted row that is there", &[("x", 1, MaybeDelete)], &[], OLD, &[]),
        new("a perhaps inserted row", &[("x", 1, MaybeInsert("a1", "b1"))], Some(["a1", "b1"]), &[]),
        new("a perhaps inserted row that is not there", &[("x", 1, MaybeInsert("a1", "b1"))], None, &[]),
    ]);
}

#[test]
fn a_report_counts_and_refuses_to_be_vacuous() {
    let report = check(&case(
        "",
        &[("x", 100, Set("a", "ax")), ("y", 900, Set("a", "ay")), ("z", 990, Set("a", "az"))],
        &["az"],
        Some(["ay", "b0"]),
        &[],
    ));
    assert_eq!((report.present, report.listed, report.superseded), (1, 1, 1));
    report.assert_clean();
    let nothing = check(&case("", &[], &[], OLD, &[]));
    assert!(std::panic::catch_unwind(|| nothing.assert_clean()).is_err());
}
