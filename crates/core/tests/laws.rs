//! The laws of merging, on states that really arise: histories of several sites in the simulator.
#![allow(clippy::unwrap_used, clippy::panic)]

mod simulator;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use simulator::{COUNTER, Counted, Did, Event, KEYS, Step, What, World, step, step_declaring, topologies};
use sync_core::merge::{join, merge};
use sync_core::{ColumnId, Conflict, ConflictKind, Number, Planned, Row, RowState, Stamp, Value};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Clocks, steps, and which of the four topologies brings everybody together in the end.
fn history(lineages: bool) -> impl Strategy<Value = (Vec<i64>, Vec<Step>, usize)> {
    (2..=4usize).prop_flat_map(move |n| {
        let skews = proptest::collection::vec(-30..30i64, n);
        (skews, proptest::collection::vec(step(n, lineages), 0..60), 0..4usize)
    })
}

/// The same, with declarations.
fn declaring(lineages: bool) -> impl Strategy<Value = (Vec<i64>, Vec<Step>, usize)> {
    (2..=4usize).prop_flat_map(move |n| {
        let skews = proptest::collection::vec(-30..30i64, n);
        (skews, proptest::collection::vec(step_declaring(n, lineages), 0..60), 0..4usize)
    })
}

fn run(lineages: bool, (skews, steps, topology): &(Vec<i64>, Vec<Step>, usize)) -> World {
    let mut world = World::new(skews, lineages);
    world.run(steps);
    world.settle(&topologies(skews.len())[*topology]);
    world
}

/// What decides and what is shown; a grave's remembered cells are neither.
fn content(row: Option<Row>) -> Option<(RowState, Option<Vec<Value>>)> {
    row.map(|r| {
        let live = r.state.is_live();
        let mut state = r.state;
        state.seen = Default::default();
        state.before = Default::default();
        if !live {
            state.cells.clear();
            state.sums.clear();
        }
        (state, r.values.filter(|_| live))
    })
}

/// Neither shown, nor overwritten by somebody who had seen it, nor listed.
fn is_lost(world: &World, event: &Event) -> bool {
    let shown = world.sites[0].visible().get(&event.key);
    let is_shown = match event.did {
        Did::Cell(column) => shown.is_some_and(|row| row[usize::from(column)] == event.value),
        Did::Insert | Did::Declared => true,
        Did::Delete => shown.is_none(),
    };
    let is_listed = |(key, c): &(u8, Conflict)| *key == event.key && lists(c, event);
    let here = || world.events.iter().filter(|f| f.key == event.key);
    let is_overwritten = |f: &Event| {
        let overwrites = matches!(f.did, Did::Insert | Did::Delete | Did::Declared) || f.did == event.did;
        overwrites && f.stamp > event.stamp && f.before.covers(event.stamp)
    };
    // Whatever is not declared is deleted: a delete from before lost nothing by that.
    let is_swept = event.did == Did::Delete
        && world.declared.iter().any(|d| d.epoch > event.epoch && !d.rows.contains_key(&event.key));
    let stands_for = |f: &Event| (event.did, f.did) == (Did::Delete, Did::Delete) && same_delete(world, f, event);
    !(is_shown || is_swept || world.conflicts().any(is_listed) || here().any(is_overwritten) || here().any(stands_for))
}

/// Of two deletes of one row either stands for the other: the later, and one that somebody knew who inserted again.
fn same_delete(world: &World, other: &Event, event: &Event) -> bool {
    let known = |f: &Event| f.key == other.key && f.did == Did::Insert && f.before.covers(other.stamp);
    (other.epoch, other.stamp) > (event.epoch, event.stamp)
        || other.lineage == event.lineage && world.events.iter().any(known)
}

fn lists(conflict: &Conflict, event: &Event) -> bool {
    match (conflict.kind, event.did) {
        (ConflictKind::DeleteLost, Did::Delete) => conflict.loser == event.stamp,
        (ConflictKind::Cell(c), Did::Cell(column)) => c == column && conflict.losing == [event.value.clone()],
        (ConflictKind::Insert | ConflictKind::UpdateLost, Did::Cell(column)) => {
            conflict.losing.get(usize::from(column)) == Some(&event.value)
        }
        _ => false,
    }
}

