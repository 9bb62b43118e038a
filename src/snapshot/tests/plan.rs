//! The order of a chain's runs.

use crate::snapshot::plan::{counting, levels, pruned};
use esker_format::part::RunRef;
use esker_format::run::IndexLocation;
use esker_format::{Digest, KeyGroup, KeyGroupRange, RelativeName};

fn range(first: u16, last: u16) -> KeyGroupRange {
    KeyGroupRange::new(first, last).unwrap()
}

fn run(name: &str, range: KeyGroupRange, base: Vec<KeyGroupRange>) -> RunRef {
    let digest = Digest::of(name.as_bytes());
    let index = IndexLocation { offset: 0, len_bytes: 1, digest };
    let file = RelativeName::new(name).unwrap();
    RunRef { file, len_bytes: 1, digest, index, range, base, entries: 1 }
}

/// `b` is a base in the midst of `a`, with which it has no key group in common that both count for;
/// and `a`, unlike `b`, stands on another run.
#[test]
fn a_base_in_the_midst_of_an_older_run_stays_the_newer_one() {
    for base_of_a in [vec![], vec![range(20, 90)]] {
        let runs = vec![
            run("o", range(0, 10), vec![range(0, 10)]),
            run("a", range(5, 100), base_of_a),
            run("b", range(45, 55), vec![range(45, 55)]),
        ];
        let before = counting(&runs);
        let kept = pruned(runs.clone());
        let after = counting(&kept);
        for (run, groups) in runs.iter().zip(&before) {
            let at = kept.iter().position(|kept| kept.file == run.file).unwrap();
            assert_eq!(after[at].contains(KeyGroup(50)), groups.contains(KeyGroup(50)), "{run:?}");
        }
        let ranges: Vec<_> = kept.iter().map(|run| run.range).collect();
        assert_eq!(levels(&ranges), [1, 2, 3]);
    }
}
