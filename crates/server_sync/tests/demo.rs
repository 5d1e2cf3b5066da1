//! The demo: no server, no settings, and everything it says is true.
#![allow(clippy::unwrap_used)]

mod support;

use support::run;

#[test]
fn it_ends_with_two_equal_sites() {
    run(&["demo"]).says(
        0,
        &[
            "Head of purchasing",
            "+41 22 555 01 77",
            "both wrote",
            "set aside",
            "put back: 12500",
            "All 13 tables are equal",
        ],
    );
    run(&["demo", "--lang", "fr"]).says(0, &["Genève a écrit", "mise de côté", "Les 13 tables sont égales"]);
}

#[test]
fn programs_can_check_the_proof() {
    let said = run(&["demo", "-json"]).expect(0);
    let tables = said.json("demo_table");
    assert_eq!(tables.len(), 13);
    assert!(tables.iter().all(|t| t["equal"] == true && t["geneva"] == t["lyon"]));
    assert_eq!(said.json("round").len(), 4);
    let cells = said.json("demo_cell");
    assert!(cells.len() > 5 && cells.iter().all(|c| c["geneva_now"] == c["lyon_now"]), "{cells:?}");
    assert!(said.json("conflict").iter().any(|c| c["restored"] == true));
}

#[test]
fn colours_only_where_they_are_wanted() {
    assert!(!run(&["demo"]).out.contains('\x1b'));
    assert!(run(&["demo", "--color", "always"]).out.contains("\x1b[32m"));
}
