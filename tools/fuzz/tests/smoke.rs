//! Every fuzz target, on its seeds and on seeded mutations of them: what runs without cargo-fuzz.
//!
//! `ESKER_SOAK` says how many, `ESKER_SEED` which. An input that breaks a promise is left in a file,
//! which `ESKER_FUZZ_INPUT=FILE ESKER_FUZZ_TARGET=NAME` runs alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

use esker_fuzz::{TARGETS, Target, mutate::mutate};
use esker_test_support::soak;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const MUTATIONS: u32 = 100_000;
const MUTATED_LEN_MAX: usize = 4 << 10;

fn run(target: &Target, input: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| target.run(input))).is_err() {
        let name = format!("{}-{}", target.name, what.replace(' ', "-"));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, input).unwrap();
        panic!("target {}, {what}: a promise is broken by {}", target.name, path.display());
    }
}

/// One test, as memory is counted for the whole process.
#[test]
fn promises_hold_for_mutated_goldens() {
    if let Some(path) = std::env::var_os("ESKER_FUZZ_INPUT") {
        let target = std::env::var("ESKER_FUZZ_TARGET").unwrap();
        return esker_fuzz::run(&target, &std::fs::read(path).unwrap());
    }
    let (seed, mutations) = (soak::seed(), u64::from(soak::count(MUTATIONS)));
    println!("mutations: ESKER_SEED={seed} {mutations} of {MUTATIONS}");
    for target in TARGETS {
        let started = std::time::Instant::now();
        let seeds = target.seeds();
        assert!(!seeds.is_empty(), "{} has seeds", target.name);
        for (number, input) in seeds.iter().enumerate() {
            run(target, input, &format!("seed {number}"));
        }
        // Long ones are there for themselves: a mutation would find little more, slowly.
        let seeds: Vec<_> =
            seeds.into_iter().filter(|seed| seed.len() <= MUTATED_LEN_MAX).collect();
        for number in 0..mutations {
            let mut rng = fastrand::Rng::with_seed(soak::hash(seed, number));
            run(target, &mutate(&seeds, &mut rng), &format!("mutation {number}"));
        }
        println!("{}: {mutations} mutations, {:?}", target.name, started.elapsed());
    }
}

/// cargo-fuzz wants a file and an entry for each target.
#[test]
fn libfuzzer_has_the_same_targets() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        let code = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(code.contains(&format!("run(\"{name}\"")), "{name}");
    }
    assert_eq!(std::fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count(), TARGETS.len());
}
