//! Sites with an SQLite database and a folder of documents each, linked by a real sshd, and the command run on them.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sync_testbed::{KeyType, Sshd};
use tempfile::TempDir;

use crate::support::{Running, Said, program};

pub const NAMES: [&str; 3] = ["geneva", "lyon", "bern"];

/// One site.
pub struct Site {
    pub name: &'static str,
    pub home: PathBuf,
}

impl Site {
    fn new(name: &'static str, home: &Path) -> Self {
        let site = Site { name, home: home.join(name) };
        fs::create_dir_all(site.root()).unwrap();
        let schema = "CREATE TABLE file (path TEXT PRIMARY KEY, size INTEGER); PRAGMA journal_mode=wal";
        site.app().execute_batch(schema).unwrap();
        site
    }

    /// The folder of documents.
    pub fn root(&self) -> PathBuf {
        self.home.join("files")
    }

    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path)
    }

    pub fn settings(&self) -> PathBuf {
        self.home.join("crm.toml")
    }

    pub fn index(&self) -> PathBuf {
        self.home.join("state/crm/documents/archives.sqlite")
    }

    /// A connection as the application has.
    pub fn app(&self) -> Connection {
        let app = Connection::open(self.home.join("crm.db")).unwrap();
        app.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        app
    }

    pub fn sql(&self, statements: &str) {
        self.app().execute_batch(statements).unwrap();
    }

    pub fn rows(&self) -> i64 {
        self.app().query_row("SELECT COUNT(*) FROM file", [], |row| row.get(0)).unwrap()
    }

    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.settings()).unwrap();
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(self.settings(), text.replace(from, to)).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = program(&self.home);
        command.arg("--config-dir").arg(&self.home).args(arguments).args(["-vd", "crm"]);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap(), &self.home)
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        let log = self.home.join("log");
        let file = fs::File::create(&log).unwrap();
        let mut command = self.command(arguments);
        command.stderr(file.try_clone().unwrap()).stdout(file);
        Running { child: command.spawn().unwrap(), log }
    }

    pub fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: impl AsRef<Path>) -> String {
        String::from_utf8_lossy(&fs::read(self.at(path)).unwrap()).into_owned()
    }

    pub fn remove(&self, path: impl AsRef<Path>) {
        let path = self.at(path);
        if path.symlink_metadata().unwrap().is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
            .unwrap();
    }

    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// All that is there, a line a path.
    pub fn listing(&self) -> BTreeMap<Vec<u8>, String> {
        let mut all = BTreeMap::new();
        list(&self.root(), &self.root(), &mut all);
        all
    }

    pub fn paths(&self) -> Vec<String> {
        self.listing().into_keys().map(|p| p.escape_ascii().to_string()).collect()
    }

    /// The copies that concurrent edits left.
    pub fn copies(&self) -> Vec<String> {
        self.paths().into_iter().filter(|path| path.contains("(conflict ")).collect()
    }
}

fn list(root: &Path, directory: &Path, all: &mut BTreeMap<Vec<u8>, String>) {
    for item in fs::read_dir(directory).unwrap() {
        let path = item.unwrap().path();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        // What lies deeper than the system's paths reach is looked at by itself.
        if name == b".server_sync" || path.as_os_str().len() > 3800 {
            continue;
        }
        let meta = path.symlink_metadata().unwrap();
        let owner = format!("{:o} {} {}", meta.permissions().mode() & 0o7777, meta.uid(), meta.gid());
        let line = if meta.is_symlink() {
            format!("-> {:?}", fs::read_link(&path).unwrap())
        } else if meta.is_dir() {
            format!("directory {owner}")
        } else {
            let hash = blake3::hash(&fs::read(&path).unwrap()).to_hex();
            format!("{} {hash} {owner} {}.{:09}", meta.len(), meta.mtime(), meta.mtime_nsec())
        };
        all.insert(name, line);
        if meta.is_dir() {
            list(root, &path, all);
        }
    }
}

/// Sites and the links between them.
pub struct Network {
    pub sites: Vec<Site>,
    pub links: Vec<(usize, usize)>,
    pub sshd: Sshd,
    pub home: TempDir,
}

