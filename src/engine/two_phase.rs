//! Sinks whose output counts once: prepared where the barrier passes, committed once the checkpoint is complete.

use crate::backend::Handle;
use crate::backend::operator::{OperatorBackend, OperatorListState};
use crate::checkpoint::coordinator::Kind;
use crate::state::OperatorListDescriptor;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The operator state that holds what is prepared.
const PREPARED: &str = "prepared";

/// A system outside of the job whose writes take effect at once, or not at all: a database, a message broker,
/// files that get their names at the end.
#[async_trait]
pub trait Transactions: Send {
    /// Names a transaction, to this process and to any that goes on with its work: it is part of snapshots.
    type Id: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// Begins a transaction.
    ///
    /// # Errors
    /// The system's.
    async fn begin(&mut self) -> Result<Self::Id>;

    /// Makes what was written in a transaction durable, so that [`commit`](Self::commit) can succeed from any
    /// process, whatever happens to this one. Nothing is written in it afterwards, unless it fails.
    ///
    /// # Errors
    /// The system's. More may be written in it then, and the call comes again at the next barrier: where the
    /// system does not allow that, the subtask is to fail.
    async fn pre_commit(&mut self, id: &Self::Id) -> Result<()>;

    /// Lets a prepared transaction take effect. **It is called again** for one that is committed already, by
    /// this process or another: that changes nothing, and succeeds.
    ///
    /// # Errors
    /// The system's: it is called again later. For a transaction that the system has forgotten: that is loss,
    /// and to be told as such.
    async fn commit(&mut self, id: &Self::Id) -> Result<()>;

    /// Gives up a transaction that is not prepared.
    ///
    /// # Errors
    /// The system's.
    async fn abort(&mut self, id: &Self::Id) -> Result<()>;
}

/// A sink subtask's transactions, in step with the checkpoints of its job: **two-phase commit**, of which the
/// coordinator's publish record is the decision.
///
/// | when | call | what it does |
/// |---|---|---|
/// | the subtask starts | [`open`](Self::open), then restore, then [`recover`](Self::recover) | commits what its snapshot holds as prepared |
/// | a record comes | [`current`](Self::current) | |
/// | a barrier passes | [`pre_commit`](Self::pre_commit), then capture with the operator state | prepares, and begins the next one |
/// | a checkpoint is complete | [`completed`](Self::completed) | commits what was prepared up to it |
/// | the job has stopped | [`finish`](Self::finish) | commits all |
/// | the subtask ends | [`close`](Self::close) | aborts what is open |
///
/// Where a checkpoint is given up, nothing is to be done: what was prepared for it is in the state of the next one,
/// and is committed with that. A savepoint commits nothing; whoever starts from it commits
/// what it holds, and so does the job that goes on: [`Transactions::commit`] may come twice. That is so of one that stops
/// the job too: as long as an owner may come that knows nothing of it, and goes on from the last checkpoint, what it
/// commits would be output twice. [`finish`](Self::finish) is for who knows that none will come.
///
/// A job that goes back to an older checkpoint than the last one, because that is damaged, outputs again what was
/// committed since.
///
/// Output becomes visible when a checkpoint completes, so with a delay of its interval. A transaction that was
/// begun, or prepared for a checkpoint that never completed, when its process died is in no snapshot: it is the
/// system's to give it up, by a timeout that is **longer than the longest outage** from which the job is to
/// recover, or else what a snapshot holds as prepared may be gone.
///
/// The protocol is Gray's (1978); that a stream processor's checkpoint can be its coordinator's decision is how
/// Flink's `TwoPhaseCommitSinkFunction` came to be (2017).
///
/// Memory and state: one id for each checkpoint under way.
///
/// A broker that shows a transaction's lines once it is committed:
///
/// ```
/// use async_trait::async_trait;
/// use esker::backend::operator::OperatorBackend;
/// use esker::checkpoint::coordinator::Kind;
/// use esker::engine::{Transactions, TwoPhaseCommit};
/// use esker::{Result, block_on};
/// use std::collections::BTreeMap;
/// use std::sync::{Arc, Mutex};
///
/// /// Prepared lines by transaction, and whether they are to be seen.
/// #[derive(Clone, Default)]
/// struct Broker(Arc<Mutex<BTreeMap<u64, (Vec<&'static str>, bool)>>>);
///
/// struct Connection {
///     broker: Broker,
///     begun: u64,
///     lines: Vec<&'static str>,
/// }
///
/// #[async_trait]
/// impl Transactions for Connection {
///     type Id = u64;
///
///     async fn begin(&mut self) -> Result<u64> {
///         self.begun += 1;
///         Ok(self.begun)
///     }
///
///     async fn pre_commit(&mut self, id: &u64) -> Result<()> {
///         let lines = std::mem::take(&mut self.lines);
///         self.broker.0.lock().unwrap().insert(*id, (lines, false));
///         Ok(())
///     }
///
///     async fn commit(&mut self, id: &u64) -> Result<()> {
///         self.broker.0.lock().unwrap().get_mut(id).expect("it is prepared").1 = true;
///         Ok(())
///     }
///
///     async fn abort(&mut self, _: &u64) -> Result<()> {
///         self.lines.clear();
///         Ok(())
///     }
/// }
///
/// let broker = Broker::default();
/// let connection = Connection { broker: broker.clone(), begun: 0, lines: Vec::new() };
/// let mut operator = OperatorBackend::new("sink");
/// let mut sink = TwoPhaseCommit::open(connection, &mut operator)?;
/// block_on(sink.recover(&mut operator))?;
/// sink.current()?.0.lines.push("UA 1545 departs");
/// // The barrier of checkpoint 1; what is captured next holds the transaction's id.
/// block_on(sink.pre_commit(1, &mut operator))?;
/// assert!(!broker.0.lock().unwrap()[&1].1);
/// // A listener passes on that it is complete.
/// block_on(sink.completed(1, Kind::Checkpoint))?;
/// assert_eq!(broker.0.lock().unwrap()[&1], (vec!["UA 1545 departs"], true));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct TwoPhaseCommit<T: Transactions> {
    transactions: T,
    current: Option<T::Id>,
    /// Begun where preparing the current one failed.
    next: Option<T::Id>,
    /// What is prepared and not known to be committed, by the snapshot whose barrier it was.
    prepared: BTreeMap<u64, T::Id>,
    state: Handle<OperatorListState<T::Id>>,
}

