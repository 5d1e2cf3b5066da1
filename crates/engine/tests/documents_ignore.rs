//! What is ignored at a site is neither told to others, nor taken from them, nor deleted by them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod trees;

use sync_tree::{Options, Tree};
use trees::{Site, assert_equal, pair_with, round, sites};

fn ignore(site: &mut Site, patterns: &[&str]) {
    let ignore = patterns.iter().map(|p| (*p).to_owned()).collect();
    site.drop_tree();
    let tree = Tree::open(Options { ignore, ..site.options() }, &site.card()).unwrap();
    site.set_tree(tree);
}

#[test]
fn what_is_ignored_is_neither_sent_nor_taken() {
    let mut pair = sites::<2>();
    ignore(&mut pair[0], &["*.log", "cache/"]);
    ["a.log", "b", "cache/x", "d/cache/y", ".nfs000000000000000100000002"]
        .iter()
        .for_each(|path| pair[0].write(path, path));
    ["c.log", "d/e", "d/f.log", "cache/z"].iter().for_each(|path| pair[1].write(path, path));
    for _ in 0..2 {
        round(&mut pair);
    }
    assert_eq!(
        pair[0].paths(),
        [".nfs000000000000000100000002", "a.log", "b", "cache", "cache/x", "d", "d/cache", "d/cache/y", "d/e"]
    );
    assert_eq!(pair[1].paths(), ["b", "c.log", "cache", "cache/z", "d", "d/e", "d/f.log"]);
    assert!(round(&mut pair).is_quiet());
    // Once nothing is ignored any more, both sides have everything, but for the ghost.
    ignore(&mut pair[0], &[]);
    pair[0].remove(".nfs000000000000000100000002");
    round(&mut pair);
    assert_equal(&pair);
    assert_eq!(pair[0].paths().len(), 11);
}

#[test]
fn what_becomes_ignored_is_no_delete() {
    let mut pair = pair_with(&[("a.log", "a"), ("b.log", "b"), ("c.log", "c"), ("d/e.log", "e"), ("k", "k")]);
    ignore(&mut pair[0], &["*.log"]);
    assert!(round(&mut pair).is_quiet());
    assert_equal(&pair);
    pair[0].remove("a.log");
    pair[0].write("b.log", "only here");
    pair[1].remove("c.log");
    pair[1].write("d/e.log", "only there");
    round(&mut pair);
    assert_eq!(pair[0].paths(), ["b.log", "c.log", "d", "d/e.log", "k"]);
    assert_eq!(pair[1].paths(), ["a.log", "b.log", "d", "d/e.log", "k"]);
    assert_eq!((pair[0].read("b.log"), pair[0].read("d/e.log")), ("only here".to_owned(), "e".to_owned()));
    assert_eq!((pair[1].read("b.log"), pair[1].read("d/e.log")), ("b".to_owned(), "only there".to_owned()));
    // A file that is ignored here is not taken away to serve another path.
    pair[1].write("new", "c");
    round(&mut pair);
    assert_eq!((pair[0].read("c.log"), pair[0].read("new")), ("c".to_owned(), "c".to_owned()));
}

#[test]
fn a_directory_stays_where_something_in_it_is_ignored() {
    let mut pair = pair_with(&[("d/a", "a"), ("d/e/b", "b"), ("k", "k")]);
    ignore(&mut pair[0], &["*.log"]);
    pair[0].write("d/e/x.log", "x");
    round(&mut pair);
    pair[1].remove("d");
    for _ in 0..2 {
        round(&mut pair);
        assert_eq!(pair[0].paths(), ["d", "d/e", "d/e/x.log", "k"]);
        assert_eq!(pair[1].paths(), ["k"]);
    }
    pair[0].write("d/new", "new");
    round(&mut pair);
    assert_eq!(pair[1].paths(), ["d", "d/new", "k"]);
}

#[test]
fn an_ignored_file_of_another_content_is_left_alone() {
    let mut pair = sites::<2>();
    ignore(&mut pair[0], &["local.conf"]);
    pair[0].write("local.conf", "here");
    pair[1].write("local.conf", "there");
    for _ in 0..2 {
        round(&mut pair);
        assert_eq!((pair[0].read("local.conf"), pair[1].read("local.conf")), ("here".to_owned(), "there".to_owned()));
    }
    assert_eq!(pair[0].paths().len() + pair[1].paths().len(), 2);
}
