//! The programs that bring the two folders into step, each as its own documentation has it called. What is not installed is
//! left out, but not server_sync, which lies beside this program.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::ground::Ground;
use super::syncthing::Syncthing;
use crate::Result;

/// One of them.
pub trait Tool {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Forgets the folders: the next run is the first.
    fn forget(&mut self) -> Result<()>;

    /// Brings them into step, once.
    fn run(&mut self) -> Result<()>;

    /// Ends what runs between runs.
    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Those that are there.
pub fn installed<'a>(ground: &'a Ground) -> Result<Vec<Box<dyn Tool + 'a>>> {
    let mut tools: Vec<Box<dyn Tool + 'a>> = Vec::new();
    if is_there("rsync") {
        let config = ground.ssh_config("rsync", None)?;
        tools.push(Box::new(Rsync { ground, config: config.clone(), safe: Safe::Later }));
        tools.push(Box::new(Rsync { ground, config: config.clone(), safe: Safe::AtTheEnd }));
        tools.push(Box::new(Rsync { ground, config, safe: Safe::OneByOne }));
    }
    tools.push(Box::new(Ours::new(ground)?));
    if is_there("unison") {
        tools.push(Box::new(Unison { ground, config: ground.ssh_config("unison", None)? }));
    }
    if is_there("syncthing") {
        tools.push(Box::new(Syncthing::new(ground)?));
    }
    Ok(tools)
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    let asked = command.arg(if program == "unison" { "-version" } else { "--version" });
    asked.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = [output.stdout, output.stderr].concat();
            Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&said)).into())
        }
    }
}

struct Rsync<'a> {
    ground: &'a Ground,
    config: PathBuf,
    safe: Safe,
}

/// When what was copied is safe on the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Safe {
    /// When the system gets to it, after rsync has ended.
    Later,
    /// When the run has ended: by a pass over the file system behind rsync. If the machine dies before, all may be lost.
    AtTheEnd,
    /// Each file before the next.
    OneByOne,
}

impl Tool for Rsync<'_> {
    fn name(&self) -> &'static str {
        match self.safe {
            Safe::Later => "rsync",
            Safe::AtTheEnd => "rsync then sync",
            Safe::OneByOne => "rsync --fsync",
        }
    }

    fn forget(&mut self) -> Result<()> {
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let mut command = Command::new("rsync");
        command.args(["-a", "--delete", "-e", &format!("ssh -F {}", self.config.display())]);
        command.args((self.safe == Safe::OneByOne).then_some("--fsync"));
        command.arg(format!("{}/", self.ground.here().display()));
        command.arg(format!("rsync:{}/", self.ground.there().display()));
        succeed(&mut command)?;
        if self.safe == Safe::AtTheEnd {
            rustix::fs::syncfs(fs::File::open(self.ground.there())?)?;
        }
        Ok(())
    }
}

struct Unison<'a> {
    ground: &'a Ground,
    config: PathBuf,
}

impl Unison<'_> {
    fn archives(&self) -> PathBuf {
        self.ground.home().join("unison-archives")
    }
}

impl Tool for Unison<'_> {
    fn name(&self) -> &'static str {
        "unison"
    }

    /// The other end is the same user at the same machine, and has its archives here as well.
    fn forget(&mut self) -> Result<()> {
        for archives in [self.archives(), home().join(".unison")] {
            for item in fs::read_dir(&archives).into_iter().flatten() {
                let path = item?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with("ar") || name.starts_with("fp") {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(fs::create_dir_all(self.archives())?)
    }

    fn run(&mut self) -> Result<()> {
        let mut command = Command::new("unison");
        command.env("UNISON", self.archives()).args(["-batch", "-silent", "-ui", "text", "-times", "-perms", "-1"]);
        command.arg("-sshargs").arg(format!("-F {}", self.config.display())).arg(self.ground.here());
        command.arg(format!("ssh://unison/{}", self.ground.there().display()));
        succeed(&mut command)
    }
}

fn home() -> PathBuf {
    std::env::var_os("HOME").unwrap_or_default().into()
}

/// server_sync, the command, with two sites that have an empty database beside the folder.
struct Ours<'a> {
    ground: &'a Ground,
    program: PathBuf,
    config: PathBuf,
}

const SITES: [&str; 2] = ["here-site", "there-site"];

impl<'a> Ours<'a> {
    fn new(ground: &'a Ground) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("server_sync");
        if !program.exists() {
            return Err(format!("{} is not built", program.display()).into());
        }
        let agent =
            format!("{} --config-dir {}/{} agent -vd bench", program.display(), ground.home().display(), SITES[1]);
        let config = ground.ssh_config("server_sync", Some(&agent))?;
        Ok(Ours { ground, program, config })
    }

    fn settings(&self, number: usize) -> String {
        let (home, root) = (self.ground.home().join(SITES[number]), [self.ground.here(), self.ground.there()]);
        let link = match number {
            0 => format!(
                "[[master]]\nslave = \"{}\"\nperiod = 0\n[master.ssh]\nhost = \"server_sync\"\nconfig_file = \"{}\"\n",
                SITES[1],
                self.config.display()
            ),
            _ => format!("[slave]\nmasters = [\"{}\"]\n", SITES[0]),
        };
        format!(
            "site = \"{}\"\nsite_number = {}\n\n[vd]\nversion = \"1\"\n\n[database]\nkind = \"sqlite\"\npath = \"{home}/db\"\n\n\
             [state]\ndir = \"{home}/state\"\n\n[[documents]]\nname = \"archives\"\npath = \"{}\"\n\n{link}",
            SITES[number],
            number + 1,
            root[number].display(),
            home = home.display()
        )
    }

    fn command(&self, site: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config-dir").arg(self.ground.home().join(site));
        command
    }
}

impl Tool for Ours<'_> {
    fn name(&self) -> &'static str {
        "server_sync"
    }

    fn forget(&mut self) -> Result<()> {
        for (number, site) in SITES.iter().enumerate() {
            let home = self.ground.home().join(site);
            if home.exists() {
                fs::remove_dir_all(&home)?;
            }
            fs::create_dir_all(&home)?;
            fs::write(home.join("bench.toml"), self.settings(number))?;
            // An application's database, empty.
            fs::write(home.join("db"), "")?;
            succeed(self.command(site).args(["init-site", "-vd", "bench"]))?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        succeed(self.command(SITES[0]).args(["-vd", "bench"]))
    }
}
