//! The order of a chain's runs.

use crate::snapshot::plan::{counting, levels, pruned};
use esker_format::part::RunRef;
use esker_format::run::IndexLocation;
use esker_format::{Digest, KeyGroup, KeyGroupRange, RelativeName};
use proptest::prelude::*;

fn run(number: usize, range: (u16, u16), base: &[(u16, u16)]) -> RunRef {
    let range_of = |(first, last)| KeyGroupRange::new(first, last).unwrap();
    let digest = Digest::of(b"");
    RunRef {
        file: RelativeName::new(format!("{number}.run")).unwrap(),
        len_bytes: 1,
        digest,
        index: IndexLocation { offset: 0, len_bytes: 0, digest },
        range: range_of(range),
        base: base.iter().copied().map(range_of).collect(),
        entries: 1,
    }
}

/// The runs that count for a key group, oldest first.
fn counting_for(runs: &[RunRef], group: u16) -> Vec<&str> {
    let counts = counting(runs);
    let pairs = runs.iter().zip(&counts);
    let counted = pairs.filter(|(_, counts)| counts.contains(KeyGroup(group)));
    counted.map(|(run, _)| run.file.as_str()).collect()
}

#[test]
fn a_base_inside_the_range_of_an_older_run_stays_behind_it() {
    let chain =
        vec![run(0, (0, 99), &[(0, 99)]), run(1, (0, 99), &[]), run(2, (40, 59), &[(40, 59)])];
    let pruned = pruned(chain);
    assert_eq!(counting_for(&pruned, 50), ["2.run"]);
    assert_eq!(counting_for(&pruned, 60), ["0.run", "1.run"]);
}

proptest! {
    #[test]
    fn pruning_changes_nothing_that_counts(
        drawn in prop::collection::vec(
            (0_u16..20, 0_u16..20, prop::collection::vec((0_u16..20, 0_u16..6), 0..3)),
            1..14,
        ),
    ) {
        let runs: Vec<RunRef> = drawn
            .into_iter()
            .enumerate()
            .map(|(number, (a, b, base))| {
                let (first, last) = (a.min(b), a.max(b));
                let base: Vec<_> = base
                    .into_iter()
                    .map(|(at, len)| (at.clamp(first, last), (at + len).clamp(first, last)))
                    .collect();
                run(number, (first, last), &base)
            })
            .collect();
        let pruned = pruned(runs.clone());
        for group in 0..20 {
            prop_assert_eq!(counting_for(&runs, group), counting_for(&pruned, group));
        }
        prop_assert!(levels(&pruned, &counting(&pruned)).is_sorted());
    }
}
