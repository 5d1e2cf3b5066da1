//! Deletes that everybody knows are forgotten; who comes back from before that is told all the same.

use std::time::Duration;

use sync_core::{Purgeable, Registry, Stamp, Value};
use sync_engine::{Kind, Memory, Options, RoundReport};
use sync_store::Mode;

use super::constraints::parent_against_child;
use super::{PAIR, RING};
use crate::{Bench, BenchSite, Network};

/// Rows with a name: those with these numbers.
const ROWS: &str = "SELECT id, name FROM person ORDER BY id";

/// Everything is told, and nothing is kept longer than it must.
fn hasty(options: &mut Options) {
    options.graves = Memory { tell: Duration::ZERO, keep: Duration::ZERO };
}

fn registry<S: BenchSite>(network: &mut Network<S>, site: usize) -> Registry {
    network.store(site).registry().unwrap()
}

/// Whether a site has forgotten graves of its own.
fn forgot<S: BenchSite>(network: &mut Network<S>, site: usize) -> bool {
    let own = network.store(site).describe().unwrap().source;
    registry(network, site).forgotten_of(own).latest != Stamp::NEVER
}

/// Rounds over these links until these sites have forgotten the graves they had.
#[track_caller]
fn forget<S: BenchSite>(network: &mut Network<S>, links: &[(usize, usize)], sites: &[usize]) {
    for _ in 0..200 {
        links.iter().for_each(|(a, b)| drop(network.round_with(*a, *b, hasty)));
        if sites.iter().all(|site| forgot(network, *site)) {
            return;
        }
    }
    panic!("graves are never forgotten");
}

/// Somebody at a site says that another one left.
fn retire<S: BenchSite>(network: &mut Network<S>, at: usize, site: usize) {
    let store = network.store(site).describe().unwrap().source.store;
    let mut registry = registry(network, at);
    registry.retire(store, 1);
    network.store(at).register(&registry).unwrap();
}

fn says_why(report: &RoundReport, site: &str) -> bool {
    let start = format!("{site} was away, or restored");
    report.compared && report.notes.iter().any(|note| note.starts_with(&start))
}

/// A copy from before a delete is put back when nobody has the grave any more.
pub fn a_copy_from_before(bench: &impl Bench) {
    let mut network = Network::unprepared(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'from before'), (2, 'from before')");
    network.prepare();
    network.app(1, "INSERT INTO person (id, name) VALUES (3, 'early'), (4, 'early')");
    network.finish(&PAIR);
    let copy = network.sites[0].copy();
    network.app(1, "DELETE FROM person WHERE id IN (1, 3)");
    network.settle(&PAIR);
    forget(&mut network, &PAIR, &[0, 1]);
    network.sites[0].put_back(&copy);
    network.app(0, "INSERT INTO person (id, name) VALUES (5, 'on the copy')");
    network.app(0, "UPDATE person SET name='on the copy' WHERE id=4");
    let report = network.round(0, 1);
    assert!(says_why(&report, "site1"), "{:?}", report.notes);
    network.finish(&PAIR);
    network.shows(ROWS, &["2|from before", "4|on the copy", "5|on the copy"]);
    assert!(network.conflicts(0).is_empty());
    assert!(!network.round(0, 1).compared, "once is enough");
}

/// The same where what the copy has was published only after it was made: it is listed, and can be put back.
pub fn a_copy_that_nobody_knew(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'early')");
    network.finish(&PAIR);
    network.app(0, "INSERT INTO person (id, name) VALUES (2, 'not stamped in the copy')");
    let copy = network.sites[0].copy();
    network.finish(&PAIR);
    network.later(1, "DELETE FROM person WHERE id=2");
    network.settle(&PAIR);
    forget(&mut network, &PAIR, &[0, 1]);
    network.sites[0].put_back(&copy);
    network.app(0, "INSERT INTO person (id, name) VALUES (3, 'on the copy')");
    network.round(0, 1);
    network.finish(&PAIR);
    network.shows(ROWS, &["1|early", "3|on the copy"]);
    let conflict = network.only_conflict(1);
    assert_eq!(conflict.kind, "update-lost");
    network.store(1).restore(&conflict.id).unwrap();
    network.finish(&PAIR);
    network.shows(ROWS, &["1|early", "2|not stamped in the copy", "3|on the copy"]);
}

