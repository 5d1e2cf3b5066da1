//! Updates of rows that exist are written as inserts that name only the columns they need: whatever a table does with
//! what is left out, rows arrive as they were, and nobody else's row is touched.
#![allow(clippy::unwrap_used)]

mod support;

use mysql::prelude::Queryable;
use support::{Pair, Story, stories};
use sync_testbed::{MariaDb, Server, on_both_servers};

/// A pair whose table `t` has these columns beside `id`, and six rows at both sites, of which `values` gives the other
/// values for row `n`. The server logs statements from now on.
fn pair<'a>(server: &'a Server, name: &str, columns: &str, values: &str) -> Pair<'a> {
    let mut pair = Pair::new(server, name, &format!("CREATE TABLE t (id INT PRIMARY KEY, {columns})"));
    fill(&mut pair, values);
    pair
}

fn fill(pair: &mut Pair, values: &str) {
    pair.a.run(&format!(
        "INSERT INTO t WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 6) SELECT n, {values} FROM s"
    ));
    pair.settle();
    pair.a.server.execute("SET GLOBAL log_output='TABLE', general_log=ON").unwrap();
}

/// The statements that wrote to a table, each kind once: `insert id,a` or `delete`.
fn written(pair: &Pair, table: &str) -> Vec<String> {
    let query = "SELECT argument FROM mysql.general_log WHERE command_type='Execute' \
         AND (argument LIKE 'INSERT INTO %' OR argument LIKE 'DELETE FROM %' OR argument LIKE 'UPDATE %')";
    let statements: Vec<Vec<u8>> = pair.b.app().query(query).unwrap();
    let statements = statements.iter().map(|s| String::from_utf8_lossy(s));
    let quoted = format!(" `{table}` ");
    let mut short: Vec<String> = statements.filter(|s| s.contains(&quoted)).map(|s| shortened(&s)).collect();
    short.dedup();
    short
}

fn shortened(statement: &str) -> String {
    let (verb, rest) = statement.split_once(' ').unwrap();
    let columns = rest.split_once('(').and_then(|(_, r)| r.split_once(')')).map_or("", |(columns, _)| columns);
    let columns = if verb == "INSERT" { columns } else { "" };
    format!("{} {}", verb.to_ascii_lowercase(), columns.replace(['`', ' '], "")).trim_end().to_owned()
}

/// Column `a` of all rows changes at Geneva, and arrives with nothing else changed. Says what was written.
#[track_caller]
fn change_a(pair: &mut Pair) -> Vec<String> {
    pair.a.server.execute("TRUNCATE mysql.general_log").unwrap();
    pair.a.run("UPDATE t SET a=a+100");
    let report = pair.settle();
    assert_eq!((report.conflicts().count(), report.parked()), (0, 0));
    assert_eq!(pair.one("SELECT COUNT(*) FROM t WHERE a>100"), "6");
    written(pair, "t")
}

fn what_did_not_change_is_left_out(server: &Server) {
    let mut pair = pair(server, "left_out", "a INT, b INT NOT NULL, c LONGTEXT, d INT DEFAULT 7", "n, n, 'large', n");
    assert_eq!(change_a(&mut pair), ["insert id,a,b"]);
}

/// The insert that is tried is not allowed, the row that comes of it is: then all columns are named.
fn checks_on_what_is_left_out(server: &Server) {
    let columns = "a INT, b INT, CONSTRAINT c1 CHECK (b IS NOT NULL), CONSTRAINT c2 CHECK (a < b)";
    let mut one = pair(server, "checked", columns, "n, 1000");
    assert_eq!(change_a(&mut one), ["insert id,a", "insert id,a,b"]);
    // By its default, where NULL would do.
    let mut other = pair(server, "checked_2", "a INT, b INT DEFAULT 5, CHECK (a < b)", "n, 1000");
    assert_eq!(change_a(&mut other), ["insert id,a", "insert id,a,b"]);
    // What is really forbidden waits, and harms no other row.
    other.a.run("UPDATE t SET b=2000 WHERE id=1");
    other.settle();
    other.a.run("UPDATE t SET a=900, b=901 WHERE id=2");
    other.b.run("UPDATE t SET b=300 WHERE id=3");
    other.a.run("UPDATE t SET a=200 WHERE id=3");
    other.settle();
    assert_eq!(other.one("SELECT GROUP_CONCAT(a, ':', b ORDER BY id) FROM t WHERE id<4"), "101:2000,900:901,200:300");
}

