//! A slice of a table ends where both sides can end: each stopped at a cut of its own behind about so many rows.

use sync_core::digest::{Node, Span};
use sync_store::{Answer, Question, Scope};

use super::ask::{Questions, Stores, mixed};
use super::{SIDES, Side, Traffic, Work, confused};
use crate::error::Result;

/// Makes the sides of each slice end alike.
pub(super) fn align(stores: &mut Stores, works: &mut [Work], traffic: &mut Traffic) -> Result<()> {
    for work in works.iter_mut().filter(|w| w.scope.limit > 0) {
        if !cut_alike(&mut work.nodes) {
            // What is behind the end of the side that stopped waits for the next slice.
            let side = if end_of(&work.nodes[0]).is_empty() { Side::Slave } else { Side::Master };
            let upto = end_of(&work.nodes[side as usize]).to_vec();
            read_again(stores, work, side, upto, traffic)?;
        }
    }
    Ok(())
}

fn end_of(nodes: &[Node]) -> &[u8] {
    nodes.last().map_or(&[], |n| &n.end)
}

/// Cuts both lists at the last end that they have in common; false if they have none.
fn cut_alike(nodes: &mut [Vec<Node>; SIDES]) -> bool {
    let [master, slave] = nodes;
    let place = |node: &Node| slave.iter().rposition(|n| n.end == node.end);
    let Some((ours, theirs)) = master.iter().enumerate().rev().find_map(|(i, n)| Some((i, place(n)?))) else {
        return false;
    };
    master.truncate(ours + 1);
    slave.truncate(theirs + 1);
    true
}

/// Has the other side of `side` read up to where that one stopped.
fn read_again(stores: &mut Stores, work: &mut Work, side: Side, upto: Vec<u8>, traffic: &mut Traffic) -> Result<()> {
    let spans = vec![Span { after: work.after().to_vec(), upto }];
    let scope = Scope { spans, limit: 0, ..work.scope.clone() };
    let (nothing, question) = (Question::Supers(Vec::new()), Question::Supers(vec![scope]));
    let other = if side == Side::Master { Side::Slave } else { Side::Master };
    let questions = match other {
        Side::Master => Questions { master: question, slave: nothing },
        Side::Slave => Questions { master: nothing, slave: question },
    };
    traffic.ask(&questions.slave);
    let mut found = Vec::new();
    mixed(stores, &questions, |side, answer| {
        traffic.hear(side, &answer);
        match answer {
            Answer::Nodes { nodes, .. } => found = nodes,
            Answer::Begins { .. } | Answer::Read { .. } | Answer::Aside { .. } => {}
            _ => return Err(confused()),
        }
        Ok(())
    })?;
    work.nodes[other as usize] = found;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ends: &[u8]) -> Vec<Node> {
        let end = |e: &u8| if *e == 0 { Vec::new() } else { vec![*e] };
        ends.iter().map(|e| Node { end: end(e), rows: 1, sum: 1 }).collect()
    }

    #[test]
    fn both_end_at_the_last_common_end() {
        for (master, slave, end) in [
            (&[1, 2, 3][..], &[1, 2, 4][..], Some(vec![2])),
            (&[1, 0], &[1, 0], Some(vec![])),
            (&[1, 2], &[1, 0], Some(vec![1])),
            (&[0], &[1, 2], None),
        ] {
            let mut both = [nodes(master), nodes(slave)];
            let found = cut_alike(&mut both).then(|| end_of(&both[0]).to_vec());
            assert_eq!(found, end);
            if found.is_some() {
                assert_eq!(end_of(&both[0]), end_of(&both[1]));
            }
        }
    }
}
