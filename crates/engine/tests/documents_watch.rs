//! Trees that are watched: what changed is found without looking at everything, and nothing is missed.

#![allow(clippy::unwrap_used, clippy::panic)]

mod trees;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sync_store::Store;
use sync_tree::{Disk, Options, Seams, Tree};
use trees::{Site, assert_equal, pair_with, sites, sync};

fn watch(site: &mut Site) {
    watch_with(site, |_| {});
}

fn watch_with(site: &mut Site, change: impl FnOnce(&mut Options)) {
    let mut options = Options { watch: true, ..site.options() };
    change(&mut options);
    site.drop_tree();
    let tree = Tree::open(options, &site.card()).unwrap();
    site.set_tree(tree);
}

/// A pair whose first site is watched, with these files at both.
fn watched(files: &[&str]) -> [Site; 2] {
    let mut pair = sites::<2>();
    files.iter().for_each(|path| pair[0].write(path, path));
    watch(&mut pair[0]);
    round(&mut pair);
    assert!(pair[0].tree().is_watched());
    pair
}

fn round(pair: &mut [Site; 2]) {
    let [a, b] = pair;
    sync(a, b);
}

/// What changed without the system telling: writing to a file that is a hard link from outside.
fn change_untold(site: &Site, path: &str) {
    let outside = site.root().with_file_name("outside");
    fs::hard_link(site.at(path), &outside).unwrap();
    fs::write(&outside, "untold").unwrap();
}

#[test]
fn what_is_told_is_looked_at_and_nothing_else() {
    let mut pair = watched(&["a", "d/b", "d/e/c"]);
    pair[0].write("d/e/c", "new c");
    pair[0].write("d/x", "x");
    pair[0].remove("a");
    round(&mut pair);
    assert_equal(&pair);
    assert_eq!(pair[1].paths(), ["d", "d/b", "d/e", "d/e/c", "d/x"]);
    round(&mut pair);
    change_untold(&pair[0], "d/b");
    // Linking it from outside is told by the directory of the link only: a look at everything would find it.
    round(&mut pair);
    assert_eq!(pair[1].read("d/b"), "d/b");
    watch_with(&mut pair[0], |options| options.rescan = Duration::ZERO);
    round(&mut pair);
    assert_eq!(pair[1].read("d/b"), "untold");
}

#[test]
fn directories_are_made_moved_and_removed() {
    let mut pair = watched(&["d/a", "d/e/b", "f/c"]);
    pair[0].write("new/deep/er/x", "x");
    pair[0].rename("d", "moved");
    round(&mut pair);
    assert_equal(&pair);
    // What was moved is still watched, where it is now.
    pair[0].write("moved/e/b", "changed");
    pair[0].write("new/deep/er/y", "y");
    pair[0].rename("moved/e", "f/e");
    round(&mut pair);
    assert_equal(&pair);
    pair[0].write("f/e/b", "again");
    pair[0].remove("moved");
    pair[0].rename("new", "away");
    fs::create_dir(pair[0].at("new")).unwrap();
    pair[0].write("new/z", "another");
    round(&mut pair);
    assert_equal(&pair);
    assert_eq!(pair[1].read("f/e/b"), "again");
    assert_eq!(pair[1].read("new/z"), "another");
}

#[test]
fn a_directory_that_went_out_and_came_back() {
    let mut pair = watched(&["d/a", "k"]);
    let outside = pair[0].root().with_file_name("d");
    fs::rename(pair[0].at("d"), &outside).unwrap();
    round(&mut pair);
    assert_eq!(pair[1].paths(), ["k"]);
    fs::write(outside.join("b"), "b").unwrap();
    fs::rename(&outside, pair[0].at("d")).unwrap();
    round(&mut pair);
    pair[0].write("d/c", "c");
    round(&mut pair);
    assert_equal(&pair);
    assert_eq!(pair[1].paths(), ["d", "d/a", "d/b", "d/c", "k"]);
}

/// Whatever a writer does while the tree is drained, once it rests everything is known.
#[test]
fn a_writer_that_races_the_watch_loses_nothing() {
    let mut pair = watched(&["d0/a", "d1/a", "d2/a"]);
    for seed in 0..24 {
        let (root, done) = (pair[0].root(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                scribble(&root, seed);
                done.store(true, Ordering::Release);
            });
            let tree = pair[0].tree();
            while !done.load(Ordering::Acquire) {
                tree.drain().unwrap();
            }
        });
        let [a, b] = &mut pair;
        // One round for what was told last; another one if something changed while it was read.
        let mut rounds = 0;
        while !trees::try_sync(a, b).unwrap().is_quiet() {
            rounds += 1;
            assert!(rounds < 20, "it never comes to rest");
        }
        assert_equal(&pair);
    }
    assert!(pair[0].tree().is_watched());
    assert!(pair[0].tree().watch_troubles().is_empty());
}

