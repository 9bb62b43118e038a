//! The protocol, checked against a model of a hostile store and hostile timing.

mod check;
mod rules;
mod world;
