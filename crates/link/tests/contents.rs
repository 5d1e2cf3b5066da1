//! A store of files over a link: contents arrive whole and in order, errors are told, and what is hostile is refused.
#![allow(clippy::unwrap_used)]

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use sync_core::{Incarnation, Knowledge, Position, SiteId, Source, StoreId};
use sync_link::mux::Mux;
use sync_link::{Openings, RemoteTree, contents};
use sync_store::contents::{Ask, Body, PIECE};
use sync_store::{
    Applied, Batch, Completed, Contents, Drained, Hash, Lacking, Manner, Mode, Opened, Opening, Piece, PieceSink,
    Realised, Reason, Result, Skipped, Store, StoreError, Trouble, Want,
};

/// A store of files that only remembers what it is told.
#[derive(Default)]
struct Told {
    heard: Arc<Mutex<Vec<String>>>,
    unread: Vec<Skipped>,
    /// The piece that cannot be kept.
    refuses: Option<Hash>,
    /// Why no round can begin.
    locked: bool,
}

impl Told {
    fn note(&self, what: impl Into<String>) {
        self.heard.lock().unwrap().push(what.into());
    }
}

fn unused<T>() -> Result<T> {
    Err(StoreError::new(Trouble::Failure, "not part of this test"))
}

/// The verbs of rows are tried out by the story suite.
impl Told {
    fn call<T>(&mut self, _: impl FnOnce(&mut dyn Store) -> Result<T>) -> Result<T> {
        unused()
    }
}

impl Store for Told {
    sync_store::pass_on! {
        describe knowledge forgot last_heard is_empty recognises greet reincarnate outline changes complete
        enter scan digest rows restamp bury registry register purge compared conflicts parked restore
    }

    fn drain(&mut self) -> Result<Drained> {
        Ok(Drained::default())
    }

    fn open_round(&mut self, opening: &Opening, told: &mut dyn FnMut(&Knowledge) -> Result<()>) -> Result<Opened> {
        if self.locked {
            return unused();
        }
        told(&opening.knowledge)?;
        self.note("open");
        Ok(Opened::Forgot(SiteId::new(3).unwrap()))
    }

    /// Whatever is a part of something larger cannot be.
    fn apply(&mut self, batch: &Batch, _: Mode) -> Result<Applied> {
        if batch.more {
            return Err(StoreError::new(Trouble::Failure, "the row is locked"));
        }
        self.note("apply");
        Ok(Applied::default())
    }

    fn leave_history(&mut self, _: u64) -> Result<Source> {
        self.note("leave");
        Ok(source())
    }
}

fn source() -> Source {
    Source { store: StoreId(5), incarnation: Incarnation(1) }
}

fn opening() -> Opening {
    let mut knowledge = Knowledge::default();
    knowledge.advance(source(), Position { seq: 7, token: 8 });
    Opening { master: source(), knowledge }
}

fn hash(n: u32) -> Hash {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    Hash(bytes)
}

impl Contents for Told {
    fn begin(&mut self, manner: Manner) -> Result<()> {
        if self.locked {
            return Err(StoreError::new(Trouble::Failure, "another round works on it"));
        }
        self.note(format!("{manner:?}"));
        Ok(())
    }

    fn rest(&mut self) -> Result<()> {
        self.note("rest");
        Ok(())
    }

    fn settle(&mut self) -> Result<u64> {
        Ok(7)
    }

    fn wanted(&mut self, limit: usize) -> Result<Vec<Want>> {
        Ok(vec![Want { hash: hash(1), size: limit as u64, ask: Ask::Chunks { from: 3 } }])
    }

    fn lacking(&mut self) -> Result<Lacking> {
        Ok(Lacking { files: 2, bytes: 9 })
    }

    fn meet(&mut self) {
        self.note("meet");
    }

    fn supply(&mut self, wants: &[Want], sink: &mut PieceSink) -> Result<()> {
        wants.iter().try_for_each(|want| sink(piece(want.hash, want.size as usize)))
    }

