//! The conformance suite, on each backend that esker brings.

use crate::backends::of_each_backend;

macro_rules! tests {
    ($factory:ty) => {
        esker_conformance::conformance_tests!(<$factory as $crate::backends::Tested>::new());
    };
}
of_each_backend!(tests);