/// Unique values are named: a default could be another row's.
fn unique_columns(server: &Server) {
    let columns = "a INT, u VARCHAR(20) DEFAULT 'u1', v INT, w INT DEFAULT 1, UNIQUE KEY (u), UNIQUE KEY (v, w)";
    let mut pair = pair(server, "uniques", columns, "n, IF(n = 5, NULL, CONCAT('u', n)), IF(n > 3, NULL, n), 1");
    assert_eq!(change_a(&mut pair), ["insert id,a,u,v,w"]);
    assert_eq!(
        pair.one("SELECT GROUP_CONCAT(a, COALESCE(u, '-'), COALESCE(v, '-') ORDER BY id) FROM t"),
        "101u11,102u22,103u33,104u4-,105--,106u6-"
    );
    // From NULL, to NULL, and to what another row had.
    for change in ["u='u5' WHERE id=5", "u=NULL, v=9 WHERE id=4", "v=NULL WHERE id=1", "v=1 WHERE id=2"] {
        pair.a.run(&format!("UPDATE t SET {change}"));
    }
    pair.settle();
}

/// The same value at both sites, in two rows: the earlier claim has it, neither row becomes the other.
#[track_caller]
fn taken_twice(pair: &mut Pair, column: &str, values: [&str; 4]) {
    let [first, second, same, other] = values;
    pair.a.run(&format!("UPDATE t SET {column}={same}, a=11 WHERE {column}={first}"));
    pair.tick();
    pair.b.run(&format!("UPDATE t SET {column}={same}, a=22 WHERE {column}={second}"));
    pair.sync();
    assert_eq!(pair.one(&format!("SELECT GROUP_CONCAT(a) FROM t WHERE {column}={same}")), "11");
    pair.b.run(&format!("UPDATE t SET {column}={other} WHERE {column}={same}"));
    pair.sync();
    pair.sync();
    pair.settle();
    assert_eq!(pair.one("SELECT COUNT(*) FROM t"), "6");
    assert_eq!(pair.one(&format!("SELECT a FROM t WHERE {column}={same}")), "22");
    assert_eq!(pair.one(&format!("SELECT a FROM t WHERE {column}={other}")), "11");
}

fn a_unique_value_taken_twice(server: &Server) {
    let values = ["'u1'", "'u2'", "'same'", "'other'"];
    let mut short = pair(server, "taken", "a INT, u VARCHAR(20), UNIQUE KEY (u)", "n, CONCAT('u', n)");
    taken_twice(&mut short, "u", values);
    if !short.is_mysql() {
        // MariaDB looks at such a key before it looks at the primary key.
        let mut long = pair(server, "taken_2", "a INT, u TEXT DEFAULT 'u1', UNIQUE KEY (u)", "n, CONCAT('u', n)");
        assert_eq!(change_a(&mut long), ["insert id,a,u"]);
        long.a.run("UPDATE t SET a=a-100");
        long.settle();
        taken_twice(&mut long, "u", values);
    }
}

/// Without a primary key it is the server who knows which unique key it looks at first.
fn a_unique_value_taken_twice_without_a_primary_key(server: &Server) {
    let schema = "CREATE TABLE t (k INT NOT NULL, a INT, u INT NOT NULL, UNIQUE KEY by_u (u), UNIQUE KEY by_k (k))";
    let mut pair = Pair::new(server, "keyless_upserts", schema);
    fill(&mut pair, "n, n");
    change_a(&mut pair);
    taken_twice(&mut pair, "u", ["1", "2", "77", "78"]);
}

