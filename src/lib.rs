//! State backend for stream processors: state captured in an instant while the stream flows on.
#![deny(unsafe_code)]

pub mod backend;
pub mod checkpoint;
pub mod engine;
mod environment;
mod error;
pub mod flink;
mod metrics;
pub mod processor;
mod settings;
pub mod snapshot;
pub mod state;
pub mod store;

pub use error::{Error, ErrorKind, Result};
pub use esker_format as format;
pub use settings::{OnCancel, RetentionSettings, Settings};
pub use store::{Store, block_on};

/// Keeps the code in README.md true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
