//! Measurements, for development: they run when they are asked for by the environment and say what they measured.
//!
//! `SERVER_SYNC_MEASURE_FILES=100000 cargo test --release -p sync_engine --test documents_speed -- --nocapture`

#![allow(clippy::unwrap_used, clippy::panic)]

mod trees;

use std::time::{Duration, Instant};

use sync_store::{Contents, Store};
use sync_tree::{Options, Tree};
use trees::{Site, sites, sync};

fn wish(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (since, before) = (Instant::now(), processor());
    let result = work();
    let (took, busy) = (since.elapsed().as_secs_f64() * 1000.0, processor() - before);
    println!("{what}: {took:.1} ms, of the processor {busy} ms, peak {} MiB", peak());
    result
}

/// Milliseconds of the processor that this process had, which a busy machine does not change much.
fn processor() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Ticks of a hundredth of a second, in user mode and in the system.
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

/// The most memory that this process ever had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn fill(site: &Site, files: u64, size: usize) {
    let mut rng = fastrand::Rng::with_seed(files);
    let mut content = vec![0; size];
    for n in 0..files {
        let directory = site.at(format!("d{}/e{}", n / 10_000, n / 100 % 100));
        if n % 100 == 0 {
            std::fs::create_dir_all(&directory).unwrap();
        }
        rng.fill(&mut content[..8]);
        std::fs::write(directory.join(format!("document {n}.txt")), &content).unwrap();
    }
}

fn reopen(site: &mut Site, watch: bool) {
    let options = Options { watch, rescan: Duration::from_secs(3600), ..site.options() };
    site.drop_tree();
    let tree = Tree::open(options, &site.card()).unwrap();
    site.set_tree(tree);
}

#[test]
fn rounds_of_many_files() {
    let Some(files) = wish("SERVER_SYNC_MEASURE_FILES") else { return };
    let [mut a, mut b] = sites::<2>();
    fill(&a, files, wish("SERVER_SYNC_MEASURE_SIZE").unwrap_or(8 * 1024) as usize);
    println!("filled; peak {} MiB", peak());
    timed("setting up", || a.tree().source());
    timed("first round", || sync(&mut a, &mut b));
    std::thread::sleep(Duration::from_secs(3));
    timed("second round, which reads what is fresh again", || sync(&mut a, &mut b));
    for _ in 0..3 {
        timed("scan and drain of one", || a.tree().drain().unwrap());
        timed("round with nothing to do", || sync(&mut a, &mut b));
    }
    reopen(&mut a, true);
    reopen(&mut b, true);
    timed("first round with the watch", || sync(&mut a, &mut b));
    for _ in 0..3 {
        timed("drain of one with the watch", || a.tree().drain().unwrap());
        timed("settle, wanted, realise", || {
            let tree = a.tree();
            (tree.settle().unwrap(), tree.wanted(100).unwrap().len(), tree.realise().unwrap().created)
        });
        timed("round with nothing to do and the watch", || sync(&mut a, &mut b));
    }
    a.write("d0/e0/new", "new");
    timed("round with one file and the watch", || sync(&mut a, &mut b));
    assert_eq!(b.read("d0/e0/new"), "new");
}

/// `SERVER_SYNC_MEASURE_SCAN=1000000`: the memory of a scan and of a round in which one file goes.
#[test]
fn a_scan_of_very_many_files() {
    let Some(files) = wish("SERVER_SYNC_MEASURE_SCAN") else { return };
    let [mut a, mut b] = sites::<2>();
    fill(&a, files, 100);
    println!("filled; peak {} MiB", peak());
    timed("setting up", || a.tree().source());
    timed("second scan", || a.tree().drain().unwrap());
    timed("scan with nothing to do", || a.tree().drain().unwrap());
    if wish("SERVER_SYNC_MEASURE_ROUND").is_some() {
        timed("first round", || sync(&mut a, &mut b));
    }
}
