//! The owner's process: it opens the job, starts subtasks on nodes of their own, and starts them again.

use super::super::{CoordinatedJob, End, OperatorPlan, SubtaskCheckpoints};
use super::ledger::{Connection, Ledger};
use super::network::{self, Weather, Wires};
use super::subtasks::{Counter, Source};
use super::world::{Node, sleep, spawn, world};
use super::{COUNTER, IN_FLIGHT, LISTS, Nodes, OFFSETS, PARTITIONS, Record, SINK, SOURCE};
use crate::backend::Backend;
use crate::backend::heap::HeapBackends;
use crate::engine::barrier::{Aligner, InFlight, Limits, Mode};
use crate::engine::{Control, TwoPhaseCommit};
use crate::format::KeyGroupRange;
use crate::state::{ListDescriptor, OperatorListDescriptor};
use crate::{ErrorKind, Result, Settings, Store};
use futures::channel::mpsc::unbounded;
use futures::future::{Either, select};
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

/// What a seed is about.
#[derive(Clone)]
pub(super) struct Plot {
    pub(super) store: Store,
    pub(super) ledger: Ledger,
    pub(super) weather: Weather,
    pub(super) settings: Settings,
    /// In each partition.
    pub(super) records: u64,
    pub(super) mode: Mode,
    pub(super) nodes: Nodes,
    /// Savepoints that users were told of.
    pub(super) savepoints: Rc<RefCell<Vec<Store>>>,
    /// Where one that stops the job goes, if the user asks for it.
    pub(super) stop: Option<Store>,
}

fn plans() -> (Vec<OperatorPlan>, [u32; 2]) {
    let (sources, counters) = (world().draw(1..3) as u32, world().draw(1..4) as u32);
    let plan = |uid: &str, parallelism| OperatorPlan { uid: uid.to_owned(), parallelism };
    let plans = vec![
        plan(SOURCE, sources),
        plan(COUNTER, counters),
        plan(IN_FLIGHT, counters),
        plan(SINK, counters),
    ];
    (plans, [sources, counters])
}

impl Plot {
    /// The life of an owner, to the end of the job or its own.
    pub(super) async fn own(self) -> Result<End> {
        let (first, mut parallelisms) = plans();
        let mut job = loop {
            let (store, plans) = (self.store.clone(), first.clone());
            match CoordinatedJob::open(store, "simulated", plans, &self.settings).await {
                Err(error) if error.kind() == ErrorKind::Retry => sleep(1000).await,
                opened => break opened?,
            }
        };
        self.ask(&job);
        loop {
            job.clear_listeners();
            let nodes: Vec<_> = (0..world().draw(1..4)).map(|_| world().node()).collect();
            self.nodes.borrow_mut().extend(&nodes);
            let ended = match self.start(&mut job, parallelisms, &nodes).await {
                Ok(()) => self.watch(&mut job, &nodes).await,
                Err(error) if error.kind() == ErrorKind::Retry => Ok(None),
                Err(error) => Err(error),
            };
            let ended = match ended {
                // A new owner's subtasks may be there by now: these live on for a while.
                Err(error) if error.kind() == ErrorKind::Fenced => return Err(error),
                Ok(Some(End::Failed(_)) | None) => None,
                ended => ended?,
            };
            if let Some(end) = ended {
                // What was said last may be on its way.
                sleep(100_000).await;
                nodes.iter().for_each(|node| world().kill(*node));
                return Ok(end);
            }
            nodes.iter().for_each(|node| world().kill(*node));
            parallelisms = loop {
                let (again, of) = plans();
                match job.restart(again).await {
                    Ok(None) => break of,
                    Ok(Some(end)) => return Ok(end),
                    Err(error) if error.kind() == ErrorKind::Retry => sleep(1000).await,
                    Err(error) => return Err(error),
                }
            };
        }
    }

    /// Runs the coordinator until the job ends, or one of `nodes` has died.
    async fn watch(&self, job: &mut CoordinatedJob, nodes: &[Node]) -> Result<Option<End>> {
        let died = async {
            while !nodes.iter().any(|node| world().is_dead(*node)) {
                sleep(2000).await;
            }
        };
        let mut died = pin!(died);
        loop {
            match select(pin!(job.run()), &mut died).await {
                Either::Left((Err(error), _)) if error.kind() == ErrorKind::Retry => {}
                Either::Left((end, _)) => return end.map(Some),
                Either::Right(_) => return Ok(None),
            }
            sleep(1000).await;
        }
    }

