use super::*;

fn source(n: u128) -> Source {
    Source { store: StoreId(n), incarnation: Incarnation(1) }
}

fn at(seq: u64) -> Position {
    Position { seq, token: seq * 7 }
}

#[test]
fn positions_only_move_forward() {
    let mut k = Knowledge::default();
    k.advance(source(1), at(9));
    k.advance(source(1), at(4));
    assert_eq!(k.position(source(1)), Some(at(9)));
}

#[test]
fn a_held_table_stays_while_the_others_go_on() {
    let mut k = Knowledge::default();
    k.advance(source(1), at(5));
    k.hold(source(1), "deals", 5);
    k.advance(source(1), at(90));
    k.hold(source(1), "deals", 90);
    assert_eq!(k.table_seq(source(1), "deals"), 5);
    assert_eq!(k.table_seq(source(1), "users"), 90);
    k.release(source(1), "deals");
    assert_eq!(k.table_seq(source(1), "deals"), 90);
}

#[test]
fn adopting_takes_the_maximum_and_leaves_out_oneself() {
    let (mut mine, mut other) = (Knowledge::default(), Knowledge::default());
    mine.advance(source(2), at(3));
    other.advance(source(2), at(8));
    other.advance(source(3), at(1));
    other.advance(source(9), at(50));
    mine.adopt(&other, source(9), &[]);
    assert_eq!(mine.position(source(2)), Some(at(8)));
    assert_eq!(mine.position(source(3)), Some(at(1)));
    assert_eq!(mine.position(source(9)), None);
}

#[test]
fn adopting_never_claims_a_table_that_the_other_holds() {
    let (mut mine, mut other) = (Knowledge::default(), Knowledge::default());
    mine.advance(source(2), at(3));
    other.advance(source(2), at(8));
    other.hold(source(2), "deals", 1);
    mine.adopt(&other, source(9), &[]);
    assert_eq!(mine.table_seq(source(2), "deals"), 3);
    assert_eq!(mine.table_seq(source(2), "users"), 8);
}

#[test]
fn adopting_releases_what_the_other_has_whole() {
    let (mut mine, mut other) = (Knowledge::default(), Knowledge::default());
    mine.advance(source(2), at(8));
    mine.hold(source(2), "deals", 2);
    other.advance(source(2), at(8));
    mine.adopt(&other, source(9), &[]);
    assert_eq!(mine.table_seq(source(2), "deals"), 8);
    assert_eq!(mine.held(source(2)).count(), 0);
}

#[test]
fn a_later_incarnation_is_above_whatever_the_clock_says() {
    let first = Incarnation::at(1_800_000_000_000, u64::MAX);
    assert_eq!(first.millis(), 1_800_000_000_000);
    assert!(first.next(5, 0) > first);
    assert_eq!(first.next(1_900_000_000_000, 7).millis(), 1_900_000_000_000);
}

#[test]
fn the_latest_incarnation_of_a_store() {
    let mut knowledge = Knowledge::default();
    for (store, incarnation) in [(1, 5), (1, 9), (2, 12)] {
        let source = Source { store: StoreId(store), incarnation: Incarnation(incarnation) };
        knowledge.advance(source, Position { seq: 1, token: 1 });
    }
    assert_eq!(knowledge.latest(StoreId(1)), Some(Incarnation(9)));
    assert_eq!(knowledge.latest(StoreId(3)), None);
}

#[test]
fn adopting_claims_nothing_of_a_table_that_was_withheld() {
    let (mut mine, mut other) = (Knowledge::default(), Knowledge::default());
    mine.advance(source(2), at(3));
    other.advance(source(2), at(8));
    other.advance(source(3), at(5));
    mine.adopt(&other, source(9), &["deals".to_owned()]);
    assert_eq!(mine.table_seq(source(2), "deals"), 3);
    assert_eq!(mine.table_seq(source(3), "deals"), 0);
    assert_eq!(mine.table_seq(source(3), "users"), 5);
}

fn history(incarnation: u64) -> Source {
    Source { incarnation: Incarnation(incarnation), ..source(2) }
}

#[test]
fn a_new_history_inherits_what_was_contained_of_the_one_that_was_left() {
    let mut mine = Knowledge::default();
    mine.advance(history(10), at(8));
    mine.hold(history(10), "deals", 3);
    mine.hold(history(10), "users", 6);
    assert_eq!(mine.inherit(history(20), Incarnation(10), at(5)), Some(at(5)));
    assert_eq!(mine.position(history(20)), Some(at(5)));
    assert_eq!(mine.held(history(20)).collect::<Vec<_>>(), [("deals", 3)]);
    assert_eq!((mine.table_seq(history(20), "users"), mine.table_seq(history(10), "users")), (5, 6));
}

#[test]
fn nobody_inherits_more_than_was_contained() {
    let mut mine = Knowledge::default();
    mine.advance(history(10), at(4));
    assert_eq!(mine.inherit(history(30), Incarnation(20), at(9)), None);
    assert_eq!(mine.position(history(30)), None);
    assert_eq!(mine.inherit(history(30), Incarnation(10), at(9)), Some(at(4)));
}

#[test]
fn a_copy_goes_on_in_the_history_of_its_original() {
    let mut mine = Knowledge::default();
    mine.advance(history(10), at(4));
    let copy = Source { store: StoreId(7), incarnation: Incarnation(30) };
    assert_eq!(mine.inherit(copy, Incarnation(10), at(3)), Some(at(3)));
    assert_eq!(mine.position(copy), Some(at(3)));
}
