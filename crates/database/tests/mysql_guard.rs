//! The application's triggers keep working, do not run on applied rows, and come back byte for byte.
#![allow(clippy::unwrap_used, clippy::panic)]

mod mysql_bench;

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use mysql::{Conn, Row};
use mysql_bench::{Bench, connect, connect_to, each};
use sync_database::dialect::Dialect;
use sync_database::sql::Sql;
use sync_store::Trouble;

const TABLES: &[&str] = &[
    "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50), n INT)",
    "CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, what VARCHAR(50))",
];

/// Triggers in many shapes. What they do is seen in `log`.
const SCRIPT: &str = r#"
DELIMITER //
CREATE TRIGGER plain BEFORE INSERT ON t FOR EACH ROW SET NEW.n = COALESCE(NEW.n, 0) + 1 -- the end
//
create   trigger  `block` /* why */ after insert on t
  for each row
begin
  declare x int default 0; -- é; END IF
  set x = NEW.n;
  insert into log (what) values (concat('ai ', x, ' ''it''s''; \n'));
end
//
CREATE TRIGGER labelled AFTER INSERT ON t FOR EACH ROW FOLLOWS `block`
  -- why

  /* and */ lab: BEGIN
  IF NEW.id > 1000 THEN LEAVE lab; END IF;
  INSERT INTO log (what) VALUES ('second');
END lab /* done */
//
CREATE TRIGGER `fir``st "1"` AFTER INSERT ON t FOR EACH ROW PRECEDES `block` INSERT INTO log (what) VALUES (CONCAT('fir`st', NEW.`v`))
//
/*!50003 CREATE*/ /*!50017 DEFINER=`nobody`@`%`*/ /*!50003 TRIGGER dumped BEFORE UPDATE ON t FOR EACH ROW IF NOT (NEW.v <=> OLD.v) THEN
   SET NEW.n = OLD.n + 1; # counted
END IF */
//
SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'
//
CREATE TRIGGER ansi BEFORE DELETE ON t FOR EACH ROW INSERT INTO log (what) VALUES ('bd \ ' || OLD."id")
//
SET sql_mode = ''
//
CREATE TRIGGER `déjà` AFTER DELETE ON t FOR EACH ROW CASE WHEN OLD.id > 0 THEN INSERT INTO log (what) VALUES ('ad é'); ELSE BEGIN END; END CASE
//
"#;

fn prepare(bench: &mut Bench) {
    bench.server.execute("CREATE USER IF NOT EXISTS 'nobody'@'%'").unwrap();
    bench.server.execute(&format!("GRANT ALL ON `{}`.* TO 'nobody'@'%'", bench.name)).unwrap();
    bench.run(TABLES);
    bench.script(SCRIPT);
}

/// SHOW CREATE TRIGGER of all triggers but ours, in firing order, without the time of creation.
fn shown(bench: &Bench) -> Vec<String> {
    let mut app = bench.app();
    let names: Vec<String> = app
        .query(
            "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() \
             AND TRIGGER_NAME NOT LIKE 'server\\_sync\\_%' \
             ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
        )
        .unwrap();
    let show = |name: String| {
        let row: Row = app.query_first(format!("SHOW CREATE TRIGGER `{}`", name.replace('`', "``"))).unwrap().unwrap();
        // Its Debug cuts long values.
        row.unwrap()[..6].iter().map(|v| v.as_sql(false)).collect::<Vec<_>>().join("\n")
    };
    names.into_iter().map(show).collect()
}

fn tables(bench: &Bench) -> Vec<String> {
    let mut app = bench.app();
    let show = |name: &str| {
        let (_, text): (String, String) = app.query_first(format!("SHOW CREATE TABLE {name}")).unwrap().unwrap();
        // How far AUTO_INCREMENT has come is no matter of ours.
        text.split(' ').filter(|word| !word.starts_with("AUTO_INCREMENT=")).collect()
    };
    ["t", "log"].map(show).into()
}

/// What the triggers log when rows are written.
fn logged(bench: &Bench, first: &str) -> Vec<String> {
    bench.run(&["DELETE FROM log"]);
    bench.run(&[
        first,
        "INSERT INTO t (id, v) VALUES (1, 'a')",
        "UPDATE t SET v = 'b' WHERE id = 1",
        "INSERT INTO log (what) SELECT CONCAT('n = ', n) FROM t WHERE n IS NOT NULL",
        "DELETE FROM t WHERE id = 1",
    ]);
    bench.app().query("SELECT what FROM log ORDER BY id").unwrap()
}