impl<T: Transactions> TwoPhaseCommit<T> {
    /// A sink whose operator state is in `operator`, which is to be restored before [`recover`](Self::recover).
    ///
    /// # Errors
    /// Those of [`OperatorBackend::open`].
    pub fn open(transactions: T, operator: &mut OperatorBackend) -> Result<Self> {
        let state = operator.open(OperatorListDescriptor::<T::Id>::split(PREPARED))?;
        Ok(Self { transactions, current: None, next: None, prepared: BTreeMap::new(), state })
    }

    /// Commits what the restored snapshot holds as prepared, and begins the first transaction. After an
    /// error it may be called again.
    ///
    /// # Errors
    /// The system's.
    pub async fn recover(&mut self, operator: &mut OperatorBackend) -> Result<()> {
        let state = operator.state(self.state)?;
        for id in state.get() {
            self.transactions.commit(id).await?;
        }
        state.clear();
        self.begin().await
    }

    async fn begin(&mut self) -> Result<()> {
        if self.current.is_none() {
            self.current = Some(self.transactions.begin().await?);
        }
        Ok(())
    }

    /// The transaction that records are written in, and the system to write them to.
    ///
    /// # Errors
    /// `Invalid` before [`recover`](Self::recover), and after [`close`](Self::close).
    pub fn current(&mut self) -> Result<(&mut T, &T::Id)> {
        match &self.current {
            Some(id) => Ok((&mut self.transactions, id)),
            None => Err(not_open()),
        }
    }

