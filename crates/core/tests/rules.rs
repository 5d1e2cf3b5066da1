//! Every rule of merging as a table of examples: what the row becomes, what is listed.
#![allow(clippy::unwrap_used)]

use sync_core::conflict::ConflictKind::{self, Cell, DeleteLost, Insert, UpdateLost};
use sync_core::{
    Author, ColumnId, Effect, Incarnation, Number, Planned, Relation, Row, RowState, SiteId, Stamp, Value,
};

const A: u64 = 1;
const B: u64 = 2;

fn at(millis: u64, site: u64) -> Stamp {
    Stamp::at(millis, SiteId::new(site).unwrap())
}

fn values(list: [i64; 2]) -> Option<Vec<Value>> {
    Some(list.map(Value::Int).to_vec())
}

/// A row `[1, 2]` that A inserted at 10 and everybody knows.
fn known() -> Row {
    Row { state: RowState::inserted_at(at(10, A)), values: values([1, 2]) }
}

fn before_everything() -> Row {
    Row { state: RowState::baseline(), values: values([1, 2]) }
}

fn written(mut row: Row, column: ColumnId, value: i64, stamp: Stamp) -> Row {
    row.state.write([column], stamp);
    row.values.as_mut().unwrap()[usize::from(column)] = Value::Int(value);
    row
}

fn deleted(mut row: Row, stamp: Stamp) -> Row {
    row.state.delete(stamp);
    row.values = None;
    row
}

fn inserted(mut row: Row, list: [i64; 2], stamp: Stamp) -> Row {
    row.state.insert(stamp);
    row.values = values(list);
    row
}

fn new(list: [i64; 2], stamp: Stamp) -> Row {
    inserted(Row::default(), list, stamp)
}

struct Example {
    name: &'static str,
    local: Option<Row>,
    incoming: Row,
    shown: Option<[i64; 2]>,
    relation: Relation,
    effect: Effect,
    /// Kind, losing stamp, losing values.
    listed: Vec<(ConflictKind, Stamp, Vec<i64>)>,
}

fn check(e: Example) {
    let planned = Planned::new(e.local.as_ref(), &e.incoming);
    let shown = planned.row.values.clone().filter(|_| planned.row.state.is_live());
    assert_eq!(shown, e.shown.and_then(values), "{}: what is shown", e.name);
    assert_eq!((planned.relation, &planned.effect), (e.relation, &e.effect), "{}", e.name);
    let listed = |p: &Planned| -> Vec<_> { p.conflicts.iter().map(|c| (c.kind, c.loser, c.losing.clone())).collect() };
    let expected: Vec<_> =
        e.listed.iter().map(|(k, s, v)| (*k, *s, v.iter().copied().map(Value::Int).collect::<Vec<_>>())).collect();
    assert_eq!(listed(&planned), expected, "{}: what is listed", e.name);
    // The other side comes to the same.
    if let Some(local) = &e.local {
        let other = Planned::new(Some(&e.incoming), local);
        assert_eq!(
            other.row.values.clone().filter(|_| other.row.state.is_live()),
            shown,
            "{}: seen from there",
            e.name
        );
        assert_eq!(listed(&other), expected, "{}: listed there", e.name);
    }
}

#[test]
fn rows_that_only_one_side_has() {
    check(Example {
        name: "a new row",
        local: None,
        incoming: new([1, 2], at(10, A)),
        shown: Some([1, 2]),
        relation: Relation::Taken,
        effect: Effect::Insert,
        listed: vec![],
    });
    check(Example {
        name: "a row from before",
        local: None,
        incoming: before_everything(),
        shown: Some([1, 2]),
        relation: Relation::Taken,
        effect: Effect::Insert,
        listed: vec![],
    });
    check(Example {
        name: "the grave of a row that was never heard of",
        local: None,
        incoming: deleted(known(), at(20, A)),
        shown: None,
        relation: Relation::Taken,
        effect: Effect::None,
        listed: vec![],
    });
    check(Example {
        name: "the same again",
        local: Some(known()),
        incoming: known(),
        shown: Some([1, 2]),
        relation: Relation::Dominated,
        effect: Effect::None,
        listed: vec![],
    });
}

