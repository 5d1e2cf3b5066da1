use sync_core::{Incarnation, Position, SiteId, Source, StoreId};
use sync_store::SlaveSettings;

use super::*;

fn table(name: &str, definition: &[&str]) -> TableInfo {
    let definition: Vec<String> = definition.iter().map(|d| (*d).to_owned()).collect();
    TableInfo {
        name: name.into(),
        fingerprint: definition.join("\n"),
        definition,
        key: Vec::new(),
        sums: None,
        status: TableStatus::Synchronised,
    }
}

pub(crate) fn site(number: u64, name: &str) -> Description {
    Description {
        site: SiteId::new(number).unwrap(),
        site_name: name.into(),
        vd: "crm".into(),
        vd_version: "2.10".into(),
        product_version: "0.1.0".into(),
        protocol: 1,
        source: Source { store: StoreId(number.into()), incarnation: Incarnation(1) },
        head: Position::default(),
        role: Role::Slave(SlaveSettings { masters: vec!["geneva".into()] }),
        clock_micros: 1_700_000_000_000_000,
        clock_uncertainty_micros: 500,
        upgrading: false,
        restoring: false,
        epochs: Vec::new(),
        far: false,
        tables: vec![table("deals", &["id int not null", "key (id)"])],
        suspect: Vec::new(),
        warnings: Vec::new(),
    }
}

fn expected() -> Expectation {
    Expectation {
        slave: "lyon".into(),
        remote_vd: "crm".into(),
        minimum: Some("2.9".parse().unwrap()),
        max_clock_difference: Duration::from_secs(300),
    }
}

/// The master's and the slave's description, and what is expected.
type Case = (Description, Description, Expectation);

fn fitting() -> Case {
    (site(1, "geneva"), site(2, "lyon"), expected())
}

fn refused(change: impl FnOnce(&mut Case)) -> EngineError {
    let mut case = fitting();
    change(&mut case);
    check(&case.0, &case.1, &case.2).unwrap_err()
}

#[test]
fn what_fits_is_agreed() {
    let (local, remote, expected) = fitting();
    let agreement = check(&local, &remote, &expected).unwrap();
    assert_eq!(agreement, Agreement { tables: vec!["deals".into()], ..Agreement::default() });
}

/// What is changed, and what the message and the hint then say.
struct Refusal {
    name: &'static str,
    change: fn(&mut Case),
    kind: Kind,
    message: &'static str,
    hint: &'static str,
}

const HOUR: i64 = 3_600_000_000;

const REFUSALS: &[Refusal] = &[
    Refusal {
        name: "another program",
        change: |c| c.1.product_version = "0.2.0".into(),
        kind: Kind::Configuration,
        message: "server_sync is 0.1.0 (protocol 1) at geneva and 0.2.0 (protocol 1) at lyon",
        hint: "install the same version",
    },
    Refusal {
        name: "another protocol",
        change: |c| c.0.protocol = 2,
        kind: Kind::Configuration,
        message: "server_sync is 0.1.0 (protocol 2) at geneva and 0.1.0 (protocol 1) at lyon",
        hint: "install the same version",
    },
    Refusal {
        name: "another slave",
        change: |c| c.1.site_name = "bern".into(),
        kind: Kind::Configuration,
        message: "expect the slave lyon, but the database belongs to site bern",
        hint: "[[master]]",
    },
    Refusal {
        name: "another virtual desktop",
        change: |c| c.1.vd = "shop".into(),
        kind: Kind::Configuration,
        message: "expect the virtual desktop crm at lyon, but it is shop",
        hint: "remote_vd",
    },
    Refusal {
        name: "not a slave",
        change: |c| c.1.role = Role::NotSlave,
        kind: Kind::Configuration,
        message: "the slave mode is not enabled at lyon",
        hint: "masters = [\"geneva\"]",
    },
    Refusal {
        name: "another master",
        change: |c| c.1.role = Role::Slave(SlaveSettings { masters: vec!["bern".into(), "rome".into()] }),
        kind: Kind::Configuration,
        message: "lyon expects the master bern or rome, not geneva",
        hint: "add \"geneva\" to masters",
    },
    Refusal {
        name: "one store",
        change: |c| c.1.source = c.0.source,
        kind: Kind::Configuration,
        message: "both sides are the same store (geneva and lyon)",
        hint: "check host and name",
    },
    Refusal {
        name: "one number",
        change: |c| c.1.site = c.0.site,
        kind: Kind::Configuration,
        message: "geneva and lyon both have site number 1",
        hint: "site_number",
    },
    Refusal {
        name: "one name",
        change: |c| {
            c.0.site_name = "lyon".into();
            c.1.role = Role::Slave(SlaveSettings { masters: vec!["lyon".into()] });
        },
        kind: Kind::Configuration,
        message: "both sites are called lyon",
        hint: "a name of its own",
    },
    Refusal {
        name: "another version of the application",
        change: |c| c.1.vd_version = "2.11".into(),
        kind: Kind::Configuration,
        message: "the application is version 2.10 at geneva and 2.11 at lyon",
        hint: "upgrade the older site",
    },
    Refusal {
        name: "too old a version",
        change: |c| {
            c.0.vd_version = "2.8".into();
            c.1.vd_version = "2.8".into();
        },
        kind: Kind::Configuration,
        message: "the application is version 2.8, and at least 2.9 is needed",
        hint: "minimum_version",
    },
    Refusal {
        name: "a clock ahead by an hour",
        change: |c| c.1.clock_micros += HOUR,
        kind: Kind::Halt,
        message: "the clocks of geneva and lyon differ by 1h (lyon is ahead); at most 5m is allowed",
        hint: "timedatectl",
    },
    Refusal {
        name: "a clock behind by an hour",
        change: |c| c.1.clock_micros -= HOUR,
        kind: Kind::Halt,
        message: "(geneva is ahead)",
        hint: "timedatectl",
    },
];

