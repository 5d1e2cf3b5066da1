use super::*;
use crate::schema::{Column, Kind};

fn table(name: &str, columns: &[&str], key: usize) -> Table {
    let column = |name: &&str| Column {
        name: (*name).to_owned(),
        sql_type: "int".into(),
        kind: Kind::Integer,
        nullable: true,
        generated: false,
        definition: String::new(),
    };
    let columns = columns.iter().map(column).collect();
    Table::plain(name, columns, (0..key).collect())
}

fn foreign_key(child: &str, columns: &[&str], parent: &str, to: &[&str], actions: (Action, Action)) -> ForeignKey {
    let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    ForeignKey {
        child: child.into(),
        columns: list(columns),
        parent: parent.into(),
        parent_columns: list(to),
        on_delete: actions.0,
        on_update: actions.1,
    }
}

const BOTH: (Action, Action) = (Action::Cascade, Action::Cascade);

fn bodies(tables: Vec<Table>, foreign_keys: Vec<ForeignKey>) -> Vec<(String, String)> {
    let register = |(i, t): (usize, &Table)| Registered {
        number: i as u16 + 1,
        name: t.name.clone(),
        columns: t.columns.iter().map(|c| c.name.clone()).collect(),
        key: t.key_columns().map(|c| c.name.clone()).collect(),
    };
    let registered: Vec<Registered> = tables.iter().enumerate().map(register).collect();
    let schema = Schema { tables, foreign_keys, triggers: vec![] };
    wanted(Flavour::MySql, &schema, &registered).into_iter().map(|w| (w.name, w.body)).collect()
}

#[test]
fn nothing_for_keys_that_restrict() {
    let restrict = (Action::Restrict, Action::Restrict);
    let keys = vec![foreign_key("c", &["p"], "p", &["id"], restrict)];
    assert_eq!(bodies(vec![table("c", &["id", "p"], 1), table("p", &["id"], 1)], keys), []);
}

#[test]
fn a_delete_goes_down_two_levels() {
    let tables = vec![table("p", &["id"], 1), table("c", &["id", "p"], 1), table("d", &["id", "c"], 1)];
    let keys = vec![
        foreign_key("c", &["p"], "p", &["id"], (Action::Cascade, Action::Restrict)),
        foreign_key("d", &["c"], "c", &["id"], (Action::Cascade, Action::Restrict)),
    ];
    let made = bodies(tables, keys);
    assert_eq!(made[0].0, "server_sync_1_bd");
    let expected = "SELECT UUID_SHORT(), 3, UTC_TIMESTAMP(6), x2.`id` FROM `c` x1 JOIN `d` x2 \
                    WHERE x1.`p` = OLD.`id` AND x2.`c` = x1.`id` LOCK IN SHARE MODE";
    assert!(made[0].1.contains(expected), "{}", made[0].1);
}

#[test]
fn an_update_of_a_key_part_moves_the_child() {
    let tables = vec![table("p", &["id"], 1), table("c", &["p", "n"], 2), table("d", &["id", "cp", "cn"], 1)];
    let keys =
        vec![foreign_key("c", &["p"], "p", &["id"], BOTH), foreign_key("d", &["cp", "cn"], "c", &["p", "n"], BOTH)];
    let made = bodies(tables, keys);
    let update = &made.iter().find(|(name, _)| name == "server_sync_1_bu").unwrap().1;
    assert!(update.contains("SELECT UUID_SHORT(), 3, UTC_TIMESTAMP(6), x1.`p`, x1.`n` FROM"), "{update}");
    assert!(update.contains("SELECT UUID_SHORT(), 1, UTC_TIMESTAMP(6), NEW.`id`, x1.`n` FROM"), "{update}");
    // Only the column that changes, not the whole foreign key.
    assert!(update.contains("SELECT UUID_SHORT(), 2, UTC_TIMESTAMP(6), 2, x2.`id` FROM"), "{update}");
}

