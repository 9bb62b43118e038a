//! What a process takes from outside itself: time, chance, and threads of its own. Whatever decides anything asks
//! here, so that a simulation can stand in for the world; in a build that is no test there is nothing but the world.

use crate::{Error, ErrorKind, Result};
use std::time::Instant;

/// The time.
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some(world) = simulated::world() {
        return world.now();
    }
    Instant::now()
}

/// Bytes that nobody else draws.
///
/// # Errors
/// `Retry` if the system has none.
pub(crate) fn random_bytes() -> Result<[u8; 16]> {
    #[cfg(test)]
    if let Some(world) = simulated::world() {
        return Ok(world.random_bytes());
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Retry, format!("no random numbers from the system: {error}"))
    })?;
    Ok(bytes)
}

/// Whether work is done where it is asked for: the order in which threads are served is nobody's decision.
pub(crate) fn is_threadless() -> bool {
    #[cfg(test)]
    return simulated::world().is_some();
    #[cfg(not(test))]
    false
}

/// The world of a test, for all that runs on its thread.
#[cfg(test)]
pub(crate) mod simulated {
    use futures::future::BoxFuture;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    pub(crate) trait World {
        fn now(&self) -> Instant;
        fn random_bytes(&self) -> [u8; 16];
        /// Lets something else happen, for who waits on this thread.
        fn step(&self);
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    }

    thread_local! {
        static WORLD: RefCell<Option<Rc<dyn World>>> = const { RefCell::new(None) };
    }

    pub(crate) fn world() -> Option<Rc<dyn World>> {
        WORLD.with_borrow(Clone::clone)
    }

    pub(crate) fn sleep(duration: Duration) -> Option<BoxFuture<'static, ()>> {
        world().map(|world| world.sleep(duration))
    }

    /// Puts `world` in the place of the genuine one until what it returns is dropped.
    pub(crate) fn enter(world: Rc<dyn World>) -> Entered {
        WORLD.set(Some(world));
        Entered
    }

    pub(crate) struct Entered;

    impl Drop for Entered {
        fn drop(&mut self) {
            WORLD.set(None);
        }
    }
}
