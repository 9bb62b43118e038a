//! State on the heap, in copy-on-write versions.
