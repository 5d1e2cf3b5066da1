//! The testbed tested on the real servers it starts.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use sync_testbed::{
    Authority, Flavour, Locations, MariaDb, Mysql, Options, Server, assert_equal, difference, dump, load_sakila,
    schema_dump, wait_until,
};

/// Runs a test on MariaDB and, where there is one, on MySQL.
fn on_both(test: impl Fn(&Server)) {
    test(MariaDb::shared().unwrap());
    if let Some(mysql) = Mysql::shared().unwrap() {
        test(mysql);
    }
}

fn one<T: mysql::prelude::FromValue>(connection: &mut Conn, query: &str) -> T {
    connection.query_first(query).unwrap().unwrap()
}

#[test]
fn servers_answer_over_socket_and_tcp() {
    on_both(|server| {
        let mut tcp = Conn::new(server.opts()).unwrap();
        let port: u16 = one(&mut tcp, "SELECT @@port");
        assert_eq!(port, server.port());
        let version: String = one(&mut server.root().unwrap(), "SELECT VERSION()");
        assert_eq!(version.contains("MariaDB"), server.flavour() == Flavour::MariaDb, "{version}");
        let log_bin: u8 = one(&mut tcp, "SELECT @@log_bin");
        assert_eq!(log_bin, 0);
    });
}

#[test]
fn committed_data_survives_a_kill_and_a_restart() {
    let check = |server: &Server| {
        server.create_database("kept").unwrap();
        server.execute("CREATE TABLE kept.t (id INT PRIMARY KEY); INSERT INTO kept.t VALUES (1)").unwrap();
        let mut open = server.root_in("kept").unwrap();
        open.query_drop("START TRANSACTION").unwrap();
        open.query_drop("INSERT INTO t VALUES (2)").unwrap();
        server.kill9().unwrap();
        assert!(!server.is_alive());
        assert!(server.root().is_err());
        assert!(open.query_drop("COMMIT").is_err());
        server.start().unwrap();
        let ids: Vec<u32> = server.root().unwrap().query("SELECT id FROM kept.t").unwrap();
        assert_eq!(ids, [1]);
        server.restart().unwrap();
        let ids: Vec<u32> = server.root().unwrap().query("SELECT id FROM kept.t").unwrap();
        assert_eq!(ids, [1]);
    };
    check(&MariaDb::start(Options::new().durable()).unwrap());
    if let Some(mysql) = Mysql::available() {
        check(&mysql.start(Options::new()).unwrap());
    }
}

