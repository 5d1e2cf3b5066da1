//! Rounds whose slave is reached as through an agent: its store is served by a thread, and the round has the other end of the
//! line in its hands.

use std::cell::Cell;
use std::os::unix::net::UnixStream;

use sync_engine::report::Watch;
use sync_engine::{Options, Result, RoundReport, round};
use sync_link::serve::serve;
use sync_link::{Mux, Openings, RemoteStore};
use sync_store::{Opening, Store};

use super::Site;

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
}

/// All rounds of this work, on this thread, go through an agent.
pub fn through_an_agent<T>(work: impl FnOnce() -> T) -> T {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            WANTED.set(false);
        }
    }
    WANTED.set(true);
    let _back = Back;
    work()
}

/// A round, directly or through an agent.
pub fn round_between(
    master: &mut Site,
    slave: &mut Site,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<RoundReport> {
    match WANTED.get() {
        false => round(&mut master.store as &mut dyn Store, &mut slave.store, options, watch),
        true => linked_round(master, slave, options, watch),
    }
}

fn linked_round(master: &mut Site, slave: &mut Site, options: &Options, watch: &mut dyn Watch) -> Result<RoundReport> {
    let (here, there) = UnixStream::pair().unwrap();
    let served = &mut slave.store;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mux = Mux::start(there.try_clone().unwrap(), there, 2);
            if let Ok(Some((channel, _))) = mux.accept() {
                // The round hears of what goes wrong at its end.
                let _ = serve(&channel, served, &Openings::default());
            }
        });
        let mux = Mux::start(here.try_clone().unwrap(), here, 1);
        let mut remote = RemoteStore::new(mux.open("database").unwrap());
        let opening = Opening { master: master.store.own_source()?, knowledge: master.store.knowledge()? };
        remote.open_ahead(&opening)?;
        round(&mut master.store as &mut dyn Store, &mut remote, options, watch)
    })
}
