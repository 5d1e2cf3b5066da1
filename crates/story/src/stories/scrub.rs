//! What triggers cannot see: rows that were lost, changed or put back without a mark. The scrub and `-init` find and settle
//! them, `verify` reports them.

use std::time::Duration;

use sync_core::Value;
use sync_engine::compare::Stores;
use sync_engine::scrub::Pace;
use sync_engine::verify::{Verification, verify};
use sync_engine::{Beside, RoundReport, Scrub, round_beside};

use super::PAIR;
use crate::{Bench, BenchSite, Network};

/// Slices of a few rows, without a rest.
const PACE: Pace = Pace { rows: 50, rest: 0, turn: Duration::ZERO };

/// Two sites with some teams: every other one from before synchronisation, the others written since.
fn teams<B: Bench>(bench: &B, count: i64) -> Network<B::Site> {
    let mut network = Network::unprepared(bench, 2);
    let insert = |first: i64| {
        let rows: Vec<String> = (first..=count).step_by(2).map(|n| format!("({n}, 'team {n}')")).collect();
        format!("INSERT INTO team (id, name) VALUES {}", rows.join(", "))
    };
    network.app(0, &insert(1));
    network.prepare();
    network.round(0, 1);
    network.app(0, &insert(2));
    network.finish(&PAIR);
    network
}

/// Rounds until every table had its turn; gives the reports.
fn scrub(network: &mut Network<impl BenchSite>, scrub: &mut Scrub, force: bool) -> Vec<RoundReport> {
    let one = |_| {
        let mut options = network.options(1);
        options.force = force;
        let (a, b) = network.two(0, 1);
        let beside = Beside { scrub: Some(&mut *scrub), ..Beside::default() };
        round_beside(a.store(), b.store(), &options, beside, &mut ()).unwrap()
    };
    (0..40).map(one).collect()
}

fn scrub_all(network: &mut Network<impl BenchSite>) -> Vec<RoundReport> {
    scrub(network, &mut Scrub::new(PACE), false)
}

fn notes(reports: &[RoundReport]) -> String {
    reports.iter().flat_map(|r| r.notes.clone()).collect::<Vec<_>>().join("\n")
}

fn verified(network: &mut Network<impl BenchSite>) -> Verification {
    let expected = network.options(1).expected;
    let (a, b) = network.two(0, 1);
    let mut stores = Stores { master: a.store(), slave: b.store() };
    verify(&mut stores, &expected, &mut ()).unwrap()
}

/// Of the teams: differing, only here, only there, on the way.
fn counts(network: &mut Network<impl BenchSite>) -> [u64; 4] {
    let found = verified(network);
    let team = found.tables.iter().find(|t| t.name == "team").unwrap();
    let counts = [team.differing, team.only_here, team.only_there, team.on_the_way];
    assert_eq!(found.is_equal(), counts[..3] == [0, 0, 0], "{found:?}");
    counts
}

/// Equal sites need nothing.
pub fn nothing_to_do(bench: &impl Bench) {
    let mut network = teams(bench, 200);
    let heads = network.heads();
    let reports = scrub_all(&mut network);
    assert!(reports.iter().all(|r| r.is_quiet() && r.notes.is_empty() && r.paused.is_empty()));
    assert_eq!(network.heads(), heads);
    assert_eq!(counts(&mut network), [0; 4]);
}

/// A few rows that vanished without a mark come back, at either site.
pub fn lost_rows_come_back(bench: &impl Bench) {
    let mut network = teams(bench, 200);
    network.sites[0].behind("DELETE FROM team WHERE id IN (1, 2, 101)");
    network.sites[1].behind("DELETE FROM team WHERE id IN (199, 200)");
    assert_eq!(counts(&mut network), [0, 2, 3, 0]);
    assert!(network.round(0, 1).is_quiet(), "no stream tells of it");
    let notes = notes(&scrub_all(&mut network));
    assert!(
        notes.contains("team") && notes.contains("missing at site1") && notes.contains("missing at site2"),
        "{notes}"
    );
    network.shows("SELECT COUNT(*) FROM team", &["200"]);
    assert_eq!(counts(&mut network), [0; 4]);
    network.finish(&PAIR);
}

