//! Makes one call of the child's store wait for the kill that was planned for it.

use esker::Store;
use esker::store::fault::{Call, FaultStore, Operation};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// A file of a checkpoint.
    Upload,
    /// A checkpoint's record.
    Publish,
    /// Another record: a claim, a retirement, a base.
    Record,
    /// A file that is no longer needed.
    Sweep,
}

impl Activity {
    pub(super) const ALL: [Self; 4] = [Self::Upload, Self::Publish, Self::Sweep, Self::Record];

    pub(super) fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|activity| format!("{activity:?}") == name).unwrap()
    }
}

/// The call that is to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) activity: Activity,
    /// The how many-th of its kind; the first is 1.
    pub(super) number: u64,
    /// After it took effect, or before.
    pub(super) done: bool,
}

/// `store`, one call of which never returns; `held` is told of it.
pub(super) fn watched(
    store: Store,
    hold: Option<Hold>,
    publishing: Arc<AtomicBool>,
    held: impl Fn() + Send + Sync + 'static,
) -> Store {
    let Some(hold) = hold else { return store };
    let seen = AtomicU64::new(0);
    let hook = move |call: &Call| {
        let activity = match call.operation {
            Operation::Put | Operation::Complete => Activity::Upload,
            Operation::Create if publishing.load(Ordering::Relaxed) => Activity::Publish,
            Operation::Create => Activity::Record,
            Operation::Delete => Activity::Sweep,
            _ => return,
        };
        if activity == hold.activity && seen.fetch_add(1, Ordering::Relaxed) + 1 == hold.number {
            held();
            // The process is killed in it.
            loop {
                std::thread::park();
            }
        }
    };
    store.map_object_store(|objects| {
        let watched = FaultStore::new(objects);
        match hold.done {
            true => watched.on_done(hook),
            false => watched.on_call(hook),
        }
        Arc::new(watched)
    })
}