fn scribble(root: &std::path::Path, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    for n in 0..400 {
        let (d, e) = (root.join(format!("d{}", rng.u8(..3))), root.join(format!("d{}", rng.u8(..3))));
        let name = format!("f{}", rng.u8(..9));
        // What does not succeed is no change.
        let _ = match rng.u8(..8) {
            0 => fs::rename(&d, &e),
            1 => fs::rename(d.join("sub"), e.join("sub")),
            2 => fs::create_dir_all(d.join("sub/deep")),
            3 => fs::remove_dir_all(d.join("sub")),
            4 => fs::remove_file(d.join(&name)),
            5 => fs::rename(d.join(&name), e.join("sub").join(&name)),
            6 => fs::create_dir_all(&d).and_then(|()| fs::write(d.join(&name), format!("{seed} {n}"))),
            _ => fs::write(d.join("sub/deep").join(&name), format!("{seed} {n} deep")),
        };
    }
}

#[test]
fn more_than_the_system_remembers_is_found_and_told_once() {
    let most: u32 = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    let mut pair = watched(&["a"]);
    for n in 0..=most / 2 {
        // Two events each, of names that differ, so that none is taken for a repetition.
        fs::write(pair[0].at(format!("f{}", n % 50)), "x").unwrap();
    }
    pair[0].write("b", "b");
    round(&mut pair);
    assert_equal(&pair);
    let told: Vec<String> = pair[0].tree().watch_troubles().iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains("more changed at once"), "{told:?}");
    assert!(pair[0].tree().is_watched() && pair[0].tree().watch_troubles().is_empty());
}

/// Answers each request to watch with an error.
struct Unwatched(rustix::io::Errno);

impl sync_tree::Fault for Unwatched {
    fn before(&self, op: sync_tree::Op, _: &[u8]) -> rustix::io::Result<()> {
        if op == sync_tree::Op::Watch { Err(self.0) } else { Ok(()) }
    }
}

#[test]
fn where_nothing_can_be_watched_everything_is_looked_at() {
    for (error, text) in [(rustix::io::Errno::NOSPC, "max_user_watches"), (rustix::io::Errno::ACCESS, "denied")] {
        let mut pair = pair_with(&[("d/a", "a"), ("b", "b")]);
        let options = Options { watch: true, ..pair[0].options() };
        pair[0].drop_tree();
        let disk = Disk::faulty(Arc::new(Unwatched(error)));
        let tree = Tree::open_on(options, &pair[0].card(), Seams { disk, ..Seams::default() }).unwrap();
        pair[0].set_tree(tree);
        round(&mut pair);
        assert!(!pair[0].tree().is_watched());
        let told: Vec<String> = pair[0].tree().watch_troubles().iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains(text), "{told:?}");
        change_untold(&pair[0], "d/a");
        pair[0].write("c", "c");
        round(&mut pair);
        assert_equal(&pair);
        assert_eq!(pair[1].read("d/a"), "untold");
        assert!(pair[0].tree().watch_troubles().is_empty());
    }
}

#[test]
fn an_emptied_or_replaced_directory_halts() {
    let mut pair = watched(&["d/a", "d/b"]);
    let away = pair[0].root().with_file_name("away");
    fs::rename(pair[0].root(), &away).unwrap();
    fs::create_dir(pair[0].root()).unwrap();
    let [a, b] = &mut pair;
    let halted = trees::try_sync(a, b).unwrap_err();
    assert!(halted.to_string().contains("is not there"), "{halted}");
    fs::remove_dir(pair[0].root()).unwrap();
    fs::rename(&away, pair[0].root()).unwrap();
    pair[0].write("d/c", "c");
    round(&mut pair);
    pair[0].remove("d");
    let [a, b] = &mut pair;
    let halted = trees::try_sync(a, b).unwrap_err();
    assert!(halted.to_string().contains("is empty"), "{halted}");
    // It stays so until somebody puts them back.
    assert!(trees::try_sync(a, b).is_err());
    assert_eq!(pair[1].paths(), ["d", "d/a", "d/b", "d/c"]);
}

#[test]
fn what_could_not_be_read_is_looked_at_again() {
    let mut pair = watched(&["a"]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        pair[0].at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for _ in 0..2 {
        let [a, b] = &mut pair;
        let report = trees::try_sync(a, b).unwrap();
        assert_eq!(report.master.unread.len(), 1);
    }
    fs::remove_file(pair[0].at("pipe")).unwrap();
    round(&mut pair);
}