    fn receive(&mut self, piece: &Piece) -> Result<()> {
        let Body::Data { bytes, .. } = &piece.body else { return unused() };
        if self.refuses == Some(piece.content) {
            return Err(StoreError::new(Trouble::Corrupt, "that one is bad"));
        }
        self.note(format!("{} {}", piece.content, bytes.len()));
        Ok(())
    }

    fn realise(&mut self) -> Result<Realised> {
        let skipped = vec![Skipped { path: b"\xff/x".to_vec(), reason: Reason::System("full".to_owned()) }];
        Ok(Realised { created: 3, skipped, ..Realised::default() })
    }

    fn unrealised(&mut self) -> Result<u64> {
        Ok(5)
    }

    fn unread(&self) -> &[Skipped] {
        &self.unread
    }
}

fn piece(content: Hash, size: usize) -> Piece {
    Piece::asked(content, Body::Data { offset: 0, bytes: vec![9; size] })
}

/// A store behind a link, as long as `with` runs.
fn linked(store: Told, with: impl FnOnce(&mut RemoteTree)) {
    linked_beside(store, &Openings::default(), with);
}

/// The same, beside a database that was opened so often there.
fn linked_beside(mut store: Told, rows: &Openings, with: impl FnOnce(&mut RemoteTree)) {
    let (near, far) = UnixStream::pair().unwrap();
    let (near_writer, far_writer) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || {
            let link = Mux::start(far, far_writer, 2);
            let (channel, _) = link.accept().unwrap().unwrap();
            let _ = contents::serve(&channel, &mut store, rows);
        });
        let link = Mux::start(near, near_writer, 1);
        with(&mut RemoteTree::new(link.open("documents/x").unwrap(), "lyon"));
    });
}

#[test]
fn every_verb_arrives() {
    let store = Told { unread: vec![Skipped { path: b"pipe".to_vec(), reason: Reason::Special }], ..Told::default() };
    let heard = store.heard.clone();
    linked(store, |tree| {
        let manner = Manner { force: true, preview: true, ..Manner::default() };
        tree.begin(manner).unwrap();
        assert!(tree.unread().is_empty());
        tree.drain().unwrap();
        assert_eq!(tree.unread()[0].path, b"pipe");
        tree.meet();
        assert_eq!(tree.settle().unwrap(), 7);
        assert_eq!(tree.wanted(12).unwrap(), [Want { hash: hash(1), size: 12, ask: Ask::Chunks { from: 3 } }]);
        let realised = tree.realise().unwrap();
        assert_eq!((realised.created, &realised.skipped[0].path[..]), (3, &b"\xff/x"[..]));
        assert_eq!(tree.unrealised().unwrap(), 5);
        assert_eq!(tree.lacking().unwrap(), Lacking { files: 2, bytes: 9 });
        tree.rest().unwrap();
        // Nobody waits for the end of a round, but for what comes next.
        tree.settle().unwrap();
        assert_eq!(*heard.lock().unwrap(), [format!("{manner:?}"), "meet".to_owned(), "rest".to_owned()]);
    });
}

#[test]
fn a_round_begins_and_ends_with_one_answer() {
    let store = Told { unread: vec![Skipped { path: b"pipe".to_vec(), reason: Reason::Special }], ..Told::default() };
    let heard = store.heard.clone();
    linked(store, |tree| {
        tree.begin_ahead(Manner::default()).unwrap();
        let mut contains = Vec::new();
        let opened = tree.open_round(&opening(), &mut |knowledge| {
            contains.push(knowledge.clone());
            Ok(())
        });
        assert!(matches!(opened.unwrap(), Opened::Forgot(site) if site.number() == 3));
        assert_eq!(contains, [opening().knowledge]);
        assert_eq!(tree.unread()[0].path, b"pipe");
        tree.rest().unwrap();
        assert_eq!(tree.waits(), 1);
        // What went ahead is heard before the next answer.
        assert_eq!(tree.settle().unwrap(), 7);
        assert_eq!(*heard.lock().unwrap(), [format!("{:?}", Manner::default()), "open".to_owned(), "rest".to_owned()]);
    });
}

