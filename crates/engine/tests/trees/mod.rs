//! Sites with a tree each, on real directories, for end-to-end tests.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod faults;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sync_core::SiteId;
use sync_database::{Card, Rules};
use sync_engine::documents::{DocumentsReport, round_documents};
use sync_engine::handshake::Expectation;
use sync_engine::{EngineError, Options};
use sync_store::{Role, SlaveSettings};
use sync_testbed::Folder;
use sync_tree::{Hook, Seams, Tree};
use tempfile::TempDir;

pub const NAMES: [&str; 4] = ["geneva", "lyon", "bern", "basel"];

/// A site: a directory and its tree.
pub struct Site {
    pub name: &'static str,
    number: u64,
    directory: TempDir,
    folder: Folder,
    tree: Option<Tree>,
}

impl Site {
    pub fn new(number: usize) -> Self {
        Self::within(number, tempfile::tempdir().unwrap())
    }

    /// One whose disk is memory, where there is such: for tests that need very many rounds.
    pub fn in_memory(number: usize) -> Self {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self::within(number, directory.unwrap())
    }

    fn within(number: usize, directory: TempDir) -> Self {
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        let folder = Folder::new(root);
        Site { name: NAMES[number], number: number as u64 + 1, directory, folder, tree: None }
    }

    /// Which of the sites.
    pub fn place(&self) -> usize {
        self.number as usize - 1
    }

    pub fn index(&self) -> PathBuf {
        self.directory.path().join("index.sqlite")
    }

    pub fn options(&self) -> sync_tree::Options {
        sync_tree::Options { special_bits: true, ..sync_tree::Options::new(self.root(), self.index()) }
    }

    pub fn card(&self) -> Card {
        Card {
            site: SiteId::new(self.number).unwrap(),
            site_name: self.name.to_owned(),
            vd: "office".to_owned(),
            vd_version: "1".to_owned(),
            role: Role::Slave(SlaveSettings { masters: NAMES.map(str::to_owned).to_vec() }),
            rules: Rules::default(),
        }
    }

    /// The tree, opened if need be.
    pub fn tree(&mut self) -> &mut Tree {
        if self.tree.is_none() {
            self.tree = Some(Tree::open(self.options(), &self.card()).unwrap());
        }
        self.tree.as_mut().unwrap()
    }

    /// Forgets all that is not on the disk, as dying does.
    pub fn drop_tree(&mut self) {
        self.tree = None;
    }

    pub fn set_tree(&mut self, tree: Tree) {
        self.tree = Some(tree);
    }

    pub fn open_hooked(&mut self, hook: Hook) -> sync_store::Result<()> {
        self.open_on(Seams { hook: Some(hook), many: Some(2), ..Seams::default() })
    }

    pub fn open_on(&mut self, seams: Seams) -> sync_store::Result<()> {
        self.tree = None;
        self.tree = Some(Tree::open_on(self.options(), &self.card(), seams)?);
        Ok(())
    }

    /// What lies in our own directory of this name.
    pub fn own(&self, directory: &str) -> Vec<String> {
        let items = fs::read_dir(self.at(".server_sync").join(directory)).unwrap();
        items.map(|item| item.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    pub fn delete_index(&mut self) {
        self.drop_tree();
        for ending in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(self.directory.path().join(format!("index.sqlite{ending}")));
        }
    }
}

impl Deref for Site {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

pub fn sites<const N: usize>() -> [Site; N] {
    std::array::from_fn(Site::new)
}

pub fn options(slave: &str) -> Options {
    Options::expecting(Expectation {
        slave: slave.to_owned(),
        remote_vd: "office".to_owned(),
        minimum: None,
        max_clock_difference: Duration::from_secs(300),
    })
}

pub fn try_sync(master: &mut Site, slave: &mut Site) -> Result<DocumentsReport, EngineError> {
    let options = options(slave.name);
    let report = round_documents(master.tree(), slave.tree(), &options, &mut ());
    [master, slave].into_iter().for_each(assert_nothing_overlooked);
    report
}

/// What a tree may have to do is on its list, however the round ended.
fn assert_nothing_overlooked(site: &mut Site) {
    let Some(tree) = &site.tree else { return };
    let overlooked = tree.overlooked().unwrap();
    let paths: Vec<String> = overlooked.iter().map(|path| path.escape_ascii().to_string()).collect();
    assert!(paths.is_empty(), "{}: {paths:?}", site.name);
}

/// A round that leaves nothing out.
pub fn sync(master: &mut Site, slave: &mut Site) -> DocumentsReport {
    let report = try_sync(master, slave).unwrap_or_else(|e| panic!("{e} {:?}", e.hint));
    assert!(report.rows.refused.is_empty() && report.rows.paused.is_empty(), "{:?}", report.rows);
    for side in [&report.master, &report.slave] {
        assert!(side.realised.skipped.is_empty(), "{:?}", side.realised.skipped);
        assert!(side.unread.is_empty(), "{:?}", side.unread);
    }
    report
}

/// Rounds over these links until nothing moves and nothing is left out; then all sites are equal. A content may be at the
/// third site only, and comes a round later.
pub fn settle(sites: &mut [Site], links: &[(usize, usize)]) {
    let mut skipped = Vec::new();
    for _ in 0..20 {
        let mut quiet = true;
        skipped.clear();
        for (master, slave) in links {
            let [master, slave] = sites.get_disjoint_mut([*master, *slave]).unwrap();
            let report = try_sync(master, slave).unwrap_or_else(|e| panic!("{e} {:?}", e.hint));
            quiet &= report.is_quiet();
            skipped.extend([report.master, report.slave].into_iter().flat_map(|side| side.realised.skipped));
        }
        assert!(skipped.iter().all(|s| s.reason == sync_store::Reason::NoContent), "{skipped:?}");
        if quiet && skipped.is_empty() {
            return assert_equal(sites);
        }
    }
    panic!("it never rests: {skipped:?} {:?}", sites.iter().map(|site| site.paths()).collect::<Vec<_>>());
}

pub fn assert_equal(sites: &[Site]) {
    assert_equal_when(sites, "");
}

/// Equal, or told is when they are not.
pub fn assert_equal_when(sites: &[Site], when: &str) {
    for other in &sites[1..] {
        let (a, b) = (sites[0].listing(), other.listing());
        let lines = |all: &BTreeMap<Vec<u8>, String>| {
            all.iter().map(|(path, line)| format!("{}: {line}", path.escape_ascii())).collect::<Vec<_>>().join("\n")
        };
        assert!(a == b, "{}\n{}\n\n{}\n{}\n{when}", sites[0].name, lines(&a), other.name, lines(&b));
        if sites[0].at("").as_os_str().len() < 1000 && a.keys().all(|path| path.len() < 3000) {
            assert_eq!(sites[0].twins(), other.twins(), "{} and {} {when}", sites[0].name, other.name);
        }
    }
}

pub const PAIR: [(usize, usize); 1] = [(0, 1)];
pub const RING: [(usize, usize); 3] = [(0, 1), (1, 2), (2, 0)];

/// A pair with these files, after a round.
pub fn pair_with(files: &[(&str, &str)]) -> [Site; 2] {
    let mut pair = sites::<2>();
    files.iter().for_each(|(path, text)| pair[0].write(path, text));
    settle(&mut pair, &PAIR);
    pair
}

/// Bytes that nobody can make smaller, alike for the same seed.
pub fn random(length: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes);
    bytes
}

/// One round of a pair.
pub fn round(pair: &mut [Site; 2]) -> sync_engine::DocumentsReport {
    let [a, b] = pair;
    sync(a, b)
}
