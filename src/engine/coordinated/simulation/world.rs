//! A world of its own: tasks on nodes that may stand still or die, time that passes when nobody has anything to do, and
//! chance, all of it a function of a seed.

use crate::environment::simulated;
use esker_test_support::soak::{Random, hash};
use futures::FutureExt;
use futures::future::{BoxFuture, LocalBoxFuture};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A machine. Whatever runs on it dies with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node(pub(super) u64);

/// Never dies: stores, networks, and whoever watches.
pub(super) const HEAVEN: Node = Node(0);

/// Steps after which something must have gone wrong.
const STEPS_MAX: u64 = 400_000;

struct Task {
    node: Node,
    /// None while it is polled.
    future: Option<LocalBoxFuture<'static, ()>>,
}

#[derive(Default)]
struct Machine {
    is_paused: bool,
    is_dead: bool,
}

type Fate = Box<dyn FnOnce()>;
type Ready = Arc<Mutex<BTreeSet<u64>>>;

struct Wakes {
    task: u64,
    ready: Ready,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap().insert(self.task);
    }
}

pub(super) struct World {
    seed: u64,
    began: Instant,
    now_us: Cell<u64>,
    random: Random,
    trace: Cell<u64>,
    pub(super) steps: Cell<u64>,
    numbers: Cell<u64>,
    ready: Ready,
    tasks: RefCell<BTreeMap<u64, Task>>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    machines: RefCell<BTreeMap<Node, Machine>>,
    /// What is to happen before a step.
    fates: RefCell<BTreeMap<u64, Vec<Fate>>>,
    /// Whether nothing bad happens any more.
    pub(super) is_calm: Cell<bool>,
    is_told: bool,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The world that runs on this thread.
pub(super) fn world() -> Rc<World> {
    WORLD.with_borrow(Clone::clone).expect("there is a world")
}

impl simulated::World for World {
    fn now(&self) -> Instant {
        self.began + Duration::from_micros(self.now_us.get())
    }

    fn random_bytes(&self) -> [u8; 16] {
        let (high, low) = (self.random.draw(0..u64::MAX), self.random.draw(0..u64::MAX));
        ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
    }

    fn step(&self) {
        World::step(self);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        sleep(duration.as_micros() as u64).boxed()
    }
}

impl World {
    /// Runs `life` in a world of `seed`, until it ends; with a hash of all that happened, and of its order.
    pub(super) fn run<T: 'static>(seed: u64, life: impl AsyncFnOnce() -> T + 'static) -> (T, u64) {
        let world = Rc::new(Self {
            seed,
            began: Instant::now(),
            now_us: Cell::new(0),
            random: Random::new(seed),
            trace: Cell::new(seed),
            steps: Cell::new(0),
            numbers: Cell::new(0),
            ready: Ready::default(),
            tasks: RefCell::default(),
            timers: RefCell::default(),
            machines: RefCell::default(),
            fates: RefCell::default(),
            is_calm: Cell::new(false),
            is_told: std::env::var_os("ESKER_SIMULATION_TRACE").is_some(),
        });
        WORLD.set(Some(Rc::clone(&world)));
        let entered = simulated::enter(Rc::<World>::clone(&world));
        let ended = Rc::new(RefCell::new(None));
        let end = Rc::clone(&ended);
        spawn(HEAVEN, async move {
            let result = life().await;
            end.replace(Some(result));
        });
        while ended.borrow().is_none() {
            World::step(&world);
        }
        // What is left of it, while there is a world.
        loop {
            let tasks = std::mem::take(&mut *world.tasks.borrow_mut());
            if tasks.is_empty() {
                break;
            }
            drop(tasks);
        }
        let fates = std::mem::take(&mut *world.fates.borrow_mut());
        drop((entered, fates));
        WORLD.set(None);
        let result = ended.take().expect("it has ended");
        (result, world.trace.get())
    }

