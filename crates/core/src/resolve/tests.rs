use proptest::prelude::*;

use super::*;
use crate::stamp::SiteId;
use crate::value::Value;

fn name(n: i64) -> Name {
    (1, RowId::of(&[Value::Int(n)]))
}

fn at(millis: u64) -> Stamp {
    Stamp::at(millis, SiteId::new(1).unwrap())
}

fn live(n: i64) -> Fact {
    Fact { name: name(n), is_live: true, has_values: true, blocked: false, claims: Vec::new(), references: Vec::new() }
}

fn dead(n: i64) -> Fact {
    Fact { is_live: false, ..live(n) }
}

fn refers(parent: impl Into<Option<usize>>, rule: Rule) -> Reference {
    Reference { parent: parent.into(), rule, tree: None }
}

fn claims(value: usize, millis: u64, can_yield: bool) -> Claim {
    Claim { value, stamp: at(millis), can_yield, void_without: Vec::new() }
}

fn with(fact: Fact, references: &[Reference]) -> Fact {
    Fact { references: references.to_vec(), ..fact }
}

fn claiming(fact: Fact, claims: &[Claim]) -> Fact {
    Fact { claims: claims.to_vec(), ..fact }
}

fn nulled(places: &[usize]) -> Verdict {
    Verdict::Shown { nulled: places.to_vec(), yielded: Vec::new() }
}

fn yielded(places: &[(usize, usize)]) -> Verdict {
    Verdict::Shown { nulled: Vec::new(), yielded: places.to_vec() }
}

const PARENT: Verdict = Verdict::Parked(Reason::Parent(0));

#[test]
fn what_is_allowed_is_shown_whole() {
    let facts =
        [live(1), with(live(2), &[refers(0, Rule::Cascade)]), claiming(live(3), &[claims(1, 5, false)]), dead(4)];
    assert_eq!(resolve(&facts), [Verdict::WHOLE, Verdict::WHOLE, Verdict::WHOLE, Verdict::Gone]);
}

#[test]
fn a_deleted_parent_under_each_rule() {
    for (rule, parent, child) in [
        (Rule::Restrict, Verdict::WHOLE, Verdict::WHOLE),
        (Rule::Cascade, Verdict::Gone, PARENT),
        (Rule::SetNull, Verdict::Gone, nulled(&[0])),
    ] {
        let facts = [dead(1), with(live(2), &[refers(0, rule)])];
        assert_eq!(resolve(&facts), [parent, child], "{rule:?}");
    }
}

#[test]
fn a_parent_that_has_not_arrived_is_waited_for() {
    for rule in [Rule::Restrict, Rule::Cascade, Rule::SetNull] {
        assert_eq!(resolve(&[with(live(2), &[refers(None, rule)])]), [PARENT], "{rule:?}");
    }
    let unknown = Fact { has_values: false, ..dead(1) };
    assert_eq!(resolve(&[unknown, with(live(2), &[refers(0, Rule::Restrict)])]), [Verdict::Gone, PARENT]);
}

#[test]
fn who_stays_takes_its_own_parents_along() {
    let facts = [
        dead(1),
        with(dead(2), &[refers(0, Rule::Restrict)]),
        with(live(3), &[refers(1, Rule::Restrict)]),
        with(dead(4), &[refers(0, Rule::Restrict)]),
    ];
    assert_eq!(resolve(&facts), [Verdict::WHOLE, Verdict::WHOLE, Verdict::WHOLE, Verdict::Gone]);
}

#[test]
fn a_cascade_goes_through_all_levels() {
    let facts = [
        dead(1),
        with(live(2), &[refers(0, Rule::Cascade)]),
        with(live(3), &[refers(1, Rule::Cascade)]),
        with(live(4), &[refers(2, Rule::SetNull)]),
    ];
    assert_eq!(resolve(&facts), [Verdict::Gone, PARENT, PARENT, nulled(&[0])]);
}

#[test]
fn rows_that_refer_to_each_other_stand_together() {
    let pair = |a: Fact, b: Fact| [with(a, &[refers(1, Rule::Cascade)]), with(b, &[refers(0, Rule::Cascade)])];
    assert_eq!(resolve(&pair(live(1), live(2))), [Verdict::WHOLE, Verdict::WHOLE]);
    assert_eq!(resolve(&pair(live(1), dead(2))), [PARENT, Verdict::Gone]);
    assert_eq!(resolve(&[with(live(1), &[refers(0, Rule::Restrict)])]), [Verdict::WHOLE]);
}

