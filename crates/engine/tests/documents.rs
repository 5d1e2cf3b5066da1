//! Two and three trees on real directories: what people do, and what becomes of it everywhere.
#![allow(clippy::unwrap_used)]

mod trees;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, UNIX_EPOCH};

use sync_store::{Contents, Manner, Store};
use trees::{PAIR, RING, Site, assert_equal, pair_with, round, settle, sites, sync, try_sync};

#[test]
fn a_first_copy() {
    let mut pair = sites::<2>();
    pair[0].write("a/b/c.txt", "hello");
    pair[0].write("big", vec![7; 3_000_000]);
    pair[0].write("empty file", "");
    fs::create_dir_all(pair[0].at("empty/directories")).unwrap();
    symlink("a/b/c.txt", pair[0].at("link")).unwrap();
    symlink("/nowhere", pair[0].at("dangling")).unwrap();
    pair[1].write("z", "from the other side");
    let report = round(&mut pair);
    assert_equal(&pair);
    assert_eq!((report.slave.realised.created, report.master.realised.created), (9, 1));
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn edits_and_deletes_go_both_ways() {
    let mut pair = pair_with(&[("a", "1"), ("b", "1"), ("c/d", "1"), ("c/e", "1")]);
    pair[0].write("a", "2");
    pair[0].remove("c/d");
    pair[1].write("b", "2");
    pair[1].write("f/g", "new");
    round(&mut pair);
    assert_equal(&pair);
    assert_eq!(pair[0].paths(), ["a", "b", "c", "c/e", "f", "f/g"]);
    assert_eq!((pair[1].read("a"), pair[0].read("b")), ("2".to_owned(), "2".to_owned()));
    pair[1].remove("c");
    round(&mut pair);
    assert_equal(&pair);
    assert_eq!(pair[0].paths(), ["a", "b", "f", "f/g"]);
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn permissions_times_and_owners_are_equal() {
    let mut pair = pair_with(&[("a", "1"), ("d/b", "1")]);
    fs::set_permissions(pair[0].at("a"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(pair[1].at("d"), fs::Permissions::from_mode(0o2750)).unwrap();
    pair[0].set_modified("d/b", UNIX_EPOCH + Duration::new(1_000_000, 123_456_789));
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(pair[0].at("d/b"), Some(1234), Some(4321)).unwrap();
        std::os::unix::fs::lchown(pair[0].at("a"), Some(7), None).unwrap();
        fs::set_permissions(pair[0].at("a"), fs::Permissions::from_mode(0o4711)).unwrap();
    } else {
        eprintln!("owners are not tried out: only root can give files away");
    }
    let report = round(&mut pair);
    assert_eq!(report.master.bytes + report.slave.bytes, 0);
    assert_equal(&pair);
    assert!(round(&mut pair).is_quiet());
}

/// What a directory gives to files that are made in it (its group, an access list) is not what these had where they came from; nor
/// does what the process may not give keep them from getting it.
#[test]
fn new_files_get_the_permissions_that_they_had() {
    let mut pair = pair_with(&[("d/a", "1")]);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(pair[1].at("d"), None, Some(4321)).unwrap();
    }
    fs::set_permissions(pair[1].at("d"), fs::Permissions::from_mode(0o2775)).unwrap();
    let directory = fs::File::open(pair[1].at("d")).unwrap();
    // Version 2; the owner, user 7, the group, the mask, others: each a tag, permissions and an id.
    let entries: [(u16, u16, u32); 5] =
        [(1, 7, u32::MAX), (2, 7, 7), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)];
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, may, id) in entries {
        list.extend([&tag.to_le_bytes()[..], &may.to_le_bytes(), &id.to_le_bytes()].concat());
    }
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::fsetxattr(&directory, "system.posix_acl_default", &list, flags).is_err() {
        eprintln!("no access list is tried out: the file system has none");
    }
    let modes = [0o600, 0o444, 0o640, 0o666, 0o755, 0o777, 0o2750, 0o4711];
    for mode in modes {
        let name = format!("d/{mode:o}");
        pair[0].write(&name, &name);
        fs::set_permissions(pair[0].at(&name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let report = round(&mut pair);
    assert_eq!(report.slave.realised.created, modes.len() as u64);
    assert_equal(&pair);
    for mode in modes {
        let found = fs::metadata(pair[1].at(format!("d/{mode:o}"))).unwrap().permissions().mode();
        assert_eq!(found & 0o7777, mode, "{mode:o}");
    }
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn extended_attributes_are_equal() {
    let mut pair = pair_with(&[("a", "1"), ("d/b", "1")]);
    let open = |site: &Site, path: &str| fs::File::open(site.at(path)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::fsetxattr(open(&pair[0], "a"), "user.color", b"blue", flags).is_err() {
        eprintln!("skipped: the file system has no extended attributes");
        return;
    }
    rustix::fs::fsetxattr(open(&pair[0], "a"), "user.gone", b"", flags).unwrap();
    rustix::fs::fsetxattr(open(&pair[1], "d"), "user.of a directory", b"\0\xff", flags).unwrap();
    round(&mut pair);
    rustix::fs::fremovexattr(open(&pair[1], "a"), "user.gone").unwrap();
    round(&mut pair);
    for site in &pair {
        let mut value = [0; 9];
        assert_eq!(rustix::fs::fgetxattr(open(site, "a"), "user.color", &mut value).unwrap(), 4);
        assert_eq!(&value[..4], b"blue");
        assert!(rustix::fs::fgetxattr(open(site, "a"), "user.gone", &mut value).is_err());
        assert_eq!(rustix::fs::fgetxattr(open(site, "d"), "user.of a directory", &mut value).unwrap(), 2);
    }
    assert!(round(&mut pair).is_quiet());
}

/// Two sites that each had a file of this name before they ever met; one of them deletes its own.
fn deleted_before_they_met(contents: [&str; 2], kept: &[&str]) -> [Site; 2] {
    let mut pair = sites::<2>();
    for (site, content) in pair.iter_mut().zip(contents) {
        site.write("report.txt", content);
        kept.iter().for_each(|name| site.write(name, "kept"));
        site.tree().drain().unwrap();
    }
    pair[1].remove("report.txt");
    pair[1].tree().begin(Manner { force: true, ..Manner::default() }).unwrap();
    pair[1].tree().drain().unwrap();
    settle(&mut pair, &PAIR);
    assert_equal(&pair);
    pair
}

#[test]
fn a_deletion_before_the_first_meeting_leaves_what_was_never_seen() {
    for kept in [&["other"][..], &[]] {
        let pair = deleted_before_they_met(["of geneva", "of lyon"], kept);
        assert_eq!(pair[1].read("report.txt"), "of geneva");
    }
}

#[test]
fn a_deletion_before_the_first_meeting_counts_for_what_was_the_same() {
    let pair = deleted_before_they_met(["alike", "alike"], &["other"]);
    assert_eq!(pair[0].paths(), ["other"]);
}

/// What a site had before its index was made anew has been seen by others; what it has now has not.
#[test]
fn an_edit_that_only_the_new_index_of_a_site_knows_is_kept() {
    let mut all = sites::<4>();
    all[0].write("report.txt", "1");
    let links = [(2, 3), (0, 1), (1, 2)];
    settle(&mut all, &links);
    all[1].delete_index();
    all[1].write("report.txt", "2");
    settle(&mut all, &links);
    assert_equal(&all);
    assert_eq!((all[0].read("report.txt"), copies(&all[0])), ("2".to_owned(), Vec::new()));
}

/// Four in a row that have `report.txt`, `inserted` or edited by site `writer`; the second has written other things since. Its
/// index is lost, and its file is now "2", modified `later` or earlier than the one that all had. Returns what all have, and the
/// copies of what lost.
fn edited_without_its_index(writer: usize, inserted: bool, later: bool) -> (String, Vec<String>) {
    let mut all = sites::<4>();
    let links = [(2, 3), (0, 1), (1, 2)];
    if !inserted {
        all[writer].write("report.txt", "0");
    }
    for (site, path) in [(writer, "report.txt"), (1, "other.txt")] {
        settle(&mut all, &links);
        all[site].write(path, "1");
    }
    settle(&mut all, &links);
    all[1].delete_index();
    let then = fs::metadata(all[1].at("report.txt")).unwrap().modified().unwrap();
    let second = Duration::from_secs(1);
    all[1].write("report.txt", "2");
    all[1].set_modified("report.txt", if later { then + second } else { then - second });
    settle(&mut all, &links);
    assert_equal(&all);
    (all[0].read("report.txt"), copies(&all[0]).iter().map(|path| all[0].read(path)).collect())
}

#[test]
fn an_edit_of_what_others_have_later_writes_of_survives_the_index() {
    for inserted in [true, false] {
        let found = edited_without_its_index(1, inserted, true);
        assert_eq!(found, ("2".to_owned(), Vec::new()), "{inserted}");
        for writer in [0, 2] {
            // It can be an edit of the same time: both are kept.
            let (content, mut all) = edited_without_its_index(writer, inserted, true);
            all.push(content);
            all.sort();
            assert_eq!(all, ["1", "2"], "{writer} {inserted}");
        }
    }
}

#[test]
fn an_edit_that_only_a_new_index_knows_is_a_copy_beside_a_later_one() {
    let mut pair = pair_with(&[("report.txt", "0")]);
    pair[0].write("report.txt", "1");
    round(&mut pair);
    pair[0].write("report.txt", "an edit");
    pair[0].delete_index();
    pair[1].write("report.txt", "a later edit");
    settle(&mut pair, &PAIR);
    assert_equal(&pair);
    assert_eq!(pair[0].read("report.txt"), "a later edit");
    let copies = copies(&pair[0]);
    assert_eq!((copies.len(), pair[0].read(&copies[0])), (1, "an edit".to_owned()));
}

#[test]
fn an_old_file_that_came_back_without_an_index_does_not_replace_a_newer_one() {
    for (writer, inserted) in [(0, true), (1, true), (2, true), (0, false), (1, false), (2, false)] {
        let (content, _) = edited_without_its_index(writer, inserted, false);
        assert_eq!(content, "1", "{writer} {inserted}");
    }
}

/// The copies that a concurrent edit left.
fn copies(site: &Site) -> Vec<String> {
    site.paths().into_iter().filter(|path| path.contains("(conflict ")).collect()
}

#[test]
fn concurrent_edits_are_both_kept() {
    let mut pair = pair_with(&[("report.txt", "1")]);
    // Lyon's is the later one, or of the same millisecond and of the site with the higher number.
    for (site, text) in pair.iter_mut().zip(["of geneva", "of lyon"]) {
        site.write("report.txt", text);
        site.tree().drain().unwrap();
    }
    settle(&mut pair, &PAIR);
    assert_eq!(pair[0].read("report.txt"), "of lyon");
    let copies = copies(&pair[0]);
    assert_eq!(copies.len(), 1);
    assert!(copies[0].starts_with("report (conflict 1 ") && copies[0].ends_with(".txt"), "{copies:?}");
    assert_eq!(pair[0].read(&copies[0]), "of geneva");
}

#[test]
fn concurrent_edits_at_three_sites_have_the_same_names_everywhere() {
    let mut ring = sites::<3>();
    ring[0].write("report.txt", "1");
    settle(&mut ring, &RING);
    for site in &ring {
        site.write("report.txt", format!("of {}", site.name));
        site.write("d/new.txt", format!("new of {}", site.name));
    }
    settle(&mut ring, &RING);
    let texts: Vec<String> = ring[0].paths().iter().filter(|p| !p.ends_with('d')).map(|p| ring[0].read(p)).collect();
    for site in &ring {
        for text in [format!("of {}", site.name), format!("new of {}", site.name)] {
            assert_eq!(texts.iter().filter(|t| **t == text).count(), 1, "{text} in {texts:?}");
        }
    }
    assert_eq!(copies(&ring[0]).len(), 4, "{:?}", copies(&ring[0]));
}

#[test]
fn a_deleted_copy_stays_deleted() {
    let mut ring = sites::<3>();
    ring[0].write("a", "1");
    settle(&mut ring, &RING);
    ring[0].write("a", "of geneva");
    ring[1].write("a", "of lyon");
    let [a, b, _] = &mut ring;
    sync(a, b);
    let copies = copies(a);
    assert_eq!(copies.len(), 1);
    a.remove(&copies[0]);
    settle(&mut ring, &RING);
    assert_eq!(ring[2].paths(), ["a"]);
}

#[test]
fn an_edit_wins_over_a_delete() {
    for edit_first in [true, false] {
        let mut pair = pair_with(&[("d/a", "1"), ("d/b", "1"), ("z", "1")]);
        let edit = |pair: &mut [Site; 2]| {
            pair[0].write("d/a", "edited");
            pair[0].tree().drain().unwrap();
        };
        let delete = |pair: &mut [Site; 2]| {
            pair[1].remove("d");
            pair[1].tree().drain().unwrap();
        };
        if edit_first {
            edit(&mut pair);
            delete(&mut pair);
        } else {
            delete(&mut pair);
            edit(&mut pair);
        }
        settle(&mut pair, &PAIR);
        assert_eq!(pair[1].paths(), ["d", "d/a", "z"]);
        assert_eq!(pair[1].read("d/a"), "edited");
    }
}

#[test]
fn a_directory_that_was_deleted_returns_with_what_was_added() {
    let mut ring = sites::<3>();
    ring[0].write("d/e/old", "1");
    ring[0].write("z", "1");
    settle(&mut ring, &RING);
    ring[0].remove("d");
    ring[1].write("d/e/f/new", "2");
    settle(&mut ring, &RING);
    assert_eq!(ring[2].paths(), ["d", "d/e", "d/e/f", "d/e/f/new", "z"]);
}

#[test]
fn a_file_and_a_directory_of_the_same_name() {
    let mut ring = sites::<3>();
    ring[0].write("x", "a file");
    ring[1].write("x/y", "in a directory");
    settle(&mut ring, &RING);
    let paths = ring[0].paths();
    assert_eq!(paths.len(), 3, "{paths:?}");
    let copy = paths.iter().find(|p| p.starts_with("x (conflict")).unwrap();
    assert_eq!(ring[2].read(copy), "a file");
    assert_eq!(ring[2].read("x/y"), "in a directory");
}

#[test]
fn a_file_becomes_a_directory_and_the_other_way_round() {
    let mut pair = pair_with(&[("a", "1"), ("d/e/f", "2"), ("d/g", "3"), ("l", "4")]);
    pair[0].remove("a");
    pair[0].write("a/b", "5");
    pair[0].remove("d");
    pair[0].write("d", "6");
    pair[0].remove("l");
    symlink("a", pair[0].at("l")).unwrap();
    round(&mut pair);
    assert_equal(&pair);
    pair[1].remove("l");
    pair[1].write("l/m", "7");
    round(&mut pair);
    assert_equal(&pair);
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn names_that_differ_in_case_only() {
    let mut pair = pair_with(&[("Report.txt", "1"), ("dir/x", "2")]);
    pair[0].rename("Report.txt", "report.txt");
    pair[1].rename("dir", "Dir");
    let report = round(&mut pair);
    assert_equal(&pair);
    assert_eq!(pair[0].paths(), ["Dir", "Dir/x", "report.txt"]);
    assert_eq!(report.master.bytes + report.slave.bytes, 0);
}

#[test]
fn a_renamed_directory_of_thousands_of_files_is_not_sent() {
    let mut pair = sites::<2>();
    for n in 0..3000 {
        pair[0].write(format!("archive/{}/{n}.txt", n % 10), format!("file {n}"));
    }
    settle(&mut pair, &PAIR);
    pair[0].rename("archive", "kept");
    let report = round(&mut pair);
    assert_equal(&pair);
    assert_eq!(report.slave.bytes, 0);
    assert_eq!(report.slave.realised.moved, 3000);
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn a_late_rename_is_taken_out_of_the_trash() {
    let mut pair = pair_with(&[("a", "some text"), ("b", "other")]);
    let text = fs::read(pair[0].at("a")).unwrap();
    pair[0].remove("a");
    round(&mut pair);
    pair[0].write("c", text);
    let report = round(&mut pair);
    assert_equal(&pair);
    assert_eq!(report.slave.bytes, 0);
}

#[test]
fn three_sites_in_a_ring_agree() {
    for seed in 0..8 {
        let mut ring = sites::<3>();
        let mut rng = fastrand::Rng::with_seed(seed);
        ring.iter().for_each(|site| site.write("stays", "1"));
        for round in 0..12 {
            for site in &ring {
                for _ in 0..4 {
                    act(site, &mut rng, round);
                }
            }
            let (master, slave) = RING[rng.usize(..3)];
            let [master, slave] = ring.get_disjoint_mut([master, slave]).unwrap();
            try_sync(master, slave).unwrap();
        }
        settle(&mut ring, &RING);
    }
}

/// Something a person does. Permissions are left alone: a change of them that meets a deletion brings the row back, and the
/// content may have been deleted by everybody who had it; such a path is named as lacking its content in every round.
fn act(site: &Site, rng: &mut fastrand::Rng, round: usize) {
    let mut names = ["a", "b", "d/a", "d/b", "d/e/a", "f/a"];
    rng.shuffle(&mut names);
    let path = site.at(names[0]);
    let is_file = path.is_file();
    match rng.u8(..7) {
        0..4 if path.parent().is_some_and(|p| p.is_dir() || !p.exists()) && !path.is_dir() => {
            fs::create_dir_all(path.parent().unwrap()).unwrap_or_default();
            fs::write(&path, format!("{} {round} {}", site.name, rng.u32(..))).unwrap_or_default();
        }
        4 if is_file => fs::remove_file(&path).unwrap(),
        5 if site.at("d").is_dir() => fs::remove_dir_all(site.at("d")).unwrap(),
        6 if is_file && !site.at(names[1]).exists() && site.at(names[1]).parent().is_some_and(|p| p.is_dir()) => {
            fs::rename(&path, site.at(names[1])).unwrap();
        }
        _ => {}
    }
}
