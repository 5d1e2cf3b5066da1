use super::*;
use crate::schema::{Column, Table};

fn column(name: &str, sql_type: &str, kind: Kind) -> Column {
    let definition = String::new();
    Column { name: name.into(), sql_type: sql_type.into(), kind, nullable: true, generated: false, definition }
}

fn table(columns: Vec<Column>) -> (Table, Registered) {
    let names = columns.iter().map(|c| c.name.clone()).collect();
    let registered = Registered { number: 7, name: "t".into(), columns: names, key: vec![columns[0].name.clone()] };
    let table = Table::plain("t", columns, vec![0]);
    (table, registered)
}

fn update_of(columns: Vec<Column>, flavour: Flavour) -> String {
    let (table, registered) = table(columns);
    capture(flavour, &table, &registered)[1].body.clone()
}

#[test]
fn names_and_events() {
    let (table, registered) = table(vec![column("id", "int", Kind::Integer)]);
    let made: Vec<_> = capture(Flavour::MySql, &table, &registered).map(|t| (t.name, t.event)).into();
    let expected = [("server_sync_7_ai", "INSERT"), ("server_sync_7_au", "UPDATE"), ("server_sync_7_ad", "DELETE")];
    assert_eq!(made, expected.map(|(n, e)| (n.to_owned(), e)));
}

#[test]
fn text_is_compared_by_bytes_labels_by_position() {
    let body = update_of(
        vec![
            column("id", "int", Kind::Integer),
            column("a`b", "varchar(9)", Kind::Text),
            column("e", "enum('a')", Kind::Text),
        ],
        Flavour::MariaDb,
    );
    // The last column is the first digit.
    let digits = "CONCAT(CAST(NEW.`e` AS UNSIGNED) <=> CAST(OLD.`e` AS UNSIGNED), \
        CAST(NEW.`a``b` AS BINARY) <=> CAST(OLD.`a``b` AS BINARY), NEW.`id` <=> OLD.`id`)";
    assert!(body.contains(&format!("7 ^ COALESCE(CONV({digits}, 2, 10), 0);")), "{body}");
}

#[test]
fn only_mysql_compares_instants_through_unix_time() {
    let columns = || vec![column("id", "int", Kind::Integer), column("t", "timestamp(6)", Kind::Exact)];
    assert!(update_of(columns(), Flavour::MySql).contains("UNIX_TIMESTAMP(NEW.`t`)"));
    assert!(!update_of(columns(), Flavour::MariaDb).contains("UNIX_TIMESTAMP"));
}

#[test]
fn more_than_32_columns_need_more_words() {
    let columns: Vec<Column> = (0..70).map(|i| column(&format!("c{i}"), "int", Kind::Integer)).collect();
    let body = update_of(columns, Flavour::MySql);
    assert!(body.contains("DECLARE w1 INT UNSIGNED DEFAULT 4294967295 ^ COALESCE(CONV(CONCAT(NEW.`c63` <=>"), "{body}");
    assert!(body.contains("DECLARE w2 INT UNSIGNED DEFAULT 63 ^ COALESCE(CONV(CONCAT(NEW.`c69` <=>"), "{body}");
    assert!(body.contains("ELSEIF w0 OR w1 OR w2 THEN"));
    assert!(body.contains("(id, op, at, b0, b1, b2, k0)"));
}

#[test]
fn a_table_whose_columns_are_all_generated_but_the_key_still_works() {
    let mut generated = column("g", "int", Kind::Integer);
    generated.generated = true;
    let body = update_of(vec![column("id", "int", Kind::Integer), generated], Flavour::MySql);
    assert!(!body.contains("`g`"));
}

#[test]
fn words_by_id() {
    let columns: Vec<String> = (0..40).map(|i| format!("c{i}")).collect();
    let registered = Registered { number: 1, name: "t".into(), columns, key: vec![] };
    assert_eq!(words(&registered, ["c0", "c33", "gone"]), [1, 2]);
}