#[test]
fn cells() {
    let seen = written(written(known(), 0, 7, at(20, A)), 0, 8, at(30, B));
    check(Example {
        name: "another column",
        local: Some(written(known(), 0, 7, at(20, A))),
        incoming: written(known(), 1, 8, at(30, B)),
        shown: Some([7, 8]),
        relation: Relation::Mixed,
        effect: Effect::Update(vec![1]),
        listed: vec![],
    });
    check(Example {
        name: "the same column, unseen: the later wins and the other is listed",
        local: Some(written(known(), 0, 7, at(20, A))),
        incoming: written(known(), 0, 8, at(30, B)),
        shown: Some([8, 2]),
        relation: Relation::Taken,
        effect: Effect::Update(vec![0]),
        listed: vec![(Cell(0), at(20, A), vec![7])],
    });
    check(Example {
        name: "the same column at one instant: the higher site number wins",
        local: Some(written(known(), 0, 7, at(20, A))),
        incoming: written(known(), 0, 8, at(20, B)),
        shown: Some([8, 2]),
        relation: Relation::Taken,
        effect: Effect::Update(vec![0]),
        listed: vec![(Cell(0), at(20, A), vec![7])],
    });
    check(Example {
        name: "the same column, seen: an overwrite",
        local: Some(written(known(), 0, 7, at(20, A))),
        incoming: seen,
        shown: Some([8, 2]),
        relation: Relation::Taken,
        effect: Effect::Update(vec![0]),
        listed: vec![],
    });
    check(Example {
        name: "the same value twice is not a conflict",
        local: Some(written(known(), 0, 7, at(20, A))),
        incoming: written(known(), 0, 7, at(30, B)),
        shown: Some([7, 2]),
        relation: Relation::Taken,
        effect: Effect::None,
        listed: vec![],
    });
    check(Example {
        name: "a column of a row from before",
        local: Some(before_everything()),
        incoming: written(before_everything(), 1, 9, at(30, B)),
        shown: Some([1, 9]),
        relation: Relation::Taken,
        effect: Effect::Update(vec![1]),
        listed: vec![],
    });
}

#[test]
fn delete_against_update() {
    check(Example {
        name: "the delete is later: the row is kept whole in the list",
        local: Some(written(known(), 0, 7, at(20, A))),
        incoming: deleted(known(), at(30, B)),
        shown: None,
        relation: Relation::Taken,
        effect: Effect::Delete,
        listed: vec![(UpdateLost, at(20, A), vec![7, 2])],
    });
    check(Example {
        name: "the update is later: the row stays, the delete is listed",
        local: Some(written(known(), 0, 7, at(40, A))),
        incoming: deleted(known(), at(30, B)),
        shown: Some([7, 2]),
        relation: Relation::Mixed,
        effect: Effect::None,
        listed: vec![(DeleteLost, at(30, B), vec![])],
    });
    check(Example {
        name: "the delete had seen the update",
        local: Some(written(known(), 0, 7, at(20, A))),
        incoming: deleted(written(known(), 0, 7, at(20, A)), at(30, B)),
        shown: None,
        relation: Relation::Taken,
        effect: Effect::Delete,
        listed: vec![],
    });
    check(Example {
        name: "two deletes are one",
        local: Some(deleted(known(), at(20, A))),
        incoming: deleted(known(), at(30, B)),
        shown: None,
        relation: Relation::Taken,
        effect: Effect::None,
        listed: vec![],
    });
    check(Example {
        name: "a row from before is deleted",
        local: Some(before_everything()),
        incoming: deleted(before_everything(), at(30, B)),
        shown: None,
        relation: Relation::Taken,
        effect: Effect::Delete,
        listed: vec![],
    });
}

#[test]
fn lineages() {
    check(Example {
        name: "insert against insert: the later wins whole",
        local: Some(new([1, 2], at(20, A))),
        incoming: new([3, 4], at(30, B)),
        shown: Some([3, 4]),
        relation: Relation::Taken,
        effect: Effect::Update(vec![0, 1]),
        listed: vec![(Insert, at(20, A), vec![1, 2])],
    });
    check(Example {
        name: "insert against insert of the same row",
        local: Some(new([1, 2], at(20, A))),
        incoming: new([1, 2], at(30, B)),
        shown: Some([1, 2]),
        relation: Relation::Taken,
        effect: Effect::None,
        listed: vec![],
    });
    check(Example {
        name: "lineages never mix: a later cell of the earlier lineage goes with it",
        local: Some(written(new([1, 2], at(20, A)), 0, 7, at(50, A))),
        incoming: new([3, 4], at(30, B)),
        shown: Some([3, 4]),
        relation: Relation::Taken,
        effect: Effect::Update(vec![0, 1]),
        listed: vec![(Insert, at(50, A), vec![7, 2])],
    });
    check(Example {
        name: "inserted again after a delete that both know",
        local: Some(deleted(known(), at(20, A))),
        incoming: inserted(deleted(known(), at(20, A)), [3, 4], at(30, B)),
        shown: Some([3, 4]),
        relation: Relation::Taken,
        effect: Effect::Insert,
        listed: vec![],
    });
    check(Example {
        name: "deleted here, replaced there and later",
        local: Some(deleted(known(), at(20, A))),
        incoming: inserted(deleted(known(), at(30, B)), [3, 4], at(31, B)),
        shown: Some([3, 4]),
        relation: Relation::Taken,
        effect: Effect::Insert,
        listed: vec![(DeleteLost, at(20, A), vec![])],
    });
    check(Example {
        name: "replaced there, deleted here and later",
        local: Some(deleted(known(), at(40, A))),
        incoming: inserted(deleted(known(), at(30, B)), [3, 4], at(31, B)),
        shown: None,
        relation: Relation::Mixed,
        effect: Effect::None,
        listed: vec![(UpdateLost, at(31, B), vec![3, 4])],
    });
}