/// An emptied table is not taken for a wish, and not refilled by itself either: that table waits, the others go on.
pub fn an_emptied_table_waits(bench: &impl Bench) {
    let mut network = teams(bench, 300);
    network.sites[1].behind("DELETE FROM team");
    let mut state = Scrub::new(PACE);
    let reports = scrub(&mut network, &mut state, false);
    let last = reports.last().unwrap();
    assert_eq!(last.paused.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["team"]);
    assert!(last.paused[0].reason.contains("missing at site2"), "{:?}", last.paused);
    assert_eq!(network.rows(0, "SELECT COUNT(*) FROM team"), ["300"]);
    assert_eq!(network.rows(1, "SELECT COUNT(*) FROM team"), ["0"]);
    network.app(0, "INSERT INTO invoice (id, total) VALUES (1, 10)");
    network.app(0, "UPDATE team SET name='waits' WHERE id=7");
    scrub(&mut network, &mut state, false);
    assert_eq!(network.rows(1, "SELECT total FROM invoice"), ["10"]);
    assert_eq!(network.rows(1, "SELECT COUNT(*) FROM team"), ["0"], "the table waits");
    let reports = scrub(&mut network, &mut state, true);
    assert!(reports.last().unwrap().paused.is_empty());
    network.shows("SELECT COUNT(*) FROM team", &["300"]);
    network.shows("SELECT name FROM team WHERE id=7", &["waits"]);
    network.finish(&PAIR);
}

/// `-init` brings them back as well.
pub fn init_refills_an_emptied_table(bench: &impl Bench) {
    let mut network = teams(bench, 300);
    network.sites[0].behind("DELETE FROM team");
    network.round_with(0, 1, |options| options.init = true);
    network.shows("SELECT COUNT(*) FROM team", &["300"]);
    network.finish(&PAIR);
}

/// A row that vanished without a mark comes in as it was at a third site, which did not know of the last write: it does not pass for
/// that write, so nothing is lost when the row is replaced.
pub fn a_lost_row_comes_in_in_another_version(bench: &impl Bench) {
    let chain = [(0, 1), (1, 2)];
    let mut network = Network::new(bench, 3);
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'early')");
    network.finish(&chain);
    network.app(2, "UPDATE team SET name='of the third' WHERE id=1");
    network.later(0, "UPDATE team SET name='of the first' WHERE id=1");
    network.round(0, 1);
    network.sites[1].behind("DELETE FROM team");
    network.round(1, 2);
    assert_eq!(network.rows(1, "SELECT name FROM team"), ["of the third"]);
    network.app(0, "DELETE FROM team WHERE id=1");
    network.app(0, "INSERT INTO team (id, name) VALUES (1, 'anew')");
    network.round_with(0, 1, |options| options.init = true);
    network.finish(&chain);
    network.shows("SELECT name FROM team", &["anew"]);
    let conflict = network.only_conflict(2);
    assert!(conflict.losing.contains(&Value::text("of the third")), "{conflict:?}");
}

/// A row that was changed without a mark: the preferred site's value is shown, the other is listed.
pub fn unmarked_changes_are_settled(bench: &impl Bench) {
    let mut network = teams(bench, 200);
    network.sites[1].behind("UPDATE team SET name='lost trigger' WHERE id IN (4, 5)");
    network.sites[1].behind("UPDATE team SET name=NULL WHERE id=6");
    assert_eq!(counts(&mut network), [3, 0, 0, 0]);
    scrub_all(&mut network);
    network.shows("SELECT name FROM team WHERE id BETWEEN 4 AND 6 ORDER BY id", &["team 4", "team 5", "team 6"]);
    assert_eq!(network.conflicts(0).len(), 3);
    network.finish(&PAIR);
}

