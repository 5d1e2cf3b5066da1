//! Two sites on real servers, each with its own settings and state, and the command run on them as a person would.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mysql::Conn;
use mysql::prelude::Queryable;
use sync_testbed::{Account, DatabaseDump, KeyType, MariaDb, Server, Sshd, dump, wait_until};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A small application: one table with a row that both sites know, one for rows of their own.
pub const SCHEMA: &str = "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(80), city VARCHAR(80), phone VARCHAR(40)); \
     CREATE TABLE notes (id INT PRIMARY KEY, text TEXT)";

/// The grants that a round needs.
pub const GRANTS: &str = "ALL PRIVILEGES";

/// What the command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output, home: &Path) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&*home.to_string_lossy(), "HOME");
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Everything, for comparing with what is expected.
    pub fn all(&self) -> String {
        format!("exit {}\n{}{}", self.code, self.out, self.err)
    }

    /// The lines of JSON of one kind.
    pub fn json(&self, kind: &str) -> Vec<serde_json::Value> {
        let lines = self.out.lines().chain(self.err.lines());
        let objects =
            lines.map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap_or_else(|e| panic!("{e}: {l}")));
        objects.filter(|o| o["message_type"] == kind).collect()
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }

    /// The exit code, and texts that its output must have.
    #[track_caller]
    pub fn says(self, code: i32, texts: &[&str]) -> Self {
        let all = self.all();
        assert_eq!(self.code, code, "{all}");
        texts.iter().for_each(|t| assert!(all.contains(t), "{t:?} is missing in:\n{all}"));
        self
    }
}

/// The program with nothing of this machine's environment that changes what it says.
pub fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server_sync"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("TZ", "UTC").env("HOME", home).stdin(Stdio::null());
    command
}

/// Runs the program without any site.
pub fn run(arguments: &[&str]) -> Said {
    let home = tempfile::tempdir().unwrap();
    Said::of(program(home.path()).args(arguments).output().unwrap(), home.path())
}

/// One site: a database on a server, and a folder with settings and state.
pub struct Site<'a> {
    pub name: &'static str,
    pub number: u16,
    pub server: &'a Server,
    pub database: String,
    pub account: Account,
    pub home: PathBuf,
}

impl Site<'_> {
    /// The folder of settings.
    pub fn config(&self) -> PathBuf {
        self.home.join(self.name)
    }

    pub fn settings(&self) -> PathBuf {
        self.config().join("crm.toml")
    }

    pub fn state(&self) -> PathBuf {
        self.config().join("state/crm")
    }

    /// Replaces a text in the settings.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) -> &Self {
        let text = fs::read_to_string(self.settings()).unwrap();
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(self.settings(), text.replace(from, to)).unwrap();
        self
    }

    /// Adds a text at the end of the settings.
    pub fn append(&self, text: &str) -> &Self {
        let old = fs::read_to_string(self.settings()).unwrap();
        fs::write(self.settings(), old + text).unwrap();
        self
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.home);
        command.arg("--config-dir").arg(self.config()).args(arguments);
        command
    }

    /// Runs the command; `-vd crm` is added.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let mut all = vec!["-vd", "crm"];
        all.extend(arguments);
        Said::of(self.command(&all).output().unwrap(), &self.home)
    }

    /// Starts the command and lets it run; its output is kept in the home folder.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let log = self.home.join(format!("{}.log", self.name));
        let file = fs::File::create(&log).unwrap();
        let mut command = self.command(&["-vd", "crm"]);
        command.args(arguments).stderr(file.try_clone().unwrap()).stdout(file);
        Running { child: command.spawn().unwrap(), log }
    }

    /// A connection as the application has.
    pub fn app(&self) -> Conn {
        self.server.root_in(&self.database).unwrap()
    }

    /// Runs statements of the application.
    pub fn sql(&self, statements: &str) -> &Self {
        self.server.execute(&format!("USE `{}`; {statements}", self.database)).unwrap();
        self
    }

    /// The first value of a query; NULL and nothing are empty.
    pub fn one(&self, query: &str) -> String {
        let value: Option<Option<String>> = self.app().query_first(query).unwrap();
        value.flatten().unwrap_or_default()
    }

    /// All data of the application.
    pub fn dump(&self) -> DatabaseDump {
        dump(&mut self.app(), &self.database).unwrap()
    }

    /// How many objects of ours there are: tables and triggers.
    pub fn objects(&self) -> u64 {
        let query = "SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema=DATABASE() \
             AND table_name LIKE 'server\\_sync\\_%') + (SELECT COUNT(*) FROM information_schema.triggers \
             WHERE trigger_schema=DATABASE() AND trigger_name LIKE 'server\\_sync\\_%')";
        self.one(query).parse().unwrap()
    }
}

/// A command that runs.
pub struct Running {
    pub child: Child,
    pub log: PathBuf,
}

