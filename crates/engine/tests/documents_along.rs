//! Small contents that go along with the rows of a first copy.
#![allow(clippy::unwrap_used)]

mod trees;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use sync_store::contents::{PIECE, WANTS, Whole};
use sync_store::{Batch, Contents, Hash, Mode, Store};
use sync_tree::{Options, Tree};
use trees::{Site, assert_equal, random, round, sites, sync};

/// Something of everything: unique contents, how many bytes they are, and what is no file.
fn fill(site: &Site) -> u64 {
    for n in 0..300 {
        site.write(format!("d{}/e/{n}", n % 7), random(1 + n as usize * 11, n));
    }
    for n in 0..40 {
        site.write(format!("twice/{n}"), random(5000, 1000));
    }
    [PIECE, PIECE + 1, 3 * PIECE]
        .iter()
        .enumerate()
        .for_each(|(n, size)| site.write(format!("large/{n}"), random(*size, 2000 + n as u64)));
    site.write("empty", "");
    fs::create_dir_all(site.at("nothing/in/it")).unwrap();
    symlink("empty", site.at("link")).unwrap();
    fs::hard_link(site.at("large/0"), site.at("d1/joined")).unwrap();
    (0..300).map(|n| 1 + n * 11).sum::<u64>() + 5000 + 5 * PIECE as u64 + 1
}

#[test]
fn everything_comes_once_in_either_direction() {
    for sender in [0, 1] {
        let mut pair = sites::<2>();
        let bytes = fill(&pair[sender]);
        let report = round(&mut pair);
        assert_equal(&pair);
        let (rows, side) = match sender {
            0 => (&report.rows.pushed, &report.slave),
            _ => (&report.rows.pulled, &report.master),
        };
        assert_eq!(rows.in_vain, 0);
        assert!(rows.along > bytes - 5 * PIECE as u64, "{} of {bytes}", rows.along);
        assert!(side.bytes < bytes + bytes / 10, "{} of {bytes}", side.bytes);
        // Every path is made once.
        assert_eq!(side.realised.created, pair[0].paths().len() as u64);
        assert!(round(&mut pair).is_quiet());
    }
}

#[test]
fn a_third_site_that_has_nothing_gets_what_two_have_written() {
    let [mut a, mut b, mut c] = sites::<3>();
    fill(&a);
    b.write("of b", "text");
    for _ in 0..2 {
        sync(&mut a, &mut b);
    }
    sync(&mut b, &mut c);
    assert_equal(&[a, b, c]);
}

#[test]
fn what_is_ignored_there_is_not_all_sent() {
    let mut pair = sites::<2>();
    (0..200).for_each(|n| pair[0].write(format!("cache/{n}"), random(100_000, n)));
    (0..50).for_each(|n| pair[0].write(format!("kept/{n}"), random(1000, 1000 + n)));
    pair[1].drop_tree();
    let options = Options { ignore: vec!["cache/".to_owned()], ..pair[1].options() };
    let tree = Tree::open(options, &pair[1].card()).unwrap();
    pair[1].set_tree(tree);
    let report = round(&mut pair);
    assert!(report.slave.bytes < 6 << 20, "{}", report.slave.bytes);
    assert_eq!(pair[1].paths().len(), 51);
    assert_eq!(fs::read(pair[1].at("kept/49")).unwrap(), random(1000, 1049));
}

/// The batches of a first copy.
fn batches(site: &mut Site) -> Vec<Batch> {
    let mut batches = Vec::new();
    site.tree().drain().unwrap();
    let collect = &mut |batch| {
        batches.push(batch);
        Ok(())
    };
    site.tree().scan("entry", true, collect).unwrap();
    batches
}

#[test]
fn a_content_that_nobody_expects_is_left_aside() {
    let [mut a, mut b] = sites::<2>();
    a.write("a", "text");
    let mut all = batches(&mut a);
    let stranger = Whole(b"unheard of".to_vec());
    all.last_mut().unwrap().contents.push(stranger.clone());
    let applied: Vec<_> = all.iter().map(|batch| b.tree().apply(batch, Mode::Write).unwrap()).collect();
    assert_eq!(applied.last().unwrap().in_vain, stranger.weight() as u64);
    assert_eq!(b.tree().realise().unwrap().created, 1);
    assert_eq!(b.paths(), ["a"]);
}