fn column(kind: ConflictKind) -> Option<ColumnId> {
    match kind {
        ConflictKind::Cell(column) => Some(column),
        _ => None,
    }
}

fn check_convergence(world: &World) {
    for site in &world.sites[1..] {
        assert_eq!(site.visible(), world.sites[0].visible(), "sites show different data");
        for key in 0..KEYS {
            assert_eq!(content(site.row(key)), content(world.sites[0].row(key)), "key {key}");
        }
    }
}

fn check_nothing_lost(world: &World) {
    for event in &world.events {
        assert!(!is_lost(world, event), "vanished: {event:#?}");
    }
}

/// Every row that is there shows its base and all that was added to it since, wherever. (A base can be forgotten: a site that
/// deletes a row keeps none.)
fn check_counters(world: &World) {
    for (key, values) in world.sites[0].visible() {
        let state = world.sites[0].row(*key).unwrap().state;
        let own = || world.counted.iter().filter(|(k, lineage, _)| (*k, *lineage) == (*key, state.lineage()));
        let added = own().filter_map(|(.., c)| if let Counted::Added(n) = c { Some(*n) } else { None });
        let based = |(.., counted): &(u8, (Stamp, Stamp), Counted)| match counted {
            Counted::Based(stamp, number) if *stamp == state.cell(COUNTER) => Some(*number),
            _ => None,
        };
        let from_before = Number::new(i128::from(*key) * 10 + i128::from(COUNTER), 0).unwrap();
        let base = own().find_map(based).unwrap_or(from_before);
        let expected = added.fold(base, Number::plus);
        assert_eq!(Number::of(&values[usize::from(COUNTER)]), Some(expected), "the counter of key {key}");
    }
}

/// What is shown in the end is what was declared last, or was written by somebody who had met that.
fn check_declared(world: &World) {
    let Some(last) = world.declared.iter().max_by_key(|d| d.epoch) else { return };
    let since = |key: u8| world.events.iter().filter(move |e| e.key == key && e.epoch == last.epoch);
    for site in &world.sites {
        assert_eq!(site.epoch, last.epoch, "somebody has not met it");
        for (key, values) in site.visible() {
            for column in 0..COUNTER {
                let value = &values[usize::from(column)];
                let is_declared = last.rows.get(key).is_some_and(|row| row[usize::from(column)] == *value);
                let is_later = since(*key).any(|e| e.did == Did::Cell(column) && e.value == *value);
                assert!(is_declared || is_later, "key {key}, column {column}: {value:?} is from before");
            }
        }
        for key in last.rows.keys().filter(|key| !site.visible().contains_key(key)) {
            assert!(since(*key).any(|e| e.did == Did::Delete), "key {key} was declared, and is gone");
        }
    }
}

/// A site notices a conflict once: under one id, one value is set aside. Where a row was deleted or its key inserted again,
/// a write can lose, come back with the row and lose again; the conflict list has one entry for both, as their ids are equal.
fn check_noticed_once(world: &World) {
    let ends = |event: &&Event| event.did == Did::Delete || event.did == Did::Insert;
    let returns: BTreeSet<u8> = world.events.iter().filter(ends).map(|event| event.key).collect();
    let mut known: BTreeMap<_, &Conflict> = BTreeMap::new();
    for site in &world.sites {
        let mut here = BTreeSet::new();
        for (key, conflict) in &site.noticed {
            let id = (*key, column(conflict.kind), conflict.loser, conflict.losing.clone());
            assert!(here.insert(id.clone()) || returns.contains(key), "noticed twice at one site: {conflict:#?}");
            let first = known.entry(id).or_insert(conflict);
            let same_winner = first.winner == conflict.winner && column(first.kind).is_some();
            assert!(!same_winner || first.winning == conflict.winning, "one id, two winners");
        }
    }
}

