//! What a hostile side may send: conversations that were recorded, and then spoilt in every way. Both ends must refuse them
//! without a panic, without waiting for what never comes, and without taking the memory that the bytes claim to need.
//!
//! `SERVER_SYNC_FUZZ_SECONDS` makes it longer. What makes it panic is written beside the test's other files. `corpus/` has for each
//! refusal that was ever met the shortest conversation that met it, under the words of the refusal: it is refused for ever, and others
//! are made of it. `SERVER_SYNC_FUZZ_KEEP=1` writes the corpus anew.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{Incarnation, Knowledge, Position, SiteId, Source, StoreId, Value};
use sync_link::{Mux, Openings, RemoteStore, RemoteTree, contents};
use sync_store::batch::baseline_row;
use sync_store::contents::{Ask, Body, Chunk};
use sync_store::{
    Batch, Change, Contents, Hash, Lacking, Manner, Mode, Opened, Opening, Piece, PieceSink, Realised, Result, Since,
    Skipped, Store, StoreError, TableHead, Trouble, Want,
};

/// A store of files that answers with little.
#[derive(Default)]
struct Small;

impl Small {
    fn call<T>(&mut self, _: impl FnOnce(&mut dyn Store) -> Result<T>) -> Result<T> {
        Err(StoreError::new(Trouble::Failure, "nothing of this kind here"))
    }
}

impl Store for Small {
    sync_store::pass_on! {
        describe knowledge forgot last_heard leave_history drain is_empty recognises greet reincarnate outline changes apply
        complete enter digest rows restamp bury registry register purge compared conflicts parked restore
    }

    fn open_round(&mut self, opening: &Opening, told: &mut dyn FnMut(&Knowledge) -> Result<()>) -> Result<Opened> {
        told(&opening.knowledge)?;
        Ok(Opened::Forgot(SiteId::new(3).map_err(|e| StoreError::new(Trouble::Failure, e.to_string()))?))
    }

    fn scan(&mut self, _: &str, _: bool, sink: &mut sync_store::Sink) -> Result<()> {
        sink(batch(1)).and_then(|()| sink(batch(MANY)))
    }
}

impl Contents for Small {
    fn begin(&mut self, _: Manner) -> Result<()> {
        Ok(())
    }

    fn rest(&mut self) -> Result<()> {
        Ok(())
    }

    fn settle(&mut self) -> Result<u64> {
        Ok(1)
    }

    fn wanted(&mut self, _: usize) -> Result<Vec<Want>> {
        let chunk = Chunk { offset: 2, size: 3, hash: Hash([8; 32]) };
        let asks =
            [Ask::Chunks { from: 1 }, Ask::Groups { from: 1 }, Ask::List { from: 1, to: 2 }, Ask::Ranges(vec![chunk])];
        Ok(asks.map(|ask| Want { hash: Hash([3; 32]), size: 9, ask }).to_vec())
    }

    fn lacking(&mut self) -> Result<Lacking> {
        Ok(Lacking { files: 1, bytes: 9 })
    }

    fn meet(&mut self) {}

    fn supply(&mut self, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
        wants.iter().take(8).try_for_each(|want| sink(answer(want)))
    }

    fn receive(&mut self, _: &Piece) -> Result<()> {
        Ok(())
    }

    fn realise(&mut self) -> Result<Realised> {
        Ok(Realised::default())
    }

    fn unrealised(&mut self) -> Result<u64> {
        Ok(0)
    }

    fn unread(&self) -> &[Skipped] {
        &[]
    }
}

fn piece(content: Hash) -> Piece {
    Piece::asked(content, Body::Data { offset: 0, bytes: vec![7; 300] })
}

fn answer(want: &Want) -> Piece {
    let chunks = vec![Chunk { offset: 1, size: 8, hash: Hash([9; 32]) }; 2];
    let body = match want.ask {
        Ask::Chunks { .. } | Ask::List { .. } => Body::Chunks(chunks),
        Ask::Groups { .. } => Body::Groups(chunks),
        Ask::Ranges(_) => Body::Absent,
        Ask::Whole => return piece(want.hash),
    };
    Piece::asked(want.hash, body)
}

/// Rows of which a message is made smaller.
const MANY: usize = 40;

fn batch(rows: usize) -> Batch {
    let values = [Value::Null, Value::unsigned(7), Value::Text("seven".into()), Value::Bytes(vec![0, 255])];
    let row = baseline_row(values.to_vec());
    let heads = vec![TableHead { name: "t".to_owned(), columns: ["a", "b", "c", "d"].map(str::to_owned).to_vec() }];
    let change = Change { table: 0, key: vec![Value::unsigned(7)], row };
    Batch { changes: vec![change; rows], heads, ..Batch::empty(source()) }
}

fn source() -> Source {
    Source { store: StoreId(5), incarnation: Incarnation(1) }
}