#[test]
fn a_round_that_was_opened_ahead_comes_after_the_rows() {
    let (store, rows, begun) = (Told::default(), Arc::new(Openings::default()), Openings::default());
    let heard = store.heard.clone();
    rows.note();
    linked_beside(store, &begun, |tree| {
        tree.begin_ahead(Manner::default()).unwrap();
        tree.open_ahead(&opening(), &rows).unwrap();
        while heard.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        heard.lock().unwrap().push("rows".to_owned());
        begun.note();
        let opened = tree.open_round(&opening(), &mut |_| Ok(())).unwrap();
        assert!(matches!(opened, Opened::Forgot(_)));
        assert_eq!(heard.lock().unwrap()[1..], ["rows", "open"]);
        assert_eq!(tree.waits(), 1);
        // It is used once.
        tree.open_round(&opening(), &mut |_| Ok(())).unwrap();
        assert_eq!(heard.lock().unwrap()[1..], ["rows", "open", "open"]);
    });
}

#[test]
fn a_round_that_was_opened_ahead_does_not_count_once_something_else_is_asked() {
    let rows = Arc::new(Openings::default());
    let others: [&dyn Fn(&mut RemoteTree); 5] = [
        &|tree| assert_eq!(tree.settle().unwrap(), 7),
        &|tree| tree.rest().unwrap(),
        &|tree| tree.forgo().unwrap(),
        &|tree| tree.begin_ahead(Manner::default()).unwrap(),
        // The rows are opened once more: files that they cite may have come since.
        &|_| rows.note(),
    ];
    for other in others {
        let (store, begun) = (Told::default(), Openings::default());
        (0..rows.count()).for_each(|_| begun.note());
        let heard = store.heard.clone();
        linked_beside(store, &begun, |tree| {
            tree.open_ahead(&opening(), &rows).unwrap();
            other(tree);
            tree.open_round(&opening(), &mut |_| Ok(())).unwrap();
            let opened = heard.lock().unwrap().iter().filter(|what| *what == "open").count();
            assert_eq!(opened, 2);
            assert_eq!(tree.settle().unwrap(), 7);
        });
    }
}

#[test]
fn a_round_that_was_opened_ahead_by_somebody_else_does_not_count() {
    let (store, rows) = (Told::default(), Arc::new(Openings::default()));
    let heard = store.heard.clone();
    linked(store, |tree| {
        let mut restored = opening();
        restored.master.incarnation = Incarnation(77);
        tree.open_ahead(&opening(), &rows).unwrap();
        tree.open_round(&restored, &mut |_| Ok(())).unwrap();
        assert_eq!(*heard.lock().unwrap(), ["open", "open"]);
    });
}

#[test]
fn what_keeps_a_round_from_being_opened_ahead_is_told_when_it_is_opened() {
    let rows = Arc::new(Openings::default());
    linked(Told { locked: true, ..Told::default() }, |tree| {
        tree.begin_ahead(Manner::default()).unwrap();
        tree.open_ahead(&opening(), &rows).unwrap();
        assert_eq!(tree.confirm().unwrap_err().message, "lyon: another round works on it");
        tree.forgo().unwrap();
        tree.begin_ahead(Manner::default()).unwrap();
        tree.open_ahead(&opening(), &rows).unwrap();
        let error = tree.open_round(&opening(), &mut |_| panic!("it is not open")).unwrap_err();
        assert_eq!(error.message, "lyon: another round works on it");
        assert_eq!(tree.settle().unwrap(), 7);
    });
}

#[test]
fn an_agent_whose_link_ends_waits_for_no_rows() {
    let (store, rows, begun) = (Told::default(), Arc::new(Openings::default()), Openings::default());
    let heard = store.heard.clone();
    rows.note();
    linked_beside(store, &begun, |tree| {
        tree.open_ahead(&opening(), &rows).unwrap();
        begun.end();
        assert!(tree.open_round(&opening(), &mut |_| Ok(())).is_err());
    });
    assert!(heard.lock().unwrap().is_empty());
}

