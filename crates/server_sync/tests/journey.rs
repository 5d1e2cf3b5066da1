//! Whole ways through the program, as two administrators would go them.
#![allow(clippy::unwrap_used)]

mod support;

use support::pair;

#[test]
fn from_nothing_to_two_sites_in_step() {
    let sites = pair();
    sites.lyon.run(&["init-site"]).says(0, &["lyon (number 2) is prepared; synchronised tables: 2"]);
    sites.geneva.run(&["init-site"]).says(0, &["geneva (number 1) is prepared"]);
    // An empty site is filled.
    sites.geneva.run(&[]).says(0, &["lyon: 0 rows received, 2 rows sent"]);
    sites.assert_same();
    // Nothing to do, nothing to say.
    assert_eq!(sites.geneva.run(&[]).expect(0).all(), "exit 0\n");
    // Both sites work.
    sites.geneva.sql("UPDATE customers SET phone='11' WHERE id=1; INSERT INTO notes VALUES (1, 'from geneva')");
    sites.lyon.sql("UPDATE customers SET city='Carouge' WHERE id=1; DELETE FROM customers WHERE id=2");
    sites.geneva.run(&["-v"]).says(0, &["2 rows received, 2 rows sent", "customers: received 2, sent 1"]);
    sites.assert_same();
    assert_eq!(sites.lyon.one("SELECT CONCAT(city, phone) FROM customers"), "Carouge11");
}

#[test]
fn a_conflict_is_kept_shown_and_put_back_everywhere() {
    let sites = pair();
    sites.acquaint();
    // Lyon is later, and within one millisecond its higher number decides.
    sites.geneva.sql("UPDATE customers SET phone='geneva' WHERE id=1");
    sites.lyon.sql("UPDATE customers SET phone='lyon' WHERE id=1");
    sites.geneva.run(&[]).says(3, &["1 conflict, the losing values are kept: server_sync conflicts -vd crm"]);
    sites.assert_same();
    sites.geneva.run(&[]).expect(0);
    // The list is the same at both sites.
    let [at_geneva, at_lyon] = [&sites.geneva, &sites.lyon].map(|s| {
        let said = s.run(&["conflicts", "--json"]).expect(0);
        let entries = said.json("conflict");
        assert_eq!(entries.len(), 1, "{}", said.all());
        entries[0].clone()
    });
    assert_eq!(at_geneva["id"], at_lyon["id"]);
    assert_eq!(at_geneva["winning"][0], "lyon");
    assert_eq!((&at_geneva["loser"]["site"], &at_geneva["losing"][0]), (&"geneva".into(), &"geneva".into()));
    let id = at_geneva["id"].as_str().unwrap();
    sites.geneva.run(&["conflicts"]).says(0, &["customers 1, phone", "lyon", "set aside", &id[..8]]);
    sites.lyon.run(&["conflicts", "show", &id[..6]]).says(0, &["without knowing of each other", "restore"]);
    sites.lyon.run(&["conflicts", "restore", id]).says(0, &["customers 1, phone: put back: geneva"]);
    sites.geneva.run(&[]).says(0, &["received"]);
    sites.assert_same();
    assert_eq!(sites.geneva.one("SELECT phone FROM customers WHERE id=1"), "geneva");
    sites.geneva.run(&["conflicts"]).says(0, &["no conflicts"]);
    sites.geneva.run(&["conflicts", "list", "--all"]).says(0, &["(put back)"]);
    sites.geneva.run(&["conflicts", "restore", "zz"]).says(1, &["no conflict has an id that begins with zz"]);
}

