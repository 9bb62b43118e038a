//! A job whose subtasks all live in this process, and stop together for a checkpoint.

mod operators;
mod publish;

use crate::backend::heap::HeapBackend;
use crate::backend::{Backend, BackendFactory, NativeCapture};
use crate::checkpoint::{Fallback, Job, Retention, Skipped};
use crate::engine::owned::{Origin, Ownership, cancel, claimed, clean_up, unless_fenced};
use crate::format::manifest::{Manifest, Operator, SnapshotKind};
use crate::format::{KeyGroupRange, RelativeName};
use crate::snapshot::{
    Captures, Chain, Lineage, MANIFEST_NAME, ManifestReferences, NewOperator, PartId, PartInput,
    SnapshotSettings, WrittenManifest, WrittenPart, find_operator, write_manifest, write_part,
};
use crate::{Error, ErrorKind, OnCancel, Result, Settings, Store};
use operators::{check_holds, not_restored, operators};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An operator's uid, and the first key group of a subtask.
type Place = (String, u16);

/// A subtask, and the backend it had last.
#[derive(Default)]
struct Subtask {
    lineage: Lineage,
    /// How many captures the backend had taken when its last one came to the lineage.
    captures_taken: u64,
}

/// What a backend was captured as.
enum Taken {
    Entries(Captures),
    Native(Arc<dyn NativeCapture>),
}

/// A checkpoint that was begun and has not ended.
struct Unfinished {
    checkpoint: u64,
    /// All of it, once it is to be published.
    written: Option<(WrittenManifest, Vec<(Place, WrittenPart)>)>,
}

/// A job whose subtasks all live in this process, and stop together for a checkpoint: the simplest
/// engine there is, and a start for others. `examples/embed.rs` is a page with it.
///
/// Whoever opens a job owns it; an older owner is fenced. Every call is cancel-safe: a checkpoint
/// that does not come to its end leaves files for the next sweep, and its changes to the next one.
pub struct LocalJob {
    name: String,
    job: Job,
    retention: Retention,
    on_cancel: OnCancel,
    settings: SnapshotSettings,
    last: Option<(u64, Manifest)>,
    /// The savepoint that the job begins with, until it has a checkpoint of its own.
    origin: Option<Origin>,
    begun: u64,
    /// What each subtask's next checkpoint builds on.
    subtasks: BTreeMap<Place, Subtask>,
    /// Operators of the last checkpoint that the next one is not to hold.
    dropped: BTreeSet<String>,
    unfinished: Option<Unfinished>,
    /// Whether a checkpoint was given up since the last sweep.
    unswept: bool,
    /// The checkpoints before the last one, where it may turn out damaged.
    fallback: Option<Fallback>,
}

impl LocalJob {
    /// Becomes the owner of the job at `store`'s root, and removes what dead owners left behind.
    ///
    /// # Errors
    /// `Fenced` if another claims it at this moment; the store's; `Corrupt` if the log or the
    /// manifest of the last checkpoint is damaged.
    pub async fn open(store: Store, name: impl Into<String>) -> Result<Self> {
        let (job, last) = claimed(store).await?;
        Ok(Self::of(job, name.into(), last))
    }

    /// As [`open`](Self::open), but a job without a checkpoint of its own begins with the state of the
    /// savepoint at the root of `savepoint`: [`restore`](Self::restore) brings it, at any parallelism, and
    /// the first checkpoint is to hold all its operators or [drop](Self::drop_operator) them. That
    /// checkpoint is a full one and names no file of the savepoint. Whether these are deleted then is what `ownership` says.
    /// Once there is a checkpoint the savepoint is not looked at, so that a program can
    /// open its job by this call each time it starts.
    ///
    /// # Errors
    /// As for [`open`](Self::open); `Invalid` if there is no savepoint, `Corrupt` if its manifest is
    /// damaged.
    pub async fn open_from(
        store: Store,
        name: impl Into<String>,
        savepoint: Store,
        ownership: Ownership,
    ) -> Result<Self> {
        let job = Self::open(store, name).await?;
        if job.last.is_some() {
            return Ok(job);
        }
        Ok(Self { origin: Some(Origin::of(savepoint, ownership).await?), ..job })
    }