/// The end of a stream.
fn end() -> Completed {
    Completed {
        sender: source(),
        end: Position { seq: 7, token: 8 },
        knowledge: Knowledge::default(),
        sent: Vec::new(),
        held: Vec::new(),
    }
}

/// Rows need not have been applied before it is asked to settle them; if they cannot be, nothing is settled or recorded.
#[test]
fn rows_and_what_is_done_about_them_are_one_answer() {
    let store = Told::default();
    let heard = store.heard.clone();
    linked(store, |tree| {
        let batch = Batch::empty(source());
        let bad = Batch { more: true, ..batch.clone() };
        for batch in [&batch, &bad, &batch] {
            tree.apply_ahead(batch, Mode::Write).unwrap();
        }
        tree.complete(&end()).unwrap();
        assert_eq!(tree.settle_and_want(5, true).unwrap_err().message, "lyon: the row is locked");
        assert_eq!(*heard.lock().unwrap(), ["apply"]);
        // That was told; the line goes on.
        tree.confirm().unwrap();
        let before = tree.waits();
        tree.apply_ahead(&batch, Mode::Write).unwrap();
        assert_eq!(tree.settle_and_want(5, true).unwrap().rows, 7);
        assert_eq!(*heard.lock().unwrap(), ["apply", "apply", "meet"]);
        tree.applied().unwrap();
        assert_eq!(tree.waits(), before + 1);
    });
}

/// Recording the end of a stream is not waited for; that it failed is known before any row is written, and at the end.
#[test]
fn what_was_not_waited_for_and_failed_is_told_before_rows_are_written() {
    let store = Told::default();
    let heard = store.heard.clone();
    let (batch, stream) = (Batch::empty(source()), end());
    linked(store, |tree| {
        let writes: [fn(&mut RemoteTree, &Batch) -> Result<()>; 4] = [
            |tree, batch| tree.apply(batch, Mode::Write).map(drop),
            |tree, batch| tree.apply_ahead(batch, Mode::Write).and_then(|_| tree.applied()).map(drop),
            |tree, _| tree.settle().map(drop),
            |tree, _| tree.confirm(),
        ];
        for write in writes {
            tree.complete(&stream).unwrap();
            assert_eq!(write(tree, &batch).unwrap_err().message, "lyon: not part of this test");
            tree.confirm().unwrap();
        }
        assert!(heard.lock().unwrap().is_empty(), "{heard:?}");
        tree.apply(&batch, Mode::Write).unwrap();
        assert_eq!(*heard.lock().unwrap(), ["apply"]);
        assert_eq!(tree.waits(), 6, "what is there already is not waited for");
    });
}

#[test]
fn a_round_that_cannot_begin_is_told_when_it_opens_and_the_line_goes_on() {
    linked(Told { locked: true, ..Told::default() }, |tree| {
        tree.begin_ahead(Manner::default()).unwrap();
        let error = tree.open_round(&opening(), &mut |_| panic!("it is not open")).unwrap_err();
        assert_eq!(error.message, "lyon: another round works on it");
        assert_eq!(tree.settle().unwrap(), 7);
    });
}

#[test]
fn what_stops_the_master_while_the_slave_is_opened_is_not_said_of_the_slave() {
    linked(Told::default(), |tree| {
        let fails = |_: &Knowledge| Err(StoreError::new(Trouble::Halt, "the directory is not there"));
        let error = tree.open_round(&opening(), &mut { fails }).unwrap_err();
        assert_eq!((error.trouble, error.message.as_str()), (Trouble::Halt, "the directory is not there"));
        assert_eq!(tree.settle().unwrap(), 7);
    });
}

