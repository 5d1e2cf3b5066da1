//! Large files: what is here in any file is not sent, what came before the line was cut neither; a full disk is told
//! before half of a file is written; holes stay holes; a limit of the line is kept.

#![allow(clippy::unwrap_used, clippy::panic)]

mod trees;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use rustix::io::Errno;
use sync_engine::documents::round_documents;
use sync_store::contents::Body;
use sync_store::{
    Contents, Lacking, Manner, Piece, PieceSink, Realised, Reason, Result, Skipped, Store, StoreError, Trouble, Want,
};
use sync_tree::{Disk, Fault, Hook, Op, Options, Seams, Tree};
use trees::{Site, assert_equal, options, pair_with, random, round, settle, sites, sync, try_sync};

/// A tree at the end of a line that is cut after so many bytes of contents.
struct Line<'a> {
    tree: &'a mut Tree,
    left: u64,
    passed: u64,
    /// Bytes of the piece that the cut went through.
    lost: u64,
    /// Chunks that were listed.
    listed: usize,
}

impl Line<'_> {
    fn call<T>(&mut self, work: impl FnOnce(&mut Tree) -> Result<T>) -> Result<T> {
        work(self.tree)
    }
}

impl Store for Line<'_> {
    sync_store::pass_on! {
        describe drain knowledge forgot last_heard leave_history is_empty recognises greet reincarnate outline changes apply
        complete enter scan digest rows restamp bury registry register purge compared conflicts parked restore
    }
}

impl Contents for Line<'_> {
    fn begin(&mut self, manner: Manner) -> Result<()> {
        self.tree.begin(manner)
    }

    fn settle(&mut self) -> Result<u64> {
        self.tree.settle()
    }

    fn wanted(&mut self, limit: usize) -> Result<Vec<Want>> {
        self.tree.wanted(limit)
    }

    fn lacking(&mut self) -> Result<Lacking> {
        self.tree.lacking()
    }

    fn meet(&mut self) {
        self.tree.meet();
    }

    fn supply(&mut self, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
        let (left, passed, lost, listed) = (&mut self.left, &mut self.passed, &mut self.lost, &mut self.listed);
        self.tree.supply(wants, &mut |piece| {
            if let Body::Chunks(chunks) = &piece.body {
                *listed += chunks.len();
            }
            let weight = piece.weight() as u64;
            *passed += weight;
            if *left < weight {
                *lost = weight;
                return Err(StoreError::new(Trouble::Unreachable, "the line is cut"));
            }
            *left -= weight;
            sink(piece)
        })
    }

    fn receive(&mut self, piece: &Piece) -> Result<()> {
        self.tree.receive(piece)
    }

    fn realise(&mut self) -> Result<Realised> {
        self.tree.realise()
    }

    fn unrealised(&mut self) -> Result<u64> {
        self.tree.unrealised()
    }

    fn unread(&self) -> &[Skipped] {
        self.tree.unread()
    }
}

/// `SERVER_SYNC_MEASURE_MIB=2048` does it with as much.
#[test]
fn a_line_that_is_cut_a_hundred_times_sends_hardly_more() {
    let wish = std::env::var("SERVER_SYNC_MEASURE_MIB").ok().and_then(|text| text.parse().ok());
    let size = wish.unwrap_or(64_u64) << 20;
    let [mut a, mut b] = sites::<2>();
    let file = fs::File::create(a.at("large")).unwrap();
    for n in 0..size >> 20 {
        file.write_all_at(&random(1 << 20, n), n << 20).unwrap();
    }
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut cuts, mut total, mut lost) = (0, 0, 0);
    loop {
        let left = if cuts < 100 { rng.u64(0..size / 60) } else { u64::MAX };
        let mut line = Line { tree: a.tree(), left, passed: 0, lost: 0, listed: 0 };
        let options = options(b.name);
        let done = round_documents(&mut line, b.tree(), &options, &mut ());
        total += line.passed;
        lost += line.lost;
        if done.is_ok() {
            break;
        }
        cuts += 1;
        // The other side's agent ends with the line.
        b.drop_tree();
    }
    println!("{size} bytes, {cuts} cuts, {total} bytes sent, of these {lost} in pieces that were cut");
    assert!(cuts > 50, "{cuts}");
    // What was on its way at a cut is lost; nothing else is, whatever the size.
    assert!(total - lost < size + size / 50, "{total} - {lost} of {size}");
    assert!(size < 1 << 30 || total < size + size / 10, "{total} of {size}");
    assert_equal(&[a, b]);
}

