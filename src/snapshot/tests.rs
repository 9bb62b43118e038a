mod chain;
mod faults;
mod merge;
mod native;
mod plan;
mod ttl;
mod world;