#[test]
fn the_earliest_claim_has_the_value() {
    let facts = [
        claiming(live(1), &[claims(7, 30, true)]),
        claiming(live(2), &[claims(7, 10, true)]),
        claiming(live(3), &[claims(7, 20, false)]),
    ];
    let parked = Verdict::Parked(Reason::Claim(0, 1));
    assert_eq!(resolve(&facts), [yielded(&[(0, 1)]), Verdict::WHOLE, parked]);
}

#[test]
fn equal_claims_are_told_apart_by_the_row() {
    let facts = [claiming(live(9), &[claims(7, 10, true)]), claiming(live(2), &[claims(7, 10, true)])];
    assert_eq!(resolve(&facts), [yielded(&[(0, 1)]), Verdict::WHOLE]);
}

#[test]
fn who_is_not_there_claims_nothing() {
    let orphan = claiming(with(live(1), &[refers(2, Rule::Cascade)]), &[claims(7, 10, true)]);
    let facts = [orphan, claiming(live(2), &[claims(7, 20, true)]), dead(3)];
    assert_eq!(resolve(&facts), [PARENT, Verdict::WHOLE, Verdict::Gone]);
}

#[test]
fn who_is_blocked_takes_its_children_along() {
    let facts = [
        Fact { blocked: true, ..claiming(live(1), &[claims(7, 10, true)]) },
        claiming(with(live(2), &[refers(0, Rule::Cascade)]), &[claims(7, 20, true)]),
        claiming(live(3), &[claims(7, 30, true)]),
    ];
    assert_eq!(resolve(&facts), [Verdict::Parked(Reason::Blocked), PARENT, Verdict::WHOLE]);
}

#[test]
fn a_claim_that_holds_a_nulled_reference_is_void() {
    let member = Claim { void_without: vec![0], ..claims(7, 10, false) };
    let facts = [
        claiming(with(live(1), &[refers(2, Rule::SetNull)]), &[member]),
        claiming(live(2), &[claims(7, 20, false)]),
        dead(3),
    ];
    assert_eq!(resolve(&facts), [nulled(&[0]), Verdict::WHOLE, Verdict::Gone]);
}

#[test]
fn what_refers_to_a_row_that_lost_its_place_goes_with_it() {
    let facts = [
        claiming(live(1), &[claims(7, 10, false)]),
        claiming(live(2), &[claims(7, 20, false)]),
        with(live(3), &[refers(1, Rule::Restrict)]),
        with(live(4), &[refers(1, Rule::SetNull)]),
    ];
    let parked = Verdict::Parked(Reason::Claim(0, 0));
    assert_eq!(resolve(&facts), [Verdict::WHOLE, parked, PARENT, nulled(&[0])]);
}

#[test]
fn the_latest_reference_of_a_cycle_in_a_tree_is_left_out() {
    let under = |parent, millis| Reference { tree: Some(at(millis)), ..refers(parent, Rule::Restrict) };
    let facts = [
        with(live(1), &[under(1, 10)]),
        with(live(2), &[under(2, 30)]),
        with(live(3), &[under(0, 20)]),
        with(live(4), &[under(0, 40)]),
        with(live(5), &[under(4, 50)]),
    ];
    let whole = Verdict::WHOLE;
    assert_eq!(resolve(&facts), [whole.clone(), nulled(&[0]), whole.clone(), whole.clone(), whole]);
}

/// Small worlds: rows that refer to each other at random and claim one of a few values of two keys.
fn worlds() -> impl Strategy<Value = Vec<Fact>> {
    (1..9usize).prop_flat_map(|rows| proptest::collection::vec(fact(rows), rows)).prop_map(|facts| {
        let numbered = facts.into_iter().enumerate();
        numbered.map(|(i, fact)| Fact { name: name(i as i64), ..fact }).collect()
    })
}