/// What a side was told that it cannot use, in words.
#[derive(Default)]
struct Refusals(Vec<String>);

impl Refusals {
    fn note<T, E: std::fmt::Display>(&mut self, heard: std::result::Result<T, E>) -> Option<T> {
        heard.map_err(|error| self.0.push(error.to_string())).ok()
    }
}

/// A conversation, whatever the other side makes of it. Nothing of it may be relied on.
fn talk(mux: &Mux) -> Refusals {
    let mut refusals = Refusals::default();
    let channels = refusals.note(mux.open("database").and_then(|rows| Ok((rows, mux.open("documents/x")?))));
    let Some((rows, files)) = channels else { return refusals };
    let mut store = RemoteStore::new(rows);
    refusals.note(store.describe());
    refusals.note(store.forgot(&Knowledge::default()));
    let since = Since { receiver: source(), position: Position::default(), held: vec![], tables: vec![], upto: None };
    refusals.note(store.changes(&since, &mut |_| Ok(())));
    refusals.note(store.scan("t", true, &mut |_| Ok(())));
    for rows in [1, 1, MANY] {
        refusals.note(store.apply_ahead(&batch(rows), Mode::Write));
    }
    refusals.note(store.applied());
    let opening = Opening { master: source(), knowledge: Knowledge::default() };
    refusals.note(store.open_ahead(&opening));
    let mut tree = RemoteTree::new(files, "there");
    refusals.note(tree.begin(Manner::default()));
    refusals.note(tree.begin_ahead(Manner::default()));
    refusals.note(tree.open_ahead(&opening, &store.openings()));
    refusals.note(store.open_round(&opening, &mut |_| Ok(())));
    refusals.note(tree.open_round(&opening, &mut |_| Ok(())));
    let wants = refusals.note(tree.wanted(8)).unwrap_or_default();
    refusals.note(tree.supply(&wants, &mut |_| Ok(())));
    refusals.note(tree.receive(&piece(Hash([4; 32]))));
    refusals.note(tree.realise());
    refusals.note(tree.rest());
    refusals
}

/// Serves whatever is opened until the other side ends.
fn serve(mux: &Mux) -> Refusals {
    let (refusals, openings) = (Mutex::new(Refusals::default()), Openings::default());
    thread::scope(|scope| {
        loop {
            match mux.accept() {
                Ok(Some((channel, service))) => {
                    let (refusals, openings) = (&refusals, &openings);
                    scope.spawn(move || {
                        let served = match service.as_str() {
                            "database" => sync_link::serve::serve(&channel, &mut Small, openings),
                            _ => contents::serve(&channel, &mut Small, openings),
                        };
                        refusals.lock().unwrap().note(served);
                    });
                }
                Ok(None) => break,
                Err(error) => {
                    refusals.lock().unwrap().note(Err::<(), _>(error));
                    break;
                }
            }
        }
        openings.end();
    });
    refusals.into_inner().unwrap()
}

/// Keeps what is read.
struct Recorded(UnixStream, Arc<Mutex<Vec<u8>>>);

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1.lock().unwrap().extend_from_slice(&buffer[..length]);
        Ok(length)
    }
}

/// What each side of an honest conversation hears: the one that serves, and the one that asks.
fn honest() -> [Vec<u8>; 2] {
    let heard: [Arc<Mutex<Vec<u8>>>; 2] = Default::default();
    let (here, there) = UnixStream::pair().unwrap();
    let serves = Mux::start(Recorded(there.try_clone().unwrap(), heard[0].clone()), there, 2);
    let served = thread::spawn(move || serve(&serves));
    let asks = Mux::start(Recorded(here.try_clone().unwrap(), heard[1].clone()), here.try_clone().unwrap(), 1);
    let _ = talk(&asks);
    drop(asks);
    here.shutdown(std::net::Shutdown::Both).unwrap();
    served.join().unwrap();
    heard.map(|heard| heard.lock().unwrap().clone())
}

/// Numbers that look random (xorshift64), the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        from..from + self.below((length - from).min(200) + 1)
    }
}

/// Spoils a conversation in one way.
fn spoil(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let (length, range) = (bytes.len(), dice.range(bytes.len()));
    match dice.below(8) {
        0 => bytes.truncate(range.start),
        1 => drop(bytes.drain(range)),
        2 => bytes.splice(range.start..range.start, bytes[range.clone()].to_vec()).for_each(drop),
        3 => bytes.splice(range, other[dice.range(other.len())].to_vec()).for_each(drop),
        4 => {
            let random: Vec<u8> = (0..dice.below(80)).map(|_| dice.below(256) as u8).collect();
            bytes.splice(range, random).for_each(drop);
        }
        5 => {
            // A length that is none.
            let huge = [0xff, 0xff, 0xff, [0x00, 0x7f, 0xff][dice.below(3)]];
            bytes.splice(range.start..length.min(range.start + 4), huge).for_each(drop);
        }
        _ if length > 0 => bytes[range.start.min(length - 1)] ^= 1 << dice.below(8),
        _ => bytes.push(dice.below(256) as u8),
    }
}