impl Network {
    /// So many sites; each link is from a master to a slave.
    pub fn new(sites: usize, links: &[(usize, usize)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let network = Network {
            sites: NAMES.iter().take(sites).map(|name| Site::new(name, home.path())).collect(),
            links: links.to_vec(),
            sshd: Sshd::start().unwrap(),
            home,
        };
        (0..sites).for_each(|n| network.settle_in(n));
        for site in &network.sites {
            site.run(&["init-site"]).expect(0);
        }
        network
    }

    fn settle_in(&self, number: usize) {
        let site = &self.sites[number];
        let mut text = format!(
            "site = \"{}\"\nsite_number = {}\n\n[vd]\nversion = \"1\"\n\n[database]\nkind = \"sqlite\"\npath = \"{}\"\n\n\
             [state]\ndir = \"{}\"\n\n[[documents]]\nname = \"archives\"\npath = \"{}\"\n",
            site.name,
            number + 1,
            site.home.join("crm.db").display(),
            site.home.join("state").display(),
            site.root().display()
        );
        let masters: Vec<_> = self.links.iter().filter(|l| l.1 == number).map(|l| self.sites[l.0].name).collect();
        if !masters.is_empty() {
            writeln!(text, "\n[slave]\nmasters = {masters:?}").unwrap();
        }
        for slave in self.links.iter().filter(|l| l.0 == number).map(|l| &self.sites[l.1]) {
            let config = self.sshd.client_config(slave.name, &self.key(slave)).unwrap();
            writeln!(
                text,
                "\n[[master]]\nslave = \"{0}\"\nperiod = 0\n[master.ssh]\nhost = \"{0}\"\nconfig_file = \"{1}\"",
                slave.name,
                config.display()
            )
            .unwrap();
        }
        fs::write(site.settings(), text).unwrap();
    }

    /// A key that may only start a site's agent; what it says and hears is counted.
    fn key(&self, slave: &Site) -> PathBuf {
        let (heard, said) = (slave.home.join("heard"), slave.home.join("said"));
        let script = slave.home.join("agent.sh");
        let text = format!(
            "#!/bin/sh\ntee -a {} | {} --config-dir {} agent -vd crm | tee -a {}\n",
            heard.display(),
            env!("CARGO_BIN_EXE_server_sync"),
            slave.home.display(),
            said.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        self.sshd.key(&format!("to-{}", slave.name), KeyType::Ed25519, Some(&script.display().to_string())).unwrap()
    }

    /// Bytes that went to and from a site's agent so far.
    pub fn traffic(&self, slave: usize) -> u64 {
        let home = &self.sites[slave].home;
        ["heard", "said"].iter().map(|name| fs::metadata(home.join(name)).map_or(0, |m| m.len())).sum()
    }

    /// Rounds over all links until all folders are equal and nothing moves.
    #[track_caller]
    pub fn settle(&self) {
        let mut said = Vec::new();
        for _ in 0..10 {
            let before: Vec<_> = self.sites.iter().map(Site::listing).collect();
            said = self.links.iter().map(|(master, _)| self.sites[*master].run(&["-v"])).collect();
            let codes: Vec<i32> = said.iter().map(|s| s.code).collect();
            let is_still = self.sites.iter().zip(&before).all(|(site, before)| site.listing() == *before);
            if is_still && codes.iter().all(|code| *code == 0) && self.is_equal() {
                return;
            }
        }
        let all: String = said.iter().map(Said::all).collect();
        let paths: Vec<_> = self.sites.iter().map(Site::listing).collect();
        panic!("it never rests:\n{all}\n{paths:?}");
    }

    pub fn is_equal(&self) -> bool {
        self.sites.iter().all(|site| site.listing() == self.sites[0].listing())
    }

    #[track_caller]
    pub fn assert_equal(&self) {
        for site in &self.sites[1..] {
            let (a, b) = (self.sites[0].listing(), site.listing());
            assert!(a == b, "{}: {a:#?}\n{}: {b:#?}", self.sites[0].name, site.name);
        }
    }
}

/// Geneva, which starts rounds with Lyon.
pub fn pair() -> Network {
    Network::new(2, &[(0, 1)])
}

/// A pair with these files, after a round.
pub fn pair_with(files: &[(&str, &str)]) -> Network {
    let network = pair();
    files.iter().for_each(|(path, text)| network.sites[0].write(path, text));
    network.sites[0].run(&[]).expect(0);
    network.assert_equal();
    network
}

/// Three sites, each the master of the next.
pub fn ring() -> Network {
    Network::new(3, &[(0, 1), (1, 2), (2, 0)])
}
