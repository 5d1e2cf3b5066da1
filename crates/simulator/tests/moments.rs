//! A first contact, and an application that writes at each of its moments in turn: to a row from before that another site has
//! otherwise, and that came here from a third one.
#![allow(clippy::unwrap_used, clippy::panic)]

use simulator::scenario::{Manner, Operation, Side, Step, Transaction};
use simulator::{Scenario, run};

fn transaction(operation: Operation) -> Transaction {
    Transaction { operations: vec![operation], rollback: false, late: false }
}

fn round(link: usize, meanwhile: Vec<(Side, u32, Transaction)>) -> Step {
    Step::Round { link, manner: Manner::Plain, fault: None, meanwhile, pieces: None, twice: false }
}

/// The first and the last of three sites have one row, the one in the middle gets the first one's, and meets the last one then.
fn contact(is_master: bool, side: Side, statement: u32, operation: Operation) -> Scenario {
    let row = |key, salt| transaction(Operation::Insert { table: 0, key, salt });
    Scenario {
        sites: 3,
        founders: 3,
        links: vec![(0, 1), if is_master { (1, 2) } else { (2, 1) }],
        skews: vec![0; 3],
        before: vec![(Some(0), row(4, 1)), (Some(2), row(4, 2)), (Some(2), row(5, 1))],
        early_ids: false,
        constraints: false,
        tells: None,
        steps: vec![round(0, Vec::new()), round(1, vec![(side, statement, transaction(operation))])],
    }
}

/// Runs it with the write before each statement of the round, until there is none more. Returns how many there were.
fn at_each_moment(is_master: bool, side: Side, operation: Operation) -> u32 {
    for statement in 0.. {
        let (outcome, trace) = run(&contact(is_master, side, statement, operation), None, true);
        if let Err(failure) = outcome {
            panic!("{operation:?} at the {side:?} before statement {statement}: {failure}\n{}", trace.join("\n"));
        }
        if !trace.iter().any(|line| line.contains("meanwhile at")) {
            return statement;
        }
    }
    unreachable!()
}

fn at_both_sides(is_master: bool, operation: Operation) {
    for side in [Side::Master, Side::Slave] {
        let moments = at_each_moment(is_master, side, operation);
        assert!(moments > 30, "{moments} at the {side:?}");
    }
}

const UPDATE: Operation = Operation::Update { table: 0, pick: 0, columns: 1, salt: 1 };

#[test]
fn a_cell_is_written_and_the_site_in_the_middle_begins() {
    at_both_sides(true, UPDATE);
}

#[test]
fn a_cell_is_written_and_the_other_site_begins() {
    at_both_sides(false, UPDATE);
}

#[test]
fn the_row_is_replaced() {
    at_both_sides(true, Operation::Again { table: 0, pick: 0, salt: 1 });
}
