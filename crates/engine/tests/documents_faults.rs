//! A round between two trees that dies, or whose disk fails, at every single call: what is at a path is always the old or
//! the new, and the next round makes good for it.
//!
//! Each call is tried where `SERVER_SYNC_EVERY_CALL` is set; otherwise every n-th, another one each day.
#![allow(clippy::unwrap_used, clippy::panic)]

mod trees;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use rustix::io::Errno;
use sync_engine::documents::DocumentsReport;
use sync_tree::Op;
use sync_tree::seams::put_back_index;
use trees::faults::{Manner, Plan, seams};
use trees::{PAIR, Site, assert_equal_when, random, settle, try_sync};

fn chmod(site: &Site, path: &str, mode: u32) {
    fs::set_permissions(site.at(path), fs::Permissions::from_mode(mode)).unwrap();
}

/// A pair in step.
fn pair() -> [Site; 2] {
    let mut pair = std::array::from_fn(Site::in_memory);
    let site: &Site = &pair[0];
    for path in
        ["a", "b", "both", "mode", "gone", "edited and gone", "d/c", "d/e/f", "file", "directory/x", "one", "apart"]
    {
        site.write(path, format!("old {path}"));
    }
    site.write("large", random(300_000, 1));
    symlink("a", site.at("link")).unwrap();
    for (path, new) in [("one", "two"), ("d/c", "beside d"), ("apart", "apart too")] {
        site.link(path, new);
    }
    settle(&mut pair, &PAIR);
    pair
}

/// All kinds of changes, at both sites.
fn change([a, b]: &[Site; 2]) {
    a.write("a", "new a");
    a.write("new", "new new");
    a.write("empty", "");
    a.rename("d", "moved");
    a.remove("gone");
    a.remove("edited and gone");
    a.remove("file");
    a.write("file/inside", "new inside");
    a.remove("link");
    symlink("b", a.at("link")).unwrap();
    a.write("two", "new one");
    a.link("new", "new too");
    a.write("beside", "old apart");
    a.rename("beside", "apart too");
    a.write("both", "of geneva");
    b.write("both", "of lyon");
    b.write("edited and gone", "edited");
    b.write("b", "new b");
    b.remove("directory");
    b.write("directory", "a file");
    a.write("mixed/inside", "of geneva");
    b.write("mixed", "of lyon");
    chmod(b, "mode", 0o600);
    chmod(b, "d/e", 0o500);
    let mut data = random(300_000, 1);
    data.splice(100_000..100_000, random(100, 2));
    b.write("large", &data);
}

type Listing = BTreeMap<Vec<u8>, String>;

/// The contents only: kind and bytes, no permissions and times.
fn contents(site: &Site) -> Listing {
    let short = |line: String| match line.split_once(" directory") {
        _ if line.starts_with("directory") => "directory".to_owned(),
        _ if line.starts_with("->") => line,
        _ => line.rsplitn(5, ' ').last().unwrap_or_default().to_owned(),
    };
    site.listing().into_iter().map(|(path, line)| (path, short(line))).collect()
}

/// Whatever is at a path is what was there or what comes there; only between a directory and something else there may be
/// nothing.
fn assert_old_or_new(during: &Listing, before: &Listing, after: &Listing, when: &str) {
    for path in before.keys().chain(after.keys()).chain(during.keys()) {
        let [now, old, new] = [during, before, after].map(|all| all.get(path).map(String::as_str));
        let is_directory = |line: Option<&str>| line == Some("directory");
        let changes_kind = is_directory(old) != is_directory(new);
        let is_good = now == old || now == new || (changes_kind && now.is_none());
        assert!(is_good, "{} is {now:?}, neither {old:?} nor {new:?}, {when}", path.escape_ascii());
    }
}

fn assert_complete(pair: &[Site; 2], when: &str) {
    assert_equal_when(pair, when);
    let all = contents(&pair[0]);
    let text = |path: &str| all.get(path.as_bytes()).map(String::as_str);
    for (path, content) in [
        ("a", Some("new a")),
        ("b", Some("new b")),
        ("new", Some("new new")),
        ("empty", Some("")),
        ("moved/c", Some("old d/c")),
        ("moved/e/f", Some("old d/e/f")),
        ("gone", None),
        ("one", Some("new one")),
        ("edited and gone", Some("edited")),
        ("file/inside", Some("new inside")),
        ("directory", Some("a file")),
        ("mode", Some("old mode")),
        ("link", Some("-> \"b\"")),
    ] {
        assert_eq!(text(path), content, "{path} {when}");
    }
    let twins = [["beside d", "moved/c"], ["new", "new too"], ["one", "two"]];
    assert_eq!(pair[0].twins(), twins, "{when}");
    let both: Vec<&str> = all.iter().filter(|(p, _)| p.starts_with(b"both")).map(|(_, text)| text.as_str()).collect();
    assert!(both.len() == 2 && both.contains(&"of lyon") && both.contains(&"of geneva"), "{both:?} {when}");
    let is_copy = |path: &[u8]| path.starts_with(b"mixed (conflict 2 ");
    let mixed: Vec<&str> = all.iter().filter(|(path, _)| is_copy(path)).map(|(_, text)| text.as_str()).collect();
    assert_eq!((text("mixed/inside"), mixed), (Some("of geneva"), vec!["of lyon"]), "{when}");
    for site in pair {
        assert_eq!(site.own("staging"), Vec::<String>::new(), "{} {when}", site.name);
    }
}

