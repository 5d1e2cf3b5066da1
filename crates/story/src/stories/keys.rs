//! Keys of every kind.

use super::PAIR;
use crate::{Bench, Network};

/// A key of two columns, whose parts change.
pub fn composite(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO membership (person, team, role) VALUES (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c')");
    network.round(0, 1);
    network.app(1, "UPDATE membership SET role='B' WHERE person=1 AND team=2");
    network.app(1, "UPDATE membership SET team=3 WHERE person=1 AND team=1");
    network.app(0, "DELETE FROM membership WHERE person=2");
    network.finish(&PAIR);
    network.shows("SELECT person, team, role FROM membership ORDER BY team", &["1|2|B", "1|3|a"]);
}

/// Bytes, among them zero and ones that are not text.
pub fn binary(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(
        0,
        "INSERT INTO token (id, label) VALUES (x'00000000000000000000000000000000', 'zero'), \
         (x'ffffffffffffffffffffffffffffffff', 'ones'), (x'27005c22c3a90a0d1a00000000000025', 'quotes')",
    );
    network.round(0, 1);
    network.app(1, "UPDATE token SET label='changed' WHERE label='ones'");
    network.app(0, "DELETE FROM token WHERE label='zero'");
    network.finish(&PAIR);
    network.shows("SELECT label FROM token ORDER BY label", &["changed", "quotes"]);
}

/// `abc` becomes `ABC`: for the schema the same key, for us another row.
pub fn text_differing_in_case(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO word (word, meaning) VALUES ('abc', 'letters'), ('été', 'summer')");
    network.round(0, 1);
    network.app(1, "UPDATE word SET word='ABC' WHERE word='abc'");
    network.round(0, 1);
    network.shows("SELECT word, meaning FROM word WHERE meaning='letters'", &["ABC|letters"]);
    network.app(0, "UPDATE word SET word='Abc', meaning='three' WHERE word='abc'");
    network.finish(&PAIR);
    network.shows("SELECT word FROM word WHERE meaning='three'", &["Abc"]);
    network.app(1, "DELETE FROM word WHERE word='abc'");
    network.app(1, "INSERT INTO word (word, meaning) VALUES ('aBC', 'again')");
    network.finish(&PAIR);
    network.shows("SELECT word FROM word WHERE meaning='again'", &["aBC"]);
}

/// A key that changes is a delete and an insert, also where the other site changes the row meanwhile.
pub fn updated(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'one'), (2, 'two'), (3, 'three')");
    network.round(0, 1);
    network.app(0, "UPDATE person SET id=11, name='eleven' WHERE id=1");
    network.app(1, "UPDATE person SET id=22 WHERE id=2");
    network.round(0, 1);
    network.shows("SELECT id, name FROM person ORDER BY id", &["3|three", "11|eleven", "22|two"]);
    network.app(0, "UPDATE person SET id=33 WHERE id=3");
    network.later(1, "UPDATE person SET age=3 WHERE id=3");
    network.finish(&PAIR);
    network.shows("SELECT id, name, age FROM person WHERE name='three' ORDER BY id", &["3|three|3", "33|three|NULL"]);
}

/// Both sites change the case of one key: two rows that the schema takes for one. When one goes, the other is shown.
pub fn swapped_case_at_both_sites(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO word (word, meaning) VALUES ('abc', 'letters')");
    network.round(0, 1);
    network.app(0, "UPDATE word SET word='Abc' WHERE word='abc'");
    network.app(1, "UPDATE word SET word='ABC' WHERE word='abc'");
    network.settle(&PAIR);
    for site in 0..2 {
        assert_eq!(network.rows(site, "SELECT COUNT(*) FROM word"), ["1"], "never none, never two");
    }
    let shown = network.rows(0, "SELECT word FROM word");
    network.app(0, "DELETE FROM word");
    network.finish(&PAIR);
    let left = network.rows(0, "SELECT word FROM word");
    assert!(left.len() == 1 && left != shown, "{left:?} after {shown:?} was deleted");
}

/// A key too long to be its own id, and one that differs from it in the last letter.
pub fn long_text(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    let long = "long ".repeat(18);
    network.app(0, &format!("INSERT INTO word (word, meaning) VALUES ('{long}a', '1'), ('{long}b', '2')"));
    network.round(0, 1);
    network.app(1, &format!("UPDATE word SET meaning='changed' WHERE word='{long}b'"));
    network.app(1, &format!("DELETE FROM word WHERE word='{long}a'"));
    network.finish(&PAIR);
    network.shows("SELECT meaning FROM word", &["changed"]);
}