/// Nobody waits for a site that was declared to have left; when it comes back all the same, it hears of the deletes, and
/// what it wrote meanwhile is there.
pub fn a_site_that_comes_back(bench: &impl Bench) {
    let star = [(0, 1), (0, 2)];
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early'), (3, 'early')");
    network.app(2, "INSERT INTO person (id, name) VALUES (4, 'of the third')");
    network.finish(&star);
    network.app(1, "DELETE FROM person WHERE id <> 2");
    for _ in 0..10 {
        network.round_with(0, 1, hasty);
    }
    assert!(!forgot(&mut network, 0) && !forgot(&mut network, 1), "the third does not know yet");
    retire(&mut network, 0, 2);
    forget(&mut network, &PAIR, &[0, 1]);
    network.app(2, "UPDATE person SET name='changed' WHERE id=3");
    network.app(2, "INSERT INTO person (id, name) VALUES (5, 'written meanwhile')");
    let report = network.round(1, 2);
    assert!(says_why(&report, "site3"), "{:?}", report.notes);
    network.finish(&star);
    network.shows(ROWS, &["2|early", "3|changed", "5|written meanwhile"]);
    assert!(registry(&mut network, 1).counted().count() == 3, "it takes part again");
}

/// A site has a row of a first round that broke. Meanwhile the row was deleted, and the grave is forgotten where the site comes
/// next: there it is a new row, and so it is where the grave still is.
pub fn a_row_of_a_broken_round(bench: &impl Bench) {
    let mut network = Network::new(bench, 3);
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early')");
    network.settle(&[(1, 0)]);
    let (batch, _) = network.store(1).rows("person", &[vec![Value::Int(1)]]).unwrap();
    network.store(2).apply(&batch, Mode::Write).unwrap();
    network.app(0, "DELETE FROM person WHERE id=1");
    network.settle(&[(1, 0)]);
    let upto = network.store(0).describe().unwrap().head.seq;
    let dropped = network.store(0).purge(&Purgeable { upto, except: Default::default() }, u64::MAX).unwrap();
    assert!(dropped == 1 && !forgot(&mut network, 1));
    network.finish(&[(0, 2), (2, 1), (1, 0)]);
    network.shows(ROWS, &["1|early", "2|early"]);
}

/// A site that was filled when graves were forgotten already tells others what it does not know itself.
pub fn by_way_of_a_new_site(bench: &impl Bench) {
    let mut network = Network::new(bench, 4);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early')");
    network.settle(&[(0, 1), (0, 2)]);
    let copy = network.sites[2].copy();
    network.app(1, "DELETE FROM person WHERE id=1");
    network.settle(&[(0, 1), (0, 2)]);
    forget(&mut network, &[(0, 1), (0, 2)], &[0, 1, 2]);
    network.settle(&[(1, 3)]);
    network.sites[2].put_back(&copy);
    network.round(3, 2);
    network.finish(&[(0, 1), (1, 3), (3, 2)]);
    network.shows(ROWS, &["2|early"]);
}

/// A restored site first meets one that nobody knows: that hands on what it had from it, and the others have forgotten the grave.
pub fn handed_on_by_a_new_site(bench: &impl Bench) {
    let star = [(0, 1), (0, 2)];
    let mut network = Network::new(bench, 4);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early')");
    network.settle(&star);
    let copy = network.sites[2].copy();
    network.app(1, "DELETE FROM person WHERE id=1");
    network.settle(&star);
    forget(&mut network, &star, &[0, 1, 2]);
    network.sites[2].put_back(&copy);
    network.round(3, 2);
    network.app(3, "INSERT INTO person (id, name) VALUES (3, 'of the new site')");
    network.round(3, 1);
    let links = [(0, 1), (1, 3), (3, 2)];
    network.settle(&links);
    network.finish(&links);
    network.shows(ROWS, &["2|early", "3|of the new site"]);
}

/// A site that was declared to have left comes back and is told of a delete just before the others, who did not wait for it, forget
/// that. From it they hear of the grave once more: it does not go round for ever, from who heard of it to who forgot it.
pub fn one_that_comes_back_does_not_go_round(bench: &impl Bench) {
    let links = [(1, 0), (0, 2), (0, 3), (2, 1), (1, 3), (3, 2)];
    let mut network = Network::new(bench, 4);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early')");
    network.settle(&links);
    retire(&mut network, 0, 3);
    network.round_with(0, 2, hasty);
    network.app(2, "DELETE FROM person WHERE id=1");
    network.round_with(2, 1, hasty);
    let mut passes = 0..30;
    let is_quiet = passes.any(|_| {
        let before = network.heads();
        links.iter().for_each(|(a, b)| drop(network.round_with(*a, *b, hasty)));
        network.heads() == before
    });
    assert!(is_quiet, "the grave goes round for ever");
    assert!(forgot(&mut network, 2));
    network.finish(&links);
    network.shows(ROWS, &["2|early"]);
}

