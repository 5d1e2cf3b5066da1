//! Reading the schema of SQLite: keys, columns, foreign keys, and what is left out.
#![allow(clippy::unwrap_used)]

mod sqlite_support;

use sqlite_support::Site;
use sync_database::dialect::Dialect;
use sync_database::schema::{Action, Kind, Table};
use sync_database::sqlite::SqliteDialect;

fn table(definition: &str) -> Table {
    let schema = Site::bare(definition).schema();
    schema.table("t").cloned().unwrap()
}

fn key(definition: &str) -> Vec<String> {
    table(definition).key_columns().map(|c| c.name.clone()).collect()
}

#[test]
fn keys() {
    assert_eq!(key("CREATE TABLE t(a, id INTEGER PRIMARY KEY)"), ["id"]);
    assert_eq!(key("CREATE TABLE t(a TEXT, b INT, c, PRIMARY KEY(c, a))"), ["c", "a"]);
    assert_eq!(key("CREATE TABLE t(a TEXT PRIMARY KEY) WITHOUT ROWID"), ["a"]);
    assert_eq!(key("CREATE TABLE t(a INT NOT NULL, b INT NOT NULL UNIQUE, c INT UNIQUE)"), ["b"]);
    assert_eq!(
        key("CREATE TABLE t(a INT NOT NULL, b INT NOT NULL, c INT NOT NULL, UNIQUE(b, c), UNIQUE(a, b))"),
        ["a", "b"]
    );
    let unfit = [
        "CREATE TABLE t(a, b)",
        "CREATE TABLE t(a INT UNIQUE)",
        "CREATE TABLE t(a TEXT NOT NULL); CREATE UNIQUE INDEX i ON t(a) WHERE a > ''",
        "CREATE TABLE t(a TEXT NOT NULL); CREATE UNIQUE INDEX i ON t(lower(a))",
        "CREATE TABLE t(a TEXT NOT NULL); CREATE UNIQUE INDEX i ON t(a COLLATE NOCASE)",
        "CREATE TABLE t(a TEXT, g TEXT NOT NULL AS (a) STORED UNIQUE)",
    ];
    for definition in unfit {
        assert!(key(definition).is_empty(), "{definition}");
    }
    assert!(!table(unfit[0]).has_primary && table("CREATE TABLE t(a PRIMARY KEY)").has_primary);
}

#[test]
fn a_primary_key_can_hold_nulls_unless_it_says_otherwise() {
    let nullable = |definition: &str| table(definition).key_columns().any(|c| c.nullable);
    assert!(nullable("CREATE TABLE t(a TEXT PRIMARY KEY)"));
    assert!(nullable("CREATE TABLE t(a INTEGER PRIMARY KEY DESC)"));
    assert!(!nullable("CREATE TABLE t(a INTEGER PRIMARY KEY)"));
    assert!(!nullable("CREATE TABLE t(a TEXT PRIMARY KEY NOT NULL)"));
    assert!(!nullable("CREATE TABLE t(a TEXT PRIMARY KEY) WITHOUT ROWID"));
    let from = SqliteDialect.by_key(&table("CREATE TABLE t(a TEXT, b TEXT NOT NULL, PRIMARY KEY(a, b))"));
    assert_eq!(from, "(SELECT * FROM \"t\" WHERE \"a\" IS NOT NULL)");
    assert_eq!(SqliteDialect.by_key(&table("CREATE TABLE t(a INTEGER PRIMARY KEY)")), "\"t\"");
}

#[test]
fn looking_up_keys_that_may_be_null_uses_the_index() {
    let mut site =
        Site::bare("CREATE TABLE t(a TEXT PRIMARY KEY, v); INSERT INTO t VALUES(NULL, 1), ('x', 2), (NULL, 3)");
    let from = SqliteDialect.by_key(site.schema().table("t").unwrap());
    assert_eq!(site.rows(&format!("SELECT a FROM {from} ORDER BY a LIMIT 10")), ["x"]);
    for rest in ["WHERE a IN ('x', 'y')", "WHERE a > 'b' ORDER BY a LIMIT 5", "ORDER BY a LIMIT 5"] {
        let plan = site.rows(&format!("EXPLAIN QUERY PLAN SELECT a, v FROM {from} {rest}"));
        assert!(plan.iter().all(|line| line.contains("USING INDEX")), "{plan:?}");
    }
}

#[test]
fn columns_and_unique_keys() {
    let t = table(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name varchar ( 20 ) COLLATE nocase NOT NULL DEFAULT 'x' UNIQUE,
            price DECIMAL(10,2), at DATETIME, raw BLOB, x, g INT GENERATED ALWAYS AS (id + 1), UNIQUE(price, at));
         CREATE UNIQUE INDEX p ON t(raw) WHERE x; CREATE UNIQUE INDEX e ON t(lower(name));",
    );
    let kinds: Vec<Kind> = t.columns.iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [Kind::Integer, Kind::Text, Kind::Exact, Kind::Exact, Kind::Bytes, Kind::Bytes, Kind::Integer]);
    let nullable: Vec<bool> = t.columns.iter().map(|c| c.nullable).collect();
    assert_eq!(nullable, [false, false, true, true, true, true, true]);
    assert_eq!(t.stored_columns().count(), 6);
    assert!(t.columns[6].generated);
    assert_eq!(t.uniques, [vec![1], vec![2, 3]]);
    assert_eq!(t.columns[1].sql_type, "VARCHAR ( 20 ) COLLATE \"NOCASE\"");
}