/// One round with a fault; says whether it was met.
fn trial(only: Option<Op>, at: u64, manner: Manner) -> bool {
    let mut pair = pair();
    change(&pair);
    let before = [contents(&pair[0]), contents(&pair[1])];
    let plan = Plan::of(only, at, manner);
    for site in &mut pair {
        site.drop_tree();
    }
    let round = faulty_round(&mut pair, &plan);
    let met = plan.met();
    let when = format!("at call {at}, {manner:?}: {met:?} {round:?}");
    if manner == Manner::Kill
        && let Some((dead, _)) = &met
    {
        pair[*dead].drop_tree();
        put_back_index(&pair[*dead].index());
    }
    let during = [contents(&pair[0]), contents(&pair[1])];
    if met.is_some() && matches!(round, Ok(false)) && manner != Manner::Kill {
        // It says that all is well.
        assert_equal_when(&pair, &when);
        assert_ne!(only, Some(Op::Sync), "what the system may lose is said to be there {when}");
    }
    // A site that did not die goes on as it is.
    plan.end();
    let settled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| settle(&mut pair, &PAIR)));
    assert!(settled.is_ok(), "{when}");
    for ((site, during), before) in pair.iter().zip(&during).zip(&before) {
        assert_old_or_new(during, before, &contents(site), &format!("at {} {when}", site.name));
    }
    assert_complete(&pair, &when);
    met.is_some()
}

/// Opens both and runs a round; says whether it reports anything.
fn faulty_round(pair: &mut [Site; 2], plan: &Arc<Plan>) -> Result<bool, String> {
    for site in pair.iter_mut() {
        let seams = seams(site, plan);
        site.open_on(seams).map_err(|e| e.message)?;
    }
    let [a, b] = pair;
    try_sync(a, b).map(|report| has_skipped(&report)).map_err(|e| e.to_string())
}

fn has_skipped(report: &DocumentsReport) -> bool {
    [&report.master, &report.slave].iter().any(|side| !side.unread.is_empty() || !side.realised.skipped.is_empty())
}

/// Every n-th call.
fn step(otherwise: u64) -> u64 {
    if std::env::var_os("SERVER_SYNC_EVERY_CALL").is_some() { 1 } else { otherwise }
}

fn all(manner: Manner, otherwise: u64) {
    let step = step(otherwise);
    let day = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() / 86_400;
    let mut at = 1 + day % step;
    while trial(None, at, manner) {
        at += step;
    }
    assert!(at > 300, "only {at} calls");
}

/// All calls of one kind.
fn each(only: Op, manner: Manner) {
    let count = (1..).take_while(|at| trial(Some(only), *at, manner)).count();
    assert!(count > 3, "only {count} calls");
}

#[test]
fn a_transaction_cannot_be_committed() {
    each(Op::Commit, Manner::Once(Errno::NOSPC));
}

#[test]
fn what_is_written_cannot_be_made_safe() {
    each(Op::Sync, Manner::FromThen(Errno::IO));
}

#[test]
fn no_room_for_a_name_once() {
    each(Op::Rename, Manner::Once(Errno::NOSPC));
}

/// A directory comes to where a file is, which is to move aside: the file is still wanted when it could not be put into the trash.
#[test]
fn no_room_for_a_name_once_while_a_file_makes_room() {
    let trial = |at: u64| {
        let mut pair: [Site; 2] = std::array::from_fn(Site::in_memory);
        pair[0].write("mixed/inside", "of geneva");
        pair[1].write("mixed", "of lyon");
        let plan = Plan::of(Some(Op::Rename), at, Manner::Once(Errno::NOSPC));
        let _ = faulty_round(&mut pair, &plan);
        plan.end();
        settle(&mut pair, &PAIR);
        let all = contents(&pair[0]);
        assert_eq!(
            all.values().filter(|text| *text == "of lyon").count(),
            1,
            "{all:?} at rename {at}: {:?}",
            plan.met()
        );
        plan.met().is_some()
    };
    let count = (1..).take_while(|at| trial(*at)).count();
    assert!(count > 3, "only {count} renames");
}

#[test]
fn what_is_open_cannot_be_looked_at() {
    each(Op::Stat, Manner::Once(Errno::IO));
}

#[test]
fn killed() {
    all(Manner::Kill, 40);
}

#[test]
fn the_disk_is_full() {
    all(Manner::FromThen(Errno::NOSPC), 60);
}

#[test]
fn no_room_once() {
    all(Manner::Once(Errno::NOSPC), 60);
}

#[test]
fn a_broken_sector() {
    all(Manner::Once(Errno::IO), 50);
}

#[test]
fn a_broken_disk() {
    all(Manner::FromThen(Errno::IO), 60);
}

#[test]
fn access_denied_once() {
    all(Manner::Once(Errno::ACCESS), 60);
}

#[test]
fn access_denied() {
    all(Manner::FromThen(Errno::ACCESS), 60);
}