    fn step(&self) {
        let seed = self.seed;
        let step = self.steps.get() + 1;
        self.steps.set(step);
        assert!(step < STEPS_MAX, "seed {seed}: no end after {step} steps");
        let fates = self.fates.borrow_mut().remove(&step);
        fates.into_iter().flatten().for_each(|fate| fate());

        let tasks = self.tasks.borrow();
        let machines = self.machines.borrow();
        let mut ready = self.ready.lock().unwrap();
        ready.retain(|task| tasks.contains_key(task));
        let runs = |task: &&u64| {
            let machine = tasks.get(task).and_then(|task| machines.get(&task.node));
            !machine.is_some_and(|machine| machine.is_paused)
        };
        let runnable: Vec<u64> = ready.iter().filter(runs).copied().collect();
        if runnable.is_empty() {
            drop((tasks, machines, ready));
            let timer = self.timers.borrow_mut().pop_first();
            let Some(((at_us, _), waker)) = timer else {
                panic!("seed {seed}: nothing will ever happen, after {step} steps");
            };
            self.now_us.set(self.now_us.get().max(at_us));
            waker.wake();
            return;
        }
        let task = runnable[self.draw(0..runnable.len() as u64) as usize];
        ready.remove(&task);
        drop((tasks, machines, ready));
        self.note("poll", task);
        let taken = self.tasks.borrow_mut().get_mut(&task).and_then(|task| task.future.take());
        let Some(mut future) = taken else { return };
        let waker = Waker::from(Arc::new(Wakes { task, ready: Arc::clone(&self.ready) }));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut tasks = self.tasks.borrow_mut();
        match tasks.get_mut(&task) {
            Some(of) if polled.is_pending() => of.future = Some(future),
            of => {
                // It has ended, or killed itself.
                let task = of.is_some().then(|| tasks.remove(&task));
                drop(tasks);
                drop((task, future));
            }
        }
    }

    pub(super) fn draw(&self, range: std::ops::Range<u64>) -> u64 {
        self.random.draw(range)
    }

    /// Whether what happens in one of `of` cases does.
    pub(super) fn one_in(&self, of: u64) -> bool {
        of > 0 && self.draw(0..of) == 0
    }

    /// A number that was not given before.
    pub(super) fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    pub(super) fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    /// Makes it a part of the trace that something happened.
    pub(super) fn note(&self, what: &str, of: impl Display) {
        let text = format!("{what} {of}");
        if self.is_told && what != "poll" {
            eprintln!("{:>8} {:>9} us  {text}", self.steps.get(), self.now_us.get());
        }
        let mut trace = hash(self.trace.get(), self.now_us.get());
        for bytes in text.as_bytes().chunks(8) {
            let number = bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
            trace = hash(trace, number);
        }
        self.trace.set(trace);
    }

    pub(super) fn node(&self) -> Node {
        let node = Node(self.number());
        self.machines.borrow_mut().insert(node, Machine::default());
        node
    }

    pub(super) fn is_dead(&self, node: Node) -> bool {
        self.machines.borrow().get(&node).is_some_and(|machine| machine.is_dead)
    }

    /// Ends all that runs on `node`, where it is.
    pub(super) fn kill(&self, node: Node) {
        self.note("kill", node.0);
        if let Some(machine) = self.machines.borrow_mut().get_mut(&node) {
            *machine = Machine { is_dead: true, is_paused: false };
        }
        let mut tasks = self.tasks.borrow_mut();
        let of: Vec<_> = tasks.iter().filter(|(_, task)| task.node == node).collect();
        let of: Vec<u64> = of.into_iter().map(|(number, _)| *number).collect();
        let killed: Vec<_> = of.iter().filter_map(|number| tasks.remove(number)).collect();
        drop(tasks);
        drop(killed);
    }

    /// Lets `node` stand still, or no longer.
    pub(super) fn pause(&self, node: Node, is_paused: bool) {
        self.note(if is_paused { "pause" } else { "resume" }, node.0);
        if let Some(machine) = self.machines.borrow_mut().get_mut(&node) {
            machine.is_paused = is_paused && !machine.is_dead;
        }
    }

    pub(super) fn is_paused(&self, node: Node) -> bool {
        self.machines.borrow().get(&node).is_some_and(|machine| machine.is_paused)
    }

    /// Lets `fate` happen in front of a step.
    pub(super) fn at_step(&self, step: u64, fate: impl FnOnce() + 'static) {
        self.fates.borrow_mut().entry(step).or_default().push(Box::new(fate));
    }
}

/// Runs `future` on `node`, if that is alive.
pub(super) fn spawn(node: Node, future: impl Future<Output = ()> + 'static) {
    let world = world();
    if world.is_dead(node) {
        return;
    }
    let task = world.number();
    let future = Some(future.boxed_local());
    world.tasks.borrow_mut().insert(task, Task { node, future });
    world.ready.lock().unwrap().insert(task);
}

/// Waits for so many microseconds.
pub(super) fn sleep(us: u64) -> Sleep {
    let world = world();
    Sleep { timer: (world.now_us() + us, world.number()) }
}

pub(super) struct Sleep {
    /// When it ends, and which of those that end then.
    timer: (u64, u64),
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // At a thread's end after a failure there may be no world to ask for.
        if let Ok(Some(world)) = WORLD.try_with(|world| world.borrow().clone()) {
            world.timers.borrow_mut().remove(&self.timer);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = world();
        if world.now_us() >= self.timer.0 {
            return Poll::Ready(());
        }
        world.timers.borrow_mut().insert(self.timer, context.waker().clone());
        Poll::Pending
    }
}
