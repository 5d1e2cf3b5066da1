//! The application's own triggers.

use super::PAIR;
use crate::{Bench, Network};

/// They run where a row is written; what they did arrives as rows.
pub fn fire_where_written_only(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO local_place (name) VALUES ('here')");
    network.app(1, "INSERT INTO local_place (name) VALUES ('there')");
    network.app(0, "INSERT INTO invoice (id, total) VALUES (1, 10)");
    network.app(1, "INSERT INTO invoice (id, total) VALUES (2, 20)");
    network.round(0, 1);
    network.app(0, "UPDATE invoice SET total=21 WHERE id=2");
    network.app(1, "REPLACE INTO invoice (id, total) VALUES (1, 11)");
    network.finish(&PAIR);
    network.shows("SELECT invoice, place FROM audit ORDER BY invoice, place", &["1|here", "1|there", "2|there"]);
    network.shows("SELECT id, total FROM invoice ORDER BY id", &["1|11", "2|21"]);
}