#[test]
fn the_list_of_a_large_file_that_changed_little_is_short() {
    let [mut a, mut b] = sites::<2>();
    let mut content = random(32 << 20, 1);
    let mut chunks = |a: &mut Site, content: &[u8]| {
        a.write("large", content);
        let options = options(b.name);
        let mut line = Line { tree: a.tree(), left: u64::MAX, passed: 0, lost: 0, listed: 0 };
        round_documents(&mut line, b.tree(), &options, &mut ()).unwrap();
        assert_eq!(fs::read(b.at("large")).unwrap(), content);
        line.listed
    };
    let all = chunks(&mut a, &content);
    content.splice((16 << 20)..(16 << 20), random(1000, 2));
    let few = chunks(&mut a, &content);
    assert!(all > 250 && (1..all / 2).contains(&few), "{few} of {all}");
    // Many places that are far apart are not asked about one by one.
    for at in 0..8 {
        content[at * (4 << 20)] ^= 1;
    }
    let most = chunks(&mut a, &content);
    assert!((few..=all + 20).contains(&most), "{most} of {all}");
}

/// What the other site has is not what was here before the last edit: what is sent along without being asked for does not fit.
#[test]
fn a_file_that_was_edited_twice_arrives() {
    let mut pair = pair_with(&[("other", "1")]);
    let mut content = random(8 << 20, 1);
    pair[0].write("large", &content);
    round(&mut pair);
    for at in [1 << 20, 6 << 20] {
        content.splice(at..at, random(1000, at as u64));
        pair[0].write("large", &content);
        pair[0].tree().drain().unwrap();
    }
    let report = round(&mut pair);
    assert!((2000..2 << 20).contains(&report.slave.bytes), "{} bytes", report.slave.bytes);
    assert_equal(&pair);
    // Here it is what was there before, but at the other side somebody had edited it as well.
    let mut theirs = content.clone();
    theirs.splice(3 << 20..3 << 20, random(500, 5));
    pair[1].write("large", &theirs);
    content.splice(2 << 20..2 << 20, random(500, 6));
    pair[0].write("large", &content);
    settle(&mut pair, &trees::PAIR);
    assert_equal(&pair);
    assert_eq!(pair[0].paths().len(), 3);
}