    /// As [`open`](Self::open), but where the manifest of the last checkpoint is damaged the newest
    /// retained one that can be read takes its place, and [`restored`](Self::restored) goes back
    /// further. [`skipped`](Self::skipped) says what was passed over, and why.
    ///
    /// # Errors
    /// As for [`open`](Self::open); `Corrupt` if no manifest can be read.
    pub async fn open_or_fall_back(store: Store, name: impl Into<String>) -> Result<Self> {
        let mut job = Job::claim(store, Arc::new(ManifestReferences)).await?;
        let mut fallback = Fallback::new(job.state());
        let last = fallback.next(job.store()).await?;
        fallback.skipped().iter().for_each(|skipped| job.pass_over(skipped.checkpoint));
        let unswept = match job.sweep().await {
            // Of the one that is restored next: whether it is damaged shows then.
            Err(error) if error.kind() == ErrorKind::Corrupt => true,
            swept => swept.map(|_| false)?,
        };
        Ok(Self { fallback: Some(fallback), unswept, ..Self::of(job, name.into(), last) })
    }

    fn of(job: Job, name: String, last: Option<(u64, Manifest)>) -> Self {
        let Settings { snapshot: settings, retention, .. } = Settings::default();
        let (on_cancel, retention) = (retention.on_cancel, retention.into());
        Self {
            name,
            job,
            retention,
            on_cancel,
            settings,
            last,
            origin: None,
            begun: 0,
            subtasks: BTreeMap::new(),
            dropped: BTreeSet::new(),
            unfinished: None,
            unswept: false,
            fallback: None,
        }
    }

    /// Writes and retains checkpoints as `settings` say.
    #[must_use]
    pub fn with(self, settings: &Settings) -> Self {
        let Settings { snapshot, retention, .. } = settings.clone();
        let on_cancel = retention.on_cancel;
        Self { retention: retention.into(), on_cancel, settings: snapshot, ..self }
    }

    /// Ends the job deliberately. What becomes of its checkpoints is as the settings' `retention.on_cancel` says; the
    /// last one stays in any case, and so do those that are held. A job that is dropped keeps all of them.
    ///
    /// # Errors
    /// `Fenced` if the job has another owner by now; `Corrupt` if a checkpoint that stays cannot be read: nothing
    /// is deleted then; the store's.
    pub async fn cancel(mut self) -> Result<()> {
        self.settle().await?;
        let last = self.last().map(|(last, _)| last);
        cancel(&mut self.job, self.on_cancel, last).await
    }

    /// The owner, for holds and whatever else is not about writing checkpoints.
    pub fn job(&mut self) -> &mut Job {
        &mut self.job
    }

    /// The last completed checkpoint, and its manifest.
    pub fn last(&self) -> Option<(u64, &Manifest)> {
        self.last.as_ref().map(|(checkpoint, manifest)| (*checkpoint, manifest))
    }

    /// A heap backend for the key groups `range` of operator `uid`, empty: open its states, then
    /// [`restore`](Self::restore) it.
    pub fn backend(&self, uid: &str, range: KeyGroupRange) -> HeapBackend {
        match self.stored(uid) {
            Some(stored) => HeapBackend::restoring(stored, range),
            None => HeapBackend::new(uid, range),
        }
    }

    /// The same of another backend, made by `factory`.
    ///
    /// # Errors
    /// The factory's.
    pub fn backend_of<F: BackendFactory>(
        &self,
        factory: &F,
        uid: &str,
        range: KeyGroupRange,
    ) -> Result<F::Backend> {
        factory.make(uid, range, self.stored(uid))
    }

