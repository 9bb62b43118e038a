//! Watches the job's store, and makes one call wait for the kill that it was planned for.

use super::event::{Activity, Event};
use esker::store::Store;
use esker::store::fault::{Call, FaultStore, Operation};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The call that is to wait.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Hold {
    /// Once this row is read,
    pub(super) row: u64,
    /// the next call of this kind,
    pub(super) activity: Activity,
    /// after it took effect, or before.
    pub(super) done: bool,
}

/// How far the job is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The last row read.
    pub(super) row: AtomicU64,
    /// Whether a checkpoint's publish record is being appended.
    pub(super) publishing: AtomicBool,
}

/// `store`, whose calls are watched.
pub(super) fn watched(store: Store, hold: Option<Hold>, progress: Arc<Progress>) -> Store {
    let Some(hold) = hold else { return store };
    let held = AtomicBool::new(false);
    let hook = move |call: &Call| {
        let is_it = activity(call, &progress) == Some(hold.activity)
            && progress.row.load(Ordering::Relaxed) >= hold.row
            && !held.swap(true, Ordering::Relaxed);
        if is_it {
            let (path, activity, done) = (call.path.clone(), hold.activity, hold.done);
            Event::Held { activity, path, done }.tell();
            // The call never returns: the process is killed in it.
            loop {
                std::thread::park();
            }
        }
    };
    store.map_object_store(|objects| {
        let watched = FaultStore::new(objects);
        if hold.done {
            watched.on_done(hook)
        } else {
            watched.on_call(hook)
        }
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
