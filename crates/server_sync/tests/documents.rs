//! Folders of documents in rounds over a real sshd: what people do with files, and what becomes of it everywhere.
#![allow(clippy::unwrap_used)]

mod files;
mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use files::{Site, pair, pair_with, ring};
use support::LIMIT;
use sync_database::{Database, sqlite};
use sync_store::Store;
use sync_testbed::wait_until;

#[test]
fn a_first_copy() {
    let network = pair();
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    geneva.write("a/b/c.txt", "hello");
    geneva.write("big", vec![7; 3_000_000]);
    geneva.write("empty file", "");
    fs::create_dir_all(geneva.at("empty/directories")).unwrap();
    symlink("a/b/c.txt", geneva.at("link")).unwrap();
    lyon.write("z", "from the other side");
    geneva.run(&["check"]).says(0, &["documents archives", "documents in common: archives"]);
    let planned = geneva.run(&["-dry-run"]).says(0, &["documents archives: ", "nothing was written"]);
    assert!(lyon.paths() == ["z"], "{}", planned.all());
    geneva.run(&[]).says(0, &["documents archives: 1 file changed here, 8 files at lyon"]);
    network.assert_equal();
    assert_eq!(geneva.run(&[]).expect(0).all(), "exit 0\n");
    geneva.run(&["status"]).says(0, &["documents archives in", "4 files", "last in step"]);
    let status = &geneva.run(&["status", "--json"]).json("status")[0];
    assert_eq!((&status["documents"][0]["files"], &status["documents"][0]["conflicts"]), (&4.into(), &0.into()));
    assert_eq!(status["links"][0]["documents"][0]["halted"], false);
    geneva.run(&["verify"]).says(0, &["documents archives: 9 files, equal"]);
}

