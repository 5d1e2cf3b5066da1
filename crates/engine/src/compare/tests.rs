use std::collections::BTreeMap;

use proptest::prelude::*;
use sync_core::{Incarnation, Row, RowState, SiteId, Source, Stamp, StoreId};
use sync_store::{Change, TableHead};

use super::*;

/// Rows by key: two columns after the key.
type Table = BTreeMap<Vec<Value>, [Value; 2]>;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        (-2..3i64).prop_map(Value::Int),
        "[aA]{0,2}".prop_map(Value::Text),
        proptest::collection::vec(0..2u8, 0..2).prop_map(Value::Bytes),
    ]
}

fn key() -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![
        4 => (0..40i64).prop_map(|n| vec![Value::Int(n)]),
        1 => ("[aA]{1,3}", 0..2i64).prop_map(|(s, n)| vec![Value::Text(s), Value::Int(n)]),
        1 => (0..3usize).prop_map(|n| vec![Value::Text("long".repeat(20 + n))]),
    ]
}

fn table() -> impl Strategy<Value = Table> {
    proptest::collection::btree_map(key(), [value(), value()], 0..30)
}

/// Batches of a few rows; the columns forwards or backwards, and a grave in each.
fn batches(table: &Table, backwards: bool, size: usize) -> Vec<Batch> {
    let source = Source { store: StoreId(1), incarnation: Incarnation(1) };
    let names = if backwards { ["b", "a"] } else { ["a", "b"] };
    let head = TableHead { name: "t".into(), columns: names.map(str::to_owned).to_vec() };
    let rows: Vec<_> = table.iter().collect();
    let batch = |rows: &[(&Vec<Value>, &[Value; 2])]| {
        let mut batch = Batch::empty(source);
        let table = batch.head(&head);
        for (key, [a, b]) in rows {
            let values = if backwards { vec![b.clone(), a.clone()] } else { vec![a.clone(), b.clone()] };
            let row = Row { state: RowState::baseline(), values: Some(values) };
            batch.changes.push(Change { table, key: (*key).clone(), row });
        }
        let mut state = RowState::baseline();
        state.delete(Stamp::at(9, SiteId::new(1).unwrap()));
        batch.changes.push(Change { table, key: vec![Value::Int(1_000)], row: Row { state, values: None } });
        batch
    };
    rows.chunks(size).map(batch).collect()
}

fn found(master: &Table, slave: &Table, backwards: bool, size: usize) -> Differences {
    let mut spool = Spool::new().unwrap();
    batches(master, false, size).iter().for_each(|b| spool.add(Side::Master, b).unwrap());
    batches(slave, backwards, size).iter().for_each(|b| spool.add(Side::Slave, b).unwrap());
    let mut all = Differences::default();
    let collect = |part: Differences| {
        all.differing.extend(part.differing);
        all.only_master.extend(part.only_master);
        all.only_slave.extend(part.only_slave);
        Ok(())
    };
    spool.compare(collect).unwrap();
    [&mut all.differing, &mut all.only_master, &mut all.only_slave].into_iter().for_each(|list| list.sort());
    all
}

fn truth(master: &Table, slave: &Table) -> Differences {
    let keys = |table: &Table, wanted: &dyn Fn(&Vec<Value>) -> bool| -> Vec<Vec<Value>> {
        table.keys().filter(|k| wanted(k)).cloned().collect()
    };
    Differences {
        differing: keys(master, &|k| slave.get(k).is_some_and(|row| *row != master[k])),
        only_master: keys(master, &|k| !slave.contains_key(k)),
        only_slave: keys(slave, &|k| !master.contains_key(k)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn finds_exactly_what_differs(master in table(), slave in table(), backwards in any::<bool>(), size in 1..9usize) {
        prop_assert_eq!(found(&master, &slave, backwards, size), truth(&master, &slave));
    }

    #[test]
    fn one_changed_cell_is_found(master in table(), at in any::<prop::sample::Index>(), to in value(), backwards in any::<bool>()) {
        prop_assume!(!master.is_empty());
        let mut slave = master.clone();
        let key = master.keys().nth(at.index(master.len())).unwrap();
        slave.get_mut(key).unwrap()[1] = to;
        prop_assert_eq!(found(&master, &slave, backwards, 5), truth(&master, &slave));
    }
}

#[test]
fn equal_tables_differ_in_nothing() {
    let table: Table = (0..2_000).map(|n| (vec![Value::Int(n)], [Value::Int(n), Value::Null])).collect();
    assert_eq!(found(&table, &table, true, 512), Differences::default());
}