#[test]
fn graves_remember() {
    // This site applied a delete and still knows the row: an update that the deleter had not seen revives all of it.
    let here =
        Planned::new(Some(&written(known(), 0, 7, at(20, A))), &deleted(written(known(), 0, 7, at(20, A)), at(30, B)));
    assert_eq!(here.row.values, values([7, 2]));
    let other = written(known(), 1, 9, at(40, 3));
    let revived = Planned::new(Some(&here.row), &other);
    assert_eq!(
        (revived.row.values, revived.relation, revived.effect),
        (values([7, 9]), Relation::Mixed, Effect::Insert)
    );
}

#[test]
fn a_row_that_should_be_there_and_is_not_appears_again() {
    let emptied = Row { state: known().state, values: None };
    let planned = Planned::new(Some(&emptied), &known());
    assert_eq!((planned.relation, planned.effect), (Relation::Dominated, Effect::Insert));
}

/// Its values must not get the stamps of those that were here, nor seem to know of them.
#[test]
fn a_row_that_should_be_there_and_is_not_is_what_comes_in() {
    let emptied = Row { values: None, ..written(known(), 0, 7, at(30, B)) };
    for incoming in [known(), written(known(), 0, 8, at(20, 3)), written(known(), 0, 8, at(40, 3))] {
        let planned = Planned::new(Some(&emptied), &incoming);
        assert_eq!(planned.row, incoming);
        assert_eq!((planned.relation, planned.effect), (Relation::Taken, Effect::Insert));
    }
}

/// What was added to a counter is known without its value.
#[test]
fn a_row_that_should_be_there_and_is_not_keeps_what_was_added() {
    let author = Author { site: SiteId::new(B).unwrap(), history: Incarnation(1) };
    let mut emptied = Row { values: None, ..written(known(), 0, 7, at(30, B)) };
    emptied.state.add(1, Number::of(&Value::Int(5)).unwrap(), author, at(31, B));
    let planned = Planned::new(Some(&emptied), &known());
    assert_eq!((planned.row.values, planned.relation), (values([1, 7]), Relation::Mixed));
    assert_eq!((planned.row.state.cells, planned.row.state.sums), (known().state.cells, emptied.state.sums));
}

#[test]
fn what_was_kept_before_a_column_was_added_takes_the_new_column_from_the_other_side() {
    let mut kept = deleted(known(), at(20, A));
    kept.values = values([1, 2]);
    let mut wider = written(known(), 0, 7, at(30, B));
    wider.values.as_mut().unwrap().push(Value::Int(3));
    let expected = Some([7, 2, 3].map(Value::Int).to_vec());
    assert_eq!(Planned::new(Some(&kept), &wider).row.values, expected);
    assert_eq!(Planned::new(Some(&wider), &kept).row.values, expected);
}

/// A grave that kept its values from before a column was added has none for it; the row that is live elsewhere has.
#[test]
fn a_column_added_since_a_grave_was_made_comes_from_the_live_row() {
    let mut grave = known();
    grave.state.deleted = at(20, A);
    grave.state.seen.add(at(20, A));
    grave.values = Some(vec![Value::Int(1), Value::Null]);
    let live = written(known(), 0, 5, at(30, B));
    for (local, incoming) in [(&grave, &live), (&live, &grave)] {
        let merged = Planned::new(Some(local), incoming);
        assert_eq!(merged.row.values, values([5, 2]));
    }
}