#[test]
fn edits_deletes_permissions_and_times() {
    let network = pair_with(&[("a", "1"), ("b", "1"), ("c/d", "1"), ("c/e", "1")]);
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    geneva.write("a", "2");
    geneva.remove("c/d");
    lyon.write("b", "2");
    lyon.write("f/g", "new");
    fs::set_permissions(lyon.at("c/e"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(geneva.at("c"), fs::Permissions::from_mode(0o2750)).unwrap();
    let file = fs::File::options().write(true).open(lyon.at("c/e")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::new(1_000_000, 123_456_789)).unwrap();
    geneva.run(&[]).expect(0);
    network.assert_equal();
    assert_eq!(geneva.paths(), ["a", "b", "c", "c/e", "f", "f/g"]);
    assert_eq!((lyon.read("a"), geneva.read("b")), ("2".to_owned(), "2".to_owned()));
    assert_eq!(fs::metadata(geneva.at("c/e")).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::metadata(lyon.at("c")).unwrap().permissions().mode() & 0o7777, 0o2750);
    lyon.remove("c");
    geneva.run(&[]).expect(0);
    network.assert_equal();
    assert_eq!(geneva.run(&[]).expect(0).all(), "exit 0\n");
}

#[test]
fn hard_links_stay_links() {
    let network = ring();
    let [geneva, lyon, bern] = network.sites.as_slice() else { panic!() };
    geneva.write("cases/2026/report.bin", vec![7; 400_000]);
    fs::create_dir_all(geneva.at("by name")).unwrap();
    geneva.link("cases/2026/report.bin", "by name/report.bin");
    network.settle();
    let both = [["by name/report.bin", "cases/2026/report.bin"]];
    network.sites.iter().for_each(|site| assert_eq!(site.twins(), both, "{}", site.name));
    lyon.write("by name/report.bin", "through one name");
    lyon.rename("cases/2026", "cases/2025");
    network.settle();
    let both = [["by name/report.bin", "cases/2025/report.bin"]];
    for site in &network.sites {
        assert_eq!(site.twins(), both, "{}", site.name);
        assert_eq!(site.read("cases/2025/report.bin"), "through one name");
    }
    bern.write("beside", "a file of its own");
    bern.rename("beside", "by name/report.bin");
    network.settle();
    assert_eq!(geneva.twins(), [[""; 0]; 0]);
    assert_eq!(geneva.read("cases/2025/report.bin"), "through one name");
    assert_eq!(geneva.run(&["verify"]).expect(0).code, 0);
}

#[test]
fn a_renamed_directory_of_thousands_of_files_is_not_sent() {
    let network = pair();
    let geneva = &network.sites[0];
    // Nothing that could be compressed, so that what is sent can be counted.
    let mut text = vec![0; 35_000];
    for n in 0..3000u32 {
        blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut text);
        geneva.write(format!("archive/{}/{n}.bin", n % 10), &text);
    }
    geneva.run(&[]).expect(0);
    network.assert_equal();
    let size = 3000 * text.len() as u64;
    let before = network.traffic(1);
    assert!(before > size, "the counter counts: {before} of {size}");
    geneva.rename("archive", "kept");
    geneva.run(&[]).expect(0);
    network.assert_equal();
    let sent = network.traffic(1) - before;
    eprintln!("renaming 3,000 files of {size} bytes: {sent} bytes sent and received");
    assert!(sent < size / 100, "{sent} of {size}");
}

#[test]
fn concurrent_edits_are_kept_under_the_same_names_at_three_sites() {
    let network = ring();
    network.sites[0].write("report.txt", "1");
    network.settle();
    for site in &network.sites {
        site.write("report.txt", format!("of {}", site.name));
        site.write("d/new.txt", format!("new of {}", site.name));
    }
    let said = network.sites[0].run(&[]).says(3, &["concurrent edit"]).all();
    network.settle();
    let files = network.sites[0].paths().into_iter().filter(|p| p != "d");
    let texts: Vec<String> = files.map(|p| network.sites[0].read(p)).collect();
    for site in &network.sites {
        for text in [format!("of {}", site.name), format!("new of {}", site.name)] {
            assert_eq!(texts.iter().filter(|t| **t == text).count(), 1, "{text} in {texts:?}; {said}");
        }
        assert_eq!(site.copies().len(), 4, "{:?}", site.copies());
        site.run(&["conflicts"]).says(0, &["4 copies of concurrent edits in folders of documents"]);
    }
}

#[test]
fn an_edit_wins_over_a_delete_and_a_directory_returns_with_what_was_added() {
    let network = ring();
    for path in ["d/a", "d/b", "e/f/old", "z"] {
        network.sites[0].write(path, "1");
    }
    network.settle();
    network.sites[0].write("d/a", "edited");
    network.sites[1].remove("d");
    network.sites[2].remove("e");
    network.sites[0].write("e/f/g/new", "2");
    network.settle();
    assert_eq!(network.sites[2].paths(), ["d", "d/a", "e", "e/f", "e/f/g", "e/f/g/new", "z"]);
    assert_eq!(network.sites[1].read("d/a"), "edited");
}

#[test]
fn a_file_and_a_directory_of_one_name_and_names_that_differ_in_case() {
    let network = ring();
    network.sites[0].write("Report.txt", "1");
    network.settle();
    network.sites[0].write("x", "a file");
    network.sites[1].write("x/y", "in a directory");
    network.sites[2].rename("Report.txt", "report.txt");
    network.settle();
    let paths = network.sites[0].paths();
    assert_eq!(paths.len(), 4, "{paths:?}");
    let copy = paths.iter().find(|p| p.starts_with("x (conflict")).unwrap();
    assert_eq!(network.sites[2].read(copy), "a file");
    assert_eq!(network.sites[2].read("x/y"), "in a directory");
    assert_eq!(network.sites[1].read("report.txt"), "1");
}

#[test]
fn any_name_arrives() {
    let network = pair();
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    let long = "x".repeat(255);
    for name in [&b"new\nline"[..], b"\xff\xfe not UTF-8", b" ", b"-rf", b"a\\b", long.as_bytes(), b"e\xcc\x81"] {
        geneva.write(OsStr::from_bytes(name), "awful");
    }
    deep(lyon, true);
    geneva.run(&[]).expect(0);
    assert_eq!(geneva.paths().iter().filter(|p| !p.starts_with("nnn")).count(), 7);
    for name in [&b"new\nline"[..], b"\xff\xfe not UTF-8", long.as_bytes()] {
        assert_eq!(lyon.read(OsStr::from_bytes(name)), "awful");
    }
    let mut text = [0; 10];
    assert_eq!(rustix::io::read(deep(geneva, false), &mut text).unwrap(), 4);
    geneva.run(&["verify"]).says(0, &["equal"]);
    assert_eq!(geneva.run(&[]).expect(0).all(), "exit 0\n");
}

/// A file below thirty directories, whose path is longer than the system takes.
fn deep(site: &Site, make: bool) -> rustix::fd::OwnedFd {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let name = "n".repeat(200);
    let mut at = rustix::fs::open(site.root(), flags, Mode::empty()).unwrap();
    for _ in 0..30 {
        if make {
            mkdirat(&at, name.as_str(), Mode::from_raw_mode(0o755)).unwrap();
        }
        at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
    }
    if make {
        let file = openat(&at, "file", OFlags::WRONLY | OFlags::CREATE, Mode::from_raw_mode(0o644)).unwrap();
        rustix::io::write(&file, b"deep").unwrap();
    }
    openat(&at, "file", OFlags::RDONLY, Mode::empty()).unwrap()
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let network = pair_with(&[("a", "1"), ("b", "1")]);
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    geneva.write("a", "2");
    geneva.write("c", "2");
    lyon.remove("b");
    let before = (geneva.listing(), lyon.listing());
    geneva.run(&["-dry-run"]).says(0, &["documents archives: 1 file would be received, 2 files sent"]);
    assert_eq!((geneva.listing(), lyon.listing()), before);
    geneva.run(&[]).expect(0);
    network.assert_equal();
    assert_eq!(lyon.paths(), ["a", "c"]);
}

#[test]
fn an_emptied_folder_halts_and_deletes_nothing_until_it_is_forced_once() {
    let network = ring();
    for n in 0..10 {
        network.sites[0].write(format!("d/{n}"), "1");
    }
    network.settle();
    network.sites[1].remove("d");
    let [geneva, lyon, bern] = network.sites.as_slice() else { panic!() };
    geneva.sql("INSERT INTO file VALUES ('x', 1)");
    geneva.run(&[]).says(25, &["documents archives: lyon: the directory", "is empty", "nothing was deleted anywhere"]);
    lyon.run(&[]).says(25, &["is empty"]);
    bern.run(&[]).expect(0);
    assert_eq!((geneva.paths().len(), bern.paths().len(), lyon.paths().len()), (11, 11, 0));
    assert_eq!(lyon.rows(), 1, "the database goes on");
    geneva.run(&["status"]).says(25, &["is empty"]);
    assert_eq!(geneva.run(&["status", "--json"]).json("status")[0]["links"][0]["documents"][0]["halted"], true);
    geneva.run(&["-force"]).expect(0);
    assert!(geneva.paths().is_empty());
    geneva.run(&["status"]).expect(0);
    network.settle();
    assert!(bern.paths().is_empty());
}

#[test]
fn the_brake_halts_a_mass_deletion_and_names_some_files() {
    let network = pair();
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    for n in 0..300 {
        geneva.write(format!("d/{n}"), format!("{n}"));
    }
    geneva.write("z", "stays");
    geneva.run(&[]).expect(0);
    lyon.remove("d");
    let said = geneva.run(&[]).says(25, &["lyon deleted 301 of 302 files and directories", "among them: d", "-force"]);
    assert_eq!((geneva.paths().len(), lyon.paths().len()), (302, 1), "{}", said.all());
    geneva.run(&["-force"]).expect(0);
    network.assert_equal();
    assert_eq!(geneva.paths(), ["z"]);
    // What was deleted is in Geneva's trash, and comes back everywhere.
    geneva.run(&["trash", "list", "archives", "d/7"]).says(0, &["archives d/7", "1 B"]);
    geneva.run(&["trash", "restore", "archives", "d/7"]).says(0, &["d/7 is back"]);
    assert_eq!(geneva.read("d/7"), "7");
    geneva.run(&[]).expect(0);
    network.assert_equal();
    assert_eq!(lyon.paths(), ["d", "d/7", "z"]);
    geneva.run(&["trash", "restore", "archives", "no/such"]).says(1, &["no such version"]);
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_and_the_database_go_on() {
    let network = pair_with(&[("a", "1"), ("b", "1")]);
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    // A pipe can be read by nobody, not even by root.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        lyon.at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    lyon.write("c", "new");
    lyon.sql("INSERT INTO file VALUES ('c', 3)");
    geneva.run(&[]).says(3, &["left out at lyon: pipe: not a file, a directory or a link", "1 row received"]);
    assert_eq!((geneva.read("c"), geneva.rows()), ("new".to_owned(), 1));
    geneva.run(&["status"]).says(3, &["left out in the last round: 1 file"]);
    lyon.remove("pipe");
    geneva.run(&[]).expect(0);
    network.assert_equal();
    // A file whose bytes cannot be read, as a broken disk would have it: only where the account may be kept out.
    if !rustix::process::geteuid().is_root() {
        lyon.write("secret", "x");
        fs::set_permissions(lyon.at("secret"), fs::Permissions::from_mode(0o000)).unwrap();
        geneva.run(&[]).says(3, &["left out at lyon: secret"]);
    }
}

#[test]
fn a_folder_that_one_site_lacks_waits_and_wrong_ones_are_refused_alone() {
    let network = pair_with(&[("a", "1")]);
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    let other = geneva.home.join("other");
    let named = |path: &std::path::Path| {
        format!("[[documents]]\nname = \"shared\"\npath = \"{}\"\n\n[[documents]]", path.display())
    };
    geneva.edit("[[documents]]", &named(&other));
    geneva.write("a", "2");
    geneva.run(&["check"]).says(78, &["other is not there"]);
    fs::create_dir(&other).unwrap();
    geneva.run(&[]).says(3, &["documents shared wait: this site names it in its settings, lyon does not"]);
    assert_eq!(lyon.read("a"), "2", "the other folder goes on");
    geneva.run(&["check"]).says(3, &["documents shared are named here and not at lyon"]);

    lyon.edit("[[documents]]", &named(&lyon.home.join("linked")));
    fs::create_dir(lyon.home.join("real")).unwrap();
    symlink(lyon.home.join("real"), lyon.home.join("linked")).unwrap();
    geneva.write("a", "3");
    geneva.run(&[]).says(78, &["documents shared: lyon: ", "symbolic link", "/real"]);
    assert_eq!(lyon.read("a"), "3");
    lyon.edit("/linked", "/real");
    fs::write(other.join("s"), "shared").unwrap();
    geneva.run(&[]).expect(0);
    assert_eq!(fs::read(lyon.home.join("real/s")).unwrap(), b"shared");
    geneva.edit(&other.display().to_string(), &geneva.at("within").display().to_string());
    geneva.run(&[]).says(78, &["is within the folder", "or around it"]);
}

#[test]
fn uninstall_leaves_the_documents_and_nothing_of_ours() {
    let network = pair_with(&[("a", "1"), ("b", "1")]);
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    lyon.remove("b");
    geneva.run(&[]).expect(0);
    assert!(geneva.at(".server_sync").is_dir() && geneva.index().is_file());
    let before = geneva.listing();
    geneva.run(&["uninstall", "--yes"]).expect(0);
    assert!(!geneva.at(".server_sync").exists() && !geneva.index().exists());
    assert_eq!(geneva.listing(), before);
}

#[test]
fn a_change_that_the_system_hides_is_found_by_init_and_verify() {
    let network = pair_with(&[("a", "first"), ("b", "1")]);
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    // As a disk that loses a bit: the system says nothing. Here the index is made to believe what the system says now.
    lyon.write("a", "spoil");
    let index = rusqlite::Connection::open(lyon.index()).unwrap();
    let meta = fs::metadata(lyon.at("a")).unwrap();
    let (mtime, ctime) = {
        use std::os::unix::fs::MetadataExt;
        (meta.mtime() * 1_000_000_000 + meta.mtime_nsec(), meta.ctime() * 1_000_000_000 + meta.ctime_nsec())
    };
    let statement = "UPDATE disk SET mtime=?, ctime=?, racy=0 WHERE path=CAST('a' AS BLOB)";
    assert_eq!(index.execute(statement, [mtime, ctime]).unwrap(), 1);
    geneva.run(&[]).expect(0);
    assert_eq!(geneva.read("a"), "first", "nobody has noticed");
    geneva.run(&["verify"]).says(0, &["archives: 1 file will be equal after the next round"]);
    geneva.run(&["-init"]).expect(0);
    network.assert_equal();
    assert_eq!(geneva.read("a"), "spoil");
}

/// Rows of the other site that are here, and whose documents are not here whole.
fn early(site: &Site, own: &str) -> Vec<String> {
    let app = site.app();
    let mut query = app.prepare("SELECT path, size FROM file WHERE path NOT LIKE ? || '%'").unwrap();
    let rows = query.query_map([own], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?))).unwrap();
    let rows: Vec<(String, u32)> = rows.map(Result::unwrap).collect();
    let is_whole =
        |(path, size): &(String, u32)| fs::metadata(site.at(path)).is_ok_and(|m| m.len() == u64::from(*size));
    rows.into_iter().filter(|row| !is_whole(row)).map(|(path, _)| path).collect()
}