fn fact(rows: usize) -> impl Strategy<Value = Fact> {
    let rule = prop_oneof![Just(Rule::Restrict), Just(Rule::Cascade), Just(Rule::SetNull)];
    let reference = (proptest::option::weighted(0.9, 0..rows), rule, proptest::option::weighted(0.2, 0..9u64))
        .prop_map(|(parent, rule, tree)| Reference { parent, rule, tree: tree.map(at) });
    let claim = |key: usize| {
        (0..3usize, 0..4u64, any::<bool>(), proptest::collection::vec(0..2usize, 0..2)).prop_map(
            move |(value, millis, can_yield, void_without)| Claim {
                void_without,
                ..claims(key * 10 + value, millis, can_yield)
            },
        )
    };
    let claims = (proptest::option::of(claim(0)), proptest::option::of(claim(1)));
    let references = proptest::collection::vec(reference, 0..3);
    (any::<bool>(), any::<bool>(), 0..9u8, claims, references).prop_map(
        |(is_live, known, blocked, (a, b), references)| Fact {
            is_live,
            blocked: blocked == 0,
            has_values: is_live || known,
            claims: a.into_iter().chain(b).collect(),
            references,
            ..live(0)
        },
    )
}

fn is_shown(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Shown { .. })
}

fn lists(verdict: &Verdict) -> (Vec<usize>, Vec<usize>) {
    match verdict {
        Verdict::Shown { nulled, yielded } => (nulled.clone(), yielded.iter().map(|(p, _)| *p).collect()),
        _ => (Vec::new(), Vec::new()),
    }
}

/// The same world with its rows in another order.
fn reordered(facts: &[Fact], order: &[usize]) -> Vec<Fact> {
    let place = |old: usize| order.iter().position(|o| *o == old).unwrap();
    let moved = |fact: &Fact| {
        let to = |r: &Reference| Reference { parent: r.parent.map(place), ..r.clone() };
        Fact { references: fact.references.iter().map(to).collect(), ..fact.clone() }
    };
    order.iter().map(|old| moved(&facts[*old])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_shown_breaks_no_constraint(facts in worlds()) {
        let verdicts = resolve(&facts);
        let mut taken = BTreeMap::new();
        for (i, fact) in facts.iter().enumerate().filter(|(i, _)| is_shown(&verdicts[*i])) {
            let (nulled, yielded) = lists(&verdicts[i]);
            for (place, reference) in fact.references.iter().enumerate().filter(|(p, _)| !nulled.contains(p)) {
                let parent = reference.parent.filter(|p| is_shown(&verdicts[*p]));
                prop_assert!(parent.is_some(), "row {i}, reference {place}: {verdicts:?}");
            }
            for (place, claim) in fact.claims.iter().enumerate().filter(|(p, _)| !yielded.contains(p)) {
                let is_void = claim.void_without.iter().any(|r| nulled.contains(r));
                prop_assert!(is_void || taken.insert(claim.value, i).is_none(), "row {i}, claim {place}: {verdicts:?}");
            }
        }
    }

    #[test]
    fn only_rows_that_are_there_are_shown_or_parked(facts in worlds()) {
        for (fact, verdict) in facts.iter().zip(resolve(&facts)) {
            match verdict {
                Verdict::Gone => prop_assert!(!fact.is_live),
                Verdict::Parked(_) => prop_assert!(fact.is_live),
                Verdict::Shown { .. } => prop_assert!(fact.has_values),
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter((facts, order) in worlds().prop_flat_map(|facts| {
        let order: Vec<usize> = (0..facts.len()).collect();
        (Just(facts), Just(order).prop_shuffle())
    })) {
        let (verdicts, others) = (resolve(&facts), resolve(&reordered(&facts, &order)));
        for (place, old) in order.iter().enumerate() {
            let shape = |v: &Verdict| (std::mem::discriminant(v), lists(v));
            prop_assert_eq!(shape(&verdicts[*old]), shape(&others[place]));
        }
    }

    #[test]
    fn in_a_tree_there_is_no_cycle(facts in worlds()) {
        let verdicts = resolve(&facts);
        let up = |row: usize| {
            let place = facts[row].references.iter().position(|r| r.tree.is_some())?;
            let shown = is_shown(&verdicts[row]) && !lists(&verdicts[row]).0.contains(&place);
            facts[row].references[place].parent.filter(|p| shown && *p != row)
        };
        for start in 0..facts.len() {
            let mut row = start;
            let steps = std::iter::from_fn(|| { row = up(row)?; Some(row) });
            prop_assert!(steps.take(facts.len() + 1).count() <= facts.len());
        }
    }
}