/// Rows that somebody imports with triggers off: new ones, and ones that had been deleted.
pub fn imported_rows_arrive(bench: &impl Bench) {
    let mut network = teams(bench, 100);
    network.app(1, "DELETE FROM team WHERE id IN (10, 11)");
    network.finish(&PAIR);
    network.sites[0]
        .behind("INSERT INTO team (id, name) VALUES (10, 'back'), (11, 'back'), (500, 'new'), (501, 'new')");
    assert_eq!(counts(&mut network), [0, 4, 0, 0]);
    scrub_all(&mut network);
    network.shows("SELECT id FROM team WHERE name IN ('back', 'new') ORDER BY id", &["10", "11", "500", "501"]);
    network.finish(&PAIR);
}

/// What streams will bring is no difference, whichever way.
pub fn what_is_on_the_way_is_no_difference(bench: &impl Bench) {
    let mut network = teams(bench, 100);
    network.app(0, "UPDATE team SET name='changed' WHERE id < 10");
    network.app(1, "DELETE FROM team WHERE id BETWEEN 50 AND 54");
    network.app(1, "INSERT INTO team (id, name) VALUES (700, 'new')");
    assert_eq!(counts(&mut network), [0, 0, 0, 9 + 5 + 1]);
    network.sites[1].behind("UPDATE team SET name='odd' WHERE id=90");
    assert_eq!(counts(&mut network), [1, 0, 0, 9 + 5 + 1]);
    network.round_with(0, 1, |options| options.init = true);
    network.finish(&PAIR);
    assert_eq!(counts(&mut network), [0; 4]);
}

/// A row that cannot be shown counts with its own values.
pub fn parked_rows_count_as_they_are(bench: &impl Bench) {
    let mut network = Network::new(bench, 2);
    network.round(0, 1);
    network.app(0, "INSERT INTO person (id, name, email) VALUES (1, 'Ann', 'same@x')");
    network.app(1, "INSERT INTO person (id, name, email) VALUES (2, 'Bob', 'same@x')");
    network.settle(&PAIR);
    assert!(verified(&mut network).is_equal(), "{:?}", verified(&mut network));
    let reports = scrub_all(&mut network);
    assert!(reports.iter().all(|r| r.is_quiet()));
}

/// Random differences of all kinds, against the truth.
pub fn random_differences(bench: &impl Bench) {
    let mut network = teams(bench, 400);
    let mut random = 12345u64;
    let mut below = |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % limit
    };
    for _ in 0..20 {
        let (id, site) = (below(420) + 1, below(2) as usize);
        match below(4) {
            0 => network.sites[site].behind(&format!("DELETE FROM team WHERE id={id}")),
            1 => network.sites[site].behind(&format!("UPDATE team SET name='' WHERE id={id}")),
            2 => network.sites[site].behind(&format!("UPDATE team SET name=NULL WHERE id={id}")),
            _ => network.sites[site].behind(&format!("UPDATE team SET name='team {id} ' WHERE id={id}")),
        }
    }
    let rows = |network: &mut Network<_>, site: usize| -> std::collections::BTreeMap<String, String> {
        let rows = network.rows(site, "SELECT id, name FROM team");
        let pair = |row: &String| row.split_once('|').map(|(id, name)| (id.to_owned(), name.to_owned())).unwrap();
        rows.iter().map(pair).collect()
    };
    let (a, b) = (rows(&mut network, 0), rows(&mut network, 1));
    let differing = a.iter().filter(|(id, name)| b.get(*id).is_some_and(|other| other != *name)).count() as u64;
    let only_a = a.keys().filter(|id| !b.contains_key(*id)).count() as u64;
    let only_b = b.keys().filter(|id| !a.contains_key(*id)).count() as u64;
    let found = verified(&mut network);
    let team = found.tables.iter().find(|t| t.name == "team").unwrap();
    assert_eq!([team.differing, team.only_here, team.only_there], [differing, only_a, only_b]);
    scrub_all(&mut network);
    assert!(verified(&mut network).is_equal());
    network.finish(&PAIR);
}
