//! All subtasks of one operator that holds every kind of state.

use super::{Call, Kinds, Model};
use crate::lines;
use esker::backend::{Backend, BackendFactory};
use esker::engine::LocalJob;
use esker::format::manifest::Manifest;
use esker::format::{Key, KeyGroup, KeyGroupRange};
use esker::snapshot::{SnapshotSettings, find_operator};
use esker::{Result, Store, block_on};
use proptest::prelude::*;

/// The operator's uid.
pub const UID: &str = "every";

/// Small pieces, so that a small state is cut into several runs too.
pub fn settings() -> SnapshotSettings {
    SnapshotSettings {
        file_len_bytes: 4096,
        block_len_bytes: 512,
        threads: 1,
        ..SnapshotSettings::default()
    }
}

/// Calls of all kinds below `what_end`; few keys, so that they meet.
pub fn call(what_end: u8) -> impl Strategy<Value = Call> {
    let at = (0..25_u64, -1..2_i16, 0..50_u8);
    (0..what_end, any::<bool>(), at, 0..1000_u32).prop_map(
        |(what, spaced, (key, namespace, user_key), amount)| Call {
            what,
            spaced,
            key,
            namespace,
            user_key,
            amount,
        },
    )
}

/// The backends of all subtasks, and the model of what they hold.
pub struct Program<B: Backend> {
    /// By subtask.
    pub backends: Vec<B>,
    kinds: Vec<(Kinds<B, ()>, Kinds<B, i16>)>,
    /// What they hold.
    pub model: Model,
}

impl<B: Backend> Program<B> {
    /// Opens the states of `backends`, of subtasks in order, and restores each by `restore`.
    ///
    /// # Errors
    /// Those of [`Backend::open`] and of `restore`.
    pub fn open(
        mut backends: Vec<B>,
        model: Model,
        mut restore: impl FnMut(&mut B) -> Result<()>,
    ) -> Result<Self> {
        let mut kinds = Vec::new();
        for backend in &mut backends {
            kinds.push((Kinds::open(backend)?, Kinds::open(backend)?));
            restore(backend)?;
        }
        Ok(Self { backends, kinds, model })
    }

    /// An empty one, of no job.
    ///
    /// # Errors
    /// The factory's, and those of [`Backend::open`].
    pub fn empty(factory: &impl BackendFactory<Backend = B>, parallelism: u32) -> Result<Self> {
        let backends = made(parallelism, |range| factory.make(UID, range, None))?;
        Self::open(backends, Model::default(), |_| Ok(()))
    }

    /// As the last checkpoint of `job` has it; `model` says what that is.
    ///
    /// # Errors
    /// The factory's, and those of [`LocalJob::restore`].
    pub fn of_job(
        job: &mut LocalJob,
        factory: &impl BackendFactory<Backend = B>,
        parallelism: u32,
        model: Model,
    ) -> Result<Self> {
        let backends = made(parallelism, |range| job.backend_of(factory, UID, range))?;
        Self::open(backends, model, |backend| block_on(job.restore(backend)))
    }

    /// As a snapshot in `store` has it; `model` says what that is.
    ///
    /// # Errors
    /// The factory's, and those of [`Backend::restore`].
    pub fn of_snapshot(
        (store, manifest): (&Store, &Manifest),
        factory: &impl BackendFactory<Backend = B>,
        parallelism: u32,
        model: Model,
    ) -> Result<Self> {
        let stored = find_operator(manifest, UID)?;
        let backends = made(parallelism, |range| factory.make(UID, range, Some(stored)))?;
        let settings = settings();
        let restore =
            |backend: &mut B| block_on(backend.restore(store, manifest, &settings)).map(drop);
        Self::open(backends, model, restore)
    }

    /// Makes a call in the subtask that owns its key, and of the model. From 30 on it is later.
    ///
    /// # Panics
    /// As [`Kinds::call`].
    pub fn call(&mut self, call: Call) {
        let group = call.key.with_encoded(KeyGroup::of);
        let owner = group.subtask(self.backends.len() as u32) as usize;
        let (backend, (plain, spaced)) = (&mut self.backends[owner], &self.kinds[owner]);
        match call.what {
            30.. => self.later(i64::from(call.user_key % 20)),
            _ if call.spaced => spaced.call(backend, &mut self.model, call),
            _ => plain.call(backend, &mut self.model, call),
        }
    }

    /// It is `by_ms` milliseconds later, in every subtask.
    pub fn later(&mut self, by_ms: i64) {
        self.model.later(by_ms);
        self.backends.iter_mut().for_each(|backend| backend.set_time_ms(self.model.now_ms));
    }

    /// The canonical lines of captures of all subtasks, sorted.
    ///
    /// # Errors
    /// Those of the captures.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for backend in &mut self.backends {
            let captures = backend.capture()?;
            all.extend(lines::of_captures(backend, &captures)?);
        }
        Ok(lines::sorted(all))
    }
}

fn made<B>(parallelism: u32, make: impl Fn(KeyGroupRange) -> Result<B>) -> Result<Vec<B>> {
    let of = |index| make(KeyGroupRange::of_subtask(index, parallelism)?);
    (0..parallelism).map(of).collect()
}
