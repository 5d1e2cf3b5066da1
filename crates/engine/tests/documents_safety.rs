//! What must never happen to a tree: names that lead elsewhere, an emptied directory that deletes the others', an edit
//! that is overwritten, a crash that leaves something half.
#![allow(clippy::unwrap_used)]

mod trees;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sync_core::{Row, RowState, SiteId, Stamp, Value};
use sync_database::sql::Sql;
use sync_database::sqlite::SqliteDriver;
use sync_engine::Kind;
use sync_store::contents::{Ask, Body};
use sync_store::{
    Batch, Change, Contents, Hash, Manner, Mode, Piece, Reason, Store, StoreError, TableHead, Trouble, Want,
};
use sync_tree::{Disk, Fault, Op, Seams};
use trees::{PAIR, Site, assert_equal, pair_with, random, round, settle, sites, sync, try_sync};

#[test]
fn awful_names_arrive() {
    let mut pair = sites::<2>();
    let long = "x".repeat(255);
    for name in [
        &b"new\nline"[..],
        b"\xff\xfe not UTF-8",
        b" ",
        b"-rf",
        b"...",
        b"a\\b",
        b"'\"$(x)`",
        long.as_bytes(),
        b"e\xcc\x81",
    ] {
        pair[0].write(OsStr::from_bytes(name), "awful");
        pair[1].write(format!("d/{}", name.escape_ascii()).chars().take(200).collect::<String>(), "shown");
    }
    round(&mut pair);
    assert_equal(&pair);
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn paths_longer_than_the_system_takes() {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let mut pair = sites::<2>();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let name = "n".repeat(200);
    let deepest = |site: &Site, make: bool| {
        let mut at = rustix::fs::open(site.root(), flags, Mode::empty()).unwrap();
        for _ in 0..30 {
            if make {
                mkdirat(&at, name.as_str(), Mode::from_raw_mode(0o755)).unwrap();
            }
            at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
        }
        at
    };
    let at = deepest(&pair[0], true);
    let file = openat(&at, "file", OFlags::WRONLY | OFlags::CREATE, Mode::from_raw_mode(0o644)).unwrap();
    rustix::io::write(&file, b"deep").unwrap();
    round(&mut pair);
    let mut text = [0; 10];
    let file = openat(deepest(&pair[1], false), "file", OFlags::RDONLY, Mode::empty()).unwrap();
    assert_eq!(rustix::io::read(&file, &mut text).unwrap(), 4);
    assert!(round(&mut pair).is_quiet());
}

/// A batch with one row of the tree, as a peer could send it.
fn batch(site: &mut Site, path: &[u8], cells: &[(&str, Value)]) -> Batch {
    let columns = ["path", "content", "mode", "owner", "grp", "xattrs", "twin"].map(str::to_owned).to_vec();
    let mut values = vec![
        Value::Bytes(path.to_vec()),
        Value::Bytes(b"d".to_vec()),
        Value::Int(0o755),
        Value::Int(0),
        Value::Int(0),
        Value::Bytes(Vec::new()),
        Value::Bytes(Vec::new()),
    ];
    for (column, value) in cells {
        let at = columns.iter().position(|c| c == column).unwrap();
        values[at] = value.clone();
    }
    let state = RowState::inserted_at(Stamp::at(1_000_000, SiteId::new(9).unwrap()));
    Batch {
        heads: vec![TableHead { name: "entry".to_owned(), columns }],
        changes: vec![Change {
            table: 0,
            key: vec![Value::Bytes(path.to_vec())],
            row: Row { state, values: Some(values) },
        }],
        ..Batch::empty(site.tree().source())
    }
}

#[test]
fn hostile_rows_are_refused() {
    let [mut site, _] = pair_with(&[("a", "1")]);
    let refused = |site: &mut Site, batch: &Batch| {
        let refused = site.tree().apply(batch, Mode::Write);
        assert!(refused.is_err_and(|e| e.trouble == Trouble::Corrupt), "{batch:?}");
    };
    for path in
        [&b"../x"[..], b"/etc/x", b"a/../../x", b".", b"", b"a//b", b"a\0b", b".server_sync/marker", &[b'x'; 256]]
    {
        let batch = batch(&mut site, path, &[]);
        refused(&mut site, &batch);
    }
    for cell in [
        ("content", Value::Bytes(b"x".to_vec())),
        ("content", Value::Text("d".to_owned())),
        ("content", Value::Bytes(b"l".to_vec())),
        ("mode", Value::Int(0o100_000)),
        ("owner", Value::Int(-1)),
        ("owner", Value::Int(u32::MAX.into())),
        ("owner", Value::Text("root".to_owned())),
        ("owner", Value::Bytes(Vec::new())),
        ("owner", Value::Bytes(b"a\nroot:x:0:0".to_vec())),
        ("grp", Value::Bytes(b"a\0b".to_vec())),
        ("grp", Value::Bytes(b"\x1b[2J".to_vec())),
        ("grp", Value::Bytes(b"\xff".to_vec())),
        ("grp", Value::Bytes(vec![b'x'; 256])),
        ("xattrs", Value::Bytes(b"\0\0\0\x13security.capability\0\0\0\x01x".to_vec())),
        ("path", Value::Bytes(b"../x".to_vec())),
        ("twin", Value::Bytes(vec![1; 15])),
        ("twin", Value::Bytes(vec![1; 4000])),
        ("twin", Value::Int(1)),
    ] {
        let batch = batch(&mut site, b"good", &[cell]);
        refused(&mut site, &batch);
    }
    let batch = batch(&mut site, b"good", &[]);
    site.tree().apply(&batch, Mode::Write).unwrap();
    site.tree().realise().unwrap();
    assert_eq!(site.paths(), ["a", "good"]);
}

#[test]
fn nothing_is_written_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let [mut site, _] = pair_with(&[("a", "1")]);
    // A peer plants a link and writes below it; settling would move the link aside, a hostile peer hopes it does not.
    let link = [&b"l"[..], outside.path().as_os_str().as_bytes()].concat();
    for (path, content) in [(&b"trap"[..], link), (b"trap/inside", b"d".to_vec())] {
        let batch = batch(&mut site, path, &[("content", Value::Bytes(content))]);
        site.tree().apply(&batch, Mode::Write).unwrap();
    }
    let report = site.tree().realise().unwrap();
    assert!(!report.skipped.is_empty());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    // And somebody replaces a directory by a link after the scan.
    let batch = batch(&mut site, b"dir", &[]);
    site.tree().apply(&batch, Mode::Write).unwrap();
    site.tree().settle().unwrap();
    site.tree().realise().unwrap();
    fs::remove_dir(site.at("dir")).unwrap();
    symlink(outside.path(), site.at("dir")).unwrap();
    let batch = self::batch(&mut site, b"dir/inside", &[]);
    site.tree().apply(&batch, Mode::Write).unwrap();
    assert_eq!(site.tree().realise().unwrap().skipped.len(), 1);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn contents_that_were_not_asked_for_are_refused() {
    let mut pair = pair_with(&[("a", "1")]);
    let piece = |hash: Hash| Piece::asked(hash, Body::Data { offset: 0, bytes: b"evil".to_vec() });
    let refused = pair[1].tree().receive(&piece(Hash([1; 32])));
    assert!(refused.is_err_and(|e| e.trouble == Trouble::Corrupt));
    // Asked for, but not what its hash says.
    let content = [&b"f"[..], &[7; 32], &4_u64.to_be_bytes(), &0_u64.to_be_bytes()].concat();
    let batch = batch(&mut pair[1], b"b", &[("content", Value::Bytes(content))]);
    let tree = pair[1].tree();
    tree.apply(&batch, Mode::Write).unwrap();
    assert_eq!(tree.wanted(10).unwrap(), [Want { hash: Hash([7; 32]), size: 4, ask: Ask::Whole }]);
    assert!(tree.receive(&piece(Hash([7; 32]))).is_err_and(|e| e.trouble == Trouble::Corrupt));
    let report = tree.realise().unwrap();
    assert_eq!(report.skipped.len(), 1);
    assert_eq!(report.skipped[0].reason, Reason::NoContent);
}

/// Lists of a large content come one after the other, but no peer can go on with empty ones for ever, nor with what it thinks will be
/// asked for.
#[test]
fn lists_that_bring_nothing_are_refused() {
    let mut pair = pair_with(&[("a", "1")]);
    pair[1].write("large", vec![1; 1 << 20]);
    pair[1].tree().drain().unwrap();
    let hash = Hash([7; 32]);
    let content = [&b"f"[..], &hash.0, &(1_u64 << 20).to_be_bytes(), &0_u64.to_be_bytes()].concat();
    let mut batch = batch(&mut pair[1], b"large", &[("content", Value::Bytes(content))]);
    batch.changes[0].row.state = RowState::inserted_at(Stamp::at(3_000_000_000_000, SiteId::new(9).unwrap()));
    let tree = pair[1].tree();
    tree.apply(&batch, Mode::Write).unwrap();
    assert_eq!(tree.wanted(10).unwrap(), [Want { hash, size: 1 << 20, ask: Ask::Groups { from: 0 } }]);
    let data = Body::Data { offset: 0, bytes: b"evil".to_vec() };
    for content in [hash, Hash([8; 32])] {
        tree.receive(&Piece::ahead(content, data.clone())).unwrap();
    }
    tree.receive(&Piece::asked(hash, Body::Groups(Vec::new()))).unwrap();
    let again = tree.receive(&Piece::asked(hash, Body::Groups(Vec::new())));
    assert!(again.is_err_and(|e| e.trouble == Trouble::Corrupt));
}

#[test]
fn an_emptied_or_missing_directory_halts() {
    type Damage = fn(&Site);
    let damages: [Damage; 4] = [
        |site| fs::remove_dir_all(site.root()).unwrap(),
        |site| {
            fs::remove_dir_all(site.root()).unwrap();
            fs::create_dir(site.root()).unwrap();
        },
        |site| {
            site.remove("a");
            site.remove("d");
        },
        |site| {
            fs::rename(site.root(), site.root().with_extension("old")).unwrap();
            fs::create_dir(site.root()).unwrap();
            fs::create_dir(site.at(".server_sync")).unwrap();
        },
    ];
    for damage in damages {
        for reopened in [false, true] {
            let mut pair = pair_with(&[("a", "1"), ("d/b", "2")]);
            damage(&pair[0]);
            let [a, b] = &mut pair;
            if reopened {
                a.drop_tree();
                let opened = sync_tree::Tree::open(a.options(), &a.card());
                match opened {
                    Err(e) => assert_eq!(e.trouble, Trouble::Halt),
                    Ok(tree) => {
                        a.set_tree(tree);
                        assert!(try_sync(a, b).is_err_and(|e| e.kind == Kind::Halt && e.kind.exit_code() == 25));
                    }
                }
            } else {
                assert!(try_sync(a, b).is_err_and(|e| e.kind == Kind::Halt && e.kind.exit_code() == 25));
            }
            assert_eq!(b.paths(), ["a", "d", "d/b"]);
        }
    }
}

#[test]
fn mass_deletion_halts_but_a_move_does_not() {
    let mut pair = sites::<2>();
    for n in 0..300 {
        pair[0].write(format!("d/{n}"), format!("{n}"));
    }
    pair[0].write("z", "stays");
    settle(&mut pair, &PAIR);
    pair[0].rename("d", "e");
    round(&mut pair);
    assert_equal(&pair);
    pair[0].remove("e");
    let [a, b] = &mut pair;
    assert!(try_sync(a, b).is_err_and(|e| e.kind == Kind::Halt));
    assert_eq!(b.paths().len(), 302);
}

/// A site that was declared to have left and came back publishes graves that are never forgotten again.
#[test]
fn a_move_is_one_though_its_graves_last() {
    let mut pair = sites::<2>();
    (0..300).for_each(|n| pair[0].write(format!("d/{n}"), format!("{n}")));
    settle(&mut pair, &PAIR);
    pair[0].rename("d", "e");
    pair[0].tree().drain().unwrap();
    pair[0].drop_tree();
    run(&pair[0], "UPDATE server_sync_row SET dead=2 WHERE dead=1");
    round(&mut pair);
    assert_equal(&pair);
}

#[test]
fn what_changed_since_the_scan_is_not_overwritten() {
    let mut pair = pair_with(&[("a", "1"), ("b", "1"), ("c", "1")]);
    pair[0].write("a", "of geneva");
    pair[0].remove("b");
    pair[0].write("new", "of geneva");
    // The moment comes when contents are ready at lyon.
    let root = pair[1].root();
    let once = Arc::new(Mutex::new(true));
    pair[1]
        .open_hooked(Box::new(move |moment| {
            let is_first = |flag: &mut bool| std::mem::replace(flag, false);
            if moment == "realise: prepared" && once.lock().is_ok_and(|mut flag| is_first(&mut flag)) {
                for name in ["a", "b", "new"] {
                    fs::write(root.join(name), format!("of lyon, {name}")).unwrap();
                }
            }
            Ok(())
        }))
        .unwrap();
    let [a, b] = &mut pair;
    let report = try_sync(a, b).unwrap();
    let skipped = &report.slave.realised.skipped;
    assert!(skipped.iter().all(|s| s.reason == Reason::Changed), "{skipped:?}");
    assert_eq!(skipped.len(), 3);
    for name in ["a", "b", "new"] {
        assert_eq!(b.read(name), format!("of lyon, {name}"));
    }
    settle(&mut pair, &PAIR);
    let texts: Vec<String> = pair[0].paths().iter().map(|path| pair[0].read(path)).collect();
    for text in ["of lyon, a", "of lyon, b", "of lyon, new", "of geneva"] {
        assert!(texts.iter().any(|t| t == text), "{text} in {texts:?}");
    }
}

#[test]
fn a_directory_that_was_made_anew_is_read_anew() {
    let mut pair = pair_with(&[("d/a", "1")]);
    // The directory of the last content that was sent is kept open; the old one stays one as long as that.
    pair[0].rename("d", "old");
    pair[0].write("d/b", "2");
    round(&mut pair);
    assert_eq!(pair[1].read("d/b"), "2");
    assert_equal(&pair);
}

#[test]
fn an_index_that_was_deleted_is_made_again() {
    let mut pair = pair_with(&[("a", "1"), ("d/b", "2")]);
    pair[0].write("a", "newer");
    pair[0].tree().drain().unwrap();
    pair[1].delete_index();
    settle(&mut pair, &PAIR);
    // What lyon had is from before: it does not win against what was written since.
    assert_eq!(pair[1].read("a"), "newer");
    assert_eq!(pair[1].read("d/b"), "2");
}

#[test]
fn special_files_are_told_and_skipped() {
    let mut pair = pair_with(&[("a", "1")]);
    let _socket = std::os::unix::net::UnixListener::bind(pair[0].at("socket")).unwrap();
    let [a, b] = &mut pair;
    let report = try_sync(a, b).unwrap();
    assert_eq!(report.master.unread.len(), 1);
    assert_eq!(report.master.unread[0].reason, Reason::Special);
    assert!(report.has_remains());
    assert_eq!(b.paths(), ["a"]);
}

#[test]
fn an_insertion_into_a_large_file_sends_little() {
    let mut pair = sites::<2>();
    let mut data = random(16 << 20, 1);
    pair[0].write("large", &data);
    settle(&mut pair, &PAIR);
    data.splice(5_000_000..5_000_000, random(1000, 2));
    pair[0].write("large", &data);
    let report = round(&mut pair);
    assert_equal(&pair);
    assert!(report.slave.bytes < 600_000, "{}", report.slave.bytes);
    // Moved and edited at once: what goes serves as well.
    data.splice(9_000_000..9_000_000, random(1000, 3));
    pair[0].remove("large");
    pair[0].write("moved", &data);
    let report = round(&mut pair);
    assert_equal(&pair);
    assert!(report.slave.bytes < 600_000, "{}", report.slave.bytes);
}

#[test]
fn an_interrupted_transfer_goes_on() {
    let mut pair = sites::<2>();
    pair[0].write("large", random(40 << 20, 4));
    pair[0].write("z", "1");
    let [a, b] = &mut pair;
    let (count, cut) = (Arc::new(AtomicU32::new(0)), 300);
    let counting = Arc::clone(&count);
    b.open_hooked(Box::new(move |moment| {
        let is_cut = moment == "receive: keep" && counting.fetch_add(1, Ordering::Relaxed) == cut;
        if is_cut { Err(StoreError::new(Trouble::Unreachable, "the line is cut")) } else { Ok(()) }
    }))
    .unwrap();
    assert!(try_sync(a, b).is_err());
    b.drop_tree();
    let report = sync(a, b);
    assert_equal(&pair);
    assert!(report.slave.bytes < (40 << 20) * 3 / 4, "{}", report.slave.bytes);
}

/// Dies at the n-th moment at which something is about to be written, at either side; then everything is done again.
#[test]
fn a_crash_at_any_step_loses_nothing() {
    let mut n = 0;
    loop {
        let mut pair = pair_with(&[("a", "1"), ("b", "1"), ("d/c", "1"), ("d/e/f", "1"), ("gone", "1")]);
        pair[0].write("a", "2");
        pair[0].rename("d", "moved");
        pair[0].remove("gone");
        pair[0].write("large", random(600_000, 5));
        pair[0].write("x/y", "in a directory");
        pair[1].write("b", "of lyon");
        pair[1].write("x", "a file");
        let moments = Arc::new(AtomicU32::new(0));
        for site in &mut pair {
            let moments = Arc::clone(&moments);
            site.open_hooked(Box::new(move |moment| match moments.fetch_add(1, Ordering::Relaxed) == n {
                true => Err(StoreError::new(Trouble::Failure, format!("dies at {moment}"))),
                false => Ok(()),
            }))
            .unwrap();
        }
        let [a, b] = &mut pair;
        let died = try_sync(a, b).is_err();
        // Whatever is at a path is whole.
        for site in [&*a, &*b] {
            for (path, texts) in [("a", ["1", "2"]), ("b", ["1", "of lyon"])] {
                assert!(texts.contains(&site.read(path).as_str()), "{path} after {n}");
            }
        }
        a.drop_tree();
        b.drop_tree();
        settle(&mut pair, &PAIR);
        let paths = pair[0].paths();
        assert_eq!(paths.len(), 10, "{paths:?} after {n}");
        assert_eq!((pair[1].read("a"), pair[0].read("b")), ("2".to_owned(), "of lyon".to_owned()), "after {n}");
        if !died {
            assert!(n > 10, "{n}");
            return;
        }
        n += 1;
    }
}

/// The names of the files that were opened for reading.
#[derive(Default)]
struct Opened(Mutex<Vec<String>>);

impl Fault for Opened {
    fn before(&self, op: Op, name: &[u8]) -> rustix::io::Result<()> {
        if op == Op::Open {
            self.0.lock().unwrap().push(name.escape_ascii().to_string());
        }
        Ok(())
    }
}

#[test]
fn what_was_put_into_its_place_is_read_again_only_if_an_edit_could_hide() {
    let mut pair = sites::<2>();
    let hour = Duration::from_secs(3600);
    for (name, time) in [("old", SystemTime::now() - hour), ("fresh", SystemTime::now() + hour)] {
        pair[0].write(name, "text");
        pair[0].set_modified(name, time);
    }
    round(&mut pair);
    let opened = Arc::new(Opened::default());
    let fault: Arc<dyn Fault> = Arc::clone(&opened) as Arc<dyn Fault>;
    pair[1].open_on(Seams { disk: Disk::faulty(fault), ..Seams::default() }).unwrap();
    assert!(round(&mut pair).is_quiet());
    let names = std::mem::take(&mut *opened.0.lock().unwrap());
    assert!(names.contains(&"fresh".to_owned()) && !names.contains(&"old".to_owned()), "{names:?}");
    pair[1].write("old", "TEXT");
    round(&mut pair);
    assert_eq!(pair[0].read("old"), "TEXT");
    assert_equal(&pair);
}

/// Somebody changes a file once it is at its place, before it is looked at there.
struct Touches {
    path: PathBuf,
    text: &'static str,
    done: AtomicBool,
}

/// What they give it.
const TOUCHED: Duration = Duration::from_secs(1_000_000_000);

impl Fault for Touches {
    fn before(&self, op: Op, _name: &[u8]) -> rustix::io::Result<()> {
        let is_placed = || fs::read(&self.path).is_ok_and(|text| text == self.text.as_bytes());
        if matches!(op, Op::Look | Op::Stat) && is_placed() && !self.done.swap(true, Ordering::SeqCst) {
            fs::File::open(&self.path).unwrap().set_modified(UNIX_EPOCH + TOUCHED).unwrap();
            fs::set_permissions(&self.path, Permissions::from_mode(0o604)).unwrap();
        }
        Ok(())
    }
}

#[test]
fn what_becomes_of_a_file_right_after_it_was_placed_is_seen() {
    for is_there in [false, true] {
        let mut pair = sites::<2>();
        if is_there {
            pair[0].write("a", "before");
        }
        round(&mut pair);
        pair[0].write("a", "text");
        let touches = Arc::new(Touches { path: pair[1].at("a"), text: "text", done: AtomicBool::new(false) });
        pair[1].open_on(Seams { disk: Disk::faulty(touches.clone()), ..Seams::default() }).unwrap();
        round(&mut pair);
        settle(&mut pair, &PAIR);
        assert!(touches.done.load(Ordering::SeqCst));
        let metadata = pair[0].at("a").metadata().unwrap();
        assert_eq!(metadata.modified().unwrap(), UNIX_EPOCH + TOUCHED, "{is_there}");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o604, "{is_there}");
        assert_equal(&pair);
    }
}

