mod chain;
mod copy;
mod faults;
#[cfg(feature = "expressions")]
mod filter;
mod lineage;
mod merge;
mod native;
mod plan;
mod rewrite;
mod ttl;
mod world;
mod write;
