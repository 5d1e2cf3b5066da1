//! Who owns what: the same people at sites that give them other numbers. Most of it needs the right to give files away.
#![allow(clippy::unwrap_used)]

mod trees;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::Connection;
use sync_store::{Reason, Store};
use sync_tree::{Book, Kind, Owners, Seams, Tree};
use trees::{PAIR, Site, round, settle, sites, sync, try_sync};

/// The accounts of a site, each with a group of the same name and number; `None` if nobody can say.
#[derive(Clone, Default)]
struct Office(Arc<Mutex<Option<BTreeMap<&'static str, u32>>>>);

impl Office {
    fn of(accounts: &[(&'static str, u32)]) -> Self {
        Office(Arc::new(Mutex::new(Some(accounts.iter().copied().collect()))))
    }

    fn hires(&self, name: &'static str, number: u32) {
        self.0.lock().unwrap().get_or_insert_default().insert(name, number);
    }

    fn look<T>(&self, look: impl FnOnce(&BTreeMap<&'static str, u32>) -> Option<T>) -> Result<Option<T>, String> {
        self.0.lock().unwrap().as_ref().map(look).ok_or_else(|| "no answer".to_owned())
    }
}

impl Book for Office {
    fn name(&self, _: Kind, number: u32) -> Result<Option<String>, String> {
        self.look(|all| all.iter().find(|(_, n)| **n == number).map(|(name, _)| (*name).to_owned()))
    }

    fn number(&self, _: Kind, name: &str) -> Result<Option<u32>, String> {
        self.look(|all| all.get(name).copied())
    }
}

fn open(site: &mut Site, office: &Office, owners: Owners) {
    site.drop_tree();
    let seams = Seams { accounts: Some(Box::new(office.clone())), ..Seams::default() };
    let options = sync_tree::Options { owners, ..site.options() };
    site.set_tree(Tree::open_on(options, &site.card(), seams).unwrap());
}

/// Sites with these accounts, that tell names.
fn offices<const N: usize>(accounts: [&[(&'static str, u32)]; N]) -> ([Site; N], [Office; N]) {
    let (mut sites, offices) = (sites::<N>(), accounts.map(Office::of));
    sites.iter_mut().zip(&offices).for_each(|(site, office)| open(site, office, Owners::Names));
    (sites, offices)
}

fn owner(site: &Site, path: &str) -> (u32, u32) {
    let meta = fs::symlink_metadata(site.at(path)).unwrap();
    (meta.uid(), meta.gid())
}

fn give(site: &Site, path: &str, number: u32) {
    chown(site.at(path), Some(number), Some(number)).unwrap();
}

fn mode(site: &Site, path: &str) -> u32 {
    fs::metadata(site.at(path)).unwrap().permissions().mode() & 0o7777
}

/// Says why a test does nothing.
fn may_give_away() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        eprintln!("skipped: only root gives files away");
    }
    may
}

const GENEVA: &[(&str, u32)] = &[("anna", 3001), ("bob", 3002)];
const LYON: &[(&str, u32)] = &[("anna", 3012), ("bob", 3011)];

#[test]
fn people_have_other_numbers_elsewhere() {
    if !may_give_away() {
        return;
    }
    let (mut pair, _) = offices([GENEVA, LYON]);
    pair[0].write("d/a", "1");
    symlink("d/a", pair[0].at("link")).unwrap();
    give(&pair[0], "d/a", 3001);
    give(&pair[0], "d", 3002);
    lchown(pair[0].at("link"), Some(3001), Some(3002)).unwrap();
    round(&mut pair);
    assert_eq!((owner(&pair[1], "d/a"), owner(&pair[1], "d")), ((3012, 3012), (3011, 3011)));
    assert_eq!(owner(&pair[1], "link"), (3012, 3011));
    assert!(round(&mut pair).is_quiet());

    give(&pair[1], "d/a", 3011);
    round(&mut pair);
    assert_eq!(owner(&pair[0], "d/a"), (3002, 3002), "a change of owner goes back");
    pair[1].write("d/a", "2");
    pair[1].remove("link");
    round(&mut pair);
    assert_eq!((owner(&pair[0], "d/a"), pair[0].read("d/a")), ((3002, 3002), "2".to_owned()));
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn copies_from_before_synchronisation_are_alike() {
    if !may_give_away() {
        return;
    }
    let mut pair = sites::<2>();
    for (site, number) in pair.iter().zip([3001, 3012]) {
        site.write("a", "1");
        give(site, "a", number);
        site.set_modified("a", UNIX_EPOCH + Duration::from_secs(1_000_000));
    }
    for (site, accounts) in pair.iter_mut().zip([GENEVA, LYON]) {
        open(site, &Office::of(accounts), Owners::Names);
    }
    assert!(round(&mut pair).is_quiet());
    assert_eq!((owner(&pair[0], "a"), owner(&pair[1], "a")), ((3001, 3001), (3012, 3012)));
}

#[test]
fn a_name_goes_through_a_site_that_does_not_know_it() {
    if !may_give_away() {
        return;
    }
    let (mut ring, _) = offices([GENEVA, &[("bob", 3011)], &[("anna", 3022)]]);
    let chain = [(0, 1), (1, 2)];
    let pass = |ring: &mut [Site; 3]| {
        for _ in 0..2 {
            for (a, b) in chain {
                let [a, b] = ring.get_disjoint_mut([a, b]).unwrap();
                sync(a, b);
            }
        }
        chain.iter().all(|(a, b)| {
            let [a, b] = ring.get_disjoint_mut([*a, *b]).unwrap();
            sync(a, b).is_quiet()
        })
    };
    for path in ["new", "tool", "d/below"] {
        ring[0].write(path, "1");
        give(&ring[0], path, 3001);
    }
    give(&ring[0], "d", 3001);
    fs::set_permissions(ring[0].at("tool"), fs::Permissions::from_mode(0o6755)).unwrap();
    ring[1].write("there", "1");
    give(&ring[1], "there", 3011);
    assert!(pass(&mut ring));
    for path in ["new", "tool", "d", "d/below"] {
        assert_eq!((owner(&ring[1], path), owner(&ring[2], path)), ((0, 0), (3022, 3022)), "{path}");
    }
    assert_eq!(mode(&ring[1], "tool"), 0o755, "it must not run as whoever made it here");
    assert_eq!(mode(&ring[2], "tool"), 0o6755);
    assert_eq!(owner(&ring[2], "there"), (0, 0));

    // Who does not know her keeps what belongs to somebody, and says nothing about it.
    give(&ring[0], "there", 3001);
    assert!(pass(&mut ring));
    assert_eq!((owner(&ring[1], "there"), owner(&ring[2], "there")), ((3011, 3011), (3022, 3022)));
    // Nor when it is written there, in its place or anew.
    ring[1].write("new", "2");
    ring[1].write("anew", "2");
    ring[1].rename("anew", "d/below");
    assert!(pass(&mut ring));
    for path in ["new", "d/below"] {
        assert_eq!((owner(&ring[0], path), owner(&ring[2], path)), ((3001, 3001), (3022, 3022)), "{path}");
        assert_eq!((ring[0].read(path), ring[2].read(path)), ("2".to_owned(), "2".to_owned()));
    }
    // What somebody does there is told.
    give(&ring[1], "new", 3011);
    assert!(pass(&mut ring));
    assert_eq!((owner(&ring[0], "new"), owner(&ring[2], "new")), ((3002, 3002), (3022, 3022)));
}

#[test]
fn an_account_that_is_made_later_gets_what_is_its() {
    if !may_give_away() {
        return;
    }
    let (mut pair, [_, lyon]) = offices([GENEVA, &[("bob", 3011)]]);
    for path in ["d/a", "tool", "twin", "of bob"] {
        pair[0].write(path, path);
        give(&pair[0], path, 3001);
    }
    pair[0].link("twin", "other twin");
    give(&pair[0], "d", 3001);
    give(&pair[0], "of bob", 3002);
    fs::set_permissions(pair[0].at("tool"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::set_permissions(pair[0].at("d"), fs::Permissions::from_mode(0o500)).unwrap();
    round(&mut pair);
    assert_eq!((owner(&pair[1], "d/a"), mode(&pair[1], "tool")), ((0, 0), 0o755));
    assert!(round(&mut pair).is_quiet());
    lyon.hires("anna", 3012);
    let report = round(&mut pair);
    assert_eq!(report.slave.realised.touched, 5, "each name of the twins as well");
    for path in ["d", "d/a", "tool", "twin", "other twin"] {
        assert_eq!(owner(&pair[1], path), (3012, 3012), "{path}");
    }
    assert_eq!((owner(&pair[1], "of bob"), mode(&pair[1], "tool")), ((3011, 3011), 0o6755));
    assert_eq!(pair[1].twins().len(), 1);
    assert!(round(&mut pair).is_quiet());
    assert_eq!(owner(&pair[0], "d/a"), (3001, 3001));
}

#[test]
fn who_has_no_name_has_a_number() {
    if !may_give_away() {
        return;
    }
    let (mut pair, _) = offices([GENEVA, &[("carl", 5555), ("5556", 7000)]]);
    for (path, number) in [("nobody", 5555), ("digits", 5556), ("root", 0)] {
        pair[0].write(path, "1");
        give(&pair[0], path, number);
    }
    pair[1].write("of digits", "1");
    give(&pair[1], "of digits", 7000);
    round(&mut pair);
    assert_eq!((owner(&pair[1], "nobody"), owner(&pair[1], "digits")), ((5555, 5555), (5556, 5556)));
    assert_eq!((owner(&pair[1], "root"), owner(&pair[0], "of digits")), ((0, 0), (0, 0)));
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn numbers_and_nothing_if_that_is_wanted() {
    if !may_give_away() {
        return;
    }
    let ([mut a, mut b], [geneva, lyon]) = offices([GENEVA, LYON]);
    let mut both = |path: &str, settings: [Owners; 2]| {
        open(&mut a, &geneva, settings[0]);
        open(&mut b, &lyon, settings[1]);
        a.write(format!("{path} of a"), "1");
        give(&a, &format!("{path} of a"), 3001);
        b.write(format!("{path} of b"), "1");
        give(&b, &format!("{path} of b"), 3011);
        sync(&mut a, &mut b);
        assert!(sync(&mut a, &mut b).is_quiet(), "{path}");
        (owner(&b, &format!("{path} of a")).0, owner(&a, &format!("{path} of b")).0)
    };
    assert_eq!(both("numbers", [Owners::Numbers; 2]), (3001, 3011));
    assert_eq!(
        both("one of each", [Owners::Names, Owners::Numbers]),
        (3012, 3011),
        "what is told by name is looked up"
    );
    assert_eq!(both("names", [Owners::Names; 2]), (3012, 3002));
    assert_eq!(both("ignored by one", [Owners::Names, Owners::Ignore]), (0, 3002), "who ignores still tells");
    // What is there keeps the form that it has, until somebody changes it.
    assert_eq!((owner(&b, "numbers of a"), owner(&a, "numbers of b")), ((3001, 3001), (3011, 3011)));
    open(&mut b, &lyon, Owners::Names);
    give(&b, "numbers of a", 3011);
    sync(&mut a, &mut b);
    assert_eq!(owner(&a, "numbers of a"), (3002, 3002));
}

#[test]
fn an_owner_and_a_content_are_changed_at_once() {
    if !may_give_away() {
        return;
    }
    let (mut pair, _) = offices([GENEVA, LYON]);
    for path in ["content", "owner", "alike"] {
        pair[0].write(path, "1");
        give(&pair[0], path, 3001);
    }
    round(&mut pair);
    pair[0].write("content", "2");
    give(&pair[1], "content", 3011);
    pair[0].tree().drain().unwrap();
    give(&pair[0], "owner", 0);
    pair[0].tree().drain().unwrap();
    give(&pair[1], "owner", 3011);
    give(&pair[0], "alike", 3002);
    give(&pair[1], "alike", 3011);
    let reports = [round(&mut pair), round(&mut pair)];
    assert!(reports[1].is_quiet());
    assert_eq!((pair[1].read("content"), owner(&pair[0], "content")), ("2".to_owned(), (3002, 3002)));
    assert_eq!((owner(&pair[0], "owner"), owner(&pair[1], "owner")), ((3002, 3002), (3011, 3011)));
    assert_eq!((owner(&pair[0], "alike"), owner(&pair[1], "alike")), ((3002, 3002), (3011, 3011)));
    assert_eq!(pair[0].paths(), ["alike", "content", "owner"]);
}

#[test]
fn hard_links_and_versions_keep_their_owner() {
    if !may_give_away() {
        return;
    }
    let (mut pair, _) = offices([GENEVA, LYON]);
    pair[0].write("a", "1");
    give(&pair[0], "a", 3001);
    pair[0].link("a", "b");
    round(&mut pair);
    assert_eq!((owner(&pair[1], "b"), pair[1].twins().len()), ((3012, 3012), 1));
    give(&pair[1], "b", 3011);
    round(&mut pair);
    assert_eq!((owner(&pair[0], "a"), pair[0].twins().len()), ((3002, 3002), 1));
    assert!(round(&mut pair).is_quiet());
    pair[0].write("c", "1");
    pair[0].remove("a");
    pair[0].remove("b");
    round(&mut pair);
    let version = pair[1].tree().versions(b"a").unwrap().remove(0);
    pair[1].tree().bring_back(b"a", version.at).unwrap();
    round(&mut pair);
    assert_eq!((owner(&pair[0], "a"), owner(&pair[1], "a")), ((3002, 3002), (3011, 3011)));
}

/// An index of an earlier version has numbers only: they mean what they meant.
#[test]
fn an_index_of_numbers_stays_one() {
    if !may_give_away() {
        return;
    }
    let (mut pair, offices) = offices([GENEVA, LYON]);
    pair.iter_mut().zip(&offices).for_each(|(site, office)| open(site, office, Owners::Numbers));
    for path in ["a", "b"] {
        pair[0].write(path, "1");
        give(&pair[0], path, 3001);
    }
    settle(&mut pair, &PAIR);
    for site in &mut pair {
        site.drop_tree();
        let index = Connection::open(site.index()).unwrap();
        let named = "SELECT COUNT(*) FROM entry e, disk d WHERE typeof(e.owner)||typeof(d.grp)<>'integerinteger'";
        assert_eq!(index.query_row(named, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }
    pair.iter_mut().zip(&offices).for_each(|(site, office)| open(site, office, Owners::Names));
    assert!(round(&mut pair).is_quiet());
    pair[1].write("a", "2");
    give(&pair[1], "b", 3011);
    round(&mut pair);
    assert_eq!((owner(&pair[0], "a"), owner(&pair[0], "b")), ((3001, 3001), (3002, 3002)));
    assert!(round(&mut pair).is_quiet());
}

#[test]
fn accounts_that_nobody_can_tell_of_wait() {
    let ([mut a, mut b], [geneva, _]) = offices([GENEVA, LYON]);
    let is_root = rustix::process::geteuid().is_root();
    a.write("a", "1");
    if is_root {
        give(&a, "a", 3001);
    } else {
        geneva.hires("anna", rustix::process::geteuid().as_raw());
    }
    let accounts = geneva.0.lock().unwrap().take();
    let report = try_sync(&mut a, &mut b).unwrap();
    let [skipped] = report.master.unread.as_slice() else { panic!("{:?}", report.master.unread) };
    assert!(matches!(&skipped.reason, Reason::System(why) if why.contains("no answer")), "{skipped:?}");
    assert!(b.paths().is_empty(), "nothing is told before it is known whose it is");
    *geneva.0.lock().unwrap() = accounts;
    sync(&mut a, &mut b);
    assert_eq!(b.read("a"), "1");
    assert_eq!(owner(&b, "a").0, if is_root { 3012 } else { owner(&a, "a").0 });
    assert!(sync(&mut a, &mut b).is_quiet());
}

/// Names are told by whoever may not give files away as well, and what he could not write stays what it was.
#[test]
fn names_are_in_the_rows() {
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (mut pair, [office, _]) = offices([&[], &[]]);
    office.hires("anna", if may_give_away() { 3001 } else { own.0 });
    pair[0].write("a", "1");
    if own.0 == 0 {
        give(&pair[0], "a", 3001);
    }
    round(&mut pair);
    assert!(round(&mut pair).is_quiet());
    for site in &mut pair {
        site.tree().drain().unwrap();
        let row = |table: &str| -> Vec<u8> {
            let index = Connection::open(site.index()).unwrap();
            index.query_row(&format!("SELECT owner FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!((row("entry"), row("disk")), (b"anna".to_vec(), b"anna".to_vec()));
    }
    assert_eq!(owner(&pair[1], "a").0, own.0);
}

/// With the accounts that this machine has.
#[test]
fn accounts_of_this_machine() {
    if !may_give_away() {
        return;
    }
    let Ok(list) = fs::read_to_string("/etc/passwd") else { return };
    let accounts = list.lines().filter_map(|line| {
        let mut words = line.split(':');
        let (name, number) = (words.next()?, words.nth(1)?.parse::<u32>().ok()?);
        (number > 0).then(|| (name.to_owned(), number))
    });
    let Some((name, number)) = accounts.collect::<Vec<_>>().pop() else {
        eprintln!("skipped: this machine has no account but root");
        return;
    };
    let mut pair = sites::<2>();
    pair[0].write("a", "1");
    chown(pair[0].at("a"), Some(number), Some(0)).unwrap();
    settle(&mut pair, &PAIR);
    assert_eq!(owner(&pair[1], "a"), (number, 0));
    pair[1].drop_tree();
    let index = Connection::open(pair[1].index()).unwrap();
    let row: (Vec<u8>, i64) =
        index.query_row("SELECT owner, grp FROM entry", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(row, (name.into_bytes(), 0));
}
