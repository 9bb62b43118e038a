//! The heap backend is the model: whatever is called, both show the same, and write the same runs.

use super::all::{All, Call, call, runs};
use super::{backend_with, options};
use crate::backend::Backend;
use crate::backend::heap::HeapBackend;
use crate::backend::heap::testing::for_entries;
use crate::format::manifest::TtlUpdate;
use crate::state::{TtlConfig, TtlVisibility};
use esker_format::KeyGroupRange;
use proptest::prelude::*;

const DURATION_MS: u64 = 10;

#[derive(Debug, Clone)]
enum Step {
    Call(Call),
    Later(i64),
    Capture,
    /// Of the captures that are there, drops the first.
    Drop,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => call().prop_map(Step::Call),
        4 => (-3..6_i64).prop_map(Step::Later),
        2 => Just(Step::Capture),
        1 => Just(Step::Drop),
        1 => Just(Step::Compact),
    ]
}

/// The entries of a run, to be read by people.
fn entries(run: &[u8]) -> Vec<String> {
    let mut entries = Vec::new();
    for_entries(run, |entry| entries.push(format!("{entry:02x?}")));
    entries
}

fn configs() -> impl Strategy<Value = TtlConfig> {
    let update = prop_oneof![Just(TtlUpdate::Write), Just(TtlUpdate::ReadAndWrite)];
    let visibility =
        prop_oneof![Just(TtlVisibility::NeverExpired), Just(TtlVisibility::UntilCleanedUp)];
    (update, visibility, any::<bool>()).prop_map(|(update, visibility, clean_full_snapshots)| {
        TtlConfig { update, visibility, clean_full_snapshots, ..TtlConfig::new(DURATION_MS) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn both_backends_show_and_write_the_same(
        config in configs(),
        steps in proptest::collection::vec(step(), 0..600),
    ) {
        let mut heap = All::open(HeapBackend::new("all", KeyGroupRange::ALL), config);
        // What a compaction drops cannot show any more, nor be written.
        let compacts =
            config.visibility == TtlVisibility::NeverExpired && config.clean_full_snapshots;
        let of_rocksdb = if compacts { "" } else { "disable_auto_compactions=true" };
        let (rocks, _folder) = backend_with(&options().with_rocksdb(of_rocksdb));
        let mut rocks = All::open(rocks, config);
        let (mut captures, mut now_ms) = (Vec::new(), 0);
        for step in steps {
            match step {
                Step::Call(call) => {
                    prop_assert_eq!(rocks.call(&call), heap.call(&call), "{:?}", call);
                }
                Step::Later(by_ms) => {
                    now_ms += by_ms;
                    rocks.backend.set_time_ms(now_ms);
                    heap.backend.set_time_ms(now_ms);
                }
                Step::Capture => captures.push((rocks.capture(), runs(&heap.capture()))),
                Step::Drop if captures.is_empty() => {}
                Step::Drop => drop(captures.remove(0)),
                Step::Compact if compacts => rocks.compact(),
                Step::Compact => {}
            }
        }
        captures.push((rocks.capture(), runs(&heap.capture())));
        drop(rocks);
        // Captures are as they were, and outlive their backend (I4).
        for (rocks, heap) in captures {
            let rocks = runs(&rocks);
            for (rocks, heap) in rocks.iter().zip(&heap) {
                prop_assert_eq!(entries(rocks), entries(heap));
            }
            prop_assert!(rocks == heap, "the same entries, and other bytes");
        }
    }
}