/// How the chunks of a large file are cut stays known as long as it is here: nobody has to read it again to tell.
#[test]
fn the_chunks_of_what_is_here_stay_known() {
    let mut pair = pair_with(&[("other", "1")]);
    pair[0].write("large", random(1 << 20, 1));
    round(&mut pair);
    pair[0].write("large", random(1 << 20, 2));
    round(&mut pair);
    for site in &mut pair {
        site.drop_tree();
        let index = site.index();
        let listed = || {
            let index = rusqlite::Connection::open(&index).unwrap();
            let query = "SELECT COUNT(DISTINCT content), SUM(size) FROM chunk WHERE content IN (SELECT hash FROM disk)";
            index.query_row(query, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap()
        };
        assert_eq!(listed(), (1, 1 << 20), "{}", site.name);
        // Opened anew, all is gone through.
        rusqlite::Connection::open(&index).unwrap().execute("DELETE FROM listed", []).unwrap();
        site.tree().drain().unwrap();
        site.tree().realise().unwrap();
        assert_eq!(listed(), (1, 1 << 20), "{}", site.name);
    }
}

#[test]
fn chunks_are_found_in_every_file_and_in_the_trash() {
    let mut pair = sites::<2>();
    let (kept, deleted) = (random(3 << 20, 1), random(3 << 20, 2));
    pair[0].write("archive/2019.bin", &kept);
    pair[0].write("elsewhere/gone.bin", &deleted);
    round(&mut pair);
    pair[0].remove("elsewhere");
    round(&mut pair);
    pair[0].write("new.bin", [&b"a new beginning"[..], &kept[1 << 20..], &deleted[..2 << 20]].concat());
    let report = round(&mut pair);
    assert_equal(&pair);
    assert!(report.slave.bytes < 1 << 20, "{}", report.slave.bytes);
}

/// Writes into a file once chunks of it are to be copied: before it is opened for that, or right then.
struct Meddler {
    path: PathBuf,
    at_once: bool,
    /// Pieces of contents have come.
    is_due: Arc<AtomicBool>,
}

impl Meddler {
    fn meddle(&self) {
        if self.is_due.swap(false, SeqCst) {
            fs::File::options().write(true).open(&self.path).unwrap().write_all_at(b"meddled with", 1 << 20).unwrap();
        }
    }
}

impl Fault for Meddler {
    fn before(&self, op: Op, name: &[u8]) -> rustix::io::Result<()> {
        if self.at_once || (op == Op::Open && name == b"large") {
            self.meddle();
        }
        Ok(())
    }
}

/// Whatever becomes of a file while chunks of it are copied, the other one is what it should be.
#[test]
fn a_file_that_changes_while_its_chunks_are_copied() {
    for at_once in [true, false] {
        let old = random(3 << 20, 1);
        let mut pair = sites::<2>();
        pair[0].write("large", &old);
        round(&mut pair);
        let new = [&random(1000, 2), &old[..]].concat();
        pair[0].write("new", &new);
        let is_due = Arc::new(AtomicBool::new(false));
        let meddler = Meddler { path: pair[1].at("large"), at_once, is_due: Arc::clone(&is_due) };
        let (mut pieces, due) = (0, Arc::clone(&is_due));
        let hook: Hook = Box::new(move |what| {
            pieces += usize::from(what == "receive: keep");
            // Behind the list come the chunks that are not here.
            due.store(what == "receive: keep" && pieces == 2, SeqCst);
            Ok(())
        });
        let disk = Disk::faulty(Arc::new(meddler));
        pair[1].open_on(Seams { disk, hook: Some(hook), ..Seams::default() }).unwrap();
        let [a, b] = &mut pair;
        let report = try_sync(a, b).unwrap();
        assert!(fs::read(b.at("new")).unwrap() == new, "{at_once}");
        assert!(fs::read(b.at("large")).unwrap() != old, "{at_once}");
        let least = if at_once { 3 << 20 } else { 100_000 };
        assert!(report.slave.bytes > least, "{at_once} {}", report.slave.bytes);
        settle(&mut pair, &[(0, 1)]);
        assert!(fs::read(pair[1].at("new")).unwrap() == new);
    }
}

/// Answers some calls with an error.
struct Failing(Op, Errno);

impl Fault for Failing {
    fn before(&self, op: Op, _: &[u8]) -> rustix::io::Result<()> {
        if op == self.0 { Err(self.1) } else { Ok(()) }
    }
}

fn open_with(site: &mut Site, options: Options, fault: Option<Failing>) {
    site.drop_tree();
    let disk = fault.map_or_else(Disk::default, |fault| Disk::faulty(Arc::new(fault)));
    let tree = Tree::open_on(options, &site.card(), Seams { disk, ..Seams::default() }).unwrap();
    site.set_tree(tree);
}

#[test]
fn a_file_without_room_is_told_and_the_others_come() {
    let [mut a, mut b] = sites::<2>();
    a.write("large", random(1 << 20, 3));
    a.write("small", "small");
    let options = b.options();
    open_with(&mut b, options, Some(Failing(Op::Reserve, Errno::NOSPC)));
    let report = try_sync(&mut a, &mut b).unwrap();
    let skipped = report.slave.realised.skipped;
    assert!(matches!(&skipped[..], [Skipped { reason: Reason::NoRoom { size: 0x10_0000, .. }, .. }]), "{skipped:?}");
    assert!(report.slave.bytes < 10_000, "{}", report.slave.bytes);
    assert_eq!(b.paths(), ["small"]);
    b.drop_tree();
    sync(&mut a, &mut b);
    assert_equal(&[a, b]);
}

/// A real file system that is really small; only root can make one.
#[test]
fn a_full_file_system() {
    let [mut a, mut b] = sites::<2>();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "none"]).arg(b.root()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: no file system can be mounted");
        return;
    }
    a.write("large", random(8 << 20, 3));
    (0..40).for_each(|n| a.write(format!("medium {n:02}"), random(200 << 10, n)));
    a.write("small", "small");
    let report = try_sync(&mut a, &mut b).unwrap();
    let skipped = &report.slave.realised.skipped;
    let is_told = skipped.iter().all(|s| matches!(s.reason, Reason::NoRoom { .. }));
    let came = b.paths();
    b.drop_tree();
    Command::new("umount").arg(b.root()).status().unwrap();
    assert!(is_told && skipped.iter().any(|s| s.path == b"large"), "{skipped:?}");
    assert!(came.len() > 8 && came.contains(&"small".to_owned()), "{came:?}");
    assert_eq!(came.len() + skipped.len(), 42);
    // Not all of it comes, though some is on its way when it is seen that there is no room.
    assert!(report.slave.bytes < 6 << 20, "{}", report.slave.bytes);
}

