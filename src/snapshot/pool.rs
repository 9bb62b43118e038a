//! A few threads that decode, for as long as whoever reads is there.

use crate::environment::is_threadless;
use crate::{Error, ErrorKind, Result};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that end when the pool is dropped and their last job is done.
pub(super) struct Pool(Sender<Job>);

impl Pool {
    /// A pool of `threads` threads.
    ///
    /// # Errors
    /// `Retry` if a thread cannot be started.
    pub(super) fn new(threads: usize) -> Result<Self> {
        let (sender, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = if is_threadless() { 0 } else { threads };
        for _ in 0..threads {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().name("esker-decode".to_owned());
            thread.spawn(move || work(&receiver)).map_err(|error| {
                Error::new(ErrorKind::Retry, format!("cannot start a thread: {error}"))
            })?;
        }
        Ok(Self(sender))
    }

    /// Runs `job` on a thread of the pool.
    ///
    /// # Errors
    /// Those of the job, and `Poisoned` if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.begin(job)?.end().await
    }

    /// Has `job` run on a thread of the pool, unless what it gives is dropped before.
    ///
    /// # Errors
    /// `Poisoned` if there is no thread left.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<Begun<T>> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody waits any more if the reader was dropped.
            if !sender.is_closed() {
                let _ = sender.send(job());
            }
        });
        if is_threadless() {
            job();
            return Ok(Begun(receiver));
        }
        self.0.send(job).map_err(|_| died())?;
        Ok(Begun(receiver))
    }
}

/// A job of a pool.
pub(super) struct Begun<T>(oneshot::Receiver<Result<T>>);

impl<T> Begun<T> {
    /// Waits for its end.
    ///
    /// # Errors
    /// Those of the job, and `Poisoned` if it panicked.
    pub(super) async fn end(self) -> Result<T> {
        self.0.await.map_err(|_| died())?
    }
}

fn died() -> Error {
    Error::new(ErrorKind::Poisoned, "a thread that decodes state died")
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    loop {
        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
