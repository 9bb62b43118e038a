//! What may go to another thread, and which executors do: any, and none.

use crate::backends::{Tested, of_each_backend};
use crate::identity::job::{Job, call};
use esker::backend::StateCapture;
use esker::backend::operator::{OperatorBackend, OperatorCapture};
use esker::format::RelativeName;
use esker::format::manifest::SnapshotKind;
use esker::snapshot::{self, Captures, Chain, Lineage, OpenSnapshot, PartInput, WrittenPart};
use esker::{Error, Result, Store};
use esker_conformance::every::{Call, settings as small};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::sync::Arc;

const fn sends<T: Send>() {}
const fn shares<T: Send + Sync>() {}
fn sends_value<T: Send>(value: T) -> T {
    value
}

const _: () = {
    sends::<OperatorBackend>();
    sends::<Lineage>();
    sends::<PartInput>();
    shares::<Arc<dyn StateCapture>>();
    shares::<Arc<dyn OperatorCapture>>();
    shares::<Captures>();
    shares::<Chain>();
    shares::<WrittenPart>();
    shares::<Store>();
    shares::<Error>();
};

/// Never called: that it compiles is the test. What is awaited on one thread may go on on another.
#[allow(dead_code, reason = "checked when it is compiled")]
fn calls_can_be_sent(store: &Store, name: &RelativeName, snapshot: &OpenSnapshot) {
    drop(sends_value(snapshot::open_snapshot(store, name)));
    drop(sends_value(snapshot::read_manifest(store, name, None)));
    drop(sends_value(snapshot.missing_runs()));
    drop(sends_value(snapshot::ChainReader::open(store, &[])));
    drop(sends_value(snapshot::ChainReader::open_salvaging(store, &[])));
}

fn calls() -> Vec<Call> {
    let calls = proptest::collection::vec(call(), 400);
    calls.new_tree(&mut TestRunner::deterministic()).unwrap().current()
}

/// Writes a checkpoint, restores it at another parallelism, and compares.
async fn there_and_back<F: Tested>() -> Result<()> {
    let mut job = Job::<F>::new(2, small());
    calls().into_iter().for_each(|call| job.call(call));
    let store = job.store.clone();
    let (manifest, _) = job.write(&store, SnapshotKind::Checkpoint, true).await?;
    let manifest = manifest.unwrap();
    let mut restored = Job::<F>::restore(&store, &manifest, 3, &small()).await?;
    // On a thread of its own, as the tests' reader blocks.
    let lines = std::thread::spawn(move || restored.savepoint_lines()).join().unwrap();
    assert_eq!(lines, job.model.lines());
    Ok(())
}

macro_rules! tests {
    ($factory:ty) => {
        #[test]
        fn without_a_runtime() {
            esker::block_on(super::there_and_back::<$factory>()).unwrap();
        }

        #[test]
        fn on_another_executor() {
            futures::executor::block_on(super::there_and_back::<$factory>()).unwrap();
        }

        #[test]
        fn on_a_runtime_of_one_thread() {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(super::there_and_back::<$factory>()).unwrap();
        }

        #[test]
        fn on_a_runtime_of_many_threads() {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            let tasks = (0..3)
                .map(|_| runtime.spawn(super::sends_value(super::there_and_back::<$factory>())));
            for task in tasks.collect::<Vec<_>>() {
                runtime.block_on(task).unwrap().unwrap();
            }
        }
    };
}
of_each_backend!(tests);