/// Whoever gives a round up has the other side give the folder free, whatever was on its way.
#[test]
fn a_round_ends_also_after_a_piece_that_is_refused() {
    let store = Told { refuses: Some(hash(1)), ..Told::default() };
    let heard = store.heard.clone();
    linked(store, |tree| {
        tree.receive(&piece(hash(1), 10)).unwrap();
        tree.rest().unwrap();
        assert_eq!(tree.settle().unwrap(), 7);
        assert_eq!(*heard.lock().unwrap(), ["rest"]);
    });
}

#[test]
fn a_side_tells_its_folders_without_being_asked() {
    for told in [Ok(vec!["archives".to_owned()]), Err(StoreError::new(Trouble::Configuration, "no settings"))] {
        let (near, far) = UnixStream::pair().unwrap();
        let tells = Mux::start(far.try_clone().unwrap(), far, 2);
        contents::announce(&tells, told.as_deref()).unwrap();
        let hears = Mux::start(near.try_clone().unwrap(), near, 1);
        let heard = contents::announced(&hears);
        assert_eq!(heard.map_err(|e| e.message), told.map_err(|e| e.message));
    }
}

#[test]
fn a_side_that_speaks_of_something_else_is_refused() {
    let (near, far) = UnixStream::pair().unwrap();
    let tells = Mux::start(far.try_clone().unwrap(), far, 2);
    let _channel = tells.open("games").unwrap();
    let hears = Mux::start(near.try_clone().unwrap(), near, 1);
    let error = contents::announced(&hears).unwrap_err();
    assert!(error.message.contains("games"), "{error}");
}

#[test]
fn pieces_arrive_in_order_both_ways() {
    let store = Told::default();
    let heard = store.heard.clone();
    linked(store, |tree| {
        for n in 0..200 {
            tree.receive(&piece(hash(n), PIECE)).unwrap();
        }
        tree.settle().unwrap();
        let expected: Vec<String> = (0..200).map(|n| format!("{} {PIECE}", hash(n))).collect();
        assert_eq!(*heard.lock().unwrap(), expected);
        let wants: Vec<Want> = (0..200).map(|n| Want { hash: hash(n), size: u64::from(n), ask: Ask::Whole }).collect();
        let mut came = Vec::new();
        tree.supply(&wants, &mut |piece| {
            came.push(piece);
            Ok(())
        })
        .unwrap();
        assert_eq!(came, (0..200).map(|n| piece(hash(n), n as usize)).collect::<Vec<_>>());
    });
}

#[test]
fn an_error_is_told_with_the_next_verb_and_names_the_site() {
    let store = Told { refuses: Some(hash(1)), ..Told::default() };
    let heard = store.heard.clone();
    linked(store, |tree| {
        (0..100).for_each(|n| tree.receive(&piece(hash(n), 10)).unwrap());
        let error = tree.realise().unwrap_err();
        assert_eq!((error.trouble, error.message.as_str()), (Trouble::Corrupt, "lyon: that one is bad"));
        assert_eq!(heard.lock().unwrap().len(), 1, "what follows is not kept");
        assert_eq!(tree.settle().unwrap(), 7, "it is told once");
    });
}

#[test]
fn who_wants_no_more_can_go_on() {
    linked(Told::default(), |tree| {
        let wants: Vec<Want> = (0..500).map(|n| Want { hash: hash(n), size: 100_000, ask: Ask::Whole }).collect();
        let refused = tree.supply(&wants, &mut |_| Err(StoreError::new(Trouble::Failure, "enough")));
        assert!(refused.unwrap_err().message.contains("enough"));
        assert_eq!(tree.settle().unwrap(), 7);
    });
}

/// What no site sends is refused before it takes memory.
#[test]
fn what_is_too_long_is_refused() {
    let too_long = piece(hash(1), PIECE + 1);
    linked(Told::default(), |tree| {
        tree.receive(&too_long).unwrap();
        // The other side ends the conversation.
        assert_eq!(tree.settle().unwrap_err().trouble, Trouble::Unreachable);
    });
}