fn uninstall(bench: &mut Bench) {
    let schema = bench.schema();
    bench.dialect.uninstall(&mut bench.sql, &schema).unwrap();
}

#[test]
fn guarded_and_back() {
    each("guarded", |bench| {
        prepare(bench);
        let (triggers, tables_before) = (shown(bench), tables(bench));
        let effects = logged(bench, "DO 0");
        assert_eq!(effects, ["fir`sta", "ai 1 'it's'; \n", "second", "n = 2", "bd \\ 1", "ad é"]);
        bench.install();
        let is_guarded = |body: &str| body.starts_with("IF NOT (@server_sync_applying <=> 1) THEN");
        assert!(bench.schema().triggers.iter().all(|t| t.is_ours() || is_guarded(&t.body)));
        assert_eq!(logged(bench, "DO 0"), effects, "they still work");
        assert_eq!(logged(bench, "SET @server_sync_applying = 1, @n = 5"), Vec::<String>::new(), "but not for us");
        uninstall(bench);
        assert_eq!(shown(bench), triggers);
        assert_eq!(tables(bench), tables_before);
        assert!(bench.schema().triggers.iter().all(|t| !t.is_ours()));
        assert_eq!(logged(bench, "SET @server_sync_applying = 1").len(), 6);
    });
}

/// Several statements sent at once, as programs do that read a file: on MySQL what separates them is part of a body.
const AT_ONCE: &str = r#"
CREATE TRIGGER separated BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 7;
CREATE TRIGGER spaced AFTER INSERT ON t FOR EACH ROW
  INSERT INTO log (what) VALUES (CONCAT('it\'s # ', NEW.n))
  ;  -- the end
CREATE TRIGGER block_ AFTER INSERT ON t FOR EACH ROW BEGIN INSERT INTO log (what) VALUES ("-- ''"); END;
CREATE TRIGGER last BEFORE DELETE ON t FOR EACH ROW INSERT INTO log (what) VALUES ('/* gone') # or not;"#;

#[test]
fn made_by_many_statements_at_once() {
    each("at_once", |bench| {
        bench.run(TABLES);
        bench.server.execute(&format!("USE `{}`;{AT_ONCE}", bench.name)).unwrap();
        let (triggers, effects) = (shown(bench), logged(bench, "DO 0"));
        assert_eq!(effects, ["it's # 7", "-- ''", "n = 7", "/* gone"]);
        bench.install();
        assert_eq!(logged(bench, "DO 0"), effects, "they still work");
        assert_eq!(logged(bench, "SET @server_sync_applying = 1"), Vec::<String>::new(), "but not for us");
        uninstall(bench);
        assert_eq!(shown(bench), triggers);
    });
}

#[test]
fn they_work_for_sessions_that_use_a_table_after_us() {
    each("guarded_after_us", |bench| {
        bench.run(&[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
            "CREATE TRIGGER doubles BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v * 2",
        ]);
        bench.install();
        bench.own("INSERT INTO t VALUES (1, 5)");
        let mut app = bench.neighbour();
        app.query_drop("INSERT INTO t VALUES (2, 5)").unwrap();
        let values: Vec<i64> = app.query("SELECT v FROM t ORDER BY id").unwrap();
        assert_eq!(values, [5, 10]);
    });
}

#[test]
fn rows_written_by_their_triggers_are_captured() {
    each("written_by_triggers", |bench| {
        prepare(bench);
        bench.install();
        bench.run(&["INSERT INTO t (id, v) VALUES (1, 'a')"]);
        assert_eq!((bench.marks("t").len(), bench.marks("log").len()), (1, 3));
        bench.run(&["UPDATE t SET v = 'b'"]);
        assert_eq!(bench.marks("t"), ["update 1 (v,n)"]);
    });
}

#[test]
fn created_again_by_the_application() {
    each("created_again", |bench| {
        prepare(bench);
        bench.install();
        let before = shown(bench);
        bench.run(&[
            "DROP TRIGGER plain",
            "CREATE TRIGGER plain BEFORE INSERT ON t FOR EACH ROW SET NEW.n = COALESCE(NEW.n, 0) + 10",
        ]);
        let notes = bench.install();
        assert!(notes.iter().any(|n| n.contains("guarded: plain")), "{notes:?}");
        assert_eq!(shown(bench).len(), before.len());
        assert_eq!(logged(bench, "DO 0")[3], "n = 11");
        assert_eq!(logged(bench, "SET @server_sync_applying = 1"), Vec::<String>::new());
    });
}

