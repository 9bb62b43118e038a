//! Chains of which something is damaged: what is lost with it, key by key, and what is sound.
//!
//! First all that counts is read and checked (`survey`), so that what is lost is known before anything
//! is written; then the rest is merged (`entries`), layer after layer: where the first snapshot lost a key,
//! an older one is asked.
//!
//! With a block goes every key from its first up to the first of the next, as far as older runs tell of
//! it: they would show what was changed or deleted since. A newer run that puts, deletes or clears a key
//! decides it all the same, and where the damaged run's filter denies a key, it never held it.

mod cursor;
mod entries;
mod interval;
mod layer;
mod loss;
mod survey;
mod surveyed;

pub(crate) use entries::{SoundEntries, StateCounts, StateLayer, StateLayers};
pub(crate) use interval::{Interval, intersect, prefix_len, union};
pub(crate) use survey::{Surveyor, Wanted};
pub(crate) use surveyed::{Found, Surveyed};

#[cfg(test)]
mod tests;