fn columns_without_a_default(server: &Server) {
    let columns = "a INT, b VARCHAR(20) NOT NULL, c INT, d DATETIME NOT NULL, e GEOMETRY NOT NULL";
    let mut pair = pair(server, "no_default", columns, "n, 'b', n, '2020-01-01', ST_GeomFromText('POINT(1 2)')");
    assert_eq!(change_a(&mut pair), ["insert id,a,b,d,e"]);
    pair.run_at_both("ALTER TABLE t ALTER COLUMN c DROP DEFAULT");
    pair.settle();
    pair.a.run("UPDATE t SET a=a-100");
    pair.settle();
    // MySQL wants a value for c then.
    let all: &[&str] = if pair.is_mysql() { &["insert id,a,b,c,d,e"] } else { &[] };
    assert_eq!(change_a(&mut pair), [&["insert id,a,b,d,e"], all].concat());
}

fn times_that_renew_themselves(server: &Server) {
    let columns = "a INT, b INT, t TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), \
         d DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP";
    let mut pair = pair(server, "renewing", columns, "n, n, IF(n = 1, NULL, '2001-02-03 04:05:06.789'), '2001-02-03'");
    pair.a.run("UPDATE t SET b=9, t=t, d=d WHERE id<4");
    pair.settle();
    assert_eq!(
        pair.one("SELECT GROUP_CONCAT(COALESCE(t, '-'), d ORDER BY id) FROM t WHERE id<3"),
        "-2001-02-03 00:00:00,2001-02-03 04:05:06.7890002001-02-03 00:00:00"
    );
    assert_eq!(change_a(&mut pair), ["insert id,a,t,d"]);
}

/// A default that is computed, from a column that is named or not, and that can fail.
fn computed_defaults(server: &Server) {
    let columns = "a INT, b INT, c VARCHAR(36) DEFAULT (UUID()), d INT DEFAULT (a * 2), e BIGINT DEFAULT (b + 1), \
         f BIGINT DEFAULT (9223372036854775800 + a)";
    let mut pair = pair(server, "computed", columns, "n, n, 'c', 0, NULL, n");
    // Row 1 would have a default for f, the others would not.
    let written = change_a(&mut pair);
    assert_eq!(written.last().unwrap(), "insert id,a,b,c,d,e,f", "{written:?}");
    assert_eq!(pair.one("SELECT GROUP_CONCAT(c, d, COALESCE(e, '-'), f ORDER BY id) FROM t WHERE id<3"), "c0-1,c0-2");
    pair.b.run("UPDATE t SET b=5");
    pair.settle();
    assert_eq!(pair.one("SELECT GROUP_CONCAT(DISTINCT a>100, b, c, d, COALESCE(e, '-')) FROM t"), "15c0-");
}

/// Triggers of the application, which would see an insert of which much is missing.
fn triggers_of_the_application(server: &Server) {
    let schema = "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT, c VARCHAR(20));\n\
        CREATE TABLE audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40));\n\
        CREATE TRIGGER fills BEFORE INSERT ON t FOR EACH ROW SET NEW.c = COALESCE(NEW.c, 'filled'), NEW.a = NEW.a + 1000;\n\
        CREATE TRIGGER refuses BEFORE INSERT ON t FOR EACH ROW FOLLOWS fills \
          BEGIN IF NEW.b IS NULL THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no b'; END IF; END;\n\
        CREATE TRIGGER touches BEFORE UPDATE ON t FOR EACH ROW SET NEW.c = CONCAT(NEW.c, '+');\n\
        CREATE TRIGGER notes AFTER UPDATE ON t FOR EACH ROW INSERT INTO audit (what) VALUES (CONCAT('updated ', NEW.id))";
    let mut pair = Pair::new(server, "triggered", schema);
    fill(&mut pair, "n - 1000, n, NULL");
    assert_eq!(pair.one("SELECT GROUP_CONCAT(a, b, c ORDER BY id) FROM t WHERE id<3"), "11filled,22filled");
    assert_eq!(change_a(&mut pair), ["insert id,a,c"]);
    assert_eq!(pair.one("SELECT GROUP_CONCAT(DISTINCT c) FROM t"), "filled+");
    assert_eq!(pair.one("SELECT COUNT(*) FROM audit"), "6");
}