    /// A user who wants savepoints.
    fn ask(&self, job: &CoordinatedJob) {
        if let Some(target) = self.stop.clone() {
            let control = job.control();
            spawn(super::world::HEAVEN, async move {
                sleep(world().draw(1..60_000)).await;
                let _ = control.stop(&target, false).await;
            });
        }
        if world().one_in(2) {
            let target = super::memory();
            let (control, savepoints) = (job.control(), Rc::clone(&self.savepoints));
            spawn(super::world::HEAVEN, async move {
                sleep(world().draw(1..60_000)).await;
                if let Ok(number) = control.savepoint(&target).await {
                    world().note("savepoint", number);
                    savepoints.borrow_mut().push(target);
                }
            });
        }
    }

    /// Restores all subtasks and starts them on `nodes`.
    async fn start(
        &self,
        job: &mut CoordinatedJob,
        [sources, counters]: [u32; 2],
        nodes: &[Node],
    ) -> Result<()> {
        let node_of = |number: u32| nodes[number as usize % nodes.len()];
        let near = |node| -> Control { network::control(node, job.control(), self.weather) };
        let on = |node, checkpoints: SubtaskCheckpoints| -> SubtaskCheckpoints {
            let mut checkpoints = checkpoints;
            checkpoints.control = near(node);
            checkpoints
        };
        let (mut all, mut to_sources, mut to_counters) = (Vec::new(), Vec::new(), Vec::new());
        let (mut of_counters, mut of_sources) = (Vec::new(), Vec::new());
        for subtask in 0..counters {
            let node = node_of(sources + subtask);
            let range = KeyGroupRange::of_subtask(subtask, counters)?;
            let mut backend = job.backend_of(&HeapBackends, COUNTER, subtask)?;
            let lists = backend.open(ListDescriptor::new(LISTS))?;
            let counter = on(node, job.restore(subtask, &mut backend, None).await?);
            let mut in_flight =
                InFlight::new(job.backend_of(&HeapBackends, IN_FLIGHT, subtask)?)?;
            let records = on(node, job.restore(subtask, in_flight.backend(), None).await?);
            let mut of_sink =
                (job.backend_of(&HeapBackends, SINK, subtask)?, job.operator_backend(SINK));
            let (ledger, written) = (self.ledger.clone(), Default::default());
            let sink = TwoPhaseCommit::open(Connection { ledger, written }, &mut of_sink.1)?;
            let restored = job.restore(subtask, &mut of_sink.0, Some(&mut of_sink.1)).await?;
            let checkpoints = [counter, records, on(node, restored)];
            let channels = sources as usize;
            let (to, inbox) = unbounded();
            all.push(to.clone());
            to_counters.push((range, to));
            of_counters.push(Counter {
                node,
                control: near(node),
                checkpoints,
                backend,
                lists,
                in_flight,
                of_sink,
                sink,
                aligner: Aligner::new(channels, self.mode, Limits::default())?,
                inbox,
                channels,
                progress: Default::default(),
            });
        }
        for subtask in 0..sources {
            let node = node_of(subtask);
            let mut backend = job.backend_of(&HeapBackends, SOURCE, subtask)?;
            let mut operator = job.operator_backend(SOURCE);
            let offsets = operator.open(OperatorListDescriptor::<Record>::split(OFFSETS))?;
            let restored = job.restore(subtask, &mut backend, Some(&mut operator)).await?;
            if job.last().is_none() {
                let own =
                    (0..PARTITIONS).filter(|of| of % u64::from(sources) == u64::from(subtask));
                operator.state(offsets)?.update(own.map(|partition| (partition, 0)).collect());
            }
            let (to, inbox) = unbounded();
            all.push(to.clone());
            to_sources.push(to);
            // Channels of one source may be slower than those of another.
            let takes_us = world().draw(1..4000);
            let counters = to_counters
                .iter()
                .map(|(range, to)| (*range, network::link(subtask as usize, to.clone(), takes_us)));
            of_sources.push(Source {
                node,
                checkpoints: on(node, restored),
                backend,
                operator,
                offsets,
                inbox,
                counters: counters.collect(),
                records: self.records,
                pause_us: 2000,
            });
        }
        let counters = to_counters.into_iter().map(|(_, to)| to).collect();
        job.listen(Wires { sources: to_sources, counters, all, weather: self.weather });
        for counter in of_counters {
            spawn(counter.node, counter.run());
        }
        for source in of_sources {
            spawn(source.node, source.run());
        }
        Ok(())
    }
}
