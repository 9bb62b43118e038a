//! Watches the job's store, so that a call can wait for the kill that it was planned for.

use super::event::Activity;
use super::fate::Fate;
use esker::store::Store;
use esker::store::fault::{Call, FaultStore, Operation};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far the job is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The last row read.
    pub(super) row: AtomicU64,
    /// Entries of all states of all subtasks, a little while ago.
    pub(super) entries: AtomicU64,
    /// Whether a checkpoint's publish record is being appended.
    pub(super) publishing: AtomicBool,
}

/// `store`, whose calls are watched.
pub(super) fn watched(store: Store, fate: &Arc<Fate>, progress: &Arc<Progress>) -> Store {
    let hook = |done: bool| {
        let (fate, progress) = (Arc::clone(fate), Arc::clone(progress));
        move |call: &Call| {
            if let Some(activity) = activity(call, &progress) {
                let row = progress.row.load(Ordering::Relaxed);
                fate.hold_back(activity, done, row, &call.path);
            }
        }
    };
    store.map_object_store(|objects| {
        let watched = FaultStore::new(objects);
        watched.on_call(hook(false));
        watched.on_done(hook(true));
        Arc::new(watched)
    })
}

fn activity(call: &Call, progress: &Progress) -> Option<Activity> {
    let publishing = progress.publishing.load(Ordering::Relaxed);
    match call.operation {
        Operation::Put | Operation::Complete => Some(Activity::Upload),
        Operation::Create if publishing => Some(Activity::Publish),
        Operation::Delete => Some(Activity::Sweep),
        _ => None,
    }
}
