//! The conformance suite, on each backend that esker brings.

use crate::backends::of_each_backend;

macro_rules! tests {
    ($factory:ty) => {
        esker_conformance::conformance_tests!(<$factory as $crate::backends::Tested>::new());
    };
}
of_each_backend!(tests);

mod lazy_heap {
    tests!(crate::backends::LazyHeap);
}

/// Savepoints of one backend restore to the other, and back.
#[cfg(feature = "rocksdb")]
mod exchange {
    use crate::backends::{Rocks, Tested};
    use esker::backend::heap::HeapBackends;

    mod heap_to_rocksdb {
        esker_conformance::exchange_tests!(
            <super::HeapBackends as super::Tested>::new(),
            <super::Rocks as super::Tested>::new()
        );
    }

    mod rocksdb_to_heap {
        esker_conformance::exchange_tests!(
            <super::Rocks as super::Tested>::new(),
            <super::HeapBackends as super::Tested>::new()
        );
    }
}