#[test]
fn setting_null_goes_on_as_an_update() {
    let tables = vec![table("p", &["id"], 1), table("c", &["id", "p"], 1), table("d", &["id", "cp"], 1)];
    let keys = vec![
        foreign_key("c", &["p"], "p", &["id"], (Action::SetNull, Action::Restrict)),
        foreign_key("d", &["cp"], "c", &["p"], (Action::Restrict, Action::Cascade)),
    ];
    let made = bodies(tables, keys);
    let delete = &made.iter().find(|(name, _)| name == "server_sync_1_bd").unwrap().1;
    assert!(delete.contains("2, UTC_TIMESTAMP(6), 2, x1.`id` FROM `c` x1"), "{delete}");
    assert!(delete.contains("2, UTC_TIMESTAMP(6), 2, x2.`id` FROM `c` x1 JOIN `d` x2"), "{delete}");
}

#[test]
fn a_table_that_refers_to_itself_is_walked_by_a_query() {
    let keys = vec![foreign_key("p", &["up"], "p", &["id"], (Action::Cascade, Action::Restrict))];
    let made = bodies(vec![table("p", &["id", "up"], 1)], keys);
    assert!(made[0].1.contains("WITH RECURSIVE") && !made[0].1.contains("x2"), "{}", made[0].1);
}

#[test]
fn updates_never_come_back() {
    let keys = vec![
        foreign_key("a", &["x"], "b", &["x"], BOTH),
        foreign_key("b", &["x"], "a", &["x"], BOTH),
        foreign_key("a", &["x"], "a", &["id"], BOTH),
    ];
    let made = bodies(vec![table("a", &["id", "x"], 1), table("b", &["id", "x"], 1)], keys);
    assert!(made.iter().all(|(_, body)| body.len() < 20_000));
}

#[test]
fn a_lattice_of_tables_does_not_explode() {
    let tables: Vec<Table> = (0..20).map(|i| table(&format!("t{i}"), &["id", "a", "b"], 1)).collect();
    let mut keys = Vec::new();
    for i in 1..20 {
        for column in ["a", "b"] {
            let (child, parent) = (format!("t{i}"), format!("t{}", i - 1));
            keys.push(foreign_key(&child, &[column], &parent, &["id"], (Action::Cascade, Action::Restrict)));
        }
    }
    let made = bodies(tables, keys);
    assert!(made.iter().all(|(_, body)| body.len() < 400_000), "{:?}", made.iter().map(|m| m.1.len()).max());
}

#[test]
fn nor_do_updates_in_one() {
    let tables: Vec<Table> = (0..15).map(|i| table(&format!("t{i}"), &["id", "a", "b"], 1)).collect();
    let mut keys = Vec::new();
    for i in 1..15 {
        for column in ["a", "b"] {
            let (child, parent) = (format!("t{i}"), format!("t{}", i - 1));
            keys.push(foreign_key(&child, &[column], &parent, &["a"], BOTH));
            keys.push(foreign_key(&child, &[column], &parent, &["b"], BOTH));
        }
    }
    let made = bodies(tables, keys);
    assert!(made.iter().all(|(_, body)| body.len() < 400_000), "{:?}", made.iter().map(|m| m.1.len()).max());
    let first = &made.iter().find(|(name, _)| name == "server_sync_1_bu").unwrap().1;
    assert!(first.contains("IF NOT") && first.contains("VALUES (UUID_SHORT(), 15, 4"), "{first}");
}

#[test]
fn parents_that_are_not_synchronised_have_triggers_too() {
    let schema = Schema {
        tables: vec![table("c", &["id", "p"], 1), table("p", &["id"], 0)],
        foreign_keys: vec![foreign_key("c", &["p"], "p", &["id"], BOTH)],
        triggers: vec![],
    };
    let registered =
        [Registered { number: 1, name: "c".into(), columns: vec!["id".into(), "p".into()], key: vec!["id".into()] }];
    let made = wanted(Flavour::MariaDb, &schema, &registered);
    assert_eq!(made.len(), 2);
    assert!(made.iter().all(|w| w.name.starts_with("server_sync_h") && w.name.len() < 40), "{made:?}");
}
