//! Folders of documents over ssh, beside the programs that people use for them: a first copy, a run with nothing to do, and a
//! large file with a little inserted. All run on the same trees, over the same sshd, in turn; bytes are those that pass its port.

mod ground;
mod syncthing;
mod tools;
mod trees;

use std::time::Instant;

use ground::Ground;
use tools::Tool;

use crate::Result;
use crate::arguments::Arguments;
use crate::report::{self, median};

/// Megabytes of the large file; a kilobyte is inserted in its middle.
const LARGE: u64 = 512;

/// Runs the bench.
pub fn run(arguments: &Arguments) -> Result<()> {
    let ground = Ground::new(arguments.delay())?;
    let mut tools = tools::installed(&ground)?;
    tools.retain(|tool| arguments.tools.is_empty() || arguments.tools.iter().any(|name| name == tool.name()));
    let (files, megabytes) = (arguments.files(), arguments.megabytes());
    trees::fill(&ground.here(), files, megabytes)?;
    let (mut ready, mut copies, mut quiet) = (runs(&tools), runs(&tools), runs(&tools));
    // In turn, so that a slow moment or a trend of the machine meets all.
    for _ in 0..arguments.samples {
        for (place, tool) in tools.iter_mut().enumerate() {
            let (setting_up, first) = begin(&ground, tool.as_mut())?;
            ready[place].push((setting_up, 0));
            copies[place].push(first);
            quiet[place].push(timed(&ground, tool.as_mut())?);
            tool.stop()?;
        }
    }
    let note =
        format!("The line has {} ms of delay, there and back. The ratio is to rsync.", arguments.delay().as_millis());
    let before = "Each site by itself, before anything is copied: `init-site` reads all files and makes the index.";
    print("Setting up", before, &tools, &ready);
    print(&format!("First copy of {files} files, {megabytes} MB"), &note, &tools, &copies);
    print(&format!("Nothing to do, {files} files"), &note, &tools, &quiet);
    ground.sweep()?;
    let mut edits = runs(&tools);
    for _ in 0..arguments.samples {
        for (place, tool) in tools.iter_mut().enumerate() {
            trees::large(&ground.here(), LARGE)?;
            begin(&ground, tool.as_mut())?;
            trees::insert(&ground.here())?;
            edits[place].push(timed(&ground, tool.as_mut())?);
            tool.stop()?;
        }
    }
    print(&format!("A kilobyte inserted in the middle of {LARGE} MiB"), &note, &tools, &edits);
    Ok(())
}

/// Seconds, and bytes that passed.
type Run = (f64, u64);

fn runs(tools: &[Box<dyn Tool + '_>]) -> Vec<Vec<Run>> {
    vec![Vec::new(); tools.len()]
}

/// The first run of a tool that knows nothing yet, and the seconds that it takes to set it up.
fn begin(ground: &Ground, tool: &mut dyn Tool) -> Result<(f64, Run)> {
    ground.clear()?;
    rustix::fs::sync();
    let started = Instant::now();
    tool.forget()?;
    Ok((started.elapsed().as_secs_f64(), timed(ground, tool)?))
}

fn timed(ground: &Ground, tool: &mut dyn Tool) -> Result<Run> {
    // Nobody pays for what another left to be written: who makes files safe would.
    rustix::fs::sync();
    let (started, before) = (Instant::now(), ground.bytes());
    tool.run()?;
    let run = (started.elapsed().as_secs_f64(), ground.bytes() - before);
    match trees::differ(&ground.here(), &ground.there())? {
        None => Ok(run),
        Some(path) => Err(format!("{} left {} different", tool.name(), path.display()).into()),
    }
}

fn print(title: &str, note: &str, tools: &[Box<dyn Tool + '_>], runs: &[Vec<Run>]) {
    report::table(title, note, &["", "seconds", "ratio", "lowest–highest", "bytes"]);
    let seconds = |runs: &[Run]| median(runs.iter().map(|r| r.0));
    let rsync = tools.iter().position(|t| t.name() == "rsync").and_then(|place| runs.get(place)).map(|r| seconds(r));
    for (tool, runs) in tools.iter().zip(runs) {
        let all = runs.iter().map(|r| r.0);
        let (lowest, highest) = (all.clone().fold(f64::MAX, f64::min), all.fold(0.0, f64::max));
        let ratio = rsync.map_or(String::new(), |rsync| format!("{:.2}", seconds(runs) / rsync));
        let bytes = median(runs.iter().map(|r| r.1 as f64));
        report::row(&[
            tool.name().to_owned(),
            format!("{:.2}", seconds(runs)),
            ratio,
            format!("{lowest:.2}–{highest:.2}"),
            format!("{bytes:.0}"),
        ]);
    }
}
