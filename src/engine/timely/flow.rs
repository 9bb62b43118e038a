//! What a job is built of: sources, keyed operators, and what stands between them.

use super::desk::Desk;
use super::event::{Event, Outlet, SourceOutlet, Watermarks};
use super::keyed::{Keyed, KeyedSubtask};
use super::source::{Source, SourceSubtask};
use super::subtask::Subtask;
use super::time::Time;
use crate::backend::BackendFactory;
use crate::backend::heap::HeapBackend;
use crate::backend::operator::OperatorBackend;
use crate::format::{Key, KeyGroup, KeyGroupRange};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::rc::Rc;
use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{Operator, OutputBuilder};
use timely::dataflow::operators::probe::{self, Probe as _};
use timely::dataflow::{Scope, StreamVec};

/// How far all operators of this worker's dataflow have come, everywhere.
pub(super) type Probe = probe::Handle<Time>;

/// The dataflow of a job while it is built, on one worker. Every worker builds the same.
pub struct Flow<'scope> {
    scope: Scope<'scope, Time>,
    desk: Rc<Desk>,
    probe: Probe,
}

/// A stream of records with watermarks among them, from the subtasks of one operator.
///
/// Between operators with state, records can be changed, left out and looked at; these calls see records alone, on
/// the worker that they are on, and keep their order.
pub struct Events<'scope, D> {
    stream: StreamVec<'scope, Time, Event<D>>,
    desk: Rc<Desk>,
    probe: Probe,
    /// How many subtasks it comes from.
    origins: u32,
}

impl<'scope, D: ExchangeData + Clone> Clone for Events<'scope, D> {
    fn clone(&self) -> Self {
        let (stream, desk) = (self.stream.clone(), Rc::clone(&self.desk));
        Self { stream, desk, probe: self.probe.clone(), origins: self.origins }
    }
}

impl<'scope> Flow<'scope> {
    pub(super) fn new(scope: Scope<'scope, Time>, desk: Rc<Desk>) -> Self {
        Self { scope, desk, probe: Probe::new() }
    }

    /// Which worker this is, of [`workers`](Self::workers).
    pub fn worker(&self) -> u32 {
        self.desk.index
    }

    /// How many workers all processes have together: each has one subtask of every keyed operator.
    pub fn workers(&self) -> u32 {
        self.desk.peers
    }

    /// The generation of the job's owner.
    pub fn generation(&self) -> u64 {
        self.desk.begun_from().0
    }

    /// The checkpoint that the job goes on from; none where it begins.
    pub fn restored(&self) -> Option<u64> {
        self.desk.begun_from().1
    }

    /// Adds the source `uid`, on the first `parallelism` workers or on all if there are fewer. `open` opens the
    /// states of a subtask and makes its source, which is restored before it is first asked to
    /// [read](Source::read).
    ///
    /// # Errors
    /// `Invalid` for a uid that is there already or a parallelism of 0; those of `open`, and of the restore.
    pub fn source<S: Source>(
        &self,
        uid: &str,
        parallelism: u32,
        open: impl FnOnce(&mut OperatorBackend, u32) -> Result<S>,
    ) -> Result<Events<'scope, S::Item>> {
        let desk = &self.desk;
        if parallelism == 0 {
            let message = format!("source={uid}: it has no subtask");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let origins = parallelism.min(desk.peers);
        let number = desk.plan(uid, origins)?;
        // All that can fail comes first: timely does not forgive an operator that is begun and not built.
        let mut opened = None;
        if desk.index < origins {
            let stored = desk.stored(uid);
            let stored = stored.as_ref();
            let range = KeyGroupRange::of_subtask(desk.index, origins)?;
            let mut keyed = stored.map_or_else(
                || HeapBackend::new(uid, range),
                |stored| HeapBackend::restoring(stored, range),
            );
            let mut state =
                stored.map_or_else(|| OperatorBackend::new(uid), OperatorBackend::restoring);
            let source = open(&mut state, desk.index)?;
            let at = (number, origins);
            let subtask = Subtask::restore(desk, at, &mut keyed, Some(&mut state))?;
            desk.add_source();
            opened = Some((source, state, keyed, subtask));
        }
        let mut builder = OperatorBuilder::new(uid.to_owned(), self.scope);
        let activator = self.scope.activator_for(builder.operator_info().address);
        let (output, stream) = builder.new_output();
        let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
        let (probe, out) = (self.probe.clone(), SourceOutlet::new(desk.index));
        builder.build(move |capabilities| {
            let capability = capabilities.into_iter().next();
            let running = opened.zip(capability);
            let mut running = running.map(|((source, state, keyed, subtask), capability)| {
                activator.activate();
                subtask.register(activator.clone());
                SourceSubtask {
                    source,
                    state,
                    keyed,
                    subtask,
                    activator,
                    capability,
                    out,
                    probe,
                    under_way: VecDeque::new(),
                    has_ended: false,
                    stops: None,
                }
            });
            move |_frontiers| {
                if let Some(running) = &mut running {
                    running.schedule(&mut output.activate());
                }
            }
        });
        let (desk, probe) = (Rc::clone(desk), self.probe.clone());
        let stream = stream.probe_with(&probe);
        Ok(Events { stream, desk, probe, origins })
    }
}

