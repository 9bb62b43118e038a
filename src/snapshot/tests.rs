mod chain;
mod faults;
mod merge;
mod plan;
mod ttl;
mod world;
