//! The owner of a job: it publishes and retires checkpoints, and removes what nothing needs.

use super::driver::{Appender, hold, refused, retried};
use super::log::{Intent, LogState, References};
use super::place::{Place, log_folder};
use super::retention::{self, InFlight, Retention};
use crate::format::RelativeName;
use crate::format::record::Published;
use crate::snapshot::Needed;
use crate::store::Store;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Records above the base after which a new base is written.
const RECORD_COUNT_MAX: u64 = 64;
/// How many small calls of a store are under way at once.
pub(super) const CALLS_IN_FLIGHT: usize = 16;
/// How often a decision is made anew because a hold came between.
const DECISION_COUNT_MAX: usize = 8;

/// Tells which files a checkpoint reaches.
#[async_trait]
pub trait ReferenceSource: Send + Sync {
    /// Every name that the manifest of `published` reaches, below the job's root, its own name
    /// aside.
    ///
    /// # Errors
    /// `Corrupt` if the manifest or a part is damaged or absent, and those of the store.
    async fn references(
        &self,
        store: &Store,
        published: &Published,
    ) -> Result<BTreeSet<RelativeName>>;
}

/// The owner of a job.
///
/// Every call is cancel-safe: what a dropped future, or an error, left in doubt is settled by the
/// next call. After `Fenced` every call is `Fenced`; what the owner may still delete then was
/// condemned by a record before.
pub struct Job {
    pub(super) store: Store,
    pub(super) source: Arc<dyn ReferenceSource>,
    pub(super) appender: Appender,
    generation: u64,
    pub(super) references: References,
    pub(super) in_flight: InFlight,
    /// Condemned names that are gone.
    pub(super) deleted: BTreeSet<RelativeName>,
    /// When retained checkpoints were written, as far as it was asked.
    written_ms: BTreeMap<u64, i64>,
    /// Checkpoints that this owner does not go on from, though they are the newest.
    pub(super) passed_over: BTreeSet<u64>,
    /// Checkpoints that backends were restored from lazily, and for how long.
    readers: Mutex<Vec<(u64, Needed)>>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Job");
        debug.field("store", &self.store).field("generation", &self.generation);
        debug.field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl Job {
    /// Becomes the owner of the job at `store`'s root; whoever owned it is fenced. A
    /// [`Job::sweep`] should follow.
    ///
    /// # Errors
    /// `Fenced` if another claims it at this moment, those of [`super::read_log`], and `Corrupt` if
    /// files of a job are there without its log.
    pub async fn claim(store: Store, source: Arc<dyn ReferenceSource>) -> Result<Self> {
        check_log_exists(&store).await?;
        let appender = Appender::claim(store.clone()).await?;
        let generation = appender.state().generation();
        let (references, in_flight, deleted, written_ms, passed_over) = Default::default();
        Ok(Self {
            store,
            source,
            appender,
            generation,
            references,
            in_flight,
            deleted,
            written_ms,
            passed_over,
            readers: Mutex::default(),
        })
    }

    /// The job's root.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The log as far as it is known.
    pub fn state(&self) -> &LogState {
        self.appender.state()
    }

    /// The generation of this owner, which the names of new files hold.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Begins `checkpoint`: from here on no sweep touches files that are written for it, and the
    /// checkpoint it is `based_on`, whose files it re-uses, is not retired.
    ///
    /// # Errors
    /// `Conflict` unless its number is above every one published, or begun by this owner; also if
    /// what it is based on is not retained.
    pub fn begin(&mut self, checkpoint: u64, based_on: Option<u64>) -> Result<()> {
        if let Some(basis) = based_on
            && !self.state().retained().contains_key(&basis)
        {
            let message = format!("checkpoint={basis} is not retained");
            return Err(self.error(ErrorKind::Conflict, message));
        }
        if checkpoint <= self.state().checkpoint_last()
            || !self.in_flight.begin(checkpoint, based_on)
        {
            let message = format!("checkpoint={checkpoint} was begun or published before");
            return Err(self.error(ErrorKind::Conflict, message));
        }
        Ok(())
    }

    /// Goes on without the last checkpoint, which turned out damaged: that it cannot be read stops no
    /// publish any more. As for any that is retained and cannot be read, nothing is swept until it is
    /// [retired](Self::retire).
    pub fn pass_over(&mut self, checkpoint: u64) {
        self.passed_over.insert(checkpoint);
    }

    /// A backend was restored from `checkpoint`, which is not retired for as long as it is `needed`.
    pub fn read_by(&self, checkpoint: u64, needed: Needed) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push((checkpoint, needed));
    }

    /// The checkpoints that backends still read from.
    pub(crate) fn read_from(&mut self) -> BTreeSet<u64> {
        self.ask_readers();
        self.in_flight.read_from().clone()
    }