proptest! {
    #![proptest_config(config(1_500))]

    #[test]
    fn all_sites_end_with_the_same_rows(history in history(true)) {
        let world = run(true, &history);
        check_convergence(&world);
        check_counters(&world);
    }

    #[test]
    fn nothing_vanishes_without_a_later_writer_who_saw_it_or_an_entry_in_the_list(history in history(false)) {
        let world = run(false, &history);
        check_convergence(&world);
        check_counters(&world);
        check_nothing_lost(&world);
        check_noticed_once(&world);
    }

    #[test]
    fn nothing_vanishes_where_keys_are_inserted_again(history in history(true)) {
        let world = run(true, &history);
        check_nothing_lost(&world);
        check_noticed_once(&world);
    }

    #[test]
    fn what_is_declared_wins_over_all_that_has_not_met_it(history in declaring(true)) {
        let world = run(true, &history);
        check_convergence(&world);
        check_declared(&world);
        check_counters(&world);
    }

    #[test]
    fn what_loses_against_a_declaration_is_listed(history in declaring(false)) {
        let world = run(false, &history);
        check_convergence(&world);
        check_nothing_lost(&world);
    }

    #[test]
    fn merging_is_commutative_associative_and_idempotent(history in declaring(true), pick in any::<[u16; 3]>()) {
        let (skews, steps, _) = &history;
        let mut world = World::new(skews, true);
        world.run(steps);
        for key in 0..KEYS {
            let mut rows: Vec<Row> = world.sites.iter().filter_map(|s| s.row(key)).collect();
            rows.extend(world.messages.iter().filter(|(k, _)| *k == key).map(|(_, r)| r.clone()));
            if rows.is_empty() {
                continue;
            }
            let [a, b, c] = pick.map(|i| &rows[usize::from(i) % rows.len()]);
            laws(a, b, c);
        }
    }
}

/// A value loses, the row is deleted where that was noticed, and another site's later write brings the row back with it.
#[test]
fn a_value_that_came_back_with_its_row_may_lose_again() {
    let write = |site, what, after| Step::Write { site, key: 1, what, after };
    let steps = vec![
        write(0, What::Update(2), 0),
        write(1, What::Update(2), 0),
        Step::Send { from: 1, to: 0, cut: None, backwards: false },
        write(1, What::Update(0), 0),
        write(0, What::Delete, 0),
        write(2, What::Update(2), 1),
    ];
    let world = run(false, &(vec![0, -4, 0], steps, 1));
    let times = world.sites[0].noticed.iter().filter(|(_, c)| c.losing == [Value::Int(106)]).count();
    assert_eq!(times, 2, "against the first value and against the later write");
    check_convergence(&world);
    check_nothing_lost(&world);
    check_noticed_once(&world);
}

fn laws(a: &Row, b: &Row, c: &Row) {
    for local in [None, Some(b)] {
        assert_eq!(Planned::taking(local, a.clone()), Planned::new(local, a), "given away or not");
    }
    assert_eq!(join(&a.state, &a.state), a.state);
    assert_eq!(join(&a.state, &b.state), join(&b.state, &a.state));
    assert_eq!(join(&join(&a.state, &b.state), &c.state), join(&a.state, &join(&b.state, &c.state)));
    let merged = |a: &Row, b: &Row| merge(a, b).row;
    assert_eq!(content(Some(merged(a, a))), content(Some(a.clone())));
    assert_eq!(content(Some(merged(a, b))), content(Some(merged(b, a))));
    let (left, right) = (merged(&merged(a, b), c), merged(a, &merged(b, c)));
    assert_eq!(content(Some(left)), content(Some(right)));
    let conflicts = |a: &Row, b: &Row| {
        let mut all = merge(a, b).conflicts;
        all.sort_by_key(|c| (c.kind, c.loser));
        all
    };
    assert_eq!(conflicts(a, b), conflicts(b, a), "both sides notice the same");
}
