//! The system outside of the job that its sinks write to, across a network that fails as the store does.

use super::Record;
use super::world::{HEAVEN, sleep, spawn, world};
use crate::engine::Transactions;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures::channel::oneshot;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Debug, Default)]
struct Transaction {
    records: Vec<Record>,
    is_committed: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    transactions: Arc<Mutex<BTreeMap<u64, Transaction>>>,
    pub(super) fails_one_in: Arc<AtomicU64>,
}

impl Ledger {
    /// All that has taken effect, sorted.
    pub(super) fn committed(&self) -> Vec<Record> {
        let transactions = self.transactions.lock().unwrap();
        let committed = transactions.values().filter(|of| of.is_committed);
        let mut records: Vec<_> = committed.flat_map(|of| of.records.iter().copied()).collect();
        records.sort_unstable();
        records
    }

    async fn call(
        &self,
        what: &'static str,
        id: u64,
        effect: impl FnOnce() + 'static,
    ) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        {
            let world = world();
            let fails = world.one_in(self.fails_one_in.load(Ordering::Relaxed));
            let (never, takes_us) = (world.one_in(2), world.draw(1..600));
            spawn(HEAVEN, async move {
                sleep(takes_us).await;
                if !(fails && never) {
                    effect();
                }
                super::world::world().note(what, id);
                sleep(takes_us).await;
                let _ = answer.send(fails);
            });
        }
        match answered.await {
            Ok(false) => Ok(()),
            _ => Err(Error::new(ErrorKind::Retry, "the ledger does not answer")),
        }
    }
}

/// A sink's connection: records wait in it until they are prepared.
pub(super) struct Connection {
    pub(super) ledger: Ledger,
    pub(super) written: BTreeMap<u64, Vec<Record>>,
}

#[async_trait]
impl Transactions for Connection {
    type Id = u64;

    async fn begin(&mut self) -> Result<u64> {
        let id = world().number();
        self.written.insert(id, Vec::new());
        Ok(id)
    }

    async fn pre_commit(&mut self, id: &u64) -> Result<()> {
        let (id, records) = (*id, self.written.get(id).cloned().unwrap_or_default());
        let transactions = Arc::clone(&self.ledger.transactions);
        let prepare = move || {
            let mut transactions = transactions.lock().unwrap();
            let of = transactions.entry(id).or_default();
            assert!(!of.is_committed, "transaction {id} is prepared once it is committed");
            of.records = records;
        };
        self.ledger.call("prepare", id, prepare).await?;
        self.written.remove(&id);
        Ok(())
    }

    async fn commit(&mut self, id: &u64) -> Result<()> {
        let (id, transactions) = (*id, Arc::clone(&self.ledger.transactions));
        let commit = move || {
            let mut transactions = transactions.lock().unwrap();
            let of = transactions.get_mut(&id);
            of.expect("what is committed is prepared").is_committed = true;
        };
        self.ledger.call("commit", id, commit).await
    }

    async fn abort(&mut self, id: &u64) -> Result<()> {
        self.written.remove(id);
        Ok(())
    }
}
