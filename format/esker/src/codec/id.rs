//! The name of a codec, as snapshots record it.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Names a codec in a manifest. esker's own are [`ORDERED`](Self::ORDERED) and
/// [`BINCODE2`](Self::BINCODE2); a codec brought by the user has any other name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodecId(Cow<'static, str>);

impl CodecId {
    /// The encoding of [`OrderedKey`](super::OrderedKey): its bytes sort as the values do.
    pub const ORDERED: Self = Self::new("ordered");
    /// bincode 2.0.1, `config::standard()`, of `serde` types.
    pub const BINCODE2: Self = Self::new("bincode2");

    /// The id `name`.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Whether it is one of esker's own, so that bytes are read by their schema alone.
    pub fn is_known(&self) -> bool {
        *self == Self::ORDERED || *self == Self::BINCODE2
    }

    /// The id as it stands in a manifest.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for CodecId {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
