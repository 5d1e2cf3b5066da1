//! The tree against the plain truth: sets of rows compared one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Value, key};

/// A table: integer key to hash.
type Rows = BTreeMap<i64, u64>;

fn packed(n: i64) -> Vec<u8> {
    key::pack(&[Value::Int(n)])
}

fn hash(row: (&i64, &u64)) -> u128 {
    let mut cells = Cells::new(2, vec![0]);
    cells.set(&[Value::Int(*row.0), Value::unsigned(*row.1)]);
    cells.hash()
}

fn leaves(rows: &Rows, order: Order) -> Vec<Node> {
    let (mut cutter, mut buckets) = (Cutter::default(), Buckets::default());
    for row in rows {
        match order {
            Order::Keys => drop(cutter.add(&packed(*row.0), hash(row))),
            Order::Buckets => buckets.add(&packed(*row.0), hash(row)),
        }
    }
    match order {
        Order::Keys => cutter.finish(Some(&[])),
        Order::Buckets => buckets.finish(),
    }
}

/// Whether a row lies in a span.
fn holds(span: &Span, n: i64, order: Order) -> bool {
    let place = match order {
        Order::Keys => packed(n),
        Order::Buckets => bucket(&packed(n)).to_vec(),
    };
    (span.after.is_empty() || place > span.after) && (span.upto.is_empty() || place <= span.upto)
}

/// The keys in which tables differ, found through spans, and the truth.
fn compared(ours: &Rows, theirs: &Rows, order: Order) -> (Vec<i64>, Vec<i64>, u64) {
    let (a, b) = (leaves(ours, order), leaves(theirs, order));
    let mut spans = Vec::new();
    for span in differing(&[], &supers(&a, order), &supers(&b, order)) {
        let within = |all: &[Node]| {
            let from = all.iter().position(|n| n.end == span.after).filter(|_| !span.after.is_empty());
            let upto = all.iter().position(|n| n.end == span.upto).expect("a common end");
            all[from.map_or(0, |i| i + 1)..=upto].to_vec()
        };
        spans.extend(differing(&span.after, &within(&a), &within(&b)));
    }
    let all = || ours.keys().chain(theirs.keys()).copied().collect::<std::collections::BTreeSet<_>>();
    let differs = |n: &i64| ours.get(n) != theirs.get(n);
    let is_in = |n: &i64| spans.iter().any(|s| holds(s, *n, order));
    let looked_at: Vec<i64> = all().into_iter().filter(is_in).collect();
    let scanned = looked_at.len() as u64;
    (looked_at.into_iter().filter(differs).collect(), all().into_iter().filter(differs).collect(), scanned)
}

