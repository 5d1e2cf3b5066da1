//! Everything that a round refuses: each with its message and exit code, and with nothing touched at either site.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use mysql::prelude::Queryable;
use support::{Pair, Said, Site, pair, pair_on};
use sync_testbed::{Authority, DatabaseDump, Flavour, MariaDb, Mysql, Options, SchemaDump, Server, schema_dump};

/// Runs a round that must be refused; no data may change at either site, whatever there is to do.
#[track_caller]
fn refused(sites: &Pair, code: i32, texts: &[&str]) -> Said {
    sites.geneva.sql("UPDATE customers SET phone='waiting' WHERE id=1");
    sites.lyon.sql("REPLACE INTO notes VALUES (99, 'waiting')");
    let before = (sites.geneva.dump(), sites.lyon.dump());
    let said = sites.geneva.run(&[]).says(code, texts);
    assert_eq!(said.out, "", "a refusal is said on standard error");
    assert!(said.err.lines().count() > 1, "no word of what to do: {}", said.err);
    assert_eq!((sites.geneva.dump(), sites.lyon.dump()), before);
    said
}

#[test]
fn another_version_of_the_application() {
    let sites = pair();
    sites.acquaint();
    sites.lyon.edit("version = \"6.2\"", "version = \"6.3\"").run(&["init-site"]).expect(0);
    refused(&sites, 78, &["the application is version 6.2 at geneva and 6.3 at lyon", "upgrade the older site"]);
    sites.geneva.edit("version = \"6.2\"", "version = \"6.3\"").run(&[]).expect(0);
    sites.assert_same();
}

#[test]
fn a_version_below_the_minimum() {
    let sites = pair();
    sites.acquaint();
    let file = sites.home.path().join("version");
    fs::write(&file, "6.1\n").unwrap();
    let from_file = format!("version_file = \"{}\"\nminimum_version = \"6.2\"", file.display());
    for site in [&sites.geneva, &sites.lyon] {
        site.edit("version = \"6.2\"", &from_file);
    }
    sites.lyon.run(&["init-site"]).expect(0);
    refused(&sites, 78, &["the application is version 6.1, and at least 6.2 is needed", "minimum_version"]);
}

#[test]
fn a_slave_that_is_not_enabled() {
    let sites = pair();
    sites.acquaint();
    let master = fs::read_to_string(sites.geneva.settings()).unwrap();
    let link = &master[master.find("[[master]]").unwrap()..];
    let elsewhere = link.replace("slave = \"lyon\"", "slave = \"bern\"").replace("lyon_", "bern_");
    sites.lyon.edit("enabled = true", "enabled = false").append(&elsewhere).run(&["init-site"]).expect(0);
    refused(&sites, 78, &["the slave mode is not enabled at lyon", "at lyon, set enabled = true"]);
}

#[test]
fn a_slave_that_expects_another_master() {
    let sites = pair();
    sites.acquaint();
    sites.lyon.edit("masters = [\"geneva\"]", "masters = [\"paris\"]").run(&["init-site"]).expect(0);
    refused(&sites, 78, &["lyon expects the master paris, not geneva", "add \"geneva\" to masters"]);
}

#[test]
fn another_site_than_expected() {
    let sites = pair();
    sites.acquaint();
    sites.geneva.edit("slave = \"lyon\"", "slave = \"bern\"");
    refused(&sites, 78, &["the settings expect the slave bern, but the database belongs to site lyon"]);
    sites.geneva.edit("slave = \"bern\"", "slave = \"lyon\"\nremote_vd = \"shop\"");
    refused(&sites, 78, &["the settings expect the virtual desktop shop at lyon, but it is crm"]);
}

#[test]
fn the_same_number_or_name_twice() {
    let sites = pair();
    sites.lyon.edit("site_number = 2", "site_number = 1").run(&["init-site"]).expect(0);
    refused(&sites, 78, &["geneva and lyon both have site number 1", "a number of its own"]);
}

#[test]
fn a_site_that_was_not_prepared() {
    let sites = pair();
    refused(&sites, 10, &["lyon: the database has not been prepared", "run `server_sync init-site -vd crm` at lyon"]);
}

