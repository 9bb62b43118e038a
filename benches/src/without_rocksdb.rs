//! Stands for the rows `rocksdb.*` where the feature is off.

use crate::report::{Question, Report};

const WHY: &str = "built without the feature rocksdb: ask by cargo xtask bench";

/// Says that they are left out.
///
/// # Errors
/// If one of them is asked for by name.
pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    match report.wants("rocksdb") && !report.selects("rocksdb") {
        true => Err(WHY.to_owned()),
        false => {
            report.skip(Question::speed("rocksdb", 1.0, 0, 0), WHY);
            Ok(())
        }
    }
}

pub(crate) mod memory {
    /// There is no such state.
    pub(crate) fn peak(_: &str) -> Result<f64, String> {
        Err(super::WHY.to_owned())
    }
}