#[test]
fn what_a_constraint_forbids_is_told_and_not_lost() {
    let sites = pair();
    sites.acquaint();
    for (site, id) in [(&sites.geneva, 1), (&sites.lyon, 2)] {
        site.sql("CREATE TABLE badge (id INT PRIMARY KEY, code VARCHAR(9) UNIQUE)");
        site.sql(&format!("INSERT INTO badge VALUES ({id}, 'A')"));
    }
    sites.geneva.run(&[]).says(3, &["not shown as written", "conflicts"]);
    sites.assert_same();
    assert_eq!(sites.lyon.one("SELECT GROUP_CONCAT(id, COALESCE(code, '-') ORDER BY id) FROM badge"), "1A,2-");
    let listed = ["badge 2", "shown with another code", "the other row: badge 1"];
    sites.lyon.run(&["conflicts"]).says(0, &listed);
    let said = sites.geneva.run(&["conflicts", "--json"]).expect(0);
    assert_eq!((&said.json("parked")[0]["kind"], &said.json("parked")[0]["key"][0]), (&"value".into(), &2.into()));
    sites.geneva.run(&["status"]).says(3, &["1 row of badge", "shown with another code"]);
    sites.lyon.run(&["uninstall", "--yes"]).says(25, &["1 row would be lost", "conflicts -vd crm", "-force"]);
    // Whoever has the value lets go of it.
    sites.geneva.sql("UPDATE badge SET code='B' WHERE id=1");
    sites.geneva.run(&[]).expect(0);
    assert_eq!(sites.geneva.one("SELECT code FROM badge WHERE id=2"), "A");
    sites.assert_same();
    sites.lyon.run(&["uninstall", "--yes"]).expect(0);
}

#[test]
fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let sites = pair();
    sites.acquaint();
    sites.geneva.sql("UPDATE customers SET phone='g' WHERE id=1");
    sites.lyon.sql("INSERT INTO notes VALUES (2, 'from lyon')");
    let before =
        (sites.geneva.dump(), sites.lyon.dump(), std::fs::read(sites.geneva.state().join("state.json")).unwrap());
    sites.geneva.run(&["-dry-run"]).says(0, &["1 row would be received, 1 row sent; nothing was written"]);
    let state = std::fs::read(sites.geneva.state().join("state.json")).unwrap();
    assert_eq!((sites.geneva.dump(), sites.lyon.dump(), state), before);
    sites.geneva.run(&[]).says(0, &["1 row received, 1 row sent"]);
    sites.assert_same();
}

#[test]
fn programs_read_json_lines() {
    let sites = pair();
    let said = sites.lyon.run(&["init-site", "-json"]).expect(0);
    assert_eq!(said.json("prepared")[0]["site"], "lyon");
    let round = &sites.geneva.run(&["-json"]).expect(0).json("round")[0];
    assert_eq!((&round["peer"], &round["sent"]["customers"]["inserted"]), (&"lyon".into(), &2.into()));
    assert!(round["time"].as_str().unwrap().ends_with('Z') && round["compared"] == true);
    let status = &sites.geneva.run(&["status", "-json"]).expect(0).json("status")[0];
    assert_eq!((&status["links"][0]["slave"], &status["pending"]), (&"lyon".into(), &0.into()));
    assert!(status["links"][0]["last_success"].is_string() && status["running"].is_null());
    let checks = sites.geneva.run(&["check", "-json"]).expect(0).json("check");
    assert!(checks.iter().all(|c| c["level"] != "error") && checks.len() > 5, "{checks:?}");
    // Trouble is JSON as well.
    let said = sites.geneva.run(&["-json", "conflicts", "show", "none"]).expect(1);
    assert_eq!(said.json("exit_error")[0]["code"], 1);
}

