mod chain;
mod copy;
mod faults;
mod merge;
mod native;
mod plan;
mod ttl;
mod world;
