//! A job with a state of each kind, on whatever backend.

use esker::backend::{
    Backend, BackendFactory, Handle, ListCalls, MapCalls, Reducing, TimerCalls, ValueCalls,
};
use esker::engine::LocalJob;
use esker::format::{Key, KeyGroup, KeyGroupRange};
use esker::state::{
    ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor, TtlConfig, ValueDescriptor,
};
use esker::{Result, Store, block_on};

const PARALLELISM: u32 = 3;
const KEYS: u64 = 300;
/// In milliseconds.
const TTL: u64 = 100;

type Value<B> = Handle<<B as Backend>::Value<u64, u8, String>>;
type TtlValue<B> = Handle<<B as Backend>::TtlValue<u64, u8, u64>>;
type List<B> = Handle<<B as Backend>::List<u64, u8, u64>>;
type TtlList<B> = Handle<<B as Backend>::TtlList<u64, u8, u64>>;
type Map<B> = Handle<<B as Backend>::Map<u64, u8, String, u64>>;
type TtlMap<B> = Handle<<B as Backend>::TtlMap<u64, u8, String, u64>>;

pub(crate) struct States<B: Backend> {
    count: Value<B>,
    seen: TtlValue<B>,
    late: List<B>,
    ttl_late: TtlList<B>,
    routes: Map<B>,
    ttl_routes: TtlMap<B>,
    wake: Handle<B::Timers<u64, u8>>,
    clock: Handle<B::Timers<u64, u8>>,
    sum: Handle<Reducing<B, u64, u8, u64>>,
}

impl<B: Backend> States<B> {
    pub(crate) fn open(backend: &mut B) -> Self {
        let ttl = TtlConfig::new(TTL);
        let add = |sum: &mut u64, more| *sum += more;
        Self {
            count: backend.open(ValueDescriptor::new("count")).unwrap(),
            seen: backend.open(ValueDescriptor::new("seen").with_ttl(ttl)).unwrap(),
            late: backend.open(ListDescriptor::new("late")).unwrap(),
            ttl_late: backend.open(ListDescriptor::new("ttl-late").with_ttl(ttl)).unwrap(),
            routes: backend.open(MapDescriptor::new("routes")).unwrap(),
            ttl_routes: backend.open(MapDescriptor::new("ttl-routes").with_ttl(ttl)).unwrap(),
            wake: backend.open(TimerDescriptor::event("wake")).unwrap(),
            clock: backend.open(TimerDescriptor::processing("clock")).unwrap(),
            sum: backend.open(ReducingDescriptor::new("sum", add)).unwrap(),
        }
    }
}

/// A job in one process.
pub(crate) struct Job<B: Backend> {
    job: LocalJob,
    backends: Vec<B>,
    states: Vec<States<B>>,
}

impl<B: Backend> Job<B> {
    pub(crate) fn new(factory: &impl BackendFactory<Backend = B>, url: &str) -> Self {
        let job = block_on(LocalJob::open(Store::open(url).unwrap(), "flights")).unwrap();
        let range = |subtask| KeyGroupRange::of_subtask(subtask, PARALLELISM).unwrap();
        let make = |subtask| factory.make("flights", range(subtask), None).unwrap();
        let mut backends: Vec<B> = (0..PARALLELISM).map(make).collect();
        let states = backends.iter_mut().map(States::open).collect();
        Self { job, backends, states }
    }

    /// The job at `url` as its newest checkpoint that is whole has it, or its last one alone.
    pub(crate) fn restored(
        factory: &impl BackendFactory<Backend = B>,
        url: &str,
        falls_back: bool,
    ) -> Result<Self> {
        let store = Store::open(url)?;
        let mut job = match falls_back {
            true => block_on(LocalJob::open_or_fall_back(store, "flights"))?,
            false => block_on(LocalJob::open(store, "flights"))?,
        };
        let made = block_on(job.restored(async |job| {
            let (mut backends, mut states) = (Vec::new(), Vec::new());
            for subtask in 0..PARALLELISM {
                let range = KeyGroupRange::of_subtask(subtask, PARALLELISM)?;
                let mut backend = job.backend_of(factory, "flights", range)?;
                states.push(States::open(&mut backend));
                job.restore(&mut backend).await?;
                backends.push(backend);
            }
            Ok((backends, states))
        }));
        made.map(|(backends, states)| Self { job, backends, states })
    }

    /// The checkpoints that were passed over, and why.
    pub(crate) fn skipped(&self) -> Vec<(u64, String)> {
        let skipped = self.job.skipped().iter();
        skipped.map(|skipped| (skipped.checkpoint, skipped.why.to_string())).collect()
    }

    /// Changes a part of everything; `round` goes up from 0.
    pub(crate) fn change(&mut self, round: u64) {
        for number in (0..KEYS).filter(|number| round == 0 || number % 3 == 1) {
            let key = &number;
            let subtask = key.with_encoded(KeyGroup::of).subtask(PARALLELISM) as usize;
            let (b, s) = (&mut self.backends[subtask], &self.states[subtask]);
            b.set_time_ms((round * 80 + number / 10) as i64);
            for n in [&1_u8, &2] {
                let text = format!("{number} in \"{round}\"");
                b.state(s.count).unwrap().update(key, n, text).unwrap();
                b.state(s.seen).unwrap().update(key, n, number).unwrap();
                b.state(s.late).unwrap().append(key, n, round).unwrap();
                b.state(s.ttl_late).unwrap().append(key, n, number + round).unwrap();
                for route in ["ATL", "JFK"] {
                    let route = format!("{route}{round}");
                    b.state(s.routes).unwrap().put(key, n, &route, number).unwrap();
                    b.state(s.ttl_routes).unwrap().put(key, n, &route, number).unwrap();
                }
                if round > 0 {
                    b.state(s.routes).unwrap().remove(key, n, &"ATL0".to_owned()).unwrap();
                }
                let time_ms = 1000 - (number % 50) as i64;
                b.state(s.wake).unwrap().register(time_ms, key, n).unwrap();
                b.state(s.clock).unwrap().register(-time_ms, key, n).unwrap();
                b.state(s.sum).unwrap().add(key, n, number).unwrap();
            }
        }
        let now_ms = (round * 80 + 65) as i64;
        self.backends.iter_mut().for_each(|backend| backend.set_time_ms(now_ms));
    }

    pub(crate) fn checkpoint(&mut self) {
        block_on(self.job.checkpoint(&mut self.backends)).unwrap();
    }

    pub(crate) fn savepoint(&mut self, url: &str) {
        let store = Store::open(url).unwrap();
        block_on(self.job.savepoint(&mut self.backends, &store)).unwrap();
    }
}