#[test]
fn a_preview_takes_nothing() {
    let [mut a, mut b] = sites::<2>();
    fill(&a);
    for batch in batches(&mut a) {
        assert_eq!(b.tree().apply(&batch, Mode::Preview).unwrap().along, 0);
    }
    b.tree().realise().unwrap();
    assert!(b.paths().is_empty());
}

/// What becomes of a content on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Arrives,
    IsLost,
    IsDamaged,
    ArrivesTwice,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever comes along or does not: what is asked for afterwards is what has not come, and then both have the same.
    #[test]
    fn what_did_not_come_along_is_asked_for(
        fates in proptest::collection::vec(
            prop_oneof![3 => Just(Fate::Arrives), 1 => Just(Fate::IsLost), 1 => Just(Fate::IsDamaged), 1 => Just(Fate::ArrivesTwice)],
            60,
        ),
        slice in 1_usize..20,
        has_large in any::<bool>(),
    ) {
        let [mut a, mut b] = sites::<2>();
        (0..fates.len()).for_each(|n| a.write(format!("d{}/{n:02}", n % 4), random(100 + n, n as u64)));
        if has_large {
            a.write("d0/30 large", random(2 * PIECE, 99));
        }
        let fate = |hash: Hash| {
            let n = (0..fates.len()).find(|n| blake3::hash(&random(100 + n, *n as u64)) == hash.0).unwrap();
            (fates[n], n)
        };
        let mut missing: BTreeSet<Hash> = BTreeSet::new();
        if has_large {
            missing.insert(Hash(*blake3::hash(&random(2 * PIECE, 99)).as_bytes()));
        }
        let (rows, along): (Vec<_>, Vec<_>) = batches(&mut a).into_iter().partition(|batch| batch.contents.is_empty());
        let hash = |Whole(bytes): &Whole| Hash(*blake3::hash(bytes).as_bytes());
        let mut pieces: Vec<Whole> = along.iter().flat_map(|batch| batch.contents.clone()).collect();
        prop_assert_eq!(pieces.len(), fates.len());
        // The rows come in slices, each with the contents of its own behind it.
        for batch in rows {
            for changes in batch.changes.chunks(slice) {
                b.tree().apply(&Batch { changes: changes.to_vec(), ..batch.clone() }, Mode::Write).unwrap();
                let own: Vec<Hash> = changes.iter().filter_map(|c| hash_in(&c.row.values)).collect();
                let (mut now, later): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|p| own.contains(&hash(p)));
                pieces = later;
                let mut again = Vec::new();
                now.retain_mut(|piece| {
                    let fate = fate(hash(piece)).0;
                    if matches!(fate, Fate::IsLost | Fate::IsDamaged) {
                        missing.insert(hash(piece));
                    }
                    match fate {
                        Fate::IsDamaged => piece.0[0] ^= 1,
                        Fate::ArrivesTwice => again.push(piece.clone()),
                        _ => {}
                    }
                    fate != Fate::IsLost
                });
                let along = Batch { contents: [now, again].concat(), ..Batch::empty(batch.sender) };
                b.tree().apply(&along, Mode::Write).unwrap();
            }
        }
        let settled = b.tree().settle_and_want(WANTS, false).unwrap();
        prop_assert_eq!(settled.rows, 0);
        let wants: BTreeSet<Hash> = settled.wants.iter().map(|want| want.hash).collect();
        prop_assert_eq!(wants, missing);
        let mut pair = [a, b];
        round(&mut pair);
        assert_equal(&pair);
    }
}

fn hash_in(values: &Option<Vec<sync_core::Value>>) -> Option<Hash> {
    values.iter().flatten().find_map(|value| match value {
        sync_core::Value::Bytes(bytes) if bytes.len() > 40 && bytes[0] == b'f' => {
            bytes[1..33].try_into().ok().map(Hash)
        }
        _ => None,
    })
}
