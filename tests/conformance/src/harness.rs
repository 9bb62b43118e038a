//! What the promises share: how many cases run, and where backends come from.

use esker::backend::{Backend, BackendFactory, EntrySink, StateCapture};
use esker::format::run::Entry;
use esker::format::{Key, KeyGroup, KeyGroupRange};
use esker::{Error, ErrorKind, Result};
use esker_test_support::soak;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Debug;

/// The operator of backends that no program has.
pub(crate) const UID: &str = "op";
/// Model tests run so many cases in full, which `ESKER_SOAK` scales.
pub(crate) const CASES: u32 = 400;

/// Tries `full` cases, as `ESKER_SOAK` scales them, and makes smaller what fails.
pub(crate) fn for_cases<S: Strategy>(full: u32, strategy: S, test: impl Fn(S::Value))
where
    S::Value: Debug,
{
    let config =
        Config { cases: soak::count(full), failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&strategy, |input| {
            test(input);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// An empty backend of all key groups.
pub(crate) fn fresh<F: BackendFactory>(factory: &F) -> F::Backend {
    of_range(factory, KeyGroupRange::ALL)
}

pub(crate) fn of_range<F: BackendFactory>(factory: &F, range: KeyGroupRange) -> F::Backend {
    let backend = factory.make(UID, range, None).unwrap();
    assert_eq!((backend.uid(), backend.range()), (UID, range));
    backend
}

/// How many entries are live in `capture`: as it says, or as what it writes adds up to.
pub(crate) fn live(capture: &dyn StateCapture) -> u64 {
    struct Counting<'a>(&'a dyn StateCapture, u64);

    impl EntrySink for Counting<'_> {
        fn add(&mut self, entry: Entry<'_>) -> Result<()> {
            self.1 += self.0.entries_of(entry);
            Ok(())
        }
    }

    if capture.is_counted() {
        return capture.entries();
    }
    let mut counting = Counting(capture, 0);
    capture.write_full(KeyGroupRange::ALL, &mut counting).unwrap();
    counting.1
}

/// Keys whose key groups are in `range`, ascending, without end.
pub(crate) fn keys_of(range: KeyGroupRange) -> impl Iterator<Item = u64> {
    (0..).filter(move |key: &u64| range.contains(key.with_encoded(KeyGroup::of)))
}

/// That `result` is an error of `kind` that names all of `parts`.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T>, kind: ErrorKind, parts: &[&str]) -> Error {
    let Err(error) = result else { panic!("it is not refused: {parts:?}") };
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    error
}