#[test]
fn verify_tells_equal_from_different() {
    let sites = pair();
    sites.geneva.run(&["verify"]).says(10, &["init-site"]);
    sites.acquaint();
    sites.lyon.run(&["verify"]).says(2, &["no slaves", "geneva"]);
    sites.geneva.run(&["verify"]).says(0, &["lyon: 2 tables with 2 rows are equal"]);
    // What the next round sends is no difference.
    sites.geneva.sql("INSERT INTO notes VALUES (1, 'on its way')");
    sites.geneva.run(&["verify"]).says(0, &["equal", "notes: 1 row will be equal after the next round"]);
    // What nobody noted is one.
    sites
        .lyon
        .sql("SET @server_sync_applying=1; UPDATE customers SET city='' WHERE id=1; DELETE FROM customers WHERE id=2");
    let before = (sites.geneva.dump(), sites.lyon.dump());
    sites
        .geneva
        .run(&["verify"])
        .says(3, &["2 rows differ in 1 table", "customers", "1: other values", "2: only here", "-init"]);
    sites.geneva.run(&["verify", "--lang", "fr"]).says(3, &["2 lignes en diff\u{e9}rence", "2 : seulement ici"]);
    let found = &sites.geneva.run(&["verify", "-json"]).expect(3).json("verification")[0];
    let table = &found["tables"]["customers"];
    assert_eq!((&found["equal"], &found["peer"], &table["equal"]), (&false.into(), &"lyon".into(), &false.into()));
    assert_eq!((&table["rows"], &table["peer_rows"]), (&2.into(), &1.into()));
    assert_eq!((&table["differing"], &table["only_here"], &table["only_there"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(table["examples"][0], serde_json::json!({ "key": [1], "kind": "values" }));
    assert_eq!(found["tables"]["notes"]["on_the_way"], 1);
    assert_eq!((sites.geneva.dump(), sites.lyon.dump()), before);
    sites.geneva.run(&["-init", "-v"]).says(3, &["missing at lyon", "1 conflict"]);
    sites.assert_same();
    sites.geneva.run(&["verify"]).expect(0);
    // A table that differs cannot be compared.
    sites.lyon.sql("ALTER TABLE notes ADD COLUMN more INT");
    sites.geneva.run(&["verify"]).says(3, &["1 table could not be compared", "table notes waits"]);
}

#[test]
fn status_and_check_speak_to_people() {
    let sites = pair();
    sites
        .geneva
        .run(&["status"])
        .says(3, &["crm at geneva (number 1)", "lyon: never synchronised yet", "not been prepared"]);
    sites.geneva.run(&["check"]).says(10, &["has not been prepared", "init-site -vd crm"]);
    sites.acquaint();
    sites.geneva.sql("CREATE TABLE heap (a INT)").run(&["check"]).says(
        0,
        &[
            "database: reachable",
            "lyon: reachable and prepared",
            "tables alike: 2",
            "table heap cannot be synchronised",
        ],
    );
    sites.geneva.sql("INSERT INTO notes VALUES (1, 'x')");
    sites.geneva.run(&["status"]).says(0, &["lyon: in step", "changes waiting to be stamped: 1"]);
    sites.lyon.run(&["status"]).says(0, &["rounds are started by geneva"]);
    sites.geneva.run(&["status", "--lang", "fr"]).says(0, &["à geneva (numéro 1)", "modifications à estampiller : 1"]);
}

#[test]
fn a_slave_has_nothing_to_start() {
    let sites = pair();
    sites.lyon.run(&[]).says(0, &["this site is ready; geneva starts the rounds of crm"]);
}

#[test]
fn uninstall_asks_and_leaves_nothing() {
    let sites = pair();
    sites.acquaint();
    let before = sites.geneva.dump();
    sites.geneva.run(&["uninstall"]).says(2, &["there is no terminal", "--yes"]);
    assert!(sites.geneva.objects() > 0);
    sites.geneva.run(&["uninstall", "--yes"]).says(0, &["nothing of server_sync is left"]);
    assert_eq!((sites.geneva.objects(), sites.geneva.dump()), (0, before));
    sites.geneva.sql("INSERT INTO notes VALUES (9, 'still works')");
    sites.geneva.run(&["uninstall", "-force"]).expect(0);
}

#[test]
fn a_site_that_left_is_retired_and_comes_back() {
    let sites = pair();
    sites.acquaint();
    sites.geneva.run(&["status"]).says(0, &["site lyon (number 2): told"]);
    sites.geneva.run(&["retire", "lausanne"]).says(78, &["no site lausanne", "known are: lyon (2)"]);
    sites.geneva.run(&["retire", "1"]).says(78, &["this site"]);
    sites.geneva.run(&["retire", "lyon"]).says(0, &["lyon (number 2) is retired"]);
    sites.geneva.run(&["status"]).says(0, &["site lyon (number 2): retired"]);
    let told = sites.geneva.run(&["status", "--json"]).expect(0).json("status");
    assert_eq!(told[0]["sites"][1]["retired"], true);
    // It was only thought to have left.
    sites.lyon.sql("INSERT INTO notes VALUES (9, 'still here')");
    sites.geneva.run(&[]).expect(0);
    sites.assert_same();
    sites.geneva.run(&["status"]).says(0, &["site lyon (number 2): told"]);
}