#[test]
fn a_server_that_does_not_answer() {
    let sites = pair();
    sites.acquaint();
    let port = format!("port = {}", sites.lyon.server.port());
    let text = fs::read_to_string(sites.geneva.settings()).unwrap();
    let (own, master) = text.split_at(text.find("[[master]]").unwrap());
    fs::write(sites.geneva.settings(), own.to_owned() + &master.replace(&port, "port = 1")).unwrap();
    refused(&sites, 20, &["cannot reach the database", "127.0.0.1:1", "check that the server runs"]);
    sites.geneva.run(&["status"]).says(3, &["failing since", "cannot reach the database"]);
}

#[test]
fn a_wrong_password() {
    let sites = pair();
    sites.acquaint();
    let file = sites.geneva.config().join("lyon.password");
    let password = fs::read_to_string(&file).unwrap();
    fs::write(&file, "not-the-password").unwrap();
    let said = refused(&sites, 12, &["refused the login of", "check user and password_file"]);
    assert!(!said.all().contains(&password) && !said.all().contains("not-the-password"));
}

#[test]
fn a_database_that_is_not_there() {
    let sites = pair();
    sites.acquaint();
    let text = fs::read_to_string(sites.geneva.settings()).unwrap();
    let name = format!("name = \"{}\"", sites.lyon.database);
    fs::write(sites.geneva.settings(), text.replace(&name, "name = \"nowhere\"")).unwrap();
    refused(&sites, 78, &["cannot use the database nowhere", "GRANT"]);
}

#[test]
fn encryption_that_is_required_and_not_offered() {
    let sites = pair();
    sites.acquaint();
    let text = fs::read_to_string(sites.geneva.settings()).unwrap();
    let (own, master) = text.split_at(text.find("[[master]]").unwrap());
    let required = own.to_owned() + &master.replace("tls = \"off\"", "tls = \"required\"");
    fs::write(sites.geneva.settings(), required).unwrap();
    refused(&sites, 12, &["offers no TLS", "enable TLS on the server"]);
}

#[test]
fn a_certificate_of_somebody_else() {
    let (right, wrong) = (Authority::new("right").unwrap(), Authority::new("wrong").unwrap());
    let server = MariaDb::start(Options::new().tls(&right)).unwrap();
    let sites = pair_on(MariaDb::shared().unwrap(), &server);
    sites.acquaint();
    let ca = |name: &str, authority: &Authority| {
        let file = sites.home.path().join(name);
        authority.write_certificate(&file).unwrap();
        format!("tls = \"required\"\nca_file = \"{}\"", file.display())
    };
    let text = fs::read_to_string(sites.geneva.settings()).unwrap();
    let (own, master) = text.split_at(text.find("[[master]]").unwrap());
    let with = |ca: &str| fs::write(sites.geneva.settings(), own.to_owned() + &master.replace("tls = \"off\"", ca));
    with(&ca("wrong.pem", &wrong)).unwrap();
    refused(&sites, 12, &["certificate", "is not trusted", "set ca_file"]);
    with("tls = \"required\"").unwrap();
    refused(&sites, 12, &["certificate", "is not trusted"]);
    with(&ca("right.pem", &right)).unwrap();
    sites.geneva.run(&[]).expect(0);
    sites.assert_same();
}

/// The kinds of server there are.
fn servers() -> Vec<&'static Server> {
    std::iter::once(MariaDb::shared().unwrap()).chain(Mysql::shared().unwrap()).collect()
}

/// Everything that a database is and holds, marks and whatever else is ours included.
fn everything(site: &Site) -> (SchemaDump, DatabaseDump, String) {
    let names: Vec<String> = site.app().query("SHOW TABLES LIKE 'server\\_sync\\_%'").unwrap();
    let counts: Vec<String> =
        names.iter().map(|n| format!("{n}: {}", site.one(&format!("SELECT COUNT(*) FROM {n}")))).collect();
    (schema_dump(&mut site.app(), &site.database).unwrap(), site.dump(), counts.join("\n"))
}

/// What the message says to type, each GRANT once.
fn to_type(said: &Said) -> Vec<String> {
    let all = said.all();
    let grants = all.lines().filter_map(|line| Some(format!("GRANT {}", line.split_once(": GRANT ")?.1.trim_end())));
    let mut grants: Vec<String> = grants.collect();
    grants.dedup();
    grants
}

