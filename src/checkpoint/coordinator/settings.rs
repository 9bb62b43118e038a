//! When checkpoints are taken.

use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// When checkpoints are taken, and how many failures a job survives. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoordinatorSettings {
    /// From one trigger to the next; 0 for none but those that are asked for.
    pub interval_ms: u64,
    /// At least so long after one ended, be it given up, no other is triggered but what is asked for.
    pub min_pause_ms: u64,
    /// How many are under way at once; with a pause it is one.
    pub concurrent_max: u32,
    /// One that takes longer is given up.
    pub timeout_ms: u64,
    /// So many checkpoints in a row may fail before the job does; savepoints do not count.
    pub tolerated_failures: u32,
    /// How many that have ended are remembered.
    pub history_len: usize,
}

impl Default for CoordinatorSettings {
    fn default() -> Self {
        Self {
            interval_ms: 10_000,
            min_pause_ms: 0,
            concurrent_max: 1,
            timeout_ms: 600_000,
            tolerated_failures: 0,
            history_len: 64,
        }
    }
}

impl CoordinatorSettings {
    /// Checks every field.
    ///
    /// # Errors
    /// `Invalid`, with the field named.
    pub fn check(&self) -> Result<()> {
        let refuse = |field: &str, why: &str| {
            let message = format!("setting checkpoints.{field}: {why}");
            Err(Error::new(ErrorKind::Invalid, message))
        };
        if self.concurrent_max == 0 {
            return refuse("concurrent_max", "at least 1");
        }
        if self.concurrent_max > 1 && self.min_pause_ms > 0 {
            return refuse("concurrent_max", "1 where min_pause_ms asks for a pause");
        }
        if self.timeout_ms == 0 {
            return refuse("timeout_ms", "at least 1");
        }
        Ok(())
    }
}
