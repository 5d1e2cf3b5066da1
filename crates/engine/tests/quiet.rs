//! What a round with nothing to do asks of the servers, as these count it. A count is no time: it does not depend on the machine.
#![allow(clippy::unwrap_used)]

mod support;
mod trees;

use std::os::unix::net::UnixStream;

use mysql::prelude::Queryable;
use support::{Site, run_all, sync};
use sync_database::Database;
use sync_engine::documents::round_documents;
use sync_link::mux::Channel;
use sync_link::{Mux, Openings, RemoteStore, RemoteTree};
use sync_store::{Contents, Manner};
use sync_testbed::{MariaDb, Options, Server};
use sync_tree::Tree;

/// Statements of each side in a quiet round at most.
const GOAL: u64 = 10;

/// So many tables: each costs nothing.
const TABLES: usize = 50;

fn site<'a>(server: &'a Server, name: &'static str, number: u64) -> Site<'a> {
    server.create_database(name).unwrap();
    let table = |n: usize| format!("CREATE TABLE t{n} (id INT PRIMARY KEY, v VARCHAR(20));");
    run_all(&mut server.root_in(name).unwrap(), &(0..TABLES).map(table).collect::<String>());
    Site::prepare(server, name, name, number)
}

/// How many statements a server was asked, this one among them.
fn asked(server: &Server) -> u64 {
    let row: Option<(String, u64)> = server.root().unwrap().query_first("SHOW GLOBAL STATUS LIKE 'Questions'").unwrap();
    row.unwrap().1
}

/// What asking costs: a connection's own statements.
fn cost(server: &Server) -> u64 {
    let before = asked(server);
    asked(server) - before
}

#[test]
fn a_quiet_round_asks_each_side_ten_statements_at_most() {
    let (a, b) = (MariaDb::start(Options::new()).unwrap(), MariaDb::start(Options::new()).unwrap());
    let (mut geneva, mut lyon) = (site(&a, "geneva", 1), site(&b, "lyon", 2));
    geneva.run("INSERT INTO t0 SELECT seq, 'v' FROM seq_1_to_100");
    while !sync(&mut geneva, &mut lyon).is_quiet() {}
    sync(&mut geneva, &mut lyon);
    let costs = [&a, &b].map(cost);
    let before = [&a, &b].map(asked);
    assert!(sync(&mut geneva, &mut lyon).is_quiet());
    let after = [&a, &b].map(asked);
    for (i, name) in ["master", "slave"].into_iter().enumerate() {
        let count = after[i] - before[i] - costs[i];
        println!("{name}: {count} statements");
        assert!((1..=GOAL).contains(&count), "a quiet round asks the {name} {count} statements");
    }
}

/// Answers of an agent that a quiet round waits for at most: of its database, and of a folder of documents.
const WAITS: u64 = 1;

/// Runs `rounds` with the slave at the other end of a line, in the hands of which is `remote`.
fn served<S: Send, R, T>(
    slave: &mut S,
    serve: impl FnOnce(&Channel, &mut S) + Send,
    reach: impl FnOnce(Channel) -> R,
    rounds: impl FnOnce(&mut R) -> T,
) -> T {
    let (here, there) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mux = Mux::start(there.try_clone().unwrap(), there, 2);
            let (channel, _) = mux.accept().unwrap().unwrap();
            serve(&channel, slave);
        });
        let mux = Mux::start(here.try_clone().unwrap(), here, 1);
        let mut remote = reach(mux.open("store").unwrap());
        rounds(&mut remote)
    })
}

/// The same with a folder.
fn served_folder<T>(slave: &mut trees::Site, rounds: impl FnOnce(&mut RemoteTree) -> T) -> T {
    let serve = |channel: &Channel, tree: &mut Tree| {
        sync_link::contents::serve(channel, tree, &Openings::default()).unwrap_or_default()
    };
    served(slave.tree(), serve, |channel| RemoteTree::new(channel, "lyon"), rounds)
}

/// Serves a database.
fn serve_rows(channel: &Channel, store: &mut Database) {
    sync_link::serve::serve(channel, store, &Openings::default()).unwrap_or_default();
}

#[test]
fn a_quiet_round_waits_for_one_answer_of_a_database() {
    let server = MariaDb::start(Options::new()).unwrap();
    let (mut geneva, mut lyon) = (site(&server, "geneva", 1), site(&server, "lyon", 2));
    let options = support::options("lyon");
    let round = |master: &mut Site, slave: &mut RemoteStore| {
        let before = slave.waits();
        let report = sync_engine::round(&mut master.store, slave, &options, &mut ()).unwrap();
        (report.is_quiet(), slave.waits() - before)
    };
    geneva.run("INSERT INTO t0 SELECT seq, 'v' FROM seq_1_to_100");
    lyon.run("INSERT INTO t1 VALUES (1, 'v')");
    served(&mut lyon.store, serve_rows, RemoteStore::new, |slave| {
        while !round(&mut geneva, slave).0 {}
        // What was deleted is not forgotten for a month.
        geneva.run("DELETE FROM t0 WHERE id<10");
        assert!(!round(&mut geneva, slave).0);
        let after_some = round(&mut geneva, slave);
        let quiet = round(&mut geneva, slave);
        println!("waits after a round that moved something, and then: {after_some:?}, {quiet:?}");
        assert_eq!((after_some, quiet), ((true, WAITS), (true, WAITS)));
    });
}

