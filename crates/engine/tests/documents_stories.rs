//! The stories that every kind of store has to stand, told with files: topologies, a site that was away or joins, an index
//! or a whole site that comes back from a backup.
#![allow(clippy::unwrap_used, clippy::panic)]

mod trees;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use sync_engine::{Kind, round as round_rows};
use sync_store::{Reason, Skipped, Store, StoreError, Trouble};
use trees::{PAIR, RING, Site, assert_equal, options, pair_with, round, settle, sites, try_sync};

fn four() -> [Site; 4] {
    std::array::from_fn(Site::in_memory)
}

/// All that is written at four sites is at all of them, once, and what two wrote at once is there twice.
fn everything_everywhere(links: &[(usize, usize)]) {
    let mut sites = four();
    sites[0].write("shared", "1");
    settle(&mut sites, links);
    for site in &sites {
        site.write(format!("d/of {}", site.name), site.name);
    }
    sites[1].write("shared", "of lyon");
    sites[3].write("shared", "of basel");
    settle(&mut sites, links);
    let paths = sites[2].paths();
    assert_eq!(paths.len(), 1 + 4 + 2, "{paths:?}");
    sites[2].remove("d");
    sites[0].rename("shared", "renamed");
    settle(&mut sites, links);
    let paths = sites[3].paths();
    assert_eq!(paths.len(), 2, "{paths:?}");
}

#[test]
fn chain() {
    everything_everywhere(&[(0, 1), (2, 1), (2, 3)]);
}

#[test]
fn star() {
    everything_everywhere(&[(0, 1), (0, 2), (0, 3)]);
}

