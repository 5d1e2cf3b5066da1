//! Any connected graph of sites comes to the same, and goes quiet.

use sync_engine::round;

use crate::faulty::Watched;
use crate::{Bench, BenchSite, Network};

/// Every site writes rows of its own and touches those of all.
fn work(network: &mut Network<impl BenchSite>, turn: usize) {
    for site in 0..network.sites.len() {
        let id = 100 * (turn + 1) + site;
        network.app(site, &format!("INSERT INTO person (id, name, age) VALUES ({id}, 'of {site}', {turn})"));
        network.app(site, &format!("UPDATE person SET note='{turn} at {site}' WHERE id=1"));
        network.app(site, &format!("UPDATE person SET age={id} WHERE id={}", site + 2));
        network.app(site, &format!("DELETE FROM person WHERE id={}", 10 * (turn + 1) + site));
    }
}

fn story(bench: &impl Bench, count: usize, links: &[(usize, usize)]) {
    let mut network = Network::unprepared(bench, count);
    let rows: Vec<String> = (1..60).map(|i| format!("({i}, 'row {i}')")).collect();
    network.app(0, &format!("INSERT INTO person (id, name) VALUES {}", rows.join(", ")));
    network.prepare();
    network.finish(links);
    for turn in 0..3 {
        work(&mut network, turn);
        // Not every link every time.
        for (a, b) in links.iter().skip(turn % 2) {
            network.round(*a, *b);
        }
    }
    network.finish(links);
    let gone: Vec<String> = (1..=3).map(|t| format!("{}", 10 * t)).collect();
    network.shows(&format!("SELECT COUNT(*) FROM person WHERE id IN ({})", gone.join(",")), &["0"]);
}

/// A line of three.
pub fn chain(bench: &impl Bench) {
    story(bench, 3, &[(0, 1), (1, 2)]);
}

/// A centre and three others.
pub fn star(bench: &impl Bench) {
    story(bench, 4, &[(0, 1), (0, 2), (0, 3)]);
}

/// Three in a circle, each the master of the next.
pub fn ring(bench: &impl Bench) {
    story(bench, 3, &[(0, 1), (1, 2), (2, 0)]);
}

/// Everybody with everybody.
pub fn mesh(bench: &impl Bench) {
    story(bench, 4, &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
}

/// A site that was away for more changes than fit into a few batches.
pub fn a_site_that_was_away(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let links = [(0, 1), (1, 2)];
    network.app(2, "INSERT INTO person (id, name, age) VALUES (1, 'first', 0)");
    network.finish(&links);
    for block in 0..20 {
        let rows: Vec<String> = (0..100).map(|i| format!("({}, 'r', {i})", 1000 + block * 100 + i)).collect();
        network.app(block % 2, &format!("INSERT INTO person (id, name, age) VALUES {}", rows.join(", ")));
        network.app(0, &format!("UPDATE person SET age={block} WHERE id=1"));
        network.round(0, 1);
    }
    network.app(0, "UPDATE person SET name='changed' WHERE id > 1000 AND age % 3 = 0");
    network.app(1, "DELETE FROM person WHERE id > 2800 AND age % 3 = 1");
    network.app(2, "UPDATE person SET name='mine' WHERE id=1");
    network.app(2, "INSERT INTO person (id, name) VALUES (2, 'mine too')");
    network.finish(&links);
    network.shows("SELECT id, name, age FROM person WHERE id < 1000 ORDER BY id", &["1|mine|19", "2|mine too|NULL"]);
    assert_eq!(network.conflicts(2), []);
}

/// A filled site joins a network with a history of its own.
pub fn a_site_that_joins(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 3);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'from before'), (2, 'to go'), (3, 'stays')");
    network.app(2, "INSERT INTO person (id, name) VALUES (3, 'stays'), (9, 'of the third')");
    network.prepare();
    network.finish_pair();
    network.app(1, "DELETE FROM person WHERE id=2");
    network.app(1, "UPDATE person SET age=5 WHERE id=1");
    network.finish(&[(0, 1), (1, 2)]);
    network.shows(
        "SELECT id, name, age FROM person ORDER BY id",
        &["1|from before|5", "3|stays|NULL", "9|of the third|NULL"],
    );
}

impl<S: BenchSite> Network<S> {
    /// The first two of several sites.
    fn finish_pair(&mut self) {
        self.round(0, 1);
        assert!(self.round(0, 1).is_quiet());
    }
}

/// Rows of a third site that are written again at the one in between while it passes them on: until the next round it has
/// not passed them on, and whoever asks the third site gets them.
pub fn rows_written_while_they_are_passed_on(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    let links = [(0, 1), (0, 2)];
    network.app(2, "INSERT INTO person (id, name, age) VALUES (1, 'first', 0)");
    network.finish(&links);
    const ROWS: usize = 9_000;
    for block in 0..ROWS / 1000 {
        let rows: Vec<String> = (0..1000).map(|i| format!("({}, 'of the third')", 100 + block * 1000 + i)).collect();
        network.app(2, &format!("INSERT INTO person (id, name) VALUES {}", rows.join(", ")));
    }
    network.round(0, 2);
    let mut write = network.sites[0].writer();
    let options = network.options(1);
    let (master, slave) = network.two(0, 1);
    let again = format!("UPDATE person SET age=7 WHERE id > {}", ROWS - 500);
    let mut watched = Watched::new(slave.store(), move |batch| {
        if batch == 0 {
            write(&again);
        }
        Ok(())
    });
    round(master.store(), &mut watched, &options, &mut ()).unwrap();
    drop(watched);
    let count = format!("SELECT COUNT(*) FROM person WHERE id > {}", ROWS - 500);
    let arrived = network.sites[1].rows(&count);
    assert_ne!(arrived, network.sites[2].rows(&count), "the rows were all sent before they were written again");
    network.round(2, 1);
    assert_eq!(network.sites[1].rows(&count), network.sites[2].rows(&count));
    network.finish(&links);
    network.shows("SELECT COUNT(*) FROM person WHERE age=7", &[&format!("{}", 599)]);
}
