//! Runs many seeds, or tells one.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use simulator::tap::lock;
use simulator::trees::{self, Slip};
use simulator::{Bug, Counts, Failure, Scenario, Wishes, run, shrink};

const HELP: &str =
    "simulator --seeds N [--from S] [--sites K] [--constraints] [--graves] [--declare] [--clones] [--remember] [--jobs J] [--bug NAME]
simulator --seed S [--trace] [--whole] [--sites K] [--constraints] [--graves] [--declare] [--clones] [--remember] [--bug NAME]

simulator --trees (--seeds N [--from S] [--jobs J] | --seed S [--trace] [--whole]) [--bug NAME]

--whole tells the history as the seed gives it, not the shortest that fails the same way.
Bugs: high-water-mark, early-knowledge, newest-unique, tie-without-site, hasty-purge, no-look-for-graves, blind-to-twins;
with --trees no-second-look, blind-is-gone, index-first, no-copy.";

#[derive(Default)]
struct Arguments {
    seed: Option<u64>,
    seeds: u64,
    from: u64,
    jobs: usize,
    trace: bool,
    whole: bool,
    wishes: Wishes,
    bug: Option<Bug>,
    trees: bool,
    slip: Option<Slip>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(e) => {
            eprintln!("{e}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let good = match arguments.seed {
        Some(seed) if arguments.trees => one_of_trees(seed, &arguments),
        None if arguments.trees => many_of_trees(&arguments),
        Some(seed) => one(seed, &arguments),
        None => many(&arguments),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { from: 1, seeds: 1000, jobs: 1, ..Arguments::default() };
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64, String> {
            let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            value.parse().map_err(|_| format!("{word}: {value} is not a number"))
        };
        match word.as_str() {
            "--seed" => arguments.seed = Some(number()?),
            "--seeds" => arguments.seeds = number()?,
            "--from" => arguments.from = number()?,
            "--jobs" => arguments.jobs = usize::try_from(number()?).unwrap_or(1).clamp(1, 64),
            "--sites" => arguments.wishes.sites = Some(usize::try_from(number()?).unwrap_or(7).clamp(2, 50)),
            "--constraints" => arguments.wishes.constraints = true,
            "--remember" => arguments.wishes.remembers = true,
            "--declare" => arguments.wishes.declares = true,
            "--clones" => arguments.wishes.clones = true,
            "--graves" => arguments.wishes.graves = true,
            "--trace" => arguments.trace = true,
            "--whole" => arguments.whole = true,
            "--trees" => arguments.trees = true,
            "--bug" => {
                let name = words.next().unwrap_or_default();
                (arguments.bug, arguments.slip) = (Bug::named(&name), trees::slip(&name));
                if arguments.bug.is_none() && arguments.slip.is_none() {
                    return Err(format!("there is no bug {name}"));
                }
            }
            other => return Err(format!("{other} is not known")),
        }
    }
    Ok(arguments)
}

/// Runs one seed and tells it; one that fails is made short first.
fn one(seed: u64, arguments: &Arguments) -> bool {
    let mut scenario = Scenario::new(seed, arguments.wishes);
    let first = run(&scenario, arguments.bug, false).0;
    if let (Err(failure), false) = (&first, arguments.whole) {
        println!("seed {seed}: {failure}\nmaking it short …");
        scenario = shrink(&scenario, arguments.bug, failure.kind());
    }
    let (outcome, trace) = run(&scenario, arguments.bug, arguments.trace || first.is_err());
    trace.iter().for_each(|line| println!("{line}"));
    match outcome {
        Ok(counts) => println!("seed {seed}: good: {counts:?}"),
        Err(failure) => println!("seed {seed}: {failure}"),
    }
    first.is_ok()
}

/// The same with directories.
fn one_of_trees(seed: u64, arguments: &Arguments) -> bool {
    let mut scenario = trees::Scenario::new(seed);
    let first = trees::run(&scenario, arguments.slip, false).0;
    if let (Err(failure), false) = (&first, arguments.whole) {
        println!("seed {seed}: {failure}\nmaking it short …");
        scenario = trees::shrink(&scenario, arguments.slip, failure.kind());
    }
    let (outcome, trace) = trees::run(&scenario, arguments.slip, arguments.trace || first.is_err());
    trace.iter().for_each(|line| println!("{line}"));
    println!("seed {seed}: {outcome:?}");
    first.is_ok()
}

/// The same with directories.
fn many_of_trees(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let total = Mutex::new((trees::Counts::default(), Vec::<u64>::new()));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::SeqCst);
        if seed >= arguments.from.saturating_add(arguments.seeds) {
            return;
        }
        let outcome = trees::run(&trees::Scenario::new(seed), arguments.slip, false).0;
        let mut total = lock(&total);
        match outcome {
            Ok(counts) => total.0.add(&counts),
            Err(failure) => {
                println!("seed {seed}: {}", failure.0.chars().take(400).collect::<String>());
                total.1.push(seed);
            }
        }
    };
    std::thread::scope(|scope| (0..arguments.jobs).for_each(|_| drop(scope.spawn(work))));
    let (counts, failed) = &*lock(&total);
    println!("{} seeds in {:.1} s: {counts:?}; failed: {failed:?}", arguments.seeds, began.elapsed().as_secs_f64());
    failed.is_empty()
}

/// Runs many seeds; prints those that fail.
fn many(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let total = Mutex::new((Counts::default(), Vec::<(u64, Failure)>::new()));
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| work(arguments, &next, &total));
        }
    });
    let (counts, failed) = &*lock(&total);
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s ({:.1} a second): {} rounds, {} writes, {} conflicts, {} times graves purged, {} twins refused; {} failed",
        arguments.seeds,
        arguments.seeds as f64 / seconds,
        counts.rounds,
        counts.events,
        counts.conflicts,
        counts.forgetful,
        counts.twins,
        failed.len()
    );
    let mut seeds: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    seeds.sort_unstable();
    if !seeds.is_empty() {
        println!("failed: {seeds:?}; tell one with --seed S --trace");
    }
    failed.is_empty()
}

fn work(arguments: &Arguments, next: &AtomicU64, total: &Mutex<(Counts, Vec<(u64, Failure)>)>) {
    loop {
        let seed = next.fetch_add(1, Ordering::SeqCst);
        if seed >= arguments.from.saturating_add(arguments.seeds) {
            return;
        }
        let outcome = run(&Scenario::new(seed, arguments.wishes), arguments.bug, false).0;
        let mut total = lock(total);
        match outcome {
            Ok(counts) => {
                total.0.rounds += counts.rounds;
                total.0.events += counts.events;
                total.0.conflicts += counts.conflicts;
                total.0.forgetful += counts.forgetful;
                total.0.twins += counts.twins;
            }
            Err(failure) => {
                println!("seed {seed}: {}", failure.0.chars().take(400).collect::<String>());
                total.1.push((seed, failure));
            }
        }
    }
}