impl<'scope, D: ExchangeData + Clone> Events<'scope, D> {
    /// Adds the keyed operator `uid`, with a subtask on every worker. Records go to the worker that owns the key
    /// group of their `key`; watermarks go to all. `factory` makes the subtask's backend, `open` opens its states
    /// and makes the operator, which is restored before its first record.
    ///
    /// Records of a later epoch wait until its barrier has passed: at most what sources are
    /// [ahead](super::TimelyJob::ahead).
    ///
    /// # Errors
    /// `Invalid` for a uid that is there already; those of `factory`, of `open` and of the restore.
    pub fn keyed<K, F, O>(
        self,
        uid: &str,
        key: impl Fn(&D) -> K + 'static,
        factory: &F,
        open: impl FnOnce(F::Backend) -> Result<O>,
    ) -> Result<Events<'scope, O::Output>>
    where
        K: Key,
        F: BackendFactory,
        O: Keyed<Input = D, Backend = F::Backend>,
    {
        let Self { stream, desk, probe, origins } = self;
        let peers = desk.peers;
        let number = desk.plan(uid, peers)?;
        let range = KeyGroupRange::of_subtask(desk.index, peers)?;
        let mut operator = open(factory.make(uid, range, desk.stored(uid).as_ref())?)?;
        let subtask = Subtask::restore(&desk, (number, peers), operator.backend(), None)?;

        let stream = to_all(stream, peers);
        let route = move |event: &Event<D>| match event {
            Event::Record(record) => {
                let group = key(record).with_encoded(KeyGroup::of);
                u64::from(group.subtask(peers))
            }
            Event::Watermark { to, .. } | Event::End { to, .. } => u64::from(*to),
        };
        let mut builder = OperatorBuilder::new(uid.to_owned(), stream.scope());
        let activator = stream.scope().activator_for(builder.operator_info().address);
        subtask.register(activator);
        let mut input = builder.new_input(stream, Exchange::new(route));
        let (output, stream) = builder.new_output();
        let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
        builder.build(move |capabilities| {
            let capability = capabilities.into_iter().next();
            let mut running = capability.map(|capability| KeyedSubtask {
                operator,
                subtask,
                capability,
                watermarks: Watermarks::new(origins),
                out: Outlet::new(),
                waiting: BTreeMap::new(),
                waits_since: None,
            });
            move |frontiers| {
                let Some(running) = &mut running else { return };
                // In the order of arrival: what sorts by time may turn around what is of one.
                input.for_each(|time, events| running.receive(*time.time(), mem::take(events)));
                let frontier = frontiers.first().and_then(|of| of.frontier().first().copied());
                running.advance(frontier, &mut output.activate());
            }
        });
        let stream = stream.probe_with(&probe);
        Ok(Events { stream, desk, probe, origins: peers })
    }

    /// Puts any number of records in the place of each.
    pub fn flat_map<E, I>(self, mut change: impl FnMut(D) -> I + 'static) -> Events<'scope, E>
    where
        E: ExchangeData + Clone,
        I: IntoIterator<Item = E>,
    {
        let Self { stream, desk, probe, origins } = self;
        let stream = in_order(stream, "flat_map", move |event, out| match event {
            Event::Record(record) => out.extend(change(record).into_iter().map(Event::Record)),
            Event::Watermark { from, to, time_ms } => {
                out.push(Event::Watermark { from, to, time_ms });
            }
            Event::End { from, to } => out.push(Event::End { from, to }),
        });
        Events { stream, desk, probe, origins }
    }

    /// Puts another record in the place of each.
    pub fn map<E: ExchangeData + Clone>(
        self,
        mut change: impl FnMut(D) -> E + 'static,
    ) -> Events<'scope, E> {
        self.flat_map(move |record| std::iter::once(change(record)))
    }

    /// Leaves out the records that `keeps` says no to.
    #[must_use]
    pub fn filter(self, mut keeps: impl FnMut(&D) -> bool + 'static) -> Self {
        self.flat_map(move |record| keeps(&record).then_some(record))
    }

    /// Looks at each record, on its worker. What it does happens again after a restart, for records behind the
    /// barrier that the job goes on from.
    pub fn for_each(self, mut look: impl FnMut(&D) + 'static) {
        self.stream.sink(Pipeline, "for_each", move |(input, _)| {
            input.for_each(|_, events| {
                for event in events.drain(..) {
                    if let Event::Record(record) = event {
                        look(&record);
                    }
                }
            });
        });
    }

    /// The stream as timely has it: records without watermarks. Times are of the job's own making.
    pub fn into_stream(self) -> StreamVec<'scope, Time, D> {
        in_order(self.stream, "records", |event, out| {
            if let Event::Record(record) = event {
                out.push(record);
            }
        })
    }
}

/// Makes of each watermark and each end one for every worker.
fn to_all<'scope, D: ExchangeData + Clone>(
    stream: StreamVec<'scope, Time, Event<D>>,
    peers: u32,
) -> StreamVec<'scope, Time, Event<D>> {
    in_order(stream, "to all", move |event, out| match event {
        Event::Record(_) => out.push(event),
        Event::Watermark { from, time_ms, .. } => {
            out.extend((0..peers).map(|to| Event::Watermark { from, to, time_ms }));
        }
        Event::End { from, .. } => out.extend((0..peers).map(|to| Event::End { from, to })),
    })
}

/// Changes each element on its worker; they stay in order, which timely's own operators do not promise.
fn in_order<'scope, D: 'static, E: 'static>(
    stream: StreamVec<'scope, Time, D>,
    name: &str,
    mut change: impl FnMut(D, &mut Vec<E>) + 'static,
) -> StreamVec<'scope, Time, E> {
    stream.unary::<CapacityContainerBuilder<Vec<E>>, _, _, _>(Pipeline, name, |_, _| {
        move |input, output| {
            input.for_each(|time, elements| {
                let mut changed = Vec::with_capacity(elements.len());
                elements.drain(..).for_each(|element| change(element, &mut changed));
                if !changed.is_empty() {
                    output.session(&time).give_container(&mut changed);
                }
            });
        }
    })
}
