//! A tree on a real directory, for the tests of modules.
#![allow(clippy::unwrap_used)]

use std::fs;

use sync_core::SiteId;
use sync_database::{Card, Rules};
use sync_store::{Contents, Role, Store};
use tempfile::TempDir;

use crate::{Options, Tree};

/// A tree over the folder `root`, in which these files are, beside its `index`; it has met another.
pub(crate) fn tree(directory: &TempDir, files: &[(&str, &[u8])]) -> Tree {
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    files.iter().for_each(|(name, content)| fs::write(root.join(name), content).unwrap());
    let card = Card {
        site: SiteId::new(1).unwrap(),
        site_name: "geneva".to_owned(),
        vd: "office".to_owned(),
        vd_version: "1".to_owned(),
        role: Role::NotSlave,
        rules: Rules::default(),
    };
    let mut tree = Tree::open(Options::new(&root, directory.path().join("index")), &card).unwrap();
    tree.drain().unwrap();
    tree.settle().unwrap();
    tree
}
