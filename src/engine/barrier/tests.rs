//! Alignment against a model, and case by case.

mod cases;
mod model;
mod spill;
mod world;
