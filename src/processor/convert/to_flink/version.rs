//! Versions of Flink, as people name them.

use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

/// The Flink that a savepoint is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlinkVersion {
    pub(super) major: u32,
    /// The least that is meant.
    pub(super) minor: u32,
}

impl FlinkVersion {
    /// Flink 1.20.
    pub const V1_20: Self = Self { major: 1, minor: 20 };
    /// Flink 2, any of it.
    pub const V2: Self = Self { major: 2, minor: 0 };
}

impl fmt::Display for FlinkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for FlinkVersion {
    type Err = Error;

    /// `1.14` to `1.20`, `2.0` and above, or `2.x`; what follows behind a further point counts for nothing.
    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = text.split('.');
        let major = numbers.next().and_then(|major| major.parse().ok());
        let minor = match numbers.next() {
            Some("x") | None => Some(if major == Some(1) { 14 } else { 0 }),
            Some(minor) => minor.parse().ok(),
        };
        match (major, minor) {
            (Some(major @ 1), Some(minor @ 14..=20)) | (Some(major @ 2), Some(minor)) => {
                Ok(Self { major, minor })
            }
            _ => {
                let message = format!("{text:?} is no version of Flink from 1.14 to 2.x");
                Err(Error::new(ErrorKind::Invalid, message))
            }
        }
    }
}