    /// Finds out which checkpoints backends still read from.
    fn ask_readers(&mut self) {
        let readers = self.readers.get_mut().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|(_, needed)| needed.is_needed());
        self.in_flight.set_read_from(readers.iter().map(|(checkpoint, _)| *checkpoint).collect());
    }

    /// Gives up `checkpoint`, which is never published then unless its record is written already;
    /// its files go with the next sweep.
    pub fn abandon(&mut self, checkpoint: u64) {
        self.in_flight.end(checkpoint);
    }

    /// Ends what an error or a dropped future left in doubt: the state shows then whether a publish
    /// took effect.
    ///
    /// # Errors
    /// `Fenced`, and those of [`super::read_log`].
    pub async fn settle(&mut self) -> Result<()> {
        self.appender.settle().await
    }

    /// Publishes a checkpoint whose manifest reaches `names`.
    ///
    /// It looks up those files of it that are new (I1), so that this costs a small call each.
    ///
    /// # Errors
    /// `Invalid` if the checkpoint is not in flight, a file is missing, or a name was neither
    /// written for it nor is reached by a retained checkpoint. `Conflict`, `Fenced`, and those of
    /// [`super::read_log`]. After `Retry` it may be published or not: call it again, or abandon it.
    #[tracing::instrument(skip_all, fields(checkpoint = published.checkpoint))]
    pub async fn publish(
        &mut self,
        published: Published,
        names: BTreeSet<RelativeName>,
    ) -> Result<()> {
        self.appender.settle().await?;
        let checkpoint = published.checkpoint;
        if self.state().retained().get(&checkpoint) == Some(&published) {
            self.published(checkpoint, names);
            return Ok(());
        }
        if !self.in_flight.contains(checkpoint) {
            let message = format!("checkpoint={checkpoint} is not in flight");
            return Err(self.error(ErrorKind::Invalid, message));
        }
        // Before, so that no error of it leaves the publish in doubt.
        self.compact().await?;
        self.check(&published, &names).await?;
        let intent = Intent::Publish { published, names: names.clone() };
        self.appender.decide(intent).await?;
        self.published(checkpoint, names);
        Ok(())
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).at_path(self.store.to_string())
    }

    fn published(&mut self, checkpoint: u64, names: BTreeSet<RelativeName>) {
        self.in_flight.end(checkpoint);
        self.references.insert(checkpoint, names);
    }

    /// That `published` may name what it names, and that its new files are there.
    async fn check(&mut self, published: &Published, names: &BTreeSet<RelativeName>) -> Result<()> {
        self.learn_references().await?;
        // Of one that cannot be read nothing can be named.
        let reachable = retention::known_reachable(self.state(), &self.references);
        let all = || names.iter().chain([&published.manifest_path]);
        let (generation, checkpoint) = (self.generation, published.checkpoint);
        if let Some(name) = retention::not_its_own(all(), &reachable, generation, checkpoint) {
            let message = "neither written for the checkpoint nor reached by a retained one";
            return Err(Error::new(ErrorKind::Invalid, message).at_path(name.as_str()));
        }
        let store = &self.store;
        let new = all().filter(|name| !reachable.contains(*name)).cloned().collect::<Vec<_>>();
        let looked_up = stream::iter(new).map(|name| async move {
            match retried(|| store.head(&name)).await? {
                Some(_) => Ok(()),
                None => {
                    let message = "the file must be there before it is published";
                    Err(Error::new(ErrorKind::Invalid, message).at_path(name.as_str()))
                }
            }
        });
        looked_up.buffer_unordered(CALLS_IN_FLIGHT).try_collect().await
    }

    /// Retires what `policy` gives up, and deletes every file that is condemned. While an older
    /// checkpoint cannot be read, nothing is retired: it may reach any file. Where `policy` asks for times, the first
    /// call looks up each retained manifest.
    ///
    /// # Errors
    /// As for [`Job::publish`]. What is condemned and not yet deleted is deleted by a later call.
    pub async fn retain(&mut self, policy: &Retention) -> Result<()> {
        if policy.asks_times() {
            self.learn_times().await?;
        }
        let written_ms = self.written_ms.clone();
        self.retire_with(true, |state, in_flight| policy.given_up(state, in_flight, &written_ms))
            .await
    }

    /// Looks up when retained checkpoints were written; a call for each that is new.
    async fn learn_times(&mut self) -> Result<()> {
        self.appender.settle().await?;
        let retained = self.appender.state().retained();
        self.written_ms.retain(|checkpoint, _| retained.contains_key(checkpoint));
        for (checkpoint, published) in retained {
            if self.written_ms.contains_key(checkpoint) {
                continue;
            }
            let found = retried(|| self.store.head_dated(&published.manifest_path)).await?;
            self.written_ms.extend(found.map(|found| (*checkpoint, found.modified_ms)));
        }
        Ok(())
    }

    /// Retires `checkpoints`, those of them that are retained, and deletes every file that is
    /// condemned.
    ///
    /// # Errors
    /// As for [`Job::retain`]; `Conflict` if one is held, `Invalid` if none would remain; `Corrupt`
    /// if one that remains cannot be read. Of one that is retired unread its manifest alone is
    /// condemned; the next [`Job::sweep`] finds the rest.
    pub async fn retire(&mut self, checkpoints: &BTreeSet<u64>) -> Result<()> {
        self.ask_readers();
        if let Some(checkpoint) =
            checkpoints.iter().find(|checkpoint| self.in_flight.is_read_from(**checkpoint))
        {
            let message = format!(
                "checkpoint={checkpoint} is read from by a backend that was restored lazily: bring \
                 what is left (hydrate) first"
            );
            return Err(self.error(ErrorKind::Conflict, message));
        }
        let based_on =
            checkpoints.iter().find(|checkpoint| self.in_flight.is_based_on(**checkpoint));
        if let Some(checkpoint) = based_on {
            let message = format!("checkpoint={checkpoint} is the basis of one in flight");
            return Err(self.error(ErrorKind::Conflict, message));
        }
        self.retire_with(false, |state, _| {
            let is_retained = |checkpoint: &&u64| state.retained().contains_key(*checkpoint);
            checkpoints.iter().filter(is_retained).copied().collect()
        })
        .await
    }

    async fn retire_with(
        &mut self,
        is_by_policy: bool,
        decide: impl Fn(&LogState, &InFlight) -> BTreeSet<u64>,
    ) -> Result<()> {
        self.appender.settle().await?;
        self.ask_readers();
        for attempt in 1.. {
            let checkpoints = decide(self.state(), &self.in_flight);
            if checkpoints.is_empty() {
                break;
            }
            let unreadable = self.learn_references().await?;
            if is_by_policy && !unreadable.is_empty() {
                tracing::warn!(?unreadable, "nothing is condemned: retire those or restore them");
                break;
            }
            if !unreadable.is_subset(&checkpoints) {
                let message = format!(
                    "checkpoints={unreadable:?} cannot be read, and may need any file: retire \
                     them too, or restore them"
                );
                return Err(self.error(ErrorKind::Corrupt, message));
            }
            let retire = retention::retire(self.state(), &self.references, &checkpoints)
                .map_err(|refusal| refused(refusal, &self.store))?;
            let references = self.references.clone();
            match self.appender.decide(Intent::Retire { retire, references }).await {
                // A hold came between: the state shows it now.
                Err(error)
                    if error.kind() == ErrorKind::Conflict && attempt < DECISION_COUNT_MAX => {}
                decided => {
                    decided?;
                    break;
                }
            }
        }
        self.delete_condemned().await?;
        self.compact().await
    }

    /// Keeps `checkpoint` from being retired until the hold of that `name` is released.
    ///
    /// # Errors
    /// `Conflict` if the checkpoint is not retained, `Fenced`, and those of [`super::read_log`].
    pub async fn hold(&mut self, checkpoint: u64, name: impl Into<String> + Send) -> Result<()> {
        self.appender.decide(Intent::Hold(hold(checkpoint, name))).await
    }

    /// Ends a hold; that there is none is no error.
    ///
    /// # Errors
    /// As for [`Job::hold`].
    pub async fn release(&mut self, checkpoint: u64, name: impl Into<String> + Send) -> Result<()> {
        self.appender.decide(Intent::Release(hold(checkpoint, name))).await
    }

    /// Writes a base, forgets what is deleted, and deletes the records below it. Publishing and
    /// retiring do so by themselves every 64 records.
    ///
    /// # Errors
    /// `Fenced`, and those of [`super::read_log`].
    pub async fn base(&mut self) -> Result<()> {
        let deleted = self.deleted.clone();
        self.appender.decide(Intent::Base { deleted }).await?;
        let remaining = self.appender.state().condemned();
        self.deleted.retain(|name| remaining.contains(name));
        let first = self.state().first();
        let folder = log_folder()?;
        let listed = retried(|| self.store.list(Some(&folder))).await?;
        let below = listed.into_iter().map(|(name, _)| name).filter(
            |name| matches!(Place::of(name), Some(Place::Log(sequence)) if sequence < first),
        );
        self.delete(&below.collect::<Vec<_>>()).await
    }

    async fn compact(&mut self) -> Result<()> {
        let state = self.state();
        match state.next().0.saturating_sub(state.first().0) > RECORD_COUNT_MAX {
            true => self.base().await,
            false => Ok(()),
        }
    }
}

/// That files of a job have their log beside them: a new log would give out their names again.
async fn check_log_exists(store: &Store) -> Result<()> {
    let folder = log_folder()?;
    let has_log = || async {
        let listed = retried(|| store.list(Some(&folder))).await?;
        Ok::<_, Error>(listed.iter().any(|(name, _)| Place::of(name).is_some()))
    };
    if has_log().await? {
        return Ok(());
    }
    let listed = retried(|| store.list(None)).await?;
    let is_data = |name: &RelativeName| matches!(Place::of(name), Some(Place::Data { .. }));
    let data = listed.into_iter().map(|(name, _)| name).find(is_data);
    match data {
        // Unless the first owner came in between.
        Some(name) if !has_log().await? => {
            let message = format!(
                "the log is missing: no record is in {folder}, but files of checkpoints are there \
                 ({name}): restore it or choose another root"
            );
            Err(Error::new(ErrorKind::Corrupt, message).at_path(store.to_string()))
        }
        _ => Ok(()),
    }
}