#[test]
fn a_stamp_that_was_given_twice() {
    let once = |value| written(known(), 0, value, at(20, A));
    for (ours, theirs, relation, effect) in
        [(7, 9, Relation::Taken, Effect::Update(vec![0])), (9, 7, Relation::Dominated, Effect::None)]
    {
        check(Example {
            name: "the greater value is shown, the other is listed",
            local: Some(once(ours)),
            incoming: once(theirs),
            shown: Some([9, 2]),
            relation,
            effect,
            listed: vec![(Cell(0), at(20, A), vec![7])],
        });
    }
}

#[test]
fn what_is_from_before_is_left_to_a_compare() {
    let other = Row { values: values([3, 4]), ..before_everything() };
    let planned = Planned::new(Some(&before_everything()), &other);
    assert_eq!((planned.relation, planned.effect), (Relation::Dominated, Effect::None));
}

/// Rows from before synchronisation have no stamps, and one can meet an insert of its key far from where either was made.
#[test]
fn a_row_from_before_that_an_insert_replaces_is_listed() {
    let old = before_everything();
    let new = new([3, 4], at(20, B));
    for (local, incoming) in [(&old, &new), (&new, &old)] {
        let merged = Planned::new(Some(local), incoming);
        let listed: Vec<_> = merged.conflicts.iter().map(|c| (c.kind, c.loser, c.losing.clone())).collect();
        assert_eq!(listed, [(Insert, Stamp::BASELINE, vec![Value::Int(1), Value::Int(2)])]);
    }
    // Whoever saw it deleted it before.
    let again = inserted(deleted(before_everything(), at(20, B)), [3, 4], at(21, B));
    assert_eq!(Planned::new(Some(&old), &again).conflicts, []);
    // But what was deleted may have been another row, inserted there as well.
    let another = inserted(deleted(new, at(21, B)), [5, 6], at(22, B));
    for (local, incoming) in [(&old, &another), (&another, &old)] {
        let merged = Planned::new(Some(local), incoming);
        let listed: Vec<_> = merged.conflicts.iter().map(|c| (c.kind, c.loser, c.losing.clone())).collect();
        assert_eq!(listed, [(Insert, Stamp::BASELINE, vec![Value::Int(1), Value::Int(2)])]);
    }
    // And then the grave of that other one takes it away.
    let gone = deleted(another, at(23, B));
    let listed: Vec<_> = Planned::new(Some(&old), &gone).conflicts.iter().map(|c| (c.kind, c.loser)).collect();
    assert_eq!(listed, [(UpdateLost, Stamp::BASELINE)]);
}

/// What an authoritative restore declared wins whatever the clocks say, and what loses is listed if nobody had seen it.
#[test]
fn what_was_declared_wins() {
    let epoch = at(50, A);
    let declared = |row: &Row, list| {
        let state = row.state.declared(epoch, 50, SiteId::new(A).unwrap());
        Row { state, values: values(list) }
    };
    let later = |row: Row| written(row, 0, 9, at(900, B));
    check(Example {
        name: "a later write by who has not met it",
        local: Some(later(known())),
        incoming: declared(&known(), [1, 2]),
        shown: Some([1, 2]),
        relation: Relation::Taken,
        effect: Effect::Update(vec![0]),
        listed: vec![(Insert, at(900, B), vec![9, 2])],
    });
    check(Example {
        name: "a write that was known where it was declared",
        local: Some(later(known())),
        incoming: declared(&later(known()), [3, 2]),
        shown: Some([3, 2]),
        relation: Relation::Taken,
        effect: Effect::Update(vec![0]),
        listed: vec![],
    });
    check(Example {
        name: "a row from before that was known there",
        local: Some(before_everything()),
        incoming: declared(&before_everything(), [3, 2]),
        shown: Some([3, 2]),
        relation: Relation::Taken,
        effect: Effect::Update(vec![0]),
        listed: vec![],
    });
    check(Example {
        name: "a later delete by who has not met it",
        local: Some(deleted(known(), at(900, B))),
        incoming: declared(&known(), [1, 2]),
        shown: Some([1, 2]),
        relation: Relation::Taken,
        effect: Effect::Insert,
        listed: vec![(DeleteLost, at(900, B), vec![])],
    });
    check(Example {
        name: "a row that was not declared",
        local: Some(later(known())),
        incoming: Row { state: RowState::swept(epoch), values: None },
        shown: None,
        relation: Relation::Taken,
        effect: Effect::Delete,
        listed: vec![(UpdateLost, at(900, B), vec![9, 2])],
    });
}
