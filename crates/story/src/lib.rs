//! The story suite: what every store of the database kind must do, told as stories of several sites and run against
//! each kind. Development only; it knows no driver, a test brings a [`Bench`].
//!
//! A story writes as an application does, runs rounds of the real engine, and ends with [`Network::finish`]: all
//! sites hold the same rows, a further round of all links moves nothing, and no mark is left.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bench;
mod faulty;
mod network;
mod schema;
pub mod stories;

pub use bench::{Bench, BenchSite};
pub use faulty::Watched;
pub use network::{Network, VD, names};
pub use schema::{COUNTERS, EXCLUDED, REKEY, Speech, TOGETHER, TREES, schema};

/// Makes a `#[test]` of every story. The argument is an expression of type `Option<impl Bench>`, evaluated in each;
/// `None` skips the story (the bench says why).
#[macro_export]
macro_rules! stories {
    ($bench:expr) => {
        $crate::stories! { @ $bench;
            contact: empty_master_is_filled, empty_slave_is_filled, two_empty_sites, equal_sites_move_nothing,
                overlapping_sites_are_united, the_slave_can_be_preferred, written_cells_beat_cells_from_before,
                an_insert_beats_a_row_from_before, filled_sites_meet_far_from_home, a_delete_counts_on_first_contact, init_compares_again,
                applications_write_while_a_site_is_filled, filling_that_breaks_off_goes_on, rows_come_before_their_parents;
            changes: inserts_updates_and_deletes_go_both_ways, nulls, a_row_deleted_and_inserted_again, a_replaced_row,
                a_row_that_came_and_went, many_changes_of_one_row, cascades_travel,
                marks_that_say_nothing;
            conflicts: different_columns_both_survive, the_same_column, the_earlier_write_at_the_other_site,
                the_same_value_is_no_conflict, a_later_delete, a_later_update, two_inserts_of_one_key,
                two_equal_inserts, restoring_a_cell, restoring_a_row, restoring_a_delete, an_overwrite_is_no_conflict,
                one_conflict_noticed_at_two_sites, rows_lost_in_two_versions,
                columns_that_merge_as_one;
            counters: additions_of_all_sites_count, many_additions_in_one_round, a_value_that_is_set_is_a_difference,
                rows_from_before_count, an_addition_against_a_delete_counts, inserted_again_it_begins_anew, a_changed_key_begins_anew, replaced_and_upserted,
                additions_made_behind_our_back, a_sum_that_does_not_fit, a_restored_site_adds_again, a_backup_with_marks_counts_once, a_copy_adds_for_itself,
                what_a_conflict_restores_is_a_difference;
            rekeying: both_rows_stay_with_what_refers_to_them, a_third_site_notices_first, many_rows_at_three_sites,
                a_key_that_was_replaced_on_purpose, without_the_option_one_row_wins_whole;
            keys: composite, binary, text_differing_in_case, updated, swapped_case_at_both_sites, long_text;
            topology: chain, star, ring, mesh, a_site_that_was_away, a_site_that_joins,
                rows_written_while_they_are_passed_on;
            interruption: before_and_after_every_call, in_the_middle_of_many_batches, connections_cut,
                a_batch_applied_twice, reopened_between_rounds;
            restore: an_old_copy, an_old_copy_that_was_used, told_by_a_third_site, hidden_by_a_third_site, two_old_copies,
                a_row_that_is_only_a_mark_in_the_copy, a_row_that_came_and_went_across_a_copy,
                a_row_that_came_and_went_beside_another, a_table_that_waited, a_copy_from_before_first_contact,
                deleted_rows_stay_deleted, a_copy_seeds_a_new_site, a_copy_beside_its_original,
                a_copy_that_ran_becomes_a_site_of_its_own;
            declared: what_others_wrote_is_undone, its_own_deletes_are_listed, only_some_tables, counters_begin_anew, what_is_not_shown_is_lost, an_empty_table,
                two_at_once, one_that_breaks_off, a_round_that_breaks, a_stranger_is_asked_about, rows_imported_since;
            graves: a_copy_from_before, a_copy_that_nobody_knew, a_site_that_comes_back, a_row_of_a_broken_round, by_way_of_a_new_site, handed_on_by_a_new_site, one_that_comes_back_does_not_go_round, an_older_grave_of_a_site_that_comes_back, many_halt,
                a_key_used_again, a_row_that_stays_is_remembered, a_parent_that_a_row_refers_to_is_remembered;
            schemas: a_column_added_here_then_there, a_paused_table_comes_from_somebody_else,
                a_table_paused_on_first_contact, a_table_paused_on_first_contact_and_init,
                a_column_added_between_two_who_notice, a_paused_table_and_a_line_that_breaks,
                an_upgrade_rolled_through_three_sites, a_column_added_while_rows_lie_in_graves, a_column_renamed,
                a_column_dropped, a_table_created_at_one_site_then_the_other, a_table_created_with_rows_at_both,
                columns_in_another_order_on_first_contact, excluded_tables_stay;
            safety: mass_deletes_halt, mass_deletes_of_a_paused_table_halt, a_preview_writes_nothing,
                a_preview_of_first_contact_writes_nothing,
                only_rows_that_are_there_count_as_deleted;
            constraints: the_earliest_claim_has_the_value, a_row_that_gave_way_is_changed, a_value_goes_to_the_next_claim,
                a_text_that_is_taken_is_told_apart, a_parent_that_is_referred_to_stays,
                a_parent_stays_with_its_last_values, what_waits_is_tried_again_in_a_quiet_round, a_value_from_before_that_is_not_shown, a_parent_that_stays_is_changed,
                a_child_goes_with_its_parent, a_parked_row_is_replaced, rows_that_claim_one_value_of_a_deleted_parent, a_reference_is_shown_as_null, levels_go_and_return_together,
                rows_that_refer_to_each_other, columns_that_do_not_go_together, a_tree_stays_a_tree, swapped_unique_values,
                a_collision_among_many_rows, a_case_collision_harms_nobody;
            sizes: a_big_value, much_text, big_values_in_graves, big_values_compared;
            triggers: fire_where_written_only;
            scrub: nothing_to_do, lost_rows_come_back, a_lost_row_comes_in_in_another_version, an_emptied_table_waits, init_refills_an_emptied_table,
                unmarked_changes_are_settled, imported_rows_arrive, what_is_on_the_way_is_no_difference,
                parked_rows_count_as_they_are, random_differences;
        }
    };
    (@ $bench:expr; $($module:ident: $($story:ident),+;)+) => {
        $(mod $module {
            $(#[test]
            fn $story() {
                if let Some(bench) = { use super::*; $bench } {
                    $crate::stories::$module::$story(&bench);
                }
            })+
        })+
    };
}
