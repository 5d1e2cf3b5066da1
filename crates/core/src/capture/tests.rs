use super::*;
use crate::knowledge::Incarnation;
use crate::stamp::SiteId;

fn site() -> SiteId {
    SiteId::new(3).unwrap()
}

fn author() -> Author {
    Author { site: site(), history: Incarnation(1) }
}

fn insert(millis: u64) -> Mark {
    Mark { operation: Operation::Insert, millis }
}

fn update(millis: u64, columns: &[ColumnId]) -> Mark {
    Mark { operation: Operation::Update(columns.to_vec(), Vec::new()), millis }
}

fn delete(millis: u64) -> Mark {
    Mark { operation: Operation::Delete, millis }
}

#[test]
fn a_new_row_gets_a_lineage() {
    let state = stamp(None, &[insert(10)], true, author()).unwrap();
    assert_eq!(state, RowState::inserted_at(Stamp::at(10, site())));
}

#[test]
fn a_row_that_came_and_went_between_two_drains_leaves_nothing() {
    assert_eq!(stamp(None, &[insert(10), update(11, &[1]), delete(12)], false, author()), None);
}

#[test]
fn an_update_of_a_row_from_before_keeps_it_in_the_baseline() {
    let state = stamp(None, &[update(10, &[2])], true, author()).unwrap();
    assert_eq!(state.inserted, Stamp::BASELINE);
    assert_eq!(state.cell(2), Stamp::at(10, site()));
    assert_eq!(state.cell(1), Stamp::BASELINE);
}

#[test]
fn a_deleted_row_from_before_leaves_a_grave() {
    let state = stamp(None, &[delete(10)], false, author()).unwrap();
    assert!(!state.is_live());
    assert_eq!(state.deleted, Stamp::at(10, site()));
}

#[test]
fn replace_starts_a_new_lineage() {
    let known = RowState::inserted_at(Stamp::at(5, site()));
    let state = stamp(Some(&known), &[delete(10), insert(10)], true, author()).unwrap();
    assert!(state.is_live() && state.inserted > state.deleted && state.deleted > known.inserted);
}

#[test]
fn a_cascade_that_was_announced_and_did_not_happen_changes_nothing() {
    let known = RowState::inserted_at(Stamp::at(5, site()));
    assert_eq!(stamp(Some(&known), &[delete(10)], true, author()), None);
}

#[test]
fn the_table_has_the_last_word() {
    let known = RowState::inserted_at(Stamp::at(5, site()));
    let gone = stamp(Some(&known), &[delete(10), update(11, &[1])], false, author()).unwrap();
    assert!(!gone.is_live());
    let mut grave = known;
    grave.delete(Stamp::at(8, site()));
    let back = stamp(Some(&grave), &[update(11, &[1])], true, author()).unwrap();
    assert!(back.is_live());
}

#[test]
fn an_overwrite_beats_what_the_row_had_seen_though_the_clock_is_behind() {
    let mut known = RowState::inserted_at(Stamp::at(5, site()));
    known.seen.add(Stamp::at(9_000, SiteId::new(7).unwrap()));
    let state = stamp(Some(&known), &[update(10, &[1])], true, author()).unwrap();
    assert!(state.cell(1) > Stamp::at(9_000, SiteId::new(7).unwrap()));
}

#[test]
fn a_delete_whose_mark_comes_in_a_later_page_has_its_own_time() {
    let known = RowState::inserted_at(Stamp::at(5, site()));
    let gone = stamp(Some(&known), &[update(10, &[1])], false, author()).unwrap();
    assert!(!gone.is_live());
    let later = stamp(Some(&gone), &[delete(900)], false, author()).unwrap();
    assert_eq!(later.deleted, Stamp::at(900, site()));
    assert_eq!(stamp(Some(&later), &[delete(900)], false, author()), None);
}

#[test]
fn a_brief_row_is_told_by_each_of_its_inserts() {
    let marks = [insert(10), update(11, &[1]), delete(12), insert(2_000), delete(3_000)];
    let brief = brief(RowState::default(), &marks, author()).unwrap();
    assert_eq!(brief.inserted, [Stamp::at(10, site()), Stamp::at(2_000, site())]);
    assert_eq!((brief.grave.deleted, brief.millis), (Stamp::at(3_000, site()), 2_990));
    assert!(!brief.grave.is_live());
}

#[test]
fn a_brief_row_was_inserted_by_the_stamp_that_it_would_have_been_published_with() {
    for marks in [vec![insert(10)], vec![insert(10), delete(20), insert(30), update(40, &[1])]] {
        let published = stamp(None, &marks, true, author()).unwrap();
        let since = [marks, vec![delete(5_000)]].concat();
        assert_eq!(brief(RowState::default(), &since, author()).unwrap().inserted.last(), Some(&published.inserted));
    }
}

#[test]
fn a_brief_row_is_one_whose_marks_begin_with_its_insert() {
    assert_eq!(brief(RowState::default(), &[update(1, &[1]), delete(2)], author()), None);
    assert_eq!(brief(RowState::default(), &[], author()), None);
}

#[test]
fn a_clock_that_was_put_back_makes_a_row_no_shorter() {
    assert_eq!(brief(RowState::default(), &[insert(9_000), delete(2_000)], author()).unwrap().millis, 7_000);
}