/// A pair of which the second site died when rows were merged and nothing was made of them.
fn died_before_anything_was_made() -> [Site; 2] {
    let mut pair = pair_with(&[("a", "1"), ("d/gone", "1")]);
    pair[0].write("a", "2");
    pair[0].write("e/new", "2");
    pair[0].remove("d");
    let [a, b] = &mut pair;
    b.open_hooked(Box::new(|moment| match moment.starts_with("re") {
        true => Err(StoreError::new(Trouble::Failure, "dies")),
        false => Ok(()),
    }))
    .unwrap();
    assert!(try_sync(a, b).is_err());
    assert_eq!(b.read("a"), "1");
    b.drop_tree();
    pair
}

fn run(site: &Site, statement: &str) {
    let mut driver = SqliteDriver::open(&site.index(), sync_database::sqlite::Options::default()).unwrap();
    driver.run(statement).unwrap();
}

#[test]
fn an_index_without_a_list_is_looked_through() {
    let mut pair = died_before_anything_was_made();
    run(&pair[1], "DELETE FROM pending");
    run(&pair[1], "DELETE FROM listed");
    let [a, b] = &mut pair;
    sync(a, b);
    assert_equal(&pair);
}

#[test]
fn who_doubts_does_not_rely_on_the_list() {
    let mut pair = died_before_anything_was_made();
    run(&pair[1], "DELETE FROM pending");
    assert_eq!(pair[1].tree().overlooked().unwrap().len(), 5);
    pair[1].tree().begin(Manner { doubt: true, ..Manner::default() }).unwrap();
    let [a, b] = &mut pair;
    sync(a, b);
    assert_equal(&pair);
}

#[test]
fn a_version_comes_back_from_the_trash() {
    let mut pair = pair_with(&[("a", "1"), ("z", "1")]);
    pair[0].write("a", "2");
    round(&mut pair);
    pair[0].remove("a");
    round(&mut pair);
    let versions = pair[1].tree().versions(b"a").unwrap();
    assert!(!versions.is_empty());
    let oldest = versions.last().unwrap().at;
    pair[1].tree().bring_back(b"a", oldest).unwrap();
    assert!(pair[1].tree().bring_back(b"never", oldest).is_err());
    settle(&mut pair, &PAIR);
    assert_eq!(pair[0].read("a"), "1");
}