/// A site that comes back has deleted a row which was replaced meanwhile, and the one in its place was deleted as well and
/// forgotten: its grave of the old row does not bring the new one back where a backup still has it.
pub fn an_older_grave_of_a_site_that_comes_back(bench: &impl Bench) {
    let links = [(0, 1), (0, 2), (2, 1)];
    let mut network = Network::new(bench, 3);
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'early'), (2, 'early')");
    network.finish(&links);
    network.app(0, "DELETE FROM person WHERE id=1");
    network.store(0).drain().unwrap();
    retire(&mut network, 1, 0);
    network.later(1, "DELETE FROM person WHERE id=1");
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'anew')");
    network.round_with(2, 1, hasty);
    let copy = network.sites[2].copy();
    network.app(2, "DELETE FROM person WHERE id=1");
    forget(&mut network, &[(2, 1)], &[1, 2]);
    network.sites[2].put_back(&copy);
    network.round(0, 1);
    network.round(0, 2);
    network.finish(&links);
    network.shows(ROWS, &["2|early"]);
}

/// Many rows that are to go are a person's decision, and a dry run only says so.
pub fn many_halt(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    for id in 0..150 {
        network.app(0, &format!("INSERT INTO person (id, name) VALUES ({id}, 'early')"));
    }
    network.finish(&PAIR);
    let copy = network.sites[1].copy();
    network.app(0, "DELETE FROM person WHERE id > 0");
    network.round_with(0, 1, |options| options.force = true);
    network.settle(&PAIR);
    forget(&mut network, &PAIR, &[0, 1]);
    network.sites[1].put_back(&copy);
    let error = network.try_round(0, 1, |_| {}).unwrap_err();
    assert_eq!(error.kind, Kind::Halt);
    assert!(error.message.contains("149 of 150 rows of person at site2"), "{error:?}");
    let report = network.round_with(0, 1, |options| (options.force, options.dry_run) = (true, true));
    assert_eq!(report.pushed.total().deleted, 149);
    assert_eq!(network.rows(1, "SELECT COUNT(*) FROM person"), ["150"]);
    network.round_with(0, 1, |options| options.force = true);
    network.finish(&PAIR);
    network.shows(ROWS, &["0|early"]);
}

/// A key whose grave is forgotten is used again.
pub fn a_key_used_again(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'goes'), (2, 'stays')");
    network.finish(&PAIR);
    network.app(0, "DELETE FROM person WHERE id=1");
    network.settle(&PAIR);
    forget(&mut network, &PAIR, &[0, 1]);
    network.app(1, "INSERT INTO person (id, name) VALUES (1, 'again')");
    network.finish(&PAIR);
    network.shows(ROWS, &["1|again", "2|stays"]);
    assert!(network.conflicts(0).is_empty());
}

/// A deleted row that is shown because others refer to it keeps its grave: it goes when they do.
pub fn a_row_that_stays_is_remembered(bench: &impl Bench) {
    let mut network = parent_against_child(bench, "INSERT INTO badge (id, team) VALUES (7, 1)");
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'goes')");
    network.settle(&RING);
    network.app(0, "DELETE FROM person WHERE id=1");
    network.settle(&RING);
    forget(&mut network, &RING, &[0, 1, 2]);
    network.shows("SELECT id FROM team ORDER BY id", &["1", "2"]);
    network.app(0, "UPDATE badge SET team=2 WHERE id=7");
    network.settle(&RING);
    network.shows("SELECT id FROM team", &["2"]);
}

/// The grave of a parent is not forgotten while a row that refers to it is shown without.
pub fn a_parent_that_a_row_refers_to_is_remembered(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'goes')");
    network.app(0, "INSERT INTO person (id, name) VALUES (1, 'goes')");
    network.finish(&PAIR);
    network.app(0, "DELETE FROM team WHERE id=1");
    network.app(0, "DELETE FROM person WHERE id=1");
    network.app(1, "INSERT INTO desk (id, team, place) VALUES (1, 1, 'window')");
    network.finish(&PAIR);
    forget(&mut network, &PAIR, &[0, 1]);
    network.app(0, "INSERT INTO desk (id, team, place) VALUES (2, NULL, 'door')");
    network.finish(&PAIR);
    network.shows("SELECT id, team, place FROM desk ORDER BY id", &["1|NULL|window", "2|NULL|door"]);
}
