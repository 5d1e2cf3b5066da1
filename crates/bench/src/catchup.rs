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

/// Runs the bench and prints its figures.
pub fn run() {
    let a = MariaDb::start(Options::new()).unwrap();
    let b = MariaDb::start(Options::new()).unwrap();
    fill(&a);
    fill(&b);
    let mut geneva = Site::prepare(&a, "a", 1);
    let mut lyon = Site::prepare(&b, "b", 2);
    sync(&mut geneva, &mut lyon);
    insert(&a);
    time("insert", &mut geneva, &mut lyon);
    geneva.run("UPDATE t SET a=a+1, b=CONCAT(b,'!'), g=g+1");
    time("update", &mut geneva, &mut lyon);
    time("nothing", &mut geneva, &mut lyon);
    time("nothing", &mut geneva, &mut lyon);
    geneva.run("DELETE FROM t WHERE id%2=0");
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
}