/// Answers that the first round with an empty database waits for at most: that it is open and empty, that the rows are there, also
/// by the stream of what has been written, and that the end is written down; without any rows the first and the last.
const FIRST_WAITS_OF_ROWS: u64 = 4;

#[test]
fn a_first_round_waits_for_few_answers_of_a_database() {
    let server = MariaDb::start(Options::new()).unwrap();
    for rows in [0, 100] {
        let (mut geneva, mut lyon) = (site(&server, "geneva", 1), site(&server, "lyon", 2));
        let options = support::options("lyon");
        if rows > 0 {
            geneva.run(&format!("INSERT INTO t0 SELECT seq, 'v' FROM seq_1_to_{rows}"));
        }
        served(&mut lyon.store, serve_rows, RemoteStore::new, |slave| {
            let report = sync_engine::round(&mut geneva.store, slave, &options, &mut ()).unwrap();
            assert_eq!(report.pushed.total().inserted, rows);
            println!("a first round of {rows} rows waits for {} answers", slave.waits());
            assert!(slave.waits() <= if rows == 0 { 2 } else { FIRST_WAITS_OF_ROWS }, "{}", slave.waits());
        });
    }
}

/// Answers that a first copy to an empty folder waits for at most: that it is open and empty, and that rows and
/// contents are there.
const FIRST_WAITS: u64 = 2;

#[test]
fn a_first_copy_waits_for_few_answers_of_a_folder() {
    let [mut geneva, mut lyon] = trees::sites::<2>();
    (0..100).for_each(|n| geneva.write(format!("d/{n}"), format!("text {n}")));
    let options = trees::options("lyon");
    served_folder(&mut lyon, |slave| {
        slave.begin_ahead(Manner::default()).unwrap();
        let report = round_documents(geneva.tree(), slave, &options, &mut ()).unwrap();
        assert_eq!(report.slave.realised.created, 101);
        println!("a first copy waits for {} answers", slave.waits());
        assert!(slave.waits() <= FIRST_WAITS, "{}", slave.waits());
    });
}

/// Answers that an edit of a large file waits for at most: that the folder is open, that the row is applied
/// and settled and lacks groups of chunks, and that it is there as nothing more is lacking.
const EDIT_WAITS: u64 = 3;

#[test]
fn an_edit_of_a_large_file_waits_for_few_answers_of_a_folder() {
    let [mut geneva, mut lyon] = trees::sites::<2>();
    let mut text: Vec<u8> =
        (0..1u32 << 21).flat_map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[..4].to_vec()).collect();
    geneva.write("large", &text);
    let options = trees::options("lyon");
    served_folder(&mut lyon, |slave| {
        let mut edited = || {
            let before = slave.waits();
            slave.begin_ahead(Manner::default()).unwrap();
            let report = round_documents(geneva.tree(), slave, &options, &mut ()).unwrap();
            slave.rest().unwrap();
            let waits = slave.waits() - before;
            text.splice(1 << 20..1 << 20, [7; 1000]);
            geneva.write("large", &text);
            (report.slave.bytes, waits)
        };
        edited();
        let (bytes, waits) = edited();
        println!("an edit waits for {waits} answers, and sends {bytes} bytes");
        assert!(bytes > 1000 && bytes < 200_000 && waits <= EDIT_WAITS, "{bytes} bytes, {waits} answers");
    });
}

#[test]
fn a_quiet_round_waits_for_one_answer_of_a_folder() {
    let [mut geneva, mut lyon] = trees::sites::<2>();
    (0..100).for_each(|n| geneva.write(format!("d/{n}"), "text"));
    lyon.write("other", "text");
    let options = trees::options("lyon");
    let round = |master: &mut trees::Site, slave: &mut RemoteTree| {
        let before = slave.waits();
        slave.begin_ahead(Manner::default()).unwrap();
        let report = round_documents(master.tree(), slave, &options, &mut ()).unwrap();
        slave.rest().unwrap();
        (report.is_quiet(), slave.waits() - before)
    };
    served_folder(&mut lyon, |slave| {
        while !round(&mut geneva, slave).0 {}
        geneva.remove("d/7");
        assert!(!round(&mut geneva, slave).0);
        let after_some = round(&mut geneva, slave);
        let quiet = round(&mut geneva, slave);
        println!("waits after a round that moved something, and then: {after_some:?}, {quiet:?}");
        assert_eq!((after_some, quiet), ((true, WAITS), (true, WAITS)));
    });
}
