//! Syncthing between the two folders: two processes that know nothing but each other, with its own protocol instead of ssh, its
//! watch off and every run told to begin by its interface.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::ground::Ground;
use super::tools::Tool;
use super::trees;
use crate::Result;

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Two of them.
pub struct Syncthing<'a> {
    ground: &'a Ground,
    ends: [End; 2],
    running: Vec<Child>,
}

/// One process.
struct End {
    home: PathBuf,
    device: String,
    /// Where it listens for people, for the other one, and what the other one calls it by.
    interface: u16,
    listens: u16,
    way: u16,
}

impl<'a> Syncthing<'a> {
    /// Not started yet.
    pub fn new(ground: &'a Ground) -> Result<Self> {
        let end = |name: &str| -> Result<End> {
            let home = ground.home().join(format!("syncthing-{name}"));
            let output = Command::new("syncthing")
                .arg("generate")
                .arg("--home")
                .arg(&home)
                .args(["--no-default-folder", "--skip-port-probing"])
                .output()?;
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            let device = said.split("Device ID: ").nth(1).and_then(|rest| rest.split_whitespace().next());
            let device = device.ok_or_else(|| format!("syncthing named no device: {said}"))?.to_owned();
            let (interface, listens) = (free_port()?, free_port()?);
            Ok(End { home, device, interface, listens, way: ground.also_to(listens)? })
        };
        Ok(Syncthing { ground, ends: [end("here")?, end("there")?], running: Vec::new() })
    }

    fn settings(&self, number: usize) -> String {
        let own = &self.ends[number];
        let folder = [self.ground.here(), self.ground.there()][number].display().to_string();
        let devices: String = self.ends.iter().map(|end| format!("<device id=\"{}\"></device>", end.device)).collect();
        let known: String = self
            .ends
            .iter()
            .map(|end| format!("<device id=\"{}\"><address>tcp://127.0.0.1:{}</address></device>", end.device, end.way))
            .collect();
        let off = ["globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled", "startBrowser"]
            .map(|option| format!("<{option}>false</{option}>"))
            .concat();
        format!(
            "<configuration version=\"36\"><folder id=\"docs\" path=\"{folder}\" type=\"sendreceive\" rescanIntervalS=\"86400\" \
             fsWatcherEnabled=\"false\">{devices}</folder>{known}<gui enabled=\"true\" tls=\"false\">\
             <address>127.0.0.1:{}</address><apikey>bench</apikey></gui><options>\
             <listenAddress>tcp://127.0.0.1:{}</listenAddress>{off}<reconnectionIntervalS>1</reconnectionIntervalS>\
             <urAccepted>-1</urAccepted><setLowPriority>false</setLowPriority></options></configuration>",
            own.interface, own.listens
        )
    }

    fn start(&mut self) -> Result<()> {
        for end in &self.ends {
            let mut command = Command::new("syncthing");
            command.arg("serve").arg("--home").arg(&end.home).args([
                "--no-browser",
                "--no-restart",
                "--no-default-folder",
            ]);
            self.running.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        }
        Ok(())
    }

    /// Whether both have everything, as the first one knows of the other and as the other says itself.
    fn is_done(&self) -> bool {
        let [here, there] = &self.ends;
        let status = |end: &End| end.ask("GET", "/rest/db/status?folder=docs").ok();
        let completion = here.ask("GET", &format!("/rest/db/completion?folder=docs&device={}", there.device)).ok();
        let (Some(completion), Some(ours), Some(theirs)) = (completion, status(here), status(there)) else {
            return false;
        };
        let all = number(&ours, "globalFiles");
        all > 0
            && ours.contains("\"state\": \"idle\"")
            && theirs.contains("\"state\": \"idle\"")
            && number(&theirs, "localFiles") == all
            && number(&theirs, "globalBytes") == number(&ours, "globalBytes")
            && number(&theirs, "needTotalItems") == 0
            && number(&completion, "needItems") == 0
    }
}

impl End {
    /// The answer's body.
    fn ask(&self, verb: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.interface))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{verb} {path} HTTP/1.0\r\nHost: localhost\r\nX-API-Key: bench\r\nContent-Length: 0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
            _ => Err(format!("syncthing answered {answer}").into()),
        }
    }
}

/// A number of this name in an answer; 0 if there is none.
fn number(answer: &str, name: &str) -> u64 {
    let rest = answer.split(&format!("\"{name}\": ")).nth(1).unwrap_or_default();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or_default()
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

impl Tool for Syncthing<'_> {
    fn name(&self) -> &'static str {
        "syncthing"
    }

    fn forget(&mut self) -> Result<()> {
        self.stop()?;
        for number in 0..self.ends.len() {
            let home = &self.ends[number].home;
            for item in fs::read_dir(home)? {
                let path = item?.path();
                if path.is_dir() {
                    fs::remove_dir_all(path)?;
                }
            }
            fs::write(home.join("config.xml"), self.settings(number))?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        if self.running.is_empty() {
            self.start()?;
        } else {
            self.ends[0].ask("POST", "/rest/db/scan?folder=docs")?;
        }
        let started = Instant::now();
        // What it says of itself may be from before it looked.
        while !self.is_done() || trees::differ(&self.ground.here(), &self.ground.there())?.is_some() {
            if started.elapsed() > PATIENCE {
                return Err("syncthing is not done".into());
            }
            for child in &mut self.running {
                if let Some(status) = child.try_wait()? {
                    return Err(format!("syncthing ended by itself: {status}").into());
                }
            }
            // It has no other way to be asked when it is done.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        for (end, mut child) in self.ends.iter().zip(self.running.drain(..)) {
            // What was started has a process of its own, which goes on, with its port, if only the first one is killed.
            if end.ask("POST", "/rest/system/shutdown").is_err() {
                child.kill()?;
            }
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Syncthing<'_> {
    fn drop(&mut self) {
        // What cannot be ended has ended already.
        let _ = self.stop();
    }
}