    /// Prepares what was written up to the barrier of `snapshot`, notes it in `operator`, which is to be captured
    /// next, and begins another transaction. After an error the snapshot is to be declined, and the barrier of
    /// a later one prepares all of it.
    ///
    /// # Errors
    /// The system's; as for [`current`](Self::current); `Invalid` for the number of a snapshot that was prepared for.
    pub async fn pre_commit(
        &mut self,
        snapshot: u64,
        operator: &mut OperatorBackend,
    ) -> Result<()> {
        if self.prepared.contains_key(&snapshot) {
            let message =
                format!("snapshot={snapshot} was prepared for before: numbers are not used again");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let state = operator.state(self.state)?;
        let id = self.current.as_ref().ok_or_else(not_open)?;
        // First: once it is prepared, nothing more is written in the current one.
        if self.next.is_none() {
            self.next = Some(self.transactions.begin().await?);
        }
        self.transactions.pre_commit(id).await?;
        if let Some(id) = std::mem::replace(&mut self.current, self.next.take()) {
            self.prepared.insert(snapshot, id);
        }
        state.update(self.prepared.values().cloned().collect());
        Ok(())
    }

    /// A snapshot is [complete](super::Listener::completed): commits what was prepared up to its barrier, unless
    /// it is a savepoint. Said again, it does what failed before.
    ///
    /// # Errors
    /// The system's: what is not committed is when it is called again, or with the next checkpoint.
    pub async fn completed(&mut self, snapshot: u64, kind: Kind) -> Result<()> {
        match kind {
            Kind::Checkpoint => self.commit_up_to(snapshot).await,
            Kind::Savepoint | Kind::Stop { .. } => Ok(()),
        }
    }

    /// Commits all that is prepared: the job has stopped by a savepoint, and nobody will go on from a checkpoint
    /// before that. Without it what was prepared since the last checkpoint waits for whoever starts from the
    /// savepoint.
    ///
    /// # Errors
    /// The system's; it may be called again.
    pub async fn finish(&mut self) -> Result<()> {
        self.commit_up_to(u64::MAX).await
    }

    async fn commit_up_to(&mut self, snapshot: u64) -> Result<()> {
        while let Some(first) = self.prepared.first_entry().filter(|of| *of.key() <= snapshot) {
            self.transactions.commit(first.get()).await?;
            first.remove();
        }
        Ok(())
    }

    /// Aborts what was written behind the last barrier: nothing, where the job has ended. What is prepared stays,
    /// for whoever restores it.
    ///
    /// # Errors
    /// The system's.
    pub async fn close(&mut self) -> Result<()> {
        for open in [&mut self.current, &mut self.next] {
            if let Some(id) = open {
                self.transactions.abort(id).await?;
                *open = None;
            }
        }
        Ok(())
    }

    /// How many transactions are prepared and not committed: as many as checkpoints are under way, or more if
    /// commits fail.
    pub fn prepared(&self) -> usize {
        self.prepared.len()
    }
}

fn not_open() -> Error {
    let message = "the sink has no transaction: call TwoPhaseCommit::recover after the restore";
    Error::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_on;
    use std::sync::{Arc, Mutex};

    /// What was done, and how often the next calls fail.
    #[derive(Clone, Default)]
    struct System(Arc<Mutex<(Vec<String>, u32)>>);

    struct Connection(System, u32);

    impl Connection {
        fn does(&self, what: &str, id: u32) -> Result<()> {
            let mut system = self.0.0.lock().unwrap();
            if system.1 > 0 {
                system.1 -= 1;
                return Err(Error::new(ErrorKind::Retry, "made to fail"));
            }
            system.0.push(format!("{what} {id}"));
            Ok(())
        }
    }

    #[async_trait]
    impl Transactions for Connection {
        type Id = u32;

        async fn begin(&mut self) -> Result<u32> {
            self.1 += 1;
            self.does("begin", self.1).map(|()| self.1)
        }

        async fn pre_commit(&mut self, id: &u32) -> Result<()> {
            self.does("prepare", *id)
        }

        async fn commit(&mut self, id: &u32) -> Result<()> {
            self.does("commit", *id)
        }

        async fn abort(&mut self, id: &u32) -> Result<()> {
            self.does("abort", *id)
        }
    }

    type Sink = TwoPhaseCommit<Connection>;

    fn sink() -> (System, OperatorBackend, Sink) {
        let (system, mut operator) = (System::default(), OperatorBackend::new("sink"));
        let connection = Connection(system.clone(), 0);
        let mut sink = TwoPhaseCommit::open(connection, &mut operator).unwrap();
        assert_eq!(sink.current().err().unwrap().kind(), ErrorKind::Invalid);
        block_on(sink.recover(&mut operator)).unwrap();
        assert_eq!(done(&system), ["begin 1"]);
        (system, operator, sink)
    }

    /// What was done since it was asked before.
    fn done(system: &System) -> Vec<String> {
        std::mem::take(&mut system.0.lock().unwrap().0)
    }

    fn stored(operator: &mut OperatorBackend, sink: &Sink) -> Vec<u32> {
        operator.state(sink.state).unwrap().get().to_vec()
    }

    #[test]
    fn a_checkpoint_commits_what_was_prepared_up_to_it_and_a_savepoint_nothing() {
        let (system, mut operator, mut sink) = sink();
        block_on(sink.pre_commit(1, &mut operator)).unwrap();
        block_on(sink.pre_commit(2, &mut operator)).unwrap();
        block_on(sink.pre_commit(3, &mut operator)).unwrap();
        assert_eq!(stored(&mut operator, &sink), [1, 2, 3]);
        done(&system);
        for kind in [Kind::Savepoint, Kind::Stop { drain: true }] {
            block_on(sink.completed(3, kind)).unwrap();
        }
        // The first was given up.
        block_on(sink.completed(2, Kind::Checkpoint)).unwrap();
        assert_eq!(
            (done(&system), sink.prepared()),
            (vec!["commit 1".into(), "commit 2".into()], 1)
        );
        block_on(sink.finish()).unwrap();
        block_on(sink.close()).unwrap();
        assert_eq!(done(&system), ["commit 3", "abort 4"]);
    }

    #[test]
    fn what_fails_is_done_when_it_is_asked_for_again() {
        let (system, mut operator, mut sink) = sink();
        let fails = |times| system.0.lock().unwrap().1 = times;
        // Neither is the next one begun, nor this one prepared.
        for _ in 0..2 {
            fails(1);
            assert!(block_on(sink.pre_commit(1, &mut operator)).is_err());
        }
        assert_eq!((sink.prepared(), sink.current().unwrap().1), (0, &1));
        block_on(sink.pre_commit(2, &mut operator)).unwrap();
        let again = block_on(sink.pre_commit(2, &mut operator)).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Invalid);
        fails(1);
        assert!(block_on(sink.completed(2, Kind::Checkpoint)).is_err());
        assert_eq!(sink.prepared(), 1);
        block_on(sink.completed(2, Kind::Checkpoint)).unwrap();
        assert_eq!(sink.prepared(), 0);
        let done = done(&system);
        assert_eq!(done.last().unwrap(), "commit 1");
        assert_eq!(done.iter().filter(|what| what.starts_with("commit")).count(), 1);
    }
}