/// At Geneva the commands refuse, name these privileges of an account at `there` with what to type, and touch nothing
/// there. Says what to type.
#[track_caller]
fn lacking(sites: &Pair, commands: &[&[&str]], there: &Site, account: &str, privileges: &[&str]) -> Vec<String> {
    let before = everything(there);
    let mut typed = Vec::new();
    for command in commands {
        let said = sites.geneva.run(command).says(12, &["lacks", account]);
        typed = to_type(&said);
        let named: Vec<&str> = typed.iter().map(|grant| &grant["GRANT ".len()..grant.find(" ON ").unwrap()]).collect();
        assert_eq!(named, privileges, "{command:?}: {}", said.all());
        assert!(typed.iter().all(|g| g.contains(account)), "{typed:?}");
        assert!(everything(there) == before, "{command:?} touched something");
    }
    typed
}

fn type_all(server: &Server, grants: &[String]) {
    grants.iter().for_each(|grant| server.execute(grant).unwrap());
}

const OWN: &[&[&str]] = &[&["init-site"], &["check"], &[]];

/// All that is needed beside reading; MariaDB needs a procedure of ours.
fn beside_select(server: &Server) -> Vec<&'static str> {
    let routines: &[&str] = match server.flavour() {
        Flavour::MariaDb => &["CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE"],
        Flavour::Mysql => &[],
    };
    [&["INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "TRIGGER"], routines].concat()
}

#[test]
fn missing_privileges_are_named_with_what_to_type() {
    for server in servers() {
        let sites = pair_on(server, server);
        sites.lyon.run(&["init-site"]).expect(0);
        let (database, account) = (&sites.geneva.database, sites.geneva.account.name());
        server.execute(&format!("REVOKE ALL ON `{database}`.* FROM '{account}'@'%'")).unwrap();
        // The version is asked of the database, which takes a privilege too. One right lets the account in.
        sites.geneva.edit("version = \"6.2\"", "version_query = \"SELECT '6.2' FROM customers LIMIT 1\"");
        server.execute(&format!("GRANT CREATE VIEW ON `{database}`.* TO '{account}'@'%'")).unwrap();
        let grants = lacking(&sites, OWN, &sites.geneva, account, &[&["SELECT"], &beside_select(server)[..]].concat());
        assert_eq!(sites.geneva.objects(), 0);
        type_all(server, &grants);
        sites.geneva.run(&["init-site"]).expect(0);
        sites.geneva.run(&["check"]).expect(0);
        sites.geneva.run(&[]).expect(0);
        sites.assert_same();
    }
}

/// Of a site that was prepared, and of which somebody took rights away.
#[test]
fn privileges_that_were_taken_away() {
    for server in servers() {
        let sites = pair_on(server, server);
        sites.acquaint();
        let (database, account) = (&sites.geneva.database, sites.geneva.account.name());
        sites.geneva.sql("UPDATE customers SET phone='waiting' WHERE id=1");
        server.execute(&format!("REVOKE DELETE, ALTER ON `{database}`.* FROM '{account}'@'%'")).unwrap();
        let grants = lacking(&sites, OWN, &sites.geneva, account, &["DELETE", "ALTER"]);
        type_all(server, &grants);
        sites.geneva.run(&[]).expect(0);
        sites.assert_same();
        assert_eq!(sites.lyon.one("SELECT phone FROM customers WHERE id=1"), "waiting");
    }
}

/// The account that the master uses at the slave is another than the slave's own.
#[test]
fn privileges_that_are_missing_at_the_other_site() {
    for server in servers() {
        let sites = pair_on(server, server);
        sites.acquaint();
        sites.geneva.sql("DELETE FROM customers WHERE id=2");
        let visitor = server.user_with("visitor", &[&format!("SELECT ON `{}`.*", sites.lyon.database)]).unwrap();
        sites.geneva.edit(sites.lyon.account.name(), "visitor");
        fs::write(sites.geneva.config().join("lyon.password"), visitor.password()).unwrap();
        let grants = lacking(&sites, &[&["check"], &[]], &sites.lyon, "visitor", &beside_select(server));
        sites.geneva.run(&[]).says(12, &["lyon: the database account lacks privileges"]);
        type_all(server, &grants);
        sites.geneva.run(&["check"]).expect(0);
        sites.geneva.run(&[]).expect(0);
        sites.assert_same();
        assert_eq!(sites.lyon.one("SELECT COUNT(*) FROM customers"), "1");
    }
}

/// A trigger of another account takes a right on the whole server, which only shows to those who may see triggers.
#[test]
fn privileges_for_triggers_of_the_application() {
    for server in servers() {
        let sites = pair_on(server, server);
        sites.lyon.run(&["init-site"]).expect(0);
        let (database, account) = (&sites.geneva.database, sites.geneva.account.name());
        server.user_with("owner", &[&format!("ALL ON `{database}`.*")]).unwrap();
        sites.geneva.sql(
            "CREATE DEFINER='owner'@'%' TRIGGER upper BEFORE INSERT ON notes FOR EACH ROW SET NEW.text=UPPER(NEW.text)",
        );
        let (privilege, locks): (_, &[&str]) = match server.flavour() {
            Flavour::MariaDb => ("SET USER", &[]),
            Flavour::Mysql => ("SET_ANY_DEFINER", &["LOCK TABLES"]),
        };
        type_all(server, &lacking(&sites, OWN, &sites.geneva, account, &[privilege]));
        sites.geneva.run(&["init-site"]).expect(0);
        server.execute(&format!("REVOKE TRIGGER, LOCK TABLES ON `{database}`.* FROM '{account}'@'%'")).unwrap();
        type_all(server, &lacking(&sites, OWN, &sites.geneva, account, &["TRIGGER"]));
        if !locks.is_empty() {
            type_all(server, &lacking(&sites, OWN, &sites.geneva, account, locks));
        }
        sites.geneva.sql("INSERT INTO notes VALUES (1, 'a')").run(&[]).expect(0);
        sites.assert_same();
        assert_eq!(sites.lyon.one("SELECT text FROM notes"), "A");
    }
}

#[test]
fn only_a_table_that_differs_waits() {
    let sites = pair();
    sites.acquaint();
    sites.lyon.sql("ALTER TABLE notes ADD COLUMN colour VARCHAR(10); INSERT INTO notes VALUES (1, 'x', 'red')");
    sites.geneva.sql("UPDATE customers SET phone='33' WHERE id=1; INSERT INTO notes VALUES (2, 'y')");
    let differs = "table notes waits: its definition differs";
    sites.geneva.run(&[]).says(3, &[differs, "it goes on by itself once both are equal"]);
    assert_eq!(sites.lyon.one("SELECT phone FROM customers WHERE id=1"), "33");
    assert_eq!(sites.geneva.one("SELECT COUNT(*) FROM notes"), "1");
    sites.geneva.run(&["status"]).says(3, &[differs]);
    sites.geneva.run(&["check"]).says(3, &[differs]);
    sites.geneva.sql("ALTER TABLE notes ADD COLUMN colour VARCHAR(10)");
    sites.geneva.run(&[]).expect(0);
    sites.assert_same();
    assert_eq!(sites.geneva.one("SELECT COUNT(*) FROM notes"), "2");
}

#[test]
fn a_clock_that_is_an_hour_off() {
    let server = MariaDb::start(Options::new().clock("+3600s")).unwrap();
    let sites = pair_on(MariaDb::shared().unwrap(), &server);
    sites.lyon.run(&["init-site"]).expect(0);
    refused(&sites, 25, &["the clocks of geneva and lyon differ by", "(lyon is ahead)", "at most 5m is allowed"]);
    sites.lyon.run(&["check"]).says(0, &["clock: that of the database server differs"]);
}

#[test]
fn a_mass_deletion() {
    let sites = pair();
    let rows: Vec<String> = (100..400).map(|n| format!("({n}, 'n')")).collect();
    sites.geneva.sql(&format!("INSERT INTO notes VALUES {}", rows.join(",")));
    sites.acquaint();
    sites.lyon.sql("DELETE FROM notes");
    let before = sites.geneva.dump();
    sites.geneva.run(&[]).says(25, &["lyon deleted 300 of 300 rows of notes", "run once with -force"]);
    assert_eq!(sites.geneva.dump(), before);
    sites.geneva.run(&["-force"]).expect(0);
    sites.assert_same();
}

#[test]
fn settings_that_are_wrong_or_exposed() {
    let sites = pair();
    sites.geneva.edit("period = \"1s\"", "perid = \"1s\"");
    sites
        .geneva
        .run(&[])
        .says(78, &["crm.toml:22:1: `master[0].perid` is not a known setting", "did you mean `period`?"]);
    sites.geneva.edit("perid = \"1s\"", "period = \"1s\"");
    let file = sites.geneva.config().join("lyon.password");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    for verb in [&[][..], &["check"], &["init-site"]] {
        sites.geneva.run(verb).says(78, &["`master[0].database.password_file` is readable", "chmod 0640"]);
    }
    assert_eq!(sites.geneva.objects(), 0);
}
