//! The world of directories: a fixed share of its seeds, and that mistakes which are easily made are found within 200.
#![allow(clippy::unwrap_used, clippy::panic)]

mod good;

use simulator::trees::{Scenario, Slip, run, shrink};

/// Several tests, so that they run at once.
fn all_are_good(seeds: std::ops::Range<u64>) {
    good::all_are_good(
        seeds,
        Scenario::new,
        |scenario, traced| run(scenario, None, traced),
        |scenario, kind| shrink(scenario, None, kind),
    );
}

#[test]
fn the_first_seeds() {
    all_are_good(1..13);
}

#[test]
fn the_next_seeds() {
    all_are_good(13..25);
}

#[test]
fn a_file_that_somebody_puts_in_the_place_of_a_directory_that_was_just_made() {
    all_are_good(5064..5065);
}

#[test]
fn contents_that_were_destroyed_before_anybody_had_fetched_them() {
    all_are_good(5199..5200);
    all_are_good(5318..5319);
}

/// Two sites had a file of one name before they met, and one deleted its own.
#[test]
fn a_file_from_before_is_deleted_where_another_was() {
    all_are_good(13_000_041..13_000_042);
}

/// An index was lost, and the file edited before there was another.
#[test]
fn what_only_a_new_index_knows() {
    all_are_good(14_000_679..14_000_680);
    all_are_good(16_000_149..16_000_150);
    all_are_good(19_000_279..19_000_280);
}

/// The disk was full in the moment in which a file made room for a directory; in the other, somebody had just written to it.
#[test]
fn what_could_not_be_put_into_the_trash_or_back() {
    all_are_good(20_000_581..20_000_582);
    all_are_good(21_000_898..21_000_899);
}

/// Somebody wrote to a file in the moment in which it was replaced, and the site died in the next.
#[test]
fn an_edit_that_was_moved_aside() {
    all_are_good(14_000_753..14_000_754);
}

/// A file was moved to where its site could not read it, and a third site heard of the one half.
#[test]
fn a_move_of_which_one_half_cannot_be_seen() {
    all_are_good(18_000_059..18_000_060);
}

/// Somebody copies a file of which another site has just destroyed the content.
#[test]
fn contents_that_live_again_as_a_copy() {
    for seed in [14_000_267, 14_000_312, 14_000_582] {
        all_are_good(seed..seed + 1);
    }
}

/// A file is given another name while its own, deleted elsewhere, is still to be put back.
#[test]
fn a_file_with_a_name_that_has_no_row_yet() {
    all_are_good(25_000_359..25_000_360);
}

/// An index is put back to a backup: what is edited then has not seen what the site itself had written before. With a clock that was
/// set back, with the directory of the backup, where another site's clock is ahead, and without an index.
#[test]
fn edits_over_an_index_from_a_backup() {
    for seed in [21_000_275, 29_000_137, 30_000_967, 28_000_968] {
        all_are_good(seed..seed + 1);
    }
}

/// Somebody sets the time of a file just after it was put into its place.
#[test]
fn a_time_that_is_set_right_after_a_file_was_placed() {
    all_are_good(21_000_737..21_000_738);
}

#[test]
fn a_seed_is_always_the_same_history() {
    for seed in [2, 1_000] {
        let scenario = Scenario::new(seed);
        assert_eq!(scenario, Scenario::new(seed));
        let trace = |(outcome, trace)| (outcome, without_places(trace));
        assert_eq!(trace(run(&scenario, None, true)), trace(run(&scenario, None, true)), "seed {seed}");
    }
}

/// The folder has another name each time.
fn without_places(trace: Vec<String>) -> Vec<String> {
    trace.into_iter().map(|line| line.split("/dev/shm").next().unwrap_or_default().to_owned()).collect()
}

/// Some seed finds it, which without it is good. It begins where one is known, so that this takes seconds: any 200 in a row
/// will do.
fn is_found(slip: Slip, from: u64) {
    let finds = |seed: &u64| {
        let scenario = Scenario::new(*seed);
        run(&scenario, Some(slip), false).0.is_err() && run(&scenario, None, false).0.is_ok()
    };
    assert!((from..from + 200).any(|seed| finds(&seed)), "{slip:?} was not found");
}

#[test]
fn nobody_looks_before_replacing() {
    is_found(Slip::NoSecondLook, 10);
}

#[test]
fn what_cannot_be_listed_is_taken_for_gone() {
    is_found(Slip::BlindIsGone, 218);
}

#[test]
fn the_index_is_written_before_the_rename() {
    is_found(Slip::IndexFirst, 29);
}

#[test]
fn one_of_two_edits_is_forgotten() {
    is_found(Slip::NoCopy, 60);
}
