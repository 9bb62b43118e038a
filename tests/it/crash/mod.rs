//! Crashes: a job killed at any instant, and a store that fails any call.
//!
//! `ESKER_SOAK` says how much of it runs, `ESKER_SEED` what is drawn.

mod child;
mod collect;
mod cycle;
mod kills;
mod watch;
