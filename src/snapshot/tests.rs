mod chain;
mod faults;
mod merge;
mod world;
