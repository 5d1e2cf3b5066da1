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