#[test]
fn a_definition_changes_exactly_if_values_may() {
    let definitions = |sql: &str| table(sql).columns.into_iter().map(|c| c.definition).collect::<Vec<_>>();
    let one = definitions("CREATE TABLE t(id integer primary key, a  Varchar(20) DEFAULT 'x' COLLATE NOCASE, b INT)");
    assert_eq!(one, ["\"id\" INTEGER INTEGER NOT NULL", "\"a\" VARCHAR(20) TEXT", "\"b\" INT INTEGER"]);
    assert_eq!(one, definitions("CREATE TABLE \"t\"(\"id\" INTEGER PRIMARY KEY, a varchar(20), b INT CHECK(b>0))"));
    for other in [
        "CREATE TABLE t(id integer primary key, a varchar(20) NOT NULL, b INT)",
        "CREATE TABLE t(id integer primary key, a BLOB, b INT)",
        "CREATE TABLE t(id integer primary key, a TEXT, b INT) STRICT",
    ] {
        assert_ne!(one, definitions(other), "{other}");
    }
    assert_ne!(
        definitions("CREATE TABLE t(k TEXT PRIMARY KEY)"),
        definitions("CREATE TABLE t(k TEXT PRIMARY KEY COLLATE NOCASE)")
    );
}

#[test]
fn foreign_keys() {
    let schema = Site::bare(
        "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE q(a INT, b INT, PRIMARY KEY(a, b));
         CREATE TABLE t(id INTEGER PRIMARY KEY, p INT REFERENCES P ON DELETE CASCADE ON UPDATE SET NULL,
            a INT, b INT, up INT REFERENCES t(ID) ON DELETE SET DEFAULT, gone INT REFERENCES missing,
            FOREIGN KEY(a, b) REFERENCES q ON DELETE SET NULL)",
    )
    .schema();
    let mut found: Vec<_> = schema
        .foreign_keys
        .iter()
        .map(|k| {
            (k.columns.join(","), format!("{}({})", k.parent, k.parent_columns.join(",")), k.on_delete, k.on_update)
        })
        .collect();
    found.sort_by(|x, y| x.0.cmp(&y.0));
    assert_eq!(
        found,
        [
            ("a,b".to_owned(), "q(a,b)".to_owned(), Action::SetNull, Action::Restrict),
            ("p".to_owned(), "p(id)".to_owned(), Action::Cascade, Action::SetNull),
            ("up".to_owned(), "t(id)".to_owned(), Action::Restrict, Action::Restrict),
        ]
    );
}

#[test]
fn triggers_in_the_order_in_which_they_fire() {
    let site = &mut Site::bare(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE seen(n INTEGER PRIMARY KEY, name);
         CREATE TRIGGER one AFTER UPDATE OF a ON t BEGIN INSERT INTO seen(name) VALUES('one'); END;
         CREATE TRIGGER two /* x */ update on t BEGIN INSERT INTO seen(name) VALUES('two'); END;
         CREATE TRIGGER three AFTER UPDATE ON t BEGIN INSERT INTO seen(name) VALUES('three'); END;
         INSERT INTO t VALUES(1, 1); UPDATE t SET a=2",
    );
    let schema = site.schema();
    let found: Vec<_> =
        schema.triggers.iter().map(|t| (t.name.as_str(), t.timing.as_str(), t.event.as_str())).collect();
    assert_eq!(found, [("three", "AFTER", "UPDATE"), ("two", "BEFORE", "UPDATE"), ("one", "AFTER", "UPDATE")]);
    assert_eq!(site.rows("SELECT name FROM seen ORDER BY n"), ["two", "three", "one"]);
}

#[test]
fn what_is_not_a_table_of_the_application_is_left_out() {
    let mut site = Site::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT); CREATE VIEW v AS SELECT * FROM t;
         CREATE VIRTUAL TABLE f USING fts5(a, content='t', content_rowid='id'); CREATE VIRTUAL TABLE r USING rtree(i, a, b);
         CREATE TABLE unknown_data(x INTEGER PRIMARY KEY); CREATE TABLE f_own(x INTEGER PRIMARY KEY); ANALYZE",
    );
    site.app(
        "PRAGMA writable_schema=ON; INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql)
         VALUES('table', 'unknown', 'unknown', 0, 'CREATE VIRTUAL TABLE unknown USING \"no such\"(x)');
         PRAGMA writable_schema=RESET",
    );
    let names: Vec<String> = site.schema().tables.into_iter().map(|t| t.name).collect();
    assert_eq!(names, ["f_own", "t"]);
}

#[test]
fn columns_of_a_strange_schema_do_no_harm() {
    let schema = Site::bare(
        "CREATE TABLE \"(\"(\"a,b\" TEXT COLLATE \"NOCASE\", [c)] INT, 'd''' /* , */ REAL, -- )\n e, PRIMARY KEY([c)]));
         CREATE TABLE copy AS SELECT * FROM \"(\"; CREATE TABLE \"COLLATE\"(\"PRIMARY\" INT PRIMARY KEY)",
    )
    .schema();
    let columns: Vec<&str> = schema.table("(").unwrap().columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(columns, ["a,b", "c)", "d'", "e"]);
    assert_eq!(schema.table("(").unwrap().columns[0].sql_type, "TEXT COLLATE \"NOCASE\"");
    assert!(schema.table("copy").unwrap().key.is_empty());
    assert_eq!(schema.table("COLLATE").unwrap().key, [0]);
}