#[test]
fn a_row_is_never_there_before_its_document() {
    const FILES: i64 = 40;
    let network = pair_with(&[("a", "1")]);
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    let write = |site: &Site| {
        for n in 0..FILES {
            // Some are so large that their row would overtake them if it could.
            let size = if n % 10 == 9 { 20_000_000 } else { 1000 * n };
            let path = format!("{}-{n}", site.name);
            let bytes: Vec<u8> = (0..size).map(|at| (at * 31 + at / 251 + n) as u8).collect();
            site.write(&path, bytes);
            site.sql(&format!("INSERT INTO file VALUES ('{path}', {size})"));
        }
    };
    let done = AtomicBool::new(false);
    let mut daemon = geneva.start(&["-daemon"]);
    daemon.wait_for("in step");
    let found = std::thread::scope(|scope| {
        let writers = [geneva, lyon].map(|site| scope.spawn(move || write(site)));
        let watchers = [geneva, lyon].map(|site| {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let early = early(site, site.name);
                    if !early.is_empty() {
                        return early;
                    }
                }
                Vec::new()
            })
        });
        writers.into_iter().for_each(|w| w.join().unwrap());
        let arrived = wait_until("all rows arrive", LIMIT, || geneva.rows() + lyon.rows() == 4 * FILES);
        done.store(true, Ordering::Relaxed);
        let found: Vec<String> = watchers.into_iter().flat_map(|w| w.join().unwrap()).collect();
        arrived.unwrap_or_else(|e| panic!("{e}\n{}", daemon.log()));
        found
    });
    daemon.signal("TERM");
    daemon.end();
    assert!(found.is_empty(), "there before their documents: {found:?}\n{}", daemon.log());
    geneva.run(&[]).expect(0);
    network.assert_equal();
}