/// Lets a side hear these bytes and then nothing more; says which names its refusals have in the corpus.
fn hears(side: usize, bytes: &[u8]) -> Vec<String> {
    let from = Cursor::new(bytes.to_vec());
    let refusals = match side {
        0 => serve(&Mux::start(from, std::io::sink(), 2)),
        _ => talk(&Mux::start(from, std::io::sink(), 1)),
    };
    // What the other side says of itself is in its own words, spoilt as they are.
    let is_ours = |said: &&String| said.contains("the other side");
    let mut names: Vec<String> = refusals.0.iter().filter(is_ours).map(|said| name(side, said)).collect();
    names.sort();
    names.dedup();
    names
}

/// The words of a refusal, without the numbers and the quoted rubbish in it.
fn name(side: usize, said: &str) -> String {
    let letters = |c: char| if c.is_ascii_lowercase() { c } else { ' ' };
    let unquoted = said.split(['"', '`']).step_by(2).collect::<String>();
    let plain: String = unquoted.to_ascii_lowercase().chars().map(letters).collect();
    let known = plain.split("unknown variant").next().unwrap_or_default();
    let words: Vec<&str> = known.split_whitespace().filter(|word| word.len() > 1).take(16).collect();
    format!("{}-{}", ["serves", "asks"][side], words.join("-"))
}

fn corpus_place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// By name.
type Corpus = BTreeMap<String, Vec<u8>>;

fn corpus() -> Corpus {
    let files = fs::read_dir(corpus_place()).unwrap().map(|item| item.unwrap().path());
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())).collect()
}

fn side_of(name: &str) -> usize {
    usize::from(name.starts_with("asks"))
}

/// Keeps a conversation for what it was refused with, if none is known or this one is shorter, and it is always refused so.
fn keep(corpus: &mut Corpus, side: usize, bytes: &[u8], names: Vec<String>) {
    let is_better = |name: &String| corpus.get(name).is_none_or(|known| bytes.len() < known.len());
    let better: Vec<String> = names.into_iter().filter(is_better).collect();
    if better.is_empty() {
        return;
    }
    let again = [(); 3].map(|()| hears(side, bytes));
    let is_steady = |name: &String| again.iter().all(|names| names.contains(name));
    corpus.extend(better.into_iter().filter(is_steady).map(|name| (name, bytes.to_vec())));
}

/// What was refused is refused. In which words depends on what is met first where a conversation is spoilt at several places.
#[test]
fn the_corpus_is_refused() {
    let corpus = corpus();
    assert!(corpus.len() > 10, "{} conversations", corpus.len());
    for (name, bytes) in corpus {
        assert!(!hears(side_of(&name), &bytes).is_empty(), "{name} was taken");
    }
}

/// The most memory this process ever had, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Spoilt conversations; all of them take well below a second each.
const ROUNDS: usize = 2000;

#[test]
fn hostile_conversations_are_refused() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        usual(info);
    }));
    let keeps = std::env::var_os("SERVER_SYNC_FUZZ_KEEP").is_some();
    let mut kept = if keeps { Corpus::new() } else { corpus() };
    let mut seeds: Vec<(usize, Vec<u8>)> = kept.iter().map(|(name, bytes)| (side_of(name), bytes.clone())).collect();
    seeds.extend(honest().into_iter().enumerate());
    let seconds = std::env::var("SERVER_SYNC_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let (until, mut dice, mut round) = (seconds.map(|s| Instant::now() + Duration::from_secs(s)), Dice(0x5eed), 0);
    while until.map_or(round < ROUNDS, |until| Instant::now() < until) {
        let (side, seed) = &seeds[dice.below(seeds.len())];
        let other = &seeds[dice.below(seeds.len())].1;
        let mut bytes = seed.clone();
        for _ in 0..=dice.below(4) {
            spoil(&mut bytes, other, &mut dice);
        }
        let refused = hears(*side, &bytes);
        round += 1;
        if PANICS.load(Ordering::SeqCst) > 0 {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(["serves-found", "asks-found"][*side]);
            fs::write(&path, &bytes).unwrap();
            unreachable!("{} made it panic, or the one before", path.display());
        }
        if keeps {
            keep(&mut kept, *side, &bytes, refused);
        }
    }
    if keeps {
        kept.iter().for_each(|(name, bytes)| fs::write(corpus_place().join(name), bytes).unwrap());
    }
    println!("{round} conversations, at most {} MiB", peak());
    assert!(peak() < 256, "{} MiB for conversations of some kilobytes", peak());
}
