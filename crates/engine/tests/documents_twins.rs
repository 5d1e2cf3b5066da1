//! Hard links: paths that are one file at one site are one file at the others, as far as people leave it at that.
#![allow(clippy::unwrap_used)]

mod trees;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, UNIX_EPOCH};

use rustix::io::Errno;
use sync_store::Store;
use sync_tree::{Disk, Fault, Op, Seams};
use trees::{PAIR, RING, Site, assert_equal, options, pair_with, round, settle, sites, sync, try_sync};

/// A pair with `a` and `b` that are one file at both, and `c` that is not.
fn joined() -> [Site; 2] {
    let mut pair = pair_with(&[("a", "1"), ("c", "1")]);
    pair[0].link("a", "b");
    round(&mut pair);
    assert_twins(&pair, &[&["a", "b"]]);
    pair
}

fn assert_twins(sites: &[Site], twins: &[&[&str]]) {
    for site in sites {
        assert_eq!(site.twins(), twins, "{}", site.name);
    }
    assert_equal(sites);
}

/// A file written beside another and renamed over it, as editors do.
fn save(site: &Site, path: &str, text: &str) {
    site.write("beside", text);
    site.rename("beside", path);
}

#[test]
fn a_first_copy_keeps_links() {
    let mut pair = sites::<2>();
    pair[0].write("d/a", "1");
    fs::create_dir(pair[0].at("e")).unwrap();
    for path in ["b", "d/c", "e/d"] {
        pair[0].link("d/a", path);
    }
    pair[0].write("large", vec![7; 600_000]);
    pair[0].link("large", "large too");
    let report = round(&mut pair);
    assert!(report.master.bytes + report.slave.bytes < 650_000, "it came once");
    assert_twins(&pair, &[&["b", "d/a", "d/c", "e/d"], &["large", "large too"]]);
    assert!(round(&mut pair).is_quiet());
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn a_link_that_is_made_and_broken_later() {
    let mut pair = joined();
    assert!(round(&mut pair).is_quiet());
    save(&pair[1], "b", "2");
    round(&mut pair);
    assert_twins(&pair, &[]);
    assert_eq!((pair[0].read("a"), pair[0].read("b")), ("1".to_owned(), "2".to_owned()));
    assert!(round(&mut pair).is_quiet());
    // The same content, but a file of its own.
    let mut pair = joined();
    fs::copy(pair[1].at("b"), pair[1].at("copy")).unwrap();
    pair[1].rename("copy", "b");
    round(&mut pair);
    assert_twins(&pair, &[]);
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn an_edit_through_one_path_is_one_through_all() {
    let mut pair = joined();
    pair[1].write("b", "longer");
    let before = pair[0].at("a").metadata().unwrap().ino();
    let report = round(&mut pair);
    assert_twins(&pair, &[&["a", "b"]]);
    assert_eq!(pair[0].read("a"), "longer");
    assert_eq!(report.master.realised.replaced, 2);
    // What was replaced is in the trash whole, though it had two names.
    assert_ne!(pair[0].at("a").metadata().unwrap().ino(), before);
    assert_eq!(pair[0].own("trash"), [blake3::hash(b"1").to_hex().to_string()]);
    assert_eq!(fs::read(pair[0].at(".server_sync/trash").join(&pair[0].own("trash")[0])).unwrap(), b"1");
    assert!(round(&mut pair).is_quiet());
    fs::set_permissions(pair[0].at("a"), fs::Permissions::from_mode(0o600)).unwrap();
    let report = round(&mut pair);
    assert_twins(&pair, &[&["a", "b"]]);
    assert_eq!((report.slave.realised.touched, report.slave.bytes), (2, 0));
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn deletions_and_renames_of_members() {
    let mut pair = joined();
    pair[0].link("a", "e");
    round(&mut pair);
    assert_twins(&pair, &[&["a", "b", "e"]]);
    pair[1].remove("b");
    round(&mut pair);
    assert_twins(&pair, &[&["a", "e"]]);
    pair[0].rename("e", "f");
    let report = round(&mut pair);
    assert_twins(&pair, &[&["a", "f"]]);
    assert_eq!((report.slave.realised.moved, report.slave.bytes), (1, 0));
    pair[1].rename("a", "g");
    pair[1].rename("f", "h");
    round(&mut pair);
    assert_twins(&pair, &[&["g", "h"]]);
    pair[1].remove("g");
    round(&mut pair);
    assert_twins(&pair, &[]);
    // What is left may get another name again.
    pair[0].link("h", "a");
    round(&mut pair);
    assert_twins(&pair, &[&["a", "h"]]);
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn a_directory_of_linked_files_is_moved() {
    let mut pair = sites::<2>();
    for i in 0..300 {
        pair[0].write(format!("d/{i}"), format!("content {i}"));
        pair[0].link(format!("d/{i}"), format!("d/{i} too"));
        fs::create_dir_all(pair[0].at("other")).unwrap();
        pair[0].link(format!("d/{i}"), format!("other/{i}"));
    }
    round(&mut pair);
    assert_equal(&pair);
    assert_eq!(pair[1].twins().len(), 300);
    round(&mut pair);
    pair[0].rename("d", "moved");
    let report = round(&mut pair);
    assert_equal(&pair);
    assert_eq!((report.slave.realised.moved, report.slave.bytes), (600, 0));
    assert_eq!(pair[1].own("trash"), [""; 0]);
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn edits_through_two_paths_at_two_sites() {
    let mut pair = joined();
    pair[0].write("a", "left");
    pair[1].write("b", "right!");
    settle(&mut pair, &PAIR);
    assert_eq!(pair[0].read("a"), pair[0].read("b"));
    assert_twins(&pair, &[&["a", "b"]]);
    // What lost is a copy beside each, a file of its own.
    let copies: Vec<_> = pair[0].paths().into_iter().filter(|path| path.contains("(conflict ")).collect();
    assert_eq!(copies.len(), 2, "{copies:?}");
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn a_link_at_one_site_and_an_edit_at_the_other() {
    let mut pair = pair_with(&[("a", "1")]);
    pair[0].link("a", "b");
    pair[1].write("a", "edited");
    settle(&mut pair, &PAIR);
    assert_eq!((pair[0].read("a"), pair[0].read("b")), ("edited".to_owned(), "1".to_owned()));
    assert_twins(&pair, &[]);
}

#[test]
fn links_made_at_two_sites_become_one() {
    let mut pair = pair_with(&[("a", "1"), ("b", "1")]);
    pair[0].link("a", "c");
    pair[1].link("a", "d");
    settle(&mut pair, &PAIR);
    assert_twins(&pair, &[&["a", "c", "d"]]);
}

/// An edit here lost against a deletion there, and the round broke before it was put back.
#[test]
fn a_file_is_given_a_name_while_its_own_is_to_be_put_back() {
    let mut pair = pair_with(&[("a", "1"), ("c", "1")]);
    pair[1].write("a", "edited");
    pair[1].tree().drain().unwrap();
    pair[0].remove("a");
    let [a, b] = &mut pair;
    let options = options(b.name);
    sync_engine::round(a.tree(), b.tree(), &options, &mut ()).unwrap();
    b.link("a", "b");
    while is_racy(b, "b") {
        b.tree().drain().unwrap();
    }
    settle(&mut pair, &PAIR);
    assert_eq!((pair[0].read("a"), pair[0].read("b")), ("edited".to_owned(), "edited".to_owned()));
    assert_eq!(pair[0].twins(), pair[1].twins());
}

/// The next scan will look at it again, as it was changed just before it was looked at, or was not looked at yet.
fn is_racy(site: &Site, path: &str) -> bool {
    let index = rusqlite::Connection::open(site.index()).unwrap();
    index.query_row("SELECT MIN(racy) FROM disk WHERE path=?", [path.as_bytes()], |row| row.get(0)) != Ok(Some(false))
}

#[test]
fn three_sites_in_a_ring() {
    let mut ring = sites::<3>();
    ring[0].write("a", "1");
    ring[0].write("x/one", "x");
    ring[0].link("a", "b");
    settle(&mut ring, &RING);
    assert_twins(&ring, &[&["a", "b"]]);
    ring[1].link("b", "c");
    ring[2].link("x/one", "x/two");
    ring[2].write("a", "from bern");
    settle(&mut ring, &RING);
    ring[0].write("x/two", "both");
    save(&ring[1], "b", "its own");
    settle(&mut ring, &RING);
    assert_eq!(ring[2].read("b"), "its own");
    assert_eq!(ring[2].read("x/one"), "both");
    assert_eq!(ring[2].twins().last().unwrap(), &["x/one", "x/two"]);
}

#[test]
fn a_file_that_has_a_name_outside_is_not_written_to() {
    let mut pair = pair_with(&[("a", "1"), ("b", "1")]);
    let outside = pair[1].root().parent().unwrap().join("outside");
    fs::hard_link(pair[1].at("a"), &outside).unwrap();
    fs::hard_link(pair[1].at("b"), pair[1].root().parent().unwrap().join("too")).unwrap();
    assert!(round(&mut pair).is_quiet());
    let mode = outside.metadata().unwrap().mode();
    fs::set_permissions(pair[0].at("a"), fs::Permissions::from_mode(0o600)).unwrap();
    pair[0].write("b", "other");
    round(&mut pair);
    assert_equal(&pair);
    assert_eq!((outside.metadata().unwrap().mode(), fs::read(&outside).unwrap()), (mode, b"1".to_vec()));
    assert_eq!(outside.metadata().unwrap().nlink(), 1);
    // Nor is what lies in the trash anybody else's.
    let trashed = pair[1].at(".server_sync/trash").join(&pair[1].own("trash")[0]);
    fs::write(pair[1].root().parent().unwrap().join("too"), "written over").unwrap();
    assert_eq!(fs::read(trashed).unwrap(), b"1");
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn first_contact_of_sites_that_have_the_files() {
    let (one, two): (&[&str], &[&str]) = (&["b"], &["b", "c"]);
    for links in [[one, &[]], [&[], one], [one, one], [one, two], [two, one]] {
        let mut pair = sites::<2>();
        for (site, links) in pair.iter().zip(links) {
            for path in ["a", "b", "c"] {
                site.write(path, "1");
                site.set_modified(path, UNIX_EPOCH + Duration::from_secs(1_000_000));
            }
            for path in links {
                site.remove(path);
                site.link("a", path);
            }
        }
        settle(&mut pair, &PAIR);
        // As with all that differs at first contact, the master's prevails.
        let expected = if links[0].is_empty() { vec![] } else { vec![[&["a"][..], links[0]].concat()] };
        assert_eq!(pair[0].twins(), expected, "{links:?}");
        assert!(round(&mut pair).is_quiet());
    }
}

#[test]
fn an_index_that_is_deleted_keeps_links() {
    let mut pair = joined();
    pair[0].rename("a", "z");
    round(&mut pair);
    pair[1].delete_index();
    settle(&mut pair, &PAIR);
    assert_twins(&pair, &[&["b", "z"]]);
}

/// A file system that knows no hard links.
struct NoLinks(Errno);

impl Fault for NoLinks {
    fn before(&self, op: Op, _name: &[u8]) -> rustix::io::Result<()> {
        if op == Op::Link { Err(self.0) } else { Ok(()) }
    }
}

#[test]
fn a_file_system_without_links_gets_copies() {
    for errno in [Errno::PERM, Errno::MLINK, Errno::XDEV] {
        let mut pair = pair_with(&[("a", "1")]);
        let disk = Disk::faulty(Arc::new(NoLinks(errno)));
        pair[1].open_on(Seams { disk, ..Seams::default() }).unwrap();
        pair[0].link("a", "b");
        let [a, b] = &mut pair;
        sync(a, b);
        assert_eq!((a.twins().len(), b.twins().len(), b.read("b")), (1, 0, "1".to_owned()));
        assert_eq!(a.listing(), b.listing());
        for _ in 0..2 {
            assert!(sync(a, b).is_quiet());
        }
        // Another edit of the linked file comes to both copies.
        a.write("b", "edited");
        sync(a, b);
        assert_eq!((b.read("a"), b.read("b"), a.twins().len()), ("edited".to_owned(), "edited".to_owned(), 1));
        assert!(sync(a, b).is_quiet());
        // An edit of one copy is of a file of its own.
        b.write("a", "alone");
        sync(a, b);
        assert_eq!((a.read("a"), a.read("b"), a.twins().len()), ("alone".to_owned(), "edited".to_owned(), 0));
        assert!(sync(a, b).is_quiet());
    }
}

/// One file cannot be looked at right after another was.
#[derive(Default)]
struct Veiled {
    is_due: AtomicBool,
    ended: AtomicBool,
}

impl Fault for Veiled {
    fn before(&self, op: Op, name: &[u8]) -> rustix::io::Result<()> {
        if self.ended.load(SeqCst) || op != Op::Look {
            return Ok(());
        }
        let is_due = self.is_due.swap(name == b"d", SeqCst);
        if is_due && name == b"a" { Err(Errno::IO) } else { Ok(()) }
    }
}

/// The content comes at once; the file is joined with the others once these can be seen.
#[test]
fn a_file_whose_twin_cannot_be_looked_at_is_joined_later() {
    let mut pair = joined();
    let veiled = Arc::new(Veiled::default());
    pair[1].open_on(Seams { disk: Disk::faulty(veiled.clone()), ..Seams::default() }).unwrap();
    pair[0].link("a", "d");
    for _ in 0..3 {
        let [a, b] = &mut pair;
        let skipped = try_sync(a, b).unwrap().slave.realised.skipped;
        assert_eq!(skipped.iter().map(|s| s.path.as_slice()).collect::<Vec<_>>(), [b"d"]);
        assert_eq!((b.read("d"), b.twins()), ("1".to_owned(), vec![vec!["a".to_owned(), "b".to_owned()]]));
    }
    veiled.ended.store(true, SeqCst);
    settle(&mut pair, &PAIR);
    assert_twins(&pair, &[&["a", "b", "d"]]);
}

#[test]
fn a_version_that_is_brought_back_is_a_file_of_its_own() {
    let mut pair = joined();
    pair[0].write("a", "2");
    round(&mut pair);
    let at = pair[1].tree().versions(b"b").unwrap()[0].at;
    pair[1].tree().bring_back(b"b", at).unwrap();
    round(&mut pair);
    assert_eq!((pair[0].read("a"), pair[0].read("b")), ("2".to_owned(), "1".to_owned()));
    assert_twins(&pair, &[]);
}

#[test]
fn permissions_that_differ_make_files_of_their_own() {
    let mut pair = joined();
    // Both are written at both, but at one only one of them may be.
    fs::set_permissions(pair[0].at("a"), fs::Permissions::from_mode(0o640)).unwrap();
    save(&pair[1], "b", "1");
    settle(&mut pair, &PAIR);
    assert_twins(&pair, &[]);
    assert_eq!(pair[1].at("a").metadata().unwrap().mode() & 0o777, 0o640);
}

#[test]
fn indexes_of_earlier_versions_get_the_columns() {
    let mut pair = pair_with(&[("a", "1"), ("c/d", "2")]);
    for site in &mut pair {
        site.drop_tree();
        let index = rusqlite::Connection::open(site.index()).unwrap();
        forget_twins(&index);
    }
    fs::hard_link(pair[0].at("a"), pair[0].at("b")).unwrap();
    fs::remove_file(pair[0].at("b")).unwrap();
    let rows = |site: &mut Site| site.tree().drain().unwrap().rows;
    assert_eq!([rows(&mut pair[0]), rows(&mut pair[1])], [0, 0], "rows were marked");
    assert!(round(&mut pair).is_quiet());
    pair[1].link("a", "b");
    round(&mut pair);
    assert_twins(&pair, &[&["a", "b"]]);
}

/// Links that were there before are found then, without anything being copied.
#[test]
fn links_from_before_are_found_after_an_upgrade() {
    let mut pair = joined();
    for site in &mut pair {
        site.drop_tree();
        forget_twins(&rusqlite::Connection::open(site.index()).unwrap());
    }
    let report = round(&mut pair);
    assert_eq!((report.master.realised.replaced, report.slave.realised.replaced), (0, 0));
    assert_twins(&pair, &[&["a", "b"]]);
    assert!(round(&mut pair).is_quiet());
    pair[0].write("b", "2");
    round(&mut pair);
    assert_twins(&pair, &[&["a", "b"]]);
}

/// Makes an index what the version before twins made.
fn forget_twins(index: &rusqlite::Connection) {
    let triggers: Vec<String> = index
        .prepare("SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='entry'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut statements: Vec<String> = triggers.iter().map(|name| format!("DROP TRIGGER \"{name}\"")).collect();
    statements.extend(
        [
            "DROP INDEX entry_twin",
            "ALTER TABLE entry DROP COLUMN twin",
            "ALTER TABLE disk DROP COLUMN twin",
            "ALTER TABLE disk DROP COLUMN links",
            "DROP TABLE joined",
        ]
        .map(str::to_owned),
    );
    index.execute_batch(&statements.join(";")).unwrap();
}

#[test]
fn a_watched_tree_sees_edits_through_another_name() {
    let mut pair = joined();
    let [a, b] = &mut pair;
    a.drop_tree();
    let options = sync_tree::Options { watch: true, ..a.options() };
    a.set_tree(sync_tree::Tree::open(options, &a.card()).unwrap());
    sync(a, b);
    sync(a, b);
    a.write("b", "edited");
    sync(a, b);
    assert_eq!((b.read("a"), b.read("b")), ("edited".to_owned(), "edited".to_owned()));
    a.link("c", "e");
    sync(a, b);
    assert_eq!(b.twins(), [["a", "b"], ["c", "e"]]);
    save(a, "a", "its own");
    sync(a, b);
    b.write("b", "from there");
    sync(a, b);
    assert_eq!((a.read("b"), a.read("a")), ("from there".to_owned(), "its own".to_owned()));
    assert!(sync(a, b).is_quiet());
    assert_eq!(a.twins(), b.twins());
    assert!(try_sync(a, b).unwrap().is_quiet());
}