#[test]
fn text_of_an_old_client() {
    each("latin1", |bench| {
        bench.run(TABLES);
        let mut app = bench.app();
        app.query_drop("SET NAMES latin1").unwrap();
        // What is sent is two characters of latin1.
        app.query_drop("CREATE TRIGGER old AFTER INSERT ON t FOR EACH ROW INSERT INTO log (what) VALUES ('é')")
            .unwrap();
        let (triggers, effects) = (shown(bench), logged(bench, "DO 0"));
        assert_eq!(effects[0], "Ã©");
        bench.install();
        assert_eq!(logged(bench, "DO 0"), effects);
        uninstall(bench);
        assert_eq!(logged(bench, "DO 0"), effects);
        if bench.is_mysql() {
            // MySQL cannot be told the old character set again, only the text.
            assert_eq!(shown(bench), triggers.iter().map(|t| t.replacen("latin1", "utf8mb4", 1)).collect::<Vec<_>>());
        } else {
            assert_eq!(shown(bench), triggers);
        }
    });
}

/// The states in which a kill can leave MySQL: each acts exactly once, and is put right by the next installation.
#[test]
fn killed_in_between() {
    each("killed", |bench| {
        if !bench.is_mysql() {
            return;
        }
        for state in 1..=3 {
            bench.server.create_database(&bench.name).unwrap();
            bench.registered.clear();
            bench.sql = connect(bench.server, &bench.name, "root", None).unwrap();
            prepare(bench);
            let (triggers, effects) = (shown(bench), logged(bench, "DO 0"));
            let hex: String = "block".bytes().map(|b| format!("{b:02x}")).collect();
            let body = "begin insert into log (what) values (concat('ai ', NEW.n, ' ''it''s''; \\n')); end";
            let substitute = format!(
                "CREATE TRIGGER server_sync_guard_0123456789abcdef AFTER INSERT ON t FOR EACH ROW FOLLOWS `block` \
                 IF NOT (@server_sync_applying <=> 1) AND NOT EXISTS (SELECT 1 FROM information_schema.TRIGGERS \
                 WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME = CONVERT(x'{hex}' USING utf8mb4)) THEN\n\
                 {body}\n;END IF"
            );
            let again = format!(
                "CREATE TRIGGER `block` AFTER INSERT ON t FOR EACH ROW FOLLOWS server_sync_guard_0123456789abcdef \
                 IF NOT (@server_sync_applying <=> 1) THEN\n{body}\n;END IF"
            );
            let steps = [substitute.as_str(), "DROP TRIGGER `block`", &again];
            bench.run(&steps[..state]);
            assert_eq!(logged(bench, "DO 0"), effects, "after step {state}");
            bench.install();
            assert_eq!(logged(bench, "DO 0"), effects, "after step {state} and installation");
            assert_eq!(logged(bench, "SET @server_sync_applying = 1"), Vec::<String>::new());
            assert!(bench.schema().triggers.iter().all(|t| !t.name.starts_with("server_sync_guard_")));
            uninstall(bench);
            assert_eq!(shown(bench).len(), triggers.len());
            assert_eq!(logged(bench, "DO 0"), effects, "after step {state} and removal");
        }
    });
}

/// While guards come and go, and our connection is cut in between as if this process died, every row of the application
/// fires its trigger exactly once, and none of its statements fails.
#[test]
fn an_application_that_writes_all_the_while() {
    each("all_the_while", |bench| {
        bench.run(TABLES);
        bench.run(&["CREATE TRIGGER w AFTER INSERT ON t FOR EACH ROW INSERT INTO log (what) VALUES (NEW.id)"]);
        let stop = AtomicBool::new(false);
        let written = std::thread::scope(|scope| {
            let apps: Vec<Conn> = (0..3).map(|_| bench.app()).collect();
            let start = |(i, app)| {
                let stop = &stop;
                scope.spawn(move || write_until(app, i as i32, stop))
            };
            let writers: Vec<_> = apps.into_iter().enumerate().map(start).collect();
            let stopping = Stop(&stop);
            for round in 0..20 {
                println!("round {round}");
                come_and_go(bench, Duration::from_millis(5 + 8 * round));
            }
            drop(stopping);
            writers.into_iter().map(|w| w.join().unwrap()).sum::<i32>()
        });
        bench.install();
        let mut app = bench.app();
        let count: i32 = app.query_first("SELECT COUNT(*) FROM log").unwrap().unwrap();
        let distinct: i32 = app.query_first("SELECT COUNT(DISTINCT what) FROM log").unwrap().unwrap();
        assert_eq!((count, distinct), (written, written));
        assert!(written > 20, "{written}");
    });
}

