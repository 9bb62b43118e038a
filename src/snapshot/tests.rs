mod chain;
mod faults;
mod merge;
mod plan;
mod world;
