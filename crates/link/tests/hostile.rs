//! What a hostile side may send: conversations that were recorded, and then spoilt in every way. Both ends must refuse them
//! without a panic, without waiting for what never comes, and without taking the memory that the bytes claim to need.
//!
//! `SERVER_SYNC_FUZZ_SECONDS` makes it longer. What it finds is written beside the test's other files, and kept in `corpus/` once
//! it is mended.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{Incarnation, Knowledge, Position, Source, StoreId, Value};
use sync_link::{Mux, RemoteStore, RemoteTree, contents};
use sync_store::batch::baseline_row;
use sync_store::contents::{Ask, Body};
use sync_store::{
    Batch, Change, Contents, Hash, Lacking, Manner, Mode, Piece, PieceSink, Realised, Result, Since, Skipped, Store,
    StoreError, TableHead, Trouble, Want,
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

    fn scan(&mut self, _: &str, sink: &mut sync_store::Sink) -> Result<()> {
        sink(batch())
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
        Ok(vec![Want { hash: Hash([3; 32]), size: 9, ask: Ask::Chunks { from: 1 } }])
    }

    fn lacking(&mut self) -> Result<Lacking> {
        Ok(Lacking { files: 1, bytes: 9 })
    }

    fn meet(&mut self) {}

    fn supply(&mut self, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
        wants.iter().take(8).try_for_each(|want| sink(piece(want.hash)))
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
    Piece { content, body: Body::Data { offset: 0, bytes: vec![7; 300] } }
}

fn batch() -> Batch {
    let values = [Value::Null, Value::unsigned(7), Value::Text("seven".into()), Value::Bytes(vec![0, 255])];
    let row = baseline_row(values.to_vec());
    let heads = vec![TableHead { name: "t".to_owned(), columns: ["a", "b", "c", "d"].map(str::to_owned).to_vec() }];
    let change = Change { table: 0, key: vec![Value::unsigned(7)], row };
    Batch { changes: vec![change], heads, ..Batch::empty(source()) }
}

fn source() -> Source {
    Source { store: StoreId(5), incarnation: Incarnation(1) }
}

/// A conversation, whatever the other side makes of it. Nothing of it may be relied on.
fn talk(mux: &Mux) -> Result<()> {
    let (rows, files) = (mux.open("database")?, mux.open("documents/x")?);
    let mut store = RemoteStore::new(rows);
    let _ = store.describe();
    let _ = store.forgot(&Knowledge::default());
    let since = Since { receiver: source(), position: Position::default(), held: vec![], tables: vec![], upto: None };
    let _ = store.changes(&since, &mut |_| Ok(()));
    let _ = store.scan("t", &mut |_| Ok(()));
    for _ in 0..3 {
        let _ = store.apply_ahead(&batch(), Mode::Write);
    }
    let _ = store.applied();
    let mut tree = RemoteTree::new(files, "there");
    let _ = tree.begin(Manner::default());
    let wants = tree.wanted(8).unwrap_or_default();
    let _ = tree.supply(&wants, &mut |_| Ok(()));
    let _ = tree.receive(&piece(Hash([4; 32])));
    let _ = tree.realise();
    tree.rest()
}

/// Serves whatever is opened until the other side ends.
fn serve(mux: &Mux) {
    thread::scope(|scope| {
        while let Ok(Some((channel, _))) = mux.accept() {
            scope.spawn(move || contents::serve(&channel, &mut Small));
        }
    });
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
    talk(&asks).unwrap();
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

/// Lets a side hear these bytes and then nothing more.
fn hears(side: usize, bytes: &[u8]) {
    let from = Cursor::new(bytes.to_vec());
    if side == 0 {
        serve(&Mux::start(from, std::io::sink(), 2));
    } else {
        let _ = talk(&Mux::start(from, std::io::sink(), 1));
    }
}

fn corpus() -> Vec<(usize, Vec<u8>)> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<PathBuf> = fs::read_dir(place).unwrap().map(|item| item.unwrap().path()).collect();
    files.sort();
    let side = |path: &Path| usize::from(path.file_name().unwrap().to_string_lossy().starts_with("asks"));
    files.into_iter().map(|path| (side(&path), fs::read(path).unwrap())).collect()
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
    let fresh = honest();
    let mut seeds = corpus();
    seeds.extend(fresh.into_iter().enumerate());
    seeds.iter().for_each(|(side, bytes)| hears(*side, bytes));
    let seconds = std::env::var("SERVER_SYNC_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let (until, mut dice, mut round) = (seconds.map(|s| Instant::now() + Duration::from_secs(s)), Dice(0x5eed), 0);
    while until.map_or(round < ROUNDS, |until| Instant::now() < until) {
        let (side, seed) = &seeds[dice.below(seeds.len())];
        let other = &seeds[dice.below(seeds.len())].1;
        let mut bytes = seed.clone();
        for _ in 0..=dice.below(4) {
            spoil(&mut bytes, other, &mut dice);
        }
        hears(*side, &bytes);
        round += 1;
        if PANICS.load(Ordering::SeqCst) > 0 {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(["serves-found", "asks-found"][*side]);
            fs::write(&path, &bytes).unwrap();
            unreachable!("{} made it panic, or the one before", path.display());
        }
    }
    println!("{round} conversations, at most {} MiB", peak());
    assert!(peak() < 256, "{} MiB for conversations of some kilobytes", peak());
}