/// Stops the writers even if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Inserts rows, each in a transaction that began before with a snapshot; returns how many.
fn write_until(mut app: Conn, first: i32, stop: &AtomicBool) -> i32 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        app.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").unwrap();
        app.query_drop(format!("INSERT INTO t (id) VALUES ({})", first + 10 * count)).unwrap();
        app.query_drop("COMMIT").unwrap();
        count += 1;
    }
    count
}

/// Installs and uninstalls over a connection that is cut after a while.
fn come_and_go(bench: &mut Bench, cut_after: Duration) {
    let (port, cut) = proxy(bench.server.port());
    bench.sql = connect_to(bench.server, port, &bench.name, "root", None).unwrap();
    std::thread::scope(|scope| {
        // The moment is arbitrary by intention: any is right.
        scope.spawn(move || {
            std::thread::sleep(cut_after);
            cut.lock().unwrap().iter().for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
        });
        let _ = bench.try_install();
        if let Ok(schema) = bench.dialect.read_schema(&mut bench.sql) {
            let _ = bench.dialect.uninstall(&mut bench.sql, &schema);
        }
    });
    bench.sql = connect(bench.server, &bench.name, "root", None).unwrap();
}

/// A port that leads to the server, and the sockets to cut. (Without TLS the driver connects twice.)
fn proxy(server: u16) -> (u16, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sockets = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&sockets);
    std::thread::spawn(move || {
        for inner in listener.incoming().take(2) {
            let (inner, outer) = (inner.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
            kept.lock().unwrap().push(outer.try_clone().unwrap());
            let (from, to) = (inner.try_clone().unwrap(), outer.try_clone().unwrap());
            std::thread::spawn(move || pass_on(from, to));
            std::thread::spawn(move || pass_on(outer, inner));
        }
    });
    (port, sockets)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_transaction_that_stays_open() {
    each("open_transaction", |bench| {
        bench.run(TABLES);
        bench.run(&["CREATE TRIGGER w AFTER INSERT ON t FOR EACH ROW INSERT INTO log (what) VALUES (NEW.id)"]);
        let mut holder = bench.app();
        holder.query_drop("BEGIN").unwrap();
        holder.query_drop("INSERT INTO t (id) VALUES (1)").unwrap();
        let stop = AtomicBool::new(false);
        let longest = std::thread::scope(|scope| {
            let mut app = bench.app();
            let stop = &stop;
            let writer = scope.spawn(move || {
                let mut longest = Duration::ZERO;
                let mut id = 10;
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    app.query_drop(format!("INSERT INTO t (id) VALUES ({id})")).unwrap();
                    longest = longest.max(began.elapsed());
                    id += 1;
                }
                longest
            });
            let stopping = Stop(stop);
            let error = bench.try_install().unwrap_err();
            drop(stopping);
            assert_eq!(error.trouble, Trouble::Contention);
            assert!(error.to_string().contains("table t") || error.to_string().contains("table log"), "{error}");
            writer.join().unwrap()
        });
        println!("the longest wait of the application was {longest:?}");
        holder.query_drop("COMMIT").unwrap();
        bench.install();
        bench.run(&["INSERT INTO t (id) VALUES (2)"]);
        assert_eq!(bench.marks("t"), ["insert 2"]);
        let waits: (u64, String) = {
            let row =
                (&mut bench.sql as &mut dyn Sql).first("SELECT @@lock_wait_timeout, @@sql_mode", &[]).unwrap().unwrap();
            let mut fields = sync_database::sql::Fields::of(row);
            (fields.unsigned().unwrap(), fields.text().unwrap())
        };
        assert_eq!(waits.0, 5, "the session is as it was");
        assert!(waits.1.contains("NO_ENGINE_SUBSTITUTION"), "{waits:?}");
    });
}