#[test]
fn every_refusal_names_both_values_and_what_to_do() {
    for refusal in REFUSALS {
        let error = refused(refusal.change);
        let hint = error.hint.clone().unwrap_or_default();
        assert_eq!(error.kind, refusal.kind, "{}", refusal.name);
        assert!(error.message.contains(refusal.message), "{}: {}", refusal.name, error.message);
        assert!(hint.contains(refusal.hint), "{}: {hint}", refusal.name);
    }
}

#[test]
fn an_upgrade_at_either_site_keeps_rounds_away() {
    for (at_master, name) in [(true, "geneva"), (false, "lyon")] {
        let (mut local, mut remote, _) = fitting();
        assert!(upgrades(&local, &remote).is_ok());
        (if at_master { &mut local } else { &mut remote }).upgrading = true;
        let error = upgrades(&local, &remote).unwrap_err();
        assert_eq!(error.kind, Kind::Locked);
        assert!(error.message.contains(&format!("being upgraded at {name}")), "{}", error.message);
    }
}

#[test]
fn versions_compare_as_numbers() {
    let mut case = fitting();
    case.2.minimum = Some("2.10".parse().unwrap());
    assert!(check(&case.0, &case.1, &case.2).is_ok());
    case.2.minimum = Some("2.10.1".parse().unwrap());
    assert!(check(&case.0, &case.1, &case.2).is_err());
    case.2.minimum = None;
    (case.0.vd_version, case.1.vd_version) = ("not a version!".into(), "not a version!".into());
    assert!(check(&case.0, &case.1, &case.2).is_ok(), "equal texts are enough where no minimum is set");
}

#[test]
fn clocks_may_differ_by_the_bound_and_by_what_reading_them_took() {
    let at = |difference: i64, uncertainty: i64| {
        let mut case = fitting();
        case.1.clock_micros += difference;
        case.1.clock_uncertainty_micros = uncertainty;
        check(&case.0, &case.1, &case.2).is_ok()
    };
    assert!(at(300_000_000, 0) && at(-300_000_000, 0));
    assert!(!at(301_000_000, 0));
    assert!(at(301_000_000, 2_000_000));
}

#[test]
fn only_the_table_that_differs_is_paused() {
    let (mut local, mut remote, expected) = fitting();
    local.tables.push(table("tags", &["id int", "name text"]));
    remote.tables.push(table("tags", &["id int", "name varchar(20)"]));
    let agreement = check(&local, &remote, &expected).unwrap();
    assert_eq!(agreement.tables, ["deals"]);
    assert_eq!(agreement.held, ["tags"]);
    assert_eq!(agreement.paused.len(), 1);
    let reason = &agreement.paused[0].reason;
    assert!(reason.contains("\"name text\" at geneva and \"name varchar(20)\" at lyon"), "{reason}");
}

#[test]
fn a_column_more_is_named() {
    let (mut local, remote, expected) = fitting();
    local.tables[0] = table("deals", &["id int not null", "city text", "key (id)"]);
    let agreement = check(&local, &remote, &expected).unwrap();
    assert!(agreement.paused[0].reason.contains("\"city text\" at geneva"), "{}", agreement.paused[0].reason);
}

#[test]
fn a_table_of_one_side_waits() {
    for at_master in [true, false] {
        let (mut local, mut remote, expected) = fitting();
        let side = if at_master { &mut local } else { &mut remote };
        side.tables.push(table("city", &["id int"]));
        let agreement = check(&local, &remote, &expected).unwrap();
        let (here, there) = if at_master { ("geneva", "lyon") } else { ("lyon", "geneva") };
        assert_eq!(agreement.held, ["city"]);
        assert!(agreement.paused[0].reason.contains(&format!("it is at {here} and not at {there}")));
    }
}

#[test]
fn what_is_refused_or_left_out_at_one_side_takes_no_part() {
    for (status, refused) in [(TableStatus::Refused("it has no key".into()), 1), (TableStatus::Excluded, 0)] {
        for at_master in [true, false] {
            let (mut local, mut remote, expected) = fitting();
            let side = if at_master { &mut local } else { &mut remote };
            side.tables[0].status = status.clone();
            let agreement = check(&local, &remote, &expected).unwrap();
            assert_eq!((agreement.tables.len(), agreement.paused.len(), agreement.refused.len()), (0, 0, refused));
            assert_eq!(agreement.held, ["deals"]);
        }
    }
}
