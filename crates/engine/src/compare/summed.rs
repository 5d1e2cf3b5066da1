//! Finding where tables differ of which at least one side is far from its database: the near side says where leaves end,
//! by the keys alone, and then both databases sum the ranges between these ends by themselves. Decides nothing.

use std::ops::Range;

use sync_core::digest::{Node, Span};
use sync_store::{Answer, Method, Question, Scope};

use super::ask::{Questions, Stores, mixed};
use super::{Asked, Progress, SIDES, Side, Traffic, Work, at, confused};
use crate::error::Result;
use crate::report::Watch;

/// Adds the spans of leaves that differ, by table, of the tables that are summed.
pub(super) fn differing(
    stores: &mut Stores,
    works: &mut [Work],
    found: &mut [Vec<Span>],
    traffic: &mut Traffic,
    watch: &mut dyn Watch,
) -> Result<()> {
    let asked = Asked::by(works, Method::Summed);
    if asked.scopes.is_empty() {
        return Ok(());
    }
    let leaves = ends(stores, &asked)?;
    let parts: Vec<Vec<Range<usize>>> = leaves.iter().map(|leaves| parts(leaves)).collect();
    let whole = |(leaves, parts): (&Vec<Node>, &Vec<Range<usize>>)| parts.iter().map(|p| span(leaves, p)).collect();
    let spans = leaves.iter().zip(&parts).map(whole).collect();
    let nodes = sums(stores, works, &asked, spans, traffic, Some(watch))?;
    let mut spans: Vec<Vec<Span>> = Vec::new();
    for (((place, [ours, theirs]), parts), leaves) in asked.places.iter().zip(nodes).zip(&parts).zip(&leaves) {
        let differ = parts.iter().zip(ours.iter().zip(&theirs)).filter(|(_, (a, b))| !is_same(a, b));
        spans.push(differ.flat_map(|(part, _)| part.clone().map(|leaf| span(leaves, &(leaf..leaf + 1)))).collect());
        works[*place].nodes = [ours, theirs];
    }
    let nodes = sums(stores, works, &asked, spans.clone(), traffic, None)?;
    for ((place, spans), [ours, theirs]) in asked.places.iter().zip(spans).zip(nodes) {
        let differ = spans.into_iter().zip(ours.iter().zip(&theirs)).filter(|(_, (a, b))| !is_same(a, b));
        *at(found, *place)? = differ.map(|(span, _)| span).collect();
    }
    Ok(())
}

fn is_same(ours: &Node, theirs: &Node) -> bool {
    (ours.rows, ours.sum) == (theirs.rows, theirs.sum)
}

/// Where the leaves of each table end at the near side.
fn ends(stores: &mut Stores, asked: &Asked) -> Result<Vec<Vec<Node>>> {
    let questions = Questions { master: Question::Ends(asked.scopes.clone()), slave: Question::Ends(Vec::new()) };
    let mut leaves = vec![Vec::new(); asked.scopes.len()];
    mixed(stores, &questions, |_, answer| {
        let Answer::Nodes { scope, nodes, .. } = answer else { return Err(confused()) };
        at(&mut leaves, scope)?.extend(nodes);
        Ok(())
    })?;
    Ok(leaves)
}

/// Leaves that are summed as one at first. Super-leaves would be too large: where differences are spread each holds one, and
/// everything would be summed twice.
const PART: usize = 8;

fn parts(leaves: &[Node]) -> Vec<Range<usize>> {
    (0..leaves.len()).step_by(PART).map(|from| from..leaves.len().min(from + PART)).collect()
}

/// What these leaves cover.
fn span(leaves: &[Node], part: &Range<usize>) -> Span {
    let after = part.start.checked_sub(1).and_then(|before| leaves.get(before)).map(|leaf| leaf.end.clone());
    let upto = part.end.checked_sub(1).and_then(|last| leaves.get(last)).map(|leaf| leaf.end.clone());
    Span { after: after.unwrap_or_default(), upto: upto.unwrap_or_default() }
}

/// One node for each span, of both sides. The first time progress is told, and what is to be looked at in any case.
fn sums(
    stores: &mut Stores,
    works: &mut [Work],
    all: &Asked,
    spans: Vec<Vec<Span>>,
    traffic: &mut Traffic,
    mut watch: Option<&mut dyn Watch>,
) -> Result<Vec<[Vec<Node>; SIDES]>> {
    let mut nodes: Vec<[Vec<Node>; SIDES]> = vec![Default::default(); all.scopes.len()];
    let wanted = spans.into_iter().enumerate().filter(|(_, spans)| !spans.is_empty());
    let (places, scopes): (Vec<usize>, Vec<Scope>) =
        wanted.map(|(i, spans)| (i, Scope { spans, ..all.scopes[i].clone() })).unzip();
    let asked = Asked { places, scopes };
    let mut progress = Progress(vec![(0, 0); all.scopes.len()]);
    asked.mixed(stores, Question::Sums, traffic, |side, answer| {
        match (answer, &mut watch) {
            (Answer::Nodes { scope, nodes: sums, .. }, _) => {
                at(&mut nodes, asked.place(scope)?)?[side as usize].extend(sums);
            }
            (Answer::Begins { scope, about }, _) => progress.begins(asked.place(scope)?, about)?,
            (Answer::Read { scope, rows }, Some(watch)) => {
                progress.read(asked.place(scope)?, &asked.scopes[scope].table, rows, *watch)?;
            }
            (Answer::Aside { scope, rows }, Some(_)) => {
                let place = all.place(asked.place(scope)?)?;
                at(works, place)?.aside[side as usize].extend(rows);
            }
            (Answer::Read { .. } | Answer::Aside { .. }, None) => {}
            _ => return Err(confused()),
        }
        Ok(())
    })?;
    let is_whole = |(scope, place): (&Scope, &usize)| {
        [Side::Master, Side::Slave].iter().all(|side| nodes[*place][*side as usize].len() == scope.spans.len())
    };
    match asked.scopes.iter().zip(&asked.places).all(is_whole) {
        true => Ok(nodes),
        false => Err(confused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_leaves_in_turn() {
        let leaves: Vec<Node> = (1..=20u8).map(|n| Node { end: vec![n], ..Node::default() }).collect();
        let spans: Vec<Span> = parts(&leaves).iter().map(|part| span(&leaves, part)).collect();
        let ends: Vec<(&[u8], &[u8])> = spans.iter().map(|s| (&s.after[..], &s.upto[..])).collect();
        assert_eq!(ends, [(&[][..], &[8][..]), (&[8], &[16]), (&[16], &[20])]);
        assert!(parts(&[]).is_empty());
    }
}
