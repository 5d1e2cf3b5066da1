//! Several links of one site at once, each with a store of its own over the same database: what is written down of a peer at the
//! first meeting is written by whoever comes first, and nobody fails for it for good.
#![allow(clippy::unwrap_used)]

mod lone_card;
mod mysql_bench;
mod sqlite_support;

use std::thread::{scope, yield_now};

use lone_card::card;
use mysql::prelude::Queryable;
use mysql_bench::{connections, servers};
use sqlite_support::Site;
use sync_core::{Incarnation, Position, Source, StoreId};
use sync_database::sqlite::connect;
use sync_database::{Connections, Database};
use sync_store::{Result, Since, Store, Trouble};

const LINKS: u64 = 6;
const MEETINGS: u64 = 12;

fn peer(number: u64) -> Source {
    Source { store: StoreId(u128::from(number) + 1), incarnation: Incarnation(1) }
}

/// A link meets a peer: it hears how far that one is, and counts what it is to be sent. As the daemon does, it comes back where
/// another transaction was in the way.
fn meet(store: &mut Database, peer: Source) {
    let tables = vec!["t".to_owned()];
    let since = Since { receiver: peer, position: Position::default(), held: Vec::new(), tables, upto: None };
    when_free(|| store.greet(peer, Some(Position::default())));
    assert_eq!(when_free(|| store.outline(&since)).tables["t"].live, 1);
}

fn when_free<T>(mut work: impl FnMut() -> Result<T>) -> T {
    loop {
        match work() {
            Err(e) if e.trouble == Trouble::Contention => yield_now(),
            other => return other.unwrap(),
        }
    }
}

/// All links meet two peers at every meeting that nobody has met before; some of them the same.
fn meet_at_once(connect: impl Fn() -> Connections, write: impl FnOnce()) {
    drop(Database::prepare(connect(), &card("geneva", 1)).unwrap());
    write();
    let open = || {
        let mut store = Database::open(connect()).unwrap();
        store.drain().unwrap();
        store
    };
    drop(open());
    let mut links: Vec<Database> = (0..LINKS).map(|_| open()).collect();
    for meeting in 0..MEETINGS {
        let met = links.iter_mut().zip((0..).map(|number| peer(meeting * LINKS + number / 2)));
        scope(|threads| met.for_each(|(store, peer)| drop(threads.spawn(move || meet(store, peer)))));
    }
}

#[test]
fn peers_that_are_met_at_once_get_numbers_of_their_own_on_the_servers() {
    const DATABASE: &str = "links_at_once";
    for server in servers() {
        println!("{}", server.name());
        server.create_database(DATABASE).unwrap();
        let mut app = server.root_in(DATABASE).unwrap();
        app.query_drop("CREATE TABLE t (id INT PRIMARY KEY)").unwrap();
        meet_at_once(|| connections(server, DATABASE), || app.query_drop("INSERT INTO t VALUES (1)").unwrap());
    }
}

#[test]
fn peers_that_are_met_at_once_get_numbers_of_their_own_on_sqlite() {
    let site = Site::bare("CREATE TABLE t(id INTEGER PRIMARY KEY);");
    let path = site.path.clone();
    meet_at_once(
        || connect(&path).unwrap(),
        || {
            site.app("INSERT INTO t VALUES (1)");
        },
    );
}
