//! The master's side: sees whether more lanes pay, and makes them.

use std::io::Read;
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{ANSWER, MOST, PASS, Pass, READY, SERVICE};
use crate::error::{LinkError, Result};
use crate::hello::Hello;
use crate::mux::{Channel, Lane, Lanes, Mux};
use crate::transport::Process;

/// A line is long if it takes so much for an answer: it carries less than 130 MB a second in one connection.
const LONG: Duration = Duration::from_millis(15);

/// Answers that are looked at.
const ANSWERS: usize = 3;

/// So many bytes go over a link before they are much: making lanes takes as long as several answers.
const MUCH: u64 = 8 << 20;

/// What is started for a lane, as for the link.
pub type Started = (Process, ChildStdout, ChildStdin);

/// The lanes of a link beside its first, and the watch whether there are to be any. They are ended when this is dropped: the link
/// has to be dropped before.
pub struct Widening {
    processes: Arc<Mutex<Processes>>,
}

#[derive(Default)]
struct Processes {
    all: Vec<Connection>,
    is_over: bool,
}

struct Connection {
    process: Process,
    /// Frames go over it; it ends with the link.
    is_lane: bool,
}

impl Widening {
    /// Begins to watch a link with the agent of this virtual desktop, of which `start` makes another connection.
    pub fn watch(link: &Mux, vd: &str, start: impl Fn() -> Result<Started> + Send + 'static) -> Self {
        let processes = Arc::new(Mutex::new(Processes::default()));
        let maker = Maker { lanes: link.lanes(), hello: Hello::of(vd), processes: processes.clone() };
        if let Ok(channel) = link.open(SERVICE) {
            // Never joined: what it waits for ends with the link. What it cannot do is left.
            std::thread::spawn(move || maker.widen(&channel, &start).unwrap_or_default());
        }
        Widening { processes }
    }
}

impl Drop for Widening {
    fn drop(&mut self) {
        let mut processes = lock(&self.processes);
        processes.is_over = true;
        let mut all = std::mem::take(&mut processes.all);
        drop(processes);
        all.iter_mut().filter(|connection| !connection.is_lane).for_each(|connection| connection.process.kill());
    }
}

fn lock(processes: &Mutex<Processes>) -> MutexGuard<'_, Processes> {
    processes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What makes lanes.
struct Maker {
    lanes: Lanes,
    hello: Hello,
    processes: Arc<Mutex<Processes>>,
}

/// A lane whose connection is being made: which one it is, and its streams.
struct Making {
    number: usize,
    lane: Lane,
    output: ChildStdout,
    input: ChildStdin,
}

impl Maker {
    fn widen(&self, channel: &Channel, start: &dyn Fn() -> Result<Started>) -> Result<()> {
        if !is_long(channel)? || !self.lanes.wait_until_carried(MUCH) {
            return Ok(());
        }
        let Some(pass) = ask(channel, PASS)?.and_then(|pass| Pass::parse(&String::from_utf8(pass).ok()?)) else {
            return Ok(());
        };
        let hello = Hello { lane: Some(pass), ..self.hello.clone() };
        let making: Vec<Making> = (1..MOST).map_while(|_| self.begin(&hello, start).ok()).collect();
        for made in making {
            // One that cannot be made is left out.
            let _ = self.join(made);
        }
        Ok(())
    }

    fn begin(&self, hello: &Hello, start: &dyn Fn() -> Result<Started>) -> Result<Making> {
        // Before the agent can send anything over it.
        let lane = self.lanes.reserve();
        let (mut process, output, mut input) = start()?;
        let mut processes = lock(&self.processes);
        if processes.is_over {
            process.kill();
            return Err(LinkError::closed());
        }
        let number = processes.all.len();
        processes.all.push(Connection { process, is_lane: false });
        drop(processes);
        hello.send(&mut input)?;
        Ok(Making { number, lane, output, input })
    }

    fn join(&self, mut made: Making) -> Result<()> {
        self.hello.check(&Hello::receive(&mut made.output)?)?;
        let mut said = [0; READY.len()];
        made.output.read_exact(&mut said)?;
        if said != READY {
            return Err(LinkError::closed());
        }
        if let Some(connection) = lock(&self.processes).all.get_mut(made.number) {
            connection.is_lane = true;
        }
        made.lane.join(made.output, made.input);
        Ok(())
    }
}

/// Whether answers take long, each of them: one can be late because a machine has other things to do.
fn is_long(channel: &Channel) -> Result<bool> {
    for _ in 0..ANSWERS {
        let asked = Instant::now();
        if ask(channel, ANSWER)?.is_none_or(|answer| answer != ANSWER) || asked.elapsed() < LONG {
            return Ok(false);
        }
    }
    Ok(true)
}

fn ask(channel: &Channel, request: &[u8]) -> Result<Option<Vec<u8>>> {
    channel.send(request.to_vec())?;
    channel.receive()
}
