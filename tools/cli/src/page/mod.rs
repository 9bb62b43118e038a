//! What the pages that the tool writes share: style, tables, figures as people read them.

mod html;
pub(crate) mod units;

pub(crate) use html::{escaped, table};

/// The style of all pages.
pub(crate) const STYLE: &str = include_str!("style.css");
