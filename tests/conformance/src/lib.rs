//! What esker promises of every backend of keyed state, as tests that run on yours.
//!
//! One function for each promise, so that a failure names it, and [`conformance_tests!`], which makes
//! a test of each. They know a backend by its traits alone: nothing of what it captures is assumed to
//! be incremental, nor a checkpoint to be of files that other backends read.
//!
//! ```
//! mod heap {
//!     esker_conformance::conformance_tests!(esker::backend::heap::HeapBackends);
//! }
//! ```
//!
//! Two backends that both pass exchange savepoints: [`exchange_tests!`].
//!
//! Model tests draw their cases; `ESKER_SOAK` says which fraction of them runs (over 0 and up to 1; a
//! twentieth where nothing is said), `PROPTEST_RNG_SEED` by which seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "every promise is a test, and panics where it is broken"
)]

pub mod capture;
pub mod collection;
pub mod every;
mod harness;
pub mod identity;
pub mod lines;
pub mod refusal;
pub mod schema;
pub mod store;
pub mod timer;
pub mod ttl;
pub mod value;

/// A test for each promise, of the backends that a factory makes: an expression that gives one, for
/// each test anew.
#[macro_export]
macro_rules! conformance_tests {
    ($factory:expr) => {
        $crate::promises! { $factory =>
            value: values_follow_a_model;
            value: reducing_state_follows_a_model;
            value: aggregating_state_follows_a_model;
            value: values_are_of_any_size;
            value: addresses_are_told_apart;
            collection: lists_follow_a_model;
            collection: long_lists_keep_their_order;
            collection: maps_follow_a_model;
            collection: large_maps_stay_apart;
            timer: timers_follow_a_model;
            timer: timers_that_are_set_while_others_fire_come_in_turn;
            ttl: values_expire;
            ttl: map_entries_expire;
            ttl: list_elements_expire;
            ttl: what_has_expired_is_seen_once_at_most;
            ttl: time_never_goes_back;
            ttl: states_are_opened_at_the_time_of_the_backend;
            refusal: keys_of_other_subtasks_are_refused;
            refusal: handles_of_other_backends_are_refused;
            refusal: backends_share_nothing;
            refusal: names_are_opened_once;
            refusal: states_that_became_others_are_refused;
            refusal: a_failed_restore_poisons;
            capture: captures_never_change;
            capture: captures_hold_what_the_states_held;
            capture: captures_are_written_from_several_threads;
            capture: captures_count_their_entries;
            schema: values_of_every_kind_are_migrated;
            schema: another_duration_revives_nothing;
        }
        $crate::identities! { checkpoints, $factory, $factory =>
            checkpoints_of_one_subtask_restore_to_two: (1, 2);
            checkpoints_of_two_subtasks_restore_to_one: (2, 1);
            checkpoints_of_seven_subtasks_restore_to_eleven: (7, 11);
            checkpoints_of_three_subtasks_restore_to_sixty_four: (3, 64);
        }
        $crate::exchange_tests!($factory, $factory);
    };
}

/// A test for each pair of parallelisms: savepoints of the first factory's backends restore to those
/// of the second, theirs to those of the first, and all have the same canonical lines. In a module
/// of its own: [`conformance_tests!`] has these tests too, of one backend.
#[macro_export]
macro_rules! exchange_tests {
    ($a:expr, $b:expr) => {
        $crate::identities! { savepoints, $a, $b =>
            savepoints_of_one_subtask_restore_to_two: (1, 2);
            savepoints_of_two_subtasks_restore_to_one: (2, 1);
            savepoints_of_one_subtask_restore_to_three: (1, 3);
            savepoints_of_three_subtasks_restore_to_two: (3, 2);
            savepoints_of_seven_subtasks_restore_to_eleven: (7, 11);
            savepoints_of_three_subtasks_restore_to_sixty_four: (3, 64);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! promises {
    ($factory:expr => $($topic:ident: $promise:ident;)*) => {$(
        #[test]
        fn $promise() {
            $crate::$topic::$promise(&$factory);
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! identities {
    ($what:ident, $a:expr, $b:expr => $($name:ident: $parallelisms:expr;)*) => {$(
        #[test]
        fn $name() {
            $crate::identity::$what(&$a, &$b, $parallelisms);
        }
    )*};
}
