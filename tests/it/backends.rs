//! The backends that whole jobs are tested on. This is the place to add one.

use esker::backend::BackendFactory;
use esker::backend::heap::HeapBackends;

/// A backend that the tests run on.
pub(crate) trait Tested: BackendFactory + Send + Sync + Sized + 'static {
    /// What a child process is told, and how tests are named.
    const NAME: &'static str;
    /// Whether a checkpoint after the first one is made of runs of what changed, and folded.
    const WRITES_CHANGES: bool;

    /// Makes its backends, in this process.
    fn new() -> Self;
}

impl Tested for HeapBackends {
    const NAME: &'static str = "heap";
    const WRITES_CHANGES: bool = true;

    fn new() -> Self {
        Self
    }
}

/// Makes the tests `$tests!(a factory)` of each backend, in a module of its name.
macro_rules! of_each_backend {
    ($tests:ident) => {
        mod heap {
            $tests!(esker::backend::heap::HeapBackends);
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
            other => panic!("no backend is called {other:?}"),
        }
    }};
}
pub(crate) use of_backend;
