//! Crashes: a job killed at any instant, and a store that fails any call.
//!
//! `ESKER_SOAK=1` runs all of it, any fraction that share, and nothing said a twentieth;
//! `ESKER_SEED` chooses what is drawn.

mod child;
mod cycle;
mod kills;
mod watch;
