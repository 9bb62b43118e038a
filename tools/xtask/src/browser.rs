//! The browser that the page of `esker report` is opened in by its test.

use crate::apt::{self, answers};
use esker_test_support::tool::{self, BROWSERS};

/// Installs one where there is none and apt has it; where that cannot be, the test says that it is skipped.
pub(crate) fn install() {
    if BROWSERS.iter().any(|browser| answers(browser)) || !answers("apt-get") {
        return;
    }
    if let Err(error) = apt::install("chromium") {
        tool::skip("a browser for the page of `esker report`", &error);
    }
}
