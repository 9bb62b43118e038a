//! Values that expire, hidden once they are too old.

mod capture;
mod list;
mod map;
mod value;

pub use capture::TtlCapture;
pub use list::{TtlListCapture, TtlListState};
pub use map::{TtlMapCapture, TtlMapState};
pub use value::{TtlValueCapture, TtlValueState};

#[cfg(test)]
mod tests;
