//! The rules of counters as a table of examples: what the row becomes, what is listed.
#![allow(clippy::unwrap_used, clippy::panic)]

use sync_core::{
    Author, ConflictKind, Incarnation, Number, Planned, Relation, Row, RowState, SiteId, Stamp, Value, merge,
};

const A: Author = Author { site: SiteId::NOBODY, history: Incarnation(1) };
const B: Author = Author { site: SiteId::NOBODY, history: Incarnation(2) };

fn at(millis: u64, site: u64) -> Stamp {
    Stamp::at(millis, SiteId::new(site).unwrap())
}

/// A row with one column, a counter, that is 100 everywhere.
fn known() -> Row {
    Row { state: RowState::inserted_at(at(10, 1)), values: Some(vec![Value::Int(100)]) }
}

fn added(mut row: Row, number: i64, author: Author, stamp: Stamp) -> Row {
    row.state.add(0, Number::new(number.into(), 0).unwrap(), author, stamp);
    let value = row.values.as_mut().unwrap();
    let Value::Int(before) = value[0] else { unreachable!("it is an integer") };
    value[0] = Value::Int(before + number);
    row
}

fn set(mut row: Row, value: i64, stamp: Stamp) -> Row {
    row.state.write([0], stamp);
    row.values = Some(vec![Value::Int(value)]);
    row
}

fn deleted(mut row: Row, stamp: Stamp) -> Row {
    row.state.delete(stamp);
    row.values = None;
    row
}

fn shows(row: &Row) -> Option<&Value> {
    row.value(0).filter(|_| row.state.is_live())
}

#[test]
fn additions_of_two_sites_count_both_and_are_no_conflict() {
    let (ours, theirs) = (added(known(), 5, A, at(20, 1)), added(known(), -3, B, at(21, 2)));
    let merged = merge(&ours, &theirs);
    assert_eq!(shows(&merged.row), Some(&Value::Int(102)));
    assert_eq!((merged.relation, merged.conflicts), (Relation::Mixed, vec![]));
}

#[test]
fn the_later_sum_of_a_site_contains_the_earlier() {
    let first = added(known(), 5, A, at(20, 1));
    let second = added(first.clone(), 2, A, at(30, 1));
    assert_eq!(shows(&merge(&second, &first).row), Some(&Value::Int(107)));
    assert_eq!(merge(&second, &first).relation, Relation::Dominated);
    assert_eq!(merge(&first, &second).relation, Relation::Taken);
}

#[test]
fn a_history_that_was_left_keeps_its_sum() {
    let lost = added(known(), 5, A, at(20, 1));
    let again = added(known(), 2, Author { history: Incarnation(9), ..A }, at(30, 1));
    assert_eq!(shows(&merge(&again, &lost).row), Some(&Value::Int(107)));
}

#[test]
fn a_base_that_wins_is_shown_with_all_that_was_added() {
    let (ours, theirs) = (added(known(), 5, A, at(20, 1)), set(known(), 50, at(30, 2)));
    let merged = merge(&ours, &theirs);
    assert_eq!(shows(&merged.row), Some(&Value::Int(55)));
    assert_eq!(merged.conflicts, vec![], "the base that was replaced had been seen");
    let other = merge(&set(known(), 70, at(25, 1)), &added(theirs, 1, B, at(31, 2)));
    assert_eq!(shows(&other.row), Some(&Value::Int(51)));
    let [conflict] = other.conflicts.as_slice() else { panic!("one base lost") };
    assert_eq!((conflict.kind, &conflict.losing[0]), (ConflictKind::Cell(0), &Value::Int(70)));
    assert_eq!(conflict.winning, [Value::Int(50)], "without what was added, which nobody lost");
}

#[test]
fn an_addition_against_a_delete() {
    let (ours, gone) = (added(known(), 5, A, at(20, 1)), deleted(added(known(), 1, B, at(15, 2)), at(18, 2)));
    let revived = merge(&gone, &ours);
    assert_eq!(shows(&revived.row), Some(&Value::Int(106)), "what the deleter had added counts");
    assert_eq!(revived.conflicts[0].kind, ConflictKind::DeleteLost);
    let later = deleted(known(), at(30, 2));
    let lost = merge(&ours, &later);
    assert!(!lost.row.state.is_live());
    assert_eq!(lost.conflicts[0].kind, ConflictKind::UpdateLost);
}

#[test]
fn a_new_lineage_begins_without_sums() {
    let ours = added(known(), 5, A, at(20, 1));
    let mut state = deleted(known(), at(25, 2)).state;
    state.insert(at(26, 2));
    let again = added(Row { state, values: Some(vec![Value::Int(7)]) }, 1, B, at(27, 2));
    assert_eq!(shows(&merge(&ours, &again).row), Some(&Value::Int(8)));
}

#[test]
fn rows_from_before_have_their_value_as_base() {
    let before = || Row { state: RowState::baseline(), values: Some(vec![Value::Int(100)]) };
    let (ours, theirs) = (added(before(), 5, A, at(20, 1)), added(before(), 6, B, at(20, 2)));
    assert_eq!(shows(&merge(&ours, &theirs).row), Some(&Value::Int(111)));
}

#[test]
fn what_no_integer_type_holds_comes_back() {
    let number = |text: &str| Number::parse(text).unwrap();
    let top = Row { values: Some(vec![Value::Int(i64::MAX)]), ..known() };
    let mut more = top.clone();
    more.state.add(0, number("18446744073709551615"), A, at(20, 1));
    let beyond = Value::Bytes(b"27670116110564327422".to_vec());
    more.values = Some(vec![beyond.clone()]);
    assert_eq!(shows(&merge(&top, &more).row), Some(&beyond));
    assert_eq!(
        shows(&merge(&added(top, -2, B, at(21, 2)), &more).row).and_then(Number::of),
        Some(number("27670116110564327420"))
    );
    let mut less = more.clone();
    less.state.add(0, number("-18446744073709551615"), A, at(22, 1));
    less.values = Some(vec![Value::Int(i64::MAX)]);
    assert_eq!(shows(&merge(&more, &less).row), Some(&Value::Int(i64::MAX)));
}

#[test]
fn a_value_that_is_no_number_is_a_cell_like_any_other() {
    let odd = Row { values: Some(vec![Value::text("n/a")]), ..set(known(), 0, at(30, 2)) };
    let merged = merge(&added(known(), 5, A, at(20, 1)), &odd);
    assert_eq!(shows(&merged.row), Some(&Value::text("n/a")));
}

#[test]
fn where_a_check_forbids_the_sum_the_later_row_wins_whole() {
    let (ours, theirs) = (added(known(), -60, A, at(20, 1)), added(known(), -70, B, at(21, 2)));
    let one = Planned::whole(&ours, &theirs, at(40, 1));
    let other = Planned::whole(&theirs, &ours, at(41, 2));
    assert_eq!((shows(&one.row), shows(&other.row)), (Some(&Value::Int(30)), Some(&Value::Int(30))));
    assert_eq!(one.conflicts[0].losing, [Value::Int(-30)]);
    assert_eq!(shows(&merge(&one.row, &other.row).row), Some(&Value::Int(30)));
}
