//! The CRM on real servers: the schema is valid on both, the data is the same on both, the workload mostly succeeds.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use sync_fixture::{CRM_TABLES, Dialect, Size, Workload};
use sync_testbed::{
    DatabaseDump, MariaDb, Mysql, Server, assert_equal, create_crm, create_load_tables, difference, dump,
    on_both_servers, run_transaction,
};

const SIZE: Size = Size::companies(120);

fn read(server: &Server, database: &str) -> DatabaseDump {
    dump(&mut server.root().unwrap(), database).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_database_on_every_server() {
    let maria = MariaDb::shared().unwrap();
    create_crm(maria, "crm_a", SIZE, 1).unwrap();
    create_crm(maria, "crm_b", SIZE, 1).unwrap();
    create_crm(maria, "crm_c", SIZE, 2).unwrap();
    let base = read(maria, "crm_a");
    for table in CRM_TABLES {
        assert_eq!(base[table].rows.len() as u64, SIZE.of(table), "{table}");
    }
    assert_equal(&base, &read(maria, "crm_b"));
    assert!(difference(&base, &read(maria, "crm_c")).is_some());
    if let Some(mysql) = Mysql::shared().unwrap() {
        create_crm(mysql, "crm_a", SIZE, 1).unwrap();
        assert_equal(&base, &read(mysql, "crm_a"));
    }
}

fn work_on(server: &Server) {
    create_crm(server, "crm_work", SIZE, 3).unwrap();
    create_load_tables(server, "crm_work").unwrap();
    let before = read(server, "crm_work");
    let mut connection = server.root_in("crm_work").unwrap();
    let mut names = BTreeMap::<_, [u32; 2]>::new();
    for transaction in Workload::new(Dialect::Mysql, SIZE, 3, 1).take(2000) {
        let done = run_transaction(&mut connection, &transaction).unwrap();
        names.entry(transaction.name).or_default()[usize::from(done)] += 1;
    }
    let refused: u32 = names.values().map(|counts| counts[0]).sum();
    assert!(refused < 400, "{names:?}");
    assert!(names.values().all(|[_, done]| *done > 0), "{names:?}");
    let after = read(server, "crm_work");
    for table in CRM_TABLES {
        assert_ne!(after[table].rows, before[table].rows, "{table} is untouched");
    }
}

on_both_servers!(the_workload_runs_on_mariadb, the_workload_runs_on_mysql, work_on);
