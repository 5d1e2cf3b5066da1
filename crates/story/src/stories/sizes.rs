//! Big values and many of them, in batches of bounded weight.

use sync_engine::round;

use super::PAIR;
use crate::faulty::Watched;
use crate::{Bench, BenchSite, Network};

const MIB: usize = 1 << 20;

/// A round; gives the weight of the heaviest batch that the slave received.
fn heaviest(network: &mut Network<impl BenchSite>) -> usize {
    let options = network.options(1);
    let (master, slave) = network.two(0, 1);
    let mut watched = Watched::new(slave.store(), |_| Ok(()));
    let result = round(master.store(), &mut watched, &options, &mut ());
    assert!(result.is_ok(), "{result:?}");
    watched.heaviest
}

/// 8 MiB in one cell.
pub fn a_big_value(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    let big = bench.speech().repeat(8 * MIB);
    network.round(0, 1);
    for id in 1..=3 {
        network.app(0, &format!("INSERT INTO doc (id, body, words) VALUES ({id}, {big}, 'small')"));
    }
    let weight = heaviest(&mut network);
    assert!((8 * MIB..10 * MIB).contains(&weight), "{weight}");
    network.app(1, "UPDATE doc SET words='changed' WHERE id=2");
    network.app(0, &format!("UPDATE doc SET body={} WHERE id=2", bench.speech().repeat(8 * MIB - 1)));
    network.finish(&PAIR);
    network.shows("SELECT id, LENGTH(body), words FROM doc WHERE id=2", &["2|8388607|changed"]);
}

/// 1,000 rows of 50,000 characters: ten times what may travel at once.
pub fn much_text(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    let text = bench.speech().repeat(50_000);
    for block in 0..10 {
        let rows: Vec<String> = (0..50).map(|i| format!("({}, {text})", block * 50 + i)).collect();
        network.app(0, &format!("INSERT INTO doc (id, words) VALUES {}", rows.join(", ")));
    }
    network.prepare();
    let weight = heaviest(&mut network);
    assert!(weight < 5 * MIB, "first contact: {weight}");
    for block in 10..20 {
        let rows: Vec<String> = (0..50).map(|i| format!("({}, {text})", block * 50 + i)).collect();
        network.app(0, &format!("INSERT INTO doc (id, words) VALUES {}", rows.join(", ")));
    }
    let weight = heaviest(&mut network);
    assert!(weight < 5 * MIB, "stream: {weight}");
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*) FROM doc WHERE LENGTH(words)=50000", &["1000"]);
}

/// Deleted rows that a site remembers travel in bounded batches too.
pub fn big_values_in_graves(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let text = bench.speech().repeat(500_000);
    for id in 0..40 {
        network.app(2, &format!("INSERT INTO doc (id, words) VALUES ({id}, {text})"));
    }
    // Site 0 has the rows and applies their deletes, so it remembers them.
    network.settle(&[(0, 2)]);
    network.app(2, "DELETE FROM doc");
    network.settle(&[(0, 2)]);
    let weight = heaviest(&mut network);
    assert!(weight < 5 * MIB, "{weight}");
    network.finish(&[(0, 1), (1, 2)]);
}

/// Two filled sites that differ: what a compare exchanges comes in bounded batches too.
pub fn big_values_compared(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    let text = bench.speech().repeat(500_000);
    for id in 0..30 {
        network.app(0, &format!("INSERT INTO doc (id, words) VALUES ({id}, {text})"));
    }
    for id in 15..45 {
        network.app(1, &format!("INSERT INTO doc (id, words, body) VALUES ({id}, {text}, 'x')"));
    }
    network.prepare();
    let weight = heaviest(&mut network);
    assert!(weight < 5 * MIB, "{weight}");
    network.finish(&PAIR);
    network.shows("SELECT COUNT(*) FROM doc", &["45"]);
}
