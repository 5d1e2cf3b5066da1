//! Sites with an SQLite database and a folder of documents each, linked by a real sshd, and the command run on them.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::fmt::Write;
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sync_testbed::{Folder, KeyType, Line, Sshd};
use tempfile::TempDir;

use crate::support::{Running, Said, program};

pub const NAMES: [&str; 3] = ["geneva", "lyon", "bern"];

/// What lies deeper than the system's paths reach is looked at by itself.
const REACH: usize = 3800;

/// One site.
pub struct Site {
    pub name: &'static str,
    pub home: PathBuf,
    /// The folder of documents.
    folder: Folder,
}

impl Site {
    fn new(name: &'static str, home: &Path) -> Self {
        let home = home.join(name);
        let folder = Folder::within(home.join("files"), REACH);
        let site = Site { name, home, folder };
        fs::create_dir_all(site.root()).unwrap();
        let schema = "CREATE TABLE file (path TEXT PRIMARY KEY, size INTEGER); PRAGMA journal_mode=wal";
        site.app().execute_batch(schema).unwrap();
        site
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

    /// The copies that concurrent edits left.
    pub fn copies(&self) -> Vec<String> {
        self.paths().into_iter().filter(|path| path.contains("(conflict ")).collect()
    }
}

impl Deref for Site {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
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

    /// From now on a site is reached by way of this line.
    pub fn reach_over(&self, line: &Line, slave: usize) {
        let name = self.sites[slave].name;
        self.sshd.client_config_over(line, name, &self.sshd.home().join(format!("to-{name}"))).unwrap();
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
            let before: Vec<_> = self.sites.iter().map(|site| site.listing()).collect();
            said = self.links.iter().map(|(master, _)| self.sites[*master].run(&["-v"])).collect();
            let codes: Vec<i32> = said.iter().map(|s| s.code).collect();
            let is_still = self.sites.iter().zip(&before).all(|(site, before)| site.listing() == *before);
            if is_still && codes.iter().all(|code| *code == 0) && self.is_equal() {
                return;
            }
        }
        let all: String = said.iter().map(Said::all).collect();
        let paths: Vec<_> = self.sites.iter().map(|site| site.listing()).collect();
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