#[test]
fn mesh() {
    everything_everywhere(&[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
}

#[test]
fn a_site_that_was_away() {
    let mut ring = sites::<3>();
    for n in 0..5 {
        ring[0].write(format!("{n}"), "1");
    }
    settle(&mut ring, &RING);
    ring[2].write("0", "while it was away");
    ring[2].remove("1");
    for text in ["2", "3", "4"] {
        ring[0].write("2", text);
        ring[1].write("3", text);
        settle(&mut ring[..2], &PAIR);
    }
    ring[0].remove("4");
    settle(&mut ring, &RING);
    assert_eq!(ring[1].paths(), ["0", "2", "3"]);
    let texts = ["0", "2", "3"].map(|path| ring[2].read(path));
    assert_eq!(texts, ["while it was away", "4", "4"]);
}

#[test]
fn a_site_that_joins_with_files_of_its_own() {
    let mut ring = sites::<3>();
    ring[0].write("a", "1");
    settle(&mut ring[..2], &PAIR);
    ring[0].write("a", "2");
    settle(&mut ring[..2], &PAIR);
    ring[2].write("a", "of bern");
    ring[2].write("b", "of bern");
    settle(&mut ring, &RING);
    // What was there before never wins against what was written since, and stays beside it.
    assert_eq!(ring[1].read("a"), "2");
    let texts: Vec<String> = ring[1].paths().iter().map(|path| ring[1].read(path)).collect();
    assert_eq!(texts.iter().filter(|text| *text == "of bern").count(), 2, "{texts:?}");
}

/// A copy of a site, as a backup program makes it.
fn backup(site: &mut Site, parts: &[&str]) -> Vec<(PathBuf, PathBuf)> {
    site.drop_tree();
    let from = site.index().parent().unwrap().to_owned();
    let copies = parts.iter().map(|part| (from.join(part), from.join(format!("{part}.backup"))));
    let copies: Vec<(PathBuf, PathBuf)> = copies.filter(|(from, _)| from.exists()).collect();
    copies.iter().for_each(|(from, to)| copy(from, to));
    copies
}

fn copy(from: &PathBuf, to: &PathBuf) {
    assert!(Command::new("cp").arg("-a").arg("-T").arg(from).arg(to).status().unwrap().success());
}

fn put_back(site: &mut Site, copies: &[(PathBuf, PathBuf)]) {
    site.delete_index();
    for (to, from) in copies {
        if to.is_dir() {
            // The directory itself stays: it is where the file system is mounted.
            for item in fs::read_dir(to).unwrap() {
                let path = item.unwrap().path();
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
            }
        }
        copy(from, to);
    }
}

#[test]
fn an_old_index_over_a_newer_directory() {
    let mut pair = pair_with(&[("a", "1"), ("b", "1"), ("gone", "1"), ("d/c", "1")]);
    let copies = backup(&mut pair[1], &["index.sqlite", "index.sqlite-wal"]);
    pair[0].write("a", "2");
    pair[1].write("b", "2");
    pair[0].remove("gone");
    pair[1].write("new", "1");
    round(&mut pair);
    pair[1].write("a", "3");
    pair[0].write("b", "3");
    put_back(&mut pair[1], &copies);
    settle(&mut pair, &PAIR);
    // The index does not know that this was written over what had come: what is at both keeps the name.
    for (name, texts) in [('a', ["2", "3"]), ('b', ["2", "3"])] {
        let paths = pair[0].paths();
        let mut there: Vec<String> = paths.iter().filter(|p| p.starts_with(name)).map(|p| pair[0].read(p)).collect();
        there.sort();
        assert_eq!(there, texts);
    }
    assert_eq!(pair[0].read("a"), "2");
    assert!(!pair[0].paths().contains(&"gone".to_owned()));
    assert_eq!(pair[0].read("new"), "1");
}

#[test]
fn a_site_restored_from_a_backup_catches_up() {
    let mut pair = pair_with(&[("a", "1"), ("b", "1"), ("gone", "1"), ("d/c", "1")]);
    let copies = backup(&mut pair[1], &["root", "index.sqlite", "index.sqlite-wal"]);
    pair[1].write("a", "2");
    pair[1].write("of lyon", "it reached geneva");
    pair[0].write("b", "2");
    pair[0].remove("gone");
    round(&mut pair);
    put_back(&mut pair[1], &copies);
    assert_eq!(pair[1].read("a"), "1");
    settle(&mut pair, &PAIR);
    assert_eq!(pair[1].paths(), ["a", "b", "d", "d/c", "of lyon"]);
    assert_eq!(["a", "b", "of lyon"].map(|path| pair[1].read(path)), ["2", "2", "it reached geneva"]);
}

/// What was written here since the backup, and what of it had reached the other site before: that is nowhere else any more.
#[test]
fn edits_at_a_restored_site_meet_its_own_of_before() {
    for breaks in [false, true] {
        let mut pair = pair_with(&[("a", "1"), ("b", "1"), ("c", "1"), ("gone", "1")]);
        let copies = backup(&mut pair[1], &["root", "index.sqlite", "index.sqlite-wal"]);
        for (path, text) in [("a", "lost"), ("b", "lost as well"), ("c", "lost too"), ("new", "lost again")] {
            pair[1].write(path, text);
        }
        round(&mut pair);
        put_back(&mut pair[1], &copies);
        pair[1].write("a", "since");
        pair[1].write("new", "since the restore");
        pair[1].remove("c");
        pair[1].remove("gone");
        if breaks {
            a_round_breaks(&mut pair);
            pair[1].write("a", "since then");
        }
        round(&mut pair);
        settle(&mut pair, &PAIR);
        let texts: Vec<String> = pair[0].paths().iter().map(|path| pair[0].read(path)).collect();
        for text in ["lost", "lost as well", "lost too", "lost again", "since the restore"] {
            assert!(texts.iter().any(|t| t == text), "{text} of {texts:?}");
        }
        assert!(texts.contains(&if breaks { "since then" } else { "since" }.to_owned()), "{texts:?}");
        assert_eq!((pair[0].read("b"), pair[0].read("c")), ("lost as well".to_owned(), "lost too".to_owned()));
        assert_eq!(pair[0].paths().iter().filter(|path| path.starts_with("gone")).count(), 0);
        assert_equal(&pair);
    }
}

/// Rows do not get as far as the second site.
fn a_round_breaks(pair: &mut [Site; 2]) {
    let [a, b] = pair;
    a.write("in the way", "");
    a.open_hooked(Box::new(|_| Err(StoreError::new(Trouble::Failure, "dies")))).unwrap();
    try_sync(a, b).unwrap_err();
    a.drop_tree();
}

/// The index was not in the backup, and is made anew; the first round breaks, and people go on.
#[test]
fn a_folder_from_a_backup_without_its_index() {
    let mut pair = pair_with(&[("a", "1"), ("b", "1")]);
    let copies = backup(&mut pair[1], &["root"]);
    pair[1].write("a", "lost");
    pair[1].write("new", "lost as well");
    round(&mut pair);
    put_back(&mut pair[1], &copies);
    pair[1].tree().drain().unwrap();
    a_round_breaks(&mut pair);
    pair[1].write("a", "since");
    pair[1].write("new", "since the restore");
    pair[1].write("b", "since as well");
    settle(&mut pair, &PAIR);
    let texts: Vec<String> = pair[0].paths().iter().map(|path| pair[0].read(path)).collect();
    for text in ["lost", "lost as well", "since", "since the restore", "since as well"] {
        assert!(texts.iter().any(|t| t == text), "{text} of {texts:?}");
    }
    assert_equal(&pair);
}

/// A directory that lost all it had is not filled before it was looked at.
#[test]
fn a_restored_site_whose_directory_is_empty() {
    let mut pair = pair_with(&[("a", "1"), ("b", "1")]);
    let copies = backup(&mut pair[1], &["index.sqlite", "index.sqlite-wal"]);
    pair[1].write("a", "2");
    round(&mut pair);
    put_back(&mut pair[1], &copies);
    pair[1].remove("a");
    pair[1].remove("b");
    let [a, b] = &mut pair;
    assert_eq!(try_sync(a, b).unwrap_err().kind, Kind::Halt);
    assert_eq!((a.paths().len(), b.paths().len()), (2, 0));
    b.write("b", "1");
    settle(&mut pair, &PAIR);
    assert_eq!(pair[0].read("a"), "2");
}

#[test]
fn an_index_deleted_before_an_edit_was_taken_in() {
    let mut pair = pair_with(&[("a", "1"), ("b", "1")]);
    pair[0].write("a", "2");
    pair[0].tree().drain().unwrap();
    pair[1].write("a", "never taken in");
    pair[1].write("new", "never taken in");
    pair[1].delete_index();
    settle(&mut pair, &PAIR);
    assert_eq!(pair[0].read("a"), "2");
    let texts: Vec<String> = pair[0].paths().iter().map(|path| pair[0].read(path)).collect();
    assert_eq!(texts.iter().filter(|text| *text == "never taken in").count(), 2, "{texts:?}");
}

/// Rows go, and the line breaks before any content does.
fn rows_only(pair: &mut [Site]) {
    let [a, b] = pair else { panic!("two sites") };
    let options = options(b.name);
    round_rows(a.tree(), b.tree(), &options, &mut ()).unwrap();
}

/// What was asked for in vain until now was so for some days.
fn days_pass(sites: &mut [Site], days: u32) {
    for site in sites {
        site.drop_tree();
        let index = rusqlite::Connection::open(site.index()).unwrap();
        index.execute("UPDATE vain SET since=since-?*86400000", [days]).unwrap();
    }
}

/// A round after which only contents are missing; why, and of which paths.
fn left_out(pair: &mut [Site], because: impl Fn(&Reason) -> bool) -> BTreeSet<String> {
    let [a, b] = pair else { panic!("two sites") };
    let report = try_sync(a, b).unwrap();
    let skipped: Vec<&Skipped> = report.skipped().map(|(_, skipped)| skipped).collect();
    assert!(skipped.iter().all(|skipped| because(&skipped.reason)), "{skipped:?}");
    skipped.iter().map(|skipped| String::from_utf8_lossy(&skipped.path).into_owned()).collect()
}

/// Lyon publishes rows, and their contents are destroyed there before anybody has them, without its being noticed.
fn contents_that_nobody_has(sites: &mut [Site]) {
    ["a", "b"].iter().for_each(|path| sites[1].write(path, "nobody will have this"));
    sites[1].write("c", "still there");
    rows_only(&mut sites[..2]);
    sites[1].delete_index();
    sites[1].write("a", "newest");
    // By its time it came back from a copy: an edit would replace at once what nobody has.
    sites[1].set_modified("a", UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    sites[1].remove("b");
}

#[test]
fn contents_that_nobody_has_are_given_up_by_their_writer_after_a_day() {
    let mut pair = pair_with(&[("a", "old")]);
    contents_that_nobody_has(&mut pair);
    let is_on_its_way = |reason: &Reason| *reason == Reason::NoContent;
    for _ in 0..3 {
        left_out(&mut pair, is_on_its_way);
    }
    let missing: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
    assert_eq!(left_out(&mut pair, is_on_its_way), missing, "another site may have them");
    assert_eq!(pair[0].read("a"), "old");
    days_pass(&mut pair, 2);
    left_out(&mut pair, |_| true);
    settle(&mut pair, &PAIR);
    assert_eq!((pair[0].read("a").as_str(), pair[0].read("c").as_str()), ("newest", "still there"));
    assert!(!pair[0].paths().contains(&"b".to_owned()), "{:?}", pair[0].paths());
}

#[test]
fn contents_of_a_writer_that_is_gone_are_missed_until_it_is_declared_to_have_left() {
    let mut three = sites::<3>();
    three[0].write("a", "old");
    settle(&mut three, &[(0, 1), (0, 2)]);
    contents_that_nobody_has(&mut three);
    // Lyon never comes back. Geneva is the first, bern the second of those that are left.
    three.swap(1, 2);
    let left = &mut three[..2];
    for _ in 0..3 {
        left_out(left, |reason| *reason == Reason::NoContent);
    }
    days_pass(left, 2);
    let missing: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
    for _ in 0..3 {
        assert_eq!(left_out(left, |reason| matches!(reason, Reason::Nowhere { .. })), missing);
    }
    assert_eq!(left.iter().map(|site| site.read("a")).collect::<Vec<_>>(), ["old", "old"]);
    let tree = left[0].tree();
    let mut registry = tree.registry().unwrap();
    let lyon = registry.entries().find(|(_, entry)| entry.told.name == "lyon").unwrap().0;
    registry.retire(lyon, u64::MAX / 2);
    tree.register(&registry).unwrap();
    left_out(left, |_| true);
    settle(left, &PAIR);
    assert_eq!(left[1].paths(), ["a"]);
    assert_eq!(left[1].read("a"), "old");
}

/// Nobody knows who wrote what was there before synchronisation.
#[test]
fn contents_from_before_that_nobody_has_are_given_up_after_a_month() {
    let mut pair = sites::<2>();
    pair[1].write("a", "from before");
    pair[1].write("b", "from before as well");
    rows_only(&mut pair);
    pair[1].delete_index();
    pair[1].remove("a");
    left_out(&mut pair, |reason| *reason == Reason::NoContent);
    days_pass(&mut pair, 2);
    for _ in 0..3 {
        assert_eq!(left_out(&mut pair, |reason| matches!(reason, Reason::Nowhere { .. })), ["a".to_owned()].into());
    }
    days_pass(&mut pair, 30);
    left_out(&mut pair, |_| true);
    settle(&mut pair, &PAIR);
    assert_eq!(pair[0].paths(), ["b"]);
}
