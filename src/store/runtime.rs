//! The one thread that drives I/O and timers for callers without an async runtime.
//!
//! `object_store` does a local file's I/O on tokio's blocking pool where a tokio runtime is entered,
//! and otherwise inline, so that without a runtime it works but never overlaps two transfers. So the
//! blocking forms enter a small runtime of their own, started on first use. Stores that are reached over HTTP need
//! tokio's reactor and its timers, and keep connections longer than a caller's runtime may live: they enter this one
//! whoever calls.

#[cfg(test)]
use crate::environment::simulated;
use crate::{Error, ErrorKind, Result};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};

/// How many threads may block on files at once, for callers without a runtime.
const BLOCKING_THREAD_COUNT_MAX: usize = 16;

/// Wakes the thread that is parked in [`block_on`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs `future` to its end on this thread, which needs no runtime: its I/O is driven by esker's.
///
/// Inside a runtime it blocks the calling thread, and with it whatever else that thread should be
/// doing, but it cannot deadlock on that runtime, current-thread ones included: prefer the async
/// form there.
///
/// # Errors
/// Those of the future, and `Retry` if the thread cannot be started.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let _entered = handle()?.enter();
    block_here(future)
}

/// As [`block_on`], and what can be done on this thread is: reads of a local file are, unless the caller has entered
/// a runtime. That spares two changes of thread, which take longer than to read a block.
pub(super) fn block_here<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let mut future = pin!(future);
    #[cfg(test)]
    if let Some(world) = simulated::world() {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => world.step(),
            }
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Waits for `duration`, under any executor: the caller's runtime may have no timers.
pub(crate) async fn sleep(duration: Duration) -> Result<()> {
    #[cfg(test)]
    if let Some(sleeps) = simulated::sleep(duration) {
        sleeps.await;
        return Ok(());
    }
    let slept = handle()?.spawn(async move { tokio::time::sleep(duration).await });
    // Nobody waits for one that is dropped.
    let _aborts = Aborts(slept.abort_handle());
    slept.await.map_err(|error| {
        Error::new(ErrorKind::Retry, "the timer of the I/O thread failed").with_source(error)
    })
}

struct Aborts(tokio::task::AbortHandle);

impl Drop for Aborts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `work`, which blocks, on the caller's blocking pool or, without one, on esker's.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let handle = match Handle::try_current() {
        Ok(current) => current,
        Err(_) => handle()?,
    };
    handle.spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Retry, "blocking work did not end").with_source(error)
    })
}

/// The runtime of that thread.
///
/// # Errors
/// `Retry` if the thread cannot be started.
pub(super) fn handle() -> Result<Handle> {
    static HANDLE: OnceLock<std::io::Result<Handle>> = OnceLock::new();
    match HANDLE.get_or_init(start) {
        Ok(handle) => Ok(handle.clone()),
        Err(error) => {
            Err(Error::new(ErrorKind::Retry, format!("cannot start the I/O thread: {error}")))
        }
    }
}

fn start() -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREAD_COUNT_MAX)
        .thread_name("esker-io-file")
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("esker-io".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