fn table() -> impl Strategy<Value = Rows> {
    proptest::collection::btree_map(0i64..20_000, 0u64..4, 0..3_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_difference_is_in_a_span(ours in table(), changes in proptest::collection::btree_map(0i64..20_000, 0u64..5, 0..30)) {
        let mut theirs = ours.clone();
        for (key, change) in changes {
            // 4 deletes.
            if change == 4 { theirs.remove(&key); } else { theirs.insert(key, change); }
        }
        for order in [Order::Keys, Order::Buckets] {
            let (found, truth, _) = compared(&ours, &theirs, order);
            prop_assert_eq!(found, truth);
        }
    }

    #[test]
    fn unrelated_tables_too(ours in table(), theirs in table()) {
        for order in [Order::Keys, Order::Buckets] {
            let (found, truth, _) = compared(&ours, &theirs, order);
            prop_assert_eq!(found, truth);
        }
    }

    /// One side sorts its keys another way although it said otherwise: too much may be looked at, never too little.
    #[test]
    fn an_unexpected_order_hides_nothing(ours in table(), changed in 0i64..20_000) {
        let mut theirs = ours.clone();
        theirs.insert(changed, 9);
        let mut cutter = Cutter::default();
        for row in theirs.iter().rev() {
            cutter.add(&packed(*row.0), hash(row));
        }
        let spans = differing(&[], &leaves(&ours, Order::Keys), &cutter.finish(Some(&[])));
        prop_assert!(!spans.is_empty());
    }

    #[test]
    fn lists_travel_unchanged(keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..40), sum in any::<u128>()) {
        let nodes: Vec<Node> = keys.iter().map(|k| Node { end: k.clone(), rows: k.len() as u64, sum }).collect();
        let rows: Vec<RowHash> = keys.iter().map(|k| RowHash { key: k.clone(), hash: fold(sum) }).collect();
        let (packed_nodes, packed_rows) = (pack_nodes(&nodes), pack_rows(&rows));
        prop_assert_eq!(unpack_nodes(&packed_nodes).unwrap(), nodes);
        prop_assert_eq!(unpack_rows(&packed_rows).unwrap(), rows);
        for cut in 0..packed_rows.len().min(40) {
            prop_assert!(unpack_rows(&packed_rows[..cut]).is_err());
        }
    }

    #[test]
    fn keys_are_packed_as_everywhere(a in any::<i64>(), text in ".{0,20}", bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
        let values = [Value::Text(text), Value::Int(a), Value::Bytes(bytes), Value::Null];
        for key_at in [vec![1], vec![0], vec![2, 1], vec![1, 0], vec![3]] {
            let mut cells = Cells::new(values.len(), key_at.clone());
            cells.set(&values);
            let mut packed = Vec::new();
            cells.key(&mut packed);
            let key: Vec<Value> = key_at.iter().map(|i| values[*i].clone()).collect();
            prop_assert_eq!(&packed, &key::pack(&key));
            prop_assert_eq!(key::unpack(&packed).unwrap(), key);
        }
    }
}

#[test]
fn hostile_lists_are_refused() {
    for bytes in [&[][..], &[1, 5, 0, 0][..], &[1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..], &[0, 0][..]] {
        assert!(unpack_nodes(bytes).is_err() && unpack_rows(bytes).is_err());
    }
}

#[test]
fn an_even_number_of_equal_flips_is_found() {
    let ours: Rows = (0..1000).map(|n| (n, 0)).collect();
    let mut theirs = ours.clone();
    theirs.insert(500, 1);
    theirs.insert(501, 1);
    for order in [Order::Keys, Order::Buckets] {
        assert_eq!(compared(&ours, &theirs, order).0, [500, 501]);
    }
}

#[test]
fn little_is_looked_at_for_one_difference() {
    let ours: Rows = (0..100_000).map(|n| (n, 0)).collect();
    for (changed, value) in [(50_000, Some(1)), (50_001, None), (99_999, Some(1))] {
        let mut theirs = ours.clone();
        match value {
            Some(value) => drop(theirs.insert(changed, value)),
            None => drop(theirs.remove(&changed)),
        }
        for order in [Order::Keys, Order::Buckets] {
            assert!(compared(&ours, &theirs, order).2 < 1500);
        }
    }
}

#[test]
fn what_differs_in_values_differs_in_hash() {
    let long = "x".repeat(600);
    let rows = [
        [Value::Null, Value::text("")],
        [Value::text(""), Value::text("")],
        [Value::text("a"), Value::text("")],
        [Value::text("a "), Value::text("")],
        [Value::text("A"), Value::text("")],
        [Value::text(""), Value::text("a")],
        [Value::text("a#"), Value::text("b")],
        [Value::text("a"), Value::text("#b")],
        [Value::Bytes(b"a".to_vec()), Value::text("")],
        [Value::Int(0), Value::text("")],
        [Value::double(0.0), Value::text("")],
        [Value::double(-0.0), Value::text("")],
        [Value::float(0.0), Value::text("")],
        [Value::text(&long), Value::Null],
        [Value::text(format!("{long} ")), Value::Null],
        [Value::Bytes(long.clone().into_bytes()), Value::Null],
        [Value::text(format!("y{}", &long[1..])), Value::Null],
    ];
    let hashes: std::collections::HashSet<u128> = rows
        .iter()
        .map(|row| {
            let mut cells = Cells::new(2, vec![]);
            cells.set(row);
            cells.hash()
        })
        .collect();
    assert_eq!(hashes.len(), rows.len());
}