    /// What `make` makes of the last completed checkpoint: all backends of the job, restored. Where the
    /// checkpoint turns out damaged, and the job was opened by
    /// [`open_or_fall_back`](Self::open_or_fall_back), `make` is called again, once for each older one
    /// that is retained, until it succeeds; what it had made is to be gone by then. The next
    /// checkpoint builds on the one that was restored. The damaged ones stay retained, and while the
    /// manifest or a part of one cannot be read nothing is deleted ([`Job::retire`] it).
    ///
    /// # Errors
    /// Those of `make`; `Corrupt`, with what is wrong with each, if no checkpoint can be restored.
    pub async fn restored<T>(
        &mut self,
        mut make: impl AsyncFnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        loop {
            let damage = match make(self).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => error,
                done => return done,
            };
            let (Some(fallback), Some((checkpoint, _))) = (&mut self.fallback, &self.last) else {
                return Err(damage);
            };
            fallback.skip(*checkpoint, damage)?;
            self.last = fallback.next(self.job.store()).await?;
            fallback.skipped().iter().for_each(|skipped| self.job.pass_over(skipped.checkpoint));
            self.subtasks.clear();
        }
    }

    /// The checkpoints that were passed over as damaged, newest first.
    pub fn skipped(&self) -> &[Skipped] {
        self.fallback.as_ref().map(Fallback::skipped).unwrap_or_default()
    }

    fn stored(&self, uid: &str) -> Option<&Operator> {
        let (_, manifest) = self.source()?;
        find_operator(manifest, uid).ok().filter(|_| !self.dropped.contains(uid))
    }

    /// What backends are restored from, and where its names begin.
    fn source(&self) -> Option<(&Store, &Manifest)> {
        let origin = self.origin.as_ref().map(|origin| (&origin.store, &origin.manifest));
        let last = self.last.as_ref().map(|(_, manifest)| (self.job.store(), manifest));
        last.or(origin)
    }

    /// Leaves operator `uid` and its state out of the next checkpoint, unless backends of it are
    /// passed then, which begin anew.
    ///
    /// # Errors
    /// `Invalid` if the last checkpoint has no such operator.
    pub fn drop_operator(&mut self, uid: &str) -> Result<()> {
        if self.stored(uid).is_none() {
            let message = format!("operator={uid} is not in the last checkpoint");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.dropped.insert(uid.to_owned());
        self.subtasks.retain(|(of, _), _| of != uid);
        Ok(())
    }

    /// Restores a backend from the last completed checkpoint, or before there is one from the savepoint
    /// that the job was [opened from](Self::open_from), whatever the parallelism was then. Without
    /// either, or where the operator is new, there is nothing to do.
    ///
    /// # Errors
    /// Those of [`Backend::restore`]; `Conflict` if a checkpoint that had failed turns out to be
    /// complete: make the backend again; `Fenced` if a newer owner has deleted what the state is in.
    pub async fn restore(&mut self, backend: &mut impl Backend) -> Result<()> {
        if self.settle().await?.is_some() {
            let message = "a checkpoint that was in doubt is complete: make the backend again";
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let lineage = match self.source() {
            Some((store, manifest)) if self.stored(backend.uid()).is_some() => {
                let restored = backend.restore(store, manifest, &self.settings).await;
                let restored = unless_fenced(&self.job, restored).await?;
                match (restored.needed, &self.last, &self.origin) {
                    (Some(needed), Some((checkpoint, _)), _) => {
                        self.job.read_by(*checkpoint, needed);
                    }
                    (Some(needed), None, Some(origin)) => origin.read_by(needed),
                    _ => {}
                }
                Lineage::new(restored.chain)
            }
            _ => Lineage::default(),
        };
        let captures_taken = backend.captures_taken();
        self.subtasks.insert(place(backend), Subtask { lineage, captures_taken });
        Ok(())
    }

    /// Captures all backends, writes what changed, and publishes it; returns the checkpoint's number.
    /// The backends are those of all subtasks: of each operator they own all key groups (I5), and
    /// every operator of the last checkpoint is among them, but those that were
    /// [dropped](Self::drop_operator).
    ///
    /// Files that nothing needs any more are deleted after that; what fails of it, but for `Fenced`,
    /// is traced as a warning and done after the next checkpoint.
    ///
    /// # Errors
    /// `Invalid` if key groups or operators are missing, a backend was not restored, or the subtasks
    /// of an operator have different states; `Poisoned` if a backend is; `Fenced` if the job has
    /// another owner by now; the store's. After an error the next checkpoint holds these changes too.
    pub async fn checkpoint<B: Backend>(&mut self, backends: &mut [B]) -> Result<u64> {
        self.settle().await?;
        let operators = self.check(backends)?;
        let checkpoint = self.next();
        self.job.begin(checkpoint, self.last().map(|(last, _)| last))?;
        self.begun = checkpoint;
        self.unfinished = Some(Unfinished { checkpoint, written: None });
        let done = match self.take(backends) {
            Ok(captures) => self.write(checkpoint, &operators, backends, captures).await,
            Err(error) => Err(error),
        };
        // What is published is complete, whatever was answered.
        let settled = self.settle().await;
        match (done, settled) {
            (_, Ok(Some(_))) => {}
            (Err(error), _) | (Ok(()), Err(error)) => return Err(error),
            (Ok(()), Ok(None)) => {
                return Err(Error::new(ErrorKind::Retry, "the checkpoint was not published"));
            }
        }
        if let Some(origin) = self.origin.take_if(|origin| !origin.is_read()) {
            origin.give_up().await;
        }
        clean_up(&mut self.job, &self.retention, &mut self.unswept).await?;
        Ok(checkpoint)
    }

    /// Writes a savepoint of all backends at the root of `store`: complete in itself, and of no
    /// consequence for the job's checkpoints. Returns its number, which no checkpoint will have.
    ///
    /// # Errors
    /// As for [`checkpoint`](Self::checkpoint); `Invalid` if a savepoint is there already.
    pub async fn savepoint<B: Backend>(
        &mut self,
        backends: &mut [B],
        store: &Store,
    ) -> Result<u64> {
        self.settle().await?;
        let operators = self.check(backends)?;
        let manifest_path = RelativeName::new(MANIFEST_NAME)?;
        if store.head(&manifest_path).await?.is_some() {
            let message = "a savepoint is there already: choose another folder";
            return Err(Error::new(ErrorKind::Invalid, message).at_path(store.to_string()));
        }
        let checkpoint = self.next();
        self.begun = checkpoint;
        let captures = self.capture(backends)?;
        for (backend, captures) in backends.iter().zip(&captures) {
            let lineage = &mut self.subtasks.entry(place(backend)).or_default().lineage;
            lineage.set_aside(checkpoint, captures.clone());
            if lineage.pending() > self.settings.pending_max {
                lineage.fall_back();
            }
        }
        let (kind, generation) = (SnapshotKind::Savepoint, self.job.generation());
        let mut new = Vec::new();
        for (number, (operator, subtasks)) in (0..).zip(operators) {
            let mut parts = Vec::new();
            for (subtask, at) in (0..).zip(subtasks) {
                let (Some(backend), Some(captures)) = (backends.get(at), captures.get(at)) else {
                    continue;
                };
                let id = PartId { kind, checkpoint, generation, operator: number, subtask };
                let (range, captures) = (backend.range(), vec![captures.clone()]);
                let chain = Chain::default();
                let input = PartInput { id, range, captures, operator: None, chain };
                parts.push((write_part(store, input, &self.settings).await?.chain.part, None));
            }
            new.push(NewOperator { operator, parts });
        }
        write_manifest(store, self.manifest(kind, checkpoint), new).await?;
        Ok(checkpoint)
    }

    fn next(&self) -> u64 {
        self.job.state().checkpoint_last().max(self.begun) + 1
    }

    fn manifest(&self, kind: SnapshotKind, checkpoint: u64) -> Manifest {
        Manifest {
            job: self.name.clone(),
            kind,
            checkpoint,
            generation: self.job.generation(),
            operators: Vec::new(),
            extra: Default::default(),
        }
    }

    /// The operators of `backends`, if these can be captured and nothing stored would be lost.
    fn check(&self, backends: &[impl Backend]) -> Result<Vec<(Operator, Vec<usize>)>> {
        let operators = operators(backends)?;
        let stored = self.source().into_iter().flat_map(|(_, manifest)| &manifest.operators);
        for stored in stored.filter(|stored| !self.dropped.contains(&stored.uid)) {
            check_holds(&operators, stored)?;
        }
        for backend in backends {
            backend.states().check()?;
            let is_restored = match self.subtasks.get(&place(backend)) {
                // One with fewer captures is another backend.
                Some(subtask) => subtask.captures_taken <= backend.captures_taken(),
                None => self.stored(backend.uid()).is_none(),
            };
            if backend.states().awaits_restore() || !is_restored {
                return Err(not_restored(backend));
            }
        }
        Ok(operators)
    }

    /// Captures all backends for a checkpoint.
    fn take<B: Backend>(&mut self, backends: &mut [B]) -> Result<Vec<Taken>> {
        let mut taken = Vec::new();
        for backend in backends {
            taken.push(match backend.capture_native()? {
                Some(native) => Taken::Native(native),
                None => {
                    let captures = self.capture(std::slice::from_mut(backend))?;
                    Taken::Entries(captures.into_iter().flatten().collect())
                }
            });
        }
        Ok(taken)
    }

    /// Captures all backends. Where someone else took a capture since the last one here, what
    /// changed before it is known no more, and the next checkpoint is a full one.
    fn capture(&mut self, backends: &mut [impl Backend]) -> Result<Vec<Captures>> {
        let mut captures = Vec::new();
        for backend in backends {
            let subtask = self.subtasks.entry(place(backend)).or_default();
            if subtask.captures_taken != backend.captures_taken() {
                subtask.lineage.fall_back();
            }
            captures.push(backend.capture()?);
            subtask.captures_taken = backend.captures_taken();
        }
        Ok(captures)
    }
}

fn place(backend: &impl Backend) -> Place {
    (backend.uid().to_owned(), backend.range().first())
}

#[cfg(test)]
mod tests;