impl Running {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let seen = wait_until(text, LIMIT, || self.log().contains(text));
        assert!(seen.is_ok(), "{text:?} is missing in:\n{}", self.log());
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end; gives the exit code.
    pub fn end(&mut self) -> i32 {
        let mut status = None;
        wait_until("the command ends", LIMIT, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .unwrap_or_else(|e| panic!("{e}\n{}", self.log()));
        status.and_then(|s| s.code()).unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two sites, of which Geneva is the master. Both have the application's schema; only Geneva has data.
pub struct Pair<'a> {
    pub geneva: Site<'a>,
    pub lyon: Site<'a>,
    pub home: TempDir,
}

/// A pair on the server that all tests of a process share.
pub fn pair() -> Pair<'static> {
    let server = MariaDb::shared().unwrap();
    pair_on(server, server)
}

/// A pair on these servers.
pub fn pair_on<'a>(geneva: &'a Server, lyon: &'a Server) -> Pair<'a> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let home = tempfile::tempdir().unwrap();
    let site = |name, number, server: &'a Server| {
        let database = format!("{name}_{n}");
        server.create_database(&database).unwrap();
        let account = server.user_with(&format!("sync_{name}_{n}"), &[&format!("{GRANTS} ON `{database}`.*")]).unwrap();
        Site { name, number, server, database, account, home: home.path().to_owned() }
    };
    let (geneva, lyon) = (site("geneva", 1, geneva), site("lyon", 2, lyon));
    for site in [&geneva, &lyon] {
        fs::create_dir(site.config()).unwrap();
        secret(&site.config().join("geneva.password"), geneva.account.password());
        secret(&site.config().join("lyon.password"), lyon.account.password());
        site.sql(SCHEMA);
    }
    fs::write(geneva.settings(), site_settings(&geneva) + &master_settings(&lyon)).unwrap();
    fs::write(lyon.settings(), site_settings(&lyon) + "\n[slave]\nenabled = true\nmasters = [\"geneva\"]\n").unwrap();
    geneva.sql("INSERT INTO customers VALUES (1, 'Dupont', 'Genève', '1'), (2, 'Martin', 'Lyon', '2')");
    Pair { geneva, lyon, home }
}

/// Links the pair by ssh instead: Geneva has a key of this kind, which is restricted to Lyon's agent.
pub fn pair_by_ssh(sites: &Pair, sshd: &Sshd, kind: KeyType) {
    let (geneva, lyon) = (&sites.geneva, &sites.lyon);
    let agent = format!("{} --config-dir {} agent -vd crm", env!("CARGO_BIN_EXE_server_sync"), lyon.config().display());
    let key = sshd.key("geneva", kind, Some(&agent)).unwrap();
    let ssh_config = sshd.client_config("lyon", &key).unwrap();
    let link = format!(
        "\n[[master]]\nenabled = true\nslave = \"lyon\"\nperiod = \"1s\"\n\n[master.ssh]\nhost = \"lyon\"\nconfig_file = \"{}\"\n",
        ssh_config.display()
    );
    fs::write(geneva.settings(), site_settings(geneva) + &link).unwrap();
}

/// A site with the application's schema and no settings yet.
fn site<'a>(home: &Path, name: &'static str, number: u16, n: u32, server: &'a Server) -> Site<'a> {
    let database = format!("{name}_{n}");
    server.create_database(&database).unwrap();
    let account = server.user_with(&format!("sync_{name}_{n}"), &[&format!("{GRANTS} ON `{database}`.*")]).unwrap();
    let site = Site { name, number, server, database, account, home: home.to_owned() };
    fs::create_dir(site.config()).unwrap();
    secret(&site.config().join(format!("{name}.password")), site.account.password());
    site.sql(SCHEMA);
    site
}

fn become_slave(master: &Site, slave: &Site) {
    secret(&master.config().join(format!("{}.password", slave.name)), slave.account.password());
    let mode = format!("\n[slave]\nenabled = true\nmasters = [\"{}\"]\n", master.name);
    fs::write(slave.settings(), site_settings(slave) + &mode).unwrap();
}

impl<'a> Pair<'a> {
    /// A third site, Bern, which is also a slave of Geneva.
    pub fn bern(&self) -> Site<'a> {
        let n = self.geneva.database.rsplit('_').next().unwrap().parse().unwrap();
        let bern = site(self.home.path(), "bern", 3, n, self.geneva.server);
        become_slave(&self.geneva, &bern);
        self.geneva.append(&master_settings(&bern));
        bern
    }

    /// Prepares Lyon and runs the first round.
    pub fn acquaint(&self) -> &Self {
        self.lyon.run(&["init-site"]).expect(0);
        self.geneva.run(&[]).expect(0);
        self
    }

    #[track_caller]
    pub fn assert_same(&self) {
        sync_testbed::assert_equal(&self.geneva.dump(), &self.lyon.dump());
    }
}

fn secret(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn site_settings(site: &Site) -> String {
    format!(
        "site = \"{}\"\nsite_number = {}\n\n[vd]\nversion = \"6.2\"\n\n[database]\n{}\n[state]\ndir = \"{}\"\n",
        site.name,
        site.number,
        database_settings(site),
        site.config().join("state").display()
    )
}

fn master_settings(slave: &Site) -> String {
    format!(
        "\n[[master]]\nenabled = true\nslave = \"{}\"\nperiod = \"1s\"\n\n[master.database]\n{}",
        slave.name,
        database_settings(slave)
    )
}

fn database_settings(site: &Site) -> String {
    format!(
        "kind = \"mysql\"\nhost = \"{}\"\nport = {}\nname = \"{}\"\nuser = \"{}\"\npassword_file = \"{}.password\"\ntls = \"off\"\n",
        site.server.host(),
        site.server.port(),
        site.database,
        site.account.name(),
        site.name
    )
}
