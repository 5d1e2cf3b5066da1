//! What an account lacks is said exactly: following what is said, and nothing more, makes everything work.
#![allow(clippy::unwrap_used, clippy::panic)]

mod mysql_bench;

use mysql_bench::{Bench, connect, each};
use sync_database::dialect::Dialect;
use sync_database::mysql::MySql;
use sync_store::Trouble;
use sync_testbed::{Account, MariaDb, Mysql, Options, Server};

fn account(bench: &mut Bench, name: &str, grants: &[&str]) -> Account {
    bench.server.user_with(name, grants).unwrap()
}

/// Our connection as this account.
fn become_it(bench: &mut Bench, account: &Account) {
    bench.sql = connect(bench.server, &bench.name, account.name(), Some(account.password())).unwrap();
    bench.dialect = MySql::detect(&mut bench.sql).unwrap();
}

fn missing(bench: &mut Bench) -> Vec<String> {
    let schema = bench.schema();
    bench.dialect.missing_privileges(&mut bench.sql, &schema.triggers).unwrap()
}

/// Types what the lines say.
fn follow(bench: &Bench, lines: &[String]) {
    for line in lines {
        let statement = line.split_once(": GRANT ").unwrap().1;
        bench.server.execute(&format!("GRANT {statement}")).unwrap();
    }
}

#[test]
fn an_account_that_may_only_read() {
    each("only_read", |bench| {
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, v INT)"]);
        bench.run(&["CREATE TRIGGER w BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 1"]);
        let grant = format!("SELECT ON `{}`.*", bench.name);
        let account = account(bench, "sync_only_read", &[&grant]);
        become_it(bench, &account);
        // Without the privilege TRIGGER the application's triggers are not even seen.
        let lines = missing(bench);
        let on_database = if bench.is_mysql() { 7 } else { 10 };
        assert_eq!(lines.len(), on_database, "{lines:#?}");
        assert!(
            lines.iter().any(|l| l.starts_with("TRIGGER (") && l.contains("TO 'sync_only_read'@'%'")),
            "{lines:#?}"
        );
        follow(bench, &lines);
        become_it(bench, &account);
        let lines = missing(bench);
        assert!(lines.iter().any(|l| l.contains("trigger w") && l.contains("root@localhost")), "{lines:#?}");
        let error = bench.try_install().unwrap_err();
        assert_eq!(error.trouble, Trouble::Privilege, "{error}");
        follow(bench, &lines);
        if bench.is_mysql() {
            bench.server.execute("GRANT SYSTEM_USER ON *.* TO 'sync_only_read'@'%'").unwrap();
        }
        become_it(bench, &account);
        assert_eq!(missing(bench), Vec::<String>::new());
        bench.install();
        bench.run(&["INSERT INTO t (id) VALUES (1)", "UPDATE t SET id = 2"]);
        assert_eq!(bench.marks("t"), ["insert 1", "delete 1", "insert 2"]);
        let schema = bench.schema();
        bench.dialect.uninstall(&mut bench.sql, &schema).unwrap();
        let left: Vec<String> =
            bench.schema().triggers.into_iter().map(|t| format!("{} {}", t.name, t.definer)).collect();
        assert_eq!(left, ["w root@localhost"]);
    });
}

#[test]
fn all_privileges_on_the_database_are_enough() {
    each("all_on_db", |bench| {
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, v INT)"]);
        let grant = format!("ALL PRIVILEGES ON `{}`.*", bench.name.replace('_', "\\_"));
        let account = account(bench, "sync_all", &[&grant]);
        become_it(bench, &account);
        assert_eq!(missing(bench), Vec::<String>::new());
        bench.install();
        bench.run(&["INSERT INTO t VALUES (1, 1)"]);
        assert_eq!(bench.marks("t"), ["insert 1"]);
    });
}

/// In triggers MariaDB knows no roles, MySQL the default ones.
#[test]
fn rights_that_come_by_a_role() {
    each("by_role", |bench| {
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, v INT)"]);
        let account = account(bench, "sync_by_role", &[]);
        let default = if bench.is_mysql() { "TO" } else { "FOR" };
        bench
            .server
            .execute(&format!(
                "DROP ROLE IF EXISTS helper; CREATE ROLE helper; GRANT ALL ON `{}`.* TO helper; \
                 GRANT helper TO 'sync_by_role'@'%'; SET DEFAULT ROLE helper {default} 'sync_by_role'@'%'",
                bench.name
            ))
            .unwrap();
        become_it(bench, &account);
        let lines = missing(bench);
        assert_eq!(lines.is_empty(), bench.is_mysql(), "{lines:#?}");
        follow(bench, &lines);
        become_it(bench, &account);
        bench.install();
        bench.run(&["INSERT INTO t VALUES (1, 1)"]);
        assert_eq!(bench.marks("t"), ["insert 1"]);
    });
}

#[test]
fn with_the_binary_log_on() {
    let options = || Options::new().binary_log();
    let mysql = Mysql::available().map(|mysql| mysql.start(options()).unwrap());
    let servers = std::iter::once(MariaDb::start(options()).unwrap()).chain(mysql);
    for server in servers {
        let server: &'static Server = Box::leak(Box::new(server));
        let mut bench = Bench::new(server, "logged");
        let bench = &mut bench;
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, v INT)"]);
        let account = account(bench, "sync", &["ALL PRIVILEGES ON `logged`.*"]);
        become_it(bench, &account);
        let lines = missing(bench);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains("log_bin_trust_function_creators = 1") && lines[0].contains("GRANT SUPER"));
        assert_eq!(bench.try_install().unwrap_err().trouble, Trouble::Privilege);
        server.execute("SET GLOBAL log_bin_trust_function_creators = 1").unwrap();
        assert_eq!(missing(bench), Vec::<String>::new());
        bench.install();
        bench.run(&["INSERT INTO t VALUES (1, 1)"]);
        assert_eq!(bench.marks("t"), ["insert 1"]);
        server.execute("SET GLOBAL log_bin_trust_function_creators = 0").unwrap();
        server.execute("GRANT SUPER ON *.* TO sync@'%'").unwrap();
        become_it(bench, &account);
        assert_eq!(missing(bench), Vec::<String>::new());
        server.kill9().unwrap();
    }
}

/// Two sites come to one database, each with an account of its own: its site's owns our triggers, the other leaves them.
#[test]
fn a_guest_leaves_triggers_to_their_owner() {
    each("guest", |bench| {
        bench.run(&["CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE u (id INT PRIMARY KEY)"]);
        bench.install();
        let owners = |bench: &mut Bench| {
            let triggers = bench.schema().triggers.into_iter().map(|t| t.definer);
            triggers.collect::<std::collections::BTreeSet<String>>()
        };
        let owner = owners(bench);
        let visitor = account(bench, "sync_visitor", &[&format!("ALL ON `{}`.*", bench.name)]);
        become_it(bench, &visitor);
        bench.dialect.visit();
        assert_eq!(bench.try_install().unwrap(), Vec::<String>::new());
        assert_eq!(owners(bench), owner);
        // What is wrong is made right by whoever finds it.
        bench.server.execute(&format!("DROP TRIGGER `{}`.server_sync_1_ai", bench.name)).unwrap();
        assert_ne!(bench.try_install().unwrap(), Vec::<String>::new());
        assert_eq!(owners(bench).len(), 2);
        // At home an account makes all its own.
        become_it(bench, &visitor);
        bench.install();
        assert_eq!(owners(bench).len(), 1);
        assert_ne!(owners(bench), owner);
    });
}
