//! Batches that go ahead of their answers over a link: none waits for the one before to be answered, and none is applied
//! behind one that could not be.
#![allow(clippy::unwrap_used, clippy::panic)]

mod story_card;
mod story_files;

use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use story_files::Files;
use sync_link::serve::serve;
use sync_link::{Mux, Openings, RemoteStore};
use sync_store::{Batch, Mode, Since, Store, StoreError, Trouble};
use sync_story::{Bench, BenchSite, Watched};

/// The rows of a site, a batch each.
fn batches(site: &mut impl BenchSite, receiver: &mut impl BenchSite, rows: usize) -> Vec<Batch> {
    for id in 1..=rows {
        site.app(&format!("INSERT INTO person (id, name) VALUES ({id}, 'person {id}')"));
    }
    site.store().drain().unwrap();
    let receiver = receiver.store().describe().unwrap().source;
    let since =
        Since { receiver, position: Default::default(), held: vec![], tables: vec!["person".to_owned()], upto: None };
    let mut batches = Vec::new();
    let mut sink = |batch: Batch| {
        batches.extend(batch.changes.chunks(1).map(|one| Batch { changes: one.to_vec(), upto: None, ..batch.clone() }));
        Ok(())
    };
    site.store().changes(&since, &mut sink).unwrap();
    assert_eq!(batches.len(), rows);
    batches
}

/// Serves a store at the other end of a link while `work` uses it at this one.
fn linked<T>(store: &mut dyn Store, work: impl FnOnce(&mut RemoteStore) -> T) -> T {
    let (here, there) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let served = scope.spawn(|| {
            let mux = Mux::start(there.try_clone().unwrap(), there, 2);
            let (channel, _) = mux.accept().unwrap().unwrap();
            serve(&channel, store, &Openings::default())
        });
        let mux = Mux::start(here.try_clone().unwrap(), here, 1);
        let mut remote = RemoteStore::new(mux.open("database").unwrap());
        let result = work(&mut remote);
        drop((remote, mux));
        served.join().unwrap().unwrap();
        result
    })
}

#[test]
fn batches_do_not_wait_for_answers() {
    let mut sites = Files.sites(2);
    let [a, b] = &mut sites[..] else { unreachable!() };
    a.prepare();
    b.prepare();
    let batches = batches(a, b, 5);
    let (all_went, wait) = channel::<()>();
    let mut store = Watched::new(b.store(), move |number| match number {
        // The first is not applied before all have gone.
        0 => wait.recv_timeout(Duration::from_secs(60)).map_err(|_| StoreError::new(Trouble::Failure, "waited")),
        _ => Ok(()),
    });
    let applied = linked(&mut store, |remote| {
        let mut applied = sync_store::Applied::default();
        batches.iter().for_each(|batch| applied.add(remote.apply_ahead(batch, Mode::Write).unwrap()));
        all_went.send(()).unwrap();
        applied.add(remote.applied().unwrap());
        applied
    });
    assert_eq!(applied.total().inserted, 5);
    drop(store);
    assert_eq!(b.rows("SELECT COUNT(*) FROM person"), ["5"]);
}

#[test]
fn nothing_is_applied_behind_what_could_not_be() {
    let mut sites = Files.sites(2);
    let [a, b] = &mut sites[..] else { unreachable!() };
    a.prepare();
    b.prepare();
    let batches = batches(a, b, 40);
    let mut tries = 0;
    let mut store = Watched::new(b.store(), |_| {
        tries += 1;
        if tries == 3 { Err(StoreError::new(Trouble::Failure, "no room")) } else { Ok(()) }
    });
    linked(&mut store, |remote| {
        let went = batches.iter().try_for_each(|batch| remote.apply_ahead(batch, Mode::Write).map(drop));
        let error = went.and_then(|()| remote.applied().map(drop)).unwrap_err();
        assert_eq!(error.message, "no room");
        assert_eq!(remote.applied().unwrap().total().inserted, 0, "an error comes once");
        let people = |remote: &mut RemoteStore| {
            let mut people = 0;
            let mut sink = |batch: Batch| {
                people += batch.changes.len();
                Ok(())
            };
            remote.scan("person", true, &mut sink).unwrap();
            people
        };
        assert_eq!(people(remote), 2);
        // What comes after the error was told is applied again, also by a verb in between.
        batches.iter().for_each(|batch| drop(remote.apply_ahead(batch, Mode::Write).unwrap()));
        assert_eq!(people(remote), 40);
    });
    drop(store);
    assert_eq!(b.rows("SELECT COUNT(*) FROM person"), ["40"]);
}
