//! Catch-up: 200,000 changed rows of 12 columns, against row-based replication of the same changes.

use std::time::Instant;

use mysql::prelude::Queryable;
use sync_testbed::{MariaDb, Options, Server};

use crate::site::{Site, sync};

const ROWS: u32 = 200_000;

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b VARCHAR(40), c VARCHAR(40), d DECIMAL(12,2), \
    e DATETIME, f VARCHAR(80), g INT, h TINYINT, i DATE, j VARCHAR(20), k TEXT) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";

fn fill(server: &Server) {
    server.create_database("crm").unwrap();
    let conn = &mut server.root_in("crm").unwrap();
    conn.query_drop(TABLE).unwrap();
}

fn insert(server: &Server) {
    let conn = &mut server.root_in("crm").unwrap();
    conn.query_drop(format!("INSERT INTO t (a,b,c,d,e,f,g,h,i,j,k) SELECT seq, CONCAT('name ', seq), REPEAT('x', seq%40), seq/7, '2024-02-29 12:00:00', CONCAT(seq, ' rue du March\u{e9}'), seq%97, seq%2, '2024-01-01', seq%1000, REPEAT('note ', seq%10) FROM seq_1_to_{ROWS}")).unwrap();
}

/// The same changes by MariaDB's own row-based replication: the replica is stopped while they are made.
fn replication() {
    let options =
        |id: u32| Options::new().binary_log().argument(format!("--server-id={id}")).argument("--binlog-format=ROW");
    let a = MariaDb::start(options(1)).unwrap();
    let b = MariaDb::start(options(2)).unwrap();
    fill(&a);
    fill(&b);
    let conn = &mut b.root().unwrap();
    a.execute("CREATE USER repl@'%' IDENTIFIED BY 'repl'; GRANT REPLICATION SLAVE ON *.* TO repl@'%'; RESET MASTER")
        .unwrap();
    conn.query_drop(format!("CHANGE MASTER TO master_host='127.0.0.1', master_port={}, master_user='repl', master_password='repl', master_log_file='', master_log_pos=4", a.port())).unwrap();
    for (what, statement) in [("insert", ""), ("update", UPDATE), ("delete", DELETE)] {
        if statement.is_empty() {
            insert(&a);
        } else {
            a.root_in("crm").unwrap().query_drop(statement).unwrap();
        }
        let start = Instant::now();
        conn.query_drop("START SLAVE").unwrap();
        let (file, position): (String, u64) = a
            .root()
            .unwrap()
            .query_first::<(String, u64, String, String), _>("SHOW MASTER STATUS")
            .unwrap()
            .map(|r| (r.0, r.1))
            .unwrap();
        let waited: Option<i64> =
            conn.query_first(format!("SELECT MASTER_POS_WAIT('{file}', {position}, 300)")).unwrap().flatten();
        let took = start.elapsed();
        conn.query_drop("STOP SLAVE").unwrap();
        println!("replication {what}: {took:?} ({waited:?}), {:.0} rows/s", f64::from(ROWS) / took.as_secs_f64());
    }
}

const UPDATE: &str = "UPDATE t SET a=a+1, b=CONCAT(b,'!'), g=g+1";
const DELETE: &str = "DELETE FROM t WHERE id%2=0";

/// Runs the bench and prints its figures.
pub fn run() {
    if std::env::var_os("BENCH_STATEMENTS").is_none() {
        replication();
    }
    let a = MariaDb::start(Options::new()).unwrap();
    let b = MariaDb::start(Options::new()).unwrap();
    fill(&a);
    fill(&b);
    let mut geneva = Site::prepare(&a, "a", 1);
    let mut lyon = Site::prepare(&b, "b", 2);
    sync(&mut geneva, &mut lyon);
    insert(&a);
    time("insert", &mut geneva, &mut lyon);
    geneva.run(UPDATE);
    time("update", &mut geneva, &mut lyon);
    time("nothing", &mut geneva, &mut lyon);
    time("nothing", &mut geneva, &mut lyon);
    geneva.run(DELETE);
    time("delete", &mut geneva, &mut lyon);
}

fn statements(site: &Site) -> u64 {
    let row: (String, u64) =
        site.server.root().unwrap().query_first("SHOW GLOBAL STATUS LIKE 'Questions'").unwrap().unwrap();
    row.1
}

fn time(what: &str, geneva: &mut Site, lyon: &mut Site) {
    use sync_store::Store;
    let start = Instant::now();
    geneva.store.drain().unwrap();
    let drained = start.elapsed();
    let (qa, qb) = (statements(geneva), statements(lyon));
    let report = sync(geneva, lyon);
    let total = start.elapsed();
    println!(
        "{what}: drain {drained:?}, total {total:?}, pushed {}, {:.0} rows/s, questions {} {}",
        report.pushed.total().received,
        f64::from(ROWS) / total.as_secs_f64(),
        statements(geneva) - qa - 2,
        statements(lyon) - qb - 2
    );
    for site in [&*geneva, &*lyon] {
        println!("  {}:", site.server.port());
        crate::timed::print(&site.times);
    }
}