#[test]
fn dropping_a_server_removes_its_process_and_files() {
    let server = MariaDb::start(Options::new()).unwrap();
    let folder = server.socket().parent().unwrap().to_owned();
    let pid: u32 = std::fs::read_to_string(folder.join("pid")).unwrap().trim().parse().unwrap();
    assert!(folder.exists());
    drop(server);
    assert!(!folder.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "run by a_killed_test_process_leaves_nothing_behind"]
fn hold_servers() {
    let mysql = Mysql::available().map(|mysql| mysql.start(Options::new()).unwrap());
    let maria = MariaDb::start(Options::new()).unwrap();
    for server in [Some(&maria), mysql.as_ref()].into_iter().flatten() {
        println!("\nholding {} {}", server.port(), server.socket().display());
    }
    println!("\nready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_killed_test_process_leaves_nothing_behind() {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold_servers", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<String> = lines.take_while(|line| line != "ready").collect();
    let held = lines.iter().filter_map(|line| line.strip_prefix("holding ")?.split_once(' '));
    let held: Vec<(u16, &Path)> = held.map(|(port, socket)| (port.parse().unwrap(), Path::new(socket))).collect();
    assert!(!held.is_empty());
    for (port, socket) in &held {
        assert!(TcpStream::connect(("127.0.0.1", *port)).is_ok() && socket.exists());
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    for (port, socket) in held {
        let gone = || TcpStream::connect(("127.0.0.1", port)).is_err() && !socket.exists();
        wait_until("the server and its files are gone", Duration::from_secs(60), gone).unwrap();
    }
}

#[test]
fn tls_works_and_another_authority_is_refused() {
    let check = |start: &dyn Fn(Options) -> Server| {
        let (ours, theirs) = (Authority::new("ours").unwrap(), Authority::new("theirs").unwrap());
        let server = start(Options::new().tls(&ours));
        let connect = |authority: &Authority, host: &str| {
            let opts = server.opts().ip_or_hostname(Some(host)).ssl_opts(server.trusting(authority).unwrap());
            Conn::new(opts)
        };
        for host in ["127.0.0.1", "localhost"] {
            let (_, cipher): (String, String) =
                connect(&ours, host).unwrap().query_first("SHOW STATUS LIKE 'Ssl_cipher'").unwrap().unwrap();
            assert_ne!(cipher, "");
            assert!(connect(&theirs, host).is_err());
        }
        let (_, cipher): (String, String) =
            server.root().unwrap().query_first("SHOW STATUS LIKE 'Ssl_cipher'").unwrap().unwrap();
        assert_eq!(cipher, "");
    };
    check(&|options| MariaDb::start(options).unwrap());
    if let Some(mysql) = Mysql::available() {
        check(&|options| mysql.start(options).unwrap());
    }
}

#[test]
fn faketime_shifts_the_servers_clock_only() {
    let server = MariaDb::start(Options::new().clock("-2m")).unwrap();
    let theirs: f64 = one(&mut server.root().unwrap(), "SELECT UNIX_TIMESTAMP(NOW(6))");
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let behind = ours - theirs;
    assert!((119.0..150.0).contains(&behind), "{behind} s behind");
}

#[test]
fn time_zones_are_the_servers_own() {
    let zone = |options: Options| -> String {
        let server = MariaDb::start(options).unwrap();
        one(&mut server.root().unwrap(), "SELECT FROM_UNIXTIME(1720000000)")
    };
    assert_eq!(zone(Options::new()), "2024-07-03 09:46:40");
    assert_eq!(zone(Options::new().time_zone("+05:30")), "2024-07-03 15:16:40");
    assert_eq!(zone(Options::new().time_zone("Europe/Paris")), "2024-07-03 11:46:40");
}

#[test]
fn options_reach_the_server() {
    let server = MariaDb::start(Options::new().binary_log().argument("--innodb-lock-wait-timeout=7")).unwrap();
    let mut root = server.root().unwrap();
    assert_eq!(one::<u8>(&mut root, "SELECT @@log_bin"), 1);
    assert_eq!(one::<u8>(&mut root, "SELECT @@innodb_lock_wait_timeout"), 7);
    let refused = MariaDb::start(Options::new().argument("--no-such-option")).unwrap_err().to_string();
    assert!(refused.contains("no-such-option"), "{refused}");
}

#[test]
fn accounts_have_what_they_were_granted_and_no_more() {
    on_both(|server| {
        server.create_database("granted").unwrap();
        server.execute("CREATE TABLE granted.t (id INT PRIMARY KEY)").unwrap();
        let account = server.user_with("reader", &["SELECT ON `granted`.*"]).unwrap();
        assert!(!format!("{account:?}").contains(account.password()));
        let opts: OptsBuilder = account.opts(server).db_name(Some("granted"));
        let mut connection = Conn::new(opts).unwrap();
        let rows: Vec<u32> = connection.query("SELECT id FROM t").unwrap();
        assert!(rows.is_empty());
        assert!(connection.query_drop("INSERT INTO t VALUES (1)").is_err());
        assert!(Conn::new(account.opts(server).pass(Some("wrong"))).is_err());
    });
}

#[test]
fn scripts_may_change_the_delimiter_and_stop_at_errors() {
    on_both(|server| {
        server.create_database("scripted").unwrap();
        let script = "CREATE TABLE t (a INT, b INT);\nDELIMITER //\nCREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW \
                      BEGIN SET NEW.b = 1; SET NEW.b = NEW.b + NEW.a; END//\nDELIMITER ;\nINSERT INTO t (a) VALUES (41);";
        server.run_script(Some("scripted"), script).unwrap();
        assert_eq!(one::<u8>(&mut server.root_in("scripted").unwrap(), "SELECT b FROM t"), 42);
        let error = server.run_script(Some("scripted"), "SELECT 1; SELEKT 2; DROP TABLE t;").unwrap_err();
        assert!(error.to_string().contains("SELEKT"), "{error}");
        assert_eq!(one::<u8>(&mut server.root_in("scripted").unwrap(), "SELECT b FROM t"), 42);
        assert!(server.execute("SELECT 1; SELECT nothing FROM scripted.t").is_err());
    });
}

const EXACT: &str = "
    CREATE TABLE exact (id INT PRIMARY KEY, f FLOAT, d DOUBLE, b BIT(12), t VARCHAR(20), bin BLOB, z DATETIME(6),
        ts TIMESTAMP(3) NULL, u BIGINT UNSIGNED, dec_ DECIMAL(20,6), e ENUM('x','y'), s SET('p','q'), tm TIME(2));
    CREATE TABLE bag (v INT);
    CREATE TABLE server_sync_mark (id INT PRIMARY KEY);
    INSERT INTO bag VALUES (1), (1), (2);
    SET sql_mode = '', time_zone = '+00:00';
    INSERT INTO exact VALUES (1, 16777216, 0.1, b'101', 'x', x'00ff', '0000-00-00', '2024-03-31 01:30:00.125',
        18446744073709551615, 1.5, 'y', 'p,q', '-30:00:00.25');";

#[test]
fn a_dump_sees_every_bit() {
    on_both(|server| {
        let read = |database: &str| dump(&mut server.root().unwrap(), database).unwrap();
        for database in ["exact_a", "exact_b"] {
            server.create_database(database).unwrap();
            server.run_script(Some(database), EXACT).unwrap();
        }
        let base = read("exact_a");
        assert_equal(&base, &read("exact_b"));
        let changes = [
            ("f = 16777218", "column f"),
            ("d = 0.1e0 + 0.2e0 - 0.2e0", "column d"),
            ("b = b'100'", "column b"),
            ("t = 'X'", "column t"),
            ("t = 'x '", "column t"),
            ("t = NULL", "column t"),
            ("bin = x'00fe'", "column bin"),
            ("z = '0000-00-01'", "column z"),
            ("ts = '2024-03-31 01:30:00.126'", "column ts"),
            ("u = 18446744073709551614", "column u"),
            ("dec_ = 1.500001", "column dec_"),
            ("e = ''", "column e"),
            ("s = 'q'", "column s"),
            ("tm = '30:00:00.25'", "column tm"),
        ];
        for (change, expected) in changes {
            let setup = "SET sql_mode = '', time_zone = '+00:00'";
            server.execute(&format!("{setup}; UPDATE exact_b.exact SET {change}")).unwrap();
            let found = difference(&base, &read("exact_b")).unwrap_or_default();
            assert!(found.contains("table exact: row id=1") && found.contains(expected), "{change}: {found}");
            server.execute("REPLACE INTO exact_b.exact SELECT * FROM exact_a.exact").unwrap_or_else(|_| {
                // Strict mode refuses the zero date.
                server.execute("SET sql_mode = ''; REPLACE INTO exact_b.exact SELECT * FROM exact_a.exact").unwrap();
            });
        }
        assert_equal(&base, &read("exact_b"));
        server.execute("INSERT INTO exact_b.server_sync_mark VALUES (1)").unwrap();
        assert_equal(&base, &read("exact_b"));
        server.execute("UPDATE exact_b.bag SET v = 2 WHERE v = 1 LIMIT 1").unwrap();
        assert!(difference(&base, &read("exact_b")).is_some());
    });
}

#[test]
fn sakila_loads_and_equals_itself() {
    on_both(|server| {
        for locations in [Locations::Keep, Locations::Drop] {
            if !load_sakila(server, "movies", locations).unwrap() {
                return;
            }
            load_sakila(server, "movies2", locations).unwrap();
            let mut root = server.root().unwrap();
            let movies = dump(&mut root, "movies").unwrap();
            assert_equal(&movies, &without_load_times(dump(&mut root, "movies2").unwrap(), &movies));
            assert_eq!(movies["film"].rows.len(), 1000);
            assert_eq!(movies["film_text"].rows.len(), 1000);
            assert_eq!(movies["payment"].rows.len(), 16049);
            assert_eq!(movies["address"].column("location").is_some(), locations == Locations::Keep);
            let schema = schema_dump(&mut root, "movies").unwrap();
            let kinds = ["TABLE film", "TRIGGER ins_film", "VIEW actor_info", "FUNCTION inventory_in_stock"];
            for object in kinds {
                assert!(schema[object].contains("CREATE"), "{object}: {}", schema[object]);
            }
            assert!(schema["TRIGGER ins_film"].contains("sql_mode") && schema["TRIGGER ins_film"].contains("order: 1"));
        }
    });
}

/// Rows without a time of their own got the time of loading.
fn without_load_times(
    mut dump: sync_testbed::DatabaseDump,
    model: &sync_testbed::DatabaseDump,
) -> sync_testbed::DatabaseDump {
    for (name, table) in &mut dump {
        for column in ["last_update", "create_date"] {
            let Some(column) = table.column(column) else { continue };
            for (row, model) in table.rows.iter_mut().zip(&model[name].rows) {
                row[column].clone_from(&model[column]);
            }
        }
    }
    dump
}

#[test]
fn a_schema_dump_notices_every_kind_of_change() {
    on_both(|server| {
        server.create_database("defined").unwrap();
        server
            .execute(
                "USE defined; CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT); \
                 CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 1; \
                 CREATE TRIGGER b BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 2; \
                 CREATE VIEW w AS SELECT v FROM t; CREATE PROCEDURE p() SELECT 1",
            )
            .unwrap();
        let read = || schema_dump(&mut server.root().unwrap(), "defined").unwrap();
        let before = read();
        server.execute("INSERT INTO defined.t VALUES ()").unwrap();
        assert_eq!(read(), before);
        let changes = [
            (
                "DROP TRIGGER defined.a",
                "CREATE TRIGGER defined.a BEFORE INSERT ON defined.t FOR EACH ROW SET NEW.v = 1",
            ),
            ("DROP VIEW defined.w", "CREATE VIEW defined.w AS SELECT v FROM defined.t LIMIT 1"),
            ("DROP PROCEDURE defined.p", "SET sql_mode = 'ANSI'; CREATE PROCEDURE defined.p() SELECT 1"),
            ("SELECT 1", "ALTER TABLE defined.t COMMENT 'other'"),
            ("SELECT 1", "ALTER DATABASE defined CHARACTER SET latin1"),
        ];
        let mut last = before;
        for (first, second) in changes {
            server.execute(first).unwrap();
            server.execute(second).unwrap();
            let now = read();
            assert_ne!(now, last, "{second}");
            last = now;
        }
    });
}

#[test]
fn waiting_ends_with_the_condition_or_the_limit() {
    let mut looks = 0;
    wait_until("the third look", Duration::from_secs(60), || {
        looks += 1;
        looks == 3
    })
    .unwrap();
    let error = wait_until("never", Duration::from_millis(1), || false).unwrap_err();
    assert!(error.to_string().contains("never"), "{error}");
}