/// What is computed from computed columns, indexed and unique. Such tables are written whole.
fn generated_columns(server: &Server) {
    let columns = "a INT, b INT, g INT GENERATED ALWAYS AS (a * b) STORED, h INT GENERATED ALWAYS AS (g + 1) VIRTUAL, \
         i INT GENERATED ALWAYS AS (b + 5) VIRTUAL, UNIQUE KEY (i), KEY (g), KEY (h)";
    let schema = format!("CREATE TABLE t (id INT PRIMARY KEY, {columns})");
    let mut pair = Pair::new(server, "generated_upserts", &schema);
    pair.a
        .run("INSERT INTO t (id, a, b) VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4), (5, 5, NULL), (6, 6, NULL)");
    pair.settle();
    pair.a.server.execute("SET GLOBAL log_output='TABLE', general_log=ON").unwrap();
    assert_eq!(change_a(&mut pair), ["insert id,a,b"]);
    assert_eq!(
        pair.one("SELECT GROUP_CONCAT(g, ':', h, ':', i ORDER BY id) FROM t"),
        "101:102:6,204:205:7,309:310:8,416:417:9"
    );
    for index in ["i", "g", "h"] {
        assert_eq!(pair.one(&format!("SELECT COUNT(*) FROM t FORCE INDEX ({index}) WHERE {index}>0")), "4", "{index}");
    }
}

/// References that are left out have a default that refers to nobody; parents are updated in part beside their children.
fn foreign_keys(server: &Server) {
    let schema = "CREATE TABLE parent (id INT PRIMARY KEY, code INT DEFAULT 99, a INT, UNIQUE KEY (code));\n\
        CREATE TABLE t (id INT PRIMARY KEY, a INT, p INT DEFAULT 99, c INT, up INT DEFAULT 99, \
          FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE, \
          FOREIGN KEY (c) REFERENCES parent (code) ON DELETE SET NULL ON UPDATE CASCADE, \
          FOREIGN KEY (up) REFERENCES t (id) ON DELETE CASCADE)";
    let mut pair = Pair::new(server, "references", schema);
    pair.a.run("INSERT INTO parent VALUES (1, 10, 0), (2, 20, 0), (3, NULL, 0)");
    fill(&mut pair, "n, 1 + n % 3, IF(n < 4, 10, NULL), NULL");
    pair.a.run("UPDATE t SET up=1 WHERE id>4");
    pair.settle();
    assert_eq!(change_a(&mut pair), ["insert id,a"]);
    pair.a.run("UPDATE parent SET a=a+1");
    pair.settle();
    assert_eq!(written(&pair, "parent"), ["insert id,code,a"]);
    pair.a.run("UPDATE parent SET code=30 WHERE id=1");
    pair.b.run("UPDATE t SET a=7 WHERE id=2");
    pair.settle();
    let row = "CONCAT_WS(',', p, COALESCE(c, '-'), COALESCE(up, '-'))";
    assert_eq!(
        pair.one(&format!("SELECT GROUP_CONCAT({row} ORDER BY id SEPARATOR ' ') FROM t")),
        "2,30,- 3,30,- 1,30,- 2,-,- 3,-,1 1,-,1"
    );
}

const STORIES: &[Story] = &[
    ("what_did_not_change_is_left_out", what_did_not_change_is_left_out),
    ("checks_on_what_is_left_out", checks_on_what_is_left_out),
    ("unique_columns", unique_columns),
    ("a_unique_value_taken_twice", a_unique_value_taken_twice),
    ("a_unique_value_taken_twice_without_a_primary_key", a_unique_value_taken_twice_without_a_primary_key),
    ("columns_without_a_default", columns_without_a_default),
    ("times_that_renew_themselves", times_that_renew_themselves),
    ("computed_defaults", computed_defaults),
    ("triggers_of_the_application", triggers_of_the_application),
    ("generated_columns", generated_columns),
    ("foreign_keys", foreign_keys),
];

on_both_servers!(on_mariadb, on_mysql, |server| stories(server, STORIES));

#[test]
fn through_an_agent() {
    support::through_an_agent(|| stories(MariaDb::shared().unwrap(), STORIES));
}