#[test]
fn what_is_ignored_at_a_site_is_neither_sent_nor_taken() {
    let network = pair_with(&[("a", "1")]);
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    geneva.edit("[[documents]]", "[[documents]]\nignore = [\"*.log\"]\nignore_temporary = true");
    geneva.write("x.log", "geneva's");
    geneva.write("~$a.odt", "open");
    lyon.write("y.log", "lyon's");
    geneva.write("b", "1");
    geneva.run(&[]).expect(0);
    assert_eq!((geneva.paths().len(), lyon.paths()), (4, ["a", "b", "y.log"].map(str::to_owned).to_vec()));
    assert_eq!(geneva.run(&[]).expect(0).all(), "exit 0\n");
}

/// Each site is a master and a slave, and all of them work at once on the same folders: nobody waits for ever.
#[test]
fn three_daemons_in_a_ring_agree() {
    let network = ring();
    let mut daemons: Vec<_> = network.sites.iter().map(|site| site.start(&["-daemon"])).collect();
    for round in 0..10 {
        for site in &network.sites {
            site.write(format!("{}/{round}", site.name), format!("{round}"));
            site.write("shared", format!("{round} of {}", site.name));
            site.sql(&format!("INSERT INTO file VALUES ('{}-{round}', 1)", site.name));
        }
        let log = daemons[0].log().len();
        wait_until("a round goes by", LIMIT, || daemons[0].log().len() > log).unwrap();
    }
    let agree = || network.sites.iter().all(|site| site.rows() == 30) && network.is_equal();
    let agreed = wait_until("all agree", LIMIT, agree);
    let logs: String = daemons.iter().map(|d| d.log()).collect();
    agreed.unwrap_or_else(|e| {
        panic!("{e}\n{logs}\n{:?}", network.sites.iter().map(|site| site.paths()).collect::<Vec<_>>())
    });
    for daemon in &mut daemons {
        daemon.signal("TERM");
        assert_eq!(daemon.end(), 0);
    }
    network.settle();
    for site in &network.sites {
        assert_eq!(site.paths().iter().filter(|p| p.starts_with(site.name)).count(), 11);
        site.run(&["verify"]).says(0, &["equal"]);
    }
}