#[test]
fn holes_stay_holes() {
    let mut pair = sites::<2>();
    let file = fs::File::create(pair[0].at("sparse")).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"end", 48 << 20).unwrap();
    let used = |site: &Site, path: &str| fs::metadata(site.at(path)).unwrap().blocks() * 512;
    let report = round(&mut pair);
    assert_equal(&pair);
    assert!(used(&pair[1], "sparse") < 2 << 20, "{}", used(&pair[1], "sparse"));
    assert!(report.slave.bytes < 2 << 20, "{}", report.slave.bytes);
    fs::copy(pair[0].at("sparse"), pair[0].at("copy")).unwrap();
    round(&mut pair);
    assert_equal(&pair);
    assert!(used(&pair[1], "copy") < 2 << 20, "{}", used(&pair[1], "copy"));
}

#[test]
fn programs_do_not_run_as_others_unless_that_is_wanted() {
    let mut pair = pair_with(&[("tool", "a"), ("other", "b")]);
    let mode = |site: &Site, path: &str| fs::metadata(site.at(path)).unwrap().permissions().mode() & 0o7777;
    let options = Options { special_bits: false, ..pair[1].options() };
    open_with(&mut pair[1], options, None);
    fs::set_permissions(pair[0].at("tool"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::create_dir(pair[0].at("shared")).unwrap();
    fs::set_permissions(pair[0].at("shared"), fs::Permissions::from_mode(0o2775)).unwrap();
    round(&mut pair);
    assert_eq!((mode(&pair[1], "tool"), mode(&pair[1], "shared")), (0o755, 0o2775));
    // What was left out here is nobody's change.
    assert!(round(&mut pair).is_quiet());
    assert_eq!(mode(&pair[0], "tool"), 0o6755);
    pair[1].write("tool", "changed");
    round(&mut pair);
    assert_eq!((pair[0].read("tool"), mode(&pair[0], "other")), ("changed".to_owned(), mode(&pair[1], "other")));
}

#[test]
fn owners_are_left_alone_if_that_is_wanted() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root gives files away");
        return;
    }
    let mut pair = pair_with(&[("a", "a"), ("b", "b")]);
    let options = Options { owners: sync_tree::Owners::Ignore, ..pair[1].options() };
    open_with(&mut pair[1], options, None);
    std::os::unix::fs::chown(pair[0].at("a"), Some(1234), Some(2345)).unwrap();
    round(&mut pair);
    assert_eq!(fs::metadata(pair[1].at("a")).unwrap().uid(), 0);
    assert!(round(&mut pair).is_quiet());
    assert_eq!(fs::metadata(pair[0].at("a")).unwrap().uid(), 1234);
    pair[1].drop_tree();
    pair[0].write("a", "changed");
    round(&mut pair);
    assert_equal(&pair);
}

#[test]
fn a_limit_of_the_line_is_kept() {
    let [mut a, mut b] = sites::<2>();
    a.write("large", random(3 << 20, 9));
    let options = sync_engine::Options { bandwidth: Some(2 << 20), ..options(b.name) };
    let since = std::time::Instant::now();
    round_documents(a.tree(), b.tree(), &options, &mut ()).unwrap();
    // Never faster; how much slower is the machine's affair. A second's worth goes at once.
    assert!(since.elapsed().as_secs_f64() > 0.5);
    assert_equal(&[a, b]);
}
