//! The backends that whole jobs are tested on. This is the place to add one.

use esker::backend::BackendFactory;
use esker::backend::heap::{HeapBackend, HeapBackends};
use esker::format::KeyGroupRange;
use esker::format::manifest::Operator;

/// Names the folder in which a child process keeps what its backends have on disk: one that is killed
/// leaves it, and the next one clears it.
pub(crate) const LOCAL: &str = "ESKER_TESTS_LOCAL";

/// A backend that the tests run on.
pub(crate) trait Tested: BackendFactory + Send + Sync + Sized + 'static {
    /// What a child process is told, and how tests are named.
    const NAME: &'static str;
    /// Whether a checkpoint after the first one is made of runs of what changed, and folded.
    const WRITES_CHANGES: bool;
    /// Of the calls of a cycle, one of so many is failed by a soak: databases are slow to open.
    const FAILS_ONE_OF: u64;

    /// Makes its backends, in this process.
    fn new() -> Self;
}

impl Tested for HeapBackends {
    const NAME: &'static str = "heap";
    const WRITES_CHANGES: bool = true;
    const FAILS_ONE_OF: u64 = 1;

    fn new() -> Self {
        Self
    }
}

/// The heap, restored lazily: a key group at a time.
pub(crate) struct LazyHeap;

impl BackendFactory for LazyHeap {
    type Backend = HeapBackend;

    fn make(
        &self,
        uid: &str,
        range: KeyGroupRange,
        stored: Option<&Operator>,
    ) -> esker::Result<HeapBackend> {
        HeapBackends.make(uid, range, stored).map(|backend| backend.lazily(1))
    }
}

impl Tested for LazyHeap {
    const NAME: &'static str = "lazy-heap";
    const WRITES_CHANGES: bool = true;
    const FAILS_ONE_OF: u64 = 1;

    fn new() -> Self {
        Self
    }
}

/// RocksDB, in a folder that goes with it, or with the process that started this one.
#[cfg(feature = "rocksdb")]
pub(crate) struct Rocks {
    backends: esker::backend::rocksdb::RocksBackends,
    _own: Option<tempfile::TempDir>,
}

#[cfg(feature = "rocksdb")]
impl Rocks {
    fn over(base: &std::path::Path, own: Option<tempfile::TempDir>) -> Self {
        use esker::backend::rocksdb::{Budget, RocksBackends, RocksOptions};
        let options = RocksOptions::new(Budget::new(64 << 20));
        Self { backends: RocksBackends::new(base, options).unwrap(), _own: own }
    }
}

#[cfg(feature = "rocksdb")]
impl BackendFactory for Rocks {
    type Backend = esker::backend::rocksdb::RocksBackend;

    fn make(
        &self,
        uid: &str,
        range: KeyGroupRange,
        stored: Option<&Operator>,
    ) -> esker::Result<Self::Backend> {
        self.backends.make(uid, range, stored)
    }
}

#[cfg(feature = "rocksdb")]
impl Tested for Rocks {
    const NAME: &'static str = "rocksdb";
    const WRITES_CHANGES: bool = false;
    const FAILS_ONE_OF: u64 = 10;

    fn new() -> Self {
        match std::env::var_os(LOCAL) {
            Some(base) => Self::over(base.as_ref(), None),
            None => {
                let own = tempfile::tempdir().unwrap();
                let base = own.path().to_owned();
                Self::over(&base, Some(own))
            }
        }
    }
}

/// Makes the tests `$tests!(a factory)` of each backend, in a module of its name.
macro_rules! of_each_backend {
    ($tests:ident) => {
        mod heap {
            $tests!(esker::backend::heap::HeapBackends);
        }
        #[cfg(feature = "rocksdb")]
        mod rocksdb {
            $tests!($crate::backends::Rocks);
        }
    };
}
pub(crate) use of_each_backend;

/// Calls the generic function `$run` with the factory that is called `$name`.
macro_rules! of_backend {
    ($name:expr, $run:ident($($argument:expr),*)) => {{
        use $crate::backends::Tested;
        use esker::backend::heap::HeapBackends;
        match $name {
            HeapBackends::NAME => $run(&HeapBackends::new(), $($argument),*),
            #[cfg(feature = "rocksdb")]
            $crate::backends::Rocks::NAME => $run(&$crate::backends::Rocks::new(), $($argument),*),
            other => panic!("no backend is called {other:?}"),
        }
    }};
}
pub(crate) use of_backend;