/// Over a long line each answer costs: what a round is opened with is there before the agent, which here is not started until then,
/// has said a word.
#[test]
fn a_round_is_opened_before_the_other_site_is_heard() {
    let network = pair();
    let [geneva, lyon] = network.sites.as_slice() else { panic!() };
    let (script, heard) = (lyon.home.join("agent.sh"), lyon.home.join("heard"));
    let agent = fs::read_to_string(&script).unwrap();
    let (tee, rest) = agent.split_once(" | ").unwrap();
    let both = format!("grep -q database {0} && grep -q documents/archives {0}", heard.display());
    let waits = format!("n=0; until {both} || [ $n = 600 ]; do n=$((n+1)); sleep 0.1; done; {both} && {rest}");
    fs::write(&script, format!("{tee} | {{ {waits} }}\n")).unwrap();
    for text in ["first copy", "edit"] {
        geneva.write("a", text);
        geneva.sql(&format!("INSERT INTO file VALUES ('{text}', 1)"));
        let _ = fs::remove_file(&heard);
        geneva.run(&[]).expect(0);
        network.assert_equal();
        assert_eq!(lyon.rows(), geneva.rows());
    }
}

/// A round takes the other site's folder before it is known whether this site's is free. While others work on either, it waits for
/// them, whichever of the two it has to wait for first, and keeps neither from who has the other.
#[test]
fn a_folder_that_others_work_on_is_waited_for() {
    let network = ring();
    network.settle();
    let file = |n: usize| fs::File::open(network.sites[n].index().with_extension("lock")).unwrap();
    for (master, slave) in [(0, 1), (1, 2)] {
        for (held, other) in [(master, slave), (slave, master)] {
            let lock = file(held);
            lock.lock().unwrap();
            network.sites[held].write("new", format!("of {held} for {other}"));
            let mut round = network.sites[master].start(&["-v"]);
            round.wait_for("documents archives");
            if files::NAMES[held] < files::NAMES[other] {
                // What comes first by name is waited for by who has nothing yet.
                wait_until("the other is free", LIMIT, || file(other).try_lock().is_ok()).unwrap();
            }
            lock.unlock().unwrap();
            assert_eq!(round.end(), 0, "{}", round.log());
            assert_eq!(network.sites[master].listing(), network.sites[slave].listing());
        }
    }
}

/// A folder has a list of its own of who takes part.
#[test]
fn a_site_that_left_has_left_the_folders_too() {
    let network = pair_with(&[("a", "1")]);
    let [geneva, _] = network.sites.as_slice() else { panic!() };
    geneva.run(&["retire", "lyon"]).expect(0);
    let mut index = Database::open(sqlite::connect(&geneva.index()).unwrap()).unwrap();
    let registry = index.registry().unwrap();
    let left: Vec<&str> =
        registry.entries().filter(|(_, e)| e.is_retired()).map(|(_, e)| e.told.name.as_str()).collect();
    assert_eq!(left, ["lyon"]);
}
